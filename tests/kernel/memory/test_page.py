"""The pool of pages and the page cache."""

from __future__ import annotations

import pytest

from kernel.base.dat import BSEG, NOADDR, PG_ONSWAP, SG_BSS, SG_PHYSICAL, Image, Page, Physseg, Pte
from kernel.base.error import Panic
from kernel.base.mem import BY2PG, MB
from kernel.base.procdat import Queueing, Ready, Wakeme
from kernel.memory.check import check
from kernel.memory.page import (
    auxpage,
    cachedel,
    cachepage,
    checkpagerefs,
    copypage,
    freepte,
    lookpage,
    newpage,
    pagereclaim,
    ptecpy,
    putpage,
    uncachepage,
)
from kernel.memory.palloc import pagenumber
from kernel.memory.segment import attachimage, newseg, putseg
from kernel.memory.swapmap import newswap, onswap, pagedout, putswap, swapaddr, swapcount
from kernel.sched.note import postnote
from kernel.sched.qlock import qlock
from kernel.sched.ref import incref
from kernel.sched.sleep import sleep
from kernel.sched.taslock import unlock
from tests.kernel.plain import PlainKernel, chain, freelist

CHAINS = 512 * BY2PG  # disc addresses this far apart share a chain


def cached(k: PlainKernel, i: Image, daddr: int) -> Page:
    """A page with one reference in i's cache."""
    p = k.page()
    p.daddr = daddr
    cachepage(k, p, i)
    return p


def image(k: PlainKernel, pages: int = 4) -> Image:
    """An image that only its text segment holds."""
    i = attachimage(k, 0, k.file(bytes(pages * BY2PG)), 0x1000, pages)
    unlock(k, i)
    return i


# Taking and giving back


def test_frames_are_handed_out_from_the_highest_down(kernel: PlainKernel) -> None:
    a, b = kernel.page(), kernel.page()
    assert [pagenumber(kernel, p) for p in (a, b)] == [63, 62]
    assert a.pa == kernel.palloc.base + 63 * BY2PG


def test_page_freed_last_is_taken_first(kernel: PlainKernel) -> None:
    a, b, c = (kernel.page() for _ in range(3))
    for p in (a, c, b):
        putpage(kernel, p)
    assert freelist(kernel) == [62, 61, 63, *range(60, -1, -1)]
    assert [kernel.page() for _ in range(3)] == [b, c, a]


def test_pages_exist_only_for_frames_that_were_taken(kernel: PlainKernel) -> None:
    before = len(kernel.palloc.pages)
    kernel.page()
    assert len(kernel.palloc.pages) == before + 1
    assert kernel.palloc.fresh == 64 - before - 1
    assert kernel.palloc.freecount == 64 - before - 1


def test_newpage_sets_address_and_forgets_the_last_owner(kernel: PlainKernel) -> None:
    p = kernel.page(0x5000)
    p.modref = 3
    p.cachectl[0] = 1
    kernel.fill(p, 7)
    putpage(kernel, p)
    q = kernel.page(0x9000)
    assert q is p
    assert (q.ref, q.va, q.modref, q.cachectl[0], q.next) == (1, 0x9000, 0, 0, None)
    assert kernel.mem.read(q.pa, 4) == b"\7\7\7\7"


def test_newpage_clears_if_asked(kernel: PlainKernel) -> None:
    putpage(kernel, kernel.page(clear=True))  # has the process's tables made
    p = kernel.page()
    kernel.fill(p, 7)
    putpage(kernel, p)
    q = newpage(kernel, True, 0)
    assert q is p
    assert kernel.mem.read(q.pa, BY2PG) == bytes(BY2PG)


def short() -> tuple[PlainKernel, list[Page]]:
    """A kernel whose free memory is one page below highwater, and the pages taken. No pager comes to help."""
    k = PlainKernel(100)
    k.nopager()
    held: list[Page] = []

    def kproc() -> None:
        while k.palloc.freecount >= k.swapalloc.highwater:
            held.append(k.page())

    k.spawn(kproc, kp=True)
    k.run(1)
    assert k.palloc.freecount == 4
    return k, held


