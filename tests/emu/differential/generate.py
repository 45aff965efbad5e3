"""Makes sequences: the same number, the same sequence.

What it knows of the state while it goes along: which flags have no defined value, so that no instruction looks at one
of them; which registers still have their first value, so that operands lie where they should; which FPU registers are
full.
"""

import random
import struct
from typing import Final

from tests.emu.differential.layout import CODE, DATA, FXHEAD, PAGE, READONLY, STACK, Case, Insn, double, extended
from tests.emu.differential.table import ALL, FPU, INTEGER, OTHER, SSE, Op, mask

AX, CX, DX, BX, SP, BP, SI, DI = range(8)
MIXES: Final = ((INTEGER, 45), (OTHER, 20), (FPU, 20), (SSE, 30))
FLAGS: Final = mask(ALL)
SLOPPY: Final = 0.02  # of the FPU instructions may find a register full that should be empty, or the other way round
ENDS: Final = 0.06  # of the sequences run into the end of the memory for code
NUMBERS: Final = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x10000)


class Sequence:
    """One sequence in the making."""

    def __init__(self, number: str) -> None:
        self.number = number
        self.rng = rng = random.Random(f"sequence {number}")
        self.undefined = 0
        self.registers = self._registers()
        self.known = [True] * 8
        self.strings = True  # SI and DI point to data
        self.top = rng.choice((0, 0, rng.randrange(8)))
        depth = rng.choice((0, 2, 4, 4, 8))
        self.full = [(i - self.top) % 8 < depth for i in range(8)]
        self.insns: list[Insn] = []
        self.pending: dict[int, int] = {}  # number of an instruction that is jumped to: flags undefined at the jump
        self.jumps: list[tuple[int, int]] = []  # of an instruction, and the one it jumps to
        self.fx = self._fx()

    # The state before

    def _number(self) -> int:
        rng = self.rng
        kind = rng.random()
        if kind < 0.3:
            return rng.choice(NUMBERS)
        return rng.randrange(300) if kind < 0.5 else rng.getrandbits(32)

    def _place(self) -> int:
        """An address that data may be at."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.66:
            return DATA + rng.randrange(64, 2 * PAGE - 64)
        if kind < 0.76:
            return DATA + PAGE - rng.randrange(0, 20)
        if kind < 0.86:
            return DATA + 2 * PAGE - rng.randrange(0, 20)
        if kind < 0.88:
            return DATA - rng.randrange(0, 12)
        if kind < 0.92:
            return READONLY + rng.randrange(PAGE)
        if kind < 0.95:
            return READONLY + PAGE - rng.randrange(0, 20)
        if kind < 0.97:
            return READONLY - rng.randrange(0, 12)
        return DATA + 4 * PAGE

    def _registers(self) -> list[int]:
        rng = self.rng
        regs = [self._number() for _ in range(8)]
        for r in (BX, BP, SI, DI):
            regs[r] = self._place() if rng.random() < 0.9 else DATA + 16 * rng.randrange(2 * PAGE // 16)
        regs[SP] = STACK + (rng.choice((4, 30, PAGE - 4, PAGE)) if rng.random() < 0.1 else rng.randrange(64, 1000) * 4)
        if rng.random() < 0.5:
            regs[CX] = rng.choice((0, 1, 3, 8, 31, 33, rng.randrange(PAGE)))
        return regs

    def _fx(self) -> bytes:
        rng = self.rng
        # rounding and precision; exceptions masked, but now and then as Plan 9 starts
        control = 0x37F if rng.random() < 0.5 else 0x7F | rng.choice((0, 2, 3)) << 8 | rng.randrange(4) << 10
        if rng.random() < 0.05:
            control = 0x272
        mxcsr = 0x1F80 | (rng.randrange(4) << 13 if rng.random() < 0.4 else 0)
        if rng.random() < 0.1:
            mxcsr |= rng.choice((0x40, 0x8000, 0x8040))  # denormals are zero, flush to zero
        fx = bytearray(512)
        tags = sum(full << i for i, full in enumerate(self.full))
        FXHEAD.pack_into(fx, 0, control, self.top << 11, tags, 0, 0, 0, mxcsr, 0xFFFF)
        for i in range(8):
            fx[32 + 16 * i : 42 + 16 * i] = extended(rng)
            fx[160 + 16 * i : 176 + 16 * i] = double(rng) + double(rng)
        return bytes(fx)

    # Instructions

    def make(self) -> Case:
        """The sequence."""
        rng = self.rng
        pools = [pool for pool, _ in MIXES]
        main = rng.choices(pools, [weight for _, weight in MIXES])[0]
        length = rng.randrange(1, 9)
        while len(self.insns) < length:
            self.undefined |= self.pending.pop(len(self.insns), 0)
            pool = main if rng.random() < 0.8 else rng.choice((INTEGER, OTHER) if main in (INTEGER, OTHER) else pools)
            self._add(rng.choice(pool), length)
        end = b"\xcc"
        code = sum(len(insn.code) for insn in self.insns)
        pc = CODE + rng.choice((0, rng.randrange(PAGE), PAGE - rng.randrange(1, 20)))
        if rng.random() < ENDS:
            end, pc = b"", CODE + 2 * PAGE - code
        insns = list(self.insns)
        for i, target in self.jumps:
            distance = sum(len(insn.code) for insn in insns[i + 1 : target])
            insns[i] = Insn(insns[i].name, insns[i].code[:-1] + bytes([distance]), insns[i].undefined, insns[i].after)
        flags = 0x202 | rng.getrandbits(12) & FLAGS | (0x400 if rng.random() < 0.2 else 0)
        undefined = self.undefined | self.pending.pop(length, 0)
        return Case(self.number, pc, tuple(insns), tuple(self.registers), flags, self.fx, undefined, end)

    def _add(self, op: Op, length: int) -> None:
        """Append the instruction, if it fits."""
        if op.looks & self.undefined or not self._fpufits(op):
            return
        if any(operand[0] == "S" for operand in op.operands) or op.name.endswith(("MOVS", "CMPS", "STOS", "LODS")):
            if not self.strings:
                return
        code = self._encode(op)
        if code is None:
            return
        before = self.undefined
        if "J" in op.operands:
            target = min(length, len(self.insns) + self.rng.randrange(1, 3) + 1)
            self.jumps.append((len(self.insns), target))
            self.pending[target] = self.pending.get(target, 0) | before
        self.undefined = before & ~op.sets | op.undefines
        for r in op.writes:
            self.known[r] = False
        if op.name[-4:] in ("MOVS", "CMPS", "STOS", "LODS", "SCAS"):
            self.known[SI] = self.known[DI] = False
        self._fpudo(op)
        self.insns.append(Insn(op.name, code, before, self.undefined))

    def _encode(self, op: Op) -> bytes | None:
        """Its bytes; None if it would do away with a pointer that is still needed."""
        rng = self.rng
        short = op.sized and rng.random() < 0.2 and not (op.name.endswith(" CL") and op.undefines & 1 == 0)
        opcode = op.opcode
        if short:
            opcode = b"\x66" + opcode
        reg: int | None = None
        rm: int | None = None
        memory: int | None = None  # size of the operand
        tail = b""
        written: list[tuple[int, str]] = []
        for i, operand in enumerate(op.operands):
            kind, size = operand[0], operand[1:]
            n = (2 if short else 4) if size == "v" else int(size) if size.isdigit() else 0
            if kind == "/":
                reg = int(size)
            elif kind == "I":
                tail = self._immediate(op, size, n, tail)
            elif kind in "GVP":
                reg = rng.randrange(8)
                if kind == "G" and not op.keeps and (i == 0 or op.name in ("XCHG", "XADD")):
                    written.append((reg, size))
            elif kind in "MF" or (kind in "EWQ" and rng.random() < 0.5):
                memory = n or (4 if kind == "E" else 16)
            elif kind in "EWQRUN":
                rm = rng.randrange(8)
                first = i == 0 or (i == 1 and op.operands[0][0] == "/")
                if kind == "E" and not op.keeps and first:
                    written.append((rm, size))
            elif kind == "Z":
                r = rng.randrange(8)
                opcode = opcode[:-1] + bytes([opcode[-1] + r])
                if not op.keeps:
                    written.append((r, size))
            elif kind == "T":
                opcode = opcode[:-1] + bytes([opcode[-1] + rng.randrange(8)])
            elif kind == "J":
                tail = b"\0"
            elif kind == "X":
                tail = struct.pack("<HB", rng.randrange(64), rng.choice((0, 0, 1, 3)))
        if op.name == "ENTER":
            written += [(BP, "4")]
        if op.name == "XCHG" and rm is not None:
            written.append((rm, "1" if "E1" in op.operands else "4"))
        for r, size in written:
            r = r & 3 if size == "1" else r
            if r == SP:
                return None
            self.known[r] = False
            if r in (SI, DI):
                self.strings = False
        code = opcode
        if reg is not None or rm is not None or memory is not None:
            if memory is not None:
                operand_bytes = self._memory(op, reg or 0, memory)
                if operand_bytes is None:
                    return None
                code += operand_bytes
            else:
                code += bytes([0xC0 | (reg or 0) << 3 | (rm or 0)])
            if op.lock and rng.random() < (0.25 if memory is not None else 0.01 * (op.name not in BITS)):
                code = b"\xf0" + code
        return code + tail

    def _immediate(self, op: Op, size: str, n: int, tail: bytes) -> bytes:
        rng = self.rng
        if size == "s":  # a count below the operand's size
            return tail + bytes([rng.randrange(1, 8 if "E1" in op.operands else 16)])
        if size == "c":
            return tail + bytes([rng.randrange(8)])
        return tail + (self._number() & (1 << 8 * n) - 1).to_bytes(n, "little")

    def _memory(self, op: Op, reg: int, size: int) -> bytes | None:
        """ModRM and what follows for an operand of so many bytes."""
        rng = self.rng
        target = self._place()
        if size == 16 and rng.random() < 0.85:
            target &= ~15
        elif rng.random() < 0.3:
            target &= ~(size - 1) if size & size - 1 == 0 and size else ~0
        known = [r for r in range(8) if self.known[r]]
        bases = [r for r in (BX, BP, SI, DI) if self.known[r]]
        if op.name in BITS and op.operands[1] == "Gv":
            if not self.known[reg] or reg == SP:
                return None
            if abs(signed(self.registers[reg])) > 1 << 20:
                return None
        if not bases or rng.random() < 0.15:
            return bytes([reg << 3 | 5]) + struct.pack("<I", target)
        base = rng.choice(bases)
        index = rng.choice(known)
        if rng.random() < 0.6 or index == SP:
            displacement = signed(target - self.registers[base] & 0xFFFFFFFF)
            if not -128 <= displacement < 128 and rng.random() < 0.5:
                displacement = rng.randrange(-128, 128)
            if -128 <= displacement < 128:
                return bytes([0x40 | reg << 3 | base]) + struct.pack("<b", displacement)
            return bytes([0x80 | reg << 3 | base]) + struct.pack("<i", displacement)
        scale = rng.randrange(4)
        displacement = signed(target - self.registers[base] - (self.registers[index] << scale) & 0xFFFFFFFF)
        return bytes([0x84 | reg << 3, scale << 6 | index << 3 | base]) + struct.pack("<i", displacement)

    # The FPU's registers

    def _mmx(self, op: Op) -> bool:
        return any(operand[0] in "PQN" for operand in op.operands)

    def _fpufits(self, op: Op) -> bool:
        """Whether the registers that it takes are full and those that it fills empty."""
        if op not in FPUSET or self.rng.random() < SLOPPY:
            return True
        full = [self.full[self.top + i & 7] for i in range(8)]
        if any(full[8 - op.pushes :]):
            return False
        if op.name == "FXTRACT":
            return full[0]
        if (op.pushes and "T" not in op.operands) or op.name in STATELESS:
            return True
        if op.name in ("FPREM", "FPREM1", "FSCALE", "FCOMPP", "FUCOMPP"):
            return full[0] and full[1]
        return all(full) if "T" in op.operands else full[0]

    def _fpudo(self, op: Op) -> None:
        """Follow the tags."""
        if self._mmx(op):
            self.top, self.full = 0, [True] * 8
        elif op.name == "EMMS":
            self.full = [False] * 8
        elif op.name == "FNINIT":
            self.top, self.full = 0, [False] * 8
        elif op.name == "FINCSTP":
            self.top = self.top + 1 & 7
        elif op.name == "FDECSTP":
            self.top = self.top - 1 & 7
        elif op.name == "FFREE":
            self.full = [False] * 8  # of one register only, but which
        for _ in range(op.pops):
            self.full[self.top] = False
            self.top = self.top + 1 & 7
        for _ in range(op.pushes):
            self.top = self.top - 1 & 7
            self.full[self.top] = True


BITS: Final = frozenset(("BT", "BTS", "BTR", "BTC"))
FPUSET: Final = frozenset(FPU)
STATELESS: Final = frozenset(
    ("FNSTCW", "FNSTSW", "FNOP", "FWAIT", "FNCLEX", "FINCSTP", "FDECSTP", "FFREE", "FNINIT", "FXAM")
)


def signed(n: int) -> int:
    """A 32-bit number as a signed one."""
    return n - (1 << 32) if n >> 31 else n


def sequence(number: str) -> Case:
    """The sequence of that number."""
    return Sequence(number).make()
