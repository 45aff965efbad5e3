"""The invariants of the memory subsystem, checked against all its structures at once.

Every frame of the pool is exactly one of free, referenced, cached on one chain (referenced or not),
or held by the MMU; a reference count equals the holders; the free count is right; no page table lets a
process do more than its segments say.
"""

from __future__ import annotations

from collections import Counter
from itertools import compress, islice
from operator import attrgetter
from typing import TYPE_CHECKING

from kernel.base.dat import PG_ONSWAP, PGHSIZE, SEGNAME, SG_PHYSICAL, SG_TEXT, SG_TYPE, Page
from kernel.base.error import Wrong
from kernel.base.mem import (
    BY2PG,
    KMAP,
    MB,
    PDX,
    PGSHIFT,
    PTEACCESSED,
    PTEDIRTY,
    PTEMAPMEM,
    PTEPERTAB,
    PTEUSER,
    PTEVALID,
    PTEWRITE,
    USTKTOP,
    WD2PG,
)
from kernel.base.procdat import Broken, Dead, Proc_exitbig, Rendezvous, Stopped, Wakeme
from kernel.memory.mmu import mmupages, poolpages
from kernel.memory.page import pghash
from kernel.sched.newproc import everyproc

if TYPE_CHECKING:
    from kernel.base.checkdat import Quarter, Tables
    from kernel.base.dat import Entry, Image, Segment
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Proc


