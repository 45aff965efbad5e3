"""The swap map and the pager. Source: port/swap.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.chandat import Chan
from kernel.base.dat import (
    NOADDR,
    NSEG,
    PG_ONSWAP,
    PG_REF,
    SG_BSS,
    SG_DATA,
    SG_SHARED,
    SG_STACK,
    SG_TEXT,
    SG_TYPE,
    Page,
)
from kernel.base.error import Einuse, Eio, Error, Panic
from kernel.base.mem import BY2PG, PTEMAPMEM, PTEPERTAB
from kernel.base.procdat import Dead
from kernel.memory.killbig import killbig
from kernel.memory.kmap import VA, kmap, kunmap
from kernel.memory.page import cachedel, cachepage, pagereclaim, putpage, uncachepage
from kernel.memory.palloc import pageevent
from kernel.memory.procflush import canpage
from kernel.memory.segment import entryevent, imagereclaim, putseg
from kernel.memory.swapmap import newswap, putswap, swapcount
from kernel.sched.broken import freebroken
from kernel.sched.clock import preempted
from kernel.sched.newproc import kproc
from kernel.sched.qlock import canqlock, qunlock
from kernel.sched.ref import incref
from kernel.sched.sched import sched
from kernel.sched.sleep import sleep, wakeup

if TYPE_CHECKING:
    from kernel.base.dat import Pte, Segment
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Proc


MAXROUNDS = 32  # times round the process table after which what can age has aged


def kickpager(k: Kernel) -> None:
    """Start the pager, or wake it. Source: port/swap.c:kickpager."""
    if k.pagerstarted.ref or incref(k, k.pagerstarted) != 1:
        wakeup(k, k.swapalloc.r)
    else:
        kproc(k, "pager", lambda: pager(k) if k.parent is None else k.parent.pager(k))


def reclaim(k: Kernel) -> bool:
    """Free cached pages nobody references; False if there are none and memory is still short.

    From the first of mount cache, swap cache and images that yields. Source: port/swap.c:reclaim.
    """
    while True:
        if k.variant.fix_61a062ee9:
            n = pagereclaim(k, k.fscache, 1000) + imagereclaim(k, 1000, False)
            n = n or pagereclaim(k, k.swapimage, 1000) or imagereclaim(k, 1000, True)
        else:
            n = pagereclaim(k, k.fscache, 1000) or pagereclaim(k, k.swapimage, 1000) or imagereclaim(k, 1000)
        if not needpages(k):
            return True
        if n == 0:
            return False
        sched(k)


def pager(k: Kernel) -> None:
    """The pager process: reclaims cached pages, then pages out processes in turn. Source: port/swap.c:pager."""
    up = k.up
    assert up is not None
    tab = k.procs.proctab
    pi = 0
    looked = False  # whether this time round the table any page could be looked at
    rounds = 0  # times round since a page went
    while True:
        try:
            while True:
                up.psstate = "Reclaim"
                if reclaim(k):
                    rounds = 0
                    up.psstate = "Idle"
                    wakeup(k, k.palloc.r)
                    sleep(k, k.swapalloc.r, lambda: needpages(k))
                    continue

                if k.swapimage.c is None or k.swapalloc.free == 0:
                    outofmemory(k)
                    continue

                start = k.ageclock
                while True:
                    pi += 1
                    if pi >= len(tab):
                        pi = 0
                        k.ageclock = (k.ageclock + 1) & 0xFFFF
                        k.policy.round(k)
                        rounds += 1
                        if not looked or rounds > MAXROUNDS:
                            preempted(k)  # the original loops until interrupts let others change things
                        looked = False
                    p = tab[pi]
                    # without its lock the process is changing its segments
                    held = p.state != Dead and not p.noswap and canqlock(k, p.seglock)
                    if held or not k.variant.fix_d0b1db98b:
                        break
                    if pi == 0 and k.ageclock == start:
                        outofmemory(k)
                        break
                if not held:
                    continue

                up.psstate = "Pageout"
                looked |= pageproc(k, p)
                qunlock(k, p.seglock)

                if k.iolist:
                    rounds = 0
                    up.psstate = "I/O"
                    executeio(k)
        except Error:
            pass


def outofmemory(k: Kernel) -> None:
    """Have a process die for its memory, and let the broken ones go; part of pager() in the original."""
    if not k.variant.fix_76f21ca71:
        killbig(k, "out of memory")
        freebroken(k)
    elif freebroken(k) == 0:
        killbig(k, "out of memory")
    sched(k)
    if needpages(k):
        preempted(k)


def pageproc(k: Kernel, p: Proc) -> bool:
    """Page out what may go of p's segments, if any page could be looked at; part of pager() in the original."""
    looked = False
    for i in range(NSEG):
        s = p.seg[i]
        if s is not None and s.type & SG_TYPE in (SG_TEXT, SG_DATA, SG_BSS, SG_STACK, SG_SHARED):
            looked |= pageout(k, p, s)
    return looked


