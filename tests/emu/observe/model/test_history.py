"""The state at any moment of a recorded stream."""

from __future__ import annotations

import random
from typing import Any

import pytest

from emu.observe.model import history as module
from emu.observe.model.history import History
from emu.observe.model.model import Model
from emu.observe.model.tables import Nested, Table
from kernel.base.event import Event, PageEvent
from tests.e2e.harness import run

M = 1 << 20


def state(m: Model) -> dict[str, Any]:
    """All that a model knows, copied."""
    flat = {name: dict(t.now) for name, t in vars(m).items() if isinstance(t, Table)}
    nested = {
        name: {owner: dict(row) for owner, row in t.now.items()} for name, t in vars(m).items() if isinstance(t, Nested)
    }
    return flat | nested


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return run("swapfork", "300", trace=True, check=False, memory=4 * M, swap=16 * M).events


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 100)


@pytest.mark.guest
def test_every_order_of_moments_gives_the_same_states(events: list[Event]) -> None:
    rng = random.Random(1)
    moments = sorted({0, 1, 99, 100, 101, 199, 200, len(events), *rng.sample(range(len(events)), 60)})
    straight = {}
    model, at = Model(), 0
    for n in moments:
        for ev in events[at:n]:
            model.apply(ev)
        at = n
        straight[n] = state(model)
    h = History(events)
    for n in rng.sample(moments, len(moments)) + moments[::-1] + moments:
        assert state(h.seek(n)) == straight[n]
        assert h.at == n


@pytest.mark.guest
def test_steps_back_undo_steps(events: list[Event]) -> None:
    h = History(events)
    h.seek(350)
    there = state(h.model)
    for n in (1, 3, 120, 349):
        h.step(-n)
        assert state(h.step(n)) == there
    assert h.step(-1000) is h.model
    assert h.at == 0
    assert state(h.model) == state(Model())
    h.step(10**9)
    assert h.at == len(h) == len(events)


def alloc(frame: int) -> PageEvent:
    return PageEvent(frame, 2, 0, "alloc", frame << 12, 0, -1, 0, 1)


def test_what_comes_later_is_appended() -> None:
    h = History()
    for n in range(350):
        h.append(alloc(n))
        if n % 7 == 0:
            h.seek(n // 2)
        if n % 50 == 0:
            assert len(h.seek(n).frames.now) == n
    assert len(h.seek(350).frames.now) == 350
    assert len(h.seek(49).frames.now) == 49


@pytest.mark.parametrize("n", [-1, 3])
def test_there_is_nothing_beyond(n: int) -> None:
    with pytest.raises(IndexError, match=rf"{n} is not within 0\.\.2"):
        History([alloc(1), alloc(2)]).seek(n)


def test_what_is_kept_grows_with_what_changes_not_with_the_machine() -> None:
    h = History(alloc(n) for n in range(5000))
    h.seek(5000)
    for n in range(300):
        h.append(PageEvent(0, 2, 0, "page-out" if n % 2 else "swap-end", 4096, 0, -2, 0, 1))
    h.seek(5300)
    assert [sum(len(c.before) for c in block) for block in h._blocks] == [100] * 50 + [1] * 3


def test_the_life_of_a_frame_until_now() -> None:
    other, mine = alloc(7), [alloc(8), PageEvent(0, 2, 0, "free", 8 << 12, 0, -1, 0, 0), alloc(8)]
    h = History([mine[0], other, mine[1], other, mine[2]])
    h.seek(3)
    assert h.life(8 << 12) == [(0, mine[0]), (2, mine[1])]
    h.seek(0)
    assert h.life(8 << 12) == []
    h.seek(5)
    assert [n for n, _ in h.life(8 << 12)] == [0, 2, 4]
    h.append(mine[1])
    h.seek(6)
    assert [n for n, _ in h.life(8 << 12)] == [0, 2, 4, 5]
    assert h.life(0x5000) == []
