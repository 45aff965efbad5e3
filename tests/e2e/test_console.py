"""Standard streams as pipe, file and terminal; raw mode; who else runs while one process reads."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.harness import aout, p9emu
from tests.e2e.terminal import ENV, PIPE, Emu, Tty


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


BYTES = random.Random(1).randbytes(3_000_001)


# Pipe and file, both ways


def test_no_byte_is_lost_through_pipes() -> None:
    r = p9emu("run", "cons", "relay", stdin=BYTES)
    assert (r.returncode, r.stderr, len(r.stdout), sha(r.stdout)) == (0, b"", len(BYTES), sha(BYTES))


def test_no_byte_is_lost_from_file_to_file(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(BYTES)
    with open(tmp_path / "in", "rb") as stdin, open(tmp_path / "out", "wb") as stdout:
        assert Emu("run", "cons", "relay", stdin=stdin, stdout=stdout).end() == (0, b"", b"")
        assert os.lseek(stdin.fileno(), 0, os.SEEK_CUR) == len(BYTES)
    assert sha((tmp_path / "out").read_bytes()) == sha(BYTES)


def test_streams_that_do_not_block(tmp_path: Path) -> None:
    """Whoever has the other ends of our descriptors may make them so."""
    (tmp_path / "in").write_bytes(BYTES[:300_000])
    inr, inw = os.pipe()
    outr, outw = os.pipe()
    os.set_blocking(inr, False)
    os.set_blocking(outw, False)
    emu = Emu("run", "cons", "relay", stdin=inr, stdout=outw)
    os.close(inr)
    os.close(outw)
    feeder = subprocess.Popen(["cat", str(tmp_path / "in")], stdout=inw)
    os.close(inw)
    out = b""
    while data := os.read(outr, 1000):
        out += data
    os.close(outr)
    feeder.wait()
    assert emu.end() == (0, b"", b"")
    assert sha(out) == sha(BYTES[:300_000])


@pytest.mark.parametrize("closed", [0, 1])
def test_a_stream_that_is_closed_is_no_other_file(closed: int) -> None:
    """Swap's file would take its place."""
    r = subprocess.run(
        ["/bin/sh", "-c", f'"$0" -m emu run --swap 16M cat {closed}{"<>"[closed]}&-', sys.executable],
        input=None if closed == 0 else b"x", stdout=PIPE, stderr=PIPE, env=ENV, check=False,
    )  # fmt: skip
    assert (r.returncode, r.stdout) == (1, b"")
    assert r.stderr == b"p9emu: cat 2: %s: i/o error\n" % (b"stdin", b"write")[closed]


WRITING = bytes.fromhex("6aff6aff6a066820100000 6a01 6a00 b833000000 cd40 ebf7")  # for (;;) pwrite(1, ...)


@pytest.mark.parametrize("command", [["run"], ["trace", "-o", os.devnull], ["trace", "-c"]])
@pytest.mark.parametrize("fd", [1, 2])
def test_whose_reader_is_gone_ends_as_by_sigpipe(tmp_path: Path, command: list[str], fd: int) -> None:
    """Though the program looks at no result of its writes."""
    (tmp_path / "writing").write_bytes(aout(WRITING.replace(b"\x6a\x01", bytes([0x6A, fd]))))
    emu = Emu(*command, "--timeout", "20", str(tmp_path / "writing"))
    stream = emu.p.stdout if fd == 1 else emu.p.stderr
    assert stream is not None and stream.read(6) == WRITING[:6]
    stream.close()
    status, out, err = emu.end()
    assert status == 141
    assert b"p9emu" not in out + err


def test_a_trace_whose_reader_is_gone_ends_as_by_sigpipe(tmp_path: Path) -> None:
    (tmp_path / "writing").write_bytes(aout(WRITING))
    for options in ([], ["-o", "/dev/stderr"]):
        with open(os.devnull, "wb") as null:
            emu = Emu("trace", *options, "--timeout", "20", str(tmp_path / "writing"), stdout=null)
        assert emu.p.stderr is not None and emu.p.stderr.read(1)
        emu.p.stderr.close()
        assert emu.end()[0] == 141


def test_how_a_writer_cuts_its_bytes_up_does_not_show(tmp_path: Path) -> None:
    data = BYTES[:40_000]
    traces = []
    for piece in (40_000, 997):
        name = str(tmp_path / f"t{piece}")
        emu = Emu("trace", "-e", "%all", "--format", "json", "-o", name, "cons", "relay")
        for i in range(0, len(data), piece):
            emu.type(data[i : i + piece])
        assert emu.end() == (0, data, b"")
        traces.append(Path(name).read_bytes())
    assert traces[0] == traces[1]


# Who waits


@pytest.mark.parametrize("options", [[], ["--cpus", "2"], ["--clock", "real"], ["--sched", "random"]])
def test_others_compute_while_one_reads(options: list[str]) -> None:
    emu = Emu("run", *options, "cons", "both")
    assert emu.line() == b"computing\n"
    emu.type(b"typed\n")
    assert emu.end() == (0, b"read: typed\n", b"")