def test_process_waits_at_highwater_and_a_kernel_process_does_not() -> None:
    k, held = short()
    got: list[Page | str] = []

    def user() -> None:
        got.append(k.page())

    def kproc() -> None:
        got.extend(k.page() for _ in range(4))
        got.append(f"{k.palloc.freecount} left")

    p = k.spawn(user)
    k.run(10)
    assert (got, p.r) == ([], k.palloc.r)
    k.spawn(kproc, kp=True)
    k.run(10)
    assert got[4:] == ["0 left"]
    k.become(k.process())
    for page in held[:6]:
        putpage(k, page)
    k.run(100)
    assert got[5:] == [held[5]]


def test_newpage_that_waited_gives_the_segment_up() -> None:
    k, _ = short()
    seen: list[object] = []

    def body() -> None:
        s = newseg(k, SG_BSS, 0x10000, 1)
        qlock(k, s)
        seen.append(newpage(k, False, 0x10000, s))
        seen.append(s.locked)

    k.spawn(body)
    k.run(1500)
    assert seen == [None, False]


def test_requesters_of_memory_queue_behind_one_who_sleeps() -> None:
    k, _ = short()
    second, first = (k.spawn(lambda: putpage(k, k.page())) for _ in range(2))  # the last one readied runs first
    k.run(1)
    assert first.r is k.palloc.r
    assert k.palloc.pwait.holder is first
    assert k.palloc.pwait.head is second


def test_note_makes_a_waiter_for_memory_try_again() -> None:
    k, _ = short()
    first, second = (k.spawn(lambda: putpage(k, k.page())) for _ in range(2))
    k.run(100)
    for p in (second, first):
        postnote(k, p, 0, "interrupt", 0)
        assert p.state == Ready
    k.run(100)
    assert sorted(p.state for p in (first, second)) == [Queueing, Wakeme]


def test_newpage_panics_when_there_is_no_hope() -> None:
    k, held = short()

    def body() -> None:
        putpage(k, held[0])  # now free memory is highwater: too little to go on, enough not to sleep
        k.page()

    k.spawn(body)
    with pytest.raises(Panic, match="newpage: no progress"):
        k.run()


def test_putpage_of_an_entry_on_swap_gives_the_slot_back(kernel: PlainKernel) -> None:
    daddr = newswap(kernel)
    putpage(kernel, daddr | PG_ONSWAP)
    assert swapcount(kernel, daddr) == 1


def test_putpage_with_other_references_frees_nothing(kernel: PlainKernel) -> None:
    p = kernel.page()
    incref(kernel, p)
    n = kernel.palloc.freecount
    putpage(kernel, p)
    assert (p.ref, kernel.palloc.freecount) == (1, n)


def test_reference_that_is_not_there_panics(kernel: PlainKernel) -> None:
    p = kernel.page()
    putpage(kernel, p)
    with pytest.raises(Panic, match="decref"):
        putpage(kernel, p)


def test_page_cached_while_putpage_is_at_it_stays_in_the_cache(kernel: PlainKernel) -> None:
    """Shared by fork; one drops it while the pager pages it out for the other. The original frees it."""
    p = kernel.page()
    incref(kernel, p)

    def pager(point: str) -> None:
        kernel.explore = None
        p.daddr = 0
        cachepage(kernel, p, kernel.swapimage)
        putpage(kernel, p)

    kernel.explore = pager
    putpage(kernel, p)
    assert p.image is kernel.swapimage
    assert kernel.palloc.head is not p
    assert check(kernel) == []


def test_page_uncached_while_putpage_is_at_it_is_freed(kernel: PlainKernel) -> None:
    """Its slot was free, and the pager, which takes the slot for another page, forgets it. The original loses it."""
    p = kernel.page()
    p.daddr = 0
    cachepage(kernel, p, kernel.swapimage)

    def pager(point: str) -> None:
        kernel.explore = None
        cachedel(kernel, kernel.swapimage, 0)

    kernel.explore = pager
    putpage(kernel, p)
    assert kernel.palloc.head is p
    assert check(kernel) == []


