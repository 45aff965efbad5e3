"""Streams that no machine tells: each moment of them is drawn all the same. And who may know textual."""

from __future__ import annotations

import ast
import dataclasses
import random

import pytest

from emu.observe.filter import DEFAULT, KINDS
from emu.view import panels
from emu.view.pagemap import PageMap
from emu.view.paint import text
from emu.view.session import Session
from emu.view.space import SpaceMap
from kernel.base.event import Event
from tests.e2e.harness import ROOT
from tests.emu.view.faked import goto, session


class Drawn:
    """All that is on the screen, and what lies over it."""

    def __init__(self) -> None:
        self.map = PageMap()
        self.space = SpaceMap()

    def __call__(self, s: Session, width: int, height: int) -> list[str]:
        ev = s.event
        frame = getattr(ev, "frame", 0)
        lines = [
            panels.title(s, "odd", width),
            *self.map.draw(s.look(), s.at, s.index.touched, width // 2, height, frame, s.frame),
            *self.space.draw(s.look(), s.process(), width // 2, height, getattr(ev, "addr", None)),
            panels.legend(s, width),
            *panels.counters(s, width),
            *panels.words(s, width, height),
            *panels.events(s, width, height),
        ]
        s.frame = frame or s.frame
        if s.frame is not None:
            s.frame = self.map.move(s.frame, 1, 1)
            panels.story(s.life(s.frame))
        return [text(line) for line in lines]


@pytest.mark.parametrize("kind", KINDS)
def test_a_trace_of_one_kind(cow: list[Event], kind: str) -> None:
    s = session([ev for ev in cow if ev.kind == kind])
    draw = Drawn()
    for at in range(s.newest + 1):
        goto(s, at)
        assert all(draw(s, 80, 7))


@pytest.mark.parametrize("seed", range(8))
def test_a_trace_with_its_events_in_any_order_and_numbers_of_any_size(cow: list[Event], seed: int) -> None:
    rng = random.Random(seed)
    events = []
    for ev in rng.sample(cow, len(cow)) if seed % 2 else cow:
        values = {
            f.name: rng.choice((0, -1, 1, 4096, (1 << 32) - 1, (1 << 53) - 1, -(1 << 52)))
            for f in dataclasses.fields(ev)
            if f.name != "ns" and isinstance(getattr(ev, f.name), int) and rng.random() < 0.1
        }
        events.append(dataclasses.replace(ev, **values))
    s = session(events, kinds=DEFAULT if seed % 3 else frozenset(KINDS))
    draw = Drawn()
    for _ in range(60):
        goto(s, rng.randrange(s.newest + 1))
        s.choose(rng.choice((-1, 0, 1)))
        assert draw(s, rng.randrange(80, 200), rng.randrange(5, 40))


def test_only_the_screen_knows_textual() -> None:
    knowing = set()
    for path in (ROOT / "emu").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "textual" for name in names):
                knowing.add(path.relative_to(ROOT).as_posix())
    assert knowing == {"emu/view/app.py"}
