"""System calls on files: kernel/syscalls/sysfile.py, kernel/files/fd.py, kernel/files/dirread.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kernel.base.chandat import DELTAFD, DMDIR, MAFTER, MREPL, OEXCL, ORDWR, OREAD, OTRUNC, OWRITE, Abind, Chan
from kernel.base.error import Error
from kernel.base.event import Event, FaultEvent
from kernel.base.text import kbytes
from kernel.files.chan import namec
from kernel.files.conv import Dir, packdir
from kernel.files.dev import openmode
from kernel.files.fd import MAXFD, fdclose, fgrp
from kernel.files.pgrp import closefgrp, dupfgrp
from kernel.memory.uaccess import ufetch, ustore
from kernel.syscalls import bindmount, sysfile
from tests.kernel.fakes import BUF, UBASE, Rig, err, newrig

rig = pytest.fixture(newrig)


def test_an_offset_that_has_passed_the_largest_is_negative(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        fd = rig.open("/dev/null", ORDWR)
        top = 2**63 - 1
        assert rig.seek(fd, top, 0) == top
        assert rig.pwrite(fd, b"abc") == 3
        assert err(rig.pwrite, fd, b"abc") == "negative i/o offset"
        assert err(rig.pread, fd, 1) == "negative i/o offset"
        assert err(rig.seek, fd, 0, 1) == "negative i/o offset"
        assert rig.seek(fd, -top, 1) == 3


# Descriptors


def test_descriptors_are_given_out_from_the_lowest(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        assert [rig.open("/dev/null") for _ in range(3)] == [3, 4, 5]
        rig.close(4)
        rig.close(3)
        assert rig.open("/dev/null") == 3
        assert fgrp(rig.k).maxfd == 5
        rig.close(5)
        assert fgrp(rig.k).maxfd == 3
        for fd in (5, 99, -1, -(2**31)):
            assert err(rig.close, fd) == "fd out of range or not open"
            assert err(rig.pread, fd, 1) == "fd out of range or not open"


def test_dup(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        def dup(a: int, b: int) -> int:
            return rig.call(sysfile.sysdup, a, b)

        assert dup(1, -1) == 3
        assert dup(1, 10) == 10
        assert dup(10, 10) == 10
        f = fgrp(rig.k)
        assert f.maxfd == 10
        assert f.fd[10] is f.fd[1]
        assert dup(1, DELTAFD + 5) == DELTAFD + 5
        assert f.nfd == 2 * DELTAFD
        for fd in (3 * DELTAFD, -2):
            assert err(dup, 1, fd) == "fd out of range or not open"
        assert err(lambda: dup(50, 1)) == "fd out of range or not open"
        c = f.fd[1]
        assert c is not None
        refs = c.ref
        rig.close(3)
        assert c.ref == refs - 1


def test_too_many_descriptors(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        f = fgrp(rig.k)
        for fd in range(3, 101):
            assert rig.open("/dev/null") == fd
        assert rig.console.text(2).endswith(b"warning: process exceeds 100 file descriptors\n")
        c = f.fd[3]
        f.fd += [c] * (MAXFD - f.nfd)
        f.fd = [c if x is None else x for x in f.fd]
        assert err(lambda: rig.open("/dev/null")) == "no free file descriptors"
        assert err(lambda: rig.call(sysfile.sysdup, 1, -1)) == "no free file descriptors"
        assert err(rig.pipe) == "no free file descriptors"
        f.fd[7] = None
        assert err(rig.pipe) == "no free file descriptors"
        assert rig.open("/dev/null") == 7
        assert rig.k.files.kmesg.endswith(b"no free file descriptors\n")
        del f.fd[101:]
        f.maxfd = 100


def test_copied_descriptors_share_channels_not_slots(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        k = rig.k
        f = fgrp(k)
        rig.call(sysfile.sysdup, 1, DELTAFD + 1)
        rig.close(DELTAFD + 1)
        new = dupfgrp(k, f)
        assert new.nfd == DELTAFD
        assert new.fd[:3] == f.fd[:3]
        c = f.fd[0]
        assert c is not None
        assert c.ref == 2
        closefgrp(k, new)
        assert c.ref == 1
        closefgrp(k, None)


def test_close_on_exec(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        a = rig.open("/dev/null", OREAD | 0x20)
        b = rig.open("/dev/null", OREAD)
        for fd in (a, b):
            fdclose(rig.k, fd, Chan.CCEXEC)
        f = fgrp(rig.k)
        assert f.fd[a] is None
        assert f.fd[b] is not None


def test_open_modes(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        assert [openmode(m) for m in (0, 1, 2, 3, 0x70, 0x53)] == [0, 1, 2, 0, 0, 0]
        for mode in (4, 0x1000, 0x80000000):
            assert err(rig.open, "/dev/null", mode) == "bad arg in system call"
        assert err(lambda: rig.create("/tmp/x", 4)) == "bad arg in system call"
        rig.close(rig.create("/tmp/x", OWRITE | OEXCL))
        f = rig.open("/tmp/x", OWRITE)
        assert err(lambda: rig.pread(f, 1)) == "inappropriate use of fd"


def test_bad_addresses(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        bad = 0x9000
        calls: list[tuple[object, tuple[int | str, ...]]] = [
            (sysfile.sysopen, (bad, 0)),
            (sysfile.syscreate, (bad, 0, 0)),
            (sysfile.syschdir, (bad,)),
            (sysfile.sysremove, (bad,)),
            (sysfile.sysstat, ("/", bad, 100)),
            (sysfile.sysstat, (bad, BUF, 100)),
            (sysfile.sysfstat, (0, bad, 100)),
            (sysfile.syswstat, ("/", bad, 100)),
            (sysfile.sysfwstat, (0, bad, 100)),
            (sysfile.sysfd2path, (0, bad, 100)),
            (sysfile.syspipe, (bad,)),
            (sysfile.sysseek, (bad, 0, 0, 0, 0)),
            (sysfile.syspread, (0, bad, 10, 0, 0)),
            (sysfile.syspwrite, (1, bad, 10, 0, 0)),
            (sysfile.sys_read, (0, BUF, 0xFFFFFFFF)),
            (bindmount.sysbind, ("/", bad, 0)),
            (bindmount.sysbind, (bad, "/", 0)),
            (bindmount.sysunmount, (bad, "/")),
        ]
        for fn, args in calls:
            rig.up.note.clear()
            assert err(rig.call, fn, *args) == "bad arg in system call", fn
            assert rig.up.note[0].msg == "sys: bad address in syscall"
        rig.up.note.clear()
        rig.up.notepending = 0


# Reading and writing


def test_offsets(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        fd = rig.create("/tmp/f", ORDWR)
        assert rig.pwrite(fd, b"0123456789") == 10
        assert rig.seek(fd, 0, 1) == 10
        assert rig.pread(fd, 3, 2) == b"234"
        # a read at an explicit offset moves the channel's all the same
        assert rig.seek(fd, 0, 1) == 13
        assert rig.pwrite(fd, b"x", 0) == 1
        assert rig.seek(fd, 0, 1) == 13
        assert rig.seek(fd, 2, 0) == 2
        assert rig.call(sysfile.sys_read, fd, BUF, 3) == 3
        assert ufetch(rig.k, BUF, 3) == b"234"
        ustore(rig.k, BUF, b"yz")
        assert rig.call(sysfile.sys_write, fd, BUF, 2) == 2
        assert rig.slurp("/tmp/f") == b"x1234yz789"
        assert rig.seek(fd, -1, 2) == 9
        assert rig.call(sysfile.sysoseek, fd, -3, 1) == 6
        assert rig.call(sysfile.sysoseek, fd, -3, 2) == 7
        assert err(lambda: rig.seek(fd, -1, 0)) == "negative i/o offset"
        assert err(lambda: rig.seek(fd, -8, 1)) == "negative i/o offset"
        assert err(lambda: rig.seek(fd, -11, 2)) == "negative i/o offset"
        assert err(lambda: rig.seek(fd, 0, 3)) == "bad arg in system call"
        assert err(lambda: rig.pread(fd, 1, -2)) == "negative i/o offset"
        assert err(lambda: rig.pwrite(fd, b"x", -2)) == "negative i/o offset"
        assert rig.seek(fd, 1 << 40, 0) == 1 << 40
        assert rig.pread(fd, 1) == b""
        assert err(lambda: rig.pwrite(fd, b"x")) == "file system full"
        assert rig.seek(fd, 0, 1) == 1 << 40  # a failed write gives its advance back
        assert err(lambda: rig.seek(fd, (1 << 63) - 1, 1)) == "negative i/o offset"


def test_a_directory_is_read_from_its_beginning_on(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        fd = rig.open("/dev")
        first = rig.pread(fd, 200)
        assert err(lambda: rig.pread(fd, 200, 7)) == "seek in directory"
        assert err(lambda: rig.seek(fd, 1, 0)) == "file is a directory"
        assert err(lambda: rig.seek(fd, 0, 1)) == "file is a directory"
        assert err(lambda: rig.seek(fd, 0, 2)) == "file is a directory"
        assert rig.seek(fd, 0, 0) == 0
        assert rig.pread(fd, 200) == first
        assert err(lambda: rig.pread(fd, 10)) == "i/o count too small"
        assert err(lambda: rig.pwrite(fd, b"x")) == "inappropriate use of fd"
        c = fgrp(rig.k).fd[fd]
        assert c is not None
        c.mode = ORDWR
        assert err(lambda: rig.pwrite(fd, b"x")) == "file is a directory"


def test_entries_that_grow_overflow_into_the_rock(rig: Rig) -> None:
    rig.root.mkdir("/x")
    for i in range(6):
        rig.root.addfile(f"/x/{i}", b"")
    rig.root.mkdir("/y")
    rig.root.addfile("/y/file", b"")

    @rig.run
    def _() -> None:
        rig.root.root.kids["y"].kids["file"].user = "somebody with a long name"  # type: ignore[index]
        for i in (0, 3, 5):
            rig.call(bindmount.sysbind, "/y/file", f"/x/{i}", MREPL)
        for n in (120, 160, 250, 1000):
            names = [d.name for d in rig.dirs("/x", n)]
            assert sorted(names) == [str(i) for i in range(6)]
        users = {d.name: d.uid for d in rig.dirs("/x", 250)}
        assert {name for name, uid in users.items() if uid != "eve"} == {"0", "3", "5"}


def test_a_union_is_read_element_by_element(rig: Rig) -> None:
    for d in "ab":
        rig.root.mkdir("/" + d)
        for i in range(3):
            rig.root.addfile(f"/{d}/{d}{i}", b"")

    @rig.run
    def _() -> None:
        rig.call(bindmount.sysbind, "/b", "/a", MAFTER)
        rig.mount(namec(rig.k, "#c", Abind), "/a", MAFTER)
        fd = rig.open("/a")
        assert len(rig.pread(fd, 65)) > 0
        assert rig.seek(fd, 0, 0) == 0
        names = rig.ls("/a")
        assert names[:6] == ["a0", "a1", "a2", "b0", "b1", "b2"]
        assert "null" in names
        assert [d.name for d in rig.dirs("/a", 90)] == names


def test_a_write_looks_at_memory_only_when_the_device_does(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        k = rig.k
        fd = rig.open("/dev/null", OWRITE)
        before = k.m.pfault
        assert rig.call(sysfile.sys_write, fd, UBASE + 0x20000, 8192) == 8192
        assert k.m.pfault == before
        assert rig.call(sysfile.sys_write, 1, UBASE + 0x20000, 8192) == 8192
        assert k.m.pfault == before + 2
        data = sysfile.Userdata(k, UBASE + 0x20000, 10)
        assert data[0] == 0
        assert data[8:20] == b"\0\0"


def faults(rig: Rig, f: Callable[[], object]) -> list[tuple[str, int, str]]:
    """The kernel's faults on user memory during f: function, address from UBASE on, access."""
    seen: list[tuple[str, int, str]] = []

    def sink(e: Event) -> None:
        if isinstance(e, FaultEvent) and e.mode == "kernel":
            seen.append((e.fn, e.addr - UBASE, e.access))

    rig.k.sink = sink
    f()
    rig.k.sink = None
    return seen


