"""One kernel: everything that is a global in the original. Source: port/portdat.h's externs.

It is data: what there is to be done with it are functions, in the rooms above, that take it as their first argument.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, TypeVar

from kernel.base.alloc import mainmem
from kernel.base.cachedat import Cache, Ecache
from kernel.base.chandat import Files
from kernel.base.checkdat import Memo
from kernel.base.dat import (
    SEGMAXSIZE,
    SG_BSS,
    SG_SHARED,
    Conf,
    Image,
    Imagealloc,
    Page,
    Palloc,
    Physseg,
    Segment,
    Swapalloc,
)
from kernel.base.error import Panic
from kernel.base.event import KINDS
from kernel.base.mem import BY2PG, MB, s64
from kernel.base.mntdat import Mntalloc
from kernel.base.proctab import Procs
from kernel.base.text import kbytes
from kernel.base.variant import Variant

if TYPE_CHECKING:
    from kernel.base.chandat import Chan
    from kernel.base.changes import Changes
    from kernel.base.devdat import Device
    from kernel.base.event import Event, Sink
    from kernel.base.hw import Console, Memory, Network
    from kernel.base.inject import Inject
    from kernel.base.mntdat import Mnt
    from kernel.base.pageoutdat import Key, Policy
    from kernel.base.parentdat import Parent
    from kernel.base.procdat import Mach, Proc
    from kernel.base.watchdat import Watch

EPOCH = 1_402_963_200  # virtual time starts on 17 June 2014, the day of the commit
NSPERSEC = 1_000_000_000
KMESGSIZE = 16384

Args = tuple[int, ...]  # of a system call
T = TypeVar("T")


class Started:
    """kickpager's static Ref."""

    def __init__(self) -> None:
        self.ref = 0


class Hooks:
    """The calls that go up: from a room to one above it, which must not be imported there.

    :func:`kernel.main.link` fills them in. Each is the function of that name; rooms that lie above it import it.
    """

    # scheduler -> memory: a switch of processes is one of page directories, and a tick may flush
    mmuswitch: Callable[[Kernel, Proc], None]
    mmurelease: Callable[[Kernel, Proc], None]
    flushmmu: Callable[[Kernel], None]
    # scheduler and traps -> checks, which tell in words where they are
    checkchanged: Callable[[Kernel, Proc, bool], None]
    # scheduler -> traps: what a process comes back from user mode with, and what the profiling clock finds there
    trap: Callable[[Kernel, int, int], None]
    syscall: Callable[[Kernel], None]
    profclock: Callable[[Kernel], None]
    # scheduler -> files: a process told to die in the middle of closing its files
    forceclosefgrp: Callable[[Kernel], None]
    # memory -> files: the last page or segment of an image closes its file
    cclose: Callable[[Kernel, Chan], None]
    ccloseq: Callable[[Kernel, Chan], None]
    # within memory: who takes a page wakes the pager, which pages out by the same functions
    kickpager: Callable[[Kernel], None]
    # files -> devices: a channel that carried a mount's messages is gone
    muxclose: Callable[[Kernel, Mnt], None]
    # all -> processes and /dev/cons: a fault may end its process, and says so on its fd 2
    pexit: Callable[[Kernel, str | None, bool], NoReturn]
    pprint: Callable[[Kernel, str], None]


