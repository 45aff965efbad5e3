"""gdb's line where a copy of the machine answers: packets pass through the process that gdb is connected to."""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NoReturn

from emu.debug.link import Link
from emu.debug.rsp import Bad, Interrupt, Item, Packet
from emu.machine.sleeper import Channel
from kernel.base.record import constant

OK: Final = b"OK"
RESUMING: Final = b"vCont;", b"c", b"C", b"s", b"S", b"bs", b"bc"  # beginnings of packets that a stop answers


@constant
class Sent:
    """A packet for gdb."""

    data: bytes


class Aborted(Exception):
    """gdb has interrupted a search."""


class Relay:
    """Implements Link in a copy. Where the other end is gone the copy is no more."""

    halves = False

    def __init__(self, channel: Channel) -> None:
        self.fd = channel.sock.fileno()
        self._channel = channel

    def receive(self, wait: bool) -> list[Item]:
        """As of Link."""
        if not wait and not _poll((self.fd,), 0):
            return []
        try:
            data: bytes | None = self._channel.receive()
        except EOFError:
            os._exit(0)
        return [Interrupt() if data is None else Packet(data)]

    def send(self, data: bytes) -> None:
        """As of Link."""
        self.tell(Sent(data))

    def tell(self, message: Any) -> None:
        """Tell the other process."""
        try:
            self._channel.send(message)
        except EOFError:
            os._exit(0)

    def leave(self, message: Any) -> NoReturn:
        """Tell the other process, and that is all."""
        self.tell(message)
        while True:
            self.receive(wait=True)

    def quiet(self) -> None:
        """As of Link: the line itself was told long ago."""

    def close(self) -> None:
        """As of Link."""
        self._channel.close()


def _poll(fds: tuple[int, ...], timeout: int | None) -> list[int]:
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return [fd for fd, _ in poll.poll(timeout)]


def relay(link: Link, channel: Channel, queue: deque[Item], own: Callable[[bytes], bytes | None]) -> Any:
    """Let a copy answer gdb, which waits for a stop, until it says something else: that.

    ``own`` answers what is not for it. Raises Gone if gdb is, and EOFError, when gdb waits for a stop, if the copy is.
    """
    asked: list[bytes] = [RESUMING[0]]  # what is not answered yet
    try:
        return _relay(link, channel, queue, own, asked)
    except EOFError:
        queue.extendleft(map(Packet, asked))
        while True:
            if not queue:
                queue.extend(link.receive(wait=True))
            item = queue.popleft()
            if isinstance(item, Packet):
                if item.data.startswith(RESUMING):
                    raise
                link.send(own(item.data) or b"E01")


def _relay(
    link: Link, channel: Channel, queue: deque[Item], own: Callable[[bytes], bytes | None], asked: list[bytes]
) -> Any:
    fd = channel.sock.fileno()
    kept: deque[Item] = deque()  # one after the other: it may not be there for the next one
    interrupts: deque[Item] = deque()  # that it has not stopped for yet
    try:
        while True:
            while queue:
                item = queue.popleft()
                if isinstance(item, Interrupt) or (isinstance(item, Packet) and item.data == b"vCtrlC"):
                    if asked:
                        interrupts.append(item)
                    _send(channel, None if isinstance(item, Interrupt) else item.data)
                elif asked:
                    kept.append(item)
                elif isinstance(item, Bad):
                    link.send(b"E16")
                elif isinstance(item, Packet):
                    answer = own(item.data)
                    if answer is None:
                        asked[:] = [item.data]
                        _send(channel, item.data)
                    else:
                        link.send(answer)
            if fd in _poll((fd, link.fd), None):
                message = channel.receive()
                if not isinstance(message, Sent):
                    return message
                if message.data[:1] != b"O" or message.data == OK:
                    asked.clear()
                    interrupts.clear()
                    queue.extendleft(reversed(kept))
                    kept.clear()
                link.send(message.data)
            else:
                queue.extend(link.receive(wait=False))
    finally:
        queue.extendleft(reversed(kept))
        queue.extendleft(interrupts)


def _send(channel: Channel, message: Any) -> None:
    """Where it is gone, it may have said something before."""
    with suppress(EOFError):
        channel.send(message)


def answer(link: Link, channel: Channel, queue: deque[Item]) -> Any:
    """What a copy comes to that searches. Raises Aborted if gdb does not want to wait, Gone, and EOFError."""
    fd = channel.sock.fileno()
    while True:
        if fd in _poll((fd, link.fd), None):
            return channel.receive()
        for item in link.receive(wait=False):
            if isinstance(item, Interrupt) or (isinstance(item, Packet) and item.data == b"vCtrlC"):
                raise Aborted
            queue.append(item)
