"""The wire format of protocol buffers, as much of it as is written here: numbers, fixed numbers, text, messages.

    field     key                   value
    number    number << 3           varint: 7 bits a byte, the lowest first, the top bit says that more follow
    fixed     number << 3 | 1       8 bytes, the lowest first
    text      number << 3 | 2       varint of its length in bytes, the bytes; a message likewise

Source: protobuf.dev/programming-guides/encoding. Google's package takes three to four times as long for an event, and
would have to be installed.
"""

from typing import Final

MASK: Final = (1 << 64) - 1


def varint(n: int) -> bytes:
    """A number of up to 64 bits; one that is negative counts as what it is modulo 2**64."""
    if 0 <= n < 0x80:
        return SMALL[n]
    n &= MASK
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


SMALL: Final = tuple(bytes((n,)) for n in range(0x80))


def number(field: int, n: int) -> bytes:
    """A field of an integer type, an enum or a bool."""
    return varint(field << 3) + varint(n)


def fixed(field: int, n: int) -> bytes:
    """A field of type fixed64."""
    return varint(field << 3 | 1) + n.to_bytes(8, "little")


def message(field: int, data: bytes) -> bytes:
    """A field that holds a message."""
    return varint(field << 3 | 2) + varint(len(data)) + data


def text(field: int, s: str) -> bytes:
    """A field of type string."""
    return message(field, s.encode("utf-8", "backslashreplace"))
