"""386 instructions as text, with the program's own symbols and source lines."""

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

from emu.plain import plain
from emu.program.aout import DATASYMS, HDRSIZE, TEXTSYMS, Aout
from emu.program.lines import Lines, Place
from kernel.base.mem import UTZERO

LONGEST: Final = 15  # bytes in an instruction (Intel SDM vol. 2, 2.3.11)
ROW: Final = 8  # bytes shown on a line
PIECE: Final = 4096  # instructions decoded at a time
TARGET: Final = re.compile(r"0x[0-9a-f]+$")


@cache
def _engine(skipdata: bool) -> Any:
    """A decoder for 32-bit code; with skipdata it shows what is no instruction as data and goes on."""
    import capstone

    md = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    md.skipdata = skipdata
    return md


@lru_cache(maxsize=1 << 16)
def instruction(code: bytes, pc: int) -> str:
    """The instruction that code begins with, at pc; "" if there is none."""
    for _, _, mnemonic, operands in _engine(False).disasm_lite(code[:LONGEST], pc, 1):
        return f"{mnemonic} {operands}".rstrip()
    return ""


class Instruction(NamedTuple):
    """An instruction, and where it is."""

    pc: int
    code: bytes
    text: str

    def __str__(self) -> str:
        return f"0x{self.pc:08x} {self.code.hex():<16} {self.text}"


def instructions(code: bytes, pc: int, n: int) -> Iterator[Instruction]:
    """Up to n instructions of code that begins at pc; fewer if something there is none."""
    for at, size, mnemonic, operands in _engine(False).disasm_lite(code, pc, n):
        yield Instruction(at, code[at - pc : at - pc + size], f"{mnemonic} {operands}".rstrip())


def listing(aout: Aout, name: str | None = None) -> Iterator[str]:
    """Lines of a listing of the whole text, or of every function called name.

    Where the source line is known, and is another one, it is told: ``; FILE:LINE``.
    Decoding starts afresh at each function. Raises LookupError, with one line, if name is no function
    of the program, and AoutError, before the first line.
    """
    ranges = _ranges(aout)
    if name is not None:
        ranges = [r for r in ranges if name in r[2]]
        if not ranges:
            raise LookupError(_absent(aout, name))
    aout.bytes_at(aout.entry, 1)  # a failure comes before any output
    return _lines(aout, ranges)


def _lines(aout: Aout, ranges: list[tuple[int, int, list[str]]]) -> Iterator[str]:
    lines = Lines(aout)
    for i, (start, end, names) in enumerate(ranges):
        if i:
            yield ""
        shown: Place | None = None
        for label in names:
            yield f"{plain(label)}:"
        while start < end:
            at = start
            piece = aout.bytes_at(at, min(end - at, PIECE * LONGEST))
            for pc, size, mnemonic, operands in _engine(True).disasm_lite(piece, at, PIECE):
                place = lines.at(pc)
                if place is not None and place != shown:
                    yield f"; {plain(place.file)}:{place.line}"
                    shown = place
                yield _line(aout, piece[pc - at : pc - at + size], pc, mnemonic, operands)
                start = pc + size
            if start == at:
                return  # the decoder gave nothing, not even data


def _line(aout: Aout, code: bytes, pc: int, mnemonic: str, operands: str) -> str:
    """Address, bytes, instruction, and for a jump or call the name of where it goes."""
    note = ""
    if (mnemonic == "call" or mnemonic.startswith(("j", "loop"))) and TARGET.match(operands):
        target, offset = aout.symbol(int(operands, 16))
        if target:
            note = f" <{plain(target)}+0x{offset:x}>" if offset else f" <{plain(target)}>"
    shown = f"{code[:ROW].hex():<{2 * ROW}}{'+' if len(code) > ROW else ' '}"
    return f"{pc:08x}  {shown}  {mnemonic:<7} {operands}{note}".rstrip()


def _ranges(aout: Aout) -> list[tuple[int, int, list[str]]]:
    """Start, end and names of each piece of text between two symbols."""
    names: dict[int, list[str]] = {}
    for s in aout.symbols:
        if s.type in TEXTSYMS and UTZERO + HDRSIZE <= s.value < aout.textend:
            names.setdefault(s.value, []).append(s.name)
    begin = UTZERO + HDRSIZE
    if aout.text:
        names.setdefault(begin, [])
    starts = sorted(names)
    return [(start, end, names[start]) for start, end in zip(starts, [*starts[1:], aout.textend], strict=True)]


def _absent(aout: Aout, name: str) -> str:
    path, name = plain(aout.path), plain(name)
    if not aout.symbols:
        return f"{path}: has no symbol table"
    if any(s.name == name and s.type in DATASYMS for s in aout.symbols):
        return f"{path}: {name} is data, not a function"
    return f"{path}: no function called {name}"
