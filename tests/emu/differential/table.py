"""The instructions that sequences are made of, in the notation of the opcode map (Intel SDM vol. 2, appendix A).

Operands: E register or memory, G register, M memory, R register (of ModRM), Z register (of the opcode), I immediate;
V, W, U the same of XMM registers, P, Q, N of MMX registers; F memory, for the FPU. Then the size in bytes, v for 4 or,
with the prefix 66, 2. ``/n`` is ModRM's reg field.

Flags: those that it sets, ``?`` before those that it leaves undefined, ``<`` before those that it looks at.
"""

from dataclasses import dataclass
from typing import Final

FLAGS: Final = {"C": 0x1, "P": 0x4, "A": 0x10, "Z": 0x40, "S": 0x80, "O": 0x800}
ALL: Final = "OSZAPC"


def mask(letters: str) -> int:
    """The bits of EFLAGS that letters stand for."""
    return sum(FLAGS[letter] for letter in letters)


@dataclass(frozen=True, slots=True)
class Op:
    """One row. ``writes``: general registers that it changes besides its first register operand."""

    name: str
    opcode: bytes
    operands: tuple[str, ...]
    sets: int = 0
    undefines: int = 0
    looks: int = 0
    writes: tuple[int, ...] = ()
    lock: bool = False
    keeps: bool = False  # the first operand is only read
    pops: int = 0  # FPU registers that must be full, and
    pushes: int = 0  # empty

    @property
    def sized(self) -> bool:
        """The prefix 66 gives it 2 bytes."""
        return any(operand[1:] == "v" for operand in self.operands)


def op(name: str, opcode: str, operands: str = "", flags: str = "", writes: str = "", more: str = "") -> Op:
    """A row, from text."""
    sets = undefines = looks = 0
    for word in flags.split():
        if word[0] == "?":
            undefines |= mask(word[1:])
        elif word[0] == "<":
            looks |= mask(word[1:])
        else:
            sets |= mask(word)
    code = bytes.fromhex(opcode)
    registers = tuple("acdb".index(letter) for letter in writes)
    words = more.split()
    counts = {word[:-1]: int(word[-1]) for word in words if word[-1].isdigit()}
    return Op(
        name,
        code,
        tuple(operands.split()),
        sets,
        undefines,
        looks,
        registers,
        "lock" in words,
        "keeps" in words,
        counts.get("pops", 0),
        counts.get("pushes", 0),
    )


