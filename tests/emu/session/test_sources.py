"""Where events come from: a machine that stands still, and a trace that is read while it is looked at."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from emu.machine.config import Config, LoadError
from emu.machine.signals import TimeLimit
from emu.session.live import AHEAD, Live
from emu.session.recorded import Recorded
from emu.session.source import Item, Source
from kernel.base.error import Panic
from kernel.base.event import Event, FaultEvent, ProcEvent
from kernel.memory import fault
from tests.e2e.harness import jsontrace

WAIT = 20  # s; nothing takes that long


def until(source: Source) -> list[Item]:
    """What comes until it stands still."""
    for _ in range(WAIT * 100):
        if source.still:
            return list(source.items)
        time.sleep(0.01)
    raise AssertionError("it does not come to rest")


def plain(items: list[Item]) -> list[tuple[object, ...]]:
    """Events without what an observer added to them."""
    return [(i.event.kind, i.event.ns, getattr(i.event, "addr", getattr(i.event, "op", ""))) for i in items]


def machines() -> int:
    return threading.active_count()


def test_a_machine_stands_where_its_program_begins_and_goes_on_as_far_as_is_wanted(cow: list[Event]) -> None:
    before = machines()
    live = Live(Config(), "cow", ["4"])
    assert live.start() is None
    items = until(live)
    assert isinstance(items[-1].event, ProcEvent)
    assert live.state() == "stands still"
    live.go(lambda ev: isinstance(ev, FaultEvent), 3)
    items = until(live)
    assert sum(isinstance(i.event, FaultEvent) for i in items) == 1 + 3
    assert isinstance(items[-1].event, FaultEvent)
    found = items[-1].found
    assert found is not None
    assert found.symbol == "main+0x53"
    assert found.code
    live.go()
    items = until(live)
    assert plain(items) == plain([Item(ev, None) for ev in cow])
    assert live.ended
    assert live.state() == "ended well"
    assert live.troubles() == []
    live.go()
    live.close()
    assert machines() == before


def test_a_machine_that_stands_still_can_be_given_up() -> None:
    before = machines()
    live = Live(Config(swap=1 << 20), "cow", ["4"])
    live.start()
    live.close()
    assert machines() == before
    assert live.state() == "broken off"


def test_a_machine_that_computes_for_ever_can_be_given_up() -> None:
    before = machines()
    live = Live(Config(), "spin", ["1000000"])
    live.start()
    live.go()
    for _ in range(WAIT * 100):
        if len(live.items) > 50:  # the rest tells nothing
            break
        time.sleep(0.01)
    assert live.state() == "runs"
    live.pause()
    assert live.state() == "stops at its next event"
    live.close()
    assert machines() == before


def test_a_pause_is_at_the_next_event() -> None:
    live = Live(Config(), "cow", ["500"])
    live.start()
    live.go()
    live.pause()
    first = len(until(live))
    live.go()
    assert len(until(live)) > first
    assert live.state() == "ended well"
    live.close()


def test_a_machine_does_not_run_far_ahead_of_its_viewer() -> None:
    live = Live(Config(), "cow", ["2000"])
    live.start()
    live.go()
    while len(live.items) <= AHEAD:
        time.sleep(0.01)
    taken = 0
    for _ in range(WAIT * 1000):
        assert len(live.items) <= AHEAD + 1
        if live.still and not live.items:
            break
        while live.items:
            live.items.popleft()
            taken += 1
        time.sleep(0.001)
    assert taken > AHEAD + 1
    assert live.state() == "ended well"
    live.close()


def test_a_machine_that_waits_for_its_viewer_can_be_given_up() -> None:
    before = machines()
    live = Live(Config(), "cow", ["2000"])
    live.start()
    live.go()
    for _ in range(WAIT * 100):
        if len(live.items) > AHEAD:
            break
        time.sleep(0.01)
    live.close()
    assert machines() == before
    assert live.state() == "broken off"


def test_a_program_that_is_not_there_is_told_before_anything_is_shown() -> None:
    live = Live(Config(), "nosuch", [])
    error = live.start()
    assert isinstance(error, LoadError)
    assert error.status == 127
    live.close()


def test_a_run_that_is_broken_off_keeps_its_history() -> None:
    live = Live(Config(timeout=0.2), "spin", ["1000000"])
    live.start()
    time.sleep(0.4)  # while it stands still its time does not pass
    live.go()
    items = until(live)
    assert len(items) > 45
    assert isinstance(live.error, TimeLimit)
    assert live.troubles() == ["The run did not come to its end: time limit of 0.2 s reached."]
    assert live.state() == "broken off"
    live.close()


def test_a_panic_is_told_and_what_was_can_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def panics(*args: object) -> None:
        raise Panic("of a test")

    monkeypatch.setattr(fault, "copypage", panics)
    live = Live(Config(), "cow", ["4"])
    live.start()
    live.go()
    items = until(live)
    assert live.troubles() == ["The run did not come to its end: panic: of a test."]
    assert any(isinstance(i.event, ProcEvent) and i.event.op == "fork" for i in items)
    assert live.state() == "broken off"
    live.close()


def test_no_more_is_kept_than_can_be() -> None:
    live = Live(Config(), "cow", ["4"], limit=100)
    live.start()
    live.go()
    until(live)
    live.go()
    assert len(until(live)) == 100
    assert live.troubles() == ["The machine stands still for good: a view keeps no more than 100 events."]
    live.close()


def test_an_exit_string_is_told() -> None:
    live = Live(Config(), "false", ["because"])
    live.start()
    live.go()
    until(live)
    assert live.state() == 'ended with "because"'
    live.close()


def test_output_is_that_of_the_moment() -> None:
    live = Live(Config(), "cat", [], b"input\n")
    live.start()
    live.go()
    items = until(live)
    writes = [n for n, i in enumerate(items) if getattr(i.event, "name", "") == "pwrite"]
    assert live.output(writes[0] - 1) == ""
    assert live.output(writes[0] + 1) == "input\n"
    assert live.output(len(items)) == "input\n"
    live.close()


def test_only_a_screenful_of_output_is_kept_together() -> None:
    live = Live(Config(), "cat", [], b"x" * 99_999 + b"end")
    live.start()
    live.go()
    until(live)
    assert live.output(10**9).endswith("end")
    assert len(live.output(10**9)) < 20_000
    live.close()


def test_a_trace_is_read(tmp_path: Path, cow: list[Event]) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(jsontrace("cow", "4"))
    recorded = Recorded(str(path))
    assert recorded.first()
    items = until(recorded)
    assert plain(items) == plain([Item(ev, None) for ev in cow])
    assert recorded.troubles() == []
    assert recorded.state() == "reading, 100%"  # nobody has taken them
    recorded.items.clear()
    assert recorded.state() == "recorded"
    recorded.close()


def test_a_trace_that_is_cut_is_shown_so_far(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(jsontrace("cow", "4")[:-30] + "\x00")
    recorded = Recorded(str(path))
    assert recorded.first()
    assert len(until(recorded)) == recorded.count
    assert recorded.troubles()[0].startswith("The trace is cut in the middle of a line")
    recorded.close()


def test_rubbish_is_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "rubbish"
    path.write_bytes(bytes(range(256)) * 100)
    recorded = Recorded(str(path))
    assert not recorded.first()
    recorded.close()


def test_a_directory_is_no_trace(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        Recorded(str(tmp_path))


def test_of_a_trace_no_more_is_read_than_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(jsontrace("cow", "4"))
    recorded = Recorded(str(path), limit=50)
    assert len(until(recorded)) == 50
    assert recorded.troubles() == ["Only the first 50 events are shown: a view keeps no more."]
    recorded.items.clear()
    assert recorded.state() == "recorded, the first 50 events"
    recorded.close()


def test_a_trace_may_tell_source_lines(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    lines = jsontrace("cow", "4").splitlines()
    n = next(i for i, line in enumerate(lines) if '"event":"fault"' in line)
    lines[n] = lines[n][:-1] + ',"file":"cow.c","line":23}'
    path.write_text("\n".join(lines) + "\n")
    recorded = Recorded(str(path))
    items = until(recorded)
    assert [i for i, item in enumerate(items) if item.found is not None] == [n]
    found = items[n].found
    assert found is not None
    assert found.place == ("cow.c", 23)
    recorded.close()


def test_a_machine_that_stands_still_answers_in_its_own_thread() -> None:
    live = Live(Config(), "cow", ["4"])
    live.start()
    until(live)
    assert live.ask(lambda machine: machine.kernel.up is not None)
    assert live.ask(lambda machine: threading.current_thread()) is live._thread
    with pytest.raises(LookupError, match="nothing"):
        live.ask(lambda machine: dict[str, int]()["nothing"])
    assert live.ask(lambda machine: machine.kernel.palloc.user) > 1000
    live.go()
    until(live)
    assert live.state() == "ended well"
    with pytest.raises(RuntimeError, match="has ended"):
        live.ask(lambda machine: 0)
    live.close()


def test_a_machine_that_computes_can_be_halted_between_two_events() -> None:
    before = machines()
    live = Live(Config(), "spin", ["1000000"])
    live.start()
    live.go()
    for _ in range(WAIT * 100):
        if len(live.items) > 50:  # the rest tells nothing
            break
        time.sleep(0.01)
    with pytest.raises(RuntimeError, match="the machine runs"):
        live.ask(lambda machine: 0)
    live.halt()
    first = until(live)
    assert live.state() == "stands still"
    pc = live.ask(lambda machine: [p.regs.pc for p in machine.kernel.procs.proctab if p.pid == 2 and p.regs])
    assert pc[0] > 0x1000
    live.go()
    live.halt()
    assert until(live) == first
    live.close()
    assert machines() == before


def test_all_output_is_given_as_it_is_written() -> None:
    live = Live(Config(), "cat", [], b"x" * 99_999 + b"end")
    written: list[bytes] = []
    live.onwrite = written.append
    live.start()
    live.go()
    until(live)
    assert b"".join(written) == b"x" * 99_999 + b"end"
    live.close()
