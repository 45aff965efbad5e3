"""Files of file servers, and their cache: kernel/devices/devmnt.py."""

from __future__ import annotations

import pytest

from kernel.base.chandat import DMAPPEND, DMDIR, MCACHE, MCREATE, MREPL, OEXCL, ORDWR, OREAD, OTRUNC, OWRITE, Aopen
from kernel.base.dat import Qid
from kernel.base.mntdat import Fcall
from kernel.devices.devmnt import mntdev
from kernel.files.chan import namec
from kernel.files.conv import Dir, packdir
from kernel.files.fcall import (
    IOHDRSZ,
    NOFID,
    NOTAG,
    Rerror,
    Ropen,
    Rread,
    Rstat,
    Rwalk,
    Rwrite,
    Tattach,
    Tclunk,
    Tcreate,
    Topen,
    Tread,
    Tstat,
    Tversion,
    Twalk,
    Twrite,
)
from kernel.files.fd import fdtochan
from kernel.memory.check import mustcheck
from kernel.memory.uaccess import ufetch
from kernel.syscalls.bindmount import sysunmount
from kernel.syscalls.sysfile import sysfstat
from tests.kernel.fakes import BUF, Rig, err, newrig
from tests.kernel.server9p import Node, Server, ended, wait

rig = pytest.fixture(newrig)

MSIZE = 8192  # what the server asks for
UNIT = MSIZE - IOHDRSZ


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
        mustcheck(rig.k)


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
