"""emu.prompt.place: on, back, to a time, to the end; what happened is the same however one has gone."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from emu.machine.config import Config
from emu.machine.statehash import statehash
from emu.prompt.place import NotHere, Place
from emu.session.live import Live
from emu.session.recorded import Recorded
from kernel.base.event import Event, FaultEvent
from tests.e2e.harness import jsontrace, run
from tests.emu.prompt.conftest import Start


def told(events: list[Event]) -> list[tuple[object, ...]]:
    return [(ev.kind, ev.ns, ev.pid, getattr(ev, "op", getattr(ev, "addr", 0))) for ev in events]


def fault(ev: Event) -> bool:
    return isinstance(ev, FaultEvent)


def test_on_and_back_by_events(debug: Start) -> None:
    place = debug("cow", "4").place
    first = place.at
    assert place.event is not None
    assert place.event.kind == "proc"
    assert place.forward(fault, 3) == 3
    third = place.at
    assert place.backward(fault) == 1
    assert place.backward(fault) == 1
    assert first < place.at < third
    assert place.forward(fault, 2) == 2
    assert place.at == third == place.newest
    assert place.backward(fault, 99) < 99
    assert place.at == 0
    assert place.forward(lambda ev: True, 5) == 5
    assert place.at == 5
    place.seek(0)
    assert place.event is None


def test_the_whole_run_is_that_of_a_trace(debug: Start) -> None:
    place = debug("cow", "4").place
    while place.forward(fault, 7) == 7:
        place.backward(fault, 2)
    assert place.ended
    assert told(place.history.events) == told(list(run("cow", "4", trace=True, check=False).events))
    assert place.held() == ""
    before = place.at
    assert place.forward(fault) == 0
    assert place.at == before


def test_to_a_time(debug: Start) -> None:
    place = debug("cow", "4").place
    place.time(10_000)
    events = place.history.events
    assert events[place.at - 1].ns <= 10_000 < events[place.at].ns
    place.time(1_000)
    assert events[place.at - 1].ns <= 1_000 < events[place.at].ns
    place.time(10**15)
    assert place.ended


def test_the_machine_is_asked_where_one_stands(debug: Start) -> None:
    place = debug("cow", "4").place
    before = place.ask(statehash)
    place.forward(fault, 2)
    assert place.ask(statehash) != before
    place.backward(fault)
    between = place.ask(statehash)
    place.end()
    assert place.source.ended
    last = place.ask(statehash)
    place.open()
    assert place.ask(statehash) == before
    place.forward(fault)
    assert place.ask(statehash) == between
    place.seek(place.newest)
    assert place.ask(statehash) == last


def test_an_interrupt_ends_the_way(debug: Start) -> None:
    place = debug("spin", "1000000").place
    timer = threading.Timer(0.3, place.interrupt)
    timer.start()
    place.end()
    assert place.interrupted
    assert not place.ended
    assert place.ask(lambda machine: machine.kernel.up) is not None
    timer.join()


def test_output_comes_when_it_was_written(debug: Start) -> None:
    live = Live(Config(), "cat", (), b"input\n")
    live.start()
    written: list[bytes] = []
    place = Place(live, written.append)
    place.open()
    place.forward(lambda ev: getattr(ev, "name", "") == "read")
    place.forward(lambda ev: getattr(ev, "name", "") == "pwrite")
    assert written == [b"input\n"]
    live.close()


def test_a_trace_is_gone_about_in_likewise(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(jsontrace("cow", "4"))
    recorded = Recorded(str(path))
    place = Place(recorded)
    place.open()
    assert getattr(place.event, "op", "") == "exec"
    assert place.forward(fault, 4) == 4
    assert place.backward(fault, 2) == 2
    place.time(10**15)
    assert place.ended
    with pytest.raises(NotHere, match="a recorded trace has no machine"):
        place.ask(lambda machine: 0)
    recorded.close()


def test_the_current_process_is_that_of_the_event(debug: Start) -> None:
    place = debug("cow", "4").place
    assert place.current() == 2
    place.forward(lambda ev: fault(ev) and ev.pid == 3)
    assert place.current() == 3
    assert place.name(3) == "cow[3]"
    place.seek(0)
    assert place.current() == 0
