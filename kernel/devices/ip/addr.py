"""Internet addresses: 16 bytes each, IPv4 ones behind ``v4prefix``. Source: libip, ip/ip.h."""

from __future__ import annotations

from typing import Final

from kernel.base.mem import MASK32
from kernel.base.text import kbytes

IPaddrlen: Final = 16
IPv4off: Final = 12
v4prefix: Final = bytes(10) + b"\xff\xff"
IPnoaddr: Final = bytes(IPaddrlen)
IPallbits: Final = b"\xff" * IPaddrlen
IPv4bcast: Final = v4prefix + b"\xff" * 4
v6loopback: Final = bytes(15) + b"\x01"
v6allnodesN: Final = b"\xff\x01" + bytes(13) + b"\x01"
v6allnodesL: Final = b"\xff\x02" + bytes(13) + b"\x01"
_HEX: Final = b"0123456789abcdefABCDEF"


def _strtoul(b: bytes, p: int, base: int) -> tuple[int, int]:
    """The number at b[p:] and where it ends; p itself where there is none. Source: atof(2)."""
    at = p
    while b[at] in b" \t":
        at += 1
    sign = 1
    if b[at] in b"+-":
        sign = -1 if b[at] == ord("-") else 1
        at += 1
    if base in (0, 16) and b[at] == ord("0") and b[at + 1] in b"xX":
        base = 16
        at += 2
    elif base == 0:
        base = 8 if b[at] == ord("0") else 10
    digits = _HEX if base == 16 else b"0123456789"[:base]
    end = at
    while b[end] in digits:
        end += 1
    if end == at:
        return 0, p
    n = min(int(b[at:end].lstrip(b"0")[:40] or b"0", base), MASK32)
    return sign * n & MASK32, end


def _v4(to: bytearray, b: bytes, p: int) -> int:
    """Put the IPv4 address at b[p:] into the four bytes of to; where it ends. Source: libip/parseip.c:v4parseip."""
    i = 0
    while i < 4 and b[p]:
        n, p = _strtoul(b, p, 0)
        to[i] = n & 0xFF
        if b[p] == ord("."):
            p += 1
        i += 1
    kind = to[0] >> 6
    if i == 3:
        if kind in (0, 1):
            to[1:4] = bytes((0, to[1], to[2]))
        elif kind == 2:
            to[2:4] = bytes((0, to[2]))
    elif i == 2 and kind in (0, 1):
        to[1:4] = bytes((0, 0, to[1]))
    return p


def _delim(c: int) -> bool:
    return c == 0 or not (c in b".:" or (c < 128 and chr(c).isalnum()))


def parseip(s: str) -> bytes | None:
    """An address of its text, None if that is none; more may follow after a blank. Source: libip/parseip.c:parseip."""
    b = kbytes(s) + b"\0\0"
    to = bytearray(IPaddrlen)
    p = i = elipsis = 0
    v4 = True
    while i < IPaddrlen and (b[p] in b".:" or b[p] in _HEX):
        op = p
        x, p = _strtoul(b, p, 16)
        if b[p] == ord(".") or (b[p] == 0 and i == 0):
            if i > IPv4off:
                return None
            four = bytearray(4)
            p = _v4(four, b, op)
            to[i : i + 4] = four
            i += 4
            break
        if x > 0xFFFF or (b[p] != ord(":") and not _delim(b[p])):
            return None
        to[i] = x >> 8
        to[i + 1] = x & 0xFF
        if b[p] == ord(":"):
            v4 = False
            p += 1
            if b[p] == ord(":"):
                if elipsis:
                    return None
                elipsis = i + 2
                p += 1
        elif p == op:
            break
        i += 2
    if p == 0 or not _delim(b[p]):
        return None
    if i < IPaddrlen:
        # what came after the elision goes to the end
        to = to[:elipsis] + bytes(IPaddrlen - i) + to[elipsis:i]
    if v4:
        to[10:12] = b"\xff\xff"
    return bytes(to)


def parseipmask(s: str) -> bytes:
    """A mask: a number of bits after ``/``, or an address. Source: libip/parseip.c:parseipmask."""
    if s.startswith("/"):
        n, _ = _strtoul(kbytes(s[1:]) + b"\0\0", 0, 10)
        n = 0 if n > 1 << 31 else min(n, 128)
        return ((1 << 128) - (1 << 128 - n)).to_bytes(16, "big")
    to = parseip(s) or bytes(IPaddrlen)
    return b"\xff" * IPv4off + to[IPv4off:] if isv4(to) else to


def isv4(ip: bytes) -> bool:
    """Whether that is an IPv4 address."""
    return ip.startswith(v4prefix)


def ipismulticast(ip: bytes) -> bool:
    """Whether that is the address of a group. Source: libip/classmask.c, ip/ip.c:ipismulticast."""
    if isv4(ip):
        return 0xE0 <= ip[IPv4off] < 0xF0
    return ip[0] == 0xFF


def defmask(ip: bytes) -> bytes:
    """The mask of an address's class. Source: libip/classmask.c:defmask."""
    if not isv4(ip):
        return IPallbits if ip == v6loopback else b"\xff" * 8 + bytes(8)
    n = (1, 1, 2, 3)[ip[IPv4off] >> 6]
    return b"\xff" * (IPv4off + n) + bytes(4 - n)


def maskip(ip: bytes, mask: bytes) -> bytes:
    """ip & mask. Source: libip/bo.c:maskip."""
    return bytes(a & b for a, b in zip(ip, mask, strict=True))


def eipfmt(ip: bytes) -> str:
    """The text of an address, ``%I``: the first longest run of zeros is left out. Source: libip/eipfmt.c."""
    if isv4(ip):
        return ".".join(str(b) for b in ip[IPv4off:])
    best, size = -1, -1
    for i in range(8):
        j = i
        while j < 8 and ip[2 * j : 2 * j + 2] == b"\0\0":
            j += 1
        if j > i and j - i > size:
            best, size = i, j - i
    out = ""
    i = 0
    while i < 8:
        if i == best:
            out += "::"
            i += size
            if i >= 8:
                break
        elif i:
            out += ":"
        out += f"{int.from_bytes(ip[2 * i : 2 * i + 2], 'big'):x}"
        i += 1
    return out


def maskfmt(mask: bytes) -> str:
    """The text of a mask, ``%M``: the number of its bits, if they are the first. Source: libip/eipfmt.c."""
    bits = int.from_bytes(mask, "big")
    n = bits.bit_count()
    return f"/{n}" if bits == (1 << 128) - (1 << 128 - n) else eipfmt(mask)
