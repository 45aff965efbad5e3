"""The checker finds each kind of wrong, and nothing in a kernel that is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from kernel.base.dat import (
    BSEG,
    DSEG,
    PG_ONSWAP,
    SEG1,
    SG_BSS,
    SG_DATA,
    SG_PHYSICAL,
    SG_RONLY,
    SG_TEXT,
    TSEG,
    Page,
    Physseg,
)
from kernel.base.error import Panic
from kernel.base.mem import BY2PG, KMAP, MB, PDX, PTEDIRTY, PTEUSER, PTEWRITE
from kernel.memory.check import check, checknow, mustcheck
from kernel.memory.fault import fault
from kernel.memory.mmu import flushmmu
from kernel.memory.page import cachepage, putpage
from kernel.memory.palloc import pagenumber
from kernel.memory.segment import attachimage, dupseg, newseg
from kernel.memory.swap import executeio, pageout, setswapchan
from kernel.memory.swapmap import dupswap, newswap, putswap
from kernel.sched.taslock import unlock
from tests.kernel.plain import PlainKernel, entry

TEXT, DATA, BSS, FB = 0x1000, 0x10000, 0x100000, 0x50000000
Change = Callable[[PlainKernel], object]


def busy(begin: Change = lambda k: None) -> PlainKernel:
    """A kernel with a bit of everything: text, data, bss on swap and in memory, a fork, a physical segment.

    ``begin`` is called when there is nothing yet.
    """
    k = PlainKernel()
    begin(k)
    p = k.become(k.process())
    setswapchan(k, k.file(bytes(32 * BY2PG)))
    i = attachimage(k, SG_TEXT | SG_RONLY, k.file(bytes(8 * BY2PG)), TEXT, 4)
    unlock(k, i)
    assert i.s is not None
    p.seg[TSEG] = i.s
    i.s.flen = 4 * BY2PG
    k.segment(p, DSEG, SG_DATA, DATA, 4, i)
    bss = k.segment(p, BSEG, SG_BSS, BSS, 8)
    k.segment(p, SEG1, SG_PHYSICAL, FB, 1).pseg = Physseg(SG_PHYSICAL, "fb", 0xC0000000, MB)
    for n in range(4):
        assert fault(k, BSS + n * BY2PG, False) == 0
    p.mach = None
    pageout(k, p, bss)
    k.ageclock = 16
    pageout(k, p, bss)
    k.become(p)
    executeio(k)
    for addr in (TEXT, TEXT + BY2PG, DATA, BSS):
        assert fault(k, addr, True) == 0
    for addr in (DATA + BY2PG, BSS + 7 * BY2PG, FB):
        assert fault(k, addr, False) == 0
    child = k.process("child")
    for slot in (TSEG, DSEG, BSEG, SEG1):
        child.seg[slot] = dupseg(k, p.seg, slot, 0)
    flushmmu(k)
    for addr in (TEXT, DATA, BSS, BSS + 7 * BY2PG):
        assert fault(k, addr, True) == 0
    assert fault(k, DATA + BY2PG, False) == 0
    return k


@pytest.fixture
def kernel() -> PlainKernel:
    """busy()."""
    return busy()


def wrong(k: PlainKernel, told: str) -> None:
    """check() must say this among what it says."""
    texts = check(k)
    assert any(told in t for t in texts), texts


def page(k: PlainKernel, addr: int) -> Page:
    """The current process's page at addr."""
    assert k.up is not None
    s = next(s for s in k.up.seg if s is not None and s.base <= addr < s.top)
    p = entry(s, addr)
    assert isinstance(p, Page)
    return p


def pte(k: PlainKernel, addr: int) -> int:
    """Word index of the current process's page table entry for addr."""
    assert k.up is not None and k.up.mmupdb is not None
    w = k.mem.words
    return (w[(k.up.mmupdb.pa >> 2) + PDX(addr)] & ~0xFFF) // 4 + (addr >> 12 & 0x3FF)


def setword(k: PlainKernel, i: int, change: Callable[[int], int]) -> None:
    """Change a word of memory."""
    k.mem.words[i] = change(k.mem.words[i])


def test_nothing_is_wrong_with_a_busy_kernel(kernel: PlainKernel) -> None:
    assert check(kernel) == []
    mustcheck(kernel)


def test_what_a_test_holds_itself_can_be_told(kernel: PlainKernel) -> None:
    p = kernel.page()
    s = newseg(kernel, SG_BSS, 0, 1)
    wrong(kernel, "has ref 1, 0 holders")
    assert check(kernel, Counter({pagenumber(kernel, p): 1}), [s]) == []