def test_virtual_time_stands_still_for_a_pipe() -> None:
    emu = Emu("run", "cons", "ticks")
    emu.blocked()
    emu.type(b"late\n")
    assert emu.end() == (0, b"read: late\ntick 1\ntick 2\ntick 3\n", b"")


def test_the_clock_goes_on_for_a_pipe_if_it_is_real() -> None:
    emu = Emu("run", "--clock", "real", "cons", "ticks")
    assert [emu.line() for _ in range(3)] == [b"tick 1\n", b"tick 2\n", b"tick 3\n"]
    emu.type(b"late\n")
    assert emu.end() == (0, b"read: late\n", b"")


def test_the_clock_goes_on_for_a_terminal(tty: Tty) -> None:
    emu = tty.emu("run", "cons", "ticks")
    tty.expect(b"tick 3")
    tty.type(b"late\n")
    tty.expect(b"read: late")
    assert emu.end() == (0, b"", b"")


@pytest.mark.parametrize("options", [[], ["--clock", "real"], ["--clock", "real", "--cpus", "2"]])
def test_waiting_costs_nothing(options: list[str]) -> None:
    emu = Emu("run", *options, "cat")
    emu.blocked()
    before = emu.cpu()
    time.sleep(0.5)
    assert emu.cpu() - before <= 2  # of 50
    emu.type(b"x")
    assert emu.end() == (0, b"x", b"")


def test_a_time_limit_where_output_blocks() -> None:
    emu = Emu("run", "--timeout", "1.5", "cat", "/dev/zero")
    emu.p.wait(60)
    assert emu.end()[::2] == (124, b"p9emu: time limit of 1.5 s reached\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
@pytest.mark.parametrize("argv", ["cat", "interrupt spin", "cat /dev/zero"])
def test_ended_by_a_signal(argv: str, number: signal.Signals) -> None:
    """While it waits for input, computes, or waits for somebody to take its output."""
    emu = Emu("run", *argv.split())
    if argv == "interrupt spin":
        assert emu.line() == b"ready\n"
    else:
        emu.blocked()
    emu.p.send_signal(number)
    assert emu.end()[::2] == (128 + number, b"p9emu: ended by %s\n" % number.name.encode())


# A terminal


def test_lines_are_the_terminals(tty: Tty) -> None:
    """Erase, kill and end of file are the host's."""
    emu = tty.emu("run", "cons", "relay")
    tty.type(b"wrong\x15ab\x7fc\n")
    tty.expect(b"\nac\r\n")  # after the echo
    tty.type(b"no newline\x04")
    tty.expect(b"no newline")
    tty.expect(b"no newline")
    tty.type(b"\x04")
    assert emu.end() == (0, b"", b"")
    assert tty.same()


def test_raw_mode(tty: Tty) -> None:
    emu = tty.emu("run", "cons", "raw")
    tty.expect(b"raw\r\n")
    assert not tty.same()
    tty.type(b"\x03\x1a\x04\x7f\x11\xff\r")
    tty.expect(b"3\r\n26\r\n4\r\n127\r\n17\r\n255\r\n10\r\n")
    tty.type(b"q")
    tty.expect(b"cooked\r\n")
    assert tty.same()
    tty.type(b"li\x7f\x7fline\n")
    tty.expect(b"line\r\nline\r\n")
    assert emu.end() == (0, b"", b"")


@pytest.mark.parametrize(
    ("how", "typed", "number", "status"),
    [
        ("die", b"q", 0, 1),
        ("wait", b"q", 0, 125),
        ("spin", b"q", 0, 124),
        ("", b"\x1c", 0, 131),  # Ctrl-\ is the way out
        ("", b"", signal.SIGTERM, 143),
        ("", b"", signal.SIGINT, 1),
    ],
)
def test_the_terminal_is_put_back(tty: Tty, how: str, typed: bytes, number: int, status: int) -> None:
    args = ["run", *(["--timeout", "1.5"] if how == "spin" else []), "cons", "raw", *([how] if how else [])]
    emu = tty.emu(*args)
    tty.expect(b"raw\r\n")
    assert not tty.same()
    if typed:
        tty.type(typed)
    if number:
        emu.p.send_signal(number)
    assert emu.end()[0] == status
    assert tty.same()


def test_ctrl_c_at_a_terminal(tty: Tty) -> None:
    emu = tty.emu("run", "interrupt", "read")
    tty.expect(b"ready\r\n")
    emu.blocked()
    tty.type(b"\x03")
    tty.expect(b"read: interrupted\r\n")
    tty.type(b"typed\n")
    tty.expect(b"read: typed\r\n")
    assert emu.end() == (0, b"", b"")


def test_raw_mode_where_there_is_no_terminal() -> None:
    r = p9emu("run", "cons", "raw", stdin=b"aqline\n")
    assert (r.returncode, r.stdout) == (0, b"raw\n97\n113\ncooked\nline\n")