def _arithmetic() -> list[Op]:
    ops = []
    for i, name in enumerate(("ADD", "OR", "ADC", "SBB", "AND", "SUB", "XOR", "CMP")):
        flags = "OSZPC ?A" if name in ("OR", "AND", "XOR") else ALL + (" <C" if name in ("ADC", "SBB") else "")
        more = "keeps" if name == "CMP" else "lock"
        for j, operands in enumerate(("E1 G1", "Ev Gv", "G1 E1", "Gv Ev")):
            ops.append(op(name, f"{8 * i + j:02x}", operands, flags, more=more if j < 2 else more.replace("lock", "")))
        ops.append(op(name, f"{8 * i + 4:02x}", "I1", flags, "" if name == "CMP" else "a"))
        ops.append(op(name, f"{8 * i + 5:02x}", "Iv", flags, "" if name == "CMP" else "a"))
        for opcode, operands in (("80", "E1 I1"), ("81", "Ev Iv"), ("83", "Ev I1")):
            ops.append(op(name, opcode, f"/{i} {operands}", flags, more=more))
    for size, low in (("1", 0), ("v", 1)):
        e, g = f"E{size}", f"G{size}"
        ops += [
            op("TEST", f"{0x84 + low:02x}", f"{e} {g}", "OSZPC ?A", more="keeps"),
            op("TEST", f"{0xF6 + low:02x}", f"/0 {e} I{size}", "OSZPC ?A", more="keeps"),
            op("TEST", f"{0xA8 + low:02x}", f"I{size}", "OSZPC ?A"),
            op("INC", f"{0xFE + low:02x}", f"/0 {e}", "OSZAP", more="lock"),
            op("DEC", f"{0xFE + low:02x}", f"/1 {e}", "OSZAP", more="lock"),
            op("NOT", f"{0xF6 + low:02x}", f"/2 {e}", more="lock"),
            op("NEG", f"{0xF6 + low:02x}", f"/3 {e}", ALL, more="lock"),
            op("MUL", f"{0xF6 + low:02x}", f"/4 {e}", "OC ?SZAP", "ad", "keeps"),
            op("IMUL", f"{0xF6 + low:02x}", f"/5 {e}", "OC ?SZAP", "ad", "keeps"),
            op("DIV", f"{0xF6 + low:02x}", f"/6 {e}", f"?{ALL}", "ad", "keeps"),
            op("IDIV", f"{0xF6 + low:02x}", f"/7 {e}", f"?{ALL}", "ad", "keeps"),
            op("XCHG", f"{0x86 + low:02x}", f"{e} {g}", more="lock"),
            op("XADD", f"0f{0xC0 + low:02x}", f"{e} {g}", ALL, more="lock"),
            op("CMPXCHG", f"0f{0xB0 + low:02x}", f"{e} {g}", ALL, "a", "lock"),
            op("MOV", f"{0x88 + low:02x}", f"{e} {g}"),
            op("MOV", f"{0x8A + low:02x}", f"{g} {e}"),
            op("MOV", f"{0xC6 + low:02x}", f"/0 {e} I{size}"),
        ]
    ops += [
        op("INC", "40", "Zv", "OSZAP"),
        op("DEC", "48", "Zv", "OSZAP"),
        op("MOV", "b0", "Z1 I1"),
        op("MOV", "b8", "Zv Iv"),
        op("XCHG", "90", "Zv", writes="a"),
        op("BSWAP", "0fc8", "Z4"),
        op("IMUL", "0faf", "Gv Ev", "OC ?SZAP"),
        op("IMUL", "69", "Gv Ev Iv", "OC ?SZAP"),
        op("IMUL", "6b", "Gv Ev I1", "OC ?SZAP"),
        op("MOVZX", "0fb6", "Gv E1"),
        op("MOVZX", "0fb7", "G4 E2"),
        op("MOVSX", "0fbe", "Gv E1"),
        op("MOVSX", "0fbf", "G4 E2"),
        op("LEA", "8d", "Gv M0"),
        op("CBW", "98", writes="a"),
        op("CWD", "99", writes="d"),
        op("CMPXCHG8B", "0fc7", "/1 M8", "Z", "ad", "lock"),
    ]
    return ops


def _shifts() -> list[Op]:
    ops = []
    for i, name in enumerate(("ROL", "ROR", "RCL", "RCR", "SHL", "SHR", "SHL", "SAR")):
        rotate = i < 4
        looks = " <C" if name in ("RCL", "RCR") else ""
        one = "OC" if rotate else "OSZPC ?A"
        some = "?O" if rotate else "SZPC ?OA"
        many = "?O" if rotate else "?OA"  # a count from CL may be 0, which changes nothing
        for size, low in (("1", 0), ("v", 1)):
            ops += [
                op(name, f"{0xD0 + low:02x}", f"/{i} E{size}", one + looks),
                op(name, f"{0xC0 + low:02x}", f"/{i} E{size} Is", some + looks),
                op(name + " CL", f"{0xD2 + low:02x}", f"/{i} E{size}", many + (" ?C" if size == "1" else "") + looks),
            ]
    for name, opcode in (("SHLD", 0xA4), ("SHRD", 0xAC)):
        ops += [
            op(name, f"0f{opcode:02x}", "Ev Gv Is", "SZPC ?OA"),
            op(name + " CL", f"0f{opcode + 1:02x}", "E4 G4", "?OA"),
        ]
    for i, name in enumerate(("BT", "BTS", "BTR", "BTC")):
        more = "lock" if i else "keeps"
        ops += [
            op(name, f"0f{0xA3 + 8 * i:02x}", "Ev Gv", "C ?OSAP", more=more),
            op(name, "0fba", f"/{i + 4} Ev I1", "C ?OSAP", more=more),
        ]
    ops += [op("BSF", "0fbc", "Gv Ev", "Z ?OSAPC"), op("BSR", "0fbd", "Gv Ev", "Z ?OSAPC")]
    return ops


