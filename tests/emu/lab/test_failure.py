"""When two failures are the same."""

from __future__ import annotations

import pytest

from emu.lab.failure import (
    CHECK,
    DEADLOCK,
    EXIT,
    INTERNAL,
    LIVELOCK,
    PANIC,
    TIMEOUT,
    Failure,
    ended,
    raised,
    shape,
)
from emu.machine.config import MachineError, Outcome, Stats
from emu.machine.signals import TimeLimit
from kernel.base.chandat import Chan
from kernel.base.error import Panic, Wrong
from kernel.files.channel import cclose
from tests.kernel.plain import PlainKernel


def machine_error(e: Panic, dump: str = "") -> MachineError:
    try:
        raise MachineError(f"panic: {e}", dump) from e
    except MachineError as made:
        return made


def test_addresses_and_numbers_do_not_count() -> None:
    a, b = "cclose <Chan None type 0 qid 0x9 ref 1>", "cclose <Chan /n type 0 qid 0x12 ref 0>"
    assert shape(a) == shape(b) == "cclose <Chan>"
    assert shape("page 17 at 0xabc") == shape("page 3 at 0x12")
    assert shape("page 17") != shape("segment 17")


def test_a_panic_is_where_it_is_raised() -> None:
    k = PlainKernel()
    c = Chan()
    c.ref = 0
    with pytest.raises(Panic) as e:
        cclose(k, c)
    f = raised(machine_error(e.value))
    assert (f.kind, f.place) == (PANIC, "cclose")
    assert str(f).endswith("(in cclose)")


def test_kinds() -> None:
    assert raised(machine_error(Panic("lock loop: <Proc 3>"))).kind == LIVELOCK
    assert raised(machine_error(Panic("newpage: no progress"))).kind == LIVELOCK
    wrong = raised(machine_error(Wrong("page 3 is free and cached; seen at 0.1; all was well at the start")))
    assert (wrong.kind, wrong.what) == (CHECK, "page 3 is free and cached")
    assert raised(TimeLimit("time limit of 1 s reached")).kind == TIMEOUT
    more = raised(machine_error(Wrong("page 4 is free and cached; freecount is 3, 2 pages are free; seen at 0.2")))
    assert more.key == wrong.key
    try:
        raise KeyError("x")
    except KeyError as e:
        f = raised(e)
    assert (f.kind, f.place) == (INTERNAL, "test_kinds")


def test_a_deadlock_is_who_waits_for_what() -> None:
    def dump(a: int, b: int, addr: str) -> str:
        return (
            f"  {a}:     sema pc 0x00001000  Sleep (Wakeme) ut 0 st 1 pri 10 waits for the semaphore at {addr}\n"
            f"  {b}:     init pc 0x00001000  Wait (Wakeme) ut 0 st 1 pri 10 waits for the end of one of 1 children"
        )

    first, second, other = (
        raised(MachineError("no progress: every process waits for another", d))
        for d in (dump(2, 3, "0x1000"), dump(4, 7, "0x2000"), dump(2, 3, "0x1000").replace("semaphore", "note"))
    )
    assert first.kind == DEADLOCK
    assert first.key == second.key != other.key
    assert "sema waits for the semaphore at #" in first.place


@pytest.mark.parametrize(
    ("status", "exits", "expected", "failure"),
    [
        (0, "", (0, ""), None),
        (1, "p 2: bad", (0, ""), Failure(EXIT, "bad")),
        (1, "p 2: bad", (1, "bad"), None),
        (1, "p 2: bad", (1, "worse"), Failure(EXIT, "bad")),
        (1, "p 2: bad", (1, None), None),
        (3, "p 2: 3", (4, None), Failure(EXIT, "3")),
    ],
)
def test_an_end_is_compared(status: int, exits: str, expected: tuple[int, str | None], failure: Failure | None) -> None:
    assert ended(Outcome(status, exits, 2, "p", Stats()), *expected) == failure
