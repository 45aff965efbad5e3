"""JSON lines by way of C are those of Python, byte for byte."""

import gc
import weakref
from collections.abc import Callable
from json.encoder import encode_basestring_ascii as quote
from typing import Any

import pytest

from emu.observe._jsonl import Writer
from emu.observe.filter import KINDS
from emu.observe.jsonl import JsonWriter, template
from emu.observe.output import OutputError
from emu.program.symbols import Frame
from kernel.base.event import Event, ImageEvent, ProcEvent, SyscallEvent, TlbEvent
from tests.emu.observe.test_observe import EVENTS, Lines
from tests.emu.observe.test_perfetto import Bytes

STRANGE = ["", 'a"b\\c', "\n\t\0\x1f\x7f~ ", "é·€", "\U0001f600", "\udcff", "x" * 200_000]
NUMBERS = [0, -1, 9, 10, -10, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 10**40, -(10**40)]


def quick(events: list[Event], kinds: Any = KINDS, **options: Any) -> str:
    out = Bytes()
    writer = JsonWriter(Lines(), **options)
    add = writer.quick(out, kinds)
    assert add is not None
    for ev in events:
        add(ev)
    writer.finish()
    return out.data.decode("ascii")


def slow(events: list[Event], **options: Any) -> str:
    return "".join(map(JsonWriter(Lines(), **options).line, events))


def test_every_event_is_the_same() -> None:
    assert quick(EVENTS) == slow(EVENTS)


@pytest.mark.parametrize(
    "options",
    [
        {"times": ("began", "host")},
        {"stack": lambda pid: [Frame(pid, "f+0x1", None)]},
        {"source": lambda pid, pc: ("a.c", pc)},
    ],
    ids=["times", "stack", "source"],
)
def test_so_is_what_is_asked_for(options: dict[str, Any]) -> None:
    assert quick(EVENTS, **options) == slow(EVENTS, **options)


def test_strange_strings_and_numbers_are_the_same() -> None:
    events: list[Event] = [ProcEvent(1, 2, 0, "exec", s, 0, s) for s in STRANGE]
    events += [ImageEvent(n, n, 0, "free", n, "", n, n) for n in NUMBERS]
    events += [SyscallEvent(1, 2, 0, 8, "x", "", 0, ret, "") for ret in (None, 0, -1)]
    assert quick(events) == slow(events)


def test_other_kinds_are_passed_over() -> None:
    assert quick(EVENTS, {"tlb"}) == slow([e for e in EVENTS if e.kind == "tlb"])


def writer(write: Callable[[bytes], object], other: Callable[[Any], str] = str) -> Writer:
    return Writer({TlbEvent: template(TlbEvent), ProcEvent: None}, other, quote, write)


def test_it_writes_in_large_pieces() -> None:
    pieces: list[bytes] = []
    w = writer(pieces.append)
    ev = TlbEvent(1, 2, 0, "page", 3, 4)
    for _ in range(2000):
        w.add(ev)
    w.flush()
    w.flush()
    assert len(pieces) == 3 and all(p.endswith(b"}\n") for p in pieces)
    assert b"".join(pieces).decode() == slow([ev]) * 2000


def test_what_fails_is_told_once() -> None:
    calls = []

    def full(data: bytes) -> None:
        calls.append(data)
        raise OutputError("disk full")

    w = writer(full)
    w.add(TlbEvent(1, 2, 0, "page", 3, 4))
    with pytest.raises(OutputError, match="disk full"):
        w.flush()
    w.flush()
    assert len(calls) == 1


def test_a_line_is_whole_or_not_there() -> None:
    pieces: list[bytes] = []

    def other(ev: Event) -> str:
        raise LookupError(ev.pid)

    w = writer(pieces.append, other)
    odd: Any = TlbEvent(1, 2, 0, "page", 3, 4)
    w.add(odd)
    with pytest.raises(LookupError):
        w.add(ProcEvent(1, 2, 0, "exec", "", 0, ""))
    odd.pdb = 1.5
    with pytest.raises(TypeError, match="is a float"):
        w.add(odd)
    del odd.pdb
    with pytest.raises(AttributeError):
        w.add(odd)
    w.flush()
    assert pieces == [slow([TlbEvent(1, 2, 0, "page", 3, 4)]).encode()]


@pytest.mark.parametrize(
    ("templates", "error"),
    [
        ({TlbEvent: (b"x", "no")}, AttributeError),
        ({TlbEvent: (b"x", "kind")}, TypeError),
        ({TlbEvent: ("ns",)}, TypeError),
        ({TlbEvent: (b"x", b"y")}, TypeError),
        ({TlbEvent: 5}, TypeError),
        ({5: None}, TypeError),
        ([], TypeError),
    ],
)
def test_templates_that_are_none(templates: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Writer(templates, str, quote, print)


def test_it_goes_with_who_holds_it() -> None:
    w = JsonWriter(Lines())
    w.quick(Bytes(), KINDS)
    gone = weakref.ref(w)
    del w
    gc.collect()
    assert gone() is None
