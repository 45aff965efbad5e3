"""The exploring scheduler: a slice of what ``make soak`` does."""

import pytest

from tests.e2e.harness import jsontrace
from tests.soak import SMALL, soak


@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_ten_seeds(cpus: int) -> None:
    assert soak(range(10), SMALL, (cpus,)) == []


def test_a_seed_is_one_execution() -> None:
    first = jsontrace("cow", "10", cpus=2, sched="random", seed=5)
    assert first == jsontrace("cow", "10", cpus=2, sched="random", seed=5)
    assert first != jsontrace("cow", "10", cpus=2, sched="random", seed=6)
