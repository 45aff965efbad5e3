"""Two traces compared: the first event in which they differ, and the counts that do.

Events are taken by turns, so nothing is kept of a trace but its last few events and its counts.
"""

from __future__ import annotations

import io
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import IO, Any, Final, TypeVar

from emu.observe.jsonl import JsonWriter
from emu.observe.read import RENAMED, Parser, ReadError
from emu.observe.summary import Summary
from emu.observe.text import TextWriter
from emu.plain import plain
from kernel.base.event import Event

VERSION: Final = 1
LONGEST: Final = 1 << 20  # bytes of a line; no event is that long
CONTEXT: Final = 3
SMALL: Final = frozenset({"ns", "frame"})  # differ by small causes, and from then on

T = TypeVar("T")


class _Nowhere:
    """Takes nothing: of writers only the lines are wanted."""

    def write(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass


class Trace:
    """One of the two, read once. Iterating raises ReadError at what is no event; ``parser.cut`` tells of an end before
    the end."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.file = file
        self.parser = Parser(name)
        self.counts = Summary(_Nowhere())

    @property
    def name(self) -> str:
        """What it is called."""
        return self.parser.name

    def __iter__(self) -> Iterator[Event]:
        parser = self.parser
        some = False
        try:
            while line := self.file.readline(LONGEST):
                if len(line) == LONGEST and not line.endswith(b"\n"):
                    raise ReadError(f"{self.name}:{parser.lines + 1}: not JSON")
                ev = parser.event(line)
                if parser.cut:
                    return
                if ev is not None:
                    some = True
                    yield ev
        except OSError as e:
            raise ReadError(f"{self.name}: {e.strerror}") from None
        if not some:
            raise ReadError(f"{self.name}: no event in it")


@dataclass
class Row:
    """A count of both: ``what`` in words of the summary."""

    what: tuple[str, ...]
    a: int
    b: int


@dataclass
class Difference:
    """What a comparison comes to. ``same`` events are alike; then each has one of ``events``, or none if it ends there.

    ``differing`` are the names of the fields, as JSON has them, with both values; none if the kinds differ, or one has
    ended. ``before`` are the last events that are alike, ``after`` what follows in each. ``counts`` are those that
    differ, ``cut`` says where a trace breaks off.
    """

    same: int = 0
    events: tuple[Event | None, Event | None] = (None, None)
    lines: tuple[int, int] = (0, 0)
    differing: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    before: list[Event] = field(default_factory=list)
    after: tuple[list[Event], list[Event]] = field(default_factory=lambda: ([], []))
    counts: list[Row] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    unknown: int = 0

    @property
    def found(self) -> bool:
        """Whether there is one."""
        return self.events != (None, None)


def names() -> list[str]:
    """The fields that events have, as JSON calls them."""
    every = {RENAMED.get(f.name, f.name) for cls in Event.__subclasses__() for f in fields(cls)}
    return sorted(every)


def compare(a: Trace, b: Trace, ignore: frozenset[str] = frozenset(), context: int = CONTEXT) -> Difference:
    """Compare two traces, without the fields of those names. Raises ReadError where one of them is no trace."""
    d = Difference()
    left, right = iter(a), iter(b)
    fieldsof: dict[type[Event], list[str]] = {}
    before: deque[Event] = deque(maxlen=context)
    while True:
        x, y = next(left, None), next(right, None)
        if (x is None and (y is None or a.parser.cut)) or (y is None and b.parser.cut):
            break  # of one that breaks off nobody knows how it went on
        for trace, ev in ((a, x), (b, y)):
            if ev is not None:
                trace.counts(ev)
        if d.found:
            for ev, after in ((x, d.after[0]), (y, d.after[1])):
                if ev is not None and len(after) < context:
                    after.append(ev)
            continue
        if x is not None and y is not None and type(x) is type(y):
            if x != y:
                d.differing = _differing(x, y, ignore, fieldsof)
            if not d.differing:
                d.same += 1
                before.append(x)
                continue
        d.events = x, y
        d.lines = a.parser.lines, b.parser.lines
    d.before = list(before)
    d.counts = list(_counts(a.counts, b.counts))
    d.cut = [t.parser.cut for t in (a, b) if t.parser.cut]
    d.unknown = a.parser.unknown.total() + b.parser.unknown.total()
    return d


def _differing(
    x: Event, y: Event, ignore: frozenset[str], fieldsof: dict[type[Event], list[str]]
) -> dict[str, tuple[Any, Any]]:
    cls = type(x)
    names = fieldsof.get(cls)
    if names is None:
        names = fieldsof[cls] = [f.name for f in fields(x) if f.compare and RENAMED.get(f.name, f.name) not in ignore]
    pairs = {RENAMED.get(n, n): (getattr(x, n), getattr(y, n)) for n in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _counts(a: Summary, b: Summary) -> Iterator[Row]:
    def rows(kind: str, x: Counter[T], y: Counter[T], words: Callable[[T], tuple[str, ...]]) -> Iterator[Row]:
        for key in sorted(x.keys() | y.keys(), key=words):
            if x[key] != y[key]:
                yield Row((kind, *words(key)), x[key], y[key])

    yield from rows("fault", a.faults, b.faults, lambda key: (key[1], key[0] or "none"))
    yield from rows("syscall", a.calls, b.calls, lambda key: (key,))
    yield from rows("error of", a.errors, b.errors, lambda key: (key,))
    yield from rows("event", a.events, b.events, lambda key: (key,))


# For a person


def text(d: Difference, a: str, b: str, color: bool = False) -> str:
    """Lines that tell of a difference between traces of these names."""
    shown = [ev for ev in (*d.before, *d.events, *d.after[0], *d.after[1]) if ev is not None]
    writer = TextWriter(_Nowhere(), 2 if any(ev.cpu for ev in shown) else 1)
    red, green, reset = ("\x1b[31m", "\x1b[32m", "\x1b[0m") if color else ("", "", "")

    def lines(mark: str, tint: str, events: Sequence[Event | None]) -> str:
        end = reset if tint else ""
        return "".join(f"{tint}{mark} {writer.line(ev).rstrip()}{end}\n" for ev in events if ev is not None)

    x, y = d.events
    out = f"--- {plain(a)}\n+++ {plain(b)}\n{_where(d, a, b)}\n"
    out += lines(" ", "", d.before) + lines("-", red, [x]) + lines("+", green, [y])
    for name, (was, now) in d.differing.items():
        out += f"    {name}: {value(name, was)} in the first, {value(name, now)} in the second\n"
    out += lines("-", red, d.after[0]) + lines("+", green, d.after[1])
    if d.differing and d.differing.keys() <= SMALL:
        out += f"(--ignore {','.join(sorted(SMALL))} passes over times and frame numbers)\n"
    return f"{out}\n{table(d.counts)}"


def _where(d: Difference, a: str, b: str) -> str:
    x, y = d.events
    same = f"{d.same} events are the same" if d.same != 1 else "1 event is the same"
    if x is not None and y is not None:
        return f"{same}; then line {d.lines[0]} and line {d.lines[1]} differ:"
    ended, other, line = (a, b, d.lines[1]) if x is None else (b, a, d.lines[0])
    return f"{same}; then {plain(ended)} ends, and {plain(other)} goes on with line {line}:"


def value(name: str, v: Any) -> str:
    """A field's value as the text trace has it: addresses in hexadecimal."""
    if isinstance(v, int) and name in ("addr", "pc", "frame", "va", "pdb", "base", "top", "daddr"):
        return f"0x{v:08x}"
    return f'"{plain(v)}"' if isinstance(v, str) else str(v)


def table(rows: Sequence[Row]) -> str:
    """The counts that differ."""
    if not rows:
        return "the counts are the same\n"
    from rich import box
    from rich.console import Console
    from rich.table import Table

    out = io.StringIO()
    console = Console(file=out, width=160, no_color=True, highlight=False, markup=False, legacy_windows=False)
    grid = Table(box=box.ASCII2, show_edge=False, pad_edge=False)
    grid.add_column("counts that differ")
    for name in ("first", "second", "more"):
        grid.add_column(name, justify="right")
    for row in rows:
        grid.add_row(plain(" ".join(row.what)), str(row.a), str(row.b), f"{row.b - row.a:+d}")
    console.print(grid)
    return "".join(line.rstrip() + "\n" for line in out.getvalue().splitlines())


# For a program


def document(d: Difference) -> dict[str, object]:
    """The same for JSON; an event is as in a trace."""
    import json

    writer = JsonWriter(_Nowhere())

    def event(ev: Event | None) -> object:
        return json.loads(writer.line(ev)) if ev is not None else None

    first: dict[str, object] | None = None
    if d.found:
        first = {
            "lines": list(d.lines),
            "events": [event(ev) for ev in d.events],
            "fields": {name: list(pair) for name, pair in d.differing.items()},
        }
    rows = [{"what": list(r.what), "first": r.a, "second": r.b} for r in d.counts]
    return {"v": VERSION, "same": d.same, "difference": first, "counts": rows, "cut": d.cut, "unknown": d.unknown}
