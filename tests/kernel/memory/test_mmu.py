"""The page directories and page tables, word by word as they lie in memory."""

from __future__ import annotations

from functools import partial

import pytest

from kernel.base.dat import BSEG, SG_BSS, Page, Segment
from kernel.base.error import Panic
from kernel.base.mem import (
    BY2PG,
    CPU0GDT,
    CPU0MACH,
    CPU0PDB,
    CPU0PTE,
    KMAP,
    KMAPSIZE,
    KZERO,
    MACHADDR,
    MB,
    PDX,
    PTESIZE,
    PTEUNCACHED,
    PTEUSER,
    PTEVALID,
    PTEWRITE,
    PTX,
    TMPADDR,
    USTKTOP,
    VMAP,
    VMAPSIZE,
    VPT,
)
from kernel.base.procdat import Dead, Proc
from kernel.memory.fault import fault
from kernel.memory.kmap import NKPT, VA, kmap, kunmap
from kernel.memory.mmu import (
    NPDBPOOL,
    checkmmu,
    countpagerefs,
    flushmmu,
    mmupages,
    mmupdbfree,
    mmurelease,
    poolpages,
    pteword,
    putmmu,
    upallocpdb,
)
from kernel.memory.page import putpage
from kernel.memory.segment import mfreeseg
from kernel.memory.tmpmap import flushpg, kword, tmpmap, tmpunmap
from kernel.memory.vmap import findhole, mmuwalk, pdbmap, vmap, vmapsync, vunmap, xspanalloc
from kernel.sched.clock import preempted
from kernel.sched.sleep import sleep, tsleep
from tests.kernel.plain import PlainKernel, me

KERNEL = PTEVALID | PTEWRITE
USER = PTEVALID | PTEUSER
RW = USER | PTEWRITE


def word(k: PlainKernel, table: int, n: int) -> int:
    """Word n of the table at a physical address."""
    return k.mem.words[(table >> 2) + n]


def pdb(k: PlainKernel, p: Proc | None = None) -> int:
    """Physical address of a process's page directory."""
    p = p or me(k)
    assert p.mmupdb is not None
    return p.mmupdb.pa


def put(k: PlainKernel, va: int, flags: int = 0) -> Page:
    """Map a new page at va, as fault() does."""
    p = k.page(va)
    putmmu(k, va, p.pa | flags, p)
    return p


def used(p: Proc) -> list[Page]:
    """The page tables in p's directory, the newest first."""
    tables = []
    pg = p.mmuused
    while pg is not None:
        tables.append(pg)
        pg = pg.next
    return tables


def free(p: Proc) -> list[Page]:
    """The page tables p keeps for later."""
    tables = []
    pg = p.mmufree
    while pg is not None:
        tables.append(pg)
        pg = pg.next
    return tables


# A processor's own directory


def test_first_directory_shows_memory_at_kzero() -> None:
    k = PlainKernel(memory=16 * MB)
    d, t = CPU0PDB - KZERO, CPU0PTE - KZERO
    assert k.machs[0].pdb == d
    assert word(k, d, PDX(KZERO)) == t | KERNEL
    for n in (1, 2, 3):
        assert word(k, d, PDX(KZERO) + n) == n * 4 * MB | PTESIZE | KERNEL
    assert word(k, d, PDX(KZERO) + 4) == 0
    assert word(k, t, 1) == 0x1000 | KERNEL
    assert word(k, t, 1023) == 0x3FF000 | KERNEL
    assert word(k, t, PTX(MACHADDR)) == CPU0MACH - KZERO | KERNEL
    assert not any(word(k, d, n) for n in range(PDX(VPT)))


def test_directory_maps_itself_at_vpt() -> None:
    k = PlainKernel()
    d = k.machs[0].pdb
    assert word(k, d, PDX(VPT)) == d | KERNEL
    # vpt: the entry of VPT's own page is the directory's entry for VPT
    assert pteword(k, d, VPT + (KZERO >> 12) * 4) == CPU0PTE - KZERO | KERNEL


def test_window_at_kzero_ends_at_256_mb() -> None:
    k = PlainKernel(memory=512 * MB)
    d = k.machs[0].pdb
    assert word(k, d, 1023) == 252 * MB | PTESIZE | KERNEL
    assert k.palloc.base > 256 * MB


