"""Mounts, ``#M``: files behind a channel to a server that speaks 9P2000. Source: port/devmnt.c.

The channel to the server (a pipe, usually) has ``mux``, the Mnt that says who waits for which answer; each
channel to one of the server's files has it as ``mchan`` and holds a reference to it, so it goes when the
last file does. The messages and the waiting are in :mod:`kernel.devices.mountio`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kernel.base.alloc import MNT
from kernel.base.chandat import MAXWELEM, MCACHE, ORDWR, QTDIR, Chan, chanpath
from kernel.base.dat import Qid, QLock
from kernel.base.devdat import Walkqid
from kernel.base.error import ERRMAX, Enoattach, Error, Eshort, Eshortstat, Panic
from kernel.base.kernel import current
from kernel.base.mntdat import Fcall, Mnt
from kernel.base.text import cut, kbytes, kstr, kstrcpy
from kernel.devices.mountio import mntfree, mntralloc, mountrpc
from kernel.files.channel import cclose, chanfree, newchan, newpath, startcloseproc
from kernel.files.conv import BIT16SZ
from kernel.files.dev import Dev, devclone, openmode
from kernel.files.dirread import validstat
from kernel.files.fcall import (
    IOHDRSZ,
    NOFID,
    NOTAG,
    VERSION9P,
    Rerror,
    Rversion,
    Tattach,
    Tauth,
    Tclunk,
    Tcreate,
    Topen,
    Tread,
    Tremove,
    Tstat,
    Tversion,
    Twalk,
    Twrite,
    Twstat,
    convM2S,
    convS2M,
)
from kernel.memory.cache import copen, cread, cupdate, cwrite
from kernel.sched.qlock import eqlock, qunlock
from kernel.sched.ref import incref
from kernel.sched.taslock import lock, unlock

if TYPE_CHECKING:
    from kernel.base.chandat import Buffer, Data
    from kernel.base.kernel import Kernel


MAXRPC: Final = IOHDRSZ + 8192
MAXREAD: Final = 1 << 20  # of one read into the kernel's own memory: a directory's
Esbadstat: Final = "invalid directory entry received from server"
Enoversion: Final = "version not established for mount channel"


class Kernelbuf:
    """A read's bytes in the kernel's memory."""

    def __init__(self, n: int) -> None:
        self.data = bytearray()
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, key: slice, /) -> bytes:
        return bytes(self.data[key])

    def store(self, at: int, data: bytes, fn: str) -> None:
        """Put data at ``at``."""
        self.data[at : at + len(data)] = data


def mntversion(k: Kernel, c: Chan, version: str | None, msize: int, returnlen: int) -> bytes:
    """Agree with the server at the end of c on a version and the size of messages, once; the version.

    Defaults stand for an empty version and a size of 0. The server's version may be a part of ours. ``returnlen`` is
    the room the caller has for the version, if it wants it. Source: port/devmnt.c:mntversion.
    """
    if c.umqlock is None:
        c.umqlock = QLock()
    eqlock(k, c.umqlock)  # nobody else does this meanwhile
    try:
        v = kbytes(version or VERSION9P)
        if msize == 0:
            msize = MAXRPC
        if msize & 0xFFFFFFFF > c.iounit and c.iounit != 0:
            msize = c.iounit  # a size below 0 too, which is large without its sign
        if msize < 0:
            raise Error("bad iounit in version call")
        if not v.startswith(VERSION9P.encode()):
            raise Error("bad 9P version specification")
        m = c.mux
        if m is None:
            got = _version(k, c, v, msize, returnlen)
            qunlock(k, c.umqlock)
            return got
    except Error:
        qunlock(k, c.umqlock)
        raise
    qunlock(k, c.umqlock)
    have = m.version[:127]
    if not v.startswith(have):
        raise Error(cut(f"incompatible 9P versions {kstr(m.version)} {kstr(v)}", ERRMAX))
    if 0 < returnlen < len(have):
        raise Error(Eshort)
    return have


def _version(k: Kernel, c: Chan, v: bytes, msize: int, returnlen: int) -> bytes:
    """Exchange version messages and make c's Mnt."""
    dev = k.devtab[c.type]
    room = 8192 + IOHDRSZ
    f = Fcall(Tversion, NOTAG, msize=msize, version=v.decode("utf-8", "surrogateescape"))
    msg = convS2M(f, room) if len(v) < room else b""
    if not msg:
        raise Error("bad fversion conversion on send")

    lock(k, c)
    oo = c.offset
    c.offset += len(msg)
    unlock(k, c)
    n = dev.write(c, msg, oo)
    if n < len(msg):
        lock(k, c)
        c.offset -= len(msg) - n
        unlock(k, c)
        raise Error("short write in fversion")

    answer = dev.read(c, room, c.offset)
    if not answer:
        raise Error("EOF receiving fversion reply")
    lock(k, c)
    c.offset += len(answer)
    unlock(k, c)

    r = convM2S(answer)
    if r is None or int.from_bytes(answer[:4], "little") != len(answer):
        raise Error("bad fversion conversion on reply")
    if r.type != Rversion:
        if r.type == Rerror:
            raise Error(kstrcpy(r.ename, ERRMAX))
        raise Error("unexpected reply type in fversion")
    if r.msize > msize:
        raise Error("server tries to increase msize in fversion")
    if r.msize < 256 or r.msize > 1024 * 1024:
        raise Error("nonsense value of msize in fversion")
    have = kbytes(r.version)
    if not v.startswith(have):
        raise Error("bad 9P version returned from server")
    if 0 < returnlen < len(have):
        raise Error(Eshort)

    k.mainmem.charge(MNT)
    ma = k.mntalloc
    lock(k, ma)
    m = Mnt(c, ma.newid(), r.msize, have)
    ma.list.insert(0, m)
    unlock(k, ma)
    lock(k, m)
    c.flag |= Chan.CMSG
    c.mux = m
    unlock(k, m)
    return have


