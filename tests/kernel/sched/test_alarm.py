"""The queue of alarms."""

from __future__ import annotations

import pytest

from kernel.base.error import Error
from kernel.base.procdat import Note, NUser, Proc
from kernel.sched.alarm import ms2tk, procalarm
from kernel.sched.note import postnote
from kernel.sched.qlock import qlock, qunlock
from kernel.sched.sleep import tsleep
from kernel.syscalls.sysproc import sysalarm
from tests.kernel.plain import PlainKernel


@pytest.fixture
def k() -> PlainKernel:
    """A kernel with no process yet."""
    return PlainKernel()


def sleeper(k: PlainKernel, ms: list[int], came: list[tuple[int, str]]) -> None:
    """The body of a process that sets one alarm after the other and sleeps; came gets its notes, each with its ms."""
    up = k.up
    assert up is not None
    for t in ms:
        procalarm(k, t)
        try:
            tsleep(k, up.sleep, lambda: False, 100_000)
        except Error:
            came += [(k.m.cpu.now() // 1_000_000, n.msg) for n in up.note]
            up.note.clear()


def test_alarms_come_in_the_order_of_their_times(k: PlainKernel) -> None:
    came: list[tuple[int, str]] = []
    for ms in (300, 100, 200, 100):
        k.spawn(lambda ms=ms: sleeper(k, [ms], came))  # type: ignore[misc]
    k.run()
    assert [round(t, -1) for t, _ in came] == [100, 100, 200, 300]
    assert {text for _, text in came} == {"alarm"}
    assert k.procs.alarms.first is None
    assert sum(p.text == "alarm" for p in k.procs.proctab) == 1


def test_one_after_the_other(k: PlainKernel) -> None:
    came: list[tuple[int, str]] = []
    k.spawn(lambda: sleeper(k, [50, 50, 1000], came))
    k.run()
    assert [round(t, -1) for t, _ in came] == [50, 100, 1100]


def test_a_cancelled_alarm_stays_in_the_queue_and_is_passed_over(k: PlainKernel) -> None:
    came: list[tuple[int, str]] = []

    def cancels() -> None:
        up = k.up
        assert up is not None
        procalarm(k, 100)
        assert procalarm(k, 0) == 100
        assert up.alarm == 0 and k.procs.alarms.first is up
        tsleep(k, up.sleep, lambda: False, 1000)
        assert not up.note and k.procs.alarms.first is None

    k.spawn(cancels)
    k.spawn(lambda: sleeper(k, [500], came))
    k.run()
    assert len(came) == 1


def test_what_is_left_is_told_in_ms(k: PlainKernel) -> None:
    def body() -> None:
        up = k.up
        assert up is not None
        assert sysalarm(k, (1000, 0, 0, 0, 0)) == 0
        tsleep(k, up.sleep, lambda: False, 300)
        assert 680 <= sysalarm(k, (5000, 0, 0, 0, 0)) <= 700
        assert k.procs.alarms.first is up and up.palarm is None  # once in the queue
        assert sysalarm(k, (0, 0, 0, 0, 0)) == 5000

    k.spawn(body)
    k.run()


def test_a_process_under_a_debugger_is_told_later(k: PlainKernel) -> None:
    came: list[tuple[int, str]] = []
    p = k.spawn(lambda: sleeper(k, [100], came))
    other: list[tuple[int, str]] = []
    k.spawn(lambda: sleeper(k, [100], other))

    def debugger() -> None:
        up = k.up
        assert up is not None
        qlock(k, p.debug)
        tsleep(k, up.sleep, lambda: False, 500)
        qunlock(k, p.debug)

    k.spawn(debugger)
    k.run()
    assert len(came) == len(other) == 1
    assert came[0][0] >= 500


def test_a_dead_process_slot_keeps_its_place(k: PlainKernel) -> None:
    """Its alarm is off, but the queue goes through it."""
    came: list[tuple[int, str]] = []

    def dies() -> None:
        procalarm(k, 200)

    k.spawn(dies)
    k.spawn(lambda: sleeper(k, [300], came))

    def again() -> None:
        up = k.up
        assert up is not None
        tsleep(k, up.sleep, lambda: False, 50)
        k.spawn(lambda: sleeper(k, [400], came))

    k.spawn(again)
    k.run()
    assert [round(t, -1) for t, _ in came] == [300, 450]


def test_interrupts_do_not_stop_the_process_that_posts(k: PlainKernel) -> None:
    came: list[tuple[int, str]] = []
    k.spawn(lambda: sleeper(k, [200], came))

    def meddler() -> None:
        up = k.up
        assert up is not None
        tsleep(k, up.sleep, lambda: False, 20)
        alarm = next(p for p in k.procs.proctab if p.text == "alarm")
        postnote(k, alarm, 1, None, NUser)

    k.spawn(meddler)
    k.run()
    assert len(came) == 1


def test_no_room_for_the_note_loses_it(k: PlainKernel) -> None:
    procs: list[Proc] = []

    def full() -> None:
        up = k.up
        assert up is not None
        procs.append(up)
        up.note = [Note("x", NUser) for _ in range(5)]
        procalarm(k, 10)
        try:
            tsleep(k, up.sleep, lambda: False, 1000)
        except Error:
            pass
        assert [n.msg for n in up.note] == ["x"] * 5

    k.spawn(full)
    k.run()
    assert procs[0].alarm == 0


@pytest.mark.parametrize(
    ("ms", "ticks"),
    [(0, 0), (4, 0), (5, 1), (10, 1), (14, 1), (15, 2), (9_999_999, 1_000_000), (10_000_999, 1_000_000)],
)
def test_ticks(ms: int, ticks: int) -> None:
    assert ms2tk(ms) == ticks
