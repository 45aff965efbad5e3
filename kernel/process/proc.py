"""How a process ends, and how its parent hears of it. Source: port/proc.c."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from kernel.base.dat import NSEG
from kernel.base.error import ERRMAX, Einuse, Enochild, Error, Exited
from kernel.base.event import ProcEvent
from kernel.base.mem import HZ
from kernel.base.procdat import Broken, Moribund, TCSys, TCUser, TReal, TSys, TUser, Waitmsg
from kernel.base.text import cut, kbytes, quote
from kernel.files.channel import cclose
from kernel.files.pgrp import closeegrp, closefgrp, closepgrp, closergrp
from kernel.memory.segment import putseg, segevent
from kernel.sched.broken import addbroken
from kernel.sched.note import wakedebugger
from kernel.sched.qlock import canqlock, qlock, qunlock
from kernel.sched.sched import SDead, schedevent, tellproc
from kernel.sched.sleep import sleep, wakeup
from kernel.sched.taslock import lock, unlock

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel


def pexit(k: Kernel, exitstr: str | None, freemem: bool) -> NoReturn:
    """End the current process. Without freemem it stays Broken, keeping its memory.

    Raises Exited to unwind the kernel stack. Source: port/proc.c:pexit.
    """
    up = k.up
    assert up is not None
    up.alarm = 0
    up.timer = 0
    tellproc(k, up, SDead)
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
                wakeup(k, p.waitr)
        unlock(k, p.exl)

    if not freemem:
        addbroken(k, up)

    qlock(k, up.seglock)
    for i in range(NSEG):
        s, up.seg[i] = up.seg[i], None
        if k.sink is not None and s is not None:
            segevent(k, "detach", s, p=up, slot=i)
        putseg(k, s)
    qunlock(k, up.seglock)

    lock(k, up.exl)  # keeps children from leaving waits
    if k.sink is not None:
        schedevent(k, "end", up)
    up.pid = 0
    wakeup(k, up.waitr)
    unlock(k, up.exl)
    up.waitq.clear()

    # release debuggers
    qlock(k, up.debug)
    wakedebugger(k, up)
    up.syscalltrace = None
    qunlock(k, up.debug)

    # schedinit releases it, when the process runs no more
    lock(k, k.palloc)
    up.state = Moribund
    raise Exited


def pwait(k: Kernel) -> Waitmsg:
    """Wait for a child to end. Errors: Enochild, Einuse. Source: port/proc.c:pwait."""
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
            sleep(k, up.waitr, lambda: bool(up.waitq))
            lock(k, up.exl)
        wq = up.waitq.pop(0)
        unlock(k, up.exl)
    except Error:
        qunlock(k, up.qwaitr)
        raise
    qunlock(k, up.qwaitr)
    return wq


def waittext(k: Kernel, w: Waitmsg, n: int) -> bytes:
    """A wait record as await tells it, cut to fit n bytes with its NUL. Source: port/sysproc.c:sysawait."""
    text = f"{w.pid} {w.time[0]} {w.time[1]} {w.time[2]} "
    return kbytes(text + quote(w.msg, False, max(n - len(text), 1)))[: max(n - 1, 0)]
