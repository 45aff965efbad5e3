"""What segments and images have to do with that page cache. Source: port/segment.c, port/fault.c of the parent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.dat import IHASHSIZE, Page, Qid
from kernel.base.error import Panic
from kernel.base.mem import BY2PG, MASK32, PTEMAPMEM, PTEPERTAB
from kernel.memory.image import imageevent
from kernel.memory.palloc import pageevent
from kernel.memory.parent.page import cache, own, pagechainhead, pageunchain, putpage, uncachepage
from kernel.memory.procflush import procflushseg
from kernel.memory.segment import entryevent
from kernel.memory.swapmap import putswap, swapcount
from kernel.sched.qlock import canqlock, qunlock
from kernel.sched.taslock import canlock, lock, unlock

if TYPE_CHECKING:
    from kernel.base.dat import Image, Segment
    from kernel.base.kernel import Kernel
    from kernel.base.parentdat import ParentPage


ENOUGH = 1000  # pages after which imagereclaim ends, if there is an image then


def imagereclaim(k: Kernel) -> int:
    """Have the cache forget pages at the tail of the free list, so that images become free; how many.

    All are looked at with palloc held: at least 1000, and while no image is free all of them.
    Source: port/segment.c:imagereclaim of the parent.
    """
    ia = k.imagealloc
    if not canqlock(k, ia.ireclaim):  # somebody is at it already
        return 0
    lock(k, k.palloc)
    n = 0
    p = cache(k).tail
    while p is not None and p.image is not None and (n < ENOUGH or ia.free is None):
        x = p.prev
        if p.ref == 0 and canlock(k, p.lk):
            if forgettable(p):
                n += 1
                uncachepage(k, p)
                if k.sink is not None:
                    pageevent(k, "free", p)
                # those without an image are at the head
                pageunchain(k, p)
                pagechainhead(k, p)
            unlock(k, p.lk)
        p = x
    k.nreclaim += n
    unlock(k, k.palloc)
    qunlock(k, ia.ireclaim)
    return n


def forgettable(p: ParentPage) -> bool:
    """Whether a page, which is locked now, still is a file's and not used."""
    return p.ref == 0 and p.image is not None and not p.image.notext


def putimage(k: Kernel, i: Image) -> None:
    """Drop one reference to i; those to an image without a file are not counted back.

    Source: port/segment.c:putimage of the parent.
    """
    if i.notext:
        return
    c = None
    lock(k, i)
    i.ref -= 1
    if i.ref == i.pgref:
        # only the cache is left: the file can be opened again by attachimage
        c = i.c
        if k.sink is not None and c is not None:
            imageevent(k, "close", i)
        i.c = None
    if i.ref == 0:
        ia = k.imagealloc
        h = i.qid.path % IHASHSIZE
        i.qid = Qid(MASK32, MASK32, 0)
        unlock(k, i)

        lock(k, ia)
        last = None
        f = ia.hash[h]
        while f is not None:
            if f is i:
                if last is None:
                    ia.hash[h] = i.hash
                else:
                    last.hash = i.hash
                break
            last = f
            f = f.hash
        i.next = ia.free
        ia.free = i
        unlock(k, ia)
        if k.sink is not None:
            imageevent(k, "free", i)
    else:
        unlock(k, i)
    if c is not None:
        k.hooks.ccloseq(k, c)


def mcountseg(k: Kernel, s: Segment) -> int:
    """How many pages s has, in memory or on swap. Source: port/segment.c:mcountseg of the parent."""
    return sum(e is not None for pte in s.map if pte is not None for e in pte.pages)


def mfreeseg(k: Kernel, s: Segment, start: int, pages: int) -> None:
    """Drop pages of s from address start on; other processors flush when all are out of s, before any is free.

    Source: port/segment.c:mfreeseg of the parent.
    """
    soff = (start - s.base) & MASK32
    last = soff // BY2PG + pages
    dropped: list[Page] = []  # the original links them by next
    for i in range(soff // PTEMAPMEM, s.mapsize):
        pte = s.map[i]
        if pte is None:
            continue
        for j in range(max(soff // BY2PG - i * PTEPERTAB, 0), min(last - i * PTEPERTAB, PTEPERTAB)):
            e = pte.pages[j]
            if e is None:
                continue
            if isinstance(e, Page):
                dropped.append(e)
            else:
                putswap(k, e)
            pte.pages[j] = None
            if k.sink is not None:
                entryevent(k, s, s.base + (i * PTEPERTAB + j) * BY2PG, None)
    if s.ref > 1:
        procflushseg(k, s)
    for p in reversed(dropped):
        putpage(k, p)


def alone(k: Kernel, page: Page) -> None:
    """If all that holds page beside the caller is the swap cache, that forgets it: then it need not be copied.

    Source: port/fault.c:fixfault of the parent.
    """
    p = own(page)
    lock(k, p.lk)
    if p.ref == 0:
        raise Panic(f"fault {p!r} ref == 0")
    if p.image is k.swapimage and p.ref + swapcount(k, p.daddr) == 1:
        uncachepage(k, p)
    unlock(k, p.lk)
