"""The sink that a report is made by: it keeps every event, and writes the file at the end."""

from __future__ import annotations

from typing import Final

from emu.observe.folded import NAMELESS, functions
from emu.observe.report.columns import Columns, Place
from emu.observe.report.file import WholeFile
from emu.observe.report.html import page
from emu.observe.report.tally import Tally
from emu.observe.report.words import About, missing, summary, title
from emu.observe.text import Lookup, Stack
from emu.plain import plain
from emu.program.disasm import instruction
from kernel.base.event import Event, FaultEvent, ProcEvent

VERSION: Final = 1  # of what the scripts read

class Report:
    """Keeps events as columns. ``lookup`` tells a fault's symbol and code, ``stack`` who called whom.

    Where it tells nothing, as in a trace without stacks, the flame graph has programs, and in them the functions that
    faulted.
    """

    def __init__(self, lookup: Lookup | None = None, stack: Stack | None = None) -> None:
        self.columns = Columns()
        self.tally = Tally()
        self.lookup = lookup
        self.stack = stack
        self._names: dict[int, str] = {}  # of each pid its program
        self._early: dict[int, list[tuple[int, str]]] = {}  # faults before a process has a name: row, stack

    def __call__(self, ev: Event) -> None:
        self.tally(ev)
        if isinstance(ev, FaultEvent):
            place = self._place(ev)
            n = self.columns.add(ev, place)
            if ev.pid not in self._names:
                self._early.setdefault(ev.pid, []).append((n, place[2]))
            return
        if isinstance(ev, ProcEvent):
            pid = ev.child if ev.op == "fork" else ev.pid
            self._names[pid] = ev.name
            for n, stack in self._early.pop(pid, ()):
                self.columns.restack(n, "\n".join((plain(ev.name), *stack.split("\n")[1:])))
        self.columns.add(ev)

    @property
    def started(self) -> bool:
        """Whether there is anything to tell: a program was executed."""
        return self.tally.program is not None

    def write(self, file: WholeFile, about: About) -> None:
        """Write the report. Raises OutputError, and then leaves what was there."""
        head = {"version": VERSION, "command": about.command, "missing": missing(self.tally)}
        file.write(
            page(title(about, self.tally), plain(about.command), summary(about, self.tally), self.columns.encode(head))
        )

    def _place(self, ev: FaultEvent) -> Place:
        found = self.lookup(ev.pid, ev.pc) if self.lookup is not None else None
        symbol, code, line = found if found is not None else ("", b"", None)
        insn = instruction(code, ev.pc) if code and ev.mode != "kernel" else ""
        calls = functions(self.stack(ev.pid)) if self.stack is not None else []
        if not calls:
            pc = f"{_short(line.file)}:{line.line}" if line is not None else f"0x{ev.pc:x}" if ev.pc else ""
            where = symbol.partition("+")[0] or pc
            calls = [where] if where else []
        frames = (self._names.get(ev.pid, NAMELESS), *calls)
        if ev.mode == "kernel":
            frames = (*frames, f"kernel {ev.fn}")
        told = f"{symbol} {_short(line.file)}:{line.line}" if line is not None else symbol
        return plain(told.strip()), insn, "\n".join(plain(f) for f in frames)


def _short(path: str) -> str:
    """A source file's name with its directory's: where it lay when it was compiled is nobody's business."""
    return "/".join(path.split("/")[-2:])