CONDITIONS: Final = ("O", "C", "Z", "CZ", "S", "P", "SO", "ZSO")


def _others() -> list[Op]:
    ops = []
    for i in range(16):
        looks = f"<{CONDITIONS[i // 2]}"
        ops.append(op("SETcc", f"0f{0x90 + i:02x}", "/0 E1", looks))
        ops.append(op("CMOVcc", f"0f{0x40 + i:02x}", "Gv Ev", looks))
        ops.append(op("Jcc", f"{0x70 + i:02x}", "J", looks))
    ops += [
        op("JMP", "eb", "J"),
        op("LOOPNE", "e0", "J", "<Z", "c"),
        op("LOOPE", "e1", "J", "<Z", "c"),
        op("LOOP", "e2", "J", "", "c"),
        op("JCXZ", "e3", "J"),
        op("LAHF", "9f", "", "<SZAPC", "a"),
        op("SAHF", "9e", "", "SZAPC"),
        op("CLC", "f8", "", "C"),
        op("STC", "f9", "", "C"),
        op("CMC", "f5", "", "C <C"),
        op("CLD", "fc"),
        op("STD", "fd"),
        op("DAA", "27", "", "SZAPC ?O <AC", "a"),
        op("DAS", "2f", "", "SZAPC ?O <AC", "a"),
        op("AAA", "37", "", "AC ?OSZP <A", "a"),
        op("AAS", "3f", "", "AC ?OSZP <A", "a"),
        op("AAM", "d4", "I1", "SZP ?OAC", "a"),
        op("AAD", "d5", "I1", "SZP ?OAC", "a"),
        op("XLAT", "d7", "", "", "a"),
        op("SALC", "d6", "", "<C", "a"),
        op("BOUND", "62", "Gv M8", more="keeps"),
        op("UD2", "0f0b"),
        op("NOP", "0f1f", "/0 Ev", more="keeps"),
        op("PUSH", "50", "Zv", more="keeps"),
        op("PUSH", "68", "Iv"),
        op("PUSH", "6a", "I1"),
        op("PUSH", "ff", "/6 Ev", more="keeps"),
        op("POP", "58", "Zv"),
        op("POP", "8f", "/0 Ev"),
        op("PUSHA", "60"),
        op("PUSHF", "9c", "", f"<{ALL}"),
        op("ENTER", "c8", "X"),
        op("LFENCE", "0faee8"),
        op("MOVNTI", "0fc3", "M4 G4"),
        op("LOCK MOV", "f089", "Ev Gv"),
        op("ARPL", "63", "E2 G2", "Z"),
    ]
    for name, opcode, flags in (
        ("MOVS", 0xA4, ""),
        ("CMPS", 0xA6, ALL),
        ("STOS", 0xAA, ""),
        ("LODS", 0xAC, ""),
        ("SCAS", 0xAE, ALL),
    ):
        for low, size in ((0, ""), (1, "Sv")):
            writes = "a" if name == "LODS" else ""
            ops.append(op(name, f"{opcode + low:02x}", size, flags, writes))
            # with a count of 0 nothing is compared
            ops.append(op("REP " + name, f"f3{opcode + low:02x}", size, "", writes + "c"))
            if flags:
                ops.append(op("REPNE " + name, f"f2{opcode + low:02x}", size, "", "c"))
    return ops


