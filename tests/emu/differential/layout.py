"""What both sides have before each sequence: pages, their contents, and a processor's state."""

import random
import struct
from dataclasses import dataclass, field
from typing import Final

PAGE: Final = 4096
CODE: Final = 0x10000000  # two pages, not writable
DATA: Final = 0x20000000  # two pages
READONLY: Final = 0x21000000  # one page
STACK: Final = 0x22000000  # one page
# Behind and before each there is nothing.
WRITABLE: Final = (DATA, DATA + PAGE, STACK)

REGISTERS: Final = ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di")  # as instructions number them
FXUSED: Final = 288  # of what FXSAVE stores: head, ST and XMM registers
FXHEAD: Final = struct.Struct("<HHBxHIxxxxIxxxxII")

FLOATS: Final = (
    0.0,
    -0.0,
    1.0,
    -1.5,
    3.0,
    0.1,
    -2.75e10,
    1e30,
    -1e-30,
    65537.5,
    float("inf"),
    float("-inf"),
    2147483648.0,
    -2147483649.0,
    5e-324,
    -1e-310,
    1e-45,
    1e-40,
    1.7e308,
    3.4e38,
)
SINGLES: Final = (0x7FC00000, 0xFFC00001, 0x7F800001, 0x00000001, 0x807FFFFF, 0x7F7FFFFF, 0x00800000)
DOUBLES: Final = (0x7FF8000000000000, 0xFFF8000000000123, 0x7FF0000000000001, 1, 0x800FFFFFFFFFFFFF, 0x0010000000000000)


def double(rng: random.Random) -> bytes:
    """8 bytes that a processor may find hard, as a double or two singles."""
    kind = rng.random()
    if kind < 0.35:
        return struct.pack("<d", rng.choice(FLOATS))
    if kind < 0.45:
        return struct.pack("<Q", rng.choice(DOUBLES))
    if kind < 0.65:
        return struct.pack("<d", rng.uniform(-1e6, 1e6))
    if kind < 0.8:
        return single(rng) + single(rng)
    return rng.randbytes(8)


def single(rng: random.Random) -> bytes:
    """4 bytes that a processor may find hard as a single."""
    kind = rng.random()
    if kind < 0.3:
        f = rng.choice(FLOATS)
        return struct.pack("<f", f) if abs(f) < 3.5e38 or f - f != 0 else struct.pack("<f", 1.0)
    if kind < 0.5:
        return struct.pack("<I", rng.choice(SINGLES))
    return struct.pack("<f", rng.uniform(-1e5, 1e5)) if kind < 0.8 else rng.randbytes(4)


def extended(rng: random.Random) -> bytes:
    """10 bytes: a number in the FPU's own form, a valid one."""
    kind = rng.random()
    if kind < 0.1:
        return b"\0" * 8 + rng.choice((b"\0\0", b"\0\x80"))
    if kind < 0.2:
        return b"\0" * 7 + b"\x80" + rng.choice((b"\xff\x7f", b"\xff\xff"))  # infinity
    if kind < 0.25:
        return rng.randbytes(7) + bytes([rng.randrange(0xC0, 0x100)]) + b"\xff\x7f"  # a quiet NaN
    exponent = 0x3FFF + rng.randrange(-70, 70) if kind < 0.8 else rng.randrange(1, 0x7FFF)
    mantissa = rng.getrandbits(64) | 1 << 63 if kind < 0.6 else rng.getrandbits(20) << 44 | 1 << 63
    return struct.pack("<QH", mantissa, exponent | rng.getrandbits(1) << 15)


def contents() -> dict[int, bytes]:
    """What the pages of data hold before each sequence."""
    rng = random.Random("memory")

    def page() -> bytes:
        b = bytearray()
        while len(b) < PAGE:
            kind = rng.random()
            if kind < 0.5:
                b += double(rng)
            elif kind < 0.6:
                b += struct.pack("<Ii", rng.randrange(256), rng.randrange(-100, 100))
            elif kind < 0.7:
                b += b"\0" * 8
            else:
                b += rng.randbytes(8)
        return bytes(b)

    return {va: page() for va in (DATA, DATA + PAGE, READONLY, STACK)}


@dataclass(frozen=True, slots=True)
class Insn:
    """One instruction of a sequence."""

    name: str
    code: bytes
    undefined: int  # flags that have no defined value before it
    after: int  # and after it


@dataclass(frozen=True, slots=True)
class Case:
    """One sequence and the state before it. It ends with INT3, or where the memory for code ends."""

    number: str
    pc: int
    insns: tuple[Insn, ...]
    registers: tuple[int, ...]
    flags: int
    fx: bytes
    undefined: int  # flags that have no defined value at the end
    end: bytes = b"\xcc"

    @property
    def code(self) -> bytes:
        """The bytes of it."""
        return b"".join(insn.code for insn in self.insns) + self.end


@dataclass(frozen=True, slots=True)
class Result:
    """The state at the trap that ended a sequence. Recorded ones are shared."""

    trapno: int
    ecode: int
    addr: int
    pc: int
    flags: int
    registers: tuple[int, ...]
    fx: bytes
    memory: dict[int, bytes] = field(default_factory=dict)  # pages that are not as before


JUMPS: Final = frozenset(("Jcc", "JMP", "LOOP", "LOOPE", "LOOPNE", "JCXZ"))


def first(case: Case, n: int) -> Case:
    """The first n instructions of a sequence; jumps that lead further lead to its end."""
    if n == len(case.insns):
        return case
    insns: list[Insn] = []
    behind = 0
    for insn in reversed(case.insns[:n]):
        code = insn.code
        if insn.name in JUMPS:
            code = code[:-1] + bytes([min(code[-1], behind)])
        insns.insert(0, Insn(insn.name, code, insn.undefined, insn.after))
        behind += len(code)
    undefined = case.insns[n].undefined  # what is undefined at a jump is so where it leads
    return Case(case.number, case.pc, tuple(insns), case.registers, case.flags, case.fx, undefined)
