"""Sleep and wakeup. Source: port/proc.c."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from kernel.base.error import Eintr, Error, Panic
from kernel.base.procdat import Proc_exitme, Wakeme
from kernel.sched.sched import SSleep, ready, schedevent, tellproc
from kernel.sched.taslock import lock, unlock

if TYPE_CHECKING:
    from kernel.base.dat import Rendez
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Proc


def sleep(k: Kernel, r: Rendez, f: Callable[[], bool]) -> None:
    """Sleep at r unless f(); the caller tests again afterwards. A note ends it with Error(Eintr).

    Source: port/proc.c:sleep.
    """
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
        tellproc(k, up, SSleep)
        up.state = Wakeme
        if k.sink is not None:
            schedevent(k, "wait", up)
        up.r = r
        unlock(k, up.rlock)
        unlock(k, r)
        k.m.cs += 1
        k.procs.hub.switch()
    k.m.splhi = s
    if up.notepending:
        up.notepending = 0
        interrupted(k)


def interrupted(k: Kernel) -> NoReturn:
    """A note came while the process slept. Source: port/proc.c:interrupted."""
    up = k.up
    assert up is not None
    if up.procctl == Proc_exitme and up.closingfgrp is not None:
        k.hooks.forceclosefgrp(k)
    raise Error(Eintr)


def tsleep(k: Kernel, r: Rendez, fn: Callable[[], bool], ms: int) -> None:
    """sleep(), for ms milliseconds at the most. Source: port/proc.c:tsleep."""
    tsleepns(k, r, fn, ms * 1_000_000)


def tsleepns(k: Kernel, r: Rendez, fn: Callable[[], bool], ns: int) -> None:
    """sleep(), for ns nanoseconds at the most."""
    up = k.up
    assert up is not None
    k.procs.timerno += 1
    up.timer = k.procs.timerno
    up.trend = r
    if len(k.procs.timers) > 2 * len(k.procs.proctab) + 100:  # most are of sleeps that ended before their time
        k.procs.timers = [t for t in k.procs.timers if t[2].timer == t[3]]
        heapq.heapify(k.procs.timers)
    heapq.heappush(k.procs.timers, (k.m.cpu.now() + ns, k.procs.timerno, up, up.timer))
    try:
        sleep(k, r, lambda: up.trend is None or fn())
    except Error:
        up.timer = 0
        raise
    up.timer = 0


def devwait(k: Kernel, ns: int) -> None:
    """Wait for a device, ns of virtual time; others run. Notes do not cut it short, but stay pending."""
    up = k.up
    assert up is not None
    pending, up.notepending = up.notepending, 0
    end = k.m.cpu.now() + ns
    while (left := end - k.m.cpu.now()) > 0:
        try:
            tsleepns(k, up.sleep, lambda: False, left)
        except Error:
            pending = 1
    up.notepending |= pending


def wakeup(k: Kernel, r: Rendez) -> Proc | None:
    """Ready the process that sleeps at r, if one does. Source: port/proc.c:wakeup."""
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
        ready(k, p)
        unlock(k, p.rlock)
    unlock(k, r)
    k.m.splhi = s
    return p


def resrcwait(k: Kernel, reason: str) -> None:
    """Wait 300 ms for something to become free. Source: port/proc.c:resrcwait."""
    up = k.up
    if up is None:
        raise Panic("resrcwait")
    s, up.psstate = up.psstate, reason
    k.print(reason + "\n")
    tsleep(k, up.sleep, lambda: False, 300)
    up.psstate = s
