"""What is hard about files of the host: size, names, no room, what changes meanwhile, what is no file."""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
from pathlib import Path

import pytest

from kernel.base.chandat import DMAPPEND, DMDIR, DMEXCL, OEXCL, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE
from kernel.base.error import Error
from kernel.base.text import kbytes, kstr
from kernel.files.conv import Dir, convM2D, direntries
from tests.kernel.devices.test_devhost import bind, err, openfds
from tests.kernel.fakes import Rig, newrig

rig = pytest.fixture(newrig)
G = 1 << 30


def test_files_longer_than_4_gb(rig: Rig, tmp_path: Path) -> None:
    """Sparse: nothing is stored between."""

    @rig.run
    def _() -> None:
        bind(rig, tmp_path)
        fd = rig.create("/n/big", ORDWR)
        assert rig.pwrite(fd, b"end", 5 * G) == 3
        assert rig.stat(fd).length == rig.seek(fd, 0, 2) == 5 * G + 3
        assert rig.pread(fd, 9, 5 * G - 2) == b"\0\0end"
        assert rig.pread(fd, 9, 5 * G + 3) == b""
        rig.wstat("/n/big", Dir(length=6 * G))
        assert rig.stat("/n/big").length == 6 * G
        assert rig.pread(fd, 4, 6 * G - 2) == b"\0\0"
        rig.wstat(fd, Dir(length=4 * G + 1))
        assert (rig.stat(fd).length, rig.pread(fd, 9, 5 * G)) == (4 * G + 1, b"")
        assert err(lambda: rig.pwrite(fd, b"x", (1 << 63) - 1)) in ("i/o error", "file too large")
        assert rig.stat(fd).length == 4 * G + 1

    assert (tmp_path / "big").stat().st_blocks < 1000


def test_appending_is_for_all_who_write(rig: Rig, tmp_path: Path) -> None:
    @rig.run
    def _() -> None:
        bind(rig, tmp_path)
        a = rig.create("/n/log", OWRITE, DMAPPEND | 0o644)
        b = rig.open("/n/log", ORDWR)
        for i, fd in enumerate((a, b, a)):
            assert rig.pwrite(fd, b"%d" % i, 0) == 1
        with open(tmp_path / "log", "ab") as f:
            f.write(b"host")
        rig.pwrite(b, b"3", 1)
        assert rig.slurp("/n/log") == b"012host3"
        rig.close(rig.open("/n/log", OWRITE | OTRUNC))  # does nothing to it
        assert rig.stat("/n/log").length == 8
        rig.wstat("/n/log", Dir(mode=0o644))
        rig.pwrite(b, b"X", 0)
        assert rig.slurp("/n/log") == b"X12host3"


def test_creating_and_exclusive_use(rig: Rig, tmp_path: Path) -> None:
    @rig.run
    def _() -> None:
        bind(rig, tmp_path)
        fd = rig.create("/n/lock", OWRITE | OEXCL, DMEXCL | 0o666)
        rig.pwrite(fd, b"mine")
        assert "file already exists" in err(lambda: rig.create("/n/lock", OWRITE | OEXCL))
        assert "exclusive use file already open" in err(lambda: rig.open("/n/lock"))
        assert "exclusive use file already open" in err(lambda: rig.create("/n/lock", OWRITE))
        assert rig.stat("/n/lock").length == 4
        rig.close(fd)
        rig.close(rig.create("/n/lock", OWRITE))  # one that is there is opened and cut to nothing
        assert (rig.stat("/n/lock").length, rig.stat("/n/lock").mode) == (0, DMEXCL | 0o644)
        rig.close(rig.open("/n/lock", ORCLOSE))
        assert rig.ls("/n") == []


