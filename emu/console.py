"""The host's standard streams as the guest's console."""

import os
import select
import sys
from collections.abc import Callable

from emu.observe.plain import plain
from kernel.error import Ehungup, Eintr, Eio, Error


class Interrupted(Exception):
    """Raised by a signal handler while ``HostConsole.reading``: Ctrl-C."""


class HostConsole:
    """Implements kernel.devcons.Console on file descriptors 0, 1 and 2.

    A read blocks the host, and with it the machine: virtual time stands still meanwhile, so the run
    stays repeatable.
    """

    def __init__(self) -> None:
        self.reading = False  # waiting for input: a signal handler may raise
        self.onintr: Callable[[], bool] = lambda: False  # Ctrl-C: whether it ends the read of the current process

    def read(self, n: int) -> bytes:
        """Up to n bytes of standard input, b"" at its end."""
        while True:
            try:
                self._await()
                return os.read(0, n)
            except Interrupted:
                self.reading = False
                if self.onintr():
                    raise Error(Eintr) from None
            except OSError:
                raise Error(Eio) from None

    def _await(self) -> None:
        """Wait until there is something to read: what interrupts that loses no byte."""
        self.reading = True
        try:
            select.select([0], [], [])
        finally:
            self.reading = False

    def write(self, fd: int, data: bytes) -> None:
        """Write all of data to standard output (1) or standard error (2)."""
        view = memoryview(data)
        while view:
            try:
                n = os.write(fd, view)
            except BrokenPipeError:
                raise Error(Ehungup) from None
            except OSError:
                raise Error(Eio) from None
            view = view[n:]


def warn(text: str) -> None:
    """One line of the emulator's own on standard error."""
    sys.stderr.write(f"p9emu: {plain(text)}\n")
    sys.stderr.flush()
