"""emu.prompt.commands: each command says what the machine or its history says, and bad words are one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from emu.api import looks, views
from emu.machine.config import Bind
from emu.observe.answers.why import why
from emu.observe.filter import select
from emu.prompt.commands import Debugger, Quit
from emu.prompt.lines import Wrong
from emu.prompt.place import NotHere, Place
from emu.session.recorded import Recorded
from kernel.base.event import FaultEvent
from tests.e2e.harness import jsontrace
from tests.emu.prompt.conftest import Start

M = 1 << 20


def said(d: Debugger, line: str) -> list[str]:
    return list(d.do(line))


def place(rows: list[str]) -> int:
    """The number of the event that the first row tells."""
    return int(rows[0].split()[0].replace(",", ""))


def test_ways(debug: Start) -> None:
    d = debug("cow", "4")
    rows = said(d, "until fault class=cow-copy,segment=bss")
    at = place(rows)
    assert " cow-copy " in rows[0]
    assert "main+0x" in rows[0]
    assert rows[1].strip().startswith("Shared after fork, copied on the first write")
    assert place(said(d, "back")) < at
    assert place(said(d, "s")) == at
    assert place(said(d, "back fault:class=zero-fill")) < at
    assert place(said(d, "goto fault:class=cow-copy 2")) == at
    assert place(said(d, "goto 9")) == d.place.newest
    assert said(d, "step")[-1] == "this is the end: the run ended well"
    assert said(d, "rewind") == ["nothing has happened yet: the machine is not switched on"]
    assert place(said(d, "goto event 30")) == 30
    assert place(said(d, "goto 0.0000005s")) > 30
    assert place(said(d, "goto end")) == d.place.newest
    assert said(d, "goto start") == said(d, "where")
    assert said(d, "back")[0].startswith("nothing has happened yet")
    said(d, "select %all")
    assert place(said(d, "step 4")) == 4
    assert said(d, "back 9") == ["there are no more of these before: this is the beginning"]


def test_a_time_is_gone_to_at_which_a_program_computes(debug: Start) -> None:
    d = debug("spin", "500")
    assert said(d, "goto 0.1")[-1].startswith("the machine stands behind it, at 0.1")
    assert not d.place.source.ended
    assert 100_000_000 < d.place.ask(lambda machine: machine.cpus[0].now()) < 200_000_000


def test_an_empty_line_goes_once_more(debug: Start) -> None:
    d = debug("cow", "4")
    assert said(d, "") == []
    first = place(said(d, "until fault"))
    second = place(said(d, ""))
    assert second > first
    said(d, "where")
    assert said(d, "") == []
    assert said(d, "# step") == []


def test_to_run_is_to_go_to_the_end(debug: Start) -> None:
    d = debug("false", "because")
    assert said(d, "run")[-1] == 'this is the end: the run ended with "because"'
    assert said(d, "continue")[-1] == 'this is the end: the run ended with "because"'


def test_questions_to_the_machine_are_those_of_the_api(debug: Start) -> None:
    d = debug("swapfork", "300", memory=4 * M, swap=16 * M)
    said(d, "until fault class=swap-in,mode=user")
    ev = d.place.event
    assert isinstance(ev, FaultEvent)
    ask = d.place.ask
    walk = ask(lambda m: views.walk(m.kernel, ev.pid, ev.addr))
    assert said(d, "pte") == [str(walk), f"        {walk.words}"]
    assert said(d, f"pte {ev.addr:#x} {ev.pid}") == said(d, "pte")
    assert said(d, "locks") == str(ask(lambda m: looks.heldlocks(m.kernel))).splitlines()
    queue = [str(p) for p in ask(lambda m: looks.queue(m.kernel))]
    assert said(d, "queue") == (queue or ["nobody waits for a processor"])
    assert said(d, "stack") == str(ask(lambda m: looks.stack(m, ev.pid))).splitlines()
    assert said(d, "disasm") == str(ask(lambda m: looks.code(m, ev.pid))).splitlines()
    assert said(d, f"disasm {ev.pc:#x} {ev.pid}") == said(d, "disasm")
    assert said(d, "invariants")[0].startswith("every invariant of the memory subsystem holds (swapfork[")
    assert f"pc {ev.pc:08x}" in said(d, "regs")[1]
    assert said(d, "why") == str(why(d.place.history, ev.addr, ev.pid)).splitlines()
    assert said(d, "why")[-1].split()[3] == "swap-in:"
    assert f"  swapfork[{ev.pid}] at 0x{ev.addr & -0x1000:08x} (bss)" in said(d, "page")
    assert len(said(d, "segs")) == 4
    assert said(d, "image 0")[0] == said(d, "image")[0]
    assert [row.split()[1] for row in said(d, "procs")] == ["init", "swapfork", "swapfork", "pager", "swapfork"]
    assert not d.broken


def test_what_processes_are_at_is_what_ps_would_tell(debug: Start) -> None:
    d = debug("cow", "2")
    said(d, "until fault:pid=2,class=remap,segment=bss")
    assert said(d, "procs")[1].startswith("  2 cow          Running on cpu0, made by 1;")
    said(d, "back fault:pid=3,class=cow-copy,segment=bss")
    rows = said(d, "procs")
    assert rows[1].startswith("  2 cow          Ready (Rfork), made by 1;")
    assert rows[2].startswith("  3 cow          Running (New) on cpu0, made by 2;")


QUESTIONS = "pte", "queue", "locks", "stack", "regs", "disasm", "invariants", "procs", "segs"


def test_in_the_past_all_is_answered_as_it_was_when_it_was_now(debug: Start) -> None:
    d = debug("swapfork", "250", memory=4 << 20, swap=16 << 20)
    was = {}
    for n in range(1, 9):
        said(d, f"until fault {29 * n}")
        was[d.place.at] = [said(d, line) for line in QUESTIONS]
    said(d, "run")
    assert d.place.ended
    for at in (*sorted(was, reverse=True), min(was), max(was)):
        said(d, f"goto event {at}")
        assert [said(d, line) for line in QUESTIONS] == was[at], at


def test_a_word_is_seen_as_it_was(debug: Start) -> None:
    d = debug("cow", "4")
    said(d, "until fault class=cow-copy,mode=user")
    ev = d.place.event
    assert isinstance(ev, FaultEvent)
    now = said(d, "pte")
    said(d, "goto fault 1")
    assert said(d, f"pte {ev.addr:#x} 2") == [
        f"0x{ev.addr:08x}: pde 0x00000000 pte 0x00000000 ------",
        "        not mapped: a touch is a page fault",
    ]
    said(d, "goto end")
    assert said(d, "pte") == now


def answers(d: Debugger, at: int) -> list[list[str]]:
    """All there is to be asked at an event."""
    said(d, f"goto event {at}")
    return [said(d, line) for line in ("pte 0x1020 2", "regs 2", "stack 2", "locks", "queue", "invariants")]


def test_what_the_host_had_a_part_in_is_as_it_was(debug: Start, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    d = debug(
        "cat", "/x/file", "/dev/time", "-", clock="real", stdin=b"in", binds=(Bind(str(tmp_path), "/x", cow=True),)
    )
    was = {}
    for _ in range(3):
        said(d, "until syscall 3")
        was[d.place.at] = answers(d, d.place.at)
    (tmp_path / "file").write_text("longer than before")
    said(d, "run")
    (tmp_path / "file").unlink()
    for at in sorted(was, reverse=True):
        assert answers(d, at) == was[at]


def test_before_the_first_event_there_is_no_machine(debug: Start) -> None:
    d = debug("cow", "4")
    said(d, "rewind")
    with pytest.raises(NotHere, match="not switched on yet"):
        said(d, "locks")


def test_a_trace_is_asked_likewise(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(jsontrace("cow", "4"))
    recorded = Recorded(str(path))
    p = Place(recorded)
    p.open()
    d = Debugger(p, select())
    assert " cow-copy " in said(d, "until fault class=cow-copy")[0]
    assert said(d, "why")[-1].split()[3] == "cow-copy:"
    assert said(d, "pte")[-1] == "a recorded trace has no machine to ask; here only what events tell"
    assert said(d, "run")[-1] == "this is the end"
    recorded.close()


def test_what_is_broken_is_remembered(debug: Start) -> None:
    d = debug("cow", "4")
    said(d, "until fault class=cow-copy")

    def spoil(machine: object, ref: int) -> None:
        pages = machine.kernel.palloc.pages.values()  # type: ignore[attr-defined]
        next(p for p in pages if p.ref == 1 - ref).ref = ref

    d.place.ask(lambda m: spoil(m, 0))
    assert said(d, "invariants")[0].startswith("broken")
    assert d.broken


def test_events_are_listed(debug: Start) -> None:
    d = debug("cow", "4")
    rows = said(d, "events")
    assert len(rows) == 10
    assert rows[-1:] == said(d, "where")[:1]
    assert len(said(d, "events 3")) == 3
    assert len(said(d, "events 99999")) == d.place.at
    assert [place([row]) for row in rows] == list(range(d.place.at - 9, d.place.at + 1))


def test_help_tells_every_command(debug: Start) -> None:
    d = debug("cow", "4")
    rows = said(d, "help")
    for name in d.commands:
        assert any(row.startswith(name) for row in rows)
        assert said(d, f"help {name}")[0].startswith(name)


def test_the_end(debug: Start) -> None:
    d = debug("cow", "4")
    for line in ("quit", "q", "exit"):
        with pytest.raises(Quit):
            said(d, line)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("bogus", "there is no command 'bogus': help tells which there are"),
        ("st", "st may be step or stack"),
        ("step x", "'x' is not a number of events, from 1 on"),
        ("step 0", "'0' is not a number of events, from 1 on"),
        ("step ²", "'²' is not a number of events, from 1 on"),
        ("step 1 2", "usage: step [N]"),
        ("until", "usage: until EVENTS [N]"),
        ("until nosuch", "unknown event 'nosuch'; the events are "),
        ("until fault class=zz", "no fault has class 'zz'; there are "),
        ("until fault 0", "'0' is not a number of events"),
        ("back page op=zz", "no page has op 'zz'; there are "),
        ("goto x", "'x' is not a time in seconds, as 0.0123; or write: goto EVENTS N"),
        ("goto .", "'.' is not a time in seconds"),
        ("goto fault x", "'x' is not a number of events, from 1 on"),
        ("why", "this event tells no address: write one, as 0x3004"),
        ("why zz", "'zz' is not an address, as 0x3004"),
        ("why -1", "-1 is not an address of 32 bits"),
        ("why 0x100000000", "0x100000000 is not an address of 32 bits"),
        ("why 0x99999000", "0x99999000 is in no segment of cow[2]"),
        ("why 0x3000 99", "no process 99 has memory at this moment"),
        ("why 0x3000 x", "'x' is not the number of a process"),
        ("page", "this event tells no frame: write one"),
        ("page 0x1000", "0x00001000 is no frame of the pool, which is 0x"),
        ("pte 0x3000 99", "there is no process 99"),
        ("segs 99", "no process 99 has memory at this moment"),
        ("image 9", "there is no image 9 at this moment; there are: 0"),
        ("stack 99", "there is no process 99"),
        ("regs 99", "there is no process 99"),
        ("disasm 0xfffff000", "nothing of cow[2] is in memory at 0xfffff000"),
        ("disasm 0x1020 1", "nothing of init[1] is in memory at 0x00001020"),
        ("help bogus", "there is no command 'bogus'"),
        ("events -1", "'-1' is not a number of events"),
        ("where 1", "usage: where"),
    ],
)
def test_what_is_wrong_is_one_line(debug: Start, line: str, why: str) -> None:
    d = debug("cow", "4")
    with pytest.raises(Wrong) as e:
        said(d, line)
    assert str(e.value).startswith(why)
    assert "\n" not in str(e.value)


def test_where_nothing_has_happened_nobody_can_be_meant(debug: Start) -> None:
    d = debug("cow", "4")
    said(d, "rewind")
    for line in ("segs", "why 0x3000"):
        with pytest.raises(Wrong, match="no process has memory at this moment"):
            said(d, line)
    assert said(d, "procs") == ["there is no process"]
    assert said(d, "image") == ["there is no image"]
    assert said(d, "events") == []
