"""Queueing locks. Source: port/qlock.c.

The original guards each QLock with a spin lock; here nothing runs between two switch points, so
the fields need none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.error import Panic
from kernel.base.procdat import Queueing
from kernel.sched.sched import ready, sched, schedevent
from kernel.sched.sleep import interrupted

if TYPE_CHECKING:
    from kernel.base.dat import QLock
    from kernel.base.kernel import Kernel


def _enqueue(k: Kernel, q: QLock) -> None:
    up = k.up
    if up is None:
        raise Panic("qlock")
    if up.nlocks:
        raise Panic(f"qlock: nlocks {up.nlocks}")
    if q.tail is None:
        q.head = up
    else:
        q.tail.qnext = up
    q.tail = up
    up.qnext = None
    up.state = Queueing
    if k.sink is not None:
        schedevent(k, "wait", up)


def eqlock(k: Kernel, q: QLock) -> None:
    """Take q; a note interrupts the wait with Error(Eintr). Source: port/qlock.c:eqlock."""
    if k.explore is not None:
        k.explore("qlock")
    up = k.up
    if not q.locked:
        q.locked = True
        q.holder = up
        if k.watch is not None:
            k.watch.took(q, up, "qlock")
        return
    if up is not None and up.notepending:
        up.notepending = 0
        interrupted(k)
    _enqueue(k, q)
    assert up is not None
    up.eql = q
    sched(k)
    if up.eql is not q:  # a note took us off the queue
        up.notepending = 0
        interrupted(k)
    up.eql = None
    if k.watch is not None:
        k.watch.took(q, up, "qlock")


def qlock(k: Kernel, q: QLock) -> None:
    """Take q, sleeping while another process has it. Source: port/qlock.c:qlock."""
    if k.explore is not None:
        k.explore("qlock")
    if not q.locked:
        q.locked = True
        q.holder = k.up
        if k.watch is not None:
            k.watch.took(q, k.up, "qlock")
        return
    if q.holder is k.up:
        raise Panic(f"qlock: already held by {q.holder!r}")  # the original sleeps for ever
    _enqueue(k, q)
    assert k.up is not None
    k.up.eql = None
    sched(k)
    if k.watch is not None:
        k.watch.took(q, k.up, "qlock")


def canqlock(k: Kernel, q: QLock) -> bool:
    """Take q if it is free; say whether. Source: port/qlock.c:canqlock."""
    if q.locked:
        return False
    q.locked = True
    q.holder = k.up
    if k.watch is not None:
        k.watch.took(q, k.up, "canqlock")
    return True


def qunlock(k: Kernel, q: QLock) -> None:
    """Release q, or hand it to the process that has waited longest. Source: port/qlock.c:qunlock."""
    if not q.locked:
        raise Panic("qunlock called with qlock not held")
    if q.holder is not k.up:
        raise Panic(f"qunlock: held by {q.holder!r}, released by {k.up!r}")
    if k.watch is not None:
        k.watch.gave(q, k.up)
    p = q.head
    if p is not None:
        q.head = p.qnext
        if q.head is None:
            q.tail = None
        q.holder = p
        ready(k, p)
    else:
        q.locked = False
        q.holder = None
    if k.explore is not None:
        k.explore("qunlock")
