"""The virtual memory of a process: its segments, and what is at each of their pages."""

from __future__ import annotations

from typing import Final, NamedTuple

from emu.observe.model.look import mappings
from emu.observe.model.records import FLAGS, NOIMAGE, ONSWAP
from emu.view.look import Look
from emu.view.paint import BOLD, DIM, HERE, SWAP, Line, Paint
from emu.view.words import many
from kernel.base.mem import BY2PG

LABEL: Final = 9  # columns: an address and a blank
FAR: Final = 16  # pages of nothing between two that are something, and they are told in words
MOST: Final = 8192  # pages of a segment that are drawn


class Place(NamedTuple):
    """A page of a segment, or ``pages`` of them that nothing is at."""

    va: int
    letter: str
    paint: Paint
    pages: int = 1


class Area(NamedTuple):
    """A segment of a process."""

    type: str
    base: int
    top: int
    words: str
    places: list[Place]


def areas(look: Look, pid: int) -> list[Area]:
    """The segments of a process by address.

    A page's colour is its frame's. Its letter tells what the processor finds: ``w`` a page to write, ``r`` one to read,
    ``c`` one to read that is copied when it is written, ``m`` nothing, though the page is in memory: the next touch is
    a fault, and finds it. ``s`` is on swap, ``.`` nothing yet.
    """
    m = look.m
    maps = {t.va: t for t in mappings(m, pid)}
    out = []
    known = [id for id in set(m.places.row(pid).values()) if id in m.segments.now]  # a trace may lack some
    for id in sorted(known, key=lambda id: (m.segments.now[id].base, m.segments.now[id].top)):
        s = m.segments.now[id]
        row = m.entries.row(id)
        places: list[Place] = []
        next_ = 0
        for n in sorted(row)[:MOST]:
            _gap(places, s.base, next_, n)
            e, va = row[n], s.base + n * BY2PG
            next_ = n + 1
            if e & ONSWAP:
                places.append(Place(va, "s", SWAP))
                continue
            frame = e & ~FLAGS
            paint = look.cell(frame).paint
            t = maps.get(va)
            if t is None or t.frame != frame:
                places.append(Place(va, "m", paint))
            elif t.write:
                places.append(Place(va, "w", paint))
            else:
                places.append(Place(va, "c" if look.purpose(frame) == "cow" else "r", paint))
        _gap(places, s.base, next_, max((s.top - s.base) // BY2PG, next_))
        out.append(Area(s.type, s.base, s.top, _words(look, id, row), places))
    return out


def _gap(places: list[Place], base: int, start: int, end: int) -> None:
    if end - start > FAR:
        places.append(Place(base + start * BY2PG, "", DIM, end - start))
    else:
        places += [Place(base + n * BY2PG, ".", DIM) for n in range(start, end)]


def _words(look: Look, id: int, row: dict[int, int]) -> str:
    s = look.m.segments.now[id]
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


class SpaceMap:
    """The segments on the screen, scrolled to the address that something happens at."""

    def __init__(self) -> None:
        self.top = 0

    def draw(self, look: Look, pid: int, width: int, height: int, va: int | None) -> list[Line]:
        """As lines; ``va`` is the address that must be seen, and is marked."""
        if not pid:
            return [[("No process has any memory.", DIM)]]
        lines: list[Line] = []
        focus: int | None = None
        for area in areas(look, pid):
            lines.append([(f"{area.type} ", BOLD), (area.words, DIM)])
            room = max(width - LABEL, 8)
            left = 0
            for p in area.places:
                shown = p.letter or f" {p.pages:,} untouched"
                here = va is not None and p.va <= va < p.va + p.pages * BY2PG
                if left < len(shown):
                    lines.append([(f"{p.va:08x} ", DIM)])
                    left = room
                left -= len(shown) if p.letter else left  # what follows words has an address of its own
                lines[-1].append((shown, HERE if here else p.paint))
                if here:
                    focus = len(lines) - 1
        if focus is not None and not self.top < focus < self.top + height:
            self.top = focus - height // 2
        self.top = min(max(self.top, 0), max(len(lines) - height, 0))
        return lines[self.top : self.top + height]