def test_kernel_memory_is_for_the_supervisor_alone(kernel: PlainKernel) -> None:
    put(kernel, 0x1000, PTEWRITE)
    kmap(kernel, kernel.page())
    for n in range(PDX(VMAP), 1024):
        assert not word(kernel, pdb(kernel), n) & PTEUSER


def test_other_processors_have_a_private_table_for_the_first_4_mb() -> None:
    k = PlainKernel(nmach=3)
    tables = {word(k, m.pdb, PDX(KZERO)) & ~0xFFF for m in k.machs}
    machs = {pteword(k, m.pdb, MACHADDR) & ~0xFFF for m in k.machs}
    assert len(tables) == len(machs) == 3
    for m in k.machs:
        assert word(k, m.pdb, PDX(VPT)) == m.pdb | KERNEL
        assert pteword(k, m.pdb, KZERO + 0x5000) == 0x5000 | KERNEL
        assert m.pdb in k.plain.tables


def test_segment_descriptors_are_flat(kernel: PlainKernel) -> None:
    gdt = CPU0GDT - KZERO
    assert [word(kernel, gdt, n) for n in range(10)] == [
        0, 0, 0xFFFF, 0x00CF9200, 0xFFFF, 0x00CF9A00, 0xFFFF, 0x00CFF200, 0xFFFF, 0x00CFFA00,
    ]  # fmt: skip


def test_xspanalloc_stops_at_the_pool(kernel: PlainKernel) -> None:
    kernel.xbase = kernel.palloc.base - BY2PG
    pa = xspanalloc(kernel)
    assert pa == kernel.palloc.base - BY2PG and pa in kernel.plain.tables
    with pytest.raises(Panic, match="xspanalloc failed"):
        xspanalloc(kernel)


# putmmu


def test_first_mapping_makes_a_directory_and_a_table(kernel: PlainKernel) -> None:
    p = put(kernel, 0x12345000, PTEWRITE)
    up = me(kernel)
    d = pdb(kernel)
    table = used(up)[0]
    assert word(kernel, d, PDX(0x12345000)) == table.pa | RW
    assert word(kernel, table.pa, PTX(0x12345000)) == p.pa | RW
    assert (table.daddr, kernel.cpus[0].cr3) == (PDX(0x12345000), d)
    assert [n for n in range(1024) if word(kernel, table.pa, n)] == [PTX(0x12345000)]
    assert {d, table.pa} <= kernel.plain.tables


def test_directory_of_a_process_is_the_processors_but_for_vpt(kernel: PlainKernel) -> None:
    put(kernel, 0x1000)
    d, own = pdb(kernel), kernel.m.pdb
    assert word(kernel, d, PDX(VPT)) == d | KERNEL
    for n in range(1024):
        if n not in (PDX(VPT), PDX(0x1000)):
            assert word(kernel, d, n) == word(kernel, own, n)


def test_read_only_mapping_has_no_write_bit(kernel: PlainKernel) -> None:
    p = put(kernel, 0x1000)
    assert pteword(kernel, pdb(kernel), 0x1000) == p.pa | USER


def test_two_addresses_in_4_mb_share_a_table(kernel: PlainKernel) -> None:
    put(kernel, 0x1000)
    put(kernel, 0x3FF000)
    put(kernel, 0x400000)
    assert [t.daddr for t in used(me(kernel))] == [1, 0]


def test_highest_user_address_has_a_table(kernel: PlainKernel) -> None:
    p = put(kernel, USTKTOP - BY2PG)
    assert pteword(kernel, pdb(kernel), USTKTOP - 1) == p.pa | USER


@pytest.mark.parametrize(
    ("old", "new", "same", "flushed"),
    [
        (PTEWRITE, 0, True, True),  # lost permission
        (0, PTEWRITE, True, False),  # gained: a 386 walks the tables again
        (0, PTEWRITE, False, True),  # another frame
        (PTEWRITE, PTEWRITE, False, True),
    ],
)
def test_changed_mapping_is_flushed_if_a_stale_one_could_harm(
    kernel: PlainKernel, old: int, new: int, same: bool, flushed: bool
) -> None:
    p = put(kernel, 0x1000, old)
    q = p if same else kernel.page(0x1000)
    kernel.cpus[0].log.clear()
    putmmu(kernel, 0x1000, q.pa | new, q)
    assert (("invlpg", 0x1000) in kernel.cpus[0].log) == flushed


