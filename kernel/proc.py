"""Processes and the scheduler. Source: port/proc.c.

A process's kernel stack is a greenlet. ``sched`` switches to the hub, the greenlet that runs the
machine's loop; the hub calls :meth:`Procs.dispatch`, which picks the next process. Between two such
switches nothing else runs: the kernel is not preempted.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NoReturn

from greenlet import getcurrent, greenlet

from kernel.alarm import Alarms
from kernel.chan import Pgrp, cclose, cut, incref, kstrcpy
from kernel.waits import waitsfor
from kernel.dat import (
    STATENAME,
    BSEG,
    NNOTE,
    NSEG,
    Broken,
    Dead,
    Mach,
    Moribund,
    Note,
    Npriq,
    Nrq,
    NUser,
    PriKproc,
    PriNormal,
    Proc,
    Proc_exitbig,
    Proc_exitme,
    Proc_stopme,
    Proc_traceme,
    Queueing,
    Ready,
    Rendez,
    Rendezvous,
    Running,
    Scheding,
    Schedq,
    Segment,
    Stopped,
    TCSys,
    TCUser,
    TReal,
    TSys,
    TUser,
    Waitmsg,
    Wakeme,
)
from kernel.error import ERRMAX, Eintr, Einuse, Enochild, Error, Exited, Panic
from kernel.event import NoteEvent, ProcEvent
from kernel.mem import BY2PG, HZ
from kernel.pgrp import closeegrp, closefgrp, closepgrp, closergrp, forceclosefgrp
from kernel.qlock import canqlock, qlock, qunlock
from kernel.segment import mcountseg, mfreeseg, putseg
from kernel.taslock import canlock, lock, unlock

if TYPE_CHECKING:
    from kernel.hw import Regs
    from kernel.kernel import Kernel

Scaling = 2  # of p.cpu's clock, against ticks
schedgain = 30  # seconds the cpu average looks back
NBROKEN = 4
NSPERTICK = 1_000_000_000 // HZ
SCHEDNS = 500  # virtual time one switch takes
Never = 1 << 62

# What happens to a process: types of Traceevent (sys/include/trace.h)
SRun, SReady, SSleep = 3, 4, 5
SDead, SUser = 10, 13

PROFNS = 113_000_000  # period of the profiling clock, prime to the tick (port/devproc.c:procinit)

# Trap numbers as dispatch() delivers them
CLOCK = -1  # the clock interrupt
VectorSYSCALL = 64


class Procs:
    """The process table, the run queues and the timers of one kernel."""

    def __init__(self, k: Kernel) -> None:
        self.k = k
        self.hub: greenlet = getcurrent()
        self.proctab: list[Proc] = []  # those ever used; the original's arena has conf.nproc
        self.freeprocs: list[Proc] = []
        self.others: list[Proc] = []  # outside the table, for tests
        self.runq = [Schedq() for _ in range(Nrq)]
        self.runvec = 0
        self.nrdy = 0
        self.nrun = 0
        self.balancetime = 0
        self.pidgen = 0
        self.kpgrp: Pgrp | None = None  # kproc's static name space, empty
        self.timers: list[tuple[int, int, Proc, int]] = []  # when, order, process, its timer's number
        self.timerno = 0
        self.broken: list[Proc] = []
        self.alarms = Alarms(k)
        self.nextprof = PROFNS  # ns of processor 0's clock at which its user is sampled next
        self.proctrace: Callable[[Proc, int], None] | None = None  # who listens to /proc/trace
        self.paused = False
        self.rng: random.Random | None = None  # draws the next process, instead of the queues' order
        # What serve a trap of the current process and a system call (kernel.trap)
        self.trap: Callable[[int, int], None]
        self.syscall: Callable[[], None]

    # The table

    def everyproc(self) -> Iterator[Proc]:
        """All processes, those outside the table too."""
        yield from self.proctab
        yield from self.others

    def newproc(self, atboot: bool = False) -> Proc:
        """A process in state Scheding with a pid; waits while the table is full, but for one made at boot.

        Source: port/proc.c:newproc.
        """
        k = self.k
        while True:
            if self.freeprocs:
                p = self.freeprocs.pop()
                self._renew(p)
                break
            if atboot or len(self.proctab) < k.conf.nproc:
                p = Proc(len(self.proctab))
                self.proctab.append(p)
                break
            self.resrcwait(f"no procs; {k.up.text if k.up else 'kernel'} forking")
        p.state = Scheding
        p.psstate = "New"
        p.pid = p.noteid = self.pidalloc()
        p.basepri = p.priority = PriNormal
        p.lastupdate = k.machs[0].ticks * Scaling
        p.regs = k.m.cpu.newregs()
        return p

    def _renew(self, p: Proc) -> None:
        """Make a dead process as new, but for its locks, which a debugger may hold, and its place among alarms."""
        keep = p.debug, p.seglock, p.qwaitr, p.exl, p.rlock, p.waitr, p.sleep, p.palarm
        p.__init__(p.index)  # type: ignore[misc]
        p.debug, p.seglock, p.qwaitr, p.exl, p.rlock, p.waitr, p.sleep, p.palarm = keep

    def pidalloc(self) -> int:
        """The next process number. Source: port/proc.c:pidalloc."""
        self.pidgen = self.pidgen % 0x7FFFFFFF + 1
        return self.pidgen

    def procwired(self, p: Proc, bm: int) -> None:
        """Let p run on one processor only; a negative one picks that with the fewest. Source: port/proc.c:procwired."""
        machs = self.k.machs
        if bm < 0:
            p.wired = None
            nwired = [sum(q.wired is m and q.pid != 0 for q in self.proctab) for m in machs]
            bm = nwired.index(min(nwired))
        p.wired = p.mp = machs[bm % len(machs)]

    def procpriority(self, p: Proc, pri: int, fixed: bool) -> None:
        """Set p's base priority, and whether its quantum never ends. Source: port/proc.c:procpriority.

        A process on a run queue stays on the one it is on; the original then looks for it on the new one.
        """
        pri = min(max(pri, 0), Npriq - 1)
        p.basepri = pri
        if p.state != Ready:
            p.priority = pri
        p.fixedpri = fixed

    def proc(self, pid: int) -> Proc | None:
        """The process with that pid."""
        return next((p for p in self.proctab if p.pid == pid and p.state != Dead), None)

    # Running

    def start(self, p: Proc, body: Callable[[], None]) -> None:
        """Give p a kernel stack that will run body, and end p after it."""

        def main() -> None:
            try:
                body()
                self.pexit("kproc dying", False)
            except Exited:
                pass

        p.inkernel = True
        p.greenlet = greenlet(main, self.hub)

    def shutdown(self) -> None:
        """Unwind the kernel stacks that are left: what a suspended greenlet holds is never garbage."""
        for p in self.everyproc():
            g, p.greenlet = p.greenlet, None
            if g is not None:
                g.throw()

    def user(self) -> NoReturn:
        """Run the current process in user mode, serving its traps, until it ends."""
        up = self.k.up
        assert up is not None
        hub = self.hub
        trap, syscall = self.trap, self.syscall
        while True:
            up.inkernel = False
            no, ecode = hub.switch()
            if no == VectorSYSCALL:  # its gate leads past trap()
                syscall()
            else:
                trap(no, ecode)

    def kproc(self, name: str, func: Callable[[], None], atboot: bool = False) -> Proc:
        """Make a kernel process, in the directory of who needs it.

        With atboot it is one that the original makes at boot, and we with the first need, so that a machine without
        has no process more: its directory is the root, and there is always room for it. Source: port/proc.c:kproc.
        """
        k = self.k
        p = self.newproc(atboot)
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
            if self.kpgrp is None:
                self.kpgrp = Pgrp(incref(k, k.files.pgrpid))
            p.pgrp = self.kpgrp
            incref(k, p.pgrp)
        p.basepri = p.priority = PriKproc
        p.user = k.eve
        p.text = name
        p.time[TReal] = k.machs[0].ticks
        self.start(p, func)
        self.ready(p)
        return p

    def dispatch(self, m: Mach, trapno: int | None = None, ecode: int = 0) -> Regs | None:
        """Run the kernel on processor m until a process goes to user mode: its registers.

        None if there is nothing to run, or m has used up its turn inside the kernel. The trap is what
        brought m's process out of user mode. Runs on the hub. Source: port/proc.c:schedinit, sched.
        """
        k = self.k
        cpu = m.cpu
        k.m = m
        k.up = m.proc
        while True:
            if k.halted:
                return None
            p = m.proc
            if p is None:
                while m.nexttick <= cpu.now():
                    self.hzclock(m)
                p = self.runproc(m)
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
                self.updatecpu(p)
                p.priority = self.reprioritize(p)
                p.state = Running
                p.mach = m
                m.proc = k.up = p
                k.mmu.mmuswitch(p)
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
            if self.paused:
                self.paused = False
                return None
            if p.inkernel:
                self.schedinit(m, p)
                if k.checking:
                    k.checkchanged(p, False)

    def schedinit(self, m: Mach, p: Proc) -> None:
        """p has given up processor m: queue it again if it could go on, bury it if it is done.

        Runs on the hub. Source: port/proc.c:schedinit.
        """
        k = self.k
        m.splhi = True
        m.cpu.spend(SCHEDNS)
        # procsave: p may run elsewhere now, or end there and leave its page directory to others
        m.cpu.putcr3(m.pdb)
        m.proc = None
        if p.state == Running:
            self.ready(p)
        elif p.state == Moribund:
            p.state = Dead
            k.mmu.mmurelease(p)
            unlock(k, k.palloc)
            p.mach = None
            self.updatecpu(p)
            p.greenlet = None
            if p.index >= 0:
                self.freeprocs.append(p)
            k.up = None
            return
        p.mach = None
        p.since = m.cpu.now()
        self.updatecpu(p)
        k.up = None

    def sched(self) -> None:
        """Give up the processor; returns when the process is picked again. Source: port/proc.c:sched.

        Put off while spin locks are held, but not for ever, and always while palloc is.
        """
        k = self.k
        up = k.up
        if up is None:
            return
        if up.nlocks and up.state != Moribund and (up.delaysched < 20 or k.palloc.p is up):
            up.delaysched += 1
            return
        up.delaysched = 0
        k.m.cs += 1
        self.hub.switch()
        k.m.splhi = False

    def pause(self) -> None:
        """Let other processors run on; the process goes on where it is, on this one. For k.explore."""
        k = self.k
        s = k.m.splhi
        self.paused = True
        self.hub.switch()
        k.m.splhi = s

    def runproc(self, m: Mach) -> Proc | None:
        """Pick the process m runs next and take it off its queue, or None. Source: port/proc.c:runproc.

        One just readied by the last process comes first (until the clock ticks), then the highest
        priority, and there one that ran on this processor last.
        """
        if not self.runvec:
            return None
        if self.rng is not None:
            return self._draw(m)
        p = m.readied
        if p is not None and p.mach is None and p.state == Ready:
            return self._take(m, p)
        for anywhere in (False, True):
            for pri in range(self.runvec.bit_length() - 1, -1, -1):
                p = self.runq[pri].head
                while p is not None:
                    if (anywhere or p.mp is None or p.mp is m) and self._mayrun(p, m):
                        return self._take(m, p)
                    p = p.rnext
        return None

    def canrun(self, m: Mach) -> bool:
        """Whether a process waits that processor m, which is idle, may run."""
        for rq in self.runq:
            p = rq.head
            while p is not None:
                if self._mayrun(p, m):
                    return True
                p = p.rnext
        return False

    def _mayrun(self, p: Proc, m: Mach) -> bool:
        """Whether m may take p, which is ready.

        A wired process belongs to the processor that it ran on last. That may be another one than it is wired to, for
        who was just readied is taken without a look at that.
        """
        return p.mach is None and (p.mp is None or p.mp is m or p.wired is None)

    def _draw(self, m: Mach) -> Proc | None:
        assert self.rng is not None
        ready = [p for p in self.proctab if p.state == Ready and self._mayrun(p, m)]
        return self._take(m, self.rng.choice(ready)) if ready else None

    def _take(self, m: Mach, p: Proc) -> Proc:
        self.dequeueproc(p)
        p.state = Scheding
        p.mp = m
        self.tell(p, SRun)
        return p

    def queueproc(self, pri: int, p: Proc) -> None:
        """Append p to a run queue. Source: port/proc.c:queueproc."""
        rq = self.runq[pri]
        p.priority = pri
        p.rnext = None
        if rq.tail is not None:
            rq.tail.rnext = p
        else:
            rq.head = p
        rq.tail = p
        rq.n += 1
        self.nrdy += 1
        self.runvec |= 1 << pri

    def dequeueproc(self, tp: Proc) -> None:
        """Take tp off its run queue. Source: port/proc.c:dequeueproc."""
        rq = self.runq[tp.priority]
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
            self.runvec &= ~(1 << tp.priority)
        rq.n -= 1
        self.nrdy -= 1

    def ready(self, p: Proc) -> None:
        """p can run: give it a priority and queue it. Source: port/proc.c:ready."""
        k = self.k
        if p.state == Ready:
            k.print(f"double ready {p.text} {p.pid}\n")
            return
        if k.up is not p:
            k.m.readied = p  # group scheduling
        self.updatecpu(p)
        pri = self.reprioritize(p)
        p.state = Ready
        p.since = max(p.since, k.m.cpu.now())
        self.queueproc(pri, p)
        self.tell(p, SReady)

    def tell(self, p: Proc, etype: int) -> None:
        """Tell the reader of /proc/trace, if there is one, what becomes of p."""
        if self.proctrace is not None:
            self.proctrace(p, etype)

    def yield_(self) -> None:
        """Let others run, and drop in priority. Source: port/proc.c:yield."""
        if self.runvec:
            up = self.k.up
            assert up is not None
            up.lastupdate -= Scaling // 2  # pretend we used half a tick
            self.sched()

    def preempted(self) -> None:
        """Let interrupts in, where the original's kernel loops with them on.

        The clock ticks if it is time, and a process of higher priority gets the processor. On several
        processors the pager cannot touch a process that loops on one, and the original waits for a third
        process to push that one off; here it steps aside until the next interrupt by itself.
        Source: port/proc.c:preempted.
        """
        k = self.k
        up, m = k.up, k.m
        if up is None or up.state != Running:
            return
        # nothing changes before the next interrupt: go round the loop until then at once
        wait = max(min(m.nexttick, self.nexttimer(), m.until) - m.cpu.now(), SCHEDNS)
        if len(k.machs) > 1:
            self.delay(wait)
            return
        if not self.runvec >> (up.priority + 1):
            m.cpu.spend(wait)
        self.runtimers(m.cpu.now())
        while m.nexttick <= m.cpu.now():
            self.hzclock(m)
        if up.delaysched or self.runvec >> (up.priority + 1) or m.cpu.now() >= m.until:
            m.readied = None
            self.sched()

    def updatecpu(self, p: Proc) -> None:
        """Bring p's decaying average of processor use (of 1000) up to date. Source: port/proc.c:updatecpu."""
        d = schedgain * HZ * Scaling
        t = self.k.machs[0].ticks * Scaling + Scaling // 2
        n = t - p.lastupdate
        p.lastupdate = t
        if n == 0:
            return
        n = min(n, d)
        if p is not self.k.up:
            p.cpu = p.cpu * (d - n) // d
        else:
            p.cpu = 1000 - (1000 - p.cpu) * (d - n) // d

    def reprioritize(self, p: Proc) -> int:
        """The priority p's use of the processor earns it. Source: port/proc.c:reprioritize."""
        load = self.k.machs[0].load
        if load == 0:
            return p.basepri
        fairshare = len(self.k.machs) * 1000 * 1000 // load
        n = p.cpu or 1
        return min((fairshare + n // 2) // n, p.basepri)

    def rebalance(self) -> None:
        """Once a second, give the waiting processes new priorities. Source: port/proc.c:rebalance."""
        m = self.k.m
        if m.ticks - self.balancetime < HZ:
            return
        self.balancetime = m.ticks
        for pri in range(Npriq):
            while (p := self.runq[pri].head) is not None:
                if p.mp is not m or pri == p.basepri:
                    break
                self.updatecpu(p)
                npri = self.reprioritize(p)
                if npri == pri:
                    break
                self.dequeueproc(p)
                self.queueproc(npri, p)

    # The clock

    def hzclock(self, m: Mach, user: bool = False) -> None:
        """One tick of processor m, which may have been in user mode. Source: port/portclock.c:hzclock.

        The profiling clock, another timer in the original, is looked at here.
        """
        k = self.k
        up = m.proc
        m.ticks += 1
        m.nexttick += NSPERTICK
        if m.flushmmu:
            if up is not None:
                k.mmu.flushmmu()
            m.flushmmu = False
        self.accounttime(m)
        if m.machno == 0:
            self.alarms.check()
            if m.nexttick > self.nextprof:
                self.nextprof = (m.nexttick // PROFNS + 1) * PROFNS
                if user:
                    k.traps.profclock()
        if up is not None and up.state == Running:
            self.hzsched(m, up)

    def hzsched(self, m: Mach, up: Proc) -> None:
        """Ask for a reschedule if a better process waits or the quantum is over. Source: port/proc.c:hzsched."""
        if m.machno == 0:
            self.rebalance()
        higher = self.runvec >> (up.priority + 1)
        if higher or (not up.fixedpri and m.ticks > m.schedticks and self.runvec):
            m.readied = None
            up.delaysched += 1

    def accounttime(self, m: Mach) -> None:
        """Charge a tick to the process that runs on m, and keep the load average. Source: port/proc.c:accounttime."""
        if m.proc is not None:
            self.nrun += 1
            m.proc.time[m.proc.insyscall] += 1
        self.dutycycle(m)
        if m.machno != 0:
            return
        n, self.nrun = self.nrun, 0
        m.load = (m.load * (HZ - 1) + (self.nrdy + n) * 1000) // HZ

    def dutycycle(self, m: Mach) -> None:
        """Average how much of the time processor m is idle, at a tick. Source: port/proc.c:accounttime."""
        m.avg_inidle = (m.avg_inidle * (HZ - 1) + m.inidle) // HZ
        m.inidle = 0

    def idle(self, m: Mach, until: int) -> None:
        """Let an idle processor's clock run on to ``until`` ns. Its ticks happen on the way."""
        k = self.k
        now = m.cpu.now()
        if until > now:
            m.cpu.spend(until - now)
        while m.nexttick <= until:
            m.inidle += max(m.nexttick - now, 0)
            now = max(m.nexttick, now)
            decays = m.machno == 0 and (m.load or self.nrdy or self.nrun)  # the load, by each tick
            if not decays and not m.flushmmu:
                n = (until - m.nexttick) // NSPERTICK + 1  # skip them together
                m.ticks += n
                m.nexttick += n * NSPERTICK
                last = -1
                while n > 0 and m.avg_inidle != last:
                    last = m.avg_inidle
                    self.dutycycle(m)
                    m.inidle = NSPERTICK
                    n -= 1
                m.inidle = until - (m.nexttick - NSPERTICK)
                k.m, k.up = m, None
                if m.machno == 0:
                    self.alarms.check()
                return
            k.m, k.up = m, None
            self.hzclock(m)
        m.inidle += max(until - now, 0)

    def nexttimer(self) -> int:
        """When the next timer or alarm goes off, ns; Never if none runs."""
        t = self.timers
        while t and t[0][2].timer != t[0][3]:
            heapq.heappop(t)
        when = t[0][0] if t else Never
        return when if self.alarms.first is None else min(when, self.alarms.due())

    def runtimers(self, now: int) -> None:
        """Wake the sleepers whose time has come. Source: port/portclock.c:timerintr.

        The original's interrupt spins while another processor holds a lock it needs. Here that one must run first:
        the timer stays where it is.
        """
        t = self.timers
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
                self.wakeup(trend)

    # Sleep and wakeup

    def sleep(self, r: Rendez, f: Callable[[], bool]) -> None:
        """Sleep at r unless f(); the caller tests again afterwards. A note ends it with Error(Eintr).

        Source: port/proc.c:sleep.
        """
        k = self.k
        up = k.up
        assert up is not None
        if up.nlocks:
            raise Panic(f"process {up.pid} sleeps with {up.nlocks} locks held, last lock {up.lastlock!r}")
        s, k.m.splhi = k.m.splhi, True
        lock(k, r)
        lock(k, up.rlock)
        if r.r is not None:
            raise Panic(f"double sleep {r.r.pid} {up.pid}")
        r.r = up
        if f() or up.notepending:
            r.r = None
            unlock(k, up.rlock)
            unlock(k, r)
        else:
            self.tell(up, SSleep)
            up.state = Wakeme
            up.r = r
            unlock(k, up.rlock)
            unlock(k, r)
            k.m.cs += 1
            self.hub.switch()
        k.m.splhi = s
        if up.notepending:
            up.notepending = 0
            self.interrupted()

    def interrupted(self) -> NoReturn:
        """A note came while the process slept. Source: port/proc.c:interrupted."""
        up = self.k.up
        assert up is not None
        if up.procctl == Proc_exitme and up.closingfgrp is not None:
            forceclosefgrp(self.k)
        raise Error(Eintr)

    def tsleep(self, r: Rendez, fn: Callable[[], bool], ms: int) -> None:
        """sleep(), for ms milliseconds at the most. Source: port/proc.c:tsleep."""
        self._tsleep(r, fn, ms * 1_000_000)

    def _tsleep(self, r: Rendez, fn: Callable[[], bool], ns: int) -> None:
        k = self.k
        up = k.up
        assert up is not None
        self.timerno += 1
        up.timer = self.timerno
        up.trend = r
        up.tfn = fn
        if len(self.timers) > 2 * len(self.proctab) + 100:  # most are of sleeps that ended before their time
            self.timers = [t for t in self.timers if t[2].timer == t[3]]
            heapq.heapify(self.timers)
        heapq.heappush(self.timers, (k.m.cpu.now() + ns, self.timerno, up, up.timer))
        try:
            self.sleep(r, lambda: up.trend is None or fn())
        except Error:
            up.timer = 0
            raise
        up.timer = 0

    def delay(self, ns: int) -> None:
        """Wait for a device, ns of virtual time; others run. Notes do not cut it short, but stay pending."""
        k = self.k
        up = k.up
        assert up is not None
        pending, up.notepending = up.notepending, 0
        end = k.m.cpu.now() + ns
        while (left := end - k.m.cpu.now()) > 0:
            try:
                self._tsleep(up.sleep, lambda: False, left)
            except Error:
                pending = 1
        up.notepending |= pending

    def wakeup(self, r: Rendez) -> Proc | None:
        """Ready the process that sleeps at r, if one does. Source: port/proc.c:wakeup."""
        k = self.k
        if r.r is None:
            return None
        s, k.m.splhi = k.m.splhi, True
        lock(k, r)
        p = r.r
        if p is not None:
            lock(k, p.rlock)
            if p.state != Wakeme or p.r is not r:
                raise Panic("wakeup: state")
            r.r = None
            p.r = None
            self.ready(p)
            unlock(k, p.rlock)
        unlock(k, r)
        k.m.splhi = s
        return p

    def resrcwait(self, reason: str) -> None:
        """Wait 300 ms for something to become free. Source: port/proc.c:resrcwait."""
        k = self.k
        up = k.up
        if up is None:
            raise Panic("resrcwait")
        s, up.psstate = up.psstate, reason
        k.print(reason + "\n")
        self.tsleep(up.sleep, lambda: False, 300)
        up.psstate = s

    # Notes

    def pprint(self, text: str) -> None:
        """Tell the current process's standard error, with its name and pid. Source: port/devcons.c:pprint."""
        k = self.k
        up = k.up
        if up is None or up.fgrp is None:
            return
        k.writefd2(f"{up.text} {up.pid}: {text}")

    def postnote(self, p: Proc | None, dolock: int, n: str | None, flag: int) -> int:
        """Give p a note and wake it from what it waits for; 1 if the note was taken.

        A note of the system's own replaces those that wait if no handler could see them first.
        Source: port/proc.c:postnote.
        """
        k = self.k
        if p is None:
            return 0
        if dolock:
            qlock(k, p.debug)
        if p.pid == 0:
            if dolock:
                qunlock(k, p.debug)
            return 0
        if n is not None and flag != NUser and (p.notify == 0 or p.notified):
            p.note.clear()
        ret = 0
        if len(p.note) < NNOTE and n is not None:
            p.note.append(Note(kstrcpy(n, ERRMAX), flag))
            ret = 1
        p.notepending = 1
        if dolock:
            qunlock(k, p.debug)
        if k.sink is not None and n is not None:
            k.emit(NoteEvent(0, 0, 0, "post", p.pid, n))

        self._notewakes(p)

        if p.state == Queueing and p.eql is not None:
            q = p.eql
            l = None
            d = q.head
            while d is not None and d is not p:
                l = d
                d = d.qnext
            if d is p:
                if l is not None:
                    l.qnext = p.qnext
                else:
                    q.head = p.qnext
                if p.qnext is None:
                    q.tail = l
                p.qnext = None
                p.eql = None  # not taken
                self.ready(p)
        elif p.state == Rendezvous:
            rgrp = p.rgrp
            assert rgrp is not None
            lock(k, rgrp)
            hash = rgrp.rendhash
            h = p.rendtag % len(hash)
            l, d = None, hash[h]
            while d is not None and d is not p:
                l, d = d, d.rendhash
            if d is p:
                if l is not None:
                    l.rendhash = p.rendhash
                else:
                    hash[h] = p.rendhash
                p.rendval = 0xFFFFFFFF
                self.ready(p)
            unlock(k, rgrp)
        return ret

    def _notewakes(self, p: Proc) -> None:
        """Wake p, which has a note, if it sleeps.

        A wakeup takes the place's lock and then p's; here only p leads to the place, so whoever finds that one
        taken lets go and tries again. Source: port/proc.c:postnote.
        """
        k = self.k
        while True:
            s, k.m.splhi = k.m.splhi, True
            lock(k, p.rlock)
            r = p.r
            if r is None:
                break
            if canlock(k, r):
                if p.state != Wakeme or r.r is not p:
                    raise Panic("postnote: state")
                p.r = None
                r.r = None
                self.ready(p)
                unlock(k, r)
                break
            unlock(k, p.rlock)
            k.m.splhi = s
            self.sched()
        unlock(k, p.rlock)
        k.m.splhi = s

    def procctl(self, p: Proc) -> None:
        """Do what another process asked of p, the current one: die, or stop until it says go.

        Source: port/proc.c:procctl.
        """
        k = self.k
        if p.procctl == Proc_exitbig:
            self.pprint("Killed: Insufficient physical memory\n")
            self.pexit("Killed: Insufficient physical memory", True)
        if p.procctl == Proc_exitme:
            self.pexit("Killed", True)
        if p.procctl == Proc_stopme or (p.procctl == Proc_traceme and p.note):
            p.procctl = 0
            state, p.psstate = p.psstate, "Stopped"
            s, k.m.splhi = k.m.splhi, False
            qlock(k, p.debug)
            if p.pdbg is not None:
                # it finds us Stopped once we have given up the processor
                self.wakeup(p.pdbg.sleep)
                p.pdbg = None
            qunlock(k, p.debug)
            k.m.splhi = True
            p.state = Stopped
            self.sched()
            p.psstate = state
            k.m.splhi = s

    # Dying

    def addbroken(self, p: Proc) -> None:
        """Keep a broken process for a debugger, the last four of them. Source: port/proc.c:addbroken."""
        if len(self.broken) == NBROKEN:
            self.ready(self.broken.pop(0))
        self.broken.append(p)
        p.state = Broken
        p.psstate = None
        self.sched()

    def unbreak(self, p: Proc) -> None:
        """Let one broken process go. Source: port/proc.c:unbreak."""
        if p in self.broken:
            self.broken.remove(p)
            self.ready(p)

    def freebroken(self) -> int:
        """Let the broken processes go, with their memory; how many. Source: port/proc.c:freebroken."""
        n = len(self.broken)
        for p in self.broken:
            self.ready(p)
        self.broken.clear()
        return n

    def pexit(self, exitstr: str | None, freemem: bool) -> NoReturn:
        """End the current process. Without freemem it stays Broken, keeping its memory.

        Raises Exited to unwind the kernel stack. Source: port/proc.c:pexit.
        """
        k = self.k
        up = k.up
        assert up is not None
        up.alarm = 0
        up.timer = 0
        self.tell(up, SDead)
        text = cut(f"{up.text} {up.pid}: {exitstr}", ERRMAX) if exitstr else ""
        if k.sink is not None:
            k.emit(ProcEvent(0, 0, 0, "exit" if freemem else "broken", up.text, 0, text))

        qlock(k, up.debug)
        fgrp, up.fgrp = up.fgrp, None
        egrp, up.egrp = up.egrp, None
        rgrp, up.rgrp = up.rgrp, None
        pgrp, up.pgrp = up.pgrp, None
        dot, up.dot = up.dot, None
        qunlock(k, up.debug)
        if fgrp is not None:
            closefgrp(k, fgrp)
        if egrp is not None:
            closeegrp(k, egrp)
        if rgrp is not None:
            closergrp(k, rgrp)
        if dot is not None:
            cclose(k, dot)
        if pgrp is not None:
            closepgrp(k, pgrp)

        if not up.kp and up.parentpid != 0:
            utime = up.time[TUser] + up.time[TCUser]
            stime = up.time[TSys] + up.time[TCSys]
            real = k.machs[0].ticks - up.time[TReal]
            ms = 1000 // HZ
            p = up.parent
            assert p is not None
            lock(k, p.exl)
            if p.pid == up.parentpid and p.state != Broken:
                p.nchild -= 1
                p.time[TCUser] += utime
                p.time[TCSys] += stime
                if len(p.waitq) < 128:
                    times = utime * ms, stime * ms, real * ms
                    p.waitq.insert(0, Waitmsg(up.pid, times, text, up.text, exitstr or ""))
                    self.wakeup(p.waitr)
            unlock(k, p.exl)

        if not freemem:
            self.addbroken(up)

        qlock(k, up.seglock)
        for i in range(NSEG):
            s, up.seg[i] = up.seg[i], None
            putseg(k, s)
        qunlock(k, up.seglock)

        lock(k, up.exl)  # keeps children from leaving waits
        up.pid = 0
        self.wakeup(up.waitr)
        unlock(k, up.exl)
        up.waitq.clear()

        # release debuggers
        qlock(k, up.debug)
        if up.pdbg is not None:
            self.wakeup(up.pdbg.sleep)
            up.pdbg = None
        up.syscalltrace = None
        qunlock(k, up.debug)

        # schedinit releases it, when the process runs no more
        lock(k, k.palloc)
        up.state = Moribund
        raise Exited

    def pwait(self) -> Waitmsg:
        """Wait for a child to end. Errors: Enochild, Einuse. Source: port/proc.c:pwait."""
        k = self.k
        up = k.up
        assert up is not None
        if not canqlock(k, up.qwaitr):
            raise Error(Einuse)
        try:
            lock(k, up.exl)
            while not up.waitq:
                if up.nchild == 0:
                    unlock(k, up.exl)
                    raise Error(Enochild)
                unlock(k, up.exl)
                self.sleep(up.waitr, lambda: bool(up.waitq))
                lock(k, up.exl)
            wq = up.waitq.pop(0)
            unlock(k, up.exl)
        except Error:
            qunlock(k, up.qwaitr)
            raise
        qunlock(k, up.qwaitr)
        return wq

    # Memory of other processes

    def canpage(self, p: Proc) -> bool:
        """Whether p does not run; if so its mmu will be flushed before it does. Source: port/proc.c:canpage."""
        if p.mach is None:
            p.newtlb = True
            return True
        return False

    def procflushseg(self, s: Segment) -> None:
        """Have every process with s flush its mmu, and wait until other processors have.

        Source: port/proc.c:procflushseg.
        """
        k = self.k
        wait = []
        for p in self.proctab:
            if p.state != Dead and s in p.seg:
                p.newtlb = True
                wait += [m for m in k.machs if m.proc is p]
        self.flushmachs(wait)

    def flushmachs(self, machs: list[Mach]) -> None:
        """Have these processors flush at their next clock tick, and wait for the others among them."""
        k = self.k
        for m in machs:
            m.flushmmu = True
        if not machs:
            return
        for m in k.machs:
            while k.m is not m and m.flushmmu:
                if not self.runvec:  # nobody else runs here meanwhile: go round the loop at once
                    here = k.m
                    rounds = max(here.until - here.cpu.now() - SCHEDNS, 0) // SCHEDNS
                    here.cpu.spend(rounds * SCHEDNS)
                    here.cs += rounds
                self.sched()

    def killbig(self, why: str) -> None:
        """Kill the process with most memory, and those that share its bss. Source: port/proc.c:killbig."""
        k = self.k
        most = 0
        kp: Proc | None = None
        for p in self.proctab:
            if p.state == Dead or p.kp or not canqlock(k, p.seglock):
                continue
            l = 0
            for s in p.seg[1:]:
                if s is None or not canqlock(k, s):
                    continue
                l += mcountseg(k, s)
                qunlock(k, s)
            qunlock(k, p.seglock)
            if l > most and (p.procmode & 0o222 or p.user != k.eve):
                kp, most = p, l
        if kp is None or not canqlock(k, kp.seglock):
            return
        k.print(f"{kp.pid}: {kp.text} killed: {why}\n")
        for p in self.proctab:
            if p.state == Dead or p.kp:
                continue
            if p is not kp and p.seg[BSEG] is not None and p.seg[BSEG] is kp.seg[BSEG]:
                p.procctl = Proc_exitbig
        kp.procctl = Proc_exitbig
        for s in kp.seg:
            if s is not None and canqlock(k, s):
                mfreeseg(k, s, s.base, (s.top - s.base) // BY2PG)
                qunlock(k, s)
        qunlock(k, kp.seglock)

    def midway(self, p: Proc) -> bool:
        """Whether p was switched away from in the middle of kernel work, in a fault or where it can go on by itself.

        It may hold references then, and its page tables may lag behind its segments.
        """
        return (
            p.inkernel
            and p is not self.k.up
            and (p.psstate == "Fault" or p.state not in (Dead, Wakeme, Rendezvous, Broken, Stopped))
        )

    def blocked(self) -> bool:
        """Whether any process is midway through kernel work."""
        return any(self.midway(p) for p in self.everyproc())

    def dump(self) -> str:
        """One line for each process: pid, name, state, and what it waits for. Source: port/proc.c:procdump."""
        lines = []
        for p in self.proctab:
            if p.state == Dead:
                continue
            pc = p.regs.pc if p.regs is not None else 0
            waits = waitsfor(self.k, p)
            lines.append(
                f"{p.pid:3}:{p.text:>10} pc {pc:#010x} {p.psstate or STATENAME[p.state]:>8} ({STATENAME[p.state]}) "
                f"ut {p.time[TUser]} st {p.time[TSys]} nl {p.nlocks} nd {p.delaysched} pri {p.priority}"
                + (f" waits for {waits}" if waits else "")
            )
        return "\n".join(lines)
