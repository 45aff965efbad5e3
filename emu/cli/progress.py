"""One line on the terminal that says that a long run goes on, where nothing else is said there."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from emu.machine.console import HostConsole
    from emu.machine.machine import Machine
    from kernel.base.event import Event

DELAY: Final = 2.0  # s; a run that is shorter needs no such line
EVERY: Final = 0.25
ERASE: Final = "\r\x1b[K"


class Progress:
    """A context in which the line is on the terminal of descriptor ``fd``, after DELAY seconds; nothing stays of it.

    Without a terminal, or with one that cannot erase, it does nothing.
    """

    def __init__(self, fd: int = 2, shown: bool = True) -> None:
        self.fd = fd
        self.on = shown and os.isatty(fd) and os.environ.get("TERM", "dumb") != "dumb"
        self.events = 0
        self.ns = 0
        self.doing = ""  # what is done instead of running
        self.console: HostConsole | None = None
        self._drawn = False
        self._column0 = True  # the cursor is where a line begins
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def watching(self, sink: Callable[[Event], None]) -> Callable[[Event], None]:
        """The sink, with its events counted; itself if there is nothing to show."""
        if not self.on:
            return sink

        def counted(ev: Event) -> None:
            self.events += 1
            self.ns = ev.ns
            sink(ev)

        return counted

    def prepare(self, machine: Machine) -> None:
        """Make way for what the guest and the machine write, and for what is typed."""
        if not self.on:
            return
        from emu.machine.console import HostConsole

        tell = machine.warn

        def warn(text: str) -> None:
            self.erase()
            tell(text)

        machine.warn = warn
        if isinstance(machine.console, HostConsole):
            self.console = machine.console
            self.console.before = self._before

    def __enter__(self) -> Progress:
        if self.on:
            self._since = time.monotonic()
            self._over.clear()
            self._thread = threading.Thread(target=self._draw, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._thread is None:
            return
        self._over.set()
        self._thread.join()
        self._thread = None
        self.erase()

    def erase(self) -> None:
        """Take the line away; it comes back by itself."""
        with self._lock:
            if self._drawn:
                self._drawn = False
                self._write(ERASE)

    def line(self) -> str:
        """What is said."""
        told = f"p9emu: {time.monotonic() - self._since:.0f} s"
        if self.doing:
            return f"{told}, {self.doing}"
        return f"{told}, virtual time {self.ns / 1e9:.6f} s, {self.events:,} events"

    def _draw(self) -> None:
        wait = DELAY
        while not self._over.wait(wait):
            wait = EVERY
            with self._lock:
                if not self._column0 or (self.console is not None and self.console.waiting):
                    if self._drawn:
                        self._drawn = False
                        self._write(ERASE)
                    continue
                try:
                    columns = os.get_terminal_size(self.fd).columns or 80
                except OSError:
                    return
                self._drawn = True
                self._write(f"\r{self.line()[: columns - 1]}\x1b[K")

    def _before(self, fd: int, data: bytes) -> None:
        """The guest is about to write; that may be on the same terminal."""
        if os.isatty(fd):
            self.erase()
            self._column0 = data.endswith((b"\n", b"\r"))

    def _write(self, text: str) -> None:
        with suppress(OSError):
            os.write(self.fd, text.encode())
