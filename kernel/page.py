"""The pool of user pages and the page cache. Source: port/page.c.

A page is free, or referenced, or cached on a chain of its image (referenced or not). A cached page
with ref 0 is not free: pagereclaim makes it so when memory runs short.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.chan import decref, incref
from kernel.dat import (
    NOADDR,
    PG_NOFLUSH,
    PG_ONSWAP,
    PGHSIZE,
    SG_PHYSICAL,
    SG_TYPE,
    Entry,
    Image,
    Page,
    Pte,
    Segment,
)
from kernel.error import Error, Panic
from kernel.event import PageEvent
from kernel.mem import BY2PG, PGSHIFT, PTEPERTAB
from kernel.qlock import eqlock, qunlock
from kernel.taslock import lock, unlock

if TYPE_CHECKING:
    from kernel.kernel import Kernel

MAXVAIN = 100_000_000_000  # ns of virtual time without memory, after which there will be none


def onswap(e: Entry) -> bool:
    """Whether a segment's entry names a swap slot. Source: port/portdat.h."""
    return type(e) is int


def pagedout(e: Entry) -> bool:
    """Whether a segment's entry has no page in memory. Source: port/portdat.h."""
    return type(e) is not Page


def swapaddr(e: int) -> int:
    """Disc address of a swap entry. Source: port/portdat.h."""
    return e & ~PG_ONSWAP


def pghash(daddr: int) -> int:
    """Chain of a disc address in an image's page cache. Source: port/portdat.h:PGHASH."""
    return daddr >> PGSHIFT & PGHSIZE - 1


def pagenumber(k: Kernel, p: Page) -> int:
    """Index of p in the pool. Source: port/page.c:pagenumber."""
    return (p.pa - k.palloc.base) // BY2PG


def pageevent(k: Kernel, op: str, p: Page) -> None:
    """Tell the trace what happens to p."""
    image = p.image.num if p.image is not None else -1
    k.emit(PageEvent(0, 0, 0, op, p.pa, p.va, image, p.daddr, p.ref))


def pagechainhead(k: Kernel, p: Page) -> None:
    """Put p at the head of the free list. The caller holds palloc. Source: port/page.c:pagechainhead."""
    p.next = k.palloc.head
    k.palloc.head = p
    k.palloc.freecount += 1


def takehead(k: Kernel) -> Page | None:
    """Take the head of the free list, or None. The caller holds palloc.

    The frames behind the linked pages were never handed out; such a Page is made here, so that
    neither boot time nor host memory grows with the memory emulated.
    """
    pa = k.palloc
    p = pa.head
    if p is not None:
        pa.head = p.next
        p.next = None
    elif pa.fresh:
        pa.fresh -= 1
        p = pa.pages[pa.fresh] = Page(pa.base + pa.fresh * BY2PG, pa.nmach)
    else:
        return None
    pa.freecount -= 1
    return p


def freepages(k: Kernel, head: Page, tail: Page, n: int) -> None:
    """Put the n pages linked from head to tail on the free list. Source: port/page.c:freepages."""
    pa = k.palloc
    if k.sink is not None:
        p: Page | None = head
        for _ in range(n):
            assert p is not None
            pageevent(k, "free", p)
            p = p.next
    lock(k, pa)
    tail.next = pa.head
    pa.head = head
    pa.freecount += n
    if pa.r.r is not None:
        k.procs.wakeup(pa.r)
    unlock(k, pa)


