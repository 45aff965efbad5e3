"""The texts of a process's files. Source: port/devproc.c."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernel.base.chandat import MAFTER, MBEFORE, MCACHE, MCREATE, NUMSIZE, chanpath
from kernel.base.dat import NSEG, SG_RONLY, SG_TYPE
from kernel.base.error import Error
from kernel.base.mem import BY2PG, MS2HZ
from kernel.base.procdat import STATENAME, TReal
from kernel.base.record import record
from kernel.base.text import kbytes, quote
from kernel.devices.devdup import procfdprint
from kernel.devices.devsrv import srvname
from kernel.files.dev import readnum
from kernel.memory.segment import mcountseg
from kernel.sched.qlock import eqlock, qunlock
from kernel.sched.rwlock import rlock, runlock
from kernel.sched.taslock import lock, unlock

if TYPE_CHECKING:
    from kernel.base.chandat import Mhead, Mount
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Proc


KNAMELEN: Final = 28
STATSIZE: Final = 2 * KNAMELEN + 12 + 9 * NUMSIZE
GENBUF: Final = 128
FDBUF: Final = 256
SNAME: Final = ("Text", "Data", "Bss", "Stack", "Shared", "Phys")


def status(k: Kernel, p: Proc) -> bytes:
    """Name, user, state, six times in ms, kB of memory, base priority and priority, in fixed fields.

    Source: port/devproc.c:procread.
    """
    sps = p.psstate or STATENAME[p.state]
    out = b"".join(kbytes(s)[: n - 1].ljust(n) for s, n in ((p.text, KNAMELEN), (p.user, KNAMELEN), (sps, 12)))
    for i, ticks in enumerate(p.time):
        t = k.machs[0].ticks - ticks if i == TReal else ticks
        out += readnum(t * MS2HZ)
    n = 0
    eqlock(k, p.seglock)
    try:
        for s in p.seg:
            if s is not None:
                eqlock(k, s)
                n += mcountseg(k, s)
                qunlock(k, s)
    except Error:
        qunlock(k, p.seglock)
        raise
    qunlock(k, p.seglock)
    return out + readnum(n * BY2PG // 1024) + readnum(p.basepri) + readnum(p.priority)


def segments(p: Proc) -> bytes:
    """A line for each segment: its kind, whether it is read-only and profiled, where it lies, its references."""
    out = ""
    for i in range(NSEG):
        s = p.seg[i]
        if s is not None:
            flags = ("R" if s.type & SG_RONLY else " ") + ("P" if s.profile is not None else " ")
            out += f"{SNAME[s.type & SG_TYPE]:<6} {flags} {s.base:8x} {s.top:8x} {s.ref:4d}\n"
    return out.encode()


def arguments(p: Proc) -> bytes:
    """The arguments, quoted where they need it; or the name and what the process wrote. At most 127 bytes.

    Source: port/devproc.c:procargs.
    """
    if p.setargs:
        return (kbytes(p.text) + b" [" + p.args.partition(b"\0")[0] + b"]")[: GENBUF - 1]
    out = b""
    rest = p.args
    while rest and len(out) < GENBUF - 1:
        if out:
            out += b" "
        a, _, rest = rest.partition(b"\0")
        out += kbytes(quote(a.decode("utf-8", "surrogateescape"), False, GENBUF - len(out)))
    return out


class _Window:
    """What a read at an offset sees of a text that is made line by line in a small buffer.

    As in the original a line is cut where the buffer ends, and one byte of that is the line's NUL.
    """

    def __init__(self, count: int, offset: int) -> None:
        self.count = count
        self.offset = offset
        self.out = b""

    def add(self, line: bytes) -> None:
        """snprint, then procoffset()."""
        self.put(line[: max(self.count - len(self.out) - 1, 0)])

    def put(self, data: bytes) -> None:
        self.out += data
        if self.offset > 0:
            n = len(self.out)
            self.out = self.out[self.offset :]
            self.offset -= n


def descriptors(k: Kernel, p: Proc, count: int, offset: int) -> bytes:
    """The current directory, then a line for each descriptor; at most 256 bytes. Source: port/devproc.c:procfds."""
    eqlock(k, p.debug)
    f = p.fgrp
    if f is None or p.dot is None:
        qunlock(k, p.debug)
        return b""
    lock(k, f)
    w = _Window(min(count, FDBUF), offset)
    w.add(kbytes(chanpath(p.dot)) + b"\n")
    chans = [(fd, c) for fd, c in enumerate(f.fd[: f.maxfd + 1]) if c is not None]
    width = max((len(str(c.qid.vers)) for _, c in chans), default=0)
    for fd, c in chans:
        w.add(kbytes(procfdprint(k, c, fd, width)))
    unlock(k, f)
    qunlock(k, p.debug)
    return w.out


@record
class Mntwalk:
    """How far a reader of an ns file has come. Source: port/portdat.h."""

    cddone: bool = False
    mh: Mhead | None = None
    cm: Mount | None = None


def mntscan(k: Kernel, mw: Mntwalk, p: Proc) -> None:
    """Go on to the mount with the next higher id; none when all were told. Source: port/devproc.c:mntscan."""
    pg = p.pgrp
    assert pg is not None
    rlock(k, pg.ns)
    last = mw.cm.mountid if mw.mh is not None and mw.cm is not None else 0
    bestmid = 0  # none
    for chain in pg.mnthash:
        for f in chain:
            if k.variant.fix_55c3138c6:
                rlock(k, f.lock)
            t = f.mount
            while t is not None:
                if t.mountid > last and (not bestmid or t.mountid < bestmid):
                    mw.mh, mw.cm = f, t
                    bestmid = t.mountid
                t = t.next
            if k.variant.fix_55c3138c6:
                runlock(k, f.lock)
    if not bestmid:
        mw.mh = None
    runlock(k, pg.ns)


def int2flag(flag: int) -> str:
    """The option of bind(1) for a mount's flag. Source: port/devproc.c:int2flag."""
    if flag == 0:
        return ""
    letters = ((MAFTER, "a"), (MBEFORE, "b"), (MCREATE, "c"), (MCACHE, "C"))
    return "-" + "".join(c for bit, c in letters if flag & bit)


def nextmount(k: Kernel, mw: Mntwalk, p: Proc) -> str:
    """The next line of the ns file: a mount, at the end the current directory, then nothing.

    Source: port/devproc.c:procread.
    """
    if mw.cddone:
        return ""
    mntscan(k, mw, p)
    if mw.mh is None or mw.cm is None:
        mw.cddone = True
        return f"cd {chanpath(p.dot)}\n"
    to, at = mw.cm.to, chanpath(mw.mh.from_)
    flag = int2flag(mw.cm.mflag)
    if chanpath(to) == "#M" and to.mchan is not None:
        return f"mount {flag} {srvname(k, to.mchan) or chanpath(to.mchan)} {at} {mw.cm.spec or ''}\n"
    return f"bind {flag} {chanpath(to)} {at}\n"
