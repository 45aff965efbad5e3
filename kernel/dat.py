"""The kernel's structures, all in one place. Source: port/portdat.h, pc/dat.h.

Field names are the original's. Pointers into arrays are indices here: a Pte's ``first`` and
``last``, the swap map's ``last``. A page-table entry of a segment is a Page, a swap entry
(an int: disc address with PG_ONSWAP set), or None.
"""

from __future__ import annotations

from collections.abc import Callable, MutableSequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from kernel.mem import BY2PG, PTEPERTAB, SEGMAPSIZE, SSEGMAPSIZE

if TYPE_CHECKING:
    from greenlet import greenlet

    from kernel.chan import Chan, Egrp, Fgrp, Pgrp
    from kernel.hw import Cpu, Regs

# Segment types, and flags beside the type
SG_TYPE: Final = 0o7
SG_TEXT: Final = 0
SG_DATA: Final = 1
SG_BSS: Final = 2
SG_STACK: Final = 3
SG_SHARED: Final = 4
SG_PHYSICAL: Final = 5
SG_RONLY: Final = 0o40
SG_CEXEC: Final = 0o100

SEGNAME: Final = ("text", "data", "bss", "stack", "shared", "physical")

# Slots of Proc.seg
SSEG, TSEG, DSEG, BSEG, ESEG, LSEG, SEG1, SEG2, SEG3, SEG4 = range(10)
NSEG: Final = 10

PG_ONSWAP: Final = 1
PG_NOFLUSH: Final = 0
PG_TXTFLUSH: Final = 1
PG_NEWCOL: Final = 3
PG_MOD: Final = 1
PG_REF: Final = 2

NOADDR: Final = 0xFFFFFFFF  # ~0: no disc address

PGHSIZE: Final = 512
IHASHSIZE: Final = 64
SEGMAXSIZE: Final = (SEGMAPSIZE * PTEPERTAB * BY2PG) & 0xFFFFFFFF

# Process states
Dead, Moribund, Ready, Scheding, Running, Queueing, Wakeme, Broken, Stopped, Rendezvous = range(10)
STATENAME: Final = (
    "Dead", "Moribund", "Ready", "Scheding", "Running", "Queueing", "Wakeme", "Broken", "Stopped", "Rendez",
)  # fmt: skip

# Proc.procctl
Proc_stopme, Proc_exitme, Proc_traceme, Proc_exitbig, Proc_tracesyscall = range(1, 6)

# Proc.time
TUser, TSys, TReal, TCUser, TCSys, TCReal = range(6)

NUser, NExit, NDebug = range(3)
NNOTE: Final = 5
MAXSYSARG: Final = 5

# Proc.fpstate. FPinactive, the state of a process that does not run, is FPactive here: switches keep the registers.
FPinit, FPactive = range(2)
FPillegal: Final = 0x100  # beside it, in a note handler
FPSIZE: Final = 528  # sizeof(FPsave): FXSAVE's image and its alignment
NFD: Final = 100
RENDHASH: Final = 32

Npriq: Final = 20
Nrq: Final = Npriq + 2
PriNormal: Final = 10
PriKproc: Final = 13
PriRoot: Final = 13


class Ref(Protocol):
    """Anything that counts its holders."""

    ref: int


class Lock:
    """A spin lock. Source: port/portdat.h, port/taslock.c."""

    __slots__ = ("key", "p")

    def __init__(self) -> None:
        self.key = False
        self.p: Proc | None = None  # holder, for the checks


class QLock:
    """A lock whose waiters sleep, first come first served. Source: port/portdat.h."""

    def __init__(self) -> None:
        self.locked = False
        self.head: Proc | None = None
        self.tail: Proc | None = None
        self.holder: Proc | None = None


class Rendez(Lock):
    """Where one process sleeps until another wakes it. Source: port/portdat.h."""

    __slots__ = ("r",)

    def __init__(self) -> None:
        super().__init__()
        self.r: Proc | None = None  # the sleeper; the original's Rendez.p


