"""The view on the screen: textual's part. What is shown, and what the keys mean, is told by the other modules."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from functools import lru_cache
from typing import ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static

from emu.view import panels
from emu.view.pagemap import PageMap, columns
from emu.view.paint import HEAD, Line, Paint, fit
from emu.view.session import Session
from emu.view.space import SpaceMap
from kernel.base.event import FaultEvent

TICK: Final = 0.05  # s between two looks at the source
MOSTLIFE: Final = 2000  # events of a frame that are listed
Draw = Callable[[int, int], list[Line]]
ENDING: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT)


@lru_cache(maxsize=256)
def style(paint: Paint) -> Style:
    """How rich says it."""
    return Style(
        color=paint.ink or None,
        bgcolor=paint.ground or None,
        bold=paint.bold or None,
        dim=paint.dim or None,
        reverse=paint.reverse or None,
        underline=paint.underline or None,
    )


def grey(paint: Paint) -> Paint:
    """The same without colours."""
    return paint._replace(ink="", ground="")


class Panel(Widget):
    """A part of the screen that shows lines. ``draw`` makes them, for a width and a height."""

    def __init__(self, draw: Draw, click: Callable[[int, int], None], id: str, color: bool) -> None:
        super().__init__(id=id)
        self._color = color
        self._draw = draw
        self._click = click
        self._lines: list[Line] = []

    def renew(self) -> None:
        """Draw anew, if anything is different."""
        width, height = self.size
        lines = self._draw(width, height) if width and height else []
        if lines != self._lines:
            self._lines = lines
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line, as textual wants it."""
        width = self.size.width
        line = self._lines[y] if y < len(self._lines) else []
        return Strip([Segment(t, style(p if self._color else grey(p))) for t, p in fit(line, width)], width)

    def on_resize(self) -> None:
        """The lines are made for a size."""
        self.renew()
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Something on it is meant."""
        self._click(event.x, event.y)


class Text(ModalScreen[None]):
    """Text over the view, which any key takes away."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,o,enter,space", "dismiss", "back"),
        Binding("ctrl+c", "app.leave", "quit"),
    ]

    def __init__(self, heading: str, text: str, end: bool = False) -> None:
        super().__init__()
        self._heading, self._text, self._end = heading, text, end

    def compose(self) -> ComposeResult:
        """A heading, and text that can be scrolled."""
        yield Static(f"{self._heading}   (Esc goes back, ↑ ↓ scroll)", classes="heading", markup=False)
        with VerticalScroll() as scroll:
            yield Static(self._text, markup=False)
        scroll.can_focus = True

    def on_mount(self) -> None:
        """The keys scroll it."""
        scroll = self.query_one(VerticalScroll)
        scroll.focus()
        if self._end:
            self.call_after_refresh(scroll.scroll_end, animate=False)


class Life(ModalScreen[int | None]):
    """What has happened to a frame; the result is the event that was chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,l", "dismiss(None)", "back"),
        Binding("ctrl+c", "app.leave", "quit"),
    ]

    def __init__(self, heading: str, rows: list[str], numbers: list[int]) -> None:
        super().__init__()
        self._heading, self._rows, self._numbers = heading, rows, numbers

    def compose(self) -> ComposeResult:
        """A heading, and the list."""
        yield Static(f"{self._heading}   (Enter goes to that moment, Esc back)", classes="heading", markup=False)
        yield OptionList(*self._rows, markup=False)

    def on_mount(self) -> None:
        """The last one is where one stands."""
        rows = self.query_one(OptionList)
        rows.focus()
        rows.highlighted = len(self._rows) - 1 if self._rows else None

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """That is the one."""
        self.dismiss(self._numbers[event.option_index])


class Ask(ModalScreen[str]):
    """Asks for words to search for; "" if there are none."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss('')", "back"),
        Binding("ctrl+c", "app.leave", "quit"),
    ]

    def compose(self) -> ComposeResult:
        """A line to type in."""
        yield Static(
            "Search for words of an event's line (an address, a symbol, a class); Esc goes back", classes="heading"
        )
        yield Input(id="words", compact=True)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """They are typed."""
        self.dismiss(event.value)


