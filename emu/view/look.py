"""A model looked at: whose each frame is, and how it is drawn. One Look is of one moment."""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

from emu.observe.model.look import holders, purpose, segmentrefs
from emu.observe.model.model import Model
from emu.view.paint import CACHED, DIM, KERNEL, OWNERS, PLAIN, SWAP, Paint, on

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
    """What the pictures of one moment ask."""

    def __init__(self, m: Model, owners: Owners) -> None:
        self.m = m
        self.names = owners
        self.held = holders(m)
        self.refs = segmentrefs(m)
        self._pids: dict[int, list[int]] | None = None

    def purpose(self, frame: int) -> str:
        """What it is used for, a word of model.look.PURPOSES."""
        return purpose(self.m, frame, self.held.get(frame, []), self.refs)

    def owners(self, frame: int) -> list[int]:
        """The processes that have the frame in a segment, or whose directory or table it is, by pid."""
        pids = {pid for h in self.held.get(frame, ()) for pid in self.having(h.segment)}
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
        n = len(self.held[frame])
        return Cell("=" if use == "shared" else str(n) if n <= MANY else "+", paint)

    def counts(self) -> Counter[str]:
        """How many frames are used for what; those that are free are not counted."""
        return Counter(self.purpose(frame) for frame in self.m.frames.now)

    def name(self, pid: int) -> str:
        """``cow[3]``."""
        p = self.m.processes.now.get(pid)
        return f"{p.name if p is not None and p.name else '?'}[{pid}]"
