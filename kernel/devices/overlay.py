"""A tree of two layers: a directory of the host that is never written, and above it one that holds what was changed.

The upper layer is laid out as a layer of an OCI image: an empty file ``.wh.NAME`` hides NAME of the lower layer, a
directory that holds ``.wh..wh..opq`` hides all of the lower one's. What the upper layer itself has of that name is
seen beside a mark. So each change is one step of the host's that takes effect at once, with steps before and after it
that change nothing of what is seen: a crash leaves the old state or the new one. Names that begin with ``.wh.`` do not
exist for the guest. A copy is made as ``.wh..wh.tmp.*`` and then given its name.

Nothing is remembered between two calls of what is in either layer: several machines may use the same changes.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

from kernel.base.error import Eperm, Error
from kernel.devices.hostfile import (
    ODIR,
    OPATH,
    OPEN,
    Enotempty,
    Folder,
    Opened,
    Stat,
    Tree,
    chmodat,
    hosterrors,
    lookat,
    openat,
    stat_of,
)

MARK: Final = b".wh."
META: Final = b".wh..wh."  # what is no mark of a name
OPAQUE: Final = b".wh..wh..opq"
TEMP: Final = b".wh..wh.tmp."
COPYPIECE: Final = 1 << 20
MAXRENAME: Final = 100_000  # files in a directory of the lower layer that is renamed
BLOCK: Final = 512  # of st_blocks
Efull: Final = "file system full"
Erenamebig: Final = "directory too large to rename"
_GONE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)

Key = tuple[int, int]


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
            self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

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


class Overlay(Tree):
    """The two layers. ``moved`` is told when a file, by its old key, was copied to the upper layer or is that alone.

    ``through`` are files and directories that are the lower layer's alone and are changed there.
    """

    def __init__(self, path: str | bytes, changes: Changes, through: Sequence[tuple[bytes, ...]] = ()) -> None:
        self.changes = changes
        try:
            super().__init__(path)
        except Error:
            changes.close()
            raise
        if changes.fresh:
            st = os.fstat(self.fd)
            with hosterrors():
                os.fchmod(changes.fd, st.st_mode & 0o777)
                os.utime(changes.fd, ns=(st.st_atime_ns, st.st_mtime_ns))
        self.through = through
        self.moved: Callable[[Key, Stat], None] = lambda old, st: None
        self.opened: dict[Key, set[Openfile | Opendir]] = {}

    def close(self) -> None:
        """Let go of both layers."""
        super().close()
        self.changes.close()

    def top(self) -> Layers:
        """The root. The upper layer's is always there."""
        return Layers(self, os.dup(self.changes.fd), os.dup(self.fd), ())

    def descend(self, path: tuple[bytes, ...], flags: int = OPATH) -> Layers:
        """A directory, by names that are no links."""
        d = self.top()
        for name in path:
            try:
                sub = d.enter(name, flags)
            finally:
                d.close()
            d = sub
        return d

    def use(self, o: Openfile | Opendir) -> None:
        """A file was opened."""
        self.opened.setdefault(o.key, set()).add(o)

    def unuse(self, o: Openfile | Opendir) -> bool:
        """It is closed; whether it was the last of its file."""
        users = self.opened[o.key]
        users.discard(o)
        if not users:
            del self.opened[o.key]
        return not users

    def rekey(self, old: Key, st: Stat) -> None:
        """A file has another number."""
        self.moved(old, st)
        if st.key != old:
            for o in self.opened.pop(old, set()):
                o.key = st.key
                self.use(o)


class Openfile(Opened):
    """A regular file of either layer, open. Where it is copied while it is open, this is the copy from then on."""

    __slots__ = ("above", "key", "over")

    def __init__(self, over: Overlay, fd: int, above: bool) -> None:
        super().__init__(fd)
        self.over = over
        self.above = above
        self.key = self.stat().key
        over.use(self)

    def write(self, data: bytes, offset: int) -> int:
        """Write all of data; fewer only if the host then fails."""
        with self._counted(len(data), offset + len(data)):
            return super().write(data, offset)

    def truncate(self, n: int) -> None:
        """Make it n bytes long."""
        with self._counted(0, 0):
            super().truncate(n)

    @contextmanager
    def _counted(self, n: int, end: int) -> Iterator[None]:
        """Count what a change needs; n bytes up to ``end`` may be stored anew."""
        changes = self.over.changes
        if changes.limit is None or self.fd < 0:
            yield
            return
        st = os.fstat(self.fd)
        full = st.st_blocks * BLOCK >= st.st_size and end <= st.st_size  # no holes
        changes.need(0 if full else n)
        try:
            yield
        finally:
            changes.add((os.fstat(self.fd).st_blocks - st.st_blocks) * BLOCK)

    def close(self) -> None:
        """Let go of it, once."""
        if self.fd >= 0:
            st = os.fstat(self.fd)
            if self.over.unuse(self) and self.above and st.st_nlink == 0:
                self.over.changes.add(-st.st_blocks * BLOCK)
        super().close()