def test_first_mapping_of_an_address_needs_no_flush(kernel: PlainKernel) -> None:
    put(kernel, 0x1000)
    kernel.cpus[0].log.clear()
    put(kernel, 0x2000)
    assert kernel.cpus[0].log == []


def test_frame_with_other_code_is_forgotten_by_this_processor_only() -> None:
    k = PlainKernel(nmach=2)
    k.become(k.process())
    p = k.page()
    p.cachectl[:] = b"\1\1"
    putmmu(k, 0x1000, p.pa, p)
    assert ("forget", p.pa) in k.cpus[0].log
    assert k.cpus[1].log == [("cr3", k.machs[1].pdb)]
    assert list(p.cachectl) == [0, 1]


def test_wrong_directory_in_cr3_panics(kernel: PlainKernel) -> None:
    put(kernel, 0x1000)
    kernel.cpus[0].cr3 = kernel.m.pdb
    with pytest.raises(Panic, match="bad cr3"):
        put(kernel, 0x2000)


def test_putmmu_leaves_interrupts_as_they_were(kernel: PlainKernel) -> None:
    for splhi in (False, True):
        kernel.m.splhi = splhi
        put(kernel, 0x1000 + 0x400000 * splhi)
        assert kernel.m.splhi == splhi


# Flushing


def test_flushmmu_empties_the_directory_and_keeps_the_tables(kernel: PlainKernel) -> None:
    up = me(kernel)
    put(kernel, 0x1000)
    put(kernel, 0x80000000)
    tables = used(up)
    flushmmu(kernel)
    assert word(kernel, pdb(kernel), 0) == word(kernel, pdb(kernel), PDX(0x80000000)) == 0
    assert (used(up), free(up)) == ([], tables)
    assert kernel.cpus[0].log[-1] == ("cr3", pdb(kernel))
    assert not up.newtlb


def test_table_taken_again_is_cleared(kernel: PlainKernel) -> None:
    up = me(kernel)
    put(kernel, 0x1000)
    flushmmu(kernel)
    n = kernel.palloc.freecount
    p = put(kernel, 0x405000)
    table = used(up)[0]
    assert kernel.palloc.freecount == n - 1  # the page; the table was there
    assert [i for i in range(1024) if word(kernel, table.pa, i)] == [5]
    assert (free(up), table.daddr) == ([], 1)
    assert pteword(kernel, pdb(kernel), 0x405000) == p.pa | USER


def test_newtlb_is_honoured_at_the_next_switch(kernel: PlainKernel) -> None:
    up = me(kernel)
    put(kernel, 0x1000)
    other = kernel.process()
    kernel.become(other)
    up.newtlb = True
    assert word(kernel, pdb(kernel, up), 0) != 0
    kernel.become(up)
    assert word(kernel, pdb(kernel, up), 0) == 0
    assert not up.newtlb


def test_process_without_mappings_runs_on_the_processors_directory(kernel: PlainKernel) -> None:
    put(kernel, 0x1000)
    kernel.become(kernel.process())
    assert kernel.cpus[0].cr3 == kernel.m.pdb


def test_switch_to_another_processor_takes_its_mach_page_along() -> None:
    k = PlainKernel(nmach=2)
    p = k.become(k.process())
    put(k, 0x1000)
    assert pteword(k, pdb(k), MACHADDR) == pteword(k, k.machs[0].pdb, MACHADDR)
    k.become(p, 1)
    assert pteword(k, pdb(k), MACHADDR) == pteword(k, k.machs[1].pdb, MACHADDR)
    assert k.cpus[1].cr3 == pdb(k)


def test_flushpg_of_a_kernel_address_is_no_tlb_matter(kernel: PlainKernel) -> None:
    kernel.cpus[0].log.clear()
    flushpg(kernel, KMAP)
    flushpg(kernel, 0x1000)
    assert kernel.cpus[0].log == [("invlpg", 0x1000)]


# Directories


