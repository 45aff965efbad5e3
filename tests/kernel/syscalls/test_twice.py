"""User memory that the kernel looks at twice, and that another process changes between the looks."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from kernel.base.chandat import MREPL, OWRITE, QTDIR
from kernel.base.dat import BSEG, ESEG, SG_STACK, SSEG
from kernel.base.error import Error, Panic
from kernel.base.mem import BY2PG, KZERO, MB, USTKSIZE, USTKTOP
from kernel.base.variant import variant
from kernel.files.conv import Dir, packdir
from kernel.files.fcall import Twstat
from kernel.memory.mmu import flushmmu
from kernel.memory.segment import newseg, putseg
from kernel.memory.uaccess import ufetch, usetword, ustore, uword
from kernel.syscalls import sysexec as execution
from kernel.syscalls import sysfile, sysseg
from kernel.syscalls.bindmount import sysmount
from kernel.syscalls.sysexec import TOSSIZE, sysexec
from kernel.syscalls.sysseg import syssegattach
from tests.kernel.fakes import UBASE, Rig, newrig
from tests.kernel.server9p import Server

rig = pytest.fixture(newrig)

ARGV = UBASE + 0x20000
TEXT = UBASE + 0x21000


def between(monkeypatch: pytest.MonkeyPatch, module: object, name: str, change: Callable[[], object]) -> None:
    """Have change done once, before the kernel calls a function that lies between the looks."""
    was = getattr(module, name)

    def fn(*args: object) -> object:
        monkeypatch.setattr(module, name, was)
        change()
        return was(*args)

    monkeypatch.setattr(module, name, fn)


def program(rig: Rig, *args: bytes) -> None:
    """A program /tmp/prog, and an argument vector for it."""
    rig.up.seg[SSEG] = newseg(rig.k, SG_STACK, USTKTOP - USTKSIZE, USTKSIZE // BY2PG)
    fd = rig.create("/tmp/prog", OWRITE, 0o777)
    rig.pwrite(fd, struct.pack(">8I", 0x1EB, 4, 0, 0, 0, 0x1020, 0, 0) + b"code")
    rig.close(fd)
    at = TEXT
    for i, a in enumerate(args):
        usetword(rig.k, ARGV + 4 * i, at)
        ustore(rig.k, at, a + b"\0")
        at += 64
    usetword(rig.k, ARGV + 4 * len(args), 0)


def argv(rig: Rig) -> list[bytes]:
    """The arguments as the new program finds them."""
    regs = rig.up.regs
    assert regs is not None
    out = []
    for i in range(uword(rig.k, regs.sp)):
        a = uword(rig.k, regs.sp + 4 + 4 * i)
        out.append(ufetch(rig.k, a, USTKTOP - a).split(b"\0")[0])
    return out


def test_exec_counts_the_arguments_once_and_copies_what_is_there_then(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change() -> None:
        ustore(rig.k, TEXT, b"two\0")  # shorter: the rest of its place stays at the end
        usetword(rig.k, ARGV + 4, TEXT + 128)  # another string
        ustore(rig.k, TEXT + 128, b"cd\0")

    @rig.run
    def _() -> None:
        program(rig, b"first", b"ab")
        between(monkeypatch, execution, "newseg", change)
        rig.call(sysexec, "/tmp/prog", ARGV)
        assert argv(rig) == [b"two", b"cd"]
        assert rig.up.args == b"two\0cd\0"


def test_a_string_that_has_grown_runs_over_the_tos(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    @rig.run
    def _() -> None:
        program(rig, b"x")
        between(monkeypatch, execution, "newseg", lambda: ustore(rig.k, TEXT, b"y" * 300 + b"\0"))
        rig.call(sysexec, "/tmp/prog", ARGV)
        tos = ufetch(rig.k, USTKTOP - TOSSIZE, TOSSIZE)
        assert tos == b"y" * TOSSIZE  # and what was above is gone with the old memory
        assert rig.up.args == b"y" * 127 + b"\0"


@pytest.mark.parametrize("pointer", [0, KZERO + MB, UBASE - BY2PG])
def test_a_pointer_that_is_bad_by_then_is_a_bad_address(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, pointer: int
) -> None:
    @rig.run
    def _() -> None:
        program(rig, b"x", b"y")
        free = []
        for _ in range(2):
            usetword(rig.k, ARGV + 4, TEXT + 64)
            between(monkeypatch, execution, "newseg", lambda: usetword(rig.k, ARGV + 4, pointer))
            with pytest.raises(Error, match="bad arg in system call"):
                rig.call(sysexec, "/tmp/prog", ARGV)
            assert [n.msg for n in rig.up.note] == ["sys: bad address in syscall"]
            assert rig.up.seg[ESEG] is None  # the half-built stack is given back
            free.append(rig.k.palloc.freecount)  # the first time takes a page table
            rig.up.note.clear()
        assert free[0] == free[1]


@pytest.mark.parametrize("pointer", [KZERO + MB, UBASE - BY2PG])
def test_33_a_pointer_that_is_bad_by_then_is_a_panic(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, pointer: int
) -> None:
    rig.k.variant = variant(("twice",))

    def body() -> None:
        program(rig, b"x", b"y")
        between(monkeypatch, execution, "newseg", lambda: usetword(rig.k, ARGV + 4, pointer))
        rig.call(sysexec, "/tmp/prog", ARGV)

    with pytest.raises(Panic, match="fault: "):
        rig.run(body)


def test_33_a_name_that_is_gone_by_then_is_a_panic(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.k.variant = variant(("twice",))

    def gone() -> None:
        s, rig.up.seg[BSEG] = rig.up.seg[BSEG], None
        putseg(rig.k, s)
        flushmmu(rig.k)

    def body() -> None:
        rig.up.seg[SSEG] = newseg(rig.k, SG_STACK, USTKTOP - MB, MB // BY2PG)
        ustore(rig.k, TEXT, b"shared\0")
        between(monkeypatch, sysseg, "isoverlap", gone)
        rig.call(syssegattach, 0, TEXT, 0, BY2PG)

    with pytest.raises(Panic, match=f"fault: {TEXT:#x}"):
        rig.run(body)


def test_34_an_exec_that_fails_keeps_its_stack(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.k.variant = variant(("execstack",))

    @rig.run
    def _() -> None:
        program(rig, b"x", b"y")
        left = []
        for _ in range(2):
            usetword(rig.k, ARGV + 4, TEXT + 64)
            between(monkeypatch, execution, "newseg", lambda: usetword(rig.k, ARGV + 4, UBASE - BY2PG))
            with pytest.raises(Error, match="bad arg in system call"):
                rig.call(sysexec, "/tmp/prog", ARGV)
            left.append(rig.up.seg[ESEG])
            rig.up.note.clear()
        first, second = left
        assert first is not None and second is not None and first is not second
        assert first.ref == 1  # and nobody has it


def test_a_string_too_long_for_the_memory_above_is_one_too(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    @rig.run
    def _() -> None:
        program(rig, b"x")
        stack = rig.up.seg[SSEG]
        assert stack is not None
        stack.base = stack.top - BY2PG  # as a program may have it
        stack.top = stack.base + BY2PG
        long = b"y" * (3 * BY2PG)
        between(monkeypatch, execution, "newseg", lambda: ustore(rig.k, TEXT, long + b"\0"))
        with pytest.raises(Error, match="bad arg in system call"):
            rig.call(sysexec, "/tmp/prog", ARGV)
        rig.up.note.clear()


def test_segattach_compares_the_name_when_it_has_found_a_place(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    @rig.run
    def _() -> None:
        k = rig.k
        rig.up.seg[SSEG] = newseg(k, SG_STACK, USTKTOP - MB, MB // BY2PG)
        ustore(k, TEXT, b"shared\0")
        between(monkeypatch, sysseg, "isoverlap", lambda: ustore(k, TEXT, b"nosuch\0"))
        with pytest.raises(Error, match="bad arg in system call"):
            rig.call(syssegattach, 0, TEXT, 0, BY2PG)
        between(monkeypatch, sysseg, "isoverlap", lambda: ustore(k, TEXT, b"memory\0"))
        rig.call(syssegattach, 0, TEXT, 0, BY2PG)
        end = UBASE + MB - 6  # its NUL is gone by then
        ustore(k, end - 1, b"shared\0")
        between(monkeypatch, sysseg, "isoverlap", lambda: ustore(k, end - 1, b"xshared"))
        with pytest.raises(Error, match="bad arg in system call"):
            rig.call(syssegattach, 0, end, 0, BY2PG)
        rig.up.note.clear()


def test_wstat_sends_a_server_what_is_there_then(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    s = Server(rig, f=b"data")

    @rig.run
    def _() -> None:
        rig.call(sysmount, s.start(), -1, "/n", MREPL, "")
        good, other = packdir(Dir(name="good")), packdir(Dir(name="../x"))
        ustore(rig.k, TEXT, good)
        between(monkeypatch, sysfile, "namec", lambda: ustore(rig.k, TEXT, other))
        s.on[Twstat] = lambda f: None if f.stat != other else s.answer(f)
        rig.call(sysfile.syswstat, "/n/f", TEXT, len(good))
        assert list(s.root.kids) == ["../x"]


def test_wstat_of_a_device_looks_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    @rig.run
    def _() -> None:
        rig.close(rig.create("/tmp/f", OWRITE))
        good = packdir(Dir(name="good"))
        for bad in (packdir(Dir(name="a/bc")), good[:41] + b"\xff" + good[42:]):
            ustore(rig.k, TEXT, good)
            between(monkeypatch, sysfile, "namec", lambda bad=bad: ustore(rig.k, TEXT, bad))  # type: ignore[misc]
            with pytest.raises(Error, match=r"bad character|malformed stat"):
                rig.call(sysfile.syswstat, "/tmp/f", TEXT, len(good))
        assert rig.ls("/tmp") == ["f"]
        assert rig.stat("/tmp").qid.type & QTDIR
        assert rig.up.seg[BSEG] is not None
