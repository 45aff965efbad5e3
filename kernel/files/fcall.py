"""Messages of 9P2000. Source: sys/include/fcall.h, convM2S(2), intro(5).

    size[4] type[1] tag[2] and then by type; all numbers are little-endian

    Tversion msize[4] version[s]                   Rversion msize[4] version[s]
    Tauth    afid[4] uname[s] aname[s]             Rauth    aqid[13]
                                                   Rerror   ename[s]
    Tflush   oldtag[2]                             Rflush
    Tattach  fid[4] afid[4] uname[s] aname[s]      Rattach  qid[13]
    Twalk    fid[4] newfid[4] nwname[2] n*wname[s] Rwalk    nwqid[2] n*wqid[13]
    Topen    fid[4] mode[1]                        Ropen    qid[13] iounit[4]
    Tcreate  fid[4] name[s] perm[4] mode[1]        Rcreate  qid[13] iounit[4]
    Tread    fid[4] offset[8] count[4]             Rread    count[4] data[count]
    Twrite   fid[4] offset[8] count[4] data[count] Rwrite   count[4]
    Tclunk   fid[4]                                Rclunk
    Tremove  fid[4]                                Rremove
    Tstat    fid[4]                                Rstat    nstat[2] stat[nstat]
    Twstat   fid[4] nstat[2] stat[nstat]           Rwstat

A string is its length[2] and its bytes; a qid is type[1] vers[4] path[8].
"""

from __future__ import annotations

import struct
from typing import Final

from kernel.base.chandat import MAXWELEM
from kernel.base.dat import Qid
from kernel.base.mntdat import Fcall
from kernel.base.text import kbytes, kstr

VERSION9P: Final = "9P2000"
NOTAG: Final = 0xFFFF
NOFID: Final = 0xFFFFFFFF
IOHDRSZ: Final = 24  # room for the header of Twrite and Rread
HDRSZ: Final = 7  # size, type and tag
(
    Tversion, Rversion, Tauth, Rauth, Tattach, Rattach, Terror, Rerror, Tflush, Rflush, Twalk, Rwalk, Topen, Ropen,
    Tcreate, Rcreate, Tread, Rread, Twrite, Rwrite, Tclunk, Rclunk, Tremove, Rremove, Tstat, Rstat, Twstat, Rwstat,
    Tmax,
) = range(100, 129)  # fmt: skip

# What follows the tag, a letter each: numbers b h i q of 1, 2, 4, 8 bytes, s a string, Q a qid, N and R the lists
# of a walk, D counted data, S a counted stat.
_FORM: Final[dict[int, tuple[tuple[str, str], ...]]] = {
    Tversion: (("msize", "i"), ("version", "s")),
    Rversion: (("msize", "i"), ("version", "s")),
    Tauth: (("afid", "i"), ("uname", "s"), ("aname", "s")),
    Rauth: (("qid", "Q"),),
    Rerror: (("ename", "s"),),
    Tflush: (("oldtag", "h"),),
    Rflush: (),
    Tattach: (("fid", "i"), ("afid", "i"), ("uname", "s"), ("aname", "s")),
    Rattach: (("qid", "Q"),),
    Twalk: (("fid", "i"), ("newfid", "i"), ("wname", "N")),
    Rwalk: (("wqid", "R"),),
    Topen: (("fid", "i"), ("mode", "b")),
    Ropen: (("qid", "Q"), ("iounit", "i")),
    Tcreate: (("fid", "i"), ("name", "s"), ("perm", "i"), ("mode", "b")),
    Rcreate: (("qid", "Q"), ("iounit", "i")),
    Tread: (("fid", "i"), ("offset", "q"), ("count", "i")),
    Rread: (("data", "D"),),
    Twrite: (("fid", "i"), ("offset", "q"), ("data", "D")),
    Rwrite: (("count", "i"),),
    Tclunk: (("fid", "i"),),
    Rclunk: (),
    Tremove: (("fid", "i"),),
    Rremove: (),
    Tstat: (("fid", "i"),),
    Rstat: (("stat", "S"),),
    Twstat: (("fid", "i"), ("stat", "S")),
    Rwstat: (),
}
_NUMBER: Final = {"b": 1, "h": 2, "i": 4, "q": 8}
_QID: Final = struct.Struct("<BIQ")


def _packqid(q: Qid) -> bytes:
    return _QID.pack(q.type & 0xFF, q.vers & 0xFFFFFFFF, q.path & (1 << 64) - 1)


def _packcounted(b: bytes, n: int) -> bytes:
    return (len(b) & (1 << 8 * n) - 1).to_bytes(n, "little") + b


def _pack(form: str, v: object) -> bytes:
    if isinstance(v, int):
        n = _NUMBER[form]
        return (v & (1 << 8 * n) - 1).to_bytes(n, "little")
    if isinstance(v, str):
        return _packcounted(kbytes(v), 2)
    if isinstance(v, bytes):
        return _packcounted(v, 4 if form == "D" else 2)
    if isinstance(v, Qid):
        return _packqid(v)
    assert isinstance(v, list)
    parts = [_pack("", e) for e in v]
    return len(parts).to_bytes(2, "little") + b"".join(parts)


def convS2M(f: Fcall, n: int) -> bytes:
    """The message, or none if it has no known type or is longer than n. Source: convM2S(2)."""
    form = _FORM.get(f.type)
    if form is None or len(f.wname) > MAXWELEM or len(f.wqid) > MAXWELEM:
        return b""
    body = b"".join(_pack(letter, getattr(f, name)) for name, letter in form)
    size = HDRSZ + len(body)
    if size > n:
        return b""
    return struct.pack("<IBH", size, f.type, f.tag & 0xFFFF) + body


class _Short(Exception):
    """The message ends in the middle of a field, or names too many elements."""


class _Reader:
    """Takes a message apart, field by field."""

    def __init__(self, b: bytes, p: int) -> None:
        self.b = b
        self.p = p

    def take(self, n: int) -> bytes:
        v = self.b[self.p : self.p + n]
        if len(v) < n:
            raise _Short
        self.p += n
        return v

    def number(self, n: int) -> int:
        return int.from_bytes(self.take(n), "little")

    def qid(self) -> Qid:
        type, vers, path = _QID.unpack(self.take(_QID.size))
        return Qid(path, vers, type)

    def string(self) -> str:
        return kstr(self.take(self.number(2)).partition(b"\0")[0])  # a C string

    def field(self, form: str) -> object:
        if form in _NUMBER:
            return self.number(_NUMBER[form])
        if form == "s":
            return self.string()
        if form == "Q":
            return self.qid()
        if form == "D":
            return self.take(self.number(4))
        if form == "S":
            return self.take(self.number(2))
        n = self.number(2)
        if n > MAXWELEM:
            raise _Short
        return [self.string() if form == "N" else self.qid() for _ in range(n)]


def convM2S(b: bytes) -> Fcall | None:
    """The message at the start of b; None if it is none, or has bytes too many. Data come with their count.

    Source: convM2S(2).
    """
    if len(b) < HDRSZ:
        return None
    size, type, tag = struct.unpack_from("<IBH", b)
    form = _FORM.get(type)
    if form is None:
        return None
    f = Fcall(type, tag)
    r = _Reader(b, HDRSZ)
    try:
        for name, letter in form:
            setattr(f, name, r.field(letter))
    except _Short:
        return None
    if "data" in dict(form):
        f.count = len(f.data)
    return f if r.p == size else None
