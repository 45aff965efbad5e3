"""Page faults, page by page of what they may come to, and the checks of user addresses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kernel.base.chandat import Chan
from kernel.base.dat import (
    BSEG,
    DSEG,
    PG_MOD,
    PG_ONSWAP,
    PG_REF,
    PG_TXTFLUSH,
    SEG1,
    SG_BSS,
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
    Segment,
)
from kernel.base.error import Eintr, Eio, Error, Exited, Panic
from kernel.base.mem import BY2PG, KZERO, MB, PTEUNCACHED, PTEVALID, PTEWRITE
from kernel.base.procdat import Proc_exitbig
from kernel.memory.fault import checkpages, fault, fixfault, okaddr, seg, validaddr
from kernel.memory.mmu import flushmmu, pteword
from kernel.memory.page import cachepage, lookpage, pagereclaim, putpage
from kernel.memory.segment import attachimage, dupseg, mfreeseg
from kernel.memory.swap import executeio, pageproc
from kernel.memory.swapmap import dupswap, newswap, putswap, swapcount
from kernel.sched.broken import freebroken
from kernel.sched.qlock import qlock, qunlock
from kernel.sched.ref import incref
from kernel.sched.sleep import tsleep
from kernel.sched.taslock import unlock
from tests.kernel.plain import PlainKernel, entry, me

BASE = 0x100000
TEXT = bytes(range(256)) * 16 * 3 + b"end"  # three pages and a bit


def bits(k: PlainKernel, addr: int) -> int:
    """Low bits of the current process's page table entry for addr."""
    up = me(k)
    assert up.mmupdb is not None
    return pteword(k, up.mmupdb.pa, addr) & 0x1F


def at(s: Segment, addr: int) -> Page:
    """The page s has at addr."""
    p = entry(s, addr)
    assert isinstance(p, Page)
    return p


def text(k: PlainKernel) -> tuple[Image, Segment]:
    """TEXT as the current process's text at BASE."""
    i = attachimage(k, SG_TEXT | SG_RONLY, k.file(TEXT), BASE, 4)
    unlock(k, i)
    assert i.s is not None
    i.s.flen = len(TEXT)
    me(k).seg[TSEG] = i.s
    return i, i.s


def data(k: PlainKernel, i: Image, base: int = 0x200000, flen: int = len(TEXT)) -> Segment:
    """TEXT as the current process's data."""
    s = k.segment(me(k), DSEG, SG_DATA, base, 8, i)
    s.flen = flen
    return s


def swapped(k: PlainKernel, s: Segment, addr: int, contents: bytes) -> int:
    """Put a page on swap at addr of s; the slot's disc address. The swap file is made if there is none."""
    if k.swapimage.c is None:
        k.swapimage.c = k.file(bytes(32 * BY2PG))
    daddr = newswap(k)
    putswap(k, daddr)
    k.swapimage.c.aux[daddr : daddr + BY2PG] = contents.ljust(BY2PG, b"\0")
    assert fault(k, addr, True) == 0
    pte = s.map[0]
    assert pte is not None
    n = (addr - s.base) // BY2PG
    old = pte.pages[n]
    assert old is not None
    putpage(k, old)
    pte.pages[n] = daddr | PG_ONSWAP
    return daddr


# Which segment


def test_fault_outside_any_segment(kernel: PlainKernel) -> None:
    kernel.segment(me(kernel), BSEG, SG_BSS, BASE, 1)
    for addr in (BASE - 1, BASE + BY2PG, 0):
        assert fault(kernel, addr, True) == -1
        assert me(kernel).faultcls == "unmapped"


def test_fault_without_a_process_panics(kernel: PlainKernel) -> None:
    kernel.up = None
    with pytest.raises(Panic, match="nil up"):
        fault(kernel, 0, True)


def test_store_to_a_read_only_segment(kernel: PlainKernel) -> None:
    _, s = text(kernel)
    assert fault(kernel, BASE, False) == -1
    assert me(kernel).faultcls == "protection"
    assert not s.locked


def test_fault_with_a_lock_held_is_told(kernel: PlainKernel) -> None:
    me(kernel).nlocks = 1
    assert fault(kernel, 0, True) == -1
    me(kernel).nlocks = 0
    assert "nlocks 1" in kernel.printed[0]


