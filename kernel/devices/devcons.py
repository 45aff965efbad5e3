"""The console and the kernel's own files, ``#c``. Source: port/devcons.c.

Reading cons and writing consctl is done here. In the original of this commit both are errors: kbdfs(8), a program,
serves these two files over the device's own. consctl does what kbdfs, and devcons.c before it, did.

Missing on purpose: reboot and config, which serve a machine's screen and boot loader; and setting the clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernel.base.chandat import DMDIR, DMEXCL, NUMSIZE, ORDWR, OREAD, OWRITE, QTDIR, QTEXCL, Aopen, Chan
from kernel.base.dat import Qid
from kernel.base.devdat import Dirtab
from kernel.base.error import Ebadarg, Egreg, Einuse, Eperm, Error
from kernel.base.kernel import current
from kernel.base.mem import BY2PG, HZ, MS2HZ
from kernel.base.procdat import PriNormal, TReal
from kernel.base.text import kbytes, kstr
from kernel.devices.devsrv import srvrenameuser
from kernel.devices.parse import strtoul
from kernel.devices.qio import Maxatomic, Queue, qhangup, qiwrite, qread, qreopen
from kernel.files.chan import namec
from kernel.files.channel import namespace
from kernel.files.dev import Dev, devdirread, iseve, readnum, readpieces, readstr
from kernel.files.fd import fdtochan
from kernel.memory.swap import kickpager, setswapchan
from kernel.sched.newproc import everyproc
from kernel.sched.taslock import lock, unlock

if TYPE_CHECKING:
    from kernel.base.chandat import Buffer, Data
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Mach


VLNUMSIZE: Final = 22
DOMLEN: Final = 48
(
    Qdir, Qbintime, Qcons, Qconsctl, Qcputime, Qdrivers, Qkmesg, Qkprint, Qhostdomain, Qhostowner, Qnull, Qosversion,
    Qpgrpid, Qpid, Qppid, Qrandom, Qreboot, Qswap, Qsysname, Qsysstat, Qtime, Quser, Qzero, Qmordor, Qconfig,
) = range(25)  # fmt: skip


def _file(name: str, path: int, length: int, perm: int) -> Dirtab:
    return Dirtab(name, Qid(path), length, perm)


consdir: Final = (
    Dirtab(".", Qid(Qdir, 0, QTDIR), 0, DMDIR | 0o555),
    _file("bintime", Qbintime, 24, 0o664),
    _file("cons", Qcons, 0, 0o660),
    _file("consctl", Qconsctl, 0, 0o220),
    _file("cputime", Qcputime, 6 * NUMSIZE, 0o444),
    _file("drivers", Qdrivers, 0, 0o444),
    _file("hostdomain", Qhostdomain, DOMLEN, 0o664),
    _file("hostowner", Qhostowner, 0, 0o664),
    _file("kmesg", Qkmesg, 0, 0o440),
    Dirtab("kprint", Qid(Qkprint, 0, QTEXCL), 0, DMEXCL | 0o440),
    _file("null", Qnull, 0, 0o666),
    _file("osversion", Qosversion, 0, 0o444),
    _file("pgrpid", Qpgrpid, NUMSIZE, 0o444),
    _file("pid", Qpid, NUMSIZE, 0o444),
    _file("ppid", Qppid, NUMSIZE, 0o444),
    _file("random", Qrandom, 0, 0o444),
    _file("swap", Qswap, 0, 0o664),
    _file("sysname", Qsysname, 0, 0o664),
    _file("sysstat", Qsysstat, 0, 0o666),
    _file("time", Qtime, NUMSIZE + 3 * VLNUMSIZE, 0o664),
    _file("user", Quser, 0, 0o666),
    _file("zero", Qzero, 0, 0o444),
    _file("mordor", Qmordor, 0, 0o666),
)


def writefd2(k: Kernel, text: str) -> None:
    """Write to the current process's standard error, if it has one open for writing. Source: port/devcons.c:pprint."""
    up = k.up
    if up is None or up.fgrp is None:
        return
    c = up.fgrp.fd[2]
    if c is None or c.mode not in (OWRITE, ORDWR):
        return
    b = kbytes(text)
    try:
        k.devtab[c.type].write(c, b, c.offset)
    except Error:
        return
    lock(k, c)
    c.offset += len(b)
    unlock(k, c)


def conschan(k: Kernel, which: int) -> Chan:
    """The first process's descriptor 0, 1 or 2: a channel of /dev/cons bound to that stream."""
    c = namec(k, "#c/cons", Aopen, OREAD if which == 0 else OWRITE)
    c.aux = which
    return c


