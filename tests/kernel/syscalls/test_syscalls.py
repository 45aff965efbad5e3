"""The table of system calls, kernel/syscalls/systab.py, and the calls no other test has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kernel.base.dat import SG_STACK, SSEG
from kernel.base.error import ERRMAX, Ebadarg
from kernel.base.mem import BY2PG, MB, USTKTOP
from kernel.base.procdat import Proc, Waitmsg
from kernel.memory.segment import newseg
from kernel.memory.uaccess import ufetch, ustore
from kernel.process.proc import pwait
from kernel.syscalls import sysexec, sysfile, sysproc
from kernel.syscalls.systab import SYSTAB
from tests.kernel.fakes import BUF, UBASE, Rig, err, newrig

rig = pytest.fixture(newrig)

# sys/src/libc/9syscall/sys.h, small letters. 48 and 49 are nobody's.
SYSH = re.findall(
    r"\S+",
    """
    sysr1 _errstr bind chdir close dup alarm exec exits _fsession fauth _fstat segbrk _mount open _read oseek sleep
    _stat rfork _write pipe create fd2path brk_ remove _wstat _fwstat notify noted segattach segdetach segfree segflush
    rendezvous unmount _wait semacquire semrelease seek fversion errstr stat fstat wstat fwstat mount await - - pread
    pwrite tsemacquire _nsec
    """,
)

BAD = 0xE0000000  # the kernel's own
ROOT = Path(__file__).resolve().parents[3]


def test_every_number_of_sys_h_is_there_and_no_other() -> None:
    assert {nr: call.name for nr, call in SYSTAB.items()} == {nr: n for nr, n in enumerate(SYSH) if n != "-"}


def test_every_row_of_the_document_names_a_test() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|(.*)\|(.*)\|(.*)\|$", (ROOT / "docs/syscalls.md").read_text(), re.M)
    assert [(int(nr), name) for nr, name, *_ in rows] == [(nr, n) for nr, n in enumerate(SYSH) if n != "-"]
    for _, name, does, differs, test in rows:
        assert does.strip() and differs.strip(), name
        assert "todo" not in (does + differs + test).lower()
        files = re.findall(r"`((?:tests|guest)/[\w/.]+)(?::(\w+))?`(?: \(([\w, ]+)\))?", test)
        assert files, name
        for path, symbol, within in files:
            text = (ROOT / path).read_text()
            for word in [symbol, *within.split(", ")]:
                assert word in text, f"{name}: {path} has no {word}"


@pytest.mark.parametrize(("nr", "args"), [
    (1, (BAD,)), (2, (BAD, BAD, 0)), (3, (BAD,)), (4, (99,)), (5, (99, -1)), (7, (BAD, BAD)), (9, (0, BAD, 1)),
    (10, (0, BAD)), (11, (0, BAD)), (12, (BAD, 0)), (13, (0, BAD, 0, BAD)), (14, (BAD, 0)), (15, (0, BAD, 1)),
    (16, (99, 0, 0)), (18, (BAD, BAD)), (19, (1 | 1 << 10,)), (20, (1, BAD, 1)), (21, (BAD,)), (22, (BAD, 0, 0)),
    (23, (0, BAD, 1)), (25, (BAD,)), (26, (BAD, BAD)), (27, (0, BAD)), (28, (BAD,)), (30, (0, BAD, 0, 0)),
    (31, (BAD,)), (32, (BAD, 1)), (33, (BAD, 1)), (35, (BAD, BAD)), (36, (BAD,)), (37, (BAD, 0)), (38, (BAD, 0)),
    (39, (BAD, 0, 0, 0, 0)), (40, (0, 0, BAD, 1)), (41, (BAD, 1)), (42, (BAD, BAD, 1)), (43, (0, BAD, 1)),
    (44, (BAD, BAD, 1)), (45, (0, BAD, 1)), (46, (0, -1, BAD, 0, BAD)), (47, (BAD, 1)), (50, (0, BAD, 1, 0, 0)),
    (51, (1, BAD, 1, 0, 0)), (52, (BAD, 0)), (53, (BAD,)),
])  # fmt: skip
def test_bad_arguments_are_refused_with_plan_9s_words(rig: Rig, nr: int, args: tuple[int, ...]) -> None:
    words = {
        4: "fd out of range or not open", 5: "fd out of range or not open", 16: "fd out of range or not open",
        26: "old wstat system call - recompile", 27: "old fwstat system call - recompile",
    }  # fmt: skip

    @rig.run
    def _() -> None:
        assert err(rig.call, SYSTAB[nr].fn, *args) == words.get(nr, Ebadarg)


def test_sysr1_is_for_the_host_owner(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        assert rig.call(sysproc.sysr1) == 0
        assert b"mistakes found" in rig.k.files.kmesg
        rig.up.user = "glenda"
        assert err(rig.call, sysproc.sysr1) == "permission denied"


def test_errstr_exchanges(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        for fn, n in ((sysproc.sys_errstr, 64), (sysproc.syserrstr, 128)):
            rig.up.syserrstr = "e" * 100
            ustore(rig.k, BUF, b"mine\0".ljust(200, b"\xff"))
            assert rig.call(fn, BUF, 200) == 0
            assert rig.up.syserrstr == "mine"
            assert ufetch(rig.k, BUF, n).rstrip(b"\0") == b"e" * min(100, n - 1)
            assert ufetch(rig.k, BUF + n, 10) == b"\xff" * 10
        assert err(rig.call, sysproc.syserrstr, BUF, 0) == Ebadarg


def test_errstr_exchanges_whole_buffers(rig: Rig) -> None:
    """Behind the NUL comes what longer messages left, in both directions; a buffer always ends in NUL."""

    @rig.run
    def _() -> None:
        rig.up.syserrstr = "a long message"
        rig.up.syserrstr = "short"
        ustore(rig.k, BUF, b"mine\0yours".ljust(200, b"\xff"))
        assert rig.call(sysproc.syserrstr, BUF, 12) == 0
        assert ufetch(rig.k, BUF, 13) == b"short\0 messa"[:11] + b"\0\xff"
        assert rig.up.syserrstr == "mine"
        assert rig.call(sysproc.syserrstr, BUF, ERRMAX) == 0
        assert ufetch(rig.k, BUF, 14) == b"mine\0yours\xff\0ge"
        assert rig.up.syserrstr == "short"


def waited(up: Proc, msg: str) -> None:
    """Give the process a wait record."""
    up.nchild += 1
    up.waitq.insert(0, Waitmsg(7, (10, 20, 30), msg))


def test_the_wait_call_of_old(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        waited(rig.up, "child 7: bad")
        assert rig.call(sysproc.sys_wait, BUF) == 7
        fields = b"".join(b"%11d " % v for v in (7, 10, 20, 30))
        assert ufetch(rig.k, BUF, 48 + 64) == fields + b"child 7: bad".ljust(64, b"\0")
        waited(rig.up, "")
        assert rig.call(sysproc.sys_wait, 0) == 7
        rig.up.nchild = 0
        assert err(rig.call, sysproc.sys_wait, BUF) == "no living children"


def test_await(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        waited(rig.up, "it's bad")
        text = b"7 10 20 30 'it''s bad'"
        assert rig.call(sysproc.sysawait, BUF, 100) == len(text)
        assert ufetch(rig.k, BUF, len(text) + 1) == text + b"\0"


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (0, None),
        (1, ""),
        (5, "7 10"),
        (14, "7 10 20 30 it"),
        (16, "7 10 20 30 it"),
        (17, "7 10 20 30 'it'"),
        (18, "7 10 20 30 'it'''"),
        (19, "7 10 20 30 'it''s'"),
        (21, "7 10 20 30 'it''s '"),
        (22, "7 10 20 30 'it''s é'"),
        (32, "7 10 20 30 'it''s é bad'"),
    ],
)
def test_await_with_too_little_room(rig: Rig, n: int, text: str | None) -> None:
    @rig.run
    def _() -> None:
        waited(rig.up, "it's é bad")
        ustore(rig.k, BUF, b"\xff" * 32)
        want = None if text is None else text.encode()
        assert rig.call(sysproc.sysawait, BUF, n) == (-1 if want is None else len(want))
        assert ufetch(rig.k, BUF, 32) == (b"" if want is None else want + b"\0").ljust(32, b"\xff")
        assert not rig.up.waitq


def test_await_quotes_as_the_formats_of_the_library(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        for msg, quoted in (("", b"''"), ("a\x7fb", b"a\x7fb"), ("a\tb", b"'a\tb'"), ("é", "é".encode())):
            waited(rig.up, msg)
            n = rig.call(sysproc.sysawait, BUF, 100)
            assert ufetch(rig.k, BUF, n) == b"7 10 20 30 " + quoted


@pytest.mark.parametrize(
    ("status", "want"),
    [("bad", "bad"), ("x" * 200, "x" * 119), ("é" * 100, "é" * 59), ("", "")],
)
def test_a_wait_record_has_127_bytes_of_status_in_whole_characters(rig: Rig, status: str, want: str) -> None:
    @rig.run
    def _() -> None:
        p = rig.spawn(lambda: rig.call(sysproc.sysexits, status), rig.up)
        p.kp, p.text = False, "test"
        p.parent, p.parentpid = rig.up, rig.up.pid
        rig.up.nchild += 1
        assert p.pid == 2
        w = pwait(rig.k)
        assert w.msg == (f"test 2: {want}" if want else "")


def test_exec_refuses_names_as_open_does(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        rig.up.seg[SSEG] = newseg(rig.k, SG_STACK, USTKTOP - MB, MB // BY2PG)
        posted = len(rig.up.note)
        top = UBASE + MB
        ustore(rig.k, top - 0x10000, b"x" * 0x10000)  # no NUL before the segment ends
        for fn in (sysfile.sysopen, sysexec.sysexec):
            assert err(rig.call, fn, top - 0x10000, 0) == "name too long"
            assert len(rig.up.note) == posted
            assert err(rig.call, fn, "a\nb", 0) == "bad character in file name: 'a\nb'"
            assert err(rig.call, fn, "", 0) == "empty file name"


@pytest.mark.parametrize(("line", "words"), [
    (b"#!/bin/rc\n", [b"/bin/rc"]), (b"#! /bin/rc \t -x\n#", [b"/bin/rc", b"-x"]), (b"#!\n", []), (b"#! \t\n", []),
    (b"#!/bin/rc", []), (b"#!", []), (b"#!/bin/rc\0 -x\n", [b"/bin/rc"]), (b"#!\0/bin/rc\n", []),
])  # fmt: skip
def test_words_of_a_script(line: bytes, words: list[bytes]) -> None:
    assert sysexec.shargs(line) == words


def test_nsec(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        assert rig.call(sysproc.sys_nsec, BUF) == 0
        assert int.from_bytes(ufetch(rig.k, BUF, 8), "little") == rig.k.nsec()


def test_seek_of_old_is_of_32_bits(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        fd = rig.create("/tmp/f", 2)
        rig.pwrite(fd, b"0123456789")
        assert rig.call(sysfile.sysoseek, fd, 3, 0) == 3
        assert rig.call(sysfile.sysoseek, fd, -1, 1) == 2
        assert rig.call(sysfile.sysoseek, fd, -4, 2) == 6
        assert rig.call(sysfile.sys_read, fd, BUF, 2) == 2
        assert ufetch(rig.k, BUF, 2) == b"67"
        assert rig.call(sysfile.sys_write, fd, BUF, 1) == 1
        assert rig.slurp("/tmp/f") == b"0123456769"
