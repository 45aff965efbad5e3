"""Later fixes of 9front's, and cures of ours, that no guest can tell: small scenes, with and without."""

from __future__ import annotations

import struct

import pytest

from kernel.base.chandat import MREPL, OWRITE, Abind, Amount, Mhead
from kernel.base.dat import BSEG, PG_ONSWAP, SEG1, SG_BSS, SG_PHYSICAL, SG_STACK, SSEG, Page, Physseg
from kernel.base.error import Error, Panic
from kernel.base.inject import Inject
from kernel.base.kernel import Kernel
from kernel.base.mem import BY2PG, MB, PTEMAPMEM, PTEVALID, PTEWRITE, USTKSIZE, USTKTOP
from kernel.base.variant import Variant, fixes, fixnames, originalnames, originals, variant
from kernel.files.chan import namec
from kernel.files.channel import cclose, findmount, putmhead
from kernel.memory import mmu
from kernel.memory.cache import copen, cupdate
from kernel.memory.check import check
from kernel.memory.fault import fault
from kernel.memory.mmu import flushmmu, pteword
from kernel.memory.page import cachedel, cachepage, lookpage, pagereclaim, putpage
from kernel.memory.palloc import mustpage
from kernel.memory.segment import mcountseg, mfreeseg, newseg, relocateseg
from kernel.memory.swap import executeio, pageproc, pagepte
from kernel.memory.uaccess import ustore
from kernel.sched.ref import incref
from kernel.syscalls.bindmount import sysbind
from kernel.syscalls.sysexec import sysexec
from kernel.syscalls.sysrfork import RFPROC, sysrfork
from kernel.syscalls.sysseg import segflush, syssegattach, syssegbrk
from tests.kernel.fakes import UBASE, Rig
from tests.kernel.plain import PlainKernel, entry, freelist
from tests.linking import linked

BASE = 0x100000
CHAIN = 512 * BY2PG  # two addresses so far apart are on one chain


# The mechanism


def test_names_are_words_of_a_list_or_all() -> None:
    assert fixnames("") == originalnames("") == ()
    assert fixnames("all") == tuple(fixes()) != ()
    assert originalnames("all") == tuple(originals()) != ()
    assert fixnames("fcc336b90,3af236b5e36951ba637d,fcc336b") == ("fcc336b90", "3af236b5e")
    assert originalnames("23") == originalnames("putpage") == ("putpage",)


@pytest.mark.parametrize("word", ["nosuch", "3af236", "3af236b5e" + "0" * 32, "3af236b5e,", ",", "ALL"])
def test_others_are_told_what_there_is(word: str) -> None:
    for names, rows in ((fixnames, fixes()), (originalnames, originals())):
        assert names(f"all,{next(iter(rows))}") == tuple(rows)
        with pytest.raises(ValueError, match=r"^'nosuch' is none of "):
            names("all,nosuch")
        with pytest.raises(ValueError, match=r"is none of the (fixes|cures) that are known: ") as e:
            names(word)
        assert "\n" not in str(e.value)
        assert all(name in str(e.value) for name in rows)


def test_a_kernel_is_the_original_with_its_cures_unless_told() -> None:
    assert PlainKernel().variant == Variant() == variant()
    assert variant(("putpage",), ("3af236b5e",)) == Variant(original_putpage=True, fix_3af236b5e=True)
    with pytest.raises(TypeError):
        variant(fix=("nosuch",))


def test_every_row_is_of_a_kind_and_has_a_day_or_an_erratum() -> None:
    for row in fixes().values():
        assert len(row.name) == 9 and row.when[:2] == "20" and row.kind in ("R", "D", "S", "F", "L", "S D", "R S")
    for row in originals().values():
        assert row.when.startswith("erratum ")


# Fixes


@pytest.mark.parametrize(("fix", "kept"), [((), 0), (("e8760ba63",), 1)])
def test_e8760ba63_the_oldest_page_of_a_chain_goes_first(kernel: PlainKernel, fix: tuple[str, ...], kept: int) -> None:
    """Page 0 is the older one, but was looked up last: without the fix page 1 goes, as the one entered last."""
    kernel.variant = variant(fix=fix)
    i = kernel.fscache
    for n in range(2):
        p = kernel.page()
        p.daddr = n * CHAIN
        cachepage(kernel, p, i)
        putpage(kernel, p)
    assert pagereclaim(kernel, i, 1) == 1
    left = [n for n in range(2) if lookpage(kernel, i, n * CHAIN) is not None]
    assert left == [kept]


