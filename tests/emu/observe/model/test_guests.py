"""The model against the kernel: every bundled program, at many moments and at its end."""

from __future__ import annotations

from typing import Any

import pytest

from emu.observe.model.model import Model
from kernel.base.event import EntryEvent, Event, ImageEvent, MmuEvent, PageEvent, SchedEvent, SegmentEvent
from kernel.base.kernel import Kernel
from tests.e2e.test_every_guest import ARGS, BAD, GOOD
from tests.emu.observe.model import modelcheck
from tests.emu.observe.model.modelcheck import differences, watched

M = 1 << 20

# Where most is going on: swap, reclaim, shared segments, forks, text of exec, the mount cache, memory that runs out.
BUSY: dict[str, dict[str, Any]] = {
    "thrash 1100 1": {"memory": 8 * M, "swap": 16 * M},
    "exec thrash 500 1": {"memory": 4 * M, "swap": 16 * M},
    "pressure 300 3 1": {"memory": 4 * M, "swap": 16 * M},
    "swapfork 500": {"memory": 4 * M, "swap": 16 * M},
    "cons hog 360 cow 5": {"memory": 4 * M, "swap": 32 * M},
    "cons hog 360 procfs": {"memory": 4 * M, "swap": 32 * M},
    "cachefs 20": {"memory": 4 * M, "swap": 32 * M},
    "textpressure 40 2": {"memory": 4 * M, "swap": 8 * M},
    "swapfull": {"memory": 4 * M, "swap": 1 * M},
    "forkbomb 40": {},
    "segs": {},
    "shm 8": {},
    "selfmod": {},
    "text 20": {},
    "fuzz 7 100 4": {"memory": 8 * M, "swap": 8 * M},
}


@pytest.mark.guest
@pytest.mark.parametrize("cpus", [1, 2, 4])
@pytest.mark.parametrize("name", sorted(GOOD | BAD))
def test_every_guest(name: str, cpus: int) -> None:
    _, watch = watched(name, *ARGS.get(name, "").split(), cpus=cpus, memory=8 * M, swap=8 * M, timeout=60)
    assert watch.compared > 5
    assert watch.quiet > 2


@pytest.mark.guest
@pytest.mark.parametrize("cpus", [1, 2, 4])
@pytest.mark.parametrize("argv", BUSY)
def test_a_hundred_moments(argv: str, cpus: int) -> None:
    _, watch = watched(*argv.split(), cpus=cpus, moments=40, timeout=60, **BUSY[argv])
    assert watch.compared > 30


@pytest.mark.guest
@pytest.mark.parametrize(("seed", "argv"), list(enumerate(BUSY)))
def test_where_processes_interrupt_each_other(argv: str, seed: int) -> None:
    cpus = (1, 2, 4)[seed % 3]
    _, watch = watched(*argv.split(), cpus=cpus, moments=20, sched="random", seed=seed, timeout=60, **BUSY[argv])
    assert watch.compared > 20


# The comparison is worth something: what a model did not hear of is missed.

UNHEARD = {
    "a page taken": (PageEvent, "alloc"), "a page given back": (PageEvent, "free"),
    "a page cached": (PageEvent, "cache"), "a page taken out of a cache": (PageEvent, "uncache"),
    "a page to be written": (PageEvent, "page-out"), "a page written": (PageEvent, "swap-end"),
    "an image's beginning": (ImageEvent, "attach"), "an image's end": (ImageEvent, "free"),
    "the end of a file": (ImageEvent, "close"),
    "a copy": (SegmentEvent, "dup"), "a segment's end": (SegmentEvent, "free"), "a file's": (SegmentEvent, "image"),
    "growth": (SegmentEvent, "grow"), "shrinking": (SegmentEvent, "shrink"),
    "a process's segment": (SegmentEvent, "attach"), "one given up": (SegmentEvent, "detach"),
    "a page of a segment": (EntryEvent, "page"), "a slot of a segment": (EntryEvent, "swap"),
    "a page of a segment gone": (EntryEvent, "none"),
    "a directory": (MmuEvent, "directory"), "a table": (MmuEvent, "table"), "a kernel table": (MmuEvent, "kmap"),
    "a mapping": (MmuEvent, "map"), "a flush": (MmuEvent, "clear"), "a directory kept": (MmuEvent, "pool"),
    "a process": (SchedEvent, "new"), "one that is ready": (SchedEvent, "ready"), "one that runs": (SchedEvent, "run"),
    "one that waits": (SchedEvent, "wait"), "one that stopped running": (SchedEvent, "off"),
    "the end of one": (SchedEvent, "end"),
}  # fmt: skip


@pytest.mark.guest
@pytest.mark.parametrize("what", UNHEARD)
def test_an_event_that_is_missing_is_missed(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cls, op = UNHEARD[what]

    class Deaf(Model):
        def apply(self, ev: Event) -> None:
            if (type(ev), getattr(ev, "op", "")) != (cls, op):
                super().apply(ev)

    seen: list[str] = []

    def told(k: Kernel, m: Model) -> list[str]:
        try:
            seen.extend(differences(k, m))
        except KeyError as e:  # it lacks what the kernel has
            seen.append(repr(e))
        return []

    monkeypatch.setattr(modelcheck, "Model", Deaf)
    monkeypatch.setattr(modelcheck, "differences", told)
    for argv in ("brk 5", "swapfork 400", "textpressure 40 1", "exec touch 440"):
        if not seen:
            watched(*argv.split(), moments=20, memory=4 * M, swap=8 * M, timeout=60)
    assert seen
