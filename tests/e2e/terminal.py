"""A terminal with the command on it, and the test as the person who types."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import IO

from tests.e2e.harness import ROOT

# Of a window's size the terminal tells; pytest's workers have one of their own in these.
SIZE = ("COLUMNS", "LINES")
ENV = {**{k: v for k, v in os.environ.items() if k not in SIZE}, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
PIPE = subprocess.PIPE


def hearing() -> None:
    """Have SIGHUP end the process, as it does by default: what nohup started, these tests for one, ignores it."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def control() -> None:
    """Make standard input the controlling terminal, so that its keys are signals."""
    hearing()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Emu:
    """The command, running."""

    def __init__(
        self,
        *args: str,
        stdin: int | IO[bytes] = PIPE,
        stdout: int | IO[bytes] = PIPE,
        stderr: int = PIPE,
        tty: bool = False,
    ) -> None:
        self.p = subprocess.Popen(
            [sys.executable, "-m", "emu", *args],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=ENV,
            start_new_session=True,
            preexec_fn=control if tty else hearing,
        )

    def line(self) -> bytes:
        assert self.p.stdout is not None
        return self.p.stdout.readline()

    def type(self, data: bytes) -> None:
        assert self.p.stdin is not None
        self.p.stdin.write(data)
        self.p.stdin.flush()

    def end(self) -> tuple[int, bytes, bytes]:
        out, err = self.p.communicate(timeout=20)
        return self.p.returncode, out or b"", err or b""

    def cpu(self) -> int:
        """Ticks of the host's processor that it has used."""
        fields = Path(f"/proc/{self.p.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    def blocked(self) -> None:
        """Return when it sleeps in the host's kernel."""
        for _ in range(300):
            before = self.cpu()
            time.sleep(0.1)
            if before == self.cpu() > 1 and self.asleep():
                return
        raise AssertionError("it does not come to rest")

    def asleep(self) -> bool:
        return Path(f"/proc/{self.p.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


class Tty:
    """A terminal, of which the test is the person."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""

    def emu(self, *args: str, stderr: int = PIPE) -> Emu:
        return Emu(*args, stdin=self.slave, stdout=self.slave, stderr=stderr, tty=True)

    def shell(self, *args: str) -> Emu:
        """With standard error on the terminal too, where a shell prompts."""
        return self.emu("shell", *args, stderr=self.slave)

    def expect(self, text: bytes) -> None:
        """Read until text was shown."""
        while text not in self.seen:
            if not select.select([self.master], [], [], 10)[0]:
                raise AssertionError(f"{text!r} does not come, only {self.seen!r}")
            self.seen += os.read(self.master, 4096)
        self.seen = self.seen.partition(text)[2]

    def type(self, data: bytes) -> None:
        os.write(self.master, data)

    def same(self) -> bool:
        """It is as it was."""
        return termios.tcgetattr(self.slave) == self.before
