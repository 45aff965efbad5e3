"""Many calls, and much of everything that a guest can have too much of: Plan 9's error, and memory comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from kernel.base.alloc import CONV, ROUTE
from kernel.base.chandat import ORDWR
from kernel.base.error import Error
from kernel.devices.ip import ndb
from kernel.devices.ip.conv import Maxincall, Nchans
from kernel.sched.clock import runtimers
from tests.kernel.devices.ip.net import Netrig, newnet
from tests.kernel.fakes import err

rig = pytest.fixture(newnet)


def later(rig: Netrig, ms: int) -> None:
    """Let time pass."""
    rig.k.m.cpu.spend(ms * 1_000_000)
    runtimers(rig.k, rig.k.m.cpu.now())


@contextmanager
def kept(rig: Netrig, convs: int = 0) -> Iterator[None]:
    """What is done leaves nothing of the kernel's memory taken but so many conversations, to be used again."""
    rig.slurp("/net/iproute")
    before = rig.k.mainmem.cursize
    yield
    rig.slurp("/net/iproute")
    assert 0 <= rig.k.mainmem.cursize - before - convs * CONV < 9000  # more descriptors, if any


def often(f: Callable[[int], object]) -> tuple[int, str]:
    """Call f with 0, 1 and so on until it fails: how often it did not, and the error."""
    n = 0
    while True:
        try:
            f(n)
        except Error as e:
            return n, str(e)
        n += 1


