"""The exploring scheduler: a slice of what ``make soak`` does."""

import pytest

from tests.e2e.harness import jsontrace
from tests.soak import Job, attempt, races


@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_ten_seeds(cpus: int) -> None:
    assert [line for job in races(range(10), (cpus,), few=True) if (line := attempt(job))] == []


def test_a_seed_is_one_execution() -> None:
    first = jsontrace("cow", "10", cpus=2, sched="random", seed=5)
    assert first == jsontrace("cow", "10", cpus=2, sched="random", seed=5)
    assert first != jsontrace("cow", "10", cpus=2, sched="random", seed=6)


def test_what_goes_wrong_is_told_with_its_command() -> None:
    job = Job("false wrong", {"check": True}, "--seed 3")
    assert attempt(job) == "p9emu run --check --seed 3 false wrong: false 2: wrong"
    assert attempt(Job("nosuch", {}, "")) == "p9emu run --check  nosuch: nosuch: no such file"
