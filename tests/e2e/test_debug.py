"""p9emu debug: through a pipe, from a file, on a terminal; however it ends, the terminal is as it was."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.e2e.harness import jsontrace, p9emu
from tests.e2e.terminal import Emu, Tty

SHORT = ("-m", "4M", "--swap", "16M", "swapfork", "300")


def debug(tty: Tty, *args: str) -> Emu:
    p = tty.emu("debug", *args, stderr=tty.slave)
    tty.expect(b"39> ")
    return p


def test_a_pipe_of_commands() -> None:
    r = p9emu("debug", "cow", "4", stdin=b"until fault class=cow-copy\nwhy\ninvariants\n")
    assert r.returncode == 0
    rows = r.stdout.decode().splitlines()
    assert rows[0] == "> until fault class=cow-copy"
    assert " cow-copy: cow[3] wrote, and frame 0x" in r.stdout.decode()
    assert r.stderr == b""


def test_the_same_script_says_the_same(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("until fault class=swap-in 40\nwhy\nlocks\nback 20\nuntil page op=page-out\npage\nrun\n")
    first = p9emu("debug", "-x", str(script), *SHORT)
    assert first.returncode == 0
    assert first.stdout == p9emu("debug", "-x", str(script), *SHORT).stdout
    assert b"page-out: memory is short: the pager gave frame" in first.stdout


def test_what_the_program_reads_and_writes(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("run\n")
    r = p9emu("debug", "-q", "-x", str(script), "--stdin", "-", "cat", stdin=b"a line\n\x1b[2J")
    assert r.returncode == 0
    assert r.stdout.startswith(b"a line\n\\x1b[2J")
    r = p9emu("debug", "--stdin", str(script), "cat", stdin=b"run\n")
    assert r.stdout.startswith(b"> run\nrun\n")


def test_a_trace(tmp_path: Path) -> None:
    trace = tmp_path / "run.jsonl"
    trace.write_text(jsontrace("cow", "4"))
    r = p9emu("debug", "--from", str(trace), stdin=b"goto fault:class=cow-copy 2\nwhy\nlocks\n")
    assert r.returncode == 1
    assert b" cow-copy: " in r.stdout
    assert r.stderr == b"p9emu: standard input:3: a recorded trace has no machine to ask; here only what events tell\n"


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        (("debug",), 2, b"p9emu: Missing argument 'PROGRAM' (try"),
        (("debug", "nosuch"), 127, b"p9emu: nosuch: no such file"),
        (("debug", "--from", "nosuch"), 125, b"p9emu: cannot read nosuch: No such file or directory"),
        (("debug", "--from", "/dev/null"), 125, b"p9emu: /dev/null: holds no event of a trace"),
        (("debug", "--from", "x", "cow"), 2, b"p9emu: --from and PROGRAM exclude each other"),
        (("debug", "--from", "x", "--check"), 2, b"p9emu: --from runs nothing: --check would have no effect"),
        (("debug", "-x", "nosuch", "cow"), 125, b"p9emu: cannot read nosuch: No such file or directory"),
        (("debug", "-x", "/", "cow"), 125, b"p9emu: cannot read /: Is a directory"),
        (("debug", "--stdin", "-", "cow"), 2, b"p9emu: --stdin - needs -x FILE: without, standard input has the"),
        (("debug", "--stdin", "nosuch", "cow"), 125, b"p9emu: --stdin nosuch: No such file or directory"),
        (("debug", "-e", "nosuch", "cow"), 2, b"p9emu: Invalid value for '-e': unknown event 'nosuch'"),
    ],
)
def test_what_is_wrong_is_one_line(args: tuple[str, ...], status: int, said: bytes) -> None:
    r = p9emu(*args)
    assert r.returncode == status
    assert r.stderr.startswith(said)
    assert r.stderr.count(b"\n") == 1


def test_a_run_that_does_not_come_to_its_end_is_told() -> None:
    r = p9emu("debug", "--timeout", "0.3", "spin", "1000000", stdin=b"run\nwhere\npte 0x1020 2\n")
    assert r.returncode == 0
    assert b"this is the end: the run was broken off\nThe run did not come to its end: time limit of 0.3" in r.stdout


def test_rubbish_on_the_pipe_is_told_in_a_line() -> None:
    r = p9emu("debug", "cow", "4", stdin=bytes(range(128, 256)) * 50)
    assert r.returncode == 1
    assert r.stderr.startswith(b"p9emu: standard input:1: there is no command ")
    assert r.stderr.count(b"\n") == 1


def test_typed_lines_are_completed_and_brought_back(tty: Tty) -> None:
    p = debug(tty, "cow", "4")
    tty.type(b"unt\tfau\t cl\tcow-c\t\r")
    tty.expect(b"until fault class=cow-copy")
    tty.expect(b"copied on the first")
    tty.type(b"\x10\r")  # the line before
    tty.expect(b"until fault class=cow-copy")
    tty.type(b"quit\r")
    assert p.end()[0] == 0
    assert tty.same()


def test_ctrl_c_gives_the_prompt(tty: Tty) -> None:
    p = debug(tty, "spin", "1000000")
    tty.type(b"run\r")
    tty.expect(b"run\r\n")
    before = p.cpu()
    while p.cpu() < before + 30:  # until it computes
        time.sleep(0.01)
    tty.type(b"\x03")
    tty.expect(b"stopped before the way's end")
    tty.expect(b"> ")
    tty.type(b"half a line")
    p.blocked()
    tty.type(b"\x03")
    tty.expect(b"> ")
    tty.type(b"stack\r")
    tty.expect(b"main+0x")
    p.blocked()
    tty.type(b"\x04")
    assert p.end()[0] == 0
    assert tty.same()


@pytest.mark.parametrize(("name", "status"), [("TERM", 143), ("HUP", 129), ("QUIT", 131)])
@pytest.mark.parametrize("line", [b"", b"run\r"])
def test_a_signal_ends_it_and_the_terminal_is_restored(tty: Tty, name: str, status: int, line: bytes) -> None:
    p = debug(tty, "spin", "1000000")
    if line:
        tty.type(line)
        tty.expect(b"run\r\n")
    else:
        p.blocked()
    p.p.send_signal(signal.Signals[f"SIG{name}"])
    tty.expect(f"p9emu: ended by SIG{name}".encode())
    assert p.end()[0] == status
    assert tty.same()


def test_a_reader_that_goes_away_ends_it() -> None:
    p = Emu("debug", "cow", "4")
    assert p.p.stdout is not None
    p.p.stdout.close()
    p.p.stdout = None
    status, _, err = p.end() if p.p.stdin is None else _fed(p)
    assert (status, err) == (141, b"")


def _fed(p: Emu) -> tuple[int, bytes, bytes]:
    p.type(b"where\n" * 10_000)
    return p.end()
