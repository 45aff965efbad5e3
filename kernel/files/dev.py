"""What devices have in common. Source: port/dev.c.

A device's files are described by a generator, as in the original: ``gen(c, name, s)`` is the s-th child of
directory c as a Dir, or 0 if there is none at s, or -1 past the end; with s DEVDOTDOT it is the
parent. It may use the name looked for (else None) to be quick.

stat and a directory read give entries as 9P lays them out (:mod:`kernel.files.conv`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from kernel.base.chandat import DMDIR, DMMOUNT, OCEXEC, OEXEC, ORCLOSE, OREAD, OTRUNC, QTDIR, QTMOUNT, Chan
from kernel.base.dat import Qid
from kernel.base.devdat import Device, Dirtab, Walkqid
from kernel.base.error import Ebadarg, Enonexist, Enotdir, Eperm, Error, Eshort, Panic
from kernel.base.kernel import current
from kernel.files.channel import cclose, isdir, newchan, newpath
from kernel.files.conv import BIT16SZ, Dir, convD2M, convM2D

if TYPE_CHECKING:
    from kernel.base.chandat import Buffer
    from kernel.base.kernel import Kernel


DEVDOTDOT: Final = -1
Gen: TypeAlias = Callable[[Chan, str | None, int], Dir | int]


class Dev(Device):
    """A device whose files a generator tells of. The table ``tab``, "." first, is enough if they are fixed."""

    tab: Sequence[Dirtab] = ()

    def gen(self, c: Chan, name: str | None, s: int) -> Dir | int:
        """The device's generator; see the module's text."""
        return devgen(self.k, c, name, self.tab, s)

    def attach(self, spec: str) -> Chan:
        """A channel to the device's root."""
        return devattach(self.k, self.dc, spec)

    def walk(self, c: Chan, nc: Chan | None, names: Sequence[str]) -> Walkqid:
        """Walk from c, which stays where it is; raises if the first element fails."""
        return devwalk(self.k, c, nc, names, self.gen, self.tab[0].qid.path if self.tab else None)

    def stat(self, c: Chan, n: int) -> bytes:
        """c's entry, or its size alone if it does not fit into n bytes."""
        return devstat(self.k, c, n, self.gen)

    def length(self, c: Chan) -> int | None:
        """c's length, or None if stat fails."""
        try:
            d = convM2D(self.stat(c, 1 << 16))
        except Error:
            return None
        return d[0].length if d is not None else None

    def open(self, c: Chan, omode: int) -> Chan:
        """Open c; the channel to use from now on, usually c."""
        return devopen(self.k, c, omode, self.gen)


PIECE: Final = 65536  # bytes that are moved at a time, however many are asked for


def readpieces(dev: Dev, c: Chan, buf: Buffer, offset: int) -> int:
    """dev.read() into buf, a piece at a time: the reader may ask for more than the host has memory. How many bytes."""
    n = len(buf)
    if n <= PIECE:
        return Dev.readto(dev, c, buf, offset)
    fn = dev.stores(c)
    at = 0
    while at < n:
        data = dev.read(c, min(n - at, PIECE), offset + at)
        buf.store(at, data, fn)
        at += len(data)
        if len(data) < PIECE:
            break
    return at


def devno(k: Kernel, dc: str, user: bool) -> int:
    """Index of device dc in k.devtab, or -1; for the kernel's own use it must exist. Source: port/dev.c:devno."""
    for i, d in enumerate(k.devtab):
        if d.dc == dc:
            return i
    if not user:
        raise Panic(f"devno {dc}")
    return -1


def openmode(o: int) -> int:
    """How a file is opened, of an open mode: OREAD, OWRITE or ORDWR. Source: port/sysfile.c:openmode."""
    o &= ~(OTRUNC | OCEXEC | ORCLOSE)
    if o > OEXEC:
        raise Error(Ebadarg)
    return OREAD if o == OEXEC else o


def devdir(k: Kernel, c: Chan, qid: Qid, name: str, length: int, user: str, perm: int) -> Dir:
    """An entry of c's device. Source: port/dev.c:devdir."""
    if c.flag & Chan.CMSG:
        qid = Qid(qid.path, qid.vers, qid.type | QTMOUNT)
    return Dir(
        name=name,
        qid=qid,
        mode=perm | qid.type << 24,
        length=length,
        type=ord(k.devtab[c.type].dc),
        dev=c.dev,
        atime=k.nsec() // 1_000_000_000,
        mtime=k.files.kerndate,
        uid=user,
        gid=k.eve,
        muid=user,
    )


def devgen(k: Kernel, c: Chan, name: str | None, tab: Sequence[Dirtab], s: int) -> Dir | int:
    """The generator of a fixed table, whose first entry is the directory itself. Source: port/dev.c:devgen."""
    if not tab:
        return -1
    if s == DEVDOTDOT:
        t = tab[0]
    elif name is not None:
        found = next((t for t in tab[1:] if t.name == name), None)
        if found is None:
            return -1
        t = found
    else:
        if s + 1 >= len(tab):
            return -1
        t = tab[s + 1]
    return devdir(k, c, t.qid, t.name, t.length, k.eve, t.perm)


def devattach(k: Kernel, dc: str, spec: str) -> Chan:
    """A channel to the root of device dc. Source: port/dev.c:devattach."""
    c = newchan(k)
    c.qid = Qid(0, 0, QTDIR)
    c.type = devno(k, dc, False)
    c.path = newpath(f"#{dc}{spec}")
    return c


