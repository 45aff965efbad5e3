"""Two traces compared."""

import io
from dataclasses import replace
from typing import Any

import pytest

from emu.observe.diff import Difference, Row, Trace, compare, document, names, text
from emu.observe.jsonl import JsonWriter
from emu.observe.read import ReadError
from kernel.base.event import Event, FaultEvent, PageEvent, SyscallEvent
from tests.emu.observe.test_observe import EVENTS, Lines

FAULT = FaultEvent(1000, 2, 0, 0x3000, 0x1020, "user", "", 6, "write", "bss", "zero-fill", "", 0x5000)
CALL = SyscallEvent(2000, 2, 0, 8, "exits", "nil", 0x1040, None, "")
PAGE = PageEvent(1500, 2, 0, "alloc", 0x5000, 0x3000, -1, 0, 1)


def written(events: list[Event]) -> bytes:
    writer = JsonWriter(Lines())
    return b"".join(writer.line(ev).encode() for ev in events)


def trace(events: list[Event], name: str = "t", more: bytes = b"") -> Trace:
    return Trace(io.BytesIO(written(events) + more), name)


def diff(a: list[Event], b: list[Event], *ignore: str, context: int = 3) -> Difference:
    return compare(trace(a, "a"), trace(b, "b"), frozenset(ignore), context)


def test_same_events_make_no_difference() -> None:
    d = diff(EVENTS, EVENTS)
    assert not d.found
    assert (d.same, d.counts, d.cut) == (len(EVENTS), [], [])


@pytest.mark.parametrize("at", range(len(EVENTS)))
def test_one_event_less_is_found_wherever_it_is(at: int) -> None:
    d = diff(EVENTS, EVENTS[:at] + EVENTS[at + 1 :])
    assert d.found
    assert d.same >= at or EVENTS[at] == EVENTS[d.same]
    assert sum(row.a - row.b for row in d.counts if row.what[0] == "event") == 1


def test_fields_that_differ_are_named_as_in_json() -> None:
    d = diff([PAGE, FAULT], [PAGE, replace(FAULT, cls="cow-copy", ns=1010)])
    assert d.differing == {"ns": (1000, 1010), "class": ("zero-fill", "cow-copy")}
    assert (d.same, d.before, d.lines) == (1, [PAGE], (2, 2))
    assert d.counts == [Row(("fault", "cow-copy", "bss"), 0, 1), Row(("fault", "zero-fill", "bss"), 1, 0)]


def test_ignored_fields_make_no_difference() -> None:
    other = [replace(PAGE, frame=0x6000), replace(FAULT, frame=0x6000, ns=7)]
    assert not diff([PAGE, FAULT], other, "ns", "frame").found
    assert diff([PAGE, FAULT], other, "ns").differing == {"frame": (0x5000, 0x6000)}
    assert diff([PAGE, FAULT], [PAGE, replace(FAULT, cls="remap")], "class").counts  # counted all the same


def test_how_long_it_took_makes_no_difference() -> None:
    def timed(began: int, host: int, frame: int = FAULT.frame) -> Trace:
        writer = JsonWriter(Lines(), times=("began", "host"))
        events = [replace(FAULT, began=began, host=host, frame=frame), replace(CALL, began=began, host=host)]
        return Trace(io.BytesIO(b"".join(writer.line(ev).encode() for ev in events)), "t")

    d = compare(timed(900, 1), timed(800, 2))
    assert not d.found
    assert d.same == 2
    assert not compare(timed(900, 1), timed(800, 2, 0x6000), frozenset(["frame"])).found
    assert compare(timed(900, 1), timed(800, 2, 0x6000)).differing == {"frame": (FAULT.frame, 0x6000)}


def test_one_that_ends_sooner() -> None:
    d = diff([PAGE, FAULT, CALL], [PAGE])
    assert (d.same, d.events, d.after) == (1, (FAULT, None), ([CALL], []))
    assert "then b ends, and a goes on with line 2:" in text(d, "a", "b")
    assert "then b ends, and a goes on with line 2:" in text(diff([PAGE], [PAGE, CALL]), "b", "a")


def test_context_before_and_after() -> None:
    many: list[Event] = [replace(PAGE, ns=n) for n in range(10)]
    d = diff([*many, FAULT, *many], [*many, CALL, *many], context=2)
    assert d.before == many[-2:]
    assert d.after == (many[:2], many[:2])
    assert diff([*many, FAULT], many, context=0).before == []


