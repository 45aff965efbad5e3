"""The view in textual, typed at by its Pilot: what is on the screen, what keys do, small and large."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from emu.machine.config import Config
from emu.session.live import Live
from emu.session.source import Source
from emu.view.app import Life, Panel, View
from emu.view.paint import text
from emu.view.session import Session
from kernel.base.event import Event, FaultEvent
from tests.emu.view import faked
from tests.emu.view.faked import of

SIZES = [(80, 24), (160, 50)]
Typing = Callable[[View, Pilot[int]], Awaitable[None]]


def show(source: Source, typing: Typing, size: tuple[int, int] = (80, 24), color: bool = True) -> View:
    """Have a view of it, and somebody who types."""
    view = View(Session(source, of()), "cow 4", color)

    async def run() -> None:
        async with view.run_test(size=size) as pilot:
            await pilot.pause()
            await typing(view, pilot)

    asyncio.run(run())
    return view


def rows(view: View, id: str) -> list[str]:
    """What a part shows."""
    panel = view.screen_stack[0].query_one(f"#{id}", Panel)
    return [panel.render_line(y).text.rstrip() for y in range(panel.size.height)]


async def rest(view: View, pilot: Pilot[int]) -> None:
    """Until the machine stands still, and that is shown."""
    s = view.session
    for _ in range(2000):
        await pilot.pause(0.01)
        if s.source.still and not s.source.items and s.target is None and s.at == s.newest:
            break
    view.renew()


def at_copy(s: Session, n: int = 0) -> None:
    faked.goto(s, s.index.classes["fault cow-copy"][n])


@pytest.mark.parametrize("size", SIZES)
def test_every_part_is_there(cow: list[Event], size: tuple[int, int]) -> None:
    async def typing(view: View, pilot: Pilot[int]) -> None:
        at_copy(view.session, 2)
        view.renew()
        width, height = size
        assert rows(view, "title")[0].startswith(" cow 4")
        assert rows(view, "map")[0].startswith("physical memory")
        assert any("222" in row or "22" in row for row in rows(view, "map"))
        assert rows(view, "space")[0] == "virtual memory of cow[3]"
        assert any("wwmm" in row for row in rows(view, "space"))
        assert "a cow[2] b cow[3]" in rows(view, "legend")[0]
        assert rows(view, "counters")[0].startswith("free 9,6")
        assert "Shared after fork" in " ".join(rows(view, "words"))
        assert any(row.startswith(">") for row in rows(view, "events"))
        assert "? help" in rows(view, "keys")[0]
        panels = list(view.query(Panel))
        assert all(p.size.width and p.size.height for p in panels)
        assert max(p.region.bottom for p in panels) == height
        assert max(p.region.right for p in panels) == width
        assert not view.query_one("#small").display

    show(faked.Source(cow, live=False), typing, size)


def test_copies_appear_as_one_steps() -> None:
    """Live, with the machine itself."""
    live = Live(Config(), "cow", ["4"])
    live.start()
    seen: list[int] = []

    async def typing(view: View, pilot: Pilot[int]) -> None:
        while not view.session.source.ended:
            await pilot.press("f")
            await rest(view, pilot)
            ev = view.session.event
            if isinstance(ev, FaultEvent) and ev.cls == "cow-copy":
                seen.append(sum(row[9:].count("b") for row in rows(view, "map")[1:] if "never" not in row))
        at = view.session.at
        await pilot.press("p", "p")
        assert view.session.at < at
        await pilot.press("home")
        assert view.session.at == 0
        await pilot.press("n")
        assert view.session.at == 24
        assert "ended well" in rows(view, "title")[0]

    show(live, typing)
    live.close()
    assert seen == [1, 2, 3, 4, 5]


def test_keys_of_a_recorded_run(cow: list[Event]) -> None:
    async def typing(view: View, pilot: Pilot[int]) -> None:
        s = view.session
        assert s.at == 39  # the exec
        await pilot.press("n", "right", "down")
        third = s.at
        await pilot.press("p", "left", "up")
        assert s.at == 39
        await pilot.press("pagedown")
        assert s.at > third
        await pilot.press("pageup", "end")
        assert s.at == len(cow)
        await pilot.press("home", "f", "f", "F")
        assert s.event is not None
        assert s.event.kind == "fault"
        at_copy(s)
        first = s.at
        await pilot.press("c", "C")
        assert s.at == first
        await pilot.press("a")
        assert s.all
        await pilot.press("n")
        assert s.at == first + 1
        await pilot.press("a", "plus", "plus", "minus")
        assert "The speed is 10/s." in " ".join(rows(view, "words"))
        await pilot.press("tab")
        assert s.process() == 2
        assert "(chosen)" in rows(view, "space")[0]
        await pilot.press("shift+tab")
        assert "(chosen)" not in rows(view, "space")[0]
        await pilot.press("N")
        assert "Nothing was searched" in rows(view, "words")[0]
        await pilot.press("space")
        await pilot.pause(0.2)
        assert s.at > first
        await pilot.press("space")
        assert not s.running

    show(faked.Source(cow, live=False), typing)


def test_a_frame_is_chosen_and_its_life_gone_to(cow: list[Event]) -> None:
    async def typing(view: View, pilot: Pilot[int]) -> None:
        s = view.session
        at_copy(s, 1)
        view.renew()
        ev = s.event
        assert isinstance(ev, FaultEvent)
        await pilot.press("m")
        assert s.frame == ev.frame
        await pilot.press("left")
        assert s.frame == ev.frame - 4096
        await pilot.press("right")
        assert s.frame == ev.frame
        assert f"frame 0x{ev.frame:08x}" in rows(view, "words")[0]
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(view.screen, Life)
        await pilot.press("home", "enter")
        await pilot.pause()
        assert s.at < s.index.classes["fault cow-copy"][1]
        assert s.event is not None
        assert s.event.kind == "page"
        await pilot.press("escape")
        assert "frame 0x" not in rows(view, "words")[0][:8]
        await pilot.press("home", "l")
        assert "No frame is chosen" in rows(view, "words")[0]

    show(faked.Source(cow, live=False), typing)


def test_a_click_chooses_a_frame_or_a_moment(cow: list[Event]) -> None:
    async def typing(view: View, pilot: Pilot[int]) -> None:
        s = view.session
        at_copy(s, 1)
        view.renew()
        await pilot.click("#map", offset=(12, 2))
        assert s.frame == view.pagemap.shown[1].base + 3 * 4096
        before = s.at
        await pilot.click("#events", offset=(3, 0))
        assert s.at < before

    show(faked.Source(cow, live=False), typing)


def test_searching(cow: list[Event]) -> None:
    async def typing(view: View, pilot: Pilot[int]) -> None:
        s = view.session
        await pilot.press("slash")
        await pilot.pause()
        await pilot.press(*"COW-copy", "enter")
        await pilot.pause(0.2)
        assert s.at == s.index.classes["fault cow-copy"][0]
        await pilot.press("N")
        await pilot.pause(0.2)
        assert s.at == s.index.classes["fault cow-copy"][1]
        await pilot.press("slash")
        await pilot.pause()
        await pilot.press("escape")
        await pilot.pause()
        assert len(view.screen_stack) == 1

    show(faked.Source(cow, live=False), typing)


def test_help_and_output_lie_over_the_view(cow: list[Event]) -> None:
    async def typing(view: View, pilot: Pilot[int]) -> None:
        for key in ("question_mark", "o"):
            await pilot.press(key)
            await pilot.pause()
            assert len(view.screen_stack) == 2
            await pilot.press("escape")
            await pilot.pause()
            assert len(view.screen_stack) == 1

    source = faked.Source(cow, live=False)
    source.written = "what \x1b[31m was written\n"
    show(source, typing)


def test_a_small_terminal_says_so_until_it_is_larger(cow: list[Event]) -> None:
    async def typing(view: View, pilot: Pilot[int]) -> None:
        small = view.query_one("#small", Static)

        def shown() -> bool:
            return bool(small.display)

        assert shown()
        assert str(small.render()).startswith("This terminal is 60 x 20; p9emu view needs 80 x 24.")
        assert not view.query_one("#all").display
        await pilot.resize_terminal(100, 30)
        await pilot.pause()
        assert not shown()
        assert rows(view, "keys")[0]
        await pilot.resize_terminal(40, 10)
        await pilot.pause()
        assert shown()
        await pilot.press("q")

    show(faked.Source(cow, live=False), typing, (60, 20))


@pytest.mark.parametrize("color", [True, False])
def test_letters_are_the_same_without_colours(cow: list[Event], color: bool) -> None:
    colors: list[object] = []

    async def typing(view: View, pilot: Pilot[int]) -> None:
        at_copy(view.session, 2)
        view.renew()
        panel = view.query_one("#map", Panel)
        strips = [panel.render_line(y) for y in range(panel.size.height)]
        colors.extend(seg.style.bgcolor for strip in strips for seg in strip if seg.style and seg.style.bgcolor)
        assert any("222" in strip.text or "22" in strip.text for strip in strips)
        assert any("bb" in strip.text for strip in strips)

    show(faked.Source(cow, live=False), typing, color=color)
    assert bool(colors) == color


@pytest.mark.parametrize("key", ["q", "ctrl+c", "ctrl+q"])
def test_quitting(cow: list[Event], key: str) -> None:
    async def typing(view: View, pilot: Pilot[int]) -> None:
        await pilot.press(key)
        await pilot.pause()

    view = show(faked.Source(cow, live=False), typing)
    assert view.return_value == 0
    assert view.failure is None


def test_what_fails_in_the_view_is_the_commands_to_tell(cow: list[Event]) -> None:
    async def typing(view: View, pilot: Pilot[int]) -> None:
        def broken(at: int) -> None:
            raise ZeroDivisionError("of a test")

        view.session.seek = broken  # type: ignore[method-assign]
        await pilot.press("n")
        await pilot.pause()

    with pytest.raises(ZeroDivisionError):
        show(faked.Source(cow, live=False), typing)


def test_the_screen_as_text_is_that_of_the_panels(cow: list[Event]) -> None:
    async def typing(view: View, pilot: Pilot[int]) -> None:
        panel = view.query_one("#counters", Panel)
        assert [text(line).rstrip() for line in panel._lines] == rows(view, "counters")

    show(faked.Source(cow, live=False), typing)
