"""emu.observe.answers.page: a frame's life, and who has it."""

from __future__ import annotations

import pytest

from emu.observe.answers.page import SHOWN, life
from emu.observe.model.history import History
from emu.observe.model.look import purposes
from kernel.base.event import FaultEvent, MmuEvent


def test_a_page_that_was_copied_for_a_child(cow: History) -> None:
    at = next(i for i, ev in enumerate(cow.events) if isinstance(ev, FaultEvent) and ev.cls == "cow-copy") + 1
    ev = cow.events[at - 1]
    assert isinstance(ev, FaultEvent)
    cow.seek(at)
    told = life(cow, ev.frame + 12)
    assert (told.frame, told.use) == (ev.frame, "private")
    assert [(h.pid, h.va) for h in told.holders] == [(ev.pid, ev.addr & -0x1000)]
    assert [h.event.kind for h in told.events] == ["page", "entry", "page", "mmu", "fault"]
    assert told.events[-1].event is ev
    lines = str(told).splitlines()
    assert lines[0] == f"frame 0x{ev.frame:08x}: one process's own"
    assert lines[1] == f"  cow[{ev.pid}] at 0x{ev.addr & -0x1000:08x} ({ev.segment})"
    assert lines[-1].split()[:4] == [f"{at:,}", f"{ev.ns / 1e9:.9f}", f"[{ev.pid}]", "fault"]


def test_what_every_frame_is_used_for(swapfork: History) -> None:
    """As the model has it, and each event of its life is about it."""
    swapfork.seek(9_000)
    for frame, use in list(purposes(swapfork.model).items())[::7]:
        told = life(swapfork, frame)
        assert told.use == use
        assert all(getattr(h.event, "frame", 0) == frame for h in told.events)
        assert all(swapfork.events[h.at - 1] is h.event for h in told.events)


def test_a_cached_page_tells_its_file_and_a_table_whose_it_is(swapfork: History) -> None:
    swapfork.seek(9_000)
    uses = purposes(swapfork.model)
    text = life(swapfork, next(f for f, use in uses.items() if use == "cached"))
    assert text.words.endswith("; /bin/swapfork, byte 0") or "slot 0x" in text.words
    table = next(ev for ev in swapfork.events if isinstance(ev, MmuEvent) and ev.op == "table")
    assert life(swapfork, table.frame).words.endswith("; of swapfork[2]")
    assert life(swapfork, table.pdb).words.endswith("; of swapfork[2]")
    swapped = next(f for f, frame in swapfork.model.frames.now.items() if frame.image == -2 and not frame.io)
    assert "; slot 0x" in life(swapfork, swapped).words


def test_of_a_long_life_the_end_is_shown(swapfork: History) -> None:
    swapfork.seek(len(swapfork.events))
    told = max((life(swapfork, f) for f in list(purposes(swapfork.model))[::40]), key=lambda t: len(t.events))
    assert len(told.events) > SHOWN
    lines = str(told).splitlines()
    assert f"        ... {len(told.events) - SHOWN:,} events before these" in lines


def test_what_is_no_frame_is_said(cow: History) -> None:
    cow.seek(50)
    with pytest.raises(LookupError, match="0x00001000 is no frame of the pool, which is 0x"):
        life(cow, 0x1000)


def test_a_trace_that_does_not_tell_the_pool_knows_the_frames_it_has_seen(cow: History) -> None:
    h = History(cow.events[60:])
    h.seek(50)
    assert life(h, 0x1000).use == "free"