def test_e8760ba63_a_page_that_was_looked_up_is_the_newest(kernel: PlainKernel) -> None:
    kernel.variant = variant(fix=("e8760ba63",))
    i = kernel.fscache
    for n in range(3):
        p = kernel.page()
        p.daddr = n * CHAIN
        cachepage(kernel, p, i)
        putpage(kernel, p)
    found = lookpage(kernel, i, 0)
    assert found is not None
    putpage(kernel, found)
    assert pagereclaim(kernel, i, 1) == 1
    assert [n for n in range(3) if lookpage(kernel, i, n * CHAIN) is not None] == [0, 2]


def physical(k: PlainKernel) -> None:
    """A page of a physical segment, in use."""
    up = k.up
    assert up is not None
    s = k.segment(up, SEG1, SG_PHYSICAL, BASE, 1)
    s.pseg = Physseg(SG_PHYSICAL, "fb", 0xC000_0000, BY2PG)
    assert fault(k, BASE, True) == 0
    assert mcountseg(k, s) == (not k.variant.fix_eaf91d0f8)
    mfreeseg(k, s, BASE, 1)


def test_eaf91d0f8_frames_of_a_physical_segment_stay_off_the_free_list(kernel: PlainKernel) -> None:
    physical(kernel)
    assert kernel.palloc.head is not None and kernel.palloc.head.pa == 0xC000_0000
    assert syssegbrk(kernel, (BASE, BASE + 8 * BY2PG, 0, 0, 0)) == 0

    k = PlainKernel()
    k.variant = variant(fix=("eaf91d0f8",))
    k.become(k.process())
    free = freelist(k)
    physical(k)
    assert set(freelist(k)) <= set(free)
    with pytest.raises(Error, match="bad arg in system call"):
        syssegbrk(k, (BASE, BASE + 8 * BY2PG, 0, 0, 0))


