"""What is found by looking at what has changed is what the check of everything finds, and at the same step."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule, run_state_machine_as_test

from kernel.base.dat import BSEG, PG_ONSWAP, Image, Page, Pte, Segment
from kernel.base.kernel import Kernel
from kernel.base.mem import BY2PG, PDX
from kernel.base.procdat import Proc
from kernel.memory.check import check
from kernel.memory.mmu import mmupages
from kernel.memory.page import putpage
from kernel.memory.recheck import WHOLE, Recheck, begin
from kernel.sched.watch import Watch
from tests.kernel.memory import test_check, test_properties
from tests.kernel.plain import PlainKernel
from tests.quality.workload import Workload

Undo = Callable[[], None]


def look(k: Kernel) -> list[str]:
    """What is wrong by what has changed, which must be what is wrong with everything."""
    assert isinstance(k.recheck, Recheck)
    found = k.recheck()
    assert found == check(k, k.recheck.extra)
    return found


class Corruption:
    """A store that a mistake in the kernel could make, into any structure of memory, and the way back."""

    def __init__(self, k: Kernel, rng: random.Random) -> None:
        self.k = k
        self.rng = rng
        self.told = ""
        self.pages = list(k.palloc.pages.values())
        self.procs = [p for p in (*k.procs.proctab, *k.procs.others) if p.pid]
        self.segments = sorted({s for p in self.procs for s in p.seg if s is not None}, key=lambda s: s.id)
        self.images = [*k.imagealloc.list, k.swapimage, k.fscache]
        self.ptes = [pte for s in self.segments for pte in s.map if pte is not None]

    def field(self, x: object, name: str, value: object) -> Undo:
        was = getattr(x, name)
        self.told = f"{x!r}.{name} = {value!r}, was {was!r}"
        setattr(x, name, value)
        return lambda: setattr(x, name, was)

    def item(self, values: Any, n: int, value: object) -> Undo:
        was = values[n]
        self.told = f"{type(values).__name__}[{n}] = {value!r}, was {was!r}"
        values[n] = value
        return lambda: values.__setitem__(n, was)

    def count(self, n: int) -> int:
        return max(n + self.rng.choice((-1, 1, 1, 7)), 0)

    def page(self) -> Undo:
        p = self.rng.choice(self.pages)
        name = self.rng.choice(("ref", "ref", "next", "image", "daddr"))
        values = {
            "ref": self.count(p.ref),
            "next": self.rng.choice((None, self.rng.choice(self.pages))),
            "image": self.rng.choice((None, self.rng.choice(self.images))),
            "daddr": p.daddr + self.rng.choice((1, 3)) * BY2PG,
        }
        return self.field(p, name, values[name])

    def entry(self) -> Undo:
        pte = self.rng.choice(self.ptes)
        used = [n for n, e in enumerate(pte.pages) if e is not None]
        n = self.rng.choice(used) if used and self.rng.random() < 0.7 else self.rng.randrange(256)
        slot = self.rng.randrange(len(self.k.swapalloc.swmap)) * BY2PG | PG_ONSWAP
        return self.item(pte.pages, n, self.rng.choice((None, slot, self.rng.choice(self.pages))))

    def bound(self) -> Undo:
        pte = self.rng.choice(self.ptes)
        name = self.rng.choice(("first", "last"))
        return self.field(pte, name, max(getattr(pte, name) + self.rng.choice((-1, 1)), 0))

    def segment(self) -> Undo:
        s = self.rng.choice(self.segments)
        name = self.rng.choice(("ref", "top", "image", "type"))
        values = {
            "ref": self.count(s.ref),
            "top": s.top - BY2PG,
            "image": self.rng.choice((None, self.rng.choice(self.images))),
            "type": self.rng.randrange(5),
        }
        return self.field(s, name, values[name])

    def has(self) -> Undo:
        p = self.rng.choice(self.procs)
        return self.item(p.seg, self.rng.randrange(10), self.rng.choice((None, *self.segments)))

    def image(self) -> Undo:
        i = self.rng.choice(self.images)
        name = self.rng.choice(("ref", "pgref", "s", "next", "hash"))
        values = {
            "ref": self.count(i.ref),
            "pgref": self.count(i.pgref),
            "s": self.rng.choice((None, *self.segments)),
            "next": self.rng.choice((None, *self.images)),
            "hash": self.rng.choice((None, *self.images)),
        }
        return self.field(i, name, values[name])

    def chain(self) -> Undo:
        i = self.rng.choice(self.images)
        used = [h for h, p in enumerate(i.pghash) if p is not None] or [0]
        return self.item(i.pghash, self.rng.choice(used), self.rng.choice((None, *self.pages)))

    def hashed(self) -> Undo:
        ia = self.k.imagealloc
        if self.rng.random() < 0.5:
            return self.field(ia, "free", self.rng.choice((None, *ia.list)))
        return self.item(ia.hash, self.rng.randrange(64), self.rng.choice((None, *ia.list)))

    def slot(self) -> Undo:
        sa = self.k.swapalloc
        used = [n for n, count in enumerate(sa.swmap) if count]
        n = self.rng.choice(used) if used and self.rng.random() < 0.7 else self.rng.randrange(len(sa.swmap))
        return self.item(sa.swmap, n, min(self.count(sa.swmap[n]), 255))

    def counter(self) -> Undo:
        x, name = self.rng.choice(
            ((self.k.palloc, "freecount"), (self.k.swapalloc, "free"), (self.k.m, "pdbcnt"), (self.k.palloc, "fresh"))
        )
        return self.field(x, name, self.count(getattr(x, name)))

    def head(self) -> Undo:
        p = self.rng.choice(self.procs)
        name = self.rng.choice(("mmufree", "mmuused", "mmupdb"))
        if name == "mmupdb" and p.mmupdb is None:
            return self.counter()
        return self.field(p, name, self.rng.choice(self.pages))

    def free(self) -> Undo:
        return self.field(self.k.palloc, "head", self.rng.choice((None, *self.pages)))

    def word(self) -> Undo:
        """A word of a page directory or page table of any process, with no function of the kernel's."""
        tables = [page for p in self.procs for what, page in mmupages(self.k, p) if what in ("pdb", "mmuused")]
        if not tables:
            return self.counter()
        words = self.k.mem.words
        at = self.rng.choice(tables).pa >> 2
        used = [n for n in range(896) if words[at + n]]
        n = at + (self.rng.choice(used) if used and self.rng.random() < 0.8 else self.rng.randrange(896))
        was = words[n]
        value = self.rng.choice(
            (was ^ 1 << self.rng.choice((0, 1, 2, 5, 6, 12, 13)), self.rng.choice(self.pages).pa | 7)
        )
        self.told = f"word {n:#x} = {value:#x}, was {was:#x}"
        words[n] = value

        def undo() -> None:
            words[n] = was

        return undo

    def any(self) -> Undo:
        """One of all those."""
        kinds = [
            self.page,
            self.page,
            self.image,
            self.chain,
            self.hashed,
            self.slot,
            self.counter,
            self.head,
            self.free,
        ]
        kinds += [self.segment, self.has] if self.segments else []
        kinds += [self.entry, self.entry, self.bound] if self.ptes else []
        kinds += [self.word] * 3
        return self.rng.choice(kinds)()


