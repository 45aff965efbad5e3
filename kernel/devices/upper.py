"""The upper layer of an overlay: what is in it, and how files get there.

It is laid out as a layer of an OCI image: an empty file ``.wh.NAME`` hides NAME of the lower layer, a directory that
holds ``.wh..wh..opq`` hides all of the lower one's. What the upper layer itself has of that name is seen beside a mark.
A copy is made as ``.wh..wh.tmp.*``, locked, and then given its name.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from kernel.base.error import Error
from kernel.devices.hostfile import ODIR, OPEN, chmodat, hosterrors, lookat

MARK: Final = b".wh."
META: Final = b".wh..wh."  # what is no mark of a name
OPAQUE: Final = b".wh..wh..opq"
TEMP: Final = b".wh..wh.tmp."
COPYPIECE: Final = 1 << 20
BLOCK: Final = 512  # of st_blocks
Efull: Final = "file system full"


class Changes:
    """The upper layer: a directory of the host, and how much may be in it, in bytes and files (None: no limit).

    ``fresh`` is a directory that was just made, ``done`` is called when it is no longer used. Raises Error.
    """

    def __init__(
        self,
        path: str | bytes,
        limit: tuple[int, int] | None = None,
        fresh: bool = True,
        done: Callable[[], None] | None = None,
    ) -> None:
        self.limit = limit
        self.fresh = fresh
        self.bytes = 0
        self.files = 0
        self.done = done
        with hosterrors():
            self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def need(self, bytes: int, files: int = 0) -> None:
        """Raise Efull unless so much more may be there."""
        if self.limit is not None and (self.bytes + bytes > self.limit[0] or self.files + files > self.limit[1]):
            raise Error(Efull)

    def add(self, bytes: int, files: int = 0) -> None:
        """Count what was added, or with negative numbers taken away."""
        self.bytes += bytes
        self.files += files

    def close(self) -> None:
        """Let go of the directory."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            if self.done is not None:
                self.done()


@contextmanager
def unchanged(dirfd: int) -> Iterator[None]:
    """Change a directory of the upper layer so that it is not seen: its time stays, its permissions matter not."""
    st = os.fstat(dirfd)
    closed = st.st_mode & 0o300 != 0o300
    if closed:
        chmodat(dirfd, b".", st.st_mode & 0o777 | 0o300)
    try:
        yield
    finally:
        os.utime(b".", ns=(st.st_atime_ns, st.st_mtime_ns), dir_fd=dirfd)
        if closed:
            chmodat(dirfd, b".", st.st_mode & 0o777)


def _temps() -> Iterator[bytes]:
    """Names for copies in the making."""
    n = 0
    while True:
        yield TEMP + b"%d.%d" % (os.getpid(), n)
        n += 1


def _lock(dirfd: int, name: bytes, fd: int) -> bool:
    """Tell other machines that a copy is in the making; False if it was taken for a leftover just before."""
    with suppress(OSError):  # where the file system has no locks
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return lookat(dirfd, name) is not None


def newfile(dirfd: int) -> tuple[bytes, int]:
    """Make a file for a copy: its name and descriptor."""
    for temp in _temps():
        try:
            fd = os.open(temp, os.O_RDWR | os.O_CREAT | os.O_EXCL | OPEN, 0o600, dir_fd=dirfd)
        except FileExistsError:
            continue
        if _lock(dirfd, temp, fd):
            break
        os.close(fd)
    return temp, fd


def newdir(dirfd: int, name: bytes, perm: int, opaque: bool = False, like: os.stat_result | None = None) -> int:
    """Make a directory, with the times of another; its descriptor. If that fails it is not there."""
    for temp in _temps():
        try:
            os.mkdir(temp, 0o700, dir_fd=dirfd)
        except FileExistsError:
            continue
        fd = os.open(temp, os.O_RDONLY | ODIR, dir_fd=dirfd)
        if _lock(dirfd, temp, fd):
            break
        os.close(fd)
    try:
        if opaque:
            touch(fd, OPAQUE)
        if like is not None:
            os.utime(fd, ns=(like.st_atime_ns, like.st_mtime_ns))
        os.fchmod(fd, perm)
        os.rename(temp, name, src_dir_fd=dirfd, dst_dir_fd=dirfd)
    except OSError:
        with suppress(OSError):
            os.unlink(OPAQUE, dir_fd=fd)
        os.close(fd)
        os.rmdir(temp, dir_fd=dirfd)
        raise
    return fd


def copydata(src: int, dst: int, changes: Changes) -> None:
    """Copy what a file holds, as far as there may be more. Raises OSError, Error."""
    done = 0
    while data := os.read(src, COPYPIECE):
        changes.need(done + len(data))
        done += len(data)
        while data:
            data = data[os.write(dst, data) :]


def sweep(dirfd: int, name: bytes) -> None:
    """Remove a copy that was never finished, unless it is being made now."""
    with suppress(OSError):
        fd = os.open(name, os.O_RDONLY | OPEN, dir_fd=dirfd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                with suppress(OSError):
                    os.unlink(OPAQUE, dir_fd=fd)
                os.rmdir(name, dir_fd=dirfd)
            else:
                os.unlink(name, dir_fd=dirfd)
        finally:
            os.close(fd)


def touch(dirfd: int, name: bytes) -> None:
    """Make an empty file, if it is not there."""
    with suppress(FileExistsError):
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | OPEN, 0o644, dir_fd=dirfd))


def settle(dirfd: int, temp: bytes, name: bytes) -> bool:
    """Give a finished copy its name, and True; or another machine has copied the file meanwhile, and that one is it."""
    try:
        os.link(temp, name, src_dir_fd=dirfd, dst_dir_fd=dirfd, follow_symlinks=False)
    except FileExistsError:
        os.unlink(temp, dir_fd=dirfd)
        return False
    except OSError:  # a file system without hard links
        os.rename(temp, name, src_dir_fd=dirfd, dst_dir_fd=dirfd)
        return True
    os.unlink(temp, dir_fd=dirfd)
    return True
