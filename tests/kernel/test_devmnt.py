"""Mounts and the messages to file servers: kernel/devmnt.py, kernel/mountio.py, kernel/channel.py's close processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kernel.auth import sysfauth, sysfversion
from kernel.bindmount import sys_mount, sysbind, sysmount, sysunmount
from kernel.chan import namec
from kernel.chandat import (
    DMAPPEND,
    DMDIR,
    MAFTER,
    MBEFORE,
    MCACHE,
    MCREATE,
    MREPL,
    OEXCL,
    ORCLOSE,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
    QTAUTH,
    QTEXCL,
    Aopen,
    Chan,
    Fgrp,
)
from kernel.conv import Dir, direntries, packdir
from kernel.dat import Broken, Dead, NUser, Proc, Proc_exitme, Qid, Wakeme
from kernel.devmnt import mntdev, mntversion
from kernel.error import Error
from kernel.fcall import (
    IOHDRSZ,
    NOFID,
    NOTAG,
    Fcall,
    Rauth,
    Rclunk,
    Rerror,
    Rflush,
    Ropen,
    Rread,
    Rstat,
    Rversion,
    Rwalk,
    Rwrite,
    Tattach,
    Tauth,
    Tclunk,
    Tcreate,
    Tflush,
    Topen,
    Tread,
    Tstat,
    Tversion,
    Twalk,
    Twrite,
    convS2M,
)
from kernel.fd import MAXFD, fdtochan
from kernel.pgrp import closefgrp, dupfgrp, forceclosefgrp
from kernel.sysfile import sysdup, sysfstat
from kernel.uaccess import ufetch
from tests.kernel.fakes import BUF, Rig, newrig
from tests.kernel.server9p import Answer, Node, Server

rig = pytest.fixture(newrig)

MSIZE = 8192  # what the server asks for
UNIT = MSIZE - IOHDRSZ


def err(f: Callable[..., object], *args: object) -> str:
    """The error f ends with."""
    with pytest.raises(Error) as e:
        f(*args)
    return str(e.value)


def client(rig: Rig, body: Callable[[], object], out: list[object]) -> Proc:
    """A process beside the current one; what it gives, or its error, goes to out."""

    def main() -> None:
        try:
            out.append(body())
        except Error as e:
            out.append(str(e))

    return rig.spawn(main, rig.up)


def ended(p: Proc) -> bool:
    return p.state in (Dead, Broken)


def wait(rig: Rig, *procs: Proc) -> None:
    """Let others run until these have ended, or wait for good."""
    for _ in range(200):
        rig.k.procs.sched()
        if procs and all(map(ended, procs)):
            return


def asleep(rig: Rig, *procs: Proc) -> None:
    """Let others run until these sleep."""
    for _ in range(200):
        rig.k.procs.sched()
        if all(p.state == Wakeme for p in procs):
            return
    raise AssertionError


# Files


def test_files_of_a_server(rig: Rig) -> None:
    s = Server(rig, hello=b"hello, world\n")

    @rig.run
    def _() -> None:
        s.mount("/n", MREPL | MCREATE, "tree")
        assert [(f.type, f.tag) for f in s.log] == [(Tversion, NOTAG), (Tattach, 1)]
        v, a = s.log
        assert (v.msize, v.version) == (8192 + IOHDRSZ, "9P2000")
        assert (a.uname, a.aname, a.afid) == ("eve", "tree", NOFID)
        s.log.clear()

        fd = rig.open("/n/hello")
        w, o = s.log
        assert (w.fid, w.wname, o.fid, o.mode) == (a.fid, ["hello"], w.newfid, OREAD)
        assert rig.pread(fd, 100) == b"hello, world\n"
        assert rig.pread(fd, 100) == b""
        assert rig.pread(fd, 5, 7) == b"world"
        rig.close(fd)
        assert [(f.type, f.offset, f.count) for f in s.log[2:]] == [
            (Tread, 0, 100), (Tread, 13, 100), (Tread, 7, 5), (Tclunk, 0, 0),
        ]  # fmt: skip
        s.log.clear()

        fd = rig.create("/n/new", ORDWR, 0o640)
        assert s.types() == [Twalk, Twalk, Tcreate]
        assert s.root.kids["new"].perm == 0o640
        assert rig.pwrite(fd, b"abc") == 3
        assert rig.pwrite(fd, b"X", 1) == 1
        assert rig.pread(fd, 10, 0) == b"aXc"
        d = rig.stat("/n/new")
        assert (d.name, d.length, d.mode, d.uid, d.gid, d.muid) == ("new", 3, 0o640, "glenda", "sys", "rob")
        rig.close(fd)
        rig.close(rig.open("/n/new", OWRITE | OTRUNC))
        assert s.root.kids["new"].data == b""
        rig.wstat("/n/new", Dir(name="newer", mode=0o600))
        assert sorted(s.root.kids) == ["hello", "newer"]
        assert rig.ls("/n") == ["hello", "newer"]
        rig.remove("/n/newer")
        assert err(rig.open, "/n/newer") == "'/n/newer' file does not exist"
        assert err(rig.remove, "/n/none") == "'/n/none' file does not exist"

        rig.close(rig.create("/n/d", OREAD, DMDIR | 0o777))
        rig.close(rig.create("/n/d/f", OWRITE, 0o666))
        assert rig.ls("/n/d/../d") == ["f"]
        assert err(rig.open, "/n/d/f/g") == "'/n/d/f' not a directory"
        assert err(rig.create, "/n/hello", OEXCL | OWRITE) == "'/n/hello' file already exists"
        rig.call(sysunmount, 0, "/n")
        assert s.log[-1].type == Tclunk
        assert s.fids == {}


def test_the_server_sees_its_channel_close(rig: Rig) -> None:
    s = Server(rig, f=b"x")

    @rig.run
    def _() -> None:
        s.mount("/n")
        fd = rig.open("/n/f")
        rig.call(sysunmount, 0, "/n")
        wait(rig)
        assert s.proc is not None
        assert not ended(s.proc)  # the open file keeps the channel
        assert rig.pread(fd, 1) == b"x"
        rig.close(fd)
        wait(rig, s.proc)
        assert ended(s.proc)
        assert rig.k.mntalloc.list == []


def test_long_reads_and_writes_go_in_pieces(rig: Rig) -> None:
    s = Server(rig, f=b"")
    data = bytes(range(256)) * 80

    @rig.run
    def _() -> None:
        s.mount("/n")
        fd = rig.open("/n/f", ORDWR)
        assert rig.pwrite(fd, data) == len(data)
        assert rig.pread(fd, len(data) + 1000, 0) == data
        assert s.types(Tversion, Tattach, Twalk, Topen) == [Twrite] * 3 + [Tread] * 3
        assert rig.pread(fd, UNIT, 0) == data[:UNIT]
        assert rig.pread(fd, 0, 0) == b""
        assert rig.pwrite(fd, b"", 0) == 0
        assert s.types() == [Tread, Tread, Twrite]
        # the server takes less: that ends it
        s.on[Twrite] = lambda f: Fcall(Rwrite, f.tag, count=10)
        assert rig.pwrite(fd, data, 0) == 10
        # it cannot take or give more than was asked
        s.on[Twrite] = lambda f: Fcall(Rwrite, f.tag, count=100)
        assert rig.pwrite(fd, b"x" * 5, 0) == 5
        s.on[Tread] = lambda f: Fcall(Rread, f.tag, data=b"y" * 20)
        assert rig.pread(fd, 5, 0) == b"y" * 5


@pytest.mark.parametrize(("iounit", "want"), [(0, UNIT), (100, 100), (UNIT, UNIT), (UNIT + 1, UNIT), (2**31, UNIT)])
def test_iounit(rig: Rig, iounit: int, want: int) -> None:
    s = Server(rig, f=b"")
    s.on[Topen] = lambda f: Fcall(Ropen, f.tag, qid=Qid(7, 8, 0), iounit=iounit)

    @rig.run
    def _() -> None:
        s.mount("/n")
        c = fdtochan(rig.k, rig.open("/n/f"), -1, False, False)
        assert (c.iounit, c.qid) == (want, Qid(7, 8, 0))


def test_stat_shows_the_mount(rig: Rig) -> None:
    s = Server(rig, f=b"12345")

    @rig.run
    def _() -> None:
        s.mount("/n")
        d = rig.stat("/n/f")
        c = namec(rig.k, "/n/f", Aopen, OREAD)
        assert (chr(d.type), d.dev) == ("M", c.dev)
        assert rig.stat("/n").name == "n"
        entry = rig.dirs("/n")[0]
        assert (chr(entry.type), entry.dev) == ("M", c.dev)
        # too long an entry: its size alone
        whole = rig.call(sysfstat, rig.open("/n/f"), BUF, 1024)
        assert rig.call(sysfstat, rig.open("/n/f"), BUF, whole - 1) == 2
        assert int.from_bytes(ufetch(rig.k, BUF, 2), "little") == whole - 2
        assert err(rig.call, sysfstat, rig.open("/n/f"), BUF, 1) == "stat buffer too small"
        s.on[Tstat] = lambda f: Fcall(Rstat, f.tag, stat=b"\1\2\3")
        assert err(rig.stat, "/n/f") == "malformed stat buffer"
        bad = packdir(Dir(name="a/b"))
        s.on[Tstat] = lambda f: Fcall(Rstat, f.tag, stat=bad)
        assert err(rig.stat, "/n/f").startswith("bad character in file name")


def test_bad_directory_entries(rig: Rig) -> None:
    s = Server(rig, f=b"")
    good = packdir(Dir(name="g"))
    for data, text in (
        (good + b"\1\0\0", "malformed stat buffer"),
        (good + good[:-1], "invalid directory entry received from server"),
        (good + b"\0", "invalid directory entry received from server"),
        (packdir(Dir(name="a\nb")), "bad character in file name: 'a\nb'"),
    ):
        s.on[Tread] = lambda f, data=data: Fcall(Rread, f.tag, data=data)  # type: ignore[misc]

        @rig.run
        def _(text: str = text) -> None:
            s.mount("/n")
            assert err(rig.pread, rig.open("/n"), 1000) == text


def test_a_directory_read_has_an_end(rig: Rig) -> None:
    s = Server(rig)
    good = packdir(Dir(name="g" * (UNIT - len(packdir(Dir())))))
    assert len(good) == UNIT
    s.on[Tread] = lambda f: Fcall(Rread, f.tag, data=good if f.count == UNIT else b"")

    @rig.run
    def _() -> None:
        s.mount("/n")
        c = namec(rig.k, "/n", Aopen, OREAD)
        assert len(rig.k.devtab[c.type].read(c, 1 << 30, 0)) <= 1 << 20


# Fids


def test_fids_are_used_again(rig: Rig) -> None:
    s = Server(rig, f=b"")

    @rig.run
    def _() -> None:
        s.mount("/n")
        for _ in range(3):
            rig.close(rig.open("/n/f"))
        walks = [f.newfid for f in s.log if f.type == Twalk]
        assert len(set(walks)) == 1
        # a fid that the server did not give back for sure is given up
        s.on[Tclunk] = lambda f: b"\7\0\0\0\xff\0\0"
        rig.close(rig.open("/n/f"))
        del s.on[Tclunk]
        s.log.clear()
        rig.close(rig.open("/n/f"))
        assert s.log[0].newfid not in walks


def test_a_refused_clunk_gives_the_fid_back(rig: Rig) -> None:
    s = Server(rig, f=b"")

    @rig.run
    def _() -> None:
        s.mount("/n")
        s.on[Tclunk] = lambda f: Fcall(Rerror, f.tag, ename="no")
        rig.close(rig.open("/n/f"))
        fid = s.log[-1].fid
        rig.open("/n/f")
        assert s.log[-1].fid == fid


# Walks


def test_a_walk_stops_at_what_is_not_there(rig: Rig) -> None:
    s = Server(rig)
    d = s.add(s.root, Node(s, "d", DMDIR | 0o777))
    s.add(d, Node(s, "f", 0o666))

    @rig.run
    def _() -> None:
        s.mount("/n")
        assert err(rig.open, "/n/d/x/y") == "'/n/d/x' does not exist"
        assert err(rig.open, "/n/d/f/y") == "'/n/d/f' not a directory"
        assert rig.pread(rig.open("/n/d/f"), 1) == b""
        deep = "/".join(["d", ".."] * 20)
        assert rig.ls(f"/n/{deep}/d") == ["f"]
        assert s.fids != {}


def test_wrong_walks(rig: Rig) -> None:
    s = Server(rig, f=b"")

    @rig.run
    def _() -> None:
        s.mount("/n")
        s.on[Twalk] = lambda f: Fcall(Rwalk, f.tag, wqid=[Qid(1)] * 2)
        assert err(rig.open, "/n/f") == "'/n/f' too many QIDs returned by walk"
        # none and no reason: the last error stands for it
        s.on[Twalk] = lambda f: Fcall(Rwalk, f.tag)
        rig.up.errstr = "some old error"
        assert err(rig.open, "/n/f") == "'/n/f' some old error"
        del s.on[Twalk]
        dev = mntdev(rig.k)
        c = namec(rig.k, "/n", Aopen, OREAD)
        assert err(dev.walk, c, None, ["x"] * 17) == "devmnt: too many name elements"


# Many at a time


def test_answers_find_those_who_wait_for_them(rig: Rig) -> None:
    s = Server(rig, f=b"")
    held: list[Fcall] = []
    s.on[Tread] = lambda f: held.append(f)
    out: list[object] = []

    @rig.run
    def _() -> None:
        s.mount("/n")
        fds = [rig.open("/n/f") for _ in range(5)]
        procs = [client(rig, lambda fd=fd: (fd, rig.pread(fd, 50)), out) for fd in fds]
        asleep(rig, *procs)
        wait(rig)
        assert len(held) == 5
        assert len({f.tag for f in held}) == 5
        m = rig.k.mntalloc.list[0]
        assert (len(m.queue), m.rip in procs) == (5, True)
        fid = {fdtochan(rig.k, fd, -1, False, False).fid: fd for fd in fds}
        for f in held[3:] + held[:3]:
            answer(rig, s, Fcall(Rread, f.tag, data=b"for %d" % fid[f.fid]))
        wait(rig, *procs)
        assert sorted(out, key=str) == [(fd, b"for %d" % fd) for fd in fds]
        assert (m.queue, m.rip) == ([], None)
        assert rig.k.mntalloc.nrpcused == 0


def answer(rig: Rig, s: Server, *answers: Fcall | bytes) -> None:
    """Have the server send answers, all in one piece."""
    k = rig.k
    b = b"".join(a if isinstance(a, bytes) else convS2M(a, 1 << 20) for a in answers)
    assert s.proc is not None and s.proc.fgrp is not None
    c = s.proc.fgrp.fd[s.fd]
    assert c is not None
    k.devtab[c.type].write(c, b, 0)


def held(s: Server, type: int = Tread) -> list[Fcall]:
    """Let the server keep requests of a type unanswered, in this list."""
    out: list[Fcall] = []
    s.on[type] = out.append
    return out


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
        s.on[Tread] = lambda f: [*(bytes([b]) for b in convS2M(Fcall(Rread, f.tag, data=b"slow"), 100))]  # type: ignore[return-value]
        assert rig.pread(fd, 10, 0) == b"slow"


# Interruption


def test_an_interrupted_call_is_flushed(rig: Rig) -> None:
    s = Server(rig, f=b"")

    @rig.run
    def _() -> None:
        s.mount("/n")
        fd = rig.open("/n/f")
        waiting = held(s)
        out: list[object] = []
        p = client(rig, lambda: rig.pread(fd, 1, 0), out)
        asleep(rig, p)
        wait(rig)
        rig.k.procs.postnote(p, 1, "alarm", NUser)
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
        out: list[object] = []
        p = client(rig, lambda: rig.pread(fd, 1, 0), out)
        asleep(rig, p)
        wait(rig)
        rig.k.procs.postnote(p, 1, "alarm", NUser)
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
        out: list[object] = []
        p = client(rig, lambda: rig.pread(fd, 1, 0), out)
        asleep(rig, p)
        for i in range(1, 4):
            wait(rig)
            rig.k.procs.postnote(p, 1, None, NUser)
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
        rig.k.procs.postnote(reader, 1, None, NUser)
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
        rig.k.procs.postnote(s.proc, 1, "die", NUser)
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
        out: list[object] = []
        p = client(rig, lambda: rig.pread(fd, 1, 0), out)
        asleep(rig, p)
        wait(rig)
        rig.k.mntalloc.rpcfree.clear()
        monkeypatch.setattr(rig.k, "malloc", lambda: False)
        assert err(rig.pread, fd, 1, 0) == "no free mount rpc header"
        # nor is there for a flush: the message is given up without
        rig.k.procs.postnote(p, 1, None, NUser)
        wait(rig, p)
        assert out == ["no free mount rpc header"]
        assert len(waiting) == 1
        assert rig.k.mntalloc.list[0].queue == []


# Version


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (Fcall(Rversion, NOTAG, msize=9000, version="9P2000"), "server tries to increase msize in fversion"),
        (Fcall(Rversion, NOTAG, msize=255, version="9P2000"), "nonsense value of msize in fversion"),
        (Fcall(Rversion, NOTAG, msize=4000, version="9P2001"), "bad 9P version returned from server"),
        (Fcall(Rversion, NOTAG, msize=4000, version="unknown"), "bad 9P version returned from server"),
        (Fcall(Rerror, NOTAG, ename="go away"), "go away"),
        (Fcall(Rclunk, NOTAG), "unexpected reply type in fversion"),
        (convS2M(Fcall(Rclunk, NOTAG), 10) + b"x", "bad fversion conversion on reply"),
        (b"junk", "bad fversion conversion on reply"),
    ],
)
def test_versions_refused(rig: Rig, reply: Fcall | bytes, text: str) -> None:
    s = Server(rig)
    s.on[Tversion] = lambda f: reply

    @rig.run
    def _() -> None:
        fd = s.start()
        assert err(rig.call, sysmount, fd, -1, "/n", 0, "") == text
        c = fdtochan(rig.k, fd, -1, False, False)
        assert c.mux is None
        assert not c.flag & Chan.CMSG
        assert c.umqlock is not None
        assert not c.umqlock.locked
        # the conversation may begin again
        del s.on[Tversion]
        rig.call(sysmount, fd, -1, "/n", 0, "")


def test_eof_and_hangup_at_version(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        a, b = rig.pipe()
        p = client(rig, lambda: rig.close(b), [])
        rig.close(b)
        wait(rig, p)
        assert err(rig.call, sysmount, a, -1, "/n", 0, "") == "i/o on hungup channel"


def test_fversion(rig: Rig) -> None:
    s = Server(rig)

    @rig.run
    def _() -> None:
        fd = s.start()

        def fversion(msize: int, version: bytes, n: int | None = None) -> tuple[int, bytes]:
            got = rig.call(sysfversion, fd, msize, version, len(version) if n is None else n)
            return got, ufetch(rig.k, 0x10000, len(version))

        assert err(fversion, 0, b"9P2000", 6) == "bad arg in system call"  # no NUL
        assert err(fversion, 0, b"x", 0) == "bad arg in system call"
        assert err(fversion, 0, b"9P1999\0") == "bad 9P version specification"
        assert err(fversion, 0, b"9P2000" + b"x" * 9000 + b"\0") == "bad fversion conversion on send"
        assert s.log == []
        assert fversion(1000, b"9P2000.more\0") == (6, b"9P2000.more\0")
        assert (s.log[0].msize, s.log[0].version) == (1000, "9P2000.more")
        assert rig.k.mntalloc.list[0].msize == 1000
        # once is enough
        assert fversion(5000, b"\0junkjunk") == (6, b"9P2000unk")
        assert err(fversion, 0, b"9P2000\0", 5) == "bad arg in system call"
        assert err(fversion, 0, b"\0nk", 3) == "i/o count too small"
        assert len(s.log) == 1
        # from now on the descriptor is the kernel's
        assert err(rig.pread, fd, 1) == "inappropriate use of fd"
        assert err(rig.pwrite, fd, b"x") == "inappropriate use of fd"
        rig.call(sysmount, fd, -1, "/n", 0, "")
        assert s.types() == [Tversion, Tattach]


def test_versions_of_one_channel_agree(rig: Rig) -> None:
    s = Server(rig)
    s.on[Tversion] = lambda f: Fcall(Rversion, f.tag, msize=1000, version="9P2000.x")

    @rig.run
    def _() -> None:
        fd = s.start()
        assert rig.call(sysfversion, fd, 0, b"9P2000.xy\0", 10) == 8
        assert err(rig.call, sysfversion, fd, 0, b"9P2000\0", 7) == "incompatible 9P versions 9P2000.x 9P2000"
        assert rig.call(sysfversion, fd, 0, b"9P2000.xz\0", 10) == 8


def test_size_of_messages(rig: Rig) -> None:
    s = Server(rig)
    s.on[Tversion] = lambda f: Fcall(Rerror, f.tag, ename=f"{f.msize}")

    @rig.run
    def _() -> None:
        fd = s.start()
        c = fdtochan(rig.k, fd, -1, False, False)

        def asked(msize: int) -> str:
            return err(mntversion, rig.k, c, None, msize, 0)

        assert asked(0) == "8216"
        assert asked(100) == "100"
        assert asked(100000) == "65536"  # the pipe's own
        assert asked(-1) == "65536"
        c.iounit = 0
        assert asked(100000) == "100000"
        assert asked(-1) == "bad iounit in version call"


# Mounting


def test_mount_checks_its_arguments(rig: Rig) -> None:
    s = Server(rig)

    @rig.run
    def _() -> None:
        fd = s.start()
        for flag in (8, 32, MBEFORE | MAFTER, 1 << 31):
            assert err(rig.call, sysmount, fd, -1, "/n", flag, "") == "bad arg in system call"
        assert err(rig.call, sysmount, 99, -1, "/n", 0, "") == "fd out of range or not open"
        assert err(rig.call, sysmount, rig.open("/dev/null"), -1, "/n", 0, "") == "inappropriate use of fd"
        assert err(rig.call, sysmount, fd, 99, "/n", 0, "") == "fd out of range or not open"
        assert s.log == []
        assert err(rig.call, sysmount, fd, -1, "/dev/null", 0, "") == "inconsistent mount"
        assert s.types() == [Tversion, Tattach, Tclunk]
        assert err(rig.call, sysmount, fd, -1, "/none", 0, "") == "'/none' file does not exist"
        assert s.types() == [Tattach, Tclunk]
        assert rig.up.pgrp is not None
        rig.up.pgrp.noattach = True
        assert err(rig.call, sysmount, fd, -1, "/n", 0, "") == "mount/attach disallowed"
        rig.up.pgrp.noattach = False
        assert err(rig.open, "#M") == "mount/attach disallowed"
        assert err(mntdev(rig.k).attach, "") == "mount/attach disallowed"
        s.on[Tattach] = lambda f: Fcall(Rerror, f.tag, ename="unknown user")
        assert err(rig.call, sysmount, fd, -1, "/n", 0, "") == "unknown user"
        del s.on[Tattach]
        id = rig.call(sysmount, fd, -1, "/n", 0, "")
        assert id == rig.k.files.mountid.ref
        assert err(rig.close, fd) == "fd out of range or not open"


def test_the_mount_call_of_old(rig: Rig) -> None:
    s = Server(rig, f=b"old")

    @rig.run
    def _() -> None:
        fd = s.start()
        rig.call(sys_mount, fd, "/n", MREPL, "spec")
        assert s.log[1].aname == "spec"
        assert rig.slurp("/n/f") == b"old"


def test_the_channel_may_be_mounted_many_times(rig: Rig) -> None:
    s = Server(rig, f=b"1")

    @rig.run
    def _() -> None:
        fd = s.start()
        rig.call(sysmount, rig.call(sysdup, fd, -1), -1, "/n", MREPL, "a")
        rig.call(sysmount, fd, -1, "/mnt", MREPL, "b")
        assert [f.aname for f in s.log[1:]] == ["a", "b"]
        assert rig.stat("/n/f").dev != rig.stat("/mnt/f").dev
        assert len(rig.k.mntalloc.list) == 1


def test_unmount_by_the_channel_to_the_server(rig: Rig) -> None:
    s = Server(rig, f=b"1")

    @rig.run
    def _() -> None:
        fd = s.start()
        rig.call(sysmount, rig.call(sysdup, fd, -1), -1, "/n", MAFTER, "")
        assert err(rig.call, sysunmount, "/dev", "/n") == "not in union"
        rig.call(sysunmount, f"/fd/{fd}", "/n")
        assert rig.ls("/n") == []


def test_a_union_of_mounts(rig: Rig) -> None:
    a = Server(rig, x=b"ax", y=b"ay")
    b = Server(rig, y=b"by", z=b"bz")

    @rig.run
    def _() -> None:
        a.mount("/n")
        b.mount("/n", MAFTER | MCREATE)
        assert rig.ls("/n") == ["x", "y", "y", "z"]
        assert [rig.slurp(f"/n/{f}") for f in "xyz"] == [b"ax", b"ay", b"bz"]
        rig.close(rig.create("/n/new", OWRITE))
        assert "new" in b.root.kids
        # an element that fails is skipped
        fd = rig.open("/n")
        assert a.proc is not None
        rig.k.procs.postnote(a.proc, 1, "die", NUser)
        wait(rig, a.proc)
        assert len(direntries(rig.pread(fd, 1000))) == 3
        assert err(rig.open, "/n") == "'/n' i/o on hungup channel"
        assert rig.slurp("/n/z") == b"bz"


def test_what_is_mounted_shows_in_a_directory(rig: Rig) -> None:
    s = Server(rig, f=b"short")
    s.add(s.root, Node(s, "d", DMDIR | 0o777))

    @rig.run
    def _() -> None:
        s.mount("/n")
        rig.call(sysbind, "/dev/null", "/n/f", MREPL)
        rig.call(sysbind, "#c", "/n/d", MREPL)
        by = {d.name: d for d in rig.dirs("/n")}
        assert (chr(by["f"].type), chr(by["d"].type)) == ("c", "c")
        assert rig.stat("/n/f").length == 0


def test_mounts_and_host_directories_are_told_apart(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "h").write_text("host")
    s = Server(rig, f=b"mnt")

    @rig.run
    def _() -> None:
        rig.mount(rig.host.bind(str(tmp_path)), "/mnt")
        s.mount("/n")
        rig.call(sysbind, "/n/f", "/mnt/h", MREPL)
        rig.call(sysbind, "/dev/null", "/n/f", MREPL)
        assert [chr(d.type) for d in rig.dirs("/n")] == ["c"]
        assert [d.length for d in rig.dirs("/mnt")] == [3]
        assert rig.slurp("/mnt/h") == b"mnt"
        assert rig.slurp("/dev/drivers").count(b"#M mnt\n") == 1
        assert rig.stat("/mnt/h").type == rig.stat("/n").type == ord("M")


# Authentication


def test_fauth(rig: Rig) -> None:
    s = Server(rig)

    @rig.run
    def _() -> None:
        fd = s.start()
        assert err(rig.call, sysfauth, fd, "tree") == "authentication not required"
        assert s.types() == [Tversion, Tauth]
        assert err(rig.call, sysfauth, rig.open("/dev/null"), "") == "inappropriate use of fd"
        talk = Node(s, "auth", 0o600)

        def auth(f: Fcall) -> Answer:
            s.fids[f.afid] = talk
            return Fcall(Rauth, f.tag, qid=Qid(99, 0, QTAUTH))

        s.on[Tauth] = auth
        afd = rig.call(sysfauth, fd, "tree")
        assert (s.log[0].aname, s.log[0].uname) == ("tree", "eve")
        c = fdtochan(rig.k, afd, -1, False, False)
        assert (c.mode, c.qid, c.flag) == (ORDWR, Qid(99, 0, QTAUTH), Chan.CCEXEC)
        assert rig.pwrite(afd, b"secret") == 6
        assert rig.pread(afd, 10, 0) == b"secret"
        rig.call(sysmount, fd, afd, "/n", MREPL, "tree")
        assert s.log[-1].afid == c.fid
        rig.close(afd)
        assert s.log[-1].type == Tclunk
        rig.up.fgrp = full(rig)
        fd = s.start()
        rig.call(sysfauth, fd, "")
        assert err(rig.call, sysfauth, fd, "") == "no free file descriptors"


def full(rig: Rig) -> Fgrp:
    """Descriptors with two free, that cannot grow."""
    f = dupfgrp(rig.k, rig.up.fgrp)
    null = fdtochan(rig.k, rig.open("/dev/null"), -1, False, False)
    f.fd = [null] * MAXFD
    null.ref += MAXFD
    f.maxfd = MAXFD - 1
    f.fd[-2:] = [None, None]
    return f


# The cache


def test_a_second_read_comes_from_the_cache(rig: Rig) -> None:
    data = bytes(range(251)) * 80
    s = Server(rig, f=data)

    @rig.run
    def _() -> None:
        s.mount("/n", MREPL | MCACHE)
        assert rig.slurp("/n/f") == data
        s.log.clear()
        fd = rig.open("/n/f", ORDWR)
        assert rig.pread(fd, len(data)) == data
        assert rig.pread(fd, 100, 5000) == data[5000:5100]
        assert s.types(Tclunk) == [Twalk, Topen]
        # beyond what is there the server is asked for the rest
        assert rig.pread(fd, 200, len(data) - 100) == data[-100:]
        assert [(f.type, f.offset, f.count) for f in s.log] == [(Tread, len(data), 100)]
        # what is written is there too
        assert rig.pwrite(fd, b"new", 100) == 3
        s.log.clear()
        assert rig.pread(fd, 10, 98) == data[98:100] + b"new" + data[103:108]
        assert s.log == []
        rig.close(fd)
        rig.k.check()


def test_another_version_is_read_anew(rig: Rig) -> None:
    s = Server(rig, f=b"first")

    @rig.run
    def _() -> None:
        s.mount("/n", MREPL | MCACHE)
        assert rig.slurp("/n/f") == b"first"
        node = s.root.kids["f"]
        node.data[:] = b"other"
        assert rig.slurp("/n/f") == b"first"  # the server does not say so
        node.changed()
        assert rig.slurp("/n/f") == b"other"


def test_without_the_flag_nothing_is_cached(rig: Rig) -> None:
    s = Server(rig, f=b"data")

    @rig.run
    def _() -> None:
        s.mount("/n")
        rig.slurp("/n/f")
        s.log.clear()
        rig.slurp("/n/f")
        assert s.types().count(Tread) == 2
        assert rig.k.fscache.pgref == 0


def test_directories_and_append_only_files_are_read_anew(rig: Rig) -> None:
    s = Server(rig, f=b"data")
    s.add(s.root, Node(s, "log", DMAPPEND | 0o666, b"line\n"))

    @rig.run
    def _() -> None:
        s.mount("/n", MREPL | MCACHE)
        for _ in range(2):
            assert rig.slurp("/n/log") == b"line\n"
            assert rig.ls("/n") == ["f", "log"]
        assert s.types().count(Tread) == 8
        assert rig.k.fscache.pgref == 0


# Close processes


def test_a_cached_file_is_closed_by_another_process(rig: Rig) -> None:
    s = Server(rig, f=b"data")

    @rig.run
    def _() -> None:
        s.mount("/n", MREPL | MCACHE)
        clunks = held(s, Tclunk)
        cq = rig.k.files.clunkq
        for i in range(1, 4):
            rig.close(rig.open("/n/f"))  # does not wait
            wait(rig)
            assert (len(clunks), cq.nqueued, cq.nclosed) == (i, i, i)
        closers = [p for p in rig.k.procs.proctab if p.text == "closeproc" and p.state != Dead]
        assert len(closers) == 4  # three are stuck, one is there for the next
        answer(rig, s, *(Fcall(Rclunk, f.tag) for f in clunks))
        wait(rig)
        assert len([p for p in closers if p.state != Dead]) == 2


def test_some_closes_are_waited_for(rig: Rig) -> None:
    s = Server(rig, f=b"data")
    s.add(s.root, Node(s, "excl", QTEXCL << 24 | 0o666, b"x"))

    @rig.run
    def _() -> None:
        cq = rig.k.files.clunkq
        s.mount("/n", MREPL | MCACHE)
        rig.close(rig.open("/n/excl"))
        assert s.log[-1].type == Tclunk
        rig.close(rig.open("/n/f", ORCLOSE))
        assert s.log[-1].type == Tclunk
        assert s.log[-2].mode == ORCLOSE
        cq.nqueued += 64
        rig.close(rig.open("/n/f"))
        assert s.log[-1].type == Tclunk
        assert cq.chans == []


def test_a_process_that_waits_for_itself_can_be_freed(rig: Rig) -> None:
    k = rig.k
    s = Server(rig, f=b"data")

    @rig.run
    def _() -> None:
        s.mount("/n")
        waiting, flushes = held(s, Tclunk), held(s, Tflush)
        ends: list[object] = []

        def selfish() -> None:
            rig.open("/n/f")  # to be closed first
            a, b = rig.pipe()
            rig.close(a)
            assert rig.up.fgrp is not None
            f, rig.up.fgrp = rig.up.fgrp, None
            closefgrp(k, f)
            ends.append(f.fd[b])

        p = client(rig, selfish, ends)
        asleep(rig, p)
        wait(rig)
        assert (len(waiting), p.closingfgrp is not None) == (1, True)
        p.procctl = Proc_exitme
        k.procs.postnote(p, 1, None, NUser)
        wait(rig)
        fgrp = p.closingfgrp
        assert fgrp is not None
        assert all(c is None for c in fgrp.fd)
        p.procctl = 0
        answer(rig, s, Fcall(Rclunk, waiting[0].tag), Fcall(Rflush, flushes[-1].tag))
        wait(rig, p)
        assert p.closingfgrp is None


def test_an_unneeded_force_is_told(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        forceclosefgrp(rig.k)
        assert rig.k.files.kmesg == b"bad forceclosefgrp call"[: len(rig.k.files.kmesg)]
