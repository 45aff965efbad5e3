"""How costs grow: places, ratios, and that each is measured."""

from __future__ import annotations

import pytest

from emu.bench import curves
from emu.bench.curves import CASES, US, Case, measure
from emu.bench.scaling import each
from emu.machine.config import Config


def test_each_place_is_compared_with_the_first_of_its_round() -> None:
    seen = []
    speed = iter([9, 1, 1, 1, 2, 2, 2, 3, 3, 3])

    def figure(x: int) -> float:
        seen.append(x)
        return next(speed) * (x + len(seen) // 8)

    c = measure(Case("p", "s", "pages", (1, 2, 4), US, figure), 3)
    assert seen == [1, 1, 2, 4, 1, 2, 4, 1, 2, 4], "one to get warm, then by turns"
    assert (c.picture, c.series, c.x, c.unit) == ("p", "s", "pages", "us")
    assert [p.x for p in c.points] == [1, 2, 4]
    assert [p.y for p in c.points] == [2, 4, 8]
    assert [p.ratio for p in c.points] == pytest.approx([1, 2, 4])
    assert [p.lowest for p in c.points] == pytest.approx([1, 1.5, 2.5])
    assert [p.highest for p in c.points] == pytest.approx([1, 2, 4])


def test_quick_takes_the_ends_and_the_middle() -> None:
    assert curves.some((1, 2, 3, 4, 5)) == [1, 3, 5]
    assert curves.some((1, 2, 4, 8)) == [1, 4, 8]
    assert curves.some((1, 2)) == [1, 2]
    c = measure(Case("p", "s", "pages", range(10), US, lambda x: 1.0), 1, quick=True)
    assert [p.x for p in c.points] == [0, 5, 9]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.picture}-{c.series}")
def test_each_curve_is_measured(case: Case) -> None:
    assert case.measure(case.xs[0]) >= 0
    assert list(case.xs) == sorted(set(case.xs))


def test_chains_grow_behind_two_megabytes_only() -> None:
    assert [curves.longest(n) for n in (16, 512, 513, 1024, 4096)] == [1, 1, 2, 2, 8]
    assert [curves.passed(n) for n in (16, 512, 1024, 4096)] == [0, 0, 0.5, 3.5]


def test_more_is_measured_where_there_is_more() -> None:
    assert curves.attach(200) > 0, "every image of the kernel"
    assert curves.reclaim(1024, inuse=True) > 0, "pages that stay are passed over"


def test_a_guest_that_fails_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="touch 999999: "):
        each(Config(), "touch", 999999, 0)
