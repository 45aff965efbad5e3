"""Alarms: a queue of processes by the tick at which each wants the note "alarm". Source: port/alarm.c.

A kernel process posts the notes; the clock of processor 0 wakes it. It is made with the first alarm, so that a machine
without alarms has no process more; the original makes it at boot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.dat import NUser, Proc, QLock, Rendez
from kernel.error import Error
from kernel.mem import HZ
from kernel.qlock import canqlock, qlock, qunlock

if TYPE_CHECKING:
    from kernel.kernel import Kernel

TK2MS = 1000 // HZ  # ms in a tick
NSPERTICK = 1_000_000_000 // HZ
MASK32 = 0xFFFFFFFF


def _signed(v: int) -> int:
    return (v & MASK32 ^ 0x80000000) - 0x80000000


def ms2tk(ms: int) -> int:
    """Ticks in so many ms, to the nearest; large ones cut to seconds. Source: port/portclock.c:ms2tk."""
    if ms >= 1_000_000_000 // HZ:
        return ms // 1000 * HZ
    return (ms * HZ + 500) // 1000


class Alarms(QLock):
    """The queue, earliest first, linked by ``palarm``. Cancelled alarms (``alarm`` 0) stay until it gets to them."""

    def __init__(self, k: Kernel) -> None:
        super().__init__()
        self.k = k
        self.first: Proc | None = None  # alarms.head; QLock's own head is its first waiter
        self.alarmr = Rendez()
        self.started = False

    def kproc(self) -> None:
        """Post the notes that are due, for ever. Source: port/alarm.c:alarmkproc."""
        k = self.k
        while True:
            now = k.machs[0].ticks
            qlock(k, self)
            rp = self.first
            while rp is not None:
                when = rp.alarm
                if when != 0:
                    if _signed(now - when) < 0 or not canqlock(k, rp.debug):
                        break
                    if rp.alarm != 0:
                        k.procs.postnote(rp, 0, "alarm", NUser)
                        rp.alarm = 0
                    qunlock(k, rp.debug)
                rp = rp.palarm
            self.first = rp
            qunlock(k, self)
            try:
                k.procs.sleep(self.alarmr, lambda: False)
            except Error:
                pass

    def check(self) -> None:
        """Called at each tick of processor 0. Source: port/alarm.c:checkalarms."""
        p = self.first
        if p is not None and (p.alarm == 0 or _signed(self.k.machs[0].ticks - p.alarm) >= 0):
            self.k.procs.wakeup(self.alarmr)

    def due(self) -> int:
        """When, in ns, check() will find something to do; the queue is not empty."""
        p = self.first
        assert p is not None
        m = self.k.machs[0]
        ticks = _signed(p.alarm - m.ticks) if p.alarm else 0
        return m.nexttick + max(ticks - 1, 0) * NSPERTICK

    def set(self, ms: int) -> int:
        """Have the current process sent "alarm" in ms milliseconds, or never (0); what was left of the last, ms.

        Source: port/alarm.c:procalarm.
        """
        k = self.k
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
        if not self.started:
            self.started = True
            k.procs.kproc("alarm", self.kproc, atboot=True)

        qlock(k, self)
        self._unlink(up)
        l: Proc | None = None
        f = self.first
        while f is not None and not (f.alarm != 0 and _signed(f.alarm - when) >= 0):
            l, f = f, f.palarm
        up.palarm = f
        if l is None:
            self.first = up
        else:
            l.palarm = up
        up.alarm = when
        qunlock(k, self)
        return old

    def _unlink(self, p: Proc) -> None:
        """Take p off the queue, if it is on it."""
        l: Proc | None = None
        f = self.first
        while f is not None:
            if f is p:
                if l is None:
                    self.first = f.palarm
                else:
                    l.palarm = f.palarm
                return
            l, f = f, f.palarm
