"""Traps, system calls and notes. Source: pc/trap.c."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from kernel.base.error import Ebadarg, Error, Panic
from kernel.base.event import SyscallEvent
from kernel.base.mem import BY2PG, BY2WD, MS2HZ, USTKTOP, s32
from kernel.base.procdat import MAXSYSARG, FPactive, NDebug, Proc_stopme, Proc_tracesyscall
from kernel.devices.devcons import pprint
from kernel.memory.fault import checkpages, tracedfault, validaddr
from kernel.memory.segment import segclock
from kernel.memory.uaccess import livelock, uframe, usetword, uunpack, uword
from kernel.process.fpu import fpcheck, mathemu, matherror, mathnote
from kernel.process.notify import noted, notify
from kernel.process.proc import pexit
from kernel.sched.clock import hzclock
from kernel.sched.dispatch import CLOCK
from kernel.sched.newproc import VectorSYSCALL
from kernel.sched.note import postnote, procctl
from kernel.sched.sched import sched
from kernel.syscalls.syscallfmt import syscallfmt, sysretfmt
from kernel.syscalls.systab import NOTED, RFORK, SYSTAB, files, render

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Proc
    from kernel.syscalls.systab import Syscall


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
SYSARGS = struct.Struct(f"<{MAXSYSARG}I")
LASTPAGE = USTKTOP - BY2PG  # of the stack
LASTARGS = USTKTOP - MAXSYSARG * BY2WD - BY2WD
TOSTIMES = struct.Struct("<QQI")  # kcycles, pcycles, pid
CYCLES = struct.Struct("<Q")


def trap(k: Kernel, no: int, ecode: int) -> None:
    """Serve a trap of the current process from user mode, not a system call. Source: pc/trap.c:trap."""
    up = k.up
    assert up is not None and up.regs is not None
    cpu = k.m.cpu
    if no == CLOCK and up.trapno == VectorPF:
        stuck(k, up)
    up.trapno, up.ecode = VectorPIC if no == CLOCK else no, ecode
    up.kentry = cpu.spend(TRAPNS)
    clockintr = False
    if no == VectorPF:
        fault386(k, up, ecode)
    elif no == CLOCK:
        clockintr = True
        k.m.intr += 1
        fpcheck(k, up)
        hzclock(k, k.m, user=True)
    elif no == VectorCNA:
        mathemu(k, up)
    elif no == VectorCSO:
        pexit(k, "math overrun", False)
    elif no == VectorBPT:
        up.regs.pc -= 1  # back to the instruction
        postnote(k, up, 1, "sys: breakpoint", NDebug)
    elif no == VectorCERR:
        matherror(k, up)
    elif no == VectorSIMD:
        mathnote(k, up, up.regs.mxcsr() & 0x3F, up.regs.pc)
    elif no < 32:
        name = excname[no] if no < len(excname) else f"{no} (reserved)"
        postnote(k, up, 1, "sys: trap: " + name, NDebug)
    else:
        raise Panic(f"unknown trap/intr: {no}")
    k.m.splhi = True

    if up.delaysched and clockintr:
        sched(k)
        k.m.splhi = True
    if up.procctl or up.note:
        notify(k, up)
    kexit(k, up)


def stuck(k: Kernel, up: Proc) -> None:
    """Called at ticks that find up just back from a page fault: tell, once, if it takes one and the same for ever.

    Registers, pc and address are then those of the tick before, for a tenth of a second.
    """
    assert up.regs is not None
    r = up.regs
    now = (r.pc, k.m.cpu.getcr2(), r.ax, r.bx, r.cx, r.dx, r.si, r.di, r.bp, r.sp)
    up.stuckfor = up.stuckfor + 1 if up.stuckat == now else 0
    up.stuckat = now
    if up.stuckfor == STUCKTICKS:
        livelock(k, up, f"pc {r.pc:#010x}", now[1])


def trapname(trapno: int, scallnr: int) -> str:
    """What brought a process into the kernel: its Proc.trapno and Proc.scallnr."""
    if trapno == VectorSYSCALL:
        call = SYSTAB.get(scallnr)
        return call.name if call is not None else f"system call {scallnr}"
    if trapno == VectorPIC:
        return "the clock"
    return excname[trapno] if trapno < len(excname) else f"trap {trapno}"


def profclock(k: Kernel) -> None:
    """The profiling clock found the current process in user mode. Source: port/devproc.c:profclock."""
    up = k.up
    assert up is not None and up.regs is not None
    usetword(k, TOSCLOCK, uword(k, TOSCLOCK, "profclock") + MS2HZ, "profclock")
    segclock(k, up.regs.pc)


def fault386(k: Kernel, up: Proc, ecode: int) -> None:
    """A page fault in user mode. Source: pc/trap.c:fault386."""
    addr = k.m.cpu.getcr2()
    read = not ecode & 2
    insyscall, up.insyscall = up.insyscall, 1
    if tracedfault(k, addr, read, ecode, "user", "") < 0:
        checkpages(k)
        postnote(k, up, 1, f"sys: trap: fault {'read' if read else 'write'} addr={addr:#x}", NDebug)
    up.insyscall = insyscall


# System calls


def syscall(k: Kernel) -> None:
    """A system call of the current process. Source: pc/trap.c:syscall."""
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
        fpcheck(k, up)
    up.nerrlab = 1
    ret = -1
    start = 0
    call = SYSTAB.get(nr)
    try:
        if sp < LASTPAGE or sp > LASTARGS:
            validaddr(k, sp, MAXSYSARG * BY2WD + BY2WD, False)
        args = up.s = uunpack(k, SYSARGS, sp + BY2WD, "syscall")
        if up.procctl == Proc_tracesyscall:
            syscallfmt(k, up, nr, regs.pc)
            tracestop(k, up)
            start = k.nsec()
        if call is None:
            pprint(k, f"bad sys call number {nr} pc {regs.pc:x}\n")
            postnote(k, up, 1, "sys: bad sys call", NDebug)
            raise Error(Ebadarg)
        up.psstate = call.state
        if k.sink is None or "syscall" not in k.kinds:
            ret = call.fn(k, args)
        else:
            ret = traced(k, up, nr, call, args)
    except Error as e:
        up.errstr = str(e)
        up.errbuf, up.syserrbuf = up.syserrbuf, up.errbuf
    up.nerrlab = 0
    regs.ax = ret & 0xFFFFFFFF
    if up.procctl == Proc_tracesyscall:
        sysretfmt(k, up, nr, ret & 0xFFFFFFFF, start, k.nsec())
        tracestop(k, up)
    up.insyscall = 0
    up.psstate = None

    if nr == NOTED:
        noted(k, up, up.s[0])
    if nr != RFORK and (up.procctl or up.note):
        k.m.splhi = True
        notify(k, up)
    if up.delaysched:
        sched(k)
    kexit(k, up)


def tracestop(k: Kernel, up: Proc) -> None:
    """Stop for who traces our system calls. Source: pc/trap.c:syscall."""
    m = k.m
    s, m.splhi = m.splhi, True
    up.procctl = Proc_stopme
    procctl(k, up)
    k.m.splhi = s


def traced(k: Kernel, up: Proc, nr: int, call: Syscall, args: tuple[int, ...]) -> int:
    """Make the call, and tell the trace of it."""
    assert up.regs is not None
    pc = up.regs.pc
    text = render(k, call, args)
    names = files(k, call, args) if k.tellfiles else {}
    began = up.kentry
    watch = k.stopwatch
    since = watch() if watch is not None else 0

    def tell(ret: int | None, error: str) -> None:
        host = watch() - since if watch is not None else 0
        if k.tellfiles and ret is not None and call.name != "exec":
            names.update(files(k, call, args, names))
        k.emit(SyscallEvent(0, 0, 0, nr, call.name, text, pc, ret, error, began, host, tuple(names.values())))

    if call.noreturn:
        tell(None, "")
        return call.fn(k, args)
    try:
        ret = call.fn(k, args)
    except Error as e:
        tell(-1, str(e))
        raise
    tell(s32(ret), "")
    return ret


def kexit(k: Kernel, up: Proc) -> None:
    """Return to user mode: bring the clocks in the Tos up to date. Source: pc/trap.c:kexit."""
    mem = k.mem
    # As uframe(), without a call: each trap ends here.
    pa = mem.translate(up.mmupdb.pa, KCYCLES, True) if up.mmupdb is not None and k.watch is None else -1
    if pa < 0:
        pa = uframe(k, KCYCLES, True, "kexit")  # one read-modify-write: a missing page is a write fault
    t = k.m.cpu.now()
    mem.changing(pa)
    buf = mem.buf
    (kcycles,) = CYCLES.unpack_from(buf, pa)
    TOSTIMES.pack_into(buf, pa, kcycles + t - up.kentry & MASK64, t + up.pcycles & MASK64, up.pid)
    if k.checking:
        k.hooks.checkchanged(k, up, True)
