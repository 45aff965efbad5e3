"""A report of a trace: what can be understood is shown, the rest is told of."""

from __future__ import annotations

import io
import json

import pytest

from emu.observe.jsonl import JsonWriter
from emu.observe.report.read import Reader
from emu.observe.report.report import Report
from emu.program.lines import Place
from emu.program.symbols import Found, Frame
from kernel.base.event import Event
from tests.emu.observe.test_observe import EVENTS, Lines


def lines(stream: list[Event]) -> list[str]:
    out = Lines()
    for ev in stream:
        JsonWriter(out)(ev)
    return out.text.splitlines(keepends=True)


def read(text: str) -> tuple[list[Event], str]:
    reader = Reader(io.StringIO(text))
    return list(reader), " ".join(reader.troubles())


def test_a_trace_is_read_back() -> None:
    assert read("".join(lines(EVENTS))) == (EVENTS, "")


def test_cut_in_the_middle() -> None:
    text = "".join(lines(EVENTS))[:-9]
    told, trouble = read(text)
    assert told == EVENTS[:-1]
    assert trouble == "The trace is cut in the middle of a line: what came after it is not known."


def test_cut_after_a_whole_event() -> None:
    told, trouble = read("".join(lines(EVENTS)).rstrip("\n"))
    assert (told, trouble) == (EVENTS, "")


def test_a_source_line_is_known_where_it_was_written() -> None:
    out = Lines()
    JsonWriter(out, lambda pid, pc: ("/sys/src/x.c", 7))(EVENTS[0])
    JsonWriter(out)(EVENTS[1])
    reader = Reader(io.StringIO(out.text))
    assert [reader.lookup(0, 0).place for _ in reader] == [("/sys/src/x.c", 7), None]


STACK = [Frame(0x1026, "f+0x6", Place("/sys/src/x.c", 7)), Frame(0x1040, "main+0x10", None), Frame(0x7000, "", None)]


def test_call_stacks_are_read_where_they_were_written() -> None:
    out = Lines()
    JsonWriter(out, stack=lambda pid: STACK)(EVENTS[0])
    JsonWriter(out)(EVENTS[0])
    reader = Reader(io.StringIO(out.text))
    assert [(reader.stack(0), reader.lookup(0, 0).symbol) for _ in reader] == [(STACK, "f+0x6"), ([], "")]


def test_a_report_from_a_trace_with_stacks_has_the_functions_of_a_live_one() -> None:
    out = Lines()
    JsonWriter(out, lambda pid, pc: STACK[0].place, lambda pid: STACK)(EVENTS[0])
    reader = Reader(io.StringIO(out.text))
    live = Report(lambda pid, pc: Found("f+0x6", b"", STACK[0].place), lambda pid: STACK)
    again = Report(reader.lookup, reader.stack)
    live(EVENTS[0])
    for ev in reader:
        again(ev)
    assert [*again.columns.encode({})] == [*live.columns.encode({})]


@pytest.mark.parametrize("stack", ["5", "[5]", '[{"pc":1}]', '[{"pc":1,"symbol":7}]', "{}", "null"])
def test_a_stack_that_is_none_is_passed_over(stack: str) -> None:
    (line,) = lines(EVENTS[:1])
    reader = Reader(io.StringIO(f'{line.rstrip()[:-1]},"stack":{stack}}}\n'))
    assert list(reader) == EVENTS[:1]
    assert reader.stack(0) == []


@pytest.mark.parametrize(
    "rubbish",
    [
        "hello\n", "[]\n", "{}\n", "null\n", '{"v":1,"event":7}\n', "[" * 100_000 + "\n", "x" * (3 << 20) + "\n",
        '{"v":1,"ns":1e400,"pid":2,"cpu":0,"event":"note","op":"post","target":3,"text":"kill"}\n',
        '{"v":1,"ns":99999999999999999999,"pid":2,"cpu":0,"event":"note","op":"post","target":3,"text":"kill"}\n',
        '{"v":1,"ns":true,"pid":2,"cpu":0,"event":"note","op":"post","target":3,"text":"kill"}\n',
        '{"v":1,"ns":1,"pid":2,"cpu":0,"event":"note","op":5,"target":3,"text":"kill"}\n',
    ],
    ids=range(11),
)  # fmt: skip
def test_rubbish_is_left_out_and_told(rubbish: str) -> None:
    first, *rest = lines(EVENTS)
    told, trouble = read(first + rubbish + "".join(rest))
    assert told == EVENTS
    assert trouble == "1 line of the trace is no event, and left out."


def test_another_version_and_unknown_kinds() -> None:
    objects = [json.loads(line) for line in lines(EVENTS)]
    for obj in objects:
        obj["v"] = 2
    objects.append({"v": 1, "event": "comet", "ns": 1})
    del objects[7]["op"]
    told, trouble = read("".join(json.dumps(obj) + "\n" for obj in objects))
    assert len(told) == len(EVENTS)
    assert "schema version 2, this is for version 1" in trouble
    assert "not known here, and left out: comet" in trouble
    assert f"{EVENTS[7].kind}.op" in trouble
