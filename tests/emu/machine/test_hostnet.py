"""The host's network, in and out: emu/machine/hostnet.py, sockets.py, and kernel/devices/ip/fartcp.py."""

from __future__ import annotations

import os
import socket
import threading
import time
from types import SimpleNamespace

import pytest

from emu.machine import sockets
from emu.machine.signals import Signals
from tests.emu.machine.hostrig import Make, everything, listener, maker, port
from tests.kernel.devices.ip.net import wait
from tests.kernel.fakes import err

LINGER = b"\1\0\0\0\0\0\0\0"  # close resets
server = pytest.fixture(listener)
make = pytest.fixture(maker)


# Out


def test_a_call_out(make: Make, server: socket.socket) -> None:
    rig = make(f"connect=127.0.0.1:{port(server)}")

    @rig.run
    def _() -> None:
        rig.net()
        fd, at, _ = rig.dial(f"127.0.0.1!{port(server)}")
        peer, _ = server.accept()
        assert rig.state(at) == "Established"
        assert rig.slurp(f"{at}/remote").decode() == f"127.0.0.1!{port(server)}\n"
        assert rig.slurp(f"{at}/local").startswith(b"127.0.0.1!")
        d = rig.data(at)
        rig.pwrite(d, b"hello")
        assert peer.recv(100) == b"hello"
        peer.sendall(b"and back")
        rig.until(lambda: rig.qin(at))
        assert rig.pread(d, 100) == b"and back"
        peer.shutdown(socket.SHUT_WR)
        rig.until(lambda: rig.state(at) == "Close_wait")
        assert rig.pread(d, 100) == b""
        rig.pwrite(d, b"last words")
        rig.close(d)
        rig.close(fd)
        assert everything(peer) == b"last words"
        rig.until(lambda: rig.state(at) == "Closed")
        assert not rig.outer.streams
        peer.close()


def test_the_guest_ends_first(make: Make, server: socket.socket) -> None:
    rig = make(f"connect=127.0.0.1:{port(server)}")

    @rig.run
    def _() -> None:
        rig.net()
        fd, at, _ = rig.dial(f"127.0.0.1!{port(server)}")
        peer, _ = server.accept()
        rig.close(fd)
        assert everything(peer) == b""
        rig.until(lambda: rig.state(at) == "Finwait2")
        peer.close()
        rig.until(lambda: rig.state(at) == "Time_wait")
        assert not rig.outer.streams
        wait(rig, 10_100)
        assert rig.state(at) == "Closed"


