"""The host's clock as the machine's: ``--clock real``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from emu.machine.counter import NS_PER_BLOCK
from emu.machine.cpu import Cpu
from emu.machine.values import number

if TYPE_CHECKING:
    from emu.machine.journal import Journal
    from emu.machine.regs import Regs
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


class Stepclock:
    """Another clock, looked at in steps that a journal keeps: between two of them time stands still.

    So it does not matter who asks for the time besides the machine, as a trace does.
    """

    def __init__(self, clock: Clock, journal: Journal) -> None:
        self._clock = clock
        self._journal = journal
        self._now = 0
        self.epoch = journal.ask("epoch", [], lambda: clock.epoch, number)

    def now(self) -> int:
        """ns since the start, at the last step."""
        return self._now

    def step(self) -> int:
        """ns since the start; never goes back."""
        self._now = self._journal.time(self._clock.now)
        return self._now

    def wait(self, signals: Signals, source: Input | None, ns: int | None) -> bool:
        """As the other clock."""
        return self._clock.wait(signals, source, ns)


class Realcpu(Cpu):
    """A processor whose time is the host's. What virtual time charges for, takes what it takes.

    Counted blocks only see to it that run() comes back in time; if it is early the machine runs it again.
    """

    def __init__(self, *args: Any, clock: Clock, **kwargs: Any) -> None:
        self._clock = clock.now
        self._step = clock.step if isinstance(clock, Stepclock) else clock.now
        super().__init__(*args, **kwargs)

    def now(self) -> int:
        """Time of all processors, ns since the start."""
        return self._clock()

    def spend(self, ns: int) -> int:
        """Nothing: host time passes by itself."""
        return self._step()

    def setuntil(self, ns: int) -> None:
        """Let run() return True after as many blocks as the time until ns may hold, and after some in any case."""
        self._until = ns
        self._blocks[0] = max(LEAST, (ns - self.now()) // NS_PER_BLOCK)

    def _rdtsc(self, regs: Regs) -> None:
        self._step()
        super()._rdtsc(regs)