def test_fault_keeps_the_notes_that_came_before(kernel: PlainKernel) -> None:
    kernel.segment(me(kernel), BSEG, SG_BSS, BASE, 1)
    me(kernel).notepending = 1
    me(kernel).psstate = "Open"
    assert fault(kernel, BASE, True) == 0
    assert (me(kernel).notepending, me(kernel).psstate) == (1, "Open")


def test_seg_looks_again_after_it_waited_for_the_lock() -> None:
    k = PlainKernel()
    found: list[object] = []

    def holder() -> None:
        s = k.segment(me(k), BSEG, SG_BSS, BASE, 2)
        shared.append(s)
        qlock(k, s)
        tsleep(k, me(k).sleep, lambda: False, 50)
        s.top = BASE + BY2PG
        qunlock(k, s)

    def asker() -> None:
        tsleep(k, me(k).sleep, lambda: False, 10)
        me(k).seg[BSEG] = shared[0]
        shared[0].ref += 1
        found.append(seg(k, me(k), BASE + BY2PG, 1))
        found.append(seg(k, me(k), BASE, 1))
        qunlock(k, shared[0])

    shared: list[Segment] = []
    k.spawn(holder)
    k.spawn(asker)
    k.run(1000)
    assert found == [None, shared[0]]


# Zero fill


@pytest.mark.parametrize("type", [SG_BSS, SG_STACK, SG_SHARED])
def test_first_touch_gives_a_zero_page(kernel: PlainKernel, type: int) -> None:
    s = kernel.segment(me(kernel), BSEG, type, BASE, 4)
    kernel.fill(p := kernel.page(), 9)
    putpage(kernel, p)
    assert fault(kernel, BASE + 0x1234, True) == 0
    p = at(s, BASE + 0x1000)
    assert (p.va, p.ref, p.modref) == (BASE + 0x1000, 1, PG_REF)
    assert kernel.mem.read(p.pa, BY2PG) == bytes(BY2PG)
    assert me(kernel).faultcls == "zero-fill"
    assert bits(kernel, BASE + 0x1000) & PTEWRITE == 0
    assert not s.locked


def test_store_maps_the_page_for_writing(kernel: PlainKernel) -> None:
    s = kernel.segment(me(kernel), BSEG, SG_BSS, BASE, 4)
    assert fault(kernel, BASE, True) == 0
    p = at(s, BASE)
    assert fault(kernel, BASE, False) == 0
    assert at(s, BASE) is p
    assert p.modref == PG_MOD | PG_REF
    assert bits(kernel, BASE) & PTEWRITE
    assert me(kernel).faultcls == "remap"


@pytest.mark.parametrize(("copymode", "ref", "write"), [(0, 1, 0), (1, 1, PTEWRITE), (0, 2, PTEWRITE)])
def test_load_maps_read_only_if_alone_and_copymode_0(copymode: int, ref: int, write: int) -> None:
    k = PlainKernel(copymode=copymode)
    k.become(k.process())
    s = k.segment(me(k), BSEG, SG_BSS, BASE, 4)
    s.ref = ref
    assert fault(k, BASE, True) == 0
    assert bits(k, BASE) & PTEWRITE == write


@pytest.mark.parametrize(("ref", "write"), [(1, 0), (2, PTEWRITE)])
def test_read_only_segment_that_is_shared_becomes_writable_by_a_load(kernel: PlainKernel, ref: int, write: int) -> None:
    s = kernel.segment(me(kernel), BSEG, SG_BSS | SG_RONLY, BASE, 4)
    s.ref = ref
    assert fault(kernel, BASE, True) == 0
    assert bits(kernel, BASE) & PTEWRITE == write
    assert fault(kernel, BASE, False) == -1


def test_fault_widens_the_table_even_if_it_fails(kernel: PlainKernel) -> None:
    s = kernel.segment(me(kernel), BSEG, SG_BSS, BASE, 600)
    for n, bounds in ((5, (5, 5)), (9, (5, 9)), (3, (3, 9))):
        assert fault(kernel, BASE + n * BY2PG, True) == 0
        pte = s.map[0]
        assert pte is not None and (pte.first, pte.last) == bounds
    assert fault(kernel, BASE + 300 * BY2PG, True) == 0
    pte = s.map[1]
    assert pte is not None and (pte.first, pte.last) == (44, 44)


# Copy on write


