"""A trace of JSON lines as a source: it is read while it is looked at."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from emu.observe.report.read import Reader
from emu.program.symbols import Found
from emu.session.source import LIMIT, Item, Wanted
from kernel.base.event import FaultEvent

NOTHING: Final = Found("", b"")


class Recorded:
    """Implements source.Source. Raises OSError or ValueError if the file cannot be opened."""

    live = False

    def __init__(self, path: str, limit: int = LIMIT) -> None:
        self.items: deque[Item] = deque()
        self.still = False
        self.ended = False
        self.onstop: Callable[[], None] = lambda: None
        self.error: OSError | None = None
        self.count = 0  # events that were read
        self._limit = limit
        self._full = False
        self._closing = False
        self._first = threading.Event()  # there is an event, or there is none
        self._file = open(path, encoding="utf-8", errors="replace", newline="\n")  # noqa: SIM115 the thread closes it
        self._size = os.fstat(self._file.fileno()).st_size
        self._done = 0
        self._reader = Reader(self._file)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def first(self) -> bool:
        """Wait until there is an event; False if there is none in the file."""
        while not self._first.wait(0.1):
            pass
        return self.count > 0

    def go(self, wanted: Wanted | None = None, n: int = 1) -> None:
        """All are read as fast as that can be."""

    def pause(self) -> None:
        """Likewise."""

    def state(self) -> str:
        """How much of it is read."""
        if not self.ended or self.items:
            return f"reading, {100 * self._done // self._size}%" if self._size else "reading"
        return f"recorded, the first {self.count:,} events" if self._full else "recorded"

    def troubles(self) -> list[str]:
        """What was wrong with the trace."""
        said = self._reader.troubles() if self.ended else []
        if self.error is not None:
            said.append(f"The trace could not be read to its end: {self.error.strerror}.")
        if self._full:
            said.append(f"Only the first {self.count:,} events are shown: a view keeps no more.")
        return said

    def output(self, at: int) -> str:
        """A trace does not tell it."""
        return ""

    def close(self) -> None:
        """Read no further."""
        self._closing = True
        self._thread.join(3)

    def _read(self) -> None:
        reader = self._reader
        try:
            with self._file as f:
                for ev in reader:
                    found = reader.lookup(ev.pid, ev.pc) if isinstance(ev, FaultEvent) else NOTHING
                    self.items.append(Item(ev, found if found != NOTHING else None))
                    self.count += 1
                    if self.count % 1024 == 1:
                        self._first.set()
                        self._done = os.lseek(f.fileno(), 0, os.SEEK_CUR) if f.seekable() else 0
                    self._full = self.count >= self._limit
                    if self._closing or self._full:
                        break
                self._done = self._size
        except OSError as e:
            self.error = e
        except MemoryError:
            self.error = OSError(0, "the host has no memory left")
        self.still = self.ended = True
        self._first.set()
        self.onstop()
