"""A file that takes the place of an older one as a whole, or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable

from emu.observe.output import OutputError
from emu.plain import plain

OPEN = os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY


class WholeFile:
    """Made before anything else is done, so that what is in the way is told first; nothing is kept until write()."""

    def __init__(self, path: str) -> None:
        """Look whether path can be written. Raises OutputError."""
        self.path = path
        try:
            self.place = path
            self.mode = 0
            try:
                st = os.stat(path)
            except FileNotFoundError:
                pass
            else:
                self.mode = st.st_mode
            if self._whole():
                self.place = os.path.realpath(path)  # what a link leads to is replaced, not the link
            if stat.S_ISDIR(self.mode):
                raise IsADirectoryError(0, "Is a directory")
            if self.mode and not os.access(self.place, os.W_OK):
                raise PermissionError(0, "Permission denied")
            if self._whole():
                fd, name = self._new()
                os.close(fd)
                os.unlink(name)
        except (OSError, ValueError) as e:
            raise self._error(e) from None

    def write(self, pieces: Iterable[bytes]) -> None:
        """Write the pieces, and only then let the file be seen under its name. Raises OutputError."""
        name = ""
        try:
            try:
                fd, name = self._new() if self._whole() else (os.open(self.place, OPEN), "")
                try:
                    for piece in pieces:
                        data = memoryview(piece)
                        while data:
                            data = data[os.write(fd, data) :]
                finally:
                    os.close(fd)
                if name:
                    os.replace(name, self.place)
                    name = ""
            finally:
                if name:
                    os.unlink(name)
        except OSError as e:
            raise self._error(e) from None

    def _whole(self) -> bool:
        """Whether it is a file, or not there; a device or pipe is written into."""
        return not self.mode or stat.S_ISREG(self.mode)

    def _new(self) -> tuple[int, str]:
        """A file beside the one that it is to become, and its name. It has that one's mode."""
        head, tail = os.path.split(self.place)
        name = os.path.join(head, f".{tail[:200]}.{secrets.token_hex(4)}")
        fd = os.open(name, OPEN | os.O_CREAT | os.O_EXCL, 0o666)
        if self.mode:
            os.fchmod(fd, stat.S_IMODE(self.mode))
        return fd, name

    def _error(self, e: OSError | ValueError) -> OutputError:
        why = e.strerror if isinstance(e, OSError) else "not a name of a file"
        return OutputError(f"cannot write {plain(self.path)}: {why}")
