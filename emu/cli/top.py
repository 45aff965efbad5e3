"""p9emu top: a run, and what goes on in it, on the terminal or in tables."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final, Protocol

from emu.cli.ends import needstderr
from emu.cli.run import conclude, execute, unwritten, use_color
from emu.cli.settings import Options
from emu.failure import BROKEN
from emu.observe.output import OutputError, StderrOutput
from emu.observe.top import Top, render, text
from emu.plain import plain

if TYPE_CHECKING:
    from rich.live import Live

    from emu.machine.console import Console
    from emu.machine.machine import Machine
    from kernel.base.event import Event

REFRESH: Final = 0.25  # s of the host's time between two pictures on a terminal
ABOVE: Final = 7  # lines of a picture that are no processes, and one of the guest's
MAXLINE: Final = 1 << 12  # bytes that a guest may write before its line is shown


class Display(Protocol):
    """Where pictures go."""

    def due(self, ns: int) -> bool:
        """Whether it is time for a picture."""

    def show(self, top: Top, ns: int | None, last: bool = False) -> None:
        """Show how things stand. Raises OutputError."""


class Tables:
    """Tables on standard error, each ``interval`` ns of virtual time, and one at the end."""

    def __init__(self, program: str, sort: str, interval: int) -> None:
        self.program = program
        self.sort = sort
        self.interval = interval
        self.next = interval
        self._out = StderrOutput()

    def due(self, ns: int) -> bool:
        """Whether an interval is over."""
        return self.interval > 0 and ns >= self.next

    def show(self, top: Top, ns: int | None, last: bool = False) -> None:
        """Write a table; the last one tells of the whole run."""
        p = top.look(ns, self.sort, whole=last)
        if self.interval:
            self.next = (p.ns // self.interval + 1) * self.interval
        self._out.write(text(p, self.program) + ("" if last else "\n"))


class Screen:
    """A picture on the terminal, which is drawn anew as the host's time goes by."""

    def __init__(self, program: str, sort: str, live: Live) -> None:
        self.program = program
        self.sort = sort
        self.live = live
        self.next = 0.0

    def due(self, ns: int) -> bool:
        """Whether the last picture is old."""
        return time.monotonic() >= self.next

    def show(self, top: Top, ns: int | None, last: bool = False) -> None:
        """Draw the picture; the last one tells of the whole run."""
        from rich.console import Group

        p = top.look(ns, self.sort, whole=last)
        rows = self.live.console.size.height - ABOVE
        below = () if last else ("",)  # where a terminal shows ^C
        with _told():
            self.live.update(Group(render(p, self.program, rows), *below), refresh=True)
        self.next = time.monotonic() + REFRESH


class Above:
    """The guest's streams: of what would go to the terminal of the picture each line is shown above it."""

    def __init__(self, inner: Console, live: Live, streams: frozenset[int]) -> None:
        self.inner = inner
        self.live = live
        self.parts = dict.fromkeys(streams, b"")

    def read(self, n: int) -> bytes:
        """As the console within."""
        return self.inner.read(n)

    def write(self, fd: int, data: bytes) -> None:
        """Show whole lines, or pass it on."""
        if fd not in self.parts:
            self.inner.write(fd, data)
            return
        *lines, rest = (self.parts[fd] + data).split(b"\n")
        if len(rest) > MAXLINE:
            lines, rest = [*lines, rest], b""
        self.parts[fd] = rest
        self._print(lines)

    def raw(self, on: bool) -> None:
        """As the console within."""
        self.inner.raw(on)

    def finish(self) -> None:
        """Show what is left."""
        for fd, rest in self.parts.items():
            self.parts[fd] = b""
            if rest:
                self._print([rest])

    def _print(self, lines: Sequence[bytes]) -> None:
        if lines:
            shown = "\n".join(plain(line.decode("utf-8", "replace").expandtabs()) for line in lines)
            with _told():
                self.live.console.print(shown, markup=False, highlight=False, soft_wrap=True)


class Watch:
    """The sink, and what looks at the clock while there are no events."""

    def __init__(self, display: Display) -> None:
        self.top = Top()
        self.display = display
        self.error: OutputError | None = None
        self.machine: Machine | None = None

    def __call__(self, ev: Event) -> None:
        """Count an event, and show how things stand if it is time."""
        self.top(ev)
        if self.display.due(ev.ns):
            self._show(ev.ns)

    def turn(self) -> None:
        """The machine's loop has come round."""
        if self.machine is not None:
            ns = max(cpu.now() for cpu in self.machine.cpus)
            if self.display.due(ns):
                self._show(ns)

    def _show(self, ns: int) -> None:
        if self.error is None:
            try:
                self.display.show(self.top, ns)
            except OutputError as e:
                self.error = e
                raise


def top(options: Options, program: str, args: Sequence[str], sort: str, interval: int) -> int:
    """Run program and show what goes on; the status to exit with. Raises Failure."""
    needstderr()
    words = " ".join([program, *args])
    try:
        with ExitStack() as stack:
            live = _live(options) if not interval else None
            above: list[Above] = []
            watch = Watch(Screen(words, sort, live) if live is not None else Tables(words, sort, interval))

            def prepare(machine: Machine) -> None:
                watch.machine = machine
                machine.onturn = watch.turn
                if live is not None:
                    console = Above(machine.console, live, _same(1) | {2})
                    machine.kernel.console = console
                    above.append(console)
                    stack.enter_context(_shown(live))

            def last() -> None:
                for console in above:
                    console.finish()
                if watch.error is None and watch.top.events:
                    watch.display.show(watch.top, None, last=True)

            try:
                outcome = execute(options, program, args, watch, None, prepare=prepare)
            except BaseException:
                with suppress(OutputError):  # the first failure is the one to tell
                    last()
                raise
            last()
    except OutputError as e:
        raise unwritten(e) from None
    return conclude(options, outcome)


def _live(options: Options) -> Live | None:
    """What draws on a terminal, if standard error is one that can be drawn on."""
    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        return None
    from rich.console import Console
    from rich.live import Live

    color = use_color(options.color, sys.stderr)
    console = Console(stderr=True, no_color=not color, highlight=False, markup=False, legacy_windows=False)
    return Live(console=console, auto_refresh=False, redirect_stdout=False, vertical_overflow="crop")


def _same(fd: int) -> frozenset[int]:
    """fd, if it is the terminal that standard error is."""
    try:
        mine, its = os.fstat(2), os.fstat(fd)
    except OSError:
        return frozenset()
    return frozenset({fd}) if (mine.st_dev, mine.st_ino) == (its.st_dev, its.st_ino) else frozenset()


@contextmanager
def _shown(live: Live) -> Iterator[None]:
    """The picture stands on the terminal; if that fails in the end, an earlier failure is the one to tell."""
    with _told():
        live.start()
    try:
        yield
    except BaseException:
        with suppress(OSError):
            live.stop()
        raise
    with _told():
        live.stop()


@contextmanager
def _told() -> Iterator[None]:
    """Turn a terminal's failure into ours. One that is gone is a hangup, as the signal that may come later says."""
    try:
        yield
    except OSError as e:
        status = 128 + signal.SIGHUP if e.errno == errno.EIO else BROKEN
        raise OutputError(f"cannot write to the terminal: {e.strerror}", status=status) from None
