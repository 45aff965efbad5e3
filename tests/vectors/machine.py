"""A kernel under the recorder's stubs: its devices, its MMU that only tells, its scheduler that runs only the pager.

FORMAT.md, sections 5 to 7, says how each of them behaves. The kernel is linked with them as the original C code was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, NoReturn

from greenlet import getcurrent, greenlet

from kernel.base.chandat import Chan, Data, Path
from kernel.base.dat import SG_PHYSICAL, Conf, Page, Physseg, Qid, Rendez, Segment
from kernel.base.error import Eintr, Eio, Error, Panic
from kernel.base.kernel import Kernel
from kernel.base.mem import BY2PG, MB, PTEPERTAB
from kernel.base.procdat import Mach, Proc, Queueing, Ready
from kernel.files.dev import Dev
from kernel.main import link
from kernel.memory.killbig import killbig
from kernel.memory.kmap import VA, kmap, kunmap
from kernel.memory.mmu import checkmmu, flushmmu, putmmu
from kernel.memory.palloc import pagenumber
from kernel.memory.procflush import procflushseg
from kernel.process.proc import pexit
from kernel.sched.newproc import kproc
from kernel.sched.note import postnote
from kernel.sched.sched import sched
from kernel.sched.sleep import resrcwait, sleep, tsleep, wakeup
from tests.kernel.plain import PlainCpu, PlainMemory

SPINS = 200_000  # locks the pager may take in one run; one that makes progress takes far fewer
WAITS = 3  # times newpage may wait in vain

TwoBytes = bytes(range(256)) * 2


class Fatal(BaseException):
    """The recorder ended the run here: the kernel would wait for ever, or kill a process."""


class Pexit(BaseException):
    """The current process ended with this status."""


def pattern(index: int) -> bytes:
    """Bytes of a pool page before its first use."""
    return bytes([(index * 37 + 0x5A) & 255]) * BY2PG


def signed(n: int) -> int:
    """A 32-bit number as C prints a long."""
    return (n & 0xFFFFFFFF ^ 0x80000000) - 0x80000000


class File:
    """What is behind a channel of the test devices: a text that follows from its address, or memory."""

    def __init__(self, num: int, path: int, length: int, rw: bool) -> None:
        self.num = num
        self.path = path
        self.length = length
        self.memory = bytearray(length) if rw else None
        self.open = True

    def read(self, n: int, offset: int) -> bytes:
        n = max(min(n, self.length - offset), 0)
        if self.memory is not None:
            return bytes(self.memory[offset : offset + n])
        parts = []
        for block in range(offset >> 8, (offset + n + 255) >> 8):
            start = (block * 3 + (block >> 4) * 7 + self.path * 29) & 255
            parts.append(TwoBytes[start : start + 256])
        return b"".join(parts)[offset & 255 :][:n]

    def write(self, data: bytes, offset: int) -> int:
        if self.memory is None:
            raise Error(Eio)
        n = max(min(len(data), self.length - offset), 0)
        self.memory[offset : offset + n] = data[:n]
        return n


class VectorDev(Dev):
    """A device whose reads and writes are told, can fail, and let other operations run in their midst."""

    def __init__(self, k: VectorKernel) -> None:
        super().__init__(k)
        self.vk = k

    def read(self, c: Chan, n: int, offset: int) -> bytes:
        file: File = c.aux
        page = self.vk.lastkmap  # what is read into; a load in the midst kmaps another
        self.vk.tell("rd", file.num, offset, n)
        self.vk.midread()
        failure = self.vk.failure()
        if failure == 2:
            raise Error(Eintr)
        if failure == 1:  # nothing is moved: the page keeps its bytes
            return self.vk.mem.read(page, n // 2)
        return file.read(n, offset)

    def write(self, c: Chan, data: Data, offset: int) -> int:
        file: File = c.aux
        self.vk.tell("wr", file.num, offset, len(data))
        self.vk.midwrite()
        if self.vk.failure() == 1:  # notes interrupt reads only: a 2 is used up
            return len(data) // 2
        return file.write(data[:], offset)

    def length(self, c: Chan) -> int | None:
        if self.vk.ioerr:
            self.vk.ioerr.pop()
            return None
        file: File = c.aux
        return file.length

    def close(self, c: Chan) -> None:
        file: File = c.aux
        file.open = False
        self.vk.tell("close", file.num)


class MountDev(VectorDev):
    """Where a swap file may be of any length."""

    dc: ClassVar[str] = "M"
    name: ClassVar[str] = "mnt"


class DiskDev(VectorDev):
    """Where the length of the swap file counts."""

    dc: ClassVar[str] = "S"
    name: ClassVar[str] = "sd"


class Pagerrun:
    """The scheduler: it runs the pager alone, while another process waits for memory."""

    def __init__(self, k: VectorKernel) -> None:
        self.k = k
        self.pager = _outside("pager", True)
        self.stack: greenlet | None = None
        self.runnable = False
        self.waits = 0  # times that newpage has waited in vain

    def run(self) -> None:
        """Run the pager until it sleeps, if it is runnable."""
        k = self.k
        if not self.runnable or self.stack is None:
            return
        self.runnable = False
        up, k.up = k.up, self.pager
        k.spins = 0
        k.explore = k.spin
        self.stack.parent = getcurrent()
        self.stack.switch()
        k.explore = None
        k.up = up


def _outside(name: str, kp: bool) -> Proc:
    """A process that is not in the table."""
    p = Proc(-1)
    p.text = name
    p.state = Ready
    p.kp = kp
    return p


class VectorKernel(Kernel):
    """A kernel with the recorder's memory, devices and processes.

    ``events`` collects what section 6 lists. ``during`` is called once, in the midst of the first
    device read (or write, if ``duringwrite``); ``ioerr`` has the failures of the next reads and writes, the
    next one last; ``nomem`` counts down to the malloc that fails.
    """

    def __init__(self, nproc: int, nimage: int, nswap: int, nswppo: int, npages: int, copymode: int) -> None:
        conf = Conf(1, npages, npages, nproc, nimage, nswap, nswppo, copymode)
        mem = PlainMemory(MB + npages * BY2PG)
        super().__init__(conf, mem, MB)
        link(self)
        self.hooks.pexit = _pexit
        self.hooks.flushmmu = _flushmmu
        self.plain = mem
        for i in range(npages):
            mem.write(MB + i * BY2PG, pattern(i))
        self.m = Mach(0, PlainCpu(), 0)
        self.machs.append(self.m)
        for i in range(nproc):
            p = Proc(i)
            p.state = Ready
            self.procs.proctab.append(p)
        self.pager = Pagerrun(self)
        self.up = self.driver = _outside("driver", False)
        self.devtab = [MountDev(self), DiskDev(self)]
        self.events: list[list[object]] = []
        self.during: Callable[[], None] | None = None
        self.duringwrite = False
        self.ioerr: list[int] = []
        self.nomem = 0
        self.spins = 0
        self.lastkmap = 0
        self.chans: list[Chan] = []
        self.segs: dict[int, Segment] = {}  # those alive, by their number
        self.segnum: dict[Segment, int] = {}
        self.nseg = 0

    def tell(self, *event: object) -> None:
        """One more event."""
        self.events.append(list(event))

    # Failures and interruptions

    def midread(self) -> None:
        """A device read has begun."""
        if not self.duringwrite:
            self._interrupt()

    def midwrite(self) -> None:
        """A device write has begun."""
        if self.duringwrite:
            self._interrupt()

    def _interrupt(self) -> None:
        during, self.during = self.during, None
        if during is not None:
            during()

    def failure(self) -> int:
        """Whether this read or write is cut in half (1) or interrupted (2), or neither (0); an i/o error is raised."""
        kind = self.ioerr.pop() if self.ioerr else None
        if kind == 0:
            raise Error(Eio)
        return kind or 0

    def spin(self, point: str) -> None:
        """The pager took one more lock."""
        self.spins += 1
        if point == "spin":
            raise Panic("a lock is held for ever")
        if self.spins > SPINS:
            raise Fatal("pager spins")

    def malloc(self) -> bool:
        self.nomem -= 1
        if self.nomem != 0:
            return True
        for num, s in list(self.segs.items()):  # a segment that gets no map is gone
            if (s.size + PTEPERTAB - 1) // PTEPERTAB > s.mapsize:
                del self.segs[num]
        return False

    # Identifiers

    def segcreated(self, s: Segment) -> None:
        self.segs[self.nseg] = s
        self.segnum[s] = self.nseg
        self.nseg += 1

    def segid(self, s: Segment | None) -> int:
        """Number of a segment, -1 for None."""
        return -1 if s is None else self.segnum[s]

    def pageid(self, p: Page) -> int | str:
        """Index of a page of the pool, else its address."""
        n = pagenumber(self, p)
        return n if self.palloc.pages.get(n) is p else f"P{p.pa:x}"

    def frameid(self, pa: int) -> int | str:
        """The same from an address."""
        n = (pa - self.palloc.base) // BY2PG
        return n if 0 <= n < self.palloc.user else f"P{pa:x}"

    def newfile(self, type: int, dev: int, path: int, vers: int, qtype: int, length: int, rw: int) -> int:
        """Make a channel; its number."""
        c = Chan()
        c.type = type
        c.dev = dev
        c.qid = Qid(path, vers, qtype)
        c.flag = Chan.COPEN
        c.path = Path(f"/f{path}")
        c.aux = File(len(self.chans), path, length, rw != 0)
        self.chans.append(c)
        return len(self.chans) - 1

    def newphysseg(self, name: str, pa: int, size: int) -> Physseg:
        """A physical segment to be attached by name."""
        return Physseg(SG_PHYSICAL, name, pa, size)


# The stubs


def _vk(k: Kernel) -> VectorKernel:
    assert isinstance(k, VectorKernel)
    return k


def _kmap(k: Kernel, page: Page) -> int:
    """Maps nothing: the address is the physical one."""
    _vk(k).lastkmap = page.pa
    return page.pa


def _va(k: Kernel, kk: int) -> int:
    return kk


def _kunmap(k: Kernel, kk: int) -> None:
    pass


def _putmmu(k: Kernel, va: int, pa: int, page: Page) -> None:
    _vk(k).tell("mmu", va, pa & 0xFFF, _vk(k).pageid(page))


def _flushmmu(k: Kernel) -> None:
    _vk(k).tell("flushmmu")


def _checkmmu(k: Kernel, va: int, pa: int) -> None:
    _vk(k).tell("checkmmu", va, _vk(k).frameid(pa))


def _kproc(k: Kernel, name: str, func: Callable[[], None], atboot: bool = False) -> Proc:
    pager = _vk(k).pager
    _vk(k).tell("kproc", name)
    pager.stack = greenlet(func)
    pager.runnable = True
    return pager.pager


def _wakeup(k: Kernel, r: Rendez) -> Proc | None:
    p = r.r
    r.r = None
    if p is _vk(k).pager.pager:
        _vk(k).pager.runnable = True
    return p


def _sleep(k: Kernel, r: Rendez, f: Callable[[], bool]) -> None:
    pager = _vk(k).pager
    assert k.up is pager.pager and pager.stack is not None and pager.stack.parent is not None
    if f():
        return
    r.r = pager.pager
    pager.stack.parent.switch()


def _tsleep(k: Kernel, r: Rendez, fn: Callable[[], bool], ms: int) -> None:
    pager = _vk(k).pager
    _vk(k).tell("wait")
    pager.run()
    if k.palloc.freecount > k.swapalloc.highwater:
        pager.waits = 0
        return
    pager.waits += 1
    if pager.waits > WAITS:
        raise Fatal("newpage livelock")


def _sched(k: Kernel) -> None:
    if k.up is not None and k.up.state == Queueing:
        raise Panic(f"{k.up.text} waits for a lock")


def _postnote(k: Kernel, p: Proc | None, dolock: int, n: str | None, flag: int) -> int:
    _vk(k).tell("note", n)
    return 1


def _pexit(k: Kernel, exitstr: str | None, freemem: bool) -> NoReturn:
    raise Pexit(exitstr)


def _procflushseg(k: Kernel, s: Segment) -> None:
    _vk(k).tell("pflush", _vk(k).segid(s))


def _killbig(k: Kernel, why: str) -> None:
    raise Fatal(f"killbig: {why}")


def _resrcwait(k: Kernel, reason: str) -> None:
    raise Fatal(f"resrcwait: {reason}")


STUBS: Mapping[Callable[..., object], Callable[..., object]] = {
    kmap: _kmap,
    VA: _va,
    kunmap: _kunmap,
    putmmu: _putmmu,
    flushmmu: _flushmmu,
    checkmmu: _checkmmu,
    kproc: _kproc,
    wakeup: _wakeup,
    sleep: _sleep,
    tsleep: _tsleep,
    sched: _sched,
    postnote: _postnote,
    pexit: _pexit,
    procflushseg: _procflushseg,
    killbig: _killbig,
    resrcwait: _resrcwait,
}