def test_mmurelease_gives_every_frame_back(kernel: PlainKernel) -> None:
    up = me(kernel)
    n = kernel.palloc.freecount
    pages = [put(kernel, a) for a in (0x1000, 0x400000, 0x80000000)]
    kunmap(kernel, kmap(kernel, pages[0]))
    flushmmu(kernel)
    pages.append(put(kernel, 0x1000))
    kernel.m.splhi = True
    mmurelease(kernel, up)
    for p in pages:
        putpage(kernel, p)
    assert kernel.palloc.freecount == n - 1  # the directory waits in the pool
    assert (kernel.m.pdbcnt, kernel.cpus[0].cr3) == (1, kernel.m.pdb)
    assert (up.mmupdb, up.mmufree, up.mmuused, up.kmaptable) == (None, None, None, None)
    d = kernel.m.pdbpool
    assert d is not None
    assert not any(word(kernel, d.pa, n) for n in range(PDX(VPT)))  # clean of users and of KMAP
    assert kernel.plain.tables & {p.pa for p in kernel.palloc.pages.values()} == {d.pa}


def test_directory_from_the_pool_is_used_again(kernel: PlainKernel) -> None:
    put(kernel, 0x1000)
    d = me(kernel).mmupdb
    kernel.m.splhi = True
    mmurelease(kernel, me(kernel))
    kernel.become(kernel.process())
    put(kernel, 0x1000)
    assert me(kernel).mmupdb is d
    assert (kernel.m.pdbcnt, kernel.m.pdballoc, kernel.m.pdbfree) == (0, 2, 1)


def test_processor_keeps_ten_directories_at_the_most() -> None:
    k = PlainKernel(200)
    procs = [k.process() for _ in range(NPDBPOOL + 2)]
    n = k.palloc.freecount
    for p in procs:
        k.become(p)
        upallocpdb(k)
    k.m.splhi = True
    for p in procs:
        mmurelease(k, p)
    assert k.m.pdbcnt == len(poolpages(k, k.m)) == 10
    assert k.palloc.freecount == n - 10


def test_mmurelease_wakes_who_waits_for_memory() -> None:
    k = PlainKernel(100)
    woken: list[int] = []

    def waiter() -> None:
        sleep(k, k.palloc.r, lambda: False)
        woken.append(1)

    def body() -> None:
        put(k, 0x1000)

    k.spawn(waiter)
    k.run(10)
    k.spawn(body)
    k.run(10)
    assert woken == [1]


def test_upallocpdb_does_nothing_the_second_time(kernel: PlainKernel) -> None:
    upallocpdb(kernel)
    d = me(kernel).mmupdb
    upallocpdb(kernel)
    assert me(kernel).mmupdb is d


@pytest.mark.parametrize("what", ["islo", "nopdb", "kmapref", "nkmap", "badpde", "pageref"])
def test_mmurelease_panics_when_something_is_wrong(kernel: PlainKernel, what: str) -> None:
    up = me(kernel)
    put(kernel, 0x1000)
    kunmap(kernel, kmap(kernel, kernel.page()))
    assert up.kmaptable is not None
    kernel.m.splhi = True
    if what == "islo":
        kernel.m.splhi = False
    elif what == "nopdb":
        up.mmupdb = None
    elif what == "kmapref":
        up.kmaptable.ref = 2
    elif what == "nkmap":
        up.nkmap = 1
    elif what == "badpde":
        kernel.mem.words[(pdb(kernel) >> 2) + PDX(KMAP)] = 0
    else:
        used(up)[0].ref = 2
    told = {
        "islo": "islo", "nopdb": "no mmupdb", "kmapref": "kmap ref 1", "nkmap": "nkmap 1", "badpde": "bad kmap pde",
        "pageref": "page->ref 1",
    }  # fmt: skip
    with pytest.raises(Panic, match=f"mmurelease: {told[what]}"):
        mmurelease(kernel, up)


def test_mmupdbfree_with_interrupts_on_panics(kernel: PlainKernel) -> None:
    kernel.m.splhi = False
    with pytest.raises(Panic, match="mmupdbfree: islo"):
        mmupdbfree(kernel, me(kernel), kernel.page())


# kmap