def test_a_process_that_runs_may_hold_what_is_not_counted(kernel: PlainKernel) -> None:
    """At an event it is in the middle of something; what is too little is wrong all the same."""
    assert checknow(kernel) == []
    page = next(p for p in kernel.palloc.pages.values() if p.ref == 1)
    page.ref += 1
    assert checknow(kernel) == []
    assert check(kernel) == [f"page {page.pa:#x} has ref 2, 1 holders"]
    page.ref = 0
    assert f"page {page.pa:#x} has ref 0, 1 holders" in (checknow(kernel) or [])


def test_while_a_process_that_has_ended_gives_its_tables_back_nothing_is_known(kernel: PlainKernel) -> None:
    up = kernel.up
    assert up is not None
    up.pid = 0
    assert checknow(kernel) is None


def test_kernel_check_panics(kernel: PlainKernel) -> None:
    kernel.palloc.freecount += 1
    with pytest.raises(Panic, match="check: freecount is"):
        mustcheck(kernel)


def lostfree(k: PlainKernel) -> None:
    p = k.page()
    p.ref = 0


def twice(k: PlainKernel) -> None:
    p = k.page()
    putpage(k, p)
    p.next = p


def freeref(k: PlainKernel) -> None:
    putpage(k, k.page())
    assert k.palloc.head is not None
    k.palloc.head.ref = 1


def freeimage(k: PlainKernel) -> None:
    putpage(k, k.page())
    assert k.palloc.head is not None
    k.palloc.head.image = k.fscache


def chaincycle(k: PlainKernel) -> None:
    p = page(k, TEXT)
    p.next = p


def otherimage(k: PlainKernel) -> None:
    page(k, TEXT).image = k.fscache


def wrongchain(k: PlainKernel) -> None:
    page(k, TEXT).daddr += BY2PG


def nochain(k: PlainKernel) -> None:
    page(k, BSS + 7 * BY2PG).image = k.fscache


def twolists(k: PlainKernel) -> None:
    p = k.page()
    cachepage(k, p, k.fscache)
    p.ref = 0
    k.palloc.head, p.next = p, None


def outside(k: PlainKernel) -> None:
    assert k.up is not None and k.up.seg[BSEG] is not None
    t = k.up.seg[BSEG].map[0]  # type: ignore[union-attr]
    assert t is not None
    t.last = 6


def lostslot(k: PlainKernel) -> None:
    k.swapalloc.swmap[1] = 0


def image(k: PlainKernel) -> None:
    k.imagealloc.list[0].ref += 1


def imagefree(k: PlainKernel) -> None:
    k.imagealloc.list[0].next = k.imagealloc.free
    k.imagealloc.free = k.imagealloc.list[0]


def badsegment(k: PlainKernel) -> None:
    assert k.up is not None
    i = k.imagealloc.list[0]
    i.s = newseg(k, SG_TEXT, 0, 1)


def oldtable(k: PlainKernel) -> None:
    assert k.up is not None and k.up.mmupdb is not None
    k.mem.words[k.up.mmupdb.pa >> 2] = 0


def kmaptable(k: PlainKernel) -> None:
    assert k.up is not None and k.up.mmupdb is not None
    setword(k, (k.up.mmupdb.pa >> 2) + PDX(KMAP), lambda w: w + BY2PG)


def badtable(k: PlainKernel) -> None:
    assert k.up is not None and k.up.mmupdb is not None
    setword(k, k.up.mmupdb.pa >> 2, lambda w: w + BY2PG)


def pool(k: PlainKernel) -> None:
    k.m.pdbcnt += 1


def set_(name: str, value: int) -> Change:
    """A change of a field of the page at TEXT."""
    return lambda k: setattr(page(k, TEXT), name, value)


