"""Machines that are debugged, each given back behind its test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from emu.machine.config import Config
from emu.observe.filter import Filter, select
from emu.prompt.commands import Debugger
from emu.prompt.place import Place
from emu.session.live import Live
from emu.session.past import Past

Start = Callable[..., Debugger]


@pytest.fixture
def debug() -> Iterator[Start]:
    """A program at a prompt."""
    lives: list[Live] = []

    def start(program: str, *args: str, stdin: bytes = b"", wanted: Filter | None = None, **config: Any) -> Debugger:
        live = Live(Config(**config), program, args, stdin, past=Past())
        lives.append(live)
        assert live.start() is None
        place = Place(live)
        place.open()
        return Debugger(place, wanted or select())

    yield start
    for live in lives:
        live.close()
