"""Which instructions read and write the same memory operand, and where that operand is.

On an absent page a 386 reports one write fault for such an instruction. Unicorn performs the
read first and reports that. So at a read fault the instruction is looked at; the table is that of
the Intel SDM vol. 2, appendix A, for 32-bit code.
"""

import functools
import struct
from typing import Final

from kernel.base.hw import Regs
from kernel.base.record import constant

PREFIXES: Final = b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3"
OPERANDSIZE: Final = 0x66
ADDRESSSIZE: Final = 0x67
REGISTERS: Final = ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di")

# ModRM and SIB (Intel SDM vol. 2, 2.1.3)
#
#  7 6 5    3 2  0      7   6 5     3 2    0
#  |mod| reg  | rm |    |scale| index | base |
#
# 16-bit addressing: rm -> registers added
PAIRS: Final = (("bx", "si"), ("bx", "di"), ("bp", "si"), ("bp", "di"), ("si",), ("di",), ("bp",), ("bx",))

ALL: Final = frozenset(range(8))
# Opcode -> values of ModRM's reg field that read and write, and whether the operand is a byte
ONE: Final[dict[int, tuple[frozenset[int], bool]]] = {
    **{op | low: (ALL, not low) for op in (0x00, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30) for low in (0, 1)},  # not CMP
    0x80: (ALL - {7}, True),
    0x81: (ALL - {7}, False),
    0x82: (ALL - {7}, True),
    0x83: (ALL - {7}, False),
    0x86: (ALL, True),  # XCHG
    0x87: (ALL, False),
    0xC0: (ALL, True),  # shifts and rotates
    0xC1: (ALL, False),
    0xD0: (ALL, True),
    0xD1: (ALL, False),
    0xD2: (ALL, True),
    0xD3: (ALL, False),
    0xF6: (frozenset({2, 3}), True),  # NOT, NEG
    0xF7: (frozenset({2, 3}), False),
    0xFE: (frozenset({0, 1}), True),  # INC, DEC
    0xFF: (frozenset({0, 1}), False),
}
TWO: Final[dict[int, tuple[frozenset[int], bool]]] = {
    0xA4: (ALL, False),  # SHLD, SHRD
    0xA5: (ALL, False),
    0xAC: (ALL, False),
    0xAD: (ALL, False),
    0xAB: (ALL, False),  # BTS, BTR, BTC
    0xB3: (ALL, False),
    0xBB: (ALL, False),
    0xBA: (frozenset({5, 6, 7}), False),
    0xB0: (ALL, True),  # CMPXCHG
    0xB1: (ALL, False),
    0xC0: (ALL, True),  # XADD
    0xC1: (ALL, False),
}
BITSTRING: Final = frozenset({0xAB, 0xB3, 0xBB})  # the register counts bits from the operand's address
ARPL: Final = 0x63
CMPXCHG8B: Final = 0xC7


@constant
class Operand:
    """A memory operand: registers with their factors, displacement, bytes."""

    terms: tuple[tuple[str, int], ...]
    displacement: int
    size: int
    mask: int  # of the address: 16 or 32 bits
    bits: str  # register that holds a bit offset, or ""

    def address(self, regs: Regs) -> int:
        """Where the operand is, with these registers."""
        ea = self.displacement
        for name, factor in self.terms:
            ea += getattr(regs, name) * factor
        ea &= self.mask
        if self.bits:
            width = self.size * 8
            offset = getattr(regs, self.bits) & (1 << width) - 1
            if offset >> width - 1:
                offset -= 1 << width
            ea += offset // width * self.size
        return ea & 0xFFFFFFFF


def writes(code: bytes, regs: Regs, addr: int) -> bool:
    """Whether the instruction at the start of code reads and then writes memory that holds addr."""
    operand = decode(code)
    return operand is not None and (addr - operand.address(regs)) & 0xFFFFFFFF < operand.size


@functools.lru_cache(4096)
def decode(code: bytes) -> Operand | None:
    """The memory operand that the instruction reads and writes, or None if it has none."""
    try:
        return _decode(code)
    except (IndexError, struct.error):  # the rest of the instruction is not there to be read
        return None


def _decode(code: bytes) -> Operand | None:
    i = 0
    while code[i] in PREFIXES:
        i += 1
    size = 2 if OPERANDSIZE in code[:i] else 4
    short = ADDRESSSIZE in code[:i]
    two = code[i] == 0x0F
    if two:
        i += 1
    op, modrm = code[i], code[i + 1]
    reg = modrm >> 3 & 7
    if not two and op == ARPL:
        size = 2
    elif two and op == CMPXCHG8B and reg == 1:
        size = 8
    else:
        regs, byte = (TWO if two else ONE).get(op, (frozenset(), False))
        if reg not in regs:
            return None
        if byte:
            size = 1
    if modrm >> 6 == 3:
        return None
    bits = REGISTERS[reg] if two and op in BITSTRING else ""
    terms, displacement = (_memory16 if short else _memory32)(code, i + 1)
    return Operand(terms, displacement, size, 0xFFFF if short else 0xFFFFFFFF, bits)


def _memory16(code: bytes, i: int) -> tuple[tuple[tuple[str, int], ...], int]:
    """Registers and displacement of a 16-bit memory operand whose ModRM is code[i]."""
    mod, rm = code[i] >> 6, code[i] & 7
    if mod == 0 and rm == 6:
        return (), _number(code, i + 1, "<H")
    displacement = 0 if mod == 0 else _number(code, i + 1, "<b" if mod == 1 else "<h")
    return tuple((name, 1) for name in PAIRS[rm]), displacement


def _memory32(code: bytes, i: int) -> tuple[tuple[tuple[str, int], ...], int]:
    """Registers and displacement of a 32-bit memory operand whose ModRM is code[i]."""
    mod, base = code[i] >> 6, code[i] & 7
    terms: tuple[tuple[str, int], ...] = ()
    i += 1
    if base == 4:
        sib = code[i]
        i += 1
        base = sib & 7
        index = sib >> 3 & 7
        if index != 4:
            terms = ((REGISTERS[index], 1 << (sib >> 6)),)
    if mod == 0 and base == 5:
        return terms, _number(code, i, "<i")
    displacement = 0 if mod == 0 else _number(code, i, "<b" if mod == 1 else "<i")
    return (*terms, (REGISTERS[base], 1)), displacement


def _number(code: bytes, i: int, fmt: str) -> int:
    value: int = struct.unpack_from(fmt, code, i)[0]
    return value