def test_write_after_fork_copies_and_the_last_owner_keeps_the_page(kernel: PlainKernel) -> None:
    parent = me(kernel)
    s = kernel.segment(parent, BSEG, SG_BSS, BASE, 4)
    assert fault(kernel, BASE, False) == 0
    p = at(s, BASE)
    kernel.fill(p, 7)
    child = kernel.process()
    t = child.seg[BSEG] = dupseg(kernel, parent.seg, BSEG, 0)
    assert p.ref == 2
    flushmmu(kernel)
    assert fault(kernel, BASE, False) == 0
    assert at(s, BASE) is not p and at(t, BASE) is p and p.ref == 1
    assert kernel.mem.read(at(s, BASE).pa, 2) == b"\7\7"
    assert parent.faultcls == "cow-copy"
    kernel.become(child)
    assert fault(kernel, BASE, False) == 0
    assert at(t, BASE) is p
    assert bits(kernel, BASE) & PTEWRITE


def test_shared_page_is_read_without_a_copy(kernel: PlainKernel) -> None:
    s = kernel.segment(me(kernel), BSEG, SG_BSS, BASE, 4)
    assert fault(kernel, BASE, True) == 0
    p = at(s, BASE)
    incref(kernel, p)
    assert fault(kernel, BASE, True) == 0
    assert at(s, BASE) is p and bits(kernel, BASE) & PTEWRITE == 0


# Demand load


def test_text_page_is_read_and_cached(kernel: PlainKernel) -> None:
    i, s = text(kernel)
    assert fault(kernel, BASE + 0x1004, True) == 0
    p = at(s, BASE + 0x1000)
    assert kernel.mem.read(p.pa, BY2PG) == TEXT[0x1000:0x2000]
    assert (p.image, p.daddr, p.ref, p.modref) == (i, 0x1000, 1, PG_REF)
    assert (i.ref, i.pgref) == (2, 1)
    assert bits(kernel, BASE + 0x1000) & (PTEVALID | PTEWRITE) == PTEVALID
    assert me(kernel).faultcls == "text-load"


def test_page_found_in_the_cache_is_not_read(kernel: PlainKernel) -> None:
    i, s = text(kernel)
    d = data(kernel, i)
    assert fault(kernel, BASE, True) == 0
    kernel.dev.onread = lambda *_: pytest.fail("read")
    assert fault(kernel, 0x200000, True) == 0
    assert at(d, 0x200000) is at(s, BASE)
    assert at(s, BASE).ref == 2
    assert me(kernel).faultcls == "cache-hit"


@pytest.mark.parametrize(
    ("flen", "page", "asked", "contents"),
    [
        (len(TEXT), 3, 3, b"end"),
        (len(TEXT), 5, 0, b""),
        (0x1800, 1, 0x800, TEXT[0x1000:0x1800]),
        (0x1000, 1, 0, b""),
    ],
)
def test_bytes_past_the_segments_part_of_the_file_are_zero(
    kernel: PlainKernel, flen: int, page: int, asked: int, contents: bytes
) -> None:
    i, _ = text(kernel)
    d = data(kernel, i, flen=flen)
    kernel.fill(p := kernel.page(), 9)
    putpage(kernel, p)
    asks: list[int] = []
    kernel.dev.onread = lambda c, n, off: asks.append(n)
    assert fault(kernel, 0x200000 + page * BY2PG, True) == 0
    assert kernel.mem.read(at(d, 0x200000 + page * BY2PG).pa, BY2PG) == contents.ljust(BY2PG, b"\0")
    assert asks == [asked]
    assert me(kernel).faultcls == "data-load"


def test_store_to_a_page_of_the_file_copies_it_and_leaves_the_cached_one(kernel: PlainKernel) -> None:
    i, _ = text(kernel)
    d = data(kernel, i)
    assert fault(kernel, 0x200000, False) == 0
    p = at(d, 0x200000)
    assert (p.image, p.ref, me(kernel).faultcls, me(kernel).faultload) == (None, 1, "cow-copy", "data-load")
    cached = lookpage(kernel, i, 0)
    assert cached is not None and cached is not p and cached.ref == 1
    assert kernel.mem.read(p.pa, 16) == kernel.mem.read(cached.pa, 16) == TEXT[:16]


