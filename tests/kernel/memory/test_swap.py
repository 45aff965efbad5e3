"""The swap map, paging out, and the pager."""

from __future__ import annotations

import pytest

from kernel.base.chandat import Chan
from kernel.base.dat import (
    BSEG,
    DSEG,
    NOADDR,
    PG_ONSWAP,
    PG_REF,
    SEG1,
    SG_BSS,
    SG_PHYSICAL,
    SG_RONLY,
    SG_TEXT,
    TSEG,
    Page,
    Pte,
    Segment,
)
from kernel.base.error import Error, Panic
from kernel.base.mem import BY2PG
from kernel.base.procdat import Dead, Proc, Proc_exitbig
from kernel.memory.check import mustcheck
from kernel.memory.fault import fault
from kernel.memory.mmu import pteword
from kernel.memory.page import auxpage, cachepage, lookpage, putpage
from kernel.memory.segment import attachimage
from kernel.memory.swap import canflush, executeio, kickpager, pageout, pageproc, pagersummary, reclaim, setswapchan
from kernel.memory.swapmap import dupswap, newswap, putswap, swapcount
from kernel.sched.qlock import qlock, qunlock
from kernel.sched.taslock import unlock
from tests.kernel.plain import PlainKernel, entry, me

BASE = 0x100000


def at(s: Segment, n: int) -> Page:
    """The page at entry n of s."""
    p = entry(s, s.base + n * BY2PG)
    assert isinstance(p, Page)
    return p


def swapfile(k: PlainKernel, slots: int = 32) -> Chan:
    """Swap to a new file."""
    c = k.file(bytes(slots * BY2PG))
    setswapchan(k, c)
    return c


def touched(k: PlainKernel, npages: int, slot: int = BSEG) -> Segment:
    """A bss segment of the current process, each page written with its number."""
    s = k.segment(me(k), slot, SG_BSS, BASE * (slot + 1), npages)
    for n in range(npages):
        assert fault(k, s.base + n * BY2PG, False) == 0
        k.fill(at(s, n), n + 1)
    return s


def age(k: PlainKernel, p: Proc, s: Segment, ticks: int = 16) -> None:
    """Visit s once, so that its pages are stamped, and let time go by. p stops running."""
    p.mach = None
    pageout(k, p, s)
    k.ageclock = (k.ageclock + ticks) & 0xFFFF


# The map


def test_slots_are_given_out_round_the_map(kernel: PlainKernel) -> None:
    slots = [newswap(kernel) for _ in range(3)]
    assert slots == [0, BY2PG, 2 * BY2PG]
    for _ in range(2):
        putswap(kernel, BY2PG)
    assert newswap(kernel) == 3 * BY2PG  # on from the last one, not the first free
    assert kernel.swapalloc.free == 32 - 3


def test_newswap_wraps_and_says_when_the_map_is_full() -> None:
    k = PlainKernel(nswap=3)
    for _ in range(3):
        newswap(k)
    assert newswap(k) == NOADDR
    putswap(k, 0)
    putswap(k, 0)
    assert newswap(k) == 0


def test_new_slot_has_a_reference_for_the_entry_and_one_for_the_write(kernel: PlainKernel) -> None:
    daddr = newswap(kernel)
    assert swapcount(kernel, daddr) == 2
    putswap(kernel, daddr | PG_ONSWAP)
    putswap(kernel, daddr)
    assert (swapcount(kernel, daddr), kernel.swapalloc.free) == (0, 32)
    with pytest.raises(Panic, match=r"putswap 0x1 ref == 0"):
        putswap(kernel, daddr | PG_ONSWAP)


def test_count_that_reached_255_sticks_until_all_such_slots_are_free(kernel: PlainKernel) -> None:
    a, b = newswap(kernel), newswap(kernel)
    for daddr, n in ((a, 253), (b, 254)):
        for _ in range(n):
            dupswap(kernel, daddr)
    sa = kernel.swapalloc
    assert (swapcount(kernel, a), swapcount(kernel, b), sa.xref) == (255, 255, 511)
    for _ in range(510):
        putswap(kernel, a)
    assert (swapcount(kernel, a), sa.xref) == (255, 1)
    putswap(kernel, b)
    assert (swapcount(kernel, a), swapcount(kernel, b), sa.xref, sa.free) == (0, 0, 0, 32)


def test_sticky_slot_without_references_panics(kernel: PlainKernel) -> None:
    a = newswap(kernel)
    kernel.swapalloc.swmap[0] = 255
    with pytest.raises(Panic, match="xref == 0"):
        putswap(kernel, a)


