"""The host's standard streams as the guest's console."""

import os
import sys

from emu.observe.plain import plain
from kernel.error import Ehungup, Eio, Error


class HostConsole:
    """Implements kernel.devcons.Console on file descriptors 0, 1 and 2.

    A read blocks the host, and with it the machine: virtual time stands still meanwhile, so the run
    stays repeatable.
    """

    def __init__(self) -> None:
        self.reading = False

    def read(self, n: int) -> bytes:
        """Up to n bytes of standard input, b"" at its end."""
        self.reading = True
        try:
            return os.read(0, n)
        except OSError:
            raise Error(Eio) from None
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