def test_text_is_in_the_words_of_a_trace() -> None:
    d = diff([PAGE, FAULT, CALL], [PAGE, replace(FAULT, frame=0x6000), CALL])
    assert text(d, "a.jsonl", "b.jsonl").splitlines() == [
        "--- a.jsonl",
        "+++ b.jsonl",
        "1 event is the same; then line 2 and line 2 differ:",
        "     0.000001500 [2]    page    alloc   frame 0x00005000 va 0x00003000 image -    daddr 0x0 ref 1",
        "-    0.000001000 [2]    fault   0x00003000 write user             zero-fill          bss    "
        "frame 0x00005000 pc 0x00001020",
        "+    0.000001000 [2]    fault   0x00003000 write user             zero-fill          bss    "
        "frame 0x00006000 pc 0x00001020",
        "    frame: 0x00005000 in the first, 0x00006000 in the second",
        "-    0.000002000 [2]    syscall exits(nil) = ?",
        "+    0.000002000 [2]    syscall exits(nil) = ?",
        "(--ignore frame,ns passes over times and frame numbers)",
        "",
        "the counts are the same",
    ]


def test_counts_are_a_table() -> None:
    d = diff([PAGE, FAULT, CALL], [PAGE, CALL, replace(CALL, error="oops", ret=-1)])
    assert text(d, "a", "b").splitlines()[-7:] == [
        "counts that differ  | first | second | more",
        "--------------------+-------+--------+-----",
        "fault zero-fill bss |     1 |      0 |   -1",
        "syscall exits       |     1 |      2 |   +1",
        "error of exits      |     0 |      1 |   +1",
        "event fault         |     1 |      0 |   -1",
        "event syscall       |     1 |      2 |   +1",
    ]


def test_colour_is_for_those_that_differ() -> None:
    d = diff([PAGE, FAULT], [PAGE, CALL])
    assert text(d, "a", "b", color=True).count("\x1b[31m-") == 1
    assert "\x1b" not in text(d, "a", "b")


@pytest.mark.parametrize("which", ["first", "second", "both"])
def test_one_that_breaks_off_is_compared_as_far_as_it_goes(which: str) -> None:
    whole, cut = trace([PAGE, FAULT, CALL, PAGE], "whole"), trace([PAGE, FAULT], "cut", b'{"v":1,"ns"')
    pair = {"first": (cut, whole), "second": (whole, cut), "both": (cut, trace([PAGE, FAULT], "cut", b"{"))}[which]
    d = compare(*pair)
    assert (d.same, d.found, d.counts) == (2, False, [])
    assert d.cut == ["cut:3: the trace breaks off here"] * (2 if which == "both" else 1)


def test_one_that_breaks_off_after_a_difference_is_counted_as_far_as_it_goes() -> None:
    d = compare(trace([PAGE, FAULT, CALL, CALL, CALL], "whole"), trace([PAGE, CALL, CALL], "cut", b"{"))
    assert d.found
    assert d.counts == [
        Row(("fault", "zero-fill", "bss"), 1, 0), Row(("syscall", "exits"), 1, 2),
        Row(("event", "fault"), 1, 0), Row(("event", "syscall"), 1, 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (b"", "b: no event in it"),
        (b"hello\n", "b:1: not JSON"),
        (b"x" * (1 << 21), "b:1: not JSON"),
        (b'{"v":2,"event":"tlb"}\n', "b:1: schema version 2, this p9emu reads version 1"),
    ],
)
def test_what_is_no_trace(lines: bytes, why: str) -> None:
    with pytest.raises(ReadError) as e:
        compare(trace(EVENTS, "a"), Trace(io.BytesIO(lines), "b"))
    assert str(e.value) == why


def test_kinds_that_are_not_known_are_passed_over_and_counted() -> None:
    d = compare(trace([PAGE], "a", b'{"v":1,"ns":1,"pid":2,"cpu":0,"event":"moon"}\n'), trace([PAGE], "b"))
    assert not d.found
    assert d.unknown == 1


def test_document() -> None:
    obj: Any = document(diff([PAGE, FAULT], [PAGE, replace(FAULT, cls="remap")]))
    assert obj["same"] == 1
    assert obj["difference"]["fields"] == {"class": ["zero-fill", "remap"]}
    assert [ev["class"] for ev in obj["difference"]["events"]] == ["zero-fill", "remap"]
    assert obj["counts"][0] == {"what": ["fault", "remap", "bss"], "first": 0, "second": 1}
    none: Any = document(diff([PAGE], [PAGE]))
    assert none["difference"] is None


def test_names_are_those_of_json() -> None:
    assert {"ns", "pid", "class", "frame", "segment"} <= set(names())
    assert "cls" not in names()


def test_a_comparison_keeps_no_events() -> None:
    class Endless(io.RawIOBase):
        """A long trace, made as it is read."""

        def __init__(self) -> None:
            self.left = 20_000
            self.line = written([PAGE])

        def readline(self, size: int | None = -1, /) -> bytes:
            self.left -= 1
            return self.line if self.left >= 0 else b""

    import tracemalloc

    tracemalloc.start()
    try:
        d = compare(Trace(Endless(), "a"), Trace(Endless(), "b"))  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert d.same == 20_000
    assert peak < 1 << 20