def test_map_without_a_zero_in_spite_of_its_count_panics(kernel: PlainKernel) -> None:
    kernel.swapalloc.swmap[:] = b"\1" * 32
    with pytest.raises(Panic, match="no free slot"):
        newswap(kernel)


# setswapchan


def test_smaller_disk_limits_the_slots(kernel: PlainKernel) -> None:
    setswapchan(kernel, kernel.file(bytes(5 * BY2PG + 100), type=1))
    assert (kernel.conf.nswap, kernel.swapalloc.top, kernel.swapalloc.free) == (5, 5, 5)


def test_file_of_a_server_and_a_large_disk_do_not(kernel: PlainKernel) -> None:
    setswapchan(kernel, kernel.file(b""))
    setswapchan(kernel, kernel.file(bytes(40 * BY2PG), type=1))
    assert kernel.swapalloc.top == 32
    assert len(kernel.dev.closed) == 1


def test_swap_in_use_cannot_be_exchanged(kernel: PlainKernel) -> None:
    old = swapfile(kernel)
    newswap(kernel)
    new = kernel.file(b"")
    with pytest.raises(Error, match="device or object already in use"):
        setswapchan(kernel, new)
    assert kernel.swapimage.c is old and kernel.dev.closed == [new]


def test_disk_without_a_length_is_refused(kernel: PlainKernel) -> None:
    c = kernel.file(b"", type=1)
    kernel.disk.length = lambda c: None  # type: ignore[method-assign]
    with pytest.raises(Error, match="stat failed in setswapchan"):
        setswapchan(kernel, c)
    assert kernel.disk.closed == [c]


def test_slots_beyond_a_lowered_top_are_still_found_from_the_last_one_on(kernel: PlainKernel) -> None:
    swapfile(kernel)
    for _ in range(20):
        daddr = newswap(kernel)
    for n in range(20):
        for _ in range(2):
            putswap(kernel, n * BY2PG)
    assert kernel.swapalloc.last == 19 and daddr == 19 * BY2PG
    setswapchan(kernel, kernel.file(bytes(5 * BY2PG), type=1))
    assert newswap(kernel) == 19 * BY2PG


# pageout


def test_page_goes_16_clocks_after_its_last_use_but_for_the_last_of_its_table(kernel: PlainKernel) -> None:
    swapfile(kernel)
    p = me(kernel)
    s = touched(kernel, 4)
    pages = [at(s, n) for n in range(4)]
    age(kernel, p, s, 15)
    assert [x.modref & PG_REF for x in pages] == [0, 0, 0, PG_REF]
    pageout(kernel, p, s)
    assert kernel.iolist == []
    kernel.ageclock += 1
    pageout(kernel, p, s)
    assert kernel.iolist == pages[:3]
    assert [entry(s, s.base + n * BY2PG) for n in range(4)] == [1, 0x1001, 0x2001, pages[3]]
    assert [(x.image, x.daddr, x.ref) for x in pages[:3]] == [(kernel.swapimage, n * BY2PG, 1) for n in range(3)]
    assert (s.ref, s.locked) == (1, False)


@pytest.mark.parametrize(("ticks", "goes"), [(16, True), (0x7FFF, True), (0x8000, False), (0xFFFF, False)])
def test_age_is_a_signed_16_bit_difference(kernel: PlainKernel, ticks: int, goes: bool) -> None:
    p, s = me(kernel), touched(kernel, 2)
    kernel.ageclock = 0xFFF8
    age(kernel, p, s, ticks)
    pageout(kernel, p, s)
    assert bool(kernel.iolist) == goes


def test_page_referenced_again_is_stamped_anew(kernel: PlainKernel) -> None:
    p, s = me(kernel), touched(kernel, 2)
    age(kernel, p, s)
    at(s, 0).modref |= PG_REF
    pageout(kernel, p, s)
    assert (kernel.iolist, at(s, 0).refage) == ([], 16)


def test_process_whose_pages_go_will_flush_before_it_runs(kernel: PlainKernel) -> None:
    p, s = me(kernel), touched(kernel, 2)
    p.mach = None
    assert canflush(kernel, p, s)
    assert p.newtlb and s.ref == 2


def test_running_process_keeps_its_pages(kernel: PlainKernel) -> None:
    p, s = me(kernel), touched(kernel, 2)
    age(kernel, p, s)
    p.mach = kernel.m
    pageout(kernel, p, s)
    assert kernel.iolist == [] and (s.ref, s.locked) == (1, False)


