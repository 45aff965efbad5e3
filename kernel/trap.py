"""Traps, system calls and notes. Source: pc/trap.c."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kernel.dat import (
    ESEG,
    MAXSYSARG,
    FPactive,
    FPillegal,
    NDebug,
    NUser,
    Proc,
    Proc_stopme,
    Proc_tracesyscall,
)
from kernel.error import ERRMAX, Ebadarg, Error, Panic
from kernel.event import FaultEvent, NoteEvent, SyscallEvent
from kernel.fault import checkpages, fault, okaddr, seg, validaddr
from kernel.mem import BY2PG, BY2WD, MS2HZ, USTKTOP
from kernel.proc import CLOCK, VectorSYSCALL
from kernel.qlock import qlock, qunlock
from kernel.segment import segclock, segname
from kernel.syscallfmt import syscallfmt, sysretfmt
from kernel.systab import NOTED, RFORK, Syscall, render
from kernel.uaccess import ufetch, uframe, usetword, ustore, uunpack, uword

if TYPE_CHECKING:
    from kernel.kernel import Kernel

VectorBPT = 3
VectorCNA = 7
VectorCSO = 9
VectorPF = 14
VectorCERR = 16
VectorSIMD = 19
VectorPIC = 32  # the clock's

MASK64 = (1 << 64) - 1

TRAPNS = 1000  # virtual time a trap takes
STUCKTICKS = 10  # as many, and some hundred thousand faults, make a livelock
TOSSIZE = 56
TOS = USTKTOP - TOSSIZE
KCYCLES = TOS + 32  # kcycles, pcycles, pid follow each other
TOSCLOCK = TOS + 52

FPFRESH = struct.pack("<H510x", 0x232)  # FXSAVE's image of what pc/l.s:fpinit leaves, MXCSR 0

excname = (
    "divide error",
    "debug exception",
    "nonmaskable interrupt",
    "breakpoint",
    "overflow",
    "bounds check",
    "invalid opcode",
    "coprocessor not available",
    "double fault",
    "coprocessor segment overrun",
    "invalid TSS",
    "segment not present",
    "stack exception",
    "general protection violation",
    "page fault",
    "15 (reserved)",
    "coprocessor error",
    "alignment check",
    "machine check",
    "simd error",
)

mathmsg = (
    "invalid",
    "denormalized operand",
    "division by zero",
    "numeric overflow",
    "numeric underflow",
    "precision loss",
)

# Flags a user may change: condition codes, direction, overflow, trap
UFLAGS = 0xCD5

NCONT, NDFLT, NSAVE, NRSTR = range(4)

# Ureg: di si bp nsp bx dx cx ax gs fs es ds trap ecode pc cs flags usp ss (sys/include 386/ureg.h)
UREG = struct.Struct("<19I")
UFLAGSAT = 16  # flags among the words
UDSEL, UESEL = 0x1B, 0x23

SYSARGS = struct.Struct(f"<{MAXSYSARG}I")
LASTPAGE = USTKTOP - BY2PG  # of the stack
LASTARGS = USTKTOP - MAXSYSARG * BY2WD - BY2WD
TOSTIMES = struct.Struct("<QQI")  # kcycles, pcycles, pid
CYCLES = struct.Struct("<Q")


def packureg(up: Proc) -> bytes:
    """The Ureg of a process's registers. The segment registers are what every process starts with."""
    r = up.regs
    assert r is not None
    return UREG.pack(
        r.di, r.si, r.bp, 0, r.bx, r.dx, r.cx, r.ax, 0, 0, UDSEL, UDSEL, up.trapno, up.ecode, r.pc, UESEL,
        r.flags, r.sp, UDSEL,
    )  # fmt: skip


def unpackureg(up: Proc, u: Sequence[int]) -> None:
    """Give a process the registers of a Ureg's words; of the flags those that a user may change."""
    r = up.regs
    assert r is not None
    r.di, r.si, r.bp = u[0], u[1], u[2]
    r.bx, r.dx, r.cx, r.ax = u[4], u[5], u[6], u[7]
    r.pc, r.sp = u[14], u[17]
    r.flags = r.flags & ~UFLAGS | u[UFLAGSAT] & UFLAGS