def pagereclaim(k: Kernel, i: Image, min: int) -> int:
    """Free cached pages of i that nobody references, about min of them; how many.

    One page of each chain at the most, and ``min`` is tested after the count: min 0 frees one.
    Source: port/page.c:pagereclaim.
    """
    lock(k, i)
    if i.pgref == 0:
        unlock(k, i)
        return 0
    incref(k, i)

    n = 0
    fh: Page | None = None
    ft: Page | None = None
    chains = i.pghash
    for h in range(PGHSIZE):
        p = chains[h]
        if p is None:
            continue
        last: Page | None = None
        while p is not None and p.ref != 0:
            last = p
            p = p.next
        if p is None:
            continue

        if last is None:
            chains[h] = p.next
        else:
            last.next = p.next
        if k.sink is not None:
            pageevent(k, "reclaim", p)
        p.next = None
        p.image = None
        p.daddr = NOADDR
        i.pgref -= 1
        decref(k, i)

        if ft is None:
            fh = p
        else:
            ft.next = p
        ft = p
        n += 1
        if n >= min:
            break
    unlock(k, i)
    k.putimage(i)

    if fh is not None and ft is not None:
        k.nreclaim += n
        freepages(k, fh, ft, n)
    return n


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
                k.kickpager()
                k.procs.tsleep(pa.r, lambda: ispages(k), 1000)
            except Error:
                pass
            qunlock(k, pa.pwait)
        except Error:
            pass

        # With freecount at highwater the sleep is none (ispages), and the original loops until
        # an interrupt lets the pager or another process in; if that never helps it loops for ever.
        if up.vain == 0:
            up.vain = k.m.cpu.now()
        k.procs.preempted()
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
    ctl = p.cachectl
    for i in range(len(ctl)):
        ctl[i] = PG_NOFLUSH
    return p


def newpage(k: Kernel, clear: bool, va: int, s: Segment | None = None) -> Page | None:
    """A page with ref 1 for address va, cleared if asked; None if the lock of s was lost, as takepage() says.

    Source: port/page.c:newpage.
    """
    p = takepage(k, va, s)
    if p is None:
        return None
    if clear:
        kk = k.mmu.kmap(p)
        k.mem.zero(k.mmu.VA(kk))
        k.mmu.kunmap(kk)
    if k.sink is not None:
        pageevent(k, "alloc", p)
    return p


def mustpage(k: Kernel, va: int) -> Page:
    """newpage() without a segment to lose and without clearing: it waits until there is a page."""
    p = takepage(k, va)
    assert p is not None
    if k.sink is not None:
        pageevent(k, "alloc", p)
    return p


def putpage(k: Kernel, p: Page | int) -> None:
    """Drop one reference to a page, or to the swap slot it went to.

    A cached page stays on its image's chain with ref 0: the pager takes it from there when memory
    runs short. Any other page goes to the head of the free list at ref 0. Panics if the
    reference was not ours to drop. Source: port/page.c:putpage.
    """
    if not isinstance(p, Page):
        k.putswap(p)
        return
    # The original looks at the image first; meanwhile the pager may cache the page for another holder, or
    # forget it: the page would be free and cached, or lost. Between this decref and the look nothing runs.
    if decref(k, p) == 0 and p.image is None:
        freepages(k, p, p, 1)


def auxpage(k: Kernel) -> Page | None:
    """A page for the mount cache if memory is not short, else None.

    va, modref and cachectl keep what the last owner left. Source: port/page.c:auxpage.
    """
    pa = k.palloc
    lock(k, pa)
    if pa.freecount == 0 or pa.freecount < k.swapalloc.highwater:
        unlock(k, pa)
        return None
    p = takehead(k)
    unlock(k, pa)
    assert p is not None
    p.ref = 1
    if k.sink is not None:
        pageevent(k, "alloc", p)
    return p


def copypage(k: Kernel, f: Page, t: Page) -> None:
    """Copy the bytes of f to t. Source: port/page.c:copypage."""
    mmu = k.mmu
    ks = mmu.kmap(f)
    kd = mmu.kmap(t)
    k.mem.copy(mmu.VA(kd), mmu.VA(ks))
    mmu.kunmap(ks)
    mmu.kunmap(kd)
    if k.sink is not None:
        pageevent(k, "copy", t)


def cachepage(k: Kernel, p: Page, i: Image) -> None:
    """Enter p into i's page cache under p.daddr. Source: port/page.c:cachepage."""
    lock(k, i)
    p.image = i
    h = pghash(p.daddr)
    p.next = i.pghash[h]
    i.pghash[h] = p
    incref(k, i)
    i.pgref += 1
    unlock(k, i)
    if k.sink is not None:
        pageevent(k, "cache", p)


