"""Going about in a run: on, back, to faults, and beyond what has happened yet."""

from __future__ import annotations

import time

import pytest

from emu.observe.filter import DEFAULT, KINDS
from emu.view import panels
from emu.view import session as module
from emu.view.index import classof
from emu.view.paint import text
from emu.view.session import SPEEDS, Session
from kernel.base.event import Event, FaultEvent
from tests.emu.view.faked import Source, goto, of, session


def settle(s: Session) -> None:
    """Let all arrive that was asked for."""
    while s.take(10):
        pass


def places(events: list[Event], kinds: frozenset[str] = DEFAULT) -> list[int]:
    return [i + 1 for i, ev in enumerate(events) if ev.kind in kinds]


def test_steps_go_through_the_listed_events_and_back(cow: list[Event]) -> None:
    s = session(cow)
    there = []
    while not s.message:
        s.step()
        there.append(s.at)
    assert there[:-1] == places(cow)
    assert s.at == len(cow)  # the end lies beyond the last of them
    assert s.message == "This is the end."
    back = []
    while s.at:
        s.step(-1)
        back.append(s.at)
    assert back == [*reversed(places(cow)), 0]
    s.step(-1)
    assert s.message == "This is the beginning."


def test_ten_steps_are_ten_events(cow: list[Event]) -> None:
    s = session(cow)
    s.step(10)
    assert s.at == places(cow)[9]
    s.step(-3)
    assert s.at == places(cow)[6]


def test_all_events_may_be_listed(cow: list[Event]) -> None:
    s = session(cow)
    s.all = True
    s.step()
    s.step()
    assert s.at == 2
    assert s.listed() == len(cow)
    s.step(-1)
    assert s.at == 1


def test_faults_and_classes(cow: list[Event]) -> None:
    s = session(cow)
    faults = [i + 1 for i, ev in enumerate(cow) if isinstance(ev, FaultEvent)]
    copies = [i + 1 for i, ev in enumerate(cow) if isinstance(ev, FaultEvent) and ev.cls == "cow-copy"]
    s.fault()
    s.fault()
    assert s.at == faults[1]
    s.fault(False)
    assert s.at == faults[0]
    s.fault(False)
    assert s.at == faults[0]
    assert s.message == "There is no page fault before this."
    goto(s, copies[0])
    seen = [s.at]
    while not s.message:
        s.same()
        seen.append(s.at)
    assert seen == [*copies, copies[-1]]
    assert s.message == "There is no fault cow-copy after this."
    s.same(False)
    assert s.at == copies[-2]


def test_a_class_needs_an_event(cow: list[Event]) -> None:
    s = session(cow)
    s.same()
    assert s.message == "No event has happened yet."


def test_a_machine_runs_on_only_beyond_what_has_happened(cow: list[Event]) -> None:
    source = Source(cow)
    s = Session(source, of())
    s.step()
    settle(s)
    assert (s.at, s.newest, source.asked) == (places(cow)[0], places(cow)[0], 1)
    s.fault()
    settle(s)
    s.step(-1)
    s.step()
    assert source.asked == 2  # forward again is shown again
    assert s.at == s.newest
    s.step(3)
    settle(s)
    assert s.at == places(cow)[places(cow).index(s.history.at)]
    assert source.asked == 3
    s.end()
    settle(s)
    assert s.at == len(cow)
    s.step()
    assert s.message == "This is the end."


def test_what_never_comes_is_told_at_the_end(cow: list[Event]) -> None:
    last = max(i for i, ev in enumerate(cow) if isinstance(ev, FaultEvent))
    keys = ((Session.fault, "page fault"), (Session.same, classof(cow[last])), (Session.step, "event that is listed"))
    for key, what in keys:
        source = Source(cow)
        s = Session(source, of(frozenset({"fault"})))
        source.go(lambda ev: ev is cow[last])
        settle(s)
        s.end()
        assert s.at == last + 1
        key(s)
        settle(s)
        assert s.at == s.newest == len(cow)
        assert s.message == f"No {what} came any more; this is the end."
        s.step(-1)
        assert s.message == ""


def test_the_end_is_first_the_newest_event(cow: list[Event]) -> None:
    source = Source(cow)
    s = Session(source, of())
    s.step(20)
    settle(s)
    newest = s.newest
    s.start()
    assert s.at == 0
    s.end()
    assert (s.at, source.asked) == (newest, 1)
    s.end()
    settle(s)
    assert s.at == len(cow)


def test_what_is_not_read_yet_is_no_end(cow: list[Event]) -> None:
    source = Source(cow[:50], live=False)
    source.rest.extend(cow[50:])
    s = Session(source, of())
    s.take(10)
    goto(s, 50)
    s.step()
    assert s.message == "This is all that was read yet."
    s.all = True
    goto(s, 39)  # an exec, of which there is one
    s.same()
    assert s.message == "No proc exec was read yet."


def test_looking_begins_at_the_program(cow: list[Event]) -> None:
    s = Session(Source(cow, live=False), of())
    s.open()
    ev = s.event
    assert ev is not None
    assert classof(ev) == "proc exec"
    s = Session(Source([e for e in cow if e.kind == "fault"], live=False), of())
    s.open()
    assert s.at == 0


