"""Interfaces, routes, the log: kernel/devices/ip/ifc.py, fs.py, netlog.py."""

from __future__ import annotations

import pytest

from kernel.base.chandat import ORDWR, OWRITE
from kernel.sched.sched import yield_
from tests.kernel.devices.ip.net import Netrig, newnet
from tests.kernel.fakes import err

rig = pytest.fixture(newnet)


def test_the_loopback_is_there(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        lines = rig.slurp("/net/ipifc/0/status").decode().split("\n")
        assert lines[0].startswith("device /dev/null maxtu 16384 sendra 0 recvra 0 mflag 0")
        assert [line.split()[:3] for line in lines[1:3]] == [["127.0.0.1", "/104", "127.0.0.0"], ["::1", "/128", "::1"]]
        assert rig.ls("/net/ipifc") == ["0", "clone", "stats"]
        assert rig.ls("/net/ipifc/0") == ["ctl", "data", "err", "listen", "local", "remote", "status", "snoop"]
        assert rig.slurp("/net/ipifc/0/local").startswith(b"127.0.0.1   ")


def test_addresses_are_added_and_removed(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        before = rig.slurp("/net/iproute"), rig.slurp("/net/ipselftab"), rig.k.mainmem.cursize
        fd = rig.open("/net/ipifc/0/ctl", ORDWR)
        rig.pwrite(fd, b"add 10.0.0.7 255.255.255.0")
        rig.clone("tcp", "announce 10.0.0.7!80")
        call, at = rig.clone("tcp", "connect 10.0.0.7!80")
        assert rig.slurp(f"{at}/local").startswith(b"10.0.0.7!")
        assert b"10.0.0.0        /120 10.0.0.0        4i   ifc    0\n" in rig.slurp("/net/iproute")
        unreachable, _ = rig.clone("tcp")
        assert err(rig.pwrite, unreachable, b"connect 10.0.1.7!80") == "no route"
        rig.pwrite(fd, b"remove 10.0.0.7 255.255.255.0")
        assert (rig.slurp("/net/iproute"), rig.slurp("/net/ipselftab")) == before[:2]
        assert err(rig.pwrite, fd, b"remove 10.0.0.7 255.255.255.0") == "address not on this interface"
        rig.close(call)


def test_another_interface(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        fd, at = rig.clone("ipifc")
        assert at == "/net/ipifc/1"
        assert err(rig.pwrite, fd, b"add 10.0.0.1") == "ipifc not yet bound to device"
        assert err(rig.pwrite, fd, b"bind ether /net/ether0") == "unknown interface type"
        rig.pwrite(fd, b"bind loopback /dev/null")
        assert err(rig.pwrite, fd, b"bind loopback /dev/null") == "interface already bound"
        rig.pwrite(fd, b"connect 10.0.0.1")
        assert b"10.0.0.1" in rig.slurp(f"{at}/status")
        rig.pwrite(fd, b"unbind")
        assert b"10.0.0.1" not in rig.slurp("/net/ipselftab")


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("add", "bad arg in system call"),
        ("add x", "bad ip address syntax"),
        ("remove 1.2.3.4", "bad arg in system call"),
        ("mtu 99999", "bad arg in system call"),
        ("announce 5", "announce not supported"),
        ("frobnicate", "unsupported ctl"),
        ("bind", "bad arg in system call"),
    ],
)
def test_bad_messages(rig: Netrig, message: str, error: str) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        fd = rig.open("/net/ipifc/0/ctl", ORDWR)
        assert err(rig.pwrite, fd, message.encode()) == error


def test_routes(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        before = rig.slurp("/net/iproute")
        fd = rig.open("/net/iproute", ORDWR)
        for bad, why in (
            (b"", "bad arg in system call"),
            (b"add 1.0.0.0 255.0.0.0", "bad arg in system call"),
            (b"add x y z", "bad ip address syntax"),
            (b"remove 1", "bad arg in system call"),
            (b"tag", "bad arg in system call"),
        ):
            assert err(rig.pwrite, fd, bad) == why
        rig.pwrite(fd, b"tag abcdef")
        rig.pwrite(fd, b"add 1.0.0.0 255.0.0.0 127.0.0.9")
        assert b"1.0.0.0         /104 127.0.0.9       4    abcd   0\n" in rig.slurp("/net/iproute")
        rig.pwrite(fd, b"flush none")
        rig.pwrite(fd, b"add 2.0.0.0 255.0.0.0 127.0.0.9")
        rig.pwrite(fd, b"remove 2.0.0.0 255.0.0.0")
        rig.pwrite(fd, b"flush abcd")
        assert rig.slurp("/net/iproute") == before


def test_the_log(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        fd = rig.open("/net/log", ORDWR)
        assert err(rig.pwrite, fd, b"set") == "too few arguments for netlog control message"
        assert err(rig.pwrite, fd, b"frob tcp") == 'unknown control message "frob tcp"'
        rig.pwrite(fd, b"only 127.0.0.1")
        rig.pwrite(fd, b"set udp tcp nonsense")
        rig.pwrite(fd, b"clear tcp")
        got: list[bytes] = []
        rig.spawn(lambda: got.append(rig.pread(fd, 1000)), rig.up)
        yield_(rig.k)
        _, at = rig.clone("udp", "connect 127.0.0.1!99 7")
        rig.pwrite(rig.data(at), b"x")
        yield_(rig.k)
        yield_(rig.k)
        assert got == [b"udp: no conv 127.0.0.1!7 -> 127.0.0.1!99\n"]


def test_the_other_files(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        assert rig.slurp("/net/arp") == rig.slurp("/net/bootp") == b""
        fd = rig.open("/net/arp", ORDWR)
        rig.pwrite(fd, b"flush")
        rig.pwrite(fd, b"del 127.0.0.2")
        for bad, why in (
            (b"", "bad arp"),
            (b"frob", "bad arp"),
            (b"add x y", "bad ip address syntax"),
            (b"add", "bad arg in system call"),
            (b"add 127.0.0.2 aabbccddeeff", "bad arp"),
            (b"add 9.9.9.9 aabbccddeeff", "Destination unreachable"),
            (b"add loopback 127.0.0.2 aabbccddeeff and more", "bad arp"),
            (b"add\t127.0.0.2 aabbccddeeff", "bad arp"),
            (b"del 127.0.0.2 x", "bad arg in system call"),
        ):
            assert err(rig.pwrite, fd, bad) == why
        fd = rig.open("/net/ndb", ORDWR)
        rig.pwrite(fd, b"ip=10.0.0.1 dns=10.0.0.2\n")
        assert rig.slurp("/net/ndb") == b"ip=10.0.0.1 dns=10.0.0.2\n"
        assert rig.stat("/net/ndb").length == 25
        assert err(rig.pwrite, fd, b"x" * 1024, 0) == err(rig.pwrite, fd, b"x", 100) == "i/o error"
        assert rig.slurp("/net/ipifc/stats").startswith(b"Forwarding: 0\nDefaultTTL: 255\nInReceives: 0\n")


def test_who_may(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        _, at = rig.clone("tcp")
        rig.up.user = "somebody"
        for name in ("arp", "iproute", "ndb", "ipselftab", "tcp/stats", "tcp/0/status"):
            assert err(rig.open, f"/net/{name}", OWRITE) == f"'/net/{name}' permission denied"
        assert err(rig.pwrite, rig.open("/net/tcp/clone", ORDWR), b"announce *") == "permission denied"
        assert rig.stat(f"{at}/ctl").uid == "eve"