def _fpu() -> list[Op]:
    ops = []
    for i, name in enumerate(("FADD", "FMUL", "FCOM", "FCOMP", "FSUB", "FSUBR", "FDIV", "FDIVR")):
        popped = "" if name != "FCOMP" else " pops1"
        for opcode, size in (("d8", 4), ("dc", 8)):
            ops.append(op(name, opcode, f"/{i} F{size}", more="full1" + popped))
        for opcode, size in (("da", 4), ("de", 2)):
            ops.append(op(name.replace("F", "FI", 1), opcode, f"/{i} F{size}", more="full1" + popped))
        ops.append(op(name, f"d8{0xC0 + 8 * i:02x}", "T", more="full1" + popped))
        if i not in (2, 3):
            ops.append(op(name, f"dc{0xC0 + 8 * i:02x}", "T"))
            ops.append(op(name + "P", f"de{0xC0 + 8 * i:02x}", "T", more="pops1"))
    for i, name in enumerate(("FCMOVB", "FCMOVE", "FCMOVBE", "FCMOVU")):
        looks = f"<{('C', 'Z', 'CZ', 'P')[i]}"
        ops += [op(name, f"{o}{0xC0 + 8 * i:02x}", "T", looks) for o in ("da", "db")]
    for name, opcode, operands, more in (
        ("FLD", "d9", "/0 F4", "pushes1"),
        ("FLD", "dd", "/0 F8", "pushes1"),
        ("FLD", "db", "/5 F10", "pushes1"),
        ("FILD", "df", "/0 F2", "pushes1"),
        ("FILD", "db", "/0 F4", "pushes1"),
        ("FILD", "df", "/5 F8", "pushes1"),
        ("FBLD", "df", "/4 F10", "pushes1"),
        ("FST", "d9", "/2 F4", ""),
        ("FST", "dd", "/2 F8", ""),
        ("FSTP", "d9", "/3 F4", "pops1"),
        ("FSTP", "dd", "/3 F8", "pops1"),
        ("FSTP", "db", "/7 F10", "pops1"),
        ("FIST", "df", "/2 F2", ""),
        ("FIST", "db", "/2 F4", ""),
        ("FISTP", "df", "/3 F2", "pops1"),
        ("FISTP", "db", "/3 F4", "pops1"),
        ("FISTP", "df", "/7 F8", "pops1"),
        ("FISTTP", "df", "/1 F2", "pops1"),
        ("FISTTP", "db", "/1 F4", "pops1"),
        ("FISTTP", "dd", "/1 F8", "pops1"),
        ("FBSTP", "df", "/6 F10", "pops1"),
        ("FLD", "d9c0", "T", "pushes1"),
        ("FXCH", "d9c8", "T", ""),
        ("FST", "ddd0", "T", ""),
        ("FSTP", "ddd8", "T", "pops1"),
        ("FUCOM", "dde0", "T", ""),
        ("FUCOMP", "dde8", "T", "pops1"),
    ):
        ops.append(op(name, opcode, operands, more=more))
    for name, last in (("FLD1", 0xE8), ("FLDL2T", 0xE9), ("FLDL2E", 0xEA), ("FLDPI", 0xEB), ("FLDLG2", 0xEC)):
        ops.append(op(name, f"d9{last:02x}", more="pushes1"))
    ops += [op("FLDLN2", "d9ed", more="pushes1"), op("FLDZ", "d9ee", more="pushes1")]
    for name, last in (
        ("FCHS", 0xE0),
        ("FABS", 0xE1),
        ("FTST", 0xE4),
        ("FXAM", 0xE5),
        ("FPREM1", 0xF5),
        ("FPREM", 0xF8),
        ("FSQRT", 0xFA),
        ("FRNDINT", 0xFC),
        ("FSCALE", 0xFD),
    ):
        ops.append(op(name, f"d9{last:02x}"))
    ops += [op("FXTRACT", "d9f4", more="pushes1")]
    for name, opcode in (("FUCOMI", "dbe8"), ("FCOMI", "dbf0"), ("FUCOMIP", "dfe8"), ("FCOMIP", "dff0")):
        ops.append(op(name, opcode, "T", "ZPC OSA", more="pops1" if name[-1] == "P" else ""))
    ops += [
        op("FCOMPP", "ded9", more="pops2"),
        op("FUCOMPP", "dae9", more="pops2"),
        op("FNSTCW", "d9", "/7 F2"),
        op("FNSTSW", "dfe0", writes="a"),
        op("FNSTSW", "dd", "/7 F2"),
        op("FNOP", "d9d0"),
        op("FWAIT", "9b"),
        op("FNCLEX", "dbe2"),
        op("FINCSTP", "d9f7"),
        op("FDECSTP", "d9f6"),
        op("FFREE", "ddc0", "T"),
        op("FNINIT", "dbe3"),
    ]
    return ops


