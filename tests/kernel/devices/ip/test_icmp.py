"""Control messages: kernel/devices/ip/icmp.py."""

from __future__ import annotations

import struct

import pytest

from kernel.devices.ip.icmp import ptclcsum
from kernel.devices.ip.wire import Faults
from tests.kernel.devices.ip.net import Netrig, newnet, wait
from tests.kernel.fakes import err

rig = pytest.fixture(newnet)


def echo(rig: Netrig, address: str, seq: int, size: int = 64) -> tuple[int, bytes]:
    """Do as ip/ping does: a data file, and the packet that was written there."""
    v6 = ":" in address
    query = f"icmp{'v6' if v6 else ''}!{address}!1".encode()
    cs = rig.open("/net/cs", 2)
    rig.pwrite(cs, query)
    clone, addr = rig.pread(cs, 128, 0).decode().split()
    assert clone == f"/net/icmp{'v6' if v6 else ''}/clone"
    _, at = rig.clone(f"icmp{'v6' if v6 else ''}", f"connect {addr}")
    hdr = 40 if v6 else 20
    packet = bytearray(hdr) + bytes((128 if v6 else 8, 0, 0, 0, 0, 0)) + seq.to_bytes(2, "big")
    packet += bytes(i & 0xFF for i in range(len(packet), size))
    d = rig.data(at)
    assert rig.pwrite(d, bytes(packet)) == size
    return d, bytes(packet)


