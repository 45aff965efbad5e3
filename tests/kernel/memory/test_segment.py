"""Segments and images."""

from __future__ import annotations

import pytest

from kernel.base.chandat import Chan
from kernel.base.dat import (
    BSEG,
    DSEG,
    ESEG,
    LSEG,
    NSEG,
    PG_ONSWAP,
    PG_TXTFLUSH,
    SEG1,
    SG_BSS,
    SG_CEXEC,
    SG_DATA,
    SG_PHYSICAL,
    SG_RONLY,
    SG_SHARED,
    SG_STACK,
    SG_TEXT,
    SSEG,
    TSEG,
    Image,
    Page,
    Physseg,
    Pte,
    Qid,
    Segment,
)
from kernel.base.error import Error, Panic
from kernel.base.event import ImageEvent
from kernel.base.mem import BY2PG, MB, USTKTOP
from kernel.memory.fault import fault
from kernel.memory.mmu import pteword
from kernel.memory.page import cachepage, putpage
from kernel.memory.segment import (
    addphysseg,
    attachimage,
    dupseg,
    ibrk,
    imagereclaim,
    isoverlap,
    isphysseg,
    mcountseg,
    mfreeseg,
    newseg,
    putseg,
    relocateseg,
    segclock,
    segname,
    segpage,
)
from kernel.memory.swapmap import newswap, swapcount
from kernel.sched.taslock import unlock
from kernel.syscalls.sysseg import segattach, segflush
from tests.kernel.plain import PlainKernel, entry, me

Enovmem = "virtual memory allocation failed"
Enomem = "kernel allocate failed"
Ebadarg = "bad arg in system call"
Einuse = "device or object already in use"
Esoverlap = "segments overlap"


def put(k: PlainKernel, s: Segment, addr: int) -> Page:
    """A new page at addr of s."""
    p = k.page(addr)
    segpage(k, s, p)
    return p


def text(k: PlainKernel, c: Chan, pages: int = 4) -> Image:
    """Attach the text of a file, and let go of the image's lock."""
    i = attachimage(k, SG_TEXT | SG_RONLY, c, 0x1000, pages)
    unlock(k, i)
    return i


# newseg, putseg


def test_new_segment_has_one_reference_and_no_pages(kernel: PlainKernel) -> None:
    s = newseg(kernel, SG_DATA, 0x3000, 3)
    assert (s.ref, s.base, s.top, s.size, s.mapsize) == (1, 0x3000, 0x6000, 3, 16)
    assert not any(s.map)
    assert segname(s) == "data"


@pytest.mark.parametrize(("pages", "mapsize"), [(16 * 256, 16), (16 * 256 + 1, 17), (1984 * 256, 1984)])
def test_large_segment_gets_a_map_of_its_own(kernel: PlainKernel, pages: int, mapsize: int) -> None:
    assert newseg(kernel, SG_BSS, 0, pages).mapsize == mapsize


def test_segment_larger_than_any_map_is_refused(kernel: PlainKernel) -> None:
    with pytest.raises(Error, match=Enovmem):
        newseg(kernel, SG_BSS, 0, 1984 * 256 + 1)


@pytest.mark.parametrize("failing", [1, 2])
def test_newseg_without_kernel_memory(kernel: PlainKernel, failing: int) -> None:
    kernel.failmalloc = failing
    with pytest.raises(Error, match=Enomem):
        newseg(kernel, SG_BSS, 0, 5000)


def test_last_putseg_frees_the_pages(kernel: PlainKernel) -> None:
    s = newseg(kernel, SG_BSS, 0x10000, 4)
    p = put(kernel, s, 0x12000)
    s.ref = 2
    putseg(kernel, s)
    assert p.ref == 1
    putseg(kernel, s)
    assert p.ref == 0
    putseg(kernel, None)


def test_last_putseg_of_a_text_leaves_its_image(kernel: PlainKernel) -> None:
    c = kernel.file(bytes(0x4000))
    i = text(kernel, c)
    s = i.s
    assert s is not None and (i.ref, s.ref, c.ref) == (1, 1, 2)
    assert text(kernel, c) is i
    putseg(kernel, s)
    assert (s.ref, i.s) == (1, s)
    putseg(kernel, s)
    assert (i.s, i.ref, i.c, c.ref) == (None, 0, None, 1)
    assert kernel.imagealloc.free is i


