"""The connection server and the name server: kernel/devices/devcs.py, kernel/devices/ip/ndb.py."""

from __future__ import annotations

import pytest

from kernel.base.chandat import ORDWR, Abind
from kernel.devices.ip.ndb import ipattr, ndbparse
from kernel.files.chan import namec
from tests.kernel.devices.ip.net import Netrig, newnet
from tests.kernel.fakes import err

rig = pytest.fixture(newnet)


def ask(rig: Netrig, what: str, server: str = "cs") -> list[str] | str:
    """The replies, or the error."""
    fd = rig.open(f"/net/{server}", ORDWR)
    try:
        rig.seek(fd, 0, 0)
        why = ""
        try:
            rig.pwrite(fd, what.encode())
        except Exception as e:  # noqa: BLE001 - Error, which is shown
            why = str(e)
        if why:
            return why
        rig.seek(fd, 0, 0)
        out = []
        while data := rig.pread(fd, 128):
            out.append(data.decode())
        return out
    finally:
        rig.close(fd)


@pytest.mark.parametrize(
    ("what", "answer"),
    [
        ("tcp!127.0.0.1!80", ["/net/tcp/clone 127.0.0.1!80"]),
        ("tcp!localhost!http", ["/net/tcp/clone 127.0.0.1!80"]),
        ("tcp!*!http", ["/net/tcp/clone 80"]),
        ("tcp!::!0", ["/net/tcp/clone 0"]),
        ("tcp![::1]!564", ["/net/tcp/clone ::1!564"]),
        ("tcp!::1!564", ["/net/tcp/clone ::1!564"]),
        ("udp!here!time", ["/net/udp/clone 127.0.0.1!37"]),
        ("tcp!far!9000", ["/net/tcp/clone 10.1.2.3!9000", "/net/tcp/clone fe80::1!9000"]),
        ("tcp!far.net!9000", ["/net/tcp/clone 10.1.2.3!9000", "/net/tcp/clone fe80::1!9000"]),
        ("tcp!localhost!login", ["/net/tcp/clone 127.0.0.1!513!r"]),
        ("tcp!localhost!513", ["/net/tcp/clone 127.0.0.1!513!r"]),
        ("tcp!localhost!*", ["/net/tcp/clone 127.0.0.1!*"]),
        ("net!localhost!http", ["/net/tcp/clone 127.0.0.1!80"]),
        ("net!127.0.0.1!1", ["/net/tcp/clone 127.0.0.1!1", "/net/udp/clone 127.0.0.1!1"]),
        ("unix!a!b", ["/net/unix/clone a!b"]),
        ("unix!a", ["/net/unix/clone a"]),
        ("tcp!localhost!80!fast", ["/net/tcp/clone 127.0.0.1!80!fast"]),
        ("!protocol=tcp", ["protocol=tcp ipv4proto=6"]),
        ("!sys=far ip=*", ["sys=far dom=far.net", "ip=10.1.2.3", "ip=fe80::1"]),
        ("!sys=nobody", "no match"),
        ("!", "bad query"),
        ("!frob", "bad query"),
        ("tcp!nobody!80", "can't translate address: dns: name does not exist"),
        ("tcp!localhost!nothing", "can't translate service"),
        ("tcp!localhost!a b", "can't translate service"),
        ("tcp!localhost", "can't translate service"),
        ("tcp", "can't translate service"),
        ("", "can't translate service"),
        ("refresh", []),
        ("x" * 128, "request too long"),
        ("x" * 65536, "request too long"),
    ],
)
def test_connections(rig: Netrig, what: str, answer: list[str] | str) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        assert ask(rig, what) == answer


@pytest.mark.parametrize(
    ("what", "answer"),
    [
        ("localhost ip", ["localhost ip\t127.0.0.1"]),
        ("FAR.net. ipv6", ["far.net ipv6\tfe80::1"]),
        ("1.0.0.127.in-addr.arpa ptr", ["1.0.0.127.in-addr.arpa ptr\tlocalhost"]),
        ("far.net mx", "dns: resource does not exist; negrcode 0"),
        ("nobody.example ip", "dns: name does not exist"),
        ("!localhost ip\n", ["localhost ip\t127.0.0.1"]),
        ("localhost", "dns: illegal request localhost"),
        ("localhost frob", "dns: unknown type frob"),
        ("localhost ip ipv6", "dns: unknown type ip ipv6"),
        ("stats", []),
        ("x" * 2000, "dns: request too long"),
    ],
)
def test_names(rig: Netrig, what: str, answer: list[str] | str) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        assert ask(rig, what, "dns") == answer


def test_a_question_to_dns_stands_at_the_beginning(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        fd = rig.open("/net/dns", ORDWR)
        assert err(rig.pwrite, fd, b"localhost ip", 1) == "dns: writing at non-zero offset"


def test_the_database_is_that_of_who_asks_and_of_now(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        assert ask(rig, "tcp!new!80") == "can't translate address: dns: name does not exist"
        fd = rig.create("/tmp/hosts", ORDWR)
        rig.pwrite(fd, b"sys=old ip=1.2.3.4\n")
        rig.root.addfile("/lib/ndb/mine", b"database=\n\tfile=/lib/ndb/local\n\tfile=/tmp/hosts\n")
        rig.mount(namec(rig.k, "/lib/ndb/mine", Abind), "/lib/ndb/local")
        assert ask(rig, "tcp!old!80") == ["/net/tcp/clone 1.2.3.4!80"]
        rig.pwrite(fd, b"new", 4)
        assert ask(rig, "tcp!new!80") == ["/net/tcp/clone 1.2.3.4!80"]
        assert ask(rig, "tcp!new!http") == "can't translate service"


def test_a_reply_may_be_read_in_pieces(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        fd = rig.open("/net/cs", ORDWR)
        rig.pwrite(fd, b"tcp!far!1")
        assert rig.pread(fd, 10, 0) == b"/net/tcp/c"
        assert rig.pread(fd, 100, 10) == b"lone 10.1.2.3!1"
        assert rig.pread(fd, 100, 25) == b"/net/tcp/clone fe80::1!1"
        charged = rig.k.mainmem.cursize
        rig.close(fd)
        assert rig.k.mainmem.cursize < charged
        assert err(rig.open, "/net/cs/x") == "'/net/cs' not a directory"


def test_entries() -> None:
    text = "# none\n\na=1 b='two words' c # rest\n\td=\"x\" e = f\n\n   \ng=2\n"
    assert ndbparse(text, 1000) == [
        [[("a", "1"), ("b", "two words"), ("c", "")], [("d", "x"), ("e", "f")]],
        [[("g", "2")]],
    ]


def test_kinds_of_names() -> None:
    names = ("1.2.3.4", "::1", "far.net", "far", "fe80::a", "a_b", "12")
    assert [ipattr(n) for n in names] == ["ip", "ip", "dom", "sys", "ip", "sys", "sys"]
