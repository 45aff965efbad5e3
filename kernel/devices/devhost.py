"""Directories of the host, mounted: what a file server behind devmnt (``M``) would be.

Each directory handed over is a tree of its own; its device number is one of those that mounts have too.
qid.path counts files in the order in which they were first seen, qid.vers the changes of a file that were
noticed; owner and group are the host owner, times are the file's mtime: nothing a guest sees depends on where
it runs. Permission bits are the host's, and are checked here as the owner's, whoever runs the machine.

A file keeps its place by name, links not resolved, so that ".." of a link is where the link is, and remove
and rename concern the link. How names are kept inside the tree is told in :mod:`kernel.devices.hostfile`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from kernel.base.alloc import IDENT, LOC, NAME
from kernel.base.chandat import DMAPPEND, DMDIR, DMEXCL, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE, QTDIR, UNKNOWN, Chan
from kernel.base.dat import Qid
from kernel.base.devdat import Walkqid
from kernel.base.error import (
    Ebadstat,
    Eexist,
    Eio,
    Eisdir,
    Enegoff,
    Enoattach,
    Enomem,
    Eperm,
    Error,
    Eshort,
    Eshortstat,
)
from kernel.base.text import kbytes, kstr
from kernel.devices.hostfile import Etoobigfile, Tree
from kernel.devices.hosttree import Hosttree, Ident, Loc
from kernel.files.chan import checkelem
from kernel.files.channel import isdir, newchan, newpath
from kernel.files.conv import BIT16SZ, NOLENGTH, Dir, convD2M, convM2D
from kernel.files.dev import PIECE, Dev, devclone, devpermcheck, openmode, readpieces

if TYPE_CHECKING:
    from kernel.base.chandat import Buffer, Data
    from kernel.base.kernel import Kernel
    from kernel.devices.hostfile import Opened, Place, Stat
    from kernel.devices.upper import Changes


Eexclusive: Final = "exclusive use file already open"
_FLAGS: Final = {OREAD: os.O_RDONLY, OWRITE: os.O_WRONLY, ORDWR: os.O_RDWR}


class Fid:
    """A channel's aux: its place, and if it is open the file."""

    __slots__ = ("file", "host", "ident", "listing", "loc", "size")

    def __init__(self, host: Hosttree, loc: Loc) -> None:
        self.host = host
        self.loc = loc
        self.ident: Ident | None = None
        self.file: Opened | None = None
        self.listing: list[bytes] = []  # names of a directory being read, backwards
        self.size = 0  # what they are charged

    def list(self, names: list[bytes]) -> None:
        """Keep the names of a directory that are yet to be read. Errors: Enomem."""
        size = sum(NAME + len(b) for b in names)
        if not self.host.mainmem.alloc(size - self.size):
            raise Error(Enomem)
        self.size = size
        self.listing = names

    def stat(self) -> tuple[Stat, Ident]:
        """What the host tells of the file, open or not."""
        if self.file is None or self.file.fd < 0 or self.ident is None:
            st = self.host.stat(self.loc)
            return st, self.host.ident(st)
        st = self.file.stat()
        return st, self.host.look(self.ident, st)


def _qid(st: Stat, ident: Ident) -> Qid:
    return Qid(ident.path, ident.vers, (QTDIR if st.isdir else 0) | ident.bits >> 24)


def _along(host: Hosttree, loc: Loc, names: Sequence[str]) -> Iterator[tuple[Loc, Stat]]:
    """Where each name leads from loc, and what is there, as far as it is a directory. Raises if the first one fails."""
    elems = [kbytes(n) for n in names]
    if b".." not in elems and b"." not in elems:
        found, why = host.tree.walk(loc.names(), elems)
        if why is not None and not found:
            raise Error(str(why))  # why itself would hold this frame, which holds it
        for elem, st in zip(elems, found, strict=False):
            loc = loc.kid(elem)
            yield loc, st
        return
    for j, n in enumerate(elems):
        to = loc.parent if n == b".." else loc if n == b"." else Loc(host.mainmem, loc, n)
        try:
            st = host.stat(to)
        except Error:
            if j == 0:
                raise
            break
        loc = to if n in (b"..", b".") else loc.kid(n)
        yield loc, st
        if not st.isdir:
            break


