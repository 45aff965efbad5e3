"""Where one stands in a run, and the ways to go on: event by event, to the next fault, back, all the way.

What has happened so far is a History. Going back, and forward again, is going about in that; beyond the newest event
a machine is made to run on. Seeks that take long are done in pieces, so that the screen lives meanwhile.
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Final

from emu.observe.model.history import BLOCK, History
from emu.observe.report.words import missing
from emu.program.symbols import Found
from emu.session.source import Source, Wanted
from emu.view.index import Index, after, before, classof
from emu.view.look import Look, Owners
from kernel.base.event import Event, FaultEvent

SPEEDS: Final = (1, 2, 5, 10, 30, 100, 1000, 0)  # events a second; 0: as fast as it goes
PIECE: Final = 8 * BLOCK  # events that a seek passes in one go


class Session:
    """A run that is looked at. The ``wanted`` events are listed and stepped through."""

    def __init__(self, source: Source, wanted: Wanted) -> None:
        self.source = source
        self.history = History()
        self.index = Index(wanted)
        self.owners = Owners()
        self.found: dict[int, Found] = {}  # what is known of the pc of the event with that number
        self.all = False  # every event is listed
        self.running = False
        self.speed = 2  # of SPEEDS
        self.pid: int | None = None  # the process that was chosen; None: that of the event
        self.frame: int | None = None  # the frame that was chosen
        self.message = ""  # why the last key did nothing
        self.target: int | None = None  # where a seek that takes long goes
        self._follow = False  # go to the newest event when the source stands still
        self._hope: tuple[Wanted, str] | None = None  # what the machine was made to run on to, in words
        self._due = 0.0  # events that running owes
        self._look: tuple[int, Look] | None = None
        self._last = 0  # the process whose event it was before
        self._met = 0  # processes that have got their letters
        self._search: Iterator[int] | None = None
        self._whole = False  # a trace was read to its end

    # Now

    @property
    def at(self) -> int:
        """How many events have happened at the moment that is shown."""
        return self.history.at

    @property
    def event(self) -> Event | None:
        """The last of them."""
        return self.history.events[self.at - 1] if self.at else None

    @property
    def newest(self) -> int:
        """How many events there are so far."""
        return len(self.history)

    def look(self) -> Look:
        """The moment, for pictures."""
        if self._look is None or self._look[0] != self.at:
            self._look = self.at, Look(self.history.model, self.owners)
        return self._look[1]

    def process(self) -> int:
        """The process whose memory is shown: the one that was chosen, that of the event, or one that there is."""
        places = self.history.model.places.now
        if self.pid is not None:
            return self.pid
        ev = self.event
        if ev is not None and ev.pid in places:
            return ev.pid
        if self._last in places:
            return self._last
        return min(places, default=0)

    def lacking(self) -> str:
        """Which kinds of events a trace lacks, and how one has them; "" if none, or while it is read."""
        if self.source.live or not self.source.ended or not self.newest:
            return ""
        lacking = missing(self.index.tally)
        if not lacking:
            return ""
        told = f"This trace has no events of these kinds, so what they tell is not known: {', '.join(lacking)}."
        return f"{told} trace -e %all --format json records all."

    # Which events are listed

    def listed(self) -> int:
        """How many there are."""
        return self.newest if self.all else len(self.index.told)

    def position(self, row: int) -> int:
        """Where the listed event with that number happened."""
        return row + 1 if self.all else self.index.told[row]

    def row(self) -> int:
        """The number of the last listed event that has happened, -1 if none has."""
        return self.at - 1 if self.all else bisect_right(self.index.told, self.at) - 1

    def wanted(self, ev: Event) -> bool:
        """Whether an event is listed."""
        return self.all or self.index.wanted(ev)

    # What has come

    def take(self, seconds: float = 0.02) -> bool:
        """Take in what the source has, for so long; whether there was anything, or a seek went on."""
        until = time.monotonic() + seconds
        items = self.source.items
        came = bool(items)
        n = 0
        while items:
            ev, found = items.popleft()
            self.history.append(ev)
            self.index.add(ev)
            if found is not None:
                self.found[len(self.history) - 1] = found
            n += 1
            if n % 64 == 0 and time.monotonic() > until:
                break
        for pid in self.index.pids[self._met :]:
            self.owners.meet(pid)
        self._met = len(self.index.pids)
        if self._follow and (came or self.source.still):
            self._follow = bool(items) or not self.source.still
            self.seek(self.newest)
            if not self._follow and self._hope is not None:
                wanted, what = self._hope
                if self.source.ended and not (self.newest and wanted(self.history.events[self.newest - 1])):
                    self._stay(f"No {what} came any more; this is the end.")
            came = True
        if self.source.ended and not self.source.live and not self._whole and not items:
            self._whole = came = True
            self.message = self.lacking()
        while self._search is not None and time.monotonic() < until:
            came = True
            passed = next(self._search, None)
            if passed is None:
                self._search = None
            else:
                self.message = f"searching: {passed:,} of {self.listed():,}"
        return self._travel(until) or came

    def open(self) -> None:
        """Begin to look where the program is executed; where a trace does not tell that, at its beginning."""
        self.take(1)
        execs = self.index.classes.get("proc exec")
        if execs:
            said = self.message
            self.seek(execs[0])
            self.message = said

    # Going about

    def seek(self, at: int) -> None:
        """Show the moment after so many events, as soon as that can be."""
        ev = self.event
        if ev is not None and ev.pid in self.history.model.places.now:
            self._last = ev.pid
        self.message = ""
        self._search = None
        self.target = min(max(at, 0), self.newest)
        self._travel(time.monotonic() + 0.05)

    def _travel(self, until: float) -> bool:
        """Go on towards the target, until then; whether there was one."""
        if self.target is None:
            return False
        while self.at != self.target:
            on = self.target > self.at
            self.history.seek(min(self.target, self.at + PIECE) if on else max(self.target, self.at - PIECE))
            if time.monotonic() > until:
                break
        if self.at == self.target:
            self.target = None
        return True

    def step(self, n: int = 1) -> None:
        """Go n listed events on, or back."""
        self.running = False
        self._step(n)

    def _step(self, n: int) -> None:
        row = self.row() + n
        if n < 0 and self.row() >= 0 and self.position(self.row()) < self.at:
            row += 1  # one stands between two of them
        if row < 0 and self.at == 0:
            self._stay("This is the beginning.")
        elif row < 0:
            self.seek(0)
        elif row < self.listed():
            self.seek(self.position(row))
        else:
            self._on(self.wanted, row - self.listed() + 1)

    def fault(self, forward: bool = True) -> None:
        """Go to the next page fault, or back to the last one."""
        self._jump(self.index.faults, forward, lambda ev: isinstance(ev, FaultEvent), "page fault")

    def same(self, forward: bool = True) -> None:
        """Go to the next event of the class of this one, or back to the last one."""
        ev = self.event
        if ev is None:
            self._stay("No event has happened yet.")
            return
        cls = classof(ev)
        self._jump(self.index.classes[cls], forward, lambda ev: classof(ev) == cls, cls)

    def _jump(self, places: array[int], forward: bool, wanted: Wanted, what: str) -> None:
        self.running = False
        at = after(places, self.at) if forward else before(places, self.at)
        if at is not None:
            self.seek(at)
        elif not forward:
            self._stay(f"There is no {what} before this.")
        elif self.source.ended or not self.source.live:
            self._stay(f"There is no {what} after this." if self.source.ended else f"No {what} was read yet.")
        else:
            self._on(wanted, 1, what)

    def _on(self, wanted: Wanted | None, n: int, what: str = "event that is listed") -> None:
        """Beyond the newest event."""
        source = self.source
        if not source.live or source.ended:
            self.running = False
            if self.at < self.newest:
                self.seek(self.newest)
            self._stay("This is the end." if source.ended else "This is all that was read yet.")
        elif source.still:
            self.message = ""
            self._follow = True
            self._hope = None if wanted is None else (wanted, what)
            source.go(wanted, n)

    def start(self) -> None:
        """Go to where nothing has happened."""
        self.running = self._follow = False
        self.seek(0)

    def end(self) -> None:
        """Go to the newest event; from there on, run to the end."""
        if self.at < self.newest:
            self.running = False
            self.seek(self.newest)
        elif not self.source.live or self.source.ended:
            self._stay("This is the end.")
        else:
            self._on(None, 1)

    def run(self) -> None:
        """Run, or stop."""
        if self.running or (self.source.live and not self.source.still):
            self.stop()
        else:
            self.running = True
            self._due = 1.0

    def stop(self) -> None:
        """Stand still."""
        self.running = False
        self.target = self._search = None
        if self.source.live and not self.source.still:
            self.source.pause()

    def tick(self, seconds: float) -> None:
        """While running: so much of the host's time has passed."""
        if not self.running or self.target is not None or self._follow:
            return
        speed = SPEEDS[self.speed]
        if speed == 0:
            if self.at == self.newest:
                self._on(None, 1)
            else:
                self.seek(self.newest)
            return
        self._due = min(self._due + seconds * speed, speed)
        n = int(self._due)
        if n:
            self._due -= n
            self._step(n)

    def faster(self, by: int) -> None:
        """Another speed."""
        self.speed = min(max(self.speed + by, 0), len(SPEEDS) - 1)

    def pace(self) -> str:
        """The speed, in words."""
        speed = SPEEDS[self.speed]
        return f"{speed:,}/s" if speed else "as fast as it goes"

    # Choosing

    def choose(self, by: int) -> None:
        """Show the memory of the next process that has some, or of the one before; after the last, of the event's."""
        pids = sorted(self.history.model.places.now)
        if not pids:
            self.pid = None
            return
        ring = [None, *pids]
        here = ring.index(self.pid) if self.pid in ring else 0
        self.pid = ring[(here + by) % len(ring)]

    def search(self, words: str, line: Callable[[int], str]) -> None:
        """Go to the next listed event whose line has these words in it; after the last one from the first on."""
        self.running = False
        self._search = self._searching(words.lower(), line)

    def _searching(self, words: str, line: Callable[[int], str]) -> Iterator[int]:
        n = self.listed()
        here = self.row()
        for i in range(n):
            row = (here + 1 + i) % n
            if words in line(self.position(row) - 1).lower():
                self.seek(self.position(row))
                return
            yield i
        self._stay(f"No event that there is yet has {words!r} in it.")

    def life(self, frame: int) -> list[tuple[int, Event]]:
        """What has happened to a frame until this moment."""
        return self.history.life(frame)

    def _stay(self, why: str) -> None:
        self.message = why
