"""Directories of the host: kernel/devices/devhost.py, kernel/devices/hostfile.py."""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kernel.base.chandat import (
    DMAPPEND,
    DMDIR,
    DMEXCL,
    MCREATE,
    MREPL,
    OEXCL,
    OEXEC,
    ORCLOSE,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
    QTAPPEND,
    QTDIR,
    Aopen,
)
from kernel.base.error import Error
from kernel.base.text import kbytes, kstr
from kernel.devices import hostfile
from kernel.devices.devhost import hostdev
from kernel.devices.hostfile import Tree
from kernel.files.chan import namec
from kernel.files.channel import cclose
from kernel.files.conv import Dir
from kernel.files.fd import fgrp
from kernel.syscalls import bindmount, sysfile
from tests.kernel.fakes import Rig, newrig

rig = pytest.fixture(newrig)


def err(f: Callable[..., object], *args: object) -> str:
    """The error f ends with."""
    with pytest.raises(Error) as e:
        f(*args)
    return str(e.value)


def bind(rig: Rig, path: Path, rw: bool = True) -> None:
    """Show a host directory as /n."""
    path.chmod(0o755)
    c = rig.host.bind(os.fsencode(path), rw)
    rig.mount(c, "/n", MREPL | (MCREATE if rw else 0))
    cclose(rig.k, c)


def openfds() -> int:
    """How many descriptors this test process has open."""
    return len(os.listdir("/proc/self/fd"))


def test_a_name_that_is_not_there_leaves_no_garbage(rig: Rig, tmp_path: Path) -> None:
    """A compiler asks for each header in each directory: what must be looked for by the collector costs a build 5 %."""

    @rig.run
    def _() -> None:
        bind(rig, tmp_path, rw=False)
        gc.collect()
        gc.disable()
        try:
            for name in ["/n/x"] * 50 + ["/n/x/y"] * 50:
                try:
                    rig.open(name)
                except Error:
                    pass
            assert gc.collect() < 50
        finally:
            gc.enable()


def test_reading(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "f").write_bytes(b"content")

    @rig.run
    def _() -> None:
        bind(rig, tmp_path, rw=False)
        assert hostdev(rig.k) is rig.host
        assert rig.slurp("/n/sub/f") == b"content"
        assert rig.slurp("/n/sub/../sub/./f") == b"content"
        assert rig.ls("/n") == ["sub"]
        assert err(lambda: rig.open("/n/x")) == "'/n/x' file does not exist"
        assert err(lambda: rig.open("/n/sub/x/y")) == "'/n/sub/x' does not exist"
        assert err(lambda: rig.open("/n/sub/f/y")) == "'/n/sub/f' not a directory"
        fd = rig.open("/n/sub/f")
        assert rig.pread(fd, 3, 2) == b"nte"
        assert rig.seek(fd, 0, 2) == 7
        assert rig.seek(fd, 1 << 62, 0) == 1 << 62
        assert rig.pread(fd, 1) == b""
        d = rig.stat("/n/sub/f")
        assert (chr(d.type), d.dev, d.length, d.uid, d.gid, d.muid) == ("M", 1, 7, "eve", "eve", "eve")
        assert d.mtime == int((tmp_path / "sub" / "f").stat().st_mtime)
        assert rig.stat("/n").mode & DMDIR
        assert rig.stat("/n").name == "n"
        assert rig.stat(rig.open("/n")).name == "/"
        assert namec(rig.k, "/n/..", Aopen, OREAD).path.s == "/"  # type: ignore[union-attr]
        assert err(lambda: rig.call(sysfile.sysfstat, fd, 0x20000, 1)) == "stat buffer too small"


