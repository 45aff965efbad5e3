"""Delta debugging, on failures that need some items and on those that need others left out."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from emu.lab.minimize import ddmin, minimize
from kernel.sched.explore import HOLD, PAUSE, PICK, TURN, At, Decision

ITEMS = st.lists(st.integers(0, 200), unique=True, max_size=60)


@given(ITEMS, st.data())
def test_what_is_needed_is_what_is_left(items: list[int], data: st.DataObject) -> None:
    needed = set(data.draw(st.lists(st.sampled_from(items), unique=True, max_size=6))) if items else set()
    assert ddmin(items, lambda some: needed <= set(some)) == [x for x in items if x in needed]


@given(ITEMS, st.integers(2, 7))
def test_nothing_of_the_rest_can_be_left_out_alone(items: list[int], n: int) -> None:
    """Not a monotone failure: a multiple of n in the sum, of an even number of them."""

    def fails(some: Sequence[int]) -> bool:
        return bool(some) and sum(some) % n == sum(items) % n and len(some) % 2 == len(items) % 2

    if not fails(items):
        return
    few = ddmin(items, fails)
    assert fails(few)
    assert all(x in items for x in few)
    assert not any(fails(few[:i] + few[i + 1 :]) for i in range(len(few)))


@given(ITEMS, st.integers(0, 30))
def test_when_time_is_over_there_is_what_was_found_until_then(items: list[int], most: int) -> None:
    tried = []

    def fails(some: Sequence[int]) -> bool:
        tried.append(some)
        return set(some) >= set(items[::3])

    few = ddmin(items, fails, lambda: len(tried) >= most)
    assert set(items[::3]) <= set(few)
    assert len(tried) <= most + 3  # it is looked at between two tries


def decision(n: int, do: str = PAUSE) -> Decision:
    return Decision(At(2, "f:lock", n), do)


def test_one_process_held_is_better_than_many_switches() -> None:
    all = [decision(n) for n in range(20)] + [Decision(At(0, TURN, n), TURN, 1) for n in range(20)]

    def fails(some: Sequence[Decision]) -> bool:
        return decision(7, HOLD) in some or set(all) <= set(some)

    assert minimize(all, fails, lambda: False) == [decision(7, HOLD)]


def test_holds_take_the_place_of_what_they_can() -> None:
    choice = Decision(At(0, PICK, 3), PICK, 2)
    all = [decision(1), decision(2), choice, decision(3)]

    def fails(some: Sequence[Decision]) -> bool:
        return choice in some and decision(1) in some and bool({decision(3), decision(3, HOLD)} & set(some))

    assert minimize(all, fails, lambda: False) == [decision(1), choice, decision(3, HOLD)]


def test_what_fails_by_itself_needs_no_switch() -> None:
    assert minimize([decision(1)], lambda some: True, lambda: False) == []