def test_auxpage_leaves_memory_from_highwater_down_to_others(kernel: PlainKernel) -> None:
    taken = []
    while (p := auxpage(kernel)) is not None:
        taken.append(p)
    assert kernel.palloc.freecount == kernel.swapalloc.highwater - 1
    assert all(p.ref == 1 for p in taken)


def test_auxpage_keeps_what_the_last_owner_left(kernel: PlainKernel) -> None:
    p = kernel.page(0x7000)
    p.modref = 3
    putpage(kernel, p)
    q = auxpage(kernel)
    assert q is p
    assert (q.va, q.modref, q.ref) == (0x7000, 3, 1)


def test_copypage_copies_all_bytes(kernel: PlainKernel) -> None:
    a, b = kernel.page(), kernel.page()
    kernel.fill(a, 0xA5)
    copypage(kernel, a, b)
    assert kernel.mem.read(b.pa, BY2PG) == b"\xa5" * BY2PG
    assert kernel.up is not None and kernel.up.nkmap == 0


# The page cache


def test_cached_page_survives_its_last_reference(kernel: PlainKernel) -> None:
    p = cached(kernel, kernel.fscache, 0x3000)
    putpage(kernel, p)
    assert p.ref == 0
    assert lookpage(kernel, kernel.fscache, 0x3000) is p
    assert p.ref == 1


def test_uncached_page_is_freed_with_its_last_reference(kernel: PlainKernel) -> None:
    p = cached(kernel, kernel.fscache, 0x3000)
    uncachepage(kernel, p)
    assert (p.image, p.daddr) == (None, NOADDR)
    assert lookpage(kernel, kernel.fscache, 0x3000) is None
    putpage(kernel, p)
    assert kernel.palloc.head is p


def test_lookpage_tells_addresses_of_one_chain_apart(kernel: PlainKernel) -> None:
    a = cached(kernel, kernel.fscache, 0)
    b = cached(kernel, kernel.fscache, CHAINS)
    assert chain(kernel.fscache, 0) == [b, a]
    assert lookpage(kernel, kernel.fscache, 0) is a
    assert lookpage(kernel, kernel.fscache, CHAINS) is b
    assert lookpage(kernel, kernel.fscache, 2 * CHAINS) is None


@pytest.mark.parametrize("n", [0, 1, 2])
def test_uncachepage_takes_a_page_from_anywhere_in_its_chain(kernel: PlainKernel, n: int) -> None:
    pages = [cached(kernel, kernel.fscache, i * CHAINS) for i in range(3)]
    uncachepage(kernel, pages[n])
    assert chain(kernel.fscache, 0) == [p for p in reversed(pages) if p is not pages[n]]
    assert (kernel.fscache.ref, kernel.fscache.pgref) == (2, 2)


def test_uncachepage_of_an_uncached_page_does_nothing(kernel: PlainKernel) -> None:
    p = kernel.page()
    uncachepage(kernel, p)
    assert p.ref == 1


def test_uncachepage_when_another_process_did_it_while_we_waited_for_the_lock(kernel: PlainKernel) -> None:
    p = cached(kernel, kernel.fscache, 0)

    def other(point: str) -> None:
        if point == "lock":
            kernel.explore = None
            uncachepage(kernel, p)

    kernel.explore = other
    uncachepage(kernel, p)
    assert (kernel.fscache.pgref, p.image) == (0, None)


def test_uncachepage_of_a_page_that_is_on_no_chain_leaves_the_image(kernel: PlainKernel) -> None:
    p = cached(kernel, kernel.fscache, 0)
    p.daddr = BY2PG  # the caller broke the rule
    uncachepage(kernel, p)
    assert (kernel.fscache.pgref, kernel.fscache.key) == (1, False)