class Hostdev(Dev):
    """Files of the host."""

    dc = "M"
    name = "mnt"

    def __init__(self, k: Kernel) -> None:
        super().__init__(k)
        self.trees: list[Hosttree] = []
        self.open_: set[Fid] = set()

    def bind(
        self, path: str | bytes, rw: bool = False, changes: Changes | None = None, through: Sequence[str] = ()
    ) -> Chan:
        """A channel to the root of a host directory, to be mounted. The rest is as of opentree."""
        return self.mount(opentree(path, changes, through), rw or changes is not None)

    def mount(self, tree: Tree, rw: bool) -> Chan:
        """A channel to the root of a tree, which is closed with the device, to be mounted. Raises Error."""
        host = Hosttree(self.k.mainmem, tree, rw, self.k.mntalloc.newid())
        tree.tell(host.moved)
        self.trees.append(host)
        c = newchan(self.k)
        c.type = self.k.devtab.index(self)
        c.dev = host.dev
        c.path = newpath("#M")
        c.aux = f = Fid(host, host.root)
        c.qid = _qid(*f.stat())
        return c

    def shutdown(self) -> None:
        """Close every descriptor of the host."""
        for f in list(self.open_):
            self._closefd(f)
        for host in self.trees:
            host.tree.close()

    def attach(self, spec: str) -> Chan:
        """Nothing of the host is there for the asking."""
        raise Error(Enoattach)

    def stores(self, c: Chan) -> str:
        """devmnt copies directory entries like any data."""
        return "memmove"

    def walk(self, c: Chan, nc: Chan | None, names: Sequence[str]) -> Walkqid:
        """Walk by name; ".." stops at the root of the tree."""
        f: Fid = c.aux
        if names:
            isdir(c)
        loc = f.loc
        wq = Walkqid(None)
        for to, st in _along(f.host, f.loc, names):
            loc = to
            wq.qid.append(_qid(st, f.host.ident(st)))
        if len(wq.qid) == len(names):
            wq.clone = nc if nc is not None else devclone(self.k, c)
            wq.clone.aux = Fid(f.host, loc)
            if wq.qid:
                wq.clone.qid = wq.qid[-1]
        return wq

    def _dir(self, host: Hosttree, name: bytes, st: Stat, ident: Ident) -> Dir:
        eve = self.k.eve
        mtime = st.mtime_ns // 1_000_000_000 & 0xFFFFFFFF
        return Dir(
            name=kstr(name),
            qid=_qid(st, ident),
            mode=st.mode & 0o777 | (DMDIR if st.isdir else 0) | ident.bits,
            length=st.size if st.regular and not st.isdir else 0,
            type=ord(self.dc),
            dev=host.dev,
            atime=mtime,
            mtime=mtime,
            uid=eve,
            gid=eve,
            muid=eve,
        )

    def stat(self, c: Chan, n: int) -> bytes:
        """Source: port/devmnt.c:mntstat, for the error."""
        if n < BIT16SZ:
            raise Error(Eshortstat)
        f: Fid = c.aux
        return convD2M(self._dir(f.host, f.loc.name, *f.stat()), n)

    def _writable(self, host: Hosttree, place: Place) -> int:
        """Raise Eperm unless the directory may be changed; its permission bits."""
        if not host.rw:
            raise Error(Eperm)
        st = place.dirstat()
        devpermcheck(self.k, self.k.eve, st.mode & 0o777, OWRITE)
        host.ident(st).dirty = True
        return st.mode & 0o777

    def _opened(self, c: Chan, file: Opened, mode: int) -> Chan:
        f: Fid = c.aux
        try:
            st = file.stat()
            f.ident = f.host.ident(st)
        except Error:
            file.close()
            raise
        f.file = file
        f.ident.opens += 1
        self.open_.add(f)
        c.qid = _qid(st, f.ident)
        c.mode = mode
        c.flag |= Chan.COPEN
        c.offset = 0
        return c

    def open(self, c: Chan, omode: int) -> Chan:
        """Open a regular file or directory."""
        f: Fid = c.aux
        host = f.host
        mode = openmode(omode)
        place, st = host.place(f.loc)
        try:
            if not st.regular:
                raise Error(Eperm)
            change = mode != OREAD or bool(omode & OTRUNC)
            if st.isdir and change:
                raise Error(Eisdir)
            if change and not host.rw:
                raise Error(Eperm)
            # The host's x bits are for the host's programs: a guest may run whatever it may read.
            perm = st.mode & 0o777 | (st.mode & 0o444) >> 2
            devpermcheck(self.k, self.k.eve, perm, omode)
            if omode & OTRUNC:
                devpermcheck(self.k, self.k.eve, st.mode & 0o777, OWRITE)
            if omode & ORCLOSE:
                self._writable(host, place)
            ident = host.ident(st)
            if ident.bits & DMEXCL and ident.opens:
                raise Error(Eexclusive)
            trunc = bool(omode & OTRUNC) and not ident.bits & DMAPPEND
            file = place.open(os.O_RDWR if trunc and mode == OREAD else _FLAGS[mode], trunc)
        finally:
            place.close()
        if trunc:
            ident.dirty = True
        return self._opened(c, file, mode)

    def create(self, c: Chan, name: str, omode: int, perm: int) -> Chan:
        """A new file or directory; its permissions are limited by the directory's. Source: open(5)."""
        f: Fid = c.aux
        host = f.host
        mode = openmode(omode)
        elem = kbytes(name)
        if elem in (b".", b".."):
            raise Error(Eexist)
        self.k.mainmem.need(LOC + IDENT)
        place = host.tree.resolve([*f.loc.names(), elem])
        try:
            dirperm = self._writable(host, place)
            if place.st is not None:
                raise Error(Eexist)
            # namec would take a file left behind by a failure for another process's
            if perm & DMDIR:
                if mode != OREAD:
                    raise Error(Eisdir)
                perm &= ~0o777 | dirperm & 0o777
                file = place.mkdir(perm & 0o777)
            else:
                perm &= ~0o666 | dirperm & 0o666
                file = place.create(_FLAGS[mode], perm & 0o777)
        finally:
            place.close()
        c.aux = Fid(host, f.loc.kid(elem))
        self._opened(c, file, mode)
        c.aux.ident.bits = perm & (DMAPPEND | DMEXCL)
        c.qid = _qid(file.stat(), c.aux.ident)
        return c

    def _closefd(self, f: Fid) -> None:
        if f.file is not None and f.file.fd >= 0:
            f.file.close()
            f.list([])
            self.open_.discard(f)
            if f.ident is not None:
                f.ident.opens -= 1

    def close(self, c: Chan) -> None:
        """Close, and with ORCLOSE remove, the file."""
        f: Fid = c.aux
        if c.flag & Chan.CRCLOSE:
            self.remove(c)
        self._closefd(f)

    def remove(self, c: Chan) -> None:
        """Remove a file, an empty directory, or a link; the channel is done with, also on an error."""
        f: Fid = c.aux
        host = f.host
        self._closefd(f)
        if f.loc is host.root:
            raise Error(Eperm)
        place, st = host.place(f.loc, follow=False)
        try:
            self._writable(host, place)
            place.remove()
        finally:
            place.close()
        if st.nlink <= 1 or st.isdir:
            host.forget(st)
        f.loc.gone = True
        f.loc.parent.drop(f.loc.name)

    def read(self, c: Chan, n: int, offset: int) -> bytes:
        """Directories in the order of names."""
        f: Fid = c.aux
        if c.qid.type & QTDIR:
            return self._dirread(f, n, offset)
        if self.k.inject is not None and self.k.inject.hit("hostread"):
            raise Error(Eio)
        assert f.file is not None
        return f.file.read(n, offset)

    def readto(self, c: Chan, buf: Buffer, offset: int) -> int:
        """read(), in pieces."""
        return readpieces(self, c, buf, offset)

    def _dirread(self, f: Fid, n: int, offset: int) -> bytes:
        assert f.file is not None
        if offset == 0:
            # a name with control characters could not be used
            names = (b for b in f.file.list() if min(b) >= 0x20 and 0x7F not in b)
            f.list(sorted(names, reverse=True))
        out = b""
        while f.listing and len(out) < n:
            name = f.listing[-1]
            try:
                st = f.file.look(name)
                if st is None or st.islink:
                    st = f.host.stat(Loc(self.k.mainmem, f.loc, name))
            except Error:  # gone meanwhile, or a link that leads nowhere
                f.listing.pop()
                continue
            b = convD2M(self._dir(f.host, name, st, f.host.ident(st)), n - len(out))
            if len(b) <= BIT16SZ:
                if not out:
                    raise Error(Eshort)
                break
            out += b
            f.listing.pop()
        if not f.listing:
            f.list([])
        return out

    def write(self, c: Chan, data: Data, offset: int) -> int:
        """Write; an append-only file always at its end."""
        f: Fid = c.aux
        if offset < 0:
            raise Error(Enegoff)
        if not len(data):
            return 0
        assert f.ident is not None and f.file is not None
        if f.ident.bits & DMAPPEND:
            offset = f.file.stat().size
        f.ident.dirty = True
        done = 0
        while done < len(data):
            b = data[done : min(done + PIECE, len(data))]
            try:
                n = f.file.write(b, offset + done)
            except Error:
                if not done:
                    raise
                break
            done += n
            if n < len(b):
                break
        return done

    def wstat(self, c: Chan, data: bytes) -> int:
        """Rename, truncate, change permissions or mtime; with nothing to change, a sync. Checks come first."""
        k = self.k
        f: Fid = c.aux
        host = f.host
        got = convM2D(data)
        if got is None:
            raise Error(Ebadstat)
        d, m = got
        name = kbytes(d.name)
        rename = name not in (b"", f.loc.name)
        if not rename and d.length == NOLENGTH and d.mode == UNKNOWN and d.mtime == UNKNOWN:
            if d.uid not in ("", k.eve) or d.gid not in ("", k.eve):
                raise Error(Eperm)
            self._sync(c, f)
            return m
        if not host.rw or d.uid not in ("", k.eve) or d.gid not in ("", k.eve):
            raise Error(Eperm)
        place, st = host.place(f.loc)
        try:
            if not st.regular or (d.mode != UNKNOWN and bool(d.mode & DMDIR) != st.isdir):
                raise Error(Eperm)
            if (d.mode != UNKNOWN or d.mtime != UNKNOWN) and (k.up is None or k.up.user != k.eve):
                raise Error(Eperm)
            if d.length != NOLENGTH:
                if st.isdir:
                    raise Error(Eisdir)
                if d.length >> 63:
                    raise Error(Etoobigfile)
                if not self._forwrite(c, f):
                    devpermcheck(k, k.eve, st.mode & 0o777, OWRITE)
            if rename:
                self._canrename(host, f.loc, name)
            ident = host.ident(st)
            ident.dirty = True
            if d.length != NOLENGTH:
                self._truncate(c, f, place, d.length)
            if d.mode != UNKNOWN:
                place.chmod(d.mode & 0o777)
                ident.bits = d.mode & (DMAPPEND | DMEXCL)
            if d.mtime != UNKNOWN:
                place.utime(d.mtime)
        finally:
            place.close()
        if rename:
            self._rename(host, f.loc, name)
        return m

    def where(self, c: Chan) -> str | None:
        """The path on the host of the file that c is, in whatever layer; None if it has none now."""
        f: Fid = c.aux
        try:
            path = f.host.tree.where(f.loc.names())
        except Error:
            return None
        return os.fsdecode(path) if path is not None else None

    def _forwrite(self, c: Chan, f: Fid) -> Opened | None:
        return f.file if f.file is not None and f.file.fd >= 0 and c.mode in (OWRITE, ORDWR) else None

    def _sync(self, c: Chan, f: Fid) -> None:
        file = self._forwrite(c, f)
        if file is not None:
            file.sync()

    def _truncate(self, c: Chan, f: Fid, place: Place, n: int) -> None:
        own = self._forwrite(c, f)
        file = own or place.open(os.O_WRONLY)
        try:
            file.truncate(n)
        finally:
            if own is None:
                file.close()

    def _canrename(self, host: Hosttree, loc: Loc, name: bytes) -> None:
        if loc is host.root:
            raise Error(Eperm)
        if name in (b".", b".."):
            raise Error(Ebadstat)
        checkelem(self.k, kstr(name))
        place, _ = host.place(loc, follow=False)
        try:
            self._writable(host, place)
            if place.beside(name):
                raise Error(Eexist)
        finally:
            place.close()

    def _rename(self, host: Hosttree, loc: Loc, name: bytes) -> None:
        place, _ = host.place(loc, follow=False)
        try:
            place.rename(name)
        finally:
            place.close()
        loc.parent.drop(loc.name)
        loc.name = name
        loc.parent.put(name, loc)


def opentree(path: str | bytes, changes: Changes | None = None, through: Sequence[str] = ()) -> Tree:
    """A directory of the host. Raises Error.

    With ``changes``, which are closed with it, it stays as it is, but for the files and directories ``through``, and
    they are kept there.
    """
    if changes is None:
        return Tree(path)
    from kernel.devices.overlay import Overlay  # most machines have none, and a start is short

    names = [tuple(e for e in os.fsencode(name).split(b"/") if e not in (b"", b".")) for name in through]
    return Overlay(path, changes, names)


def hostdev(k: Kernel) -> Hostdev:
    """The kernel's host device, for the boot."""
    return next(d for d in k.devtab if isinstance(d, Hostdev))
