"""Locks for many readers or one writer, first come first served. Source: port/qlock.c.

The original tells waiting readers from writers by their state (QueueingR, QueueingW); here the queue
says which is which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.error import Panic
from kernel.base.procdat import Queueing
from kernel.sched.sched import ready, sched, schedevent

if TYPE_CHECKING:
    from kernel.base.dat import RWlock
    from kernel.base.kernel import Kernel


def _wait(k: Kernel, q: RWlock, write: bool) -> None:
    up = k.up
    if up is None or q.wproc is up:
        raise Panic("wlock" if write else "rlock")
    if up.nlocks:
        raise Panic(f"rwlock: nlocks {up.nlocks}")
    q.queue.append((up, write))
    up.state = Queueing
    if k.sink is not None:
        schedevent(k, "wait", up)
    sched(k)


def rlock(k: Kernel, q: RWlock) -> None:
    """Take q for reading, sleeping while it is written or a writer waits. Source: port/qlock.c:rlock."""
    if k.explore is not None:
        k.explore("rlock")
    if not q.writer and not q.queue:
        q.readers += 1
    else:
        _wait(k, q, False)
    if k.watch is not None:
        k.watch.took(q, k.up, "rlock")


def runlock(k: Kernel, q: RWlock) -> None:
    """End reading; the last reader lets a waiting writer in. Source: port/qlock.c:runlock."""
    if q.readers <= 0:
        raise Panic("runlock")
    if k.watch is not None:
        k.watch.gave(q, k.up)
    q.readers -= 1
    if q.readers > 0 or not q.queue:
        return
    p, write = q.queue.pop(0)
    if not write:
        raise Panic("runlock")
    q.writer = True
    q.wproc = p
    ready(k, p)


def wlock(k: Kernel, q: RWlock) -> None:
    """Take q for writing, sleeping while anyone has it. Source: port/qlock.c:wlock."""
    if k.explore is not None:
        k.explore("wlock")
    if not q.readers and not q.writer:
        q.writer = True
        q.wproc = k.up
    else:
        _wait(k, q, True)
    if k.watch is not None:
        k.watch.took(q, k.up, "wlock")


def wunlock(k: Kernel, q: RWlock) -> None:
    """End writing: the next writer gets q, or all readers up to the next writer. Source: port/qlock.c:wunlock."""
    if not q.writer:
        raise Panic("wunlock")
    if k.watch is not None:
        k.watch.gave(q, k.up)
    if q.queue and q.queue[0][1]:
        p, _ = q.queue.pop(0)
        q.wproc = p
        ready(k, p)
        return
    q.writer = False
    q.wproc = None
    while q.queue and not q.queue[0][1]:
        p, _ = q.queue.pop(0)
        q.readers += 1
        ready(k, p)
