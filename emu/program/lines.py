"""From an address in a program's text to file and line, and to the size of the stack's frame there.

A pc table is a string of steps from the text's first address and value 0: 0 and four bytes, big-endian, are added to
the value; 1 to 64 are units added to it, 65 to 128 are 1 to 64 units taken off; 129 to 255 are 0 to 126 added to the
address; and each step adds 1 to the address. The value of the pc/line table counts the lines of all files that the
compiler read in turn; the z symbols in front of a file's functions, its history, tell which file's line it is.
Whatever is damaged is passed over: what cannot be told is None.
Source: a.out(6), libmach/sym.c:pc2line, fline.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from posixpath import normpath
from typing import Final, NamedTuple

from emu.program.aout import HDRSIZE, TEXTSYMS, Aout, Symbol
from emu.program.gopclntab import GoLines
from kernel.base.mem import UTZERO

TEXT: Final = UTZERO + HDRSIZE
LONGNAME: Final = 1024  # characters of a path that are told
WORD: Final = 4


class Place(NamedTuple):
    """A line of a source file."""

    file: str
    line: int


class Table:
    """A pc table, decoded: runs of addresses of equal value.

    A value holds up to the address that the step has arrived at; the last step only ends the table.
    """

    def __init__(self, table: bytes, end: int, unit: int) -> None:
        self.ends = array("Q")  # last address of each run
        self.values = array("i")
        pc, value, at = TEXT - 1, 0, 0
        while at < len(table) and pc < end:
            step = table[at]
            at += 1
            if step > 128:
                pc += step - 129
            elif step > 64:
                value -= unit * (step - 64)
            elif step:
                value += unit * step
            else:
                value += int.from_bytes(table[at : at + 4], "big")
                at += 4
            pc += 1
            value = (value + 0x80000000 & 0xFFFFFFFF) - 0x80000000
            if at >= len(table):
                break
            if self.values and self.values[-1] == value:
                self.ends[-1] = pc
            else:
                self.ends.append(pc)
                self.values.append(value)

    def at(self, pc: int) -> int | None:
        """The value at pc."""
        i = bisect_left(self.ends, pc)
        return self.values[i] if pc >= TEXT and i < len(self.ends) else None


@dataclass(frozen=True, slots=True)
class Mark:
    """An entry of a history: a file begins at ``line`` of the count, or ends if it has no path.

    ``offset`` is that of a #line directive, which gives the file's lines another number; else 0.
    """

    line: int
    path: bytes
    offset: int


class History:
    """What was read when a file was compiled, from its first function's address on."""

    def __init__(self, marks: list[Mark]) -> None:
        self.limits: list[int] = []  # a state holds for lines up to its limit
        self.states: list[tuple[bytes, int]] = []  # path, and what is taken off a line of the count
        limit = marks[0].line
        for mark, state in zip(marks[1:], _states(marks), strict=False):
            limit = max(limit, mark.line)
            self.limits.append(limit)
            self.states.append(state)

    def find(self, line: int) -> tuple[bytes, int] | None:
        """The path and the line in that file of a line of the count; None behind the end."""
        i = bisect_left(self.limits, line)
        if i == len(self.limits):
            return None
        path, less = self.states[i]
        return path, line - less


def _states(marks: list[Mark]) -> Iterator[tuple[bytes, int]]:
    """After each mark: the path of the file that is read, and what is to be taken off a line.

    The file being read is ``start``, included from ``base``, or the same: then ``delta`` has the lines of all that
    base has included before. An include in an included file is another level.
    """
    stack: list[tuple[Mark, Mark, int]] = []
    base = start = marks[0]
    delta = base.line
    if base.offset:
        delta = base.line - base.offset + 1
    yield start.path, delta - 1
    for mark in marks[1:]:
        if mark.path and mark.offset:
            base = start = mark
            delta = mark.line - mark.offset + 1
        elif mark.path:
            if start is not base:
                stack.append((base, start, delta))
                base, delta = start, start.line
            start = mark
        else:
            if start is base and stack:
                base, start, delta = stack.pop()
            delta += mark.line - start.line
            start = base
        yield start.path, delta - 1 if start is base else start.line - 1


