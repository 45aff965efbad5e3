"""emu/machine/statehash.py: two runs have the same number exactly where they are at the same point."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from emu.machine.config import Config
from emu.machine.console import DroppingConsole
from emu.machine.machine import Machine
from emu.machine.statehash import statehash

EACH = 40  # events from one look to the next


def run(program: str, *args: str, look: Callable[[Machine, int], None], **options: Any) -> None:
    n = 0

    def sink(ev: object) -> None:
        nonlocal n
        n += 1
        if n % EACH == 0:
            look(machine, n)

    with closing(Machine(Config(**options), sink, console=DroppingConsole())) as machine:
        machine.run(program, args)


@pytest.mark.guest
@pytest.mark.parametrize(
    ("words", "options"),
    [
        (("cow", "2"), {}),
        (("pingpong", "3"), {"cpus": 2, "sched": "random", "seed": 3}),
        (("swapfork", "300"), {"memory": 4 << 20, "swap": 16 << 20}),
    ],
    ids=lambda x: x[0] if isinstance(x, tuple) else "",
)
def test_the_same_run_has_the_same_numbers(words: tuple[str, ...], options: dict[str, Any]) -> None:
    both: list[list[str]] = []
    for _ in range(2):
        hashes: list[str] = []

        def look(machine: Machine, n: int, hashes: list[str] = hashes) -> None:
            if n < EACH * 20:
                hashes.append(statehash(machine))

        run(*words, look=look, **options)
        both.append(hashes)
    assert both[0] == both[1]
    assert len(both[0]) > 3
    assert len(set(both[0])) == len(both[0])


def _bit(m: Machine) -> None:
    m.memory.buf[m.kernel.palloc.pages[min(m.kernel.palloc.pages)].pa + 100] ^= 1


def _register(m: Machine) -> None:
    up = m.kernel.up
    assert up is not None and up.regs is not None
    up.regs.si ^= 1


def _reference(m: Machine) -> None:
    m.kernel.palloc.pages[min(m.kernel.palloc.pages)].ref += 1


def _time(m: Machine) -> None:
    m.cpus[0].spend(10)


def _note(m: Machine) -> None:
    m.kernel.procs.proctab[1].notepending ^= 1


def _chance(m: Machine) -> None:
    m.kernel.random(1)


@pytest.mark.guest
@pytest.mark.parametrize("change", [_bit, _register, _reference, _time, _note, _chance])
def test_whatever_is_changed_is_seen(change: Callable[[Machine], None]) -> None:
    class Seen(Exception):
        pass

    def look(machine: Machine, n: int) -> None:
        before = statehash(machine)
        assert statehash(machine) == before
        change(machine)
        assert statehash(machine) != before
        raise Seen

    with pytest.raises(Seen):
        run("cow", "2", look=look)
