"""Copies of a machine: what comes back of them, however they end, and nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from emu.lab.failure import CRASH, INTERNAL, TIMEOUT
from emu.lab.zygote import Crew, Task, Zygote, gather
from emu.machine.config import Bind, Config, LoadError
from kernel.sched.explore import Explore, Strategy
from kernel.sched.strategy import Random

PLAIN = Task(1, 0, Strategy)


class Bad(Strategy):
    """Does something to the copy that it is in."""

    def __init__(self, what: Any) -> None:
        self.what = what

    def point(self, x: Explore, p: object) -> str:
        self.what()
        return ""


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    z = Zygote(Config(memory=8 << 20), "pipe", ["1"])
    yield z
    z.close()


Children = Callable[[], set[str]]


def _children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


@pytest.fixture
def children() -> Children:
    """Which there are that were not there before the test: multiprocessing's tracker stays with whoever used it."""
    before = _children()
    return lambda: _children() - before


def test_a_copy_runs_to_the_end_and_the_machine_stays_where_it_is(zygote: Zygote, children: Children) -> None:
    first, second = zygote.one(PLAIN), zygote.one(PLAIN)
    assert first.failure is None
    assert (first.status, first.exits) == (0, "")
    assert first.points > 50
    assert first.processes >= 2
    assert first == second
    assert children() == set()


def test_a_seed_is_one_order(zygote: Zygote) -> None:
    orders = [zygote.one(Task(0, seed, partial(Random, seed))).order for seed in (1, 2, 3, 1, 2, 3)]
    assert orders[:3] == orders[3:]
    assert len(set(orders)) == 3


def test_copies_at_a_time(zygote: Zygote, children: Children) -> None:
    results = gather([zygote.start(Task(n, n, partial(Random, n))) for n in range(4)])
    assert sorted(r.number for r in results) == [0, 1, 2, 3]
    assert children() == set()


@pytest.mark.parametrize(
    ("what", "kind", "text"),
    [
        (partial(os.kill, 0, 0), None, ""),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), CRASH, "p9emu died of SIGKILL"),
        (lambda: os._exit(3), CRASH, "p9emu died of status 3"),
        (lambda: [][0], INTERNAL, "IndexError: list index out of range"),
    ],
)
def test_a_copy_that_dies_is_a_result(
    zygote: Zygote, what: Any, kind: str | None, text: str, children: Children
) -> None:
    f = zygote.one(Task(1, 0, partial(Bad, what))).failure
    if kind is None:
        assert f is None
    else:
        assert f is not None
        assert (f.kind, f.what) == (kind, text)
    assert children() == set()
    assert zygote.one(PLAIN).failure is None


def hang(deaf: bool) -> None:
    """Do nothing for ever; deaf to the time limit."""
    if deaf:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
    while True:
        time.sleep(600)


@pytest.mark.parametrize(
    ("deaf", "text"), [(False, "time limit of 0.2 s reached"), (True, "the machine stood still, and was killed")]
)
def test_a_copy_that_hangs_is_a_result(
    deaf: bool, text: str, monkeypatch: pytest.MonkeyPatch, children: Children
) -> None:
    monkeypatch.setattr("emu.lab.zygote.GRACE", 3.0)
    zygote = Zygote(Config(memory=8 << 20), "pipe", ["1"], timeout=0.2)
    f = zygote.one(Task(1, 0, partial(Bad, partial(hang, deaf)))).failure
    zygote.close()
    assert f is not None
    assert (f.kind, f.what) == (TIMEOUT, text)
    assert children() == set()


def spin() -> None:
    """Go round for ever."""
    while True:
        pass


