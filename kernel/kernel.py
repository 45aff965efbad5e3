"""One kernel: everything that is a global in the original. Source: port/portdat.h's externs, pc/main.c.

``up`` and ``m`` are the current process and processor; the scheduler sets them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from kernel import check, devmnt, fault, page, segment, swap, trap
from kernel.alloc import mainmem
from kernel.cache import Cache, Ecache
from kernel.chandat import Files
from kernel.dat import (
    SEGMAXSIZE,
    SG_BSS,
    SG_SHARED,
    Conf,
    Image,
    Imagealloc,
    Mach,
    Page,
    Palloc,
    Physseg,
    Proc,
    Segment,
    Swapalloc,
)
from kernel.devcons import kprint, writefd2
from kernel.error import Wrong
from kernel.inject import Inject
from kernel.mem import BY2PG, KZERO, MASK32, MB
from kernel.mmu import Mmu
from kernel.proc import Procs
from kernel.systab import systab
from kernel.waits import lastlock, position

if TYPE_CHECKING:
    from kernel.dev import Dev
    from kernel.devcons import Console
    from kernel.event import Event, Sink
    from kernel.hw import Memory

EPOCH = 1_402_963_200  # virtual time starts on 17 June 2014, the day of the commit
NSPERSEC = 1_000_000_000
KBASE = 1 * MB  # first byte of kernel memory that xspanalloc may use


def confinit(memory: int, nmach: int) -> Conf:
    """Sizes for a machine with so many bytes of memory, run as a terminal. Source: pc/main.c:confinit."""
    conf = Conf(nmach=nmach)
    conf.npage = (memory - KBASE) // BY2PG
    conf.nproc = min(100 + conf.npage * BY2PG // MB * 5, 2000)
    conf.nswap = conf.nproc * 80
    userpcnt = 50 if conf.npage * BY2PG < 16 * MB else 60
    kpages = conf.npage - conf.npage * userpcnt // 100
    # the kernel's own memory ends with its window
    kpages = min(kpages, (-KZERO & MASK32) // BY2PG)
    conf.upages = conf.npage - kpages
    conf.copymode = 1 if nmach > 1 else 0  # copy on reference (pc/mp.c)
    return conf


class Started:
    """kickpager's static Ref."""

    def __init__(self) -> None:
        self.ref = 0


