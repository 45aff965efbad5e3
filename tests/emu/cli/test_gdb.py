"""p9emu gdb and p9emu elf as commands: addresses, clients that misbehave, what is told and with which status."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from emu.debug.rsp import Interrupt, Item, Packet, Parser, frame
from emu.program.find import resolve
from tests.e2e.harness import ROOT, p9emu

pytestmark = pytest.mark.guest

WHERE = "p9emu: gdb: listening at "


class Client:
    """A gdb that says what it is told to."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.parser = Parser()
        connection.settimeout(30)

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def receive(self) -> bytes:
        """The next packet; b"" at the end."""
        while True:
            data = self.connection.recv(1)
            items: list[Item] = self.parser.feed(data)
            if not data:
                return b""
            if items and isinstance(items[0], Packet):
                self.send(b"+")
                return items[0].data

    def ask(self, data: bytes) -> bytes:
        self.send(frame(data))
        return self.receive()


@contextmanager
def server(
    *args: str, path: Path | None = None, python: Sequence[str] = ("-m", "emu")
) -> Iterator[tuple[subprocess.Popen[str], Client]]:
    """A server and its client."""
    words = [sys.executable, *python, "gdb", *(("-l", str(path)) if path is not None else ()), *args]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    with subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith(WHERE), line
        where = line.removeprefix(WHERE).partition(": ")[0]
        try:
            if path is not None:
                connection = socket.socket(socket.AF_UNIX)
                connection.connect(where)
            else:
                host, _, port = where.rpartition(":")
                assert host == "127.0.0.1"
                connection = socket.create_connection((host, int(port)))
            with connection:
                yield process, Client(connection)
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Status, standard output and error."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize("unix", [False, True])
def test_a_program_runs_to_its_end(unix: bool, tmp_path: Path) -> None:
    with server("false", "7", path=tmp_path / "gdb" if unix else None) as (process, client):
        assert client.ask(b"?").startswith(b"T05")
        assert client.ask(b"c") == b"W07"
        client.send(frame(b"c"))
        assert client.receive() == b""
        assert ended(process) == (7, "", "")
    assert os.listdir(tmp_path) == []


def test_ctrl_c_while_it_computes_and_while_it_waits(tmp_path: Path) -> None:
    with server("spin", "1000000") as (process, client):
        client.ask(b"?")
        for _ in range(2):
            client.send(frame(b"vCont;c"))
            time.sleep(0.05)
            client.send(b"\3")
            assert client.receive().startswith(b"T02")
        assert client.ask(b"vKill;2") == b"OK"
        assert ended(process) == (128 + signal.SIGKILL, "", "")


def test_ctrl_c_while_everything_sleeps() -> None:
    words = [sys.executable, "-m", "emu", "gdb", "cat"]
    with subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None and process.stdin is not None
        where = process.stderr.readline().removeprefix(WHERE).partition(": ")[0]
        with socket.create_connection(("127.0.0.1", int(where.rpartition(":")[2]))) as connection:
            client = Client(connection)
            client.ask(b"?")
            client.send(frame(b"vCont;c"))
            time.sleep(0.2)
            client.send(b"\3")
            assert client.receive().startswith(b"T02")
            client.send(frame(b"vCont;c"))
            process.stdin.write("line\n")
            process.stdin.close()
            process.stdin = None
            assert client.receive() == b"W00"
            client.send(frame(b"vCont;c"))
            assert ended(process) == (0, "line\n", "")


@pytest.mark.parametrize("running", [False, True])
def test_a_client_that_vanishes(running: bool) -> None:
    with server("spin", "1000000") as (process, client):
        client.ask(b"?")
        if running:
            client.send(frame(b"vCont;c"))
        client.connection.close()
        assert ended(process) == (125, "", "p9emu: gdb: the client went away; the program was ended\n")