def test_other_segments_of_an_image_do_not_clear_its_text(kernel: PlainKernel) -> None:
    i = text(kernel, kernel.file(bytes(0x4000)))
    data = kernel.segment(me(kernel), DSEG, SG_DATA, 0x10000, 1, i)
    putseg(kernel, data)
    assert i.s is not None and i.ref == 1


# relocateseg, segpage


def test_relocateseg_moves_the_address_of_each_page(kernel: PlainKernel) -> None:
    s = newseg(kernel, SG_STACK, 0x100000, 600)
    pages = [put(kernel, s, a) for a in (0x100000, 0x180000, 0x240000)]
    relocateseg(kernel, s, 0x1000)
    assert [p.va for p in pages] == [0x101000, 0x181000, 0x241000]
    relocateseg(kernel, s, -0x2000 & 0xFFFFFFFF)
    assert pages[0].va == 0xFF000


def test_relocateseg_of_an_entry_on_swap_panics(kernel: PlainKernel) -> None:
    s = newseg(kernel, SG_STACK, 0x100000, 4)
    put(kernel, s, 0x100000)
    pte = s.map[0]
    assert pte is not None
    pte.pages[0] = 0x3000 | PG_ONSWAP
    with pytest.raises(Panic, match="on swap"):
        relocateseg(kernel, s, 0x1000)


def test_segpage_widens_the_table_as_needed(kernel: PlainKernel) -> None:
    s = newseg(kernel, SG_BSS, 0x100000, 300)
    for addr, first, last in ((0x120000, 0x20, 0x20), (0x125000, 0x20, 0x25), (0x110000, 0x10, 0x25)):
        p = put(kernel, s, addr)
        pte = s.map[0]
        assert pte is not None
        assert (pte.first, pte.last) == (first, last)
        assert entry(s, addr) is p


@pytest.mark.parametrize("va", [0xFF000, 0x104000])
def test_segpage_outside_the_segment_panics(kernel: PlainKernel, va: int) -> None:
    s = newseg(kernel, SG_BSS, 0x100000, 4)
    with pytest.raises(Panic, match="segpage"):
        segpage(kernel, s, kernel.page(va))


# dupseg


@pytest.mark.parametrize(
    ("type", "slot", "share", "same"),
    [
        (SG_TEXT, TSEG, 0, True),
        (SG_SHARED, SEG1, 0, True),
        (SG_PHYSICAL, SEG1, 0, True),
        (SG_BSS, BSEG, 1, True),
        (SG_BSS, BSEG, 0, False),
        (SG_DATA, DSEG, 1, True),
        (SG_DATA, DSEG, 0, False),
        (SG_STACK, SSEG, 1, False),
        (SG_STACK, SSEG, 0, False),
    ],
)
def test_child_shares_or_copies_by_type(kernel: PlainKernel, type: int, slot: int, share: int, same: bool) -> None:
    i = text(kernel, kernel.file(bytes(0x4000)))
    s = kernel.segment(me(kernel), slot, type, 0x100000, 4, i if type == SG_DATA else None)
    s.flushme = True
    p = None if type == SG_PHYSICAL else put(kernel, s, 0x101000)
    n = dupseg(kernel, me(kernel).seg, slot, share)
    assert (n is s) == same
    assert (s.ref, n.ref) == ((2, 2) if same else (1, 1))
    assert not s.locked
    if not same:
        assert entry(n, 0x101000) is p
        assert p is not None and p.ref == 2
        assert (n.type, n.base, n.top, n.size, n.flushme) == (type, s.base, s.top, s.size, True)


def test_copy_of_data_keeps_its_place_in_the_file(kernel: PlainKernel) -> None:
    i = text(kernel, kernel.file(bytes(0x4000)))
    s = kernel.segment(me(kernel), DSEG, SG_DATA, 0x100000, 4, i)
    s.fstart, s.flen = 0x820, 0x3210
    n = dupseg(kernel, me(kernel).seg, DSEG, 0)
    assert (n.image, n.fstart, n.flen, i.ref) == (i, 0x820, 0x3210, 3)