def test_kmap_takes_the_entries_of_its_table_in_turn(kernel: PlainKernel) -> None:
    up = me(kernel)
    a, b, c = (kernel.page() for _ in range(3))
    ka, kb = kmap(kernel, a), kmap(kernel, b)
    assert (ka, kb) == (KMAP, KMAP + BY2PG)
    assert up.kmaptable is not None
    table = up.kmaptable.pa
    assert word(kernel, pdb(kernel), PDX(KMAP)) == table | KERNEL
    assert [word(kernel, table, n) for n in range(3)] == [a.pa | KERNEL, b.pa | KERNEL, 0]
    assert (VA(kernel, ka), VA(kernel, kb)) == (a.pa, b.pa)
    kunmap(kernel, ka)
    assert word(kernel, table, 0) == 0
    assert kmap(kernel, c) == KMAP + 2 * BY2PG  # on from the last one
    assert up.nkmap == 2


def test_kmap_comes_round_to_entries_given_back(kernel: PlainKernel) -> None:
    p = kernel.page()
    kunmap(kernel, kmap(kernel, p))
    me(kernel).lastkmap = NKPT - 2
    assert [kmap(kernel, p) for _ in range(2)] == [KMAP + (NKPT - 1) * BY2PG, KMAP]


def test_kmap_runs_out_after_1024_pages(kernel: PlainKernel) -> None:
    p = kernel.page()
    for _ in range(NKPT):
        kmap(kernel, p)
    with pytest.raises(Panic, match="out of kmap"):
        kmap(kernel, p)


def test_kmap_table_survives_a_flush(kernel: PlainKernel) -> None:
    put(kernel, 0x1000)
    ka = kmap(kernel, kernel.page())
    flushmmu(kernel)
    kunmap(kernel, ka)
    assert me(kernel).nkmap == 0


def test_kmap_without_a_process_panics(kernel: PlainKernel) -> None:
    kernel.up = None
    with pytest.raises(Panic, match="up=0"):
        kmap(kernel, kernel.palloc.pages.get(0) or Page(0, 1))


@pytest.mark.parametrize(
    ("va", "told"),
    [(KMAP - BY2PG, "bad address"), (KMAP + KMAPSIZE, "bad address"), (KMAP + 0x5000, "not mapped")],
)
def test_kunmap_of_what_kmap_did_not_give_panics(kernel: PlainKernel, va: int, told: str) -> None:
    with pytest.raises(Panic, match="no kmaps"):
        kunmap(kernel, KMAP)
    kmap(kernel, kernel.page())
    with pytest.raises(Panic, match=told):
        kunmap(kernel, va)


def test_kmap_panics_when_its_own_books_are_wrong(kernel: PlainKernel) -> None:
    up = me(kernel)
    p = kernel.page()
    ka = kmap(kernel, p)
    up.nkmap = 0
    with pytest.raises(Panic, match="nkmap=-1"):
        kunmap(kernel, ka)
    with pytest.raises(Panic, match="nkmap=-1"):
        kmap(kernel, p)
    up.nkmap = 0
    table, up.kmaptable = up.kmaptable, None
    with pytest.raises(Panic, match="no kmaptable"):
        kmap(kernel, p)
    kernel.mem.words[(pdb(kernel) >> 2) + PDX(KMAP)] = 0
    up.kmaptable = table
    with pytest.raises(Panic, match="kmaptable"):
        kmap(kernel, p)


# tmpmap


def test_low_frame_is_reached_through_the_window(kernel: PlainKernel) -> None:
    p = kernel.page()
    kernel.m.splhi = True
    v = tmpmap(kernel, p)
    assert (v, kword(kernel, v)) == (KZERO + p.pa, p.pa >> 2)
    assert pteword(kernel, kernel.m.pdb, TMPADDR) == TMPADDR - KZERO | KERNEL
    tmpunmap(kernel, v)


@pytest.fixture
def high() -> PlainKernel:
    """A kernel whose pool lies above the window at KZERO."""
    k = PlainKernel(memory=512 * MB)
    k.become(k.process())
    k.m.splhi = True
    return k