def setregisters(up: Proc, offset: int, data: bytes) -> None:
    """Store bytes in a process's Ureg, as far as a user may. Source: pc/trap.c:setregisters."""
    ureg = bytearray(packureg(up))
    ureg[offset : offset + len(data)] = data
    unpackureg(up, UREG.unpack(ureg))


class Traps:
    """What the processors' traps lead to, for one kernel."""

    def __init__(self, k: Kernel, systab: dict[int, Syscall]) -> None:
        self.k = k
        self.systab = systab
        self.stucktold = False

    def trap(self, no: int, ecode: int) -> None:
        """Serve a trap of the current process from user mode, not a system call. Source: pc/trap.c:trap."""
        k = self.k
        up = k.up
        assert up is not None and up.regs is not None
        cpu = k.m.cpu
        if no == CLOCK and up.trapno == VectorPF:
            self.stuck(up)
        up.trapno, up.ecode = VectorPIC if no == CLOCK else no, ecode
        up.kentry = cpu.spend(TRAPNS)
        clockintr = False
        if no == VectorPF:
            self.fault386(up, ecode)
        elif no == CLOCK:
            clockintr = True
            k.m.intr += 1
            self.fpcheck(up)
            k.procs.hzclock(k.m, user=True)
        elif no == VectorCNA:
            self.mathemu(up)
        elif no == VectorCSO:
            k.procs.pexit("math overrun", False)
        elif no == VectorBPT:
            up.regs.pc -= 1  # back to the instruction
            k.procs.postnote(up, 1, "sys: breakpoint", NDebug)
        elif no == VectorCERR:
            self.matherror(up)
        elif no == VectorSIMD:
            self.mathnote(up, up.regs.mxcsr() & 0x3F, up.regs.pc)
        elif no < 32:
            name = excname[no] if no < len(excname) else f"{no} (reserved)"
            k.procs.postnote(up, 1, "sys: trap: " + name, NDebug)
        else:
            raise Panic(f"unknown trap/intr: {no}")
        k.m.splhi = True

        if up.delaysched and clockintr:
            k.procs.sched()
            k.m.splhi = True
        if up.procctl or up.note:
            self.notify(up)
        self.kexit(up)

    def stuck(self, up: Proc) -> None:
        """Called at ticks that find up just back from a page fault: tell, once, if it takes one and the same for ever.

        Registers, pc and address are then those of the tick before, for a tenth of a second.
        """
        assert up.regs is not None
        r = up.regs
        now = (r.pc, self.k.m.cpu.getcr2(), r.ax, r.bx, r.cx, r.dx, r.si, r.di, r.bp, r.sp)
        up.stuckfor = up.stuckfor + 1 if up.stuckat == now else 0
        up.stuckat = now
        if up.stuckfor == STUCKTICKS:
            self.livelock(up, f"pc {r.pc:#010x}", now[1])

    def livelock(self, up: Proc, where: str, addr: int) -> None:
        """Tell, for the first time, of a process that takes the same page fault for ever."""
        if not self.stucktold:
            self.stucktold = True
            at = f"{where} address {addr:#010x}"
            self.k.warn(f"livelock: {up.text} {up.pid} takes the same page fault for ever, {at}")

    def trapname(self, p: Proc) -> str:
        """What brought p into the kernel last."""
        if p.trapno == VectorSYSCALL:
            call = self.systab.get(p.scallnr)
            return call.name if call is not None else f"system call {p.scallnr}"
        if p.trapno == VectorPIC:
            return "the clock"
        return excname[p.trapno] if p.trapno < len(excname) else f"trap {p.trapno}"

    def profclock(self) -> None:
        """The profiling clock found the current process in user mode. Source: port/devproc.c:profclock."""
        k = self.k
        up = k.up
        assert up is not None and up.regs is not None
        usetword(k, TOSCLOCK, uword(k, TOSCLOCK, "profclock") + MS2HZ, "profclock")
        segclock(k, up.regs.pc)

    def fault386(self, up: Proc, ecode: int) -> None:
        """A page fault in user mode. Source: pc/trap.c:fault386."""
        k = self.k
        addr = k.m.cpu.getcr2()
        read = not ecode & 2
        insyscall, up.insyscall = up.insyscall, 1
        if self.fault(addr, read, ecode, "user", "") < 0:
            checkpages(k)
            k.procs.postnote(up, 1, f"sys: trap: fault {'read' if read else 'write'} addr={addr:#x}", NDebug)
        up.insyscall = insyscall

    def fault(self, addr: int, read: bool, err: int, mode: str, fn: str) -> int:
        """fault(), told to the trace with what it came to."""
        k = self.k
        up = k.up
        assert up is not None
        k.nfault += 1
        if k.sink is None:
            return fault(k, addr, read)
        s = seg(k, up, addr, 0)
        name = "" if s is None else "estack" if s is up.seg[ESEG] else segname(s)
        n = fault(k, addr, read)
        if n == 0 and err & 1 and up.faultcls == "remap":
            up.faultcls = "cow-reuse"  # the page was there, read-only, and is ours alone
        frame = 0
        if n == 0 and up.mmupdb is not None:
            frame = k.mmu.walk(up.mmupdb.pa, addr) & ~0xFFF
        pc = up.regs.pc if up.regs is not None else 0
        k.emit(
            FaultEvent(
                0, 0, 0, addr, pc, mode, fn, err, "read" if read else "write", name, up.faultcls, up.faultload, frame
            )
        )
        return n

    def matherror(self, up: Proc) -> None:
        """An FPU exception. They are all masked from then on, for FSTENV does that. Source: pc/main.c:matherror."""
        assert up.regs is not None
        fsw, fip = up.regs.fpstatus()
        up.regs.fpmask()
        self.mathnote(up, fsw, fip)

    def fpcheck(self, up: Proc) -> None:
        """Take an FPU exception that no FPU instruction took: the emulated ones do not, but for WAIT."""
        assert up.regs is not None
        if up.fpstate == FPactive and up.regs.fppending():
            self.matherror(up)

    def mathemu(self, up: Proc) -> None:
        """An FPU instruction with the FPU off: the program's first one, or one in a note handler.

        Source: pc/main.c:mathemu.
        """
        assert up.regs is not None
        if up.fpstate & FPillegal:
            if not self.k.conf.notefp:
                self.k.procs.postnote(up, 1, "sys: floating point in note handler", NDebug)
                return
            # As 9front's amd64 kernel came to do: the handler gets a state of its own, until noted().
            up.fpuser = up.regs.fpsave()
            up.regs.fprestore(FPFRESH)
        up.fpstate = FPactive  # the registers are as fpinit would leave them
        up.regs.fpenable(True)

    def mathnote(self, up: Proc, status: int, pc: int) -> None:
        """A floating-point error becomes a note. Source: pc/main.c:mathnote."""
        msg = "unknown exception"
        for i in range(1, 6):
            if status & 1 << i:
                msg = mathmsg[i]
                break
        if status & 1:
            if status & 0x40:
                msg = "stack overflow" if status & 0x200 else "stack underflow"
            else:
                msg = "invalid operation"
        self.k.procs.postnote(up, 1, f"sys: fp: {msg} fppc={pc:#x} status={status:#x}", NDebug)

    # System calls

    def syscall(self) -> None:
        """A system call of the current process. Source: pc/trap.c:syscall."""
        k = self.k
        up = k.up
        assert up is not None and up.regs is not None
        m = k.m
        up.kentry = m.cpu.spend(TRAPNS)
        m.syscall += 1
        k.nsyscall += 1
        up.insyscall = 1
        up.trapno, up.ecode = VectorSYSCALL, 0
        regs = up.regs
        sp = regs.sp
        nr = up.scallnr = regs.ax
        m.splhi = False
        if up.fpstate == FPactive:
            self.fpcheck(up)
        up.nerrlab = 1
        ret = -1
        start = 0
        call = self.systab.get(nr)
        try:
            if sp < LASTPAGE or sp > LASTARGS:
                validaddr(k, sp, MAXSYSARG * BY2WD + BY2WD, False)
            args = up.s = uunpack(k, SYSARGS, sp + BY2WD, "syscall")
            if up.procctl == Proc_tracesyscall:
                syscallfmt(k, up, nr, regs.pc)
                self.tracestop(up)
                start = k.nsec()
            if call is None:
                k.procs.pprint(f"bad sys call number {nr} pc {regs.pc:x}\n")
                k.procs.postnote(up, 1, "sys: bad sys call", NDebug)
                raise Error(Ebadarg)
            up.psstate = call.state
            if k.sink is None:
                ret = call.fn(k, args)
            else:
                ret = self.traced(up, nr, call, args)
        except Error as e:
            up.errstr = up.syserrstr
            up.syserrstr = str(e)
        up.nerrlab = 0
        regs.ax = ret & 0xFFFFFFFF
        if up.procctl == Proc_tracesyscall:
            sysretfmt(k, up, nr, ret & 0xFFFFFFFF, start, k.nsec())
            self.tracestop(up)
        up.insyscall = 0
        up.psstate = None

        if nr == NOTED:
            self.noted(up, up.s[0])
        if nr != RFORK and (up.procctl or up.note):
            k.m.splhi = True
            self.notify(up)
        if up.delaysched:
            k.procs.sched()
        self.kexit(up)

    def tracestop(self, up: Proc) -> None:
        """Stop for who traces our system calls. Source: pc/trap.c:syscall."""
        m = self.k.m
        s, m.splhi = m.splhi, True
        up.procctl = Proc_stopme
        self.k.procs.procctl(up)
        self.k.m.splhi = s

    def traced(self, up: Proc, nr: int, call: Syscall, args: tuple[int, ...]) -> int:
        """Make the call, and tell the trace of it."""
        k = self.k
        assert up.regs is not None
        pc = up.regs.pc
        text = render(k, call, args)
        if call.noreturn:
            k.emit(SyscallEvent(0, 0, 0, nr, call.name, text, pc, None, ""))
            return call.fn(k, args)
        try:
            ret = call.fn(k, args)
        except Error as e:
            k.emit(SyscallEvent(0, 0, 0, nr, call.name, text, pc, -1, str(e)))
            raise
        signed = (ret & 0xFFFFFFFF ^ 0x80000000) - 0x80000000
        k.emit(SyscallEvent(0, 0, 0, nr, call.name, text, pc, signed, ""))
        return ret

    def kexit(self, up: Proc) -> None:
        """Return to user mode: bring the clocks in the Tos up to date. Source: pc/trap.c:kexit."""
        k = self.k
        pa = uframe(k, KCYCLES, True, "kexit")  # one read-modify-write: a missing page is a write fault
        t = k.m.cpu.now()
        mem = k.mem
        mem.changing(pa)
        buf = mem.buf
        (kcycles,) = CYCLES.unpack_from(buf, pa)
        TOSTIMES.pack_into(buf, pa, kcycles + t - up.kentry & MASK64, t + up.pcycles & MASK64, up.pid)
        if k.checking:
            k.checkchanged(up, True)

    # Notes

    def notify(self, up: Proc) -> bool:
        """Deliver the first note: call the handler, or die of it. Source: pc/trap.c:notify."""
        k = self.k
        procs = k.procs
        if up.procctl:
            procs.procctl(up)
        if not up.note:
            return False
        assert up.regs is not None
        regs = up.regs
        up.fpstate |= FPillegal
        regs.fpenable(False)
        k.m.splhi = False
        qlock(k, up.debug)
        up.notepending = 0
        n = up.note[0]
        if n.msg.startswith("sys:"):
            n.msg = k.decode(k.encode(n.msg)[: ERRMAX - 15]) + f" pc=0x{regs.pc:08x}"

        if n.flag != NUser and (up.notified or up.notify == 0):
            qunlock(k, up.debug)
            if n.flag == NDebug:
                procs.pprint(f"suicide: {n.msg}\n")
            procs.pexit(n.msg, n.flag != NDebug)
        if up.notified:
            qunlock(k, up.debug)
            k.m.splhi = True
            return False
        if up.notify == 0:
            qunlock(k, up.debug)
            procs.pexit(n.msg, n.flag != NDebug)

        sp = (regs.sp - 256 - UREG.size) & 0xFFFFFFFF  # 256: keeps what caused the trouble
        if not okaddr(k, up.notify, 1, False) or not okaddr(
            k, (sp - ERRMAX - 4 * BY2WD) & 0xFFFFFFFF, UREG.size + ERRMAX + 4 * BY2WD, True
        ):
            qunlock(k, up.debug)
            procs.pprint("suicide: bad address in notify\n")
            procs.pexit("Suicide", False)

        ustore(k, sp, packureg(up))
        usetword(k, sp - BY2WD, up.ureg, "notify")  # word under the Ureg is the old one's address
        up.ureg = sp
        sp -= BY2WD + ERRMAX
        ustore(k, sp, k.encode(n.msg)[: ERRMAX - 1].ljust(ERRMAX, b"\0"))
        sp -= 3 * BY2WD
        ustore(k, sp, struct.pack("<3I", 0, up.ureg, sp + 3 * BY2WD), "notify")  # return pc, ureg, text
        regs.sp = sp
        regs.pc = up.notify
        up.notified = True
        up.lastnote = up.note.pop(0)
        qunlock(k, up.debug)
        k.m.splhi = True
        if k.sink is not None:
            k.emit(NoteEvent(0, 0, 0, "deliver", up.pid, n.msg))
        return True

    def noted(self, up: Proc, arg0: int) -> None:
        """Return from a note handler, or die of the note. Source: pc/trap.c:noted."""
        k = self.k
        procs = k.procs
        assert up.regs is not None
        regs = up.regs
        qlock(k, up.debug)
        if arg0 != NRSTR and not up.notified:
            qunlock(k, up.debug)
            procs.pprint("call to noted() when not notified\n")
            procs.pexit("Suicide", False)
        up.notified = False
        up.fpstate &= ~FPillegal
        if up.fpuser:
            regs.fprestore(up.fpuser)
            up.fpuser = b""
        regs.fpenable(up.fpstate == FPactive)
        oureg = up.ureg
        # The original asks for read access alone, then writes, and dies of it where it may not.
        if not okaddr(k, (oureg - BY2WD) & 0xFFFFFFFF, BY2WD + UREG.size, True):
            qunlock(k, up.debug)
            procs.pprint("bad ureg in noted or call to noted when not notified\n")
            procs.pexit("Suicide", False)

        u = list(UREG.unpack(ufetch(k, oureg, UREG.size)))
        u[UFLAGSAT] = regs.flags & ~UFLAGS | u[UFLAGSAT] & UFLAGS  # the system's flags are not the user's
        u[15] |= 3
        u[18] |= 3
        ustore(k, oureg, UREG.pack(*u))
        unpackureg(up, u)
        pc, usp = regs.pc, regs.sp

        if arg0 in (NCONT, NRSTR):
            if not okaddr(k, pc, 1, False) or not okaddr(k, usp, BY2WD, False):
                qunlock(k, up.debug)
                procs.pprint("suicide: trap in noted\n")
                procs.pexit("Suicide", False)
            up.ureg = uword(k, oureg - BY2WD, "noted")
            qunlock(k, up.debug)
        elif arg0 == NSAVE:
            if not okaddr(k, pc, BY2WD, False) or not okaddr(k, usp, BY2WD, False):
                qunlock(k, up.debug)
                procs.pprint("suicide: trap in noted\n")
                procs.pexit("Suicide", False)
            sp = (oureg - 4 * BY2WD - ERRMAX) & 0xFFFFFFFF
            if not okaddr(k, sp, 2 * BY2WD, True):  # not asked for in the original, which dies of it
                qunlock(k, up.debug)
                procs.pprint("suicide: trap in noted\n")
                procs.pexit("Suicide", False)
            qunlock(k, up.debug)
            regs.sp = sp
            ustore(k, sp, struct.pack("<2I", 0, oureg), "noted")
        else:
            if arg0 != NDFLT:
                up.lastnote.flag = NDebug
            qunlock(k, up.debug)
            if up.lastnote.flag == NDebug:
                procs.pprint(f"suicide: {up.lastnote.msg}\n")
            procs.pexit(up.lastnote.msg, up.lastnote.flag != NDebug)