def test_nobody_listens_there(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as s:
        there = port(s)
    rig = make(f"connect=127.0.0.1:{there}")

    @rig.run
    def _() -> None:
        rig.net()
        _, at, why = rig.dial(f"127.0.0.1!{there}")
        assert (why, rig.state(at)) == ("connection refused", "Closed")
        assert not rig.said


@pytest.mark.parametrize("address", ["127.1", "0x7f.0.0.1", "::ffff:127.0.0.1", "::ffff:7f00:1"])
def test_one_address_in_many_words(make: Make, server: socket.socket, address: str) -> None:
    rig = make(f"connect=127.0.0.1:{port(server)}")

    @rig.run
    def _() -> None:
        rig.net()
        assert isinstance(rig.dial(f"{address}!{port(server)}")[2], int)
        server.accept()[0].close()


ANY = (
    "0.0.0.0",
    "::",
    "0.0.0.1",
    "127.0.0.1",
    "::1",
    "127.9.9.9",
    "::127.0.0.1",
    "255.255.255.255",
    "224.0.0.1",
    "ff02::1",
)


@pytest.mark.parametrize(
    "words", ["connect=*:*", "connect=10.0.0.1:*", "connect=[::1]:9", "resolve", "loss=0%", "listen=0=5"]
)
def test_the_host_itself_must_be_named(make: Make, words: str) -> None:
    """A star is others. Whoever listens at all addresses of the host is not called by any of its own."""
    both = socket.has_dualstack_ipv6()
    with socket.create_server(("", 0), family=socket.AF_INET6 if both else socket.AF_INET, dualstack_ipv6=both) as s:
        s.setblocking(False)
        rig = make(words)

        @rig.run
        def _() -> None:
            rig.net()
            for address in ANY:
                fd, at = rig.clone("tcp")
                message = f"connect {address}!{port(s)}".encode()
                out = rig.later(lambda fd=fd, message=message: rig.pwrite(fd, message))  # type: ignore[misc]
                for _ in range(3):
                    rig.outer.poll(0)
                    wait(rig, 1)
                assert out in ([], ["connection refused"], ["no route"]), address
                assert not rig.outer.streams
                assert not rig.slurp(f"{at}/status").startswith(b"Established")

        with pytest.raises(BlockingIOError):
            s.accept()


def test_what_the_guest_has_announced_goes_first(make: Make, server: socket.socket) -> None:
    rig = make(f"connect=127.0.0.1:{port(server)}")
    server.setblocking(False)

    @rig.run
    def _() -> None:
        rig.net()
        _, lat = rig.clone("tcp", f"announce *!{port(server)}")
        _, cat = rig.clone("tcp", f"connect 127.0.0.1!{port(server)}")
        assert rig.state(cat) == "Established"
        assert rig.listen(lat)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_note_ends_a_call_that_nobody_answers(make: Make) -> None:
    """And the host's socket is closed."""
    rig = make("connect=10.255.255.1:9")

    @rig.run
    def _() -> None:
        rig.net()
        fd, at = rig.clone("tcp")
        out = rig.later(lambda: rig.pwrite(fd, b"connect 10.255.255.1!9"))
        wait(rig, 0)
        if not out:  # a host without a route says so at once
            assert rig.state(at) == "Syn_sent"
            rig.pwrite(fd, b"hangup")
            wait(rig, 0)
        assert out
        assert not rig.outer.streams
        assert rig.outer.sockets is not None
        assert not rig.outer.sockets._links


# In


def test_calls_from_outside(make: Make) -> None:
    rig = make("listen=0=80")
    assert rig.said == [f"net: 127.0.0.1:{rig.port} is port 80 of the guest"]

    @rig.run
    def _() -> None:
        rig.net()
        early = socket.create_connection(("127.0.0.1", rig.port))
        early.sendall(b"early")
        rig.outer.poll(0)
        assert not rig.outer.streams
        _, lat = rig.clone("tcp", "announce *!80")
        out = rig.later(lambda: rig.listen(lat))
        rig.until(lambda: out)
        assert early.recv(10) == b""  # what that process had open is gone with it
        early.close()
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", rig.port)) as s:
                rig.until(lambda: rig.waits(lat))
                ctl, d, at = rig.listen(lat)
                assert rig.slurp(f"{at}/remote").decode() == f"127.0.0.1!{port(s)}\n"
                assert rig.slurp(f"{at}/local") == b"127.0.0.1!80\n"
                s.sendall(b"ping")
                rig.until(lambda at=at: rig.qin(at))  # type: ignore[misc]
                assert rig.pread(d, 10) == b"ping"
                rig.pwrite(d, b"pong")
                assert s.recv(10) == b"pong"
                for fd in (d, ctl):
                    rig.close(fd)
                assert s.recv(10) == b""
            rig.until(lambda at=at: rig.state(at) in ("Time_wait", "Closed"))  # type: ignore[misc]


def test_ten_calls_wait_and_the_others_wait_outside(make: Make) -> None:
    loopback = "::1" if socket.has_dualstack_ipv6() else "127.0.0.1"
    rig = make(f"listen={'[::1]:' if ':' in loopback else ''}0=80")

    @rig.run
    def _() -> None:
        rig.net()
        _, lat = rig.clone("tcp", "announce *!80")
        calls = [socket.create_connection((loopback, rig.port)) for _ in range(15)]
        for _ in range(30):
            rig.outer.poll(0)
        assert len(rig.outer.streams) == 10
        taken: list[tuple[int, int, str]] = []
        for _ in range(15):
            rig.until(lambda: rig.outer.listening(80) or len(rig.outer.streams) > len(taken))
            taken.append(rig.listen(lat))
            rig.until(lambda: len(rig.outer.streams) in (15, len(taken) + 10))
        assert rig.slurp(f"{taken[0][2]}/local").decode() == f"{loopback}!80\n"
        for s in calls:
            s.close()


def test_an_announcement_of_another_address_is_not_meant(make: Make) -> None:
    rig = make("listen=0=80")

    @rig.run
    def _() -> None:
        rig.net()
        rig.clone("ipifc", "bind loopback /dev/null", "add 10.0.0.1 /104")
        rig.clone("tcp", "announce 10.0.0.1!80")
        assert not rig.outer.listening(80)
        rig.clone("tcp", "announce ::1!80")
        assert rig.outer.listening(80)


def test_the_peer_resets(make: Make) -> None:
    rig = make("listen=0=80")

    @rig.run
    def _() -> None:
        rig.net()
        _, lat = rig.clone("tcp", "announce *!80")
        s = socket.create_connection(("127.0.0.1", rig.port))
        rig.until(lambda: rig.outer.streams)
        _, d, at = rig.listen(lat)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
        s.close()
        rig.until(lambda: rig.state(at) == "Closed")
        assert err(rig.pread, d, 10) == "Hangup"
        assert not rig.outer.streams


def test_the_guest_resets(make: Make) -> None:
    rig = make("listen=0=80")

    @rig.run
    def _() -> None:
        rig.net()
        _, lat = rig.clone("tcp", "announce *!80")
        s = socket.create_connection(("127.0.0.1", rig.port))
        rig.until(lambda: rig.outer.streams)
        ctl, _, _ = rig.listen(lat)
        rig.pwrite(ctl, b"hangup")
        with pytest.raises(ConnectionResetError):
            s.recv(10)
        s.close()
        assert not rig.outer.streams


def test_what_was_written_leaves_though_the_machine_ends(make: Make, server: socket.socket) -> None:
    rig = make(f"connect=127.0.0.1:{port(server)}")
    text = bytes(range(256)) * 4000
    got: list[bytes] = []

    @rig.run
    def _() -> None:
        rig.net()
        _, at, _ = rig.dial(f"127.0.0.1!{port(server)}")
        peer, _ = server.accept()
        assert rig.outer.sockets is not None
        (link,) = rig.outer.sockets._links.values()
        link.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)  # or all of it is the host's at once
        for i in range(0, len(text), 65536):
            rig.pwrite(rig.data(at), text[i : i + 65536])
        assert sum(map(len, link.out)) > len(text) // 4

        def read() -> None:
            time.sleep(0.1)
            got.append(everything(peer))
            peer.close()

        t = threading.Thread(target=read)
        t.start()
        rig.outer.close()
        t.join()
        assert got == [text]