def corrupt(k: Kernel, seed: int) -> bool:
    """Corrupt something, look, and take it back; whether that was found."""
    corruption = Corruption(k, random.Random(seed))
    if not corruption.pages or not corruption.procs:
        return False
    undo = corruption.any()
    try:
        return look(k) != []
    except Exception as e:  # the check itself cannot follow what is there: as a mistake is told, it is told
        raise AssertionError(corruption.told) from e
    finally:
        undo()
        assert look(k) == [], corruption.told


class Checked(test_properties.Kernel):
    """Random operations, each followed by both checks; now and then something is corrupted in between."""

    def begin(self) -> None:
        begin(self.k)

    def count_(self, p: Page, n: int) -> None:
        super().count_(p, n)
        assert isinstance(self.k.recheck, Recheck)
        self.k.recheck.hold(p, n)

    @invariant()
    def nothing_is_wrong(self) -> None:
        assert look(self.k) == []

    @precondition(lambda self: self.k.palloc.pages)
    @rule(seed=st.integers(0, 1 << 30))
    def corrupt(self, seed: int) -> None:
        """Stores that are mistakes."""
        for n in range(8):
            corrupt(self.k, seed + n)


def test_a_corruption_of_any_structure_is_found_at_the_step_where_the_whole_check_finds_it() -> None:
    run_state_machine_as_test(
        Checked,
        settings=settings(max_examples=60, stateful_step_count=50, derandomize=True, deadline=None, database=None),
    )


