"""Rendezvous and semaphores. Source: port/sysproc.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.dat import SG_RONLY, Sema
from kernel.base.error import Ebadarg, Error
from kernel.base.kernel import current
from kernel.base.mem import BY2WD, HZ, MASK32, s32
from kernel.base.procdat import Rendezvous, Rgrp
from kernel.memory.fault import seg, validaddr
from kernel.memory.uaccess import uframe, usetword, uword
from kernel.sched.sched import ready, sched, schedevent
from kernel.sched.sleep import sleep, tsleep, wakeup
from kernel.sched.taslock import lock, unlock

if TYPE_CHECKING:
    from kernel.base.dat import Segment
    from kernel.base.kernel import Args, Kernel
    from kernel.base.procdat import Proc


def sysrendezvous(k: Kernel, args: Args) -> int:
    """Meet another process of the group at a tag and exchange values. Source: port/sysproc.c:sysrendezvous."""
    up = current(k)
    tag, new = args[0], args[1]
    rgrp = up.rgrp
    assert isinstance(rgrp, Rgrp)
    h = tag % len(rgrp.rendhash)
    lock(k, rgrp)
    l: Proc | None = None
    p = rgrp.rendhash[h]
    while p is not None:
        if p.rendtag == tag:
            if l is None:
                rgrp.rendhash[h] = p.rendhash
            else:
                l.rendhash = p.rendhash
            val = p.rendval
            p.rendval = new
            unlock(k, rgrp)
            ready(k, p)
            return val
        l, p = p, p.rendhash

    up.rendtag = tag
    up.rendval = new
    up.rendhash = rgrp.rendhash[h]
    rgrp.rendhash[h] = up
    up.state = Rendezvous
    if k.sink is not None:
        schedevent(k, "wait", up)
    unlock(k, rgrp)
    sched(k)
    return up.rendval


# Semaphores. The value is in user memory and is changed by compare-and-swap only; the waiters are in a
# list of the segment. An acquirer announces itself (waiting), tries once more, and sleeps until a
# releaser clears waiting; whoever ends up not using its wakeup passes it on. Source: port/sysproc.c.


def _cmpswap(k: Kernel, addr: int, old: int, new: int) -> bool:
    """One instruction: it faults, if it must, for writing and before it looks. Source: pc/l.s:cmpswap486."""
    if k.watch is not None:
        k.watch.user(True)
    for a in (addr, addr + BY2WD - 1):
        uframe(k, a, True, "cmpswap")
    if uword(k, addr, "cmpswap") != old & MASK32:
        return False
    usetword(k, addr, new, "cmpswap")
    return True


def semqueue(k: Kernel, s: Segment, p: Sema) -> None:
    """Add p to the waiters of s. Source: port/sysproc.c:semqueue."""
    lock(k, s.semalock)
    s.sema.append(p)
    unlock(k, s.semalock)


def semdequeue(k: Kernel, s: Segment, p: Sema) -> None:
    """Remove p from the waiters of s. Source: port/sysproc.c:semdequeue."""
    lock(k, s.semalock)
    s.sema.remove(p)
    unlock(k, s.semalock)


def semwakeup(k: Kernel, s: Segment, addr: int, n: int) -> None:
    """Wake up to n waiters at addr, oldest first. Source: port/sysproc.c:semwakeup."""
    lock(k, s.semalock)
    for p in s.sema:
        if n <= 0:
            break
        if p.addr == addr and p.waiting:
            p.waiting = False
            wakeup(k, p)
            n -= 1
    unlock(k, s.semalock)


def canacquire(k: Kernel, addr: int) -> bool:
    """Take one from the semaphore if it is positive. Source: port/sysproc.c:canacquire."""
    while (value := s32(uword(k, addr, "canacquire"))) > 0:
        if _cmpswap(k, addr, value, value - 1):
            return True
    return False


def semacquire(k: Kernel, s: Segment, addr: int, ms: int | None) -> int:
    """Take one, waiting up to ms milliseconds, or for ever; 0 if the time is up.

    A note ends the wait with its error. Source: port/sysproc.c:semacquire, tsemacquire.
    """
    if canacquire(k, addr):
        return 1
    if ms == 0:
        return 0
    failed: str | None = None
    timedout = False
    phore = Sema(addr)
    semqueue(k, s, phore)
    while True:
        phore.waiting = True
        try:
            if canacquire(k, addr):
                break
        except Error as e:
            if not k.variant.fix_e38d42b4a:
                raise
            failed = str(e)
            break
        try:
            if ms is None:
                sleep(k, phore, lambda: not phore.waiting)
            else:
                t = k.m.ticks
                tsleep(k, phore, lambda: not phore.waiting, ms)
                elms = (k.m.ticks - t) * (1000 // HZ)
                if elms >= ms:
                    timedout = True
                    break
                ms -= elms
        except Error as e:
            failed = str(e)  # e itself would hold this frame
            break
    semdequeue(k, s, phore)
    if not phore.waiting:
        semwakeup(k, s, addr, 1)
    if k.watch is not None:
        k.watch.freed(phore)
    if timedout:
        return 0
    if failed is not None:
        raise Error(failed)
    return 1


def _semseg(k: Kernel, addr: int) -> Segment:
    s = seg(k, current(k), addr, 0)
    if s is None or s.type & SG_RONLY or addr + BY2WD > s.top:
        validaddr(k, addr, BY2WD, True)
        raise Error(Ebadarg)
    if s32(uword(k, addr, "syssemacquire")) < 0:
        raise Error(Ebadarg)
    return s


def syssemacquire(k: Kernel, args: Args) -> int:
    """Source: port/sysproc.c:syssemacquire."""
    s = _semseg(k, args[0])
    return semacquire(k, s, args[0], None if args[1] else 0)


def systsemacquire(k: Kernel, args: Args) -> int:
    """Source: port/sysproc.c:systsemacquire."""
    s = _semseg(k, args[0])
    return semacquire(k, s, args[0], args[1])


def syssemrelease(k: Kernel, args: Args) -> int:
    """Add to a semaphore and wake as many; the new value. Source: port/sysproc.c:syssemrelease."""
    addr = args[0]
    s = _semseg(k, addr)
    delta = s32(args[1])
    if delta < 0:
        raise Error(Ebadarg)
    while True:
        value = s32(uword(k, addr, "semrelease"))
        if _cmpswap(k, addr, value, value + delta):
            break
    semwakeup(k, s, addr, delta)
    return value + delta
