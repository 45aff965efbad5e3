"""A run that stands still at its events, so that the caller can look.

The run is a greenlet; a sink is called in it, or in a greenlet of one of the machine's processes, and switches to
whoever asked for the next event. Frames of Unicorn lie on the stacks that are left behind. Greenlet puts these aside
and back to the same place before anything on them goes on; each engine has its jump buffers on the heap of its own,
and nobody looks at them meanwhile. What our own extensions note of the emulation that goes on in a thread is put aside
too. So any number of machines may stand still at once, in any order.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from greenlet import getcurrent, greenlet

from emu.machine.lib import lib

if TYPE_CHECKING:
    from emu.machine.signals import Signals
    from kernel.base.event import Event

T = TypeVar("T")


class Abandoned(BaseException):
    """Ends a run whose events nobody wants any more."""


class Stepper(Generic[T]):
    """Runs ``run`` from one call of its sink to the next."""

    def __init__(self, run: Callable[[], T], signals: Signals) -> None:
        self.result: T | None = None
        self._run = run
        self._signals = signals
        self._lib = lib()
        self._error: BaseException | None = None
        self._runner = greenlet(self._body)
        self._standing = self._runner  # whom to go on with
        self._caller = getcurrent()
        self._thread = threading.get_ident()
        self._abandoned = False

    def sink(self, ev: Event) -> None:
        """In the run: stand still at an event."""
        if self._abandoned:
            return
        self._standing = getcurrent()
        noted = self._lib.noted()
        try:
            with self._signals.away():
                self._caller.switch(ev)
        finally:
            self._lib.renote(noted)

    def next(self) -> Event | None:
        """Run to the next event; None if there is none, and ``result`` is there. Raises what the run raises."""
        if self._runner.dead:
            return None
        if threading.get_ident() != self._thread:
            raise RuntimeError("a machine goes on in the thread that it began in, and in no other")
        self._caller = self._runner.parent = getcurrent()
        noted = self._lib.noted()
        ev: Event | None = self._standing.switch()
        self._lib.renote(noted)
        if not self._runner.dead:
            return ev
        error, self._error = self._error, None
        if error is not None:
            raise error
        return None

    def close(self) -> None:
        """End the run where it stands. In another thread than its own, and when Python ends, this does nothing."""
        if sys.is_finalizing() or not self._runner or threading.get_ident() != self._thread:
            return
        self._abandoned = True
        self._caller = self._runner.parent = getcurrent()
        noted = self._lib.noted()
        self._standing.throw(Abandoned)
        self._lib.renote(noted)

    def _body(self) -> None:
        try:
            self.result = self._run()
        except Abandoned:
            pass
        except BaseException as e:  # noqa: BLE001 next() raises it
            self._error = e
