"""Who runs: the run queues, priorities, and giving up the processor. Source: port/proc.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.error import Panic
from kernel.base.event import SchedEvent
from kernel.base.mem import HZ
from kernel.base.procdat import STATENAME, Moribund, Npriq, Ready, Scheding

if TYPE_CHECKING:
    from kernel.base.event import SchedOp
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Mach, Proc


Scaling = 2  # of p.cpu's clock, against ticks
schedgain = 30  # seconds the cpu average looks back
SCHEDNS = 500  # virtual time one switch takes

# What happens to a process: types of Traceevent (sys/include/trace.h)
SRun, SReady, SSleep = 3, 4, 5
SDead, SUser = 10, 13


def sched(k: Kernel) -> None:
    """Give up the processor; returns when the process is picked again. Source: port/proc.c:sched.

    Put off while spin locks are held, but not for ever, and always while palloc is.
    """
    up = k.up
    if up is None:
        return
    if up.nlocks and up.state != Moribund and (up.delaysched < 20 or k.palloc.p is up):
        up.delaysched += 1
        return
    up.delaysched = 0
    k.m.cs += 1
    k.procs.hub.switch()
    k.m.splhi = False


def pause(k: Kernel) -> None:
    """Let other processors run on; the process goes on where it is, on this one. For k.explore."""
    s = k.m.splhi
    k.procs.paused = True
    k.procs.hub.switch()
    k.m.splhi = s


def runproc(k: Kernel, m: Mach) -> Proc | None:
    """Pick the process m runs next and take it off its queue, or None. Source: port/proc.c:runproc.

    One just readied by the last process comes first (until the clock ticks), then the highest
    priority, and there one that ran on this processor last.
    """
    if not k.procs.runvec:
        return None
    p = _first(k, m)
    if p is not None and k.procs.chooser is not None:
        ready = [p for p in k.procs.proctab if p.state == Ready and mayrun(k, p, m)]
        p = k.procs.chooser.pick(m, ready or [p], p)
    return _take(k, m, p) if p is not None else None


def _first(k: Kernel, m: Mach) -> Proc | None:
    p = m.readied
    if (
        p is not None
        and p.mach is None
        and p.state == Ready
        and (p.wired is None or p.wired is m or not k.variant.fix_7cf6a3548)
    ):
        return p
    for anywhere in (False, True):
        for pri in range(k.procs.runvec.bit_length() - 1, -1, -1):
            p = k.procs.runq[pri].head
            while p is not None:
                if (anywhere or p.mp is None or p.mp is m) and mayrun(k, p, m):
                    return p
                p = p.rnext
    return None


def canrun(k: Kernel, m: Mach) -> bool:
    """Whether a process waits that processor m, which is idle, may run."""
    for rq in k.procs.runq:
        p = rq.head
        while p is not None:
            if mayrun(k, p, m):
                return True
            p = p.rnext
    return False


def mayrun(k: Kernel, p: Proc, m: Mach) -> bool:
    """Whether m may take p, which is ready.

    A wired process belongs to the processor that it ran on last. That may be another one than it is wired to, for
    who was just readied is taken without a look at that.
    """
    return p.mach is None and (p.mp is None or p.mp is m or p.wired is None)


def behind(machs: list[Mach]) -> Mach:
    """The processor whose turn it is by their clocks.

    Of two at the same time, the idle one: it takes what is ready, while the other goes on.
    """
    return min(machs, key=lambda m: (m.cpu.now(), m.proc is not None, m.machno))


def _take(k: Kernel, m: Mach, p: Proc) -> Proc:
    dequeueproc(k, p)
    p.state = Scheding
    p.mp = m
    tellproc(k, p, SRun)
    return p


def queueproc(k: Kernel, pri: int, p: Proc) -> None:
    """Append p to a run queue. Source: port/proc.c:queueproc."""
    rq = k.procs.runq[pri]
    p.priority = pri
    p.rnext = None
    if rq.tail is not None:
        rq.tail.rnext = p
    else:
        rq.head = p
    rq.tail = p
    rq.n += 1
    k.procs.nrdy += 1
    k.procs.runvec |= 1 << pri


def dequeueproc(k: Kernel, tp: Proc) -> None:
    """Take tp off its run queue. Source: port/proc.c:dequeueproc."""
    rq = k.procs.runq[tp.priority]
    l = None
    p = rq.head
    while p is not None and p is not tp:
        l = p
        p = p.rnext
    if p is None:
        raise Panic(f"dequeueproc {tp!r}")
    if p.rnext is None:
        rq.tail = l
    if l is not None:
        l.rnext = p.rnext
    else:
        rq.head = p.rnext
    if rq.head is None:
        k.procs.runvec &= ~(1 << tp.priority)
    rq.n -= 1
    k.procs.nrdy -= 1


def ready(k: Kernel, p: Proc) -> None:
    """p can run: give it a priority and queue it. Source: port/proc.c:ready."""
    if p.state == Ready:
        k.print(f"double ready {p.text} {p.pid}\n")
        return
    if k.up is not p and (p.wired is None or p.wired is k.m or not k.variant.fix_7cf6a3548):
        k.m.readied = p  # group scheduling
    updatecpu(k, p)
    pri = reprioritize(k, p)
    p.state = Ready
    p.since = max(p.since, k.m.cpu.now())
    queueproc(k, pri, p)
    tellproc(k, p, SReady)
    if k.sink is not None:
        schedevent(k, "ready", p)


def schedevent(k: Kernel, op: SchedOp, p: Proc) -> None:
    """Tell the trace what becomes of p."""
    if "sched" in k.kinds:
        k.emit(SchedEvent(0, 0, 0, op, p.pid, p.text, STATENAME[p.state], p.psstate or ""))


def tellproc(k: Kernel, p: Proc, etype: int) -> None:
    """Tell the reader of /proc/trace, if there is one, what becomes of p."""
    if k.procs.proctrace is not None:
        k.procs.proctrace(p, etype)


def yield_(k: Kernel) -> None:
    """Let others run, and drop in priority. Source: port/proc.c:yield."""
    if k.procs.runvec:
        up = k.up
        assert up is not None
        up.lastupdate -= Scaling // 2  # pretend we used half a tick
        sched(k)


def updatecpu(k: Kernel, p: Proc) -> None:
    """Bring p's decaying average of processor use (of 1000) up to date. Source: port/proc.c:updatecpu."""
    d = schedgain * HZ * Scaling
    t = k.machs[0].ticks * Scaling + Scaling // 2
    n = t - p.lastupdate
    p.lastupdate = t
    if n == 0:
        return
    n = min(n, d)
    if p is not k.up:
        p.cpu = p.cpu * (d - n) // d
    else:
        p.cpu = 1000 - (1000 - p.cpu) * (d - n) // d


def reprioritize(k: Kernel, p: Proc) -> int:
    """The priority p's use of the processor earns it. Source: port/proc.c:reprioritize."""
    load = k.machs[0].load
    if load == 0:
        return p.basepri
    fairshare = len(k.machs) * 1000 * 1000 // load
    n = p.cpu or 1
    return min((fairshare + n // 2) // n, p.basepri)


def rebalance(k: Kernel) -> None:
    """Once a second, give the waiting processes new priorities. Source: port/proc.c:rebalance."""
    m = k.m
    if m.ticks - k.procs.balancetime < HZ:
        return
    k.procs.balancetime = m.ticks
    for pri in range(Npriq):
        while (p := k.procs.runq[pri].head) is not None:
            if (p.mp is not m and not k.variant.fix_bd49212b4) or pri == p.basepri:
                break
            updatecpu(k, p)
            npri = reprioritize(k, p)
            if npri == pri:
                break
            dequeueproc(k, p)
            queueproc(k, npri, p)


def hzsched(k: Kernel, m: Mach, up: Proc) -> None:
    """Ask for a reschedule if a better process waits or the quantum is over. Source: port/proc.c:hzsched."""
    if m.machno == 0:
        rebalance(k)
    higher = k.procs.runvec >> (up.priority + 1)
    if higher or (not up.fixedpri and m.ticks > m.schedticks and k.procs.runvec):
        m.readied = None
        up.delaysched += 1
