"""Strategies on small races whose outcome is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kernel.base.chandat import Chan
from kernel.base.dat import Lock
from kernel.base.error import Panic
from kernel.sched.explore import HOLD, PICK, At, Decision, Explore, Strategy
from kernel.sched.ref import incref
from kernel.sched.strategy import Delays, Pct, Random, Replay
from kernel.sched.taslock import lock, unlock
from tests.kernel.plain import PlainKernel


def update(strategy: Strategy, nmach: int = 1, locked: bool = False) -> tuple[int, Explore]:
    """Two processes add 1, the wrong way: what is there at the end."""
    k = PlainKernel(nmach=nmach)
    k.explore = k.procs.chooser = x = Explore(k, strategy)
    r, guard = Chan(), Lock()
    r.ref = 0
    total = [0]

    def body() -> None:
        incref(k, r)
        if locked:
            lock(k, guard)
        old = total[0]
        x("load")
        total[0] = old + 1
        if locked:
            unlock(k, guard)

    for _ in range(2):
        k.spawn(body)
    k.run()
    assert r.ref == 2
    return total[0], x


def test_the_plain_order_is_right() -> None:
    for nmach in (1, 2):
        total, x = update(Strategy(), nmach)
        assert (total, x.decisions, x.nprocs) == (2, [], 2)
        assert x.npoints >= 4


@pytest.mark.parametrize("nmach", [1, 2])
@pytest.mark.parametrize("make", [lambda seed: Random(seed), lambda seed: Pct(seed, 2, 4)], ids=["random", "pct"])
def test_a_lost_update_is_found_by_some_seed_and_repeats(make: Callable[[int], Strategy], nmach: int) -> None:
    for seed in range(200):
        total, x = update(make(seed), nmach)
        if total == 1:
            break
    assert total == 1
    replay = Replay(x.decisions)
    again, y = update(replay, nmach)
    assert (again, y.decisions, y.order, replay.left, replay.void) == (1, x.decisions, x.order, {}, [])


@pytest.mark.parametrize("make", [lambda seed: Random(seed), lambda seed: Pct(seed, 2, 6)], ids=["random", "pct"])
def test_a_lock_keeps_it_right(make: Callable[[int], Strategy]) -> None:
    assert {update(make(seed), nmach, True)[0] for seed in range(40) for nmach in (1, 2)} == {2}


@pytest.mark.parametrize("nmach", [1, 2])
def test_one_delay_is_enough_and_all_are_few(nmach: int) -> None:
    first = Delays((), 0)
    update(first, nmach)
    assert first.useful
    totals = {n: update(Delays([n]), nmach)[0] for n in first.useful}
    assert 1 in totals.values()
    # the hold that does it is between load and store
    for n, total in totals.items():
        _, x = update(Delays([n]), nmach)
        assert [d.do for d in x.decisions] == [HOLD]
        if total == 1:
            assert x.decisions[0].at.point == "body:load"


def test_who_is_held_goes_on_when_nobody_else_can() -> None:
    k = PlainKernel()
    hold = Decision(At(2, "body:mark", 1), HOLD)  # b was readied last, and runs first
    k.explore = k.procs.chooser = x = Explore(k, Replay([hold]))
    seen: list[str] = []

    def body(name: str) -> Callable[[], None]:
        def body() -> None:
            x("mark")
            seen.append(name)
            x("mark")
            seen.append(name)

        return body

    k.spawn(body("a"))
    k.spawn(body("b"))
    k.run()
    assert seen == ["a", "a", "b", "b"]
    assert x.decisions == [hold]


def test_who_is_held_with_a_lock_goes_on_when_another_spins() -> None:
    k = PlainKernel(nmach=2)
    guard = Lock()
    strategy = Replay([Decision(At(2, "holder:mark", 1), HOLD)])
    k.explore = k.procs.chooser = x = Explore(k, strategy)
    seen: list[str] = []

    def holder() -> None:
        lock(k, guard)
        x("mark")
        seen.append("holder")
        unlock(k, guard)

    def other() -> None:
        seen.append("other")
        lock(k, guard)
        seen.append("has it")
        unlock(k, guard)

    k.spawn(other)
    k.spawn(holder)
    k.run()
    assert seen == ["other", "holder", "has it"]


def test_a_decision_without_a_place_is_left() -> None:
    nowhere = Decision(At(7, "f:lock", 1), HOLD)
    nobody = Decision(At(0, PICK, 1), PICK, 9)
    replay = Replay([nowhere, nobody])
    total, x = update(replay)
    assert (total, x.decisions) == (2, [])
    assert list(replay.left.values()) == [nowhere]
    assert replay.void == [nobody]


def test_points_are_named_by_function_and_kind() -> None:
    k = PlainKernel()
    k.explore = k.procs.chooser = x = Explore(k, Strategy())
    told: list[str] = []
    x.watch = lambda at, frame: told.append(str(at))

    def body() -> None:
        guard = Lock()
        lock(k, guard)
        unlock(k, guard)
        lock(k, guard)
        unlock(k, guard)

    k.spawn(body)
    k.run()
    assert told[:4] == ["1/body:lock/1", "1/body:unlock/1", "1/body:lock/2", "1/body:unlock/2"]


def test_a_run_without_end_is_a_panic() -> None:
    k = PlainKernel(nmach=1)
    k.explore = k.procs.chooser = x = Explore(k, Strategy())
    x.limit = 1_000_000

    def body() -> None:
        while True:
            x("again")
            k.m.cpu.spend(100_000)
            if k.m.cpu.now() >= k.m.until:
                k.procs.hub.switch()

    k.spawn(body)
    with pytest.raises(Panic, match=r"no end after 0\.001 s of virtual time"):
        k.run()


def test_pct_does_not_starve_who_is_waited_for_in_a_loop() -> None:
    """One that yields and looks, again and again, must let the other get the processor."""
    from kernel.sched.sched import yield_

    for seed in range(8):
        k = PlainKernel()
        k.explore = k.procs.chooser = Explore(k, Pct(seed, 1, 10))
        done: list[int] = []

        def waiter() -> None:
            while not done:  # noqa: B023 run at once
                k.m.cpu.spend(1000)  # noqa: B023
                yield_(k)  # noqa: B023

        k.spawn(waiter)
        k.spawn(lambda: done.append(1))  # noqa: B023
        k.run()
        assert done == [1]
