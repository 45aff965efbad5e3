"""emu.debug.monitor, emu.debug.memory: what is told of the kernel's side, and memory in all the places it may be in."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from emu.debug import memory
from emu.debug.server import Server
from emu.debug.travel import Killed
from tests.emu.debug.scripted import Talk, ask, debug, symbol

pytestmark = pytest.mark.guest


def monitor(line: str) -> Generator[bytes, list[bytes], str]:
    """What a command tells."""
    answer = yield from ask(b"qRcmd," + line.encode().hex().encode())
    return "" if answer == b"OK" else bytes.fromhex(answer.decode()).decode()


def onward() -> Talk:
    while True:
        yield b"vCont;c"


def test_each_command_that_help_tells_does_something() -> None:
    def talk(server: Server) -> Talk:
        yield b"Z0,%x,1" % symbol("cow", "waitgood")
        yield b"vCont;c"  # the fork
        yield b"vCont;c"
        told = yield from monitor("help")
        names = {line.split()[0] for line in told.splitlines()}
        assert names == {
            "procs",
            "segs",
            "pages",
            "pte",
            "frames",
            "frame",
            "images",
            "memory",
            "time",
            "catch",
            "goto",
        }
        assert "    2 cow " in (yield from monitor("procs"))
        assert "bss      0x00003000 to 0x04003000, 2 pages in memory" in (yield from monitor("segs"))
        assert "in frame 0x" in (yield from monitor("pages 2"))
        pte = yield from monitor("pte 3000")
        assert "in the bss segment" in pte
        frame = pte.partition("in frame ")[2].split()[0]
        assert "process 2 at 0x00003000" in (yield from monitor(f"frame {frame}"))
        assert " user\n" in (yield from monitor("frames"))
        assert "/bin/cow, " in (yield from monitor("images"))
        assert "pages are free" in (yield from monitor("memory"))
        assert (yield from monitor("time")).endswith(" s\n")
        assert (yield from monitor("catch")) == "faults: none; system calls: none\n"
        yield from onward()

    debug("cow", "2", talk=talk)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("nonsense \x1b[m", "nonsense: no such command; monitor help tells them\n"),
        ("segs x", "x: not a number\n"),
        ("segs 99", "there is no process 99\n"),
        ("pte", "pte ADDR [PID]\n"),
        ("pte 123456789a", "0x123456789a is no address of 32 bits\n"),
        ("frame 0", "0x0 was never in use, or is no frame of the pool\n"),
        ("catch syscall fnord", "fnord: no system call\n"),
        ("catch me", "catch fault [class=CLASS,...], catch syscall [NAME,...] or catch none\n"),
    ],
)
def test_what_cannot_be_told(line: str, told: str) -> None:
    def talk(server: Server) -> Talk:
        assert (yield from monitor(line)) == told
        yield from onward()

    debug("true", talk=talk)


def test_system_calls_by_name() -> None:
    lines: list[str] = []

    def talk(server: Server) -> Talk:
        assert (yield from monitor("catch syscall pwrite,exits")) == "faults: none; system calls: exits, pwrite\n"
        for _ in range(2):
            sent = yield b"vCont;c"
            lines.extend(bytes.fromhex(s[1:].decode()).decode() for s in sent if s[:1] == b"O" and s != b"OK")
            assert (yield from ask(b"?")).startswith(b"T05")
        yield from monitor("catch none")
        yield from onward()

    debug("hello", talk=talk)
    assert lines == ["p9emu: system call pwrite of hello 2\n", "p9emu: system call exits of hello 2\n"]


def test_catching_ends_at_a_fault() -> None:
    """The kernel is telling one event, and may have more to tell."""

    def talk(server: Server) -> Talk:
        yield from monitor("catch fault")
        for _ in range(3):
            assert (yield from ask(b"vCont;c")).startswith(b"T05")
        yield from monitor("catch none")
        assert (yield from ask(b"vCont;c")) == b"W00;process:2"
        yield from onward()

    debug("touch", "4", talk=talk)


def test_gdb_may_go_away_or_kill_in_the_middle_of_a_fault() -> None:
    def leaving(server: Server) -> Talk:
        yield from monitor("catch fault")
        yield b"vCont;c"

    assert debug("touch", "4", talk=leaving).outcome is None

    def killing(server: Server) -> Talk:
        yield from leaving(server)
        yield b"k"

    with pytest.raises(Killed):
        debug("touch", "4", talk=killing)

    def detaching(server: Server) -> Talk:
        yield from leaving(server)
        yield b"D"

    assert debug("touch", "4", talk=detaching).outcome is not None


def test_a_page_on_swap_is_read_there() -> None:
    """Of each page of the bss, wherever it is, what the process has stored is found."""
    area = symbol("swapfork", "area")
    places: set[str] = set()

    def talk(server: Server) -> Talk:
        yield from ask(b"vCont;c")  # the fork
        k = server.machine.kernel
        swapins = k.nswapin
        p = server.session.process(2)
        assert p is not None
        for i in range(0, 1000, 50):
            places.add(memory.told(p, area + i * 4096).split(",")[0].split()[1])
            assert len(memory.read(server.machine, p, area + i * 4096, 4)) == 4
        assert k.nswapin == swapins
        yield from onward()

    debug("swapfork", "1000", talk=talk, memory=4 << 20, swap=8 << 20)
    assert "on" in places and "in" in places


def test_only_what_is_a_process_s_own_is_written() -> None:
    area = symbol("cow", "area")

    def talk(server: Server) -> Talk:
        yield from ask(b"vCont;c")  # the fork: all is shared
        assert (yield from ask(b"M%x,1:ff" % area)) == b"E0e"
        assert (yield from ask(b"M1020,1:cc")) == b"E0e"
        p = server.session.process(2)
        assert p is not None
        with pytest.raises(memory.Absent, match="is shared until it is copied on write"):
            memory.write(server.machine, p, area, b"x")
        with pytest.raises(memory.Absent, match="is shared by all who run this program"):
            memory.write(server.machine, p, 0x1020, b"x")
        yield from onward()

    assert debug("cow", "2", talk=talk).outcome is not None


def test_a_child_that_is_killed_is_told_to_its_parent() -> None:
    def talk(server: Server) -> Talk:
        yield from ask(b"vCont;c")
        assert (yield from ask(b"vKill;3")) == b"OK"
        assert (yield from ask(b"Tp3.3")) == b"E03"
        yield from onward()

    result = debug("cow", "1", talk=talk)
    assert result.outcome is not None and result.outcome.status == 1
    assert "killed" in result.outcome.exits or "child" in result.outcome.exits
