"""What the order of locks and the locks of fields come to."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from kernel.base.dat import SG_BSS, SG_RONLY, SG_TEXT, TSEG, Lock, QLock, RWlock
from kernel.base.mem import BY2PG
from kernel.base.procdat import NUser
from kernel.devices.procmem import txt2data
from kernel.memory.segment import attachimage, dupseg, newseg, putseg
from kernel.sched.explore import Explore, Strategy
from kernel.sched.lockorder import Edge, LockOrder
from kernel.sched.lockset import Lockset, Touch, Warned
from kernel.sched.note import postnote
from kernel.sched.qlock import canqlock, qlock, qunlock
from kernel.sched.rwlock import rlock, runlock, wlock, wunlock
from kernel.sched.sched import sched
from kernel.sched.taslock import canlock, lock, unlock
from kernel.sched.watch import Locks, Watch
from tests.kernel.plain import PlainKernel, me


def watched(nmach: int = 1) -> tuple[PlainKernel, Watch]:
    """A kernel whose locks are watched, and a process."""
    k = PlainKernel(nmach=nmach)
    k.become(k.process())
    k.watch = w = Watch(k, order=True, sets=True)
    return k, w


def pairs(w: Watch) -> list[tuple[str, str]]:
    """Which are taken while which are held."""
    assert w.order is not None
    return sorted(w.order.pairs())


def test_pairs_have_the_names_of_structures_and_fields() -> None:
    k, w = watched()
    p = me(k)
    s = newseg(k, SG_BSS, 0x1000, 1)
    qlock(k, p.seglock)
    qlock(k, s)
    lock(k, k.palloc)
    lock(k, s.semalock)
    unlock(k, s.semalock)
    unlock(k, k.palloc)
    qunlock(k, s)
    qunlock(k, p.seglock)
    assert pairs(w) == [
        ("Palloc", "Segment.semalock"),
        ("Proc.seglock", "Palloc"),
        ("Proc.seglock", "Segment"),
        ("Proc.seglock", "Segment.semalock"),
        ("Segment", "Palloc"),
        ("Segment", "Segment.semalock"),
    ]
    assert w.held == {}
    assert w.report()[0] == "lock order: 6 pairs of locks, 0 circles"


def test_a_circle_is_told_with_the_functions() -> None:
    k, w = watched()
    p = me(k)
    s = newseg(k, SG_BSS, 0x1000, 1)
    for one, two in ((p.seglock, s), (s, p.seglock)):
        qlock(k, one)
        qlock(k, two)
        qunlock(k, two)
        qunlock(k, one)
    text = "\n".join(w.report())
    assert "2 pairs of locks, 1 circle\nlock order: Proc.seglock -> Segment -> Proc.seglock\n" in text


def test_a_debugger_that_writes_text_takes_the_locks_of_a_fork_the_other_way() -> None:
    """procctlmemio has the segment when txt2data wants p->seglock; sysrfork has that, and dupseg wants the segment.

    The circle is told though nothing stands still in this order. It did in 9front until procctlmemio took p->seglock.
    """
    k, w = watched()
    p = me(k)
    i = attachimage(k, SG_TEXT | SG_RONLY, k.file(bytes(BY2PG)), 0x1000, 1)
    assert i.s is not None
    p.seg[TSEG] = s = i.s
    unlock(k, i)
    qlock(k, p.seglock)
    putseg(k, dupseg(k, p.seg, TSEG, 0))
    qunlock(k, p.seglock)
    qlock(k, s)
    qunlock(k, txt2data(k, p, s))
    assert "lock order: Proc.seglock -> Segment -> Proc.seglock" in w.report()


@pytest.mark.parametrize("can", [canlock, canqlock])
def test_who_only_tries_has_no_order(can: Callable[..., bool]) -> None:
    k, w = watched()
    p = me(k)
    first: Lock | QLock = p.exl if can is canlock else p.debug
    lock(k, k.palloc)
    assert can(k, first)
    lock(k, k.swapalloc)
    assert pairs(w) == [("Palloc", "Swapalloc"), (type(first).__name__, "Swapalloc")]


def test_reading_and_writing_locks_and_hand_over() -> None:
    k, w = watched()
    rw, q = RWlock(), QLock()
    seen: list[tuple[str, ...]] = []

    def held() -> None:
        seen.append(tuple(how for _, how, _ in w.held.get(me(k), ())))

    def first() -> None:
        wlock(k, rw)
        qlock(k, q)
        sched(k)
        held()
        qunlock(k, q)
        wunlock(k, rw)
        held()

    def second() -> None:
        sched(k)
        rlock(k, rw)
        held()
        qlock(k, q)
        held()
        qunlock(k, q)
        runlock(k, rw)
        held()

    k.spawn(second)
    k.spawn(first)
    k.run(100)
    assert seen == [("wlock", "qlock"), (), ("rlock",), ("rlock", "qlock"), ()]
    assert w.held == {}


def test_cycles() -> None:
    order = LockOrder()
    order.merge(
        (Edge(a, b, "f", "g"), 1)
        for a, b in (("a", "b"), ("b", "c"), ("c", "a"), ("b", "a"), ("d", "d"), ("c", "e"))
    )
    assert order.cycles() == [("d",), ("a", "b"), ("a", "b", "c")]
    assert LockOrder().report() == ["lock order: 0 pairs of locks, 0 circles"]


def touched(bodies: Callable[[PlainKernel], list[Callable[[], None]]]) -> dict[str, list[Warned]]:
    """What two processes that touch the same come to."""
    k, w = watched()
    for body in bodies(k):
        k.spawn(body)
    k.explore = k.procs.chooser = Explore(k, Strategy())
    k.run(100)
    assert w.sets is not None
    return w.sets.told()


def noted(guarded: bool) -> Callable[[PlainKernel], list[Callable[[], None]]]:
    """Two post notes to the same process, with its debug locked or not."""

    def scene(k: PlainKernel) -> list[Callable[[], None]]:
        p = me(k)

        def body() -> None:
            postnote(k, p, int(guarded), "x", NUser)

        return [body] * 3

    return scene


def test_a_field_with_no_lock_in_common_is_told() -> None:
    found = touched(noted(False))
    assert found["Proc.notepending"][0] == Warned(
        "Proc.notepending", Touch("postnote", True, ()), Touch("postnote", True, ())
    )


def test_a_field_with_a_lock_is_not() -> None:
    assert "Proc.notepending" not in touched(noted(True))


def test_eraser() -> None:
    """From the second process on the locks in common count; loads alone are no race; a reader's lock guards loads."""
    k, _ = watched()
    p, q = k.process(), k.process()
    s = newseg(k, SG_BSS, 0x1000, 1)
    a, b = QLock(), RWlock()
    la, lb, lw = (a, "qlock", "f"), (b, "rlock", "f"), (b, "wlock", "f")

    def told(*touches: tuple[object, bool, list[tuple[object, str, str]]]) -> bool:
        sets = Lockset()
        for who, write, held in touches:
            sets.access(s, "top", write, who, "f", held)  # type: ignore[arg-type]
        return bool(sets.told())

    assert not told((p, True, []), (p, True, []))  # its own
    assert not told((p, True, []), (q, False, []), (p, False, []))  # made by one, read by others
    assert told((p, True, []), (q, True, []))
    assert not told((p, True, [la]), (q, True, [la]), (p, True, [la]))
    assert told((p, True, [la]), (q, True, [la]), (p, True, []))
    assert not told((p, True, [lw]), (q, False, [lb]), (p, True, [lw]))
    assert told((p, True, [lw]), (q, True, [lb]))
    sets = Lockset()
    sets.access(s, "top", True, p, "f", [])
    sets.forget(s)
    sets.access(s, "top", True, q, "f", [])
    assert sets.told() == {}


def test_what_a_parent_made_of_a_process_is_the_processes_own() -> None:
    k, _ = watched()
    p, q = k.process(), k.process()
    sets = Lockset()
    sets.access(q, "user", True, p, "sysrfork", [])
    sets.access(q, "user", True, q, "f", [])
    sets.access(q, "user", True, q, "f", [])
    assert sets.told() == {}
    sets.access(q, "user", True, p, "wstat", [])
    assert list(sets.told()) == ["Proc.user"]


def test_runs_are_put_together() -> None:
    k, w = watched()
    lock(k, k.palloc)
    lock(k, k.swapalloc)
    state = json.loads(json.dumps(w.state()))
    both = Locks()
    assert both.report() == []
    both.add(state)
    both.add(state)
    both.add({"sets": [[["Segment.top", ["f", True, []], ["g", False, ["Segment"]]], 2]]})
    assert both.report() == [
        "lock order: 1 pairs of locks, 0 circles",
        "lockset: 1 field touched with no lock in common",
        "lockset: Segment.top, which Segment guards",
        "  f stores with no lock; g loads with Segment",
    ]
