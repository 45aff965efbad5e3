"""Lines for a terminal: one for each event, whatever its width."""

import fcntl
import os
import re
import struct
import termios

import pytest

from emu.observe.fit import FittedWriter, cells, cut, terminal
from emu.program.lines import Place
from emu.program.symbols import Found, Frame
from kernel.base.event import FaultClass, FaultEvent, ProcEvent, SyscallEvent
from tests.emu.observe.test_observe import BADFAULT, EVENTS, KERNELFAULT, USERFAULT, Lines

CODE = bytes.fromhex("899f00d0ffff")  # mov dword ptr [edi - 0x3000], ebx


def lookup(pid: int, pc: int) -> Found:
    return Found("main+0x53", CODE)


def writer(width: int, color: bool = False, cpus: int = 1, times: tuple[str, ...] = (), **more: str) -> FittedWriter:
    return FittedWriter(Lines(), cpus, color, lookup, None, False, times, lambda: width, **more)


def fault(cls: FaultClass = "zero-fill", ns: int = 2660, pid: int = 2) -> FaultEvent:
    return FaultEvent(ns, pid, 0, 0x3000, 0x1093, "user", "", 6, "write", "bss", cls, "", 0x3FF9000, ns - 1000)


def test_what_tells_most_is_there_in_80_columns() -> None:
    assert writer(80).line(fault()) == (
        "0.000002660 [2]  zero-fill  0x00003000 main+0x53: mov dword [edi-0x3000], ebx\n"
    )


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (84, "0x00003000 main+0x53: mov dword ptr [edi - 0x3000], ebx"),
        (90, "0x00003000 bss    main+0x53"),
        (96, "0x00003000 bss    write main+0x53"),
        (113, "0x00003000 bss    write frame 0x03ff9000 main+0x53"),
        (130, "0x00003000 bss    write frame 0x03ff9000 user             main+0x53"),
        (144, "0x00003000 bss    write frame 0x03ff9000 user             pc 0x00001093 main+0x53"),
        (1000, "0x00003000 bss    write frame 0x03ff9000 user             pc 0x00001093 main+0x53"),
    ],
)
def test_columns_come_as_they_fit(width: int, shown: str) -> None:
    assert shown in writer(width).line(fault())


def test_narrow_terminals_go_without_the_time() -> None:
    assert writer(59).line(fault()).startswith("[2]  zero-fill  0x00003000 main+0x53: mov")
    assert writer(20).line(fault()) == "[2]  zero-fill  0x0…\n"
    assert writer(1).line(fault()) == "…\n"


@pytest.mark.parametrize("width", [1, 2, 10, 20, 39, 40, 59, 60, 79, 80, 81, 100, 120, 150, 200])
@pytest.mark.parametrize("times", [(), ("began", "host")])
def test_no_line_is_wider_than_the_terminal(width: int, times: tuple[str, ...]) -> None:
    wide = "名" * 100
    sink = writer(width, cpus=2, times=times)
    for ev in (
        *EVENTS,
        ProcEvent(1, 2, 0, "exit", wide, 0, "e\u0301" * 100),
        SyscallEvent(1, 2, 0, 14, "open", f'"{wide}"', 0, -1, wide, 0),
        SyscallEvent(1, 2, 0, 14, "open", '"\x1b[2J\n\t"', 0, -1, "\x07" * 100, 0),
    ):
        line = sink.line(ev)
        assert line.endswith("\n")
        assert line[:-1].isprintable()
        assert cells(line[:-1]) <= width


@pytest.mark.parametrize("width", [20, 45, 80, 100, 120, 150])
def test_colour_changes_nothing_but_colour(width: int) -> None:
    plainly, coloured = writer(width), writer(width, color=True)
    for ev in EVENTS:
        assert re.sub("\x1b\\[[0-9]*m", "", coloured.line(ev)).rstrip() == plainly.line(ev).rstrip()
    assert "\x1b[32mzero-fill" in coloured.line(fault())


@pytest.mark.parametrize("width", [80, 100, 120, 150])
def test_equal_lines_are_aligned(width: int) -> None:
    sink = writer(width)
    lines = [sink.line(ev) for ev in (fault(), fault("remap"), BADFAULT, fault("protection", 123456789))]
    assert {line.index("main+0x53") for line in lines} == {lines[0].index("main+0x53")}
    assert len({line.index("0x0") for line in lines}) == 1