def test_page_of_a_changed_segment_is_marked_for_instruction_fetch(kernel: PlainKernel) -> None:
    _, s = text(kernel)
    s.flushme = True
    qlock(kernel, s)
    assert fixfault(kernel, s, BASE, True, False) == 0
    assert at(s, BASE).cachectl[0] == PG_TXTFLUSH
    assert fault(kernel, BASE, True) == 0
    assert ("forget", at(s, BASE).pa) in kernel.cpus[0].log
    assert at(s, BASE).cachectl[0] == 0


def test_other_process_that_loads_the_same_page_first_wins(kernel: PlainKernel) -> None:
    first = me(kernel)
    i, s = text(kernel)
    second = kernel.process()
    second.seg[TSEG] = s
    incref(kernel, s)

    def meanwhile(c: Chan, n: int, off: int) -> None:
        kernel.dev.onread = None
        kernel.become(second)
        assert fault(kernel, BASE, True) == 0
        kernel.become(first)

    kernel.dev.onread = meanwhile
    free = kernel.palloc.freecount
    assert fault(kernel, BASE, True) == 0
    assert (i.pgref, at(s, BASE).ref) == (1, 1)
    assert kernel.palloc.freecount == free - 7  # the page; and for each process a directory, a table and kmap's


def test_same_page_of_the_file_loaded_through_another_segment_meanwhile(kernel: PlainKernel) -> None:
    i, s = text(kernel)
    d = data(kernel, i)

    def meanwhile(c: Chan, n: int, off: int) -> None:
        kernel.dev.onread = None
        assert fault(kernel, 0x200000, True) == 0

    kernel.dev.onread = meanwhile
    assert fault(kernel, BASE, True) == 0
    assert at(s, BASE) is at(d, 0x200000)
    assert (i.pgref, at(s, BASE).ref) == (1, 2)


# I/O errors


def failing(k: PlainKernel, text: str, times: int = 1) -> list[int]:
    """Have the next reads fail; the list counts all reads."""
    count: list[int] = []

    def read(c: Chan, n: int, off: int) -> None:
        count.append(off)
        if len(count) <= times:
            raise Error(text)

    k.dev.onread = read
    return count


def test_read_error_in_a_system_call_is_a_note_and_an_error(kernel: PlainKernel) -> None:
    i, s = text(kernel)
    path = i.c and i.c.path and i.c.path.s
    failing(kernel, Eio)
    me(kernel).nerrlab = 1
    free = kernel.palloc.freecount
    with pytest.raises(Error, match=f"i/o error in demand load accessing {path}: i/o error"):
        fault(kernel, BASE, True)
    assert me(kernel).note[0].msg.startswith("i/o error in demand load")
    assert not s.locked and me(kernel).nkmap == 0
    assert kernel.palloc.freecount == free - 2  # directory and kmap table stay


def test_read_error_in_user_mode_ends_the_process() -> None:
    k = PlainKernel()
    failing(k, Eio)
    ended: list[str] = []

    def body() -> None:
        text(k)
        me(k).nerrlab = 0
        try:
            fault(k, BASE, True)
        except Exited:
            ended.append("exited")
            raise

    p = k.spawn(body)
    k.run(100)
    assert ended == []  # Broken, for a debugger
    freebroken(k)
    k.run(100)
    assert ended == ["exited"]
    assert p.seg[TSEG] is None


def test_interrupted_read_is_tried_again(kernel: PlainKernel) -> None:
    _, s = text(kernel)
    count = failing(kernel, Eintr, 3)
    assert fault(kernel, BASE, True) == 0
    assert count == [0] * 4
    assert kernel.mem.read(at(s, BASE).pa, 8) == TEXT[:8]


def test_short_read_is_an_error_and_leaves_its_bytes_in_the_page(kernel: PlainKernel) -> None:
    i, _ = text(kernel)
    data(kernel, i, flen=5 * BY2PG)
    me(kernel).nerrlab = 1
    with pytest.raises(Error, match="i/o error in demand load"):
        fault(kernel, 0x200000 + 3 * BY2PG, True)
    assert kernel.palloc.head is not None
    assert kernel.mem.read(kernel.palloc.head.pa, 3) == b"end"


# Swap


