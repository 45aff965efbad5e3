"""Where a run is, exact to the instruction, and what is looked for on the way to there.

Positions are ordered as they come. ``n`` counts the times that the kernel was entered, by a trap or by the machine's
loop. Behind it a process is in user mode on one processor, where the block is told by that processor's place, which
each block moves on, and the instruction by its address: within a block they ascend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from emu.debug.stops import Catch, Stop
from kernel.base.record import field, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kernel.base.event import Event

KERNEL, USER, OVER = 0, 1, 2
BLOCK: Final = 10  # that a block moves a place on: where time is virtual, ns
# What is told where the kernel is, in the order in which that comes
ENTRY, BIRTH, EXEC, RETURN, BROKEN, GONE, CHANGED = range(7)


class Position(NamedTuple):
    """In the kernel: faults so far, rank and pid of what is told. In user mode: place and pc. OVER: behind both."""

    n: int
    phase: int = KERNEL
    a: int = 0
    b: int = -1
    c: int = 0


@record
class Settings:
    """What a debugger has set, to be taken over by a copy of the machine or from it."""

    breaks: dict[tuple[int, int], set[str]] = field(default_factory=dict)
    watches: list[tuple[str, int, int, int]] = field(default_factory=list)
    catch: Catch = field(default_factory=Catch)
    left: set[int] = field(default_factory=set)  # processes that are not to be looked at
    known: set[int] = field(default_factory=set)  # that the client has heard of
    server: Any = None


@record
class Goal:
    """What is gone to by ``monitor goto``: a time, or the event that is the ``left``-th from here on of some.

    Nothing else stops the machine meanwhile. ``text`` is what was typed.
    """

    text: str
    ns: int | None = None
    expr: str = ""
    left: int = 0
    _wanted: Any = field(default=None, compare=False, repr=False)  # whether an event is one of them

    @property
    def missed(self) -> str:
        """That there is nothing beyond, in words."""
        return f"{self.text} did not come"

    def met(self, ev: Event) -> bool:
        """An event happens: whether it is the one."""
        self.left -= self.counted([ev])
        return self.left == 0

    def counted(self, events: Iterable[Event]) -> int:
        """How many of the events are such as are gone by."""
        if self._wanted is None:
            from emu.observe.filter import select

            self._wanted = select([self.expr])
        wanted: Callable[[Event], bool] = self._wanted
        return sum(map(wanted, events))

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return Goal, (self.text, self.ns, self.expr, self.left)


STAND, SEARCH, EDGE = "stand", "search", "edge"


@record
class Aim:
    """A position that a copy goes on to, and what it does before.

    STAND: it stands still there, as ``why`` says. SEARCH: it notes what it would have stopped for. EDGE: it goes on as
    any machine, but behind that others go on.

    With ``step`` a SEARCH notes each instruction of that process alone, from ``begin`` on.
    """

    do: str
    at: Position
    why: Stop | None = None
    step: int = 0
    begin: Position | None = None


@record
class Found:
    """What a search came to: the last stop before its end, and where the process that steps was last in user mode."""

    at: Position | None = None
    why: Stop | None = None
    last: Position | None = None