WRONG: dict[str, tuple[Change, str]] = {
    "free count": (lambda k: setattr(k.palloc, "freecount", k.palloc.freecount - 1), "freecount is"),
    "a page on no list": (lostfree, "is lost"),
    "a free list in a ring": (twice, "on the free list and the free list"),
    "a reference to a free page": (freeref, "free page"),
    "an image of a free page": (freeimage, "has an image"),
    "a lost reference": (set_("ref", 1), "has ref 1, 3 holders"),
    "a reference too many": (set_("ref", 9), "has ref 9"),
    "a page referenced no more": (set_("ref", 0), "with ref 0"),
    "a chain in a ring": (chaincycle, "chain"),
    "a page of another image": (otherimage, "has another image"),
    "a page on the wrong chain": (wrongchain, "is on chain"),
    "a cached page on no chain": (nochain, "is on no chain"),
    "a page on two lists": (twolists, "is on the free list and chain"),
    "the count of cached pages": (lambda k: setattr(k.swapimage, "pgref", 0), "has pgref 0"),
    "more cached pages than references": (lambda k: setattr(k.imagealloc.list[0], "ref", 1), "over ref 1"),
    "an image's references": (image, "image 0 has ref"),
    "an image both used and free": (imagefree, "in use is on the free list"),
    "a free image with references": (lambda k: setattr(k.imagealloc.list[3], "ref", 1), "free image 3 has ref 1"),
    "an image's hash": (lambda k: setattr(k.imagealloc.list[0].qid, "path", 70), "hashed wrong"),
    "an image's segment": (badsegment, "has a segment nobody has"),
    "a segment's references": (lambda k: setattr(k.up and k.up.seg[DSEG], "ref", 2), "has 1 holders"),
    "an entry beyond last": (outside, "uses entries outside 0..6"),
    "a slot's count": (lostslot, "swap slot 1 has count 0"),
    "a slot's count too high": (lambda k: dupswap(k, BY2PG), "swap slot 1 has count"),
    "a slot nobody holds": (lambda k: newswap(k), "used slots"),
    "an image not hashed": (lambda k: k.imagealloc.hash.__setitem__(slice(None), [None] * 64), "image 0 with ref"),
    "an image not free": (lambda k: setattr(k.imagealloc, "free", None), "image 1 with ref 0 is lost"),
    "the free slots": (lambda k: setattr(k.swapalloc, "free", 5), "swap has 5 free slots"),
    "the pool of directories": (pool, "counts 1 page directories, has 0"),
    "a table not in its directory": (oldtable, "is not in the directory"),
    "a directory entry": (badtable, "directory entry 0x0 is"),
    "the entry for kmap": (kmaptable, "KMAP entry is"),
    "a stale mapping": (lambda k: setword(k, pte(k, TEXT), lambda w: w + BY2PG), "its segment has"),
    "a mapping without a segment": (lambda k: setword(k, pte(k, 0), lambda w: 0x5007), "which is in no segment"),
    "a mapping of no page": (lambda k: setword(k, pte(k, TEXT + 3 * BY2PG), lambda w: 0x5005), "its segment has None"),
    "a supervisor's mapping": (lambda k: setword(k, pte(k, TEXT), lambda w: w & ~PTEUSER), "without PTEUSER"),
    "writable text": (lambda k: setword(k, pte(k, TEXT), lambda w: w | PTEWRITE), "of its text"),
    "a writable shared page": (lambda k: setword(k, pte(k, BSS), lambda w: w | PTEWRITE), "shared or cached"),
    "dirt without access": (lambda k: setword(k, pte(k, TEXT), lambda w: w | PTEDIRTY), "dirty and not accessed"),
}


@pytest.mark.parametrize("what", WRONG)
def test_check_finds(kernel: PlainKernel, what: str) -> None:
    change, told = WRONG[what]
    change(kernel)
    wrong(kernel, told)


def test_page_on_the_iolist_is_held(kernel: PlainKernel) -> None:
    p = kernel.page()
    p.daddr = newswap(kernel)
    cachepage(kernel, p, kernel.swapimage)
    kernel.iolist.append(p)
    wrong(kernel, "has count 2, 1 holders")
    putswap(kernel, p.daddr)
    assert check(kernel) == []


def test_what_is_being_written_is_counted_where_nothing_else_was_ever_on_swap() -> None:
    k = PlainKernel()
    k.become(k.process())
    p = k.page()
    p.daddr = newswap(k)
    cachepage(k, p, k.swapimage)
    k.iolist.append(p)
    wrong(k, "has count 2, 1 holders")


def test_swap_entry_is_held(kernel: PlainKernel) -> None:
    assert kernel.up is not None
    s = kernel.up.seg[BSEG]
    assert s is not None and s.map[0] is not None
    s.map[0].pages[5] = 20 * BY2PG | PG_ONSWAP
    wrong(kernel, "swap slot 20 has count 0, 1 holders")


def test_process_that_will_flush_may_have_stale_mappings(kernel: PlainKernel) -> None:
    assert kernel.up is not None
    setword(kernel, pte(kernel, TEXT), lambda w: w + BY2PG)
    kernel.up.newtlb = True
    assert check(kernel) == []