def test_high_frame_is_mapped_at_tmpaddr(high: PlainKernel) -> None:
    p = high.page()
    v = tmpmap(high, p)
    assert (v, kword(high, v)) == (TMPADDR, p.pa >> 2)
    assert pteword(high, high.m.pdb, TMPADDR) == p.pa | KERNEL
    with pytest.raises(Panic, match="already mapped"):
        tmpmap(high, p)
    tmpunmap(high, v)
    assert pteword(high, high.m.pdb, TMPADDR) == TMPADDR - KZERO | KERNEL
    with pytest.raises(Panic, match="not mapped"):
        tmpunmap(high, v)


def test_all_of_the_mmu_works_on_high_frames(high: PlainKernel) -> None:
    up = me(high)
    high.m.splhi = False
    p = put(high, 0x1000, PTEWRITE)
    assert pdb(high) > 256 * MB
    assert word(high, pdb(high), PDX(VPT)) == pdb(high) | KERNEL
    assert pteword(high, pdb(high), 0x1000) == p.pa | RW
    kunmap(high, kmap(high, p))
    flushmmu(high)
    assert word(high, pdb(high), 0) == 0
    high.m.splhi = True
    mmurelease(high, up)
    assert pteword(high, high.m.pdb, TMPADDR) == TMPADDR - KZERO | KERNEL


def test_tmpmap_with_interrupts_on_panics(kernel: PlainKernel) -> None:
    kernel.m.splhi = False
    with pytest.raises(Panic, match="islo"):
        tmpmap(kernel, kernel.page())
    with pytest.raises(Panic, match="islo"):
        tmpunmap(kernel, TMPADDR)


def test_tmpunmap_of_a_user_address_panics(kernel: PlainKernel) -> None:
    kernel.m.splhi = True
    with pytest.raises(Panic, match="bad address"):
        tmpunmap(kernel, 0x1000)


def test_tmpmap_without_its_entry_panics(high: PlainKernel) -> None:
    high.mem.words[(CPU0PTE - KZERO >> 2) + PTX(TMPADDR)] = 0
    with pytest.raises(Panic, match="no entry"):
        tmpmap(high, high.page())


# mmuwalk, vmap


def test_mmuwalk_finds_entries_and_makes_tables(kernel: PlainKernel) -> None:
    d = kernel.m.pdb
    walk = partial(mmuwalk, kernel)
    assert walk(d, VMAP, 1, False) is None
    assert walk(d, VMAP, 2, False) is None
    assert walk(d, VMAP, 1, True) == (d >> 2) + PDX(VMAP)
    x = walk(d, VMAP + 0x3000, 2, True)
    table = word(kernel, d, PDX(VMAP))
    assert table & 0xFFF == KERNEL
    assert x == (table >> 12 << 10) + 3
    assert walk(d, KZERO, 1, False) == (d >> 2) + PDX(KZERO)
    assert walk(d, VMAP, 3, True) is None
    assert table & ~0xFFF in kernel.plain.tables


def test_mmuwalk_into_a_4_mb_page_panics() -> None:
    k = PlainKernel(memory=16 * MB)
    with pytest.raises(Panic, match="mmuwalk2"):
        mmuwalk(k, k.m.pdb, KZERO + 4 * MB, 2, False)


def test_vmap_of_some_bytes_takes_whole_pages(kernel: PlainKernel) -> None:
    a = vmap(kernel, 0xC0000123, 0x1000)
    b = vmap(kernel, 0xD0000000, 0x1000)
    assert (a, b) == (VMAP + 0x123, VMAP + 0x2000)
    flags = PTEUNCACHED | KERNEL
    assert pteword(kernel, kernel.m.pdb, VMAP) == 0xC0000000 | flags
    assert pteword(kernel, kernel.m.pdb, VMAP + 0x1000) == 0xC0001000 | flags
    assert pteword(kernel, kernel.m.pdb, VMAP + 0x2000) == 0xD0000000 | flags