def test_cachedel_forgets_every_page_of_that_address(kernel: PlainKernel) -> None:
    a = cached(kernel, kernel.fscache, 0x2000)
    b = cached(kernel, kernel.fscache, 0x2000)
    other = cached(kernel, kernel.fscache, 0x2000 + CHAINS)
    putpage(kernel, b)
    cachedel(kernel, kernel.fscache, 0x2000)
    assert chain(kernel.fscache, 2) == [other]
    assert (a.ref, b.ref) == (1, 0)
    assert kernel.palloc.head is b


def test_cached_page_counts_as_a_reference_of_its_image(kernel: PlainKernel) -> None:
    i = image(kernel)
    cached(kernel, i, 0)
    assert (i.ref, i.pgref) == (2, 1)


# Reclaiming


def test_pagereclaim_frees_one_unreferenced_page_of_each_chain(kernel: PlainKernel) -> None:
    pages = [cached(kernel, kernel.fscache, a) for a in (0, CHAINS, BY2PG, 5 * BY2PG)]
    for p in pages[:3]:
        putpage(kernel, p)
    assert pagereclaim(kernel, kernel.fscache, 1000) == 2
    assert freelist(kernel)[:2] == [pagenumber(kernel, pages[1]), pagenumber(kernel, pages[2])]
    assert chain(kernel.fscache, 0) == [pages[0]]
    assert chain(kernel.fscache, 5) == [pages[3]]
    assert (pages[1].image, pages[1].daddr) == (None, NOADDR)


@pytest.mark.parametrize(("min", "n"), [(0, 1), (1, 1), (2, 2), (9, 4)])
def test_pagereclaim_tests_min_after_counting(kernel: PlainKernel, min: int, n: int) -> None:
    for i in range(4):
        putpage(kernel, cached(kernel, kernel.fscache, i * BY2PG))
    assert pagereclaim(kernel, kernel.fscache, min) == n
    assert kernel.fscache.pgref == 4 - n


def test_pagereclaim_skips_referenced_pages_in_a_chain(kernel: PlainKernel) -> None:
    a = cached(kernel, kernel.fscache, 0)
    b = cached(kernel, kernel.fscache, CHAINS)
    c = cached(kernel, kernel.fscache, 2 * CHAINS)
    putpage(kernel, a)
    assert pagereclaim(kernel, kernel.fscache, 10) == 1
    assert chain(kernel.fscache, 0) == [c, b]


def test_pagereclaim_of_an_empty_image_takes_no_reference(kernel: PlainKernel) -> None:
    assert pagereclaim(kernel, kernel.fscache, 10) == 0
    assert kernel.fscache.ref == 0


def test_pagereclaim_of_the_last_pages_frees_the_image(kernel: PlainKernel) -> None:
    i = image(kernel)
    putpage(kernel, cached(kernel, i, 0))
    putseg(kernel, i.s)
    assert (i.ref, i.pgref) == (1, 1)
    assert pagereclaim(kernel, i, 10) == 1
    assert i.ref == 0
    assert kernel.imagealloc.free is i


def test_freed_pages_wake_who_waits_for_memory() -> None:
    k = PlainKernel()
    woken: list[int] = []

    def body() -> None:
        sleep(k, k.palloc.r, lambda: False)
        woken.append(1)

    k.spawn(body)
    k.run(1)
    k.spawn(lambda: putpage(k, k.page()))
    k.run(1)
    assert woken == [1]


# Page tables of segments


def test_ptecpy_shares_pages_and_slots(kernel: PlainKernel) -> None:
    old = Pte()
    p = kernel.page()
    daddr = newswap(kernel)
    old.pages[3], old.pages[7] = p, daddr | PG_ONSWAP
    old.first, old.last = 2, 9
    new = ptecpy(kernel, old)
    assert (new.pages[3], new.pages[7]) == (p, daddr | PG_ONSWAP)
    assert (new.first, new.last) == (2, 7)
    assert (p.ref, swapcount(kernel, daddr)) == (2, 3)


