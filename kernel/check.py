"""The invariants of the memory subsystem, checked against all its structures at once.

Every frame of the pool is exactly one of free, referenced, cached on one chain (referenced or not),
or held by the MMU; a reference count equals the holders; the free count is right; no page table lets a
process do more than its segments say.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from kernel.dat import PGHSIZE, SEGNAME, SG_PHYSICAL, SG_TEXT, SG_TYPE, Dead, Image, Page, Proc, Proc_exitbig, Segment
from kernel.mem import BY2PG, KMAP, PDX, PTEACCESSED, PTEDIRTY, PTEMAPMEM, PTEUSER, PTEVALID, PTEWRITE, USTKTOP
from kernel.page import pghash

if TYPE_CHECKING:
    from kernel.kernel import Kernel


def check(k: Kernel, extra: Counter[int] | None = None, segments: list[Segment] | None = None) -> list[str]:
    """What is wrong, in words; empty if nothing is.

    ``extra`` counts references held from outside the kernel's structures, by page number;
    ``segments`` are segments no process has. Both are for tests that drive the kernel by hand, and for
    processes blocked in the middle of a fault.
    """
    c = _Check(k)
    c.freelist()
    c.images()
    c.mmu()
    c.segments(segments or [])
    c.iolist()
    c.refs(extra or Counter())
    c.swap()
    for p in k.procs.everyproc():
        if p.state != Dead and not k.procs.midway(p):
            c.tables(p)
    return c.wrong


class _Check:
    def __init__(self, k: Kernel) -> None:
        self.k = k
        self.wrong: list[str] = []
        self.where: dict[Page, str] = {}  # the one list a page is on
        self.holders: Counter[Page] = Counter()
        self.segrefs: Counter[Segment] = Counter()
        self.imagerefs: Counter[Image] = Counter()
        self.slots: Counter[int] = Counter()

    def bad(self, text: str) -> None:
        self.wrong.append(text)

    def place(self, p: Page, where: str) -> None:
        if p in self.where:
            self.bad(f"page {p.pa:#x} is on {self.where[p]} and {where}")
        self.where[p] = where

    def freelist(self) -> None:
        pa = self.k.palloc
        n = pa.fresh
        p = pa.head
        while p is not None:
            self.place(p, "the free list")
            if p.ref != 0:
                self.bad(f"free page {p.pa:#x} has ref {p.ref}")
            if p.image is not None:
                self.bad(f"free page {p.pa:#x} has an image")
            n += 1
            if n > pa.user:
                self.bad("the free list has a cycle")
                break
            p = p.next
        if n != pa.freecount:
            self.bad(f"freecount is {pa.freecount}, {n} pages are free")

    def images(self) -> None:
        k = self.k
        for i in [*k.imagealloc.list, k.swapimage, k.fscache]:
            n = 0
            if not i.pgref and not i.ref:
                continue  # a page left on a chain shows itself: its image is set
            for h in range(PGHSIZE) if any(i.pghash) else ():
                p = i.pghash[h]
                while p is not None:
                    self.place(p, f"chain {h} of image {i.num}")
                    if p.image is not i:
                        self.bad(f"page {p.pa:#x} on a chain of image {i.num} has another image")
                    if pghash(p.daddr) != h:
                        self.bad(f"page {p.pa:#x} with daddr {p.daddr:#x} is on chain {h}")
                    n += 1
                    if n > k.palloc.user:
                        self.bad(f"chain {h} of image {i.num} has a cycle")
                        return
                    p = p.next
            if n != i.pgref and not i.key:  # cachepage() and pagereclaim() are at it
                self.bad(f"image {i.num} has pgref {i.pgref}, caches {n} pages")
            self.imagerefs[i] += n
        free = set()
        i2 = k.imagealloc.free
        while i2 is not None and i2 not in free:
            free.add(i2)
            if i2.ref:
                self.bad(f"free image {i2.num} has ref {i2.ref}")
            i2 = i2.next
        busy = k.procs.blocked()
        hashed = set()
        for b, head in enumerate(k.imagealloc.hash):
            x = head
            while x is not None and x not in hashed:
                hashed.add(x)
                if x.qid.path % 64 != b and not busy:  # putimage() changes the qid first
                    self.bad(f"image {x.num} hashed wrong")
                x = x.hash
        for i in k.imagealloc.list:
            if i.ref > 0 and i in free:
                self.bad(f"image {i.num} in use is on the free list")
            if (i.ref > 0 and i not in hashed) or (i.ref == 0 and i not in free and not busy):
                self.bad(f"image {i.num} with ref {i.ref} is lost")

    def mmu(self) -> None:
        k = self.k
        for p in k.procs.everyproc():
            for what, pg in k.mmu.mmupages(p):
                self.place(pg, f"{what} of process {p.pid}")
                self.holders[pg] += 1
        for m in k.machs:
            held = k.mmu.poolpages(m)
            if len(held) != m.pdbcnt:
                self.bad(f"cpu{m.machno} counts {m.pdbcnt} page directories, has {len(held)}")
            for pg in held:
                self.place(pg, f"pdbpool of cpu{m.machno}")
                self.holders[pg] += 1

    def segments(self, others: list[Segment]) -> None:
        for p in self.k.procs.everyproc():
            for s in p.seg:
                if s is not None:
                    self.segrefs[s] += 1
        for s in others:
            self.segrefs[s] += 1
        for i in self.k.imagealloc.list:
            if i.s is not None and i.s not in self.segrefs and not self.k.procs.blocked():
                self.bad(f"image {i.num} has a segment nobody has")
        for s, n in self.segrefs.items():
            if s.ref < n or (s.ref > n and not self.k.procs.blocked()):
                self.bad(f"{s!r} has {n} holders")
            if s.image is not None:
                self.imagerefs[s.image] += 1
            physical = s.type & SG_TYPE == SG_PHYSICAL
            for pte in s.map:
                if pte is None:
                    continue
                if any(pte.pages[: pte.first]) or any(pte.pages[pte.last + 1 :]):
                    self.bad(f"{s!r} uses entries outside {pte.first}..{pte.last}")
                for e in pte.pages:
                    if e is None:
                        continue
                    if isinstance(e, int):
                        self.slots[e // BY2PG] += 1
                    elif not physical:
                        self.holders[e] += 1
                        if e.ref <= 0:
                            self.bad(f"{s!r} has page {e.pa:#x} with ref {e.ref}")

    def iolist(self) -> None:
        for p in self.k.iolist[self.k.ionext :]:
            self.holders[p] += 1
            self.slots[p.daddr // BY2PG] += 1

    def refs(self, extra: Counter[int]) -> None:
        k = self.k
        busy = k.procs.blocked()  # someone may hold references on its kernel stack
        for n, p in k.palloc.pages.items():
            want = self.holders.get(p, 0) + extra.get(n, 0)
            if p.ref < want or (p.ref > want and not busy):
                self.bad(f"page {p.pa:#x} has ref {p.ref}, {want} holders")
            if p.image is not None and "chain" not in self.where.get(p, "") and not p.image.key:
                self.bad(f"page {p.pa:#x} has image {p.image.num} but is on no chain")
            if p.ref == 0 and want == 0 and p not in self.where and not busy:
                self.bad(f"page {p.pa:#x} is lost")
        for i in k.imagealloc.list:
            if i.ref < self.imagerefs[i] or (i.ref > self.imagerefs[i] and not busy):
                self.bad(f"image {i.num} has ref {i.ref}, {self.imagerefs[i]} holders")
            if i.ref < i.pgref:
                self.bad(f"image {i.num} has pgref {i.pgref} over ref {i.ref}")

    def swap(self) -> None:
        sa = self.k.swapalloc
        busy = self.k.procs.blocked()
        for n, holders in self.slots.items():
            have = sa.swmap[n]
            if (have < holders or (have > holders and not busy)) and have != 255:
                self.bad(f"swap slot {n} has count {have}, {holders} holders")
        used = sa.top - sa.swmap.count(0, 0, sa.top)
        if used > len(self.slots) and not busy and not sa.xref:
            self.bad(f"swap has {used} used slots, {len(self.slots)} have holders")
        if sa.free != sa.top and used + sa.free != sa.top and sa.last < sa.top:
            self.bad(f"swap has {sa.free} free slots and {used} used of {sa.top}")

    def tables(self, p: Proc) -> None:
        """Every valid user entry agrees with a segment, and allows no more than it."""
        k = self.k
        if p.mmupdb is None or p.newtlb or p.procctl == Proc_exitbig:
            return  # killbig frees the pages of one that will not see user mode again
        w = k.mem.words
        pdb = p.mmupdb.pa >> 2
        used = {pg.daddr: pg for what, pg in k.mmu.mmupages(p) if what == "mmuused"}
        for x in range(PDX(USTKTOP) + 1):
            pde = w[pdb + x]
            if not pde:
                if x in used:
                    self.bad(f"process {p.pid}: page table of {x:#x} is not in the directory")
                continue
            pt = used.get(x)
            if pt is None or pde & ~(0xFFF) != pt.pa:
                self.bad(f"process {p.pid}: directory entry {x:#x} is {pde:#x}")
                continue
            self.table(p, x, pt.pa >> 2)
        kpde = w[pdb + PDX(KMAP)]
        if kpde & PTEVALID and (p.kmaptable is None or kpde & ~0xFFF != p.kmaptable.pa):
            self.bad(f"process {p.pid}: KMAP entry is {kpde:#x}")

    def table(self, p: Proc, x: int, base: int) -> None:
        words = self.k.mem.words[base : base + 1024].tolist()
        s: Segment | None = None
        for y, pte in enumerate(words):
            if not pte & PTEVALID:
                continue
            va = x << 22 | y << 12
            if s is None or not s.base <= va < s.top:
                s = next((s for s in p.seg if s is not None and s.base <= va < s.top), None)
            if s is None:
                self.bad(f"process {p.pid} maps {va:#x}, which is in no segment")
                continue
            off = va - s.base
            t = s.map[off // PTEMAPMEM]
            e = t.pages[(off & PTEMAPMEM - 1) // BY2PG] if t is not None else None
            if not isinstance(e, Page) or e.pa != pte & ~0xFFF:
                self.bad(f"process {p.pid} maps {va:#x} to {pte & ~0xFFF:#x}, its segment has {e!r}")
                continue
            if not pte & PTEUSER:
                self.bad(f"process {p.pid} maps {va:#x} without PTEUSER")
            if pte & PTEWRITE:
                name = SEGNAME[s.type & SG_TYPE]
                # Of the read-only segments only text really is: fixfault() forgets about the others when
                # they are shared, or with copymode 1.
                if s.type & SG_TYPE == SG_TEXT:
                    self.bad(f"process {p.pid} may write {va:#x} of its {name}")
                elif s.locked:
                    pass  # dupseg() may be at it: it flushes before it unlocks
                elif s.type & SG_TYPE != SG_PHYSICAL and (e.ref > 1 or e.image is not None):
                    self.bad(f"process {p.pid} may write {va:#x} of its {name}, a page that is shared or cached")
            elif pte & PTEDIRTY and not pte & PTEACCESSED:
                self.bad(f"process {p.pid}: {va:#x} is dirty and not accessed")


