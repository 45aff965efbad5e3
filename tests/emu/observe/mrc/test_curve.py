"""Curves: which sizes, what is counted in real runs, how it is shown."""

import json
from contextlib import closing
from typing import Any

import pytest

from emu.machine.config import Config
from emu.machine.console import MemoryConsole
from emu.machine.machine import Machine
from emu.machine.references import References
from emu.observe.mrc import picture
from emu.observe.mrc.curve import Curve, Point, Run, below, compute, frames, sizes, spread
from emu.observe.mrc.lru import Distances
from emu.observe.mrc.optimum import Optimum
from emu.observe.mrc.render import plot, text
from emu.observe.mrc.runs import Misses
from emu.observe.mrc.shorten import Shortened
from kernel.base.event import Event, FaultClass, FaultEvent, Load, MmuEvent, PageEvent, ProcEvent
from kernel.base.mem import MB


def recorded(program: str, *args: str, **config: Any) -> tuple[Shortened, Misses]:
    string, misses = Shortened(), Misses()
    references = References(lambda _pid, _ns, pages: string.add(pages), string.gone)

    def sink(ev: Event) -> None:
        references(ev)
        misses(ev)

    with closing(Machine(Config(**config), sink, console=MemoryConsole())) as machine:
        references.watch(machine)
        machine.run(program, args)
        references.finish()
    string.end()
    return string, misses


def real(memory: int, program: str, *args: str) -> Misses:
    misses = Misses()
    with closing(Machine(Config(memory=memory, swap=16 * MB), misses, console=MemoryConsole())) as machine:
        machine.run(program, args)
    return misses


@pytest.mark.guest
@pytest.mark.parametrize("words", ["cow 20", "forkbomb 10", "text 20", "read 30", "shm 20", "swapfork 30", "stack 20"])
def test_with_memory_enough_a_real_run_misses_what_is_computed(words: str) -> None:
    string, misses = recorded(*words.split())
    assert misses.misses == string.pages == Distances(string.string).misses(max(string.peak, string.width))


@pytest.mark.guest
@pytest.mark.parametrize(("words", "memory"), [("thrash 450 2", 4 * MB), ("agewalk", 4 * MB)])
def test_with_less_it_misses_no_less_than_the_optimum(words: str, memory: int) -> None:
    string, first = recorded(*words.split(), memory=64 * MB)
    least = Optimum(string.string).misses(frames(memory, 1, first.tables))
    run = real(memory, *words.split())
    assert string.pages < least <= run.misses
    assert run.swapins and not run.killed


def fault(cls: FaultClass, load: Load = "") -> FaultEvent:
    return FaultEvent(0, 2, 0, 0x2000, 0x1020, "user", "", 6, "write", "bss", cls, load, 0x5000)


def test_what_is_a_miss() -> None:
    m = Misses()
    for ev in (
        fault("zero-fill"), fault("cow-copy", "data-load"), fault("text-load"), fault("cow-copy", "cache-hit"),
        fault("remap"), fault("cow-reuse"), fault("cache-hit"), fault("protection"),
        fault("swap-in"),  # was still there
        PageEvent(0, 2, 0, "swap-in", 0x5000, 0x2000, -2, 0, 1), fault("swap-in"),
        PageEvent(0, 2, 0, "swap-in", 0x5000, 0x2000, -2, 0, 1), fault("cow-copy", "swap-in"),
    ):  # fmt: skip
        m(ev)
    assert (m.new, m.loads, m.swapins, m.misses) == (4, 2, 2, 8)


def test_most_tables_at_a_time_and_who_was_killed() -> None:
    m = Misses()
    m(MmuEvent(0, 2, 0, "directory", 0x1000, 0, 0, ""))
    m(MmuEvent(0, 2, 0, "table", 0x1000, 0, 0x2000, ""))
    m(PageEvent(0, 2, 0, "free", 0x2000, 0, -1, 0, 0))
    m(MmuEvent(0, 2, 0, "kmap", 0x1000, 0, 0x3000, ""))
    m(MmuEvent(0, 2, 0, "map", 0x1000, 0, 0x4000, "read"))
    assert m.tables == 2
    m(ProcEvent(0, 2, 0, "exit", "thrash", 0, "thrash 2: Killed: Insufficient physical memory"))
    m(ProcEvent(0, 3, 0, "exit", "cat", 0, ""))
    assert m.killed == ["thrash 2"]


