"""Broken processes, kept for a debugger. Source: port/proc.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.procdat import Broken
from kernel.sched.sched import ready, sched, schedevent

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Proc


NBROKEN = 4


def addbroken(k: Kernel, p: Proc) -> None:
    """Keep a broken process for a debugger, the last four of them. Source: port/proc.c:addbroken."""
    if len(k.procs.broken) == NBROKEN:
        ready(k, k.procs.broken.pop(0))
    k.procs.broken.append(p)
    p.state = Broken
    p.psstate = None
    if k.sink is not None:
        schedevent(k, "wait", p)
    sched(k)


def unbreak(k: Kernel, p: Proc) -> None:
    """Let one broken process go. Source: port/proc.c:unbreak."""
    if p in k.procs.broken:
        k.procs.broken.remove(p)
        ready(k, p)


def freebroken(k: Kernel) -> int:
    """Let the broken processes go, with their memory; how many. Source: port/proc.c:freebroken."""
    n = len(k.procs.broken)
    for p in k.procs.broken:
        ready(k, p)
    k.procs.broken.clear()
    return n
