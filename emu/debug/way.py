"""The way of a copy of the machine: to a position where it stands still, or on in search of what it would stop for."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NoReturn, Protocol

from emu.debug.changes import Change, make
from emu.debug.position import BLOCK, EDGE, KERNEL, SEARCH, STAND, USER, Aim, Found, Position
from emu.debug.stops import End, Stop
from kernel.base.record import record

if TYPE_CHECKING:
    from emu.debug.machine import DebugMachine
    from emu.debug.watches import Watches
    from emu.machine.probe import Probed
    from kernel.base.procdat import Proc


class Walker(Protocol):
    """What a way needs of emu.debug.session.Session."""

    machine: DebugMachine
    watches: Watches
    n: int
    way: Way | None

    def wants(self, cpu: Probed, p: Proc, pc: int, again: bool) -> Stop | None:
        """Why to stand still before an instruction."""

    def stand(self, why: Stop | End, at: Position) -> None:
        """Stand still."""

    def look(self) -> None:
        """Set hooks for what is wanted."""


@record
class Stretch:
    """A process in user mode on a processor, since a time."""

    n: int
    pid: int
    cpu: Probed
    since: int


class Way:
    """What a Session asks while it is a copy's. ``edge`` is where other copies, or the machine itself, go on.

    ``found`` is told what a search came to; ``arrived`` that the edge is there, with why the machine stops there.
    """

    def __init__(
        self,
        session: Walker,
        aim: Aim,
        edge: Position,
        changes: deque[Change],
        found: Callable[[Found], NoReturn],
        arrived: Callable[[Stop | End | None], NoReturn],
    ) -> None:
        self.near = False  # each instruction may be the one
        self.why: Stop | None = None
        self._session = session
        self._aim = aim
        self._edge = edge
        self._changes = changes
        self._found = Found()
        self._tellfound, self._tellarrived = found, arrived
        self._stretch: Stretch | None = None
        for cpu in session.machine.probes:
            cpu.remember = aim.do == SEARCH

    @property
    def quiet(self) -> bool:
        """Nobody is told of what happens."""
        return self._aim.do != EDGE

    @property
    def blind(self) -> bool:
        """It does not matter what the machine would stop for."""
        return self._aim.do == STAND or self._aim.step != 0

    # In the kernel

    def passes(self, at: Position, why: Stop | End | None) -> bool:
        """The machine is at a position, and would stop there as told; whether it is none of the client's affairs."""
        aim = self._aim
        if at >= aim.at:
            if aim.do == STAND:
                self._stand()
                assert aim.why is not None
                self._session.stand(aim.why, at)
            else:
                self._over(why if at == aim.at else None)
            self.changed(at)
            return True
        if self.quiet or why is None:  # else it may stand still first
            self.changed(at)
        if aim.do == SEARCH and not aim.step and isinstance(why, Stop):
            # what the kernel itself has changed, was not changed yet when it was entered
            changed = why.what is not None and why.what[0] in ("watch", "awatch", "rwatch")
            self._note(Position(at.n) if changed else at, why)
        return self.quiet

    def ends(self, n: int) -> bool:
        """Whether that is in the kernel, where it was entered for the n-th time."""
        ats = [self._aim.at, *(c.at for c in self.due())]
        return any(at.n == n and at.phase == KERNEL for at in ats)

    def due(self) -> Iterable[Change]:
        """What the debugger has changed next."""
        return itertools.islice(self._changes, 1)

    def changed(self, at: Position) -> bool:
        """Whether something was changed there, by the debugger: then it is changed again."""
        was = len(self._changes)
        while self._changes and self._changes[0].at <= at:
            make(self._session.machine, self._changes.popleft())
        if len(self._changes) == was:
            return False
        self._session.watches.refresh()
        return True

    def leaves(self) -> None:
        """The kernel is entered: whoever was in user mode is not any more."""
        was, self._stretch = self._stretch, None
        if was is not None and was.pid == self._aim.step and was.cpu.place() > was.since:
            self._found.last = Position(was.n, USER, was.cpu.place())

    def until(self, cpu: Probed) -> int | None:
        """A process goes to user mode; the place that it is to be stopped at, as of Probed.mark()."""
        session, aim = self._session, self._aim
        p = session.machine.kernel.machs[cpu.machno].proc
        self._stretch = Stretch(session.n, p.pid if p is not None else 0, cpu, cpu.place())
        steps = aim.begin is not None and Position(session.n) > aim.begin
        if self.near != steps:
            self.near = steps
            session.look()
        ats = aim.begin, aim.at, *(c.at for c in self.due())
        times = [to.a for to in ats if to is not None and to.phase == USER and to.n == session.n]
        return min(times) - BLOCK if times else None

    def comes(self) -> None:
        """It is there."""
        self.near = True

    # In user mode

    def decides(self, cpu: Probed, p: Proc, at: Position, again: bool) -> bool:
        """Before an instruction: whether it is known what is to be done, to stop for ``why`` or not to stop."""
        aim, session = self._aim, self._session
        self.why = None
        searching = aim.do == SEARCH and not aim.step
        touch = session.watches.touched(cpu.touched, p.pid) if searching and cpu.touched else None
        if touch is not None:  # by the instruction before this one
            before = Position(at.n, USER, touch[1].place, touch[1].pc)
            why = session.wants(cpu, p, at.b, again)
            if why is not None and before < aim.at:
                self._note(before, why)
        if at >= aim.at:
            if aim.do == STAND:
                self.why = aim.why
                self._stand()
                return True
            self._over(session.wants(cpu, p, at.b, again) if at == aim.at and aim.do == EDGE else None)
        if aim.do == EDGE:
            return False
        if aim.step:
            if aim.begin is not None and at >= aim.begin and p.pid == aim.step and not again:
                self._note(at, Stop(p.pid))
        elif searching:
            cpu.touched.clear()
            why = session.wants(cpu, p, at.b, again)
            if why is not None:
                self._note(at, why)
        return True

    # What it comes to

    def _note(self, at: Position, why: Stop) -> None:
        self._found.at, self._found.why = at, why

    def _stand(self) -> None:
        """From here on it is a machine as any other, up to the edge."""
        self._session.way = Way(
            self._session, Aim(EDGE, self._edge), self._edge, self._changes, self._tellfound, self._tellarrived
        )

    def _over(self, why: Stop | End | None) -> NoReturn:
        if self._aim.do == SEARCH:
            self._tellfound(self._found)
        self._tellarrived(why)
