"""The host's files, safely: errors in Plan 9's words, and directories that cannot be left.

A :class:`Tree` is a directory handed over by descriptor. Names are resolved one element at a time from there, each
directory opened relative to the one before without following a link, or all in one call that follows none; a
symbolic link is read and walked by hand, and one that is absolute or climbs above the root does not exist. Only
regular files and directories are ever opened. No error names a place on the host.

A :class:`Folder` is one directory of a tree, and a :class:`Place` a name in one: what is done to a file by its name is
done there. An :class:`Opened` file is read and written. :mod:`kernel.devices.overlay` has these for two layers.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Self

from kernel.base.error import Eexist, Eio, Eisdir, Enonexist, Enotdir, Eperm, Error, Etoolong
from kernel.devices import openat2

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
ODIR: Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
OPATH: Final = getattr(os, "O_PATH", os.O_RDONLY)


def hosterror(e: OSError | ValueError | OverflowError) -> Error:
    """The error a guest sees for one of the host's."""
    return Error(_TEXT.get(e.errno or 0, Eio) if isinstance(e, OSError) else Eio)


class _Hosterrors:
    """What hosterrors() gives. A generator would take ten times as long, several times a call."""

    __slots__ = ()

    def __enter__(self) -> None:
        """Nothing is to be kept."""

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, traceback: object) -> None:
        if isinstance(e, OSError):
            raise hosterror(e) from None


_HOSTERRORS: Final = _Hosterrors()


def hosterrors() -> _Hosterrors:
    """Let the host's errors within be the guest's."""
    return _HOSTERRORS


class Stat(NamedTuple):
    """What is to be known of a file. ``key`` tells it from all others that there are: device and number."""

    mode: int
    size: int
    mtime_ns: int
    nlink: int
    key: tuple[int, int]

    @property
    def isdir(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.mode)

    @property
    def islink(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.mode)

    @property
    def regular(self) -> bool:
        """Whether it is a file or directory, and not a link, FIFO, socket or device."""
        return stat.S_ISREG(self.mode) or stat.S_ISDIR(self.mode)

    @property
    def signature(self) -> tuple[int, int]:
        """What changes when the content does. The size of a directory tells nothing of it."""
        return 0 if self.isdir else self.size, self.mtime_ns


def stat_of(st: os.stat_result) -> Stat:
    """The same from the host's."""
    return Stat(st.st_mode, st.st_size, st.st_mtime_ns, st.st_nlink, (st.st_dev, st.st_ino))


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
        self.sig = stat_of(st).signature
        self.vers = 0

    def version(self) -> int:
        """Counts the changes of the content that were noticed."""
        sig = stat_of(os.fstat(self.fd)).signature
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


