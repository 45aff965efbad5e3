"""emu.debug.rsp: packets come through whole or are told to be bad, however they are cut, and whatever else comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.debug.rsp import MAXPACKET, Ack, Bad, Interrupt, Item, Packet, Parser, escape, frame, unescape

# Bytes that mean something come often
NOISE = st.lists(st.one_of(st.sampled_from([b"$", b"#", b"}", b"*", b"+", b"-", b"\3", b"00"]), st.binary(max_size=8)))


def parsed(*pieces: bytes) -> list[Item]:
    parser = Parser()
    return [item for piece in pieces for item in parser.feed(piece)]


def test_packets_acknowledgements_and_ctrl_c() -> None:
    assert parsed(b"+$g#67-\3$#00") == [Ack(True), Packet(b"g"), Ack(False), Interrupt(), Packet(b"")]


def test_an_interrupt_within_a_packet_is_data() -> None:
    assert parsed(frame(b"X0,1:\3")) == [Packet(b"X0,1:\3")]


@pytest.mark.parametrize("bad", [b"$g#68", b"$g#zz", b"$g#+7", b"$g# 7", b"$g##7"])
def test_a_wrong_sum(bad: bytes) -> None:
    assert parsed(bad) == [Bad("a packet whose sum is wrong")]


def test_half_a_packet_is_forgotten_when_another_begins() -> None:
    assert parsed(b"$m1000,4$g#67") == [Packet(b"g")]


def test_a_packet_that_is_too_large_is_told_and_not_kept() -> None:
    parser = Parser()
    for _ in range(256):
        assert parser.feed(b"x" * 4096 if _ else b"$") == []
        assert len(parser._data) <= MAXPACKET
    assert parser.feed(b"#00$g#67") == [
        Bad(f"a packet of {255 * 4096} bytes, of at most {MAXPACKET}", True),
        Packet(b"g"),
    ]


@given(st.binary(max_size=300))
def test_any_data_comes_through(data: bytes) -> None:
    assert unescape(escape(data)) == data
    assert parsed(frame(data)) == [Packet(data)]
    assert not set(escape(data)) & set(b"#$*")


@given(NOISE, st.data())
def test_it_does_not_matter_how_bytes_are_cut(noise: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(noise)
    at = data.draw(st.integers(0, len(whole)))
    assert parsed(whole) == parsed(whole[:at], whole[at:]) == parsed(*(bytes((b,)) for b in whole))


@given(NOISE)
def test_after_any_noise_a_packet_is_understood(noise: list[bytes]) -> None:
    # the noise may end within a packet, whose sum eats what follows: the sender then says it once more
    again = parsed(b"".join(noise), frame(b"g"), frame(b"g"))
    assert again[-1] == Packet(b"g")