def pageout(k: Kernel, p: Proc, s: Segment) -> bool:
    """Page out the old pages of s, a segment of p, unless someone holds or runs it; False if so.

    Which are old says the policy: the kernel's own is :class:`kernel.memory.policy.Clock16`. The last used entry of
    each page table is never looked at. Source: port/swap.c:pageout.
    """
    if not canqlock(k, s):  # we cannot afford to wait: we would deadlock
        return False
    if s.steal:  # protected by /proc
        qunlock(k, s)
        return False
    if not canflush(k, p, s):
        qunlock(k, s)
        putseg(k, s)
        return False

    t = s.type & SG_TYPE
    inclusive = k.variant.fix_d0b1db98b
    old = k.policy.old
    for i, pte in enumerate(s.map):
        if pte is None:
            continue
        for n in range(pte.first, pte.last + inclusive):
            e = pte.pages[n]
            if not isinstance(e, Page):
                continue
            referenced = e.modref & PG_REF != 0
            e.modref &= ~PG_REF
            if not old(k, e, (s.id, i * PTEPERTAB + n), referenced):
                continue
            pagepte(k, t, pte, n)
            if k.sink is not None and pte.pages[n] is not e:
                entryevent(k, s, s.base + i * PTEMAPMEM + n * BY2PG, pte.pages[n])
    qunlock(k, s)
    putseg(k, s)
    return True


def canflush(k: Kernel, p: Proc, s: Segment) -> bool:
    """Take a reference to s and say whether no process that has it runs; all of them will flush.

    Source: port/swap.c:canflush.
    """
    if incref(k, s) == 2:  # p is the only user
        return canpage(k, p)
    for q in k.procs.proctab:
        if q.state != Dead:
            for i in range(NSEG):
                if q.seg[i] is s and not canpage(k, q):
                    return False
    return True


def pagepte(k: Kernel, type: int, pte: Pte, n: int) -> None:
    """Page out entry n of pte: text reverts to demand load, others get a slot and go on the i/o list.

    Source: port/swap.c:pagepte.
    """
    if k.parent is not None:
        k.parent.pagepte(k, type, pte, n)
        return
    outp = pte.pages[n]
    assert isinstance(outp, Page)
    if type == SG_TEXT:
        putpage(k, outp)
        pte.pages[n] = None
        return

    if len(k.iolist) >= k.conf.nswppo:
        return
    daddr = newswap(k)
    if daddr == NOADDR:
        return
    # forget what the slot cached before, and what the page cached
    cachedel(k, k.swapimage, daddr)
    uncachepage(k, outp)
    # cached now, a fault during the write finds the page, not a half-written slot
    outp.daddr = daddr
    cachepage(k, outp, k.swapimage)
    pte.pages[n] = daddr | PG_ONSWAP
    k.iolist.append(outp)
    k.npageout += 1
    if k.sink is not None:
        pageevent(k, "page-out", outp)


def pagersummary(k: Kernel) -> str:
    """One line on memory and swap. Source: port/swap.c:pagersummary."""
    pa, conf = k.palloc, k.conf
    text = (
        f"{pa.user - pa.freecount}/{pa.user} memory {conf.nswap - k.swapalloc.free}/{conf.nswap} swap "
        f"{len(k.iolist)} iolist\n"
    )
    k.print(text)
    return text


def executeio(k: Kernel) -> None:
    """Write the pages of the i/o list to their slots and drop them. A failed write panics.

    A page whose slot nobody but us holds any more is not written. The parent writes in the order of the slots.
    Source: port/swap.c:executeio.
    """
    c = k.swapimage.c
    if k.parent is not None:
        k.iolist.sort(key=lambda p: p.daddr)
    i = 0
    while i < len(k.iolist):
        if len(k.iolist) > k.conf.nswppo:
            raise Panic(f"executeio: ioptr {len(k.iolist)} > {k.conf.nswppo}")
        outp = k.iolist[i]
        assert outp.ref > 0 and outp.image is k.swapimage and outp.daddr != NOADDR
        if swapcount(k, outp.daddr) > 1:
            assert c is not None
            kk = kmap(k, outp)
            try:
                if k.inject is not None and k.inject.hit("swapwrite"):
                    raise Error(Eio)
                n = k.devtab[c.type].write(c, k.mem.read(VA(k, kk), BY2PG), outp.daddr)
            except Error:
                n = -1
            if n != BY2PG:
                raise Panic("executeio: page outp I/O error")
            kunmap(k, kk)
            k.nswapwrite += 1
            if k.sink is not None:
                pageevent(k, "swap-write", outp)
        i = k.ionext = i + 1
        if k.sink is not None:
            pageevent(k, "swap-end", outp)
        putswap(k, outp.daddr)  # our extra reference
        putpage(k, outp)
    k.iolist.clear()
    k.ionext = 0


def needpages(k: Kernel) -> bool:
    """Whether memory is short of headroom. Source: port/swap.c:needpages."""
    return k.palloc.freecount < k.swapalloc.headroom


def setswapchan(k: Kernel, c: Chan) -> None:
    """Swap to c from now on. A device that is not a file limits the number of slots by its length.

    Errors: Einuse while slots are in use. Takes the caller's reference to c. Source: port/swap.c:setswapchan.
    """
    old = k.swapimage.c
    sa = k.swapalloc
    if old is not None:
        if sa.free != k.conf.nswap:
            k.hooks.cclose(k, c)
            raise Error(Einuse)
        k.hooks.cclose(k, old)
        k.swapimage.c = None

    dev = k.devtab[c.type]
    if dev.dc != "M":
        length = dev.length(c)
        if length is None:
            k.hooks.cclose(k, c)
            raise Error("stat failed in setswapchan")
        if length < k.conf.nswap * BY2PG:
            # last stays where it is: newswap can give out slots beyond the new top
            k.conf.nswap = length // BY2PG
            sa.top = k.conf.nswap
            sa.free = k.conf.nswap
    c.flag &= ~Chan.CCACHE
    k.swapimage.c = c
