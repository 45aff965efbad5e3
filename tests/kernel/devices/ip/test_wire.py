"""A loopback that takes its time and loses things: kernel/devices/ip/wire.py, far.py, fartcp.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kernel.base.chandat import ORDWR
from kernel.devices import qio
from kernel.devices.ip import fartcp, tcp
from kernel.devices.ip.conv import Conv, Proto
from kernel.devices.ip.far import Farconv
from kernel.devices.ip.fartcp import Fartcp
from kernel.devices.ip.wire import MILLION, Faults
from tests.kernel.devices.ip.net import Netrig, wait
from tests.kernel.fakes import err

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel
    from kernel.devices.qio import Queue

MS = 1_000_000


def calling(rig: Netrig, address: str) -> tuple[int, str, list[object]]:
    """A conversation that another process lets call: ctl, directory, what came of it."""
    fd, at = rig.clone("tcp")
    return fd, at, rig.later(lambda: rig.pwrite(fd, f"connect {address}".encode()))


def connected(rig: Netrig, ms: int) -> tuple[tuple[int, int, str], tuple[int, int, str]]:
    """A caller and who took the call: ctl, data, directory of each."""
    announced, lat = rig.clone("tcp", "announce *!80")
    c, cat, call = calling(rig, "127.0.0.1!80")
    for _ in range(8):
        wait(rig, ms)
    assert call == [20]
    taken = rig.listen(lat)
    rig.close(announced)
    return (c, rig.data(cat), cat), taken


def words(rig: Netrig, at: str) -> dict[str, str]:
    """Its status by name."""
    w = rig.slurp(f"{at}/status").decode().split()
    return dict(zip(w[1::2], w[2::2], strict=False))


def test_a_call_takes_a_round_trip() -> None:
    rig = Netrig(Faults(delay=10 * MS))

    @rig.run
    def _() -> None:
        rig.net()
        _, lat = rig.clone("tcp", "announce *!80")
        began = rig.k.fastticks()
        fd, _ = rig.clone("tcp")
        took = rig.later(lambda: (rig.pwrite(fd, b"connect 127.0.0.1!80"), rig.k.fastticks() - began)[1])
        heard = rig.later(lambda: (rig.open(f"{lat}/listen", ORDWR), rig.k.fastticks() - began)[1])
        while not heard:
            wait(rig, 1)
        assert 20 * MS <= took[0] < 24 * MS  # type: ignore[operator]
        assert 30 * MS <= heard[0] < 35 * MS  # type: ignore[operator]
        assert words(rig, "/net/tcp/1")["srtt"] in ("160", "168", "176")
        assert words(rig, "/net/tcp/2")["srtt"] == "160"
        assert words(rig, "/net/tcp/2")["mdev"] == "80"


def test_nobody_is_there_is_told_as_late() -> None:
    rig = Netrig(Faults(delay=10 * MS))

    @rig.run
    def _() -> None:
        rig.net()
        call = rig.later(lambda: rig.clone("tcp", "connect 127.0.0.1!80"))
        wait(rig, 1)
        wait(rig, 11)
        assert not call
        wait(rig, 11)
        assert call == ["connection refused"]


def test_data_is_under_way_and_the_window_holds() -> None:
    rig = Netrig(Faults(delay=10 * MS))

    @rig.run
    def _() -> None:
        rig.net()
        (_, e, cat), (_, d, nat) = connected(rig, 10)
        rig.pwrite(e, b"there")
        assert words(rig, nat)["qin"] == "0"
        wait(rig, 11)
        assert rig.pread(d, 10) == b"there"
        wait(rig, 11)
        sent = 0

        def writer() -> None:
            nonlocal sent
            for _ in range(60):
                sent += rig.pwrite(e, b"z" * 65536)

        rig.spawn(writer, rig.up)
        wait(rig, 0)
        assert words(rig, nat)["qin"] == "0"
        for _ in range(4):
            wait(rig, 10)
        assert words(rig, nat)["qin"] == str((64 * 1024 - 1) << 4)
        assert words(rig, cat)["swin"].startswith("0>>")
        assert 1 << 20 < sent < 3 << 20
        got = 0
        while got < 60 * 65536:
            if words(rig, nat)["qin"] == "0":
                wait(rig, 10)
            else:
                got += len(rig.pread(d, 100_000))
        assert sent == got == 60 * 65536
        wait(rig, 11)
        assert words(rig, cat)["swin"].startswith(f"{(64 * 1024 - 1) << 4}>>")
        assert not rig.ip.ipfs[0].wire._all  # type: ignore[union-attr]


def test_what_was_sent_comes_before_the_end() -> None:
    rig = Netrig(Faults(delay=10 * MS))

    @rig.run
    def _() -> None:
        rig.net()
        (c, e, cat), (taken, d, nat) = connected(rig, 10)
        rig.pwrite(e, b"last words")
        rig.close(e)
        rig.close(c)
        assert (rig.state(cat), rig.state(nat)) == ("Finwait1", "Established")
        wait(rig, 11)
        assert (rig.state(cat), rig.state(nat)) == ("Finwait1", "Close_wait")
        wait(rig, 11)
        assert (rig.state(cat), rig.state(nat)) == ("Finwait2", "Close_wait")
        assert rig.pread(d, 100) == b"last words"
        assert rig.pread(d, 100) == b""
        rig.close(d)
        rig.close(taken)
        assert rig.state(nat) == "Last_ack"
        wait(rig, 11)
        wait(rig, 11)
        assert (rig.state(cat), rig.state(nat)) == ("Time_wait", "Closed")
        wait(rig, 10_100)
        assert rig.state(cat) == "Closed"


def test_resets_and_those_who_write_too_late() -> None:
    rig = Netrig(Faults(delay=10 * MS))

    @rig.run
    def _() -> None:
        rig.net()
        (c, e, cat), (_, d, nat) = connected(rig, 10)
        rig.pwrite(c, b"hangup")
        assert (rig.state(cat), rig.state(nat)) == ("Closed", "Established")
        rig.pwrite(d, b"too late")
        wait(rig, 11)
        assert rig.state(nat) == "Closed"
        assert err(rig.pread, d, 10) == "Hangup"
        assert rig.pread(e, 10) == b""
        (c, e, cat), (taken, d, nat) = connected(rig, 10)
        rig.close(d)
        rig.close(taken)
        wait(rig, 11)
        wait(rig, 11)
        assert rig.pwrite(e, b"is anybody there") == 16
        wait(rig, 11)
        wait(rig, 11)
        assert err(rig.pwrite, e, b"x") == "Hangup"


def test_a_call_to_oneself_and_from_a_port_just_used() -> None:
    rig = Netrig(Faults(delay=1 * MS))

    @rig.run
    def _() -> None:
        rig.net()
        fd, at, call = calling(rig, "127.0.0.1!5000 127.0.0.1!5000")
        for _ in range(4):
            wait(rig, 1)
        assert call == [37]
        d = rig.data(at)
        rig.pwrite(d, b"echo")
        wait(rig, 2)
        assert rig.pread(d, 10) == b"echo"
        rig.close(d)
        rig.close(fd)
        for _ in range(3):
            wait(rig, 2)
        assert rig.state(at) == "Time_wait"
        _, lat = rig.clone("tcp", "announce *!80")
        c, cat, _ = calling(rig, "127.0.0.1!80 127.0.0.1!5001")
        for _ in range(4):
            wait(rig, 1)
        ctl, d, nat = rig.listen(lat)
        for fd in (ctl, d):
            rig.close(fd)
        wait(rig, 2)
        wait(rig, 2)
        rig.close(c)
        for _ in range(3):
            wait(rig, 2)
        assert (rig.state(nat), rig.state(cat)) == ("Time_wait", "Closed")
        call = rig.later(lambda: rig.state(rig.clone("tcp", "connect 127.0.0.1!80 127.0.0.1!5001")[1]))
        for ms in (2, 2, 400):
            wait(rig, ms)
        assert (call, rig.state(nat)) == ([], "Closed")
        for ms in (100, 2, 2, 2):
            wait(rig, ms)
        assert call == ["Established"]


def test_eleven_calls() -> None:
    rig = Netrig(Faults(delay=1 * MS))

    @rig.run
    def _() -> None:
        rig.net()
        _, lat = rig.clone("tcp", "announce *!80")
        calls = [calling(rig, "127.0.0.1!80") for _ in range(11)]
        for _ in range(8):
            wait(rig, 1)
        assert sorted(rig.state(at) for _, at, _ in calls) == ["Closed"] + ["Established"] * 10
        assert rig.listen(lat)


def test_streams_are_cut_by_chance() -> None:
    rig = Netrig(Faults(reset=MILLION))

    @rig.run
    def _() -> None:
        rig.net()
        rig.clone("tcp", "announce *!80")
        call = rig.later(lambda: rig.clone("tcp", "connect 127.0.0.1!80"))
        wait(rig, 1)
        assert call == ["connection refused"]

    rig = Netrig(Faults(reset=1))

    @rig.run
    def _() -> None:
        rig.net()
        (_, e, cat), (_, d, nat) = connected(rig, 0)
        rig.pwrite(e, b"well")
        wait(rig, 1)
        assert rig.pread(d, 10) == b"well"
        wire = rig.ip.ipfs[0].wire
        assert wire is not None
        wire.faults = Faults(reset=MILLION)
        rig.pwrite(e, b"cut")
        wait(rig, 1)
        assert rig.state(cat) == rig.state(nat) == "Closed"
        assert err(rig.pread, d, 10) == err(rig.pwrite, e, b"x") == "Hangup"


def datagrams(faults: Faults, n: int) -> list[int]:
    """The numbers of n datagrams in the order in which they come."""
    rig = Netrig(faults)
    got: list[int] = []

    @rig.run
    def _() -> None:
        rig.net()
        _, at = rig.clone("udp", "announce *!9")
        _, cat = rig.clone("udp", "connect 127.0.0.1!9")
        e = rig.data(cat)
        before = rig.k.mainmem.cursize
        for i in range(n):
            rig.pwrite(e, b"%d" % i)
            wait(rig, 0)
        for _ in range(4):
            wait(rig, 20)
        ctl, d, _ = rig.listen(at)
        while rig.stat(d).length:
            got.append(int(rig.pread(d, 100)))
        for fd in (ctl, d, e):
            rig.close(fd)
        assert rig.k.mainmem.cursize - before < 10_000  # a conversation, and nothing under way

    return got


def test_datagrams_get_lost() -> None:
    got = datagrams(Faults(loss=MILLION // 2), 200)
    assert 60 < len(got) < 140
    assert got == sorted(got)
    assert got == datagrams(Faults(loss=MILLION // 2), 200)
    assert datagrams(Faults(loss=1), 20) == list(range(20))


def test_datagrams_overtake_each_other() -> None:
    got = datagrams(Faults(reorder=MILLION // 4, delay=5 * MS), 100)
    assert sorted(got) == list(range(100))
    assert got != sorted(got)


def test_nobody_hears_is_told_later() -> None:
    rig = Netrig(Faults(delay=10 * MS))

    @rig.run
    def _() -> None:
        rig.net()
        _, cat = rig.clone("udp", "connect 127.0.0.1!9")
        e = rig.data(cat)
        rig.pwrite(e, b"x")
        rig.pwrite(e, b"x")
        wait(rig, 11)
        rig.pwrite(e, b"x")
        wait(rig, 11)
        assert err(rig.pwrite, e, b"x") == "port unreachable"


def test_what_is_under_way_is_memory() -> None:
    rig = Netrig(Faults(delay=1000 * MS))

    @rig.run
    def _() -> None:
        rig.net()
        rig.clone("udp", "announce *!9")
        _, cat = rig.clone("udp", "connect 127.0.0.1!9")
        e = rig.data(cat)
        wait(rig, 0)
        before = rig.k.mainmem.cursize
        rig.k.mainmem.maxsize = before + 200_000
        for _ in range(100):
            rig.pwrite(e, b"z" * 10_000)
        assert rig.k.mainmem.cursize <= before + 200_000
        assert len(rig.ip.ipfs[0].wire._all) == 19  # type: ignore[union-attr]


# Where a wakeup lets another process in. The original holds the conversation's qlock there


@pytest.mark.parametrize("faults", [None, Faults(delay=MS)])
def test_two_who_send_keep_the_order(faults: Faults | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One has taken a segment from the queue; another writes before it is sent."""
    rig = Netrig(faults)

    @rig.run
    def _() -> None:
        rig.net()
        (_, e, _), (_, d, nat) = connected(rig, 1)
        module = tcp if faults is None else fartcp
        real = qio.qtake
        taken: list[bytes] = []

        def qtake(k: Kernel, q: Queue, n: int) -> bytes:
            data = real(k, q, n)
            taken.append(data)
            if len(taken) == 1:
                rig.pwrite(e, b"second")
            return data

        monkeypatch.setattr(module, "qtake", qtake)
        rig.pwrite(e, b"first ")
        for _ in range(3):
            wait(rig, 1)
        assert taken == [b"first ", b"second"]
        assert rig.pread(d, 100) == b"first second"
        assert rig.state(nat) == "Established"


