"""What the dump says each process waits for: kernel/waits.py."""

from __future__ import annotations

import pytest

from kernel.base.chandat import MREPL
from kernel.base.dat import RWlock, Sema
from kernel.base.procdat import Note, NUser, Stopped
from kernel.devices.procctl import procstopwait
from kernel.files.fcall import Tread
from kernel.sched.newproc import unwind
from kernel.sched.qlock import qlock, qunlock
from kernel.sched.rwlock import rlock, runlock, wlock
from kernel.sched.sched import sched
from kernel.sched.sleep import sleep, tsleep
from kernel.syscalls.bindmount import sysmount
from kernel.syscalls.syssem import semqueue
from kernel.waits import functions, locks, position, procdump, waitsfor
from tests.kernel.fakes import Rig, newrig
from tests.kernel.plain import PlainKernel
from tests.kernel.server9p import Server, asleep, client, held, wait

rig = pytest.fixture(newrig)


@pytest.fixture
def k() -> PlainKernel:
    return PlainKernel()


def test_locks_and_their_holders(k: PlainKernel) -> None:
    """A name for the lock, from where it is; who has it."""
    rw = RWlock()

    def holds() -> None:
        up = k.up
        assert up is not None
        qlock(k, up.seglock)
        wlock(k, rw)
        sleep(k, up.sleep, lambda: False)

    first = k.spawn(holds, "first")
    k.run(1)

    def wants() -> None:
        qlock(k, first.seglock)

    def wants2() -> None:
        rlock(k, rw)

    a, b = k.spawn(wants, "a"), k.spawn(wants2, "b")
    k.run(1)
    assert waitsfor(k, first) == "a note in sleep"
    assert waitsfor(k, a) == "the lock seglock of first 1, held by first 1 in qlock > sched"
    assert waitsfor(k, b) == "the lock rwlock, held by first 1 in rlock > _wait > sched"
    dump = procdump(k).splitlines()
    assert [line.partition(" waits for ")[2] for line in dump] == [waitsfor(k, p) for p in (first, a, b)]


def test_readers_of_a_lock(k: PlainKernel) -> None:
    rw = RWlock()

    def reads() -> None:
        up = k.up
        assert up is not None
        rlock(k, rw)
        sleep(k, up.sleep, lambda: False)
        runlock(k, rw)

    k.spawn(reads)
    k.spawn(reads)
    k.run(1)
    w = k.spawn(lambda: wlock(k, rw))
    k.run(1)
    assert waitsfor(k, w) == "the lock rwlock, which 2 read in wlock > _wait > sched"


def test_a_semaphore_a_time_a_debugger(k: PlainKernel) -> None:
    def sem() -> None:
        up = k.up
        assert up is not None
        s = Sema(0x1234)
        segment = k.segment(up, 1, 3, 0x10000, 1)
        semqueue(k, segment, s)
        sleep(k, s, lambda: False)

    def time() -> None:
        up = k.up
        assert up is not None
        tsleep(k, up.sleep, lambda: False, 2000)

    def stops() -> None:
        up = k.up
        assert up is not None
        up.state = Stopped
        sched(k)

    a, b, c = k.spawn(sem), k.spawn(time), k.spawn(stops)
    a.note.append(Note("hello", NUser))
    k.run(1)
    assert waitsfor(k, a) == "the semaphore at 0x1234; notes wait: 1 in sleep"
    assert waitsfor(k, b).startswith("the time 2.00000") and waitsfor(k, b).endswith(" in tsleep > tsleepns > sleep")
    assert waitsfor(k, c) == "a debugger in sched"
    unwind(k)


def test_a_process_to_stop(k: PlainKernel) -> None:
    def runs() -> None:
        up = k.up
        assert up is not None
        sleep(k, up.sleep, lambda: False)

    p = k.spawn(runs, "p")

    def debugs() -> None:
        qlock(k, p.debug)
        procstopwait(k, p, 1)
        qunlock(k, p.debug)

    d = k.spawn(debugs)
    k.run(1)
    assert waitsfor(k, d) == "p 1 to stop in procstopwait > sleep"


def test_queues_with_their_fill(rig: Rig) -> None:
    out: list[object] = []

    @rig.run
    def _() -> None:
        a, b = rig.pipe()
        reads = client(rig, lambda: rig.pread(a, 10), out)
        asleep(rig, reads)
        assert waitsfor(rig.k, reads).startswith("a queue to fill, 0 of 32768 bytes in it in ")
        writes = client(rig, lambda: [rig.pwrite(a, bytes(30000)) for _ in range(2)], out)
        asleep(rig, writes)
        text = waitsfor(rig.k, writes)
        assert text.startswith("a queue to empty, ") and " of 32768 bytes in it in " in text
        assert int(text.split()[4]) > 32768
        assert text.endswith(" > qwrite > qbwrite > _qflow > sleep")
        rig.close(a)
        rig.close(b)
        wait(rig)


def test_a_file_server(rig: Rig) -> None:
    s = Server(rig, f=b"data")
    out: list[object] = []

    @rig.run
    def _() -> None:
        rig.call(sysmount, s.start(), -1, "/n", MREPL, "")
        held(s, Tread)
        one = client(rig, lambda: rig.slurp("/n/f"), out)
        asleep(rig, one)
        two = client(rig, lambda: rig.slurp("/n/f"), out)
        asleep(rig, two)
        # the first reads the server's pipe, the second waits for it to
        assert "a queue to fill, 0 of " in waitsfor(rig.k, one)
        assert waitsfor(rig.k, two).startswith(f"the answer to message T{Tread} of a file server in ")


def test_who_runs_waits_for_nothing(k: PlainKernel) -> None:
    seen: list[str] = []

    def body() -> None:
        up = k.up
        assert up is not None
        seen.extend((waitsfor(k, up), position(k, up, False)(), functions(up)))

    k.spawn(body)
    p = k.process()
    k.run(1)
    assert seen[0] == seen[2] == waitsfor(k, p) == functions(p) == ""
    assert seen[1].endswith("on processor 0, switch 0: test 1 is switched away from in ")


def test_all_locks_that_are_held_or_waited_for(k: PlainKernel) -> None:
    """Of parts of the kernel, of processes, and in variables; the waiters in the order in which they get it."""
    rw = RWlock()

    def holds() -> None:
        up = k.up
        assert up is not None
        qlock(k, up.seglock)
        wlock(k, rw)
        sleep(k, up.sleep, lambda: False)

    first = k.spawn(holds, "first")
    k.run(1)

    def wants() -> None:
        qlock(k, first.seglock)

    def wants2() -> None:
        rlock(k, rw)

    k.spawn(wants, "a"), k.spawn(wants, "b"), k.spawn(wants2, "c")
    k.run(1)
    k.palloc.key, k.palloc.p = True, first
    held = {h.name: h for h in locks(k)}
    assert held["palloc"] == ("palloc", "lock", "first 1", ())
    assert held["seglock of first 1"] == ("seglock of first 1", "qlock", "first 1", ("a 2", "b 3"))
    (inside,) = [h for h in held.values() if h.kind == "rwlock"]
    assert inside.holder == "first 1"
    assert inside.waiters == ("c 4",)
    assert len(held) == 3