def test_a_directory_not_for_writing(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")

    @rig.run
    def _() -> None:
        bind(rig, tmp_path, rw=False)
        for f in (
            lambda: rig.open("/n/f", OWRITE),
            lambda: rig.open("/n/f", OREAD | OTRUNC),
            lambda: rig.open("/n/f", ORCLOSE),
            lambda: rig.remove("/n/f"),
            lambda: rig.wstat("/n/f", Dir(mode=0)),
            lambda: rig.wstat("/n/f", Dir(name="g")),
        ):
            assert "permission denied" in err(f)
        assert "forbids creation" in err(lambda: rig.create("/n/g", OWRITE))
        assert rig.wstat("/n/f", Dir()) > 0
        c = rig.host.bind(os.fsencode(tmp_path))
        assert "permission denied" in err(lambda: rig.host.create(c, "g", OWRITE, 0o666))
        cclose(rig.k, c)

    assert os.listdir(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == b"x"


def test_identity_shows_nothing_of_the_host(rig: Rig, tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        (tmp_path / name).write_bytes(b"")
    os.link(tmp_path / "a", tmp_path / "d")

    @rig.run
    def _() -> None:
        bind(rig, tmp_path)
        assert rig.stat("/n").qid.path == 1
        assert [rig.stat(f"/n/{x}").qid.path for x in "cbad"] == [2, 3, 4, 4]
        assert [d.qid.path for d in rig.dirs("/n")] == [4, 3, 2, 4]
        assert [d.qid.vers for d in rig.dirs("/n")] == [0, 0, 0, 0]
        c = rig.host.bind(os.fsencode(tmp_path))
        assert c.dev == 2
        assert c.qid.path == 1
        cclose(rig.k, c)


def test_versions_count_changes(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"1")
    os.utime(tmp_path / "f", (5, 5))

    @rig.run
    def _() -> None:
        bind(rig, tmp_path)

        def vers() -> int:
            return rig.stat("/n/f").qid.vers

        assert [vers(), vers()] == [0, 0]
        (tmp_path / "f").write_bytes(b"22")  # the host changes it
        assert [vers(), vers()] == [1, 1]
        fd = rig.open("/n/f", OWRITE)
        for _ in range(3):
            rig.pwrite(fd, b"33", 0)
        assert [vers(), vers()] == [2, 2]
        rig.pwrite(fd, b"33", 0)
        assert vers() == 3
        rig.close(fd)
        rig.close(rig.open("/n/f", OREAD | OTRUNC))
        assert vers() == 4
        rig.wstat("/n/f", Dir(length=1))
        assert vers() == 5
        rig.remove("/n/f")
        rig.close(rig.create("/n/f", OWRITE))
        assert rig.stat("/n/f").qid.path == 3


def test_nothing_leads_out(rig: Rig, tmp_path: Path) -> None:
    root = tmp_path / "shown"
    (root / "sub" / "deep").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "in").write_bytes(b"inside")
    links = {
        "abs": str(tmp_path / "secret"),
        "absin": str(root / "in"),
        "up": "../secret",
        "sub/up": "../../secret",
        "sub/deep/upup": "../../../shown/in",
        "loop": "loop",
        "dangling": "nothing",
        "self": ".",
        "selfup": "self/../..",
        "ok": "in",
        "sub/ok": "../in",
        "dir": "sub",
        "sub/deep/around": "../../dir/ok",
        "todev": "/dev/null",
    }
    for name, target in links.items():
        os.symlink(target, root / name)

    @rig.run
    def _() -> None:
        bind(rig, root)
        for name in (
            "abs",
            "absin",
            "up",
            "sub/up",
            "sub/deep/upup",
            "loop",
            "dangling",
            "selfup",
            "selfup/secret",
            "todev",
        ):
            assert "does not exist" in err(rig.open, f"/n/{name}")
            assert "does not exist" in err(rig.stat, f"/n/{name}")
        for name in ("ok", "sub/ok", "dir/ok", "sub/deep/around", "self/self/in", "dir/deep/../ok"):
            assert rig.slurp(f"/n/{name}") == b"inside"
        assert rig.stat("/n/dir").qid.path == rig.stat("/n/sub").qid.path
        assert rig.ls("/n/dir") == ["deep", "ok"]
        assert rig.ls("/n") == ["dir", "in", "ok", "self", "sub"]
        assert "secret" not in rig.ls("/n/..")
        assert "secret" not in rig.ls("/n/sub/../../..")
        for name in ("up", "abs", "sub/up", "todev"):
            assert err(rig.create, f"/n/{name}", OWRITE) != ""
        # ".." of a link is where the link is; removing it removes the link
        assert rig.slurp("/n/dir/../in") == b"inside"
        rig.remove("/n/dir")
        assert rig.stat("/n/sub").qid.type & QTDIR
        rig.wstat("/n/ok", Dir(name="fine"))
        assert os.readlink(root / "fine") == "in"
        # a link that leads nowhere yet, inside, is created where it points
        rig.close(rig.create("/n/dangling", OWRITE))
        assert (root / "nothing").exists()

    assert (tmp_path / "secret").read_bytes() == b"secret"
    assert sorted(os.listdir(tmp_path)) == ["secret", "shown"]


def test_names_with_slashes_do_not_reach_the_host(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    tree = Tree(str(tmp_path / "d"))
    for name in (b"/etc", b"a/b", b"a\0b"):
        assert err(tree.resolve, [name]) == "file does not exist"
    assert err(lambda: tree.resolve([b".."])) == "file does not exist"
    tree.close()
    tree.close()
    (tmp_path / "f").write_bytes(b"")
    assert err(lambda: Tree(str(tmp_path / "f"))) == "not a directory"
    assert err(lambda: Tree(str(tmp_path / "none"))) == "file does not exist"


def test_devices_of_the_host_are_refused(rig: Rig, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")

    @rig.run
    def _() -> None:
        bind(rig, tmp_path)
        assert rig.stat("/n/fifo").length == 0
        for mode in (OREAD, OWRITE, ORDWR, OREAD | OTRUNC):
            assert err(rig.open, "/n/fifo", mode) == "'/n/fifo' permission denied"
        assert err(lambda: rig.create("/n/fifo", OWRITE)) == "'/n/fifo' permission denied"
        assert err(lambda: rig.wstat("/n/fifo", Dir(mode=0o777))) == "permission denied"
        assert rig.ls("/n") == ["fifo"]
        rig.remove("/n/fifo")


def test_any_name_survives(rig: Rig, tmp_path: Path) -> None:
    odd = b"\xff\xfe-\xe9"
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + odd))).write_bytes(b"odd")
    (tmp_path / "ünï").write_bytes(b"uni")
    (tmp_path / "ctl\tname").write_bytes(b"")

    @rig.run
    def _() -> None:
        bind(rig, tmp_path)
        assert [kbytes(n) for n in rig.ls("/n")] == ["ünï".encode(), odd]
        assert rig.slurp("/n/" + kstr(odd)) == b"odd"
        rig.close(rig.create("/n/" + kstr(odd + b"2"), OWRITE))

    assert os.fsencode(tmp_path) + b"/" + odd + b"2" in [os.fsencode(p) for p in tmp_path.iterdir()]


def test_writing(rig: Rig, tmp_path: Path) -> None:
    @rig.run
    def _() -> None:
        bind(rig, tmp_path)
        fd = rig.create("/n/f", ORDWR, 0o640)
        assert rig.pwrite(fd, b"hello") == 5
        assert rig.pwrite(fd, b"") == 0
        assert rig.pwrite(fd, b"!", 7) == 1
        assert rig.pread(fd, 99, 0) == b"hello\0\0!"
        assert rig.pwrite(fd, b"far", 5 << 32) == 3
        assert rig.stat("/n/f").length == (5 << 32) + 3
        assert rig.pread(fd, 99, (5 << 32) - 1) == b"\0far"
        assert err(lambda: rig.pwrite(fd, b"x", (1 << 63) - 1)) in ("i/o error", "file too large")
        assert rig.wstat(fd, Dir()) > 0  # sync
        rig.wstat(fd, Dir(length=2))
        assert rig.slurp("/n/f") == b"he"
        assert rig.stat("/n/f").mode == 0o640
        rig.close(rig.create("/n/f", OWRITE, 0o777))
        assert (rig.stat("/n/f").mode, rig.stat("/n/f").length) == (0o640, 0)
        assert "file already exists" in err(lambda: rig.create("/n/f", OWRITE | OEXCL))
        log = rig.create("/n/log", OWRITE, DMAPPEND | 0o666)
        rig.pwrite(log, b"one")
        rig.pwrite(log, b"two", 0)
        assert rig.slurp("/n/log") == b"onetwo"
        assert rig.stat("/n/log").qid.type == QTAPPEND
        rig.close(rig.open("/n/log", OWRITE | OTRUNC))  # an append-only file is not truncated
        assert rig.stat("/n/log").length == 6
        rig.close(rig.create("/n/lock", OWRITE, DMEXCL | 0o666))
        a = rig.open("/n/lock")
        assert "exclusive use file already open" in err(lambda: rig.open("/n/lock"))
        rig.close(a)
        rig.close(rig.open("/n/lock", ORCLOSE))
        assert rig.ls("/n") == ["f", "log"]


def test_directories(rig: Rig, tmp_path: Path) -> None:
    @rig.run
    def _() -> None:
        bind(rig, tmp_path)
        fd = rig.create("/n/d", OREAD, DMDIR | 0o750)
        assert rig.pread(fd, 100) == b""
        assert rig.stat("/n/d").mode == DMDIR | 0o750
        assert "file is a directory" in err(lambda: rig.create("/n/e", OWRITE, DMDIR | 0o777))
        assert "file is a directory" in err(lambda: rig.open("/n/d", OWRITE))
        assert "file already exists" in err(lambda: rig.create("/n/d", OREAD | OEXCL, DMDIR | 0o777))
        for i in range(30):
            rig.close(rig.create(f"/n/d/{i:02}", OWRITE))
        assert [d.name for d in rig.dirs("/n/d", 130)] == [f"{i:02}" for i in range(30)]
        fd = rig.open("/n/d")
        assert err(lambda: rig.pread(fd, 20)) == "i/o count too small"
        seen: list[str] = []
        while data := rig.pread(fd, 200):
            for _ in range(len(data) // 60):
                seen.append(f"{len(seen):02}")
                rig.remove(f"/n/d/{seen[-1]}")
        assert len(seen) == 30
        rig.close(rig.create("/n/d/x", OWRITE))
        assert "directory not empty" in err(lambda: rig.remove("/n/d"))
        assert "is a mount point" in err(lambda: rig.remove("/n"))
        rig.remove("/n/d/x")
        rig.remove("/n/d")
        assert rig.ls("/n") == []


def test_permissions_are_the_owners(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    (tmp_path / "d").mkdir()

    @rig.run
    def _() -> None:
        bind(rig, tmp_path)
        rig.wstat("/n/f", Dir(mode=0o400))
        assert "permission denied" in err(lambda: rig.open("/n/f", OWRITE))
        assert "permission denied" in err(lambda: rig.open("/n/f", OREAD | OTRUNC))
        rig.close(rig.open("/n/f", OEXEC))  # what may be read may be run
        rig.close(rig.open("/n/f"))
        rig.wstat("/n/f", Dir(mode=0))
        for mode in (OREAD, OEXEC):
            assert "permission denied" in err(rig.open, "/n/f", mode)
        assert "permission denied" in err(lambda: rig.wstat("/n/f", Dir(length=0)))
        rig.wstat("/n/d", Dir(mode=DMDIR | 0o500))
        assert "permission denied" in err(lambda: rig.create("/n/d/x", OWRITE))
        rig.wstat("/n/d", Dir(mode=DMDIR | 0o700))
        rig.close(rig.create("/n/d/x", OWRITE, 0o666))
        assert rig.stat("/n/d/x").mode == 0o600  # no more than the directory allows
        assert "permission denied" in err(lambda: rig.wstat("/n/d", Dir(mode=0o700)))
        rig.up.user = "none"
        assert "permission denied" in err(lambda: rig.open("/n/f", OWRITE))
        assert "permission denied" in err(lambda: rig.wstat("/n/f", Dir(mode=0o777)))
        rig.up.user = "eve"


def test_changing_entries(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"data")
    (tmp_path / "g").write_bytes(b"")
    (tmp_path / "d").mkdir()

    @rig.run
    def _() -> None:
        bind(rig, tmp_path)
        fd = rig.open("/n/f")
        rig.wstat("/n/f", Dir(name="h", length=2, mode=0o600, mtime=99, uid="eve"))
        d = rig.stat(fd)
        assert (d.name, d.length, d.mode, d.mtime) == ("h", 2, 0o600, 99)
        for name, change, text in (
            ("h", Dir(name="g"), "file already exists"),
            ("h", Dir(uid="x"), "permission denied"),
            ("h", Dir(gid="x", mode=0), "permission denied"),
            ("h", Dir(length=1 << 63), "file too large"),
            ("h", Dir(name=".."), "malformed stat buffer"),
            ("d", Dir(length=0), "file is a directory"),
        ):
            assert err(rig.wstat, f"/n/{name}", change) == text
        rig.call(bindmount.sysunmount, 0, "/n")
        c = rig.host.bind(os.fsencode(tmp_path), True)
        assert err(lambda: rig.host.wstat(c, b"")) == "malformed stat buffer"
        cclose(rig.k, c)

    assert sorted(os.listdir(tmp_path)) == ["d", "g", "h"]


def test_a_renamed_directory_keeps_its_channels(rig: Rig, tmp_path: Path) -> None:
    @rig.run
    def _() -> None:
        bind(rig, tmp_path)
        rig.close(rig.create("/n/d", OREAD, DMDIR | 0o777))
        rig.close(rig.create("/n/d/f", OWRITE))
        rig.call(sysfile.syschdir, "/n/d")
        rig.wstat("/n/d", Dir(name="e"))
        assert rig.stat("f").name == "f"
        assert rig.ls("/n") == ["e"]
        rig.remove("f")
        rig.remove("/n/e")
        assert "does not exist" in err(lambda: rig.create("x", OWRITE))
        rig.close(rig.create("/n/e", OREAD, DMDIR | 0o777))
        assert "does not exist" in err(lambda: rig.open("."))


@pytest.mark.parametrize("perm", [0o666, DMDIR | 0o777])
def test_nothing_is_made_that_there_is_no_memory_for(rig: Rig, tmp_path: Path, perm: int) -> None:
    @rig.run
    def _() -> None:
        mem = rig.k.mainmem
        c = rig.host.bind(os.fsencode(tmp_path), True)
        mem.maxsize, old = mem.cursize, mem.maxsize
        assert err(lambda: rig.host.create(c, "new", OREAD, perm)) == "kernel allocate failed"
        assert os.listdir(tmp_path) == []
        mem.maxsize = old
        rig.host.create(c, "new", OREAD, perm)
        cclose(rig.k, c)

    assert os.listdir(tmp_path) == ["new"]


def test_an_open_file_outlives_its_name(rig: Rig, tmp_path: Path) -> None:
    @rig.run
    def _() -> None:
        bind(rig, tmp_path)
        fd = rig.create("/n/f", ORDWR)
        rig.remove("/n/f")
        rig.pwrite(fd, b"still", 0)
        assert rig.pread(fd, 9, 0) == b"still"
        assert rig.stat(fd).length == 5
        rig.close(rig.create("/n/f", OWRITE))
        assert rig.stat("/n/f").qid.path != rig.stat(fd).qid.path


def test_descriptors_of_the_host_are_closed(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    before = openfds()

    @rig.run
    def _() -> None:
        bind(rig, tmp_path)
        base = openfds()
        assert base == before + 1
        fds = [rig.open("/n/f") for _ in range(5)]
        rig.call(sysfile.sysdup, fds[0], -1)
        assert openfds() == base + 5
        for name in ("/n/x", "/n/f/x"):
            err(rig.open, name)
        err(lambda: rig.create("/n/f", OWRITE | OEXCL))
        rig.stat("/n/f")
        rig.ls("/n")
        rig.wstat("/n/f", Dir(mode=0o600, mtime=1, length=0))
        assert openfds() == base + 5
        rig.close(fds[4])
        assert openfds() == base + 4
        c = fgrp(rig.k).fd[fds[0]]
        assert c is not None
        rig.host.shutdown()
        assert openfds() == before
        assert err(lambda: rig.pread(fds[0], 1)) == "i/o error"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOENT, "file does not exist"),
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "permission denied"),
        (errno.EEXIST, "file already exists"),
        (errno.ENOSPC, "no space left on file system"),
        (errno.EIO, "i/o error"),
        (errno.EMFILE, "host has no free file descriptors"),
    ],
)
def test_errors_are_plan_9s_and_name_no_place(number: int, text: str) -> None:
    assert str(hostfile.hosterror(OSError(number, "message", "/host/path"))) == text