def test_freepte_puts_pages_and_slots(kernel: PlainKernel) -> None:
    pte = Pte()
    p = kernel.page()
    daddr = newswap(kernel)
    pte.pages[3], pte.pages[7] = p, daddr | PG_ONSWAP
    pte.first, pte.last = 3, 7
    freepte(kernel, newseg(kernel, SG_BSS, 0x1000, 16), pte)
    assert pte.pages[3] is None and pte.pages[7] is None
    assert (p.ref, swapcount(kernel, daddr)) == (0, 1)
    putswap(kernel, daddr)


@pytest.mark.parametrize("ownfree", [False, True])
def test_freepte_of_a_physical_segment_keeps_its_frames_from_the_pool(kernel: PlainKernel, ownfree: bool) -> None:
    freed: list[Page] = []
    s = newseg(kernel, SG_PHYSICAL, 0x1000, 4)
    s.pseg = Physseg(SG_PHYSICAL, "fb", 0xC000_0000, MB, pgfree=freed.append if ownfree else None)
    p = Page(0xC000_0000, 1)
    p.ref = 1
    pte = Pte()
    pte.pages[200] = p  # first and last do not matter here
    n = kernel.palloc.freecount
    freepte(kernel, s, pte)
    assert pte.pages[200] is None
    assert kernel.palloc.freecount == n
    assert (freed, p.ref) == (([p], 1) if ownfree else ([], 0))


def test_entries_on_swap_are_told_from_pages(kernel: PlainKernel) -> None:
    p = kernel.page()
    assert (onswap(p), onswap(0x3001), onswap(None)) == (False, True, False)
    assert (pagedout(p), pagedout(0x3001), pagedout(None)) == (False, True, True)
    assert swapaddr(0x3001) == 0x3000


# Counting references


def test_checkpagerefs_finds_what_nobody_holds(kernel: PlainKernel) -> None:
    assert kernel.up is not None
    s = kernel.segment(kernel.up, BSEG, SG_BSS, 0x10000, 4)
    pte = s.map[0] = Pte()
    pte.pages[1] = kernel.page(0x11000)
    pte.first = pte.last = 1
    assert checkpagerefs(kernel) == 0
    lost = kernel.page()
    assert checkpagerefs(kernel) == 1
    assert f"page {lost.pa:#x} ref 0 actual 1\n" in kernel.printed
    assert "1 mistakes found\n" in kernel.printed


def test_checkpagerefs_counts_a_shared_segment_once_and_a_physical_one_not_at_all(kernel: PlainKernel) -> None:
    assert kernel.up is not None
    other = kernel.process()
    s = kernel.segment(kernel.up, BSEG, SG_BSS, 0x10000, 4)
    s.ref = 2
    other.seg[BSEG] = s
    pte = s.map[0] = Pte()
    pte.pages[0] = kernel.page(0x10000)
    pte.first = pte.last = 0
    phys = kernel.segment(other, 6, SG_PHYSICAL, 0x20000, 1)
    pte = phys.map[0] = Pte()
    pte.pages[0] = Page(0, 1)
    pte.first = pte.last = 0
    assert checkpagerefs(kernel) == 0
    assert s.mark == 2


# What is told


def test_each_thing_done_with_a_page_is_told(kernel: PlainKernel) -> None:
    kernel.listen()
    p = cached(kernel, kernel.fscache, 0)
    assert lookpage(kernel, kernel.fscache, 0) is p
    uncachepage(kernel, p)
    q = kernel.page()
    copypage(kernel, p, q)
    putpage(kernel, q)
    p.daddr = 0
    cachepage(kernel, p, kernel.fscache)
    putpage(kernel, p)
    putpage(kernel, p)
    pagereclaim(kernel, kernel.fscache, 1)
    told = [op for op in kernel.told("page") if op != "alloc"]
    assert told == ["cache", "lookup", "uncache", "copy", "free", "cache", "reclaim", "free"]
