"""emu.observe.answers.why: the steps to an entry are those that the trace has."""

from __future__ import annotations

import pytest

from emu.observe.answers.why import Trail, why
from emu.observe.model.history import History
from emu.observe.model.model import Model
from emu.observe.model.records import FLAGS, ONSWAP
from kernel.base.event import EntryEvent, Event, FaultEvent, PageEvent, SegmentEvent
from tests.e2e.harness import run

PAGE = 0x1000


def entry(m: Model, pid: int, va: int) -> int | None:
    """What the model has at an address of a process."""
    for id in m.places.row(pid).values():
        s = m.segments.now[id]
        if s.base <= va < s.top:
            return m.entries.row(id).get((va - s.base) // PAGE)
    return None


def shown(e: int | None) -> str:
    return "nothing" if e is None else f"slot 0x{e & ~FLAGS:x}" if e & ONSWAP else f"frame 0x{e:08x}"


def whats(trail: Trail) -> list[str]:
    return [step.what for step in trail.steps]


def inorder(wanted: list[str], there: list[str]) -> bool:
    """Whether the wanted words are there in that order, others between them or not."""
    rest = iter(there)
    return all(any(w.split("+")[0] == word for w in rest) for word in wanted)


def faults(h: History, **fields: object) -> list[tuple[int, FaultEvent]]:
    """The moments after faults with these fields."""
    return [
        (i + 1, ev)
        for i, ev in enumerate(h.events)
        if isinstance(ev, FaultEvent) and all(getattr(ev, name) == value for name, value in fields.items())
    ]


def test_a_page_that_was_shared_and_on_swap_names_fork_page_out_slot_swap_in_and_copy(swapfork: History) -> None:
    """Of each page that a child copied after it had been put out and brought back; the trace says the same."""
    h = swapfork
    forked = {ev.target: i for i, ev in enumerate(h.events) if isinstance(ev, SegmentEvent) and ev.op == "attach"}
    seen = 0
    for at, ev in faults(h, cls="cow-copy", segment="bss")[::10]:
        h.seek(at)
        trail = why(h, ev.addr, ev.pid)
        said = whats(trail)
        if "swap-in" not in said or said.index("page-out") < said.index("fork"):
            continue
        seen += 1
        assert inorder(["segment", "zero-fill", "fork", "page-out", "slot", "swap-in", "cow-copy"], said), str(trail)
        assert trail.now == shown(ev.frame)
        # what the trace has: the child's segment is a copy of its parent's, which had the page first
        fork = next(s for s in trail.steps if s.what == "fork").event
        assert isinstance(fork, SegmentEvent)
        assert fork.old
        out = next(s for s in trail.steps if s.what == "page-out").event
        slot = next(s for s in trail.steps if s.what == "slot").event
        assert isinstance(out, PageEvent)
        assert isinstance(slot, EntryEvent)
        assert (out.op, slot.op) == ("page-out", "swap")
        assert out.daddr == slot.daddr
        assert out.va == slot.va == ev.addr & -PAGE
        last = trail.steps[-1]
        assert last.at == at
        assert last.event is ev
        assert f"[{ev.pid}] wrote" in last.text
        assert last.text.index("copied into") < last.text.index(shown(ev.frame))
    assert seen > 10
    assert forked


def test_every_step_is_an_event_of_the_trace_and_what_it_came_to_is_told(swapfork: History) -> None:
    """At many moments, of many pages: in order, each its event, and no change of the entry is missing."""
    h = swapfork
    for at in range(500, len(h.events), 9001):
        for pid in (2, 3, 5):
            h.seek(at)
            for va in (0x1000, 0x3000, 0x10000, 0x51000, 0x80000, 0xDFFFE000):
                if pid not in h.model.places.now:
                    continue
                trail = why(h, va + 5, pid)
                assert trail.now.removesuffix(" of swap") == shown(entry(h.model, pid, va))
                places = [step.at for step in trail.steps]
                assert places == sorted(set(places))
                assert all(step.event is h.events[step.at - 1] for step in trail.steps)
                assert places[-1] <= at
                changed = [s for s in trail.steps if s.what not in ("fork", "swap-write", "swap-end", "reclaim")]
                if trail.now != "nothing":
                    assert any(trail.now.split(" of ")[0] in s.text for s in changed), str(trail)


@pytest.mark.parametrize(("va", "pid"), [(0x10000, 3), (0x11000, 5), (0x80000, 2), (0x1000, 5)])
def test_every_entry_that_the_page_had_is_told(swapfork: History, va: int, pid: int) -> None:
    """Replayed event by event: each new frame or slot since the process was made is in the trail."""
    h = swapfork
    end = next(i for i, ev in enumerate(h.events) if ev.kind == "proc" and getattr(ev, "op", "") == "exit")
    h.seek(end)
    trail = why(h, va, pid)
    had: list[int] = []
    m = Model()
    for ev in h.events[:end]:
        m.apply(ev)
        e = entry(m, pid, va) if isinstance(ev, EntryEvent | SegmentEvent) else None
        if e is not None and (not had or had[-1] != e):
            had.append(e)
    texts = [step.text for step in trail.steps]
    for e in had:
        while texts and shown(e) not in texts[0]:
            del texts[0]
        assert texts, f"{shown(e)} is not told, or not in its place:\n{trail}"


def test_a_shared_text_tells_who_shares_it_and_what_the_page_cache_did(swapfork: History) -> None:
    h = swapfork
    h.seek(25_000)
    trail = why(h, 0x1020, 5)
    said = whats(trail)
    assert inorder(["segment", "file", "text-load", "share", "remap", "none", "cache-hit", "share"], said)
    assert any("/bin/swapfork, byte 0" in step.text for step in trail.steps)
    lines = str(trail).splitlines()
    assert any(line.endswith(" more of these") for line in lines)
    assert len(lines) < len(trail.steps)


def test_the_stack_that_exec_made_was_moved(cow: History) -> None:
    at, ev = faults(cow, segment="stack", cls="cow-copy")[0]
    cow.seek(at)
    trail = why(cow, ev.addr, ev.pid)
    assert inorder(["segment", "zero-fill", "move", "remap", "fork", "cow-copy"], whats(trail))


def test_a_write_to_a_page_of_the_file_names_what_was_copied() -> None:
    h = History(run("dirs", trace=True, check=False).events)
    at, ev = faults(h, cls="cow-copy", load="data-load")[0]
    h.seek(at)
    trail = why(h, ev.addr, ev.pid)
    assert "read from /bin/dirs, byte" in trail.steps[-1].text
    assert inorder(["segment", "file", "cow-copy"], whats(trail))


def test_in_the_middle_of_a_fault_its_parts_are_told(cow: History) -> None:
    at, ev = faults(cow, cls="zero-fill", segment="bss")[0]
    middle = next(i for i in range(at - 1, 0, -1) if isinstance(cow.events[i], EntryEvent)) + 1
    cow.seek(middle)
    assert whats(why(cow, ev.addr, ev.pid)) == ["segment", "entry"]
    cow.seek(at)
    assert whats(why(cow, ev.addr, ev.pid)) == ["segment", "zero-fill"]


def test_nothing_is_there_before_the_first_touch(cow: History) -> None:
    at, ev = faults(cow, cls="zero-fill", segment="bss")[0]
    cow.seek(at - 5)
    trail = why(cow, ev.addr, ev.pid)
    assert trail.now == "nothing"
    assert str(trail).splitlines()[0] == f"0x{ev.addr & -PAGE:08x} of cow[2], bss: nothing"


def test_what_cannot_be_asked_is_said_in_a_line(cow: History) -> None:
    cow.seek(60)
    with pytest.raises(LookupError, match=r"^'?0x99999000 is in no segment of cow\[2\]'?$"):
        why(cow, 0x99999000, 2)
    with pytest.raises(LookupError, match="no process 77 has memory"):
        why(cow, 0x3000, 77)


def test_a_trace_without_kinds_or_its_beginning_tells_what_it_has(cow: History) -> None:
    some: list[Event] = [ev for ev in cow.events if ev.kind in ("segment", "entry")]
    h = History(some)
    child = next(i for i, ev in enumerate(some) if getattr(ev, "target", 0) == 3 and getattr(ev, "type", "") == "bss")
    h.seek(child + 1)
    assert inorder(["segment", "entry", "fork"], whats(why(h, 0x3000, 3)))
    late = History(cow.events[60:])
    late.seek(60)
    pid = max(late.model.places.now)
    trail = why(late, 0x3000, pid)
    assert trail.steps[0].what == "fork"
    assert "both have nothing" in trail.steps[0].text
