"""Processes, processors and the scheduler's tables. Source: port/portdat.h, pc/dat.h."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernel.base.dat import NSEG, Lock, QLock, Rendez
from kernel.base.error import ERRMAX
from kernel.base.record import record
from kernel.base.text import kstr, strcpy

if TYPE_CHECKING:
    from greenlet import greenlet

    from kernel.base.chandat import Chan, Egrp, Fgrp, Pgrp
    from kernel.base.dat import Page, Segment
    from kernel.base.event import FaultClass, Load
    from kernel.base.hw import Cpu, Regs


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


@record
class Note:
    """A note not yet delivered."""

    msg: str
    flag: int


@record
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
        self.since = 0  # ns of virtual time when it last ran or became ready
        self.timer = 0  # generation of the running timer; 0: none
        self.nerrlab = 0
        self.syserrbuf = bytearray(ERRMAX)  # of the last system call's error
        self.errbuf = bytearray(ERRMAX)  # of the last error
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
        self.faultcls: FaultClass = "remap"  # what the fault being served came to, for the trace
        self.faultload: Load = ""
        self.stuckat: tuple[int, ...] = ()  # kernel.trap.stuck: registers and address of the last tick's fault
        self.stuckfor = 0  # ticks they have been the same
        self.vain = 0  # since when newpage has waited in vain, ns; 0: it does not
        # PMMU of pc/dat.h
        self.mmupdb: Page | None = None
        self.mmufree: Page | None = None
        self.mmuused: Page | None = None
        self.kmaptable: Page | None = None
        self.lastkmap = 0
        self.nkmap = 0

    # Messages end in NUL; what longer ones have left behind it stays, and errstr() lets programs see it.

    @property
    def syserrstr(self) -> str:
        """What errstr() tells."""
        return kstr(bytes(self.syserrbuf).split(b"\0")[0])

    @syserrstr.setter
    def syserrstr(self, text: str) -> None:
        strcpy(self.syserrbuf, text)

    @property
    def errstr(self) -> str:
        """The last error, be it the kernel's own affair."""
        return kstr(bytes(self.errbuf).split(b"\0")[0])

    @errstr.setter
    def errstr(self, text: str) -> None:
        strcpy(self.errbuf, text)

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


@record
class Schedq:
    """One run queue: processes ready at one priority, oldest first. Source: port/portdat.h."""

    head: Proc | None = None
    tail: Proc | None = None
    n: int = 0


PROFNS = 113_000_000  # period of the profiling clock, prime to the tick (port/devproc.c:procinit)