class View(App[int]):
    """A run on the screen. It returns the number of the signal that ended it, 0 if the user did."""

    TITLE = "p9emu view"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    * { scrollbar-size-vertical: 1; }
    Screen, ModalScreen, Panel, Static, Input, OptionList, VerticalScroll {
        background: ansi_default; color: ansi_default; border: none; padding: 0;
    }
    OptionList > .option-list--option-highlighted { text-style: reverse; }
    Panel { height: 1; width: 1fr; }
    #maps { height: 1fr; }
    #map, #space { height: 1fr; }
    #small { display: none; }
    .heading { text-style: bold reverse; height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c,ctrl+q", "leave", "quit"),
        Binding("n", "step(1)", "next event"),
        Binding("p", "step(-1)", "back one"),
        Binding("right", "arrow(1, 0)"),
        Binding("left", "arrow(-1, 0)"),
        Binding("down", "arrow(0, 1)"),
        Binding("up", "arrow(0, -1)"),
        Binding("pagedown", "step(10)"),
        Binding("pageup", "step(-10)"),
        Binding("f", "fault(True)"),
        Binding("F", "fault(False)"),
        Binding("c", "same(True)"),
        Binding("C", "same(False)"),
        Binding("space,r", "run"),
        Binding("plus,equals_sign", "faster(1)"),
        Binding("minus", "faster(-1)"),
        Binding("home,g", "start"),
        Binding("end,G", "end"),
        Binding("tab", "process(1)", priority=True),
        Binding("shift+tab", "process(-1)", priority=True),
        Binding("a", "all"),
        Binding("m", "map"),
        Binding("l", "life"),
        Binding("enter", "life"),
        Binding("escape", "unchoose"),
        Binding("slash", "ask"),
        Binding("N", "again"),
        Binding("o", "output"),
        Binding("question_mark,h,f1", "help"),
    ]

    def __init__(self, session: Session, name: str, color: bool = True) -> None:
        super().__init__(ansi_color=True)
        self.color = color
        self.session = session
        self.name_ = name
        self.pagemap = PageMap()
        self.spacemap = SpaceMap()
        self.moving = False  # the arrows move the chosen frame
        self._sought = ""
        self._signal = 0
        self._last = time.monotonic()

    def compose(self) -> ComposeResult:
        """The parts, from top to bottom."""
        s = self.session

        def nothing(x: int, y: int) -> None:
            """A click that means nothing."""

        def panel(id: str, draw: Draw, click: Callable[[int, int], None] = nothing) -> Panel:
            return Panel(draw, click, id, self.color)

        yield Static("", id="small", markup=False)
        with Vertical(id="all"):
            yield panel("title", lambda w, h: [panels.title(s, self.name_, w)])
            with Horizontal(id="maps"):
                yield panel("map", self._map, self._clickmap)
                yield panel("space", self._space)
            yield panel("legend", lambda w, h: [panels.legend(s, w)])
            yield panel("counters", lambda w, h: panels.counters(s, w))
            yield panel("words", lambda w, h: panels.words(s, w, h))
            yield panel("events", lambda w, h: panels.events(s, w, h), self._clickevent)
            yield panel("output", lambda w, h: panels.output(s, w, h))
            yield panel("keys", lambda w, h: [panels.keys(w)])

    # The parts that are scrolled

    def _map(self, width: int, height: int) -> list[Line]:
        s = self.session
        ev = s.event
        focus = s.frame if s.frame is not None else getattr(ev, "frame", 0)
        head: Line = fit([("physical memory, a letter a frame", HEAD)], width)
        rows = self.pagemap.draw(s.look(), s.at, s.index.touched, width, height - 1, focus or 0, s.frame)
        return [head, *rows]

    def _space(self, width: int, height: int) -> list[Line]:
        s = self.session
        pid = s.process()
        ev = s.event
        va = ev.addr if isinstance(ev, FaultEvent) and ev.pid == pid else None
        chosen = "" if s.pid is None else " (chosen)"
        head: Line = fit([(f"virtual memory of {s.look().name(pid) if pid else 'nobody'}{chosen}", HEAD)], width)
        return [head, *self.spacemap.draw(s.look(), pid, width, height - 1, va)]

    def _clickmap(self, x: int, y: int) -> None:
        frame = self.pagemap.frame(x, y - 1)
        if frame is not None:
            self.session.frame = frame
            self.renew()

    def _clickevent(self, x: int, y: int) -> None:
        s = self.session
        rows = panels.window(s, self.query_one("#events").size.height)
        if 0 <= y < len(rows):
            s.running = False
            s.seek(rows[y])
            self.renew()

    # Life

    def on_mount(self) -> None:
        """What comes from the source, and from outside, is heard from here on."""
        loop = asyncio.get_running_loop()

        def stopped() -> None:
            loop.call_soon_threadsafe(self._take)

        self.session.source.onstop = stopped
        for number in ENDING:
            loop.add_signal_handler(number, self._ended, number)
        self.set_interval(TICK, self._tick)
        self.session.open()

    def on_resize(self, event: events.Resize) -> None:
        """Rows and columns are shared out."""
        width, height = event.size
        why = panels.small(width, height)
        # the view has a screen of its own below any other
        base = self.screen_stack[0]
        base.query_one("#small", Static).update(why)
        base.query_one("#small").display = bool(why)
        base.query_one("#all").display = not why
        out = 1 if height < 30 else 4 if height < 44 else 8
        words = 4 if height < 36 else 5
        rest = height - 6 - out - words
        rows = max(rest * 3 // 8, 5) if height < 30 else rest // 2
        for id, n in (("counters", 3), ("words", words), ("events", rows), ("output", out)):
            base.query_one(f"#{id}").styles.height = n
        base.query_one("#map").styles.width = 10 + columns(width * 3 // 5)
        self.call_after_refresh(self.renew)

    def _tick(self) -> None:
        now = time.monotonic()
        passed, self._last = now - self._last, now
        self.session.tick(passed)
        self._take()

    def _take(self) -> None:
        busy = self.session.take()
        said = self.session.source.state(), self.session.running
        if busy or said != self._said:
            self._said = said
            self.renew()

    _said: tuple[str, bool] = ("", False)

    def renew(self) -> None:
        """Show the moment."""
        for panel in self.screen_stack[0].query(Panel):
            panel.renew()

    @property
    def failure(self) -> Exception | None:
        """What went wrong in here, if anything did."""
        return self._exception

    def _fatal_error(self) -> None:
        """End, without textual's pages about it: the command tells what went wrong in its own way."""
        self._close_messages_no_wait()

    def _ended(self, number: int) -> None:
        self._signal = int(number)
        self.action_leave()

    # Keys

    def action_leave(self) -> None:
        """Go."""
        self.exit(self._signal)

    def action_step(self, n: int) -> None:
        """Go on, or back."""
        self.session.step(n)
        self.renew()

    def action_arrow(self, dx: int, dy: int) -> None:
        """Move the chosen frame, while one is; else a step."""
        s = self.session
        if self.moving and s.frame is not None:
            s.frame = self.pagemap.move(s.frame, dx, dy)
        else:
            s.step(dx + dy)
        self.renew()

    def action_fault(self, forward: bool) -> None:
        """The next page fault, or the last one."""
        self.session.fault(forward)
        self.renew()

    def action_same(self, forward: bool) -> None:
        """The next of this class, or the last one."""
        self.session.same(forward)
        self.renew()

    def action_run(self) -> None:
        """Run, or pause."""
        self.session.run()
        self.renew()

    def action_faster(self, by: int) -> None:
        """Another speed."""
        self.session.faster(by)
        self.session.message = f"The speed is {self.session.pace()}."
        self.renew()

    def action_start(self) -> None:
        """The beginning."""
        self.session.start()
        self.renew()

    def action_end(self) -> None:
        """The newest event; then the end."""
        self.session.end()
        self.renew()

    def action_process(self, by: int) -> None:
        """Another process."""
        if len(self.screen_stack) == 1:
            self.session.choose(by)
            self.renew()

    def action_all(self) -> None:
        """All events are listed, or those that were asked for."""
        s = self.session
        s.all = not s.all
        s.message = "All events are listed." if s.all else "The events of -e are listed."
        self.renew()

    def action_map(self) -> None:
        """The arrows choose a frame, or go from event to event again."""
        s = self.session
        self.moving = not self.moving
        if self.moving and s.frame is None:
            s.frame = getattr(s.event, "frame", 0) or max(s.history.model.frames.now, default=0)
        self.renew()

    def action_unchoose(self) -> None:
        """No frame is chosen."""
        self.moving = False
        self.session.frame = None
        self.session.message = ""
        self.renew()

    def action_life(self) -> None:
        """The life of the chosen frame, or of that of the event."""
        s = self.session
        frame = s.frame if s.frame is not None else getattr(s.event, "frame", 0)
        if not frame:
            s.message = "No frame is chosen, and this event has none: m chooses one."
            self.renew()
            return
        life = s.life(frame)
        if not life:
            s.message = f"Nothing has happened to frame 0x{frame:08x} until now."
            self.renew()
            return

        def chosen(n: int | None) -> None:
            if n is not None:
                s.seek(n + 1)
                self.renew()

        heading = f"The life of frame 0x{frame:08x}"
        if len(life) > MOSTLIFE:
            heading += f", the last {MOSTLIFE:,} of {len(life):,} events"
            life = life[-MOSTLIFE:]
        self.push_screen(Life(heading, panels.story(life), [i for i, _ in life]), chosen)

    def action_ask(self) -> None:
        """Search."""

        def asked(words: str | None) -> None:
            if words:
                self._sought = words
                self.action_again()

        self.push_screen(Ask(), asked)

    def action_again(self) -> None:
        """Search on."""
        s = self.session
        if self._sought:
            s.search(self._sought, lambda n: f"{s.history.events[n].kind} {panels.what(s, n)}")
        else:
            s.message = "Nothing was searched for yet: / does."
        self.renew()

    def action_output(self) -> None:
        """What the program wrote until now."""
        text = self.session.source.output(self.session.at) or "Nothing yet."
        self.push_screen(Text("What the program wrote", "\n".join(map(panels.plainrow, text.splitlines())), end=True))

    def action_help(self) -> None:
        """The keys and the letters."""
        self.push_screen(Text("p9emu view", panels.helptext()))
