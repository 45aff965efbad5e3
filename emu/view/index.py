"""What is known of a stream besides the events: where which are, and the extremes until any of them."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

from emu.observe.report.tally import Tally
from kernel.base.event import Event, FaultEvent, MmuEvent, PageEvent, SegmentEvent, SyscallEvent


def classof(ev: Event) -> str:
    """The kind of an event, and which of them: the class of a fault, the name of a call, else the op."""
    if isinstance(ev, FaultEvent):
        return f"fault {ev.cls}"
    if isinstance(ev, SyscallEvent):
        return f"syscall {ev.name}"
    return f"{ev.kind} {getattr(ev, 'op', '')}".rstrip()


class Index:
    """Positions are numbers of events that have happened: after event i that is i + 1.

    ``told`` are the positions after the ``wanted`` events, ``classes`` those after each class of events.
    """

    def __init__(self, wanted: Callable[[Event], bool]) -> None:
        self.wanted = wanted
        self.told = array("I")
        self.classes: dict[str, array[int]] = {}
        self.faults = array("I")
        self.touched: set[int] = set()  # frames that were ever in use
        self.pids: list[int] = []  # of processes, as they got memory
        self.tally = Tally()
        self._known: set[int] = set()
        self._used: list[tuple[int, int]] = [(0, 0)]  # from which position on so many frames were in use at most
        self._swap: list[tuple[int, int]] = [(0, 0)]
        self._len = 0

    def add(self, ev: Event) -> None:
        """The next event."""
        self._len += 1
        at = self._len
        if self.wanted(ev):
            self.told.append(at)
        cls = classof(ev)
        places = self.classes.get(cls)
        if places is None:
            places = self.classes[cls] = array("I")
        places.append(at)
        if isinstance(ev, FaultEvent):
            self.faults.append(at)
        elif isinstance(ev, PageEvent | MmuEvent):
            frame = ev.frame or getattr(ev, "pdb", 0)
            if frame:
                self.touched.add(frame)
        if isinstance(ev, SegmentEvent) and ev.op == "attach":
            self._meet(ev.target)
        tally = self.tally
        tally(ev)
        if tally.peak[0] != self._used[-1][1]:
            self._used.append((at, tally.peak[0]))
        if tally.swappeak[0] != self._swap[-1][1]:
            self._swap.append((at, tally.swappeak[0]))

    def _meet(self, pid: int) -> None:
        if pid and pid not in self._known:
            self._known.add(pid)
            self.pids.append(pid)

    def used(self, at: int) -> int:
        """How many frames were in use at most, until a position."""
        return _until(self._used, at)

    def swapped(self, at: int) -> int:
        """How many slots of swap were in use at most, until a position."""
        return _until(self._swap, at)

    def faultcounts(self, at: int) -> dict[str, int]:
        """Faults by class until a position, the most first."""
        counts = {c[6:]: bisect_right(p, at) for c, p in self.classes.items() if c.startswith("fault ")}
        return dict(sorted(((c, n) for c, n in counts.items() if n), key=lambda item: (-item[1], item[0])))


def _until(peaks: list[tuple[int, int]], at: int) -> int:
    return peaks[bisect_right(peaks, (at, 1 << 62)) - 1][1]


def after(places: Sequence[int], at: int) -> int | None:
    """The first of the positions beyond one, None if there is none."""
    i = bisect_right(places, at)
    return places[i] if i < len(places) else None


def before(places: Sequence[int], at: int) -> int | None:
    """The last of the positions before one."""
    i = bisect_left(places, at)
    return places[i - 1] if i else None
