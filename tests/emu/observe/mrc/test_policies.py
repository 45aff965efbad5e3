"""Misses counted the quick way, and the plain one."""

from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.observe.mrc import clock
from emu.observe.mrc.lru import Distances
from emu.observe.mrc.optimum import Optimum
from emu.observe.mrc.shorten import Shortened

FRAMES = range(1, 9)


@st.composite
def strings(draw: st.DrawFn, pages: int = 8, length: int = 60) -> list[int]:
    """References, and pages that are no more; such a one never comes back."""
    string: list[int] = []
    gone: set[int] = set()
    for page, ends in draw(st.lists(st.tuples(st.integers(0, pages - 1), st.integers(0, 9)), max_size=length)):
        if page not in gone:
            string.append(page)
            if ends == 0:
                gone.add(page)
                string.append(~page)
    return string


def lru(string: Sequence[int], frames: int) -> int:
    """LRU as anybody would write it."""
    memory: list[int] = []
    missed = 0
    for page in string:
        if page < 0:
            if ~page in memory:
                memory.remove(~page)
            continue
        if page in memory:
            memory.remove(page)
        else:
            missed += 1
            if len(memory) == frames:
                memory.pop(0)
        memory.append(page)
    return missed


def fewest(string: Sequence[int], frames: int) -> int:
    """The fewest misses of all choices there are."""
    touches = [page for page in string if page >= 0]

    @cache
    def best(at: int, memory: frozenset[int]) -> int:
        if at == len(touches):
            return 0
        page = touches[at]
        if page in memory:
            return best(at + 1, memory)
        if len(memory) < frames:
            return 1 + best(at + 1, memory | {page})
        return 1 + min(best(at + 1, memory - {other} | {page}) for other in memory)

    return best(0, frozenset())


def secondchance(string: Sequence[int], frames: int) -> int:
    """The clock as a queue: who was touched goes to the end."""
    queue: list[list[int]] = []  # page, touched
    missed = 0
    for page in string:
        found = next((e for e in queue if e[0] == page), None)
        if found is not None:
            found[1] = 1
            continue
        missed += 1
        if len(queue) == frames:
            while queue[0][1]:
                queue.append([queue.pop(0)[0], 0])
            queue.pop(0)
        queue.append([page, 1])
    return missed


@given(strings())
def test_stack_distances_are_lru_of_every_size(string: list[int]) -> None:
    distances = Distances(string)
    assert [distances.misses(n) for n in FRAMES] == [lru(string, n) for n in FRAMES]


@given(strings(pages=5, length=14), st.integers(1, 4))
def test_optimum_is_the_best_of_all_choices(string: list[int], frames: int) -> None:
    assert Optimum(string).misses(frames) == fewest(string, frames)


@given(strings(), st.integers(1, 8))
def test_clock_is_second_chance(string: list[int], frames: int) -> None:
    touches = [page for page in string if page >= 0]
    assert clock.misses(touches, frames) == secondchance(touches, frames)


@given(strings(), st.integers(1, 8))
def test_nothing_is_better_than_the_optimum_nor_than_enough(string: list[int], frames: int) -> None:
    distances, optimum = Distances(string), Optimum(string)
    cold = len({page for page in string if page >= 0})
    assert distances.cold == cold <= optimum.misses(frames) <= distances.misses(frames)
    assert optimum.misses(frames) <= clock.misses(string, frames)
    assert optimum.misses(8) == distances.misses(8) == clock.misses(string, 8) == cold


def shortened(string: Sequence[int], width: int, piece: int) -> Shortened:
    s = Shortened(width)
    part: list[int] = []
    for page in string:
        if page < 0:
            s.add(part)
            part = []
            s.gone(~page)
        else:
            part.append(page)
            if len(part) == piece:
                s.add(part)
                part = []
    s.add(part)
    s.end()
    return s


@given(strings(pages=10, length=120), st.integers(1, 5), st.integers(1, 20))
def test_shortened_string_misses_as_the_whole(string: list[int], width: int, piece: int) -> None:
    s = shortened(string, width, piece)
    touches = [page for page in string if page >= 0]
    assert (s.references, s.pages) == (len(touches), len(set(touches)))
    long, short = Distances(string), Distances(s.string)
    best, same = Optimum(string), Optimum(s.string)
    for frames in range(width, 11):
        assert short.misses(frames) == long.misses(frames)
        assert same.misses(frames) == best.misses(frames)


@given(strings(pages=10, length=120))
def test_peak_is_the_least_memory_without_a_miss_but_the_first(string: list[int]) -> None:
    s = shortened(string, 3, 7)
    live: set[int] = set()
    most = 0
    for page in string:
        live = live - {~page} if page < 0 else live | {page}
        most = max(most, len(live))
    assert s.peak == most
    assert Distances(string).misses(max(most, 1)) == s.pages


def test_loop_is_shortened_to_its_turns() -> None:
    s = shortened([0, 1, 2] * 1000 + [3, 0], 3, 500)
    assert list(s.string) == [0, 1, 2, 0, 1, 2, 3, 0]
    assert s.references == 3002


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
def test_belady_s_own_string(frames: int) -> None:
    string = [1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5]
    assert Optimum(string).misses(frames) == {1: 12, 2: 9, 3: 7, 4: 6}[frames]
    assert Distances(string).misses(frames) == {1: 12, 2: 12, 3: 10, 4: 8}[frames]
