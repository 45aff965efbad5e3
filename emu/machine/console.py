"""The guest's console: the host's standard streams, or bytes in memory."""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from emu.machine.config import LimitError
from emu.machine.signals import Ended
from emu.machine.terminal import Terminal
from emu.machine.values import data as isdata
from emu.machine.values import truth, truths
from emu.plain import plain
from kernel.base import hw
from kernel.base.dat import QLock, Rendez
from kernel.base.error import Eio, Error
from kernel.sched.qlock import eqlock, qunlock
from kernel.sched.sleep import sleep, wakeup

if TYPE_CHECKING:
    from emu.machine.journal import Journal
    from emu.machine.signals import Signals
    from kernel.base.kernel import Kernel

MAXREAD: Final = 64 * 1024  # of one read
POLLNS: Final = 10_000_000  # how often, in the machine's time, input is asked for while other processes run
PAUSENS: Final = 20_000_000  # a writer of the host's that is silent so long has written all it wants to


class Console(hw.Console, Protocol):
    """What the machine's loop needs of a console, beside what the kernel needs."""

    fd: int
    """Readable where there is input that is waited for."""
    waiting: bool
    """A process waits for input."""
    live: bool
    """Input comes when it comes: virtual time goes on while it is waited for."""

    def poll(self, now: int) -> bool:
        """While other processes run: whether the reader can be woken."""

    def wake(self) -> None:
        """There is input: ready the process that waits for it."""


class HostConsole:
    """Implements kernel.base.hw.Console on file descriptors 0, 1 and 2.

    Who reads sleeps, and the machine's loop looks for input: when nothing else can run, and each POLLNS while other
    processes do. A file is read at once. How a pipe's bytes are cut up must not depend on the host's moods: a read
    that is not filled waits for more as long as the writer does not pause. ``live`` input, that of a terminal or with
    the host's clock, comes when it comes.
    """

    def __init__(
        self, k: Kernel, signals: Signals, live: bool = False, fd: int = 0, journal: Journal | None = None
    ) -> None:
        self.k = k
        self.signals = signals
        self.journal = journal
        self.fd = fd
        self.terminal = Terminal(-1 if journal is not None and journal.replaying else fd)
        tty, self.file = self._look() if journal is None else journal.ask("console", [], self._look, truths)
        self.live = live or tty
        self.rlock = QLock()
        self.rr = Rendez()
        self.waiting = False  # a process waits for input
        self.ready = False  # and there is some
        self.due = 0  # when it is asked for next
        self.asked = False  # it was asked for in vain
        self._done: list[int] = []  # bytes that went out of the last write, in pieces
        self.before: Callable[[int, bytes], None] | None = None  # is told what is about to be written

    def _look(self) -> list[bool]:
        """Whether standard input is a terminal, and whether it is a file."""
        try:
            return [self.terminal.tty, stat.S_ISREG(os.fstat(self.fd).st_mode)]
        except OSError:
            return [self.terminal.tty, True]  # reading it will tell

    def read(self, n: int) -> bytes:
        """Up to n bytes of standard input, b"" at its end; one reader at a time."""
        eqlock(self.k, self.rlock)
        try:
            data = self._read(min(n, MAXREAD))
        except Error:
            qunlock(self.k, self.rlock)
            raise
        qunlock(self.k, self.rlock)
        return data

    def _read(self, n: int) -> bytes:
        while True:
            if not self.file:
                self._await()
            try:
                if self.journal is not None:
                    return self.journal.ask("input", [n], lambda: self._take(n), isdata)
                return self._take(n)
            except BlockingIOError:  # another process of the host's was faster
                continue
            except OSError:
                raise Error(Eio) from None

    def _await(self) -> None:
        """Sleep until there is something to read. A note ends it, and loses nothing: nothing was read."""
        k = self.k
        self.ready = self.asked = False
        self.due = k.m.cpu.now() + POLLNS
        self.waiting = True
        try:
            while not self.ready:
                sleep(k, self.rr, lambda: self.ready)
        finally:
            self.waiting = False

    def _take(self, n: int) -> bytes:
        data = more = os.read(self.fd, n)
        if self.live or self.file:
            return data
        while more and len(data) < n and self.signals.wait(self, PAUSENS):
            try:
                more = os.read(self.fd, n - len(data))
            except OSError:
                break
            data += more
        return data

    # The machine's side

    def poll(self, now: int) -> bool:
        """While other processes run: whether the reader can be woken. The first time a writer is given a moment."""
        if now < self.due:
            return False
        self.due = now + POLLNS
        pause = 0 if self.live or self.asked else PAUSENS
        self.asked = True
        if self.journal is not None:
            return self.journal.ask("poll", [pause], lambda: self.signals.wait(self, pause), truth)
        return self.signals.wait(self, pause)

    def wake(self) -> None:
        """There is input: ready the process that waits for it."""
        self.ready = True
        self.waiting = False
        wakeup(self.k, self.rr)

    # Output

    def write(self, fd: int, data: bytes) -> None:
        """Write all of data to standard output (1) or standard error (2). Where nobody reads the run ends: Ended."""
        if self.journal is not None:
            if self.before is not None and self.journal.replaying:
                self.before(fd, data)
            self.journal.write(fd, data, self._write, lambda: sum(self._done))
        else:
            self._write(fd, data)

    def _write(self, fd: int, data: bytes) -> None:
        view = memoryview(data)
        done = self._done = []
        signals = self.signals
        signals.blocked = True
        try:
            signals.check()
            if self.before is not None:
                self.before(fd, data)
            while view:
                try:
                    # counted before a handler can raise
                    done.extend(map(os.write, (fd,), (view,)))
                    view = view[done[-1] :]
                except BlockingIOError:  # somebody made the host's stream so
                    poll = select.poll()
                    poll.register(fd, select.POLLOUT)
                    poll.poll()
                except BrokenPipeError:  # the host's programs die of it, and many a guest does not look
                    signals.fatal = signals.fatal or Ended(signal.SIGPIPE)
                    raise signals.fatal from None
                except OSError:
                    raise Error(Eio) from None
        finally:
            signals.blocked = False

    def raw(self, on: bool) -> None:
        """Raw mode of the host's terminal, if standard input is one."""
        self.terminal.raw(on)