def test_4d211fdd4_entries_on_swap_are_not_relocated(kernel: PlainKernel) -> None:
    up = kernel.up
    assert up is not None
    s = kernel.segment(up, SSEG, SG_BSS, USTKTOP - USTKSIZE, USTKSIZE // BY2PG)
    assert fault(kernel, s.base, False) == fault(kernel, s.base + BY2PG, False) == 0
    pte = s.map[0]
    assert pte is not None
    putpage(kernel, pte.pages[1])  # type: ignore[arg-type]
    pte.pages[1] = 3 * BY2PG | PG_ONSWAP
    with pytest.raises(Panic, match="relocateseg"):
        relocateseg(kernel, s, BY2PG)
    kernel.variant = variant(fix=("4d211fdd4",))
    relocateseg(kernel, s, BY2PG)
    page = entry(s, s.base)
    assert isinstance(page, Page) and page.va == s.base + 2 * BY2PG  # twice: before the panic too
    assert pte.pages[1] == 3 * BY2PG | PG_ONSWAP


@pytest.mark.parametrize("start", [BASE, BASE + 100])
def test_4d211fdd4_segflush_is_of_whole_pages_and_over_tables(kernel: PlainKernel, start: int) -> None:
    up = kernel.up
    assert up is not None
    kernel.variant = variant(fix=("4d211fdd4",))
    s = kernel.segment(up, SEG1, SG_BSS, BASE, 3 * PTEMAPMEM // BY2PG)
    pages = (0, BY2PG, PTEMAPMEM - BY2PG, 2 * PTEMAPMEM, 2 * PTEMAPMEM + BY2PG)  # no table for the second megabyte
    for off in pages:
        assert fault(kernel, BASE + off, False) == 0
    assert segflush(kernel, start, 2 * PTEMAPMEM + 10) == 0
    flushed = [off for off in pages if isinstance(p := entry(s, BASE + off), Page) and p.cachectl[0]]
    assert flushed == list(pages[:4])
    for start, n in ((BASE, 4 * PTEMAPMEM), (BASE - BY2PG, BY2PG), (BASE, 0xFFFFE000)):
        with pytest.raises(Error, match="bad arg in system call"):
            segflush(kernel, start, n)


@pytest.mark.parametrize(("fix", "left"), [((), [1]), (("d0b1db98b",), [])])
def test_d0b1db98b_the_last_page_of_a_table_is_paged_out(
    kernel: PlainKernel, fix: tuple[str, ...], left: list[int]
) -> None:
    kernel.variant = variant(fix=fix)
    kernel.swapimage.c = kernel.file(bytes(1 << 17))
    up = kernel.up
    assert up is not None
    s = kernel.segment(up, SEG1, SG_BSS, BASE, 2)
    for n in range(2):
        assert fault(kernel, BASE + n * BY2PG, False) == 0
    kernel.become(kernel.process("another"))
    for clock in (0, 16):
        kernel.ageclock = clock
        assert pageproc(kernel, up)
    assert [n for n in range(2) if isinstance(entry(s, BASE + n * BY2PG), Page)] == left


# Cures taken back: what docs/errata.md says of the original comes true


class Bad:
    """A user's buffer that cannot be looked at."""

    def __len__(self) -> int:
        return 100

    def __getitem__(self, key: slice) -> bytes:
        raise Error("i/o error")


@pytest.mark.parametrize("names", [(), ("cupdate",)])
def test_19_a_buffer_that_fails_leaves_the_cache_locked(kernel: PlainKernel, names: tuple[str, ...]) -> None:
    kernel.variant = variant(names)
    c = kernel.file(b"", path=1)
    copen(kernel, c)
    m = c.mcp
    assert m is not None
    cupdate(kernel, c, b"x" * 10, 0, 10, 8192)  # kmap has its table from now on
    free = kernel.palloc.freecount
    with pytest.raises(Error, match="i/o error"):
        cupdate(kernel, c, Bad(), 0, 100, 0)
    assert m.locked == bool(names)
    assert (kernel.palloc.freecount < free) == bool(names)


@pytest.mark.parametrize("names", [(), ("putpage",)])
def test_23_a_page_cached_while_putpage_is_at_it_is_freed(kernel: PlainKernel, names: tuple[str, ...]) -> None:
    kernel.variant = variant(names)
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
    assert (kernel.palloc.head is p) == bool(names)  # free and cached
    assert (check(kernel) == []) == (not names)


@pytest.mark.parametrize("names", [(), ("putpage",)])
def test_23_a_page_forgotten_while_putpage_is_at_it_is_lost(kernel: PlainKernel, names: tuple[str, ...]) -> None:
    kernel.variant = variant(names)
    p = kernel.page()
    p.daddr = 0
    cachepage(kernel, p, kernel.swapimage)

    def pager(point: str) -> None:
        kernel.explore = None
        cachedel(kernel, kernel.swapimage, 0)

    kernel.explore = pager
    putpage(kernel, p)
    assert (kernel.palloc.head is p) == (not names)
    assert p.ref == 0 and p.image is None


@pytest.mark.parametrize("names", [(), ("fork",)])
def test_24_a_fork_that_fails_leaves_its_parent_writing_to_shared_pages(names: tuple[str, ...]) -> None:
    rig = Rig()
    k = rig.k
    k.variant = variant(names)

    @rig.run
    def _() -> None:
        rig.up.seg[SSEG] = newseg(k, SG_STACK, USTKTOP - MB, MB // BY2PG)
        for n in (1, 2, 3):  # in the slots of text, data, and one that is copied after the bss
            rig.call(syssegattach, 0, "memory", UBASE + 16 * n * MB, BY2PG)
        ustore(k, UBASE, b"x")
        page = entry(rig.up.seg[BSEG], UBASE)  # type: ignore[arg-type]
        k.inject = Inject({"malloc": (5, False)})
        with pytest.raises(Error, match=r"out of|no free|alloc"):
            rig.call(sysrfork, RFPROC)
        assert isinstance(page, Page) and page.ref == 2  # the child has it until it is gone
        assert rig.up.mmupdb is not None
        writable = pteword(k, rig.up.mmupdb.pa, UBASE) & (PTEVALID | PTEWRITE) == PTEVALID | PTEWRITE
        assert writable == bool(names)


@pytest.mark.parametrize("names", [(), ("putmmu",)])
def test_25_a_page_taken_while_putmmu_waits_is_mapped(
    kernel: PlainKernel, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    kernel.variant = variant(names)
    kernel.swapimage.c = kernel.file(bytes(1 << 17))
    up = kernel.up
    assert up is not None
    s = kernel.segment(up, SEG1, SG_BSS, BASE, 2)

    def waits(k: PlainKernel, va: int) -> Page:
        """The process sleeps, the pager takes its page, it comes back."""
        pte = s.map[0]
        if pte is not None and isinstance(pte.pages[0], Page) and up.mmupdb is not None:
            pagepte(k, SG_BSS, pte, 0)
            executeio(k)
            up.newtlb = True
            flushmmu(k)
        return mustpage(k, va)

    assert fault(kernel, BASE + BY2PG, True) == 0
    flushmmu(kernel)
    up.mmufree = None  # another table is wanted
    monkeypatch.setattr(mmu, "mustpage", waits)
    assert fault(kernel, BASE, True) == 0
    assert entry(s, BASE) == PG_ONSWAP
    assert up.mmupdb is not None
    assert bool(pteword(kernel, up.mmupdb.pa, BASE) & PTEVALID) == bool(names)


@pytest.mark.parametrize("names", [(), ("umh",)])
def test_28_two_binds_at_once_drop_the_old_head_twice(names: tuple[str, ...]) -> None:
    rig = Rig()
    rig.k.variant = variant(names)
    heads: list[Mhead] = []

    def another(k: Kernel, m: Mhead | None) -> None:
        """Before the old head is dropped another processor makes the same bind."""
        if m in heads:
            heads.clear()
            cclose(k, namec(k, "/env", Abind))
        putmhead(k, m)

    @rig.run
    def _() -> None:
        k = rig.k
        rig.call(sysbind, "#c", "/env", MREPL)
        rig.call(sysbind, "/env", "/fd", MREPL)  # the same channel is mounted upon both
        cclose(k, namec(k, "/fd", Abind))
        c = namec(k, "/fd", Amount)
        found = findmount(k, c.type, c.dev, c.qid)
        assert found is not None
        heads.append(found[1])
        refs = found[1].ref
        with linked({putmhead: another}):
            cclose(k, namec(k, "/env", Abind))
        assert refs - found[1].ref == (2 if names else 1)


def test_31_a_segment_name_without_an_end_is_a_panic() -> None:
    rig = Rig()
    rig.k.variant = variant(("segname",))

    def body() -> None:
        rig.up.seg[SSEG] = newseg(rig.k, SG_STACK, USTKTOP - MB, MB // BY2PG)
        ustore(rig.k, UBASE + MB - 6, b"shared")
        rig.call(syssegattach, 0, UBASE + MB - 6, 0, BY2PG)

    with pytest.raises(Panic, match=f"fault: {UBASE + MB:#x}"):
        rig.run(body)


def test_31_a_segment_name_with_an_end_is_as_before() -> None:
    rig = Rig()
    rig.k.variant = variant(("segname",))

    @rig.run
    def _() -> None:
        rig.up.seg[SSEG] = newseg(rig.k, SG_STACK, USTKTOP - MB, MB // BY2PG)
        assert rig.call(syssegattach, 0, "shared", 0, BY2PG) == USTKTOP - MB - BY2PG


@pytest.mark.parametrize("names", [(), ("exechdr",)])
@pytest.mark.parametrize("sizes", [(4, 0, 0xFFFFE000), (4, 0xFFFFE000, 0)])
def test_32_a_header_whose_sums_wrap_ends_the_process(sizes: tuple[int, int, int], names: tuple[str, ...]) -> None:
    rig = Rig()
    rig.k.variant = variant(names)
    failed = []

    def body() -> None:
        rig.up.seg[SSEG] = newseg(rig.k, SG_STACK, USTKTOP - MB, MB // BY2PG)
        fd = rig.create("/tmp/prog", OWRITE, 0o777)
        rig.pwrite(fd, struct.pack(">8I", 0x1EB, *sizes, 0, 0x1020, 0, 0))
        rig.close(fd)
        try:
            rig.call(sysexec, "/tmp/prog", bytes(4))
        except Error as e:
            failed.append(str(e))

    rig.spawn(body)
    rig.settle()
    assert failed == ([] if names else ["exec header invalid"])


@pytest.mark.parametrize("names", [(), ("errstr",)])
def test_35_a_new_process_has_the_errors_of_the_last_one(kernel: PlainKernel, names: tuple[str, ...]) -> None:
    kernel.variant = variant(names)
    first = kernel.spawn(lambda: None)
    first.syserrstr = "secret"
    kernel.run()
    second = kernel.process()
    assert second is first
    assert second.syserrstr == ("secret" if names else "")