def mntchk(c: Chan) -> Mnt:
    """The Mnt of a file's channel. Source: port/devmnt.c:mntchk."""
    if c.mchan is None:
        raise Panic(f"mntchk 1: nil mchan c {chanpath(c)}")
    m = c.mchan.mux
    if m is None:
        raise Panic(f"mntchk 2: nil mux c {chanpath(c)} c->mchan {chanpath(c.mchan)}")
    if m.id == 0 or m.id >= c.dev:  # closed and used again
        raise Panic("mntchk 3: can't happen")
    return m


def mntdev(k: Kernel) -> Mntdev:
    """The mount device."""
    for d in k.devtab:
        if isinstance(d, Mntdev):
            return d
    raise Panic("devno M")


def _mux(k: Kernel, c: Chan, version: str | None, msize: int) -> Mnt:
    if c.mux is None:
        mntversion(k, c, version, msize, 0)
    if c.mux is None:
        raise Error(Enoversion)
    return c.mux


class Mntdev(Dev):
    """Source: port/devmnt.c."""

    dc = "M"
    name = "mnt"
    blocks = True

    def attach(self, spec: str) -> Chan:
        """Only mount(2) attaches here."""
        raise Error(Enoattach)

    def stores(self, c: Chan) -> str:
        """Directory entries are copied like any data."""
        return "memmove"

    # Attaching

    def _mntchan(self) -> Chan:
        """A channel with a device number of its own. Source: port/devmnt.c:mntchan."""
        k = self.k
        c = newchan(k)
        c.qid = Qid(0, 0, QTDIR)
        c.type = k.devtab.index(self)
        c.path = newpath("#M")
        lock(k, k.mntalloc)
        c.dev = k.mntalloc.newid()
        unlock(k, k.mntalloc)
        return c

    def _begin(self, m: Mnt, c: Chan, request: Fcall) -> Qid:
        """Auth or attach; c holds the channel to the server from then on."""
        k = self.k
        try:
            r = mntralloc(k, None)
            try:
                r.request = request
                mountrpc(k, m, r)
            except Error:
                mntfree(k, r)
                raise
        except Error:
            chanfree(k, c)  # not cclose: the server knows nothing of c
            raise
        c.qid = c.mqid = r.reply.qid
        c.mchan = m.c
        incref(k, m.c)
        mntfree(k, r)
        return c.qid

    def auth(self, c: Chan, spec: str) -> Chan:
        """A channel to authenticate to the server at the end of c, if that wants it. Source: port/devmnt.c:mntauth."""
        k = self.k
        k.mainmem.need()
        m = _mux(k, c, VERSION9P, MAXRPC)
        ac = self._mntchan()
        self._begin(m, ac, Fcall(Tauth, afid=ac.fid, uname=current(k).user, aname=spec))
        ac.mode = ORDWR
        return ac

    def mount(self, c: Chan, authchan: Chan | None, spec: str, flags: int) -> Chan:
        """A channel to the root of tree spec of the server at the end of c. Source: port/devmnt.c:mntattach."""
        k = self.k
        k.mainmem.need()
        m = _mux(k, c, None, 0)
        startcloseproc(k)
        nc = self._mntchan()
        afid = NOFID if authchan is None else authchan.fid
        self._begin(m, nc, Fcall(Tattach, fid=nc.fid, afid=afid, uname=current(k).user, aname=spec))
        if flags & MCACHE:
            nc.flag |= Chan.CCACHE
        return nc

    # Files

    def _rpc(self, c: Chan, request: Fcall) -> Fcall:
        """Ask the server about c's file; its answer."""
        k = self.k
        m = mntchk(c)
        r = mntralloc(k, c)
        try:
            r.request = request
            request.fid = c.fid
            mountrpc(k, m, r)
        except Error:
            mntfree(k, r)
            raise
        reply = r.reply
        mntfree(k, r)
        return reply

    def walk(self, c: Chan, nc: Chan | None, names: Sequence[str]) -> Walkqid:
        """Source: port/devmnt.c:mntwalk."""
        k = self.k
        if nc is not None:
            k.print("mntwalk: nc != nil\n")
        if len(names) > MAXWELEM:
            raise Error("devmnt: too many name elements")
        mntchk(c)
        alloc = nc is None
        if nc is None:
            nc = devclone(k, c)
            nc.type = 0  # until the server knows its fid the device may not close it
            nc.flag |= c.flag & Chan.CCACHE
        try:
            reply = self._rpc(c, Fcall(Twalk, newfid=nc.fid, wname=list(names)))
            if len(reply.wqid) > len(names):
                raise Error("too many QIDs returned by walk")
        except Error:
            if alloc:
                cclose(k, nc)
            raise
        if len(reply.wqid) < len(names):
            if alloc:
                cclose(k, nc)
            if not reply.wqid:
                raise Error(current(k).errstr)  # the server gives no reason; the original has the last error left
            return Walkqid(None, reply.wqid)
        if nc is not c:
            assert c.mchan is not None
            nc.type = c.type
            nc.mchan = c.mchan
            incref(k, c.mchan)
        if reply.wqid:
            nc.qid = reply.wqid[-1]
        return Walkqid(nc, reply.wqid)

    def stat(self, c: Chan, n: int) -> bytes:
        """Source: port/devmnt.c:mntstat."""
        if n < BIT16SZ:
            raise Error(Eshortstat)
        b = self._rpc(c, Fcall(Tstat)).stat
        if len(b) > n:
            return (len(b) - BIT16SZ).to_bytes(BIT16SZ, "little")
        validstat(self.k, b)
        return self._dirfix(b, c)

    def _dirfix(self, b: bytes, c: Chan) -> bytes:
        """An entry with this device's type and number. Source: port/devmnt.c:mntdirfix."""
        return b[:2] + ord(self.dc).to_bytes(2, "little") + (c.dev & 0xFFFFFFFF).to_bytes(4, "little") + b[8:]

    def _opencreate(self, c: Chan, request: Fcall, omode: int) -> Chan:
        """Source: port/devmnt.c:mntopencreate."""
        m = mntchk(c)
        reply = self._rpc(c, request)
        c.qid = reply.qid
        c.offset = 0
        c.mode = openmode(omode)
        c.iounit = reply.iounit
        if c.iounit == 0 or c.iounit > m.msize - IOHDRSZ:
            c.iounit = m.msize - IOHDRSZ
        c.flag |= Chan.COPEN
        if c.flag & Chan.CCACHE:
            copen(self.k, c)
        return c

    def open(self, c: Chan, omode: int) -> Chan:
        """Source: port/devmnt.c:mntopen."""
        return self._opencreate(c, Fcall(Topen, mode=omode), omode)

    def create(self, c: Chan, name: str, omode: int, perm: int) -> Chan:
        """Source: port/devmnt.c:mntcreate."""
        return self._opencreate(c, Fcall(Tcreate, name=name, mode=omode, perm=perm), omode)

    def close(self, c: Chan) -> None:
        """Source: port/devmnt.c:mntclose."""
        self._rpc(c, Fcall(Tclunk))

    def remove(self, c: Chan) -> None:
        """Source: port/devmnt.c:mntremove."""
        self._rpc(c, Fcall(Tremove))

    def wstat(self, c: Chan, data: bytes) -> int:
        """Source: port/devmnt.c:mntwstat."""
        self._rpc(c, Fcall(Twstat, stat=data))
        return len(data)

    # Data

    def read(self, c: Chan, n: int, offset: int) -> bytes:
        """A read into the kernel's own memory."""
        buf = Kernelbuf(min(n, MAXREAD))
        self.readto(c, buf, offset)
        if not c.qid.type & QTDIR:
            return bytes(buf.data)
        b = bytes(buf.data)
        out = []
        p = 0
        while p + BIT16SZ < len(b):
            e = b[p : p + BIT16SZ + int.from_bytes(b[p : p + BIT16SZ], "little")]
            if len(e) < BIT16SZ + int.from_bytes(e[:BIT16SZ], "little"):
                break
            validstat(self.k, e)
            out.append(self._dirfix(e, c))
            p += len(e)
        if p != len(b):
            raise Error(Esbadstat)
        return b"".join(out)

    def readto(self, c: Chan, buf: Buffer, offset: int) -> int:
        """What the cache has comes from there, the rest from the server, and then is in the cache.

        Source: port/devmnt.c:mntread.
        """
        k = self.k
        n = len(buf)
        if not c.flag & Chan.CCACHE or c.qid.type & QTDIR:
            return self._rdwr(c, Tread, buf, 0, n, offset)
        had = cread(k, c, n, offset)
        nc = len(had)
        if nc:
            buf.store(0, had, "memmove")
            if nc == n:
                return nc
        n = self._rdwr(c, Tread, buf, nc, n - nc, offset + nc)
        if not k.variant.fix_47bb311d3:
            cupdate(k, c, buf, nc, n, offset + nc)
        return nc + n

    def write(self, c: Chan, data: Data, offset: int) -> int:
        """Source: port/devmnt.c:mntwrite."""
        return self._rdwr(c, Twrite, data, 0, len(data), offset)

    def _rdwr(self, c: Chan, type: int, buf: Buffer | Data, at: int, n: int, off: int) -> int:
        """Read or write n bytes at ``at`` of buf, a message for each piece, until the server gives or takes less.

        A note ends it after a piece. Source: port/devmnt.c:mntrdwr.
        """
        k = self.k
        up = current(k)
        m = mntchk(c)
        cache = c.flag & Chan.CCACHE and not c.qid.type & QTDIR
        safe = k.variant.fix_47bb311d3  # the cache gets what the server has, and not what the user may have changed
        cnt = 0
        while True:
            nreq = min(n, m.msize - IOHDRSZ)
            r = mntralloc(k, c)
            try:
                r.request = Fcall(type, fid=c.fid, offset=off, count=nreq)
                if type == Twrite:
                    r.source = lambda at=at, nreq=nreq: buf[at : at + nreq]
                mountrpc(k, m, r)
                nr = min(r.reply.count, nreq)
                if type == Tread:
                    buf.store(at, r.reply.data[:nr], "memmove")  # type: ignore[union-attr]
                    if cache and safe:
                        cupdate(k, c, r.reply.data, 0, nr, off)
                elif cache and safe:
                    cwrite(k, c, r.request.data, 0, nr, off)
                elif cache:
                    cwrite(k, c, buf, at, nr, off)
            except Error:
                mntfree(k, r)
                raise
            mntfree(k, r)
            off += nr
            at += nr
            cnt += nr
            n -= nr
            if nr != nreq or n == 0 or up.note:
                return cnt
