"""Where gdb's server is while gdb looks at the past: it finds the copy that is wanted, and lets it answer."""

from __future__ import annotations

from collections import deque
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, Protocol

from emu.debug.link import Gone
from emu.debug.packets import Wrong, thread
from emu.debug.past import NOBEGIN, Arrived, Lost, Past, Request
from emu.debug.relay import Aborted, answer, relay
from emu.debug.stops import SIGINT, Plan, Stop
from kernel.base.record import constant

if TYPE_CHECKING:
    from emu.debug.files import Files
    from emu.debug.link import Link
    from emu.debug.machine import DebugMachine
    from emu.debug.position import Position
    from emu.debug.rsp import Item
    from emu.debug.session import Session
    from emu.machine.sleeper import Channel

RELEASED: Final = "released"  # what a copy says: gdb is not interested any more


@constant
class Announced:
    """What a copy says: gdb was told of a file."""

    path: str | None
    name: str


class Killed(BaseException):
    """gdb has ended the program."""


class Host(Protocol):
    """What is needed of emu.debug.server.Server."""

    machine: DebugMachine
    session: Session
    link: Link | None
    past: Past | None
    files: Files

    def output(self, data: bytes) -> None:
        """Show on gdb's terminal."""

    def arrived(self, message: Arrived) -> tuple[bool, Plan | None]:
        """The machine goes on, or stops. Whether it goes on, and how."""


class Travel:
    """For one server."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def travel(self, request: Request, queue: deque[Item]) -> tuple[bool, Plan | None]:
        """Have copies answer gdb, until one comes to where the machine stands. As of Host.arrived()."""
        host = self._host
        edge = host.session.here
        message: Any = request
        while isinstance(message, Request):
            request = message
            stopped = Arrived(request.settings, Plan(), Stop(self._first, SIGINT), None)
            try:
                channel = self._woken(request, edge, queue)
                if isinstance(channel, Arrived):
                    message = channel
                else:
                    with closing(channel):
                        message = self._relay(channel, queue)
            except (Lost, EOFError):
                host.output(b"p9emu: a copy of the machine is gone: this is where the machine itself stands\n")
                message = stopped
            except Aborted:
                message = stopped
        if isinstance(message, Arrived):
            return host.arrived(message)
        host.session.release()
        return True, None

    @property
    def _first(self) -> int:
        return next(iter(self._host.session.attached), 0)

    def _woken(self, request: Request, edge: Position, queue: deque[Item]) -> Channel | Arrived:
        """A copy that goes where it is wanted; Arrived if that is beyond the edge, or there. Raises Lost, Aborted."""
        host, goal, settings = self._host, request.goal, request.settings
        past, link = host.past, host.link
        assert past is not None and link is not None
        first = host.machine.first
        pid = first.noteid if first is not None else 0
        begin = Stop(pid if pid not in settings.left else request.pid, what=NOBEGIN)
        found: tuple[Position, Stop] | None = None
        if goal is not None:
            early = goal.counted(host.session.early) if goal.ns is None else 0
            if goal.ns is not None and goal.ns >= host.session.time():
                return Arrived(settings, Plan(), None, goal)
            if goal.left > early and not past.points.all:  # this is the beginning
                goal.left -= early
                return Arrived(settings, Plan(), None, goal)
            if past.points.all and (goal.ns is not None or goal.left > early):
                return past.goto(goal, edge, settings, early)
        elif past.points.all:
            try:
                found = past.find(request, edge, lambda channel: answer(link, channel, queue))
            except Aborted:
                if request.at >= edge:
                    raise
                found = request.at, Stop(request.pid, SIGINT)
        if not past.points.all:
            return Arrived(settings, Plan(), begin, None)
        at, why = found or (past.first, begin)
        return past.stand(at, why, edge, settings)

    def _relay(self, channel: Channel, queue: deque[Item]) -> Any:
        host = self._host
        assert host.link is not None
        first = host.machine.first
        doomed = False

        def own(data: bytes) -> bytes | None:
            nonlocal doomed
            if data == b"k":
                raise Killed
            if data.startswith(b"vKill;"):  # one that is only looked at is looked at no more: what was stays
                try:
                    doomed = doomed or (first is not None and thread(b"p" + data[6:]) == first.noteid)
                except Wrong:
                    return b"E16"
                return b"OK"
            return host.files.answer(data) if data.startswith(b"vFile:") else None

        try:
            while True:
                message = relay(host.link, channel, queue, own)
                if doomed:
                    raise Killed
                if not isinstance(message, Announced):
                    return message
                host.files.announce(message.path, message.name)
        except Gone:
            if doomed:
                raise Killed from None
            raise