def test_running_goes_at_its_speed_to_the_end(cow: list[Event]) -> None:
    s = session(cow)
    s.speed = SPEEDS.index(10)
    s.run()
    s.tick(0.1)
    first = s.at
    assert first == places(cow)[1]  # one at once
    s.tick(0.1)
    assert s.at == places(cow)[2]
    s.tick(0.05)
    assert s.at == places(cow)[2]
    s.run()
    s.tick(10)
    assert s.at == places(cow)[2]
    s.run()
    for _ in range(100):
        s.tick(1)
    assert s.at == len(cow)
    assert not s.running


def test_running_as_fast_as_it_goes(cow: list[Event]) -> None:
    s = Session(Source(cow), of())
    s.speed = len(SPEEDS) - 1
    s.run()
    for _ in range(3):
        s.tick(0.05)
        settle(s)
    assert s.at == len(cow)
    s.tick(0.05)
    assert not s.running


def test_speeds_have_bounds(cow: list[Event]) -> None:
    s = session(cow)
    s.faster(-99)
    assert s.pace() == "1/s"
    s.faster(99)
    assert s.pace() == "as fast as it goes"


def test_stopping_pauses_a_machine_that_runs(cow: list[Event]) -> None:
    source = Source(cow)
    s = Session(source, of())
    source.still = False
    s.run()
    assert source.paused


def test_a_long_way_is_gone_in_pieces(cow: list[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE", 10)
    monkeypatch.setattr(time, "monotonic", iter(range(10**6)).__next__)
    s = session(cow)
    s.seek(100)
    seen = [s.at]
    while s.target is not None:
        s.take(0.5)
        seen.append(s.at)
    assert seen == list(range(10, 110, 10))
    assert not s.take(0.5)


def test_processes_are_chosen_in_turn(cow: list[Event]) -> None:
    s = session(cow)
    s.choose(1)
    assert (s.pid, s.process()) == (None, 0)
    fork = next(i for i, ev in enumerate(cow) if classof(ev) == "proc fork")
    goto(s, fork + 1)
    assert s.process() == 2
    s.choose(1)
    s.choose(1)
    assert s.process() == 3
    s.choose(1)
    assert s.pid is None
    s.choose(-1)
    assert s.pid == 3


def test_the_memory_shown_stays_when_others_are_at_work(cow: list[Event]) -> None:
    s = session(cow)
    at = next(i for i, ev in enumerate(cow) if isinstance(ev, FaultEvent) and ev.pid == 3)
    goto(s, at + 1)
    assert s.process() == 3
    off = next(i for i in range(at, len(cow)) if cow[i].pid not in (2, 3))
    goto(s, off + 1)
    assert s.process() in s.history.model.places.now or s.process() == 0


def test_search_goes_on_and_round(cow: list[Event]) -> None:
    s = session(cow)

    def line(n: int) -> str:
        return str(getattr(cow[n], "cls", ""))

    found = []
    for _ in range(6):
        s.search("COW-COPY", line)
        settle(s)
        found.append(s.at)
    copies = [i + 1 for i, ev in enumerate(cow) if isinstance(ev, FaultEvent) and ev.cls == "cow-copy"]
    assert found == [*copies, copies[0]]
    s.search("no such", line)
    settle(s)
    assert s.message == "No event that there is yet has 'no such' in it."


def test_letters_are_those_of_processes_with_memory(cow: list[Event]) -> None:
    s = session(cow)
    assert [s.owners.letter(pid) for pid in (1, 2, 3)] == ["?", "a", "b"]


def test_extremes_are_those_until_the_moment(cow: list[Event]) -> None:
    s = session(cow, kinds=frozenset(KINDS))
    most = 0
    for at in range(len(cow) + 1):
        goto(s, at)
        most = max(most, len(s.history.model.frames.now))
        assert s.index.used(at) == most
        faults = sum(isinstance(ev, FaultEvent) for ev in cow[:at])
        assert sum(s.index.faultcounts(at).values()) == faults
    assert s.index.swapped(len(cow)) == 0


def test_a_trace_is_run_through_while_it_is_read(cow: list[Event]) -> None:
    source = Source(cow[:120], live=False)
    source.rest.extend(cow[120:])
    source.still = False
    s = Session(source, of())
    s.take(10)
    s.run()
    assert s.running
    for _ in range(100):
        s.tick(1)
    assert s.at == 120
    assert s.message == "This is all that was read yet."


def test_a_trace_that_lacks_kinds_of_events_says_which(cow: list[Event]) -> None:
    s = session([ev for ev in cow if ev.kind in DEFAULT])
    told = (
        "This trace has no events of these kinds, so what they tell is not known: boot, page, entry, segment, mmu, "
        "sched. trace -e %all --format json records all."
    )
    assert s.message == told
    s.step()
    assert s.message == ""
    goto(s, s.newest)
    s.take()
    assert s.message == ""
    assert text(panels.words(s, 200, 4)[0]) == told
    s = Session(Source([ev for ev in cow if ev.kind in DEFAULT], live=False), of())
    s.open()
    assert s.at
    assert s.message == told
    assert session(cow).message == ""
    assert session(cow, live=True).lacking() == ""


def test_a_search_tells_how_far_it_is_and_a_key_ends_it(cow: list[Event], monkeypatch: pytest.MonkeyPatch) -> None:
    s = session(cow)
    monkeypatch.setattr(time, "monotonic", iter(range(10**6)).__next__)
    s.search("nowhere", lambda n: "")
    s.take(3)
    assert s.message.startswith("searching: ")
    s.stop()
    s.take(10**6)
    assert s.message.startswith("searching: ")
    assert s.at == 0
