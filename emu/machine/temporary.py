"""Temporary directories, without what tempfile imports, which takes longer than half of the devices.

One that is in use is locked by who has made it: when that one is killed, it is a leftover, and the next removes it.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from itertools import count

VARIABLES = ("TMPDIR", "TEMP", "TMP")
PLACES = ("/tmp", "/var/tmp", "/usr/tmp", ".")


def place() -> str:
    """Where they are made, unless told: as tempfile chooses, but that nothing is written there to try it."""
    named = [path for name in VARIABLES if (path := os.environ.get(name))]
    for path in (*named, *PLACES):
        if os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK):
            return os.path.abspath(path)
    raise FileNotFoundError(2, "no place for temporary directories")


def make(prefix: str, where: str) -> str:
    """A new directory, of this user alone. Raises OSError."""
    while True:
        path = os.path.join(where, prefix + os.urandom(6).hex())
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            continue
        return path


def claim(prefix: str, where: str) -> tuple[str, int]:
    """A new directory, and a descriptor that is to be closed when it is removed. Removes leftovers. Raises OSError.

    Whatever this user has there whose name begins with the prefix must be of this function's making.
    """
    for path in leftovers(prefix, where):
        remove(path)
    while True:
        path = make(prefix, where)
        try:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:  # taken for a leftover before it was locked
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # about to be
            os.close(lock)
            continue
        except OSError:  # a file system without locks
            pass
        if os.path.isdir(path):
            return path, lock
        os.close(lock)


def leftovers(prefix: str, where: str) -> Iterator[str]:
    """Directories of this user's that claim() has made, and nobody has locked; each is locked until the next."""
    try:
        names = os.listdir(where)
    except OSError:
        return
    for name in names:
        if not name.startswith(prefix):
            continue
        path = os.path.join(where, name)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            if os.fstat(fd).st_uid == os.geteuid():
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield path
        except OSError:
            pass
        finally:
            os.close(fd)


def remove(path: str) -> None:
    """Remove a directory, however deep and whatever its permissions; what cannot be removed stays."""
    try:
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    names = (b"p9emu.%d" % n for n in count())
    todo = [b"."]
    try:
        while todo:  # each directory is moved to the top before it is looked into
            name = todo.pop()
            with suppress(OSError):
                os.chmod(name, 0o700, dir_fd=top)
                fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
                try:
                    _empty(fd, top, names, todo)
                finally:
                    os.close(fd)
                if name != b".":
                    os.rmdir(name, dir_fd=top)
        with suppress(OSError):
            os.rmdir(path)
    finally:
        os.close(top)


def _empty(fd: int, top: int, names: Iterator[bytes], todo: list[bytes]) -> None:
    """Remove the files in a directory, and move its directories to the top, under names that are free there."""
    for sub in map(os.fsencode, os.listdir(fd)):
        try:
            if not stat.S_ISDIR(os.stat(sub, dir_fd=fd, follow_symlinks=False).st_mode):
                os.unlink(sub, dir_fd=fd)
                continue
            os.chmod(sub, 0o700, dir_fd=fd)  # one that cannot be written cannot be moved either
        except OSError:
            continue
        for new in names:
            try:
                os.rename(sub, new, src_dir_fd=fd, dst_dir_fd=top)
            except OSError as e:
                if e.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                    continue
            else:
                todo.append(new)
            break
