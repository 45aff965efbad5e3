"""What Unicorn does differently, as docs/machine.md lists it. Each rule is as narrow as the reason."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.emu.differential.compare import STATUS
from tests.emu.differential.layout import FXHEAD, REGISTERS, Case, Insn, Result
from tests.emu.differential.table import SSE, mask

PROTECTION, PAGEFAULT, FPUERROR = 13, 14, 16
INVALID, STACKFAULT = 1 << 0, 1 << 6
DAZ, FTZ = 1 << 6, 1 << 15
DENORMAL: Final = frozenset(
    f"{name}{sort}"
    for name in ("MIN", "MAX", "CMP", "ADD", "SUB", "MUL", "DIV", "SQRT")
    for sort in ("PS", "PD", "SS", "SD")
) | {
    "CVTPS2PD",
    "CVTSS2SD",
    "CVTPD2PS",
    "CVTSD2SS",
    "UCOMISS",
    "UCOMISD",
    "COMISS",
    "COMISD",
    "HADDPS",
    "HADDPD",
    "HSUBPS",
    "HSUBPD",
    "ADDSUBPS",
    "ADDSUBPD",
}
MMX: Final = frozenset(row.name for row in SSE if any(operand[0] in "PQN" for operand in row.operands))
CONSTANTS: Final = frozenset(["FLDL2T", "FLDL2E", "FLDPI", "FLDLG2", "FLDLN2"])


@dataclass(frozen=True, slots=True)
class Difference:
    """The first instruction of a sequence after which the sides differ, and how."""

    case: Case  # up to that instruction
    names: tuple[str, ...]
    host: Result
    ours: Result

    @property
    def insn(self) -> Insn:
        """That instruction."""
        return self.case.insns[-1]

    @property
    def name(self) -> str:
        """Its name."""
        return self.insn.name

    def only(self, *prefixes: str) -> bool:
        """Nothing else differs."""
        return all(name.startswith(prefixes) for name in self.names)

    def status(self) -> tuple[int, int]:
        """Both FPU status words."""
        return FXHEAD.unpack_from(self.host.fx)[1], FXHEAD.unpack_from(self.ours.fx)[1]

    @property
    def control(self) -> int:
        """The FPU's control word."""
        return int(FXHEAD.unpack_from(self.host.fx)[0])

    @property
    def mxcsr(self) -> int:
        """MXCSR."""
        return int(FXHEAD.unpack_from(self.host.fx)[6])


Rule = Callable[[Difference], bool]


def _mmx(d: Difference) -> bool:
    """Whether the instruction is one of MMX or SSE."""
    code = d.insn.code.lstrip(b"\x66\xf2\xf3")
    return code[0] == 0x0F and not d.name.startswith("F")


def _aligned(d: Difference) -> bool:
    return d.host.trapno == PROTECTION and d.ours.trapno != PROTECTION and _mmx(d)


def _aftermmx(d: Difference) -> bool:
    """It works as an FPU register on what an MMX instruction has written."""
    return d.name.startswith("F") and any(MMX.intersection(insn.name.split()) for insn in d.case.insns[:-1])


def _division(d: Difference) -> bool:
    """Z alone."""
    host, ours = d.status()
    return d.name.startswith(("FDIV", "FIDIV")) and d.only("fpu status") and (host ^ ours) & STATUS == 4


def _tofull(d: Difference) -> bool:
    return d.name in ("FST", "FSTP") and d.only("fpu tags") and d.insn.code[0] == 0xDD


def _unsupported(d: Difference) -> bool:
    """FXAM says that the number is none that the FPU supports."""
    return d.name == "FXAM" and d.only("fpu status") and not d.status()[0] & 0x4500


def _halves(d: Difference) -> bool:
    """The part of the operand that lies in the first page has been loaded or stored."""
    return (
        d.host.trapno == d.ours.trapno == PAGEFAULT
        and d.only("xmm", "memory")
        and not d.ours.addr & 0xFFF
        and (d.name.startswith(("MOV", "LDDQU", "FST")))
    )


def _pusha(d: Difference) -> bool:
    return d.name == "PUSHA" and d.only("memory", "addr") and d.host.trapno == d.ours.trapno == PAGEFAULT


def _loop(d: Difference) -> bool:
    return d.name in ("LOOPE", "LOOPNE") and d.only("flags")


def _mmxfault(d: Difference) -> bool:
    return _mmx(d) and d.host.trapno == d.ours.trapno == PAGEFAULT and d.only("fpu status", "fpu tags", "st")


def _stack(d: Difference) -> bool:
    return bool(d.status()[0] & STACKFAULT)


def _unmasked(d: Difference) -> bool:
    return d.host.trapno == FPUERROR or bool(d.status()[0] & 1 << 7)


def _rounding(d: Difference) -> bool:
    return d.name in CONSTANTS and d.only("st0") and d.control >> 10 & 3 != 0


def _remainder(d: Difference) -> bool:
    return d.name in ("FPREM", "FPREM1") and d.only("st0", "fpu status")


def _decimal(d: Difference) -> bool:
    return d.name in ("FBSTP", "FBLD") and d.only("memory", "addr", "ecode", "fpu", "st")


def _statusword(d: Difference) -> bool:
    host, ours = d.status()
    return d.name == "FNSTSW" and d.only("ax", "memory") and host != ours


def _conditions(d: Difference) -> bool:
    """Only condition codes that have no defined value differ."""
    host, ours = d.status()
    return d.name in ("FSQRT", "FINCSTP", "FDECSTP") and d.only("fpu status") and not (host ^ ours) & STATUS & ~0x4700


