"""The network, from a program's side: the guests tcpecho, udpecho and dial, and --net."""

from __future__ import annotations

import pytest

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


def test_the_option_says_what_it_takes() -> None:
    r = p9emu("run", "--net", "host", "hello")
    assert r.returncode == 2
    assert b"'loopback', 'off'" in r.stderr
