"""The host's files, safely: errors in Plan 9's words, and directories that cannot be left.

A :class:`Tree` is a directory handed over by descriptor. Names are resolved one element at a time from there, each
directory opened relative to the one before without following a link; a symbolic link is read and walked by
hand, and one that is absolute or climbs above the root does not exist. Only regular files and directories
are ever opened. No error names a place on the host.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import Final

from kernel.base.error import Eexist, Eio, Eisdir, Enonexist, Enotdir, Eperm, Error, Etoolong

MAXLINKS: Final = 32  # symbolic links followed in one name
MAXREAD: Final = 1 << 30
Enotempty: Final = "directory not empty"
Enospace: Final = "no space left on file system"
Etoobigfile: Final = "file too large"
Ebusy: Final = "file in use"
Enofiles: Final = "host has no free file descriptors"
_TEXT: Final = {
    errno.ENOENT: Enonexist,
    errno.EACCES: Eperm,
    errno.EPERM: Eperm,
    errno.EROFS: Eperm,
    errno.EEXIST: Eexist,
    errno.ENOTDIR: Enotdir,
    errno.EISDIR: Eisdir,
    errno.ENOTEMPTY: Enotempty,
    errno.ENAMETOOLONG: Etoolong,
    errno.ELOOP: Enonexist,
    errno.ENOSPC: Enospace,
    errno.EDQUOT: Enospace,
    errno.EFBIG: Etoobigfile,
    errno.EBUSY: Ebusy,
    errno.ETXTBSY: Ebusy,
    errno.EMFILE: Enofiles,
    errno.ENFILE: Enofiles,
}
OPEN: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_ODIR: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def hosterror(e: OSError | ValueError | OverflowError) -> Error:
    """The error a guest sees for one of the host's."""
    return Error(_TEXT.get(e.errno or 0, Eio) if isinstance(e, OSError) else Eio)


def regular(st: os.stat_result) -> bool:
    """Whether this is a file or directory, and not a FIFO, socket or device."""
    return stat.S_ISREG(st.st_mode) or stat.S_ISDIR(st.st_mode)


def signature(st: os.stat_result) -> tuple[int, int]:
    """What changes when a file's content does."""
    return st.st_size, st.st_mtime_ns


def pread(fd: int, n: int, offset: int) -> bytes:
    """Up to n bytes at offset, less only at the end of the file."""
    try:
        n = min(n, max(os.fstat(fd).st_size - offset, 0), MAXREAD)
        b = os.pread(fd, n, offset) if n > 0 else b""
        while 0 < len(b) < n:
            more = os.pread(fd, n - len(b), offset + len(b))
            if not more:
                break
            b += more
    except (OSError, ValueError, OverflowError) as e:
        raise hosterror(e) from None
    return b


def pwrite(fd: int, data: bytes, offset: int) -> int:
    """Write all of data; fewer only if the host then fails."""
    done = 0
    try:
        while done < len(data):
            done += os.pwrite(fd, data[done:], offset + done)
    except (OSError, ValueError, OverflowError) as e:
        if done == 0:
            raise hosterror(e) from None
    return done


class Hostfile:
    """One regular file of the host, open for reading as long as the machine runs."""

    def __init__(self, path: str | bytes) -> None:
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise Error(Eperm)
            self.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except (OSError, ValueError) as e:
            raise hosterror(e) from None
        st = os.fstat(self.fd)
        if not stat.S_ISREG(st.st_mode):
            self.close()
            raise Error(Eperm)
        self.sig = signature(st)
        self.vers = 0

    def version(self) -> int:
        """Counts the changes of the content that were noticed."""
        sig = signature(os.fstat(self.fd))
        if sig != self.sig:
            self.sig = sig
            self.vers += 1
        return self.vers

    def length(self) -> int:
        """Its length now."""
        return os.fstat(self.fd).st_size

    def read(self, n: int, offset: int) -> bytes:
        """Up to n bytes at offset."""
        return pread(self.fd, n, offset)

    def close(self) -> None:
        """Let go of it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


@dataclass(slots=True)
class Place:
    """Where a name led: a directory's descriptor, the caller's to close, and the last element in it.

    The last element is no symbolic link, unless links were not to be followed there; it may not exist, and then
    ``st`` is None. The root itself is element ".".
    """

    dirfd: int
    name: bytes
    st: os.stat_result | None

    def close(self) -> None:
        """Close the directory."""
        if self.dirfd >= 0:
            os.close(self.dirfd)
            self.dirfd = -1


class Tree:
    """A host directory and what is below it."""

    def __init__(self, path: str | bytes) -> None:
        try:
            self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (OSError, ValueError) as e:
            raise hosterror(e) from None

    def close(self) -> None:
        """Let go of the directory."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def resolve(self, names: list[bytes], follow: bool = True) -> Place:
        """Where a name leads; a link in the last place is followed if ``follow``. Raises Error."""
        dirs: list[int] = []
        try:
            place = self._resolve(dirs, names, follow)
        except (OSError, ValueError) as e:
            raise hosterror(e) from None
        finally:
            for fd in dirs:
                os.close(fd)
        return place

    def _resolve(self, dirs: list[int], names: list[bytes], follow: bool) -> Place:
        """``dirs`` are the directories on the way from the root, to be closed by the caller."""
        dirs.append(os.dup(self.fd))
        todo = list(reversed(names))
        links = 0
        while todo:
            name = todo.pop()
            if name in (b"", b"."):
                continue
            if name == b"..":  # from a link only: the guest's own are walked above us
                if len(dirs) == 1:
                    raise Error(Enonexist)
                os.close(dirs.pop())
                continue
            if b"/" in name or b"\0" in name:
                raise Error(Enonexist)
            try:
                st = os.stat(name, dir_fd=dirs[-1], follow_symlinks=False)
            except FileNotFoundError:
                if todo:
                    raise
                return Place(dirs.pop(), name, None)
            if stat.S_ISLNK(st.st_mode) and (todo or follow):
                links += 1
                target = os.readlink(name, dir_fd=dirs[-1])
                if links > MAXLINKS or target.startswith(b"/"):
                    raise Error(Enonexist)
                todo.extend(reversed(target.split(b"/")))
            elif not any(e not in (b"", b".") for e in todo):
                if todo and not stat.S_ISDIR(st.st_mode):
                    raise Error(Enotdir)
                return Place(dirs.pop(), name, st)
            else:
                dirs.append(os.open(name, _ODIR, dir_fd=dirs[-1]))
        fd = dirs.pop()
        return Place(fd, b".", os.stat(b".", dir_fd=fd))


def openat(place: Place, flags: int, mode: int = 0) -> int:
    """Open a place's file; never anything but a regular file or directory. Raises Error."""
    try:
        fd = os.open(place.name, flags | OPEN, mode, dir_fd=place.dirfd)
        if not regular(os.fstat(fd)):
            os.close(fd)
            raise Error(Eperm)
    except (OSError, ValueError) as e:
        raise hosterror(e) from None
    return fd


def chmodat(place: Place, mode: int) -> None:
    """Change a place's permissions, without following a link that was put there meanwhile. Raises Error."""
    try:
        if hasattr(os, "O_PATH"):
            fd = os.open(place.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place.dirfd)
            try:
                if not regular(os.fstat(fd)):
                    raise Error(Eperm)
                os.chmod(f"/proc/self/fd/{fd}", mode)
            finally:
                os.close(fd)
        else:
            os.chmod(place.name, mode, dir_fd=place.dirfd, follow_symlinks=False)
    except (OSError, ValueError) as e:
        raise hosterror(e) from None
