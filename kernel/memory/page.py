"""The pool of user pages and the page cache. Source: port/page.c.

A page is free, or referenced, or cached on a chain of its image (referenced or not). A cached page
with ref 0 is not free: pagereclaim makes it so when memory runs short.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.dat import NOADDR, PGHSIZE, SG_PHYSICAL, SG_TYPE, Page, Pte
from kernel.base.mem import PGSHIFT, PTEPERTAB
from kernel.base.parentdat import ParentPage
from kernel.memory.image import unlockput
from kernel.memory.kmap import VA, kmap, kunmap
from kernel.memory.mmu import countpagerefs
from kernel.memory.palloc import freepages, pageevent, pagenumber, takehead, takepage
from kernel.memory.swapmap import dupswap, putswap
from kernel.sched.ref import decref, incref
from kernel.sched.taslock import lock, unlock

if TYPE_CHECKING:
    from kernel.base.dat import Image, Segment
    from kernel.base.kernel import Kernel


def pghash(daddr: int) -> int:
    """Chain of a disc address in an image's page cache. Source: port/portdat.h:PGHASH."""
    return daddr >> PGSHIFT & PGHSIZE - 1


def pagereclaim(k: Kernel, i: Image, min: int) -> int:
    """Free cached pages of i that nobody references, about min of them; how many.

    One page of each chain at the most, and ``min`` is tested after the count: min 0 frees one.
    Source: port/page.c:pagereclaim.
    """
    if min == 0 and k.variant.fix_8ed25f24b:
        return 0
    every = k.variant.fix_61a062ee9  # one of each chain, however many that are
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
        if k.variant.fix_e8760ba63:
            last, p = _oldest(last, p)

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
        if (i.pgref == 0) if every else (n >= min):
            break
    unlockput(k, i)

    if fh is not None and ft is not None:
        k.nreclaim += n
        freepages(k, fh, ft, n)
    return n


def _oldest(last: Page | None, p: Page) -> tuple[Page | None, Page]:
    """The last page of a chain that nobody references, p or one behind it, and the page before that."""
    before: Page | None = p
    while before is not None and before.next is not None:
        if before.next.ref == 0:
            last, p = before, before.next
        before = before.next
    return last, p


def newpage(k: Kernel, clear: bool, va: int, s: Segment | None = None) -> Page | None:
    """A page with ref 1 for address va, cleared if asked; None if the lock of s was lost, as takepage() says.

    Source: port/page.c:newpage.
    """
    p = takepage(k, va, s)
    if p is None:
        return None
    if clear:
        kk = kmap(k, p)
        k.mem.zero(VA(k, kk))
        kunmap(k, kk)
    return p


def putpage(k: Kernel, p: Page | int) -> None:
    """Drop one reference to a page, or to the swap slot it went to.

    A cached page stays on its image's chain with ref 0: the pager takes it from there when memory
    runs short. Any other page goes to the head of the free list at ref 0. Panics if the
    reference was not ours to drop. Source: port/page.c:putpage.
    """
    if not isinstance(p, Page):
        putswap(k, p)
        return
    if k.parent is not None:
        k.parent.putpage(k, p)
        return
    if k.variant.original_putpage:
        _lookfirst(k, p)
        return
    # The original looks at the image first; meanwhile the pager may cache the page for another holder, or
    # forget it: the page would be free and cached, or lost. Between this decref and the look nothing runs.
    if decref(k, p) == 0 and p.image is None:
        freepages(k, p, p, 1)


def _lookfirst(k: Kernel, p: Page) -> None:
    """The rest of the original's putpage()."""
    if p.image is not None:
        decref(k, p)
    elif decref(k, p) == 0:
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

    ks = kmap(k, f)
    kd = kmap(k, t)
    k.mem.copy(VA(k, kd), VA(k, ks))
    kunmap(k, ks)
    kunmap(k, kd)
    if k.sink is not None:
        pageevent(k, "copy", t)


def cachepage(k: Kernel, p: Page, i: Image) -> None:
    """Enter p into i's page cache under p.daddr. Source: port/page.c:cachepage."""
    if k.parent is not None:
        k.parent.cachepage(k, p, i)
        return
    lock(k, i)
    p.image = i
    h = pghash(p.daddr)
    p.next = i.pghash[h]
    i.pghash[h] = p
    incref(k, i)
    i.pgref += 1
    if k.sink is not None:
        pageevent(k, "cache", p)
    unlock(k, i)


def uncachepage(k: Kernel, p: Page) -> None:
    """Take p out of its image's page cache; nothing if it is in none. Source: port/page.c:uncachepage."""
    if k.parent is not None:
        k.parent.uncachepage(k, p)
        return
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
            unlockput(k, i)
            return
        last = x
        x = x.next
    unlock(k, i)


def lookpage(k: Kernel, i: Image, daddr: int) -> Page | None:
    """The cached page of i at daddr with one more reference, or None. Source: port/page.c:lookpage."""
    if k.parent is not None:
        return k.parent.lookpage(k, i, daddr)
    lock(k, i)
    p = i.pghash[daddr >> PGSHIFT & PGHSIZE - 1]
    while p is not None:
        if p.daddr == daddr:
            if k.variant.fix_e8760ba63:
                _tofront(i, p)
            incref(k, p)
            unlock(k, i)
            if k.sink is not None:
                pageevent(k, "lookup", p)
            return p
        p = p.next
    unlock(k, i)
    return None


def _tofront(i: Image, p: Page) -> None:
    """Put p at the head of its chain, as the page used last. The caller holds i."""
    h = pghash(p.daddr)
    x = i.pghash[h]
    if x is p:
        return
    while x is not None and x.next is not p:
        x = x.next
    assert x is not None
    x.next = p.next
    p.next = i.pghash[h]
    i.pghash[h] = p


def cachedel(k: Kernel, i: Image, daddr: int) -> None:
    """Forget every page of i cached under daddr. Source: port/page.c:cachedel."""
    if k.parent is not None:
        k.parent.cachedel(k, i, daddr)
        return
    while (p := lookpage(k, i, daddr)) is not None:
        uncachepage(k, p)
        putpage(k, p)


def cachedpages(k: Kernel, i: Image) -> list[Page]:
    """The pages cached for i, chain by chain."""
    pages = []
    for head in i.pghash if k.parent is None else k.parent.hash:
        p: Page | None = head
        while p is not None:
            if p.image is i:
                pages.append(p)
            p = p.hash if isinstance(p, ParentPage) else p.next
    return pages


def ptecpy(k: Kernel, old: Pte) -> Pte:
    """A copy of a page table that shares its pages and swap slots. Source: port/page.c:ptecpy."""
    new = Pte()
    src, dst = old.pages, new.pages
    new.first = old.first
    for n in range(old.first, old.last + 1):
        e = src[n]
        if e is not None:
            if not isinstance(e, Page):
                dupswap(k, e)
            elif k.parent is None:
                incref(k, e)
            else:
                k.parent.duppage(k, e)
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
    countpagerefs(k, ref)
    portcountpagerefs(k, ref)
    wrong = 0
    for num, p in k.palloc.pages.items():
        if p.ref != ref.get(num, 0):
            k.print(f"page {p.pa:#x} ref {ref.get(num, 0)} actual {p.ref}\n")
            wrong += 1
    k.print(f"{wrong} mistakes found\n")
    unlock(k, k.palloc)
    return wrong