def test_copy_shares_slots_on_swap(kernel: PlainKernel) -> None:
    s = kernel.segment(me(kernel), BSEG, SG_BSS, 0x100000, 4)
    daddr = newswap(kernel)
    pte = s.map[0] = Pte()
    pte.pages[1] = daddr | PG_ONSWAP
    pte.first = pte.last = 1
    n = dupseg(kernel, me(kernel).seg, BSEG, 0)
    assert entry(n, 0x101000) == daddr | PG_ONSWAP
    assert swapcount(kernel, daddr) == 3


def test_segment_with_more_users_is_flushed_when_it_is_copied(kernel: PlainKernel) -> None:
    other = kernel.process()
    s = kernel.segment(me(kernel), SSEG, SG_STACK, 0x100000, 4)
    other.seg[SSEG] = s
    s.ref = 2
    dupseg(kernel, me(kernel).seg, SSEG, 0)
    assert other.newtlb


def test_data_in_the_text_slot_becomes_text_again(kernel: PlainKernel) -> None:
    i = text(kernel, kernel.file(bytes(0x4000)))
    s = kernel.segment(me(kernel), TSEG, SG_DATA, 0x1000, 4, i)
    s.fstart, s.flen = 0, 0x3000
    n = dupseg(kernel, me(kernel).seg, TSEG, 1)
    assert n is not s
    assert (n.type, n.image, n.flen, n.flushme, i.ref, s.ref) == (SG_TEXT, i, 0x3000, True, 3, 1)
    assert not s.locked


def test_failed_copy_leaves_the_segment_unlocked_and_unchanged(kernel: PlainKernel) -> None:
    s = kernel.segment(me(kernel), BSEG, SG_BSS, 0x100000, 4)
    kernel.failmalloc = 1
    with pytest.raises(Error, match=Enomem):
        dupseg(kernel, me(kernel).seg, BSEG, 0)
    assert (s.ref, s.locked) == (1, False)


def test_copy_of_a_segment_with_a_grown_map_has_room(kernel: PlainKernel) -> None:
    s = kernel.segment(me(kernel), BSEG, SG_BSS, 0x100000, 1)
    assert ibrk(kernel, 0x100000 + 20 * MB, BSEG) == 0
    last = 0x100000 + 20 * MB - BY2PG
    p = put(kernel, s, last)
    n = dupseg(kernel, me(kernel).seg, BSEG, 0)
    assert entry(n, last) is p


# attachimage, putimage


def test_one_image_for_one_file(kernel: PlainKernel) -> None:
    c = kernel.file(bytes(0x4000), path=7)
    same = kernel.file(bytes(0x4000), path=7)
    i = text(kernel, c)
    assert text(kernel, same) is i
    assert i.s is not None and i.s.ref == 2
    assert (i.c, same.ref) == (c, 1)


@pytest.mark.parametrize("what", ["path", "vers", "type", "dev", "devtype", "bucket"])
def test_other_file_has_another_image(kernel: PlainKernel, what: str) -> None:
    i = text(kernel, kernel.file(bytes(0x4000), path=7))
    c = kernel.file(bytes(0x4000), path=7)
    if what == "path":
        c.qid = Qid(8)
    elif what == "bucket":
        c.qid = Qid(7 + 64)
    elif what == "vers":
        c.qid = Qid(7, 1)
    elif what == "type":
        c.qid = Qid(7, 0, 0x40)
    elif what == "dev":
        c.dev = 3
    else:
        c.type = 1
    other = text(kernel, c)
    assert other is not i
    assert text(kernel, kernel.file(b"", path=7)) is i


def test_image_with_pages_outlives_its_segments_and_reopens(kernel: PlainKernel) -> None:
    c = kernel.file(bytes(0x4000))
    i = text(kernel, c)
    p = kernel.page()
    p.daddr = 0
    cachepage(kernel, p, i)
    putpage(kernel, p)
    putseg(kernel, i.s)
    assert (i.ref, i.pgref, i.c, c.ref) == (1, 1, None, 1)
    assert text(kernel, c) is i
    assert (i.ref, i.c) == (2, c)


def test_existing_text_ignores_base_and_length(kernel: PlainKernel) -> None:
    c = kernel.file(bytes(0x4000))
    i = text(kernel, c, 4)
    assert text(kernel, c, 2) is i
    assert i.s is not None and i.s.size == 4