class MemoryConsole:
    """Implements kernel.base.hw.Console in memory: standard input is given, both outputs are collected.

    Of these there may be ``limit`` bytes, together; one more raises LimitError out of the machine's run.
    """

    fd = -1
    waiting = False
    live = False

    def __init__(self, stdin: bytes = b"", limit: int | None = None) -> None:
        self.output = {1: bytearray(), 2: bytearray()}
        self._stdin = stdin
        self._at = 0
        self._limit = limit
        self._left = limit

    def read(self, n: int) -> bytes:
        """Up to n bytes of standard input, b"" at its end."""
        data = self._stdin[self._at : self._at + n]
        self._at += len(data)
        return data

    def write(self, fd: int, data: bytes) -> None:
        """Collect data."""
        if self._left is not None:
            if len(data) > self._left:
                self.output[fd] += data[: self._left]
                self._left = 0
                raise LimitError(f"the program wrote more than {self._limit} bytes (maxoutput)")
            self._left -= len(data)
        self.output[fd] += data

    def raw(self, on: bool) -> None:
        """Nobody types."""

    def poll(self, now: int) -> bool:
        """Nobody waits."""
        return False

    def wake(self) -> None:
        """Nobody waits."""


class DroppingConsole(MemoryConsole):
    """The same without end: what is written is dropped."""

    def write(self, fd: int, data: bytes) -> None:
        """Drop data."""


def warn(text: str) -> None:
    """One line of the emulator's own on standard error."""
    sys.stderr.write(f"p9emu: {plain(text)}\n")
    sys.stderr.flush()
