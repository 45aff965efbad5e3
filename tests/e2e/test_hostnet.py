"""The host's network, from a user's side: --net connect=, listen=, and real servers on both sides."""

from __future__ import annotations

import http.client
import http.server
import re
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from kernel.files.fcall import convM2S, convS2M
from tests.e2e.harness import ROOT, p9emu, run
from tests.go import tool
from tests.kernel import server9p

COMMAND = [sys.executable, "-m", "emu"]


@contextmanager
def serving(handler: Any) -> Iterator[int]:
    """A server on the host's loopback; its port."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as s:
        s.daemon_threads = True
        threading.Thread(target=s.serve_forever, args=(0.01,), daemon=True).start()
        yield s.server_address[1]
        s.shutdown()


class Web(http.server.BaseHTTPRequestHandler):
    """Answers with what was asked for."""

    def do_GET(self) -> None:
        body = f"you asked for {self.path}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Files(socketserver.BaseRequestHandler):
    """A 9P2000 server."""

    def handle(self) -> None:
        tree = server9p.Server(None, hello=b"from far\n", empty=b"")  # type: ignore[arg-type]
        f = self.request.makefile("rb")
        while head := f.read(4):
            message = convM2S(head + f.read(int.from_bytes(head, "little") - 4))
            assert message is not None
            self.request.sendall(convS2M(tree.answer(message), 1 << 20))


class Guest:
    """A run of the command with ports of the host's, told on standard error."""

    def __init__(self, *args: str | Path, command: Sequence[str] = ("run",)) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *command, *map(str, args)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stderr is not None
        line = self.process.stderr.readline().decode()
        m = re.fullmatch(r"p9emu: net: 127\.0\.0\.1:([0-9]+) is port [0-9]+ of the guest\n", line)
        assert m, line
        self.port = int(m[1])

    def end(self) -> tuple[int, bytes, bytes]:
        """End its standard input, and wait: status, output, error output."""
        out, error = self.process.communicate(timeout=60)
        return self.process.returncode, out, error


def test_a_call_out_needs_a_grant() -> None:
    with serving(Web) as port:
        request = b"GET /x HTTP/1.0\r\n\r\n"
        r = run("dial", f"tcp!127.0.0.1!{port}", stdin=request, net=f"connect=127.0.0.1:{port}")
        assert r.stdout.endswith("\r\n\r\nyou asked for /x\n")
        r = run("dial", f"tcp!localhost!{port}", stdin=request, net=f"connect=localhost:{port}", cpus=2)
        assert r.stdout.endswith("\r\n\r\nyou asked for /x\n")
        r = run("dial", f"tcp!127.0.0.1!{port}", stdin=request, net=f"connect=127.0.0.1:{port},delay=5ms,loss=9%")
        assert r.stdout.endswith("\r\n\r\nyou asked for /x\n")
        for net in ("loopback", f"connect=127.0.0.1:{port ^ 1}", f"connect=*:{port}"):
            r = run("dial", f"tcp!127.0.0.1!{port}", stdin=request, net=net)
            assert r.outcome.exits == f"dial 2: tcp!127.0.0.1!{port}: connection refused"
        done = p9emu("run", "-v", "dial", f"tcp!127.0.0.1!{port}")
        assert done.returncode == 1
        assert done.stderr.decode().splitlines() == [
            f"p9emu: net: 127.0.0.1:{port} is not called (--net connect=127.0.0.1:{port} would allow it)",
            f"p9emu: dial 2: tcp!127.0.0.1!{port}: connection refused",
        ]
        assert p9emu("run", "dial", f"tcp!127.0.0.1!{port}").stderr.count(b"\n") == 1


@pytest.mark.parametrize("config", [{}, {"cpus": 3}, {"clock": "real"}, {"sched": "random", "seed": 3}])
def test_a_server_is_mounted(config: dict[str, Any]) -> None:
    with serving(Files) as port:
        for argv, out in ((["cat", "/n/hello"], "from far\n"), (["wc", "/n/empty"], "0 0 0 /n/empty")):
            r = run("dial", "-m", f"tcp!127.0.0.1!{port}", *argv, net=f"connect=127.0.0.1:{port}", **config)
            assert (r.outcome.exits, r.stdout.split()) == ("", out.split())


def test_calls_come_in() -> None:
    guest = Guest("--net", "listen=0=7", "tcpecho", "serve", "cat")
    with socket.create_connection(("127.0.0.1", guest.port)) as s:
        for text in (b"hello", b"x" * 300_000):
            s.sendall(text)
            got = b""
            while len(got) < len(text):
                got += s.recv(1 << 16)
            assert got == text
        s.shutdown(socket.SHUT_WR)
        assert s.recv(1) == b""
    assert guest.end() == (0, b"", b"")


