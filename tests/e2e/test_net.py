"""The network, from a program's side: the guests tcpecho, udpecho and dial, and --net."""

from __future__ import annotations

import re

import pytest

from emu.machine.netconfig import parse
from tests.e2e.harness import p9emu, run


@pytest.mark.parametrize("cpus", [1, 2, 4])
@pytest.mark.parametrize("argv", ["tcpecho 30 4", "udpecho 40"])
def test_what_is_sent_comes_back(argv: str, cpus: int) -> None:
    r = run(*argv.split(), cpus=cpus)
    assert (r.outcome.exits, r.stderr) == ("", "")


@pytest.mark.parametrize("cpus", [1, 2, 4])
@pytest.mark.parametrize("argv", ["tcp 8192 1280", "tcp 65536 50", "tcp 20 3000", "tcp 16388 100", "pipe 65536 50"])
def test_a_stream_arrives_whole(argv: str, cpus: int) -> None:
    """The guest compares the sums of both ends."""
    size, n = map(int, argv.split()[1:])
    r = run("stream", *argv.split(), cpus=cpus, check=False)
    assert (r.outcome.exits, r.stderr) == ("", "")
    assert r.stdout.startswith(f"{size * n} bytes, sum ")


@pytest.mark.parametrize("seed", range(3))
def test_what_is_sent_comes_back_however_it_is_scheduled(seed: int) -> None:
    assert run("tcpecho", "6", "3", sched="random", seed=seed, check=False).outcome.exits == ""


def test_standard_input_goes_there_and_back() -> None:
    text = b"".join(b"%d\n" % i for i in range(20000))
    r = run("tcpecho", "serve", "dial", "-v", "tcp!localhost!echo", stdin=text, check=False)
    assert r.stdout == text.decode()
    assert r.stderr.startswith("local 127.0.0.1!")
    assert r.stderr.endswith("remote 127.0.0.1!7\n")


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("tcp!localhost!echo", "connection refused"),
        ("tcp!127.0.0.1!1", "connection refused"),
        ("tcp!10.9.8.7!80", "no route"),
        ("tcp!127.0.0.2!80", "connection timed out"),
        ("tcp!nobody!80", "can't translate address: dns: name does not exist"),
        ("tcp!localhost!nothing", "can't translate service"),
        ("il!localhost!9fs", "can't translate service"),
        ("x" * 200, "request too long"),
    ],
)
def test_nobody_answers(address: str, why: str) -> None:
    r = run("dial", address, check=False)
    assert r.outcome.exits == f"dial 2: {address}: {why}"[:127]


def test_no_network() -> None:
    r = p9emu("run", "--net", "off", "dial", "tcp!localhost!echo")
    assert r.returncode == 1
    assert r.stderr == b"p9emu: dial 2: tcp!localhost!echo: '/net/cs' does not exist\n"
    assert p9emu("run", "--net", "off", "cat", "#I/log").stderr == (
        b"p9emu: cat 2: open: unknown device in # filename\n"
    )


WIRE = "delay=3ms,reorder=20%,loss=1%,reset=1%"


@pytest.mark.parametrize("options", [["--cpus", "1"], ["--cpus", "3"], ["--cpus", "2", "--sched", "random"]])
@pytest.mark.parametrize("guest", [["tcpecho", "12", "3"], ["udpecho", "12"]])
def test_the_same_seed_the_same_trace_on_a_bad_wire(options: list[str], guest: list[str]) -> None:
    argv = ["trace", "--net", WIRE, "--seed", "7", *options, *guest]
    first, second = p9emu(*argv), p9emu(*argv)
    assert len(first.stderr) > 6_000
    assert (first.returncode, first.stdout, first.stderr) == (second.returncode, second.stdout, second.stderr)


def test_another_seed_is_another_fate() -> None:
    seen = {run("tcpecho", "12", "3", net="reset=2%", seed=seed, check=False).outcome.exits for seed in range(4)}
    assert len(seen) > 1


