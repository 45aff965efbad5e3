"""emu.debug.packets: numbers, threads, and how to go on."""

from __future__ import annotations

import pytest

from emu.debug.packets import Wrong, dotted, number, resumption, thread, unhex
from emu.debug.stops import Plan


@pytest.mark.parametrize(
    ("text", "pid"),
    [(b"p2.2", 2), (b"p1f.-1", 0x1F), (b"p-1.-1", -1), (b"p-1", -1), (b"0", 0), (b"-1", -1), (b"1f", 0x1F), (b"p3", 3)],
)
def test_threads(text: bytes, pid: int) -> None:
    assert thread(text) == pid


def test_names_of_threads_are_understood() -> None:
    assert thread(dotted(0x123).encode()) == 0x123


@pytest.mark.parametrize("text", [b"", b"p", b"p.", b"x", b"p1.", b"-2", b"p123456789", b"1 ", b"p1.1.1"])
def test_what_is_no_thread(text: bytes) -> None:
    with pytest.raises(Wrong):
        thread(text)


@pytest.mark.parametrize("text", [b"", b"-1", b"+1", b"0x1", b"1_0", b" 1", b"1" * 17, b"g"])
def test_what_is_no_number(text: bytes) -> None:
    with pytest.raises(Wrong):
        number(text)


def test_what_is_not_hexadecimal() -> None:
    assert unhex(b"00ff") == b"\0\xff"
    for text in (b"0", b"xx", b"\xff"):
        with pytest.raises(Wrong):
            unhex(text)


@pytest.mark.parametrize(
    ("packet", "plan"),
    [
        (b"c", Plan()),
        (b"C05", Plan()),
        (b"s", Plan(7)),
        (b"S05", Plan(7)),
        (b"vCont;c", Plan()),
        (b"vCont;c:p2.-1", Plan()),
        (b"vCont;C05:p2.2", Plan()),
        (b"vCont;s:p2.2", Plan(2, alone=True)),
        (b"vCont;S05:p2.2;c", Plan(2)),
        (b"vCont;c:p3.3;s:p2.2", Plan(2)),
        (b"vCont;s", Plan(7)),
        (b"vCont;s:-1", Plan(7)),
        (b"vCont;r1000,1010:p2.2;c:p2.-1", Plan(2, 0x1000, 0x1010)),
        (b"vCont?", None),
        (b"g", None),
        (b"", None),
    ],
)
def test_how_to_go_on(packet: bytes, plan: Plan | None) -> None:
    assert resumption(packet, 7) == plan


@pytest.mark.parametrize("packet", [b"vCont;", b"vCont;t", b"vCont;x:p1.1", b"vCont;r1000:p2.2", b"vCont;s:q"])
def test_how_not_to(packet: bytes) -> None:
    with pytest.raises(Wrong):
        resumption(packet, 7)