def test_attachimage_without_memory_releases_the_image(kernel: PlainKernel) -> None:
    c = kernel.file(bytes(0x4000))
    kernel.failmalloc = 1
    with pytest.raises(Error, match=Enomem):
        attachimage(kernel, SG_TEXT, c, 0x1000, 4)
    i = kernel.imagealloc.list[0]
    assert (i.ref, i.key, i.c, c.ref, kernel.imagealloc.free) == (0, False, None, 1, i)


def idle_image(k: PlainKernel, path: int, pages: int = 2) -> Image:
    """An image nobody uses, with unreferenced cached pages."""
    i = text(k, k.file(bytes(0x4000), path=path))
    for n in range(pages):
        p = k.page()
        p.daddr = n * BY2PG
        cachepage(k, p, i)
        putpage(k, p)
    putseg(k, i.s)
    return i


def test_last_image_structure_is_won_from_an_idle_image(kernel: PlainKernel) -> None:
    images = [idle_image(kernel, n + 1) for n in range(4)]
    assert kernel.imagealloc.free is None
    new = text(kernel, kernel.file(bytes(0x4000), path=99))
    assert new in images
    assert (new.qid.path, new.pgref) == (99, 0)


def test_attachimage_waits_while_every_image_is_in_use() -> None:
    k = PlainKernel(nimage=1)
    done: list[Image] = []

    def first() -> None:
        done.append(text(k, k.file(bytes(0x1000))))

    def second() -> None:
        done.append(text(k, k.file(bytes(0x1000))))

    k.spawn(first)
    k.run(10)
    p = k.spawn(second)
    k.run(100)
    assert (len(done), p.psstate) == (1, "no image after reclaim")

    def ender() -> None:
        putseg(k, done[0].s)

    k.spawn(ender)
    k.run(1000)
    assert len(done) == 2


def test_putimage_takes_an_image_out_of_the_middle_of_its_chain(kernel: PlainKernel) -> None:
    images = [text(kernel, kernel.file(bytes(0x1000), path=5 + 64 * n)) for n in range(3)]
    putseg(kernel, images[1].s)
    a = kernel.imagealloc.hash[5]
    assert a is images[2] and a.hash is images[0]
    putseg(kernel, images[2].s)
    assert kernel.imagealloc.hash[5] is images[0]


# imagereclaim


def test_imagereclaim_with_free_structures_takes_from_images_in_use(kernel: PlainKernel) -> None:
    i = text(kernel, kernel.file(bytes(0x4000)))
    p = kernel.page()
    p.daddr = 0
    cachepage(kernel, p, i)
    putpage(kernel, p)
    assert imagereclaim(kernel, 10) == 1


def test_imagereclaim_without_a_free_structure_spares_images_in_use(kernel: PlainKernel) -> None:
    i = text(kernel, kernel.file(bytes(0x4000), path=1))
    p = kernel.page()
    p.daddr = 0
    cachepage(kernel, p, i)
    putpage(kernel, p)
    for n in range(3):
        idle_image(kernel, 10 + n, 1)
    assert kernel.imagealloc.free is None
    assert imagereclaim(kernel, 1000) == 3
    assert i.pgref == 1


def test_imagereclaim_goes_on_where_it_broke_off(kernel: PlainKernel) -> None:
    images = [idle_image(kernel, n + 1) for n in range(3)]
    assert imagereclaim(kernel, 1) == 1
    assert kernel.imagealloc.rotor == 0  # not past the image it broke off at
    assert imagereclaim(kernel, 3) == 3
    assert [i.pgref for i in images] == [0, 0, 2]
    assert kernel.imagealloc.rotor == 1
    assert imagereclaim(kernel, 3) == 2


# ibrk


@pytest.fixture
def bss(kernel: PlainKernel) -> Segment:
    """Four pages of bss at 0x100000, data right below."""
    i = text(kernel, kernel.file(bytes(0x4000)))
    kernel.segment(me(kernel), DSEG, SG_DATA, 0xF0000, 16, i)
    return kernel.segment(me(kernel), BSEG, SG_BSS, 0x100000, 4)