def test_sizes_go_from_the_least_machine_to_what_suffices() -> None:
    found = sizes(3003, 1, 6, 4 * MB)
    assert found[0] == 4 * MB and len(found) == 8 and found == sorted(set(found))
    assert frames(found[-1], 1, 6) >= 3003 > frames(found[-1] - MB, 1, 6)
    assert sizes(20, 1, 6, 4 * MB) == [4 * MB]
    assert sizes(400, 1, 6, 4 * MB) == [4 * MB, 5 * MB]


def test_frames_are_what_takepage_gives_a_program() -> None:
    with closing(Machine(Config(memory=8 * MB))) as machine:
        k = machine.kernel
        assert frames(8 * MB, 1, 0) == k.palloc.user - k.swapalloc.highwater
    assert frames(4 * MB, 1, 1 << 20) == 1


def test_programs_that_fit_anywhere_get_sizes_that_no_machine_has() -> None:
    assert below(44, 16) == [16, 20, 24, 28, 32, 36, 40, 44]
    assert below(5, 16) == [5]


def curve(*misses: tuple[int, int, int, int]) -> Curve:
    c = Curve(["a", "b"], 1000, 10, 8, 3)
    c.points = [Point(n * MB, n * 100, best, lru, turned) for n, best, lru, turned in misses]
    return c


def test_runs_are_spread_over_the_sizes() -> None:
    c = curve(*((n, 1, 1, 1) for n in range(4, 12)))
    assert [p.memory // MB for p in spread(c.points, 3)] == [4, 7, 11]
    assert [p.memory // MB for p in spread(c.points, 1)] == [4]
    assert spread(c.points, 0) == []
    assert len(spread(c.points, 99)) == 8
    c.points[0].memory = 0
    assert spread(c.points, 99) == c.points[1:]


def test_points_are_computed_once_for_each_size() -> None:
    string = Shortened(1)
    string.add([1, 2, 3, 1, 2, 3])
    string.end()
    c = Curve(["p"], string.references, string.pages, string.peak, 0)
    compute(c, string, [(0, 2), (4 * MB, 3), (5 * MB, 100)])
    assert [(p.memory, p.optimum, p.lru, p.clock) for p in c.points] == [
        (0, 4, 6, 6), (4 * MB, 3, 3, 3), (5 * MB, 3, 3, 3),
    ]  # fmt: skip


def test_text_and_document_tell_the_same() -> None:
    c = curve((4, 10, 20, 30), (8, 10, 10, 10))
    c.points[0].run = Run(1, 99, 0, 0, 0, "a 2 killed: insufficient physical memory")
    c.points[1].run = Run(0, 10, 6, 4, 0)
    shown = text(c)
    lines = shown.splitlines()
    assert lines[0] == "a b: 1000 references to 10 pages, 8 at once; 3 frames of page tables"
    assert lines[2].split() == ["4M", "400", "10", "20", "2.00", "30", "3.00", "killed", "0.020000"]
    assert lines[3].split() == ["8M", "800", "10", "10", "1.00", "10", "1.00", "10", "1.00", "0.010000"]
    assert lines[4] == "4M: a 2 killed: insufficient physical memory: no point of the curve"
    assert lines[5] == "the least memory of a real run that worked: 8M"
    assert all(len(line) <= 80 for line in lines)
    obj: Any = json.loads(json.dumps(c.document()))
    assert obj["smallest"] == 8 * MB
    assert obj["points"][0]["run"] == {"status": 1, "failure": "a 2 killed: insufficient physical memory"}
    assert obj["points"][0]["lru"] == {"misses": 20, "ratio": 0.02, "to_optimum": 2.0}
    assert obj["points"][1]["run"]["misses"] == 10


def test_plot_has_the_marks_in_their_places() -> None:
    c = curve((4, 10, 20, 40), (8, 10, 10, 10))
    lines = plot(c, 49)
    assert lines[0] == "    4M |          o         L                   c"
    assert lines[1] == "    8M |          o"
    assert lines[3].endswith("40") and "real run" not in lines[4]


@pytest.mark.parametrize(("fmt", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_equal_curves_make_equal_pictures(fmt: str, start: bytes) -> None:
    c = curve((4, 10, 20, 40), (8, 10, 10, 10))
    c.points[0].run = Run(1, 0, 0, 0, 0, "a 2 killed: insufficient physical memory")
    c.points[1].run = Run(0, 10, 10, 0, 0)
    drawn = picture.draw(c, fmt)
    assert drawn.startswith(start)
    assert drawn == picture.draw(c, fmt)