class Page:
    """A frame of the pool. Source: port/portdat.h.

    ``next`` links the free list, a hash chain of the page cache, or the MMU's lists; a page is on at
    most one of them.
    """

    __slots__ = ("cachectl", "color", "daddr", "image", "modref", "next", "pa", "ref", "refage", "va")

    def __init__(self, pa: int, nmach: int) -> None:
        self.ref = 0
        self.next: Page | None = None
        self.pa = pa
        self.va = 0
        self.daddr = 0
        self.image: Image | None = None
        self.refage = 0
        self.modref = 0
        self.color = 0
        self.cachectl = bytearray(nmach)

    def __repr__(self) -> str:
        return f"<Page {self.pa:#x} ref {self.ref} va {self.va:#x}>"


Entry: TypeAlias = Page | int | None


class Pte:
    """Page table of one megabyte of a segment. ``first``..``last`` bound the used entries."""

    __slots__ = ("first", "last", "pages")

    def __init__(self) -> None:
        self.pages: list[Entry] = [None] * PTEPERTAB
        self.first = PTEPERTAB
        self.last = 0


@dataclass(slots=True)
class Qid:
    """Identity of a file: path names it, vers counts its changes, type has the QT bits."""

    path: int
    vers: int = 0
    type: int = 0


class Image(Lock):
    """A file whose pages are cached, and the text segment made from it. Source: port/portdat.h.

    ``ref`` counts segments and, through ``pgref``, cached pages: pgref <= ref.
    """

    __slots__ = ("c", "dev", "hash", "next", "notext", "num", "pghash", "pgref", "qid", "ref", "s", "type")

    def __init__(self, num: int, notext: bool = False) -> None:
        super().__init__()
        self.num = num  # index in imagealloc.list; -2 swapimage, -3 fscache
        self.ref = 0
        self.c: Chan | None = None
        self.qid = Qid(0)
        self.dev = 0
        self.type = 0
        self.notext = notext
        self.s: Segment | None = None
        self.hash: Image | None = None
        self.next: Image | None = None
        self.pgref = 0
        self.pghash: list[Page | None] = [None] * PGHSIZE


@dataclass(slots=True)
class Physseg:
    """What segattach can attach by name. Source: port/portdat.h."""

    attr: int
    name: str
    pa: int
    size: int
    pgalloc: Callable[[Segment, int], Page] | None = None
    pgfree: Callable[[Page], None] | None = None


class Sema(Rendez):
    """A process waiting for the semaphore at ``addr``. Source: port/portdat.h."""

    __slots__ = ("addr", "waiting")

    def __init__(self, addr: int) -> None:
        super().__init__()
        self.addr = addr
        self.waiting = False


class Segment(QLock):
    """A range of address space with one source of pages. Source: port/portdat.h."""

    def __init__(self, type: int, base: int, size: int) -> None:
        super().__init__()
        self.ref = 1
        self.steal = 0
        self.type = type
        self.base = base
        self.top = (base + size * BY2PG) & 0xFFFFFFFF
        self.size = size
        self.fstart = 0
        self.flen = 0
        self.flushme = False
        self.image: Image | None = None
        self.pseg: Physseg | None = None
        self.profile: MutableSequence[int] | None = None
        self.map: list[Pte | None] = [None] * SSEGMAPSIZE
        self.sema: list[Sema] = []  # waiters, oldest first
        self.semalock = Lock()
        self.mark = 0

    @property
    def mapsize(self) -> int:
        """Page tables that fit the map; the original's embedded map has SSEGMAPSIZE."""
        return len(self.map)

    def __repr__(self) -> str:
        return f"<Segment {SEGNAME[self.type & SG_TYPE]} {self.base:#x}-{self.top:#x} ref {self.ref}>"


class Palloc(Lock):
    """The pool of user pages.

    Frames never handed out need no Page: they are the tail of the free list, ``fresh`` of them,
    highest address first, behind the pages reached from ``head``.
    """

    __slots__ = ("base", "fresh", "freecount", "head", "nmach", "pages", "pwait", "r", "user")

    def __init__(self, base: int, npage: int, nmach: int) -> None:
        super().__init__()
        self.base = base  # physical address of the first frame of the pool
        self.user = npage
        self.fresh = npage
        self.nmach = nmach
        self.head: Page | None = None
        self.freecount = npage
        self.pages: dict[int, Page] = {}  # by page number; only those ever taken
        self.r = Rendez()
        self.pwait = QLock()


