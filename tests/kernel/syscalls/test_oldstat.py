"""The stat calls of old: kernel/syscalls/oldstat.py, and what is left of the others of their time."""

from __future__ import annotations

import struct

import pytest

from kernel.base.chandat import DMDIR, QTDIR
from kernel.base.dat import Qid
from kernel.files.conv import Dir
from kernel.memory.uaccess import ufetch, ustore
from kernel.syscalls.auth import sys_fsession
from kernel.syscalls.oldstat import DIRLEN, packoldstat, sys_fstat, sys_fwstat, sys_stat, sys_wstat
from tests.kernel.fakes import BUF, Rig, err, newrig

rig = pytest.fixture(newrig)


def test_layout() -> None:
    d = Dir("name", Qid(0x180000002, 3, 0), 0o644, 1 << 33, 0x10063, 0x20001, 4, 5, "uid", "gid", "muid")
    b = packoldstat(d)
    assert len(b) == DIRLEN == 116
    assert b[:84] == b"name".ljust(28, b"\0") + b"uid".ljust(28, b"\0") + b"gid".ljust(28, b"\0")
    assert struct.unpack("<5IQHH", b[84:]) == (2, 3, 0o644, 4, 5, 1 << 33, 0x63, 1)
    d.qid = Qid(7, 0, QTDIR)
    d.name = "x" * 40
    b = packoldstat(d)
    assert b[:28] == b"x" * 28  # and no NUL
    assert struct.unpack_from("<I", b, 84) == (DMDIR | 7,)


def test_old_stat_and_fstat(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        fd = rig.create("/tmp/file", 1)
        rig.pwrite(fd, b"12345")
        for fn, what in ((sys_stat, "/tmp/file"), (sys_fstat, fd)):
            ustore(rig.k, BUF, b"\xff" * 200)
            assert rig.call(fn, what, BUF) == 0
            b = ufetch(rig.k, BUF, 200)
            assert b[:28] == b"file".ljust(28, b"\0")
            assert struct.unpack_from("<Q", b, 104) == (5,)
            assert b[116:] == b"\xff" * 84
        assert rig.call(sys_stat, "/dev/null", BUF) == 0
        assert ufetch(rig.k, BUF, 5) == b"null\0"
        assert err(rig.call, sys_stat, "/none", BUF) == "'/none' file does not exist"
        assert err(rig.call, sys_fstat, 99, BUF) == "fd out of range or not open"
        assert err(rig.call, sys_stat, "/tmp", 0xE0000000) == "bad arg in system call"
        assert err(rig.call, sys_fstat, fd, 0xE0000000) == "bad arg in system call"


def test_an_entry_too_long_for_the_old_calls(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        name = "/tmp/" + "x" * 90
        fd = rig.create(name, 1)
        assert err(rig.call, sys_stat, name, BUF) == "old stat system call - recompile"
        assert err(rig.call, sys_fstat, fd, BUF) == "old fstat system call - recompile"
        # short enough on the device, too long under the name it was found by
        rig.close(rig.create("/tmp/short", 1))
        rig.call(sys_stat, "/tmp/short", BUF)


def test_wstat_and_fwstat_are_refused(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        assert err(rig.call, sys_wstat, "/tmp", BUF) == "old wstat system call - recompile"
        assert err(rig.call, sys_fwstat, 0, BUF) == "old fwstat system call - recompile"


def test_fsession(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        ustore(rig.k, BUF, b"abc")
        assert rig.call(sys_fsession, 99, BUF, 3) == 0
        assert ufetch(rig.k, BUF, 3) == b"\0bc"
        assert err(rig.call, sys_fsession, 0, BUF, 0) == "bad arg in system call"
        assert err(rig.call, sys_fsession, 0, 0xE0000000, 3) == "bad arg in system call"
