"""The virtual memory of a process: its segments, and what is at each of their pages."""

from __future__ import annotations

from typing import Final, NamedTuple

from emu.observe.model.records import FLAGS, NOIMAGE, ONSWAP, WRITE
from emu.observe.words import many
from emu.view.look import Look
from emu.view.paint import BOLD, DIM, HERE, SWAP, Line, Paint
from kernel.base.mem import BY2PG

LABEL: Final = 9  # columns: an address and a blank
FAR: Final = 16  # pages of nothing between two that are something, and they are told in words


class Area(NamedTuple):
    """A segment of a process. ``stretches`` are the pages that are drawn, by number: first, and the one after the last.

    Between them nothing was ever touched.
    """

    id: int
    type: str
    base: int
    pages: int
    words: str
    stretches: list[tuple[int, int]]


def areas(look: Look, pid: int) -> list[Area]:
    """The segments of a process, by address."""
    m = look.m
    out = []
    for id in set(m.places.row(pid).values()):
        s = m.segments.now.get(id)
        if s is None:  # a trace may lack it
            continue
        pages = (s.top - s.base) // BY2PG
        out.append(Area(id, s.type, s.base, pages, _words(look, id), _stretches(sorted(m.entries.row(id)), pages)))
    return sorted(out, key=lambda a: (a.base, a.pages))


def _stretches(used: list[int], pages: int) -> list[tuple[int, int]]:
    """The page numbers that are used, with the small gaps among them and at both ends."""
    out: list[tuple[int, int]] = []
    start = end = 0
    for n in used:
        if n - end > FAR:
            if end > start:
                out.append((start, end))
            start = n
        end = n + 1
    if 0 < pages - end <= FAR:
        end = pages
    if end > start:
        out.append((start, end))
    return out


def _words(look: Look, id: int) -> str:
    s = look.m.segments.now[id]
    row = look.m.entries.row(id)
    swapped = sum(e & ONSWAP for e in row.values())
    told = [f"{len(row) - swapped:,} of {many((s.top - s.base) // BY2PG, 'page')}"]
    if swapped:
        told.append(f"{swapped:,} on swap")
    sharers = len(look.having(id))
    if sharers > 1:
        told.append(f"shared by {sharers}")
    if s.image != NOIMAGE:
        image = look.m.images.now.get(s.image)
        told.append(f"of {image.path if image is not None else s.image}")
    return ", ".join(told)


def letters(look: Look, pid: int, area: Area, start: int, end: int) -> list[tuple[str, Paint]]:
    """What is at some pages of a segment, by number.

    A page's colour is its frame's. Its letter tells what the processor finds: ``w`` a page to write, ``r`` one to read,
    ``c`` one to read that is copied when it is written, ``m`` nothing, though the page is in memory: the next touch is
    a fault, and finds it. ``s`` is on swap, ``.`` nothing yet.
    """
    row = look.m.entries.row(area.id)
    pdb = look.m.directories.now.get(pid)
    maps = look.m.maps.row(pdb) if pdb is not None else {}
    first = area.base // BY2PG
    look.meet(e for n in range(start, end) if (e := row.get(n, ONSWAP)) and not e & ONSWAP)
    out = []
    for n in range(start, end):
        entry = row.get(n)
        if entry is None:
            out.append((".", DIM))
        elif entry & ONSWAP:
            out.append(("s", SWAP))
        else:
            t = maps.get(first + n, 0)
            if t & ~FLAGS != entry:
                letter = "m"
            elif t & WRITE:
                letter = "w"
            else:
                letter = "c" if look.purpose(entry) == "cow" else "r"
            out.append((letter, look.cell(entry).paint))
    return out


class _Row(NamedTuple):
    """A line of the map: some pages of a segment, and how many untouched ones follow; or the segment's head."""

    area: Area
    start: int
    end: int
    untouched: int = 0
    head: bool = False


class SpaceMap:
    """The segments on the screen, scrolled to the address that something happens at."""

    def __init__(self) -> None:
        self.top = 0

    def draw(self, look: Look, pid: int, width: int, height: int, va: int | None) -> list[Line]:
        """As lines; ``va`` is the address that must be seen, and is marked."""
        if not pid:
            return [[("No process has any memory.", DIM)]]
        rows = [row for area in areas(look, pid) for row in _rows(area, max(width - LABEL, 8))]
        if not rows:
            return [[("It has no memory at this moment.", DIM)]]
        page = va // BY2PG if va is not None else -1
        focus = next((i for i, r in enumerate(rows) if _has(r, page)), None)
        if focus is not None and not self.top < focus < self.top + height:
            self.top = focus - height // 2
        self.top = min(max(self.top, 0), max(len(rows) - height, 0))
        return [_line(look, pid, row, page) for row in rows[self.top : self.top + height]]


def _rows(area: Area, room: int) -> list[_Row]:
    rows = [_Row(area, 0, 0, head=True)]
    ends = [*(start for start, _ in area.stretches[1:]), area.pages]
    if area.pages and (not area.stretches or area.stretches[0][0]):
        rows.append(_Row(area, 0, 0, area.stretches[0][0] if area.stretches else area.pages))
    for (start, end), next_ in zip(area.stretches, ends, strict=False):
        rows += [_Row(area, n, min(n + room, end)) for n in range(start, end, room)]
        left = next_ - end
        if left > 0:
            last = rows[-1]
            if last.end - last.start + len(_untouched(left)) <= room:
                rows[-1] = last._replace(untouched=left)
            else:
                rows.append(_Row(area, end, end, left))
    return rows


def _untouched(n: int) -> str:
    return f" {n:,} untouched"


def _has(row: _Row, page: int) -> bool:
    first = row.area.base // BY2PG
    return not row.head and first + row.start <= page < first + row.end + row.untouched


def _line(look: Look, pid: int, row: _Row, page: int) -> Line:
    area = row.area
    if row.head:
        return [(f"{area.type} ", BOLD), (area.words, DIM)]
    line: Line = [(f"{area.base + row.start * BY2PG:08x} ", DIM)]
    here = page - area.base // BY2PG
    for n, (letter, paint) in enumerate(letters(look, pid, area, row.start, row.end), row.start):
        line.append((letter, HERE if n == here else paint))
    if row.untouched:
        line.append((_untouched(row.untouched), HERE if _has(row, page) and here >= row.end else DIM))
    return line