def test_patience_is_of_the_processor_time_that_a_copy_has_had(zygote: Zygote) -> None:
    """On a busy host a copy may wait long for its turn."""
    zygote.patience = 0.3
    try:
        copy = zygote.start(Task(1, 1, partial(Random, 1)))
        os.kill(copy.pid, signal.SIGSTOP)
        crew = Crew([copy])
        assert crew.wait(0.6) == []
        os.kill(copy.pid, signal.SIGCONT)
        found = crew.wait()
        while not found:
            found = crew.wait()
        assert [r.failure for r in found] == [None]
        r = zygote.one(Task(2, 2, partial(Bad, spin)))
        assert r.failure is not None and r.failure.kind == TIMEOUT
    finally:
        zygote.patience = None


def test_the_end_of_a_crew_leaves_nobody(zygote: Zygote, children: Children) -> None:
    crew = Crew([zygote.start(Task(n, 0, partial(Bad, partial(time.sleep, 600)))) for n in range(3)])
    assert len(children()) == 3
    crew.end()
    assert children() == set()


def test_a_program_that_is_not_there_is_told_at_once() -> None:
    with pytest.raises(LoadError):
        Zygote(Config(), "nosuchprogram", [])


@pytest.mark.parametrize("what", ["swap", "cow"])
def test_what_is_on_the_host_is_each_copys_own(what: str, tmp_path: Path) -> None:
    """A machine with a swap device or changes kept apart is booted for each copy."""
    (tmp_path / "f").write_text("x")
    config = Config(memory=8 << 20, swap=1 << 20) if what == "swap" else Config(
        memory=8 << 20, binds=(Bind(str(tmp_path), "/n/t", cow=True),)
    )  # fmt: skip
    z = Zygote(config, "touch", ["3"])
    first, second = z.one(PLAIN), z.one(PLAIN)
    assert first.failure is None
    assert first == second
    z.close()


def test_what_a_guest_prints_is_dropped_without_limit(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(3 << 20))
    z = Zygote(Config(memory=8 << 20, binds=(Bind(str(tmp_path), "/n/t"),)), "cat", ["/n/t/big"])
    try:
        assert z.one(PLAIN).failure is None
    finally:
        z.close()


@pytest.mark.parametrize(("program", "args", "config"), [("pingpong", ["3"], {}), ("mhead", ["5"], {"cpus": 2})])
def test_what_ran_before_the_machine_was_copied_changes_nothing(
    program: str, args: list[str], config: dict[str, Any]
) -> None:
    results = []
    for warm in (True, False):
        with closing(Zygote(Config(**config), program, args, warm=warm)) as zygote:
            tasks = [Task(seed, seed, partial(Random, seed), decisions=True) for seed in range(1, 6)]
            found = [zygote.one(task) for task in tasks]
        results.append([(r.failure, r.status, r.points, r.order, r.virtual_ns, r.decisions) for r in found])
    assert results[0] == results[1]


IMPORTED = """
import sys
from functools import partial
from emu.lab.zygote import Task, Zygote
from emu.machine.config import Config
from kernel.sched.strategy import Random
zygote = Zygote(Config(), "pingpong", ["3"], warm=sys.argv[1] == "warm")
before = set(sys.modules)
print(*set(zygote.one(Task(1, 1, partial(Random, 1), after=lambda *_: list(sys.modules))).kept) - before)
"""


def test_a_copy_of_a_machine_after_another_run_imports_nothing() -> None:
    """It would be several times as slow."""
    found = {}
    for how in ("warm", "cold"):
        done = subprocess.run([sys.executable, "-c", IMPORTED, how], capture_output=True, text=True, check=True)
        found[how] = done.stdout.split()
    assert found["warm"] == []
    assert "kernel.sched.watch" in found["cold"]


FREEZING = """
import gc
from emu.lab.zygote import Zygote
from emu.machine.config import Config
first, second = (Zygote(Config(), "true", []) for _ in range(2))
for done in second, first:
    print(gc.get_freeze_count() > 1000)
    done.close()
print(gc.get_freeze_count())
"""


def test_the_collector_is_as_before_when_all_are_closed() -> None:
    done = subprocess.run([sys.executable, "-c", FREEZING], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "0"]
