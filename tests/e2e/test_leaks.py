"""Nothing is left: of machines that were closed, and inside a run of what its processes gave back."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import pytest

import emu
from emu.machine.config import Bind, Config, LoadError, MachineError, Root
from emu.machine.machine import Machine
from tests.e2e.harness import Console

Figures = tuple[list[str], int, int]  # descriptors, objects, pages


def fds() -> list[str]:
    return os.listdir("/proc/self/fd")


def objects() -> int:
    """How many objects the collector knows; what the first passes free may hold others."""
    for _ in range(4):
        gc.collect()
    return len(gc.get_objects())


def rss() -> int:
    """Pages of the host's memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1])


def run(program: str, *args: str, **config: object) -> str:
    """Make a machine, run, close it; how it ended."""
    with closing(Machine(Config(memory=4 << 20, **config))) as machine:  # type: ignore[arg-type]
        machine.kernel.console = Console(b"q")
        try:
            return machine.run(program, args).exits
        except (LoadError, MachineError) as e:
            return str(e)


def left(program: str, n: int) -> str:
    """Make a machine, leave its run at the n-th event, and look around; close it later."""
    with emu.Machine(memory=4 << 20, cpus=1 + n % 2) as machine:
        for i, _ in enumerate(machine.events(program, ["2"], kinds="%all")):
            machine.frames()
            if i == n:
                break
        return ""


def repeat(n: int, f: Callable[[int], object]) -> None:
    """Leaves no loop variables behind."""
    for i in range(n):
        f(i)


def test_machines_leave_nothing(tmp_path: Path) -> None:
    """Whatever they had, and however they ended: with 156 of them a process is as large as with 24.

    A process of its own: in this one other tests have left holes in the heap, to be filled sooner or later.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        before, after = pool.submit(manymachines, tmp_path).result()
    assert after[0] == before[0]
    assert after[1] - before[1] < 50
    assert after[2] - before[2] < 4096


def manymachines(tmp_path: Path) -> tuple[Figures, Figures]:
    """Figures of this process after 24 machines of many kinds, and after 156 more."""
    kinds: list[Callable[[], str]] = [
        lambda: run("true"),
        lambda: run("true", cpus=2, clock="real"),
        lambda: run("cow", "3", swap=1 << 20, check=True),
        lambda: run("cat", "/n/x/none", binds=(Bind(str(tmp_path), "/n/x", True),), root=Root(str(tmp_path))),
        lambda: run("nil"),
        lambda: run("forkbomb", "5", sched="random"),
        lambda: run("cons", "raw", "wait"),
        lambda: run("nosuch"),
        lambda: run("hello", inject=(("newpage", 1, False), ("textread", 1, True))),
        lambda: run("/bin/none"),
        lambda: left("cow", 3),
        lambda: left("pipe", 20),
    ]
    repeat(24, lambda i: kinds[i % len(kinds)]())
    before = fds(), objects(), rss()
    repeat(156, lambda i: kinds[i % len(kinds)]())
    return before, (fds(), objects(), rss())


@pytest.mark.parametrize("cpus", [1, 2])
def test_a_run_does_not_grow(cpus: int, tmp_path: Path) -> None:
    """Files, pipes, processes and programs that are gone take nothing: 30 rounds leave as much as 400."""

    def after(rounds: int) -> tuple[int, int, int]:
        with closing(Machine(Config(memory=8 << 20, cpus=cpus))) as machine:
            machine.kernel.console = Console()
            assert machine.run("cons", ["churn", str(rounds)]).exits == ""
            return len(fds()), objects(), machine.kernel.palloc.freecount

    after(10)
    few, many = after(30), after(400)
    assert many[0] == few[0]
    assert many[1] - few[1] < 50
    assert many[2] == few[2]