def swaptext(k: Kernel) -> bytes:
    """What /dev/swap says. Cached pages of files' and the swap image's count as free."""
    user = k.palloc.user - k.palloc.freecount
    if k.parent is None:
        user -= k.fscache.pgref + k.swapimage.pgref
    cursize, maxsize = k.files.kmalloc
    drawcur, drawmax = k.files.kdraw
    return (
        f"{k.conf.npage * BY2PG} memory\n"
        f"{BY2PG} pagesize\n"
        f"{k.conf.npage - k.conf.upages} kernel\n"
        f"{user & 0xFFFFFFFF}/{k.palloc.user} user\n"
        f"{k.conf.nswap - k.swapalloc.free}/{k.conf.nswap} swap\n"
        f"{cursize}/{maxsize} kernel malloc\n"
        f"{drawcur}/{drawmax} kernel draw\n"
    ).encode()


def _idle(m: Mach) -> int:
    """How much of its time processor m is idle, in percent."""
    return m.avg_inidle * 100 * HZ // 1_000_000_000


class Consdev(Dev):
    """Source: port/devcons.c."""

    dc = "c"
    name = "cons"
    tab = consdir

    def __init__(self, k: Kernel) -> None:
        super().__init__(k)
        self.ctl = 0  # times consctl is open
        self.kprintoq: Queue | None = None

    def stores(self, c: Chan) -> str:
        """Where the store is not readstr's memmove."""
        if c.qid.path == Qzero:
            return "memset"
        return "vlong2le" if c.qid.path == Qbintime else super().stores(c)

    def open(self, c: Chan, omode: int) -> Chan:
        """Source: port/devcons.c:consopen."""
        c.aux = None
        c = super().open(c, omode)
        if c.qid.path == Qconsctl:
            self.ctl += 1
        elif c.qid.path == Qkprint:
            self._kprint(c)
        return c

    def _kprint(self, c: Chan) -> None:
        """From now on the kernel's messages wait for a reader, the only one."""
        k = self.k
        if k.kprint is not None:
            c.flag &= ~Chan.COPEN
            raise Error(Einuse)
        q = self.kprintoq
        if q is None:
            q = self.kprintoq = Queue(8 * 1024)
            q.coalesce = True
        else:
            qreopen(q)
        k.kprint = lambda text: qiwrite(k, q, kbytes(text))
        c.iounit = Maxatomic

    def close(self, c: Chan) -> None:
        """The last close of consctl ends raw mode. Source: port/devcons.c:consclose."""
        if c.qid.path == Qkprint and c.flag & Chan.COPEN:
            assert self.kprintoq is not None
            self.k.kprint = None
            qhangup(self.k, self.kprintoq)
        if c.qid.path == Qconsctl and c.flag & Chan.COPEN:
            self.ctl -= 1
            if self.ctl == 0:
                self.k.console.raw(False)

    def read(self, c: Chan, n: int, offset: int) -> bytes:
        """Source: port/devcons.c:consread."""
        k = self.k
        q = c.qid.path
        if n <= 0 or q == Qnull:
            return b""
        if q == Qdir:
            return devdirread(k, c, n, self.gen)
        if q == Qcons:
            return k.console.read(n)
        if q == Qkprint:
            assert self.kprintoq is not None
            return qread(k, self.kprintoq, n)
        if q == Qzero:
            return bytes(n)
        if q == Qrandom:
            return k.random(n)
        if q == Qbintime:
            return self._bintime(n)
        if q == Qmordor:
            raise Error("one does not simply read from mordor")
        return readstr(offset, n, self._text(q))

    def readto(self, c: Chan, buf: Buffer, offset: int) -> int:
        """read(); what has no end is made piece by piece."""
        if c.qid.path in (Qzero, Qrandom):
            return readpieces(self, c, buf, offset)
        return super().readto(c, buf, offset)

    def _bintime(self, n: int) -> bytes:
        """ns, ticks of the fast clock and its rate, as many as fit: 8 bytes each, most significant first.

        Source: port/devcons.c:readbintime.
        """
        k = self.k
        b = b"".join((v & (1 << 64) - 1).to_bytes(8, "big") for v in (k.nsec(), k.fastticks(), k.files.fasthz))
        return b[: min(n // 8, 3) * 8]

    def _text(self, q: int) -> bytes:
        k = self.k
        up = current(k)
        if q == Qcputime:
            times = list(up.time)
            times[TReal] = k.machs[0].ticks - times[TReal]
            return b"".join(readnum(t * MS2HZ) for t in times)
        if q == Qkmesg:
            return bytes(k.files.kmesg)
        if q == Qpgrpid:
            return readnum(namespace(k).pgrpid)
        if q == Qpid:
            return readnum(up.pid)
        if q == Qppid:
            return readnum(up.parentpid)
        if q == Qtime:
            ns = k.nsec()
            return b"%11d %21d %21d %21d " % (ns // 1_000_000_000, ns, k.fastticks(), k.files.fasthz)
        if q == Qhostowner:
            return kbytes(k.eve)
        if q == Qhostdomain:
            return kbytes(k.files.hostdomain)
        if q == Quser:
            return kbytes(up.user)
        if q == Qsysstat:
            # no TLB faults on a 386; the last column is time in interrupts, which take none here
            return b"".join(
                b"".join(
                    readnum(v)
                    for v in (m.machno, m.cs, m.intr, m.syscall, m.pfault, 0, m.tlbpurge, m.load, _idle(m), 0)
                )
                + b"\n"
                for m in k.machs
            )
        if q == Qswap:
            return swaptext(k)
        if q == Qsysname:
            return kbytes(k.files.sysname)
        if q == Qdrivers:
            # mounts and the host's directories are one device to the guest
            return "".join(dict.fromkeys(f"#{d.dc} {d.name}\n" for d in k.devtab)).encode()
        if q == Qosversion:
            return b"2000"
        raise Error(Egreg)

    def write(self, c: Chan, data: Data, offset: int) -> int:
        """Source: port/devcons.c:conswrite."""
        k = self.k
        q = c.qid.path
        n = len(data)
        if q == Qcons:
            fd = 2 if c.aux == 2 else 1
            for i in range(0, n, 8192):
                k.console.write(fd, data[i : i + 8192])
        elif q == Qconsctl:
            self._consctl(data)
        elif q == Qnull:
            pass
        elif q in (Qtime, Qbintime):
            raise Error(Eperm)
        elif q == Qhostowner:
            self._hostowner(data)
        elif q == Qhostdomain:
            self._hostdomain(data)
        elif q == Quser:
            # anyone can become none
            if n != 4 or data[0:4] != b"none":
                raise Error(Eperm)
            current(k).user = "none"
            current(k).basepri = PriNormal
        elif q == Qsysstat:
            for m in k.machs:
                m.cs = m.intr = m.syscall = m.pfault = m.tlbpurge = 0
        elif q == Qswap:
            self._swap(data)
        elif q == Qsysname:
            if offset & 0xFFFFFFFF != 0 or not 0 < n < 256:
                raise Error(Ebadarg)
            name = data[0:n].partition(b"\0")[0]
            k.files.sysname = kstr(name.removesuffix(b"\n"))
        elif q == Qmordor:
            raise Error("one does not simply write into mordor")
        else:
            raise Error(Egreg)
        return n

    def _consctl(self, data: Data) -> None:
        """Words, of which rawon and rawoff mean something; the others (holdon, ctlpoff) are for a keyboard."""
        for word in data[0:256].split():
            if word in (b"rawon", b"rawoff"):
                self.k.console.raw(word == b"rawon")

    def _hostowner(self, data: Data) -> None:
        """Source: port/auth.c:hostownerwrite."""
        k = self.k
        if not iseve(k):
            raise Error(Eperm)
        if not 0 < len(data) < 128:
            raise Error(Ebadarg)
        name = kstr(data[0 : len(data)].partition(b"\0")[0])
        for p in everyproc(k):
            if p.user == k.eve:
                p.user = name
        srvrenameuser(k, k.eve, name)
        k.eve = name
        current(k).user = name
        current(k).basepri = PriNormal

    def _hostdomain(self, data: Data) -> None:
        """Source: port/auth.c:hostdomainwrite."""
        k = self.k
        if not iseve(k):
            raise Error(Eperm)
        n = len(data)
        b = data[0:n].partition(b"\0")[0] if 0 < n < DOMLEN else b""
        if not b:
            raise Error(Ebadarg)
        k.files.hostdomain = kstr(b)

    def _swap(self, data: Data) -> None:
        """ "start" starts the pager, a number makes that descriptor the swap file."""
        k = self.k
        if len(data) >= 256:
            raise Error(Egreg)
        text = data[0 : len(data)]
        if text.startswith(b"start"):
            kickpager(k)
            return
        if not iseve(k):
            raise Error(Eperm)
        if not text[:1].isdigit():
            raise Error(Ebadarg)
        setswapchan(k, fdtochan(k, strtoul(text), -1, True, True))


# Notes


def pprint(k: Kernel, text: str) -> None:
    """Tell the current process's standard error, with its name and pid. Source: port/devcons.c:pprint."""
    up = k.up
    if up is None or up.fgrp is None:
        return
    writefd2(k, f"{up.text} {up.pid}: {text}")