class Kernel:
    """Owns all kernel state. Functions of the original take it as their first argument.

    ``mem`` is physical memory; the pool is its top ``conf.upages`` frames. ``mmu`` and ``procs``
    are the machine-dependent part (pc/mmu.c) and the scheduler (port/proc.c).
    """

    def __init__(self, conf: Conf, mem: Memory, base: int | None = None) -> None:
        self.conf = conf
        self.mem = mem
        self.mainmem = mainmem(conf)
        self.up: Proc | None = None
        self.m: Mach  # set when the first processor is added
        self.machs: list[Mach] = []
        pool = mem.size - conf.upages * BY2PG if base is None else base
        self.palloc = Palloc(pool, conf.upages, max(conf.nmach, 1))
        self.imagealloc = Imagealloc(conf.nimage)
        self.swapalloc = Swapalloc(conf.nswap)
        self.swapalloc.highwater = conf.upages * 5 // 100
        self.swapalloc.headroom = self.swapalloc.highwater + self.swapalloc.highwater // 4
        self.swapimage = Image(-2, notext=True)
        self.fscache = Image(-3, notext=True)
        self.cache = Cache(conf)
        self.ecache = Ecache()
        self.mntalloc = devmnt.Mntalloc()
        self.iolist: list[Page] = []
        self.ionext = 0  # those before it in iolist are done with
        self.ageclock = 0
        self.pagerstarted = Started()
        self.physseg = [
            Physseg(SG_SHARED, "shared", 0, SEGMAXSIZE),
            Physseg(SG_BSS, "memory", 0, SEGMAXSIZE),
        ]
        self.copymode = conf.copymode
        self.eve = "eve"
        self.cyclefreq = NSPERSEC  # RDTSC counts virtual ns
        self.devtab: list[Dev] = []
        self.console: Console
        self.rng = random.Random(0)
        self.files = Files()
        self.files.kerndate = EPOCH
        self.epoch = EPOCH * NSPERSEC  # when time began, ns since 1970
        self.lastticks = 0  # what fastticks() told last
        self.onprint: Callable[[str], None] | None = None
        self.onwarn: Callable[[str], None] | None = None
        self.sink: Sink | None = None
        self.explore: Callable[[str], None] | None = None
        self.inject: Inject | None = None
        self.checking = False
        self.checkmemo = check.Memo()
        self._checked = (0,) * 6
        self._held = "the start"  # where the last check was
        self.halted = False  # the program has ended: run nothing more
        self.nfault = 0
        self.nsyscall = 0
        self.npageout = 0  # pages given a swap slot
        self.nswapwrite = 0
        self.nswapin = 0
        self.nreclaim = 0  # cached pages freed
        self.mmu = Mmu(self)
        self.procs = Procs(self)
        self.traps = trap.Traps(self, systab())
        self.procs.trap = self.traps.trap
        self.procs.syscall = self.traps.syscall

    # Observation

    def emit(self, e: Event) -> None:
        """Stamp an event with where and when, and hand it to the sink. Call only with a sink."""
        assert self.sink is not None
        m = self.m
        e.ns = m.cpu.now()
        e.pid = self.up.pid if self.up is not None else 0
        e.cpu = m.machno
        self.sink(e)

    def print(self, text: str) -> None:
        """print(): a message of the kernel's own, to /dev/kmesg. Source: port/devcons.c:print."""
        kprint(self, text)
        if self.onprint is not None:
            self.onprint(text)

    def warn(self, text: str) -> None:
        """Tell whoever runs the machine, not the guest, of something that looks wrong there."""
        if self.onwarn is not None:
            self.onwarn(text)

    def checkchanged(self, p: Proc, returning: bool) -> None:
        """check(), unless nothing that touches memory has happened since the last time.

        p returns to user mode, or was just switched away from.
        """
        now = (self.nfault, self.nsyscall, self.npageout, self.nswapwrite, self.nswapin, self.nreclaim)
        if now != self._checked:
            self._checked = now
            at = position(self, p, returning)
            try:
                self.check()
            except Wrong as e:
                raise Wrong(f"{e}; seen at {at}{lastlock(self, p)}; all was well at {self._held}") from None
            self._held = at

    def check(self) -> None:
        """Raise Wrong unless every invariant of the memory subsystem holds."""
        wrong = check.check(self)
        if wrong:
            raise Wrong("check: " + "; ".join(wrong[:5]))

    # Time and chance

    def fastticks(self) -> int:
        """The clock of all processors, ns since the start; it never goes back. Source: port/tod.c:todget.

        The original assumes that the processors' counters are synchronous. Here they run in turn, and one lags behind
        what another has told.
        """
        self.lastticks = max(self.lastticks, self.m.cpu.now())
        return self.lastticks

    def nsec(self) -> int:
        """Time of day, ns since 1970, a vlong. Source: port/tod.c:todget."""
        return (self.epoch + self.fastticks() + (1 << 63) & (1 << 64) - 1) - (1 << 63)

    def random(self, n: int) -> bytes:
        """n bytes of the seeded generator behind /dev/random."""
        return self.rng.randbytes(n)

    # Memory of the kernel itself

    def malloc(self) -> bool:
        """Whether kernel memory for a structure can be had."""
        return self.inject is None or not self.inject.hit("malloc")

    def segcreated(self, s: Segment) -> None:
        """Called with each new segment as soon as it has its memory."""

    # Text

    def decode(self, b: bytes) -> str:
        """Bytes of the guest as a string that encode() turns back."""
        return b.decode("utf-8", "surrogateescape")

    def encode(self, s: str) -> bytes:
        """The guest's bytes of a string."""
        return s.encode("utf-8", "surrogateescape")

    # Doors between files that need each other (port/portfns.h)

    def fault(self, addr: int, read: bool, err: int, mode: str, fn: str) -> int:
        """Source: port/fault.c:fault; told to the trace."""
        return self.traps.fault(addr, read, err, mode, fn)

    def validaddr(self, addr: int, n: int, write: bool) -> None:
        """Source: port/fault.c:validaddr."""
        fault.validaddr(self, addr, n, write)

    def putimage(self, i: Image) -> None:
        """Source: port/segment.c:putimage."""
        segment.putimage(self, i)

    def putseg(self, s: Segment | None) -> None:
        """Source: port/segment.c:putseg."""
        segment.putseg(self, s)

    def imagereclaim(self, min: int) -> int:
        """Source: port/segment.c:imagereclaim."""
        return segment.imagereclaim(self, min)

    def putswap(self, e: int) -> None:
        """Source: port/swap.c:putswap."""
        swap.putswap(self, e)

    def dupswap(self, e: int) -> None:
        """Source: port/swap.c:dupswap."""
        swap.dupswap(self, e)

    def muxclose(self, m: devmnt.Mnt) -> None:
        """Source: port/devmnt.c:muxclose."""
        devmnt.muxclose(self, m)

    def kickpager(self) -> None:
        """Source: port/swap.c:kickpager."""
        swap.kickpager(self)

    def pagenumber(self, p: Page) -> int:
        """Source: port/page.c:pagenumber."""
        return page.pagenumber(self, p)

    def writefd2(self, text: str) -> None:
        """Write to file descriptor 2 of the current process, errors ignored. Source: port/devcons.c:pprint."""
        writefd2(self, text)
