"""A directory of an overlay: what it shows of both layers, and how it is changed.

Each change is one step of the host's that takes effect at once, with steps before and after it that change nothing of
what is seen: a crash leaves the old state or the new one. For that a mark that hides a name is made before the name is
taken away from the upper layer, and removed after it was put there. Names that begin with ``.wh.`` do not exist for the
guest.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import Final

from kernel.base.error import Eperm, Error
from kernel.devices.hostfile import (
    ODIR,
    OPATH,
    Enotempty,
    Folder,
    Opened,
    Stat,
    chmodat,
    createat,
    hosterrors,
    lookat,
    openat,
    stat_of,
)
from kernel.devices.overfile import Key, Openfile, Over, Used
from kernel.devices.upper import (
    BLOCK,
    MARK,
    META,
    OPAQUE,
    TEMP,
    copydata,
    newdir,
    newfile,
    settle,
    sweep,
    touch,
    unchanged,
)

MAXRENAME: Final = 100_000  # files in a directory of the lower layer that is renamed
Erenamebig: Final = "directory too large to rename"
_GONE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class Layers(Folder):
    """A directory in the upper layer, the lower one, or both: descriptors, -1 where it is not.

    ``path`` has the names that lead to it, none of them a link. To the guest it is the file that it is in the lower
    layer, as long as that is seen through it. ``flags`` are those it was opened with.
    """

    __slots__ = ("flags", "low", "over", "path")

    def __init__(self, over: Over, up: int, low: int, path: tuple[bytes, ...], flags: int = OPATH) -> None:
        super().__init__(up)
        self.low = low
        self.over = over
        self.path = path
        self.flags = flags

    @property
    def up(self) -> int:
        """The upper layer's descriptor."""
        return self.fd

    def close(self) -> None:
        """Let go of it."""
        super().close()
        self.blind()

    def blind(self) -> None:
        """See nothing of the lower layer any more."""
        if self.low >= 0:
            os.close(self.low)
            self.low = -1

    # What there is

    def stat(self) -> Stat:
        """What it is itself."""
        if self.up < 0:
            return stat_of(os.fstat(self.low))
        st = stat_of(os.fstat(self.up))
        return st if self.low < 0 else st._replace(key=stat_of(os.fstat(self.low)).key)

    def _upper(self, name: bytes) -> Stat | None:
        return lookat(self.up, name) if self.up >= 0 else None

    def _marked(self, name: bytes) -> bool:
        if self.up < 0:
            return False
        try:
            return lookat(self.up, MARK + name) is not None
        except OSError as e:
            if e.errno != errno.ENAMETOOLONG:
                raise
            return False

    def _lower(self, name: bytes) -> Stat | None:
        """What the lower layer has of that name, hidden by a file of the upper one or not, but for marks."""
        return None if self.low < 0 or self._marked(name) else lookat(self.low, name)

    def look(self, name: bytes) -> Stat | None:
        """What a name is, a link being itself; None if there is no such."""
        if name == b".":
            return self.stat()
        if name.startswith(MARK):
            return None
        st = self._upper(name)
        if st is None:
            return self._lower(name)
        if not st.isdir or self.low < 0:
            return st
        sub = self.enter(name)
        try:
            return sub.stat()
        finally:
            sub.close()

    def readlink(self, name: bytes) -> bytes:
        """Where a link points."""
        return os.readlink(name, dir_fd=self.low if self._upper(name) is None else self.up)

    def enter(self, name: bytes, flags: int = OPATH) -> Layers:
        """A directory in this one, or this one itself again."""
        if name == b".":
            return self._again(flags)
        sub = Layers(self.over, -1, -1, (*self.path, name), flags)
        try:
            if self.up >= 0:
                with suppress(FileNotFoundError):
                    sub.fd = os.open(name, flags | ODIR, dir_fd=self.up)
            if self.low >= 0 and not self._marked(name) and not sub._opaque():
                try:
                    sub.low = os.open(name, flags | ODIR, dir_fd=self.low)
                except OSError as e:
                    if sub.up < 0 or e.errno not in _GONE:
                        raise
            elif sub.up < 0:
                raise FileNotFoundError(errno.ENOENT, "")
        except OSError:
            sub.close()
            raise
        return sub

    def _opaque(self) -> bool:
        try:
            return self.up >= 0 and lookat(self.up, OPAQUE) is not None
        except PermissionError:  # nothing in it can be used either
            return False

    def _again(self, flags: int) -> Layers:
        d = Layers(self.over, -1, -1, self.path, flags)
        try:
            if self.up >= 0:
                d.fd = os.open(b".", flags | ODIR, dir_fd=self.up)
            if self.low >= 0:
                d.low = os.open(b".", flags | ODIR, dir_fd=self.low)
        except OSError:
            d.close()
            raise
        return d

    def list(self) -> list[bytes]:
        """The names in it, in no order; it was opened for reading. Copies that nobody makes any more are removed."""
        names = set(map(os.fsencode, os.listdir(self.low))) if self.low >= 0 else set()
        if self.up >= 0:
            above = set(map(os.fsencode, os.listdir(self.up)))
            names -= {name[len(MARK) :] for name in above if name.startswith(MARK) and not name.startswith(META)}
            names |= above
            for name in above:
                if name.startswith(TEMP):
                    sweep(self.up, name)
        return [name for name in names if not name.startswith(MARK)]

    def where(self, name: bytes) -> bytes | None:
        """The path of a file on the host."""
        return Folder(self.low if self._upper(name) is None else self.up).where(name)

    # What is changed

    def _below(self, name: bytes) -> Folder | None:
        """The lower layer's directory, if that is where a file is changed."""
        over = self.over
        if over.through and self.low >= 0:
            path = self.path if name == b"." else (*self.path, name)
            if any(path[: len(t)] == t for t in over.through):
                return Folder(self.low)
        return None

    def open(self, name: bytes, flags: int, cut: bool = False) -> Opened:
        """Open a regular file or directory; one of the lower layer is copied if it is opened for writing."""
        st = self.look(name)
        if st is None:
            raise FileNotFoundError(errno.ENOENT, "")
        if st.isdir:
            return Opendir(self.enter(name, os.O_RDONLY))
        if (below := self._below(name)) is not None:
            return below.open(name, flags, cut)
        if flags & os.O_ACCMODE != os.O_RDONLY:
            # who was refused a copy may ask for an empty file next, as rc does for >>: that must not lose what it has
            whole = st.key in self.over.refused
            try:
                copied = self._copyup(name, empty=cut and not whole)
            except (OSError, Error):
                self.over.refused.add(st.key)
                raise
            self.over.refused.discard(st.key)
            cut = cut and (whole or not copied)
        above = self._upper(name) is not None
        if not above and flags & os.O_ACCMODE != os.O_RDONLY:
            raise FileNotFoundError(errno.ENOENT, "")  # something else has taken the copy away
        return Openfile(self.over, openat(self.up if above else self.low, name, flags), above).cut(cut)

    def create(self, name: bytes, flags: int, perm: int) -> Opened:
        """Make a file that was not there; if that fails it is not there."""
        if (below := self._below(name)) is not None:
            return below.create(name, flags, perm)
        self._prepare(name)
        fd = createat(self.up, name, flags, perm)
        self.over.changes.add(0, 1)
        self._unmark(name)
        return Openfile(self.over, fd, True)

    def mkdir(self, name: bytes, perm: int) -> Opened:
        """Make a directory that was not there, and open it; if that fails it is not there."""
        if (below := self._below(name)) is not None:
            below.mkdir(name, perm).close()
            return Opendir(self.enter(name, os.O_RDONLY))
        self._prepare(name)
        marked = self._marked(name)
        fd = newdir(self.up, name, perm, marked)
        self.over.changes.add(0, 2 if marked else 1)
        self._unmark(name)
        return Opendir(Layers(self.over, fd, -1, (*self.path, name), os.O_RDONLY))

    def remove(self, name: bytes, isdir: bool) -> None:
        """Remove a file or link, or an empty directory."""
        if (below := self._below(name)) is not None:
            below.remove(name, isdir)
            return
        sub = self.enter(name, os.O_RDONLY) if isdir else None
        try:
            if sub is not None and sub.list():
                raise Error(Enotempty)
            above = self._upper(name)
            if self._lower(name) is not None:
                self._need()
                self._mark(name)  # what is above is still seen
            if above is None:
                return
            if sub is not None:
                key = sub.stat().key
                sub._clean()
                os.rmdir(name, dir_fd=self.up)
                self.over.changes.add(0, -1)
                self._blind(key)
            else:
                self._unlink(name)
        finally:
            if sub is not None:
                sub.close()

    def rename(self, old: bytes, new: bytes) -> None:
        """Give a file or link another name, that nothing has. A directory is copied with all in it."""
        if (below := self._below(old)) is not None or self._below(new) is not None:
            if below is None or self._below(new) is None:
                raise Error(Eperm)  # the one is not where the other is
            below.rename(old, new)
            return
        self._prepare(new)
        self._copyup(old)
        st = self._upper(old)
        if st is not None and st.isdir and self.low >= 0:
            sub = self.enter(old)
            try:
                if sub.low >= 0:
                    self._whole(old)
                else:
                    sub._setopaque()  # else it would be one with a directory below that has the new name
            finally:
                sub.close()
        if self._lower(old) is not None:
            self._mark(old)  # what is above is still seen
        os.rename(old, new, src_dir_fd=self.up, dst_dir_fd=self.up)
        self._unmark(new)

    def chmod(self, name: bytes, mode: int) -> None:
        """Change permissions."""
        if (below := self._below(name)) is not None:
            below.chmod(name, mode)
            return
        self._copyup(name)
        chmodat(self.up, name, mode)

    def utime(self, name: bytes, seconds: int) -> None:
        """Set the time of the last change."""
        if (below := self._below(name)) is not None:
            below.utime(name, seconds)
            return
        self._copyup(name)
        os.utime(name, (seconds, seconds), dir_fd=self.up, follow_symlinks=False)

    # How

    def _prepare(self, name: bytes) -> None:
        """For a new name in this directory."""
        if name.startswith(MARK):
            raise Error(Eperm)
        self.over.changes.need(0, 1)
        self._need()

    def _need(self) -> None:
        """See to it that the directory is in the upper layer."""
        if self.up >= 0:
            return
        d = top(self.over)
        try:
            for name in self.path:
                sub = d.enter(name)
                try:
                    if sub.up < 0:
                        d._copydir(name, sub)
                except BaseException:
                    sub.close()
                    raise
                finally:
                    d.close()
                d = sub
            self.fd = os.open(b".", self.flags | ODIR, dir_fd=d.up)
        finally:
            d.close()

    def _copyup(self, name: bytes, empty: bool = False) -> bool:
        """See to it that a file is in the upper layer; whether it had to be copied. With ``empty`` without content."""
        self._need()
        if name == b"." or self._upper(name) is not None:
            return False
        st = self._lower(name)
        if st is None:
            raise FileNotFoundError(errno.ENOENT, "")
        self.over.changes.need(0, 1)
        with unchanged(self.up):
            if st.isdir:
                sub = self.enter(name)
                try:
                    self._copydir(name, sub)
                finally:
                    sub.close()
            elif st.regular:
                self._copyfile(name, empty)
            elif st.islink:
                os.symlink(os.readlink(name, dir_fd=self.low), name, dir_fd=self.up)
            elif stat.S_ISFIFO(st.mode) or stat.S_ISSOCK(st.mode):
                os.mknod(name, stat.S_IFMT(st.mode) | st.mode & 0o777, dir_fd=self.up)
            else:
                raise Error(Eperm)
        if not st.regular:
            self.over.changes.add(0, 1)
            new = self._upper(name)
            if new is not None:
                self.over.rekey(st.key, new)
        return True

    def _copydir(self, name: bytes, sub: Layers) -> None:
        """Make a directory that is below here too, and enter it."""
        self.over.changes.need(0, 1)
        st = os.fstat(sub.low)
        with unchanged(self.up):
            try:
                sub.fd = newdir(self.up, name, st.st_mode & 0o777, like=st)
                self.over.changes.add(0, 1)
            except OSError as e:
                if e.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
                sub.fd = os.open(name, OPATH | ODIR, dir_fd=self.up)  # another machine was faster
        new = sub.stat()
        self.over.moved(new.key, new)
        for o in self.over.opened.get(new.key, set()):
            if isinstance(o, Opendir) and o.dir.up < 0:
                o.dir.fd = o.fd = os.open(name, os.O_RDONLY | ODIR, dir_fd=self.up)

    def _copyfile(self, name: bytes, empty: bool) -> None:
        """Copy a regular file of the lower layer. If that fails nothing is left of it."""
        changes = self.over.changes
        src = openat(self.low, name, os.O_RDONLY)
        fd = -1
        try:
            old = os.fstat(src)
            temp, fd = newfile(self.up)
            try:
                if not empty:
                    copydata(src, fd, changes)
                    os.utime(fd, ns=(old.st_atime_ns, old.st_mtime_ns))
                os.fchmod(fd, old.st_mode & 0o777)
                ours = settle(self.up, temp, name)
            except (OSError, Error):
                os.unlink(temp, dir_fd=self.up)
                raise
            if ours:
                changes.add(os.fstat(fd).st_blocks * BLOCK, 1)
            else:
                os.close(fd)
                fd = -1
                fd = openat(self.up, name, os.O_RDONLY)
            for o in self.over.opened.get(stat_of(old).key, set()):
                if isinstance(o, Openfile):
                    os.dup2(fd, o.fd, inheritable=False)
                    o.above = True
            self.over.rekey(stat_of(old).key, stat_of(os.fstat(fd)))
        finally:
            os.close(src)
            if fd >= 0:
                os.close(fd)

    def _mark(self, name: bytes) -> None:
        self.over.changes.need(0, 1)
        touch(self.up, MARK + name)
        self.over.changes.add(0, 1)

    def _unmark(self, name: bytes) -> None:
        """Remove a mark that a name has, if it has: it hides nothing any more that is not hidden by a file."""
        if self.low >= 0:
            with suppress(OSError):
                os.unlink(MARK + name, dir_fd=self.up)
                self.over.changes.add(0, -1)

    def _setopaque(self) -> None:
        if lookat(self.up, OPAQUE) is None:
            self.over.changes.need(0, 1)
            with unchanged(self.up):
                touch(self.up, OPAQUE)
            self.over.changes.add(0, 1)

    def _clean(self) -> None:
        """Remove marks and what is left of copies from the upper layer's directory, which is seen as empty."""
        if self.up < 0:
            return
        with unchanged(self.up):
            for name in map(os.fsencode, os.listdir(self.up)):
                if name.startswith(TEMP):
                    sweep(self.up, name)
                elif name.startswith(MARK):
                    os.unlink(name, dir_fd=self.up)
                    self.over.changes.add(0, -1)

    def _blind(self, key: Key) -> None:
        """Let those who have a directory open see the upper layer's alone."""
        for o in self.over.opened.get(key, set()):
            if isinstance(o, Opendir) and o.dir.up >= 0:
                o.dir.blind()

    def _unlink(self, name: bytes) -> None:
        """Remove a file of the upper layer. What it takes is counted until it is closed too."""
        st = os.stat(name, dir_fd=self.up, follow_symlinks=False)
        os.unlink(name, dir_fd=self.up)
        left = stat_of(st).key in self.over.opened
        self.over.changes.add(0 if left else -st.st_blocks * BLOCK, -1)

    def _whole(self, name: bytes) -> None:
        """Copy all there is below a directory, and make it independent of the lower layer."""
        dirs: list[tuple[bytes, ...]] = [(name,)]
        keys: list[tuple[tuple[bytes, ...], Key]] = []
        files = 0
        for path in dirs:
            d = descend(self.over, (*self.path, *path), os.O_RDONLY)
            try:
                d._need()
                keys.append((path, d.stat().key))
                names = sorted(d.list())
                files += len(names)
                if files > MAXRENAME:
                    raise Error(Erenamebig)
                for n in names:
                    d._copyup(n)
                    st = d._upper(n)
                    if st is not None and st.isdir:
                        dirs.append((*path, n))
            finally:
                d.close()
        d = descend(self.over, (*self.path, name))
        try:
            d._setopaque()
        finally:
            d.close()
        for path, key in keys:
            d = descend(self.over, (*self.path, *path))
            try:
                self._blind(key)
                if (st := d.stat()).key != key:
                    self.over.rekey(key, st)
            finally:
                d.close()


class Opendir(Used):
    """A directory that is open in both layers."""

    __slots__ = ("dir",)

    def __init__(self, dir: Layers) -> None:
        super().__init__(dir.up if dir.up >= 0 else dir.low)
        self.dir = dir
        self.used(dir.over)

    def stat(self) -> Stat:
        """What it is now."""
        with hosterrors():
            return self.dir.stat()

    def list(self) -> list[bytes]:
        """The names in it."""
        with hosterrors():
            return self.dir.list()

    def look(self, name: bytes) -> Stat | None:
        """What a name in it is."""
        with hosterrors():
            return self.dir.look(name)

    def close(self) -> None:
        """Let go of it, once."""
        if self.fd >= 0:
            self.over.unuse(self)
            self.dir.close()
            self.fd = -1


def top(over: Over) -> Layers:
    """The root. The upper layer's is always there."""
    return Layers(over, os.dup(over.changes.fd), os.dup(over.low), ())


def descend(over: Over, path: tuple[bytes, ...], flags: int = OPATH) -> Layers:
    """A directory, by names that are no links."""
    d = top(over)
    for name in path:
        try:
            sub = d.enter(name, flags)
        finally:
            d.close()
        d = sub
    return d
