"""The host's clock as the machine's: ``--clock real``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from emu.machine.counter import NS_PER_BLOCK
from emu.machine.cpu import Cpu

if TYPE_CHECKING:
    from emu.machine.signals import Input, Signals

LEAST: Final = 1000  # blocks; on a slow host the next tick is due before the last one was served


class Clock(Protocol):
    """A clock that the machine follows, instead of making its own time."""

    epoch: int

    def now(self) -> int:
        """ns since the start; never goes back."""

    def wait(self, signals: Signals, source: Input | None, ns: int | None) -> bool:
        """Let ns pass, or any time if None: True if source can be read before, False too if a signal came."""


class Hostclock:
    """Nanoseconds since the machine was switched on, and the time of day that it was then."""

    def __init__(self) -> None:
        self.epoch = time.time_ns()
        self._start = time.monotonic_ns()

    def now(self) -> int:
        """ns since the start; never goes back."""
        return time.monotonic_ns() - self._start

    def wait(self, signals: Signals, source: Input | None, ns: int | None) -> bool:
        """The host sleeps."""
        return signals.wait(source, ns)


class Realcpu(Cpu):
    """A processor whose time is the host's. What virtual time charges for, takes what it takes.

    Counted blocks only see to it that run() comes back in time; if it is early the machine runs it again.
    """

    def __init__(self, *args: Any, clock: Callable[[], int], **kwargs: Any) -> None:
        self._clock = clock
        super().__init__(*args, **kwargs)

    def now(self) -> int:
        """Time of all processors, ns since the start."""
        return self._clock()

    def spend(self, ns: int) -> int:
        """Nothing: host time passes by itself."""
        return self._clock()

    def setuntil(self, ns: int) -> None:
        """Let run() return True after as many blocks as the time until ns may hold, and after some in any case."""
        self._until = ns
        self._blocks[0] = max(LEAST, (ns - self.now()) // NS_PER_BLOCK)
