"""The host's signals: Ctrl-C, the time limit, and requests to end.

A handler, or the thread that keeps the time limit where there are no handlers, only sets flags and has the processors
stop, for the machine's loop to look at. Two places may block the host: ``wait``, which a signal ends by itself, and
the writing of output, where what ends the run is raised.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final, Protocol

AGAIN: Final = 0.05  # s between two rings of the timer once the time is over
GRACE: Final = 20  # rings in which the machine may end by itself
TINY: Final = 1e-6  # s; a timer set to nothing would not ring
LONGEST: Final = 86_400_000_000_000  # ns of one wait: a day; poll takes no more than 24

ENDING: Final = (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM)


class TimeLimit(Exception):
    """Config.timeout is over (status 124)."""


class Ended(Exception):
    """A signal ended the run (status 128 and its number); SIGPIPE does so quietly."""

    def __init__(self, number: int) -> None:
        super().__init__("" if number == signal.SIGPIPE else f"ended by {signal.Signals(number).name}")
        self.status = 128 + number


class Input(Protocol):
    """What can be waited for."""

    fd: int


class Signals:
    """A context in which signals are caught, and ``timeout`` passes. It may be entered again, for what is left of that.

    In the ``foreground`` they are the machine's: Ctrl-C is the guest's, the second one ends the run unless they are
    ``passed`` on, each; who asks the process to end, ends the run. Otherwise Ctrl-C is the caller's and the rest is not
    touched. Outside the main thread no signal can be caught.
    """

    def __init__(
        self, stop: Callable[[], None], timeout: float | None, foreground: bool = True, passed: bool = False
    ) -> None:
        self.stop = stop  # have the processors return
        self.timeout = timeout
        self.left = timeout  # s
        self.foreground = foreground
        self.passed = passed
        self.interrupts = 0  # times that Ctrl-C was typed
        self.fatal: BaseException | None = None  # what is to end the run
        self.came = False  # the last wait was ended by a signal
        self.late = 0  # times that the timer has rung since
        self.onround: Callable[[], None] | None = None  # called whenever the machine's loop comes round
        self.also = -1  # what can be read there ends a wait, too
        self.net = -1  # likewise
        self.blocked = False  # in a call of the host's that may block: a handler may raise
        self._old: dict[int, Any] = {}
        self._oldwake = -1
        self._wake: tuple[int, ...] = ()
        self._main = True  # it was entered in the main thread
        self._over = threading.Event()  # the context is left
        self._timer: threading.Thread | None = None

    def __enter__(self) -> Signals:
        if threading.current_thread() is not threading.main_thread():
            self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            self._main = False
            if self.left is not None:
                self._over.clear()
                self._timer = threading.Thread(target=self._ring, args=(self.left,), daemon=True)
                self._since = time.monotonic()
                self._timer.start()
            return self
        self._main = True
        self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._oldwake = signal.set_wakeup_fd(self._wake[1], warn_on_full_buffer=False)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            self._old[signal.SIGINT] = signal.signal(signal.SIGINT, self._interrupt)
        for number in ENDING if self.foreground else ():  # one that is ignored, or that somebody else takes, stays so
            if signal.getsignal(number) is signal.SIG_DFL:
                self._old[number] = signal.signal(number, self._end)
        if self.left is not None:
            self._old[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._alarm)
            signal.setitimer(signal.ITIMER_REAL, self.left, AGAIN)
        return self

    def __exit__(self, *_exc: object) -> None:
        if not self._wake:
            return
        if self._timer is not None and self.left is not None:
            self._over.set()
            self._timer.join()
            self._timer = None
            self.left = max(self.left - (time.monotonic() - self._since), TINY)
        elif self._main:
            if signal.SIGALRM in self._old:
                self.left = max(signal.setitimer(signal.ITIMER_REAL, 0)[0], TINY)
            for number, old in self._old.items():
                signal.signal(number, old)
            self._old.clear()
            signal.set_wakeup_fd(self._oldwake)
        wake, self._wake = self._wake, ()
        for fd in wake:
            os.close(fd)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Leave the context and come back: what happens meanwhile is the caller's, and takes none of the time.

        Nothing where it was not entered: the first events come before.
        """
        if not self._wake:
            yield
            return
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()

    def leave(self) -> None:
        """In a copy of the process, which no signal reaches, and no time limit: what was set up is the other's."""
        self.foreground, self.left, self.also = False, None, -1
        self._timer = None
        self._old.clear()
        if self._wake:
            if self._main:
                signal.set_wakeup_fd(-1)
            for fd in self._wake:
                os.close(fd)
            self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._oldwake = -1

    def end(self, error: BaseException) -> None:
        """From another thread: have the run raise this, as soon as it comes round."""
        self.fatal = error
        self.stop()
        for fd in self._wake[1:]:
            with suppress(OSError):
                os.write(fd, b"!")

    def check(self) -> None:
        """Raise what is to end the run."""
        if self.fatal is not None:
            raise self.fatal
        if self.onround is not None:
            self.onround()

    def wait(self, source: Input | None, ns: int | None) -> bool:
        """Wait until source can be read: True. Or until ns have passed, a day at the most, or a signal came: False."""
        poll = select.poll()
        if source is not None:
            poll.register(source.fd, select.POLLIN)
        if self._wake:
            poll.register(self._wake[0], select.POLLIN)
        for fd in (self.also, self.net):
            if fd >= 0:
                poll.register(fd, select.POLLIN)
        ready = [fd for fd, _ in poll.poll(None if ns is None else min(ns, LONGEST) / 1e6)]
        self.came = bool(self._wake) and (self._wake[0] in ready or self.also in ready)
        if not self.came and self.net in ready:
            # a busy network does not keep input away
            self.came = source is None or source.fd not in ready
            return not self.came
        if self.came:
            try:
                os.read(self._wake[0], 4096)
            except BlockingIOError:
                pass
            return False
        return bool(ready)

    def _interrupt(self, _no: int, _frame: FrameType | None) -> None:
        self.interrupts += 1
        if not self.foreground or (self.interrupts > 1 and not self.passed):
            self.fatal = KeyboardInterrupt()
        self.stop()
        if self.interrupts > 2 and not self.passed:
            raise KeyboardInterrupt  # the loop does not come round
        self._unblock()

    def _end(self, number: int, _frame: FrameType | None) -> None:
        again = isinstance(self.fatal, Ended)
        self.fatal = Ended(number)
        self.stop()
        if again:
            raise self.fatal
        self._unblock()

    def _alarm(self, _no: int, _frame: FrameType | None) -> None:
        self._timeout()
        self.late += 1
        if self.late > GRACE:
            self.late = 0
            raise self.fatal or TimeLimit  # the loop does not come round
        self._unblock()

    def _timeout(self) -> None:
        self.fatal = self.fatal or TimeLimit(f"time limit of {self.timeout:g} s reached")
        self.stop()

    def _ring(self, left: float) -> None:
        """In a thread of its own: what _alarm does, but that nothing can be raised."""
        while not self._over.wait(left):
            self._timeout()
            with suppress(BlockingIOError):
                os.write(self._wake[1], b"!")
            left = AGAIN

    def _unblock(self) -> None:
        if self.blocked and self.fatal is not None:
            raise self.fatal
