"""The order of tests among workers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.order import LAST, LONG, arranged, shares

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", [*LONG, *LAST])
def test_what_is_named_is_there(name: str) -> None:
    path, _, rest = name.partition("::")
    assert (ROOT / path).exists()
    function, _, _ = rest.partition("[")
    assert not function or re.search(rf"^def {function}\(", (ROOT / path).read_text(), re.MULTILINE)


def test_shares_are_those_of_xdist() -> None:
    assert shares(7, 2) == [3, 4]
    assert shares(11, 3) == [3, 4, 4]
    assert shares(5, 1) == [5]


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
@pytest.mark.parametrize("n", [0, 1, 5, 100])
def test_none_is_lost_and_long_ones_are_dealt_out(n: int, workers: int) -> None:
    names = [f"tests/test_a.py::test_{i}" for i in range(n)]
    names[2:2] = [LAST[0] + "test_x.py::test_y"]
    names += reversed(LONG)
    order = arranged(names, workers)
    assert sorted(order) == list(range(len(names)))
    if n == 100:
        at = 0
        for worker, size in enumerate(shares(len(names), workers)):
            long = LONG[worker::workers]
            assert [names[i] for i in order[at : at + len(long)]] == list(long)
            at += size
        assert names[order[-1]].startswith(LAST)


def test_what_fills_gos_cache_is_the_first_of_all() -> None:
    names = [LAST[0] + "a.py::test_a", "tests/b.py::test_b", LONG[0], LONG[1]]
    assert [names[i] for i in arranged(names, 2)] == [LONG[0], names[1], LONG[1], names[0]]
