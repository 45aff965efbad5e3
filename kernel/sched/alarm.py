"""Alarms: a queue of processes by the tick at which each wants the note "alarm". Source: port/alarm.c.

A kernel process posts the notes; the clock of processor 0 wakes it. It is made with the first alarm, so that a machine
without alarms has no process more; the original makes it at boot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.error import Error
from kernel.base.mem import HZ, MASK32, NSPERTICK, s32
from kernel.base.procdat import NUser
from kernel.sched.newproc import kproc
from kernel.sched.note import postnote
from kernel.sched.qlock import canqlock, qlock, qunlock
from kernel.sched.sleep import sleep, wakeup

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Proc


TK2MS = 1000 // HZ  # ms in a tick


def ms2tk(ms: int) -> int:
    """Ticks in so many ms, to the nearest; large ones cut to seconds. Source: port/portclock.c:ms2tk."""
    if ms >= 1_000_000_000 // HZ:
        return ms // 1000 * HZ
    return (ms * HZ + 500) // 1000


def alarmkproc(k: Kernel) -> None:
    """Post the notes that are due, for ever. Source: port/alarm.c:alarmkproc."""
    while True:
        now = k.machs[0].ticks
        qlock(k, k.procs.alarms)
        rp = k.procs.alarms.first
        while rp is not None:
            when = rp.alarm
            if when != 0:
                if s32(now - when) < 0 or not canqlock(k, rp.debug):
                    break
                if rp.alarm != 0:
                    postnote(k, rp, 0, "alarm", NUser)
                    rp.alarm = 0
                qunlock(k, rp.debug)
            rp = rp.palarm
        k.procs.alarms.first = rp
        qunlock(k, k.procs.alarms)
        try:
            sleep(k, k.procs.alarms.alarmr, lambda: False)
        except Error:
            pass


def checkalarms(k: Kernel) -> None:
    """Called at each tick of processor 0. Source: port/alarm.c:checkalarms."""
    p = k.procs.alarms.first
    if p is not None and (p.alarm == 0 or s32(k.machs[0].ticks - p.alarm) >= 0):
        wakeup(k, k.procs.alarms.alarmr)


def alarmdue(k: Kernel) -> int:
    """When, in ns, checkalarms() will find something to do; the queue is not empty."""
    p = k.procs.alarms.first
    assert p is not None
    m = k.machs[0]
    ticks = s32(p.alarm - m.ticks) if p.alarm else 0
    return m.nexttick + max(ticks - 1, 0) * NSPERTICK


def procalarm(k: Kernel, ms: int) -> int:
    """Have the current process sent "alarm" in ms milliseconds, or never (0); what was left of the last, ms.

    Source: port/alarm.c:procalarm.
    """
    up = k.up
    assert up is not None
    ticks = k.machs[0].ticks
    old = up.alarm
    if old:
        old = (old - ticks & MASK32) * TK2MS & MASK32
    if ms == 0:
        up.alarm = 0
        return old
    when = (ms2tk(ms) + ticks & MASK32) or 1
    if not k.procs.alarms.started:
        k.procs.alarms.started = True
        kproc(k, "alarm", lambda: alarmkproc(k), atboot=True)

    qlock(k, k.procs.alarms)
    _unlinkalarm(k, up)
    l: Proc | None = None
    f = k.procs.alarms.first
    while f is not None and not (f.alarm != 0 and s32(f.alarm - when) >= 0):
        l, f = f, f.palarm
    up.palarm = f
    if l is None:
        k.procs.alarms.first = up
    else:
        l.palarm = up
    up.alarm = when
    qunlock(k, k.procs.alarms)
    return old


def _unlinkalarm(k: Kernel, p: Proc) -> None:
    """Take p off the queue, if it is on it."""
    l: Proc | None = None
    f = k.procs.alarms.first
    while f is not None:
        if f is p:
            if l is None:
                k.procs.alarms.first = f.palarm
            else:
                l.palarm = f.palarm
            return
        l, f = f, f.palarm