@pytest.mark.parametrize(("nmach", "kind"), [(1, ""), (2, "fork"), (3, "tight")])
def test_so_it_is_while_processes_are_in_the_middle_of_faults_and_the_pager_writes(nmach: int, kind: str) -> None:
    rng = random.Random(nmach)
    found = {True: 0, False: 0}
    work = Workload(nmach, nmach, kind)

    def both(k: Kernel, p: Proc, returning: bool) -> None:
        assert look(k) == []
        if rng.random() < 0.1:
            found[corrupt(k, rng.getrandbits(30))] += 1

    work.hooks.checkchanged = both
    work.runall()
    assert found[True] > 20 < found[False]


@pytest.mark.parametrize(("nmach", "kind"), [(1, ""), (2, "fork"), (2, "scratch"), (3, "tight")])
def test_as_long_as_nothing_is_wrong_the_whole_is_checked_at_intervals_alone(nmach: int, kind: str) -> None:
    """So a step costs what has changed. The first check is a whole one."""
    work = Workload(1, nmach, kind)
    work.runall()
    assert isinstance(work.recheck, Recheck)
    assert work.recheck.steps > 200
    assert work.recheck.wholes == 1 + work.recheck.steps // WHOLE


LATER = "an image's hash"  # Image.qid is stored as a whole, and nobody is told of a store into it


@pytest.mark.parametrize("what", [what for what in test_check.WRONG if what != LATER])
def test_what_the_check_finds_is_found(what: str) -> None:
    k = test_check.busy(begin)
    assert look(k) == []
    assert isinstance(k.recheck, Recheck) and k.recheck.known
    change, told = test_check.WRONG[what]
    change(k)
    assert any(told in text for text in look(k))


def test_what_nobody_tells_of_is_found_at_the_next_check_of_the_whole() -> None:
    k = test_check.busy(begin)
    assert look(k) == []
    change, told = test_check.WRONG[LATER]
    change(k)
    assert k.recheck is not None
    found = [n for n in range(WHOLE) if any(told in text for text in k.recheck())]
    assert found and found[0] == WHOLE - 2


def test_a_word_of_a_page_table_of_a_process_that_does_not_run_is_found() -> None:
    k = test_check.busy(begin)
    p = k.up
    k.become(k.process("other"))
    assert look(k) == []
    assert p is not None and p.mmupdb is not None
    words = k.mem.words
    words[(words[(p.mmupdb.pa >> 2) + PDX(test_check.BSS)] & ~0xFFF) // 4 + 500] = 0x5007
    assert look(k) == [f"process {p.pid} maps 0x1f4000, which is in no segment"]


def test_a_kernel_that_is_not_checked_has_structures_that_tell_nothing() -> None:
    k = test_check.busy()
    assert k.changes is None and k.recheck is None
    assert {type(p) for p in k.palloc.pages.values()} == {Page}
    assert {type(i) for i in k.imagealloc.list} == {Image}
    assert k.up is not None
    s = k.up.seg[BSEG]
    assert type(s) is Segment and {type(pte) for pte in s.map} == {Pte, type(None)}
    plain = (k.swapimage.pghash, s.map, k.palloc.pages, k.swapalloc.swmap)
    assert {type(x) for x in plain} == {list, dict, bytearray}


def test_two_kernels_tell_of_their_own_changes_alone() -> None:
    one, other = test_check.busy(begin), test_check.busy(begin)
    assert look(one) == look(other) == []
    one.palloc.pages[one.palloc.fresh].ref += 1
    assert look(one) != [] and look(other) == []


def test_the_page_cache_of_the_parent_is_checked_as_a_whole() -> None:
    k = PlainKernel(pagecache="parent")
    begin(k)
    assert k.changes is None and k.recheck is None


def test_freed_pages_are_told_of_though_they_are_marked() -> None:
    """A watch makes what is freed another class; a store that it allows is no secret."""
    k = test_check.busy(begin)
    k.watch = Watch(k)
    assert look(k) == []
    for page in (k.page(), k.page()):
        putpage(k, page)
    assert look(k) == []
    assert k.palloc.head is page and page.next is not None
    page.next = None
    assert any("is lost" in text for text in look(k))
