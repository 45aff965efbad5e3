"""The line that says that a long run goes on."""

import fcntl
import os
import re
import select
import struct
import termios
import time
from collections.abc import Iterator
from typing import Any

import pytest

from emu.cli import progress
from emu.cli.progress import ERASE, Progress
from emu.machine.config import Config
from emu.machine.machine import Machine
from kernel.base.event import Event, TlbEvent


class Tty:
    """A terminal, and what was written on it."""

    def __init__(self) -> None:
        self.one, self.fd = os.openpty()

    def read(self) -> str:
        """What there is, at least something."""
        assert select.select([self.one], [], [], 10)[0]
        return os.read(self.one, 65536).decode()

    def silent(self) -> bool:
        """Nothing comes, for some rounds of the thread."""
        return not select.select([self.one], [], [], 0.1)[0]

    def close(self) -> None:
        os.close(self.one)
        os.close(self.fd)


@pytest.fixture
def tty(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tty]:
    """A terminal, and no patience."""
    monkeypatch.setattr(progress, "DELAY", 0.01)
    monkeypatch.setattr(progress, "EVERY", 0.01)
    monkeypatch.setenv("TERM", "xterm")
    t = Tty()
    yield t
    t.close()


def ev(ns: int) -> Event:
    return TlbEvent(ns, 2, 0, "flush", 0, 0x7000)


def test_it_tells_how_far_the_run_is_and_is_gone_at_the_end(tty: Tty) -> None:
    seen: list[Event] = []
    with Progress(tty.fd) as p:
        sink = p.watching(seen.append)
        for n in range(1500):
            sink(ev(n * 1000))
        text = ""
        while "1,500" not in text:
            text += tty.read()
        assert re.search(r"\rp9emu: \d+ s, virtual time 0.001499 s, 1,500 events\x1b\[K", text)
    while not text.endswith(ERASE):
        text += tty.read()
    assert len(seen) == 1500
    assert "\n" not in text


def test_it_says_what_is_done_instead(tty: Tty) -> None:
    p = Progress(tty.fd)
    p.doing = "writing the report"
    for _ in range(2):
        text = ""
        with p:
            while "s, writing the report\x1b[K" not in text:
                text += tty.read()


def test_a_short_run_needs_none(tty: Tty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "DELAY", 1000)
    with Progress(tty.fd) as p:
        p.watching(print)
    assert tty.silent()


def test_no_terminal_no_line(tty: Tty, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = os.pipe()
    quiet = [Progress(other), Progress(tty.fd, shown=False)]
    monkeypatch.setenv("TERM", "dumb")
    quiet.append(Progress(tty.fd))
    for p in quiet:
        with p:
            assert p.watching(print) is print
            time.sleep(0.05)
    assert tty.silent()
    os.close(other)
    assert os.read(one, 1) == b""
    os.close(one)


def test_it_makes_way_for_what_the_guest_writes(tty: Tty, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    machine = Machine(Config(), warn=told.append)
    try:
        with Progress(tty.fd) as p:
            p.watching(print)
            p.prepare(machine)
            assert "events" in tty.read()
            machine.console.write(tty.fd, b"half a line")
            text = tty.read()
            while "half a line" not in text:
                text += tty.read()
            assert text.endswith(f"{ERASE}half a line")
            assert tty.silent(), "the guest's line has no end yet"
            machine.console.write(tty.fd, b"\n")
            assert "events" in tty.read() + tty.read()
            machine.warn("something")
            text = tty.read()
            while ERASE not in text:
                text += tty.read()
            assert told == ["something"]
    finally:
        machine.close()


def test_it_makes_way_for_what_is_typed(tty: Tty) -> None:
    machine = Machine(Config())
    console: Any = machine.console
    try:
        with Progress(tty.fd) as p:
            p.watching(print)
            p.prepare(machine)
            assert "events" in tty.read()
            console.waiting = True
            text = tty.read()
            while not text.endswith(ERASE):
                text += tty.read()
            assert tty.silent()
            console.waiting = False
            assert "events" in tty.read()
    finally:
        machine.close()


def test_it_is_never_wider_than_the_terminal(tty: Tty) -> None:
    fcntl.ioctl(tty.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 20, 0, 0))
    with Progress(tty.fd) as p:
        p.watching(print)
        first = tty.read().partition("\x1b[K")[0]
        assert re.fullmatch(r"\rp9emu: \d+ s, virt.*", first)
        assert len(first) == 20


def test_a_terminal_that_is_gone_ends_it(monkeypatch: pytest.MonkeyPatch, tty: Tty) -> None:
    other = Tty()
    with Progress(other.fd) as p:
        other.close()
        time.sleep(0.05)
        assert p.line().startswith("p9emu: ")