def test_removing(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "f").write_bytes(b"")

    @rig.run
    def _() -> None:
        bind(rig, tmp_path)
        assert err(rig.remove, "/n/full") == "directory not empty"
        rig.wstat("/n/full", Dir(mode=DMDIR | 0o555))
        assert err(rig.remove, "/n/full/f") == "permission denied"
        assert err(rig.create, "/n/full/g", OWRITE) == "'/n/full/g' permission denied"
        assert err(rig.wstat, "/n/full/f", Dir(name="g")) == "permission denied"
        rig.wstat("/n/full", Dir(mode=DMDIR | 0o755))
        (tmp_path / "full" / "f").chmod(0o000)
        rig.remove("/n/full/f")  # the file's own bits do not matter
        rig.remove("/n/full")
        assert "does not exist" in err(rig.remove, "/n/full")


def test_a_directory_that_changes_while_it_is_read(rig: Rig, tmp_path: Path) -> None:
    """What was there and stays is told once; what is gone is not told; what is new may wait for the next time."""
    names = [f"f{i:03}" for i in range(200)]
    for name in names:
        (tmp_path / name).write_bytes(b"")

    @rig.run
    def _() -> None:
        bind(rig, tmp_path)
        fd = rig.open("/n")
        seen = []
        for round in range(1000):
            got = [convM2D(e) for e in direntries(rig.pread(fd, 700))]
            if not got:
                break
            seen += [d[0].name for d in got if d is not None]
            if round == 2:
                for i in range(0, 200, 2):
                    (tmp_path / names[i]).unlink()
                rig.close(rig.create("/n/a-new-one", OWRITE))
                os.rename(tmp_path / "f151", tmp_path / "g")
        told = len([n for n in seen if int(n[1:]) % 2 == 0])
        assert 0 < told < 60
        assert [n for n in seen if int(n[1:]) % 2] == [n for n in names[1::2] if n != "f151"]
        assert rig.seek(fd, 0, 0) == 0
        assert convM2D(direntries(rig.pread(fd, 700))[0])[0].name == "a-new-one"  # type: ignore[index]


def test_names_of_every_kind(rig: Rig, tmp_path: Path) -> None:
    """What Plan 9 forbids in a name, control characters, cannot be used, and is not listed."""
    legal = [b"a b", b" ", b"-rf", b"\xff\xfe", b"x" * 255, "ü".encode() * 127, b"#c", b"...", b"a:b", b"\\", b"'"]
    for name in (b"new\nline", b"\x01", b"tab\t", b"del\x7f"):
        os.close(os.open(os.fsencode(tmp_path) + b"/" + name, os.O_CREAT | os.O_WRONLY))

    @rig.run
    def _() -> None:
        bind(rig, tmp_path)
        for name in legal:
            rig.close(rig.create("/n/" + kstr(name), OWRITE))
            assert rig.slurp("/n/" + kstr(name)) == b""
        assert sorted(kbytes(n) for n in rig.ls("/n")) == sorted(legal)
        assert "bad character" in err(rig.open, "/n/new\nline")
        assert "bad character" in err(rig.create, "/n/a\nb", OWRITE)
        assert "too long" in err(rig.create, "/n/" + "x" * 256, OWRITE)
        for name in legal:
            rig.wstat("/n/" + kstr(name), Dir(name="y"))
            rig.wstat("/n/y", Dir(name=kstr(name)))
            rig.remove("/n/" + kstr(name))
        assert rig.ls("/n") == []


