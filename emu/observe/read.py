"""Events from the JSON lines that :mod:`emu.observe.jsonl` writes.

A trace whose last line is cut off, by a full disk or an end before its time, gives what there is, and says so. Kinds
and fields that a later version has added are passed over; fields that an earlier one did not have yet get their
defaults.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Final

from emu.observe.jsonl import COMMON, VERSION
from emu.plain import plain
from kernel.base.event import Event, FaultEvent

RENAMED: Final = {"cls": "class"}  # field of an event, and its name in JSON
# Not written where there is nothing to tell.
ABSENT: Final[dict[tuple[type[Event], str], object]] = {(FaultEvent, "fn"): "", (FaultEvent, "load"): ""}
TYPES: Final[dict[str, tuple[type, ...]]] = {"int": (int,), "str": (str,), "int | None": (int, type(None))}


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
    makers = {cls.kind: _maker(cls) for cls in Event.__subclasses__()}
    for n, line in enumerate(lines, 1):
        where = f"{plain(name)}:{n}"
        if not line.endswith(b"\n"):  # the writer ends each line: this one it did not finish
            recorded.cut = f"{where}: the trace breaks off here"
            break
        try:
            obj = json.loads(line)
        except (ValueError, RecursionError):
            raise ReadError(f"{where}: not JSON") from None
        kind = _kind(obj, where)
        make = makers.get(kind)
        if make is None:
            recorded.unknown[kind] = recorded.unknown.get(kind, 0) + 1
            continue
        recorded.events.append(make(obj, where))
    if not recorded.events and not recorded.cut:
        raise ReadError(f"{plain(name)}: no event in it")
    return recorded


def _kind(obj: object, where: str) -> str:
    if not isinstance(obj, dict) or "v" not in obj:
        raise ReadError(f"{where}: not an event of p9emu trace --format json")
    if obj["v"] != VERSION:
        raise ReadError(f"{where}: schema version {plain(str(obj['v']))}, this p9emu reads version {VERSION}")
    kind = obj.get("event")
    if not isinstance(kind, str):
        raise ReadError(f"{where}: no event, but a summary (-c)" if "events" in obj else f"{where}: no event")
    return kind


def _maker(cls: type[Event]) -> Callable[[dict[str, Any], str], Event]:
    """A function from an object to an event of class cls."""
    known = [(RENAMED.get(f.name, f.name), TYPES[str(f.type)], _default(cls, f)) for f in fields(cls)]

    def make(obj: dict[str, Any], where: str) -> Event:
        values = []
        for name, types, default in known:
            value = obj.get(name, default)
            if type(value) not in types:
                if value is MISSING:
                    raise ReadError(f"{where}: event {cls.kind} without {name}")
                raise ReadError(f"{where}: {name} of event {cls.kind} is {plain(json.dumps(value))[:40]}")
            values.append(value)
        return cls(*values)

    return make


def _default(cls: type[Event], f: "Field[Any]") -> object:
    return ABSENT.get((cls, f.name), f.default) if f.name not in COMMON else MISSING