def test_vmap_uses_4_mb_pages_where_they_fit(kernel: PlainKernel) -> None:
    a = vmap(kernel, 0xC0000000, 8 * MB + 0x2000)
    d = kernel.m.pdb
    flags = PTEUNCACHED | KERNEL
    assert a == VMAP
    assert [word(kernel, d, PDX(VMAP) + n) for n in range(2)] == [
        0xC0000000 | PTESIZE | flags, 0xC0400000 | PTESIZE | flags,
    ]  # fmt: skip
    assert pteword(kernel, d, VMAP + 8 * MB + 0x1000) == 0xC0801000 | flags
    assert pteword(kernel, d, VMAP + 4 * MB + 0x5000) == 0xC0405000 | PTESIZE | flags
    # the next small one goes into the table that is there
    assert vmap(kernel, 0xD0000000, 0x1000) == VMAP + 8 * MB + 0x2000


def test_vmap_of_unaligned_megabytes_uses_tables(kernel: PlainKernel) -> None:
    a = vmap(kernel, 0xC0001000, 4 * MB)
    assert a == VMAP
    assert not word(kernel, kernel.m.pdb, PDX(VMAP)) & PTESIZE
    assert pteword(kernel, kernel.m.pdb, VMAP + 4 * MB - 1) & ~0xFFF == 0xC0400000


def test_findhole(kernel: PlainKernel) -> None:
    w = kernel.mem.words
    i = xspanalloc(kernel) >> 2
    for n in (0, 1, 3, 6):
        w[i + n] = 1
    find = partial(findhole, kernel)
    assert [find(i, 8, count) for count in (1, 2, 3)] == [2, 4, -1]
    assert find(i, 10, 3) == 7
    assert find(i, 2, 1) == -1


def test_vmap_without_room_or_address_is_refused(kernel: PlainKernel) -> None:
    assert vmap(kernel, 0, 0x1000) == 0
    assert kernel.printed == ["vmap pa=0\n"]
    assert vmap(kernel, 0xC0000000, VMAPSIZE + 4 * MB) == 0
    n = VMAPSIZE // (4 * MB)
    assert vmap(kernel, 0x10000000, n * 4 * MB) == VMAP
    assert vmap(kernel, 0xC0000000, 0x1000) == 0


def test_pdbmap_over_a_mapping_panics(kernel: PlainKernel) -> None:
    vmap(kernel, 0xC0000000, 0x1000)
    with pytest.raises(Panic, match=r"vmap: va=.* pte="):
        pdbmap(kernel, kernel.m.pdb, 0xD0000000 | PTEWRITE, VMAP, 0x1000)
    big = vmap(kernel, 0xC0000000, 4 * MB)
    with pytest.raises(Panic, match=r"vmap: va=.* pde="):
        pdbmap(kernel, kernel.m.pdb, 0xD0000000 | PTEWRITE, big, 0x1000)


def test_vunmap_removes_large_and_small_pages(kernel: PlainKernel) -> None:
    a = vmap(kernel, 0xC0000100, 8 * MB)
    b = vmap(kernel, 0xD0000000, 4 * MB)
    assert vmapsync(kernel, a) and vmapsync(kernel, b)
    vunmap(kernel, a, 8 * MB)
    vunmap(kernel, b, 4 * MB)
    assert pteword(kernel, kernel.m.pdb, a) == 0
    assert word(kernel, kernel.m.pdb, PDX(b)) == 0
    assert vmap(kernel, 0xD0000000, 4 * MB) == VMAP  # the first hole


def test_vunmap_flushes_every_process(kernel: PlainKernel) -> None:
    other, dead = kernel.process(), kernel.process()
    dead.state = Dead
    a = vmap(kernel, 0xC0000000, 0x1000)
    vunmap(kernel, a, 0x1000)
    assert other.newtlb and not dead.newtlb
    b = vmap(kernel, 0xC0000000, 0x1000)
    kernel.up = None
    vunmap(kernel, b, 0x1000)
    assert kernel.cpus[0].log[-1] == ("cr3", kernel.m.pdb)


@pytest.mark.parametrize(
    ("va", "size", "told"),
    [
        (VMAP - BY2PG, 0x1000, "vunmap va="),
        (VMAP + VMAPSIZE - BY2PG, 0x2000, "vunmap va="),
        (VMAP, 0x1000, "not mapped"),
        (VMAP + 0x3000, 0x1000, "not mapped"),
        (VMAP + 4 * MB + 0x1000, 0x1000, "misaligned"),
    ],
)
def test_vunmap_of_what_vmap_did_not_give_panics(kernel: PlainKernel, va: int, size: int, told: str) -> None:
    if told != "not mapped" or va != VMAP:
        vmap(kernel, 0xC0000000, 0x1000)
        vmap(kernel, 0xC0000000, 4 * MB)
    with pytest.raises(Panic, match=told):
        vunmap(kernel, va, size)


