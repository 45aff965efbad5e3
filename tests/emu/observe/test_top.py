"""What goes on, in figures."""

from collections import Counter
from contextlib import closing
from typing import Any, cast

import pytest

from emu.machine.config import Config
from emu.machine.console import MemoryConsole
from emu.machine.machine import Machine
from emu.observe.top import COLUMNS, GROUPS, SORTS, Picture, Row, Top, short, text
from kernel.base.event import FaultClass, FaultEvent, ProcEvent, SchedEvent
from kernel.base.mem import MB


def ran(program: str, *args: str, **config: Any) -> tuple[Top, Machine, list[int]]:
    """A run, its machine at the end, and how many frames were free at each event."""
    top = Top()
    free: list[int] = []
    machine = Machine(Config(**config), console=MemoryConsole())

    def sink(ev: Any) -> None:
        top(ev)
        free.append(machine.kernel.palloc.freecount)

    machine.kernel.sink = sink
    machine.run(program, args)
    return top, machine, free


@pytest.mark.guest
def test_figures_are_those_of_the_run() -> None:
    top, machine, free = ran("cow", "4")
    with closing(machine):
        p = top.look(whole=True)
        k = machine.kernel
        assert (p.faults.total(), p.calls) == (k.nfault, k.nsyscall)
        assert (p.pages, p.free, p.cpus) == (k.palloc.user, k.palloc.freecount, 1)
        assert min(free) <= p.leastfree < p.pages
        rows = {r.pid: r for r in p.rows}
        assert rows[3].groups["copy"] == 5
        assert sum(r.faults for r in p.rows) == k.nfault
        assert all(sum(r.groups.values()) == r.faults for r in p.rows)
        assert [r.state for r in p.rows if r.name == "cow"] == ["Dead", "Dead"]


@pytest.mark.guest
def test_memory_and_swap_with_the_most_and_least() -> None:
    top, machine, _ = ran("thrash", "500", memory=4 * MB, swap=16 * MB)
    with closing(machine):
        p = top.look()
        assert p.leastfree < 30
        assert 100 < p.mostswap <= 500
        assert p.mostcached > p.cached
        assert p.faults["swap-in"] == p.rows[-1].groups["in"] > 0


@pytest.mark.guest
def test_pages_of_a_process_while_it_runs() -> None:
    top = Top()
    seen: list[Row] = []

    def sink(ev: Any) -> None:
        top(ev)
        if isinstance(ev, FaultEvent) and ev.cls == "zero-fill":
            seen.extend(r for r in top.look(ev.ns).rows if r.pid == 2)

    with closing(Machine(Config(), sink, console=MemoryConsole())) as machine:
        machine.run("touch", ["20"])
    assert [r.res for r in seen[1:]] == list(range(3, 23))
    assert {r.state for r in seen} == {"Running"}


def test_rates_are_since_the_last_look_and_in_the_end_of_the_whole() -> None:
    top = Top()

    def fault(ns: int, cls: FaultClass) -> None:
        top(FaultEvent(ns, 2, 0, 0x3000, 0x1020, "user", "", 6, "write", "bss", cls, "", 0x5000))

    fault(1, "zero-fill")
    fault(500_000_000, "zero-fill")
    p = top.look(500_000_000)
    assert p.rates == {"zero-fill": 4.0} and p.rows[0].rate == 4.0
    fault(600_000_000, "cow-copy")
    assert top.look(1_500_000_000).rates == {"cow-copy": 1.0}
    assert top.look(1_500_000_000).rates == {"cow-copy": 1.0}  # no time has passed
    assert top.look(2_000_000_000, whole=True).rates == {"cow-copy": 0.5, "zero-fill": 1.0}


@pytest.mark.parametrize("sort", SORTS)
def test_sorted_by_any_column_the_dead_last(sort: str) -> None:
    top = Top()
    for pid, name, state in ((4, "b", "Ready"), (5, "a", "Running"), (6, "c", "Moribund")):
        top(ProcEvent(1, 2, 0, "fork", name, pid, ""))
        top(SchedEvent(1, 2, 0, "ready", pid, name, state, ""))
        for cls in cast(list[FaultClass], list(GROUPS)) * pid:
            top(FaultEvent(2, pid, 0, 0x3000, 0x1020, "user", "", 6, "write", "bss", cls, "", 0x5000))
    top(SchedEvent(3, 2, 0, "end", 6, "c", "", ""))
    got = [r.pid for r in top.look(3, sort).rows if r.pid in (4, 5, 6)]
    assert got == ([4, 5, 6] if sort in ("pid", "state", "res", "swap", "calls") else [5, 4, 6])


def test_every_class_has_a_column() -> None:
    assert set(GROUPS.values()) == set(COLUMNS)


@pytest.mark.parametrize(
    ("n", "shown"),
    [(0, "0"), (9999, "9999"), (9999.6, "10k"), (12345, "12k"), (999_499, "999k"), (1_234_567, "1.2M"),
     (12_345_678, "12M"), (1e17, "many")],
)  # fmt: skip
def test_four_characters(n: float, shown: str) -> None:
    assert short(n) == shown


def test_text_fits_a_terminal() -> None:
    row = Row(123, "a-long-name-of-a-program", "Wakeme", 99999, 99999, 10**7, 10**7, 1e7, dict.fromkeys(COLUMNS, 99999))
    p = Picture(10**12, 8, 99999, 99999, 99999, 99999, 99999, 99999, 99999, Counter(x=10**9), {"x": 1e9}, 10**9, [row])
    lines = text(p, "prog").splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[3].split()[:5] == ["PID", "NAME", "STATE", "RES", "SWAP"]
    assert lines[4].split() == ["123", "a-long-n…", "Wakeme", *["100k"] * 2, *["10M"] * 3, *["100k"] * 6]