def test_shared_segment_stays_while_another_of_its_users_runs(kernel: PlainKernel) -> None:
    p, s = me(kernel), touched(kernel, 2)
    other = kernel.process()
    other.seg[SEG1] = s
    s.ref = 2
    age(kernel, p, s)
    other.mach = kernel.m
    pageout(kernel, p, s)
    assert kernel.iolist == []
    other.state = Dead
    pageout(kernel, p, s)
    assert len(kernel.iolist) == 1
    other.mach = None


def test_segment_held_or_protected_is_left_alone(kernel: PlainKernel) -> None:
    p, s = me(kernel), touched(kernel, 2)
    age(kernel, p, s)
    qlock(kernel, s)
    pageout(kernel, p, s)
    qunlock(kernel, s)
    s.steal = 1
    pageout(kernel, p, s)
    assert kernel.iolist == [] and not s.locked


def test_text_goes_back_to_its_file(kernel: PlainKernel) -> None:
    up = me(kernel)
    i = attachimage(kernel, SG_TEXT | SG_RONLY, kernel.file(bytes(4 * BY2PG)), 0x1000, 4)
    unlock(kernel, i)
    s = up.seg[TSEG] = i.s
    assert s is not None
    s.flen = 4 * BY2PG
    for n in range(3):
        assert fault(kernel, 0x1000 + n * BY2PG, True) == 0
    pages = [at(s, n) for n in range(3)]
    age(kernel, up, s)
    pageout(kernel, up, s)
    assert [entry(s, 0x1000 + n * BY2PG) for n in range(3)] == [None, None, pages[2]]
    assert [p.ref for p in pages] == [0, 0, 1]
    assert lookpage(kernel, i, 0) is pages[0]
    assert kernel.iolist == []


def test_iolist_and_swap_run_out() -> None:
    k = PlainKernel(nswap=4, nswppo=3)
    p = k.become(k.process())
    s = touched(k, 8)
    age(k, p, s)
    pageout(k, p, s)
    assert len(k.iolist) == 3
    swapfile_ = k.file(bytes(4 * BY2PG))
    k.swapimage.c = swapfile_
    k.become(p)
    executeio(k)
    p.mach = None
    pageout(k, p, s)
    assert len(k.iolist) == 1 and k.swapalloc.free == 0


def test_slot_given_out_again_forgets_what_it_cached(kernel: PlainKernel) -> None:
    p, s = me(kernel), touched(kernel, 2)
    stale = kernel.page()
    stale.daddr = 0
    cachepage(kernel, stale, kernel.swapimage)
    age(kernel, p, s)
    pageout(kernel, p, s)
    assert (stale.image, stale.ref) == (None, 1)
    assert lookpage(kernel, kernel.swapimage, 0) is kernel.iolist[0]


def test_page_of_a_file_that_goes_to_swap_leaves_the_files_cache(kernel: PlainKernel) -> None:
    p = me(kernel)
    s = kernel.segment(p, DSEG, SG_BSS, BASE, 2)
    page = kernel.page(BASE)
    page.daddr = 0x5000
    cachepage(kernel, page, kernel.fscache)
    pte = s.map[0] = Pte()
    pte.pages[0], pte.first, pte.last = page, 0, 1
    age(kernel, p, s)
    pageout(kernel, p, s)
    assert (page.image, page.daddr, kernel.fscache.pgref) == (kernel.swapimage, 0, 0)


def test_pageproc_leaves_physical_segments_alone(kernel: PlainKernel) -> None:
    p = me(kernel)
    s = kernel.segment(p, SEG1, SG_PHYSICAL, BASE, 1)
    p.mach = None
    s.locked = True  # pageproc would fall over it
    pageproc(kernel, p)
    assert kernel.iolist == []


# executeio


def test_pages_are_written_and_left_in_the_cache(kernel: PlainKernel) -> None:
    c = swapfile(kernel)
    p, s = me(kernel), touched(kernel, 3)
    pages = [at(s, n) for n in range(2)]
    age(kernel, p, s)
    pageout(kernel, p, s)
    kernel.become(p)
    executeio(kernel)
    assert c.aux[: 2 * BY2PG] == b"\1" * BY2PG + b"\2" * BY2PG
    assert [(x.ref, x.image) for x in pages] == [(0, kernel.swapimage)] * 2
    assert [swapcount(kernel, n * BY2PG) for n in range(2)] == [1, 1]
    assert kernel.iolist == []