def _invalid(d: Difference) -> bool:
    """The result is that of an invalid operation."""
    host, _ = d.status()
    return d.name.startswith("F") and bool(host & INVALID) and d.only("st", "fpu status", "memory")


def _truncation(d: Difference) -> bool:
    return d.name == "FISTTP" and d.only("memory") and bool(d.status()[0] & INVALID)


def _extract(d: Difference) -> bool:
    return d.name == "FXTRACT" and d.only("st0", "st1", "fpu status")


def _scale(d: Difference) -> bool:
    return d.name == "FSCALE" and d.only("st0")


def _compareflags(d: Difference) -> bool:
    return (
        d.name in ("FCOMI", "FCOMIP", "FUCOMI", "FUCOMIP")
        and d.only("flags")
        and not (d.host.flags ^ d.ours.flags) & mask("ZPC")
        and not d.host.flags & mask("OSA")
    )


def _lockneg(d: Difference) -> bool:
    return d.name == "NEG" and d.insn.code[0] == 0xF0 and d.only("flags")


def _arpl(d: Difference) -> bool:
    return d.name == "ARPL" and d.ours.trapno == PAGEFAULT and bool(d.ours.ecode & 2)


def _emms(d: Difference) -> bool:
    return d.name == "EMMS" and d.only("fpu status")


def _enter(d: Difference) -> bool:
    """It faults where its last word would be, which it does not write."""
    return d.name == "ENTER" and d.host.trapno == PAGEFAULT and d.host.pc != d.ours.pc


def _wide(d: Difference) -> bool:
    """It reads more than its operand, over the end of a page."""
    wide = d.name in ("CVTPS2PD", "CVTPS2PI", "CVTTPS2PI", "CVTDQ2PD") or d.name.startswith("PUNPCKL")
    return wide and d.host.trapno != PAGEFAULT and d.ours.trapno == PAGEFAULT and not d.ours.addr & 0xFFF


def _mmxsource(d: Difference) -> bool:
    return d.name in ("CVTPI2PS", "CVTPI2PD") and d.only("fpu status", "fpu tags", "st")


def _twopages(d: Difference) -> bool:
    """An operand that is read and written lies in a page that may not be written and one that is not there."""
    return (
        d.only("ecode", "addr", "flags" if d.name.startswith("RC") else "addr")
        and d.host.ecode == 7
        and d.ours.ecode == 6
        and not d.ours.addr & 0xFFF
    )


def _compare(d: Difference) -> bool:
    """Both operands fault, and it is not defined which of them does first: SI's on the one side, DI's on the other."""
    si, di = d.host.registers[6:]
    return d.name.endswith("CMPS") and d.only("addr") and 0 <= d.host.addr - si < 4 and 0 <= d.ours.addr - di < 4


def _twonans(d: Difference) -> bool:
    """Numbers of SSE that differ are NaNs on both sides."""
    if not d.only("xmm"):
        return False
    for name in d.names:
        at = 160 + 16 * int(name[3])
        a, b = (fx[at : at + 16] for fx in (d.host.fx, d.ours.fx))
        if d.name.endswith(("PD", "SD")):
            pairs = zip(struct.unpack("<2d", a), struct.unpack("<2d", b), a, b, strict=False)
        else:
            pairs = zip(struct.unpack("<4f", a), struct.unpack("<4f", b), a, b, strict=False)
        if any(x != y and not (x != x and y != y) for x, y, *_ in pairs):
            return False
    return True


def _denormals(d: Difference) -> bool:
    return bool(d.mxcsr & (DAZ | FTZ)) and d.only("xmm", "flags", "memory", "st", *REGISTERS) and d.name in DENORMAL


def _flushed(d: Difference) -> bool:
    """FTZ is MXCSR's alone; a store of a denormal number by the FPU heeds it too."""
    return d.name in ("FST", "FSTP") and bool(d.mxcsr & FTZ) and d.only("memory")


@dataclass(frozen=True, slots=True)
class Known:
    """One row of the table in docs/machine.md."""

    what: str
    fits: Rule


KNOWN: Final = (
    Known("LOCK NEG", _lockneg),
    Known("LOOPE, LOOPNE", _loop),
    Known("PUSHA that faults", _pusha),
    Known("operands in two pages, the second one absent", _halves),
    Known("FPU instructions after MMX", _aftermmx),
    Known("FST to an empty register", _tofull),
    Known("division by zero", _division),
    Known("FXAM", _unsupported),
    Known("16-byte operands that are not aligned", _aligned),
    Known("operands of 8 bytes at the end of a page", _wide),
    Known("operands in two pages", _twopages),
    Known("CMPS, both operands absent", _compare),
    Known("ARPL", _arpl),
    Known("ENTER", _enter),
    Known("MMX instructions that fault", _mmxfault),
    Known("EMMS", _emms),
    Known("CVTPI2PS and CVTPI2PD of memory", _mmxsource),
    Known("NaNs of SSE", _twonans),
    Known("denormals of SSE", _denormals),
    Known("FST of denormals", _flushed),
    Known("the FPU's stack", _stack),
    Known("FPU exceptions", _unmasked),
    Known("FNSTSW", _statusword),
    Known("FPU constants", _rounding),
    Known("FPREM, FPREM1", _remainder),
    Known("FBLD, FBSTP", _decimal),
    Known("FISTTP", _truncation),
    Known("FXTRACT", _extract),
    Known("FSCALE", _scale),
    Known("FCOMI and the like", _compareflags),
    Known("FPU condition codes", _conditions),
    Known("invalid operations of the FPU", _invalid),
)


def known(d: Difference) -> str | None:
    """The row that explains it, or None."""
    for row in KNOWN:
        if row.fits(d):
            return row.what
    return None