def devclone(k: Kernel, c: Chan) -> Chan:
    """A second channel to an unopened file. Source: port/dev.c:devclone."""
    if c.flag & Chan.COPEN:
        raise Panic(f"clone of open file type {k.devtab[c.type].dc}")
    nc = newchan(k)
    nc.type = c.type
    nc.dev = c.dev
    nc.mode = c.mode
    nc.qid = c.qid
    nc.offset = c.offset
    nc.aux = c.aux
    nc.mqid = c.mqid
    nc.mcp = c.mcp
    return nc


def devwalk(k: Kernel, c: Chan, nc: Chan | None, names: Sequence[str], gen: Gen, top: int | None = None) -> Walkqid:
    """Walk by a generator. With top, only the directory of that qid.path has children. Source: port/dev.c:devwalk."""
    if names:
        isdir(c)
    alloc = nc is None
    if nc is None:
        nc = devclone(k, c)
        nc.type = 0  # the device does not know of this channel yet
    wq = Walkqid(nc)
    try:
        for j, n in enumerate(names):
            if not nc.qid.type & QTDIR:
                if j == 0:
                    raise Error(Enotdir)
                break
            if n == "..":
                d = gen(nc, None, DEVDOTDOT)
                if isinstance(d, int):
                    raise Error("broken devgen")
                nc.qid = d.qid
            elif n != ".":
                d = -1 if top is not None and nc.qid.path != top else _lookup(gen, nc, n)
                if isinstance(d, int):
                    if j == 0:
                        raise Error(Enonexist)
                    break
                nc.qid = d.qid
            wq.qid.append(nc.qid)
    except Error:
        if alloc:
            cclose(k, nc)
        raise
    if len(wq.qid) < len(names):
        if alloc:
            cclose(k, nc)
        wq.clone = None
    else:
        nc.type = c.type
    return wq


def _lookup(gen: Gen, c: Chan, name: str) -> Dir | int:
    s = 0
    while True:
        d = gen(c, name, s)
        if d == -1 or (isinstance(d, Dir) and d.name == name):
            return d
        s += 1


def devstat(k: Kernel, c: Chan, n: int, gen: Gen) -> bytes:
    """c's entry by its generator; a directory that is not among its own children gets a made-up one.

    Source: port/dev.c:devstat.
    """
    s = 0
    while True:
        d = gen(c, None, s)
        if isinstance(d, Dir):
            if c.qid.path == d.qid.path:
                if c.flag & Chan.CMSG:
                    d.mode |= DMMOUNT
                break
        elif d < 0:
            if not c.qid.type & QTDIR:
                raise Error(Enonexist)
            if c.path is None:
                elem = "???"
            elif c.path.s == "/":
                elem = "/"
            else:
                elem = c.path.s.rpartition("/")[2]
            d = devdir(k, c, c.qid, elem, 0, k.eve, DMDIR | 0o555)
            break
        s += 1
    b = convD2M(d, n)
    if not b:
        raise Error(Ebadarg)
    return b


def devdirread(k: Kernel, c: Chan, n: int, gen: Gen) -> bytes:
    """As many entries as fit into n bytes, from c.dri on. Source: port/dev.c:devdirread."""
    out = b""
    while len(out) < n:
        d = gen(c, None, c.dri)
        if isinstance(d, Dir):
            b = convD2M(d, n - len(out))
            if len(b) <= BIT16SZ:  # not < because this is no stat; the read is stuck
                if not out:
                    raise Error(Eshort)
                break
            out += b
        elif d < 0:
            break
        c.dri += 1
    return out


def devpermcheck(k: Kernel, fileuid: str, perm: int, omode: int) -> None:
    """Raise Eperm unless the current user may open a file so. Source: port/dev.c:devpermcheck."""
    user = current(k).user
    if user == fileuid:
        pass
    elif user == k.eve:
        perm <<= 3
    else:
        perm <<= 6
    t = (0o400, 0o200, 0o600, 0o100)[omode & 3]
    if t & perm != t:
        raise Error(Eperm)


def devopen(k: Kernel, c: Chan, omode: int, gen: Gen) -> Chan:
    """Open c with its generator's permissions; directories are for reading. Source: port/dev.c:devopen."""
    s = 0
    while True:
        d = gen(c, None, s)
        if isinstance(d, Dir):
            if c.qid.path == d.qid.path:
                devpermcheck(k, d.uid, d.mode, omode)
                break
        elif d < 0:
            break
        s += 1
    c.offset = 0
    if c.qid.type & QTDIR and omode != OREAD:
        raise Error(Eperm)
    c.mode = openmode(omode)
    c.flag |= Chan.COPEN
    return c


def readnum(val: int, size: int = 12) -> bytes:
    """A number as the devices print it: right-aligned, one blank after it. Source: port/devcons.c:readnum."""
    return b"%*d " % (size - 1, val & 0xFFFFFFFF)


def readstr(offset: int, n: int, s: bytes) -> bytes:
    """What a read of n bytes at offset sees of a text. Source: port/devcons.c:readstr."""
    offset &= 0xFFFFFFFF
    return s[offset : offset + max(n, 0)]


def iseve(k: Kernel) -> bool:
    """Whether the current process is the host owner's. Source: port/auth.c:iseve."""
    return current(k).user == k.eve
