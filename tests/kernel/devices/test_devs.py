"""The devices in memory: console, pipes, environment, descriptors, root."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from kernel.base.chandat import DMAPPEND, DMDIR, OCEXEC, OEXCL, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE, Aopen, Chan
from kernel.base.error import Error
from kernel.base.kernel import EPOCH
from kernel.base.procdat import Proc_exitme
from kernel.devices.devcons import conschan, writefd2
from kernel.devices.devenv import Maxenvsize, ksetenv
from kernel.devices.parse import strtoul
from kernel.devices.qio import balloc
from kernel.files.chan import namec
from kernel.files.channel import cclose
from kernel.files.conv import NOLENGTH, Dir
from kernel.files.pgrp import closeegrp, envcpy, newegrp
from kernel.sched.newproc import everyproc
from kernel.sched.note import pgrpnote, postnote
from kernel.sched.sched import yield_
from kernel.sched.sleep import sleep
from kernel.syscalls import bindmount, sysfile
from tests.kernel.fakes import Blocked, Rig, newrig

rig = pytest.fixture(newrig)

# Console


def test_the_first_descriptors_are_the_console(rig: Rig) -> None:
    rig.console.input += b"typed\nmore"

    @rig.run
    def _() -> None:
        assert rig.pread(0, 100) == b"typed\nmore"
        assert rig.pread(0, 100) == b""
        rig.pwrite(1, b"out")
        rig.pwrite(2, b"err")
        fd = rig.open("/dev/cons", ORDWR)
        assert rig.pwrite(fd, b"x" * 20000) == 20000
        with pytest.raises(Error, match="inappropriate use of fd"):
            rig.pwrite(0, b"no")
        with pytest.raises(Error, match="inappropriate use of fd"):
            rig.pread(1, 1)

    assert rig.console.text(1) == b"out" + b"x" * 20000
    assert rig.console.text(2) == b"err"


def test_raw_mode_is_over_when_consctl_is_closed_by_all(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        with pytest.raises(Error, match="permission denied"):
            rig.open("/dev/consctl")
        a, b = (rig.open("/dev/consctl", OWRITE) for _ in range(2))
        for text, raw in ((b"rawon", True), (b"rawoff", False), (b"nonsense", False), (b"holdon rawon\n", True)):
            assert rig.pwrite(a, text) == len(text)
            assert rig.console.israw is raw
        rig.close(a)
        assert rig.console.israw
        rig.close(b)
        assert not rig.console.israw


def test_swap_is_told_as_the_original_does(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        rig.k.fscache.pgref += 1
        rig.k.files.kmalloc = (5, 6)
        rig.slurp("/dev/swap")
        lines = rig.slurp("/dev/swap").decode().splitlines()
        user = rig.k.palloc.user - rig.k.palloc.freecount - 1
        assert lines == [
            "15728640 memory",
            "4096 pagesize",
            "1792 kernel",
            f"{user}/2048 user",
            "0/100 swap",
            "5/6 kernel malloc",
            "0/0 kernel draw",
        ]
        rig.k.fscache.pgref -= 1


def test_numbers_and_texts(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        k = rig.k
        up = rig.up
        assert rig.slurp("/dev/pid") == b"%11d " % up.pid
        assert rig.slurp("/dev/ppid") == b"          0 "
        assert up.pgrp is not None
        assert rig.slurp("/dev/pgrpid") == b"%11d " % up.pgrp.pgrpid
        assert rig.slurp("/dev/user") == b"eve"
        assert rig.slurp("/dev/hostowner") == b"eve"
        assert rig.slurp("/dev/hostdomain") == b""
        assert rig.slurp("/dev/osversion") == b"2000"
        assert rig.slurp("/dev/null") == b""
        assert rig.slurp("/dev/drivers") == b"#/ root\n#c cons\n#d dup\n#e env\n#| pipe\n#M mnt\n"
        assert len(rig.slurp("/dev/cputime")) == 72
        fd = rig.open("/dev/sysstat", ORDWR)
        k.m.syscall = 7
        assert (
            rig.pread(fd, 1000)
            == b"".join(b"%11d " % n for n in (0, k.m.cs, 0, 7, k.m.pfault, 0, k.m.tlbpurge, 0, 0, 0)) + b"\n"
        )
        rig.pwrite(fd, b"x")
        assert k.m.syscall == 0
        fd = rig.open("/dev/pid")
        assert rig.pread(fd, 4, 8) == (b"%11d " % up.pid)[8:]
        assert rig.pread(fd, 4, 12) == b""
        assert rig.pread(rig.open("/dev/zero"), 5, 99) == bytes(5)


def test_time(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        k = rig.k
        k.m.cpu.spend(1_500_000_000)
        now = k.m.cpu.now()
        ns = EPOCH * 10**9 + now
        assert rig.slurp("/dev/time") == b"%11d %21d %21d %21d " % (ns // 10**9, ns, now, 10**9)
        fd = rig.open("/dev/bintime")
        assert struct.unpack(">QQQ", rig.pread(fd, 100, 0)) == (ns, now, 10**9)
        assert rig.pread(fd, 17, 0) == struct.pack(">QQ", ns, now)
        assert rig.pread(fd, 7, 0) == b""
        fd = rig.open("/dev/time", OWRITE)
        with pytest.raises(Error, match="permission denied"):
            rig.pwrite(fd, b"1")


def test_random_comes_from_the_seed(rig: Rig) -> None:
    other = Rig()
    got = []
    for r in (rig, other):

        @r.run
        def _(r: Rig = r) -> None:
            got.append(r.pread(r.open("/dev/random"), 20))

    assert got[0] == got[1]
    assert len(set(got[0])) > 1


def test_names_of_the_system(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        fd = rig.open("/dev/sysname", ORDWR)
        assert rig.pread(fd, 9) == b""
        rig.pwrite(fd, b"gnot\n")
        assert rig.slurp("/dev/sysname") == b"gnot"
        with pytest.raises(Error, match="bad arg"):
            rig.pwrite(fd, b"x", 3)
        with pytest.raises(Error, match="bad arg"):
            rig.pwrite(fd, b"x" * 256, 0)
        rig.pwrite(rig.open("/dev/hostdomain", OWRITE), b"here")
        assert rig.k.files.hostdomain == "here"
        with pytest.raises(Error, match="bad arg"):
            rig.pwrite(rig.open("/dev/hostdomain", OWRITE), b"x" * 48)
        rig.pwrite(rig.open("/dev/hostowner", OWRITE), b"glenda")
        assert (rig.k.eve, rig.up.user) == ("glenda", "glenda")
        fd = rig.open("/dev/user", OWRITE)
        with pytest.raises(Error, match="permission denied"):
            rig.pwrite(fd, b"glenda")
        rig.pwrite(fd, b"none")
        assert rig.up.user == "none"
        for name in ("hostowner", "hostdomain"):
            with pytest.raises(Error, match="permission denied"):
                rig.open(f"/dev/{name}", OWRITE)


def test_what_the_console_does_not_have(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        for name in ("kprint", "reboot", "config"):
            with pytest.raises(Error, match=f"'/dev/{name}' file does not exist"):
                rig.open(f"/dev/{name}")
        for mode in (OREAD, OWRITE):
            fd = rig.open("/dev/mordor", mode)
            with pytest.raises(Error, match="one does not simply"):
                rig.pread(fd, 1) if mode == OREAD else rig.pwrite(fd, b"x")
        with pytest.raises(Error, match="permission denied"):
            rig.open("/dev/pid", OWRITE)
        with pytest.raises(Error, match="permission denied"):
            rig.create("#c/new", OWRITE)
        with pytest.raises(Error, match="permission denied"):
            rig.remove("/dev/null")
        with pytest.raises(Error, match="permission denied"):
            rig.wstat("/dev/null", Dir(mode=0))


def test_writing_to_swap(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        fd = rig.open("/dev/swap", OWRITE)
        for data, err in ((b"x", "bad arg"), (b"9999", "fd out of range"), (b"1" * 300, "the front fell off")):
            with pytest.raises(Error, match=err):
                rig.pwrite(fd, data)
        rig.up.user = "none"
        with pytest.raises(Error, match="permission denied"):
            rig.pwrite(fd, b"1")


@pytest.mark.parametrize(("b", "n"), [
    (b"12 x", 12), (b"0x1f\n", 31), (b"017", 15), (b"0", 0), (b"", 0), (b" \t\n+7", 7), (b"-1", 0xFFFFFFFF),
    (b"-0x10", 0xFFFFFFF0), (b"0x", 0), (b"-", 0), (b"4294967295", 0xFFFFFFFF), (b"4294967296", 0xFFFFFFFF),
    (b"-4294967296", 0xFFFFFFFF),
])  # fmt: skip
def test_strtoul(b: bytes, n: int) -> None:
    assert strtoul(b) == n


def test_kmesg_keeps_the_tail(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        rig.k.print("first\n")
        assert rig.slurp("/dev/kmesg") == b"first\n"
        rig.k.print("x" * 20000)
        rig.k.print("end")
        assert rig.slurp("/dev/kmesg") == b"x" * (16384 - 3) + b"end"


def test_pprint_goes_to_descriptor_2_if_it_can(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        writefd2(rig.k, "hello")
        rig.call(sysfile.sysdup, 0, 2)
        writefd2(rig.k, "lost")
        rig.close(2)
        writefd2(rig.k, "lost")

    assert rig.console.text(2) == b"hello"


# Pipes


def test_a_pipe_keeps_writes_apart(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        a, b = rig.pipe()
        assert (a, b) == (3, 4)
        rig.pwrite(a, b"one")
        rig.pwrite(a, b"two")
        rig.pwrite(b, b"back")
        assert rig.stat(b).length == 6
        assert rig.stat(b).name == "data1"
        assert rig.pread(b, 2) == b"on"
        assert rig.pread(b, 100) == b"e"
        assert rig.pread(b, 100) == b"two"
        assert rig.pread(a, 100) == b"back"
        rig.pwrite(a, b"")
        rig.pwrite(a, b"x")
        assert rig.pread(b, 100) == b""
        assert rig.pread(b, 100) == b"x"


def test_the_end_of_a_pipe_is_told_three_times(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        a, b = rig.pipe()
        rig.pwrite(a, b"left")
        rig.close(a)
        assert rig.pread(b, 100) == b"left"
        for _ in range(3):
            assert rig.pread(b, 100) == b""
        with pytest.raises(Error, match="i/o on hungup channel"):
            rig.pread(b, 100)


def test_writing_to_a_closed_pipe_sends_a_note(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        a, b = rig.pipe()
        rig.close(b)
        with pytest.raises(Error, match="i/o on hungup channel"):
            rig.pwrite(a, b"x")
        assert [n.msg for n in rig.up.note] == ["sys: write on closed pipe"]
        rig.up.note.clear()
        rig.up.notepending = 0


def test_a_reader_sleeps_until_something_is_written(rig: Rig) -> None:
    got = []

    @rig.run
    def _() -> None:
        a, b = rig.pipe()

        def reader() -> None:
            rig.close(a)
            got.append(rig.pread(b, 100))
            got.append(rig.pread(b, 100))

        rig.spawn(reader, rig.up)
        rig.close(b)
        yield_(rig.k)
        got.append(b"writing")
        rig.pwrite(a, b"data")
        yield_(rig.k)
        got.append(b"closing")
        rig.close(a)

    assert got == [b"writing", b"data", b"closing", b""]


def test_a_writer_sleeps_while_the_pipe_is_full(rig: Rig) -> None:
    log: list[object] = []

    @rig.run
    def _() -> None:
        a, b = rig.pipe()

        def writer() -> None:
            for i in range(4):
                rig.pwrite(a, b"%d" % i * 10000)
                log.append(i)

        rig.spawn(writer, rig.up)
        yield_(rig.k)
        log.append("full")
        assert rig.stat(b).length == 40000
        for _ in range(4):
            log.append(rig.pread(b, 20000)[:1])

    assert log == [0, 1, 2, "full", b"0", b"1", b"2", b"3", 3]


def test_a_write_larger_than_a_block_is_split(rig: Rig) -> None:
    sizes = []

    @rig.run
    def _() -> None:
        a, b = rig.pipe()

        def writer() -> None:
            assert rig.pwrite(a, b"x" * 150000) == 150000
            rig.close(a)

        rig.spawn(writer, rig.up)
        rig.close(a)
        while data := rig.pread(b, 200000):
            sizes.append(len(data))

    assert sizes == [65536, 65536, 150000 - 2 * 65536]


def test_a_note_interrupts_a_reader_but_keeps_no_data_out(rig: Rig) -> None:
    errors = []

    @rig.run
    def _() -> None:
        a, b = rig.pipe()

        def reader() -> None:
            with pytest.raises(Error) as e:
                rig.pread(b, 1)
            errors.append(str(e.value))

        def writer() -> None:
            with pytest.raises(Error) as e:
                rig.pwrite(a, b"x" * 60000)
            errors.append(str(e.value))

        p = rig.spawn(reader, rig.up)
        yield_(rig.k)
        postnote(rig.k, p, 1, "interrupt", 0)
        yield_(rig.k)
        p = rig.spawn(writer, rig.up)
        yield_(rig.k)
        postnote(rig.k, p, 1, "interrupt", 0)
        yield_(rig.k)
        assert rig.stat(b).length == 60000

    assert errors == ["interrupted", "interrupted"]


def test_a_glutted_pipe_is_left_only_by_a_kill(rig: Rig) -> None:
    errors = []

    @rig.run
    def _() -> None:
        a, b = rig.pipe()

        def writer() -> None:
            with pytest.raises(Error) as e:
                rig.pwrite(a, b"x" * 60000)
            with pytest.raises(Error) as e:
                rig.pwrite(a, b"x" * 60000)
            with pytest.raises(Error) as e:
                rig.pwrite(a, b"x")
            errors.append(str(e.value))

        p = rig.spawn(writer, rig.up)
        yield_(rig.k)
        for _ in range(3):
            p.note.clear()
            postnote(rig.k, p, 1, "interrupt", 0)
            yield_(rig.k)
        assert errors == []
        assert len(rig.pread(b, 60000)) == 60000  # no glut any more, but still full
        p.note.clear()
        postnote(rig.k, p, 1, "interrupt", 0)
        yield_(rig.k)
        assert rig.stat(b).length == 60000
        p.procctl = Proc_exitme
        p.note.clear()
        postnote(rig.k, p, 1, "kill", 0)
        yield_(rig.k)

    assert errors == ["the front fell off"]


def test_pipes_by_name(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        rig.call(bindmount.sysbind, "#|", "/n", 0)
        assert rig.ls("/n") == ["data", "data1"]
        a = rig.open("/n/data", ORDWR)
        b = rig.open("/n/data1", ORDWR)
        rig.pwrite(a, b"x")
        assert rig.stat("/n/data1").length == 1
        assert rig.pread(b, 1) == b"x"
        rig.close(a)
        assert rig.pread(b, 1) == b""
        rig.close(b)
        a = rig.open("/n/data", ORDWR)  # with both ends closed it starts anew
        b = rig.open("/n/data1", ORDWR)
        rig.pwrite(a, b"again")
        assert rig.pread(b, 9) == b"again"
        assert rig.wstat("/n/data", Dir(mode=0o640)) > 0
        assert rig.stat("/n/data").mode == 0o640
        with pytest.raises(Error, match="can't change owner"):
            rig.wstat("/n/data", Dir(uid="x"))
        with pytest.raises(Error, match="bad arg"):
            rig.open("#|", OWRITE)
        fd = rig.open("#|")
        with pytest.raises(Error, match="file is a directory"):
            rig.wstat(fd, Dir(mode=0))
        rig.up.user = "none"
        with pytest.raises(Error, match="permission denied"):
            rig.wstat("/n/data", Dir(mode=0))
        with pytest.raises(Error, match="seek on a stream"):
            rig.seek(a, 0, 0)


def test_more_processors_have_longer_pipes(rig: Rig) -> None:
    from kernel.devices.devpipe import Pipedev

    rig.k.conf.nmach = 2
    assert Pipedev(rig.k).qsize == 256 * 1024


def test_a_small_block_counts_for_its_room() -> None:
    assert balloc(0) >= 64
    assert all(0 <= balloc(n) - n - 64 < 40 for n in range(300))


def test_a_pipe_nobody_writes_blocks(rig: Rig) -> None:
    with pytest.raises(Blocked):

        @rig.run
        def _() -> None:
            _, b = rig.pipe()
            rig.pread(b, 1)


# Environment


def test_variables(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        fd = rig.create("/env/a", ORDWR)
        rig.pwrite(fd, b"value")
        assert rig.pread(fd, 100, 2) == b"lue"
        rig.pwrite(fd, b"X", 8)
        assert rig.slurp("/env/a") == b"value\0\0\0X"
        ksetenv(rig.k, "b", "two")
        ksetenv(rig.k, "c", "three")
        assert rig.ls("/env") == ["a", "b", "c"]
        rig.remove("/env/a")
        assert rig.ls("/env") == ["c", "b"]
        with pytest.raises(Error, match="file does not exist"):
            rig.pread(fd, 1, 0)
        with pytest.raises(Error, match="file does not exist"):
            rig.pwrite(fd, b"x", 0)
        with pytest.raises(Error, match="file already exists"):
            rig.create("/env/b", OWRITE | OEXCL)
        rig.close(rig.create("/env/b", OWRITE))
        assert rig.slurp("/env/b") == b""
        assert rig.stat("/env/b").qid.vers == 2
        assert rig.stat("/env/b").mode == 0o666
        assert rig.stat("#e").qid.vers > 0


def test_offsets_of_variables_are_of_32_bits(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        fd = rig.create("/env/v", ORDWR)
        assert rig.pwrite(fd, b"abcd", 0) == 4
        assert rig.pwrite(fd, b"X", 2**32 + 1) == 1
        assert rig.pread(fd, 2, 2**32 + 1) == b"Xc"
        assert rig.pread(fd, 2, 2**32 + 4) == b""


def test_environment_limits(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        fd = rig.create("/env/a", ORDWR)
        assert rig.pwrite(fd, b"x" * Maxenvsize, 0) == Maxenvsize
        with pytest.raises(Error, match="read or write too large"):
            rig.pwrite(fd, b"x", Maxenvsize)
        with pytest.raises(Error, match="name too long"):
            rig.create("/env/" + "x" * 128, OWRITE)
        with pytest.raises(Error, match="permission denied"):
            rig.open("/env", OWRITE)
        with pytest.raises(Error, match="permission denied"):
            rig.remove("#e")
        with pytest.raises(Error, match="bad arg"):
            rig.open("#ex")
        assert rig.pwrite(fd, b"", 0) == 0
        fd = rig.open("/env/a", ORCLOSE)
        rig.close(fd)
        assert rig.ls("/env") == []


def test_the_kernels_configuration_is_for_eve_to_change(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        ksetenv(rig.k, "cputype", "386", conf=True)
        assert rig.slurp("#ec/cputype") == b"386"
        rig.up.user = "none"
        with pytest.raises(Error, match="permission denied"):
            rig.open("#ec/cputype", OWRITE)
        rig.close(rig.open("#ec/cputype"))


def test_an_environment_is_copied_by_value(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        ksetenv(rig.k, "a", "old")
        eg = rig.up.egrp
        assert eg is not None
        new = newegrp(rig.k)
        envcpy(rig.k, new, eg)
        ksetenv(rig.k, "a", "new")
        rig.up.egrp = new
        assert rig.slurp("/env/a") == b"old"
        rig.up.egrp = eg
        closeegrp(rig.k, new)


# Descriptors


def test_descriptors_by_name(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        assert rig.ls("/fd") == ["0", "0ctl", "1", "1ctl", "2", "2ctl", "3", "3ctl"]
        assert rig.stat("/fd/0").mode == 0o400
        assert rig.stat("/fd/1").mode == 0o200
        f = rig.up.fgrp
        assert f is not None
        fd = rig.open("/fd/1", OWRITE)
        assert f.fd[fd] is f.fd[1]
        with pytest.raises(Error, match="inappropriate use of fd"):
            rig.open("/fd/1", OREAD)
        with pytest.raises(Error, match="file does not exist"):
            rig.open("/fd/99")
        with pytest.raises(Error, match="file is a directory"):
            rig.open("/fd", OWRITE)
        assert rig.slurp("/fd/0ctl") == b"  0 r  c    0 (0000000000000002 0 00)     0        0 #c/cons\n"
        with pytest.raises(Error, match="permission denied"):
            rig.pwrite(rig.open("/fd/0ctl", ORDWR), b"x")


def test_close_on_exec_marks_the_channel(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        f = rig.up.fgrp
        assert f is not None
        a = rig.open("/dev/null", OREAD | OCEXEC)
        b = rig.open("/dev/null", OREAD)
        ca, cb = f.fd[a], f.fd[b]
        assert ca is not None
        assert cb is not None
        assert ca.flag & Chan.CCEXEC
        assert not cb.flag & Chan.CCEXEC
        rig.open(f"/fd/{b}", OREAD | OCEXEC)
        assert cb.flag & Chan.CCEXEC


def test_conschan_is_bound_to_its_stream(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        c = conschan(rig.k, 2)
        rig.k.devtab[c.type].write(c, b"x", 0)
        cclose(rig.k, c)

    assert rig.console.text(2) == b"x"


# Root


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


def test_notes_for_a_group(rig: Rig) -> None:
    got = []

    @rig.run
    def _() -> None:
        def sleeper() -> None:
            up = rig.up
            with pytest.raises(Error) as e:
                sleep(rig.k, up.sleep, lambda: False)
            got.append(str(e.value))

        for group in (50, 60):
            p = rig.spawn(sleeper, rig.up)
            p.noteid = group
        yield_(rig.k)
        for p in everyproc(rig.k):
            p.kp = False
        pgrpnote(rig.k, 50, "interrupt")
        with pytest.raises(Error, match="read or write too large"):
            pgrpnote(rig.k, 50, "x" * 127)

    assert got == ["interrupted"]


# Limits that keep a hostile guest from the host's memory


def test_memory_held_for_processes_is_limited(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernel.devices.devroot.MAXNODES", 1)
    mainmem = rig.k.mainmem

    def left(n: int) -> None:
        mainmem.maxsize = mainmem.cursize + n

    @rig.run
    def _() -> None:
        ksetenv(rig.k, "a", "12345")
        ksetenv(rig.k, "b", "12345")
        fd = rig.open("/env/a", OWRITE)
        before = mainmem.cursize
        left(-1)  # not even a channel
        with pytest.raises(Error, match="kernel allocate failed"):
            rig.create("/env/c", OWRITE)
        left(1001)  # a channel, no variable
        with pytest.raises(Error, match="kernel allocate failed"):
            rig.create("/env/c", OWRITE)
        assert mainmem.cursize == before
        left(0)
        with pytest.raises(Error, match="kernel allocate failed"):
            rig.pwrite(fd, b"x", 5)
        assert mainmem.cursize == before
        left(1000)
        rig.pwrite(fd, b"x", 5)
        assert mainmem.cursize == before + 1
        rig.close(rig.open("/env/a", OWRITE | OTRUNC))
        assert mainmem.cursize == before - 5
        rig.remove("/env/b")
        assert mainmem.cursize < before - 300
        left(10000)
        before = mainmem.cursize
        a, b = rig.pipe()
        left(1100)
        rig.pwrite(a, b"x" * 800)
        with pytest.raises(Error, match="kernel allocate failed"):
            rig.pwrite(a, b"x" * 200)
        rig.up.note.clear()
        rig.up.notepending = 0
        assert len(rig.pread(b, 300)) == 300
        with pytest.raises(Error, match="kernel allocate failed"):
            rig.pipe()
        rig.close(b)
        rig.close(a)
        assert mainmem.cursize == before
        rig.pipe()
        left(10000)
        rig.close(rig.create("/tmp/a", OWRITE))
        with pytest.raises(Error, match="file system full"):
            rig.create("/tmp/b", OWRITE)
        rig.remove("/tmp/a")
        rig.close(rig.create("/tmp/b", OWRITE))
