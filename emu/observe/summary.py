"""Counts over a run: faults by class and segment, system calls, events by kind."""

from collections import Counter
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from emu.observe.jsonl import VERSION, dumps
from emu.observe.output import Output
from emu.plain import plain
from kernel.base.event import Event, FaultEvent, SyscallEvent

if TYPE_CHECKING:
    from rich.table import Table


@dataclass
class Grid:
    """A table: names in the first column, counts in the others."""

    header: list[str]
    rows: list[list[str]]
    total: list[str] = field(default_factory=list)


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
        grids = self.grids()
        if not grids:
            return "no events\n"
        for i, grid in enumerate(grids):
            if i:
                console.print()
            console.print(_table(grid))
        return "".join(line.rstrip() + "\n" for line in text.getvalue().splitlines())

    def html(self) -> str:
        """The counts as tables for a notebook."""
        return "".join(_html(grid) for grid in self.grids()) or "<p>no events</p>"

    def grids(self) -> list[Grid]:
        """The tables of which there is something to tell."""
        grids = []
        if self.faults:
            byseg, bycls = self.bysegment(), self.byclass()
            rows = [[c, *(str(byseg[s].get(c, 0) or "-") for s in byseg), str(n)] for c, n in bycls.items()]
            total = ["total", *(str(sum(row.values())) for row in byseg.values()), str(sum(bycls.values()))]
            grids.append(Grid(["faults", *(seg or "none" for seg in byseg), "total"], rows, total))
        if self.calls:
            rows = [[name, str(n), str(self.errors[name] or "-")] for name, n in _ranked(self.calls)]
            total = ["total", str(self.calls.total()), str(self.errors.total() or "-")]
            grids.append(Grid(["syscall", "calls", "errors"], rows, total))
        if self.events:
            grids.append(Grid(["event", "count"], [[kind, str(n)] for kind, n in _ranked(self.events)]))
        return grids


def _ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    """The largest first, those alike by name."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _table(grid: Grid) -> "Table":
    """A table of names and counts, drawn with ASCII rules alone."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.ASCII2, show_edge=False, header_style="bold", pad_edge=False)
    table.add_column(grid.header[0])
    for name in grid.header[1:]:
        table.add_column(name, justify="right")
    for row in grid.rows:
        table.add_row(*map(plain, row))
    if grid.total:
        table.add_section()
        table.add_row(*grid.total)
    return table


def _html(grid: Grid) -> str:
    def row(cells: list[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(plain(cell))}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(row(cells, "td") for cells in grid.rows)
    foot = f"<tfoot>{row(grid.total, 'td')}</tfoot>" if grid.total else ""
    return f"<table><thead>{row(grid.header, 'th')}</thead><tbody>{body}</tbody>{foot}</table>"
