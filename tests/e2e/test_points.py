"""More switch points, marks of what is freed, locks: on the whole machine and the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from emu.machine.config import Config
from emu.machine.console import MemoryConsole
from emu.machine.machine import Machine
from kernel.base.event import Event
from kernel.sched.explore import Decision
from tests.e2e.harness import p9emu

Points = tuple[str, ...]


def order(program: str, *args: str, sink: Callable[[Event], None] | None = None, **options: object) -> list[Decision]:
    """What an exploring scheduler decides in a run."""
    config = Config(sched="random", seed=3, timeout=60, **options)  # type: ignore[arg-type]
    machine = Machine(config, sink, console=MemoryConsole(), warn=lambda text: None)
    try:
        machine.run(program, args)
        assert machine.kernel.explore is not None
        return list(machine.kernel.explore.decisions)  # type: ignore[attr-defined]
    finally:
        machine.close()


@pytest.mark.parametrize("program", [["cow", "3"], ["exec", "hello"], ["segs"]])
@pytest.mark.parametrize("cpus", [1, 2])
def test_a_run_is_the_same_whether_it_is_traced_or_not(program: list[str], cpus: int) -> None:
    points = ("fields", "memory", "interrupts")
    plain = order(*program, cpus=cpus, points=points)
    assert plain == order(*program, cpus=cpus, points=points)
    assert plain == order(*program, cpus=cpus, points=points, sink=lambda ev: None)
    assert any("load " in d.at.point or "store " in d.at.point for d in plain)


def test_locks_and_locksets_change_no_run() -> None:
    plain = order("cow", "3", cpus=2)
    assert plain == order("cow", "3", cpus=2, lockorder=True, lockset=True)
    assert not any("load " in d.at.point for d in plain)


def test_a_schedule_at_fields_is_found_written_and_repeated(tmp_path: Path) -> None:
    file = tmp_path / "s.jsonl"
    found = p9emu("explore", "--points", "fields", "--cpus", "2", "--seeds", "20", "-o", str(file), "mhead")
    assert found.returncode == 1, found.stderr
    [again] = [line for line in found.stdout.decode().splitlines() if line.startswith("again: ")]
    assert again == f"again: p9emu run --sched replay:{file} --cpus 2 --points fields mhead"
    repeated = p9emu(*again.split()[2:])
    assert repeated.returncode == 125
    assert found.stdout.decode().splitlines()[0].rpartition(" (in ")[0] in repeated.stderr.decode()


def test_what_locks_come_to_is_told_at_the_end() -> None:
    run = p9emu("run", "--lock-order", "--lockset", "pipe", "2")
    assert run.returncode == 0
    told = run.stderr.decode()
    assert "p9emu: lock order: " in told and " pairs of locks, 0 circles\n" in told
    assert "p9emu: lockset: " in told
    lines = p9emu("explore", "--format", "json", "--seeds", "2", "--lock-order", "pipe", "1").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert next(e["text"] for e in events if e["event"] == "locks").startswith("lock order: ")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--points", "fields"], "--points needs --sched random or replay:FILE"),
        (["--sched", "random", "--points", "x"], "'x' is none of fields, memory, interrupts, all ("),
    ],
)
def test_points_that_are_none(options: list[str], said: str) -> None:
    run = p9emu("run", *options, "true")
    assert run.returncode == 2
    assert said in run.stderr.decode()