def test_page_on_swap_is_read_back_and_cached(kernel: PlainKernel) -> None:
    s = kernel.segment(me(kernel), BSEG, SG_BSS, BASE, 4)
    daddr = swapped(kernel, s, BASE, b"swapped")
    assert fault(kernel, BASE, True) == 0
    p = at(s, BASE)
    assert kernel.mem.read(p.pa, 8) == b"swapped\0"
    assert (p.image, p.daddr, p.ref) == (kernel.swapimage, daddr, 1)
    assert swapcount(kernel, daddr) == 0
    assert me(kernel).faultcls == "swap-in"


def test_store_takes_a_page_out_of_the_swap_cache_if_nobody_else_needs_it(kernel: PlainKernel) -> None:
    s = kernel.segment(me(kernel), BSEG, SG_BSS, BASE, 4)
    swapped(kernel, s, BASE, b"swapped")
    assert fault(kernel, BASE, True) == 0
    p = at(s, BASE)
    assert fault(kernel, BASE, False) == 0
    assert at(s, BASE) is p and p.image is None
    assert kernel.swapimage.pgref == 0


def test_store_copies_while_another_segment_needs_the_slot(kernel: PlainKernel) -> None:
    s = kernel.segment(me(kernel), BSEG, SG_BSS, BASE, 4)
    daddr = swapped(kernel, s, BASE, b"swapped")
    dupswap(kernel, daddr)
    assert fault(kernel, BASE, False) == 0
    p = at(s, BASE)
    assert p.image is None
    cached = lookpage(kernel, kernel.swapimage, daddr)
    assert cached is not None and cached is not p
    assert kernel.mem.read(p.pa, 8) == b"swapped\0"


def test_page_still_in_the_swap_cache_is_not_read(kernel: PlainKernel) -> None:
    s = kernel.segment(me(kernel), BSEG, SG_BSS, BASE, 4)
    daddr = swapped(kernel, s, BASE, b"old")
    p = kernel.page(BASE)
    p.daddr = daddr
    cachepage(kernel, p, kernel.swapimage)
    putpage(kernel, p)
    assert fault(kernel, BASE, True) == 0
    assert at(s, BASE) is p and p.ref == 1
    assert swapcount(kernel, daddr) == 0


def race(k: PlainKernel, meanwhile: Callable[[Segment, int], None]) -> tuple[Segment, int]:
    """Fault on a page that is on swap; during the read something else happens to its segment."""
    s = k.segment(me(k), BSEG, SG_BSS, BASE, 4)
    daddr = swapped(k, s, BASE, b"swapped")
    dupswap(k, daddr)
    up = me(k)

    def onread(c: Chan, n: int, off: int) -> None:
        k.dev.onread = None
        qlock(k, s)
        meanwhile(s, daddr)
        qunlock(k, s)

    k.dev.onread = onread
    assert fault(k, BASE, True) == 0
    assert up.nkmap == 0 and not s.locked
    return s, daddr


def test_other_process_that_pages_it_in_first_wins(kernel: PlainKernel) -> None:
    theirs: list[Page] = []

    def meanwhile(s: Segment, daddr: int) -> None:
        theirs.append(kernel.page(BASE))
        pte = s.map[0]
        assert pte is not None
        pte.pages[0] = theirs[0]
        putswap(kernel, daddr)

    s, daddr = race(kernel, meanwhile)
    assert at(s, BASE) is theirs[0]
    assert swapcount(kernel, daddr) == 1


def test_page_that_went_to_another_slot_meanwhile_is_read_again(kernel: PlainKernel) -> None:
    def meanwhile(s: Segment, daddr: int) -> None:
        other = newswap(kernel)
        assert kernel.swapimage.c is not None
        kernel.swapimage.c.aux[other : other + 5] = b"moved"
        pte = s.map[0]
        assert pte is not None
        pte.pages[0] = other | PG_ONSWAP
        putswap(kernel, daddr)

    s, _ = race(kernel, meanwhile)
    assert kernel.mem.read(at(s, BASE).pa, 8) == b"moved\0\0\0"


def test_page_freed_meanwhile_reads_as_zero(kernel: PlainKernel) -> None:
    s, daddr = race(kernel, lambda s, daddr: mfreeseg(kernel, s, BASE, 1))
    p = at(s, BASE)
    assert kernel.mem.read(p.pa, BY2PG) == bytes(BY2PG)
    assert (p.image, p.ref) == (None, 1)
    assert swapcount(kernel, daddr) == 1


