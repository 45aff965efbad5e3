"""The lines around the maps, and the words for a student."""

from __future__ import annotations

import re
import typing
from contextlib import closing

import pytest

from emu.machine.config import Config
from emu.machine.machine import Machine
from emu.observe.filter import KINDS
from emu.program.lines import Place
from emu.program.symbols import Found
from emu.view import panels, words
from emu.view.paint import Line, text
from emu.view.session import Session
from kernel.base.event import Event, FaultEvent, PageEvent
from tests.e2e.harness import run
from tests.emu.view.faked import Source, goto, of, session

M = 1 << 20


def said(lines: list[Line]) -> list[str]:
    return [text(line).rstrip() for line in lines]


def at(s: Session, cls: str) -> FaultEvent:
    """Go to the first fault of a class."""
    goto(s, s.index.classes[f"fault {cls}"][0])
    ev = s.event
    assert isinstance(ev, FaultEvent)
    return ev


def test_a_copy_is_told_for_a_student(cow: list[Event]) -> None:
    s = session(cow)
    s.found[s.index.classes["fault cow-copy"][1] - 1] = Found(
        "main+0x129", b"\x89\xbb\x04\x30\x00\x00", Place("cow.c", 23)
    )
    goto(s, s.index.classes["fault cow-copy"][1])
    told = said(panels.words(s, 80, 4))
    assert told[0].startswith("write 0x00003004 frame 0x")
    assert told[0].endswith("main+0x129 cow.c:23: mov dword ptr [ebx + 0x30")
    assert "Shared after fork, copied on the first write" in told[1]
    assert all(len(row) <= 80 for row in told)


def test_counters_have_extremes_and_the_pagers_bounds() -> None:
    events = run("thrash", "1500", "1", trace=True, check=False, memory=8 * M, swap=32 * M).events
    s = session(events)
    at(s, "swap-in")
    memory, use, faults = said(panels.counters(s, 120))
    assert memory.startswith("free ")
    assert "of 896, least 4" in memory
    assert "headroom 55, highwater 44" in memory
    assert use.startswith("used ")
    assert "swap-in 1" in faults
    s.seek(0)
    assert said(panels.counters(s, 80)) == ["The machine is not switched on yet."]
    s = session([ev for ev in events[:100] if ev.kind != "boot"])
    goto(s, 50)
    assert said(panels.counters(s, 80))[0].endswith("the trace has no boot event")


@pytest.mark.parametrize("memory", [4 * M, 8 * M, 64 * M, 999 * M])
def test_the_pagers_bounds_are_the_kernels(memory: int) -> None:
    with closing(Machine(Config(memory=memory))) as machine:
        k = machine.kernel
        bounds = panels.bounds(k.palloc.user)
        assert bounds == (k.swapalloc.highwater, k.swapalloc.headroom)


def test_the_title_tells_where_one_stands(cow: list[Event]) -> None:
    s = session(cow)
    at(s, "cow-copy")
    title = text(panels.title(s, "cow 4", 80))
    assert len(title) == 80
    assert title.split() == ["cow", "4", "event", f"{s.at}/{len(cow)}", "0.000009230", "s", "cow[3]", "ended", "well"]
    s.running = True
    assert "running, 5/s" in text(panels.title(s, "cow 4", 80))
    s.target = 7
    assert "on the way to 7" in text(panels.title(s, "x" * 99, 80))


def test_the_list_shows_what_was_and_what_comes(cow: list[Event]) -> None:
    s = session(cow)
    at(s, "text-load")
    rows = panels.events(s, 80, 5)
    assert [text(row)[0] for row in rows] == [" ", " ", " ", ">", " "]
    assert len({len(text(row)) for row in rows}) == 1
    assert all(p.dim for _, p in rows[4])
    live = Session(Source(cow), s.index.wanted)
    live.step()
    live.take(10)
    assert "has not happened yet" in said(panels.events(live, 80, 5))[-1]


def test_a_million_events_are_listed_by_those_on_the_screen(cow: list[Event]) -> None:
    s = session(cow * 40)
    goto(s, 4000)
    assert len(panels.events(s, 80, 5)) == 5
    assert len(panels.window(s, 5)) == 5


def test_an_event_that_is_not_listed_is_marked_where_one_stands_at_it(cow: list[Event]) -> None:
    s = session(cow)
    for at in (1, 50, len(cow)):
        goto(s, at)
        rows = said(panels.events(s, 80, 5))
        assert [row.split()[1] for row in rows if row.startswith(">")] == [str(at)]
        assert len(rows) == 5
        assert at in panels.window(s, 5)


