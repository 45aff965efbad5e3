"""What a real run has missed, and how many frames it spent on page tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from kernel.base.event import Event, FaultEvent, MmuEvent, PageEvent, ProcEvent

NEW: Final = ("zero-fill", "cow-copy")
LOADS: Final = ("text-load", "data-load")
KILLED: Final = "Killed: Insufficient physical memory"  # Source: port/proc.c:procctl


@dataclass
class Misses:
    """A sink that counts the pages that faults had brought in: new ones, ones of files, ones that were on swap.

    Equal to the objects of :mod:`emu.machine.references` where memory is enough. A page that is found in a cache, or
    that was still on its way to swap, was not missed. ``tables`` is the most frames that page directories and tables
    took at a time; ``killed`` are processes that were killed for want of memory.
    """

    new: int = 0
    loads: int = 0
    swapins: int = 0
    tables: int = 0
    killed: list[str] = field(default_factory=list)
    _read: set[int] = field(default_factory=set)  # pids that have read a page since their last fault
    _tables: set[int] = field(default_factory=set)

    @property
    def misses(self) -> int:
        """All of them."""
        return self.new + self.loads + self.swapins

    def __call__(self, ev: Event) -> None:
        """Count an event; every one is needed."""
        if isinstance(ev, PageEvent):
            if ev.op == "swap-in":
                self._read.add(ev.pid)
            elif ev.op == "free":
                self._tables.discard(ev.frame)
        elif isinstance(ev, FaultEvent):
            read = ev.pid in self._read
            self._read.discard(ev.pid)
            for cls in (ev.cls, ev.load):
                self.new += cls in NEW
                self.loads += cls in LOADS
                self.swapins += cls == "swap-in" and read
        elif isinstance(ev, MmuEvent):
            if ev.op in ("directory", "table", "kmap"):
                self._tables.add(ev.frame if ev.op != "directory" else ev.pdb)
                self.tables = max(self.tables, len(self._tables))
        elif isinstance(ev, ProcEvent) and ev.op in ("exit", "broken") and ev.status.endswith(KILLED):
            self.killed.append(f"{ev.name} {ev.pid}")
