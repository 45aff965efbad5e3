"""Directory entries as 9P lays them out. Source: convM2D(2), stat(5).

    size[2] type[2] dev[4] qid[13] mode[4] atime[4] mtime[4] length[8] name[s] uid[s] gid[s] muid[s]

size does not count itself; a string is a 2-byte length and its bytes; all is little-endian.
"""

from __future__ import annotations

import struct
from typing import Final

from kernel.base.chandat import UNKNOWN
from kernel.base.dat import Qid
from kernel.base.record import field, record
from kernel.base.text import kbytes, kstr

BIT16SZ: Final = 2
_FIX = struct.Struct("<HHIBIQIIIQ")
STATFIXLEN: Final = _FIX.size + 4 * BIT16SZ
NOLENGTH: Final = (1 << 64) - 1  # "don't touch" for a length


@record
class Dir:
    """A directory entry. A fresh one is all "don't touch", as nulldir(2) makes it."""

    name: str = ""
    qid: Qid = field(default_factory=lambda: Qid(NOLENGTH, UNKNOWN, 0xFF))
    mode: int = UNKNOWN
    length: int = NOLENGTH
    type: int = 0xFFFF
    dev: int = UNKNOWN
    atime: int = UNKNOWN
    mtime: int = UNKNOWN
    uid: str = ""
    gid: str = ""
    muid: str = ""


def packdir(d: Dir) -> bytes:
    """The whole entry."""
    strs = b"".join(struct.pack("<H", len(b)) + b for b in map(kbytes, (d.name, d.uid, d.gid, d.muid)))
    return (
        _FIX.pack(
            _FIX.size - BIT16SZ + len(strs) & 0xFFFF,  # a file server's names may be too long for it
            d.type & 0xFFFF,
            d.dev & 0xFFFFFFFF,
            d.qid.type & 0xFF,
            d.qid.vers & 0xFFFFFFFF,
            d.qid.path & NOLENGTH,
            d.mode & 0xFFFFFFFF,
            d.atime & 0xFFFFFFFF,
            d.mtime & 0xFFFFFFFF,
            d.length & NOLENGTH,
        )
        + strs
    )


def convD2M(d: Dir, n: int) -> bytes:
    """The entry if it fits into n bytes, else its size alone (2 bytes), or nothing if n < 2."""
    if n < BIT16SZ:
        return b""
    b = packdir(d)
    return b if len(b) <= n else b[:BIT16SZ]


def convM2D(b: bytes) -> tuple[Dir, int] | None:
    """The entry at the start of b and how long it is; None if b is too short for it.

    Strings are C's: one that holds a NUL ends there.
    """
    if len(b) < STATFIXLEN:
        return None
    _, type, dev, qtype, vers, path, mode, atime, mtime, length = _FIX.unpack_from(b)
    p = _FIX.size
    strs = []
    for _ in range(4):
        if p + BIT16SZ > len(b):
            return None
        ns = int.from_bytes(b[p : p + BIT16SZ], "little")
        p += BIT16SZ
        if p + ns > len(b):
            return None
        strs.append(kstr(b[p : p + ns].partition(b"\0")[0]))
        p += ns
    return Dir(strs[0], Qid(path, vers, qtype), mode, length, type, dev, atime, mtime, *strs[1:]), p


def statcheck(b: bytes) -> bool:
    """Whether b is exactly one well-formed entry."""
    if len(b) < STATFIXLEN or len(b) != BIT16SZ + int.from_bytes(b[:BIT16SZ], "little"):
        return False
    p = _FIX.size
    for _ in range(4):
        if p + BIT16SZ > len(b):
            return False
        p += BIT16SZ + int.from_bytes(b[p : p + BIT16SZ], "little")
    return p == len(b)


def direntries(b: bytes) -> list[bytes]:
    """The entries of a directory read; a last one that is cut short stands as it is."""
    out = []
    p = 0
    while p + BIT16SZ < len(b):
        n = BIT16SZ + int.from_bytes(b[p : p + BIT16SZ], "little")
        out.append(b[p : p + n])
        p += n
    return out