def test_ping(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        for seq, size in enumerate((64, 28, 1500, 20000, 65534)):
            d, sent = echo(rig, "127.0.0.1", seq, size)
            got = rig.pread(d, 64 * 1024)
            assert len(got) == size
            vihl, tos, length, _id, frag, ttl, proto, _sum, src, dst = struct.unpack(">BBHHHBBH4s4s", got[:20])
            assert (vihl, tos, length, frag, ttl, proto) == (0x45, 0, size, 0, 255, 1)
            assert src == dst == bytes((127, 0, 0, 1))
            assert ptclcsum(got[:20]) == ptclcsum(got[20:]) == 0
            assert got[20:22] == b"\0\0"
            assert got[26:28] == seq.to_bytes(2, "big")
            assert got[28:] == sent[28:]
        stats = rig.slurp("/net/icmp/stats").decode()
        assert stats.startswith("InMsgs: 10\nInErrors: 0\nOutMsgs: 5\n")
        assert "EchoReply: 5 5\n1: 0 0\n" in stats
        assert "EchoRequest: 5 5\n" in stats


def test_ping_of_ipv6(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        d, sent = echo(rig, "::1", 77, 100)
        got = rig.pread(d, 1000)
        assert got[:8] == bytes((0x60, 0, 0, 0, 0, 60, 58, 255))
        assert got[8:24] == got[24:40] == bytes(15) + b"\x01"
        assert ptclcsum(bytes(4) + bytes((0, 60, 0, 58)) + got[8:]) == 0
        assert got[40:42] == bytes((129, 0))
        assert got[46:] == sent[46:]
        assert "EchoReplyV6: 1 0\n" in rig.slurp("/net/icmpv6/stats").decode()
        d, _ = echo(rig, "ff02::1", 1)
        assert rig.stat(d).length == 0  # the answer is from another address than was asked
        fd, at = rig.clone("icmpv6", "connect ::1!1", "headers")
        d = rig.data(at)
        port = int(rig.slurp(f"{at}/local").decode().strip().partition("!")[2])
        one = bytes(15) + b"\x01"
        rig.pwrite(d, bytes(8) + one + one + bytes((128, 0, 0, 0)) + port.to_bytes(2, "big") + b"\0\1own")
        assert rig.pread(d, 100)[40:][8:] == b"own"
        assert err(rig.pwrite, fd, b"headers 4") == "unknown control request"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_what_is_too_large_is_lost(rig: Netrig, address: str) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        d, _ = echo(rig, address, 1, 65536)
        assert rig.stat(d).length == 0


def test_what_is_told_of_it(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        fd, at = rig.clone("icmp", "connect 127.0.0.1!1")
        assert rig.slurp(f"{at}/status") == b"Datagram qin 0 qout 0\n"
        assert rig.slurp(f"{at}/remote") == b"127.0.0.1!1\n"
        assert 32768 <= int(rig.slurp(f"{at}/local").decode().strip().partition("!")[2]) < 65536
        assert err(rig.pwrite, fd, b"headers") == err(rig.pwrite, fd, b"frob") == "unknown control request"
        assert err(rig.pwrite, fd, b"connect 127.0.0.1!1") == "connection in use"
        d = rig.data(at)
        for short in (b"", b"x", bytes(27)):
            rig.pwrite(d, short)
        assert rig.slurp("/net/icmp/stats").startswith(b"InMsgs: 0\n")
        rig.clone("icmp", "announce 5")
        assert rig.slurp("/net/icmp/1/local") == b"::!5\n"


def test_nobody_answers(rig: Netrig) -> None:
    """Other machines, other versions, messages that are no request, and more than the queue holds."""

    @rig.run
    def _() -> None:
        rig.net()
        for proto, address in (("icmp", "10.0.0.1"), ("icmp", "::1"), ("icmpv6", "127.0.0.1"), ("icmpv6", "2001::1")):
            _, at = rig.clone(proto, f"connect {address}!1")
            d = rig.data(at)
            rig.pwrite(d, bytes(20) + b"\x08" + bytes(50))
            rig.pwrite(d, bytes(40) + b"\x80" + bytes(50))
            assert rig.stat(d).length == 0
        _, at = rig.clone("icmpv6", "connect ::1!1")
        d = rig.data(at)
        for type in (133, 135, 138, 255):
            rig.pwrite(d, bytes(40) + bytes((type, type == 133)) + bytes(50))
            assert rig.stat(d).length == 0
        stats = rig.slurp("/net/icmpv6/stats")
        assert b"IcmpCodeErrs: 1\n" in stats
        assert b"NbrSolicit: 1 1\n" in stats
        d, packet = echo(rig, "127.0.0.1", 0, 30000)
        for _ in range(10):
            rig.pwrite(d, packet)
        assert rig.stat(d).length == 90000


def test_a_datagram_for_nobody_is_counted(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        for address in ("127.0.0.1", "::1"):
            rig.pwrite(rig.data(rig.clone("udp", f"connect {address}!9")[1]), b"x")
        assert b"\nUnreachable: 1 0\n" in rig.slurp("/net/icmp/stats")
        assert b"\nUnreachableV6: 1 0\n" in rig.slurp("/net/icmpv6/stats")


def test_the_log(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        log = rig.open("/net/log", 2)
        rig.pwrite(log, b"set icmp")
        echo(rig, "127.0.0.1", 1)
        assert rig.pread(log, 1000) == b"icmpiput EchoRequest (8) 0\nicmpiput EchoReply (0) 0\n"


def test_a_round_trip_takes_its_time() -> None:
    rig = Netrig(Faults(delay=10_000_000))

    @rig.run
    def _() -> None:
        rig.net()
        d, _ = echo(rig, "127.0.0.1", 1)
        began = rig.k.fastticks()
        got: list[int] = []

        def read() -> None:
            rig.pread(d, 100)
            got.append(rig.k.fastticks() - began)

        rig.spawn(read, rig.up)
        while not got:
            wait(rig, 1)
        assert 19_000_000 < got[0] < 23_000_000


def test_there_are_so_many(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        for proto, n in (("icmp", 128), ("icmpv6", 16)):
            for _ in range(n):
                last, _at = rig.clone(proto)
            assert err(rig.open, f"/net/{proto}/clone", 2) == f"'/net/{proto}/clone' no free devices"
            rig.close(last)
            rig.clone(proto)
