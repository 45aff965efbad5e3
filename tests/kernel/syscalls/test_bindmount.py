"""Mounting file servers: kernel/syscalls/bindmount.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernel.base.chandat import DMDIR, MAFTER, MBEFORE, MCREATE, MREPL, OWRITE
from kernel.base.mntdat import Fcall
from kernel.base.procdat import NUser
from kernel.devices.devmnt import mntdev
from kernel.files.conv import direntries
from kernel.files.fcall import Rerror, Tattach, Tclunk, Tversion
from kernel.sched.note import postnote
from kernel.syscalls.bindmount import sys_mount, sysbind, sysmount, sysunmount
from kernel.syscalls.sysfile import sysdup
from tests.kernel.fakes import Rig, err, newrig
from tests.kernel.server9p import Node, Server, wait

rig = pytest.fixture(newrig)


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
        postnote(rig.k, a.proc, 1, "die", NUser)
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
