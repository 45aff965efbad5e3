"""The host's clock as the machine's, with a clock that the test turns."""

from __future__ import annotations

import re
from contextlib import closing

import pytest

from emu.machine.clock import Hostclock
from emu.machine.config import Config, MachineError
from emu.machine.machine import Machine
from emu.machine.signals import Input, Signals
from tests.e2e.harness import Console

S = 1_000_000_000


class Turned:
    """Each look takes 20 us; waiting takes as long as it is told to, and a little more."""

    epoch = 1_800_000_000 * S

    def __init__(self) -> None:
        self.ns = 0
        self.looks = 0
        self.step = 20_000  # of each thousandth look
        self.waits: list[int | None] = []

    def now(self) -> int:
        self.looks += 1
        self.ns += self.step if self.looks % 1000 == 0 else 20_000
        return self.ns

    def wait(self, signals: Signals, source: Input | None, ns: int | None) -> bool:
        self.waits.append(ns)
        assert ns is not None
        self.ns += ns + 1000
        return False


def run(program: str, *args: str, cpus: int = 1) -> tuple[Turned, str]:
    """Run with a clock of its own; the clock, and what was printed."""
    clock = Turned()
    console = Console()
    with closing(Machine(Config(clock="real", cpus=cpus, check=True), clock=clock)) as machine:
        machine.kernel.console = console
        assert machine.run(program, args).exits == ""
        stats = machine.kernel.machs[0].ticks
        assert abs(stats - clock.ns // 10_000_000) <= 2, "the clock drives the ticks"
    return clock, console.output[1].decode()


@pytest.mark.guest
def test_the_time_of_day_is_the_clocks() -> None:
    _, text = run("cat", "/dev/time")
    seconds, ns, ticks, hz = map(int, text.split())
    assert (seconds, hz) == (1_800_000_000, S)
    assert abs(ns - Turned.epoch - ticks) <= 100_000
    assert ns < Turned.epoch + 1 * S


@pytest.mark.guest
@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize("guest", ["usertests time_sleep", "forkbomb 5", "sema 3", "pingpong 3"])
def test_guests_that_look_at_the_time(guest: str, cpus: int) -> None:
    run(*guest.split(), cpus=cpus)


@pytest.mark.guest
def test_alarms_come_when_the_clock_says() -> None:
    run("alarm")


@pytest.mark.guest
def test_who_sleeps_makes_the_machine_wait_and_no_longer() -> None:
    clock, text = run("cons", "ticks")
    assert re.findall(r"tick \d", text) == ["tick 1", "tick 2", "tick 3"]
    long = [ns for ns in clock.waits if ns is not None and ns > 40_000_000]
    assert len(long) == 3
    assert all(ns <= 50_000_000 for ns in long)


@pytest.mark.guest
def test_a_late_host_loses_no_tick() -> None:
    """Now and then a second passes at once: a hundred ticks, one after the other."""
    clock = Turned()
    clock.step = S
    with closing(Machine(Config(clock="real"), clock=clock)) as machine:
        machine.kernel.console = Console()
        assert machine.run("spin", ["3000"]).exits == ""
        assert abs(machine.kernel.machs[0].ticks - clock.ns // 10_000_000) <= 101


@pytest.mark.guest
def test_no_progress_is_told() -> None:
    with closing(Machine(Config(clock="real"), clock=Turned())) as machine:
        machine.kernel.console = Console(b"q")
        with pytest.raises(MachineError, match="no progress"):
            machine.run("cons", ["raw", "wait"])


def test_the_hosts_clock() -> None:
    clock = Hostclock()
    a, b = clock.now(), clock.now()
    assert 0 <= a <= b
    assert clock.epoch > 1_700_000_000 * S
    signals = Signals(lambda: None, None)
    assert not clock.wait(signals, None, 1_000_000)
    assert clock.now() - a >= 1_000_000
