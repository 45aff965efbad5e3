"""Translations that other processes or processors still have. Source: port/proc.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.procdat import Dead
from kernel.sched.sched import SCHEDNS, sched

if TYPE_CHECKING:
    from kernel.base.dat import Segment
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Mach, Proc


def canpage(k: Kernel, p: Proc) -> bool:
    """Whether p does not run; if so its mmu will be flushed before it does. Source: port/proc.c:canpage."""
    if p.mach is None:
        p.newtlb = True
        return True
    return False


def procflushseg(k: Kernel, s: Segment) -> None:
    """Have every process with s flush its mmu, and wait until other processors have.

    Source: port/proc.c:procflushseg.
    """
    wait: list[Mach] = []
    running: dict[int, Proc] = {}  # who is to flush, by processor
    for p in k.procs.proctab:
        if p.state != Dead and s in p.seg:
            p.newtlb = True
            for m in k.machs:
                if m.proc is p:
                    wait.append(m)
                    running[m.machno] = p
    if k.variant.fix_28836f3ff:
        flushprocs(k, running)
        return
    flushmachs(k, wait)


def flushmachs(k: Kernel, machs: list[Mach]) -> None:
    """Have these processors flush at their next clock tick, and wait for the others among them."""
    for m in machs:
        m.flushmmu = True
    if not machs:
        return
    for m in k.machs:
        while k.m is not m and m.flushmmu:
            _letothers(k)


def flushprocs(k: Kernel, running: dict[int, Proc]) -> None:
    """The same since 28836f3ff: wait while those processors run those processes, and have not flushed since."""
    for n in running:
        k.machs[n].flushmmu = True
    while any(n != k.m.machno for n in running):
        _letothers(k)
        for n, p in list(running.items()):
            m = k.machs[n]
            if m.proc is not p or not m.flushmmu:
                del running[n]


def _letothers(k: Kernel) -> None:
    if not k.procs.runvec:  # nobody else runs here meanwhile: go round the loop at once
        here = k.m
        rounds = max(here.until - here.cpu.now() - SCHEDNS, 0) // SCHEDNS
        here.cpu.spend(rounds * SCHEDNS)
        here.cs += rounds
    sched(k)