def createat(dirfd: int, name: bytes, flags: int, perm: int) -> int:
    """Make a file that was not there, and open it; if that fails it is not there. Raises OSError, Error."""
    fd = openat(dirfd, name, flags | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.fchmod(fd, perm)
    except OSError:
        os.close(fd)
        os.unlink(name, dir_fd=dirfd)
        raise
    return fd


class Opened:
    """A file that is open. Reading and writing raise Error."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def stat(self) -> Stat:
        """What it is now."""
        with hosterrors():
            return stat_of(os.fstat(self.fd))

    def read(self, n: int, offset: int) -> bytes:
        """Up to n bytes at offset, less only at the end."""
        return pread(self.fd, n, offset)

    def write(self, data: bytes, offset: int) -> int:
        """Write all of data; fewer only if the host then fails."""
        return pwrite(self.fd, data, offset)

    def truncate(self, n: int) -> None:
        """Make it n bytes long."""
        with hosterrors():
            os.ftruncate(self.fd, n)

    def cut(self, now: bool) -> Self:
        """The file itself, made empty if ``now``; closed if that fails."""
        if now:
            try:
                self.truncate(0)
            except Error:
                self.close()
                raise
        return self

    def sync(self) -> None:
        """See to it that it is on the host's disk."""
        with hosterrors():
            os.fsync(self.fd)

    def list(self) -> list[bytes]:
        """The names in a directory, in no order."""
        with hosterrors():
            return [os.fsencode(name) for name in os.listdir(self.fd)]

    def look(self, name: bytes) -> Stat | None:
        """What a name in a directory is, a link being itself; None if there is no such."""
        with hosterrors():
            return lookat(self.fd, name)

    def close(self) -> None:
        """Let go of it, once."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Folder:
    """A directory of the host, for what is done in it by name. Its methods raise OSError or Error.

    A name is one element, and "." the directory itself.
    """

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def close(self) -> None:
        """Let go of it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def stat(self) -> Stat:
        """What it is itself."""
        return stat_of(os.fstat(self.fd))

    def look(self, name: bytes) -> Stat | None:
        """What a name is, a link being itself; None if there is no such."""
        return lookat(self.fd, name)

    def readlink(self, name: bytes) -> bytes:
        """Where a link points."""
        return os.readlink(name, dir_fd=self.fd)

    def enter(self, name: bytes) -> Folder:
        """A directory in this one."""
        return Folder(os.open(name, OPATH | ODIR, dir_fd=self.fd))

    def open(self, name: bytes, flags: int, cut: bool = False) -> Opened:
        """Open a regular file or directory; a file is made empty if ``cut``."""
        return Opened(openat(self.fd, name, flags)).cut(cut)

    def create(self, name: bytes, flags: int, perm: int) -> Opened:
        """Make a file that was not there; if that fails it is not there."""
        return Opened(createat(self.fd, name, flags, perm))

    def mkdir(self, name: bytes, perm: int) -> Opened:
        """Make a directory that was not there, and open it; if that fails it is not there."""
        os.mkdir(name, 0o700, dir_fd=self.fd)
        fd = -1
        try:
            fd = openat(self.fd, name, os.O_RDONLY | os.O_DIRECTORY)
            os.fchmod(fd, perm)
        except (OSError, Error):
            if fd >= 0:
                os.close(fd)
            os.rmdir(name, dir_fd=self.fd)
            raise
        return Opened(fd)

    def remove(self, name: bytes, isdir: bool) -> None:
        """Remove a file or link, or an empty directory."""
        if isdir:
            os.rmdir(name, dir_fd=self.fd)
        else:
            os.unlink(name, dir_fd=self.fd)

    def rename(self, old: bytes, new: bytes) -> None:
        """Give a file or link another name, that nothing has."""
        os.rename(old, new, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def chmod(self, name: bytes, mode: int) -> None:
        """Change permissions, without following a link that was put there meanwhile."""
        chmodat(self.fd, name, mode)

    def utime(self, name: bytes, seconds: int) -> None:
        """Set the time of the last change."""
        os.utime(name, (seconds, seconds), dir_fd=self.fd, follow_symlinks=False)

    def where(self, name: bytes) -> bytes | None:
        """The path of a file on the host; None if it cannot be told."""
        try:
            return os.path.join(os.readlink(os.fsencode(f"/proc/self/fd/{self.fd}")), name)
        except OSError:
            return None


class Top(Folder):
    """The root of a tree, whose descriptor stays the tree's."""

    def close(self) -> None:
        """It goes on to be used."""


class Place:
    """Where a name led: a directory, to be closed by the caller, and the last element in it. Its methods raise Error.

    The last element is no symbolic link, unless links were not to be followed there; it may not exist, and then
    ``st`` is None. The root itself is element ".".
    """

    __slots__ = ("dir", "name", "st")

    def __init__(self, dir: Folder, name: bytes, st: Stat | None) -> None:
        self.dir = dir
        self.name = name
        self.st = st

    def close(self) -> None:
        """Let go of the directory."""
        self.dir.close()

    def below(self, name: bytes) -> Place | None:
        """A name in this directory; None if it is a link, or no name of the host's."""
        if b"/" in name or b"\0" in name:
            return None
        with hosterrors():
            sub = self.dir.enter(self.name)
            try:
                st = sub.look(name)
            except BaseException:
                sub.close()
                raise
            if st is None or not st.islink:
                return Place(sub, name, st)
            sub.close()
        return None

    def dirstat(self) -> Stat:
        """What the directory is."""
        with hosterrors():
            return self.dir.stat()

    def beside(self, name: bytes) -> bool:
        """Whether there is that name in the directory."""
        with hosterrors():
            return self.dir.look(name) is not None

    def where(self) -> bytes | None:
        """The path of the file on the host, as long as nobody moves it; None if that cannot be told."""
        with hosterrors():
            return self.dir.where(self.name)

    def open(self, flags: int, cut: bool = False) -> Opened:
        """Open the file, which is regular or a directory, and make it empty if ``cut``."""
        with hosterrors():
            return self.dir.open(self.name, flags, cut)

    def create(self, flags: int, perm: int) -> Opened:
        """Make a file."""
        with hosterrors():
            return self.dir.create(self.name, flags, perm)

    def mkdir(self, perm: int) -> Opened:
        """Make a directory."""
        with hosterrors():
            return self.dir.mkdir(self.name, perm)

    def remove(self) -> None:
        """Remove a file, link or empty directory."""
        with hosterrors():
            self.dir.remove(self.name, self.st is not None and self.st.isdir)

    def rename(self, name: bytes) -> None:
        """Give it another name in the same directory."""
        with hosterrors():
            self.dir.rename(self.name, name)

    def chmod(self, mode: int) -> None:
        """Change permissions."""
        with hosterrors():
            self.dir.chmod(self.name, mode)

    def utime(self, seconds: int) -> None:
        """Set the time of the last change."""
        with hosterrors():
            self.dir.utime(self.name, seconds)


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

    def top(self) -> Folder:
        """The root, to be closed by the caller."""
        return Top(self.fd)

    def tell(self, moved: Callable[[tuple[int, int], Stat], None]) -> None:
        """Call this whenever a file gets another key, its old one and what it is now: here none does."""

    def where(self, names: Sequence[bytes]) -> bytes | None:
        """The path of a file on the host, as long as nobody moves it; None if it has none now."""
        try:
            place = self.resolve(names)
        except Error:
            return None
        try:
            return place.where() if place.st is not None else None
        finally:
            place.close()

    def walk(self, base: Sequence[bytes], names: Sequence[bytes]) -> tuple[list[Stat], Error | None]:
        """What each of the names is, the first one below base, each other below the one before it.

        As far as there are directories; and why not all are there. No element is ".." or ".".
        """
        found: list[Stat] = []
        place = None
        try:
            for i, name in enumerate(names):
                below = place.below(name) if place is not None else None
                if below is None:  # the first one, or a link
                    below = self.resolve([*base, *names[: i + 1]])
                if place is not None:
                    place.close()
                place = below
                if place.st is None:
                    return found, Error(Enonexist)
                found.append(place.st)
                if not place.st.isdir:
                    break
        except Error as e:
            return found, e
        finally:
            if place is not None:
                place.close()
        return found, None

    def resolve(self, names: Sequence[bytes], follow: bool = True) -> Place:
        """Where a name leads; a link in the last place is followed if ``follow``. Raises Error."""
        dirs: list[Folder] = []
        try:
            return self._straight(dirs, names, follow) or self._resolve(dirs, names, follow)
        except OSError as e:
            raise hosterror(e) from None
        finally:
            for d in dirs:
                d.close()

    def deep(self, names: list[bytes]) -> Folder | None:
        """The directory that these names lead to, if that can be had at once, without a link on the way."""
        fd = openat2.directory(self.fd, names)
        return Folder(fd) if fd >= 0 else None

    def _straight(self, dirs: list[Folder], names: Sequence[bytes], follow: bool) -> Place | None:
        """The place, if there is no link on the way; None leaves it to _resolve()."""
        if len(names) < 3 or not all(map(_plain, names)):
            return None
        folder = self.deep([*names[:-1]])
        if folder is None:
            return None
        dirs.append(folder)
        st = folder.look(names[-1])
        if st is not None and st.islink and follow:
            return None
        return Place(dirs.pop(), names[-1], st)

    def _resolve(self, dirs: list[Folder], names: Sequence[bytes], follow: bool) -> Place:
        """``dirs`` are the directories on the way from the root, to be closed by the caller."""
        while dirs:
            dirs.pop().close()
        dirs.append(self.top())
        todo = list(reversed(names))
        links = 0
        while todo:
            name = todo.pop()
            if name in (b"", b"."):
                continue
            if name == b"..":  # from a link only: the guest's own are walked above us
                if len(dirs) == 1:
                    raise Error(Enonexist)
                dirs.pop().close()
                continue
            if b"/" in name or b"\0" in name:
                raise Error(Enonexist)
            st = dirs[-1].look(name)
            if st is None:
                if todo:
                    raise Error(Enonexist)
                return Place(dirs.pop(), name, None)
            if st.islink and (todo or follow):
                links += 1
                target = dirs[-1].readlink(name)
                if links > MAXLINKS or target.startswith(b"/"):
                    raise Error(Enonexist)
                todo.extend(reversed(target.split(b"/")))
            elif not any(e not in (b"", b".") for e in todo):
                if todo and not st.isdir:
                    raise Error(Enotdir)
                return Place(dirs.pop(), name, st)
            else:
                dirs.append(dirs[-1].enter(name))
        st = dirs[-1].stat()
        return Place(dirs.pop(), b".", st)


def _plain(name: bytes) -> bool:
    return name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name


def lookat(dirfd: int, name: bytes) -> Stat | None:
    """What a name is, a link being itself; None if there is no such. Raises OSError."""
    try:
        return stat_of(os.stat(name, dir_fd=dirfd, follow_symlinks=False))
    except FileNotFoundError:
        return None


def openat(dirfd: int, name: bytes, flags: int, mode: int = 0) -> int:
    """Open a file; never anything but a regular file or directory. Raises OSError or Error."""
    fd = os.open(name, flags | OPEN, mode, dir_fd=dirfd)
    try:
        if not stat_of(os.fstat(fd)).regular:
            raise Error(Eperm)
    except (OSError, Error):
        os.close(fd)
        raise
    return fd


def chmodat(dirfd: int, name: bytes, mode: int) -> None:
    """Change a file's permissions, without following a link that was put there meanwhile. Raises OSError or Error."""
    if not hasattr(os, "O_PATH"):
        os.chmod(name, mode, dir_fd=dirfd, follow_symlinks=False)
        return
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dirfd)
    try:
        if not stat_of(os.fstat(fd)).regular:
            raise Error(Eperm)
        os.chmod(f"/proc/self/fd/{fd}", mode)
    finally:
        os.close(fd)
