"""What happened in a run, to be asked: faults and system calls, filtered and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, fields
from typing import Any, Final, Generic, Self, TypeVar, overload

from emu.observe.filter import conditions
from emu.observe.output import Output
from emu.observe.text import TextWriter
from emu.program.disasm import instruction
from emu.program.lines import Place
from emu.program.symbols import Found
from kernel.base.event import Event, FaultEvent, SyscallEvent

SHOWN: Final = 20  # events that a repr has at the most

E = TypeVar("E", bound=Event)


class _Nowhere:
    """An output that takes nothing: of the writer of text only the lines are wanted."""

    def write(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass


NOWHERE: Final[Output] = _Nowhere()


@dataclass(slots=True)
class Fault(FaultEvent):
    """A page fault with the place it came from: ``symbol`` is function+offset, ``code`` the bytes at pc.

    Either may be empty, where the program has no symbols or what pc points to is not in memory. ``place`` is file and
    line, None where the program has no line tables.
    """

    symbol: str = ""
    code: bytes = b""
    place: Place | None = None

    @property
    def found(self) -> Found:
        """What is known of the pc, for a rendering."""
        return Found(self.symbol, self.code, self.place)

    @property
    def page(self) -> int:
        """The address of the page."""
        return self.addr & ~0xFFF

    @property
    def instruction(self) -> str:
        """The instruction at pc; "" for a fault in kernel mode, where pc is only where user mode was left."""
        return instruction(self.code, self.pc) if self.mode == "user" and self.code else ""

    def __str__(self) -> str:
        return line(self)


def line(ev: Event) -> str:
    """An event as the text trace has it, without time and process."""
    if isinstance(ev, Fault):
        return TextWriter(NOWHERE, lookup=lambda _pid, _pc: ev.found).what(ev).rstrip()
    return TextWriter(NOWHERE).what(ev).rstrip()


class Count(int):
    """A number of events which knows them: an int, and when an assertion about it fails they can be shown."""

    what: str
    events: tuple[Event, ...]

    def __new__(cls, what: str, events: tuple[Event, ...]) -> Self:
        n = super().__new__(cls, len(events))
        n.what = what
        n.events = events
        return n


class Counts(dict[str, int]):
    """Numbers by name; each is a Count, and of what is not there there are 0."""

    def __missing__(self, name: str) -> int:
        return 0


class Log(Generic[E]):
    """Events of one kind, in order. Calling it filters: ``log(pid=2)`` is a Log again.

    A field is compared with a value, or must be in a collection (``addr=range(0x1000, 0x2000)``); a function, if
    given, must be true of the event, and a text is as of ``p9emu trace -e`` behind the kind:
    ``"class=cow-copy|remap,segment!=stack"``. Raises TypeError for what is no field, FilterError in a text.
    """

    def __init__(self, events: Collection[E], kind: type[E], what: str = "") -> None:
        self._events = tuple(events)
        self._kind = kind
        self._what = what or f"{kind.kind}s"

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[E]:
        return iter(self._events)

    @overload
    def __getitem__(self, i: int) -> E: ...
    @overload
    def __getitem__(self, i: slice) -> Self: ...
    def __getitem__(self, i: int | slice) -> E | Self:
        if isinstance(i, slice):
            return type(self)(self._events[i], self._kind, self._what)
        return self._events[i]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Log) and self._events == other._events

    __hash__ = None  # type: ignore[assignment]

    def __call__(self, where: Callable[[E], bool] | str | None = None, **values: object) -> Self:
        """Those for which all of it holds."""
        names = {f.name for f in fields(self._kind)} | {"page"}
        for name in values:
            if name not in names or not hasattr(self._kind, name):
                raise TypeError(f"a {self._kind.kind} has no {name!r}; it has {', '.join(sorted(names))}")
        told = f" {where}" if isinstance(where, str) else " where so" if where else ""
        if isinstance(where, str):
            where = conditions(self._kind.kind, where)
        tests = [(name, _matcher(value)) for name, value in values.items()]
        kept = [
            e for e in self._events if all(t(getattr(e, n)) for n, t in tests) and (where is None or where(e))
        ]
        what = self._what + "".join(f" {name}={_shown(name, value)}" for name, value in values.items())
        return type(self)(kept, self._kind, what + told)

    def count(self, where: Callable[[E], bool] | str | None = None, **values: object) -> Count:
        """How many of these there are: an int, which tells them when an assertion fails."""
        some = self(where, **values)
        return Count(some._what, some._events)

    def by(self, field: str) -> Counts:
        """How many there are of each value of a field, in alphabetical order."""
        values = sorted({str(getattr(e, field)) for e in self._events})
        return Counts((v, self.count(lambda e, v=v: str(getattr(e, field)) == v)) for v in values)  # type: ignore[misc]

    def __repr__(self) -> str:
        head = f"<{len(self)} {self._what}"
        lines = [f"  [{e.pid}] {line(e)}" for e in self._events[:SHOWN]]
        if len(self) > SHOWN:
            lines.append(f"  ... and {len(self) - SHOWN} more")
        return "\n".join([head + (":" if lines else ""), *lines]) + ">"


class Faults(Log[Fault]):
    """Page faults."""

    def by_class(self) -> Counts:
        """How many there are of each class."""
        return self.by("cls")

    def by_segment(self) -> dict[str, dict[str, int]]:
        """How many there are of each class, by segment ("" is none)."""
        table: dict[str, Counter[str]] = {}
        for f in self:
            table.setdefault(f.segment, Counter())[f.cls] += 1
        return {segment: dict(sorted(table[segment].items())) for segment in sorted(table)}


class Syscalls(Log[SyscallEvent]):
    """System calls."""

    def names(self) -> list[str]:
        """Their names, in order."""
        return [e.name for e in self]

    def by_name(self) -> Counts:
        """How many there are of each."""
        return self.by("name")


def _matcher(value: object) -> Callable[[Any], bool]:
    if isinstance(value, Collection) and not isinstance(value, str | bytes):
        return lambda v: v in value
    return lambda v: bool(v == value)


def _shown(name: str, value: object) -> str:
    return hex(value) if isinstance(value, int) and name in ("addr", "page", "pc", "frame") else str(value)
