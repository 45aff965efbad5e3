"""9P2000 messages: kernel/files/fcall.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.base.dat import Qid
from kernel.base.mntdat import Fcall
from kernel.files import fcall
from kernel.files.fcall import (
    NOFID,
    NOTAG,
    Rattach,
    Rauth,
    Rclunk,
    Rcreate,
    Rerror,
    Rflush,
    Ropen,
    Rread,
    Rstat,
    Rversion,
    Rwalk,
    Rwrite,
    Rwstat,
    Tattach,
    Tauth,
    Tclunk,
    Tcreate,
    Terror,
    Tflush,
    Tmax,
    Topen,
    Tread,
    Tremove,
    Tstat,
    Tversion,
    Twalk,
    Twrite,
    Twstat,
    convM2S,
    convS2M,
)

Q = Qid(0x1122334455667788, 0x99AABBCC, 0x80)
QID = "80 ccbbaa99 8877665544332211"

# intro(5): the fields in their order, each number little-endian, each string counted
LAYOUT = [
    (Fcall(Tversion, NOTAG, msize=8216, version="9P2000"), "13000000 64 ffff 18200000 0600 395032303030"),
    (Fcall(Rversion, NOTAG, msize=256, version="9P"), "0f000000 65 ffff 00010000 0200 3950"),
    (Fcall(Tauth, 1, afid=7, uname="u", aname="ab"), "12000000 66 0100 07000000 0100 75 0200 6162"),
    (Fcall(Rauth, 1, qid=Q), f"14000000 67 0100 {QID}"),
    (Fcall(Tattach, 2, fid=1, afid=NOFID, uname="u"), "14000000 68 0200 01000000 ffffffff 0100 75 0000"),
    (Fcall(Rattach, 2, qid=Q), f"14000000 69 0200 {QID}"),
    (Fcall(Rerror, 3, ename="no"), "0b000000 6b 0300 0200 6e6f"),
    (Fcall(Tflush, 4, oldtag=3), "09000000 6c 0400 0300"),
    (Fcall(Rflush, 4), "07000000 6d 0400"),
    (Fcall(Twalk, 5, fid=1, newfid=2), "11000000 6e 0500 01000000 02000000 0000"),
    (Fcall(Twalk, 5, fid=1, newfid=2, wname=["a", ".."]), "18000000 6e 0500 01000000 02000000 0200 0100 61 0200 2e2e"),
    (Fcall(Rwalk, 5, wqid=[Q, Q]), f"23000000 6f 0500 0200 {QID} {QID}"),
    (Fcall(Topen, 6, fid=2, mode=0x51), "0c000000 70 0600 02000000 51"),
    (Fcall(Ropen, 6, qid=Q, iounit=9), f"18000000 71 0600 {QID} 09000000"),
    (Fcall(Tcreate, 7, fid=2, name="n", perm=0x800001FF, mode=1), "13000000 72 0700 02000000 0100 6e ff010080 01"),
    (Fcall(Rcreate, 7, qid=Q, iounit=9), f"18000000 73 0700 {QID} 09000000"),
    (Fcall(Tread, 8, fid=2, offset=1 << 40, count=3), "17000000 74 0800 02000000 0000000000010000 03000000"),
    (Fcall(Rread, 8, data=b"abc", count=3), "0e000000 75 0800 03000000 616263"),
    (Fcall(Twrite, 9, fid=2, offset=1, data=b"x", count=1), "18000000 76 0900 02000000 0100000000000000 01000000 78"),
    (Fcall(Rwrite, 9, count=1), "0b000000 77 0900 01000000"),
    (Fcall(Tclunk, 10, fid=2), "0b000000 78 0a00 02000000"),
    (Fcall(Rclunk, 10), "07000000 79 0a00"),
    (Fcall(Tremove, 11, fid=2), "0b000000 7a 0b00 02000000"),
    (Fcall(Tstat, 12, fid=2), "0b000000 7c 0c00 02000000"),
    (Fcall(Rstat, 12, stat=b"st"), "0b000000 7d 0c00 0200 7374"),
    (Fcall(Twstat, 13, fid=2, stat=b"st"), "0f000000 7e 0d00 02000000 0200 7374"),
    (Fcall(Rwstat, 13), "07000000 7f 0d00"),
]


@pytest.mark.parametrize(("f", "hexbytes"), LAYOUT)
def test_layout(f: Fcall, hexbytes: str) -> None:
    b = bytes.fromhex(hexbytes)
    assert convS2M(f, len(b)) == b
    assert convM2S(b) == f


def test_numbers_of_the_types() -> None:
    assert (Tversion, Rerror, Twstat, Rwstat, Tmax) == (100, 107, 126, 127, 128)


def test_a_message_that_does_not_fit_is_none() -> None:
    f = Fcall(Tclunk, 1, fid=1)
    assert len(convS2M(f, 11)) == 11
    assert convS2M(f, 10) == b""
    assert convS2M(Fcall(Terror), 100) == b""
    assert convS2M(Fcall(0), 100) == b""
    assert convS2M(Fcall(Twalk, wname=["x"] * 17), 1000) == b""


def test_all_cut_short_is_none() -> None:
    for f, _ in LAYOUT:
        b = convS2M(f, 1000)
        for n in range(len(b)):
            assert convM2S(b[:n]) is None, (f, n)


def test_size_must_be_what_the_fields_take() -> None:
    for f, _ in LAYOUT:
        b = bytearray(convS2M(f, 1000))
        b[0] += 1
        assert convM2S(bytes(b) + b"x") is None
        b[0] -= 1
        assert convM2S(bytes(b) + b"next") == f


def test_unknown_types_and_too_many_names_are_none() -> None:
    for t in (0, Terror, Tmax, 255):
        assert convM2S(bytes([7, 0, 0, 0, t, 0, 0])) is None
    body = b"\0" * 8 + b"\x11\0" + b"\1\0a" * 17
    assert convM2S((7 + len(body)).to_bytes(4, "little") + bytes([Twalk, 1, 0]) + body) is None


def test_a_string_ends_at_its_first_nul() -> None:
    b = convS2M(Fcall(Rerror, 1, ename="ab\0cd"), 100)
    got = convM2S(b)
    assert got is not None
    assert got.ename == "ab"


def test_names_keep_bytes_that_are_not_utf8() -> None:
    name = b"\xff\xc3\xa9".decode("utf-8", "surrogateescape")
    b = convS2M(Fcall(Tcreate, 1, name=name), 100)
    assert b"\xff\xc3\xa9" in b
    assert convM2S(b) == Fcall(Tcreate, 1, name=name)


@given(st.binary(max_size=80), st.sampled_from(range(99, 130)))
def test_any_bytes_give_a_message_or_none(body: bytes, type: int) -> None:
    b = (7 + len(body)).to_bytes(4, "little") + bytes([type, 1, 2]) + body
    f = convM2S(b)
    if f is not None and b"\0" not in body:
        assert convS2M(f, 1 << 16) == b


def test_every_request_has_an_answer() -> None:
    assert all(t + 1 in fcall._FORM for t in range(Tversion, Tmax, 2) if t in fcall._FORM)