def test_data_page_that_went_to_swap_during_its_load_panics(kernel: PlainKernel) -> None:
    i, _ = text(kernel)
    d = data(kernel, i)

    def meanwhile(c: Chan, n: int, off: int) -> None:
        pte = d.map[0]
        assert pte is not None
        pte.pages[0] = 0x3001

    kernel.dev.onread = meanwhile
    with pytest.raises(Panic, match="pio: entry"):
        fault(kernel, 0x200000, True)


# Physical segments


def test_physical_page_is_the_devices_frame(kernel: PlainKernel) -> None:
    s = kernel.segment(me(kernel), SEG1, SG_PHYSICAL, 0x50000000, 4)
    s.pseg = Physseg(SG_PHYSICAL, "fb", 0xC0000000, MB)
    assert fault(kernel, 0x50002000, True) == 0
    assert me(kernel).mmupdb is not None
    pte = pteword(kernel, me(kernel).mmupdb.pa, 0x50002000)  # type: ignore[union-attr]
    assert pte & ~0xFFF == 0xC0002000
    assert pte & (PTEWRITE | PTEUNCACHED | PTEVALID) == PTEWRITE | PTEUNCACHED | PTEVALID
    assert at(s, 0x50002000).ref == 1
    assert fault(kernel, 0x50002000, False) == 0


def test_physical_segment_may_bring_its_own_pages(kernel: PlainKernel) -> None:
    s = kernel.segment(me(kernel), SEG1, SG_PHYSICAL, 0x50000000, 4)
    page = Page(0xC0007000, 1)
    s.pseg = Physseg(SG_PHYSICAL, "fb", 0, MB, pgalloc=lambda s, addr: page)
    assert fault(kernel, 0x50001000, True) == 0
    assert at(s, 0x50001000) is page


def test_segment_of_no_type_panics(kernel: PlainKernel) -> None:
    kernel.segment(me(kernel), SEG1, 7, BASE, 4)
    with pytest.raises(Panic, match="fault"):
        fault(kernel, BASE, True)


# Waiting for memory


def test_fault_that_waited_finds_its_segment_again() -> None:
    k = PlainKernel(100)
    k.nopager()
    held: list[Page] = []
    done: list[int] = []

    def hog() -> None:
        while k.palloc.freecount >= k.swapalloc.highwater:
            held.append(k.page())
        tsleep(k, me(k).sleep, lambda: False, 100)
        for p in held[:40]:
            putpage(k, p)

    def body() -> None:
        k.segment(me(k), BSEG, SG_BSS, BASE, 4)
        done.append(fault(k, BASE, False))

    k.spawn(hog, kp=True)
    k.run(10)
    p = k.spawn(body)
    k.run(20)
    assert (done, p.psstate) == ([], "Fault")
    k.run(5000)
    assert done == [0]


def test_process_told_to_exit_does_so_instead_of_trying_again() -> None:
    k = PlainKernel(100)
    k.nopager()

    def hog() -> None:
        while k.palloc.freecount >= k.swapalloc.highwater:
            k.page()

    def body() -> None:
        k.segment(me(k), BSEG, SG_BSS, BASE, 4)
        fault(k, BASE, False)

    k.spawn(hog, kp=True)
    k.run(10)
    p = k.spawn(body)
    k.run(20)
    p.procctl = Proc_exitbig
    k.run(5000)
    assert p.pid == 0


def test_copy_and_load_wait_without_losing_references() -> None:
    k = PlainKernel(100)
    k.nopager()
    held: list[Page] = []

    def hog() -> None:
        while k.palloc.freecount >= k.swapalloc.highwater:
            held.append(k.page())
        tsleep(k, me(k).sleep, lambda: False, 100)
        for p in held:
            putpage(k, p)

    def body() -> None:
        s = k.segment(me(k), BSEG, SG_BSS, BASE, 4)
        assert fault(k, BASE, False) == 0
        p = at(s, BASE)
        incref(k, p)
        k.spawn(hog, kp=True)
        tsleep(k, me(k).sleep, lambda: False, 10)
        qlock(k, s)
        assert fixfault(k, s, BASE, False, False) == -1
        assert p.ref == 2 and at(s, BASE) is p
        assert fault(k, BASE, False) == 0
        assert p.ref == 1 and at(s, BASE) is not p

    p = k.spawn(body)
    k.run(5000)
    assert p.pid == 0


