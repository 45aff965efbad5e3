"""Where one stands in a run, and the ways to go: on by events, back, to a time, to the end.

What has happened so far is a History. Going back, and forward again, is going about in that; beyond the newest event
a machine is made to run on, and waited for.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from emu.observe.model.history import History
from emu.program.symbols import Found
from emu.session.live import Live
from emu.session.past import NoPast
from kernel.base.event import Event, ProcEvent

if TYPE_CHECKING:
    from emu.machine.machine import Machine
    from emu.session.recorded import Recorded
    from emu.session.source import Wanted

T = TypeVar("T")

POLL: Final = 0.02  # s between two looks at what a machine that runs has told


class NotHere(Exception):
    """A question that cannot be answered where one stands. str() says why."""


class Place:
    """A run that is gone about in. ``write`` gets what the program writes, when it has been taken in."""

    def __init__(self, source: Live | Recorded, write: Callable[[bytes], None] = lambda data: None) -> None:
        self.source = source
        self.history = History()
        self.found: dict[int, Found] = {}  # what is known of the pc of the event with that number
        self.interrupted = False  # the last way was ended before its end
        self.waiting = False  # for the source, right now
        self._write = write
        self._written: deque[bytes] = deque()
        self._stopped = threading.Event()
        source.onstop = self._stopped.set
        if isinstance(source, Live):
            source.onwrite = self._written.append

    # Now

    @property
    def at(self) -> int:
        """How many events have happened at the moment where one stands."""
        return self.history.at

    @property
    def newest(self) -> int:
        """How many events there are so far."""
        return len(self.history)

    @property
    def event(self) -> Event | None:
        """The last event that has happened."""
        return self.history.events[self.at - 1] if self.at else None

    @property
    def ended(self) -> bool:
        """One stands at the newest event, and no more will come."""
        return self.at == self.newest and self.source.ended

    def name(self, pid: int) -> str:
        """``cow[3]``."""
        p = self.history.model.processes.now.get(pid)
        return f"{p.name if p is not None and p.name else '?'}[{pid}]"

    def current(self) -> int:
        """The process whose event it was, or else the one that was made last of those that have memory."""
        places = self.history.model.places.now
        for i in range(self.at - 1, max(self.at - 1000, -1), -1):
            pid = self.history.events[i].pid
            if pid in places:
                return pid
        return max(places, default=0)

    def ask(self, question: Callable[[Machine], T]) -> T:
        """What the machine itself answers, or answered: at a past event a copy of it, which question and answer go to.

        Raises NotHere where there is no machine to ask, and what the question raises.
        """
        source = self.source
        if not isinstance(source, Live):
            raise NotHere("a recorded trace has no machine to ask; here only what events tell")
        if self.at == self.newest and not source.ended:
            return source.ask(question)
        if not self.at:
            raise NotHere("the machine is not switched on yet")
        try:
            return source.askpast(self.at, question)
        except NoPast as e:
            raise NotHere(f"{e}; here only what events tell") from None

    def held(self) -> str:
        """Why going on would do nothing; "" if it would."""
        return " ".join(self.source.troubles())

    def interrupt(self) -> None:
        """From a signal handler: end the way, as soon as that can be."""
        self.interrupted = True
        if isinstance(self.source, Live):
            self.source.halt()

    # Ways

    def open(self) -> None:
        """Begin where the program is executed; where a trace does not tell that, at its beginning."""
        self._wait()
        events = self.history.events
        self.history.seek(next((i + 1 for i, ev in enumerate(events) if _executed(ev)), 0))

    def seek(self, at: int) -> None:
        """Stand where so many events have happened, of those there are."""
        self.history.seek(min(max(at, 0), self.newest))

    def forward(self, wanted: Wanted, n: int = 1) -> int:
        """Go to the n-th wanted event from here on, or to the end; how many of them were met."""
        self.interrupted = False
        met = 0
        events = self.history.events
        for i in range(self.at, self.newest):
            if wanted(events[i]):
                met += 1
                if met == n:
                    self.seek(i + 1)
                    return met
        before = self.newest
        self._go(wanted, n - met)
        for i in range(before, self.newest):
            met += wanted(events[i])
        self.seek(self.newest)
        return met

    def backward(self, wanted: Wanted, n: int = 1) -> int:
        """Go back to the n-th wanted event before this one, or to the beginning; how many were met."""
        met = 0
        for i in range(self.at - 2, -1, -1):
            if wanted(self.history.events[i]):
                met += 1
                if met == n:
                    self.seek(i + 1)
                    return met
        self.seek(0)
        return met

    def end(self) -> None:
        """Go on until nothing more happens."""
        self.interrupted = False
        self._go(None, 1)
        self.seek(self.newest)

    def time(self, ns: int) -> None:
        """Stand after all events until a time."""
        self.interrupted = False
        events = self.history.events
        if not events or events[-1].ns <= ns:
            self._go(lambda ev: ev.ns > ns, 1, ns)
        late = next((i for i, ev in enumerate(events) if ev.ns > ns), self.newest)
        self.seek(late)

    def _go(self, wanted: Wanted | None, n: int, ns: int | None = None) -> None:
        if isinstance(self.source, Live) and not self.source.ended:
            self._stopped.clear()
            self.source.go(wanted, n, ns)
        self._wait()

    def _wait(self) -> None:
        """Take in what happens, until the source stands still."""
        self.waiting = True
        try:
            while True:
                still = self.source.still
                self._take()
                if still:
                    return
                self._stopped.wait(POLL)
        finally:
            self.waiting = False

    def _take(self) -> None:
        items = self.source.items
        while items:
            ev, found = items.popleft()
            self.history.append(ev)
            if found is not None:
                self.found[self.newest - 1] = found
        while self._written:
            self._write(self._written.popleft())


def _executed(ev: Event) -> bool:
    return isinstance(ev, ProcEvent) and ev.op == "exec"
