"""Going back: the copies of the machine that gdb's server keeps, and what they are woken for.

The machine itself stays where it is, at the edge, with the program's input and output and gdb's line. A copy that
stands in the past answers gdb in its place, packet by packet, until it is wanted elsewhere or comes to the edge.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NoReturn

from emu.debug.changes import Change
from emu.debug.position import BLOCK, EDGE, OVER, SEARCH, STAND, USER, Aim, Found, Goal, Position, Settings
from emu.debug.stops import End, Plan, Stop
from emu.debug.way import Way
from emu.machine.checkpoints import Checkpoint, Checkpoints
from emu.machine.journal import Entry, Journal
from emu.machine.sleeper import Channel
from kernel.base.record import constant

if TYPE_CHECKING:
    from collections.abc import Callable

    from emu.debug.session import Session

WINDOW: Final = 3 * BLOCK  # ns before a position in which the instruction before it is looked for first
NOBEGIN: Final = ("replaylog", "begin")


@constant
class Request:
    """gdb wants to be elsewhere: ``what`` is bs, bc or goto, from ``at``."""

    what: str
    at: Position
    pid: int
    settings: Settings
    goal: Goal | None = None


@constant
class Arrived:
    """A copy has come to the edge, and would go on by that plan, or stop there for a reason."""

    settings: Settings
    plan: Plan
    why: Stop | End | None
    goal: Goal | None


@constant
class Task:
    """What a copy is woken for."""

    aim: Aim
    edge: Position
    settings: Settings
    goal: Goal | None
    entries: list[Entry]
    changes: list[Change]


class Lost(Exception):
    """A copy that was wanted is gone."""


class Past:
    """Implements emu.debug.client.Keeper. ``became`` is called in a copy, with the way to who has woken it, and
    ``settings`` when it has come to the edge.

    Where a ``journal`` gives the whole run back, copies have that too, and need no other.
    """

    def __init__(self, journal: Journal | None = None) -> None:
        self._log: list[Entry] = []
        self.journal = journal or Journal(self._log.append)  # for the machine
        self.changes: list[Change] = []  # that the debugger has made
        self.points = Checkpoints()
        self.became: Callable[[Channel, Settings], None] = lambda channel, settings: None
        self.settings: Callable[[], Settings] = Settings  # those that a copy has in the end

    # Where the machine runs

    def due(self) -> bool:
        """As of Keeper."""
        return self.points.due()

    def leave(self, session: Session) -> None:
        """As of Keeper."""
        self.journal.flush()
        at = session.here, len(self._log), session.time(), len(self.changes)
        channel = self.points.take(at, session.machine.outside())
        if channel is None:
            return
        try:
            task: Task = channel.receive()
        except EOFError:
            os._exit(0)
        session.keeper = None
        session.machine.woken(task.entries)
        self.became(channel, task.settings)

        def tell(message: Any) -> NoReturn:
            try:
                channel.send(message)
            except EOFError:
                pass
            os._exit(0)

        def arrived(why: Stop | End | None) -> NoReturn:
            tell(Arrived(self.settings(), session.plan, why, session.goal))

        session.way = Way(session, task.aim, task.edge, deque(task.changes), tell, arrived)
        session.goal = task.goal
        session.take(task.settings)
        session.way.passes(session.here, None)

    def close(self) -> None:
        """As of Keeper."""
        self.points.close()

    # What copies are woken for

    def wake(
        self, point: Checkpoint, aim: Aim, edge: Position, settings: Settings, goal: Goal | None = None
    ) -> Channel:
        """Let a copy go on from there. Raises Lost."""
        self.journal.flush()
        try:
            channel = point.sleeper.wake()
            channel.send(Task(aim, edge, settings, goal, self._log[point.at[1] :], self.changes[point.at[3] :]))
        except EOFError:
            raise Lost from None
        return channel

    def find(self, request: Request, edge: Position, wait: Callable[[Channel], Any]) -> tuple[Position, Stop] | None:
        """Where to stop on the way back; None if there is nothing to stop for. ``wait`` is for a copy's answer."""
        if request.what == "bs":
            return self._stepped(request, edge, wait)
        limit = request.at
        while (point := self.before(limit)) is not None:
            found = self._search(point, Aim(SEARCH, limit), request, edge, wait)
            if found.at is not None and found.why is not None:
                return found.at, found.why
            limit = point.at[0]
        return None

    def _stepped(
        self, request: Request, edge: Position, wait: Callable[[Channel], Any]
    ) -> tuple[Position, Stop] | None:
        """The instruction before; where that is in an earlier stretch in user mode, it is looked for there."""
        limit = request.at
        begin = Position(limit.n, USER, max(limit.a - WINDOW, 0)) if limit.phase == USER else None
        while (point := self.before(limit)) is not None:
            aim = Aim(SEARCH, limit, None, request.pid, begin)
            found = self._search(point, aim, request, edge, wait)
            if found.at is not None and found.why is not None:
                return found.at, found.why
            last = found.last
            if last is not None and (last.n, OVER) != limit[:2]:
                limit, begin = Position(last.n, OVER), Position(last.n, USER, max(last.a - WINDOW, 0))
            elif limit.phase == OVER:  # there it only went on with an instruction that had faulted
                limit, begin = Position(limit.n), None
            else:
                limit, begin = point.at[0], None
        return None

    def _search(
        self, point: Checkpoint, aim: Aim, request: Request, edge: Position, wait: Callable[[Channel], Any]
    ) -> Found:
        channel = self.wake(point, aim, edge, request.settings)
        try:
            answer = wait(channel)
        except EOFError:
            raise Lost from None
        finally:
            channel.close()
        if not isinstance(answer, Found):
            raise Lost
        return answer

    def stand(self, at: Position, why: Stop, edge: Position, settings: Settings) -> Channel:
        """A copy that goes on to a position and stands there. Raises Lost."""
        point = self.before(at, itself=True)
        if point is None:
            raise Lost
        return self.wake(point, Aim(STAND, at, why), edge, settings)

    def goto(self, goal: Goal, edge: Position, settings: Settings, early: int) -> Channel:
        """A copy that goes on to a goal; of its events ``early`` were before the program began. Raises Lost."""
        points = self.points.all
        point = points[0]
        if goal.ns is not None:
            point = next((c for c in reversed(points) if c.at[2] < goal.ns), point)
        else:
            goal.left -= early
        return self.wake(point, Aim(EDGE, edge), edge, settings, goal)

    def before(self, at: Position, itself: bool = False) -> Checkpoint | None:
        """The last copy before a position, or there ``itself``."""
        return next((c for c in reversed(self.points.all) if c.at[0] < at or (itself and c.at[0] == at)), None)

    @property
    def first(self) -> Position:
        """As far back as one can go."""
        at: Position = self.points.all[0].at[0]
        return at
