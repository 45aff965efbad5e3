"""Page-out policies: who is chosen, and that any of them can be the pager's."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import islice

import pytest

from emu.machine.limits import PAGEOUT
from kernel.base.dat import BSEG, SG_BSS, Page, Segment
from kernel.base.mem import BY2PG
from kernel.base.pageoutdat import Key
from kernel.memory.check import mustcheck
from kernel.memory.fault import fault
from kernel.memory.policy import POLICIES, Average, Clock16, Fifo, Ghosts, Listed, Lru, Random, S3Fifo, TwoQ
from kernel.memory.segment import putseg
from kernel.memory.swap import executeio, pageout, setswapchan
from tests.kernel.plain import PlainKernel, entry, me

BASE = 0x100000


def key(n: int) -> Key:
    return (1, n)


def came(policy: Listed, *pages: int) -> None:
    """Faults on these pages, one after the other."""
    for n in pages:
        policy.fault(key(n))


def chosen(policy: Listed, want: int) -> list[int]:
    """Pages that would go, the first of them first."""
    return [n for _, n in islice(policy.choose(want), want)]


def out(policy: Listed, *pages: int) -> None:
    """These pages go."""
    for n in pages:
        policy.victims.add(key(n))
        assert policy.old(PlainKernel(), Page(0, 1), key(n), False)


def make(kind: Callable[[random.Random], Listed]) -> Listed:
    return kind(random.Random(0))


def test_the_command_knows_the_names() -> None:
    assert tuple(POLICIES) == PAGEOUT


# The kernels' own


@pytest.mark.parametrize(("age", "old"), [(0, False), (15, False), (16, True), (0x7FFF, True), (0x8000, False)])
def test_clock16_takes_a_page_by_its_age_in_16_signed_bits(kernel: PlainKernel, age: int, old: bool) -> None:
    p = kernel.page()
    p.refage, kernel.ageclock = 0xFFF8, (0xFFF8 + age) & 0xFFFF
    assert Clock16().old(kernel, p, key(0), False) is old


def test_clock16_stamps_a_page_that_was_referenced(kernel: PlainKernel) -> None:
    p = kernel.page()
    kernel.ageclock = 40
    assert not Clock16().old(kernel, p, key(0), True)
    assert p.refage == 40


def test_average_takes_what_is_older_than_the_last_rounds_average(kernel: PlainKernel) -> None:
    policy = Average()
    young, old = kernel.page(), kernel.page()
    for age in range(3):
        assert not policy.old(kernel, young, key(0), True)
        assert policy.old(kernel, old, key(1), False) is (age > 0)
        policy.round(kernel)
    assert (policy.genclock, policy.genage) == (3, 1)
    assert not policy.old(kernel, young, key(0), False)
    assert policy.old(kernel, old, key(1), False)


def test_average_without_a_page_is_nothing(kernel: PlainKernel) -> None:
    policy = Average()
    policy.round(kernel)
    assert policy.genage == 0


# The order in which pages go


def test_fifo_takes_who_came_first_used_or_not() -> None:
    policy = make(Fifo)
    came(policy, 1, 2, 3, 1, 1)
    assert chosen(policy, 2) == [1, 2]
    out(policy, 1)
    came(policy, 1)
    assert chosen(policy, 3) == [2, 3, 1]


def test_lru_takes_whose_last_use_is_longest_ago() -> None:
    policy = make(Lru)
    came(policy, 1, 2, 3, 1)
    assert chosen(policy, 3) == [2, 3, 1]


def test_random_takes_any_by_its_seed() -> None:
    picks = []
    for seed in (1, 1, 2):
        policy = Random(random.Random(seed))
        came(policy, *range(50))
        picks.append(chosen(policy, 5))
    assert picks[0] == picks[1] != picks[2]
    assert len(chosen(policy, 90)) == 50


def test_2q_takes_who_came_once_and_keeps_who_came_back() -> None:
    policy = make(TwoQ)
    came(policy, *range(8))
    out(policy, 0, 1)
    came(policy, 1, 0)  # they are back
    came(policy, 2)  # a second use of one that never went counts nothing
    assert chosen(policy, 8) == [2, 3, 4, 5, 1, 0, 6, 7]
    came(policy, 1)
    assert chosen(policy, 6)[4:] == [0, 1]
    out(policy, 0)
    came(policy, 0)  # from the list of those kept: what went from there is not remembered
    assert chosen(policy, 8) == [2, 3, 4, 5, 6, 1, 7, 0]


def test_s3fifo_takes_from_the_small_queue_who_was_not_used_twice() -> None:
    policy = make(S3Fifo)
    came(policy, *range(10))
    came(policy, 0, 0, 1)
    assert chosen(policy, 3) == [1, 2, 3]
    out(policy, 1, 2)
    assert isinstance(policy, S3Fifo)
    assert [n for _, n in policy.main] == [0]


def test_s3fifo_has_a_page_that_comes_back_in_the_main_queue_and_gives_it_another_round() -> None:
    policy = make(S3Fifo)
    assert isinstance(policy, S3Fifo)
    came(policy, *range(4))
    came(policy, 0, 0, 1, 1)
    chosen(policy, 2)
    assert [n for _, n in policy.main] == [0, 1]
    out(policy, 2)
    came(policy, 2)
    assert [n for _, n in policy.main] == [0, 1, 2]
    out(policy, 3)
    came(policy, 0, 1)
    assert chosen(policy, 3) == [2, 0, 1]


def test_ghosts_are_the_last_so_many() -> None:
    ghosts = Ghosts()
    for n in range(5):
        ghosts.add(key(n), 2)
    assert [ghosts.take(key(n)) for n in (2, 3, 3, 4)] == [False, True, False, True]


@pytest.mark.parametrize("kind", [Fifo, Lru, Random, TwoQ, S3Fifo])
def test_a_page_that_goes_otherwise_is_forgotten_after_two_rounds(kernel: PlainKernel, kind: type[Listed]) -> None:
    policy = make(kind)
    came(policy, 1, 2)
    for _ in range(3):
        policy.round(kernel)
        policy.victims.clear()
        assert not policy.old(kernel, kernel.page(), key(2), False)
    assert list(policy.heard) == [key(2)]
    assert chosen(policy, 5) == [2]


def test_a_page_used_since_it_was_chosen_stays(kernel: PlainKernel) -> None:
    policy = make(Fifo)
    came(policy, 1, 2)
    policy.round(kernel)
    assert policy.victims == {key(1)}
    came(policy, 1)
    assert not policy.old(kernel, kernel.page(), key(1), False)


def test_as_many_are_chosen_as_the_pager_is_short_of(kernel: PlainKernel) -> None:
    policy = make(Fifo)
    came(policy, *range(20))
    kernel.swapalloc.headroom = kernel.palloc.freecount + 7
    policy.round(kernel)
    assert policy.victims == {key(n) for n in range(7)}


# As the pager's


def at(s: Segment, n: int) -> Page | int | None:
    return entry(s, s.base + n * BY2PG)


@pytest.mark.parametrize("pagecache", ["", "parent"])
@pytest.mark.parametrize("pageout", PAGEOUT)
def test_under_any_policy_memory_is_what_was_written(pageout: str, pagecache: str) -> None:
    k = PlainKernel(200, nswap=100, pagecache=pagecache, pageout=pageout)
    k.become(k.process())
    setswapchan(k, k.file(bytes(100 * BY2PG)))
    ended: list[Segment] = []

    def use() -> None:
        s = k.segment(me(k), BSEG, SG_BSS, BASE, 230)
        for n in range(230):
            assert fault(k, s.base + n * BY2PG, False) == 0
            p = at(s, n)
            assert isinstance(p, Page)
            k.fill(p, n)
        for n in range(230):
            assert fault(k, s.base + n * BY2PG, True) == 0
            p = at(s, n)
            assert isinstance(p, Page)
            assert k.mem.read(p.pa, 1)[0] == n
        me(k).seg[BSEG] = None
        putseg(k, s)
        ended.append(s)

    k.spawn(use)
    k.run(5000)
    assert len(ended) == 1
    assert k.npageout > 10
    assert (k.onfault is not None) is k.policy.faults
    mustcheck(k)


def test_a_policy_is_told_of_faults_and_visits_by_segment_and_page() -> None:
    k = PlainKernel(pageout="fifo")
    up = k.become(k.process())
    setswapchan(k, k.file(bytes(32 * BY2PG)))
    s = k.segment(up, BSEG, SG_BSS, BASE, 600)
    for n in (3, 299, 0):
        assert fault(k, BASE + n * BY2PG, False) == 0
    assert isinstance(k.policy, Fifo)
    assert list(k.policy.queue) == [(s.id, n) for n in (3, 299, 0)]
    k.policy.round(k)
    up.mach = None
    pageout(k, up, s)
    executeio(k)
    assert [isinstance(at(s, n), int) for n in (3, 299, 0)] == [False, False, False]  # 3 and 299 end their tables
    k.policy.victims = {(s.id, 0)}
    pageout(k, up, s)
    executeio(k)
    assert isinstance(at(s, 0), int)
