"""emu.observe.answers.state: what events tell of a moment is what the kernel has then."""

from __future__ import annotations

import pytest

from emu.api.machine import Machine
from emu.observe.answers import state
from emu.observe.model.history import History
from kernel.base.mem import KMAP

M = 1 << 20


def test_processes_segments_and_images_are_those_of_the_kernel() -> None:
    with Machine(memory=4 * M, swap=16 * M) as m:
        h = m.record()
        n = 0
        for n, _ in enumerate(m.events("swapfork", ["250"], kinds="fault,syscall")):
            if n % 97:
                continue
            h.seek(len(h))
            for p in m.processes():
                told = {s.slot: s for s in state.segments(h.model, p.pid)} if p.segments else {}
                assert [(s.type, s.base, s.top, s.resident, s.swapped) for _, s in sorted(told.items())] == [
                    (s.type, s.base, s.top, s.resident, s.swapped) for s in p.segments
                ]
                assert [len(s.others) + 1 for _, s in sorted(told.items())] == [s.ref for s in p.segments]
            assert [(p.pid, p.cpu) for p in m.processes()] == [(p.pid, p.cpu) for p in state.processes(h.model)]
            for i in m.images():
                image = state.image(h.model, i.number)
                assert (image.path, image.ref, len(image.pages)) == (i.path, i.ref, i.pgref)
                assert sorted(page.frame for page in image.pages) == sorted(i.frames)
            for w in [w for w in m.pagetable(2) if w.va < KMAP][::9]:
                mapped = state.mapped(h.model, 2, w.va + 3)
                assert (mapped.frame, mapped.write) == (w.frame, w.writable)
        assert n > 500


def test_who_is_ready(cow: History) -> None:
    at = [i for i, ev in enumerate(cow.events) if ev.kind == "sched" and getattr(ev, "op", "") == "ready"]
    cow.seek(next(i for i in at if i > 50) + 1)
    (child,) = state.ready(cow.model)
    assert child.pid == 3
    assert "Ready" in str(child)


def test_text_for_a_person(cow: History) -> None:
    cow.seek(100)
    rows = list(map(str, state.segments(cow.model, 3)))
    assert rows[1].endswith("2 of 2 in memory, 0 on swap; id 3, shared with 2, of /bin/cow")
    image = str(state.image(cow.model, 0)).splitlines()
    assert image[0].startswith("image 0: /bin/cow, open, ref ")
    assert image[1].startswith("  byte        0 frame 0x")
    assert str(state.mapped(cow.model, 2, 0x3FFF004)) == "0x03fff000: not mapped"
    assert str(state.mapped(cow.model, 2, 0x1020)).endswith(", read only") or "not mapped" in str(
        state.mapped(cow.model, 2, 0x1020)
    )
    assert [p.pid for p in state.processes(cow.model)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda m: state.segments(m, 9), "no process 9 has memory"),
        (lambda m: state.mapped(m, 9, 0), "no process 9 has memory"),
        (lambda m: state.image(m, 7), "there is no image 7 at this moment; there are: 0"),
    ],
)
def test_what_is_not_there_is_said(cow: History, ask: object, said: str) -> None:
    cow.seek(100)
    assert callable(ask)
    with pytest.raises(LookupError, match=said):
        ask(cow.model)