class Kernel:
    """Owns all kernel state. ``up`` and ``m`` are the current process and processor; the scheduler sets them.

    ``mem`` is physical memory; the pool is its top ``conf.upages`` frames, from physical address ``base`` on.
    Its methods are what every room needs from outside: events, messages, time, chance, and memory that can be refused.
    """

    def __init__(self, conf: Conf, mem: Memory, base: int | None = None) -> None:
        self.conf = conf
        self.mem = mem
        self.hooks = Hooks()
        self.mainmem = mainmem(conf)
        self.variant = Variant()
        self.up: Proc | None = None
        self.m: Mach  # set when the first processor is added
        self.machs: list[Mach] = []
        # memory
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
        self.iolist: list[Page] = []
        self.ionext = 0  # those before it in iolist are done with
        self.ageclock = 0
        self.parent: Parent | None = None  # the page cache of the commit's parent, where that is used
        self.policy: Policy  # which pages are paged out
        self.onfault: Callable[[Key], None] | None = None  # the policy's fault(), if it wants to hear of them
        self.pagerstarted = Started()
        self.physseg = [
            Physseg(SG_SHARED, "shared", 0, SEGMAXSIZE),
            Physseg(SG_BSS, "memory", 0, SEGMAXSIZE),
        ]
        self.copymode = conf.copymode
        self.xbase = 1 * MB  # xspanalloc's next free byte, between 1 MB and the pool
        # processes
        self.procs = Procs()
        self.eve = "eve"
        self.cyclefreq = NSPERSEC  # RDTSC counts virtual ns
        # files and devices
        self.files = Files()
        self.files.kerndate = EPOCH
        self.mntalloc = Mntalloc()
        self.devtab: list[Device] = []
        self.console: Console
        self.network: Network | None = None
        # from outside
        self.rng = random.Random(0)
        self.epoch = EPOCH * NSPERSEC  # when time began, ns since 1970
        self.lastticks = 0  # what fastticks() told last
        self.onprint: Callable[[str], None] | None = None
        self.kprint: Callable[[str], None] | None = None  # who has /dev/kprint open
        self.onwarn: Callable[[str], None] | None = None
        self.stucktold = False  # of a livelock
        self.sink: Sink | None = None
        self.stopwatch: Callable[[], int] | None = None  # the host's time, ns, for a sink that wants it told
        self.tellfiles = False  # the sink wants to know which files calls are about
        self.kinds = KINDS  # of events that the sink wants; of the others most are not made
        self.explore: Callable[[str], None] | None = None
        self.watch: Watch | None = None
        self.inject: Inject | None = None
        self.checking = False
        self.amid = 0  # processes that others took the place of at a load or store: structures may be half changed
        self.checkmemo = Memo()
        self.checked = (0,) * 6
        self.changes: Changes | None = None  # what was stored to, where the run is checked
        self.recheck: Callable[[], list[str]] | None = None  # tells what is wrong by that
        self.wellat: Callable[[], str] = lambda: "the start"  # where the last check was
        self.halted = False  # the program has ended: run nothing more
        # figures
        self.nfault = 0
        self.nsyscall = 0
        self.npageout = 0  # pages given a swap slot
        self.nswapwrite = 0
        self.nswapin = 0
        self.nreclaim = 0  # cached pages freed
        self.nsegment = 0  # segments made so far

    # Events and messages

    def emit(self, e: Event) -> None:
        """Stamp an event with where and when, and hand it to the sink. Call only with a sink."""
        sink, m, up = self.sink, self.m, self.up
        assert sink is not None
        e.ns = m.cpu.now()
        e.pid = up.pid if up is not None else 0
        e.cpu = m.machno
        sink(e)

    def print(self, text: str) -> None:
        """print(): a message of the kernel's own, kept for /dev/kmesg. Source: port/devcons.c:print."""
        km = self.files.kmesg
        km += kbytes(text)[-KMESGSIZE:]
        del km[:-KMESGSIZE]
        if self.kprint is not None:
            self.kprint(text)
        if self.onprint is not None:
            self.onprint(text)

    def warn(self, text: str) -> None:
        """Tell whoever runs the machine, not the guest, of something that looks wrong there."""
        if self.onwarn is not None:
            self.onwarn(text)

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
        return s64(self.epoch + self.fastticks())

    def random(self, n: int) -> bytes:
        """n bytes of the seeded generator behind /dev/random."""
        return self.rng.randbytes(n)

    # Memory of the kernel itself

    def malloc(self) -> bool:
        """Whether kernel memory for a structure can be had."""
        return self.inject is None or not self.inject.hit("malloc")

    def made(self, x: T) -> T:
        """x, a structure that is made just now, for k.watch to know."""
        if self.watch is not None:
            self.watch.made(x)
        return x

    def segcreated(self, s: Segment) -> None:
        """Called with each new segment as soon as it has its memory."""
        if self.changes is not None:
            self.changes.made(s)


def current(k: Kernel) -> Proc:
    """The current process; there must be one. The original's up, where it is not nil."""
    if k.up is None:
        raise Panic("no current process")
    return k.up