@pytest.mark.parametrize(("cpus", "sched"), [(1, "fifo"), (3, "fifo"), (1, "random"), (2, "random")])
def test_what_takes_its_time_comes_back_too(cpus: int, sched: str) -> None:
    for seed in range(1 if sched == "fifo" else 3):
        r = run("tcpecho", "6", "3", net="delay=20ms,reorder=10%", cpus=cpus, sched=sched, seed=seed)
        assert (r.outcome.exits, r.stderr) == ("", "")
        assert r.outcome.stats.virtual_ns > 100_000_000
        assert run("udpecho", "6", net="delay=20ms", cpus=cpus, sched=sched, seed=seed).outcome.exits == ""


def test_a_call_takes_a_round_trip() -> None:
    r = run("dial", "tcp!localhost!echo", net="delay=40ms", check=False)
    assert r.outcome.exits.endswith("connection refused")
    assert 80_000_000 <= r.outcome.stats.virtual_ns < 82_000_000


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("host", "'host' is none of loopback, off, connect=HOST:PORT, listen="),
        ("", "'' is none of"),
        ("off,loss=1%", "off goes with nothing else"),
        ("loss", "'loss' is none of"),
        ("loss=1", "loss=1: not a percentage, as 1% or 0.05%"),
        ("loss=101%", "not a percentage"),
        ("loss=-1%", "not a percentage"),
        ("loss=0.00001%", "not a percentage"),
        ("loss=٣%", "not a percentage"),
        ("loss=1%,loss=2%", "loss is given twice"),
        ("delay=10", "delay=10: not a time, as 10ms, 200us or 1s"),
        ("delay=1h", "not a time"),
        ("delay=1e3ms", "not a time"),
        ("delay=11s", "delay=11s: more than 10s"),
        ("loopback=1", "'loopback=1' is none of"),
        ("connect=", "connect=: not HOST:PORT"),
        ("connect=8000", "connect=8000: not HOST:PORT"),
        ("connect=127.0.0.1:", "connect=127.0.0.1:: '' is not a port"),
        ("connect=127.0.0.1:65536", "'65536' is not a port"),
        ("connect=127.0.0.1:0", "there is no port 0"),
        ("connect=127.0.0.1:http", "'http' is not a port"),
        ("connect=127.0.0:80", "'127.0.0' is neither an address nor a name"),
        ("connect=0x7f.0.0.0x1:80", "neither"),
        ("connect=2130706433:80", "neither"),
        ("connect=::1:80", "'::1' is neither"),
        ("connect=[::1%lo]:80", "neither"),
        ("connect=a\x01b:80", "neither"),
        ("connect=-a:80", "neither"),
        ("connect=" + "a" * 254 + ":80", "neither"),
        ("listen=", "listen=: '' is not a port"),
        ("listen=http", "'http' is not a port"),
        ("listen=localhost:80", "'localhost' is not an address"),
        ("listen=*:80", "'*' is not an address"),
        ("listen=0", "listen=0: which port of the guest's?"),
        ("listen=8080=", "'' is not a port"),
        ("listen=8080=0", "which port of the guest's?"),
        ("resolve=yes", "'resolve=yes' is none of"),
    ],
)
def test_what_is_no_network(words: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        parse(words)


def test_a_network_that_is_none_is_wrong_usage() -> None:
    r = p9emu("run", "--net", "loss=1%", "--net", "loss=2%", "hello")
    assert (r.returncode, r.stdout) == (2, b"")
    assert b"Invalid value for '--net': loss is given twice (try" in r.stderr
    r = p9emu("explore", "--net", "connect=*:80", "hello")
    assert r.returncode == 2
    assert b"the host's network does not answer many runs as it did the first" in r.stderr
    with pytest.raises(ValueError, match="net: 'host' is none of"):
        run("hello", net="host")