def test_a_failing_host(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").write_bytes(b"x" * 100)

    @rig.run
    def _() -> None:
        bind(rig, tmp_path)
        fd = rig.open("/n/f", ORDWR)

        def fail(*args: object, **kw: object) -> int:
            raise OSError(errno.EIO, "broken", "/host/path")

        def short(fd: int, data: bytes, off: int) -> int:
            if off:
                return fail()
            return 3

        before = openfds()
        for call, f in (
            ("pread", lambda: rig.pread(fd, 1, 0)),
            ("pwrite", lambda: rig.pwrite(fd, b"x", 0)),
            ("ftruncate", lambda: rig.wstat(fd, Dir(length=0))),
            ("ftruncate", lambda: rig.open("/n/f", OWRITE | OTRUNC)),
            ("fsync", lambda: rig.wstat(fd, Dir())),
            ("fchmod", lambda: rig.create("/n/new", OWRITE)),
            ("mkdir", lambda: rig.create("/n/newdir", OREAD, DMDIR | 0o777)),
            ("utime", lambda: rig.wstat(fd, Dir(mtime=1))),
            ("rename", lambda: rig.wstat(fd, Dir(name="g"))),
            ("chmod", lambda: rig.wstat(fd, Dir(mode=0o600))),
            ("unlink", lambda: rig.remove("/n/f")),
            ("open", lambda: rig.open("/n/f")),
        ):
            with monkeypatch.context() as m:
                m.setattr(os, call, fail)
                text = err(f)
            assert "i/o error" in text, call
            assert "/host" not in text
            assert openfds() == before
        monkeypatch.setattr(os, "pwrite", short)
        assert rig.pwrite(fd, b"x" * 10, 0) == 3