def test_ibrk_of_zero_asks_for_the_base(kernel: PlainKernel, bss: Segment) -> None:
    assert ibrk(kernel, 0, BSEG) == 0x100000


def test_ibrk_without_that_segment(kernel: PlainKernel) -> None:
    with pytest.raises(Error, match=Ebadarg):
        ibrk(kernel, 0x5000, BSEG)


def test_ibrk_grows_to_the_next_page(kernel: PlainKernel, bss: Segment) -> None:
    assert ibrk(kernel, 0x104001, BSEG) == 0
    assert (bss.top, bss.size, bss.locked) == (0x105000, 5, False)


def test_ibrk_into_data_below_makes_the_bss_empty(kernel: PlainKernel, bss: Segment) -> None:
    assert ibrk(kernel, 0xF8000, BSEG) == 0
    assert (bss.top, bss.size) == (0x100000, 0)


def test_ibrk_below_data_is_refused(kernel: PlainKernel, bss: Segment) -> None:
    with pytest.raises(Error, match=Enovmem):
        ibrk(kernel, 0xEFFFF, BSEG)
    assert not bss.locked


def test_ibrk_shrinking_frees_pages_and_flushes(kernel: PlainKernel, bss: Segment) -> None:
    up = me(kernel)
    assert fault(kernel, 0x101000, False) == 0
    assert fault(kernel, 0x103000, False) == 0
    gone = entry(bss, 0x103000)
    assert isinstance(gone, Page) and up.mmupdb is not None
    assert ibrk(kernel, 0x102000, BSEG) == 0
    assert (bss.top, gone.ref) == (0x102000, 0)
    assert not pteword(kernel, up.mmupdb.pa, 0x101000)
    assert entry(bss, 0x101000) is not None
    assert entry(bss, 0x103000) is None


def test_ibrk_does_not_shrink_a_shared_segment(kernel: PlainKernel, bss: Segment) -> None:
    bss.ref = 2
    with pytest.raises(Error, match=Einuse):
        ibrk(kernel, 0x101000, BSEG)
    bss.ref = 1
    assert not bss.locked


def test_ibrk_into_a_segment_above_is_refused_but_not_past_it(kernel: PlainKernel, bss: Segment) -> None:
    kernel.segment(me(kernel), SEG1, SG_SHARED, 0x200000, 1)
    with pytest.raises(Error, match=Esoverlap):
        ibrk(kernel, 0x200000, BSEG)
    assert ibrk(kernel, 0x300000, BSEG) == 0  # only the new top is looked at


def test_ibrk_beyond_the_largest_segment_is_refused(kernel: PlainKernel, bss: Segment) -> None:
    with pytest.raises(Error, match=Enovmem):
        ibrk(kernel, 0x100000 + 1984 * MB + 1, BSEG)
    assert (bss.size, bss.locked) == (4, False)


def test_ibrk_grows_the_map_and_keeps_the_tables(kernel: PlainKernel, bss: Segment) -> None:
    p = put(kernel, bss, 0x101000)
    assert ibrk(kernel, 0x100000 + 17 * MB, BSEG) == 0
    assert bss.mapsize == 17
    assert entry(bss, 0x101000) is p


# mcountseg, mfreeseg


def test_mcountseg_counts_pages_in_memory(kernel: PlainKernel) -> None:
    s = newseg(kernel, SG_BSS, 0, 600)
    for a in (0, 0x1000, 0x100000):
        put(kernel, s, a)
    pte = s.map[0]
    assert pte is not None
    pte.pages[9] = 0x3001
    assert mcountseg(kernel, s) == 3


def test_mfreeseg_frees_a_range_across_tables(kernel: PlainKernel) -> None:
    s = newseg(kernel, SG_BSS, 0, 1024)
    pages = {a: put(kernel, s, a) for a in (0xFE000, 0xFF000, 0x100000, 0x101000)}
    mfreeseg(kernel, s, 0xFF000, 2)
    assert [p.ref for p in pages.values()] == [1, 0, 0, 1]
    assert entry(s, 0xFF000) is None and entry(s, 0x100000) is None


