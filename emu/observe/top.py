"""What goes on, in figures: processes with their pages, faults and calls, and the machine's memory. For p9emu top."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from emu.observe.model import look
from emu.observe.model.model import Model
from emu.observe.model.records import NOIMAGE, ONSWAP
from emu.plain import plain
from kernel.base.event import Event, FaultEvent, PageEvent, ProcEvent, SyscallEvent

if TYPE_CHECKING:
    from rich.console import RenderableType

SECOND: Final = 1_000_000_000
SAMPLE: Final = 1024  # events between two looks at how much of swap is in use
WIDTH: Final = 80

GROUPS: Final = {
    "zero-fill": "new", "cow-copy": "copy", "text-load": "load", "data-load": "load", "swap-in": "in",
    "remap": "map", "cache-hit": "map", "cow-reuse": "map", "protection": "bad", "unmapped": "bad",
}  # fmt: skip
COLUMNS: Final = ("new", "copy", "load", "in", "map", "bad")
SORTS: Final = ("faults", "rate", "pid", "name", "state", "res", "swap", "calls", *COLUMNS)


@dataclass
class Figures:
    """What a process has done."""

    faults: Counter[str] = field(default_factory=Counter)  # by class
    calls: int = 0

    def group(self, name: str) -> int:
        """Faults of the classes of a column."""
        return sum(n for cls, n in self.faults.items() if GROUPS.get(cls) == name)


@dataclass
class Row:
    """A process at a moment. ``rate`` is faults in a second of virtual time, lately."""

    pid: int
    name: str
    state: str
    res: int
    swap: int
    calls: int
    faults: int
    rate: float
    groups: dict[str, int]

    def key(self, sort: str) -> object:
        """What it is sorted by: figures the largest first, words and pids upwards."""
        if sort in ("pid", "name", "state"):
            return getattr(self, sort)
        value = self.groups[sort] if sort in COLUMNS else getattr(self, sort)
        return -value


@dataclass
class Picture:
    """The machine at a moment, and the most and least until then. ``rates`` are faults in a virtual second, lately."""

    ns: int
    cpus: int
    pages: int
    free: int
    leastfree: int
    cached: int
    mostcached: int
    swapused: int
    mostswap: int
    faults: Counter[str]
    rates: dict[str, float]
    calls: int
    rows: list[Row]


class Top:
    """A sink that counts. It must get every event: the state of the machine is folded from them."""

    def __init__(self) -> None:
        self.model = Model()
        self.ns = 0
        self.figures: dict[int, Figures] = {}
        self.events = 0
        self._cached: set[int] = set()
        self._leastfree: int | None = None
        self._mostcached = 0
        self._mostswap = 0
        self._since = 0  # when rates were looked at last
        self._then: dict[int, Counter[str]] = {}  # faults of each process then
        self._rates: dict[int, Counter[str]] = {}  # and from then on until the last look
        self._span = 0

    def __call__(self, ev: Event) -> None:
        m = self.model
        m.apply(ev)
        self.events += 1
        if ev.ns > self.ns:
            self.ns = ev.ns
        if isinstance(ev, FaultEvent):
            self._of(ev.pid).faults[ev.cls] += 1
        elif isinstance(ev, SyscallEvent):
            self._of(ev.pid).calls += 1
        elif isinstance(ev, PageEvent):
            self._page(ev)
        elif isinstance(ev, ProcEvent) and ev.op == "fork":
            self._of(ev.child)
        if self.events % SAMPLE == 0:
            self._swapused()

    def _of(self, pid: int) -> Figures:
        f = self.figures.get(pid)
        if f is None:
            f = self.figures[pid] = Figures()
        return f

    def _page(self, ev: PageEvent) -> None:
        f = self.model.frames.now.get(ev.frame)
        if f is not None and f.image != NOIMAGE:
            self._cached.add(ev.frame)
            self._mostcached = max(self._mostcached, len(self._cached))
        else:
            self._cached.discard(ev.frame)
        free = look.free(self.model)
        if self._leastfree is None or free < self._leastfree:
            self._leastfree = free

    def _swapused(self) -> int:
        used = len(look.slotrefs(self.model))
        self._mostswap = max(self._mostswap, used)
        return used

    def look(self, ns: int | None = None, sort: str = "faults", whole: bool = False) -> Picture:
        """How things stand at ns; rates are since the last look, or over the ``whole`` run."""
        self.ns = max(self.ns, ns or 0)
        self._rate(whole)
        m = self.model
        machine = m.machine.now.get(0)
        swapused, free = self._swapused(), look.free(m)
        rows = [self._row(pid) for pid in sorted(m.processes.now.keys() | self.figures.keys()) if pid]
        rows.sort(key=lambda r: (r.state == "Dead", r.key(sort), r.pid))
        faults: Counter[str] = Counter()
        for f in self.figures.values():
            faults.update(f.faults)
        lately: Counter[str] = Counter()
        for rates in self._rates.values():
            lately.update(rates)
        return Picture(
            ns=self.ns,
            cpus=machine.cpus if machine is not None else 1,
            pages=machine.pages if machine is not None else 0,
            free=free,
            leastfree=free if self._leastfree is None else self._leastfree,
            cached=len(self._cached),
            mostcached=self._mostcached,
            swapused=swapused,
            mostswap=self._mostswap,
            faults=faults,
            rates={cls: n * SECOND / max(self._span, 1) for cls, n in sorted(lately.items())},
            calls=sum(f.calls for f in self.figures.values()),
            rows=rows,
        )

    def _rate(self, whole: bool) -> None:
        if whole:
            self._since, self._then = 0, {}
        if self.ns > self._since:
            self._span = self.ns - self._since
            self._rates = {pid: f.faults - self._then.get(pid, Counter()) for pid, f in self.figures.items()}
            self._then = {pid: Counter(f.faults) for pid, f in self.figures.items()}
            self._since = self.ns

    def _row(self, pid: int) -> Row:
        m, f = self.model, self._of(pid)
        p = m.processes.now.get(pid)
        ids = set(m.places.row(pid).values())
        swapped = sum(bool(e & ONSWAP) for id in ids for e in m.entries.row(id).values())
        return Row(
            pid=pid,
            name=p.name if p is not None else "?",
            state=p.state if p is not None else "?",
            res=look.resident(m, pid),
            swap=swapped,
            calls=f.calls,
            faults=f.faults.total(),
            rate=self._rates.get(pid, Counter()).total() * SECOND / max(self._span, 1),
            groups={name: f.group(name) for name in COLUMNS},
        )


def short(n: float) -> str:
    """A figure in four characters."""
    for unit in ("", "k", "M", "G", "T"):
        if n < 9999.5 and not unit:
            return f"{n:.0f}"
        if n < 9.95 and unit:
            return f"{n:.1f}{unit}"
        if n < 999.5 and unit:
            return f"{n:.0f}{unit}"
        n /= 1000
    return "many"


def head(p: Picture, program: str) -> list[str]:
    """The lines above the table."""
    rates = ", ".join(f"{cls} {short(n)}" for cls, n in sorted(p.rates.items(), key=lambda x: (-x[1], x[0])) if n)
    cpus = f"{p.cpus} processors" if p.cpus > 1 else "1 processor"
    return [
        f"{p.ns / SECOND:.6f} s of virtual time, {cpus}, {p.calls} calls, {p.faults.total()} faults: {plain(program)}",
        f"pages {p.pages}: free {p.free} (least {p.leastfree}), cached {p.cached} (most {p.mostcached}), "
        f"swap {p.swapused} (most {p.mostswap})",
        f"faults in a second: {rates or 'none'}",
    ]


def render(p: Picture, program: str, rows: int | None = None) -> RenderableType:
    """The picture for rich, with so many processes at the most."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("PID", justify="right", width=4)
    table.add_column("NAME", width=9, no_wrap=True)
    table.add_column("STATE", width=8, no_wrap=True)
    for name in ("RES", "SWAP", "CALLS", "FAULT", "/S", *map(str.upper, COLUMNS)):
        table.add_column(name, justify="right", width=max(len(name), 4), no_wrap=True)
    shown = p.rows if rows is None else p.rows[: max(rows, 1)]
    for r in shown:
        table.add_row(
            str(r.pid), plain(r.name), plain(r.state),
            *map(short, (r.res, r.swap, r.calls, r.faults, r.rate, *(r.groups[name] for name in COLUMNS))),
            style="dim" if r.state == "Dead" else "",
        )  # fmt: skip
    lines: list[RenderableType] = [Text(line, no_wrap=True, overflow="ellipsis") for line in head(p, program)]
    lines.append(table)
    if len(shown) < len(p.rows):
        lines.append(Text(f"and {len(p.rows) - len(shown)} more"))
    return Group(*lines)


def text(p: Picture, program: str, width: int = WIDTH) -> str:
    """The same as lines."""
    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, width=width, no_color=True, highlight=False, markup=False, legacy_windows=False)
    console.print(render(p, program))
    return "".join(line.rstrip() + "\n" for line in out.getvalue().splitlines())
