"""A kernel under the recorder's stubs: its devices, its MMU that only tells, its scheduler that runs only the pager.

FORMAT.md, sections 5 to 7, says how each of them behaves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NoReturn

from greenlet import getcurrent, greenlet

from kernel.chan import Chan
from kernel.chandat import Data, Path
from kernel.dat import (
    SG_PHYSICAL,
    Conf,
    Mach,
    Page,
    Physseg,
    Proc,
    Qid,
    Queueing,
    Ready,
    Rendez,
    Segment,
)
from kernel.dev import Dev
from kernel.error import Eintr, Eio, Error, Panic
from kernel.kernel import Kernel
from kernel.mem import BY2PG, MB, PTEPERTAB
from kernel.mmu import Mmu
from kernel.page import pagenumber
from kernel.proc import Procs
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
        self.vk.tell("rd", file.num, offset, n)
        self.vk.midread()
        failure = self.vk.failure()
        if failure == 1:
            return self.vk.nodata(n // 2)
        return file.read(n, offset)

    def write(self, c: Chan, data: Data, offset: int) -> int:
        file: File = c.aux
        self.vk.tell("wr", file.num, offset, len(data))
        self.vk.midwrite()
        failure = self.vk.failure()
        if failure == 1:
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


class VectorMmu(Mmu):
    """Maps nothing, tells what it is asked for. kmap() addresses are physical ones."""

    k: VectorKernel

    def kmap(self, page: Page) -> int:
        self.k.lastkmap = page.pa
        return page.pa

    def VA(self, kk: int) -> int:
        return kk

    def kunmap(self, kk: int) -> None:
        pass

    def putmmu(self, va: int, pa: int, page: Page) -> None:
        self.k.tell("mmu", va, pa & 0xFFF, self.k.pageid(page))

    def flushmmu(self) -> None:
        self.k.tell("flushmmu")

    def checkmmu(self, va: int, pa: int) -> None:
        self.k.tell("checkmmu", va, self.k.frameid(pa))


class VectorProcs(Procs):
    """The process table, and a scheduler for the pager alone: it runs while another process waits for memory."""

    k: VectorKernel

    def __init__(self, k: VectorKernel, nproc: int) -> None:
        super().__init__(k)
        for i in range(nproc):
            p = Proc(i)
            p.state = Ready
            self.proctab.append(p)
        self.driver = self._outside("driver", False)
        self.pager = self._outside("pager", True)
        self.pagerstack: greenlet | None = None
        self.runnable = False
        self.waits = 0

    @staticmethod
    def _outside(name: str, kp: bool) -> Proc:
        p = Proc(-1)
        p.text = name
        p.state = Ready
        p.kp = kp
        return p

    def runpager(self) -> None:
        """Run the pager until it sleeps, if it is runnable."""
        k = self.k
        if not self.runnable or self.pagerstack is None:
            return
        self.runnable = False
        up, k.up = k.up, self.pager
        k.spins = 0
        k.explore = k.spin
        self.pagerstack.parent = getcurrent()
        self.pagerstack.switch()
        k.explore = None
        k.up = up

    def kproc(self, name: str, func: Callable[[], None], atboot: bool = False) -> Proc:
        self.k.tell("kproc", name)
        self.pagerstack = greenlet(func)
        self.runnable = True
        return self.pager

    def wakeup(self, r: Rendez) -> Proc | None:
        p = r.r
        r.r = None
        if p is self.pager:
            self.runnable = True
        return p

    def sleep(self, r: Rendez, f: Callable[[], bool]) -> None:
        assert self.k.up is self.pager and self.pagerstack is not None and self.pagerstack.parent is not None
        if f():
            return
        r.r = self.pager
        self.pagerstack.parent.switch()

    def tsleep(self, r: Rendez, fn: Callable[[], bool], ms: int) -> None:
        k = self.k
        k.tell("wait")
        self.runpager()
        if k.palloc.freecount > k.swapalloc.highwater:
            self.waits = 0
            return
        self.waits += 1
        if self.waits > WAITS:
            raise Fatal("newpage livelock")

    def sched(self) -> None:
        up = self.k.up
        if up is not None and up.state == Queueing:
            raise Panic(f"{up.text} waits for a lock")

    def postnote(self, p: Proc | None, dolock: int, n: str | None, flag: int) -> int:
        self.k.tell("note", n)
        return 1

    def pexit(self, exitstr: str | None, freemem: bool) -> NoReturn:
        raise Pexit(exitstr)

    def procflushseg(self, s: Segment) -> None:
        self.k.tell("pflush", self.k.segid(s))

    def killbig(self, why: str) -> None:
        raise Fatal(f"killbig: {why}")

    def resrcwait(self, reason: str) -> None:
        raise Fatal(f"resrcwait: {reason}")


class VectorKernel(Kernel):
    """A kernel with the recorder's memory, devices and processes.

    ``events`` collects what section 6 lists. ``during`` is called once, in the midst of the first
    device read (or write, if ``duringwrite``); ``ioerr`` has the failures of the next reads and writes, the
    next one last; ``nomem`` counts down to the malloc that fails.
    """

    mmu: VectorMmu
    procs: VectorProcs

    def __init__(self, nproc: int, nimage: int, nswap: int, nswppo: int, npages: int, copymode: int) -> None:
        conf = Conf(1, npages, npages, nproc, nimage, nswap, nswppo, copymode)
        mem = PlainMemory(MB + npages * BY2PG)
        super().__init__(conf, mem, MB)
        self.plain = mem
        for i in range(npages):
            mem.write(MB + i * BY2PG, pattern(i))
        self.m = Mach(0, PlainCpu(), 0)
        self.machs.append(self.m)
        self.mmu = VectorMmu(self)
        self.procs = VectorProcs(self, nproc)
        self.up = self.procs.driver
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
        """How this read or write fails: 1 if it is cut in half, 0 if not at all; other failures are raised."""
        if not self.ioerr:
            return 0
        kind = self.ioerr.pop()
        if kind == 1:
            return 1
        raise Error(Eintr if kind == 2 else Eio)

    def nodata(self, n: int) -> bytes:
        """A read that moves nothing: the bytes that are in the page already."""
        return self.mem.read(self.lastkmap, n)

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
