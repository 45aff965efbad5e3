"""Events as JSON lines: one object per event, schema version 1.

Every object begins with v, ns, pid, cpu, event; the event's own fields follow in the order in which
kernel/base/event.py declares them. A fault tells ``fn`` in kernel mode only and ``load`` only when
there was one, and calls its class ``class``; ``file`` and ``line`` follow where the program has line
tables, then what was asked for: ``began``, ``host``, ``stack``. Numbers and addresses are JSON
integers. Equal events give equal bytes.

There are millions of them in a run: each class of events has a function made for it, of one f-string, which takes an
eighth of the time that json.dumps does. Where they go to a file that is read later, C makes them
(emu/observe/_jsonl.c), in a third of that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Sequence
from dataclasses import fields
from json.encoder import encode_basestring_ascii as quote
from typing import TYPE_CHECKING, Any, Final

from emu.observe.output import BinaryOutput, Output
from emu.program.symbols import Frame
from kernel.base.event import ASIDE, Event, FaultEvent, SyscallEvent

if TYPE_CHECKING:
    from emu.observe._jsonl import Writer

VERSION: Final = 1
COMMON: Final = ("ns", "pid", "cpu")

Source = Callable[[int, int], tuple[str, int] | None]
"""From pid and pc to file and line."""

Line = Callable[[Any], str]
"""From an event of one class to its line, newline included."""

dumps: Final = json.JSONEncoder(separators=(",", ":")).encode

# How values of a type are written, in an f-string.
NUMBERS: Final = {"int": "{ev.%s}", "int | None": "{'null' if ev.%s is None else ev.%s}"}
TEXT: Final = "{quote(ev.%s)}"


class JsonWriter:
    """A sink that writes each event as one JSON line."""

    def __init__(
        self,
        out: Output,
        source: Source | None = None,
        stack: Callable[[int], Sequence[Frame]] | None = None,
        times: Sequence[str] = (),
    ) -> None:
        """``times`` are the fields of faults and calls that tell how long they took, of those aside."""
        self.out = out
        self.times = times
        self.stack = stack
        self.source = source
        self.lines: dict[type[Event], Line] = {}
        self.fast: Writer | None = None

    def __call__(self, ev: Event) -> None:
        line = self.lines.get(type(ev))
        self.out.write(line(ev) if line is not None else self.line(ev))

    def finish(self) -> None:
        """Write what was kept back. Nothing follows the last event."""
        if self.fast is not None:
            self.fast.flush()

    def quick(self, out: BinaryOutput, kinds: Container[str]) -> Callable[[Event], None] | None:
        """A sink that does the same for events of these kinds, but writes bytes, later; None where it was not built."""
        try:
            from emu.observe._jsonl import Writer
        except ImportError:
            return None
        asked = self.times or self.stack is not None
        made: dict[type[Event], tuple[bytes | str, ...] | None] = {}
        for cls in Event.__subclasses__():
            if cls.kind in kinds and "__slots__" in vars(cls):  # dataclass leaves one without behind, for a while
                made[cls] = None if cls is FaultEvent or (cls is SyscallEvent and asked) else template(cls)
        self.fast = Writer(made, self.line, quote, out.writebytes)
        return self.fast.add

    def line(self, ev: Event) -> str:
        """The event's line, newline included."""
        cls = type(ev)
        line = self.lines.get(cls)
        if line is None:
            line = self.lines[cls] = self._maker(cls)
        return line(ev)

    def _maker(self, cls: type[Event]) -> Line:
        """What makes the lines of a class of events."""
        if issubclass(cls, FaultEvent):
            return self._fault
        plain = maker(cls)
        if issubclass(cls, SyscallEvent) and (self.times or self.stack is not None):
            return lambda ev: f"{plain(ev)[:-2]}{self._asked(ev)}}}\n"
        return plain

    def _fault(self, ev: FaultEvent) -> str:
        fn = f',"fn":{quote(ev.fn)}' if ev.mode == "kernel" else ""
        load = f',"load":{quote(ev.load)}' if ev.load else ""
        place = self.source(ev.pid, ev.pc) if self.source is not None else None
        where = f',"file":{quote(place[0])},"line":{place[1]}' if place is not None else ""
        asked = self._asked(ev) if self.times or self.stack is not None else ""
        return (
            f'{{"v":{VERSION},"ns":{ev.ns},"pid":{ev.pid},"cpu":{ev.cpu},"event":"fault","addr":{ev.addr},"pc":{ev.pc},'
            f'"mode":{quote(ev.mode)}{fn},"err":{ev.err},"access":{quote(ev.access)},"segment":{quote(ev.segment)},'
            f'"class":{quote(ev.cls)}{load},"frame":{ev.frame}{where}{asked}}}\n'
        )

    def _asked(self, ev: Event) -> str:
        """What is told of faults and calls if it was asked for."""
        out = "".join(f',"{name}":{getattr(ev, name)}' for name in self.times)
        return out if self.stack is None else f'{out},"stack":{dumps([_frame(f) for f in self.stack(ev.pid)])}'


def _frame(f: Frame) -> dict[str, object]:
    obj: dict[str, object] = {"pc": f.pc, "symbol": f.symbol}
    if f.place is not None:
        obj["file"], obj["line"] = f.place
    return obj


def template(cls: type[Event]) -> tuple[bytes | str, ...]:
    """The line of an event of class cls: bytes, and between them fields in declared order."""
    parts: list[bytes | str] = [b'{"v":%d,"ns":' % VERSION, "ns", b',"pid":', "pid", b',"cpu":', "cpu"]
    before = f',"event":{quote(cls.kind)}'
    for f in fields(cls):
        if f.name not in COMMON and f.name not in ASIDE:
            parts += [f'{before},"{f.name}":'.encode(), f.name]
            before = ""
    return *parts, before.encode() + b"}\n"


def maker(cls: type[Event]) -> Line:
    """A function from an event of class cls to its line."""
    types = {f.name: f.type.__name__ if isinstance(f.type, type) else str(f.type) for f in fields(cls)}
    body = "".join(
        part.decode().replace("{", "{{").replace("}\n", "}}\\n")
        if isinstance(part, bytes)
        else NUMBERS.get(types[part], TEXT).replace("%s", part)
        for part in template(cls)
    )
    line: Line = eval(f"lambda ev: f'''{body}'''", {"quote": quote})
    return line