class Opendir(Opened):
    """A directory that is open in both layers."""

    __slots__ = ("dir", "key")

    def __init__(self, dir: Layers) -> None:
        super().__init__(dir.up if dir.up >= 0 else dir.low)
        self.dir = dir
        self.key = self.stat().key
        dir.over.use(self)

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
            self.dir.over.unuse(self)
            self.dir.close()
            self.fd = -1


class Layers(Folder):
    """A directory in the upper layer, the lower one, or both: descriptors, -1 where it is not.

    ``path`` has the names that lead to it, none of them a link. To the guest it is the file that it is in the lower
    layer, as long as that is seen through it. ``flags`` are those it was opened with.
    """

    __slots__ = ("flags", "low", "over", "path")

    def __init__(self, over: Overlay, up: int, low: int, path: tuple[bytes, ...], flags: int = OPATH) -> None:
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
                    _sweep(self.up, name)
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
        if flags & os.O_ACCMODE != os.O_RDONLY and self._copyup(name, empty=cut):
            cut = False
        above = self._upper(name) is not None
        o = Openfile(self.over, openat(self.up if above else self.low, name, flags), above)
        if cut:
            try:
                o.truncate(0)
            except Error:
                o.close()
                raise
        return o

    def create(self, name: bytes, flags: int, perm: int) -> Opened:
        """Make a file that was not there; if that fails it is not there."""
        if (below := self._below(name)) is not None:
            return below.create(name, flags, perm)
        self._prepare(name)
        fd = openat(self.up, name, flags | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.fchmod(fd, perm)
        except OSError:
            os.close(fd)
            os.unlink(name, dir_fd=self.up)
            raise
        self.over.changes.add(0, 1)
        self._unmark(name)
        return Openfile(self.over, fd, True)

    def mkdir(self, name: bytes, perm: int) -> Opened:
        """Make a directory that was not there, and open it; if that fails it is not there."""
        if (below := self._below(name)) is not None:
            below.mkdir(name, perm).close()
            return Opendir(self.enter(name, os.O_RDONLY))
        self._prepare(name)
        fd = self._newdir(name, perm, self._marked(name), None)
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
                sub._clean()
                os.rmdir(name, dir_fd=self.up)
                self.over.changes.add(0, -1)
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
        d = self.over.top()
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
        with _unchanged(self.up):
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
        if not st.regular:
            self._copied(name, st)
        return True

    def _copied(self, name: bytes, old: Stat) -> None:
        st = self._upper(name)
        assert st is not None
        self.over.rekey(old.key, st)

    def _copydir(self, name: bytes, sub: Layers) -> None:
        """Make a directory that is below here too, and enter it."""
        self.over.changes.need(0, 1)
        st = os.fstat(sub.low)
        with _unchanged(self.up):
            try:
                sub.fd = self._newdir(name, st.st_mode & 0o777, False, st)
            except OSError as e:
                if e.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
                sub.fd = os.open(name, OPATH | ODIR, dir_fd=self.up)  # another machine was faster
        new = sub.stat()
        self.over.moved(new.key, new)
        for o in self.over.opened.get(new.key, set()):
            if isinstance(o, Opendir) and o.dir.up < 0:
                o.dir.fd = o.fd = os.open(name, os.O_RDONLY | ODIR, dir_fd=self.up)

    def _newdir(self, name: bytes, perm: int, opaque: bool, like: os.stat_result | None) -> int:
        """Make a directory in the upper layer, with the times of another; its descriptor."""
        for temp in _temps():
            try:
                os.mkdir(temp, 0o700, dir_fd=self.up)
            except FileExistsError:
                continue
            fd = os.open(temp, os.O_RDONLY | ODIR, dir_fd=self.up)
            try:
                if _lock(self.up, temp, fd):
                    break
            except OSError:
                os.close(fd)
                raise
            os.close(fd)
        try:
            if opaque:
                _touch(fd, OPAQUE)
            if like is not None:
                os.utime(fd, ns=(like.st_atime_ns, like.st_mtime_ns))
            os.fchmod(fd, perm)
            os.rename(temp, name, src_dir_fd=self.up, dst_dir_fd=self.up)
        except OSError:
            with suppress(OSError):
                os.unlink(OPAQUE, dir_fd=fd)
            os.close(fd)
            os.rmdir(temp, dir_fd=self.up)
            raise
        self.over.changes.add(0, 2 if opaque else 1)
        return fd

    def _copyfile(self, name: bytes, empty: bool) -> None:
        """Copy a regular file of the lower layer. If that fails nothing is left of it."""
        src = openat(self.low, name, os.O_RDONLY)
        try:
            old = os.fstat(src)
            temp, fd = self._newtemp()
            try:
                if not empty:
                    self._copydata(src, fd)
                    os.utime(fd, ns=(old.st_atime_ns, old.st_mtime_ns))
                os.fchmod(fd, old.st_mode & 0o777)
                _settle(self.up, temp, name)
                self.over.changes.add(os.fstat(fd).st_blocks * BLOCK, 1)
            except (OSError, Error):
                os.unlink(temp, dir_fd=self.up)
                raise
            finally:
                os.close(fd)
        finally:
            os.close(src)
        fd = os.open(name, os.O_RDONLY | OPEN, dir_fd=self.up)
        try:
            for o in self.over.opened.get(stat_of(old).key, set()):
                if isinstance(o, Openfile):
                    os.dup2(fd, o.fd, inheritable=False)
                    o.above = True
            self.over.rekey(stat_of(old).key, stat_of(os.fstat(fd)))
        finally:
            os.close(fd)

    def _newtemp(self) -> tuple[bytes, int]:
        for temp in _temps():
            try:
                fd = os.open(temp, os.O_RDWR | os.O_CREAT | os.O_EXCL | OPEN, 0o600, dir_fd=self.up)
            except FileExistsError:
                continue
            if _lock(self.up, temp, fd):
                return temp, fd
            os.close(fd)
        raise AssertionError

    def _copydata(self, src: int, dst: int) -> None:
        done = 0
        while data := os.read(src, COPYPIECE):
            self.over.changes.need(done + len(data))
            done += len(data)
            while data:
                data = data[os.write(dst, data) :]

    def _mark(self, name: bytes) -> None:
        self.over.changes.need(0, 1)
        _touch(self.up, MARK + name)
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
            with _unchanged(self.up):
                _touch(self.up, OPAQUE)
            self.over.changes.add(0, 1)

    def _clean(self) -> None:
        """Remove marks and what is left of copies from the upper layer's directory, which is seen as empty."""
        if self.up < 0:
            return
        with _unchanged(self.up):
            for name in map(os.fsencode, os.listdir(self.up)):
                if name.startswith(TEMP):
                    _sweep(self.up, name)
                elif name.startswith(MARK):
                    os.unlink(name, dir_fd=self.up)
                    self.over.changes.add(0, -1)

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
            d = self.over.descend((*self.path, *path), os.O_RDONLY)
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
        top = self.over.descend((*self.path, name))
        try:
            top._setopaque()
        finally:
            top.close()
        for path, key in keys:
            d = self.over.descend((*self.path, *path))
            try:
                for o in self.over.opened.get(key, set()):
                    if isinstance(o, Opendir):
                        o.dir.blind()
                if (st := d.stat()).key != key:
                    self.over.rekey(key, st)
            finally:
                d.close()


@contextmanager
def _unchanged(dirfd: int) -> Iterator[None]:
    """Change a directory of the upper layer so that it is not seen: its time stays, its permissions matter not."""
    st = os.fstat(dirfd)
    closed = st.st_mode & 0o300 != 0o300 and os.geteuid() != 0
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
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return lookat(dirfd, name) is not None
    return lookat(dirfd, name) is not None


def _sweep(dirfd: int, name: bytes) -> None:
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


def _touch(dirfd: int, name: bytes) -> None:
    """Make an empty file, if it is not there."""
    with suppress(FileExistsError):
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | OPEN, 0o644, dir_fd=dirfd))


def _settle(dirfd: int, temp: bytes, name: bytes) -> None:
    """Give a finished copy its name; if another machine has copied the file meanwhile, that one is it."""
    try:
        os.link(temp, name, src_dir_fd=dirfd, dst_dir_fd=dirfd, follow_symlinks=False)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        os.rename(temp, name, src_dir_fd=dirfd, dst_dir_fd=dirfd)
        return
    os.unlink(temp, dir_fd=dirfd)
