"""Symbols of files and frames, and the tables over the text, as 8l writes them, from a program's DWARF.

The lines of all files of a unit are counted through, as a compiler of Plan 9 counts those that it reads. Its history
tells which are whose: the source begins at 1, and each other file that has code in the unit counts as included behind
the source's last line. Source: cmd/8l/span.c:asmsym, a.out(6), libmach/sym.c:fline.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Final, TypeVar

from guest.aout import Aout, Symbol
from guest.dwarf import Frame, Row, Unit
from guest.pctab import STACK, encode, merge

MAXNAMES: Final = 0xFFFF  # components of paths: a history names them by two bytes
RETURN: Final = 4  # bytes of the return address, which 8l counts in a frame
MINUS1: Final = 0xFFFFFFFF

T = TypeVar("T")


class Names:
    """The components of paths, each with a number from 1; the first of an absolute path is "/"."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def path(self, path: str) -> tuple[int, ...]:
        """The numbers of a path's components."""
        parts = [p for p in path.split("/") if p]
        if path.startswith("/"):
            parts.insert(0, "/")
        return tuple(self.numbers.setdefault(p, len(self.numbers) + 1) for p in parts)


@dataclass(frozen=True)
class Mark:
    """An entry of a history: from ``line`` on, ``path`` is read, from its beginning; () is its end.

    ``offset`` is that of a #line directive: the line behind ``line`` is the one behind ``offset``.
    """

    line: int
    path: str
    offset: int | None = None


class History:
    """The files of a unit, and the numbers of their lines, counted through."""

    def __init__(self, unit: Unit) -> None:
        last = {unit.path: 1}
        first: dict[str, int] = {}
        for row in unit.rows:
            if row.line:
                last[row.path] = max(last.get(row.path, 0), row.line)
                first[row.path] = min(first.get(row.path, row.line), row.line)
        self.unit = unit
        self.base = {unit.path: 0}  # what is added to a line
        self.marks = [Mark(1, unit.path)]
        at = last.pop(unit.path) + 1
        # An included file's first line still counts as its includer's. Where it has code, #line takes over, and stays.
        for path in sorted(last, key=lambda p: first[p] == 1):
            if first[path] == 1:
                self.marks.append(Mark(at, path, -1))
                self.base[path] = at + 1
            else:
                self.marks.append(Mark(at, path))
                self.base[path] = at - 1
            at = self.base[path] + last[path]
            if first[path] != 1:
                self.marks.append(Mark(at, ""))
            at += 1
        # a debugger that looks for a line of the source takes an end behind #line for the included file's
        self.marks.append(Mark(at, unit.path if self.marks[-1].offset else ""))

    def number(self, row: Row) -> int:
        """The number of a row's line; 0 of an end."""
        return row.line + self.base[row.path] if row.line else 0

    def symbols(self, names: Names) -> Iterator[Symbol]:
        """The z and Z symbols, which precede the unit's text symbols."""
        for m in self.marks:
            path = names.path(m.path)
            yield Symbol(m.line, "", "z", path)
            if m.offset is not None:
                yield Symbol(m.offset & MINUS1, "", "Z", path)


def annotate(program: Aout, base: int, units: Iterable[Unit], frames: Iterable[Frame]) -> Aout:
    """The program, whose text begins at base, with symbols of files and frames, and with tables."""
    end = base + len(program.text)
    histories = [History(u) for u in units]
    # where one sequence of rows ends another may begin
    rows = sorted(((r.address, h.number(r)) for h in histories for r in h.unit.rows), key=lambda r: (r[0], r[1] != 0))
    stack = tuple(frames)
    moves = [m for f in stack for m in (*f.moves, (f.end, 0))]
    names = Names()
    text = list(_text(program, histories, stack, names))
    if len(names.numbers) > MAXNAMES:
        return program
    data = [s for s in program.symbols if s.kind not in "Tt"]
    return replace(
        program,
        symbols=(*(Symbol(n, name, "f") for name, n in names.numbers.items()), *data, *text),
        sptab=encode(merge(moves), base, end, STACK),
        pctab=encode(merge(rows), base, end),
    )


def _text(program: Aout, histories: Iterable[History], frames: Iterable[Frame], names: Names) -> Iterator[Symbol]:
    """The text symbols, each with its frame behind it; a unit's history comes before the first of them.

    A debugger takes all that follows a history for the unit's, up to the next history.
    """
    pieces = sorted(((q[0].address, q[-1].address, h) for h in histories for q in h.unit.sequences), key=itemgetter(0))
    stack = sorted(((f.start, f.end, f) for f in frames), key=itemgetter(0))
    now: History | None = None
    for s in program.symbols:
        if s.kind not in "Tt":
            continue
        unit = _at(pieces, s.value)
        if unit is not None and unit is not now:
            now = unit
            yield from unit.symbols(names)
        yield s
        frame = _at(stack, s.value)
        if frame is not None:
            yield Symbol(max(moved for _, moved in frame.moves) + RETURN, ".frame", "m")


def _at(spans: Sequence[tuple[int, int, T]], address: int) -> T | None:
    """What lies at an address, of things from one address to another, sorted."""
    i = bisect_right(spans, address, key=itemgetter(0)) - 1
    return spans[i][2] if i >= 0 and address < spans[i][1] else None
