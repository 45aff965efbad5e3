"""rfork. Source: port/sysproc.c:sysrfork."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.dat import NSEG
from kernel.base.error import Ebadarg, Error
from kernel.base.event import ProcEvent
from kernel.base.kernel import current
from kernel.base.procdat import FPactive, FPillegal, Note, Proc_tracesyscall, TReal
from kernel.files.pgrp import (
    closeegrp,
    closefgrp,
    closepgrp,
    closergrp,
    dupfgrp,
    envcpy,
    newegrp,
    newpgrp,
    newrgrp,
    pgrpcpy,
)
from kernel.memory.mmu import flushmmu
from kernel.memory.segment import dupseg, segevent
from kernel.process.proc import pexit
from kernel.sched.newproc import newproc, pidalloc, procwired, startproc, touser
from kernel.sched.qlock import qlock, qunlock
from kernel.sched.ref import incref
from kernel.sched.sched import ready, sched
from kernel.sched.taslock import lock, unlock

if TYPE_CHECKING:
    from kernel.base.kernel import Args, Kernel


RFNAMEG, RFENVG, RFFDG, RFNOTEG, RFPROC, RFMEM, RFNOWAIT = (1 << i for i in range(7))
RFCNAMEG, RFCENVG, RFCFDG, RFREND, RFNOMNT = (1 << i for i in range(10, 15))


def sysrfork(k: Kernel, args: Args) -> int:
    """Make a process, or change what this one shares; the child's pid, 0 in the child.

    Source: port/sysproc.c:sysrfork.
    """
    up = current(k)
    flag = args[0]
    for a, b in ((RFFDG, RFCFDG), (RFNAMEG, RFCNAMEG), (RFENVG, RFCENVG)):
        if flag & a and flag & b:
            raise Error(Ebadarg)

    if not flag & RFPROC:
        if flag & (RFMEM | RFNOWAIT):
            raise Error(Ebadarg)
        assert up.fgrp is not None and up.pgrp is not None and up.rgrp is not None and up.egrp is not None
        if flag & (RFFDG | RFCFDG):
            ofg = up.fgrp
            up.fgrp = dupfgrp(k, ofg if flag & RFFDG else None)
            closefgrp(k, ofg)
        if flag & (RFNAMEG | RFCNAMEG):
            opg = up.pgrp
            npg = newpgrp(k)
            if flag & RFNAMEG:
                pgrpcpy(k, npg, opg)
            up.pgrp = npg
            up.pgrp.noattach = opg.noattach
            closepgrp(k, opg)
        if flag & RFNOMNT:
            up.pgrp.noattach = True
        if flag & RFREND:
            org = up.rgrp
            up.rgrp = newrgrp(k)
            closergrp(k, org)
        if flag & (RFENVG | RFCENVG):
            oeg = up.egrp
            neg = newegrp(k)
            if flag & RFENVG:
                envcpy(k, neg, oeg)
            up.egrp = neg
            closeegrp(k, oeg)
        if flag & RFNOTEG:
            up.noteid = pidalloc(k)
        return 0

    p = newproc(k)
    p.scallnr = up.scallnr
    p.slash = up.slash
    p.dot = up.dot
    assert p.dot is not None
    incref(k, p.dot)
    p.s = up.s
    p.privatemem = up.privatemem
    p.noswap = up.noswap
    p.note = [Note(n.msg, n.flag) for n in up.note]
    p.lastnote = Note(up.lastnote.msg, up.lastnote.flag)
    p.notify = up.notify
    p.ureg = up.ureg

    try:
        # Make a new set of memory segments
        qlock(k, p.seglock)
        try:
            for i in range(NSEG):
                if up.seg[i] is not None:
                    s = p.seg[i] = dupseg(k, up.seg, i, flag & RFMEM)
                    if k.sink is not None:
                        segevent(k, "attach", s, p=p, slot=i)
        except Error:
            qunlock(k, p.seglock)
            raise
        qunlock(k, p.seglock)

        assert up.fgrp is not None and up.pgrp is not None and up.rgrp is not None and up.egrp is not None
        if flag & (RFFDG | RFCFDG):
            p.fgrp = dupfgrp(k, up.fgrp if flag & RFFDG else None)
        else:
            p.fgrp = up.fgrp
            incref(k, p.fgrp)
        if flag & (RFNAMEG | RFCNAMEG):
            p.pgrp = newpgrp(k)
            if flag & RFNAMEG:
                pgrpcpy(k, p.pgrp, up.pgrp)
            p.pgrp.noattach = up.pgrp.noattach
        else:
            p.pgrp = up.pgrp
            incref(k, p.pgrp)
        if flag & RFNOMNT:
            p.pgrp.noattach = True
        if flag & RFREND:
            p.rgrp = newrgrp(k)
        else:
            p.rgrp = up.rgrp
            incref(k, p.rgrp)
        if flag & (RFENVG | RFCENVG):
            p.egrp = newegrp(k)
            if flag & RFENVG:
                envcpy(k, p.egrp, up.egrp)
        else:
            p.egrp = up.egrp
            incref(k, p.egrp)
    except Error:
        # abort the child
        p.kp = True
        # The original lets the parent go on writing pages that the dying child shares; if its segment is another
        # process's too, that one's copy of a page then misses what the parent writes until the next flush.
        if not k.variant.original_fork:
            flushmmu(k)
        startproc(k, p, lambda: pexit(k, "fork aborted", True))
        ready(k, p)
        raise
    p.hang = up.hang
    p.procmode = up.procmode
    if up.procctl == Proc_tracesyscall:
        p.procctl = Proc_tracesyscall

    # forkchild: the child comes out in user mode with 0
    assert p.regs is not None and up.regs is not None
    p.regs.copyfrom(up.regs)
    p.regs.ax = 0
    p.fpstate = up.fpstate & ~FPillegal
    p.fpsave[:] = up.fpsave
    p.fpuser = up.fpuser
    p.regs.fpenable(p.fpstate == FPactive)
    startproc(k, p, lambda: touser(k))

    p.parent = up
    if not flag & RFNOWAIT:
        p.parentpid = up.pid
        lock(k, up.exl)
        up.nchild += 1
        unlock(k, up.exl)
    if not flag & RFNOTEG:
        p.noteid = up.noteid

    pid = p.pid
    p.time = [0] * 6
    p.time[TReal] = k.machs[0].ticks
    p.text = up.text
    p.user = up.user
    # procfork
    p.kentry = up.kentry
    p.pcycles = -p.kentry
    if k.sink is not None:
        k.emit(ProcEvent(0, 0, 0, "fork", up.text, pid, ""))

    # The bss and data are shareable now: what the mmu knows of this process is stale.
    flushmmu(k)
    p.basepri = p.priority = up.basepri
    p.fixedpri = up.fixedpri
    p.mp = up.mp
    if up.wired is not None:
        procwired(k, p, up.wired.machno)
    ready(k, p)
    sched(k)
    return pid