def test_page_that_goes_to_swap_while_its_table_is_awaited_is_not_mapped() -> None:
    """The segment is unlocked when putmmu() waits for memory. The original maps the lost page; here it faults again."""
    k = PlainKernel(100)
    k.nopager()
    k.swapimage.c = k.file(bytes(32 * BY2PG))
    base = 4 * MB - BY2PG  # its two pages need a page table each
    seen: list[tuple[bool, int, int]] = []

    def body() -> None:
        up = me(k)
        s = k.segment(up, BSEG, SG_BSS, base, 2)
        assert fault(k, base + BY2PG, False) == 0
        while k.palloc.freecount > k.swapalloc.highwater + 1:
            held.append(k.page())
        assert fault(k, base, False) == 0
        assert up.mmupdb is not None
        lost = isinstance(entry(s, base), Page), pteword(k, up.mmupdb.pa, base)
        assert fault(k, base, False) == 0
        seen.append((*lost, pteword(k, up.mmupdb.pa, base) & ~0xFFF))
        assert at(s, base).pa == seen[0][2]

    def pager() -> None:
        for _ in range(2):
            pageproc(k, p)
            k.ageclock += 16
        gone.extend(k.iolist)
        executeio(k)
        assert pagereclaim(k, k.swapimage, 10) == 1
        assert gone[0].image is None and gone[0].ref == 0
        for page in held[:10]:
            putpage(k, page)

    held: list[Page] = []
    gone: list[Page] = []
    p = k.spawn(body)
    k.run(100)
    assert (seen, p.psstate) == ([], "Fault")
    k.spawn(pager, kp=True)
    k.run(5000)
    assert seen[0][:2] == (False, 0)


# okaddr, validaddr, checkpages


def test_okaddr_goes_on_in_the_next_segment(kernel: PlainKernel) -> None:
    up = me(kernel)
    kernel.segment(up, TSEG, SG_TEXT | SG_RONLY, 0x1000, 2)
    kernel.segment(up, DSEG, SG_BSS, 0x3000, 2)
    assert okaddr(kernel, 0x1000, 0x4000, False)
    assert not okaddr(kernel, 0x1000, 0x4001, False)
    assert not okaddr(kernel, 0x1000, 0x4000, True)
    assert okaddr(kernel, 0x3000, 0x2000, True)
    assert okaddr(kernel, 0x4FFF, 0, False)
    assert not okaddr(kernel, 0x1000, 0x80000000, False)


def test_validaddr_posts_a_note_and_raises(kernel: PlainKernel) -> None:
    kernel.segment(me(kernel), DSEG, SG_BSS, 0x3000, 2)
    validaddr(kernel, 0x3000, 4, True)
    with pytest.raises(Error, match="bad arg in system call"):
        validaddr(kernel, 0x2FFF, 4, False)
    assert me(kernel).note[0].msg == "sys: bad address in syscall"


def test_checkpages_compares_the_tables_with_the_segments(kernel: PlainKernel) -> None:
    s = kernel.segment(me(kernel), BSEG, SG_BSS, BASE, 300)
    for addr in (BASE, BASE + 0x3000, BASE + 257 * BY2PG):
        assert fault(kernel, addr, False) == 0
    checkpages(kernel)
    assert kernel.printed[-1].endswith("checked 3 page table entries\n")
    assert len(kernel.printed) == 1
    pte = s.map[0]
    assert pte is not None
    pte.pages[0], pte.pages[3] = pte.pages[3], pte.pages[0]
    checkpages(kernel)
    assert sum("pte=" in text for text in kernel.printed) == 2
    kernel.up = None
    checkpages(kernel)


def test_fault_counts(kernel: PlainKernel) -> None:
    n = kernel.m.pfault
    fault(kernel, KZERO - 1, True)
    assert kernel.m.pfault == n + 1


def test_stack_and_bss_are_separate_slots(kernel: PlainKernel) -> None:
    a = kernel.segment(me(kernel), SSEG, SG_STACK, 0x80000000, 1)
    b = kernel.segment(me(kernel), BSEG, SG_BSS, BASE, 1)
    assert seg(kernel, me(kernel), 0x80000000, 0) is a
    assert seg(kernel, me(kernel), BASE, 0) is b