def test_who_is_woken_may_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Netrig(Faults(delay=MS))

    @rig.run
    def _() -> None:
        rig.net()
        (_, e, cat), (_, _, nat) = connected(rig, 1)
        proto = rig.ip.protos[0][0]
        assert isinstance(proto, Fartcp)
        receiver = proto.conv[int(nat.rpartition("/")[2])]
        assert isinstance(receiver, Farconv)
        real = qio.qpassnolim

        def qpassnolim(k: Kernel, q: Queue, data: bytes) -> None:
            real(k, q, data)
            proto._hangup(receiver)

        monkeypatch.setattr(fartcp, "qpassnolim", qpassnolim)
        rig.pwrite(e, b"x")
        for _ in range(3):
            wait(rig, 1)
        assert rig.state(cat) == rig.state(nat) == "Closed"
        _, at, call = calling(rig, "127.0.0.1!80")

        def done(self: Fartcp, c: Conv, msg: str | None) -> None:
            Proto.connected(self, c, msg)
            if isinstance(c, Farconv) and c.end is not None:
                self._hangup(c)

        monkeypatch.setattr(Fartcp, "connected", done)
        rig.clone("tcp", "announce *!80")
        for _ in range(4):
            wait(rig, 1)
        assert call
        assert rig.state(at) == "Closed"