def test_mfreeseg_steps_over_missing_tables(kernel: PlainKernel) -> None:
    s = newseg(kernel, SG_BSS, 0, 1024)
    keep, drop = put(kernel, s, 0x200000 + 5 * BY2PG), put(kernel, s, 0x200000 + 4 * BY2PG)
    mfreeseg(kernel, s, 0x90000, 0x70 + 256 + 5)
    assert (keep.ref, drop.ref) == (1, 0)


def test_mfreeseg_of_nothing(kernel: PlainKernel) -> None:
    s = newseg(kernel, SG_BSS, 0, 16)
    p = put(kernel, s, 0)
    mfreeseg(kernel, s, 0, 0)
    assert p.ref == 1


def test_mfreeseg_flushes_other_users_before_it_frees(kernel: PlainKernel) -> None:
    other = kernel.process()
    s = kernel.segment(me(kernel), BSEG, SG_BSS, 0, 16)
    other.seg[BSEG] = s
    s.ref = 2
    mfreeseg(kernel, s, 0, 16)
    assert other.newtlb


# isoverlap, segattach, physical segments


@pytest.mark.parametrize(
    ("va", "len", "found"),
    [
        (0x100000, 0x1000, True),
        (0xFF000, 0x2000, True),
        (0xFF000, 0x1000, False),
        (0x103000, 0x5000, True),
        (0x104000, 0x1000, False),
        (0xFF000, 0x10000, False),  # strictly around it: missed
        (0xFF000, 0x5000, True),
    ],
)
def test_isoverlap(kernel: PlainKernel, va: int, len: int, found: bool) -> None:
    s = kernel.segment(me(kernel), BSEG, SG_BSS, 0x100000, 4)
    assert isoverlap(kernel, me(kernel), va, len) is (s if found else None)


@pytest.fixture
def stack(kernel: PlainKernel) -> Segment:
    """A stack of 16 MB at the top."""
    return kernel.segment(me(kernel), SSEG, SG_STACK, USTKTOP - 16 * MB, 16 * 256)


def test_segattach_places_below_the_stack_and_then_below_that(kernel: PlainKernel, stack: Segment) -> None:
    up = me(kernel)
    a = segattach(kernel, up, 0, "shared", 0, 0x2800)
    b = segattach(kernel, up, 0, "memory", 0, 0x1000)
    assert (a, b) == (stack.base - 0x3000, stack.base - 0x4000)
    s, t = up.seg[TSEG], up.seg[DSEG]
    assert s is not None and t is not None
    assert (s.type, t.type) == (SG_SHARED, SG_BSS)


def test_segattach_at_an_address_rounds_down(kernel: PlainKernel, stack: Segment) -> None:
    assert segattach(kernel, me(kernel), SG_CEXEC | SG_RONLY | SG_PHYSICAL, "shared", 0x5123, 0x1000) == 0x5000
    s = me(kernel).seg[TSEG]
    assert s is not None and s.type == SG_CEXEC | SG_RONLY | SG_SHARED


@pytest.mark.parametrize(
    ("name", "va", "len", "error"),
    [
        ("shared", USTKTOP, 0x1000, Ebadarg),
        ("shared", 0x1000, 0, Ebadarg),
        ("shared", 0x800, 0x1000, Ebadarg),  # page zero
        ("shared", USTKTOP - 0x1000, 0x2000, Ebadarg),
        ("shared", 0xD0000000, 0x3FFFF000, Ebadarg),  # wraps around
        ("shared", USTKTOP - 0x2000, 0x1000, Esoverlap),
        ("nosuch", 0x1000, 0x1000, Ebadarg),
        ("fb", 0x1000, 2 * MB, Enovmem),
        ("shared", 0, 0xDF000000, Enovmem),
        ("shared", 0x1000, 0x7C001000, Enovmem),
    ],
)
def test_segattach_refuses(kernel: PlainKernel, stack: Segment, name: str, va: int, len: int, error: str) -> None:
    addphysseg(kernel, Physseg(SG_PHYSICAL, "fb", 0xC0000000, MB))
    with pytest.raises(Error, match=error):
        segattach(kernel, me(kernel), 0, name, va, len)


def test_segattach_never_uses_the_slot_of_exec(kernel: PlainKernel, stack: Segment) -> None:
    up = me(kernel)
    for n in range(NSEG - 2):
        segattach(kernel, up, 0, "shared", 0x1000 * (n + 1), 0x1000)
    assert up.seg[ESEG] is None and up.seg[LSEG] is not None
    with pytest.raises(Error, match=Enovmem):
        segattach(kernel, up, 0, "shared", 0, 0x1000)


