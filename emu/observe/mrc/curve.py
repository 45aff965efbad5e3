"""A miss-ratio curve: what a program would miss with less memory, computed, and seen in some real runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from emu.observe.mrc import clock
from emu.observe.mrc.lru import Distances
from emu.observe.mrc.optimum import Optimum
from emu.observe.mrc.runs import Misses
from emu.observe.mrc.shorten import Shortened
from kernel.base.mem import MB
from kernel.main import confinit

SIZES: Final = 8
VERSION: Final = 1
POLICIES: Final = ("optimum", "lru", "clock")


@dataclass
class Run:
    """A run with so much memory. ``failure`` says why it is none to compare with, "" if it is one."""

    status: int
    misses: int
    new: int
    loads: int
    swapins: int
    failure: str = ""


@dataclass
class Point:
    """Misses with so many ``frames`` for pages. ``memory`` is the machine's, in bytes, 0 for what no machine has."""

    memory: int
    frames: int
    optimum: int
    lru: int
    clock: int
    run: Run | None = None


@dataclass
class Curve:
    """All points, by size. ``references`` are those of the string, ``pages`` the different ones of it.

    ``peak`` is how many pages there were at once, ``tables`` the most frames that page tables took.
    """

    program: Sequence[str]
    references: int
    pages: int
    peak: int
    tables: int
    points: list[Point] = field(default_factory=list)

    def ratio(self, misses: int) -> float:
        """Misses as a share of the references."""
        return round(misses / self.references, 9) if self.references else 0.0

    @property
    def smallest(self) -> int | None:
        """The least memory with which a real run worked; None if there was none."""
        return min((p.memory for p in self.points if p.run is not None and not p.run.failure), default=None)

    def document(self) -> dict[str, object]:
        """For JSON."""
        return {
            "v": VERSION,
            "program": list(self.program),
            "references": self.references,
            "pages": self.pages,
            "peak": self.peak,
            "tables": self.tables,
            "smallest": self.smallest,
            "points": [self._point(p) for p in self.points],
        }

    def _point(self, p: Point) -> dict[str, object]:
        obj: dict[str, object] = {"memory": p.memory or None, "frames": p.frames}
        for name in POLICIES:
            misses = getattr(p, name)
            obj[name] = {"misses": misses, "ratio": self.ratio(misses), "to_optimum": distance(misses, p.optimum)}
        if p.run is not None:
            r = p.run
            run: dict[str, object] = {"status": r.status, "failure": r.failure}
            if not r.failure:
                run |= {"misses": r.misses, "ratio": self.ratio(r.misses), "to_optimum": distance(r.misses, p.optimum)}
                run |= {"new": r.new, "loads": r.loads, "swap_ins": r.swapins}
            obj["run"] = run
        return obj


def distance(misses: int, optimum: int) -> float:
    """How many times the fewest misses these are."""
    return round(misses / optimum, 4) if optimum else 1.0


def frames(memory: int, cpus: int, tables: int) -> int:
    """How many pages of programs a machine has room for, at least 1.

    The pool, less the frames that only the pager may take (kernel/memory/palloc.py:takepage), less page tables.
    """
    pages = confinit(memory, cpus).upages
    return max(pages - pages * 5 // 100 - tables, 1)


def sizes(peak: int, cpus: int, tables: int, least: int) -> list[int]:
    """Sizes of memory from the least that a machine has to what a program needs to keep all its pages."""
    first = top = -(-least // MB)
    while frames(top * MB, cpus, tables) < peak:
        top += 1
    steps = min(SIZES - 1, top - first)
    return sorted({first * MB + (top - first) * n // max(steps, 1) * MB for n in range(steps + 1)})


def below(peak: int, width: int) -> list[int]:
    """Numbers of frames for a program that the smallest machine has room for: no machine has as few."""
    low = min(width, peak)
    return sorted({low + (peak - low) * n // (SIZES - 1) for n in range(SIZES)})


def compute(curve: Curve, string: Shortened, places: Iterable[tuple[int, int]]) -> None:
    """Give a curve its points: at each place, memory and frames, misses by each policy."""
    distances, optimum = Distances(string.string), Optimum(string.string)
    known: dict[int, tuple[int, int, int]] = {}
    for memory, n in places:
        if n not in known:
            enough = n >= curve.peak
            best = curve.pages if enough else optimum.misses(n)
            turned = curve.pages if enough else clock.misses(string.string, n)
            known[n] = best, distances.misses(n), turned
        curve.points.append(Point(memory, n, *known[n]))


def spread(points: Sequence[Point], n: int) -> list[Point]:
    """n of the points that a machine can have, both ends among them."""
    some = [p for p in points if p.memory]
    if n >= len(some):
        return some
    if n == 1:
        return some[:1]
    return [some[(len(some) - 1) * i // (n - 1)] for i in range(n)] if n else []


def ran(counted: Misses, status: int, failure: str) -> Run:
    """What a real run comes to."""
    return Run(status, counted.misses, counted.new, counted.loads, counted.swapins, failure)
