"""Lines for a terminal: each event is one line, however narrow the terminal is.

    TIME [PID] CLASS       ADDRESS    ... symbol: instruction

What tells most comes first: the class of a fault, or the kind of another event. Between a fault's address and where it
came from are the columns that there is room for, in the order of COLUMNS: lines of equal events are aligned. What is
left out, ``--wide`` shows, and each file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

from rich.cells import cell_len

from emu.observe.output import Output
from emu.observe.text import CLSCOLOR, CYAN, DIM, RED, RESET, Lookup, Stack, TextWriter, other, result
from emu.plain import plain
from emu.program.lines import Place
from kernel.base.event import Event, FaultEvent, SyscallEvent

USUAL: Final = 80  # columns of a terminal that does not tell
NARROW: Final = 60  # below there is no room for the time
KIND: Final = 10  # columns for class or kind
PLACE: Final = 44  # for symbol and instruction, before another column is shown
COLUMNS: Final[Sequence[tuple[int, Callable[[FaultEvent], str]]]] = (
    (6, lambda ev: ev.segment or "-"),
    (5, lambda ev: ev.access),
    (16, lambda ev: f"frame 0x{ev.frame:08x}" if ev.frame else "frame -"),
    (16, lambda ev: f"kernel {ev.fn}" if ev.mode == "kernel" else ev.mode),
    (13, lambda ev: f"pc 0x{ev.pc:08x}"),
)
"""Width, and what stands there."""
WHO: Final = 4  # so many columns, and "kernel" is among them
PC: Final = 5


def terminal(fd: int = 2) -> Callable[[], int]:
    """What tells the columns of the terminal on fd, now: $COLUMNS, or what the terminal says.

    That is asked each time, a thousandth of what a line costs otherwise: no signal of a new size is needed.
    """
    told = os.environ.get("COLUMNS", "")
    if told.isascii() and told.isdigit() and len(told) < 6 and int(told):
        return lambda: int(told)

    def ask() -> int:
        try:
            return os.get_terminal_size(fd).columns or USUAL
        except OSError:
            return USUAL

    return ask


def cells(text: str) -> int:
    """Columns that printable text takes: a wide character two, a combining one none."""
    return len(text) if text.isascii() else cell_len(text)


def cut(text: str, room: int, mark: str = "…") -> str:
    """text if it fits into so many columns, else as much as does, and a mark."""
    if cells(text) <= room:
        return text
    if room <= 0:
        return ""
    if text.isascii():
        return text[: room - 1] + mark
    end = used = 0
    while used <= room - 1:  # ends within: text is too long
        used += cell_len(text[end])
        end += 1
    return text[: end - 1] + mark


class FittedWriter(TextWriter):
    """A sink that writes each event as one line of a terminal, ``width`` columns at the most."""

    def __init__(
        self,
        out: Output,
        cpus: int = 1,
        color: bool = False,
        lookup: Lookup | None = None,
        stack: Stack | None = None,
        relative: bool = False,
        times: Sequence[str] = (),
        width: Callable[[], int] = lambda: USUAL,
        encoding: str | None = None,
    ) -> None:
        """``encoding`` is the terminal's, that of standard error if it is not told."""
        super().__init__(out, cpus, color, lookup, stack, relative, times)
        self.width = width
        self.encoding = encoding or getattr(sys.stderr, "encoding", None) or "utf-8"
        try:
            "…".encode(self.encoding)
            self.mark = "…"
        except UnicodeEncodeError:
            self.mark = ">"
        self._time = 11  # columns of time and pid so far: they never get fewer
        self._pid = 4

    def fitted(self, text: str) -> str:
        """As much of a line as there is room for."""
        return cut(self._shown(text), self.width(), self.mark)

    def source(self, place: Place) -> str:
        """A source line; of the file's path its name alone."""
        return super().source(place._replace(file=place.file.rpartition("/")[2]))

    def line(self, ev: Event) -> str:
        """The event's line, newline included."""
        row = _Row(self.width(), self.color, self.mark)
        when = self.when(ev)
        who = f"[{ev.pid}]"
        self._time = max(self._time, len(when))
        self._pid = max(self._pid, len(who))
        if row.room >= NARROW:
            row.add(f"{when:>{self._time}} ", DIM)
        row.add(f"{who:<{self._pid}} ")
        if self.cpus > 1:
            row.add(f"cpu{ev.cpu} ")
        spent = self.spent(ev)
        if isinstance(ev, FaultEvent):
            self._fault(row, ev, spent)
        else:
            row.add(f"{ev.kind:<{KIND}} ", CYAN)
            kept = row.keep(len(spent))
            if isinstance(ev, SyscallEvent):
                self._syscall(row, ev)
            else:
                row.add(self._shown(plain(other(ev))))
            row.room += kept
            row.add(spent)
        return row.text().rstrip() + "\n"

    def _fault(self, row: _Row, ev: FaultEvent, spent: str) -> None:
        cls = f"{ev.cls}+{ev.load}" if ev.load else ev.cls
        row.add(f"{cls:<{KIND}} ", CLSCOLOR.get(ev.cls, ""))
        row.add(f"0x{ev.addr:08x} ")
        # how many columns fit is the same for all faults: a long class takes from the place alone
        left = row.room - len(spent) - PLACE + max(len(cls) - KIND, 0)
        shown = 0
        for width, column in COLUMNS:
            left -= width + 1
            if left < 0:
                break
            shown += 1
            row.add(f"{column(ev):<{width}} ")
        kept = row.keep(len(spent))
        where = self._shown(self._where(ev, shown))
        row.add(where if cells(where) <= row.room else _dense(where))
        row.room += kept
        row.add(spent)

    def _where(self, ev: FaultEvent, shown: int) -> str:
        """Where a fault came from, with so many columns told already."""
        place = self.place(ev).lstrip()
        if shown < PC and (not place or place.startswith(":")) and ev.pc:
            place = f"0x{ev.pc:08x}{place}"
        if shown < WHO and ev.mode == "kernel":
            return f"kernel {ev.fn} {place}".rstrip()
        return place.removeprefix(": ")

    def _syscall(self, row: _Row, ev: SyscallEvent) -> None:
        """A call; of one that is too long the arguments are cut, what came of it is not."""
        call = self._shown(plain(f"{ev.name}({ev.args}"))
        end = f") = {result(ev)}"
        if ev.error:
            end += f' "{self._shown(plain(ev.error))}"'
        room = row.room - cells(end)
        if room > len(ev.name):
            call = cut(call, room, self.mark)
        row.add(call)
        row.add(end, RED if ev.error else "")

    def _shown(self, text: str) -> str:
        """Printable text as the terminal gets it, which may not have all characters."""
        if text.isascii():
            return text
        return text.encode(self.encoding, "backslashreplace").decode(self.encoding)


def _dense(where: str) -> str:
    """An instruction with fewer characters, and all there is to know of it: as nasm has it."""
    return where.replace(" ptr [", " [").replace(" + ", "+").replace(" - ", "-")


class _Row:
    """A line that is made from left to right, and knows how much room is left."""

    def __init__(self, room: int, color: bool, mark: str) -> None:
        self.room = room
        self.color = color
        self.mark = mark
        self.parts: list[str] = []

    def add(self, text: str, color: str = "") -> None:
        """Put as much of text behind as there is room for; behind what was cut there is none."""
        left = self.room - cells(text)
        if left < 0:
            text = cut(text.rstrip(), self.room, self.mark)
        self.room = max(left, 0)
        if not text:
            return
        self.parts.append(f"{color}{text}{RESET}" if color and self.color else text)

    def keep(self, n: int) -> int:
        """Take so much of the room away, or what there is of it; how much that is."""
        kept = min(n, self.room)
        self.room -= kept
        return kept

    def text(self) -> str:
        """The line."""
        return "".join(self.parts)
