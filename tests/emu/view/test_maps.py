"""What a cell shows: physical memory by frame, virtual memory by page."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from emu.observe.model.look import PURPOSES
from emu.observe.model.records import NOIMAGE
from emu.observe.words import USES
from emu.view import words
from emu.view.look import FIXED, Look, Owners
from emu.view.pagemap import PageMap, columns, pool_of
from emu.view.paint import Line, fit, on, text, wrap
from emu.view.session import Session
from emu.view.space import Area, SpaceMap, _stretches, areas, letters
from kernel.base.event import BootEvent, Event, FaultEvent, PageEvent, SegmentEvent
from kernel.base.mem import BY2PG
from tests.e2e.harness import run
from tests.emu.view.faked import goto, session

M = 1 << 20


def draw(s: Session, m: PageMap, width: int = 41, height: int = 7, chosen: int | None = None) -> list[Line]:
    return m.draw(s.look(), s.at, s.index.touched, width, height, getattr(s.event, "frame", 0), chosen)


def reversed_(lines: list[Line]) -> str:
    return "".join(t for line in lines for t, p in line if p.reverse)


def copies(events: list[Event]) -> list[int]:
    return [i + 1 for i, ev in enumerate(events) if isinstance(ev, FaultEvent) and ev.cls == "cow-copy"]


def area(s: Session, pid: int, type: str) -> Area:
    """A segment of a process."""
    return next(a for a in areas(s.look(), pid) if a.type == type)


def at_pages(s: Session, pid: int, type: str) -> str:
    """The letters of its pages."""
    a = area(s, pid, type)
    return "".join(letter for start, end in a.stretches for letter, _ in letters(s.look(), pid, a, start, end))


def test_a_copy_appears_in_the_map(cow: list[Event]) -> None:
    s = session(cow)
    m = PageMap()
    counts = []
    for at in copies(cow):
        goto(s, at)
        lines = draw(s, m)
        shown = "".join(text(line)[9:] for line in lines if "never" not in text(line))
        counts.append((shown.count("2"), shown.count("b")))
    assert counts == [(4, 1), (3, 2), (2, 3), (1, 4), (0, 5)]
    assert reversed_(lines) == "ba"  # the last copy, and the page that is the parent's own again


def test_going_back_shows_what_was(cow: list[Event]) -> None:
    s = session(cow)
    m = PageMap()
    goto(s, copies(cow)[0])
    before = [text(line) for line in draw(s, m)]
    goto(s, copies(cow)[3])
    assert [text(line) for line in draw(s, m)] != before
    goto(s, copies(cow)[0])
    assert [text(line) for line in draw(s, m)] == before


def test_rows_that_were_never_used_are_one(cow: list[Event]) -> None:
    s = session(cow)
    m = PageMap()
    goto(s, len(cow))
    draw(s, m, height=99)
    boot = cow[0]
    assert isinstance(boot, BootEvent)
    assert m.shown[0].gap
    assert sum(row.frames for row in m.shown) == boot.pages
    assert [row.base for row in m.shown[1:]] == [
        m.shown[0].base + m.shown[0].frames * BY2PG + n * 32 * BY2PG for n in (0, 1)
    ]
    assert m.frame(9, 0) is None
    assert m.frame(9, 1) == m.shown[1].base
    assert m.frame(8, 1) is None
    assert m.frame(9 + 32, 1) is None
    assert m.frame(10, 99) is None


def test_the_map_scrolls_to_where_something_happens() -> None:
    events = run("touch", "600", trace=True, check=False, memory=8 * M).events
    s = session(events)
    m = PageMap()
    for at in (100, 600, 1200, 2000, 300):
        s.seek(at)
        s.fault()
        ev = s.event
        assert isinstance(ev, FaultEvent)
        draw(s, m, height=5)
        assert any(row.base <= ev.frame < row.base + row.frames * BY2PG for row in m.shown), at


def test_the_chosen_frame_is_moved_by_cells(cow: list[Event]) -> None:
    s = session(cow)
    m = PageMap()
    goto(s, copies(cow)[0])
    draw(s, m)
    cells = [row for row in m.shown if not row.gap]
    first, last = cells[0].base, cells[-1].base + (cells[-1].frames - 1) * BY2PG
    assert m.move(last, -1, 0) == last - BY2PG
    assert m.move(last, 1, 0) == last
    assert m.move(last, 0, 5) == last - (32 - cells[-1].frames) * 0
    assert m.move(first, 0, -1) == first
    assert m.move(first, 0, 1) == cells[1].base
    assert m.move(0, 1, 1) == cells[-1].base
    assert any(t == "a" and p.underline for line in draw(s, m, chosen=last) for t, p in line)


def test_more_room_gives_wider_rows() -> None:
    assert [columns(w) for w in (17, 41, 48, 73, 96, 137)] == [8, 32, 32, 64, 64, 128]


def test_without_sizes_the_map_is_as_large_as_what_is_used(cow: list[Event]) -> None:
    s = session(cow[1:])
    goto(s, len(cow) - 1)
    base, pages = pool_of(s.history.model, s.index.touched)
    assert base == min(s.index.touched)
    assert base + (pages - 1) * BY2PG == max(s.index.touched)
    assert draw(s, PageMap())
    assert pool_of(session([]).history.model, set()) == (0, 0)


@pytest.mark.parametrize(
    ("program", "args", "config", "letters"),
    [
        ("cow", ("4",), {}, "abCDTKPI2."),
        ("shm", ("3",), {}, "ab=CDTK"),
        ("thrash", ("1500", "1"), {"memory": 8 * M, "swap": 32 * M}, "aWICDTK"),
    ],
)
def test_each_use_has_its_letter(program: str, args: tuple[str, ...], config: dict[str, Any], letters: str) -> None:
    events = run(program, *args, trace=True, check=False, **config).events
    s = session(events)
    seen = set()
    for at in range(0, len(events), 1 + len(events) // 60):
        goto(s, at)
        look = s.look()
        uses = look.counts()
        for frame in s.history.model.frames.now:
            letter = look.cell(frame).letter
            seen.add(letter)
            assert (letter == "W") == (look.purpose(frame) == "swapping")
        assert uses == Counter(look.purpose(frame) for frame in s.history.model.frames.now)
    seen.add(s.look().cell(0).letter)
    assert set(letters) <= seen


def test_every_use_is_told_in_words_and_by_a_letter() -> None:
    assert set(USES) == set(PURPOSES) | {"swapcache"}
    assert set(words.LETTERS) | {"private"} == set(PURPOSES)
    letters = [letter for letter, _ in words.LETTERS.values()]
    assert len(set(letters)) == len(letters)
    assert not set(letters) & set("abcdefghijklmnopqrstuvwxyz")
    for use, (letter, _) in FIXED.items():
        assert words.LETTERS[use][0] == letter


def test_the_virtual_map_tells_what_the_processor_finds(cow: list[Event]) -> None:
    s = session(cow)
    goto(s, copies(cow)[2])  # the stack, and two pages of bss are copied
    assert at_pages(s, 3, "bss") == "wwmm"
    assert area(s, 3, "bss").words == "4 of 16,384 pages"
    assert area(s, 3, "bss").stretches == [(0, 4)]
    assert at_pages(s, 3, "stack") == "w"
    goto(s, len(cow))
    assert areas(s.look(), 3) == []


def test_a_page_that_is_read_after_a_fork_is_mapped_and_copied_later() -> None:
    events = run("cow", "3", trace=True, check=False).events
    s = session(events)
    reads = [
        i + 1
        for i, ev in enumerate(events)
        if isinstance(ev, FaultEvent) and ev.segment == "bss" and ev.access == "read"
    ]
    goto(s, reads[0])
    assert at_pages(s, 2, "bss") == "rmm"
    assert area(s, 2, "text").words.endswith("of /bin/cow")


def test_pages_on_swap_are_shown() -> None:
    events = run("thrash", "1500", "1", trace=True, check=False, memory=8 * M, swap=32 * M).events
    s = session(events)
    ins = [i + 1 for i, ev in enumerate(events) if isinstance(ev, FaultEvent) and ev.cls == "swap-in"]
    goto(s, ins[0])
    n = at_pages(s, 2, "bss").count("s")
    assert n > 100
    assert f"{n:,} on swap" in area(s, 2, "bss").words
    assert s.index.swapped(s.at) >= n


def test_the_virtual_map_scrolls_to_the_address(cow: list[Event]) -> None:
    s = session(cow)
    m = SpaceMap()
    for at in copies(cow):
        goto(s, at)
        ev = s.event
        assert isinstance(ev, FaultEvent)
        lines = m.draw(s.look(), 3, 38, 4, ev.addr)
        assert len(lines) == 4
        marked = [line for line in lines if any(p.reverse for _, p in line)]
        assert len(marked) == 1
        assert int(text(marked[0])[:8], 16) <= ev.addr
    assert text(m.draw(s.look(), 0, 38, 4, None)[0]) == "No process has any memory."


def test_a_trace_that_lacks_segments_is_drawn_all_the_same(cow: list[Event]) -> None:
    s = session([ev for ev in cow if not (isinstance(ev, SegmentEvent) and ev.op == "new")])
    for at in range(0, s.newest, 5):
        goto(s, at)
        draw(s, PageMap())
        areas(s.look(), 2)


def test_owners_go_round() -> None:
    owners = Owners()
    for pid in range(1, 40):
        owners.meet(pid)
    assert owners.letter(1) == owners.letter(27) == "a"
    assert owners.letter(99) == "?"
    assert owners.paint(1) == owners.paint(8)


def test_a_frame_in_many_segments_has_a_plus() -> None:
    s = session([])
    m = s.history.model
    for id in range(1, 12):
        m.apply(SegmentEvent(0, 2, 0, "new", "bss", 0x3000, 0x4000, 1, id=id))
    m.apply(PageEvent(0, 2, 0, "alloc", 0x5000, 0x3000, NOIMAGE, 0, 1))
    for id in range(1, 12):
        m.entries.put(id, 0, 0x5000)
    assert Look(m, Owners()).cell(0x5000).letter == "+"


def test_lines_are_cut_and_filled() -> None:
    line: Line = [("abc", on("#000000")), ("def", on("#ffffff"))]
    assert text(fit(line, 4)) == "abcd"
    assert text(fit(line, 8)) == "abcdef  "
    assert on("#000000").ink == "#ffffff"
    assert [text(row) for row in wrap("one two three", 7)] == ["one two", "three"]


def test_stretches_leave_out_what_is_far() -> None:
    assert _stretches([], 100) == []
    assert _stretches([], 5) == [(0, 5)]
    assert _stretches([0, 1, 5], 1000) == [(0, 6)]
    assert _stretches([3, 40, 990], 1000) == [(0, 4), (40, 41), (990, 1000)]
    assert _stretches([999], 1000) == [(999, 1000)]


def test_lines_of_a_space_tell_where_each_begins() -> None:
    s = session([])
    m = s.history.model
    m.apply(SegmentEvent(0, 2, 0, "new", "bss", 0x3000, 0x3000 + 1000 * BY2PG, 1, id=1))
    m.apply(SegmentEvent(0, 2, 0, "attach", "bss", 0x3000, 0x3000 + 1000 * BY2PG, 1, id=1, target=2, slot=3))
    for n in (40, 41, 100):
        m.entries.put(1, n, (n + 1) * BY2PG)
    lines = [text(line) for line in SpaceMap().draw(s.look(), 2, 30, 9, None)]
    assert lines == [
        "bss 3 of 1,000 pages",
        "00003000  40 untouched",
        "0002b000 mm 58 untouched",
        "00067000 m 899 untouched",
    ]
    marked = SpaceMap().draw(s.look(), 2, 30, 9, 0x3000 + 41 * BY2PG)[2]
    assert [t for t, p in marked if p.reverse] == ["m"]
    marked = SpaceMap().draw(s.look(), 2, 30, 9, 0x3000 + 500 * BY2PG)[3]
    assert [t for t, p in marked if p.reverse] == [" 899 untouched"]