class Imagealloc(Lock):
    """All images, the free ones, and the hash by qid.path. Source: port/segment.c."""

    __slots__ = ("free", "hash", "ireclaim", "list", "rotor")

    def __init__(self, nimage: int) -> None:
        super().__init__()
        self.list = [Image(i) for i in range(nimage)]
        for i, im in enumerate(self.list[:-1]):
            im.next = self.list[i + 1]
        self.free: Image | None = self.list[0]
        self.hash: list[Image | None] = [None] * IHASHSIZE
        self.ireclaim = QLock()
        self.rotor = 0  # imagereclaim's static i


class Swapalloc(Lock):
    """The swap map: a reference count for each slot. Source: port/portdat.h."""

    __slots__ = ("free", "headroom", "highwater", "last", "r", "swmap", "top", "xref")

    def __init__(self, nswap: int) -> None:
        super().__init__()
        self.free = nswap
        self.swmap = bytearray(nswap)
        self.last = 0
        self.top = nswap
        self.r = Rendez()
        self.highwater = 0
        self.headroom = 0
        self.xref = 0


@dataclass(slots=True)
class Conf:
    """Sizes of this kernel. Source: pc/dat.h:Conf, pc/main.c:confinit."""

    nmach: int = 1
    npage: int = 0
    upages: int = 0
    nproc: int = 0
    nimage: int = 200
    nswap: int = 0
    nswppo: int = 4096
    copymode: int = 0  # 0: copy on write, 1: copy on reference
    notefp: bool = False  # note handlers may use floating point


@dataclass(slots=True)
class Note:
    """A note not yet delivered."""

    msg: str
    flag: int


@dataclass(slots=True)
class Waitmsg:
    """What await() tells of a dead child; times in ms. For us: what msg is made of, before it is cut."""

    pid: int
    time: tuple[int, int, int]
    msg: str
    text: str = ""  # its name at the end
    exits: str = ""


class Rgrp(Lock):
    """Processes that can rendezvous with each other. Source: port/portdat.h."""

    __slots__ = ("ref", "rendhash")

    def __init__(self) -> None:
        super().__init__()
        self.ref = 1
        self.rendhash: list[Proc | None] = [None] * RENDHASH