def test_who_does_not_read_holds_up_the_end_for_a_moment_only(
    make: Make, server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "LINGER", 0.1)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    rig = make(f"connect=127.0.0.1:{port(server)}")

    @rig.run
    def _() -> None:
        rig.net()
        _, at, _ = rig.dial(f"127.0.0.1!{port(server)}")
        peer, _ = server.accept()
        d = rig.data(at)
        out = rig.later(lambda: [rig.pwrite(d, b"z" * 65536) for _ in range(100)])
        for _ in range(20):
            rig.outer.poll(0)
            wait(rig, 0)
        assert not out
        rig.outer.close()
        rig.outer.close()
        peer.close()


# Much


def test_a_peer_that_sends_without_end(make: Make, server: socket.socket) -> None:
    """The guest does not read: a window full comes, and no more. Then it reads, and all comes."""
    rig = make(f"connect=127.0.0.1:{port(server)}")

    @rig.run
    def _() -> None:
        rig.net()
        _, at, _ = rig.dial(f"127.0.0.1!{port(server)}")
        peer, _ = server.accept()
        peer.setblocking(False)
        d = rig.data(at)
        before = rig.k.mainmem.cursize
        chunk = bytes(range(256)) * 256
        sent = 0
        quiet = 0
        while quiet < 50:
            try:
                sent += peer.send(chunk[sent % 65536 :])
                quiet = 0
            except BlockingIOError:
                quiet += 1
                time.sleep(0.002)
            rig.outer.poll(0)
        window = (64 * 1024 - 1) << 4
        assert rig.qin(at) == window
        assert sent < 64 << 20  # what does not fit is in the host's buffers
        assert rig.k.mainmem.cursize - before < 2 * window
        peer.shutdown(socket.SHUT_WR)
        got = 0
        while True:
            rig.until(lambda: rig.qin(at) or rig.state(at) == "Close_wait")
            data = rig.pread(d, 1 << 18)
            if not data:
                break
            assert data[:1] == bytes((got % 256,))
            got += len(data)
        assert got == sent
        peer.close()


