"""The invariants of that page cache: a cached page without references is on a chain and on the free list."""

from __future__ import annotations

from collections import Counter

from kernel.base.dat import Image, Page
from kernel.base.parentdat import ParentPage
from kernel.memory.check import Check
from kernel.memory.page import pghash
from kernel.memory.parent.page import cache


class ParentCheck(Check):
    """The commit's checks, but for the free list and the chains."""

    def freelist(self) -> None:
        pa, c = self.k.palloc, cache(self.k)
        pages: list[Page] = []
        fresh = 0
        last: Page | None = None
        p = pa.head
        while isinstance(p, ParentPage) and len(pages) <= pa.user:
            if p.prev is not last:
                self.bad(f"page {p.pa:#x} on the free list has another before it than it says")
            if p is c.fresh:
                fresh += 1
            else:
                pages.append(p)
            last, p = p, p.next
        if p is not None:
            self.bad("the free list has a cycle")
        elif c.tail is not last:
            self.bad("the free list has another tail than it says")
        if fresh != (pa.fresh > 0):
            self.bad(f"{pa.fresh} frames were never taken, which the free list has {fresh} times")
        self.lists.append(("the free list", pages))
        for q in pages:
            if q.ref != 0:
                self.bad(f"free page {q.pa:#x} has ref {q.ref}")
        self.unused += len(pages)
        n = pa.fresh + len(pages)
        if n != pa.freecount:
            self.bad(f"freecount is {pa.freecount}, {n} pages are free")

    def between(self) -> bool:
        return self.busy

    def caches(self, images: list[Image]) -> bool:
        count: Counter[Image] = Counter()
        for h, head in enumerate(cache(self.k).hash):
            p = head
            while p is not None:
                if p in self.chained:
                    self.bad(f"chain {h} has a cycle, or page {p.pa:#x} is on another, too")
                    return False
                self.chained.add(p)
                if pghash(p.daddr) != h:
                    self.bad(f"page {p.pa:#x} with daddr {p.daddr:#x} is on chain {h}")
                if p.image is None:
                    self.bad(f"page {p.pa:#x} on chain {h} has no image")
                else:
                    count[p.image] += 1
                p = p.hash
        for i in images:
            # cachepage() and uncachepage() lock the image and the hash one after the other
            if count[i] != i.pgref and not self.busy:
                self.bad(f"image {i.num} has pgref {i.pgref}, caches {count[i]} pages")
            self.imagerefs[i] += count[i]
        return True