def test_the_machine_ends_while_a_call_is_open() -> None:
    guest = Guest("--net", "listen=0=7", "tcpecho", "serve", "cat")
    with socket.create_connection(("127.0.0.1", guest.port)) as s:
        s.sendall(b"x")
        assert s.recv(1) == b"x"
        assert guest.end() == (0, b"", b"")
        assert s.recv(1) == b""


def test_a_time_limit_ends_the_wait_for_a_call() -> None:
    guest = Guest("--timeout", "1", "--net", "listen=0=7", "tcpecho", "serve", "cat")
    assert guest.process.wait(60) == 124
    assert guest.end()[2] == b"p9emu: time limit of 1 s reached\n"


def test_an_alarm_goes_off_while_a_call_is_waited_for() -> None:
    """Time passes, no faster than the host's: dial hangs up a second after its input has ended."""
    with closing(socket.create_server(("127.0.0.1", 0))) as s:
        port = s.getsockname()[1]
        r = run("dial", f"tcp!127.0.0.1!{port}", net=f"connect=127.0.0.1:{port}")
    assert r.outcome.stats.virtual_ns >= 1_000_000_000


def test_a_recording_needs_no_network(tmp_path: Path) -> None:
    """Out and in; the ports are others' when it is done again."""
    out, served = str(tmp_path / "out.rec"), str(tmp_path / "in.rec")
    with serving(Web) as port:
        argv = ["--net", f"connect=localhost:{port}", "dial", f"tcp!localhost!{port}"]
        first = p9emu("record", "-o", out, *argv, stdin=b"GET /x HTTP/1.0\r\n\r\n")
    assert first.stdout.endswith(b"you asked for /x\n")
    again = p9emu("replay", out)
    assert (again.returncode, again.stdout, again.stderr) == (0, first.stdout, b"")
    guest = Guest("--net", "listen=0=7", "tcpecho", "serve", "cat", command=["record", "-o", served])
    with socket.create_connection(("127.0.0.1", guest.port)) as s:
        s.sendall(b"hello")
        assert s.recv(10) == b"hello"
    assert guest.end()[0] == 0
    again = p9emu("replay", served)
    assert (again.returncode, again.stdout, again.stderr) == (0, b"", b"")
    assert b"pread(3, 0x" in p9emu("trace", "-e", "syscall", "--from", served).stderr


def test_a_port_that_somebody_has() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as s:
        port = s.getsockname()[1]
        r = p9emu("run", "--net", f"listen={port}", "hello")
    assert (r.returncode, r.stdout) == (125, b"")
    assert r.stderr.decode() == f"p9emu: --net listen=127.0.0.1:{port}: Address already in use\n"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """guest/go/web, built."""
    out = tmp_path_factory.mktemp("web") / "web"
    done = tool.go("build", "-o", str(out), "./web", cwd=ROOT / "guest" / "go")
    assert done.returncode == 0, done.stderr
    return out


GO = ("-m", "1G", "--note-fp")


def test_a_web_server_in_go_answers_the_host(web: Path) -> None:
    n = 3 if shutil.which("curl") else 2
    guest = Guest(*GO, "--net", "listen=0=80", web, "serve", ":80", str(n))
    with closing(http.client.HTTPConnection("127.0.0.1", guest.port, timeout=60)) as c:
        c.request("POST", "/there", b"x" * 1_000_000)
        assert c.getresponse().read() == b"POST /there, 1000000 bytes, from Plan 9\n"
        c.request("GET", "/again")
        assert c.getresponse().read() == b"GET /again, 0 bytes, from Plan 9\n"
    if n == 3:
        done = subprocess.run(["curl", "-s", f"http://127.0.0.1:{guest.port}/curl"], capture_output=True, check=True)
        assert done.stdout == b"GET /curl, 0 bytes, from Plan 9\n"
    assert guest.end() == (0, b"", b"")


def test_a_web_server_in_go_is_not_reached_without_a_grant(web: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
    guest = subprocess.Popen(
        [*COMMAND, "run", *GO, "--timeout", "3", str(web), "serve", f"127.0.0.1:{port}"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
    )
    end = time.monotonic() + 2
    while time.monotonic() < end:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        time.sleep(0.1)
    # it waits for a call that cannot come
    assert b"no progress" in guest.communicate()[1] or guest.returncode == 124


def test_http_get_in_go(web: Path) -> None:
    with serving(Web) as port:
        url = f"http://localhost:{port}/some/where"
        done = p9emu("run", *GO, "--net", f"connect=localhost:{port}", str(web), "get", url)
        assert (done.returncode, done.stdout) == (0, b"you asked for /some/where\n")
        done = p9emu("run", *GO, str(web), "get", url)
        assert (done.returncode, done.stdout) == (1, b"")
        assert b"connection refused" in done.stderr