def test_faults_happen_where_the_originals_do(rig: Rig) -> None:
    rig.console.input += b"x" * 5000

    @rig.run
    def _() -> None:
        base = UBASE + 0x60000
        at = base - UBASE

        def call(fn: Callable[..., int], *args: int) -> Callable[[], int]:
            return lambda: fn(rig.k, args)

        assert faults(rig, call(sysfile.syspipe, base + 0xFFC)) == [
            ("syspipe", at + 0x1000, "write"),
            ("syspipe", at + 0xFFC, "write"),
        ]
        at += 0x4000
        base += 0x4000
        assert faults(rig, call(sysfile.syspread, 0, base, 5000, 0, 0)) == [
            ("memmove", at, "write"),
            ("memmove", at + 0x1000, "write"),
        ]
        at += 0x4000
        base += 0x4000
        assert faults(rig, call(sysfile.sysfd2path, 0, base, 100)) == [("_fmtcpy", at, "write")]
        at += 0x4000
        base += 0x4000
        assert faults(rig, call(sysfile.sysfstat, 0, base, 200)) == [("convD2M", at, "write")]
        at += 0x4000
        base += 0x4000
        assert faults(rig, lambda: err(call(sysfile.sysopen, base, 0))) == [("namec", at, "read")]


def test_pipe_stores_minus_one_first(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        fds = fgrp(rig.k)
        full = list(fds.fd)
        fds.fd[:] = [full[0]] * MAXFD
        with pytest.raises(Error, match="no free file descriptors"):
            rig.call(sysfile.syspipe, BUF)
        assert ufetch(rig.k, BUF, 8) == b"\xff" * 8
        fds.fd[:] = full


# Names and entries


def test_fd2path(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        fd = rig.open("/dev/../dev/./null")

        def path(n: int) -> bytes:
            ustore(rig.k, BUF, b"#" * 64)
            rig.call(sysfile.sysfd2path, fd, BUF, n)
            return ufetch(rig.k, BUF, 64).rstrip(b"#")

        assert path(64) == b"/dev/null\0"
        assert path(10) == b"/dev/null\0"
        assert path(9) == b"/dev/nul\0"
        assert path(1) == b"\0"
        assert path(0) == b""
        rig.close(rig.create("/tmp/é", OWRITE))
        fd = rig.open("/tmp/é")
        assert path(7) == b"/tmp/\0"
        assert path(8) == kbytes("/tmp/é\0")


def test_stat_has_the_name_asked_for(rig: Rig) -> None:
    rig.root.mkdir("/x")

    @rig.run
    def _() -> None:
        rig.call(bindmount.sysbind, "/dev", "/x", MREPL)
        assert rig.stat("/x").name == "x"
        assert rig.stat("/x/null").name == "null"
        assert rig.stat("#c").name == "#c"
        n = 49 + len("nulleveeveeve")
        assert rig.stat("/dev/null", n).name == "null"
        assert rig.call(sysfile.sysstat, "/dev/null", BUF, n - 1) == 2
        assert ufetch(rig.k, BUF, 2) == (n - 2).to_bytes(2, "little")
        fd = rig.open("/dev/null")
        assert rig.call(sysfile.sysfstat, fd, BUF, n - 1) == 2
        assert err(lambda: rig.call(sysfile.sysfstat, fd, BUF, 1)) == "bad arg in system call"
        # the name alone may make it too long
        rig.close(rig.create("/tmp/a-long-name-for-null", OWRITE))
        rig.call(bindmount.sysbind, "/dev/null", "/tmp/a-long-name-for-null", MREPL)
        assert rig.call(sysfile.sysstat, "/tmp/a-long-name-for-null", BUF, n) == 2


def test_wstat_checks_the_entry_first(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        rig.close(rig.create("/tmp/f", OWRITE))
        good = packdir(Dir(name="g"))

        def wstat(b: bytes) -> int:
            return rig.call(sysfile.syswstat, "/tmp/f", b, len(b))

        for bad in (good[:-1], good + b"x", b"", good[:20]):
            assert err(wstat, bad) == "malformed stat buffer"
        assert err(lambda: wstat(packdir(Dir(name="a/b")))) == "bad character in file name: a/b"
        assert err(lambda: wstat(packdir(Dir(name="a\n")))) == "bad character in file name: 'a\n'"
        assert wstat(good) == len(good)
        assert rig.ls("/tmp") == ["g"]
        fd = rig.open("/tmp/g", OWRITE)
        rig.wstat(fd, Dir(mode=0o600))
        assert rig.stat(fd).mode == 0o600


def test_mount_points_are_neither_removed_nor_renamed(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        rig.close(rig.create("/tmp/d", OREAD, DMDIR | 0o777))
        rig.call(bindmount.sysbind, "#c", "/tmp/d", MREPL)
        assert err(lambda: rig.remove("/tmp/d")) == "is a mount point"
        assert err(lambda: rig.wstat("/tmp/d", Dir(name="e"))) == "'/tmp/d' is a mount point"
        assert err(lambda: rig.wstat("/tmp/d", Dir(mode=0))) == "permission denied"
        rig.call(bindmount.sysunmount, 0, "/tmp/d")
        rig.remove("/tmp/d")
        assert err(lambda: rig.remove("/tmp/d")) == "'/tmp/d' does not exist"
        assert err(lambda: rig.remove("/dev/null")) == "permission denied"


def test_create_truncates_what_exists(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        fd = rig.create("/tmp/f", OWRITE)
        rig.pwrite(fd, b"data")
        rig.close(rig.create("/tmp/f", OWRITE, 0o600))
        d = rig.stat("/tmp/f")
        assert (d.length, d.mode) == (0, 0o666)
        assert err(lambda: rig.create("/tmp/f", OWRITE | OEXCL)) == "'/tmp/f' file already exists"
        assert err(lambda: rig.create("/tmp/no/f", OWRITE)) == "'/tmp/no' does not exist"
        assert err(lambda: rig.create("/tmp/f/g", OWRITE)) == "'/tmp/f/g' not a directory"
        rig.close(rig.open("/tmp/f", OREAD | OTRUNC))
        assert err(lambda: rig.open("/tmp/g")) == "'/tmp/g' does not exist"


def test_opening_leaves_no_reference_behind(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        dot = rig.up.slash
        assert dot is not None
        refs = dot.ref
        for name in ("/dev/null", "/", "/dev/../env", "/nothing", "/dev/null/x", "/tmp/new"):
            for f in (rig.open, lambda n: rig.call(sysfile.syscreate, n, OEXCL, 0), rig.stat):
                try:
                    got = f(name)
                except Error:
                    continue
                if isinstance(got, int):
                    rig.close(got)
        assert dot.ref == refs
