"""A gdb of our own that says what a test has it say, in the same thread as the machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from emu.debug.link import Gone
from emu.debug.machine import DebugMachine
from emu.debug.rsp import Interrupt, Item, Packet
from emu.debug.server import Server, run
from emu.machine.config import Config, Outcome
from emu.program.aout import load
from emu.program.find import resolve

FEATURES = b"qSupported:multiprocess+;swbreak+;hwbreak+;fork-events+;exec-events+"

Talk = Generator[bytes, list[bytes], None]
"""Yields packets, and gets all that was sent since the one before."""


class Console:
    """Takes what the guest writes; there is nothing to read."""

    fd = -1
    waiting = False
    live = False

    def __init__(self) -> None:
        self.written = b""

    def read(self, n: int) -> bytes:
        return b""

    def write(self, fd: int, data: bytes) -> None:
        self.written += data

    def raw(self, on: bool) -> None: ...

    def poll(self, now: int) -> bool:
        return False

    def wake(self) -> None: ...


class Scripted:
    """Implements Link."""

    fd = -1
    halves = False

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self.sent: list[bytes] = []
        self.begun = False
        self.interrupting = False

    def receive(self, wait: bool) -> list[Item]:
        if not wait:
            interrupting, self.interrupting = self.interrupting, False
            return [Interrupt()] if interrupting else []
        sent, self.sent = self.sent, []
        try:
            data = self.talk.send(sent) if self.begun else next(self.talk)
        except StopIteration:
            raise Gone from None
        self.begun = True
        return [Packet(data)]

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def quiet(self) -> None: ...

    def close(self) -> None: ...


@dataclass
class Result:
    outcome: Outcome | None
    written: bytes
    sent: list[bytes]  # after the talk's last packet


def debug(
    program: str,
    *args: str,
    talk: Callable[[Server], Talk],
    hello: bytes = FEATURES,
    **options: Any,
) -> Result:
    """Run a program with a talk; no outcome if the talk ended before it."""
    console = Console()
    with closing(DebugMachine(Config(**options), console)) as machine:

        def whole() -> Talk:
            yield hello
            yield from talk(server)

        server = Server(machine, lambda: link)
        link = Scripted(whole())
        try:
            outcome = run(server, program, args)
        except Gone:
            outcome = None
        return Result(outcome, console.written, link.sent)


def symbol(program: str, name: str) -> int:
    """The address of a program's symbol."""
    return next(s.value for s in load(resolve(program)).symbols if s.name == name)


def ask(packet: bytes) -> Generator[bytes, list[bytes], bytes]:
    """Send a packet; the last that came in answer, with what came before it lost."""
    sent = yield packet
    return sent[-1] if sent else b""


def field(reply: bytes, name: str) -> str:
    """A field of a stop reply."""
    m = re.search(rf"[;\d]{name}:([^;]*);".encode(), reply)
    return m[1].decode() if m else ""


def pc(reply: bytes) -> int:
    """Where it stopped."""
    m = re.search(rb"08:([0-9a-f]{8});", reply)
    assert m is not None, reply
    return int.from_bytes(bytes.fromhex(m[1].decode()), "little")
