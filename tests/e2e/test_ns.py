"""Name spaces, file servers in the guest and their cache: the guests ns, fs9p, cachefs and dirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emu.machine.config import Bind
from kernel.base.event import PageEvent
from tests.e2e.harness import run

GUESTS = ["ns", "ns 9p", "fs9p 3", "cachefs", "cachefs 300", "dirs", "dirs -9"]
FSCACHE = -3


@pytest.mark.parametrize("cpus", [1, 2, 4])
@pytest.mark.parametrize("argv", GUESTS)
def test_checks_itself(argv: str, cpus: int) -> None:
    assert run(*argv.split(), cpus=cpus).outcome.exits == ""


@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize("argv", GUESTS)
def test_checks_itself_with_little_memory(argv: str, cpus: int) -> None:
    assert run(*argv.split(), cpus=cpus, memory=8 << 20, swap=64 << 20).outcome.exits == ""


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("argv", ["ns", "fs9p 2", "cachefs"])
def test_checks_itself_under_the_exploring_scheduler(argv: str, seed: int) -> None:
    assert run(*argv.split(), cpus=2, sched="random", seed=seed).outcome.exits == ""


def cachepages(config: dict[str, Any], *argv: str) -> list[str]:
    """What happened to pages of the mount cache."""
    r = run(*argv, trace=True, check=False, **config)
    assert r.outcome.exits == ""
    return [e.op for e in r.events if isinstance(e, PageEvent) and e.image == FSCACHE]


def test_the_cache_keeps_pages_and_finds_them() -> None:
    ops = cachepages({}, "cachefs")
    assert ops.count("cache") >= 8
    assert ops.count("lookup") > ops.count("cache")
    assert "reclaim" not in ops


def test_under_pressure_the_cache_goes_first() -> None:
    ops = cachepages({"memory": 8 << 20, "swap": 64 << 20}, "cachefs", "1000")
    assert "reclaim" in ops
    assert ops.count("cache") > 8  # read anew


def test_a_run_repeats_itself() -> None:
    one, two = (run("fs9p", "3", trace=True, cpus=2, check=False) for _ in range(2))
    assert [str(e) for e in one.events] == [str(e) for e in two.events]


def test_directories_of_the_host(tmp_path: Path) -> None:
    r = run("dirs", "/n/host", binds=(Bind(str(tmp_path), "/n/host", True),))
    assert r.outcome.exits == ""
    assert list(tmp_path.iterdir()) == []