def test_segattach_without_a_stack_and_an_address(kernel: PlainKernel) -> None:
    with pytest.raises(Error, match=Ebadarg):
        segattach(kernel, me(kernel), 0, "shared", 0, 0x1000)


def test_physical_segments_are_few_and_have_one_name_each(kernel: PlainKernel) -> None:
    assert isphysseg(kernel, "shared") and not isphysseg(kernel, "fb")
    assert addphysseg(kernel, Physseg(SG_PHYSICAL, "fb", 0, MB)) == 0
    assert isphysseg(kernel, "fb")
    assert addphysseg(kernel, Physseg(SG_PHYSICAL, "fb", 0, MB)) == -1
    room = 0
    while addphysseg(kernel, Physseg(SG_PHYSICAL, f"x{room}", 0, MB)) == 0:
        room += 1
    assert room == 5  # the original's table of ten loses two to its end test


# segflush, segclock


def test_segflush_marks_the_pages_in_range(kernel: PlainKernel) -> None:
    s = kernel.segment(me(kernel), BSEG, SG_BSS, 0x100000, 600)
    pages = {a: put(kernel, s, a) for a in (0x1FE000, 0x1FF000, 0x200000, 0x201000)}
    assert segflush(kernel, 0x1FF000, 0x2000) == 0
    assert [p.cachectl[0] for p in pages.values()] == [0, PG_TXTFLUSH, PG_TXTFLUSH, 0]
    assert s.flushme and not s.locked


def test_segflush_over_two_segments(kernel: PlainKernel) -> None:
    a = kernel.segment(me(kernel), DSEG, SG_BSS, 0x100000, 4)
    b = kernel.segment(me(kernel), BSEG, SG_BSS, 0x104000, 4)
    assert segflush(kernel, 0x103000, 0x2000) == 0
    assert a.flushme and b.flushme


def test_segflush_outside_any_segment(kernel: PlainKernel) -> None:
    kernel.segment(me(kernel), BSEG, SG_BSS, 0x100000, 4)
    with pytest.raises(Error, match=Ebadarg):
        segflush(kernel, 0x103000, 0x2000)


def test_segflush_of_an_unaligned_range_runs_on_to_the_end_and_fails(kernel: PlainKernel) -> None:
    s = kernel.segment(me(kernel), BSEG, SG_BSS, 0x100000, 4)
    p = put(kernel, s, 0x102000)
    with pytest.raises(Error, match=Ebadarg):
        segflush(kernel, 0x100800, 0x100)
    assert p.cachectl[0] == PG_TXTFLUSH
    assert not s.locked


def test_segclock_counts_ticks_by_address(kernel: PlainKernel) -> None:
    s = kernel.segment(me(kernel), TSEG, SG_TEXT, 0x1000, 1)
    segclock(kernel, 0x1010)
    s.profile = [0] * 4
    segclock(kernel, 0x1010)
    segclock(kernel, 0x5000)
    assert s.profile == [20, 0, 10, 0]


# What is told


def test_each_thing_done_with_a_segment_is_told(kernel: PlainKernel, bss: Segment, stack: Segment) -> None:
    kernel.listen()
    up = me(kernel)
    ibrk(kernel, 0x106000, BSEG)
    ibrk(kernel, 0x104000, BSEG)
    dupseg(kernel, up.seg, BSEG, 1)
    putseg(kernel, dupseg(kernel, up.seg, SSEG, 0))
    relocateseg(kernel, stack, 0)
    segattach(kernel, up, 0, "shared", 0, 0x1000)
    told = kernel.told("segment")
    assert told == ["grow", "shrink", "share", "new", "dup", "free", "relocate", "new", "attach"]


def test_each_thing_done_with_an_image_is_told(kernel: PlainKernel) -> None:
    kernel.listen()
    putseg(kernel, text(kernel, kernel.file(b"", path=3)).s)
    images = [e for e in kernel.events if isinstance(e, ImageEvent)]
    assert [(e.op, e.path) for e in images] == [("attach", "/f3"), ("close", "/f3"), ("free", "")]
