"""The root and files in memory: kernel/devices/devroot.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kernel.base.chandat import DMAPPEND, DMDIR, OEXCL, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE, Aopen
from kernel.base.error import Error
from kernel.base.kernel import EPOCH
from kernel.files.chan import namec
from kernel.files.channel import cclose
from kernel.files.conv import NOLENGTH, Dir
from tests.kernel.fakes import Rig, newrig

rig = pytest.fixture(newrig)


def test_the_root_is_for_looking(rig: Rig) -> None:
    rig.root.addfile("/adm/timezone/local", b"GMT")

    @rig.run
    def _() -> None:
        assert rig.slurp("/adm/timezone/local") == b"GMT"
        with pytest.raises(Error, match="permission denied"):
            rig.create("/new", OWRITE)
        with pytest.raises(Error, match="permission denied"):
            rig.open("/adm/timezone/local", OWRITE)
        with pytest.raises(Error, match="permission denied"):
            rig.remove("/adm/timezone/local")
        assert rig.stat("/").name == ""
        assert rig.stat(rig.open("/")).name == "/"
        assert rig.stat("/").mode == DMDIR | 0o555
        assert [d.name for d in rig.dirs("/", 70)] == sorted(rig.ls("/"))


def test_the_boot_makes_directories_but_not_over_files(rig: Rig) -> None:
    rig.root.addfile("/a/f", b"")
    for path in ("/a/f", "/a/f/g"):
        with pytest.raises(Error, match="not a directory"):
            rig.root.mkdir(path)
    with pytest.raises(Error, match="file already exists"):
        rig.root.addfile("/a/f", b"")
    rig.root.mkdir("/a")


def test_a_file_of_the_host_in_the_root(rig: Rig, tmp_path: Path) -> None:
    prog = tmp_path / "prog"
    prog.write_bytes(b"text")
    rig.root.addhost("/bin/prog", str(prog))
    os.mkfifo(tmp_path / "fifo")
    for bad in ("fifo", "none", ""):
        with pytest.raises(Error) as e:
            rig.root.addhost("/bin/bad", str(tmp_path / bad))
        assert str(tmp_path) not in str(e.value)

    @rig.run
    def _() -> None:
        assert rig.slurp("/bin/prog") == b"text"
        d = rig.stat("/bin/prog")
        assert (d.length, d.mode, d.qid.vers, d.uid) == (4, 0o555, 0, "eve")
        with pytest.raises(Error, match="permission denied"):
            rig.open("/bin/prog", OWRITE)
        prog.write_bytes(b"other text")
        assert rig.stat("/bin/prog").qid.vers == 1
        cclose(rig.k, namec(rig.k, "/bin/prog", Aopen, 3))


def test_files_in_memory(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        fd = rig.create("/tmp/f", ORDWR, 0o640)
        assert rig.pwrite(fd, b"hello") == 5
        assert rig.pwrite(fd, b"!", 8) == 1
        assert rig.pread(fd, 100, 0) == b"hello\0\0\0!"
        d = rig.stat("/tmp/f")
        assert (d.length, d.mode, d.mtime) == (9, 0o640, EPOCH)
        assert rig.stat(fd).length == 9
        rig.close(rig.open("/tmp/f", OWRITE | OTRUNC))
        assert rig.stat(fd).length == 0
        with pytest.raises(Error, match="file already exists"):
            rig.create("/tmp/f", OWRITE | OEXCL)
        a = rig.create("/tmp/log", OWRITE, DMAPPEND | 0o666)
        rig.pwrite(a, b"one")
        rig.pwrite(a, b"two", 0)
        assert rig.slurp("/tmp/log") == b"onetwo"
        rig.close(rig.create("/tmp/d", OREAD, DMDIR | 0o777))
        rig.close(rig.create("/tmp/d/x", OWRITE))
        with pytest.raises(Error, match="directory not empty"):
            rig.remove("/tmp/d")
        with pytest.raises(Error, match="file is a directory"):
            rig.create("/tmp/e", OWRITE, DMDIR | 0o777)
        rig.close(rig.open("/tmp/d/x", ORCLOSE))
        rig.remove("/tmp/d")
        assert rig.ls("/tmp") == ["f", "log"]
        rig.remove("/tmp/f")
        assert rig.pwrite(fd, b"still there", 0) == 11
        assert rig.pread(fd, 100, 0) == b"still there"
        assert rig.root.used == 17  # until it is closed
        rig.close(fd)
        assert rig.root.used == 6


def test_changing_entries_in_memory(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        rig.close(rig.create("/tmp/f", OWRITE, 0o666))
        rig.close(rig.create("/tmp/g", OWRITE, 0o444))
        rig.wstat("/tmp/f", Dir(name="h", length=3, mode=0o600, mtime=77))
        d = rig.stat("/tmp/h")
        assert (d.length, d.mode, d.mtime) == (3, 0o600, 77)
        for change, err in (
            (Dir(name="g"), "file already exists"),
            (Dir(mode=DMDIR | 0o600), "permission denied"),
            (Dir(uid="x"), "permission denied"),
            (Dir(length=1 << 40), "file system full"),
        ):
            with pytest.raises(Error, match=err):
                rig.wstat("/tmp/h", change)
        with pytest.raises(Error, match="permission denied"):
            rig.wstat("/tmp/g", Dir(length=0))
        with pytest.raises(Error, match="permission denied"):
            rig.wstat("/tmp", Dir(name="t"))
        with pytest.raises(Error, match="permission denied"):
            rig.wstat("/tmp", Dir(length=0))
        with pytest.raises(Error, match="permission denied"):
            rig.open("/tmp/g", OWRITE)
        assert rig.wstat("/tmp/h", Dir()) > 0
        assert rig.stat("/tmp/h").length != NOLENGTH


def test_removing_while_reading_a_directory(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        for i in range(20):
            rig.close(rig.create(f"/tmp/f{i:02}", OWRITE))
        seen = 0
        fd = rig.open("/tmp")
        while data := rig.pread(fd, 150):
            for _ in range(len(data) // 61):
                rig.remove(f"/tmp/f{seen:02}")
                seen += 1
        assert seen == 20
