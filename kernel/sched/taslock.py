"""Spin locks. Source: port/taslock.c.

Between two switch points nothing else runs, so under the plain scheduler a lock is never found
taken. The exploring scheduler (``k.explore``) may switch at each lock and unlock: then a lock that
the code forgot is a caught bug and a lock held too long a deadlock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.error import Panic
from kernel.sched.sched import sched

if TYPE_CHECKING:
    from kernel.base.dat import Lock
    from kernel.base.kernel import Kernel


def lock(k: Kernel, l: Lock) -> None:
    """Take l; spins while another process holds it. Source: port/taslock.c:lock."""
    up = k.up
    if k.explore is not None:
        k.explore("lock")
    if l.key:
        if l.p is up or k.explore is None:
            raise Panic(f"lock: already held by {l.p!r}")  # the original spins for ever here
        while l.key:
            k.explore("spin")
    # As _take(), without a call: there are three locks in a fault.
    l.key = True
    l.p = up = k.up
    if up is not None:
        up.nlocks += 1
        up.lastlock = l
    if k.watch is not None:
        k.watch.took(l, up, "lock")


def _take(k: Kernel, l: Lock, how: str) -> None:
    up = k.up
    l.key = True
    l.p = up
    if up is not None:
        up.nlocks += 1
        up.lastlock = l
    if k.watch is not None:
        k.watch.took(l, up, how)


def canlock(k: Kernel, l: Lock) -> bool:
    """Take l if it is free; say whether. Source: port/taslock.c:canlock."""
    if k.explore is not None:
        k.explore("lock")
    if l.key:
        return False
    _take(k, l, "canlock")
    return True


def unlock(k: Kernel, l: Lock) -> None:
    """Release l, which the caller holds. Source: port/taslock.c:unlock."""
    up = k.up
    if not l.key:
        raise Panic("unlock: not locked")
    if l.p is not up:
        raise Panic(f"unlock: up changed: lock {l.p!r}, unlock {up!r}")
    l.key = False
    l.p = None
    if k.watch is not None:
        k.watch.gave(l, up)
    if up is not None:
        up.nlocks -= 1
        if up.nlocks == 0 and up.delaysched and not k.m.splhi:
            # sched() was asked for while locks were held
            sched(k)
    if k.explore is not None:
        k.explore("unlock")
