"""p9emu top: tables, and a picture on a terminal that the guest's output does not disturb."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.live import Live

from emu.cli.top import Above
from tests.e2e.harness import p9emu
from tests.e2e.terminal import ENV, Emu, Tty
from tests.emu.cli.faked import needs_full


class Inner:
    """A console that notes what it is given."""

    def __init__(self) -> None:
        self.written: list[tuple[int, bytes]] = []

    def read(self, n: int) -> bytes:
        return b"x" * n

    def write(self, fd: int, data: bytes) -> None:
        self.written.append((fd, data))

    def raw(self, on: bool) -> None:
        self.written.append((0, b"raw" if on else b"cooked"))


def above(streams: frozenset[int]) -> tuple[Above, Inner, io.StringIO]:
    out, inner = io.StringIO(), Inner()
    console: Any = inner
    return Above(console, Live(console=Console(file=out)), streams), inner, out


def test_whole_lines_are_shown_and_the_rest_in_the_end() -> None:
    a, inner, out = above(frozenset({1, 2}))
    a.write(1, b"one\ntw")
    a.write(2, b"err\n")
    a.write(1, b"o\n\nthree")
    assert out.getvalue() == "one\nerr\ntwo\n\n"
    a.finish()
    a.finish()
    assert out.getvalue() == "one\nerr\ntwo\n\nthree\n"
    assert inner.written == []


def test_what_goes_elsewhere_passes() -> None:
    a, inner, out = above(frozenset({2}))
    a.write(1, b"\x1b[2Jraw")
    a.raw(True)
    assert inner.written == [(1, b"\x1b[2Jraw"), (0, b"raw")]
    assert a.read(2) == b"xx"
    a.write(2, b"\x1b[2J\ttab [bold]\xff\n")
    assert out.getvalue() == "\\x1b[2J    tab [bold]\ufffd\n"


def test_a_line_without_end_is_shown_all_the_same() -> None:
    a, _, out = above(frozenset({1}))
    a.write(1, b"x" * 5000)
    assert len(out.getvalue().replace("\n", "")) == 5000


def test_one_table_at_the_end() -> None:
    done = p9emu("top", "cow", "4")
    lines = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout) == (0, b"")
    assert lines[0] == "0.000026 s of virtual time, 1 processor, 4 calls, 22 faults: cow 4"
    assert lines[1].startswith("pages 9676: free 9672 (least ")
    assert lines[3].split()[:3] == ["PID", "NAME", "STATE"]
    assert [line.split()[1] for line in lines[4:]] == ["init", "cow", "cow"]


def test_a_table_each_interval_is_the_same_each_time() -> None:
    words = ("top", "--interval", "10", "--sort", "pid", "-m", "4M", "--swap", "8M", "thrash", "500")
    first, second = p9emu(*words), p9emu(*words)
    tables = first.stderr.decode().split("\n\n")
    assert first.stderr == second.stderr
    assert len(tables) > 2
    times = [float(t.split()[0]) for t in tables]
    assert times == sorted(set(times))


def test_status_and_complaint_are_the_program_s() -> None:
    done = p9emu("top", "false", "not today")
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[-1] == "p9emu: false 2: not today"
    done = p9emu("top", "nosuch")
    assert (done.returncode, done.stderr) == (127, b"p9emu: nosuch: no such file\n")


@pytest.mark.parametrize("interval", ["x", "-1", "nan", "1e30"])
def test_bad_interval(interval: str) -> None:
    done = p9emu("top", "--interval", interval, "hello")
    assert done.returncode == 2
    assert b"is not a number of milliseconds" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_a_picture_on_the_terminal_and_the_guests_lines_above(tmp_path: Path, tty: Tty) -> None:
    e = tty.emu("top", "echo", "hello there", stderr=tty.slave)
    tty.expect(b"hello there")
    tty.expect(b"PID")
    tty.expect(b"Dead")
    e.p.wait(20)
    assert e.p.returncode == 0
    assert tty.same()


def test_standard_output_elsewhere_is_left_alone(tmp_path: Path, tty: Tty) -> None:
    out = tmp_path / "out"
    with out.open("wb") as f:
        e = Emu("top", "sieve", "10", stdin=tty.slave, stdout=f, stderr=tty.slave, tty=True)
        seen = b""
        while b"Dead" not in seen:
            seen += os.read(tty.master, 4096)
        e.p.wait(20)
    assert out.read_bytes() == b"4 primes up to 10\n"
    assert b"primes" not in seen


def test_ctrl_c_ends_it_as_run(tty: Tty) -> None:
    e = tty.emu("top", "spin", "60000", stderr=tty.slave)
    tty.expect(b"spin")
    tty.expect(b"Running")
    tty.type(b"\x03")
    tty.expect(b"interrupt")
    e.p.wait(20)
    assert e.p.returncode == 1


@needs_full
def test_a_full_disk_is_told_by_the_status() -> None:
    with open(os.devnull, "wb") as null, open("/dev/full", "wb") as full:
        words = [sys.executable, "-m", "emu", "top", "--interval", "1", "sieve", "100000"]
        assert subprocess.run(words, stdout=null, stderr=full, env=ENV, check=False).returncode == 125
        words = [sys.executable, "-m", "emu", "top", "hello"]  # one table, when all is over
        assert subprocess.run(words, stdout=null, stderr=full, env=ENV, check=False).returncode == 125


def test_a_terminal_that_hangs_up_ends_it(tty: Tty) -> None:
    e = tty.emu("top", "spin", "60000", stderr=tty.slave)
    tty.expect(b"Running")
    os.close(tty.slave)
    os.close(tty.master)
    tty.master, tty.slave = os.openpty()  # for the fixture's end
    assert e.p.wait(20) == 129


@pytest.mark.parametrize("words", ["top hello 2>&-", "trace hello 2>&-", "trace --legend >&-"])
def test_a_closed_stream_is_told_by_the_status(words: str) -> None:
    command = f"exec {sys.executable} -m emu {words}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, env=ENV, check=False)
    told = b"p9emu: cannot write standard output: it is closed\n" if "legend" in words else b""
    assert (done.returncode, done.stdout, done.stderr) == (125, b"", told)
