"""The exploring scheduler: a slice of what ``make soak`` does."""

import pytest

from tests.e2e.harness import jsontrace
from tests.soak import EXPLORED, SLICE, Job, Slice, attempt, races, schedules


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


@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_a_slice_of_the_schedules(cpus: int) -> None:
    guests = EXPLORED[cpus::4]
    for strategy in ("random", "pct"):
        assert [line for argv in guests if (line := attempt(Slice(argv, cpus, strategy, 0, 12)))] == []


def test_schedules_are_shared_out_to_the_last() -> None:
    all = list(schedules(100_000))
    assert sum(s.seeds for s in all) == 100_000
    assert len(set(all)) == len(all)
    assert {(s.argv, s.cpus, s.strategy) for s in all} == {
        (argv, n, strategy) for argv in EXPLORED for n in (1, 2, 4) for strategy in ("random", "pct")
    }
    assert {s.seeds for s in all} == {SLICE}


def test_a_failure_that_errata_know_is_let_pass_and_another_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Slice("mhead 20", 2, "random", 0, 3)
    assert attempt(known) == ""
    monkeypatch.setattr("tests.soak.known", lambda panic: [])
    line = attempt(known)
    assert line.startswith(f"{known.command()}: panic: cclose <Chan ")
    assert known.command() == "p9emu explore --strategy random --cpus 2 --seed 0 --seeds 3 --all mhead 20"
