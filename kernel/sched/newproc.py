"""The process table, kernel processes, and the way to user mode. Source: port/proc.c."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NoReturn

from greenlet import getcurrent, greenlet

from kernel.base.chandat import Pgrp
from kernel.base.error import Exited
from kernel.base.procdat import Dead, Npriq, PriKproc, PriNormal, Proc, Ready, Scheding, TReal
from kernel.sched.ref import incref
from kernel.sched.sched import Scaling, ready, schedevent
from kernel.sched.sleep import resrcwait

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel


VectorSYSCALL = 64


# The table


def everyproc(k: Kernel) -> Iterator[Proc]:
    """All processes, those outside the table too."""
    yield from k.procs.proctab
    yield from k.procs.others


def newproc(k: Kernel, atboot: bool = False) -> Proc:
    """A process in state Scheding with a pid; waits while the table is full, but for one made at boot.

    Source: port/proc.c:newproc.
    """
    while True:
        if k.procs.freeprocs:
            p = k.procs.freeprocs.pop()
            if k.watch is not None:
                k.watch.made(p)
            _renew(k, p)
            break
        if atboot or len(k.procs.proctab) < k.conf.nproc:
            p = Proc(len(k.procs.proctab))
            k.procs.proctab.append(p)
            if k.watch is not None:
                k.watch.made(p)
            break
        resrcwait(k, f"no procs; {k.up.text if k.up else 'kernel'} forking")
    p.state = Scheding
    p.psstate = "New"
    p.pid = p.noteid = pidalloc(k)
    p.basepri = p.priority = PriNormal
    p.lastupdate = k.machs[0].ticks * Scaling
    p.regs = k.m.cpu.newregs()
    if k.sink is not None:
        schedevent(k, "new", p)
    return p


def _renew(k: Kernel, p: Proc) -> None:
    """Make a dead process as new, but for its locks, which a debugger may hold, and its place among alarms."""
    keep = p.debug, p.seglock, p.qwaitr, p.exl, p.rlock, p.waitr, p.sleep, p.palarm
    errors = p.syserrbuf, p.errbuf
    p.__init__(p.index)  # type: ignore[misc]
    p.debug, p.seglock, p.qwaitr, p.exl, p.rlock, p.waitr, p.sleep, p.palarm = keep
    if k.variant.original_errstr:
        p.syserrbuf, p.errbuf = errors


def pidalloc(k: Kernel) -> int:
    """The next process number. Source: port/proc.c:pidalloc."""
    k.procs.pidgen = k.procs.pidgen % 0x7FFFFFFF + 1
    return k.procs.pidgen


def procwired(k: Kernel, p: Proc, bm: int) -> None:
    """Let p run on one processor only; a negative one picks that with the fewest. Source: port/proc.c:procwired."""
    machs = k.machs
    if bm < 0:
        p.wired = None
        nwired = [sum(q.wired is m and q.pid != 0 for q in k.procs.proctab) for m in machs]
        bm = nwired.index(min(nwired))
    p.wired = p.mp = machs[bm % len(machs)]


def procpriority(k: Kernel, p: Proc, pri: int, fixed: bool) -> None:
    """Set p's base priority, and whether its quantum never ends. Source: port/proc.c:procpriority.

    A process on a run queue stays on the one it is on; the original then looks for it on the new one.
    """
    pri = min(max(pri, 0), Npriq - 1)
    p.basepri = pri
    if p.state != Ready:
        p.priority = pri
    p.fixedpri = fixed


def procbypid(k: Kernel, pid: int) -> Proc | None:
    """The process with that pid."""
    return next((p for p in k.procs.proctab if p.pid == pid and p.state != Dead), None)


# Running


def startproc(k: Kernel, p: Proc, body: Callable[[], None]) -> None:
    """Give p a kernel stack that will run body, and end p after it."""

    def main() -> None:
        try:
            body()
            k.hooks.pexit(k, "kproc dying", False)
        except Exited:
            pass

    p.inkernel = True
    p.greenlet = greenlet(main, k.procs.hub)


def unwind(k: Kernel) -> None:
    """Unwind the kernel stacks that are left: what a suspended greenlet holds is never garbage."""
    for p in everyproc(k):
        g, p.greenlet = p.greenlet, None
        if g is not None:
            g.parent = getcurrent()  # the hub may be gone, or somebody else's
            g.throw()


def touser(k: Kernel) -> NoReturn:
    """Run the current process in user mode, serving its traps, until it ends."""
    up = k.up
    assert up is not None
    hub = k.procs.hub
    trap, syscall = k.hooks.trap, k.hooks.syscall
    while True:
        up.inkernel = False
        no, ecode = hub.switch()
        if no == VectorSYSCALL:  # its gate leads past trap()
            syscall(k)
        else:
            trap(k, no, ecode)


def kproc(k: Kernel, name: str, func: Callable[[], None], atboot: bool = False) -> Proc:
    """Make a kernel process, in the directory of who needs it.

    With atboot it is one that the original makes at boot, and we with the first need, so that a machine without
    has no process more: its directory is the root, and there is always room for it. Source: port/proc.c:kproc.
    """
    p = newproc(k, atboot)
    p.psstate = None
    p.kp = True
    p.noswap = True
    p.nerrlab = 1
    up = k.up
    if up is not None:
        p.slash = up.slash
        p.dot = up.slash if atboot else up.dot
        if p.dot is not None:
            incref(k, p.dot)
        if k.procs.kpgrp is None:
            k.procs.kpgrp = Pgrp(incref(k, k.files.pgrpid))
        p.pgrp = k.procs.kpgrp
        incref(k, p.pgrp)
    p.basepri = p.priority = PriKproc
    p.user = k.eve
    p.text = name
    p.time[TReal] = k.machs[0].ticks
    startproc(k, p, func)
    ready(k, p)
    return p
