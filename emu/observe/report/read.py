"""Events from a trace of JSON lines, as far as they can be understood; :mod:`emu.observe.read` takes no damage."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import IO, Any, Final

from emu.observe.jsonl import VERSION
from emu.observe.read import LIMIT, makers
from emu.program.lines import Place
from emu.program.stack import DEEPEST
from emu.program.symbols import Found, Frame
from kernel.base.event import Event

LONGEST: Final = 1 << 20  # characters of a line; no event is that long


class Reader:
    """Reads a trace once; what was wrong with it is told afterwards."""

    def __init__(self, file: IO[str]) -> None:
        self.file = file
        self.lines = 0
        self.bad = 0  # lines that are no event
        self.cut = False  # the last line has no end
        self.versions: Counter[int] = Counter()  # other schema versions, and how many events have them
        self.unknown: Counter[str] = Counter()  # kinds of events that are not known
        self.lacking: Counter[str] = Counter()  # fields that were not there
        self.place: Place | None = None  # the source line of the event that was read last, if it has one
        self.frames: list[Frame] = []  # its call stack, if it has one
        self._makes = makers()

    def __iter__(self) -> Iterator[Event]:
        while line := self.file.readline(LONGEST):
            self.lines += 1
            if not line.endswith("\n"):
                if len(line) >= LONGEST:
                    while rest := self.file.readline(LONGEST):
                        if rest.endswith("\n"):
                            break
                    self.bad += 1
                    continue
                self.cut = True
            try:
                ev = self._event(json.loads(line))
            except (ValueError, RecursionError):
                if not self.cut:
                    self.bad += bool(line.strip())
                continue
            self.cut = False
            if ev is not None:
                yield ev

    def lookup(self, pid: int, pc: int) -> Found:
        """What a trace knows of a fault's pc: a text.Lookup, asked as the events come."""
        return Found(self.frames[0].symbol if self.frames else "", b"", self.place)

    def stack(self, pid: int) -> list[Frame]:
        """The call stack of the event that was read last, where the trace was made with -k: a text.Stack."""
        return self.frames

    def troubles(self) -> list[str]:
        """What was wrong, a sentence each; nothing if all was well."""
        said = []
        if self.cut:
            said.append("The trace is cut in the middle of a line: what came after it is not known.")
        if self.bad:
            said.append(f"{_lines(self.bad)} of the trace {'is' if self.bad == 1 else 'are'} no event, and left out.")
        for version, n in sorted(self.versions.items()):
            others = f"{n} of its events are of schema version {version}, this is for version {VERSION}"
            said.append(f"{others}: what follows may be wrong.")
        if self.unknown:
            kinds = ", ".join(sorted(self.unknown)[:8])
            said.append(f"{self.unknown.total()} events are of kinds that are not known here, and left out: {kinds}.")
        if self.lacking:
            names = ", ".join(sorted(self.lacking)[:8])
            said.append(f"Events of the trace lack fields, which are taken to be 0 or empty: {names}.")
        return said

    def _event(self, obj: Any) -> Event | None:
        """The event that an object of JSON is, None if its kind is not known. Raises ValueError."""
        if not isinstance(obj, dict) or not isinstance(kind := obj.get("event"), str):
            raise ValueError
        version = obj.get("v")
        if version != VERSION:
            self.versions[_number(version)] += 1
        make = self._makes.get(kind)
        if make is None:
            self.unknown[kind] += 1
            return None
        self.place = _place(obj)
        self.frames = _frames(obj.get("stack"))
        return make(obj, self.lacking)


def _place(obj: dict[str, Any]) -> Place | None:
    file, line = obj.get("file"), obj.get("line")
    return Place(file, _number(line)) if isinstance(file, str) and line is not None else None


def _frames(stack: Any) -> list[Frame]:
    """The functions of a call stack, the innermost first; none where that is not what -k writes."""
    frames = []
    for f in stack[:DEEPEST] if isinstance(stack, list) else ():
        if not isinstance(f, dict) or not isinstance(symbol := f.get("symbol"), str):
            return []
        frames.append(Frame(_number(f.get("pc")), symbol, _place(f)))
    return frames


def _number(value: Any) -> int:
    if type(value) is not int or not -LIMIT < value < LIMIT:
        raise ValueError
    return value


def _lines(n: int) -> str:
    return "1 line" if n == 1 else f"{n} lines"
