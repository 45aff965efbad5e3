"""A trace that goes to a command of the host's shell, as strace -o '|command' has it."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from emu.failure import PIPE
from emu.observe.output import FileOutput, OutputError
from emu.plain import plain


class PipeOutput(FileOutput):
    """The standard input of ``/bin/sh -c command``, written at once; close waits for the command.

    Its standard output and error are ours. Ctrl-C does not end it, but the end of its input does; nor does Ctrl-C end
    the wait, as it does not end git's for its pager.
    """

    kept = 0

    def __init__(self, command: str) -> None:
        """Start the command; raises OutputError if there is no shell to do so."""
        self.command = command
        with _uninterrupted():  # the command has it from us
            try:
                self.process = subprocess.Popen(["/bin/sh", "-c", command], stdin=subprocess.PIPE)
            except (OSError, ValueError) as e:
                raise OutputError(f"cannot run {plain(command)!r}: {getattr(e, 'strerror', None) or e}") from None
        assert self.process.stdin is not None
        fd = os.dup(self.process.stdin.fileno())
        self.process.stdin.close()
        super().__init__(command, fd)

    def close(self) -> None:
        """Write what was kept back, end the command's input and wait for it; raises OutputError if it failed."""
        if self.fd < 0:
            return
        with _uninterrupted():
            super().close()
            self._wait()

    def _failed(self, e: OSError) -> OutputError:
        if not isinstance(e, BrokenPipeError):
            self._wait()
            return super()._failed(e)
        self._wait()
        return OutputError(f"the trace's command {plain(self.command)!r} ended before the program did", status=PIPE)

    def _wait(self) -> None:
        status = self.process.wait()
        if status:
            how = f"was ended by signal {-status}" if status < 0 else f"failed with status {status}"
            raise OutputError(f"the trace's command {plain(self.command)!r} {how}")


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C does nothing meanwhile; in another thread than the main one it never does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)
