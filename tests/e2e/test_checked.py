"""Checked runs look at what has changed, and see what there is to be seen."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from emu.machine.config import Config
from emu.machine.machine import Machine
from kernel.base.mem import MB
from kernel.memory.check import check
from kernel.memory.recheck import WHOLE, Recheck
from tests.e2e.harness import Console

SMALL: dict[str, Any] = {"memory": 4 * MB, "swap": 8 * MB}
RUNS: list[tuple[str, dict[str, Any]]] = [
    ("cow 100", {}),
    ("cow 100", {"cpus": 2}),
    ("text 20", {}),
    ("forkbomb 3", {"cpus": 3}),
    ("thrash 400 1", SMALL),
    ("swapfork 200", {"memory": 4 * MB, "swap": 16 * MB}),
    ("sema 5", {"cpus": 2, "sched": "random", "seed": 3}),
]


@pytest.mark.parametrize("both", [False, True], ids=["alone", "beside the whole"])
@pytest.mark.parametrize(("command", "config"), RUNS)
def test_a_run_with_nothing_wrong_is_checked_as_a_whole_at_intervals_alone(
    command: str, config: dict[str, Any], both: bool
) -> None:
    program, *args = command.split()
    with closing(Machine(Config(check=True, **config), console=Console())) as machine:
        k = machine.kernel
        recheck = k.recheck
        assert isinstance(recheck, Recheck)

        def beside() -> list[str]:
            found = recheck()
            assert found == check(k)
            return found

        if both:
            k.recheck = beside
        assert machine.run(program, args).status == 0
        assert recheck.steps > 40
        assert recheck.wholes == 1 + recheck.steps // WHOLE


def test_a_wrong_word_in_a_page_table_is_found_at_the_next_step() -> None:
    with closing(Machine(Config(check=True), console=Console())) as machine:
        k = machine.kernel
        recheck = k.recheck
        assert isinstance(recheck, Recheck)
        found: list[str] = []

        def spoil() -> list[str]:
            if recheck.steps == 100:
                assert k.up is not None and k.up.mmuused is not None
                n = (k.up.mmuused.pa >> 2) + 1023
                k.mem.words[n] = 0x5007
                found.extend(recheck())
                k.mem.words[n] = 0
            return recheck()

        k.recheck = spoil
        machine.run("cow", ["100"])
        assert len(found) == 1
        assert "maps 0x3ff000 to 0x5000, its segment has None" in found[0]


def test_with_points_at_fields_the_whole_is_checked_each_time() -> None:
    with closing(Machine(Config(check=True, sched="random", points=("fields",)), console=Console())) as machine:
        assert machine.kernel.recheck is None and machine.kernel.changes is None
        assert machine.kernel.checking


@pytest.mark.parametrize("seed", [18, 20])
def test_nothing_is_told_while_somebody_stands_between_a_load_and_a_store(seed: int) -> None:
    options: dict[str, Any] = {"sched": "random", "points": ("fields",), "cpus": 3, "seed": seed}
    with closing(Machine(Config(check=True, **options), console=Console())) as machine:
        amid = []
        machine.onturn = lambda: amid.append(machine.kernel.amid)
        assert machine.run("forkbomb", ["6"]).status == 0
        assert max(amid) > 0
        assert min(amid) == 0
