"""The exploring scheduler's own doing."""

from __future__ import annotations

import pytest

from kernel.base.dat import Rendez
from kernel.base.error import Panic
from kernel.sched.explore import LEAD, Explore
from kernel.sched.sched import pause
from kernel.sched.sleep import tsleep
from kernel.sched.strategy import Random
from kernel.sched.taslock import lock, unlock
from tests.kernel.plain import PlainKernel


@pytest.mark.parametrize("order", [0, 1])
def test_timer_waits_for_a_paused_process_that_holds_the_lock(order: int) -> None:
    """On whichever processor the interrupt comes, that of the process too."""
    k = PlainKernel(nmach=2)
    r = Rendez()
    woken = []

    def sleeper() -> None:
        k.explore = None
        tsleep(k, r, lambda: False, 10)
        woken.append(k.m.cpu.now())

    def holder() -> None:
        lock(k, r)
        k.m.cpu.spend(30_000_000)
        k.explore = Explore(k, Random(0))
        pause(k)
        unlock(k, r)
        k.explore = None

    k.machs.sort(key=lambda m: m.machno, reverse=bool(order))
    k.spawn(sleeper)
    k.run(5)
    k.spawn(holder)
    k.run()
    assert len(woken) == 1


def test_pause_keeps_interrupts_off() -> None:
    k = PlainKernel(nmach=2)
    seen = []

    def body() -> None:
        k.m.splhi = True
        pause(k)
        seen.append(k.m.splhi)
        k.m.splhi = False

    k.spawn(body)
    k.run()
    assert seen == [True]


def test_lock_nobody_will_release_is_a_panic() -> None:
    k = PlainKernel()
    k.explore = Explore(k, Random(0))
    r = Rendez()

    def body() -> None:
        lock(k, r)
        r.p = None
        with pytest.raises(Panic, match="lock loop"):
            lock(k, r)

    k.spawn(body)
    k.run()


def test_spinning_takes_time() -> None:
    """Else a holder whose processor is ahead of the spinning ones would never have its turn."""
    k = PlainKernel(nmach=2)
    k.stepns = 0
    r = Rendez()
    done: list[str] = []

    def holder() -> None:
        lock(k, r)
        k.spawn(spinner)
        while not done:
            pause(k)
        k.m.cpu.spend(LEAD + 1_000_000)
        pause(k)
        unlock(k, r)
        done.append("holder")

    def spinner() -> None:
        done.append("starts")
        lock(k, r)
        unlock(k, r)
        done.append("spinner")

    k.spawn(holder)
    k.explore = explore = Explore(k, Random(0))
    k.procs.chooser = explore
    k.run()
    assert done == ["starts", "holder", "spinner"]
