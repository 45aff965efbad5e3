"""Counts over a run: faults by class and segment, system calls, events by kind."""

from collections import Counter
from typing import TYPE_CHECKING

from emu.observe.jsonl import VERSION, dumps
from emu.observe.output import Output
from emu.plain import plain
from kernel.base.event import Event, FaultEvent, SyscallEvent

if TYPE_CHECKING:
    from rich.table import Table


class Summary:
    """A sink that counts; finish writes the counts as tables, or as one line of JSON."""

    def __init__(self, out: Output, json: bool = False, color: bool = False) -> None:
        self.out = out
        self.json = json
        self.color = color
        self.events: Counter[str] = Counter()
        self.faults: Counter[tuple[str, str]] = Counter()  # segment, class
        self.calls: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()

    def __call__(self, ev: Event) -> None:
        self.events[ev.kind] += 1
        if isinstance(ev, FaultEvent):
            self.faults[ev.segment, ev.cls] += 1
        elif isinstance(ev, SyscallEvent):
            self.calls[ev.name] += 1
            if ev.error:
                self.errors[ev.name] += 1

    def finish(self) -> None:
        """Write the summary, once, after the last event."""
        self.out.write(self.jsonline() if self.json else self.tables())

    def byclass(self) -> dict[str, int]:
        """Faults by class, in alphabetical order."""
        total: Counter[str] = Counter()
        for (_, cls), n in self.faults.items():
            total[cls] += n
        return dict(sorted(total.items()))

    def bysegment(self) -> dict[str, dict[str, int]]:
        """Faults by segment type ("" is none) and class, in alphabetical order."""
        table: dict[str, dict[str, int]] = {}
        for (segment, cls), n in sorted(self.faults.items()):
            table.setdefault(segment, {})[cls] = n
        return table

    def jsonline(self) -> str:
        """The counts as one JSON object, schema version 1, keys of the tables in alphabetical order."""
        obj = {
            "v": VERSION,
            "faults": self.byclass(),
            "by_segment": self.bysegment(),
            "syscalls": dict(sorted(self.calls.items())),
            "events": dict(sorted(self.events.items())),
        }
        return dumps(obj) + "\n"

    def tables(self) -> str:
        """The counts as tables for a person."""
        import io

        from rich.console import Console

        text = io.StringIO()
        console = Console(
            file=text,
            width=160,
            force_terminal=self.color,
            color_system="standard" if self.color else None,
            no_color=not self.color,
            highlight=False,
            markup=False,
            legacy_windows=False,
        )
        tables = [t for t in (self._faulttable(), self._calltable(), self._eventtable()) if t is not None]
        if not tables:
            return "no events\n"
        for i, table in enumerate(tables):
            if i:
                console.print()
            console.print(table)
        return "".join(line.rstrip() + "\n" for line in text.getvalue().splitlines())

    def _faulttable(self) -> "Table | None":
        if not self.faults:
            return None
        byseg, bycls = self.bysegment(), self.byclass()
        table = _table("faults", *(seg or "none" for seg in byseg), "total")
        for cls, total in bycls.items():
            cells = [byseg[seg].get(cls, 0) for seg in byseg]
            table.add_row(plain(cls), *(str(n) if n else "-" for n in cells), str(total))
        table.add_section()
        table.add_row("total", *(str(sum(row.values())) for row in byseg.values()), str(sum(bycls.values())))
        return table

    def _calltable(self) -> "Table | None":
        if not self.calls:
            return None
        table = _table("syscall", "calls", "errors")
        for name, n in sorted(self.calls.items(), key=lambda item: (-item[1], item[0])):
            table.add_row(plain(name), str(n), str(self.errors[name] or "-"))
        table.add_section()
        table.add_row("total", str(self.calls.total()), str(self.errors.total() or "-"))
        return table

    def _eventtable(self) -> "Table | None":
        if not self.events:
            return None
        table = _table("event", "count")
        for kind, n in sorted(self.events.items(), key=lambda item: (-item[1], item[0])):
            table.add_row(plain(kind), str(n))
        return table


def _table(first: str, *rest: str) -> "Table":
    """A table of names and counts, drawn with ASCII rules alone."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.ASCII2, show_edge=False, header_style="bold", pad_edge=False)
    table.add_column(first)
    for name in rest:
        table.add_column(name, justify="right")
    return table