def test_vmapsync_copies_what_the_current_directory_lacks(kernel: PlainKernel) -> None:
    upallocpdb(kernel)  # before the mapping is made
    a = vmap(kernel, 0xC0000000, 0x1000)
    d = pdb(kernel)
    assert pteword(kernel, d, a) == 0
    assert vmapsync(kernel, a)
    assert pteword(kernel, d, a) & ~0xFFF == 0xC0000000
    assert not vmapsync(kernel, a + 0x1000)  # its table is there, but nothing in it
    assert not vmapsync(kernel, a + 4 * MB)
    assert not vmapsync(kernel, VMAP - 1)
    assert not vmapsync(kernel, VMAP + VMAPSIZE)
    big = vmap(kernel, 0xC0000000, 4 * MB)
    assert vmapsync(kernel, big + 0x1234)


# checkmmu, counting


def test_checkmmu_tells_of_an_entry_that_names_another_frame(kernel: PlainKernel) -> None:
    checkmmu(kernel, 0x1000, 0x5000)  # no directory yet
    p = put(kernel, 0x1000)
    checkmmu(kernel, 0x1000, p.pa)
    checkmmu(kernel, 0x2000, p.pa)  # not mapped
    checkmmu(kernel, 0x400000, p.pa)  # no table
    assert kernel.printed == []
    checkmmu(kernel, 0x1000, p.pa + BY2PG)
    assert f"va=0x1000 pa={p.pa + BY2PG:#x} pte={p.pa | USER:#08x}" in kernel.printed[0]


def test_countpagerefs_finds_all_frames_of_the_mmu(kernel: PlainKernel) -> None:
    put(kernel, 0x1000)
    flushmmu(kernel)
    put(kernel, 0x1000)
    put(kernel, 0x400000)
    kunmap(kernel, kmap(kernel, kernel.page()))
    gone = kernel.process()
    here = me(kernel)
    kernel.become(gone)
    upallocpdb(kernel)
    kernel.m.splhi = True
    mmurelease(kernel, gone)
    kernel.become(here)
    ref: dict[int, int] = {}
    countpagerefs(kernel, ref)
    assert sorted(ref.values()) == [1] * 5  # directory, kmap's table, two tables, and the pool's directory
    assert [what for what, _ in mmupages(kernel, here)] == ["pdb", "kmaptable", "mmuused", "mmuused"]


# With segments


def test_shrinking_a_shared_segment_reaches_the_other_processor() -> None:
    k = PlainKernel(nmach=2)
    k.nopager()
    done: list[str] = []
    shared: list[Segment] = []

    def other() -> None:
        me(k).seg[BSEG] = shared[0]
        shared[0].ref += 1
        assert fault(k, 0x100000, False) == 0
        while not done:
            k.m.cpu.spend(1_000_000)
            preempted(k)
        done.append(f"flushed {me(k).mmuused is None}")

    def first() -> None:
        s = k.segment(me(k), BSEG, SG_BSS, 0x100000, 4)
        shared.append(s)
        tsleep(k, me(k).sleep, lambda: False, 50)
        assert s.ref == 2
        mfreeseg(k, s, 0x100000, 4)
        done.append("freed")

    k.spawn(first)
    k.run(5)
    k.spawn(other)
    k.run(1000)
    assert done == ["freed", "flushed True"]


def test_processor_without_process_has_no_page_directory_of_one(kernel: PlainKernel) -> None:
    seen: list[int] = []

    def body() -> None:
        put(kernel, 0x1000, PTEWRITE)
        seen.append(kernel.m.cpu.getcr3())
        tsleep(kernel, me(kernel).sleep, lambda: False, 10)

    kernel.spawn(body)
    kernel.run(5)
    m = kernel.machs[0]
    assert m.proc is None
    assert seen != [m.pdb]
    assert m.cpu.getcr3() == m.pdb  # while the process sleeps another processor may take it, and let it end