class Proc:
    """A process. Source: port/portdat.h."""

    def __init__(self, index: int) -> None:
        self.index = index  # in the process table; -1: outside it
        self.greenlet: greenlet | None = None  # its kernel stack; the original's sched label
        self.inkernel = True  # where it goes on: in the kernel, or in user mode
        self.mach: Mach | None = None
        self.text = "*notext"
        self.user = "*nouser"
        self.args = b""  # each argument with a NUL behind it
        self.setargs = False  # the process changed them
        self.rnext: Proc | None = None
        self.qnext: Proc | None = None
        self.state = Dead
        self.psstate: str | None = None
        self.seg: list[Segment | None] = [None] * NSEG
        self.seglock = QLock()
        self.pid = 0
        self.noteid = 0
        self.exl = Lock()
        self.waitq: list[Waitmsg] = []  # the newest first, as in the original
        self.nchild = 0
        self.qwaitr = QLock()
        self.waitr = Rendez()
        self.parent: Proc | None = None
        self.parentpid = 0
        self.pgrp: Pgrp | None = None
        self.egrp: Egrp | None = None
        self.fgrp: Fgrp | None = None
        self.closingfgrp: Fgrp | None = None
        self.rgrp: Rgrp | None = None
        self.slash: Chan | None = None
        self.dot: Chan | None = None
        self.time = [0] * 6  # ticks
        self.kentry = 0
        self.pcycles = 0
        self.insyscall = 0
        self.scallnr = 0
        self.s: tuple[int, ...] = (0,) * MAXSYSARG  # arguments of the system call
        self.kfn = ""  # kernel function that touches user memory, for the trace
        self.debug = QLock()
        self.pdbg: Proc | None = None  # who waits for us to stop
        self.privatemem = False
        self.hang = False  # stop at the next exec
        self.syscalltrace: bytes | None = None
        self.procmode = 0o640
        self.procctl = 0
        self.rlock = Lock()
        self.r: Rendez | None = None
        self.sleep = Rendez()
        self.notepending = 0
        self.kp = False
        self.palarm: Proc | None = None  # next in the queue of alarms
        self.alarm = 0  # tick of processor 0 at which it is due; 0: none
        self.trace = False  # tell /proc/trace
        self.newtlb = False
        self.flushes = 0  # times that newtlb was seen to
        self.noswap = False
        self.rendtag = 0
        self.rendval = 0
        self.rendhash: Proc | None = None
        self.trend: Rendez | None = None
        self.tfn: Callable[[], bool] | None = None
        self.since = 0  # ns of virtual time when it last ran or became ready
        self.timer = 0  # generation of the running timer; 0: none
        self.kpfun: Callable[[], None] | None = None
        self.nerrlab = 0
        self.syserrstr = ""
        self.errstr = ""
        self.genbuf = ""  # last element of the last name namec walked
        self.note: list[Note] = []
        self.notified = False
        self.lastnote = Note("", NUser)
        self.notify = 0
        self.ureg = 0
        self.trapno = -1  # what the last trap from user mode was, none yet; the Ureg's trap and ecode
        self.ecode = 0
        self.fpstate = FPinit
        self.fpsave = bytearray(FPSIZE)  # valid where devproc looks at it
        self.fpuser = b""  # the interrupted program's state while a note handler has one of its own (Conf.notefp)
        self.nlocks = 0
        self.lastlock: Lock | None = None
        self.wired: Mach | None = None
        self.mp: Mach | None = None
        self.delaysched = 0
        self.priority = 0
        self.basepri = 0
        self.fixedpri = False
        self.cpu = 0
        self.lastupdate = 0
        self.eql: QLock | None = None
        self.regs: Regs | None = None  # user registers; the original's dbgreg
        self.faultcls = ""  # what the fault being served came to, for the trace
        self.faultload = ""
        self.stuckat: tuple[int, ...] = ()  # kernel.trap.Traps.stuck: registers and address of the last tick's fault
        self.stuckfor = 0  # ticks they have been the same
        self.vain = 0  # since when newpage has waited in vain, ns; 0: it does not
        # PMMU of pc/dat.h
        self.mmupdb: Page | None = None
        self.mmufree: Page | None = None
        self.mmuused: Page | None = None
        self.kmaptable: Page | None = None
        self.lastkmap = 0
        self.nkmap = 0

    def __repr__(self) -> str:
        return f"<Proc {self.pid} {self.text} {STATENAME[self.state]}>"


class Mach:
    """A processor, as the kernel keeps it. Source: pc/dat.h."""

    def __init__(self, machno: int, cpu: Cpu, pdb: int) -> None:
        self.machno = machno
        self.cpu = cpu
        self.pdb = pdb  # physical address of its own page directory
        self.proc: Proc | None = None
        self.pdbpool: Page | None = None
        self.pdbcnt = 0
        self.pdballoc = 0
        self.pdbfree = 0
        self.ticks = 0
        self.schedticks = 0
        self.readied: Proc | None = None
        self.flushmmu = False
        self.nexttick = 10_000_000  # ns of its clock at the next tick
        self.until = 0  # ns of its clock at which its turn ends
        self.load = 0
        self.inidle = 0  # ns since the last tick in which nothing ran
        self.avg_inidle = 0  # ns of a tick
        self.pfault = 0
        self.syscall = 0
        self.cs = 0
        self.tlbpurge = 0
        self.intr = 0
        self.splhi = True  # interrupts off; the kernel runs so but where the original says spllo




@dataclass(slots=True)
class Schedq:
    """One run queue: processes ready at one priority, oldest first. Source: port/portdat.h."""

    head: Proc | None = None
    tail: Proc | None = None
    n: int = 0


