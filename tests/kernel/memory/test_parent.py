"""The page cache that the commit replaced: what differs from the commit's, and what must not."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.base.dat import BSEG, PG_ONSWAP, SG_BSS, SG_RONLY, SG_TEXT, TSEG, Image, Page, Segment
from kernel.base.error import Panic
from kernel.base.mem import BY2PG
from kernel.base.parentdat import ParentPage
from kernel.base.procdat import Mach
from kernel.memory.check import check, mustcheck
from kernel.memory.fault import fault
from kernel.memory.page import (
    auxpage,
    cachedel,
    cachedpages,
    cachepage,
    lookpage,
    ptecpy,
    putpage,
    uncachepage,
)
from kernel.memory.palloc import pagenumber
from kernel.memory.parent.page import own, pagechainhead, pageunchain
from kernel.memory.parent.swap import pageproc
from kernel.memory.procflush import procflushseg as flushes
from kernel.memory.segment import attachimage, imagereclaim, mcountseg, mfreeseg, putseg
from kernel.memory.swap import executeio, pageout, setswapchan
from kernel.memory.swapmap import newswap, putswap
from kernel.sched.taslock import unlock
from tests.kernel.plain import PlainKernel, entry, me
from tests.linking import linked

BASE = 0x100000


@pytest.fixture
def k() -> PlainKernel:
    """A kernel with 64 pages and one process, which is current and has its page directory and kmap table."""
    k = parent()
    putpage(k, k.page(clear=True))
    return k


def parent(npages: int = 64) -> PlainKernel:
    k = PlainKernel(npages, pagecache="parent")
    k.become(k.process())
    return k


def free(k: PlainKernel) -> list[int]:
    """The free list from its head: page numbers, and -1 for the frames that were never taken."""
    numbers = []
    p = k.palloc.head
    while p is not None:
        numbers.append(pagenumber(k, p) if p.pa >= 0 else -1)
        p = p.next
    return numbers


def cached(k: PlainKernel, i: Image, daddr: int) -> Page:
    """A page that is cached, with one reference."""
    p = k.page()
    p.daddr = daddr
    cachepage(k, p, i)
    return p


def image(k: PlainKernel) -> Image:
    """The image of a file, in use by a text segment."""
    i = attachimage(k, SG_TEXT | SG_RONLY, k.file(bytes(4 * BY2PG)), 0x1000, 4)
    unlock(k, i)
    me(k).seg[TSEG] = i.s
    return i


def bss(k: PlainKernel, n: int) -> Segment:
    """A segment of the current process, each of its pages written."""
    s = k.segment(me(k), BSEG, SG_BSS, BASE, n)
    for i in range(n):
        assert fault(k, BASE + i * BY2PG, False) == 0
    return s


# The free list


def test_frames_are_handed_out_from_the_lowest_on() -> None:
    k = parent()
    assert free(k) == [-1]
    pages = [k.page() for _ in range(3)]
    assert [pagenumber(k, p) for p in pages] == [0, 1, 2]
    assert k.palloc.freecount == 61


def test_a_page_without_image_goes_to_the_head_of_the_free_list_and_is_taken_next(k: PlainKernel) -> None:
    p, q = k.page(), k.page()
    putpage(k, p)
    putpage(k, q)
    assert free(k) == [pagenumber(k, q), pagenumber(k, p), -1]
    assert k.page() is q


def test_a_page_of_a_file_goes_to_the_tail_one_of_swap_to_the_head(k: PlainKernel) -> None:
    of_file, of_swap = cached(k, image(k), 0), cached(k, k.swapimage, BY2PG)
    putpage(k, of_file)
    putpage(k, of_swap)
    assert free(k) == [pagenumber(k, of_swap), -1, pagenumber(k, of_file)]
    assert check(k) == []


def test_a_cached_page_is_found_on_the_free_list_and_taken_off_it(k: PlainKernel) -> None:
    i = image(k)
    p = cached(k, i, BY2PG)
    putpage(k, p)
    before = k.palloc.freecount
    assert lookpage(k, i, BY2PG) is p
    assert (p.ref, k.palloc.freecount) == (1, before - 1)
    assert pagenumber(k, p) not in free(k)
    assert lookpage(k, i, BY2PG) is p
    assert (p.ref, k.palloc.freecount) == (2, before - 1)


@pytest.mark.parametrize("take", [auxpage, lambda k: k.page()], ids=["auxpage", "newpage"])
def test_who_takes_a_cached_page_has_the_cache_forget_it(k: PlainKernel, take: Callable[[PlainKernel], Page]) -> None:
    p = cached(k, k.swapimage, BY2PG)
    putpage(k, p)
    k.listen()
    assert take(k) is p
    assert (p.image, p.daddr, p.ref, k.swapimage.pgref) == (None, 0, 1, 0)
    assert lookpage(k, k.swapimage, BY2PG) is None
    assert k.told("page") == ["reclaim", "alloc"]
    assert k.nreclaim == 1


def test_all_frames_can_be_taken_and_given_back() -> None:
    k = parent(20)
    me(k).kp = True  # may take the last
    pages = [k.page() for _ in range(20)]
    assert (free(k), k.palloc.freecount, k.palloc.fresh) == ([], 0, 0)
    for p in pages:
        putpage(k, p)
    assert free(k) == list(range(19, -1, -1))
    assert check(k) == []


@pytest.mark.parametrize("before", [True, False], ids=["first", "last"])
def test_frames_never_taken_keep_their_place_between_both_ends(k: PlainKernel, before: bool) -> None:
    p = cached(k, image(k), 0)
    q = k.page()
    for page in (p, q) if before else (q, p):
        putpage(k, page)
    assert free(k) == [pagenumber(k, q), -1, pagenumber(k, p)]


# What the original panics of


def test_an_unreferenced_page_cannot_be_put(k: PlainKernel) -> None:
    p = k.page()
    putpage(k, p)
    with pytest.raises(Panic, match="putpage"):
        putpage(k, p)


def test_a_cached_page_cannot_be_cached_again(k: PlainKernel) -> None:
    p = cached(k, k.fscache, 0)
    with pytest.raises(Panic, match="cachepage"):
        cachepage(k, p, k.swapimage)


def test_a_free_page_with_a_reference_cannot_be_taken(k: PlainKernel) -> None:
    p = k.page()
    putpage(k, p)
    p.ref = 1
    with pytest.raises(Panic, match="ref 1 != 0"):
        k.page()


def test_the_free_list_is_changed_under_its_lock_alone(k: PlainKernel) -> None:
    p = k.page()
    putpage(k, p)
    with pytest.raises(Panic, match="pageunchain"):
        pageunchain(k, own(p))
    for chain in (k.parent.pagechainhead, pagechainhead) if k.parent is not None else ():
        with pytest.raises(Panic, match="pagechainhead"):
            chain(k, p)


def test_a_page_of_a_device_is_not_the_pools(k: PlainKernel) -> None:
    with pytest.raises(Panic, match="is not the pool's"):
        cachepage(k, Page(0xC0000000, 1), k.fscache)


def test_a_page_to_be_written_has_a_reference(k: PlainKernel) -> None:
    s = bss(k, 1)
    p = entry(s, BASE)
    assert isinstance(p, Page)
    p.ref = 0
    with pytest.raises(Panic, match="ref == 0"):
        fault(k, BASE, False)


# The cache


def test_one_hash_has_the_pages_of_all_images(k: PlainKernel) -> None:
    pages = [cached(k, i, 512 * BY2PG * n + BY2PG) for n, i in enumerate((k.fscache, k.swapimage, image(k)))]
    assert k.parent is not None
    assert [h for h, p in enumerate(k.parent.hash) if p is not None] == [1]
    for n, p in enumerate(pages):
        assert p.image is not None
        assert cachedpages(k, p.image) == [p]
        assert lookpage(k, p.image, 512 * BY2PG * n + BY2PG) is p
    uncachepage(k, pages[1])
    assert [cachedpages(k, p.image) for p in pages if p.image is not None] == [[pages[0]], [pages[2]]]


def test_uncachepage_of_what_is_not_cached_is_nothing(k: PlainKernel) -> None:
    p = k.page()
    p.daddr = 7
    uncachepage(k, p)
    assert p.daddr == 7


def test_cachedel_forgets_the_newest_page_alone(k: PlainKernel) -> None:
    old, new = cached(k, k.fscache, 0), cached(k, k.fscache, 0)
    putpage(k, new)
    k.listen()
    cachedel(k, k.fscache, 0)
    assert (new.image, old.image) == (None, k.fscache)
    assert k.told("page") == ["reclaim", "free"]
    cachedel(k, k.fscache, BY2PG)
    assert cachedpages(k, k.fscache) == [old]


@pytest.mark.parametrize("look", [cachedel, lookpage])
def test_a_page_that_is_forgotten_before_it_is_locked_is_looked_for_again(
    k: PlainKernel, look: Callable[[PlainKernel, Image, int], object]
) -> None:
    from kernel.memory.parent import page

    other, first = cached(k, k.fscache, 0), cached(k, k.fscache, 0)
    found: list[Page | None] = []

    def find(k: PlainKernel, i: Image, daddr: int) -> ParentPage | None:
        p = real(k, i, daddr)
        if not found:
            uncachepage(k, first)  # as another processor may, between the two locks
        found.append(p)
        return p

    real = page.find
    with linked({real: find}):
        look(k, k.fscache, 0)
    assert found == [first, other]
    assert not k.palloc.key and not own(first).lk.key and not own(other).lk.key


def test_the_last_cached_page_frees_an_image(k: PlainKernel) -> None:
    i = image(k)
    p = cached(k, i, 0)
    q = cached(k, i, BY2PG)
    k.listen()
    putseg(k, i.s)
    assert k.told("image") == ["close"]
    assert (i.ref, i.pgref, i.c) == (2, 2, None)
    uncachepage(k, p)
    uncachepage(k, q)
    assert k.told("image") == ["close", "free"]
    assert k.imagealloc.free is i


def test_an_image_freed_from_the_middle_of_its_chain_is_found_there(k: PlainKernel) -> None:
    images = []
    for n in range(3):
        i = attachimage(k, SG_TEXT | SG_RONLY, k.file(b"", path=64 * n + 1), BASE, 1)
        unlock(k, i)
        images.append(i)
    putseg(k, images[0].s)
    assert k.imagealloc.free is images[0]
    assert images[1].hash is None
    assert images[2].hash is images[1]


def test_references_to_an_image_without_a_file_are_never_counted_back(k: PlainKernel) -> None:
    uncachepage(k, cached(k, k.fscache, 0))
    assert (k.fscache.ref, k.fscache.pgref) == (1, 0)


def test_imagereclaim_has_the_cache_forget_pages_at_the_tail(k: PlainKernel) -> None:
    i = image(k)
    used, first, second = (cached(k, i, n * BY2PG) for n in range(3))
    putpage(k, first)
    putpage(k, second)
    k.listen()
    assert imagereclaim(k, 1) == 2  # it is not told how many: at least 1000
    assert free(k) == [pagenumber(k, first), pagenumber(k, second), -1]
    assert cachedpages(k, i) == [used]
    assert k.told("page") == ["reclaim", "free"] * 2


def test_imagereclaim_leaves_alone_what_is_locked_and_who_is_at_it(k: PlainKernel) -> None:
    p = cached(k, image(k), 0)
    putpage(k, p)
    own(p).lk.key = True
    assert imagereclaim(k, 1) == 0
    own(p).lk.key = False
    k.imagealloc.ireclaim.locked = True
    assert imagereclaim(k, 1) == 0
    k.imagealloc.ireclaim.locked = False
    assert imagereclaim(k, 1) == 1


# Segments


def test_a_copied_page_table_counts_pages_and_slots_once_more(k: PlainKernel) -> None:
    s = bss(k, 2)
    pte = s.map[0]
    assert pte is not None
    daddr = newswap(k)
    pte.pages[3], pte.last = daddr | PG_ONSWAP, 3
    new = ptecpy(k, pte)
    assert new.pages == pte.pages
    assert [p.ref for p in new.pages if isinstance(p, Page)] == [2, 2]
    assert k.swapalloc.swmap[daddr // BY2PG] == 3


def test_mcountseg_counts_what_is_on_swap_too(k: PlainKernel) -> None:
    s = bss(k, 3)
    pte = s.map[0]
    assert pte is not None
    putpage(k, pte.pages[1] or 0)
    pte.pages[1] = newswap(k) | PG_ONSWAP
    assert mcountseg(k, s) == 3


def test_mfreeseg_flushes_others_when_no_page_is_left_in_the_segment_and_none_is_free(k: PlainKernel) -> None:
    s = bss(k, 4)
    s.ref = 2
    pages = [entry(s, BASE + n * BY2PG) for n in range(4)]
    pte = s.map[0]
    assert pte is not None
    pte.pages[5] = newswap(k) | PG_ONSWAP
    slots = k.swapalloc.free
    seen: list[tuple[list[int], int]] = []

    def procflushseg(k: PlainKernel, s: Segment) -> None:
        seen.append(([p.ref for p in pages if isinstance(p, Page)], k.swapalloc.free - slots))

    with linked({flushes: procflushseg}):
        mfreeseg(k, s, BASE + BY2PG, 6)
    assert seen == [([1, 1, 1, 1], 0)]  # the slot has a reference left
    assert [p.ref for p in pages if isinstance(p, Page)] == [1, 0, 0, 0]
    assert [n for n, e in enumerate(pte.pages) if e is not None] == [0]
    assert free(k)[:3] == [pagenumber(k, p) for p in pages[1:] if isinstance(p, Page)]


def test_mfreeseg_passes_over_tables_that_are_not_there(k: PlainKernel) -> None:
    s = k.segment(me(k), BSEG, SG_BSS, BASE, 600)
    for n in (0, 299, 599):
        assert fault(k, BASE + n * BY2PG, False) == 0
    s.map[1] = None if s.map[1] is not None and not any(s.map[1].pages) else s.map[1]
    mfreeseg(k, s, BASE + BY2PG, 599)
    assert [n for n in range(600) if entry(s, BASE + n * BY2PG)] == [0]
    mfreeseg(k, s, BASE, 0)
    assert entry(s, BASE) is not None


# Paging out


def paged(k: PlainKernel, n: int) -> Segment:
    """A segment whose pages but the last are on swap, or still being written there."""
    setswapchan(k, k.file(bytes(32 * BY2PG)))
    s = bss(k, n)
    me(k).mach = None
    for _ in range(2):
        pageout(k, me(k), s)
        k.policy.round(k)
    k.policy.round(k)
    pageout(k, me(k), s)
    return s


def test_a_page_older_than_the_average_goes_and_waits_at_the_head(k: PlainKernel) -> None:
    s = paged(k, 5)
    assert [isinstance(entry(s, BASE + n * BY2PG), int) for n in range(5)] == [True] * 4 + [False]
    assert all(p.image is k.swapimage and p.ref == 1 for p in k.iolist)
    out = list(k.iolist)
    executeio(k)
    assert [p.ref for p in out] == [0] * 4
    assert free(k)[:4] == [pagenumber(k, p) for p in reversed(out)]
    k.become(me(k))
    assert fault(k, BASE, False) == 0  # is there still
    assert entry(s, BASE) is out[0]
    assert (k.nswapin, out[0].image) == (0, None)
    mustcheck(k)


def test_pages_are_written_in_the_order_of_their_slots(k: PlainKernel) -> None:
    paged(k, 5)
    k.iolist.reverse()
    written: list[int] = []
    k.dev.onwrite = lambda c, n, off: written.append(off)
    executeio(k)
    assert written == [0, BY2PG, 2 * BY2PG, 3 * BY2PG]


def test_no_more_is_paged_out_than_can_be_written_at_once(k: PlainKernel) -> None:
    k.conf.nswppo = 2
    paged(k, 5)
    assert len(k.iolist) == 2


def test_the_search_for_a_slot_begins_at_the_lowest_that_was_freed(k: PlainKernel) -> None:
    slots = [newswap(k) for _ in range(4)]
    for daddr in (slots[2], slots[1]):
        putswap(k, daddr)
        putswap(k, daddr)
    assert newswap(k) == slots[1]


def test_pageproc_ends_when_there_is_memory(k: PlainKernel) -> None:
    setswapchan(k, k.file(bytes(32 * BY2PG)))
    bss(k, 4)
    assert not pageproc(k, me(k))
    k.swapalloc.headroom = 64
    me(k).mach = None
    assert pageproc(k, me(k))
    assert me(k).psstate == "Pageout"


def test_the_pager_finds_room() -> None:
    k = PlainKernel(200, nswap=100, pagecache="parent")
    k.become(k.process())
    setswapchan(k, k.file(bytes(100 * BY2PG)))
    ended: list[Mach] = []

    def use() -> None:
        s = k.segment(me(k), BSEG, SG_BSS, BASE, 230)
        for n in range(230):
            assert fault(k, s.base + n * BY2PG, False) == 0
            p = entry(s, s.base + n * BY2PG)
            assert isinstance(p, Page)
            k.fill(p, n)
        for n in range(230):
            assert fault(k, s.base + n * BY2PG, True) == 0
            p = entry(s, s.base + n * BY2PG)
            assert isinstance(p, Page)
            assert k.mem.read(p.pa, 1)[0] == n
        ended.append(k.m)

    k.spawn(use)
    k.run(5000)
    assert len(ended) == 1
    assert k.npageout > 10
    mustcheck(k)


# The same with both


OPS = ("newpage", "put", "cache", "uncache", "look", "del", "aux")


class Both:
    """The same operations with both page caches; pages are told by the bytes in them."""

    def __init__(self) -> None:
        self.kernels = [PlainKernel(200), PlainKernel(200, pagecache="parent")]
        self.held: list[list[Page]] = [[], []]
        for k in self.kernels:
            k.become(k.process())
        self.made = 0

    def do(self, op: str, n: int) -> list[int]:
        """One operation on each kernel; what each shows of it."""
        self.made += 1
        return [self.one(k, held, op, n) for k, held in zip(self.kernels, self.held, strict=True)]

    def one(self, k: PlainKernel, held: list[Page], op: str, n: int) -> int:
        daddr = n % 4 * 512 * BY2PG + n // 4 * BY2PG
        if op in ("newpage", "aux"):
            p = k.page() if op == "newpage" else auxpage(k)
            assert p is not None
            k.mem.write(p.pa, self.made.to_bytes(4, "little"))
            held.append(p)
        elif op == "look":
            p = lookpage(k, k.fscache, daddr)
            if p is None:
                return -1
            held.append(p)
            return int.from_bytes(k.mem.read(p.pa, 4), "little")
        elif op == "del":
            while lookpage(k, k.fscache, daddr) is not None:  # the parent's forgets one at a time
                putpage(k, next(p for p in cachedpages(k, k.fscache) if p.daddr == daddr))
                cachedel(k, k.fscache, daddr)
        elif held:
            p = held[n % len(held)]
            if op == "put":
                held.remove(p)
                putpage(k, p)
            elif op == "cache" and p.image is None:
                p.daddr = daddr
                cachepage(k, p, k.fscache)
            elif op == "uncache":
                uncachepage(k, p)
            return p.ref
        return 0

    def shown(self) -> list[tuple[list[int], int, int]]:
        """References of the pages held, how many pages are cached, and how many could be had."""
        return [
            (
                [p.ref for p in held],
                k.fscache.pgref,
                k.palloc.freecount + (0 if k.parent else sum(p.ref == 0 for p in cachedpages(k, k.fscache))),
            )
            for k, held in zip(self.kernels, self.held, strict=True)
        ]


@settings(max_examples=150, derandomize=True, deadline=None, database=None)
@given(st.lists(st.tuples(st.sampled_from(OPS), st.integers(0, 7)), max_size=60))
def test_as_long_as_there_is_memory_both_page_caches_show_the_same(ops: list[tuple[str, int]]) -> None:
    both = Both()
    for op, n in ops:
        commit, parents = both.do(op, n)
        assert commit == parents
        commits, parent = both.shown()
        assert commits == parent


# The checker


def break_prev(k: PlainKernel) -> None:
    own(k.palloc.head or k.page()).prev = own(k.palloc.pages[0])


def break_tail(k: PlainKernel) -> None:
    assert k.parent is not None
    k.parent.tail = None


def break_fresh(k: PlainKernel) -> None:
    k.palloc.fresh = 0


def break_ref(k: PlainKernel) -> None:
    assert k.palloc.head is not None
    k.palloc.head.ref = 1


def break_count(k: PlainKernel) -> None:
    k.palloc.freecount += 1


def break_cycle(k: PlainKernel) -> None:
    assert k.palloc.head is not None
    k.palloc.head.next = k.palloc.head


def break_chain(k: PlainKernel) -> None:
    cachedpages(k, k.fscache)[0].daddr += BY2PG


def break_image(k: PlainKernel) -> None:
    cachedpages(k, k.fscache)[0].image = None


def break_loop(k: PlainKernel) -> None:
    p = own(cachedpages(k, k.fscache)[0])
    p.hash = p


def break_pgref(k: PlainKernel) -> None:
    k.fscache.pgref += 1


def break_lost(k: PlainKernel) -> None:
    assert k.parent is not None
    k.parent.hash[0] = None


@pytest.mark.parametrize(
    ("mistake", "word"),
    [
        (break_prev, "has another before it than it says"),
        (break_tail, "has another tail than it says"),
        (break_fresh, "frames were never taken"),
        (break_ref, "free page 0x7.* has ref 1"),
        (break_count, "freecount is"),
        (break_cycle, "the free list has a cycle"),
        (break_chain, "with daddr 0x1000 is on chain 0"),
        (break_image, "on chain 0 has no image"),
        (break_loop, "chain 0 has a cycle"),
        (break_pgref, "image -3 has pgref 2, caches 1 pages"),
        (break_lost, "has image -3 but is on no chain"),
    ],
    ids=lambda x: x.__name__ if callable(x) else "",
)
def test_the_checker_notices(k: PlainKernel, mistake: Callable[[PlainKernel], None], word: str) -> None:
    putpage(k, cached(k, k.fscache, 0))
    q = k.page()
    putpage(k, q)
    assert check(k) == []
    mistake(k)
    wrong = check(k)
    assert any(re.search(word, text) for text in wrong), wrong
