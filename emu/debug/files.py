"""What gdb may read of files: the executables of the processes that it looks at, as ELF files made of them.

Nothing else of the host's is to be had. Source: gdb's manual, "Host I/O Packets".
"""

from __future__ import annotations

import struct
from typing import Final

ENOENT, EBADF, EINVAL, EROFS, ENOSYS = 2, 9, 22, 30, 88
MAXREAD: Final = 4096
KEPT: Final = 8  # files that are kept
STAT: Final = struct.Struct(">7I3Q3I")  # dev ino mode nlink uid gid rdev, size blksize blocks, times
MODE: Final = 0o100444


class Files:
    """Those that were announced, by the names that gdb was told."""

    def __init__(self) -> None:
        self._paths: dict[str, str] = {}
        self._made: dict[str, bytes] = {}
        self._open: dict[int, bytes] = {}

    def announce(self, path: str | None, name: str) -> None:
        """gdb is told that a process executes the file of that name, which is the host's at ``path``."""
        if path is not None and name:
            self._paths[name] = path

    def answer(self, packet: bytes) -> bytes:
        """The answer to a vFile packet."""
        _, operation, *rest = packet.split(b":", 2)
        args = rest[0].split(b",") if rest else []
        try:
            if operation == b"setfs":
                return b"F0"
            if operation == b"open":
                return self._opened(bytes.fromhex(args[0].decode()).decode("utf-8", "replace"), int(args[1], 16))
            if operation == b"close":
                return b"F0" if self._open.pop(int(args[0], 16), None) is not None else _error(EBADF)
            if operation == b"fstat":
                size = len(self._open[int(args[0], 16)])
                stat = STAT.pack(0, 0, MODE, 1, 0, 0, 0, size, MAXREAD, size + 511 >> 9, 0, 0, 0)
                return _result(len(stat), stat)
            if operation == b"pread":
                fd, n, at = (int(a, 16) for a in args)
                data = self._open[fd][at : at + min(n, MAXREAD)]
                return _result(len(data), data)
        except KeyError:
            return _error(EBADF)
        except (ValueError, IndexError):
            return _error(EINVAL)
        return b""

    def _opened(self, name: str, flags: int) -> bytes:
        if flags & 3:
            return _error(EROFS)
        path = self._paths.get(name)
        if path is None:
            return _error(ENOENT)
        if path not in self._made:
            from emu.program.aout import AoutError, load
            from emu.program.elf import elf

            try:
                made = elf(load(path))
            except AoutError:
                return _error(ENOENT)
            if len(self._made) >= KEPT:
                del self._made[next(iter(self._made))]
            self._made[path] = made
        fd = next(n for n in range(len(self._open) + 1) if n not in self._open)
        self._open[fd] = self._made[path]
        return b"F%x" % fd


def _error(number: int) -> bytes:
    return b"F-1,%x" % number


def _result(n: int, data: bytes) -> bytes:
    return b"F%x;" % n + data