class Lines:
    """File, line and frame at addresses of a program; everything is read when first asked for."""

    def __init__(self, aout: Aout) -> None:
        self.aout = aout
        self.at = lru_cache(maxsize=1 << 12)(self._at)

    def _at(self, pc: int) -> Place | None:
        """The source line that pc was compiled from."""
        if not self.aout.pcsz:
            found = self._go.at(pc)
            return Place(*found) if found else None
        number = self._lines.at(pc)
        if not number or number < 0:
            return None
        starts, histories = self._histories
        i = bisect_right(starts, pc) - 1
        counted = histories[i].find(number) if i >= 0 else None
        if counted is None:
            return None
        path, line = counted
        file = self._path(path)
        return Place(file, line) if file and line > 0 else None

    def frame(self, pc: int) -> int | None:
        """Bytes of the stack between SP and the return address.

        From the pc/sp table; where a program has none, as those of 8l, what the function's frame has behind its
        first instruction; in one of Go's from the table of its runtime.
        """
        if self.aout.spsz:
            return self._stack.at(pc)
        starts, sizes = self._frames
        i = bisect_right(starts, pc) - 1
        if i < 0 or pc >= self.aout.textend:
            return None
        if sizes[i] is None:
            return self._go.frame(pc)
        return 0 if pc == starts[i] else sizes[i]

    def runs(self) -> Iterator[tuple[int, Place | None]]:
        """Addresses from which on a line holds, in order, with that line."""
        if not self.aout.pcsz:
            for pc, found in self._go.runs():
                yield pc, Place(*found) if found else None
            return
        starts = {TEXT, *(end + 1 for end in self._lines.ends), *self._histories[0]}
        for pc in sorted(start for start in starts if self.aout.holds(start)):
            yield pc, self._at(pc)

    def frames(self) -> Iterator[tuple[int, int | None]]:
        """The same for what is on the stack, as frame() tells it."""
        if self.aout.spsz:
            starts = {TEXT, *(end + 1 for end in self._stack.ends)}
            for pc in sorted(start for start in starts if self.aout.holds(start)):
                yield pc, self._stack.at(pc)
            return
        for start, size in zip(*self._frames, strict=True):
            if size is None:
                break
            yield start, 0
            yield start + 1, size
        else:
            return
        yield from self._go.frames()

    @cached_property
    def _go(self) -> GoLines:
        return GoLines(self.aout)

    @cached_property
    def _lines(self) -> Table:
        return Table(self.aout.pctable(), self.aout.textend, 1)

    @cached_property
    def _stack(self) -> Table:
        return Table(self.aout.sptable(), self.aout.textend, WORD)

    @cached_property
    def _histories(self) -> tuple[list[int], list[History]]:
        """By the address of the first function: histories. Those without a function are left out."""
        found: dict[int, History] = {}
        for address, marks in _marks(self.aout.symbols):
            found[address] = History(marks)
        return sorted(found), [found[a] for a in sorted(found)]

    @cached_property
    def _frames(self) -> tuple[list[int], list[int | None]]:
        found: dict[int, int | None] = {}
        now = -1
        for s in self.aout.symbols:
            if s.type in TEXTSYMS:
                now = s.value
                found.setdefault(now, None)
            elif s.name == ".frame" and s.type in "mf" and now >= 0:
                found[now] = s.value - WORD
        return sorted(found), [found[a] for a in sorted(found)]

    @cached_property
    def _names(self) -> dict[int, str]:
        return {s.value: s.name for s in self.aout.symbols if s.type == "f"}

    def _path(self, path: bytes) -> str:
        """A path of its parts; "" if one is missing."""
        out = ""
        for i in range(0, len(path), 2):
            name = self._names.get(int.from_bytes(path[i : i + 2], "big"))
            if name is None:
                return ""
            out += f"/{name}" if out and not out.endswith("/") else name
            if len(out) > LONGNAME:
                return out[:LONGNAME]
        return normpath(out) if out else ""


def _marks(symbols: Iterable[Symbol]) -> Iterator[tuple[int, list[Mark]]]:
    """The histories, each with the address of the first text symbol behind it."""
    marks: list[Mark] = []
    taken = True
    for s in symbols:
        value = (s.value + 0x80000000 & 0xFFFFFFFF) - 0x80000000
        if s.type == "z":
            if value == 1:
                marks, taken = [], False
            if not taken:
                marks.append(Mark(value, s.path, 0))
        elif s.type == "Z" and marks:
            marks[-1] = Mark(marks[-1].line, marks[-1].path, value)
        elif s.type in TEXTSYMS and not taken:
            taken = True
            yield s.value, marks
