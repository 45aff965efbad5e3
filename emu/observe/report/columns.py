"""Events as columns: of each kind a table, of each field a column of numbers, strings once each.

What a browser reads of it is one stream of bytes:

    | length of the head, 4 bytes | head, JSON | strings, JSON | columns... |

All numbers are little-endian. A column is stored byte by byte, all lowest bytes first: neighbours are alike there, and
compress well. The head tells the type of each: u1, u2, u4, i4 or f8.
"""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import Field, fields
from operator import attrgetter
from typing import Any, Final

from kernel.base.event import ASIDE, Event, FaultEvent

NONE: Final = -(1 << 53)  # a number that is None
COMMON: Final = ("ns", "pid", "cpu")
PLACE: Final = ("symbol", "insn", "stack")
"""What is told of a fault besides its own fields: function with offset, instruction, and stack, outermost first."""

Place = tuple[str, str, str]
NOPLACE: Final[Place] = ("", "", "")
TYPES: Final = (
    ("u1", "B", 0, 1 << 8), ("u2", "H", 0, 1 << 16), ("u4", "I", 0, 1 << 32), ("i4", "i", -(1 << 31), 1 << 31),
)  # fmt: skip
"""Name, array's letter, smallest number, and the first that is too large."""


class Strings:
    """Each string once; a column has its number."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {"": 0}

    def __getitem__(self, text: str) -> int:
        """The number of a string, a new one if it is new."""
        return self.ids.setdefault(text, len(self.ids))


class Table:
    """The events of one kind: a column for each of its own fields, in declared order."""

    def __init__(self, cls: type[Event], strings: Strings) -> None:
        self.kind = cls.kind
        own = [f for f in fields(cls) if f.name not in COMMON and f.name not in ASIDE]
        words = [f.name for f in own if not _number(f)]
        numbers = [f.name for f in own if _number(f)]
        more = PLACE if cls is FaultEvent else ()
        self.columns: dict[str, array[int]] = {name: array("q") for name in (*(f.name for f in own), *more)}
        self.words = frozenset((*words, *more))
        self.rows = 0
        self._strings = strings
        self._numbers = _getter(numbers)
        self._words = _getter(words)
        self._putnumbers = [_put(self.columns[f.name], "None" in str(f.type)) for f in own if _number(f)]
        self._putwords = [self.columns[name].append for name in (*words, *more)]

    def add(self, ev: Event, place: Place) -> None:
        """One more row. ``place`` is told of faults alone."""
        self.rows += 1
        for put, n in zip(self._putnumbers, self._numbers(ev), strict=True):
            put(n)
        strings = self._strings
        for add, text in zip(self._putwords, (*self._words(ev), *place), strict=False):
            add(strings[text])


class Columns:
    """All events, in their order: when, who, where and of which kind; the rest is in the kind's table."""

    def __init__(self) -> None:
        self.strings = Strings()
        self.tables: list[Table] = []
        self.kinds: array[int] = array("B")  # of each event: number of its table
        self.common: dict[str, array[int]] = {name: array("q") for name in COMMON}  # ns: since the event before
        self._numbers: dict[type[Event], int] = {}
        self._ns = 0

    def __len__(self) -> int:
        return len(self.kinds)

    def add(self, ev: Event, place: Place = NOPLACE) -> int:
        """Keep an event; its row in the table of its kind. Its numbers are below LIMIT."""
        cls = type(ev)
        n = self._numbers.get(cls)
        if n is None:
            n = self._numbers[cls] = self._table(cls)
        self.tables[n].add(ev, place)
        self.kinds.append(n)
        common = self.common
        common["ns"].append(ev.ns - self._ns)
        common["pid"].append(ev.pid)
        common["cpu"].append(ev.cpu)
        self._ns = ev.ns
        return self.tables[n].rows - 1

    def restack(self, n: int, stack: str) -> None:
        """Give the fault in row n of the faults another stack."""
        next(t for t in self.tables if t.kind == FaultEvent.kind).columns["stack"][n] = self.strings[stack]

    def _table(self, cls: type[Event]) -> int:
        """The number of a class's table: that of the kernel's event, whatever others have made of it."""
        event = next(c for c in cls.__mro__ if Event in c.__bases__)
        if event in self._numbers:
            return self._numbers[event]
        self._numbers[event] = len(self.tables)
        self.tables.append(Table(event, self.strings))
        return self._numbers[event]

    def encode(self, more: dict[str, Any]) -> Iterator[bytes]:
        """The stream, in pieces. ``more`` goes into the head as it is."""
        packed: list[bytes] = []
        common = [_pack("kind", self.kinds, False, packed)]
        common += [_pack(name, column, False, packed) for name, column in self.common.items()]
        tables = [
            {
                "kind": t.kind,
                "rows": t.rows,
                "columns": [_pack(name, column, name in t.words, packed) for name, column in t.columns.items()],
            }
            for t in self.tables
        ]
        strings = json.dumps(list(self.strings.ids), separators=(",", ":")).encode()
        head = {"events": len(self), "strings": len(strings), "common": common, "tables": tables, **more}
        text = json.dumps(head, separators=(",", ":")).encode()
        yield len(text).to_bytes(4, "little")
        yield text
        yield strings
        yield from packed


def _number(f: Field[Any]) -> bool:
    return str(f.type) in ("int", "int | None")


def _getter(names: Sequence[str]) -> Callable[[Event], tuple[Any, ...]]:
    """These attributes of an event, as a tuple however many they are."""
    if not names:
        return lambda _: ()
    get: Callable[[Any], Any] = attrgetter(*names)
    return get if len(names) > 1 else lambda ev: (get(ev),)


def _put(column: array[int], optional: bool) -> Callable[[int | None], None]:
    if not optional:
        return column.append  # type: ignore[return-value]
    return lambda n: column.append(NONE if n is None else n)


def _pack(name: str, column: array[int], word: bool, packed: list[bytes]) -> list[object]:
    """Append a column's bytes, the low ones first; its name, type, and whether it has numbers of strings."""
    low, high = (min(column), max(column)) if column else (0, 0)
    fitting = (t for t in TYPES if t[2] <= low and high < t[3])
    type, letter, *_ = next(fitting, ("f8", "d"))
    values: array[Any] = array(letter, column)
    if sys.byteorder == "big":
        values.byteswap()
    raw = values.tobytes()
    size = values.itemsize
    packed += [raw[i::size] for i in range(size)]
    return [name, type, word]
