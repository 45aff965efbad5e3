"""What of the host's network is granted, and what is not; names; the start; the journal: emu/machine/hostnet.py."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from emu.machine.config import MachineError
from emu.machine.hostnet import Hostnet
from emu.machine.journal import Damaged, Entry, Journal
from emu.machine.netconfig import parse
from tests.emu.machine.hostrig import Hostrig, Make, listener, maker, port
from tests.kernel.devices.ip.net import Netrig, wait
from tests.kernel.fakes import err

server = pytest.fixture(listener)
make = pytest.fixture(maker)


def test_grants() -> None:
    k = Netrig().k
    said: list[str] = []
    for words, yes, no in (
        ("connect=10.1.2.3:80", ["10.1.2.3:80"], ["10.1.2.3:81", "10.1.2.4:80", "[2001:db8::1]:80"]),
        (
            "connect=*:80",
            ["10.1.2.3:80", "[2001:db8::1]:80"],
            ["10.1.2.3:81", "127.0.0.1:80", "[::1]:80", "0.0.0.0:80", "169.254.169.254:80", "[fe80::1]:80"],
        ),
        ("connect=169.254.169.254:80", ["169.254.169.254:80"], ["169.254.169.253:80"]),
        ("connect=10.1.2.3:*", ["10.1.2.3:1", "10.1.2.3:65535"], ["10.1.2.4:1"]),
        ("connect=127.0.0.1:*", ["127.0.0.1:1"], ["127.0.0.2:1", "[::1]:1"]),
        ("connect=localhost:80", ["127.0.0.1:80", "[::1]:80"], ["127.0.0.2:80", "127.0.0.1:81"]),
        ("connect=[::ffff:10.0.0.1]:80", ["10.0.0.1:80"], ["[::10.0.0.1]:80"]),
        ("connect=example.com:80,resolve", [], ["10.1.2.3:80", "127.0.0.1:80"]),
        ("connect=0.0.0.0:80", [], ["0.0.0.0:80", "127.0.0.1:80"]),
    ):
        net = Hostnet(k, parse(words), said.append, False)
        for where in yes + no:
            g = parse(f"connect={where}").connect[0]
            assert g.address is not None and g.port is not None
            assert net._granted(g.address, g.port) is (where in yes), (words, where)
        net.close()


def own() -> str:
    """An address of this computer's that is not its loopback, "" if there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.77", 9))  # nothing is sent
        except OSError:
            return ""
        address: str = s.getsockname()[0]
        return address


def test_the_hosts_other_addresses(make: Make) -> None:
    """A star is others: it is no way to what listens at all addresses, but must be named as the loopback must."""
    address = own() or "127.0.0.1"
    with socket.create_server(("0.0.0.0", 0)) as s:
        s.setblocking(False)
        rig = make("connect=*:*")

        @rig.run
        def _() -> None:
            rig.net()
            fd, _at = rig.clone("tcp")
            out = rig.later(lambda: rig.pwrite(fd, f"connect {address}!{port(s)}".encode()))
            for _ in range(3):
                rig.outer.poll(0)
                wait(rig, 1)
            assert out in (["no route"], ["connection refused"])
            net = f"{address}:{port(s)}"
            assert rig.said == [f"net: {net} is not called (--net connect={net} would allow it)"]

        with pytest.raises(BlockingIOError):
            s.accept()

        named = make(f"connect={address}:*")

        @named.run
        def _() -> None:
            named.net()
            assert named.dial(f"{address}!{port(s)}")[2] not in ("no route", "connection refused")

        s.setblocking(True)
        s.settimeout(20)
        s.accept()[0].close()