def _sse() -> list[Op]:
    ops = []
    # of all four sorts: packed and scalar, single and double
    for name, opcode in (
        ("SQRT", 0x51),
        ("ADD", 0x58),
        ("MUL", 0x59),
        ("SUB", 0x5C),
        ("MIN", 0x5D),
        ("DIV", 0x5E),
        ("MAX", 0x5F),
    ):
        for prefix, sort, size in (("", "PS", 16), ("66", "PD", 16), ("f3", "SS", 4), ("f2", "SD", 8)):
            ops.append(op(name + sort, f"{prefix}0f{opcode:02x}", f"V W{size}"))
    for prefix, sort, size in (("", "PS", 16), ("66", "PD", 16), ("f3", "SS", 4), ("f2", "SD", 8)):
        ops.append(op("CMP" + sort, f"{prefix}0fc2", f"V W{size} Ic"))
    rows = """
    MOVUPS 0f10 V W0|MOVUPS 0f11 W0 V|MOVUPD 660f10 V W0|MOVUPD 660f11 W0 V|MOVSS f30f10 V W4|MOVSS f30f11 W4 V
    MOVSD f20f10 V W8|MOVSD f20f11 W8 V|MOVLPS 0f12 V W8|MOVLPS 0f13 M8 V|MOVLPD 660f12 V M8|MOVLPD 660f13 M8 V
    MOVHPS 0f16 V W8|MOVHPS 0f17 M8 V|MOVHPD 660f16 V M8|MOVHPD 660f17 M8 V|MOVAPS 0f28 V W16|MOVAPS 0f29 W16 V
    MOVAPD 660f28 V W16|MOVAPD 660f29 W16 V|UNPCKLPS 0f14 V W16|UNPCKHPS 0f15 V W16|UNPCKLPD 660f14 V W16
    UNPCKHPD 660f15 V W16|MOVNTPS 0f2b M16 V|MOVNTPD 660f2b M16 V|MOVNTDQ 660fe7 M16 V|ANDPS 0f54 V W16
    ANDNPS 0f55 V W16|ORPS 0f56 V W16|XORPS 0f57 V W16|ANDPD 660f54 V W16|ANDNPD 660f55 V W16|ORPD 660f56 V W16
    XORPD 660f57 V W16|SHUFPS 0fc6 V W16 I1|SHUFPD 660fc6 V W16 I1|MOVMSKPS 0f50 G4 U|MOVMSKPD 660f50 G4 U
    CVTPI2PS 0f2a V Q8|CVTSI2SS f30f2a V E4|CVTPI2PD 660f2a V Q8|CVTSI2SD f20f2a V E4|CVTTPS2PI 0f2c P W8
    CVTTSS2SI f30f2c G4 W4|CVTTPD2PI 660f2c P W16|CVTTSD2SI f20f2c G4 W8|CVTPS2PI 0f2d P W8|CVTSS2SI f30f2d G4 W4
    CVTPD2PI 660f2d P W16|CVTSD2SI f20f2d G4 W8|CVTPS2PD 0f5a V W8|CVTPD2PS 660f5a V W16|CVTSS2SD f30f5a V W4
    CVTSD2SS f20f5a V W8|CVTDQ2PS 0f5b V W16|CVTPS2DQ 660f5b V W16|CVTTPS2DQ f30f5b V W16|CVTTPD2DQ 660fe6 V W16
    CVTDQ2PD f30fe6 V W8|CVTPD2DQ f20fe6 V W16|PSHUFD 660f70 V W16 I1|PSHUFHW f30f70 V W16 I1
    PSHUFLW f20f70 V W16 I1|PSHUFW 0f70 P Q8 I1|MOVD 0f6e P E4|MOVD 660f6e V E4|MOVD 0f7e E4 P|MOVD 660f7e E4 V
    MOVQ f30f7e V W8|MOVQ 660fd6 W8 V|MOVQ 0f6f P Q8|MOVQ 0f7f Q8 P|MOVDQA 660f6f V W16|MOVDQA 660f7f W16 V
    MOVDQU f30f6f V W0|MOVDQU f30f7f W0 V|MOVNTQ 0fe7 M8 P|PINSRW 0fc4 P E2 I1|PINSRW 660fc4 V E2 I1
    PEXTRW 0fc5 G4 N I1|PEXTRW 660fc5 G4 U I1|PMOVMSKB 0fd7 G4 N|PMOVMSKB 660fd7 G4 U|MOVQ2DQ f30fd6 V N
    MOVDQ2Q f20fd6 P U|EMMS 0f77|PUNPCKLQDQ 660f6c V W16|PUNPCKHQDQ 660f6d V W16|LDDQU f20ff0 V M0
    ADDSUBPS f20fd0 V W16|ADDSUBPD 660fd0 V W16|HADDPS f20f7c V W16|HADDPD 660f7c V W16|HSUBPS f20f7d V W16
    HSUBPD 660f7d V W16|MOVSLDUP f30f12 V W16|MOVSHDUP f30f16 V W16|MOVDDUP f20f12 V W8|PSRLDQ 660f73 /3 U I1
    PSLLDQ 660f73 /7 U I1
    """
    for row in rows.replace("\n", "|").split("|"):
        if row.strip():
            name, code, *operands = row.split()
            ops.append(op(name, code, " ".join(operands)))
    for stem, code in (("UCOMIS", "2e"), ("COMIS", "2f")):
        ops.append(op(stem + "S", "0f" + code, "V W4", ALL))
        ops.append(op(stem + "D", "660f" + code, "V W8", ALL))
    packed = (
        "PUNPCKLBW PUNPCKLWD PUNPCKLDQ PACKSSWB PCMPGTB PCMPGTW PCMPGTD PACKUSWB PUNPCKHBW PUNPCKHWD PUNPCKHDQ"
        " PACKSSDW",
        "PCMPEQB PCMPEQW PCMPEQD",
        "PSRLW PSRLD PSRLQ PADDQ PMULLW - - PSUBUSB PSUBUSW PMINUB PAND PADDUSB PADDUSW PMAXUB PANDN",
        "PAVGB PSRAW PSRAD PAVGW PMULHUW PMULHW - - PSUBSB PSUBSW PMINSW POR PADDSB PADDSW PMAXSW PXOR",
        "PSLLW PSLLD PSLLQ PMULUDQ PMADDWD PSADBW - PSUBB PSUBW PSUBD PSUBQ PADDB PADDW PADDD",
    )
    for first, names in zip((0x60, 0x74, 0xD1, 0xE0, 0xF1), packed, strict=True):
        for i, name in enumerate(names.split()):
            if name != "-":
                low = name.startswith("PUNPCKL")
                ops.append(op(name, f"0f{first + i:02x}", "P Q4" if low else "P Q8"))
                ops.append(op(name, f"660f{first + i:02x}", "V W16"))
    for opcode, digits in ((0x71, (2, 4, 6)), (0x72, (2, 4, 6)), (0x73, (2, 6))):
        for digit in digits:
            name = f"{('PSRL', 'PSRA', 'PSLL')[digit // 2 - 1]}{' WDQ'[opcode - 0x70]}"
            ops.append(op(name, f"0f{opcode:02x}", f"/{digit} N I1"))
            ops.append(op(name, f"660f{opcode:02x}", f"/{digit} U I1"))
    return ops


INTEGER: Final = tuple(_arithmetic() + _shifts())
OTHER: Final = tuple(_others())
FPU: Final = tuple(_fpu())
SSE: Final = tuple(_sse())