def test_a_peer_that_never_reads(make: Make, server: socket.socket) -> None:
    rig = make(f"connect=127.0.0.1:{port(server)}")

    @rig.run
    def _() -> None:
        rig.net()
        _, at, _ = rig.dial(f"127.0.0.1!{port(server)}")
        peer, _ = server.accept()
        d = rig.data(at)
        before = rig.k.mainmem.cursize
        sent = 0

        def write() -> object:
            nonlocal sent
            while sent < 1 << 30:
                sent += rig.pwrite(d, b"z" * 65536)
            return None

        out = rig.later(write)
        last = -1
        while sent != last:
            last = sent
            for _ in range(20):
                rig.outer.poll(0)
                time.sleep(0.002)
                wait(rig, 0)
        assert not out
        assert rig.k.mainmem.cursize - before < 3 << 20
        assert rig.outer.sockets is not None
        assert sum(len(b) for link in rig.outer.sockets._links.values() for b in link.out) < 2 << 20
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
        peer.close()
        rig.until(lambda: out)
        assert out == ["Hangup"]
        assert not rig.outer.streams


def test_more_calls_than_there_can_be(make: Make, server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "MAXLINKS", 20)
    rig = make(f"connect=127.0.0.1:{port(server)},listen=0=80")
    server.listen(100)

    @rig.run
    def _() -> None:
        rig.net()
        rig.clone("tcp", "announce *!80")
        there = f"127.0.0.1!{port(server)}"
        calls = [rig.dial(there) for _ in range(20)]
        assert all(isinstance(why, int) for _, _, why in calls)
        assert rig.dial(there)[2] == "no free devices"
        s = socket.create_connection(("127.0.0.1", rig.port))
        rig.outer.poll(0)
        assert len(rig.outer.streams) == 20
        rig.pwrite(calls[0][0], b"hangup")
        rig.until(lambda: len(rig.outer.streams) == 20 and min(rig.outer.streams) < 0)
        rig.pwrite(calls[1][0], b"hangup")
        assert isinstance(rig.dial(there)[2], int)
        s.close()


def test_calls_one_after_the_other(make: Make, server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is over is nothing to the host, however long the guest's end of it is in the way."""
    monkeypatch.setattr(sockets, "MAXLINKS", 2)
    rig = make(f"connect=127.0.0.1:{port(server)}")

    @rig.run
    def _() -> None:
        rig.net()
        for _ in range(20):
            fd, at, _ = rig.dial(f"127.0.0.1!{port(server)}")
            peer, _ = server.accept()
            rig.close(fd)
            peer.close()
            rig.until(lambda at=at: rig.state(at) == "Time_wait")  # type: ignore[misc]
            assert not rig.outer.streams
            assert not rig.outer.waiting


def test_ten_thousand_calls(make: Make) -> None:
    """None is granted, each is refused, and nothing is kept of them."""
    rig = make("connect=10.0.0.1:80")

    @rig.run
    def _() -> None:
        rig.net()
        for i in range(10_000):
            fd, at = rig.clone("tcp")
            assert err(rig.pwrite, fd, b"connect 127.0.0.1!%d" % (i % 60000 + 1)) == "connection refused"
            assert at == "/net/tcp/0"
            rig.close(fd)
        assert len(rig.said) == 20
        assert not rig.outer.streams


def test_no_more_files_can_be_opened(make: Make, server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = make(f"connect=127.0.0.1:{port(server)}")

    def full(*args: object) -> socket.socket:
        raise OSError(24, "Too many open files")

    @rig.run
    def _() -> None:
        rig.net()
        with monkeypatch.context() as m:
            m.setattr(socket, "socket", full)
            assert rig.dial(f"127.0.0.1!{port(server)}")[2] == "no free devices"
        assert isinstance(rig.dial(f"127.0.0.1!{port(server)}")[2], int)


def test_a_busy_network_does_not_keep_input_away() -> None:
    ends = [os.pipe() for _ in range(2)]
    signals = Signals(lambda: None, None, foreground=False)
    source = SimpleNamespace(fd=ends[0][0])
    with signals:
        signals.net = ends[1][0]
        os.write(ends[1][1], b"x")
        assert (signals.wait(source, 0), signals.came) == (False, True)
        os.write(ends[0][1], b"x")
        assert (signals.wait(source, 0), signals.came) == (True, False)
        os.read(ends[1][0], 1)
        assert (signals.wait(source, 0), signals.came) == (True, False)
        os.read(ends[0][0], 1)
        assert (signals.wait(source, 0), signals.came) == (False, False)
    for fd in (fd for pair in ends for fd in pair):
        os.close(fd)