def test_what_is_refused_is_told_once(make: Make) -> None:
    rig = make("loss=0%")

    @rig.run
    def _() -> None:
        rig.net()
        for _ in range(2):
            for address, why in (("10.0.0.1!80", "no route"), ("::1!7", "connection refused")):
                fd, _at = rig.clone("tcp")
                assert err(rig.pwrite, fd, f"connect {address}".encode()) == why
        assert rig.said == [
            "net: 10.0.0.1:80 is not called (--net connect=10.0.0.1:80 would allow it)",
            "net: [::1]:7 is not called (--net connect=[::1]:7 would allow it)",
        ]
        for i in range(100):
            err(rig.pwrite, rig.clone("tcp")[0], f"connect 10.0.0.1!{i + 1}".encode())
        assert len(rig.said) == 20


# Names


def names(rig: Hostrig, query: str, file: str = "cs") -> str:
    """The first that /net/cs says, or its error."""

    def ask() -> object:
        fd = rig.open(f"/net/{file}", 2)
        rig.pwrite(fd, query.encode())
        return rig.pread(fd, 1000, 0).decode()

    out = rig.later(ask)
    rig.until(lambda: out)
    return str(out[0])


NAMES = {
    "example.com": ["10.1.2.3", "2001:db8::1"],
    "evil.example": ["127.0.0.1", "::1", "0.0.0.0"],
    "fe.example": ["fe80::1%lo"],
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that the host was asked for, of which it knows some."""
    out: list[str] = []

    def getaddrinfo(name: str, *_: object, **__: object) -> list[object]:
        out.append(name)
        if name not in NAMES:
            raise socket.gaierror(-2, "Name or service not known")
        return [(0, 0, 0, "", (ip, 0)) for ip in NAMES[name]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return out


def test_names_are_asked_for(make: Make, asked: list[str]) -> None:
    rig = make("resolve")

    @rig.run
    def _() -> None:
        rig.net()
        assert names(rig, "tcp!example.com!http") == "/net/tcp/clone 10.1.2.3!80"
        assert names(rig, "net!EXAMPLE.com.!80") == "/net/tcp/clone 10.1.2.3!80"
        assert names(rig, "example.com ip", "dns") == "example.com ip\t10.1.2.3"
        assert names(rig, "example.com ipv6", "dns") == "example.com ipv6\t2001:db8::1"
        assert names(rig, "tcp!fe.example!80") == "/net/tcp/clone fe80::1!80"
        assert names(rig, "tcp!none.example!80") == "can't translate address: dns: name does not exist"
        assert asked == ["example.com"] * 4 + ["fe.example", "none.example"]
        asked.clear()
        assert names(rig, "tcp!localhost!80") == "/net/tcp/clone 127.0.0.1!80"
        assert names(rig, "tcp!far.net!80").startswith("/net/tcp/clone 10.1.2.3!80")  # the database goes first
        for name in ("a b", "a/b", "-a", "a..b", "a_\x01", "ä.example", "0x7f", "a" * 64):
            assert "name does not exist" in names(rig, f"tcp!{name}!80")
        assert names(rig, "tcp!1.2.3!80") == "/net/tcp/clone 1.2.3!80"  # an address, as Plan 9 reads them
        assert names(rig, "tcp!localhost\0.example!80") == "can't translate service"
        assert not asked
        assert err(rig.pwrite, rig.clone("tcp")[0], b"connect 10.1.2.3!80") == "no route"  # a name is no call


def test_names_are_not_asked_for_unless_granted(make: Make, asked: list[str]) -> None:
    rig = make("connect=example.com:80,connect=*:9")

    @rig.run
    def _() -> None:
        rig.net()
        assert names(rig, "tcp!evil.example!80") == "can't translate address: dns: name does not exist"
        assert rig.said == ["net: the host is not asked for evil.example (--net resolve would allow it)"]
        assert not asked
        assert err(rig.pwrite, rig.clone("tcp")[0], b"connect 10.1.2.3!80") == "no route"
        assert names(rig, "tcp!example.com!80") == "/net/tcp/clone 10.1.2.3!80"
        assert asked == ["example.com"]
        assert rig.outer._granted(parse("connect=10.1.2.3:80").connect[0].address, 80)  # type: ignore[arg-type]
        assert not rig.outer._granted(parse("connect=10.1.2.3:81").connect[0].address, 81)  # type: ignore[arg-type]


def test_a_name_of_the_host_itself_grants_nothing(make: Make, asked: list[str], server: socket.socket) -> None:
    rig = make(f"connect=evil.example:{port(server)}")
    server.setblocking(False)

    @rig.run
    def _() -> None:
        rig.net()
        assert names(rig, f"tcp!evil.example!{port(server)}") == f"/net/tcp/clone 127.0.0.1!{port(server)}"
        for ip in NAMES["evil.example"]:
            assert rig.dial(f"{ip}!{port(server)}")[2] in ("connection refused", "no route")
        with pytest.raises(BlockingIOError):
            server.accept()


# The start


def test_a_port_that_somebody_has(server: socket.socket) -> None:
    with pytest.raises(MachineError, match=rf"^--net listen=127.0.0.1:{port(server)}: Address already in use$"):
        Hostrig(f"listen=0=1,listen={port(server)}")


def test_a_port_that_is_not_for_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    def bind(self: socket.socket, where: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", bind)
    with pytest.raises(MachineError, match=r"^--net listen=127.0.0.1:80: Permission denied$"):
        Hostrig("listen=80")


def test_an_open_door_is_warned_of(make: Make) -> None:
    rig = make("listen=0.0.0.0:0=80")
    assert rig.said[1:] == [f"net: warning: whoever can reach 0.0.0.0:{rig.port} can call the guest"]


# The journal


def test_what_came_is_given_back(make: Make, server: socket.socket) -> None:
    """A second run that is given the journal asks the host nothing, and is the same."""
    written: list[Entry] = []
    seen: list[list[object]] = []
    callers: list[socket.socket] = []

    def session(rig: Hostrig, peer: Callable[[], socket.socket | None]) -> None:
        @rig.run
        def _() -> None:
            rig.net()
            out: list[object] = []
            seen.append(out)
            _, at, why = rig.dial(f"127.0.0.1!{port(server)}")
            s = peer()
            d = rig.data(at)
            rig.pwrite(d, b"hello")
            if s is not None:
                s.sendall(b"x" * 100_000)
                s.close()
            rig.until(lambda: rig.state(at) == "Close_wait" or rig.qin(at) > 99_000)
            out += [why, rig.pread(d, 200_000)]
            _, lat = rig.clone("tcp", "announce *!80")
            if rig.outer.sockets is not None:
                callers.append(socket.create_connection(("127.0.0.1", rig.port)))
            rig.until(lambda: rig.waits(lat))
            out.append(rig.slurp(f"{rig.listen(lat)[2]}/remote"))

    words = f"connect=127.0.0.1:{port(server)},listen=0=80"
    session(make(words, Journal(written.append)), lambda: server.accept()[0])
    again = Journal()
    again.replay(iter(written))
    rig = make(words, again)
    assert rig.outer.sockets is None
    session(rig, lambda: None)
    assert len(callers) == 1
    callers[0].close()
    assert seen[0] == seen[1]
    assert seen[0][1] == b"x" * 100_000


@pytest.mark.parametrize(
    "event", [["frob", 1], ["data", 1], ["data", 1, "x"], ["up", "1"], ["call", 1, 2, b"", None], 7, "x"]
)
def test_a_journal_that_makes_no_sense(make: Make, event: object) -> None:
    journal = Journal()
    journal.replay(iter([("net", [], ["=", [event]])]))
    rig = make("connect=10.0.0.1:80", journal)
    rig.outer.connect(bytes(10) + b"\xff\xff\x0a\0\0\1", 80, None)  # type: ignore[arg-type]
    with pytest.raises(Damaged):
        rig.outer.poll(0)
