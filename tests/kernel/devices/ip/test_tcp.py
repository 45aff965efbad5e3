"""Streams: kernel/devices/ip/tcp.py."""

from __future__ import annotations

import pytest

from kernel.base.chandat import ORDWR, OREAD
from kernel.base.procdat import NUser
from kernel.sched.note import postnote
from kernel.sched.sched import yield_
from tests.kernel.devices.ip.net import Netrig, newnet, wait
from tests.kernel.fakes import err

rig = pytest.fixture(newnet)


def test_a_call_and_what_is_told_of_it(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        (_, e, cat), (_, d, nat) = rig.pair()
        assert rig.state(cat) == rig.state(nat) == "Established"
        assert rig.slurp(f"{cat}/remote") == rig.slurp(f"{nat}/local") == b"127.0.0.1!80\n"
        assert rig.slurp(f"{cat}/local") == rig.slurp(f"{nat}/remote")
        assert 32768 <= int(rig.slurp(f"{cat}/local").split(b"!")[1]) < 65536
        rig.pwrite(e, b"hello ")
        rig.pwrite(e, b"world")
        assert b" qin 11 qout 0 " in rig.slurp(f"{nat}/status")
        assert rig.stat(d).length == 11
        assert rig.pread(d, 3) == b"hel"
        assert rig.pread(d, 100) == b"lo world"
        rig.pwrite(d, b"back")
        assert rig.pread(e, 100) == b"back"


def test_reads_show_the_segments(rig: Netrig) -> None:
    """A write is cut into segments of what the loopback carries; a read takes as many whole ones as fit."""

    @rig.run
    def _() -> None:
        rig.net()
        (_, e, _), (_, d, _) = rig.pair()
        rig.pwrite(e, b"x" * 40000)
        assert [len(rig.pread(d, 20000)) for _ in range(3)] == [16344, 16344, 7312]
        rig.pwrite(e, b"x" * 40000)
        assert len(rig.pread(d, 50000)) == 40000
        rig.pwrite(e, b"")
        rig.pwrite(e, b"y")
        assert rig.pread(d, 10) == b"y"


def test_half_close(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        (c, e, cat), (taken, d, nat) = rig.pair()
        rig.pwrite(e, b"last words")
        rig.close(e)
        rig.close(c)
        assert (rig.state(cat), rig.state(nat)) == ("Finwait2", "Close_wait")
        assert rig.pread(d, 100) == b"last words"
        for _ in range(3):
            assert rig.pread(d, 100) == b""
        assert err(rig.pread, d, 100) == "i/o on hungup channel"
        rig.close(d)
        rig.close(taken)
        assert (rig.state(cat), rig.state(nat)) == ("Time_wait", "Closed")
        wait(rig, 9900)
        assert rig.state(cat) == "Time_wait"
        wait(rig, 200)
        assert rig.state(cat) == "Closed"


def test_close_by_message_is_gentle(rig: Netrig) -> None:
    """As 9front has it since 4aeefba68."""

    @rig.run
    def _() -> None:
        rig.net()
        (c, e, cat), (_, d, nat) = rig.pair()
        rig.pwrite(e, b"x")
        rig.pwrite(c, b"close")
        assert (rig.state(cat), rig.state(nat)) == ("Finwait2", "Close_wait")
        assert err(rig.pwrite, e, b"y") == "i/o on hungup channel"
        assert rig.pread(e, 10) == b""
        assert rig.pread(d, 10) == b"x"


def test_writing_to_who_does_not_read_any_more(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        (c, e, cat), (_, d, nat) = rig.pair()
        rig.close(e)
        rig.close(c)
        assert rig.pwrite(d, b"is anybody there") == 16
        assert rig.state(nat) == "Closed"
        assert err(rig.pwrite, d, b"x") == err(rig.pread, d, 1) == "Hangup"
        assert rig.state(cat) == "Finwait2"
        wait(rig, 10_050)
        assert rig.state(cat) == "Closed"


def test_hangup_resets(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        (c, e, cat), (_, d, nat) = rig.pair()
        rig.pwrite(e, b"lost")
        rig.pwrite(c, b"hangup")
        assert rig.state(cat) == rig.state(nat) == "Closed"
        assert rig.pread(e, 1) == b""
        assert err(rig.pwrite, e, b"x") == "i/o on hungup channel"
        assert err(rig.pread, d, 10) == "Hangup"
        assert b"EstabResets: 1\n" in rig.slurp("/net/tcp/stats")


def test_nobody_there(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        for address, why in (
            ("127.0.0.1!80", "connection refused"),
            ("::1!80", "connection refused"),
            ("10.0.0.1!80", "no route"),
            ("2001:db8::1!80", "no route"),
        ):
            fd, at = rig.clone("tcp")
            assert err(rig.pwrite, fd, f"connect {address}".encode()) == why
            assert rig.state(at) == "Closed"
            assert err(rig.pwrite, fd, b"connect 127.0.0.1!80") == "connection in use"
            rig.close(fd)


def test_a_call_that_nobody_answers_takes_four_and_a_half_minutes(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        said: list[str] = []

        def call() -> None:
            fd, at = rig.clone("tcp")
            said.append(err(rig.pwrite, fd, b"connect 127.0.0.2!80"))
            said.append(rig.state(at))

        rig.spawn(call, rig.up)
        begin = rig.k.fastticks()
        while not said:
            wait(rig, 100)
        assert 270 <= (rig.k.fastticks() - begin) / 1e9 < 340
        assert said == ["connection timed out", "Closed"]


def test_a_port_that_was_just_used(rig: Netrig) -> None:
    """What is left of the older call is in the way of the first try, not of the second."""

    @rig.run
    def _() -> None:
        rig.net()
        _, lat = rig.clone("tcp", "announce *!80")
        c, cat = rig.clone("tcp", "connect 127.0.0.1!80 127.0.0.1!5000")
        ctl, d, nat = rig.listen(lat)
        for fd in (ctl, d, c):
            rig.close(fd)
        assert (rig.state(nat), rig.state(cat)) == ("Time_wait", "Closed")
        states: list[str] = []

        def call() -> None:
            _, at = rig.clone("tcp", "connect 127.0.0.1!80 127.0.0.1!5000")
            states.append(rig.state(at))

        rig.spawn(call, rig.up)
        wait(rig, 1)
        wait(rig, 400)
        assert (states, rig.state(nat)) == ([], "Closed")
        wait(rig, 200)
        assert states == ["Established"]


def test_a_note_ends_the_wait_for_an_answer(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        said: list[str] = []

        def call() -> None:
            fd, at = rig.clone("tcp")
            said.append(err(rig.pwrite, fd, b"connect 127.0.0.2!80"))
            said.append(rig.state(at))

        p = rig.spawn(call, rig.up)
        yield_(rig.k)
        postnote(rig.k, p, 1, "enough", NUser)
        wait(rig, 10)
        assert said == ["interrupted", "Syn_sent"]


def test_ten_calls_wait_and_the_next_is_put_off(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        _, lat = rig.clone("tcp", "announce *!80")
        calls = [rig.clone("tcp", "connect 127.0.0.1!80") for _ in range(11)]
        assert [rig.state(at) for _, at in calls] == ["Established"] * 10 + ["Closed"]
        assert err(rig.pwrite, rig.data(calls[10][1]), b"x") == "Hangup"
        first = rig.slurp(f"{calls[0][1]}/local")
        assert rig.slurp(f"{rig.listen(lat)[2]}/remote") == first


def test_who_does_not_listen_any_more(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        announced, lat = rig.clone("tcp", "announce *!80")
        rig.clone("tcp", "connect 127.0.0.1!80")
        said: list[str] = []

        def listen() -> None:
            rig.open(f"{lat}/listen", ORDWR)
            said.append(err(rig.open, f"{lat}/listen", ORDWR))

        rig.spawn(listen, rig.up)
        wait(rig, 10)
        rig.pwrite(announced, b"hangup")
        wait(rig, 10)
        assert said == [f"'{lat}/listen' listen hungup"]
        assert err(rig.open, f"{lat}/listen", ORDWR) == f"'{lat}/listen' listen hungup"
        rig.close(announced)
        assert err(rig.open, f"{lat}/listen", ORDWR) == f"'{lat}/listen' not announced"


def test_calls_that_were_not_taken_end_with_their_listener(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        announced, _ = rig.clone("tcp", "announce *!80")
        _, cat = rig.clone("tcp", "connect 127.0.0.1!80")
        rig.close(announced)
        assert rig.state(cat) == "Close_wait"
        assert rig.pread(rig.data(cat), 1) == b""


def test_the_one_announced_most_exactly_is_called(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        at = {m: rig.clone("tcp", f"announce {m}")[1] for m in ("*", "127.0.0.1!*", "*!80", "127.0.0.1!80", "::1!80")}
        for address, who in (
            ("127.0.0.1!80", "127.0.0.1!80"),
            ("::1!80", "::1!80"),
            ("127.255.255.255!80", "*!80"),
            ("127.0.0.1!81", "127.0.0.1!*"),
            ("::1!81", "*"),
        ):
            fd, _ = rig.clone("tcp", f"connect {address}")
            where = rig.slurp(f"{rig.listen(at[who])[2]}/local").decode()
            assert where == f"{address}\n"
            rig.close(fd)


def test_flow_control(rig: Netrig) -> None:
    """A megabyte is on the way, another waits to be sent, then the writer waits; what is read makes room."""

    @rig.run
    def _() -> None:
        rig.net()
        (_, e, cat), (_, d, nat) = rig.pair()
        sent = 0

        def writer() -> None:
            nonlocal sent
            for _ in range(60):
                sent += rig.pwrite(e, b"z" * 65536)

        rig.spawn(writer, rig.up)
        wait(rig, 10)
        held = int(rig.slurp(f"{nat}/status").split()[2]), int(rig.slurp(f"{cat}/status").split()[4])
        assert held[0] == (64 * 1024 - 1) << 4
        assert sum(held) - 65536 == sent
        got = 0
        while got < 60 * 65536:
            got += len(rig.pread(d, 100_000))
            yield_(rig.k)
        assert sent == got == 60 * 65536
        assert b" qin 0 qout 0 " in rig.slurp(f"{nat}/status")


def test_data_that_waits_goes_before_the_end(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        (c, e, cat), (_, d, _) = rig.pair()
        for _ in range(20):
            rig.pwrite(e, b"z" * 65536)
        rig.close(e)
        rig.close(c)
        assert rig.state(cat) == "Finwait1"
        got = 0
        while data := rig.pread(d, 500_000):
            got += len(data)
        assert got == 20 * 65536
        assert rig.state(cat) == "Finwait2"


def test_both_ends_close_while_data_waits(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        (c, e, cat), (taken, d, nat) = rig.pair()
        for _ in range(20):
            rig.pwrite(e, b"z" * 65536)
        for fd in (e, c, d, taken):
            rig.close(fd)
        assert (rig.state(cat), rig.state(nat)) == ("Closed", "Finwait2")
        wait(rig, 10_050)
        assert rig.state(nat) == "Closed"


def test_a_call_to_oneself(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        fd, at = rig.clone("tcp", "connect 127.0.0.1!5000 127.0.0.1!5000")
        d = rig.data(at)
        rig.pwrite(d, b"echo")
        assert rig.pread(d, 10) == b"echo"
        rig.close(d)
        rig.close(fd)
        assert rig.state(at) == "Time_wait"


def test_ports(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        rig.clone("tcp", "announce *!80")
        fd, _ = rig.clone("tcp")
        assert err(rig.pwrite, fd, b"announce *!80") == "address in use"
        assert rig.slurp(f"{rig.clone('tcp', 'connect 127.0.0.1!80!r')[1]}/local") == b"127.0.0.1!600\n"
        assert rig.slurp(f"{rig.clone('tcp', 'connect 127.0.0.1!80 127.0.0.1!7')[1]}/local") == b"127.0.0.1!7\n"
        fd, _ = rig.clone("tcp")
        assert err(rig.pwrite, fd, b"connect 127.0.0.1!80 127.0.0.1!7") == "address in use"
        assert int(rig.slurp(f"{rig.clone('tcp', 'announce *!0')[1]}/local").split(b"!")[1]) >= 32768


def test_conversations_are_used_again_and_run_out(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        fd, at = rig.clone("tcp")
        rig.close(fd)
        assert rig.clone("tcp")[1] == at
        rig.ip.protos[0][0].nc = 5
        charged = rig.k.mainmem.cursize
        all = [rig.clone("tcp")[0] for _ in range(4)]
        assert rig.k.mainmem.cursize > charged + 4 * 5000
        assert err(rig.open, "/net/tcp/clone", ORDWR) == "'/net/tcp/clone' no free devices"
        rig.close(all[2])
        assert rig.clone("tcp")[1] == "/net/tcp/3"


def test_writing_without_a_connection(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        _, at = rig.clone("tcp")
        d = rig.data(at)
        assert rig.pwrite(d, b"x") == 1
        assert err(rig.pwrite, d, b"x") == "Hangup"


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("", "short control request"),
        ("\n", "short control request"),
        ("accept 1", "unknown control request"),
        ("reject 1 no", "unknown control request"),
        ("frobnicate", "unknown control request"),
        ("connect", "bad args to connect"),
        ("connect a b c", "bad args to connect"),
        ("connect 127.0.0.1", "malformed address"),
        ("connect nowhere!80", "bad ip address syntax"),
        ("connect 127.0.0.1!80 1.2.3.4!5", "not a local IP address"),
        ("announce", "bad args to announce"),
        ("announce 1.2.3.4!80", "not a local IP address"),
        ("announce x!80", "bad ip address syntax"),
        ("bind", "bad args to bind"),
        ("bind x!80", "bad ip address syntax"),
        ("maxfragsize", "maxfragsize needs size"),
        ("addmulti", "addmulti needs interface address"),
        ("addmulti 127.0.0.1", "addmulti for a non multicast address"),
        ("addmulti x 224.0.0.1", "bad ip address syntax"),
        ("addmulti 127.0.0.1 10.0.0.1", "addmulti for a non multicast address"),
        ("remmulti", "remmulti needs interface address"),
        ("remmulti 127.0.0.1", "remmulti for a non multicast address"),
        ("keepalive", "connection must be in Establised state"),
        ("checksum", "bad arg in system call"),
        ("tcpporthogdefense", "bad arg in system call"),
        ("tcpporthogdefense maybe", "unknown value for tcpporthogdefense"),
        ("hangup now", "unknown control request"),
        ("headers", "unknown control request"),
    ],
)
def test_bad_messages(rig: Netrig, message: str, error: str) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        fd, _ = rig.clone("tcp")
        assert err(rig.pwrite, fd, message.encode()) == error


def test_good_messages(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        (c, _, cat), _ = rig.pair()
        for m in (
            "ttl 3",
            "ttl",
            "tos 1",
            "tos",
            "ignoreadvice",
            "maxfragsize 100",
            "checksum 0",
            "tcpporthogdefense on",
        ):
            rig.pwrite(c, m.encode())
        rig.pwrite(c, b"keepalive 2000\n")
        assert b"katimer.start 40 katimer.count 40\n" in rig.slurp(f"{cat}/status")
        assert rig.pread(c, 10, 0) == cat.rpartition("/")[2].encode()


def test_several_wait_for_one_listener(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        _, lat = rig.clone("tcp", "announce *!80")
        got: list[bytes] = []

        def listen() -> None:
            fd = rig.open(f"{lat}/listen", OREAD)
            got.append(rig.pread(fd, 10, 0))

        for _ in range(3):
            rig.spawn(listen, rig.up)
        wait(rig, 10)
        for _ in range(3):
            rig.clone("tcp", "connect 127.0.0.1!80")
        wait(rig, 10)
        assert len(set(got)) == 3


def test_the_same_seed_the_same_ports(rig: Netrig) -> None:
    other = Netrig()
    ports: list[bytes] = []
    for r in (rig, other):

        @r.run
        def _(r: Netrig = r) -> None:
            r.net()
            ports.append(r.slurp(f"{r.clone('tcp', 'announce *!0')[1]}/local"))

    assert ports[0] == ports[1]


def test_memory_bounds_what_is_queued(rig: Netrig) -> None:
    @rig.run
    def _() -> None:
        rig.net()
        (_, e, _), (_, d, _) = rig.pair()
        before = rig.k.mainmem.cursize
        rig.k.mainmem.maxsize = before + 200_000
        sent = 0
        while rig.k.mainmem.cursize + 65536 + 300 < rig.k.mainmem.maxsize:
            sent += rig.pwrite(e, b"z" * 65536)
        assert sent > 100_000
        assert err(rig.pwrite, e, b"z" * 65536) == "kernel allocate failed"
        while rig.k.mainmem.cursize > before and rig.pread(d, 500_000):
            pass
        assert rig.k.mainmem.cursize == before
