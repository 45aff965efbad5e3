"""gdb's remote serial protocol: how packets are framed. Nothing here knows what they mean.

A packet is ``$``, its data, ``#`` and two hexadecimal digits: the sum of the data's bytes. In data the bytes ``#``,
``$``, ``}`` and ``*`` stand behind a ``}`` and have 0x20 flipped. Outside of packets there are ``+`` and ``-``, which
tell whether a packet came through, and the byte 3 for Ctrl-C. Source: gdb's manual, appendix E.
"""

from __future__ import annotations

from typing import Final

from kernel.base.record import constant

MAXPACKET: Final = 1 << 14  # bytes of data that are taken; gdb is told
ESCAPE: Final = 0x7D
ESCAPED: Final = frozenset(b"#$}*")
INTERRUPT: Final = 3


@constant
class Packet:
    """One that came through whole. ``data`` is as the sender meant it, escapes undone."""

    data: bytes


@constant
class Bad:
    """One that did not: ``why`` in words; ``large``: it was whole, but is more than is taken."""

    why: str
    large: bool = False


@constant
class Ack:
    """The other side has our last packet, or wants it once more."""

    good: bool


@constant
class Interrupt:
    """Ctrl-C was typed at gdb."""


Item = Packet | Bad | Ack | Interrupt


class Parser:
    """Bytes in, in whatever pieces; items out. Keeps no more than a packet's bytes, whatever comes."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._state = 0  # 0 outside, 1 in data, 2 at the first digit of the sum, 3 at the second
        self._digits = b""
        self._size = 0  # of the data, kept or not

    def feed(self, data: bytes) -> list[Item]:
        """What is complete with these bytes."""
        out: list[Item] = []
        at = 0
        while at < len(data):
            if self._state == 1:
                at = self._body(data, at)
                continue
            byte = data[at]
            at += 1
            if self._state == 0:
                if byte == ord("$"):
                    self._begin()
                elif byte in b"+-":
                    out.append(Ack(byte == ord("+")))
                elif byte == INTERRUPT:
                    out.append(Interrupt())
            elif self._state == 2:
                self._digits = bytes((byte,))
                self._state = 3
            else:
                self._digits += bytes((byte,))
                self._state = 0
                out.append(self._end())
        return out

    def _begin(self) -> None:
        self._data.clear()
        self._size = 0
        self._state = 1

    def _body(self, data: bytes, at: int) -> int:
        """Take data up to its end, or to the beginning of another packet: then this one was cut off."""
        ends = [i for i in (data.find(b"#", at), data.find(b"$", at)) if i >= 0]
        end = min(ends, default=len(data))
        self._size += end - at
        if self._size <= MAXPACKET:
            self._data += data[at:end]
        if end == len(data):
            return end
        if data[end] == ord("$"):
            self._begin()
        else:
            self._state = 2
        return end + 1

    def _end(self) -> Item:
        if self._size > MAXPACKET:
            return Bad(f"a packet of {self._size} bytes, of at most {MAXPACKET}", large=True)
        try:
            told = int(self._digits, 16) if self._digits.isalnum() else -1
        except ValueError:
            told = -1
        if told != sum(self._data) & 0xFF:
            return Bad("a packet whose sum is wrong")
        return Packet(unescape(bytes(self._data)))


def escape(data: bytes) -> bytes:
    """Data as it is sent."""
    if not ESCAPED & set(data):
        return data
    return b"".join(bytes((ESCAPE, b ^ 0x20)) if b in ESCAPED else bytes((b,)) for b in data)


def unescape(data: bytes) -> bytes:
    """The reverse; a last ``}`` with nothing behind it is dropped."""
    head, *rest = data.split(b"}")
    out = bytearray(head)
    i = 0
    while i < len(rest):
        part = rest[i]
        if part:
            out.append(part[0] ^ 0x20)
            out += part[1:]
        elif i + 1 < len(rest):  # a } that is itself flipped
            out.append(ESCAPE ^ 0x20)
            i += 1
            out += rest[i]
        i += 1
    return bytes(out)


def frame(data: bytes) -> bytes:
    """A packet with that data."""
    data = escape(data)
    return b"$%s#%02x" % (data, sum(data) & 0xFF)
