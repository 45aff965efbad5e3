"""A disk of the machine: a file of the host."""

import os
import tempfile


class FileDisk:
    """Implements kernel.base.hw.Disk on a host file of a fixed size, which stays sparse where nothing was written.

    Without a path the file has no name: it is gone when the machine is, however that ends. Raises OSError.
    """

    def __init__(self, size: int, path: str | None = None) -> None:
        if path is None:
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
