"""Guests larger than memory: every page comes back, and whoever finds no memory dies alone."""

import re
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from emu.machine.config import Config
from emu.machine.machine import Machine
from kernel.base.event import Event, FaultEvent, PageEvent
from kernel.devices.devcons import swaptext
from tests.e2e.harness import Console, jsontrace, p9emu, run

M = 1 << 20
PRESSURE = ("thrash 1500 2", "pressure", "textpressure", "swapfork", "agewalk")


@pytest.mark.parametrize("cpus", [1, 2, 4])
@pytest.mark.parametrize("argv", PRESSURE)
def test_every_page_comes_back(argv: str, cpus: int) -> None:
    r = run(*argv.split(), cpus=cpus, memory=6 * M, swap=64 * M, check=False, timeout=60)
    assert r.outcome.exits == ""


def test_a_guest_sets_swap_itself() -> None:
    assert run("devswap", memory=8 * M, check=False).outcome.exits == ""


def test_invariants_under_pressure() -> None:
    r = run("thrash", "600", "2", memory=4 * M, swap=16 * M, timeout=100)
    assert r.outcome.exits == ""
    assert r.outcome.stats.page_outs > 100


def test_events_agree_with_the_summary() -> None:
    r = run("thrash", "1500", "2", memory=6 * M, swap=64 * M, trace=True, check=False)
    ops = Counter(e.op for e in r.events if isinstance(e, PageEvent))
    s = r.outcome.stats
    assert ops["page-out"] == s.page_outs > 0
    assert ops["swap-write"] == s.swap_writes > 0
    assert ops["swap-in"] == s.swap_ins > 0
    assert ops["reclaim"] == s.reclaimed_pages > 0
    assert sum(isinstance(e, FaultEvent) and e.cls == "swap-in" for e in r.events) > 0


def test_events_agree_with_dev_swap() -> None:
    ops: Counter[str] = Counter()

    def sink(e: Event) -> None:
        if isinstance(e, PageEvent):
            swap = e.op in ("cache", "uncache", "reclaim") and e.image == -2
            ops[f"{e.op} swap" if swap else e.op] += 1

    with closing(Machine(Config(memory=6 * M, swap=64 * M), sink)) as machine:
        k = machine.kernel
        k.console = Console()
        assert machine.run("thrash", ["1500", "1"]).exits == ""
        cached = ops["cache swap"] - ops["uncache swap"] - ops["reclaim swap"]
        used = ops["alloc"] - ops["free"] - cached
        assert f"\n{used}/{k.palloc.user} user\n0/16384 swap\n".encode() in swaptext(k)
    assert cached > 0


def test_dev_swap_tells_the_same() -> None:
    text = run("cat", "/dev/swap", memory=8 * M, swap=16 * M).stdout
    pages = 8 * M // 4096
    m = re.search(r"^(\d+) memory\n4096 pagesize\n(\d+) kernel\n(\d+)/(\d+) user\n0/(\d+) swap$", text, re.M)
    assert m is not None
    memory, kernel, _used, user, swap = map(int, m.groups())
    assert memory // 4096 == kernel + user == pages - 256
    assert swap == 16 * M // 4096


@pytest.mark.parametrize("swap", [0, 16 * M])
@pytest.mark.parametrize("memory", range(4 * M, 9 * M, M))
def test_ends_right_or_dies_alone(memory: int, swap: int) -> None:
    for argv in ("thrash 1200 1", "cow 500", "forkbomb 30", "stack 400", "text 200", "read 200", "shm 300", "pipe 20"):
        r = run(*argv.split(), memory=memory, swap=swap, check=False, timeout=60)
        assert r.outcome.exits == "" or "Killed: Insufficient physical memory" in r.outcome.exits
        assert r.outcome.exits == "" or not swap


def test_no_swap_is_death_and_order() -> None:
    r = run("thrash", "6000", "1", memory=8 * M)
    assert r.outcome.exits == "thrash 2: Killed: Insufficient physical memory"
    assert r.outcome.status == 1


def test_full_swap_kills_the_biggest() -> None:
    r = run("swapfull", memory=8 * M, swap=4 * M, check=False, timeout=60)
    assert r.outcome.exits == ""


@pytest.mark.parametrize("cpus", [1, 2])
def test_same_command_same_trace(cpus: int) -> None:
    args = ("thrash", "1100", "1")
    assert jsontrace(*args, cpus=cpus, memory=4 * M, swap=16 * M) == jsontrace(
        *args, cpus=cpus, memory=4 * M, swap=16 * M
    )


def test_swap_file_is_kept_and_the_other_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert p9emu("run", "-m", "4M", "--swap", "16M", "thrash", "600", "1").returncode == 0
    assert list(tmp_path.iterdir()) == []
    path = tmp_path / "swap"
    assert p9emu("run", "-m", "4M", "--swap", "16M", "--swap-file", str(path), "thrash", "600", "1").returncode == 0
    assert path.stat().st_size == 16 * M
    assert path.read_bytes().strip(b"\0") != b""


def test_a_swap_file_that_cannot_be() -> None:
    r = p9emu("run", "--swap", "16M", "--swap-file", "/nonexistent/swap", "hello")
    assert (r.returncode, r.stderr.count(b"\n")) == (125, 1)
    assert p9emu("run", "--swap-file", "x", "hello").returncode == 2
