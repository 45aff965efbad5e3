"""Going back: a copy of the machine that goes on to an event has the state that the run had there. The rest is soak."""

from __future__ import annotations

from typing import Any

import pytest

from emu.machine.config import Config
from tests.backwards import ORDERS, different, forwards

M = 1 << 20


@pytest.mark.parametrize("order", ORDERS, ids=lambda o: str(o["cpus"]))
@pytest.mark.parametrize("words", ["cow 5", "sema 3", "tcpecho 3 1"])
def test_the_states_are_those_on_the_way_on(words: str, order: dict[str, Any]) -> None:
    assert different(words.split(), looks=3, most=1500, **order) == []


def test_with_swap() -> None:
    assert different(["swapfork", "200"], looks=3, memory=4 * M, swap=16 * M) == []


def test_another_run_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    was = forwards(["cow", "5"], Config(memory=8 * M, swap=8 * M), 150, 4)
    monkeypatch.setattr("tests.backwards.forwards", lambda *args: was)
    assert different(["cow", "4"]) != []
