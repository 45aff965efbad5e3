"""Events as JSON lines: one object per event, schema version 1.

Every object begins with v, ns, pid, cpu, event; the event's own fields follow in the order in which
kernel/base/event.py declares them. A fault tells ``fn`` in kernel mode only and ``load`` only when
there was one, and calls its class ``class``; ``file`` and ``line`` follow where the program has line
tables, then what was asked for: ``began``, ``host``, ``stack``. Numbers and addresses are JSON
integers. Equal events give equal bytes.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any, Final

from emu.observe.output import Output
from emu.program.symbols import Frame
from kernel.base.event import ASIDE, Event, FaultEvent, SyscallEvent

VERSION: Final = 1
COMMON: Final = ("ns", "pid", "cpu")

Source = Callable[[int, int], tuple[str, int] | None]
"""From pid and pc to file and line."""

dumps: Final = json.JSONEncoder(separators=(",", ":")).encode


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
        self.makers: dict[type[Event], Callable[[Event], dict[str, object]]] = {}

    def __call__(self, ev: Event) -> None:
        self.out.write(self.line(ev))

    def finish(self) -> None:
        """Nothing follows the last event."""

    def line(self, ev: Event) -> str:
        """The event's line, newline included."""
        obj: dict[str, object] = {"v": VERSION, "ns": ev.ns, "pid": ev.pid, "cpu": ev.cpu, "event": ev.kind}
        if isinstance(ev, FaultEvent):
            _fault(ev, obj)
            place = self.source(ev.pid, ev.pc) if self.source else None
            if place is not None:
                obj["file"], obj["line"] = place
        else:
            cls = type(ev)
            make = self.makers.get(cls)
            if make is None:
                make = self.makers[cls] = _maker(cls)
            obj.update(make(ev))
        if self.times and isinstance(ev, FaultEvent | SyscallEvent):
            for name in self.times:
                obj[name] = getattr(ev, name)
        if self.stack is not None and isinstance(ev, FaultEvent | SyscallEvent):
            obj["stack"] = [_frame(f) for f in self.stack(ev.pid)]
        return dumps(obj) + "\n"


def _frame(f: Frame) -> dict[str, object]:
    obj: dict[str, object] = {"pc": f.pc, "symbol": f.symbol}
    if f.place is not None:
        obj["file"], obj["line"] = f.place
    return obj


def _fault(ev: FaultEvent, obj: dict[str, object]) -> None:
    obj["addr"] = ev.addr
    obj["pc"] = ev.pc
    obj["mode"] = ev.mode
    if ev.mode == "kernel":
        obj["fn"] = ev.fn
    obj["err"] = ev.err
    obj["access"] = ev.access
    obj["segment"] = ev.segment
    obj["class"] = ev.cls
    if ev.load:
        obj["load"] = ev.load
    obj["frame"] = ev.frame


def _maker(cls: type[Event]) -> Callable[[Event], dict[str, object]]:
    """A function from an event of class cls to its own fields, in declared order."""
    names = [f.name for f in fields(cls) if f.name not in COMMON and f.name not in ASIDE]
    if not names:
        return lambda _: {}
    if len(names) == 1:
        name = names[0]
        return lambda ev: {name: getattr(ev, name)}
    get: Callable[[Any], Any] = attrgetter(*names)
    return lambda ev: dict(zip(names, get(ev), strict=True))
