"""The console, and what else is in /dev: kernel/devices/devcons.py."""

from __future__ import annotations

import struct

import pytest

from kernel.base.chandat import DMEXCL, ORDWR, OREAD, OWRITE
from kernel.base.error import Error
from kernel.base.kernel import EPOCH
from kernel.devices.devcons import writefd2
from kernel.devices.parse import strtoul
from kernel.files.conv import Dir
from kernel.sched.sched import yield_
from kernel.syscalls import sysfile
from tests.kernel.fakes import Rig, newrig

rig = pytest.fixture(newrig)


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
        for name in ("reboot", "config"):
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


def test_kprint_has_what_the_kernel_says_from_then_on(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        rig.k.print("before\n")
        fd = rig.open("/dev/kprint", OREAD)
        opened = rig.k.mainmem.cursize
        with pytest.raises(Error, match="device or object already in use"):
            rig.open("/dev/kprint", OREAD)
        rig.k.print("one\n")
        rig.k.print("two\n")
        assert rig.pread(fd, 100) == b"one\ntwo\n"
        for _ in range(1000):
            rig.k.print("x" * 100)
        assert len(rig.pread(fd, 100_000)) == 16400, "what is too much is dropped"
        assert rig.k.mainmem.cursize == opened
        rig.k.print("unread\n")
        rig.close(fd)
        rig.k.print("while nobody reads\n")
        fd = rig.open("/dev/kprint", OREAD)
        assert rig.pread(fd, 100) == b"unread\n"
        assert rig.stat("/dev/kprint").mode == DMEXCL | 0o440


def test_who_waits_for_kprint_is_woken(rig: Rig) -> None:
    got = []

    @rig.run
    def _() -> None:
        def reader() -> None:
            got.append(rig.pread(rig.open("/dev/kprint", OREAD), 100))

        rig.spawn(reader, rig.up)
        yield_(rig.k)
        assert got == []
        rig.k.print("news\n")
        yield_(rig.k)

    assert got == [b"news\n"]