def test_no_room(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that finds no room for all stores what fits, and says so; one that finds none is an error."""
    room = 10
    pwrite, mkdir, open_ = os.pwrite, os.mkdir, os.open

    def full(fd: int, data: bytes, off: int) -> int:
        nonlocal room
        n = min(room, len(data))
        if n == 0:
            raise OSError(errno.ENOSPC, "No space left on device", "/host/path")
        room -= n
        return pwrite(fd, data[:n], off)

    def none(*args: object, **kw: object) -> int:
        if args[0] in (b"new", b"newdir"):
            raise OSError(errno.ENOSPC, "No space left on device", "/host/path")
        return open_(*args, **kw)  # type: ignore[arg-type]

    @rig.run
    def _() -> None:
        bind(rig, tmp_path)
        fd = rig.create("/n/f", ORDWR)
        monkeypatch.setattr(os, "pwrite", full)
        assert rig.pwrite(fd, b"x" * 4000) == 10
        assert rig.seek(fd, 0, 1) == 10
        assert err(lambda: rig.pwrite(fd, b"y")) == "no space left on file system"
        assert rig.seek(fd, 0, 1) == 10
        assert rig.stat(fd).length == 10
        monkeypatch.setattr(os, "open", none)
        monkeypatch.setattr(os, "mkdir", none)
        for perm, mode in ((0o666, OWRITE), (DMDIR | 0o777, OREAD)):
            text = err(rig.create, "/n/newdir" if perm & DMDIR else "/n/new", mode, perm)
            assert text.endswith("no space left on file system")
            assert "/host" not in text
        monkeypatch.setattr(os, "open", open_)
        monkeypatch.setattr(os, "mkdir", mkdir)
        assert rig.ls("/n") == ["f"]


def test_a_limit_of_the_hosts(rig: Rig, tmp_path: Path) -> None:
    """Not a monkey: the host itself refuses."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN, "as Python has it"

    @rig.run
    def _() -> None:
        bind(rig, tmp_path)
        fd = rig.create("/n/f", OWRITE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, old[1]))
        try:
            assert rig.pwrite(fd, b"x" * 6000) == 5000
            assert err(lambda: rig.pwrite(fd, b"y")) == "file too large"
            assert err(lambda: rig.wstat("/n/f", Dir(length=5001))) == "file too large"
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
        assert rig.stat("/n/f").length == 5000


def test_no_more_descriptors_on_the_host(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    old = resource.getrlimit(resource.RLIMIT_NOFILE)

    @rig.run
    def _() -> None:
        bind(rig, tmp_path)
        before = openfds()
        resource.setrlimit(resource.RLIMIT_NOFILE, (before + 30, old[1]))
        fds: list[int] = []
        text = ""
        try:
            while not text and len(fds) < 40:
                try:
                    fds.append(rig.open("/n/f"))
                except Error as e:
                    text = str(e)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, old)
        assert len(fds) > 10
        assert text.endswith("host has no free file descriptors")
        for fd in fds:
            rig.close(fd)
        assert openfds() == before
        assert rig.slurp("/n/f") == b"x"


def test_what_is_no_file_is_told_and_never_opened(rig: Rig, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    sock = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(tmp_path)
    sock.bind("socket")
    os.chdir(here)

    @rig.run
    def _() -> None:
        bind(rig, tmp_path)
        assert rig.ls("/n") == ["fifo", "socket"]
        for name in ("fifo", "socket"):
            for mode in (OREAD, OWRITE, ORDWR, OREAD | OTRUNC, OREAD | ORCLOSE):
                assert "permission denied" in err(rig.open, f"/n/{name}", mode)
            assert "permission denied" in err(rig.create, f"/n/{name}", OWRITE)
            for change in (Dir(length=0), Dir(mode=0o600), Dir(mtime=1)):
                assert err(rig.wstat, f"/n/{name}", change) == "permission denied"
            assert "not a directory" in err(rig.open, f"/n/{name}/x")

    sock.close()
    assert sorted(os.listdir(tmp_path)) == ["fifo", "socket"]


def test_one_that_becomes_a_fifo_in_the_last_moment(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the opening: it neither hangs nor is used."""
    (tmp_path / "f").write_bytes(b"")
    stat = os.stat

    def look(path: object, **kw: object) -> os.stat_result:
        st = stat(path, **kw)  # type: ignore[arg-type]
        if path == b"f" and (tmp_path / "f").is_file():
            (tmp_path / "f").unlink()
            os.mkfifo(tmp_path / "f")
        return st

    @rig.run
    def _() -> None:
        bind(rig, tmp_path)
        for mode in (OREAD, OWRITE):
            with monkeypatch.context() as m:
                (tmp_path / "f").unlink()
                (tmp_path / "f").write_bytes(b"")
                m.setattr(os, "stat", look)
                before = openfds()
                err(rig.open, "/n/f", mode)
                assert openfds() == before
