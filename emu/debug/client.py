"""Who is told of where a machine stands still, and who keeps copies of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from emu.debug.stops import End, Plan, Stop

if TYPE_CHECKING:
    from kernel.base.event import Event


class Client(Protocol):
    """Who is told."""

    forks: bool
    execs: bool

    def stopped(self, why: Stop | End) -> Plan | None:
        """The machine stands still; how to go on. None: nobody is interested any more. May raise to end the run."""

    def interrupted(self) -> bool:
        """Whether the client wants the machine to stop. To be asked often."""


class Keeper(Protocol):
    """Who leaves copies of the machine behind."""

    def due(self) -> bool:
        """Whether there should be one."""

    def leave(self, session: Any) -> None:
        """Leave one; in a copy this returns when it is to go on, with the session's ``way``."""

    def close(self) -> None:
        """Nobody wants them any more."""


def nothing(ev: Event) -> None:
    """Takes events that nobody wants."""
