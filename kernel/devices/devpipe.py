"""Pipes, ``#|``: each attach makes one, with the ends data and data1. Source: port/devpipe.c."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kernel.base.alloc import PIPE
from kernel.base.chandat import DMDIR, OREAD, QTDIR, QTFILE, UNKNOWN, Chan
from kernel.base.dat import Qid, QLock
from kernel.base.devdat import Dirtab
from kernel.base.error import Ebadarg, Eisdir, Eperm, Error, Eshortstat, Panic
from kernel.base.kernel import current
from kernel.base.procdat import NUser
from kernel.devices.qio import Maxatomic, Queue, qclose, qfree, qhangup, qlen, qread, qreopen, qwrite
from kernel.files.conv import BIT16SZ, convD2M, convM2D
from kernel.files.dev import DEVDOTDOT, Dev, devattach, devdir, devdirread, devwalk, iseve, openmode
from kernel.sched.note import postnote
from kernel.sched.qlock import qlock, qunlock

if TYPE_CHECKING:
    from kernel.base.chandat import Data
    from kernel.base.devdat import Walkqid
    from kernel.base.kernel import Kernel
    from kernel.files.conv import Dir


Qdir, Qdata0, Qdata1 = range(3)
pipedir: Final = (
    Dirtab(".", Qid(Qdir, 0, QTDIR), 0, DMDIR | 0o500),
    Dirtab("data", Qid(Qdata0), 0, 0o600),
    Dirtab("data1", Qid(Qdata1), 0, 0o600),
)


def netqid(i: int, t: int) -> int:
    """qid.path of file t of conversation i. Source: port/netif.h:NETQID."""
    return i << 5 | t


def nettype(path: int) -> int:
    """Which file a qid.path is. Source: port/netif.h:NETTYPE."""
    return path & 0x1F


class Pipe(QLock):
    """Two queues: ``q[i]`` is what end i reads. ``ref`` counts channels, ``qref`` the open ones of each end."""

    def __init__(self, path: int, qsize: int) -> None:
        super().__init__()
        self.ref = 1
        self.path = path
        self.perm = pipedir[Qdata0].perm
        self.q = (Queue(qsize), Queue(qsize))
        self.qref = [0, 0]


class Pipedev(Dev):
    """Source: port/devpipe.c."""

    dc = "|"
    name = "pipe"

    def __init__(self, k: Kernel) -> None:
        super().__init__(k)
        self.path = 0
        self.qsize = (256 if k.conf.nmach > 1 else 32) * 1024

    def attach(self, spec: str) -> Chan:
        """Source: port/devpipe.c:pipeattach."""
        self.k.mainmem.need(PIPE)
        c = devattach(self.k, "|", spec)
        self.k.mainmem.charge(PIPE)
        self.path += 1
        c.aux = Pipe(self.path, self.qsize)
        c.qid = Qid(netqid(2 * self.path, Qdir), 0, QTDIR)
        return c

    def gen(self, c: Chan, name: str | None, s: int) -> Dir | int:
        """Source: port/devpipe.c:pipegen."""
        k = self.k
        if s == DEVDOTDOT:
            return devdir(k, c, c.qid, "#|", 0, k.eve, DMDIR | 0o555)
        s += 1
        if s >= len(pipedir):
            return -1
        t = pipedir[s]
        p: Pipe = c.aux
        return devdir(k, c, Qid(netqid(c.qid.path >> 5, s), 0, QTFILE), t.name, qlen(p.q[s - Qdata0]), k.eve, p.perm)

    def walk(self, c: Chan, nc: Chan | None, names: Sequence[str]) -> Walkqid:
        """Source: port/devpipe.c:pipewalk."""
        k = self.k
        wq = devwalk(k, c, nc, names, self.gen)
        if wq.clone is not None and wq.clone is not c:
            p: Pipe = c.aux
            qlock(k, p)
            p.ref += 1
            qunlock(k, p)
        return wq

    def stat(self, c: Chan, n: int) -> bytes:
        """Source: port/devpipe.c:pipestat."""
        k = self.k
        p: Pipe = c.aux
        t = nettype(c.qid.path)
        if t == Qdir:
            d = devdir(k, c, c.qid, ".", 0, k.eve, DMDIR | 0o555)
        else:
            d = devdir(k, c, c.qid, pipedir[t].name, qlen(p.q[t - Qdata0]), k.eve, p.perm)
        b = convD2M(d, n)
        if len(b) < BIT16SZ:
            raise Error(Eshortstat)
        return b

    def wstat(self, c: Chan, data: bytes) -> int:
        """Source: port/devpipe.c:pipewstat."""
        if not iseve(self.k):
            raise Error(Eperm)
        if nettype(c.qid.path) == Qdir:
            raise Error(Eisdir)
        got = convM2D(data)
        if got is None:
            raise Error(Eshortstat)
        d, m = got
        if d.uid:
            raise Error("can't change owner")
        if d.mode != UNKNOWN:
            c.aux.perm = d.mode
        return m

    def open(self, c: Chan, omode: int) -> Chan:
        """Source: port/devpipe.c:pipeopen."""
        k = self.k
        if c.qid.type & QTDIR:
            if omode != OREAD:
                raise Error(Ebadarg)
            c.mode = omode
            c.flag |= Chan.COPEN
            c.offset = 0
            return c
        p: Pipe = c.aux
        qlock(k, p)
        p.qref[nettype(c.qid.path) - Qdata0] += 1
        qunlock(k, p)
        c.mode = openmode(omode)
        c.flag |= Chan.COPEN
        c.offset = 0
        c.iounit = Maxatomic
        return c

    def close(self, c: Chan) -> None:
        """Closing the last channel of one end hangs up the pipe. Source: port/devpipe.c:pipeclose."""
        k = self.k
        p: Pipe = c.aux
        qlock(k, p)
        t = nettype(c.qid.path)
        if c.flag & Chan.COPEN and t != Qdir:
            end = t - Qdata0
            p.qref[end] -= 1
            if p.qref[end] == 0:
                qhangup(k, p.q[1 - end])
                qclose(k, p.q[end])
        if p.qref == [0, 0]:  # fit for use again
            qreopen(p.q[0])
            qreopen(p.q[1])
        p.ref -= 1
        if p.ref == 0:
            qfree(k, p.q[0])
            qfree(k, p.q[1])
            k.mainmem.free(PIPE)
        qunlock(k, p)

    def read(self, c: Chan, n: int, offset: int) -> bytes:
        """Source: port/devpipe.c:piperead."""
        t = nettype(c.qid.path)
        if t == Qdir:
            return devdirread(self.k, c, n, self.gen)
        p: Pipe = c.aux
        return qread(self.k, p.q[t - Qdata0], n)

    def write(self, c: Chan, data: Data, offset: int) -> int:
        """A write that fails, for whatever reason, sends the writer a note. Source: port/devpipe.c:pipewrite."""
        k = self.k
        p: Pipe = c.aux
        t = nettype(c.qid.path)
        if t == Qdir:
            raise Panic("pipewrite")
        try:
            return qwrite(k, p.q[1 - (t - Qdata0)], data)
        except Error:
            if not c.flag & Chan.CMSG:
                postnote(k, current(k), 1, "sys: write on closed pipe", NUser)
            raise