def test_page_nobody_needs_any_more_is_not_written(kernel: PlainKernel) -> None:
    swapfile(kernel)
    p, s = me(kernel), touched(kernel, 2)
    page = at(s, 0)
    age(kernel, p, s)
    pageout(kernel, p, s)
    kernel.become(p)
    assert fault(kernel, s.base, False) == 0  # takes it back, by copy
    kernel.dev.onwrite = lambda *_: pytest.fail("write")
    executeio(kernel)
    assert page.ref == 0 and kernel.swapalloc.free == 32


@pytest.mark.parametrize("slots", [0, 32])
def test_failed_write_panics(kernel: PlainKernel, slots: int) -> None:
    swapfile(kernel, slots)
    p, s = me(kernel), touched(kernel, 2)
    age(kernel, p, s)
    pageout(kernel, p, s)
    kernel.become(p)
    if slots:
        kernel.dev.write = lambda c, data, offset: 100  # type: ignore[method-assign]
    with pytest.raises(Panic, match="page outp I/O error"):
        executeio(kernel)


def test_too_long_an_iolist_panics(kernel: PlainKernel) -> None:
    kernel.iolist = [kernel.page()] * 17
    with pytest.raises(Panic, match="executeio: ioptr 17 > 16"):
        executeio(kernel)


# Reclaiming and the pager


def test_reclaim_takes_from_the_first_cache_that_yields(kernel: PlainKernel) -> None:
    for i in (kernel.fscache, kernel.swapimage):
        p = kernel.page()
        p.daddr = 0
        cachepage(kernel, p, i)
        putpage(kernel, p)
    assert reclaim(kernel)
    assert (kernel.fscache.pgref, kernel.swapimage.pgref) == (0, 1)
    assert reclaim(kernel)
    assert kernel.swapimage.pgref == 0
    assert reclaim(kernel)


def test_reclaim_gives_up_when_there_is_nothing_and_memory_is_short() -> None:
    k = PlainKernel(100)
    k.become(k.process())
    while auxpage(k) is not None:
        pass
    assert not reclaim(k)


def test_pagersummary(kernel: PlainKernel) -> None:
    kernel.page()
    newswap(kernel)
    assert pagersummary(kernel) == "1/64 memory 1/32 swap 0 iolist\n"


def memory_hog(k: PlainKernel, npages: int, slot: int = BSEG) -> None:
    """Body of a process that writes more pages than there are, twice, and finds what it wrote."""
    s = k.segment(me(k), slot, SG_BSS, BASE * (slot + 1), npages)
    up = me(k)
    for turn in range(2):
        for n in range(npages):
            addr = s.base + n * BY2PG
            while True:
                assert fault(k, addr, False) == 0
                p = entry(s, addr)
                if isinstance(p, Page) and up.mmupdb is not None and pteword(k, up.mmupdb.pa, addr) & 2:
                    break
            if turn == 0:
                assert k.mem.read(p.pa, 2) == b"\0\0"
                k.fill(p, n & 0xFF)
            else:
                assert k.mem.read(p.pa, 2) == bytes([n & 0xFF]) * 2


def test_pager_makes_room_and_every_page_comes_back() -> None:
    k = PlainKernel(100, nswap=400)
    swapfile(k, 400)
    procs = [k.spawn(lambda: memory_hog(k, 150)) for _ in range(2)]
    k.run(60_000)
    assert [p.pid for p in procs] == [0, 0]
    pager = next(p for p in k.procs.proctab if p.text == "pager")
    assert pager.kp and pager.noswap
    assert k.swapalloc.free == 400 and k.iolist == []
    k.become(k.process())
    mustcheck(k)


def test_pager_sleeps_while_memory_is_plenty_and_reclaims_at_each_kick() -> None:
    k = PlainKernel()

    def body() -> None:
        for n in range(2):
            p = k.page()
            p.daddr = n * BY2PG
            cachepage(k, p, (k.fscache, k.swapimage)[n])
            putpage(k, p)
        kickpager(k)

    k.spawn(body)
    k.run(10)
    assert (k.fscache.pgref, k.swapimage.pgref) == (0, 1)
    k.spawn(lambda: kickpager(k))
    k.run(10)
    assert k.swapimage.pgref == 0
    pager = next(p for p in k.procs.proctab if p.text == "pager")
    assert pager.r is k.swapalloc.r and pager.psstate == "Idle"


def test_without_swap_the_largest_process_is_killed() -> None:
    k = PlainKernel(100)
    big = k.spawn(lambda: memory_hog(k, 150), "big")
    big.user = "glenda"
    k.run(60_000)
    assert any("big killed: out of memory" in text for text in k.printed)
    assert big.pid == 0
    assert big.procctl == Proc_exitbig