def test_columns_that_grew_stay_wide() -> None:
    sink = writer(80)
    assert sink.line(fault()).startswith("0.000002660 [2]  zero")
    assert sink.line(fault(ns=12_000_000_000, pid=1234)).startswith("12.000000000 [1234] zero")
    assert sink.line(fault()).startswith(" 0.000002660 [2]    zero")


def test_a_fault_in_kernel_mode_tells_the_function() -> None:
    assert writer(80).line(KERNELFAULT).endswith("cow-copy+data-load 0x00002000 kernel sysread main+0x53\n")
    assert "frame 0x00346000 kernel sysread   pc 0x00001030 main+0x53" in writer(150).line(KERNELFAULT)


def test_a_place_without_a_symbol_is_its_pc() -> None:
    sink = FittedWriter(Lines(), lookup=lambda pid, pc: Found("", b"\xf4"), width=lambda: 80)
    assert sink.line(USERFAULT).endswith("0x00003000 0x00001026: hlt\n")
    sink = FittedWriter(Lines(), width=lambda: 80)
    assert sink.line(USERFAULT).endswith("0x00003000 0x00001026\n")
    sink.width = lambda: 150
    assert sink.line(USERFAULT).endswith("pc 0x00001026\n")


def test_source_files_go_without_their_directories() -> None:
    place = Place("/usr/src/deep.c", 8)
    stack = [Frame(0x1093, "leaf+0x3", place), Frame(0x1080, "middle" * 20, place)]
    out = Lines()
    FittedWriter(out, 1, False, lambda pid, pc: Found("leaf+0x3", b"\xf4", place), lambda pid: stack, width=lambda: 80)(
        USERFAULT
    )
    first, second, third = out.text.splitlines()
    assert first.endswith("leaf+0x3 deep.c:8: hlt")
    assert second == " > leaf+0x3 deep.c:8 [0x00001093]"
    assert len(third) == 80


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (80, '0.000000001 [2]  syscall    open("/a/long/name/of/a/file…) = -1 "does not exist"'),
        (50, '[2]  syscall    open("/a/l…) = -1 "does not exist"'),
        (40, '[2]  syscall    open("/a/long/name/of/a…'),
    ],
)
def test_of_a_long_call_the_result_stays(width: int, line: str) -> None:
    ev = SyscallEvent(1, 2, 0, 14, "open", '"/a/long/name/of/a/file/somewhere", 0x0', 0, -1, "does not exist")
    assert writer(width).line(ev) == f"{line}\n"


def test_what_it_took_is_always_there() -> None:
    assert writer(80, times=("began",)).line(fault()).endswith("… <0.000001000>\n")
    assert cells(writer(80, times=("began",)).line(fault())[:-1]) == 80


@pytest.mark.parametrize(
    ("text", "room", "shown"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("abc", 1, "…"),
        ("abc", 0, ""),
        ("abc", -1, ""),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("日本語", 2, "…"),
        ("e\u0301" * 3, 3, "e\u0301" * 3),
        ("e\u0301" * 3, 2, "e\u0301…"),
    ],
)
def test_cut(text: str, room: int, shown: str) -> None:
    assert cut(text, room) == shown


def test_a_terminal_of_few_characters_gets_no_others() -> None:
    sink = writer(60, encoding="ascii")
    line = sink.line(ProcEvent(1, 2, 0, "exit", "日本語" * 20, 0, ""))
    assert line.isascii()
    assert len(line) == 61
    assert line.endswith(">\n")


def test_the_width_is_the_terminals_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    one, other = os.openpty()
    try:
        width = terminal(other)
        for columns in (100, 40):
            fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            assert width() == columns
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
        assert width() == 80
    finally:
        os.close(one)
        os.close(other)
    assert width() == 80


@pytest.mark.parametrize(("told", "columns"), [("132", 132), ("0", 80), ("x", 80), ("", 80), ("9" * 50, 80)])
def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch, told: str, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", told)
    assert terminal(-1)() == columns
