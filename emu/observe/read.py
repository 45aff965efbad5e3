"""Events from the JSON lines that :mod:`emu.observe.jsonl` writes.

A trace whose last line is cut off, by a full disk or an end before its time, gives what there is, and says so. Kinds
and fields that a later version has added are passed over; fields that an earlier one did not have yet get their
defaults.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Final

from emu.observe.jsonl import COMMON, VERSION
from emu.plain import plain
from kernel.base.event import Event, FaultEvent, SyscallEvent

RENAMED: Final = {"cls": "class"}  # field of an event, and its name in JSON
# Not written where there is nothing to tell.
ABSENT: Final[dict[tuple[type[Event], str], object]] = {(FaultEvent, "fn"): "", (FaultEvent, "load"): ""}
TYPES: Final[dict[str, tuple[type, ...]]] = {"int": (int,), "int | None": (int, type(None))}
"""Of the numbers; all others are strings."""
UNWRITTEN: Final = frozenset({(SyscallEvent, "files")})


LIMIT: Final = 1 << 53  # numbers are smaller: a browser's are exact up to there


class ReadError(Exception):
    """What was read is no trace. str() is one line."""


@dataclass
class Recorded:
    """What was read. ``cut`` says in words where a trace breaks off, "" if it is whole; ``unknown`` counts by kind."""

    events: list[Event]
    cut: str = ""
    unknown: dict[str, int] = field(default_factory=dict)


def readfile(path: str) -> Recorded:
    """Read a file. Raises ReadError, with the name in it, if it cannot be read or is no trace."""
    try:
        with open(path, "rb") as f:
            return read(f, path)
    except OSError as e:
        raise ReadError(f"{plain(path)}: {e.strerror}") from None


def read(lines: Iterable[bytes], name: str = "trace") -> Recorded:
    """Read lines, each with its newline. Raises ReadError, with name and line, if one of them is no event."""
    recorded = Recorded([])
    parser = Parser(name)
    for line in lines:
        ev = parser.event(line)
        if parser.cut:
            break
        if ev is not None:
            recorded.events.append(ev)
    recorded.cut, recorded.unknown = parser.cut, dict(parser.unknown)
    if not recorded.events and not recorded.cut:
        raise ReadError(f"{plain(name)}: no event in it")
    return recorded


class Parser:
    """Makes events of the lines of a trace, in order. ``cut`` and ``unknown`` as of Recorded; ``lines`` counts."""

    def __init__(self, name: str = "trace") -> None:
        self.name = plain(name)
        self.lines = 0
        self.cut = ""
        self.unknown: Counter[str] = Counter()
        self._makes = makers()

    def event(self, line: bytes) -> Event | None:
        """The event of the next line; None if its kind is not known, or it breaks off. Raises ReadError."""
        self.lines += 1
        where = f"{self.name}:{self.lines}"
        if not line.endswith(b"\n"):  # the writer ends each line: this one it did not finish
            self.cut = f"{where}: the trace breaks off here"
            return None
        try:
            obj = json.loads(line)
        except (ValueError, RecursionError):
            raise ReadError(f"{where}: not JSON") from None
        kind = _kind(obj, where)
        make = self._makes.get(kind)
        if make is None:
            self.unknown[kind] += 1
            return None
        try:
            return make(obj, None)
        except Odd as e:
            raise ReadError(f"{where}: {e}") from None


def _kind(obj: object, where: str) -> str:
    if not isinstance(obj, dict) or "v" not in obj:
        raise ReadError(f"{where}: not an event of p9emu trace --format json")
    if obj["v"] != VERSION:
        raise ReadError(f"{where}: schema version {plain(str(obj['v']))}, this p9emu reads version {VERSION}")
    kind = obj.get("event")
    if not isinstance(kind, str):
        raise ReadError(f"{where}: no event, but a summary (-c)" if "events" in obj else f"{where}: no event")
    return kind


Make = Callable[[dict[str, Any], Counter[str] | None], Event]
"""From an object to an event; with a counter, fields that are not there are 0 or empty, and counted. Raises Odd."""


class Odd(ValueError):
    """An object is no event of its kind. str() says why."""


def makers() -> dict[str, Make]:
    """What makes the events of each kind."""
    return {cls.kind: _maker(cls) for cls in Event.__subclasses__()}


def _maker(cls: type[Event]) -> Make:
    known = [
        (RENAMED.get(f.name, f.name), TYPES.get(str(f.type), (str,)), _default(cls, f))
        for f in fields(cls)
        if (cls, f.name) not in UNWRITTEN
    ]

    def make(obj: dict[str, Any], lacking: Counter[str] | None) -> Event:
        values = []
        for name, types, default in known:
            value = obj.get(name, default)
            if value is MISSING and lacking is not None:
                lacking[f"{cls.kind}.{name}"] += 1
                value = types[0]()
            if type(value) not in types or (type(value) is int and not -LIMIT < value < LIMIT):
                if value is MISSING:
                    raise Odd(f"event {cls.kind} without {name}")
                raise Odd(f"{name} of event {cls.kind} is {plain(json.dumps(value))[:40]}")
            values.append(value)
        return cls(*values)

    return make


def _default(cls: type[Event], f: "Field[Any]") -> object:
    return ABSENT.get((cls, f.name), f.default) if f.name not in COMMON else MISSING
