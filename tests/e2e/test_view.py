"""p9emu view on a terminal: copies appear, and however it ends, the terminal is as it was."""

from __future__ import annotations

import fcntl
import signal
import struct
import termios
from pathlib import Path

import pytest

from tests.e2e.harness import jsontrace
from tests.e2e.terminal import Emu, Tty

ALTERNATE, BACK = b"\x1b[?1049h", b"\x1b[?1049l"


def view(tty: Tty, *args: str) -> Emu:
    """The view on an 80x24 terminal, when its screen is there."""
    fcntl.ioctl(tty.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    p = tty.emu("view", *args, stderr=tty.slave)
    tty.expect(ALTERNATE)
    tty.expect(b"exec   cow")
    return p


def test_copies_appear_and_the_terminal_is_restored(tty: Tty) -> None:
    p = view(tty, "cow", "4")
    tty.type(b"/")
    tty.expect(b"Search for")
    tty.type(b"cow-copy\r")
    tty.expect(b"has 'cow-copy' in it")  # not yet
    tty.type(b"G")
    tty.expect(b"ended well")
    tty.type(b"N")
    tty.expect(b"copied on the first write")
    tty.type(b"q")
    tty.expect(BACK)
    assert p.end()[0] == 0
    assert tty.same()


@pytest.mark.parametrize(("name", "status"), [("TERM", 143), ("HUP", 129), ("QUIT", 131), ("INT", 130)])
def test_a_signal_ends_it_and_the_terminal_is_restored(tty: Tty, name: str, status: int) -> None:
    p = view(tty, "cow", "4")
    p.p.send_signal(signal.Signals[f"SIG{name}"])
    tty.expect(BACK)
    tty.expect(b"p9emu: interrupted" if status == 130 else b"p9emu: ended by SIG")
    assert p.end()[0] == status
    assert tty.same()


def test_ctrl_c_quits(tty: Tty) -> None:
    p = view(tty, "cow", "4")
    tty.type(b"\x03")
    tty.expect(BACK)
    assert p.end()[0] == 0
    assert tty.same()


def test_a_recorded_run_and_a_small_terminal(tty: Tty, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(jsontrace("cow", "4"))
    p = view(tty, "--from", str(path))
    fcntl.ioctl(tty.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 40, 0, 0))
    p.p.send_signal(signal.SIGWINCH)
    tty.expect(b"needs 80 x 24")
    tty.type(b"q")
    tty.expect(BACK)
    assert p.end()[0] == 0
    assert tty.same()
