"""One hash for the pages of all images, and a free list on which cached pages wait to be used again.

A page without references is on the free list: at its head if nothing is cached in it, or a swap slot, at its tail
if it is a file's. Whoever takes a cached page from the head makes the cache forget it; whoever looks one up takes it
off the list. So each page has a lock, and each reference is counted under palloc's and that one.
Source: port/page.c of the parent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.dat import Page
from kernel.base.error import Panic
from kernel.base.mem import BY2PG
from kernel.base.parentdat import Parent, ParentPage
from kernel.memory.image import putimage
from kernel.memory.page import pghash
from kernel.memory.palloc import pageevent
from kernel.memory.swapmap import putswap
from kernel.sched.sleep import wakeup
from kernel.sched.taslock import lock, unlock

if TYPE_CHECKING:
    from kernel.base.dat import Image
    from kernel.base.kernel import Kernel


def cache(k: Kernel) -> Parent:
    """The data of this page cache."""
    assert k.parent is not None
    return k.parent


def own(p: Page) -> ParentPage:
    """p, which is a page of the pool."""
    if not isinstance(p, ParentPage):
        raise Panic(f"page {p.pa:#x} is not the pool's")
    return p


def pageinit(k: Kernel) -> None:
    """All frames are on the free list, lowest address first. Source: port/page.c:pageinit of the parent."""
    if k.palloc.fresh:
        k.palloc.head = cache(k).tail = cache(k).fresh


def unlink(k: Kernel, p: ParentPage) -> None:
    """Take p off the free list, and count nothing."""
    if p.prev is not None:
        p.prev.next = p.next
    else:
        k.palloc.head = p.next
    if p.next is not None:
        own(p.next).prev = p.prev
    else:
        cache(k).tail = p.prev
    p.prev = p.next = None


def pageunchain(k: Kernel, p: ParentPage) -> None:
    """Take p off the free list. The caller holds palloc. Source: port/page.c:pageunchain of the parent."""
    if not k.palloc.key:
        raise Panic("pageunchain")
    unlink(k, p)
    k.palloc.freecount -= 1


def pagechaintail(k: Kernel, p: ParentPage) -> None:
    """Put p at the tail of the free list. The caller holds palloc. Source: port/page.c:pagechaintail of the parent."""
    if not k.palloc.key:
        raise Panic("pagechaintail")
    c = cache(k)
    p.prev = c.tail
    if c.tail is not None:
        c.tail.next = p
    else:
        k.palloc.head = p
    c.tail = p
    p.next = None
    k.palloc.freecount += 1


def pagechainhead(k: Kernel, page: Page) -> None:
    """Put page at the head of the free list, palloc being held. Source: port/page.c:pagechainhead of the parent."""
    if not k.palloc.key:
        raise Panic("pagechainhead")
    p = own(page)
    head = k.palloc.head
    p.next = head
    if head is not None:
        own(head).prev = p
    else:
        cache(k).tail = p
    k.palloc.head = p
    p.prev = None
    k.palloc.freecount += 1


def takehead(k: Kernel) -> Page | None:
    """Take the head of the free list, with ref 1, or None. The caller holds palloc.

    If it is cached, the cache forgets it now. Source: port/page.c:newpage, auxpage of the parent.
    """
    pa, c = k.palloc, cache(k)
    if pa.head is c.fresh:
        n = pa.user - pa.fresh
        page = ParentPage(pa.base + n * BY2PG, pa.nmach)
        page.ref = 1
        pa.pages[n] = page
        pa.fresh -= 1
        pa.freecount -= 1
        if not pa.fresh:
            unlink(k, c.fresh)
        return page
    if pa.head is None:
        return None
    p = own(pa.head)
    pageunchain(k, p)
    lock(k, p.lk)
    if p.ref != 0:
        raise Panic(f"newpage: p->ref {p.ref} != 0")
    k.nreclaim += p.image is not None
    uncachepage(k, p)
    p.ref = 1
    unlock(k, p.lk)
    return p


def putpage(k: Kernel, page: Page | int) -> None:
    """Drop one reference to a page, or to the swap slot it went to; the last one puts it on the free list.

    Source: port/page.c:putpage of the parent.
    """
    if not isinstance(page, Page):
        putswap(k, page)
        return
    p = own(page)
    lock(k, k.palloc)
    lock(k, p.lk)
    if p.ref == 0:
        raise Panic("putpage")
    p.ref -= 1
    if p.ref > 0:
        unlock(k, p.lk)
        unlock(k, k.palloc)
        return
    if p.image is not None and p.image is not k.swapimage:
        pagechaintail(k, p)
    else:
        pagechainhead(k, p)
    if k.sink is not None and p.image is None:
        pageevent(k, "free", p)
    if k.palloc.r.r is not None:
        wakeup(k, k.palloc.r)
    unlock(k, p.lk)
    unlock(k, k.palloc)


def uncachepage(k: Kernel, page: Page) -> None:
    """Take page, which the caller has locked, out of the cache; nothing if it is not there.

    Source: port/page.c:uncachepage of the parent.
    """
    p = own(page)
    c = cache(k)
    i = p.image
    if i is None:
        return
    lock(k, c.hashlock)
    h = pghash(p.daddr)
    last: ParentPage | None = None
    f = c.hash[h]
    while f is not None:
        if f is p:
            if last is None:
                c.hash[h] = p.hash
            else:
                last.hash = p.hash
            break
        last = f
        f = f.hash
    unlock(k, c.hashlock)
    if k.sink is not None:
        pageevent(k, "uncache" if p.ref else "reclaim", p)
    p.hash = None
    p.image = None
    p.daddr = 0

    lock(k, i)
    i.pgref -= 1
    unlock(k, i)
    putimage(k, i)


def cachepage(k: Kernel, page: Page, i: Image) -> None:
    """Enter page under its daddr for i. Panics if it is cached already. Source: port/page.c:cachepage of the parent."""
    p = own(page)
    c = cache(k)
    if p.image is not None:
        raise Panic("cachepage")

    lock(k, i)
    i.ref += 1
    i.pgref += 1
    unlock(k, i)

    lock(k, c.hashlock)
    p.image = i
    h = pghash(p.daddr)
    p.hash = c.hash[h]
    c.hash[h] = p
    if k.sink is not None:
        pageevent(k, "cache", p)
    unlock(k, c.hashlock)


def find(k: Kernel, i: Image, daddr: int) -> ParentPage | None:
    """The first page on its chain that is cached for i under daddr; part of lookpage and cachedel in the original."""
    c = cache(k)
    lock(k, c.hashlock)
    f = c.hash[pghash(daddr)]
    while f is not None:
        if f.image is i and f.daddr == daddr:
            break
        f = f.hash
    unlock(k, c.hashlock)
    return f


def cachedel(k: Kernel, i: Image, daddr: int) -> None:
    """Forget one page of i cached under daddr. Source: port/page.c:cachedel of the parent."""
    while (f := find(k, i, daddr)) is not None:
        lock(k, f.lk)
        if f.image is not i or f.daddr != daddr:
            unlock(k, f.lk)
            continue
        uncachepage(k, f)
        if k.sink is not None and f.ref == 0:
            pageevent(k, "free", f)
        unlock(k, f.lk)
        return


def lookpage(k: Kernel, i: Image, daddr: int) -> Page | None:
    """The page of i cached under daddr with one more reference, or None. Source: port/page.c:lookpage of the parent."""
    while (f := find(k, i, daddr)) is not None:
        lock(k, k.palloc)
        lock(k, f.lk)
        if f.image is not i or f.daddr != daddr:
            unlock(k, f.lk)
            unlock(k, k.palloc)
            continue
        f.ref += 1
        if f.ref == 1:
            pageunchain(k, f)
        unlock(k, k.palloc)
        unlock(k, f.lk)
        if k.sink is not None:
            pageevent(k, "lookup", f)
        return f
    return None


def duppage(k: Kernel, page: Page) -> None:
    """Count one more reference to page. Source: port/page.c:ptecpy of the parent."""
    p = own(page)
    lock(k, p.lk)
    p.ref += 1
    unlock(k, p.lk)
