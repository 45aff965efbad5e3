"""The state of the machine at any moment of a recorded stream.

The stream is cut into blocks of BLOCK events. For each block that was passed once the history keeps what the changed
keys of the model's tables had before it and have after it. A seek walks over whole blocks by these, and applies the
rest event by event; so memory grows with what changes, not with the machine, and any moment of a million events is some
hundredths of a second away.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any, Final

from emu.observe.model.model import Model
from emu.observe.model.tables import Changes, Nested, Table
from kernel.base.event import EntryEvent, Event, FaultEvent, MmuEvent, PageEvent

BLOCK: Final = 4096

Block = list[Changes[Any, Any]]  # of each table


class History:
    """Events, and the model after the first ``at`` of them. More may be appended at any time."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.events: list[Event] = list(events)
        self.model = Model()
        self.at = 0
        self._blocks: list[Block] = []
        self._lives: dict[int, list[int]] = {}
        self._told = 0  # events that _lives knows
        self._tables: list[Table[Any, Any] | Nested[Any]] = [
            t for t in vars(self.model).values() if isinstance(t, Table | Nested)
        ]

    def __len__(self) -> int:
        return len(self.events)

    def append(self, ev: Event) -> None:
        """One more event has come. The model stays where it is."""
        self.events.append(ev)

    def seek(self, n: int) -> Model:
        """Go to where n events have happened, 0 to len(); the model there. Raises IndexError beyond."""
        if not 0 <= n <= len(self.events):
            raise IndexError(f"{n} is not within 0..{len(self.events)}")
        block = min(n // BLOCK, len(self._blocks))
        if n < self.at or block > self.at // BLOCK:
            self._start(block)
        apply = self.model.apply
        while self.at < n:
            stop = min(n, (self.at // BLOCK + 1) * BLOCK)
            for ev in self.events[self.at : stop]:
                apply(ev)
            self.at = stop
            if stop % BLOCK == 0:
                marks = [t.mark() for t in self._tables]
                if stop // BLOCK > len(self._blocks):
                    self._blocks.append(marks)
        return self.model

    def step(self, n: int = 1) -> Model:
        """Go n events on, or back; as far as there are any."""
        return self.seek(min(max(self.at + n, 0), len(self.events)))

    def _start(self, block: int) -> None:
        """Go to the start of a block, all blocks before which are known."""
        here = self.at // BLOCK
        if self.at % BLOCK:  # within a block, which may not be known yet: what it changed is in the tables
            for table in self._tables:
                table.restore(table.mark().before)
        while here > block:
            here -= 1
            for table, changes in zip(self._tables, self._blocks[here], strict=True):
                table.restore(changes.before)
        while here < block:
            for table, changes in zip(self._tables, self._blocks[here], strict=True):
                table.restore(changes.after)
            here += 1
        self.at = here * BLOCK

    def life(self, frame: int) -> list[tuple[int, Event]]:
        """What has happened to a frame until now: events about it, each with the number of events before it."""
        for i in range(self._told, len(self.events)):
            ev = self.events[i]
            if isinstance(ev, PageEvent | EntryEvent | FaultEvent | MmuEvent) and ev.frame:
                self._lives.setdefault(ev.frame, []).append(i)
        self._told = len(self.events)
        told = self._lives.get(frame, [])
        return [(i, self.events[i]) for i in told[: bisect_right(told, self.at - 1)]]
