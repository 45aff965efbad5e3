"""Where a trace goes: standard error, or a file written as the run goes."""

import os
import sys
from typing import Final, Protocol

from emu.failure import BROKEN
from emu.plain import plain

FILEBUF: Final = 1 << 16  # characters kept back for a file


class OutputError(Exception):
    """Our own output failed (disk full, reader ``gone``). str() is one line; ``status`` is what to exit with."""

    def __init__(self, message: str, gone: bool = False, status: int = BROKEN) -> None:
        super().__init__(message)
        self.gone = gone
        self.status = status


def _failed(what: str, e: OSError) -> OutputError:
    return OutputError(f"cannot write {what}: {e.strerror}", isinstance(e, BrokenPipeError))


class Output(Protocol):
    """Receives whole lines. After a failure it raised once, it swallows everything."""

    def write(self, text: str) -> None: ...

    def close(self) -> None: ...


class BinaryOutput(Protocol):
    """The same for bytes; it takes either text or bytes."""

    def writebytes(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class StderrOutput:
    """Standard error, shown at once, in order with what the guest itself writes there."""

    def __init__(self) -> None:
        self.failed = False

    def write(self, text: str) -> None:
        """Write and flush; raises OutputError the first time that fails."""
        if self.failed or sys.stderr is None:
            return
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError as e:
            self.failed = True
            raise _failed("the trace to standard error", e) from None

    def close(self) -> None:
        """Standard error stays open."""


class FileOutput:
    """A file, truncated now, written in pieces of FILEBUF and at close.

    It keeps its own buffer, so that a failed write is told once, where it can be handled, and
    not again when the interpreter closes its files.
    """

    kept = FILEBUF

    def __init__(self, path: str, fd: int = -1) -> None:
        """Open path, unless it is open as fd; raises OutputError if that is not possible."""
        self.path = path
        self.buf: list[str] = []
        self.bytes: list[bytes] = []
        self.size = 0
        self.fd = fd
        if fd >= 0:
            return
        try:
            self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOCTTY | os.O_CLOEXEC, 0o666)
        except OSError as e:
            raise _failed(plain(path), e) from None

    def write(self, text: str) -> None:
        """Take text; raises OutputError the first time the file cannot be written."""
        if self.fd < 0:
            return
        self.buf.append(text)
        self.size += len(text)
        if self.size >= self.kept:
            self._flush()

    def writebytes(self, data: bytes) -> None:
        """Take bytes, likewise, instead of text."""
        if self.fd < 0:
            return
        self.bytes.append(data)
        self.size += len(data)
        if self.size >= self.kept:
            self._flush()

    def close(self) -> None:
        """Write what was kept back and close; raises OutputError. Closing again does nothing."""
        if self.fd < 0:
            return
        self._flush()
        fd, self.fd = self.fd, -1
        try:
            os.close(fd)
        except OSError as e:
            raise self._failed(e) from None

    def _failed(self, e: OSError) -> OutputError:
        """What a failure of ours is told as, when the file is closed."""
        return _failed(plain(self.path), e)

    def _flush(self) -> None:
        data = memoryview(b"".join(self.bytes) or "".join(self.buf).encode("utf-8", "backslashreplace"))
        self.buf.clear()
        self.bytes.clear()
        self.size = 0
        try:
            while data:
                data = data[os.write(self.fd, data) :]
        except OSError as e:
            os.close(self.fd)
            self.fd = -1
            raise self._failed(e) from None