def test_frames_add_up_while_memory_is_short() -> None:
    events = run("thrash", "1500", "1", trace=True, check=False, memory=8 * M, swap=32 * M).events
    s = session(events)
    outs = [i + 1 for i, ev in enumerate(events) if isinstance(ev, PageEvent) and ev.op == "swap-write"]
    for at in outs[:5]:
        goto(s, at)
        for width in (80, 120):
            line = said(panels.counters(s, width))[1]
            used, *uses = (int(n.replace(",", "")) for n in re.findall(r"[0-9][0-9,]*\b", re.sub(r" \(.*\)", "", line)))
            assert sum(uses) == used, line
            assert "going to swap" in line


def test_the_legend_has_the_letters_that_are_there(cow: list[Event]) -> None:
    s = session(cow)
    at(s, "cow-copy")
    legend = text(panels.legend(s, 120))
    assert legend.startswith("a cow[2] b cow[3] 2 copy on write C cached, in use D directory T page table K kmap")
    assert "W " not in legend


def test_what_is_long_is_shortened_and_not_cut(cow: list[Event]) -> None:
    s = session(cow)
    at(s, "cow-copy")
    legend = text(panels.legend(s, 80))
    assert legend.rstrip() == "a cow[2] b cow[3] 2 copy on write C cached D dir T table K kmap"
    legend = text(panels.legend(s, 60))
    assert legend.rstrip() == "a cow[2] … 2 copy on write C cached D dir T table K kmap"
    typing.cast(Source, s.source).state = lambda: "stops at its next event"  # type: ignore[method-assign]
    for width, middle in ((76, "0.000009230 s  cow[3]"), (70, "0.000 s  cow[3]"), (62, "0.000 s"), (52, "")):
        title = text(panels.title(s, "a program with a long name", width))
        assert f"{middle}  stops at its next event " in title
        assert title.startswith(" a progr")
        assert len(title) == width


def test_a_chosen_frame_is_described(cow: list[Event]) -> None:
    s = session(cow)
    ev = at(s, "cow-copy")
    assert "one process's own. cow[3] at 0xdfffe000 (stack)" in words.frame(s.look(), ev.frame)
    shared = next(f for f in s.history.model.frames.now if s.look().purpose(f) == "cow")
    told = words.frame(s.look(), shared)
    assert "copied on the first write. cow[2] at 0x" in told
    assert "cow[3] at 0x" in told
    table = next(f for f, r in s.history.model.frames.now.items() if r.purpose == "table")
    assert "Of cow[" in words.frame(s.look(), table)
    cached = next(f for f in s.history.model.frames.now if s.look().purpose(f) == "cached")
    assert "/bin/cow, byte " in words.frame(s.look(), cached)
    s.frame = shared
    assert "Enter tells its life" in " ".join(said(panels.words(s, 80, 4)))


def test_troubles_are_told_at_the_end(cow: list[Event]) -> None:
    s = Session(Source(cow), of(frozenset(KINDS)))
    source = typing.cast(Source, s.source)
    source.said = ["The run did not come to its end: panic: x."]
    s.end()
    s.take(10)
    assert said(panels.words(s, 80, 4))[0] == source.said[0]
    s.step(-1)
    assert source.said[0] not in said(panels.words(s, 80, 4))


def test_output_is_what_can_be_shown_of_it(cow: list[Event]) -> None:
    s = Session(Source(cow), of(frozenset(KINDS)))
    source = typing.cast(Source, s.source)
    assert said(panels.output(s, 80, 2)) == ["output: nothing yet"]
    source.written = "one\ntwo\nthree \x1b[31m\tred"
    assert said(panels.output(s, 80, 2)) == ["| two", r"| three \x1b[31m     red"]
    assert said(panels.output(session(cow), 80, 1)) == ["output: a trace does not tell what the program wrote"]


def test_the_life_of_a_frame(cow: list[Event]) -> None:
    s = session(cow)
    ev = at(s, "cow-copy")
    life = s.life(ev.frame)
    rows = panels.story(life)
    assert {e.kind for _, e in life} == {"page", "entry", "mmu", "fault"}
    assert "alloc" in rows[0]
    assert "cow-copy" in rows[-1]
    s.seek(life[0][0])
    assert s.life(ev.frame) == []


@pytest.mark.parametrize(
    ("width", "height", "fits"), [(80, 24, True), (79, 24, False), (80, 23, False), (200, 60, True)]
)
def test_a_screen_may_be_too_small(width: int, height: int, fits: bool) -> None:
    assert (panels.small(width, height) == "") == fits


def test_help_fits_a_small_screen() -> None:
    rows = panels.helptext().splitlines()
    assert max(len(row) for row in rows[: len(words.KEYS)]) <= 78
    assert all(len(row) <= 78 for row in rows if row.startswith("  "))
    assert len(text(panels.keys(80))) == 80
