"""The hub: what a processor does between two processes. Source: port/proc.c:schedinit.

A process's kernel stack is a greenlet. ``sched`` switches to the hub, the greenlet that runs the machine's loop; the
hub calls :func:`dispatch`, which picks the next process. Between two such switches nothing else runs: the kernel is
not preempted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.mem import HZ
from kernel.base.procdat import Dead, Moribund, Running
from kernel.sched.clock import hzclock
from kernel.sched.sched import SCHEDNS, ready, reprioritize, runproc, schedevent, updatecpu
from kernel.sched.taslock import unlock

if TYPE_CHECKING:
    from kernel.base.hw import Regs
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Mach, Proc


# Trap numbers as dispatch() delivers them
CLOCK = -1  # the clock interrupt


def dispatch(k: Kernel, m: Mach, trapno: int | None = None, ecode: int = 0) -> Regs | None:
    """Run the kernel on processor m until a process goes to user mode: its registers.

    None if there is nothing to run, or m has used up its turn inside the kernel. The trap is what
    brought m's process out of user mode. Runs on the hub. Source: port/proc.c:schedinit, sched.
    """
    cpu = m.cpu
    k.m = m
    k.up = m.proc
    while True:
        if k.halted:
            return None
        p = m.proc
        if p is None:
            while m.nexttick <= cpu.now():
                hzclock(k, m)
            p = runproc(k, m)
            if p is None:
                k.up = None
                return None
            if p is not m.readied:
                m.schedticks = m.ticks + HZ // 10
            m.readied = None
            # This processor may lag behind the one that p comes from: time never goes back for p.
            now = cpu.now()
            if now < p.since:
                cpu.spend(p.since - now)
            updatecpu(k, p)
            p.priority = reprioritize(k, p)
            p.state = Running
            p.mach = m
            m.proc = k.up = p
            if k.sink is not None:
                schedevent(k, "run", p)
            k.hooks.mmuswitch(k, p)
        if not p.inkernel:
            if trapno is None:
                if cpu.now() < m.nexttick:
                    return p.regs
                trapno, ecode = CLOCK, 0
            p.inkernel = True
        elif cpu.now() >= m.until:
            return None
        g = p.greenlet
        assert g is not None
        m.splhi = False
        if trapno is not None:
            g.switch(trapno, ecode)
            trapno = None
        else:
            g.switch()
        if k.procs.paused:
            k.procs.paused = False
            return None
        if p.inkernel:
            schedinit(k, m, p)
            if k.checking:
                k.hooks.checkchanged(k, p, False)


def schedinit(k: Kernel, m: Mach, p: Proc) -> None:
    """p has given up processor m: queue it again if it could go on, bury it if it is done.

    Runs on the hub. Source: port/proc.c:schedinit.
    """
    m.splhi = True
    m.cpu.spend(SCHEDNS)
    # procsave: p may run elsewhere now, or end there and leave its page directory to others
    m.cpu.putcr3(m.pdb)
    m.proc = None
    if k.sink is not None:
        schedevent(k, "off", p)
    if p.state == Running:
        ready(k, p)
    elif p.state == Moribund:
        p.state = Dead
        k.hooks.mmurelease(k, p)
        unlock(k, k.palloc)
        p.mach = None
        updatecpu(k, p)
        p.greenlet = None
        if p.index >= 0:
            k.procs.freeprocs.append(p)
            if k.watch is not None:
                k.watch.freed(p)
        k.up = None
        return
    p.mach = None
    p.since = m.cpu.now()
    updatecpu(k, p)
    k.up = None