NOTHING = bytes(BY2PG // 4)  # a quarter of a page table that maps nothing


def check(
    k: Kernel, extra: Counter[int] | None = None, segments: list[Segment] | None = None, running: Proc | None = None
) -> list[str]:
    """What is wrong, in words; empty if nothing is.

    ``extra`` counts references held from outside the kernel's structures, by page number;
    ``segments`` are segments no process has. Both are for tests that drive the kernel by hand, and for
    processes blocked in the middle of a fault. ``running`` is a process in the middle of kernel work.
    """
    c: Check = Check(k) if k.parent is None else k.parent.check(k)
    c.busy = c.busy or running is not None
    c.freelist()
    c.images()
    c.mmu()
    c.places()
    c.segments(segments or [])
    c.refs(extra or Counter())
    c.swap()
    tables = {}
    for p in everyproc(k):
        if p.state != Dead and p is not running and not midway(k, p):
            tables.update(c.tables(p))
    c.memo.tables = tables
    return c.wrong


def checknow(k: Kernel) -> list[str] | None:
    """What is wrong, at any event or between two: the process that runs may be in the middle of kernel work.

    It may hold references then, as those may that were switched away from. None: nothing can be told, because a
    process that has ended is giving its page tables back.
    """
    if any(not p.pid and mmupages(k, p) for p in everyproc(k)):
        return None
    return check(k, running=k.up)


def mustcheck(k: Kernel) -> None:
    """Raise Wrong unless every invariant of the memory subsystem holds."""
    must(check(k))


def must(wrong: list[str]) -> None:
    """Raise Wrong if something is."""
    if wrong:
        raise Wrong("check: " + "; ".join(wrong[:5]))


class Check:
    """One check. Whole lists are compared at once; only where they differ is looked at page by page."""

    def __init__(self, k: Kernel) -> None:
        self.k = k
        self.memo = k.checkmemo
        if not self.memo.swmap:
            self.memo.swmap = bytearray(len(k.swapalloc.swmap))
        self.busy = blocked(k)  # someone may hold references on its kernel stack
        self.wrong: list[str] = []
        self.lists: list[tuple[str, list[Page]]] = []  # a page is on one of them, and there once
        self.where: set[Page] = set()  # all that are on one
        self.unused = 0  # those among them without a reference
        self.chained: set[Page] = set()  # those on a chain of an image
        self.holders: Counter[Page] = Counter()  # other than segments
        self.segrefs: Counter[Segment] = Counter()
        self.imagerefs: Counter[Image] = Counter()
        self.moving: Counter[Entry] = Counter()  # what segments have that are locked: pio() may be at one of its slots

    def bad(self, text: str) -> None:
        self.wrong.append(text)

    def places(self) -> None:
        self.where.update(*(pages for _, pages in self.lists))
        if len(self.where) == sum(len(pages) for _, pages in self.lists):
            return
        where: dict[Page, str] = {}
        for name, pages in self.lists:
            for p in pages:
                if p in where:
                    self.bad(f"page {p.pa:#x} is on {where[p]} and {name}")
                where[p] = name

    def freelist(self) -> None:
        pa = self.k.palloc
        pages: list[Page] = []
        p = pa.head
        while p is not None and len(pages) <= pa.user:
            pages.append(p)
            p = p.next
        if p is not None:
            self.bad("the free list has a cycle")
        self.lists.append(("the free list", pages))
        for p in [p for p in pages if p.ref or p.image is not None]:
            if p.ref != 0:
                self.bad(f"free page {p.pa:#x} has ref {p.ref}")
            if p.image is not None:
                self.bad(f"free page {p.pa:#x} has an image")
        self.unused += len(pages)
        n = pa.fresh + len(pages)
        if n != pa.freecount:
            self.bad(f"freecount is {pa.freecount}, {n} pages are free")

    def images(self) -> None:
        k = self.k
        images = k.imagealloc.list
        # a page left on a chain of another shows itself: its image is set
        used = [i for i in images if i.ref or i.pgref]
        if not self.caches([*used, k.swapimage, k.fscache]):
            return
        free = set()
        i2 = k.imagealloc.free
        while i2 is not None and i2 not in free:
            free.add(i2)
            i2 = i2.next
        hashed = set()
        for b, head in enumerate(k.imagealloc.hash):
            x = head
            while x is not None and x not in hashed:
                hashed.add(x)
                if x.qid.path % 64 != b and not self.busy:  # putimage() changes the qid first
                    self.bad(f"image {x.num} hashed wrong")
                x = x.hash
        for i in used:
            if i in free:
                self.bad(f"free image {i.num} has ref {i.ref}: in use is on the free list")
            if i not in hashed:
                self.bad(f"image {i.num} with ref {i.ref} is lost")
        if len(free) + len(used) != len(images) and not self.busy:
            for i in images:
                if i.ref == 0 and i not in free:
                    self.bad(f"image {i.num} with ref {i.ref} is lost")

    def caches(self, images: list[Image]) -> bool:
        """The page caches of all images; False if there is no end of one."""
        return all(self.chains(i) for i in images)

    def chains(self, i: Image) -> bool:
        """The page cache of i; False if there is no end of it."""
        pages: list[Page] = []
        hashes = list(compress(range(PGHSIZE), i.pghash))
        level = [p for p in i.pghash if p is not None]
        while level:  # the first pages of all chains, then the second ones
            pages += level
            if [p.daddr >> PGSHIFT & PGHSIZE - 1 for p in level] != hashes:
                for h, p in zip(hashes, level, strict=True):
                    if pghash(p.daddr) != h:
                        self.bad(f"page {p.pa:#x} with daddr {p.daddr:#x} is on chain {h}")
            if len(pages) > self.k.palloc.user:
                self.bad(f"a chain of image {i.num} has a cycle")
                return False
            following = [p.next for p in level]
            hashes = list(compress(hashes, following))
            level = [p for p in following if p is not None]
        if list(map(attrgetter("image"), pages)).count(i) != len(pages):
            for p in pages:
                if p.image is not i:
                    self.bad(f"page {p.pa:#x} on a chain of image {i.num} has another image")
        self.lists.append((f"chains of image {i.num}", pages))
        self.chained.update(pages)
        self.unused += list(map(attrgetter("ref"), pages)).count(0)
        if len(pages) != i.pgref and not i.key:  # cachepage() and pagereclaim() are at it
            self.bad(f"image {i.num} has pgref {i.pgref}, caches {len(pages)} pages")
        self.imagerefs[i] += len(pages)
        return True

    def mmu(self) -> None:
        k = self.k
        for p in everyproc(k):
            for what, pg in mmupages(k, p):
                self.lists.append((f"{what} of process {p.pid}", [pg]))
                self.holders[pg] += 1
        for m in k.machs:
            held = poolpages(k, m)
            if len(held) != m.pdbcnt:
                self.bad(f"cpu{m.machno} counts {m.pdbcnt} page directories, has {len(held)}")
            self.lists.append((f"pdbpool of cpu{m.machno}", held))
            self.holders.update(held)

    def segments(self, others: list[Segment]) -> None:
        for p in everyproc(self.k):
            self.segrefs.update([s for s in p.seg if s is not None])
        self.segrefs.update(others)
        for i in self.k.imagealloc.list:
            if i.s is not None and i.s not in self.segrefs and not self.busy:
                self.bad(f"image {i.num} has a segment nobody has")
        old, self.memo.entries = self.memo.entries, {}
        for s, n in self.segrefs.items():
            if s.ref < n or (s.ref > n and not self.busy):
                self.bad(f"{s!r} has {n} holders")
            if s.image is not None:
                self.imagerefs[s.image] += 1
            for pte in s.map:
                if pte is None:
                    continue
                pages = pte.pages
                if any(pages[: pte.first]) or any(pages[pte.last + 1 :]):
                    self.bad(f"{s!r} uses entries outside {pte.first}..{pte.last}")
                if s.locked:
                    self.moving.update(pages)
                if s.type & SG_TYPE != SG_PHYSICAL:
                    before = old.pop(pte, None)
                    if before != pages:
                        self.count(before, pages)
                        before = pages.copy()
                    self.memo.entries[pte] = before
        for gone in old.values():
            self.count(gone, None)

    def count(self, before: list[Entry] | None, now: list[Entry] | None) -> None:
        """The entries of one page table of a segment have changed."""
        memo = self.memo
        for entries, n in ((before, -1), (now, 1)):
            for e in entries or ():
                if isinstance(e, Page):
                    memo.holders[e] = memo.holders.get(e, 0) + n
                elif e is not None:
                    memo.slots[e] += n
                    memo.swmap[e >> PGSHIFT] = min(memo.slots[e], 255)
                    if not memo.slots[e]:
                        del memo.slots[e]

    def refs(self, extra: Counter[int]) -> None:
        k = self.k
        made = k.palloc.pages
        io = k.iolist[k.ionext :]
        self.holders.update(io)
        for n, more in extra.items():
            self.holders[made[n]] += more
        pages = list(made.values())
        holders = self.memo.holders
        if list(islice(holders, len(pages))) != pages:
            holders = self.memo.holders = {p: holders.get(p, 0) for p in pages}
        want = holders.copy()
        for p, n in self.holders.items():
            want[p] = want.get(p, 0) + n
        refs = list(map(attrgetter("ref"), pages))
        if refs != list(islice(want.values(), len(pages))):
            for p in pages:
                n = want[p]
                if p.ref != n and (p.ref < n or not self.busy):
                    self.bad(f"page {p.pa:#x} has ref {p.ref}, {n} holders")
                    if p.ref <= 0:
                        self.bad(f"page {p.pa:#x} is in use with ref {p.ref}")
        if list(map(attrgetter("image"), pages)).count(None) != len(pages) - len(self.chained):
            for p in pages:
                if p.image is not None and p not in self.chained and not p.image.key and not self.between():
                    self.bad(f"page {p.pa:#x} has image {p.image.num} but is on no chain")
        if refs.count(0) != self.unused and not self.busy:
            for p in pages:
                if not p.ref and not want[p] and p not in self.where:
                    self.bad(f"page {p.pa:#x} is lost")
        for i in k.imagealloc.list:
            n = self.imagerefs.get(i, 0)
            if i.ref != n and not i.key and (i.ref < n or not self.busy):
                self.bad(f"image {i.num} has ref {i.ref}, {n} holders")
            if i.ref < i.pgref:
                self.bad(f"image {i.num} has pgref {i.pgref} over ref {i.ref}")

    def between(self) -> bool:
        """Whether someone may be midway in the page cache with no image locked."""
        return False

    def swap(self) -> None:
        k, memo = self.k, self.memo
        sa = k.swapalloc
        want = memo.swmap
        io = k.iolist[k.ionext :]
        if io:
            want = want.copy()
            for p in io:
                slot = p.daddr >> PGSHIFT
                if want[slot] < 255:
                    want[slot] += 1
        nslots = len(want) - want.count(0)
        if sa.swmap != want:
            slots = memo.slots.copy()
            slots.update([p.daddr | PG_ONSWAP for p in io])
            for e, n in slots.items():
                have = sa.swmap[e >> PGSHIFT]
                if (have < n - self.moving[e] or (have > n and not self.busy)) and have != 255:
                    self.bad(f"swap slot {e >> PGSHIFT} has count {have}, {n} holders")
        used = sa.top - sa.swmap.count(0, 0, sa.top)
        if used > nslots and not self.busy and not sa.xref:
            self.bad(f"swap has {used} used slots, {nslots} have holders")
        if sa.free != sa.top and used + sa.free != sa.top and sa.last < sa.top:
            self.bad(f"swap has {sa.free} free slots and {used} used of {sa.top}")

    def tables(self, p: Proc) -> Tables:
        """Every valid user entry agrees with a segment, and allows no more than it. Returns what is to be kept."""
        k = self.k
        memo: Tables = {}
        if p.mmupdb is None or p.newtlb or p.procctl == Proc_exitbig:
            return memo  # killbig frees the pages of one that will not see user mode again
        w = k.mem.words
        pdb = p.mmupdb.pa >> 2
        pdes = w[pdb : pdb + PDX(USTKTOP) + 1].tolist()
        used = {pg.daddr: pg for what, pg in mmupages(k, p) if what == "mmuused"}
        for x in used:
            if x >= len(pdes) or not pdes[x]:
                self.bad(f"process {p.pid}: page table of {x:#x} is not in the directory")
        for x in compress(range(len(pdes)), pdes):
            pde = pdes[x]
            pt = used.get(x)
            if pt is None or pde & ~0xFFF != pt.pa:
                self.bad(f"process {p.pid}: directory entry {x:#x} is {pde:#x}")
            else:
                self.table(p, x, pt.pa >> 2, memo)
        kpde = w[pdb + PDX(KMAP)]
        if kpde & PTEVALID and (p.kmaptable is None or kpde & ~0xFFF != p.kmaptable.pa):
            self.bad(f"process {p.pid}: KMAP entry is {kpde:#x}")
        return memo

    def table(self, p: Proc, x: int, base: int, memo: Tables) -> None:
        """One page table, by quarters. One that is as it was is right if what p may write still is p's alone."""
        words = self.k.mem.words[base : base + WD2PG]
        entries = self.expected(p, x << 22)
        for q in range(0, WD2PG, PTEPERTAB):
            now, have = words[q : q + PTEPERTAB].tobytes(), entries[q : q + PTEPERTAB]
            if now == NOTHING:
                continue
            before = self.memo.tables.get((p, x, q))
            same = before is not None and before[0] == now and before[1] == have
            if before is None or not same or [e for e in before[2] if e.ref != 1 or e.image is not None]:
                before = self.quarter(p, x << 22 | q << 12, now, have)
            if before is not None:
                memo[p, x, q] = before

    def quarter(self, p: Proc, va: int, now: bytes, have: list[Entry]) -> Quarter | None:
        """The quarter of a page table that maps va; what to keep of it, or None if some of it needs a closer look."""
        words = memoryview(now).cast("I").tolist()
        valid = [(y, w, e) for y, (w, e) in enumerate(zip(words, have, strict=True)) if w & PTEVALID]
        strange = [
            (y, w)
            for y, w, e in valid
            if not isinstance(e, Page)
            or (w ^ e.pa) & (~0xFFF | PTEUSER) != PTEUSER
            or (w & PTEWRITE and (e.ref != 1 or e.image is not None))
            or w & (PTEWRITE | PTEDIRTY | PTEACCESSED) == PTEDIRTY
        ]
        for s in p.seg:
            if s is not None and s.type & SG_TYPE == SG_TEXT:
                strange += [(y, w) for y, w, _ in valid if w & PTEWRITE and s.base <= va + (y << 12) < s.top]
        for y, w in strange:
            self.entry(p, va + (y << 12), w)
        if strange:
            return None
        return now, have, [e for _, w, e in valid if w & PTEWRITE and isinstance(e, Page)]

    def expected(self, p: Proc, base: int) -> list[Entry]:
        """What p's segments have for the 4 MB from base on. Of two that overlap the first counts."""
        entries: list[Entry] = [None] * WD2PG
        for s in reversed(p.seg):
            if s is None or s.top <= base or s.base >= base + 4 * MB:
                continue
            va, top = max(s.base, base), min(s.top, base + 4 * MB)
            while va < top:
                off = va - s.base
                first = (off & PTEMAPMEM - 1) // BY2PG
                n = min(PTEPERTAB - first, (top - va) // BY2PG)
                t = s.map[off // PTEMAPMEM]
                at = (va - base) // BY2PG
                entries[at : at + n] = [None] * n if t is None else t.pages[first : first + n]
                va += n * BY2PG
        return entries

    def entry(self, p: Proc, va: int, pte: int) -> None:
        """Tell what is wrong with one page table entry, if anything is."""
        s = next((s for s in p.seg if s is not None and s.base <= va < s.top), None)
        if s is None:
            self.bad(f"process {p.pid} maps {va:#x}, which is in no segment")
            return
        off = va - s.base
        t = s.map[off // PTEMAPMEM]
        e = t.pages[(off & PTEMAPMEM - 1) // BY2PG] if t is not None else None
        if not isinstance(e, Page) or e.pa != pte & ~0xFFF:
            self.bad(f"process {p.pid} maps {va:#x} to {pte & ~0xFFF:#x}, its segment has {e!r}")
            return
        if not pte & PTEUSER:
            self.bad(f"process {p.pid} maps {va:#x} without PTEUSER")
        if pte & PTEWRITE:
            kind = SEGNAME[s.type & SG_TYPE]
            # Of the read-only segments only text really is: fixfault() forgets about the others when
            # they are shared, or with copymode 1.
            if s.type & SG_TYPE == SG_TEXT:
                self.bad(f"process {p.pid} may write {va:#x} of its {kind}")
            elif s.locked:
                pass  # dupseg() may be at it: it flushes before it unlocks
            elif s.type & SG_TYPE != SG_PHYSICAL and (e.ref > 1 or e.image is not None):
                self.bad(f"process {p.pid} may write {va:#x} of its {kind}, a page that is shared or cached")
        elif pte & PTEDIRTY and not pte & PTEACCESSED:
            self.bad(f"process {p.pid}: {va:#x} is dirty and not accessed")


def midway(k: Kernel, p: Proc) -> bool:
    """Whether p was switched away from in the middle of kernel work, in a fault or where it can go on by itself.

    It may hold references then, and its page tables may lag behind its segments.
    """
    return (
        p.inkernel
        and p is not k.up
        and (p.psstate == "Fault" or p.state not in (Dead, Wakeme, Rendezvous, Broken, Stopped))
    )


def blocked(k: Kernel) -> bool:
    """Whether any process is midway through kernel work."""
    return any(midway(k, p) for p in everyproc(k))
