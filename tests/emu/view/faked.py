"""Events that a session is fed with, and a source that gives them when it is asked."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from emu.observe.filter import DEFAULT
from emu.program.symbols import Found
from emu.session.source import Item, Wanted
from emu.view.session import Session
from kernel.base.event import Event


class Source:
    """A source without a thread: what is asked for is there at once."""

    def __init__(self, events: Iterable[Event], live: bool = True) -> None:
        self.rest = deque(events)
        self.items: deque[Item] = deque()
        self.live = live
        self.still = True
        self.onstop: Callable[[], None] = lambda: None
        self.asked = 0
        self.paused = False
        self.closed = False
        self.said: list[str] = []
        self.written = ""
        if not live:
            self.go()

    @property
    def ended(self) -> bool:
        return not self.rest

    def go(self, wanted: Wanted | None = None, n: int = 1) -> None:
        self.asked += 1
        while self.rest:
            ev = self.rest.popleft()
            self.items.append(Item(ev, Found("main+0x1", b"\x90", None) if ev.kind == "fault" else None))
            n -= wanted is not None and wanted(ev)
            if n == 0:
                return

    def pause(self) -> None:
        self.paused = True

    def state(self) -> str:
        return "ended well" if self.ended else "stands still"

    def troubles(self) -> list[str]:
        return self.said

    def output(self, at: int) -> str:
        return self.written

    def close(self) -> None:
        self.closed = True


def of(kinds: frozenset[str] = DEFAULT) -> Wanted:
    """Events of these kinds are listed."""
    return lambda ev: ev.kind in kinds


def session(events: Iterable[Event], live: bool = False, kinds: frozenset[str] = DEFAULT) -> Session:
    """A session that has taken in what there is."""
    s = Session(Source(events, live), of(kinds))
    s.take(10)
    return s


def goto(s: Session, at: int) -> None:
    """Go there, however long it takes."""
    s.seek(at)
    while s.target is not None:
        s.take(10)
