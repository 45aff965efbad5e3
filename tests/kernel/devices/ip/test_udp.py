"""Datagrams: kernel/devices/ip/udp.py."""

from __future__ import annotations

import pytest

from kernel.base.chandat import ORDWR
from kernel.devices.ip.addr import parseip
from tests.kernel.devices.ip.net import Netrig, newnet
from tests.kernel.fakes import err

rig = pytest.fixture(newnet)


def header(raddr: str, rport: int, laddr: str = "::", lport: int = 0) -> bytes:
    """What is before each datagram with headers."""
    ra, la = parseip(raddr), parseip(laddr)
    assert ra is not None and la is not None
    return ra + la + bytes(16) + rport.to_bytes(2, "big") + lport.to_bytes(2, "big")


def test_each_read_is_a_datagram(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        _, lat = rig.clone("udp", "announce *!53")
        _, cat = rig.clone("udp", "connect 127.0.0.1!53")
        c = rig.data(cat)
        rig.pwrite(c, b"first")
        _, d, nat = rig.listen(lat)
        rig.pwrite(c, b"")
        rig.pwrite(c, b"second")
        assert rig.pread(d, 3) == b"fir"
        assert rig.pread(d, 100) == b""
        assert rig.pread(d, 100) == b"second"
        assert rig.slurp(f"{nat}/remote") == rig.slurp(f"{cat}/local")
        assert rig.slurp(f"{nat}/status") == b"Open qin 0 qout 0\n"
        rig.pwrite(d, b"answer")
        assert rig.pread(c, 100) == b"answer"


@pytest.mark.parametrize("own", ["127.0.0.1", "::1"])
def test_headers(rig: Netrig, own: str) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        _, at = rig.clone("udp", "announce *!53", "headers")
        _, other = rig.clone("udp", f"announce {own}!54", "headers")
        a, b = rig.data(at), rig.data(other)
        rig.pwrite(b, header(own, 53) + b"question")
        got = rig.pread(a, 1000)
        assert got[:32] == header(own, 54, own)[:32]
        assert got[48:] == b"\0\x36\0\x35question"
        rig.pwrite(a, got[:52] + b"answer")
        assert rig.pread(b, 1000)[48:] == b"\0\x35\0\x36answer"
        rig.pwrite(a, b"too short for a header")
        rig.pwrite(a, header("10.0.0.1", 7) + b"nowhere")
        assert rig.slurp("/net/udp/stats") == b"InDatagrams: 2\nNoPorts: 0\nInErrors: 0\nOutDatagrams: 3\n"


def test_nobody_there_is_told_at_the_next_use(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        _, at = rig.clone("udp", "connect 127.0.0.1!99")
        d = rig.data(at)
        assert rig.pwrite(d, b"x") == 1
        assert err(rig.pwrite, d, b"x") == err(rig.pread, d, 1) == "port unreachable"
        _, at = rig.clone("udp", "connect 127.0.0.1!99", "ignoreadvice")
        d = rig.data(at)
        assert [rig.pwrite(d, b"x") for _ in range(3)] == [1, 1, 1]


def test_who_does_not_read_loses(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        _, at = rig.clone("udp", "announce *!53", "headers")
        _, cat = rig.clone("udp", "connect 127.0.0.1!53")
        c = rig.data(cat)
        for _ in range(20):
            rig.pwrite(c, b"z" * 10000)
        charged = rig.k.mainmem.cursize
        rig.pwrite(c, b"z" * 10000)
        assert rig.k.mainmem.cursize == charged
        assert int(rig.slurp(f"{at}/status").split()[2]) == 13 * 10052


def test_a_datagram_that_is_too_large_is_lost(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        _, at = rig.clone("udp", "announce *!53", "headers")
        _, cat = rig.clone("udp", "connect 127.0.0.1!53")
        c = rig.data(cat)
        rig.pwrite(c, b"z" * 65509)
        assert b" qin 0 " in b" " + rig.slurp(f"{at}/status")
        rig.pwrite(c, b"z" * 65508)
        assert len(rig.pread(rig.data(at), 70_000)) == 65508 + 52


def test_groups(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        fd, at = rig.clone("udp", "announce *!53", "headers", "addmulti 127.0.0.1 224.0.0.9")
        assert b"224.0.0.9" in rig.slurp("/net/ipselftab")
        _, cat = rig.clone("udp", "connect 224.0.0.9!53")
        rig.pwrite(rig.data(cat), b"to all")
        d = rig.data(at)
        assert rig.pread(d, 100)[52:] == b"to all"
        rig.close(d)
        rig.close(fd)
        assert b"224.0.0.9" not in rig.slurp("/net/ipselftab")


def test_closing_ends_it(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        fd, at = rig.clone("udp", "announce *!53")
        d = rig.data(at)
        rig.close(fd)
        assert rig.slurp(f"{at}/status") == b"Open qin 0 qout 0\n"
        rig.close(d)
        assert rig.slurp(f"{at}/status") == b"Closed qin 0 qout 0\n"
        assert rig.slurp(f"{at}/local") == b"::!0\n"
        assert rig.clone("udp", "announce *!53")[1] == at


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("hangup", "unknown control request"),
        ("headers now", "unknown control request"),
        ("connect", "bad args to connect"),
        ("connect x!5", "bad ip address syntax"),
        ("announce 1.2.3.4!5", "not a local IP address"),
    ],
)
def test_bad_messages(rig: Netrig, message: str, error: str) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        fd, _ = rig.clone("udp")
        assert err(rig.pwrite, fd, message.encode()) == error
        rig.open("/net/udp/0/data", ORDWR)
