"""What the summary in words tells besides counts: how much memory was in use at most, and how the program ended."""

from __future__ import annotations

from collections import Counter
from typing import Final

from emu.observe.model.model import Model
from emu.observe.model.records import FLAGS, ONSWAP
from emu.observe.summary import Summary
from kernel.base.event import BootEvent, EntryEvent, Event, PageEvent, ProcEvent, SegmentEvent
from kernel.base.mem import BY2PG

MARK: Final = 1 << 16  # events after which the model forgets what was before


class Tally:
    """Follows the events with a model, and keeps the extremes."""

    def __init__(self) -> None:
        self.counts = Summary(_Nowhere())
        self.model = Model()
        self.pageops: Counter[str] = Counter()
        self.events = 0
        self.end = 0  # ns of the last moment
        self.boot: BootEvent | None = None
        self.peak = (0, 0)  # frames in use at most, ns
        self.swappeak = (0, 0)  # slots of swap in use at most, ns
        self.pids: set[int] = set()  # processes that a program ran in
        self.program: ProcEvent | None = None  # the first exec
        self.exit: ProcEvent | None = None  # of its process, if it came to that
        self._slots: Counter[int] = Counter()  # references to slots of swap in use

    def __call__(self, ev: Event) -> None:
        """One more event has come."""
        self.events += 1
        self.end = max(self.end, ev.ns)
        self.counts(ev)
        if isinstance(ev, EntryEvent | SegmentEvent):
            self._swap(ev)
        self.model.apply(ev)
        if isinstance(ev, PageEvent):
            self._page(ev)
        elif isinstance(ev, ProcEvent):
            self._proc(ev)
        elif isinstance(ev, BootEvent):
            self.boot = ev
        if self.events % MARK == 0:
            for table in vars(self.model).values():
                if hasattr(table, "mark"):
                    table.mark()

    def _page(self, ev: PageEvent) -> None:
        self.pageops[ev.op] += 1
        if ev.op == "alloc":
            used = len(self.model.frames.now)
            if used > self.peak[0]:
                self.peak = (used, ev.ns)
        elif ev.op == "page-out":
            self._take(ev.daddr, 1, ev.ns)
        elif ev.op == "swap-end":
            self._take(ev.daddr, -1, ev.ns)

    def _swap(self, ev: EntryEvent | SegmentEvent) -> None:
        """References to slots that an event adds or takes away; the model has not heard of it yet."""
        entries = self.model.entries
        if isinstance(ev, EntryEvent):
            s = self.model.segments.now.get(ev.segment)
            if s is None:
                return
            old = entries.row(ev.segment).get((ev.va - s.base) // BY2PG, 0)
            if ev.op == "swap":
                self._take(ev.daddr, 1, ev.ns)
            if old & ONSWAP:
                self._take(old & ~FLAGS, -1, ev.ns)
        elif self._slots and ev.op in ("dup", "free"):
            row = entries.row(ev.old if ev.op == "dup" else ev.id)
            for e in row.values():
                if e & ONSWAP:
                    self._take(e & ~FLAGS, 1 if ev.op == "dup" else -1, ev.ns)

    def _take(self, slot: int, n: int, ns: int) -> None:
        refs = self._slots[slot] + n
        if refs <= 0:
            del self._slots[slot]
            return
        self._slots[slot] = refs
        if len(self._slots) > self.swappeak[0]:
            self.swappeak = (len(self._slots), ns)

    def _proc(self, ev: ProcEvent) -> None:
        self.pids.add(ev.pid)
        if ev.op == "fork":
            self.pids.add(ev.child)
        elif ev.op == "exec" and self.program is None:
            self.program = ev
        elif ev.op in ("exit", "broken") and self.program is not None and ev.pid == self.program.pid:
            self.exit = ev


class _Nowhere:
    """An output that nothing is written to."""

    def write(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass
