"""The clock tick, timers, and time that passes while nothing runs. Source: port/portclock.c, port/proc.c."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from kernel.base.mem import HZ, NSPERTICK
from kernel.base.procdat import PROFNS, Running
from kernel.sched.alarm import alarmdue, checkalarms
from kernel.sched.sched import SCHEDNS, hzsched, sched
from kernel.sched.sleep import devwait, wakeup

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Mach


Never = 1 << 62


def preempted(k: Kernel) -> None:
    """Let interrupts in, where the original's kernel loops with them on.

    The clock ticks if it is time, and a process of higher priority gets the processor. On several
    processors the pager cannot touch a process that loops on one, and the original waits for a third
    process to push that one off; here it steps aside until the next interrupt by itself.
    Source: port/proc.c:preempted.
    """
    up, m = k.up, k.m
    if up is None or up.state != Running:
        return
    # nothing changes before the next interrupt: go round the loop until then at once
    wait = max(min(m.nexttick, nexttimer(k), m.until) - m.cpu.now(), SCHEDNS)
    if len(k.machs) > 1:
        devwait(k, wait)
        return
    if not k.procs.runvec >> (up.priority + 1):
        m.cpu.spend(wait)
    runtimers(k, m.cpu.now())
    while m.nexttick <= m.cpu.now():
        hzclock(k, m)
    if up.delaysched or k.procs.runvec >> (up.priority + 1) or m.cpu.now() >= m.until:
        m.readied = None
        sched(k)


def interrupt(k: Kernel) -> None:
    """Let the next interrupt come now, in the middle of what the current process does with interrupts on.

    Timers and the clock of this processor: time runs on to whichever is due first. What it finds locked by the very
    process that it interrupts is a deadlock, as in the original. For k.explore.
    """
    m = k.m
    m.cpu.spend(max(min(m.nexttick, nexttimer(k)) - m.cpu.now(), 0))
    m.splhi = True
    runtimers(k, m.cpu.now())
    while m.nexttick <= m.cpu.now():
        hzclock(k, m)
    m.splhi = False


def hzclock(k: Kernel, m: Mach, user: bool = False) -> None:
    """One tick of processor m, which may have been in user mode. Source: port/portclock.c:hzclock.

    The profiling clock, another timer in the original, is looked at here.
    """
    up = m.proc
    m.ticks += 1
    m.nexttick += NSPERTICK
    if m.flushmmu:
        if up is not None and (up.newtlb or not k.variant.fix_28836f3ff):
            k.hooks.flushmmu(k)
        m.flushmmu = False
    accounttime(k, m)
    everywhere = k.variant.fix_d15aca053
    if m.machno == 0:
        checkalarms(k)
        if m.nexttick > k.procs.nextprof:
            k.procs.nextprof = (m.nexttick // PROFNS + 1) * PROFNS
            if user and not everywhere:
                k.hooks.profclock(k)
    if everywhere and user and up is not None and up.state == Running:
        k.hooks.profclock(k)
    if up is not None and up.state == Running:
        hzsched(k, m, up)


def accounttime(k: Kernel, m: Mach) -> None:
    """Charge a tick to the process that runs on m, and keep the load average. Source: port/proc.c:accounttime."""
    if m.proc is not None:
        k.procs.nrun += 1
        m.proc.time[m.proc.insyscall] += 1
    dutycycle(k, m)
    if m.machno != 0:
        return
    n, k.procs.nrun = k.procs.nrun, 0
    m.load = (m.load * (HZ - 1) + (k.procs.nrdy + n) * 1000) // HZ


def dutycycle(k: Kernel, m: Mach) -> None:
    """Average how much of the time processor m is idle, at a tick. Source: port/proc.c:accounttime."""
    m.avg_inidle = (m.avg_inidle * (HZ - 1) + m.inidle) // HZ
    m.inidle = 0


def idle(k: Kernel, m: Mach, until: int) -> None:
    """Let an idle processor's clock run on to ``until`` ns. Its ticks happen on the way."""
    now = m.cpu.now()
    if until > now:
        m.cpu.spend(until - now)
    while m.nexttick <= until:
        m.inidle += max(m.nexttick - now, 0)
        now = max(m.nexttick, now)
        decays = m.machno == 0 and (m.load or k.procs.nrdy or k.procs.nrun)  # the load, by each tick
        if not decays and not m.flushmmu:
            n = (until - m.nexttick) // NSPERTICK + 1  # skip them together
            m.ticks += n
            m.nexttick += n * NSPERTICK
            last = -1
            while n > 0 and m.avg_inidle != last:
                last = m.avg_inidle
                dutycycle(k, m)
                m.inidle = NSPERTICK
                n -= 1
            m.inidle = until - (m.nexttick - NSPERTICK)
            k.m, k.up = m, None
            if m.machno == 0:
                checkalarms(k)
            return
        k.m, k.up = m, None
        hzclock(k, m)
    m.inidle += max(until - now, 0)


def nexttimer(k: Kernel) -> int:
    """When the next timer or alarm goes off, ns; Never if none runs."""
    t = k.procs.timers
    while t and t[0][2].timer != t[0][3]:
        heapq.heappop(t)
    when = t[0][0] if t else Never
    return when if k.procs.alarms.first is None else min(when, alarmdue(k))


def runtimers(k: Kernel, now: int) -> None:
    """Wake the sleepers whose time has come. Source: port/portclock.c:timerintr.

    The original's interrupt spins while another processor holds a lock it needs. Here that one must run first:
    the timer stays where it is.
    """
    t = k.procs.timers
    while t and t[0][0] <= now:
        _, _, p, no = t[0]
        if p.timer == no and (p.rlock.key or (p.trend is not None and p.trend.key)):
            return
        heapq.heappop(t)
        if p.timer != no:
            continue
        p.timer = 0
        trend, p.trend = p.trend, None
        if trend is not None:
            wakeup(k, trend)
