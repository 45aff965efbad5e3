"""emu.observe.words: every event is told, and different things differently."""

from __future__ import annotations

import typing

from emu.observe import words
from kernel.base.event import Event, FaultClass, FaultEvent, NoteEvent, NoteOp, PageEvent, PageOp
from tests.e2e.harness import run

M = 1 << 20
CLASSES = set(typing.get_args(FaultClass))


def test_every_class_of_faults_is_told_differently() -> None:
    classes = typing.cast(list[FaultClass], list(words.FAULTS))
    assert set(classes) == CLASSES
    told = set()
    for cls in classes:
        ev = FaultEvent(0, 2, 0, 0x3000, 0x1020, "user", "", 6, "write", "bss", cls, "", 0x5000)
        told.add(words.told(ev))
    assert len(told) == len(classes)
    copy = FaultEvent(0, 2, 0, 0x3000, 0x1020, "user", "", 6, "write", "data", "cow-copy", "data-load", 0x5000)
    assert "the page as it is in the file" in words.told(copy)
    copy.load = "swap-in"
    assert words.told(copy).startswith("A write to a page that is on swap.")
    copy.access = "read"
    assert words.told(copy).endswith("It had to be brought back from swap first.")
    copy.access, copy.load, copy.mode = "read", "", "kernel"
    assert "even a read made a copy" in words.told(copy)
    assert words.told(copy).endswith("for the process.")


def test_every_event_of_a_run_is_told() -> None:
    for ev in run("cow", "4", trace=True, check=False).events:
        assert words.told(ev), ev
    swap = run("thrash", "1500", "1", trace=True, check=False, memory=8 * M, swap=32 * M).events
    seen = {type(ev): ev for ev in swap} | {(type(ev), getattr(ev, "op", "")): ev for ev in swap}
    for ev in typing.cast(dict[object, Event], seen).values():
        assert words.told(ev), ev


def test_an_operation_that_is_not_known_is_no_failure() -> None:
    assert words.told(PageEvent(0, 0, 0, typing.cast(PageOp, "strange"), 0, 0, 0, 0, 0)) == ""
    assert words.told(NoteEvent(0, 0, 0, typing.cast(NoteOp, "strange"), 2, "")) == ""