@pytest.mark.parametrize("calls", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_calls_one_after_the_other(rig: Netrig, calls: int) -> None:
    """The same three conversations are used again and again, if the calls are reset."""

    @rig.run
    def _() -> None:
        rig.net()
        with kept(rig, 3):
            announced, lat = rig.clone("tcp", "announce *!80")
            for i in range(calls):
                c, at = rig.clone("tcp", "connect 127.0.0.1!80")
                taken, d, _ = rig.listen(lat)
                rig.pwrite(d, b"%d" % i)
                e = rig.data(at)
                assert rig.pread(e, 10) == b"%d" % i
                rig.pwrite(c, b"hangup")
                for fd in (c, d, e, taken):
                    rig.close(fd)
            rig.close(announced)


def test_calls_that_are_closed_are_in_the_way_for_ten_seconds(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        with kept(rig, 100):
            rig.ip.protos[0][0].nc = 100
            announced, lat = rig.clone("tcp", "announce *!80")

            def call() -> None:
                c, _ = rig.clone("tcp", "connect 127.0.0.1!80")
                taken = rig.open(f"{lat}/listen", ORDWR)
                rig.close(c)
                rig.close(taken)

            for _ in range(98):  # the announcement, and who is called
                call()
            c, at = rig.clone("tcp", "connect 127.0.0.1!80")  # nothing is left for who would be called
            assert rig.state(at) == "Closed"
            assert err(rig.clone, "tcp") == "'/net/tcp/clone' no free devices"
            rig.close(c)
            later(rig, 10_050)
            for _ in range(10):
                call()
            rig.close(announced)
            later(rig, 10_050)


def test_as_many_at_once_as_there_can_be(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        with kept(rig, Nchans):
            announced, lat = rig.clone("tcp", "announce *!80")
            fds = [announced]
            for _ in range((Nchans - 1) // 2):
                fds.append(rig.clone("tcp", "connect 127.0.0.1!80")[0])
                fds.append(rig.open(f"{lat}/listen", ORDWR))
            # one is left: it is answered by nobody who could have the call
            last, at = rig.clone("tcp", "connect 127.0.0.1!80")
            d = rig.data(at)
            assert err(rig.pread, d, 1) == "Hangup"
            assert err(rig.clone, "tcp") == "'/net/tcp/clone' no free devices"
            for fd in fds[1:]:
                rig.pwrite(fd, b"hangup")
            for fd in (*fds, last, d):
                rig.close(fd)


def test_a_listener_that_never_accepts(rig: Netrig) -> None:
    """Ten calls wait, each with what fits into its queues; all that goes with the listener."""

    @rig.run
    def _() -> None:
        rig.net()
        with kept(rig, 1 + 2 * Maxincall + 1):
            announced, _ = rig.clone("tcp", "announce *!80")
            calls = [rig.clone("tcp", "connect 127.0.0.1!80") for _ in range(Maxincall)]
            before = rig.k.mainmem.cursize
            data = [rig.data(at) for _, at in calls]
            for fd in data:
                for _ in range(16):
                    assert rig.pwrite(fd, bytes(1 << 16)) == 1 << 16
            assert 10 << 20 < rig.k.mainmem.cursize - before < 11 << 20
            for _ in range(50):
                c, at = rig.clone("tcp", "connect 127.0.0.1!80")
                d = rig.data(at)
                assert err(rig.pread, d, 1) == "Hangup"
                rig.close(c)
                rig.close(d)
            rig.close(announced)
            for fd in data:
                assert err(rig.pwrite, fd, b"x") == "Hangup"
                rig.close(fd)
            for c, _ in calls:
                rig.close(c)


def test_what_nobody_reads_is_no_more_than_its_queues_hold(rig: Netrig) -> None:
    """Single bytes take the most of the host's memory; they are counted with all that they take."""

    @rig.run
    def _() -> None:
        rig.net()
        with kept(rig, 3):
            (c, e, _), (taken, d, _) = rig.pair()
            pool = rig.k.mainmem
            pool.maxsize = pool.cursize + (1 << 20)
            sent, why = often(lambda _: rig.pwrite(e, b"x"))
            assert why == "kernel allocate failed"
            assert sent > 3000
            assert pool.cursize <= pool.maxsize + 300
            assert rig.pread(d, sent + 1) == b"x" * sent
            for fd in (c, d, e, taken):
                rig.close(fd)
            later(rig, 10_050)


@pytest.mark.parametrize("n", [1000, 1 << 16, 80_000])
def test_messages_of_any_length(rig: Netrig, n: int) -> None:
    """Whether they are good or not, they take no memory that stays."""

    @rig.run
    def _() -> None:
        rig.net()
        fds = [rig.clone(proto)[0] for proto in ("tcp", "udp", "ipifc")]
        fds += [rig.open(f"/net/{f}", ORDWR) for f in ("arp", "iproute", "log", "ndb", "cs", "dns")]
        with kept(rig):
            for fd in fds:
                for text in (b"x", b"connect ", b"add ", b"set ", b"a ", b"'", b"\0", b"1!", b"tcp!"):
                    with suppress(Error):
                        rig.pwrite(fd, (text * n)[:n], 0)


@pytest.mark.parametrize(
    ("message", "local", "remote"),
    [
        ("connect 127.0.0.1!65616", "127.0.0.1!", "127.0.0.1!80\n"),
        ("connect 127.0.0.1!4294967376", "127.0.0.1!", "127.0.0.1!80\n"),
        ("connect 383.0.0.257!80 65537", "127.0.0.1!1\n", "127.0.0.1!80\n"),
        ("connect 127.0.0.1!80 -1", "127.0.0.1!65535\n", "127.0.0.1!80\n"),
        ("announce *!65537", "::!1\n", "::!0\n"),
        ("announce 127.0.0.257!-65535", "127.0.0.1!1\n", "::!0\n"),
        ("bind 99999999999999999999!7", "", ""),
    ],
)
def test_addresses_and_ports_wrap(rig: Netrig, message: str, local: str, remote: str) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        rig.clone("tcp", "announce *!80")
        fd, at = rig.clone("tcp")
        if not local:
            assert err(rig.pwrite, fd, message.encode()) == "not a local IP address"
            return
        rig.pwrite(fd, message.encode())
        assert rig.slurp(f"{at}/local").decode().startswith(local)
        assert rig.slurp(f"{at}/remote").decode() == remote


def test_routes_without_end(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        fd = rig.open("/net/iproute", ORDWR)
        with kept(rig):
            pool = rig.k.mainmem
            pool.maxsize = pool.cursize + (1 << 21)
            n, why = often(lambda n: rig.pwrite(fd, b"add 10.%d.%d.0 255.255.255.0 127.0.0.1" % divmod(n, 256)))
            assert (n, why) == ((1 << 21) // ROUTE, "kernel allocate failed")
            assert rig.slurp("/net/iproute").count(b"/120") >= n
            rig.pwrite(fd, b"remove 10.0.7.0 255.255.255.0")
            rig.pwrite(fd, b"add 10.0.7.0 255.255.255.0 127.0.0.1")
            rig.pwrite(fd, b"flush")


def test_a_database_without_end(rig: Netrig, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many pairs are looked at, however many there are."""
    monkeypatch.setattr(ndb, "MAXPAIRS", 7)

    @rig.run
    def _() -> None:
        rig.net()
        db = ndb.Ndb(rig.k)
        assert sum(len(line) for e in db.entries() for line in e) == 7
        assert db.value("sys", "far", "dom") is not None
        assert db.value("tcp", "http", "port") is None
        assert sum(len(line) for e in db.entries() for line in e) == 7
