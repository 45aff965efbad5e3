"""A race that the original had is found by the exploring scheduler, and by no other."""

from __future__ import annotations

import pytest

from emu.machine.config import MachineError
from tests.e2e.harness import run


def panic(seed: int) -> str:
    """What ends mhead with this seed."""
    try:
        run("mhead", "100", sched="random", seed=seed)
    except MachineError as e:
        return str(e)
    return ""


def test_38_a_mount_head_is_given_back_under_a_walk() -> None:
    found = [panic(seed) for seed in range(1, 7)]
    assert sum(p.startswith("panic: cclose ") for p in found) >= 3
    assert all(p == "" or p.startswith("panic: cclose ") for p in found)


def test_the_same_seed_finds_the_same() -> None:
    first = panic(1)
    assert first.startswith("panic: cclose ")
    assert panic(1) == first


@pytest.mark.parametrize("cpus", [1, 2])
def test_38_does_not_show_in_the_order_of_the_original(cpus: int) -> None:
    assert run("mhead", "100", cpus=cpus).outcome.exits == ""
