"""The pool: the free list, and waiting for a frame. Source: port/page.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.dat import Page
from kernel.base.error import Error, Panic
from kernel.base.event import PageEvent
from kernel.base.mem import BY2PG
from kernel.sched.clock import preempted
from kernel.sched.qlock import eqlock, qunlock
from kernel.sched.sleep import tsleep, wakeup
from kernel.sched.taslock import lock, unlock

if TYPE_CHECKING:
    from kernel.base.dat import Segment
    from kernel.base.event import PageOp
    from kernel.base.kernel import Kernel


MAXVAIN = 100_000_000_000  # ns of virtual time without memory, after which there will be none


def pagenumber(k: Kernel, p: Page) -> int:
    """Index of p in the pool. Source: port/page.c:pagenumber."""
    return (p.pa - k.palloc.base) // BY2PG


def pageevent(k: Kernel, op: PageOp, p: Page) -> None:
    """Tell the trace what happens to p."""
    if "page" in k.kinds:
        image = p.image.num if p.image is not None else -1
        k.emit(PageEvent(0, 0, 0, op, p.pa, p.va, image, p.daddr, p.ref))


def pagechainhead(k: Kernel, p: Page) -> None:
    """Put p at the head of the free list. The caller holds palloc. Source: port/page.c:pagechainhead."""
    if k.parent is not None:
        k.parent.pagechainhead(k, p)
        return
    p.next = k.palloc.head
    k.palloc.head = p
    k.palloc.freecount += 1
    if k.watch is not None:
        k.watch.freed(p)


def takehead(k: Kernel) -> Page | None:
    """Take the head of the free list, or None. The caller holds palloc.

    The frames behind the linked pages were never handed out; such a Page is made here, so that
    neither boot time nor host memory grows with the memory emulated.
    """
    pa = k.palloc
    p = pa.head
    if p is not None:
        if k.parent is not None:
            return k.parent.takehead(k)
        pa.head = p.next
        p.next = None
    elif pa.fresh:
        pa.fresh -= 1
        p = pa.pages[pa.fresh] = Page(pa.base + pa.fresh * BY2PG, pa.nmach)
    else:
        return None
    if k.watch is not None:
        k.watch.made(p)
    pa.freecount -= 1
    return p


def freepages(k: Kernel, head: Page, tail: Page, n: int) -> None:
    """Put the n pages linked from head to tail on the free list. Source: port/page.c:freepages."""
    pa = k.palloc
    lock(k, pa)
    tail.next = pa.head
    pa.head = head
    pa.freecount += n
    if k.sink is not None:
        p: Page | None = head
        for _ in range(n):
            assert p is not None
            pageevent(k, "free", p)
            p = p.next
    if k.watch is not None:
        _freed(k, head, n)
    if pa.r.r is not None:
        wakeup(k, pa.r)
    unlock(k, pa)


def _freed(k: Kernel, p: Page | None, n: int) -> None:
    """Mark the n pages from p on."""
    for _ in range(n):
        assert k.watch is not None and p is not None
        k.watch.freed(p)
        p = p.next


def ispages(k: Kernel) -> bool:
    """Whether a waiter for memory may go on. Source: port/page.c:ispages."""
    return k.palloc.freecount >= k.swapalloc.highwater


def takepage(k: Kernel, va: int, s: Segment | None = None) -> Page | None:
    """A page with ref 1 for address va, with whatever is in it.

    Waits while memory is at or below highwater (a kernel process may take the rest). ``s`` is the
    segment the caller has locked: if the wait had to give that lock up the result is None, and the
    caller must start over; without ``s`` there always is a page. The original's newpage clears the page through
    kmap, which asks newpage for its table; this is what both need. Source: port/page.c:newpage.
    """
    pa = k.palloc
    up = k.up
    assert up is not None
    short = k.inject is not None and k.inject.hit("newpage")
    lock(k, pa)
    while True:
        if short:
            short = False
        elif pa.freecount > k.swapalloc.highwater or (up.kp and pa.freecount > 0):
            break
        unlock(k, pa)
        if s is not None:
            qunlock(k, s)

        try:
            eqlock(k, pa.pwait)  # memory requesters queue here
            try:
                k.hooks.kickpager(k)
                tsleep(k, pa.r, lambda: ispages(k), 1000)
            except Error:
                pass
            qunlock(k, pa.pwait)
        except Error:
            pass

        # With freecount at highwater the sleep is none (ispages), and the original loops until
        # an interrupt lets the pager or another process in; if that never helps it loops for ever.
        if up.vain == 0:
            up.vain = k.m.cpu.now()
        preempted(k)
        if k.m.cpu.now() - up.vain > MAXVAIN:
            raise Panic("newpage: no progress")

        # The segment may be gone by now: fault() finds it again and calls back.
        if s is not None:
            return None
        lock(k, pa)

    # NCOLOR is 1 on the pc, so the first page has our colour and cachectl is PG_NOFLUSH.
    p = takehead(k)
    assert p is not None
    unlock(k, pa)
    up.vain = 0

    p.ref = 1
    p.va = va
    p.modref = 0
    p.cachectl[:] = pa.noflush
    if k.sink is not None:
        pageevent(k, "alloc", p)
    return p


def mustpage(k: Kernel, va: int) -> Page:
    """newpage() without a segment to lose and without clearing: it waits until there is a page."""
    p = takepage(k, va)
    assert p is not None
    return p
