"""A model looked at: whose each frame is, and how it is drawn. One Look is of one moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import chain
from typing import Final, NamedTuple

from emu.observe.model.look import Holder, purpose, segmentrefs
from emu.observe.model.model import Model
from emu.observe.model.records import NOIMAGE
from emu.view.paint import CACHED, DIM, KERNEL, OWNERS, PLAIN, SWAP, Paint, on
from kernel.base.mem import BY2PG

LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
MANY: Final = 9  # holders that a digit tells

# Of a frame that no process is told of by a letter of its own: that letter, and its paint.
FIXED: Final[dict[str, tuple[str, Paint]]] = {
    "free": (".", DIM), "cached": ("C", CACHED), "idle": ("I", CACHED), "swapping": ("W", SWAP),
    "directory": ("D", KERNEL), "table": ("T", KERNEL), "kmap": ("K", KERNEL), "pool": ("P", KERNEL),
    "moving": ("?", PLAIN),
}  # fmt: skip


class Cell(NamedTuple):
    """How a frame is drawn."""

    letter: str
    paint: Paint


class Owners:
    """The letters and colours of processes: they are given in the order in which processes get memory, and kept."""

    def __init__(self) -> None:
        self._of: dict[int, int] = {}

    def meet(self, pid: int) -> None:
        """There is such a process."""
        if pid and pid not in self._of:
            self._of[pid] = len(self._of)

    def letter(self, pid: int) -> str:
        """Its letter, "?" if it was never met."""
        n = self._of.get(pid)
        return "?" if n is None else LETTERS[n % len(LETTERS)]

    def paint(self, pid: int) -> Paint:
        """Its colour."""
        n = self._of.get(pid)
        return PLAIN if n is None else on(OWNERS[n % len(OWNERS)])


class Look:
    """What the pictures of one moment ask. Who holds a frame is found out only if it is asked."""

    def __init__(self, m: Model, owners: Owners) -> None:
        self.m = m
        self.names = owners
        self.refs = segmentrefs(m)
        self._held: dict[int, list[Holder]] = {}
        self._pids: dict[int, list[int]] | None = None
        self._counts: Counter[str] | None = None

    def meet(self, frames: Iterable[int]) -> None:
        """These frames will be asked about: their holders are looked for together, in one go over all entries."""
        wanted = {pa for pa in frames if pa not in self._held}
        if not wanted:
            return
        self._held.update((pa, []) for pa in wanted)
        for id, row in self.m.entries.now.items():
            found = [(n, e) for n, e in row.items() if e in wanted]
            if found:
                base = self.m.segments.now[id].base
                for n, e in found:
                    self._held[e].append(Holder(id, base + n * BY2PG))

    def held(self, frame: int) -> list[Holder]:
        """The segments that have a frame, and where."""
        self.meet((frame,))
        return self._held[frame]

    def purpose(self, frame: int) -> str:
        """What it is used for, a word of model.look.PURPOSES."""
        return purpose(self.m, frame, self.held(frame), self.refs)

    def owners(self, frame: int) -> list[int]:
        """The processes that have the frame in a segment, or whose directory or table it is, by pid."""
        pids = {pid for h in self.held(frame) for pid in self.having(h.segment)}
        f = self.m.frames.now.get(frame)
        if f is not None and f.purpose in ("table", "kmap"):
            f = self.m.frames.now.get(f.owner)
        if f is not None and f.purpose == "directory":
            pids.add(f.owner)
        return sorted(pids)

    def having(self, segment: int) -> list[int]:
        """The processes that have a segment."""
        if self._pids is None:
            self._pids = {}
            for pid, row in self.m.places.now.items():
                for id in row.values():
                    self._pids.setdefault(id, []).append(pid)
        return self._pids.get(segment, [])

    def cell(self, frame: int) -> Cell:
        """The frame's letter and colour.

        A process's own has its letter; ``=`` is in a segment that several have; a digit is copied on write, and counts
        the segments that have it.
        """
        use = self.purpose(frame)
        fixed = FIXED.get(use)
        if fixed is not None:
            return Cell(*fixed)
        pids = self.owners(frame)
        first = pids[0] if pids else 0
        if use == "private":
            return Cell(self.names.letter(first), self.names.paint(first))
        paint = self.names.paint(first)
        n = len(self.held(frame))
        return Cell("=" if use == "shared" else str(n) if n <= MANY else "+", paint)

    def counts(self) -> Counter[str]:
        """How many frames are used for what, as purpose() has it; those that are free are not counted."""
        if self._counts is None:
            entries = self.m.entries.now
            holders = Counter(chain.from_iterable(row.values() for row in entries.values()))
            shared = {e for id, row in entries.items() if self.refs[id] > 1 for e in row.values()}
            counts = self._counts = Counter()
            for pa, f in self.m.frames.now.items():
                if f.purpose != "page":
                    counts[f.purpose] += 1
                elif f.io:
                    counts["swapping"] += 1
                elif f.image != NOIMAGE:
                    counts["cached" if pa in holders else "idle"] += 1
                elif pa not in holders:
                    counts["moving"] += 1
                else:
                    counts["cow" if holders[pa] > 1 else "shared" if pa in shared else "private"] += 1
        return self._counts

    def name(self, pid: int) -> str:
        """``cow[3]``."""
        p = self.m.processes.now.get(pid)
        return f"{p.name if p is not None and p.name else '?'}[{pid}]"
