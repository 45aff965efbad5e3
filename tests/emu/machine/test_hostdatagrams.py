"""Datagrams to and from the host's network: emu/machine/hostnet.py, sockets.py, and kernel/devices/ip/udp.py."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.emu.machine.hostrig import Make, maker, port

make = pytest.fixture(maker)


@pytest.fixture
def echoer() -> Iterator[socket.socket]:
    """A port of the host's for datagrams."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as s:
        s.bind(("127.0.0.1", 0))
        s.settimeout(20)
        yield s


def test_datagrams_go_out_and_answers_come(make: Make, echoer: socket.socket) -> None:
    rig = make(f"connect=127.0.0.1:{port(echoer)}")

    @rig.run
    def _() -> None:
        rig.net()
        fd, at = rig.clone("udp", f"connect 127.0.0.1!{port(echoer)}")
        d = rig.data(at)
        assert not rig.outer.ports
        for text in (b"ping", b"", b"z" * 60_000):
            rig.pwrite(d, text)
            got, where = echoer.recvfrom(1 << 16)
            assert got == text
            echoer.sendto(text + b"!", where)
            rig.until(lambda: rig.stat(d).length)
            assert rig.pread(d, 1 << 16) == text + b"!"
        assert rig.outer.waiting
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as other:
            other.bind(("127.0.0.1", 0))
            other.sendto(b"not asked", where)
            for _ in range(5):
                rig.outer.poll(0)
                time.sleep(0.002)
            assert rig.stat(d).length == 0
        rig.close(d)
        rig.close(fd)
        assert not rig.outer.ports
        assert rig.outer.sockets is not None
        assert not rig.outer.sockets._ports


def test_datagrams_with_their_addresses(make: Make, echoer: socket.socket) -> None:
    rig = make(f"connect=127.0.0.1:{port(echoer)}")

    @rig.run
    def _() -> None:
        rig.net()
        _, at = rig.clone("udp", "announce *!53", "headers")
        d = rig.data(at)
        local = bytes(10) + b"\xff\xff\x7f\0\0\1"
        there = port(echoer).to_bytes(2, "big")
        rig.pwrite(d, local + local + local + there + b"\0\x35" + b"who")
        got, where = echoer.recvfrom(100)
        assert got == b"who"
        echoer.sendto(b"me", where)
        rig.until(lambda: rig.stat(d).length)
        answer = rig.pread(d, 100)
        assert answer[:16] == local
        assert answer[48:52] == there + b"\0\x35"
        assert answer[52:] == b"me"


def test_datagrams_need_a_grant_too(make: Make, echoer: socket.socket) -> None:
    rig = make(f"connect=*:{port(echoer)},connect=127.0.0.1:{port(echoer) ^ 1}")
    echoer.setblocking(False)

    @rig.run
    def _() -> None:
        rig.net()
        for address in ("127.0.0.1", "::1", "0.0.0.0", "127.0.0.2", "255.255.255.255", "224.0.0.1"):
            _, at = rig.clone("udp", f"connect {address}!{port(echoer)}")
            rig.pwrite(rig.data(at), b"x")
        assert not rig.outer.waiting
        with pytest.raises(BlockingIOError):
            echoer.recv(10)
        # who hears it inside goes first
        _, lat = rig.clone("udp", f"announce *!{port(echoer) ^ 1}")
        _, at = rig.clone("udp", f"connect 127.0.0.1!{port(echoer) ^ 1}")
        rig.pwrite(rig.data(at), b"inside")
        assert rig.pread(rig.listen(lat)[1], 100) == b"inside"


def test_a_flood_of_answers(make: Make, echoer: socket.socket) -> None:
    """What nobody reads is dropped: a queue full of it is kept."""
    rig = make(f"connect=127.0.0.1:{port(echoer)}")

    @rig.run
    def _() -> None:
        rig.net()
        _, at = rig.clone("udp", f"connect 127.0.0.1!{port(echoer)}")
        d = rig.data(at)
        rig.pwrite(d, b"go")
        _, where = echoer.recvfrom(100)
        before = rig.k.mainmem.cursize
        for _ in range(200):
            for _ in range(5):
                echoer.sendto(b"z" * 8000, where)
            rig.outer.poll(0)
        assert 120_000 < rig.stat(d).length < 140_000
        assert rig.k.mainmem.cursize - before < 200_000
