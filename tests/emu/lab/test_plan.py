"""Which schedules are tried."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.lab.plan import DelayPlan, Pcts, randoms, spread
from emu.lab.zygote import Result, Task
from kernel.sched.strategy import Delays, Random


@given(st.lists(st.integers(), unique=True, max_size=40))
def test_spread_is_the_same_points(points: list[int]) -> None:
    assert sorted(spread(points)) == sorted(points)


def test_spread_goes_far_first() -> None:
    assert spread([0, 1, 2, 3, 4, 5, 6, 7]) == [0, 4, 2, 6, 1, 5, 3, 7]


def test_seeds_are_tried_in_order() -> None:
    plan = randoms(range(5, 8))
    tasks = [plan.next() for _ in range(4)]
    assert [(t.number, t.seed) for t in tasks if t is not None] == [(1, 5), (2, 6), (3, 7)]
    assert tasks[3] is None
    assert tasks[0] is not None and isinstance(tasks[0].strategy(), Random)


def test_pct_tells_its_bound() -> None:
    """1 / (n * k ** (d - 1)), and what many schedules come to."""
    plan = Pcts(range(10), 2, 3, 100)
    assert plan.bound == pytest.approx(1 / 300)
    assert "a probability of 1/300 or more (3 processes, 100 points)" in plan.summary(600)
    assert "missed by all 600 with 0.135 or less" in plan.summary(600)
    assert "missed by all 5 with 0 or less" in Pcts(range(5), 1, 1, 9).summary(5)


def tried(plan: DelayPlan, last: int, late: int = 0) -> list[tuple[int, ...]]:
    """All of a plan for a program of points 1 to last; each result is there ``late`` schedules later."""
    sets: list[tuple[int, ...]] = []
    running: list[Task] = []

    def end() -> None:
        task = running.pop(0)
        result = Result(task.number, task.seed)
        if task.after is not None:
            result.kept = list(range(max(sets[task.number - 1]) + 1, last + 1))
        plan.take(task, result)

    while True:
        task = plan.next()
        if task is None:
            if not running:
                return sets
            end()
            continue
        strategy = task.strategy()
        assert isinstance(strategy, Delays)
        sets.append(tuple(sorted(strategy.points)))
        running.append(task)
        if len(running) > late:
            end()


@pytest.mark.parametrize("late", [0, 1, 3])
@pytest.mark.parametrize("bound", [1, 2, 3])
def test_delays_are_all_sets_up_to_the_bound_each_once(bound: int, late: int) -> None:
    plan = DelayPlan(bound, 0, list(range(1, 7)))
    sets = tried(plan, 6, late)
    assert len(sets) == len(set(sets))
    assert set(sets) == {c for n in range(1, bound + 1) for c in combinations(range(1, 7), n)}
    assert [len(s) for s in sets] == sorted(len(s) for s in sets)
    assert plan.done()
    assert plan.summary(len(sets)).startswith(f"all {len(sets)} schedules with up to {bound} delay")


def test_the_order_does_not_depend_on_who_is_late() -> None:
    assert tried(DelayPlan(2, 0, [1, 2, 3, 4]), 4, 0) == tried(DelayPlan(2, 0, [1, 2, 3, 4]), 4, 2)


def test_so_many_and_no_more() -> None:
    plan = DelayPlan(2, 0, list(range(1, 7)), 4)
    assert len(tried(plan, 6)) == 4
    assert "not all" in plan.summary(4)


def test_nothing_to_delay() -> None:
    plan = DelayPlan(2, 0, [])
    assert tried(plan, 0) == []
    assert plan.done()
