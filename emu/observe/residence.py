"""How full memory is, how many pages each process has there, and which pages a fork has shared: counted as events come.

:mod:`emu.observe.model` has the whole state; this has numbers alone, which cost little at each event.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from kernel.base.event import BootEvent, EntryEvent, Event, PageEvent, SegmentEvent
from kernel.base.mem import BY2PG

NOIMAGE: Final = -1
ONSWAP: Final = 1  # of an entry: it is the address of a slot


class Area:
    """A segment: its range, what it has, and who has it."""

    __slots__ = ("base", "entries", "flows", "holders", "resident", "top")

    def __init__(self, base: int, top: int) -> None:
        self.base = base
        self.top = top
        self.entries: dict[int, int] = {}  # by page number in it: a frame, or a slot | ONSWAP
        self.flows: dict[int, int] = {}  # by page number: the fork that shared the page last
        self.holders: Counter[int] = Counter()  # places, by pid
        self.resident = 0


class Residence:
    """Counts. ``changed``: there is something new since that was made false."""

    def __init__(self) -> None:
        self.pages = 0  # frames of the pool
        self.swap = 0  # slots there are
        self.frames: dict[int, bool] = {}  # in use; whether in a page cache
        self.cached = 0
        self.slots: Counter[int] = Counter()  # references, by address
        self.moving: dict[int, int] = {}  # frames on their way to swap, and their slots
        self.areas: dict[int, Area] = {}  # by the segment's id
        self.places: dict[int, dict[int, int]] = {}  # of a pid: ids, by place in its table
        self.changed = False
        self.stirred: set[int] = set()  # pids whose pages have changed
        self._forks = 0
        self._forking: dict[int, int] = {}  # the number of the fork that a pid is in
        self._apply: dict[type[Event], Callable[[Any], None]] = {
            BootEvent: self._boot,
            PageEvent: self._page,
            SegmentEvent: self._segment,
            EntryEvent: self._entry,
        }

    def __call__(self, ev: Event) -> None:
        """Count an event."""
        apply = self._apply.get(type(ev))
        if apply is not None:
            apply(ev)

    def resident(self, pid: int) -> int:
        """Pages in memory that the segments of a process have."""
        return sum(self.areas[id].resident for id in set(self.places.get(pid, {}).values()) if id in self.areas)

    def forked(self, pid: int) -> int:
        """The number of the fork that a process has just made, 0 if it shares no page."""
        return self._forking.pop(pid, 0)

    def copied(self, pid: int, addr: int) -> int:
        """A process has a copy of a page: the number of the fork that shared it, 0 if none did."""
        for id in self.places.get(pid, {}).values():
            area = self.areas.get(id)
            if area is not None and area.base <= addr < area.top:
                return area.flows.pop((addr - area.base) // BY2PG, 0)
        return 0

    def _boot(self, ev: BootEvent) -> None:
        self.pages, self.swap = ev.pages, ev.swap
        self.changed = True

    def _page(self, ev: PageEvent) -> None:
        op, frame = ev.op, ev.frame
        if op == "free":
            self.cached -= self.frames.pop(frame, False)
        elif op in ("copy", "lookup", "swap-write", "swap-in"):
            return
        else:
            cached = op == "cache" or (op in ("page-out", "swap-end") and ev.image != NOIMAGE)
            self.cached += cached - self.frames.get(frame, False)
            self.frames[frame] = cached
            if op == "page-out":
                self.moving[frame] = ev.daddr
                self.slots[ev.daddr] += 1
            elif op == "swap-end" and frame in self.moving:
                self._drop(self.moving.pop(frame))
        self.changed = True

    def _segment(self, ev: SegmentEvent) -> None:
        if ev.op == "detach":
            self.places.get(ev.target, {}).pop(ev.slot, None)
            if not self.places.get(ev.target, True):
                del self.places[ev.target]
            self._stir(ev.id)
            area = self.areas.get(ev.id)
            if area is not None:
                area.holders[ev.target] -= 1
                area.holders += Counter()  # drops what is 0
            return
        if ev.op == "free":
            area = self.areas.pop(ev.id, None)
            for e in area.entries.values() if area is not None else ():
                self._drop(e - ONSWAP if e & ONSWAP else -1)
            return
        area = self.areas.get(ev.id)
        if area is None:
            area = self.areas[ev.id] = Area(ev.base, ev.top)
        area.base, area.top = ev.base, ev.top
        if ev.op == "dup":
            self._dup(ev, area)
        elif ev.op == "attach":
            self.places.setdefault(ev.target, {})[ev.slot] = ev.id
            area.holders[ev.target] += 1
            self._stir(ev.id)

    def _dup(self, ev: SegmentEvent, area: Area) -> None:
        """A fork: each page has a holder more."""
        old = self.areas.get(ev.old)
        if old is None or not old.entries:
            return
        if ev.pid not in self._forking:
            self._forks += 1
            self._forking[ev.pid] = self._forks
        area.entries = dict(old.entries)
        area.resident = old.resident
        area.flows = dict.fromkeys(area.entries, self._forking[ev.pid])
        old.flows = dict(area.flows)
        self.slots.update(e - ONSWAP for e in area.entries.values() if e & ONSWAP)

    def _entry(self, ev: EntryEvent) -> None:
        area = self.areas.get(ev.segment)
        if area is None:
            return
        n = (ev.va - area.base) // BY2PG
        was = area.entries.get(n)
        if ev.op == "none":
            area.entries.pop(n, None)
            area.flows.pop(n, None)
        elif ev.op == "page":
            area.entries[n] = ev.frame
        else:
            area.entries[n] = ev.daddr | ONSWAP
            self.slots[ev.daddr] += 1
        if was is not None and was & ONSWAP:
            self._drop(was - ONSWAP)
        area.resident += (ev.op == "page") - (was is not None and not was & ONSWAP)
        self._stir(ev.segment)

    def _stir(self, segment: int) -> None:
        area = self.areas.get(segment)
        if area is not None:
            self.stirred.update(area.holders)
            self.changed = True

    def _drop(self, slot: int) -> None:
        """A slot has a reference less; -1 is none."""
        if slot < 0:
            return
        self.slots[slot] -= 1
        if self.slots[slot] <= 0:
            del self.slots[slot]
