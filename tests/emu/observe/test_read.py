"""Traces read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from emu.observe.jsonl import JsonWriter
from emu.observe.read import ReadError, read, readfile
from kernel.base.event import Event, SegmentEvent
from tests.emu.observe.test_observe import EVENTS, Lines


def written(events: list[Event]) -> list[bytes]:
    writer = JsonWriter(Lines())
    return [writer.line(ev).encode() for ev in events]


def test_what_was_written_is_read_back() -> None:
    r = read(written(EVENTS))
    assert r.events == EVENTS
    assert r.cut == ""
    assert r.unknown == {}


@pytest.mark.parametrize("left", [1, 10, 60])
def test_of_a_trace_that_breaks_off_there_is_what_there_is(left: int, tmp_path: Path) -> None:
    lines = written(EVENTS)
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"".join(lines[:5]) + lines[5][:left])
    r = readfile(str(path))
    assert r.events == EVENTS[:5]
    assert r.cut == f"{path}:6: the trace breaks off here"


def test_even_one_without_a_whole_line() -> None:
    assert read([b'{"v":1']).cut == "trace:1: the trace breaks off here"


def test_an_older_trace_lacks_what_was_added_since() -> None:
    line = b'{"v":1,"ns":1,"pid":2,"cpu":0,"event":"segment","op":"new","type":"bss","base":0,"top":4096,"ref":1}\n'
    assert read([line]).events == [SegmentEvent(1, 2, 0, "new", "bss", 0, 4096, 1)]


def test_of_a_newer_one_kinds_and_fields_are_passed_over() -> None:
    line = b'{"v":1,"ns":1,"pid":2,"cpu":0,"event":"tlb","op":"page","va":4096,"pdb":0,"more":[1]}\n'
    new = b'{"v":1,"ns":1,"pid":2,"cpu":0,"event":"moon","phase":1}\n'
    r = read([new, line, new])
    assert len(r.events) == 1
    assert r.unknown == {"moon": 2}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"\n", "not JSON"),
        (b"   0.000000500 [2]    proc    exec   true\n", "not JSON"),
        (b"\xff\xfe\n", "not JSON"),
        (b"[" * 100_000 + b"\n", "not JSON"),
        (b"[]\n", "not an event of p9emu trace --format json"),
        (b'{"a":1}\n', "not an event of p9emu trace --format json"),
        (b'{"v":2,"event":"tlb"}\n', "schema version 2, this p9emu reads version 1"),
        (b'{"v":1,"faults":{},"events":{}}\n', "no event, but a summary (-c)"),
        (b'{"v":1,"event":3}\n', "no event"),
        (b'{"v":1,"pid":2,"cpu":0,"event":"tlb","op":"page","va":1,"pdb":0}\n', "event tlb without ns"),
        (b'{"v":1,"ns":1,"pid":2,"cpu":0,"event":"tlb","op":"page","va":1}\n', "event tlb without pdb"),
        (b'{"v":1,"ns":1,"pid":2,"cpu":0,"event":"tlb","op":7,"va":1,"pdb":0}\n', "op of event tlb is 7"),
        (b'{"v":1,"ns":true,"pid":2,"cpu":0,"event":"tlb","op":"a","va":1,"pdb":0}\n', "ns of event tlb is true"),
    ],
)
def test_what_is_no_trace(line: bytes, why: str) -> None:
    with pytest.raises(ReadError) as e:
        read([*written(EVENTS[:1]), line], "t.jsonl")
    assert str(e.value) == f"t.jsonl:2: {why}"


def test_nothing_at_all(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"^trace: no event in it$"):
        read([])
    with pytest.raises(ReadError, match=r"No such file or directory$"):
        readfile(str(tmp_path / "missing"))
    with pytest.raises(ReadError, match=r"Is a directory$"):
        readfile(str(tmp_path))
