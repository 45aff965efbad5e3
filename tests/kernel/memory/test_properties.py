"""Random sequences of operations, with every invariant checked after each step.

The machine holds what a caller of the kernel could hold: pages, segments, images locked by nobody. Each page it
ever wrote has contents of its own, and loads must find them again wherever the page went.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from kernel.base.dat import (
    BSEG,
    DSEG,
    ESEG,
    NSEG,
    SEG1,
    SG_BSS,
    SG_DATA,
    SG_RONLY,
    SG_STACK,
    SG_TEXT,
    SSEG,
    TSEG,
    Page,
    Segment,
)
from kernel.base.error import Error
from kernel.base.mem import BY2PG, USTKTOP
from kernel.base.procdat import Dead, Proc
from kernel.memory.check import check
from kernel.memory.fault import fault, okaddr, seg
from kernel.memory.mmu import flushmmu, mmurelease
from kernel.memory.page import (
    auxpage,
    cachedel,
    cachedpages,
    cachepage,
    copypage,
    lookpage,
    pagereclaim,
    putpage,
    uncachepage,
)
from kernel.memory.palloc import pagenumber
from kernel.memory.segment import (
    attachimage,
    dupseg,
    ibrk,
    imagereclaim,
    mcountseg,
    mfreeseg,
    newseg,
    putseg,
    relocateseg,
)
from kernel.memory.swap import executeio, pageout, pageproc, reclaim, setswapchan
from kernel.sched.qlock import qlock, qunlock
from kernel.sched.taslock import lock, unlock
from kernel.syscalls.sysseg import segattach, segflush
from tests.kernel.plain import PlainKernel, entry

TEXT, DATA, BSS, STACK = 0x1000, 0x10000, 0x100000, USTKTOP - 300 * BY2PG
FILES = [bytes([f]) * BY2PG * 6 + b"tail" for f in range(1, 7)]

page_no = st.integers(0, 7)
slots = st.sampled_from([TSEG, DSEG, BSEG, SSEG, SEG1])


class Kernel(RuleBasedStateMachine):
    """Processes, pages and images under random operations."""

    pagecache = ""
    held = Bundle("held")  # pages the machine itself has a reference to

    @initialize(copymode=st.sampled_from([0, 0, 1]), nswap=st.sampled_from([4, 60]), nimage=st.sampled_from([2, 6]))
    def boot(self, copymode: int, nswap: int, nimage: int) -> None:
        self.k = PlainKernel(
            200, nswap=nswap, nimage=nimage, nproc=6, copymode=copymode, pagecache=self.pagecache, pageout="clock16"
        )
        self.begin()
        self.k.nopager()
        setswapchan(self.k, self.k.file(bytes(nswap * BY2PG)))
        self.files = [self.k.file(data) for data in FILES]
        self.extra: Counter[int] = Counter()
        self.memory: dict[tuple[Segment, int], bytes] = {}  # first byte of each page written
        first = self.k.process()
        self.procs = [first]
        self.k.become(first)
        self.exec_(0)

    def begin(self) -> None:
        """There is a kernel, and nothing in it."""

    # What may be relied on

    def roomy(self) -> bool:
        """Whether an operation surely need not wait for memory."""
        return self.k.palloc.freecount > self.k.swapalloc.highwater + 20

    @invariant()
    def nothing_is_wrong(self) -> None:
        assert check(self.k, self.extra) == []

    @invariant()
    def nothing_is_locked(self) -> None:
        for p in self.procs:
            assert p.nlocks == 0 and p.nkmap == 0 and not p.seglock.locked
            assert not any(s.locked for s in p.seg if s is not None)

    def up(self) -> Proc:
        assert self.k.up is not None
        return self.k.up

    def hold(self, p: Page) -> Page:
        self.count_(p, 1)
        return p

    def count_(self, p: Page, n: int) -> None:
        self.extra[pagenumber(self.k, p)] += n

    # Pages

    @precondition(lambda self: self.roomy())
    @rule(target=held, clear=st.booleans(), va=page_no)
    def newpage(self, clear: bool, va: int) -> Page:
        p = self.k.page(va * BY2PG, clear)
        if clear:
            assert self.k.mem.read(p.pa, BY2PG) == bytes(BY2PG)
        return self.hold(p)

    @rule(target=held)
    def auxpage(self) -> Page | object:
        p = auxpage(self.k)
        return multiple() if p is None else self.hold(p)

    @rule(p=consumes(held))
    def putpage(self, p: Page) -> None:
        self.count_(p, -1)
        putpage(self.k, p)

    @rule(a=held, b=held)
    def copypage(self, a: Page, b: Page) -> None:
        copypage(self.k, a, b)

    @rule(p=held, chain=page_no)
    def cachepage(self, p: Page, chain: int) -> None:
        if p.image is None:
            p.daddr = chain * BY2PG // 2 * 512 + chain * BY2PG
            cachepage(self.k, p, self.k.fscache)

    @rule(p=held)
    def uncachepage(self, p: Page) -> None:
        uncachepage(self.k, p)
        assert p.image is None

    @rule(target=held, chain=page_no)
    def lookpage(self, chain: int) -> Page | object:
        daddr = chain * BY2PG // 2 * 512 + chain * BY2PG
        p = lookpage(self.k, self.k.fscache, daddr)
        if p is None:
            return multiple()
        assert p.daddr == daddr
        return self.hold(p)

    @rule(chain=page_no)
    def cachedel(self, chain: int) -> None:
        daddr = chain * BY2PG // 2 * 512 + chain * BY2PG
        cached = self.cached(daddr)
        cachedel(self.k, self.k.fscache, daddr)
        if self.pagecache == "parent":
            assert self.cached(daddr) == max(cached - 1, 0)
            return
        assert lookpage(self.k, self.k.fscache, daddr) is None

    def cached(self, daddr: int) -> int:
        """How many pages the mount cache has for an address."""
        return sum(p.daddr == daddr for p in cachedpages(self.k, self.k.fscache))

    @rule(min=page_no, which=st.integers(0, 3))
    def reclaim(self, min: int, which: int) -> None:
        free = self.k.palloc.freecount
        if self.pagecache == "parent":
            imagereclaim(self.k, min)  # all it does is to have the cache forget
            assert self.k.palloc.freecount == free
            return
        if which == 0:
            n = pagereclaim(self.k, self.k.fscache, min)
        elif which == 1:
            n = pagereclaim(self.k, self.k.swapimage, min)
        elif which == 2:
            n = imagereclaim(self.k, min)
        else:
            reclaim(self.k)
            n = self.k.palloc.freecount - free
        assert self.k.palloc.freecount == free + n

    # Processes

    @rule(n=st.integers(0, 5))
    def switch(self, n: int) -> None:
        self.k.become(self.procs[n % len(self.procs)])

    @precondition(lambda self: self.roomy() and len(self.procs) < 5)
    @rule(share=st.booleans())
    def fork(self, share: bool) -> None:
        up = self.up()
        child = self.k.process()
        for n in range(NSEG):
            s = up.seg[n]
            if s is not None:
                t = child.seg[n] = dupseg(self.k, up.seg, n, share)
                if t is not s:
                    self.memory |= {(t, addr): b for (u, addr), b in self.memory.items() if u is s}
        flushmmu(self.k)
        self.procs.append(child)

    @precondition(lambda self: len(self.procs) > 1)
    @rule()
    def exit(self) -> None:
        up = self.up()
        for n in range(NSEG):
            s, up.seg[n] = up.seg[n], None
            putseg(self.k, s)
        self.procs.remove(up)
        up.state = Dead
        self.k.m.splhi = True
        lock(self.k, self.k.palloc)
        mmurelease(self.k, up)
        unlock(self.k, self.k.palloc)
        up.mach = self.k.m.proc = None
        self.k.procs.freeprocs.append(up)
        self.k.become(self.procs[0])

    @precondition(lambda self: self.roomy() and self.imagesleft())
    @rule(file=st.integers(0, 5))
    def exec_(self, file: int) -> None:
        k, up = self.k, self.up()
        for n in range(NSEG):
            s, up.seg[n] = up.seg[n], None
            putseg(k, s)
        i = attachimage(k, SG_TEXT | SG_RONLY, self.files[file], TEXT, 7)
        assert i.s is not None
        up.seg[TSEG] = i.s
        i.s.flen = len(FILES[file])
        unlock(k, i)
        k.segment(up, DSEG, SG_DATA, DATA, 8, i).flen = len(FILES[file])
        up.seg[BSEG] = newseg(k, SG_BSS, BSS, 4)
        up.seg[SSEG] = s = newseg(k, SG_STACK, STACK - BY2PG, 300)
        s.base, s.top = STACK, USTKTOP
        relocateseg(k, s, BY2PG)
        flushmmu(k)

    def imagesleft(self) -> bool:
        """Whether attachimage finds a structure without waiting."""
        return self.k.imagealloc.free is not None or any(i.ref == i.pgref for i in self.k.imagealloc.list)

    # Memory

    def where(self, slot: int, n: int) -> tuple[Segment, int] | None:
        s = self.up().seg[slot]
        return None if s is None or n >= s.size else (s, s.base + (n * 41 % s.size) * BY2PG)

    def expected(self, s: Segment, addr: int) -> bytes:
        """First byte the page at addr of s must have."""
        b = self.memory.get((s, addr))
        if b is not None or s.image is None:
            return b or b"\0"
        off = addr - s.base
        path = s.image.qid.path
        data = next(f for c, f in zip(self.files, FILES, strict=True) if c.qid.path == path)
        return data[off : off + 1] or b"\0"

    @precondition(lambda self: self.roomy())
    @rule(accesses=st.lists(st.tuples(slots, page_no, st.integers(0, 255)), min_size=1, max_size=12))
    def touch(self, accesses: list[tuple[int, int, int]]) -> None:
        """Load, or store a v of 100 and more."""
        for slot, n, v in accesses:
            if v < 100:
                self.load(slot, n)
            else:
                self.store(slot, n, v)

    def load(self, slot: int, n: int) -> None:
        at = self.where(slot, n)
        if at is None:
            return
        s, addr = at
        assert fault(self.k, addr, True) == 0
        p = entry(s, addr)
        assert isinstance(p, Page)
        assert self.k.mem.read(p.pa, 1) == self.expected(s, addr)

    def store(self, slot: int, n: int, v: int) -> None:
        at = self.where(slot, n)
        if at is None:
            return
        s, addr = at
        if slot == TSEG:
            assert fault(self.k, addr, False) == (-1 if s.type & SG_RONLY else 0)
            return
        old = self.expected(s, addr)
        assert fault(self.k, addr, False) == 0
        p = entry(s, addr)
        assert isinstance(p, Page)
        assert self.k.mem.read(p.pa, 1) == old
        self.k.mem.write(p.pa, bytes([v]))
        self.memory[s, addr] = bytes([v])

    @rule(addr=st.sampled_from([0, TEXT - 1, BSS - 1, USTKTOP]), write=st.booleans())
    def wild(self, addr: int, write: bool) -> None:
        if seg(self.k, self.up(), addr, 0) is None:
            assert fault(self.k, addr, not write) == -1
            assert not okaddr(self.k, addr, 1, write)

    def forget(self, s: Segment, start: int, end: int) -> None:
        for key in [k for k in self.memory if k[0] is s and start <= k[1] < end]:
            del self.memory[key]

    @rule(pages=st.sampled_from([0, 1, 2, 3, 4, 8, 300, 4200]))
    def brk(self, pages: int) -> None:
        s = self.up().seg[BSEG]
        try:
            ibrk(self.k, BSS + pages * BY2PG, BSEG)
        except Error:
            assert s is None or s.ref > 1
            return
        assert s is not None and s.size == pages
        self.forget(s, BSS + pages * BY2PG, 1 << 32)

    @rule(slot=st.sampled_from([BSEG, SSEG, SEG1]), n=page_no, pages=st.integers(0, 280))
    def segfree(self, slot: int, n: int, pages: int) -> None:
        s = self.up().seg[slot]
        if s is None or n + pages > s.size:
            return
        start = s.base + n * BY2PG
        qlock(self.k, s)
        mfreeseg(self.k, s, start, pages)
        qunlock(self.k, s)
        flushmmu(self.k)
        self.forget(s, start, start + pages * BY2PG)

    @rule(name=st.sampled_from(["shared", "memory"]), pages=st.sampled_from([1, 5, 300]))
    def segattach(self, name: str, pages: int) -> None:
        up = self.up()
        if up.seg[SEG1] is not None:
            return
        up.seg[ESEG + 1] = hole = newseg(self.k, SG_BSS, 0x2000, 0)  # so that SEG1 is the first free slot
        try:
            va = segattach(self.k, up, 0, name, 0, pages * BY2PG)
        finally:
            up.seg[ESEG + 1] = None
            putseg(self.k, hole)
        s = up.seg[SEG1]
        assert s is not None and (s.base, s.size) == (va, pages) and s.top <= STACK

    @rule()
    def segdetach(self) -> None:
        up = self.up()
        s, up.seg[SEG1] = up.seg[SEG1], None
        putseg(self.k, s)
        flushmmu(self.k)

    @rule(slot=slots, n=page_no)
    def segflush(self, slot: int, n: int) -> None:
        at = self.where(slot, n)
        if at is not None:
            segflush(self.k, at[1], BY2PG)
            assert at[0].flushme

    @rule(slot=slots)
    def count(self, slot: int) -> None:
        s = self.up().seg[slot]
        if s is not None:
            tables = [t for t in s.map if t is not None]
            swapped = self.pagecache == "parent"  # are counted, too
            entries = [e for t in tables for e in t.pages if e is not None]
            assert mcountseg(self.k, s) == sum(isinstance(e, Page) or swapped for e in entries)

    # Paging out

    @rule(n=st.integers(0, 5), ticks=st.lists(st.sampled_from([0, 1, 16, 16]), min_size=1, max_size=3))
    def sweep(self, n: int, ticks: list[int]) -> None:
        """What the pager does with a process, as the clock goes on."""
        k, up = self.k, self.up()
        p = self.procs[n % len(self.procs)]
        if p is up:
            up.mach = None  # as if the pager were current
        for t in ticks:
            k.ageclock = (k.ageclock + t) & 0xFFFF
            pageproc(k, p)
            executeio(k)
        k.become(up)

    @rule(n=st.integers(0, 5), accesses=st.lists(st.tuples(page_no, st.integers(0, 255)), min_size=1, max_size=5))
    def faults_during_pageout(self, n: int, accesses: list[tuple[int, int]]) -> None:
        """Another process faults while the pager writes."""
        k, up = self.k, self.up()
        p = self.procs[n % len(self.procs)]

        def meanwhile(*_: object) -> None:
            k.dev.onwrite = None
            k.become(p)
            for slot in (DSEG, BSEG):
                for i, v in accesses:
                    if self.roomy():
                        self.load(slot, i) if v < 100 else self.store(slot, i, v)
            k.become(up)

        k.dev.onwrite = meanwhile
        up.mach = None
        self.sweep(n, [0, 16])
        k.dev.onwrite = None

    @rule(slot=slots)
    def pageout_running(self, slot: int) -> None:
        s = self.up().seg[slot]
        if s is not None:
            n = mcountseg(self.k, s)
            pageout(self.k, self.up(), s)
            assert mcountseg(self.k, s) == n


class ParentKernel(Kernel):
    """The same with the page cache that the commit replaced."""

    pagecache = "parent"


def test_no_sequence_of_operations_breaks_an_invariant_of_the_parents_page_cache() -> None:
    run_state_machine_as_test(
        ParentKernel,
        settings=settings(max_examples=50, stateful_step_count=60, derandomize=True, deadline=None, database=None),
    )


def test_no_sequence_of_operations_breaks_an_invariant() -> None:
    run_state_machine_as_test(
        Kernel,
        settings=settings(max_examples=250, stateful_step_count=60, derandomize=True, deadline=None, database=None),
    )