def test_a_client_that_detaches_leaves_the_program_running() -> None:
    with server("hello") as (process, client):
        client.ask(b"?")
        assert client.ask(b"D;2") == b"OK"
        client.connection.close()
        assert ended(process) == (0, "hello, world\n", "")


def test_noise_before_a_packet_of_a_megabyte() -> None:
    with server("hello") as (process, client):
        client.send(b"GET / HTTP/1.0\r\n\r\n$$$#zz")
        client.send(frame(b"m" * (1 << 20)))
        assert client.receive() == b"E16"
        assert client.ask(b"k" * 3) == b""
        client.ask(b"D")
        assert ended(process) == (0, "hello, world\n", "")


def test_addresses_that_cannot_be_listened_at(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for address, why in (
            (f":{port}", f":{port}: Address already in use"),
            ("nonsense:port", "nonsense:port: not HOST:PORT, and no path of a socket"),
            (f"{tmp_path}/no/such", f"{tmp_path}/no/such: No such file or directory"),
        ):
            done = p9emu("gdb", "-l", address, "hello")
            assert done.returncode == 125
            assert done.stderr.decode() == f"p9emu: -l {why}\n"


def test_a_program_that_is_not_there_is_told_before_anybody_connects() -> None:
    done = p9emu("gdb", "nonsense")
    assert (done.returncode, done.stderr.decode()) == (127, "p9emu: nonsense: no such file\n")


def test_over_standard_input_and_output() -> None:
    talk = b"".join(map(frame, (b"?", b"vCont;c", b"vCont;c")))
    done = p9emu("gdb", "-l", "-", "hello", stdin=talk)
    parser = Parser()
    said = [i.data for i in parser.feed(done.stdout) if isinstance(i, Packet)]
    assert said[0].startswith(b"T05")
    assert said[1:] == [b"O" + b"hello, world\n".hex().encode(), b"W00"]
    assert Interrupt() not in parser.feed(done.stdout)
    assert (done.returncode, done.stderr) == (0, b"")


def test_others_are_warned_of() -> None:
    words = [sys.executable, "-m", "emu", "gdb", "-l", "0.0.0.0:0", "hello"]
    with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(f"{WHERE}0.0.0.0:")
        assert process.stderr.readline() == (
            "p9emu: gdb: warning: whoever can reach that address can do with the program what they like\n"
        )
        process.send_signal(signal.SIGINT)
        assert ended(process)[::2] == (130, "p9emu: interrupted\n")


# p9emu elf


def test_elf_writes_a_file(tmp_path: Path) -> None:
    done = p9emu("elf", "hello", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert os.listdir(tmp_path) == ["hello.elf"]
    made = (tmp_path / "hello.elf").read_bytes()
    assert made[:4] == b"\x7fELF"
    assert p9emu("elf", "-o", "-", "hello").stdout == made


@pytest.mark.parametrize(
    ("args", "status", "told"),
    [
        (("nonsense",), 127, "nonsense: no such file"),
        (("-o", "no/such/place", "hello"), 125, "cannot write no/such/place: No such file or directory"),
        (("-o", "/dev/full", "hello"), 125, "cannot write /dev/full: No space left on device"),
        (("-o", "x", "."), 126, ".: is a directory"),
    ],
)
def test_elf_that_cannot_be_made(args: tuple[str, ...], status: int, told: str, tmp_path: Path) -> None:
    done = p9emu("elf", *args, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.decode()) == (status, b"", f"p9emu: {told}\n")
    assert os.listdir(tmp_path) == []


def test_elf_does_not_overwrite_the_program(tmp_path: Path) -> None:
    copy = tmp_path / "hello"
    copy.write_bytes(Path(resolve("hello")).read_bytes())
    before = copy.read_bytes()
    done = p9emu("elf", "-o", str(copy), str(copy))
    assert (done.returncode, done.stderr.decode()) == (125, f"p9emu: {copy}: is the program itself\n")
    assert copy.read_bytes() == before
