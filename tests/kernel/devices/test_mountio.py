"""Messages to file servers: kernel/devices/mountio.py."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from kernel.base.chandat import DMDIR, MCACHE, MCREATE, MREPL, ORDWR, OWRITE
from kernel.base.error import Error
from kernel.base.mntdat import Fcall
from kernel.base.procdat import NUser, Proc, Wakeme
from kernel.devices.mountio import mntfree, mntralloc
from kernel.files.conv import Dir
from kernel.files.fcall import IOHDRSZ, Rerror, Rflush, Rread, Rwrite, Tattach, Tflush, Tmax, Tread, Tversion, convS2M
from kernel.files.fd import fdtochan
from kernel.memory.check import mustcheck
from kernel.sched.note import postnote
from kernel.sched.sched import sched
from kernel.syscalls.bindmount import sysunmount
from kernel.syscalls.sysfile import syschdir
from tests.kernel.fakes import Rig, err, newrig
from tests.kernel.server9p import Answer, Node, Server, answer, asleep, client, ended, held, wait

rig = pytest.fixture(newrig)

MSIZE = 8192  # what the server asks for
UNIT = MSIZE - IOHDRSZ


# Many at a time


def waiter(rig: Rig, fd: int) -> tuple[Proc, list[object]]:
    """A process that reads a byte of fd and waits for the answer; there will be what came of it."""
    out: list[object] = []
    p = client(rig, lambda: rig.pread(fd, 1, 0), out)
    asleep(rig, p)
    return p, out


def reader(rig: Rig, fd: int) -> Callable[[], object]:
    return lambda: (fd, rig.pread(fd, 50))


def test_answers_find_those_who_wait_for_them(rig: Rig) -> None:
    s = Server(rig, f=b"")
    waiting = held(s)
    out: list[object] = []

    @rig.run
    def _() -> None:
        s.mount("/n")
        fds = [rig.open("/n/f") for _ in range(5)]
        procs = [client(rig, reader(rig, fd), out) for fd in fds]
        asleep(rig, *procs)
        wait(rig)
        assert len(waiting) == 5
        assert len({f.tag for f in waiting}) == 5
        m = rig.k.mntalloc.list[0]
        assert (len(m.queue), m.rip in procs) == (5, True)
        fid = {fdtochan(rig.k, fd, -1, False, False).fid: fd for fd in fds}
        for f in waiting[3:] + waiting[:3]:
            answer(rig, s, Fcall(Rread, f.tag, data=b"for %d" % fid[f.fid]))
        wait(rig, *procs)
        assert sorted(out, key=str) == [(fd, b"for %d" % fd) for fd in fds]
        assert (m.queue, m.rip) == ([], None)
        assert rig.k.mntalloc.nrpcused == 0


def test_an_answer_is_not_lost_when_its_message_is_used_again(rig: Rig) -> None:
    """Another process may take a free Mntrpc at the first lock after it was freed."""
    s = Server(rig, f=b"data")
    k = rig.k

    @rig.run
    def _() -> None:
        s.mount("/n")
        fd = rig.open("/n/f")
        c = fdtochan(k, fd, -1, False, False)

        def explore(point: str) -> None:
            if point == "unlock" and k.mntalloc.rpcfree and k.mntalloc.nrpcused == 0:
                k.explore = None
                mntfree(k, mntralloc(k, c))

        k.explore = explore
        assert rig.stat(fd).length == 4


def test_tags_are_the_lowest_free(rig: Rig) -> None:
    s = Server(rig, f=b"")

    @rig.run
    def _() -> None:
        s.mount("/n")
        fd = rig.open("/n/f")
        s.log.clear()
        waiting = held(s)
        out: list[object] = []
        procs = [client(rig, lambda: rig.pread(fd, 1, 0), out) for _ in range(12)]
        asleep(rig, *procs)
        wait(rig)
        assert sorted(f.tag for f in waiting) == list(range(1, 13))
        answer(rig, s, *(Fcall(Rread, f.tag, data=b"a") for f in waiting))
        wait(rig, *procs)
        ma = rig.k.mntalloc
        assert out == [b"a"] * 12
        assert len(ma.rpcfree) == 10  # two went, with their tags
        assert bin(ma.tags).count("1") == 2 + 10


def test_a_message_may_come_in_any_pieces(rig: Rig) -> None:
    s = Server(rig, f=b"")

    @rig.run
    def _() -> None:
        s.mount("/n")
        fd = rig.open("/n/f")
        s.on[Tread] = lambda f: [bytes([b]) for b in convS2M(Fcall(Rread, f.tag, data=b"slow"), 100)]
        assert rig.pread(fd, 10, 0) == b"slow"


# Interruption


def test_an_interrupted_call_is_flushed(rig: Rig) -> None:
    s = Server(rig, f=b"")

    @rig.run
    def _() -> None:
        s.mount("/n")
        fd = rig.open("/n/f")
        waiting = held(s)
        p, out = waiter(rig, fd)
        wait(rig)
        postnote(rig.k, p, 1, "alarm", NUser)
        wait(rig, p)
        flush = s.log[-1]
        assert (flush.type, flush.oldtag) == (Tflush, waiting[0].tag)
        assert flush.tag != waiting[0].tag
        assert out == ["interrupted"]
        assert rig.k.mntalloc.list[0].queue == []
        # an answer that comes too late is nobody's
        answer(rig, s, Fcall(Rread, 99, data=b"a"))
        del s.on[Tread]
        assert rig.pread(fd, 1, 0) == b""
        assert f"unexpected reply tag 99; type {Rread}".encode() in rig.k.files.kmesg


def test_an_answer_before_the_flush_counts(rig: Rig) -> None:
    s = Server(rig, f=b"")

    @rig.run
    def _() -> None:
        s.mount("/n")
        fd = rig.open("/n/f")
        waiting = held(s)
        s.on[Tflush] = lambda f: [Fcall(Rread, f.oldtag, data=b"a"), Fcall(Rflush, f.tag)]
        p, out = waiter(rig, fd)
        wait(rig)
        postnote(rig.k, p, 1, "alarm", NUser)
        wait(rig, p)
        assert out == [b"a"]
        assert len(waiting) == 1


def test_a_flush_that_is_interrupted_is_flushed_again(rig: Rig) -> None:
    s = Server(rig, f=b"")

    @rig.run
    def _() -> None:
        s.mount("/n")
        fd = rig.open("/n/f")
        waiting = held(s)
        flushes = held(s, Tflush)
        p, out = waiter(rig, fd)
        for i in range(1, 4):
            wait(rig)
            postnote(rig.k, p, 1, None, NUser)
            wait(rig)
            assert [f.oldtag for f in flushes] == [waiting[0].tag] * i
        assert out == []
        answer(rig, s, Fcall(Rflush, flushes[-1].tag))
        wait(rig, p)
        assert out == ["interrupted"]
        assert rig.k.mntalloc.nrpcused == 0
        assert rig.k.mntalloc.list[0].queue == []


def test_when_the_reader_is_interrupted_another_reads(rig: Rig) -> None:
    s = Server(rig, f=b"")

    @rig.run
    def _() -> None:
        s.mount("/n")
        fd = rig.open("/n/f")
        waiting = held(s)
        held(s, Tflush)
        out: list[object] = []
        a = client(rig, lambda: ("a", rig.pread(fd, 1, 0)), out)
        b = client(rig, lambda: ("b", rig.pread(fd, 1, 0)), out)
        asleep(rig, a, b)
        wait(rig)
        m = rig.k.mntalloc.list[0]
        reader, other = (a, b) if m.rip is a else (b, a)
        postnote(rig.k, reader, 1, None, NUser)
        wait(rig)
        assert m.rip is not None
        answer(rig, s, *(Fcall(Rread, f.tag, data=b"x") for f in waiting))
        wait(rig, other)
        assert ended(other)


def test_a_note_ends_a_long_read_after_a_piece(rig: Rig) -> None:
    s = Server(rig, f=b"x" * 3 * UNIT)

    @rig.run
    def _() -> None:
        s.mount("/n")
        fd = rig.open("/n/f")
        me = rig.up

        def read(f: Fcall) -> Answer:
            me.note.append(note)
            return s.answer(f)

        note = me.lastnote
        s.on[Tread] = read
        assert rig.pread(fd, 3 * UNIT, 0) == b"x" * UNIT
        me.note.clear()


# A server that dies, or misbehaves


def test_a_dying_server_hangs_nobody(rig: Rig) -> None:
    s = Server(rig, f=b"")

    @rig.run
    def _() -> None:
        s.mount("/n")
        fd = rig.open("/n/f")
        held(s)
        out: list[object] = []
        procs = [client(rig, lambda: rig.pread(fd, 1, 0), out) for _ in range(4)]
        asleep(rig, *procs)
        wait(rig)
        assert s.proc is not None
        postnote(rig.k, s.proc, 1, "die", NUser)
        wait(rig, s.proc, *procs)
        # three are told of the end, then it is an error
        assert sorted(out, key=str) == ["i/o on hungup channel", *["mount rpc error"] * 3]
        assert err(rig.pread, fd, 1, 0) == "i/o on hungup channel"
        assert err(rig.open, "/n/f") == "'/n/f' i/o on hungup channel"
        assert rig.up.note == []  # and no note for the write
        rig.close(fd)
        rig.call(sysunmount, 0, "/n")
        assert rig.k.mntalloc.list == []


@pytest.mark.parametrize(
    ("reply", "printed"),
    [
        (b"\6\0\0\0\x75\1\0", "mntrpcread: convM2S failed"),  # shorter than its own header
        (b"\7\0\0\0\xc8\1\0", "mntrpcread: convM2S failed"),  # no such type
        (b"\xff\xff\0\0\x75\1\0", ""),  # longer than can be
        (b"\xff\xff\xff\xff\x75\1\0", "mntrpcread: convM2S failed"),
    ],
)
def test_nonsense_from_the_server(rig: Rig, reply: bytes, printed: str) -> None:
    s = Server(rig, f=b"")

    @rig.run
    def _() -> None:
        s.mount("/n")
        fd = rig.open("/n/f")
        s.on[Tread] = lambda f: reply
        assert err(rig.pread, fd, 1, 0) == "mount rpc error"
        assert printed.encode() in rig.k.files.kmesg
        assert bool(printed) == bool(rig.k.files.kmesg)


def test_an_answer_of_another_type(rig: Rig) -> None:
    s = Server(rig, f=b"")

    @rig.run
    def _() -> None:
        s.mount("/n")
        fd = rig.open("/n/f")
        s.on[Tread] = lambda f: Fcall(Rwrite, f.tag, count=1)
        assert err(rig.pread, fd, 1, 0) == "mount rpc error"
        text = rig.k.files.kmesg.decode()
        assert text.startswith(f"mnt: proc test {rig.up.pid}: mismatch from")
        assert f"T{Tread} R{Rwrite}" in text


def test_a_name_that_fits_no_message(rig: Rig) -> None:
    s = Server(rig)

    @rig.run
    def _() -> None:
        s.mount("/n")
        s.log.clear()
        assert err(rig.open, "/n/" + "x" * 9000).endswith("mount rpc error")
        assert b"convS2M returned 0" in rig.k.files.kmesg
        assert s.log == []
        assert rig.k.mntalloc.list[0].queue == []


def test_an_error_text_is_cut(rig: Rig) -> None:
    s = Server(rig, f=b"")
    s.on[Tread] = lambda f: Fcall(Rerror, f.tag, ename="e" * 1000)

    @rig.run
    def _() -> None:
        s.mount("/n")
        text = err(rig.pread, rig.open("/n/f"), 1)
        assert len(text) < 128
        assert text.endswith("...")


def test_without_memory_for_a_message(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    s = Server(rig, f=b"")

    @rig.run
    def _() -> None:
        s.mount("/n")
        fd = rig.open("/n/f")
        waiting = held(s)
        p, out = waiter(rig, fd)
        wait(rig)
        rig.k.mntalloc.rpcfree.clear()
        monkeypatch.setattr(rig.k, "malloc", lambda: False)
        assert err(rig.pread, fd, 1, 0) == "no free mount rpc header"
        # nor is there for a flush: the message is given up without
        postnote(rig.k, p, 1, None, NUser)
        wait(rig, p)
        assert out == ["no free mount rpc header"]
        assert len(waiting) == 1
        assert rig.k.mntalloc.list[0].queue == []


@pytest.mark.parametrize("seed", range(10))
def test_a_hostile_server_gives_errors_and_nothing_else(rig: Rig, seed: int) -> None:
    rng = random.Random(seed)
    s = Server(rig, f=b"data" * 100, g=b"")
    s.add(s.root, Node(s, "d", DMDIR | 0o777))

    def wrong(f: Fcall) -> Answer:
        if f.fid not in s.fids and f.type not in (Tversion, Tattach, Tflush):
            return Fcall(Rerror, f.tag, ename="unknown fid")
        good = s.answer(f)
        if f.type in (Tversion, Tattach) or rng.random() < 0.6:
            return good
        b = bytearray(convS2M(good, 1 << 20))
        for _ in range(rng.randrange(1, 4)):
            b[rng.randrange(4 if rng.random() < 0.9 else 0, len(b))] = rng.randrange(256)
        if rng.random() < 0.1:
            del b[rng.randrange(len(b)) :]
            b[0:4] = len(b).to_bytes(4, "little")
        return bytes(b) if len(b) >= 7 else good

    for t in range(Tversion, Tmax, 2):
        s.on[t] = wrong
    ops: list[Callable[[], object]] = [
        lambda: rig.slurp("/n/f"),
        lambda: rig.pread(rig.open("/n"), rng.choice([100, 8192])),
        lambda: rig.stat(rng.choice(["/n/f", "/n", "/n/d"])),
        lambda: rig.close(rig.create(f"/n/d/x{rng.random()}", OWRITE)),
        lambda: rig.pwrite(rig.open("/n/g", ORDWR), b"x" * 10000),
        lambda: rig.remove("/n/d/../g"),
        lambda: rig.wstat("/n/f", Dir(name="f", mode=0o600)),
        lambda: rig.call(syschdir, "/n/d"),
    ]

    def clientbody() -> None:
        for _ in range(40):
            try:
                rng.choice(ops)()
            except Error:
                pass

    @rig.run
    def _() -> None:
        s.mount("/n", MREPL | MCREATE | rng.choice([0, MCACHE]))
        procs = [rig.spawn(clientbody, rig.up) for _ in range(3)]
        for _ in range(3000):  # who waits for an answer that never comes is interrupted
            sched(rig.k)
            for p in procs:
                if p.state == Wakeme and rng.random() < 0.05:
                    postnote(rig.k, p, 1, None, NUser)
            if all(map(ended, procs)):
                break
        mustcheck(rig.k)
