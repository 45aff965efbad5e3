"""The pager of the parent, which has nothing to reclaim: cached pages are on the free list. Source: port/swap.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.dat import NOADDR, NSEG, PG_ONSWAP, SG_BSS, SG_DATA, SG_SHARED, SG_STACK, SG_TEXT, SG_TYPE, Page
from kernel.base.error import Error
from kernel.base.procdat import Dead
from kernel.memory.killbig import killbig
from kernel.memory.palloc import pageevent
from kernel.memory.parent.page import cachedel, cachepage, own, putpage, uncachepage
from kernel.memory.swap import MAXROUNDS, executeio, needpages, pageout
from kernel.memory.swapmap import newswap
from kernel.sched.broken import freebroken
from kernel.sched.clock import preempted
from kernel.sched.qlock import canqlock, qunlock
from kernel.sched.sched import sched
from kernel.sched.sleep import sleep, wakeup
from kernel.sched.taslock import lock, unlock

if TYPE_CHECKING:
    from kernel.base.dat import Pte
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Proc


def pager(k: Kernel) -> None:
    """The pager process: pages out one segment after another while memory is short. Source: port/swap.c:pager."""
    up = k.up
    assert up is not None
    tab = k.procs.proctab
    pi = 0
    looked = False  # whether this time round the table any page could be looked at
    rounds = 0  # times round since a page went
    while True:
        try:
            while True:
                if not needpages(k):
                    up.psstate = "Idle"
                    wakeup(k, k.palloc.r)
                    sleep(k, k.swapalloc.r, lambda: needpages(k))
                    rounds = 0
                    continue

                if k.swapimage.c is None or k.swapalloc.free == 0:
                    killbig(k, "out of memory")
                    freebroken(k)
                    sched(k)
                    if needpages(k):
                        preempted(k)
                    continue

                pi += 1
                if pi >= len(tab):
                    pi = 0
                    k.ageclock = (k.ageclock + 1) & 0xFFFF  # for policies of the commit's
                    k.policy.round(k)
                    rounds += 1
                    if not looked or rounds > MAXROUNDS:
                        preempted(k)  # the original loops until interrupts let others change things
                    looked = False
                p = tab[pi]
                if p.state == Dead or p.noswap:
                    continue
                if not canqlock(k, p.seglock):
                    continue  # the process is changing its segments
                out = k.npageout
                looked |= pageproc(k, p)
                qunlock(k, p.seglock)
                if k.npageout > out:
                    rounds = 0
        except Error:
            pass


def pageproc(k: Kernel, p: Proc) -> bool:
    """Page out what may go of p's segments, if any page could be looked at; the inner loop of pager.

    It ends as soon as there is memory. What goes of a segment is written before the next one is looked at.
    """
    up = k.up
    assert up is not None
    looked = False
    for i in range(NSEG):
        if not needpages(k):
            break
        s = p.seg[i]
        if s is None:
            continue
        t = s.type & SG_TYPE
        if t == SG_TEXT:
            looked |= pageout(k, p, s)
        elif t in (SG_DATA, SG_BSS, SG_STACK, SG_SHARED):
            up.psstate = "Pageout"
            looked |= pageout(k, p, s)
            if k.iolist:
                up.psstate = "I/O"
                executeio(k)
    return looked


def pagepte(k: Kernel, type: int, pte: Pte, n: int) -> None:
    """Page out entry n of pte, as the commit does, with the page locked. Source: port/swap.c:pagepte of the parent."""
    outp = pte.pages[n]
    assert isinstance(outp, Page)
    if type == SG_TEXT:
        putpage(k, outp)
        pte.pages[n] = None
        return
    if len(k.iolist) >= k.conf.nswppo:
        return  # here the original's pageout ends
    daddr = newswap(k)
    if daddr == NOADDR:
        return
    cachedel(k, k.swapimage, daddr)
    p = own(outp)
    lock(k, p.lk)
    uncachepage(k, p)
    p.daddr = daddr
    cachepage(k, p, k.swapimage)
    pte.pages[n] = daddr | PG_ONSWAP
    unlock(k, p.lk)
    k.iolist.append(p)
    k.npageout += 1
    if k.sink is not None:
        pageevent(k, "page-out", p)