def uncachepage(k: Kernel, p: Page) -> None:
    """Take p out of its image's page cache; nothing if it is in none. Source: port/page.c:uncachepage."""
    i = p.image
    if i is None:
        return
    lock(k, i)
    if p.image is not i:
        unlock(k, i)
        return
    h = pghash(p.daddr)
    last: Page | None = None
    x = i.pghash[h]
    while x is not None:
        if x is p:
            if last is None:
                i.pghash[h] = p.next
            else:
                last.next = p.next
            if k.sink is not None:
                pageevent(k, "uncache", p)
            p.next = None
            p.image = None
            p.daddr = NOADDR
            i.pgref -= 1
            unlock(k, i)
            k.putimage(i)
            return
        last = x
        x = x.next
    unlock(k, i)


def lookpage(k: Kernel, i: Image, daddr: int) -> Page | None:
    """The cached page of i at daddr with one more reference, or None. Source: port/page.c:lookpage."""
    lock(k, i)
    p = i.pghash[daddr >> PGSHIFT & PGHSIZE - 1]
    while p is not None:
        if p.daddr == daddr:
            incref(k, p)
            unlock(k, i)
            if k.sink is not None:
                pageevent(k, "lookup", p)
            return p
        p = p.next
    unlock(k, i)
    return None


def cachedel(k: Kernel, i: Image, daddr: int) -> None:
    """Forget every page of i cached under daddr. Source: port/page.c:cachedel."""
    while (p := lookpage(k, i, daddr)) is not None:
        uncachepage(k, p)
        putpage(k, p)


def ptecpy(k: Kernel, old: Pte) -> Pte:
    """A copy of a page table that shares its pages and swap slots. Source: port/page.c:ptecpy."""
    new = Pte()
    src, dst = old.pages, new.pages
    new.first = old.first
    for n in range(old.first, old.last + 1):
        e = src[n]
        if e is not None:
            if isinstance(e, Page):
                incref(k, e)
            else:
                k.dupswap(e)
            new.last = n
            dst[n] = e
    return new


def freepte(k: Kernel, s: Segment, p: Pte) -> None:
    """Drop all pages of a page table of s. Source: port/page.c:freepte."""
    pages = p.pages
    if s.type & SG_TYPE == SG_PHYSICAL:
        assert s.pseg is not None
        fn = s.pseg.pgfree
        for n in range(PTEPERTAB):
            e = pages[n]
            if isinstance(e, Page):
                if fn is not None:
                    fn(e)
                else:
                    decref(k, e)
                pages[n] = None
        return
    for n in range(p.first, p.last + 1):
        e = pages[n]
        if e is not None:
            putpage(k, e)
            pages[n] = None


def portcountpagerefs(k: Kernel, ref: dict[int, int]) -> None:
    """Count into ref, by page number, the references segments hold. Source: port/page.c:portcountpagerefs.

    Pages of a physical segment are not the pool's; the original counts them into whatever word
    their number hits.
    """
    for p in k.procs.proctab:
        for s in p.seg:
            if s is not None:
                s.mark = 0
    for p in k.procs.proctab:
        for s in p.seg:
            if s is None:
                continue
            s.mark += 1
            if s.mark > 1 or s.type & SG_TYPE == SG_PHYSICAL:
                continue
            for pte in s.map:
                if pte is None:
                    continue
                for n in range(pte.first, pte.last + 1):
                    e = pte.pages[n]
                    if isinstance(e, Page):
                        num = pagenumber(k, e)
                        ref[num] = ref.get(num, 0) + 1


def checkpagerefs(k: Kernel) -> int:
    """Compare every page's ref with its holders; how many are wrong. Source: port/page.c:checkpagerefs.

    Holders are the process table's segments and the MMU; a page held from elsewhere counts as wrong.
    """
    ref: dict[int, int] = {}
    lock(k, k.palloc)
    k.mmu.countpagerefs(ref)
    portcountpagerefs(k, ref)
    wrong = 0
    for num, p in k.palloc.pages.items():
        if p.ref != ref.get(num, 0):
            k.print(f"page {p.pa:#x} ref {ref.get(num, 0)} actual {p.ref}\n")
            wrong += 1
    k.print(f"{wrong} mistakes found\n")
    unlock(k, k.palloc)
    return wrong
