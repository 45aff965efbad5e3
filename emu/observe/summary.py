"""Counts over a run: faults by class and segment, system calls, events by kind; and the time that they took."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Final

from emu.observe.jsonl import VERSION, dumps
from emu.observe.output import Output
from emu.plain import plain
from kernel.base.event import Event, FaultEvent, SyscallEvent, took

if TYPE_CHECKING:
    from rich.table import Table


COLUMNS: Final[Mapping[str, Sequence[str]]] = {
    "name": ("name",),
    "count": ("total", "calls", "count"),
    "errors": ("errors",),
    "time": ("time",),
    "host": ("host time",),
    **{s: (s,) for s in ("text", "data", "bss", "stack", "estack", "shared", "physical", "none")},
}
"""What tables can be sorted by, and which columns that is."""
ALIASES: Final[Mapping[str, str]] = {"calls": "count", "total": "count", "%": "count"}


@dataclass
class Grid:
    """A table: names in the first column, counts in the others."""

    header: list[str]
    rows: list[list[str]]
    total: list[str] = field(default_factory=list)

    def narrow(self, width: int) -> None:
        """Leave shares out, the last first, until the table is as narrow as that, if it can be."""
        while self.width() > width and "%" in self.header:
            n = len(self.header) - 1 - self.header[::-1].index("%")
            for row in (self.header, *self.rows, *([self.total] if self.total else [])):
                del row[n]

    def width(self) -> int:
        """Columns that it takes, as it is drawn."""
        rows = [self.header, *self.rows, *([self.total] if self.total else [])]
        return sum(max(map(len, column)) for column in zip(*rows, strict=True)) + 3 * (len(self.header) - 1)


class Summary:
    """A sink that counts; finish writes the counts as tables, or as one line of JSON."""

    def __init__(
        self,
        out: Output,
        json: bool = False,
        color: bool = False,
        sort: str = "",
        times: Sequence[str] = (),
        width: Callable[[], int] | None = None,
    ) -> None:
        """``sort`` is one of COLUMNS or ALIASES, "" for the usual order. The host's time is told if it is in ``times``;
        virtual time is always in the tables, if it is known, and in JSON if ``times`` are asked for. ``width`` tells
        the columns of a terminal: tables that are wider go without shares."""
        self.out = out
        self.width = width
        self.sort = ALIASES.get(sort, sort)
        self.times = times
        self.json = json
        self.color = color
        self.events: Counter[str] = Counter()
        self.faults: Counter[tuple[str, str]] = Counter()  # segment, class
        self.calls: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.timed = False  # when faults and calls began is known
        self.took: Counter[tuple[str, str]] = Counter()  # kind and class or name: virtual ns
        self.host: Counter[tuple[str, str]] = Counter()

    def __call__(self, ev: Event) -> None:
        self.events[ev.kind] += 1
        if isinstance(ev, FaultEvent):
            self.faults[ev.segment, ev.cls] += 1
            self._time(ev, "fault", ev.cls)
        elif isinstance(ev, SyscallEvent):
            self.calls[ev.name] += 1
            self._time(ev, "syscall", ev.name)
            if ev.error:
                self.errors[ev.name] += 1

    def _time(self, ev: FaultEvent | SyscallEvent, kind: str, name: str) -> None:
        self.timed |= ev.began >= 0
        self.took[kind, name] += took(ev)
        self.host[kind, name] += ev.host

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
        obj: dict[str, object] = {
            "v": VERSION,
            "faults": self.byclass(),
            "by_segment": self.bysegment(),
            "syscalls": dict(sorted(self.calls.items())),
            "events": dict(sorted(self.events.items())),
        }
        for key, asked, ns in (("took", "began", self.took), ("host", "host", self.host)):
            if asked in self.times:
                obj[key] = {
                    kind: {name: ns[kind, name] for k, name in sorted(ns) if k == kind} for kind in ("fault", "syscall")
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
            if self.width is not None:
                grid.narrow(self.width())
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
            columns = {seg or "none": row for seg, row in byseg.items()}
            grids.append(self._grid("faults", bycls, {**columns, "total": bycls}, "total", self._times("fault")))
        if self.calls:
            calls = dict(sorted(self.calls.items(), key=lambda item: (-item[1], item[0])))
            grids.append(
                self._grid("syscall", calls, {"calls": calls, "errors": self.errors}, "calls", self._times("syscall"))
            )
        if self.events:
            events = dict(sorted(self.events.items(), key=lambda item: (-item[1], item[0])))
            grid = self._grid("event", events, {"count": events}, "count", {})
            if len(events) == 1:
                grid.total = []
            grids.append(grid)
        return grids

    def _times(self, kind: str) -> dict[str, dict[str, int]]:
        """The columns of times that are known, by name of a class or a call, in ns."""
        columns = {"time": self.took} if self.timed else {}
        if "host" in self.times:
            columns["host time"] = self.host
        return {title: {name: ns for (k, name), ns in c.items() if k == kind} for title, c in columns.items()}

    def _grid(
        self,
        title: str,
        names: Mapping[str, int],
        counts: Mapping[str, Mapping[str, int]],
        share: str,
        times: Mapping[str, Mapping[str, int]],
    ) -> Grid:
        """A table with a row for each name and a column for each of counts, shares of one of them, and times."""
        numbers = {**counts, **times}
        order = list(names)
        key = next((c for c in COLUMNS.get(self.sort, ()) if c in numbers), None)
        if self.sort == "name":
            order.sort()
        elif key is not None:
            order.sort(key=lambda name: (-numbers[key].get(name, 0), name))
        grid = Grid([title], [[name] for name in order], ["total"])
        for column, values in counts.items():
            _column(grid, column, order, values, lambda n: str(n or "-"))
            if column == share:
                _column(grid, "%", order, values, _share(sum(values.values())))
        for column, values in times.items():
            _column(grid, column, order, values, lambda n: f"{n / 1e9:.9f}")
            _column(grid, "%", order, values, _share(sum(values.values())))
        return grid


def _column(
    grid: Grid, title: str, order: Sequence[str], values: Mapping[str, int], shown: Callable[[int], str]
) -> None:
    grid.header.append(title)
    for row, name in zip(grid.rows, order, strict=True):
        row.append(shown(values.get(name, 0)))
    grid.total.append(shown(sum(values.values())))


def _share(total: int) -> Callable[[int], str]:
    return lambda n: f"{100 * n / total:.1f}" if total else "-"


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
