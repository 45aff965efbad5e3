"""The scheduler: who runs next, for how long, and that nobody waits for ever."""

from __future__ import annotations

import itertools

import pytest

from kernel.base.dat import Lock
from kernel.base.mem import NSPERTICK
from kernel.base.procdat import PriNormal, Proc
from kernel.devices.devcons import Consdev, Qsysstat
from kernel.sched.clock import hzclock, runtimers
from kernel.sched.newproc import procpriority
from kernel.sched.sched import pause, sched
from kernel.sched.sleep import sleep, tsleep, wakeup
from kernel.sched.taslock import canlock
from tests.kernel.plain import PlainKernel

MS = 1_000_000


def hog(k: PlainKernel, turns: list[str], name: str, ms: int = 1 << 40) -> Proc:
    """A process that uses the processor, a ms at a time, as one in user mode does: it is looked at by each tick."""

    def body() -> None:
        for _ in range(ms):
            k.m.cpu.spend(MS)
            turns.append(name)
            up = k.up
            assert up is not None
            while k.m.nexttick <= k.m.cpu.now():
                hzclock(k, k.m)
            runtimers(k, k.m.cpu.now())
            if up.delaysched:
                sched(k)
            elif k.m.cpu.now() >= k.m.until:
                pause(k)

    return k.spawn(body, name)


def shares(k: PlainKernel, turns: list[str], ms: int) -> dict[str, float]:
    """Run for so long: what part of the time each had."""
    turns.clear()
    k.run(ms)
    return {name: turns.count(name) / len(turns) for name in sorted(set(turns))}


def test_equals_have_equal_shares() -> None:
    k, turns = PlainKernel(), list[str]()
    for name in "abcd":
        hog(k, turns, name)
    assert shares(k, turns, 4000) == pytest.approx(dict.fromkeys("abcd", 0.25), abs=0.03)


def test_a_quantum_is_a_tenth_of_a_second() -> None:
    k, turns = PlainKernel(), list[str]()
    for name in "ab":
        hog(k, turns, name)
    k.run(3000)
    switches = [i for i in range(1, len(turns)) if turns[i] != turns[i - 1]]
    assert all(90 <= b - a <= 130 for a, b in itertools.pairwise(switches))


def test_a_high_base_priority_starves_nobody_for_long() -> None:
    """What is used of the processor counts against its user; it takes seconds to tell."""
    k, turns = PlainKernel(), list[str]()
    for name in "abc":
        hog(k, turns, name)
    procpriority(k, hog(k, turns, "high"), 19, False)
    shares(k, turns, 10_000)
    later = shares(k, turns, 20_000)
    assert all(later[name] > 0.1 for name in "abc")


def test_a_low_base_priority_is_not_starved_for_ever() -> None:
    k, turns = PlainKernel(), list[str]()
    for name in "abc":
        hog(k, turns, name)
    procpriority(k, hog(k, turns, "low"), 3, False)
    shares(k, turns, 30_000)
    assert shares(k, turns, 30_000)["low"] > 0.02


def test_a_fixed_priority_stays() -> None:
    """Above the others it has all there is, below them what they leave: as it was asked for."""
    k, turns = PlainKernel(), list[str]()
    for name in "ab":
        hog(k, turns, name)
    p = hog(k, turns, "fixed")
    procpriority(k, p, PriNormal + 1, True)
    assert shares(k, turns, 2000)["fixed"] > 0.9
    procpriority(k, p, 0, True)
    later = shares(k, turns, 30_000)
    assert later.get("fixed", 0) < 0.1
    assert later["a"] > 0.4 and later["b"] > 0.4


def test_who_sleeps_most_comes_first() -> None:
    """A process that sleeps and wakes gets the processor from a hog at the next tick at the latest."""
    k, turns = PlainKernel(), list[str]()
    for name in "abc":
        hog(k, turns, name)
    late: list[int] = []

    def sleeper() -> None:
        up = k.up
        assert up is not None
        tsleep(k, up.sleep, lambda: False, 5000)
        for _ in range(100):
            then = k.m.cpu.now()
            tsleep(k, up.sleep, lambda: False, 50)
            late.append(k.m.cpu.now() - then - 50 * MS)

    k.spawn(sleeper)
    k.run(30_000)
    assert len(late) == 100
    assert max(late) <= 2 * NSPERTICK


def test_who_is_woken_runs_when_the_waker_sleeps() -> None:
    """Group scheduling: the process just readied goes before those that wait in the queue."""
    k = PlainKernel()
    order: list[str] = []

    def partner() -> None:
        sleep(k, p.sleep, lambda: False)
        order.append("partner")

    def waker() -> None:
        up = k.up
        assert up is not None
        k.spawn(lambda: order.append("other"))
        wakeup(k, p.sleep)
        tsleep(k, up.sleep, lambda: False, 10)
        order.append("waker")

    p = k.spawn(partner)
    k.run(10)
    k.spawn(waker)
    k.run(100)
    assert order == ["partner", "other", "waker"]


def test_idle_time() -> None:
    """The ninth column of /dev/sysstat is what of its time a processor is idle, in percent."""
    k, turns = PlainKernel(), list[str]()
    cons = Consdev(k)

    def column() -> int:
        return int(cons._text(Qsysstat).split()[8])

    p = k.process()
    k.spawn(lambda: tsleep(k, p.sleep, lambda: False, 20_000))
    k.run(30_000)
    k.up = p
    assert column() in (98, 99, 100)
    k.up = None
    hog(k, turns, "a", 10_000)
    k.run(9_000)
    k.up = p
    assert column() == 0


def test_canlock_does_not_wait_for_who_came_first() -> None:
    k = PlainKernel()
    held = Lock()

    def other(point: str) -> None:
        assert point == "lock"
        held.key = True

    k.explore = other
    assert not canlock(k, held)


def test_time_of_day_does_not_go_back_between_processors() -> None:
    k = PlainKernel(nmach=2)
    k.m = k.machs[1]
    k.m.cpu.spend(400_000)
    ahead = k.nsec(), k.fastticks()
    k.m = k.machs[0]
    assert (k.nsec(), k.fastticks()) == ahead
    k.m.cpu.spend(400_010)
    assert (k.nsec(), k.fastticks()) == (ahead[0] + 10, ahead[1] + 10)
