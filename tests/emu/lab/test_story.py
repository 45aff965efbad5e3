"""Which steps are told, and how they look."""

from __future__ import annotations

from emu.lab.story import BREAK, CALL, MOSTROWS, STAND, STATE, STEP, Step, columns, ending, relevant, tell
from kernel.sched.explore import HOLD

NAMES = {2: "a", 3: "b", 4: "c"}
CHAN, LOCK, OTHER = 1, 2, 3


def steps() -> list[Step]:
    """a looks at a channel and stands still; b closes it; a closes it again. c does something else."""
    return [
        Step(CALL, 4, 0, "sleep(1)", call=1),
        Step(STEP, 4, 0, "lock", "syssleep", "rlock of c 4", OTHER, call=1),
        Step(CALL, 2, 0, 'stat("/n")', call=2),
        Step(STEP, 2, 0, "rlock", "findmount", "lock of mhead", LOCK, call=2),
        Step(STEP, 2, 0, "lock", "findmount", "something", 9, call=2),
        Step(STAND, 2, 0, HOLD, call=2),
        Step(CALL, 3, 1, 'unmount("/n")', call=3),
        Step(STEP, 3, 1, "wlock", "cunmount", "lock of mhead", LOCK, call=3),
        Step(STEP, 3, 1, "decref", "cunmount > cclose", "from of mhead", CHAN, "1 -> 0", call=3),
        Step(STEP, 2, 0, "incref", "domount", "from of mhead", CHAN, "0 -> 1", call=2),
        Step(BREAK, 2, 0, "panic: cclose <Chan>", "cclose", call=2),
        Step(STATE, 3, -1, "waits for nothing", call=3),
        Step(STATE, 4, -1, "waits for the time", call=1),
    ]


def test_what_matters_is_what_broke_and_who_met_there() -> None:
    story = relevant(NAMES, steps(), [CHAN])
    assert story.names == {2: "a", 3: "b"}
    assert [tell(s) for s in story.steps] == [
        'stat("/n")',
        "findmount: rlock lock of mhead",
        "findmount: lock something",  # where it stood still
        "-- stands still here --",
        'unmount("/n")',
        "cunmount: wlock lock of mhead",
        "cunmount > cclose: decref from of mhead, 1 -> 0",
        "domount: incref from of mhead, 0 -> 1",
        "*** cclose: panic: cclose <Chan>",
        "(at the end: waits for nothing)",
    ]
    assert story.cut == 0


def test_columns_of_eighty() -> None:
    lines = columns(relevant(NAMES, steps(), [CHAN]))
    assert lines[0] == f"{'a 2':<38} | b 3"
    assert f"{'':<38} |   cunmount > cclose: decref from of" in lines
    assert f"{'':<38} |     mhead, 1 -> 0" in lines
    assert max(map(len, lines)) <= 80
    assert columns(relevant({}, [], [])) == []


def test_the_same_again_and_again_is_one() -> None:
    again = [Step(STEP, 3, 1, "wlock", "cunmount", "lock of mhead", LOCK, call=3) for _ in range(5)]
    all = steps()
    all[8:8] = again
    told = [tell(s) for s in relevant(NAMES, all, [CHAN]).steps]
    assert "cunmount: wlock lock of mhead (6 times)" in told


def test_a_long_story_has_its_middle_left_out() -> None:
    all = steps()
    all[8:8] = [Step(STEP, 3, 1, "decref", f"f{n}", "from of mhead", CHAN, "9 -> 8", call=3) for n in range(100)]
    story = relevant(NAMES, all, [CHAN])
    told = [tell(s) for s in story.steps]
    assert MOSTROWS <= len(told) <= MOSTROWS + 4
    assert story.cut == 110 - len(told)
    assert told[0] == 'stat("/n")'
    assert "-- stands still here --" in told
    assert "*** cclose: panic: cclose <Chan>" in told


def test_a_bad_end_is_told_by_calls() -> None:
    all = [
        Step(CALL, 2, 0, 'exits("")', call=1),
        Step(CALL, 2, 0, "read(3)", call=2),
        Step(STEP, 2, 0, "lock", "sysread", "something", LOCK, call=2),
        Step(STEP, 2, 0, "qlock", "sysread", "debug", OTHER, call=2),
        Step(STAND, 2, 0, HOLD, call=2),
        *(Step(CALL, 3, 1, "write(4)", call=n) for n in (3, 4, 5)),
        Step(STEP, 3, 1, "lock", "syswrite", "something", LOCK, call=5),
        Step(CALL, 3, 1, 'exits("lost")', call=6),
        Step(CALL, 2, 0, 'exits("lost too")', call=7),
    ]
    assert [tell(s) for s in ending(NAMES, all).steps] == [
        "read(3)", "sysread: qlock debug", "-- stands still here --", "write(4) (3 times)", 'exits("lost")',
    ]  # fmt: skip
    assert ending(NAMES, []).steps == []


def test_a_deadlock_is_told_by_what_is_shared() -> None:
    all = [s for s in steps() if s.kind not in (BREAK, STAND)]
    story = relevant(NAMES, all, [])
    assert "findmount: rlock lock of mhead" in [tell(s) for s in story.steps]
    assert "(at the end: waits for nothing)" in [tell(s) for s in story.steps]
