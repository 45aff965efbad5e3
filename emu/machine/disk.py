"""A disk of the machine: a file of the host, or memory."""

import os
from mmap import mmap

from emu.machine import svm

CHUNK = 1 << 20  # bytes of a file that are looked at together


class FileDisk:
    """Implements kernel.base.hw.Disk on a host file of a fixed size, which stays sparse where nothing was written.

    Without a path the file has no name: it is gone when the machine is, however that ends. Raises OSError.
    """

    def __init__(self, size: int, path: str | None = None) -> None:
        if path is None:
            import tempfile

            self._fd, name = tempfile.mkstemp(prefix="p9emu-")
            os.unlink(name)
        else:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = size
        os.ftruncate(self._fd, size)

    @property
    def size(self) -> int:
        """Its bytes."""
        return self._size

    def read(self, offset: int, n: int) -> bytes:
        """The n bytes at offset; fewer at the end."""
        return os.pread(self._fd, min(n, max(0, self._size - offset)), offset)

    def write(self, offset: int, data: bytes) -> int:
        """Store data at offset, what lies before the end of it."""
        data = data[: max(0, self._size - offset)]
        done = 0
        while done < len(data):
            done += os.pwrite(self._fd, data[done:], offset + done)
        return done

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class MemoryDisk:
    """Implements kernel.base.hw.Disk in memory, which a copy of the process has for itself.

    With a path what is stored is stored in that file too, as long as ``kept`` says so; nobody else writes it meanwhile.
    Raises OSError.
    """

    def __init__(self, size: int, path: str | None = None) -> None:
        self.kept = True
        self._size = size
        self._map: mmap = svm.anonymous(max(size, 1))
        self._file = FileDisk(size, path) if path is not None else None
        if self._file is not None:
            for at in range(0, size, CHUNK):
                data = self._file.read(at, CHUNK)
                if data.count(0) != len(data):
                    self._map[at : at + len(data)] = data

    @property
    def size(self) -> int:
        """Its bytes."""
        return self._size

    def read(self, offset: int, n: int) -> bytes:
        """The n bytes at offset; fewer at the end."""
        return self._map[offset : max(offset, min(offset + n, self._size))]

    def write(self, offset: int, data: bytes) -> int:
        """Store data at offset, what lies before the end of it."""
        data = data[: max(0, self._size - offset)]
        if self._file is not None and self.kept:
            self._file.write(offset, data)
        self._map[offset : offset + len(data)] = data
        return len(data)

    def close(self) -> None:
        """Give it back."""
        if self._file is not None:
            self._file.close()
