"""The server of a go command: it has all imported and Unicorn loaded, and forks for each run (emu/cli/served.py).

It is forked by the first run, and ends with the go command, when it had nothing to do for a minute, or when a file of
p9emu's has changed. The run's process ends with the one that asked for it.

A request is the length of what follows, with the standard streams and the current directory; which program is wanted;
arguments and environment. What else whoever asks has, the host is asked, and it must be as here. The answer is ``?``
with a pidfd of the run's process, which begins when it is told ``!``. Until then whoever asks can do it himself.
"""

from __future__ import annotations

import _socket
import fcntl
import gc
import os
import select
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, NoReturn

import guest
from emu.cli.inherited import parent, state, variables
from emu.cli.run import configure
from emu.cli.served import FILES, PATIENCE, Place, peer, private, program, started
from emu.cli.settings import Options, Shown
from emu.machine.console import MemoryConsole
from emu.machine.machine import Machine

IDLE: Final = 60_000  # ms
HEAD: Final = 16
MOST: Final = 64 << 20  # bytes of a request
ROOMS: Final = ("emu", "kernel", "guest")
F_SETSIG: Final = 10  # <bits/fcntl-linux.h>
Run = Callable[[list[str]], int]


def start(place: Place, run: Run, options: Options) -> None:
    """Fork a server, unless another one was faster. It calls ``run`` for each, in a process of its own, for the status.

    ``options`` are what these runs have.
    """
    try:
        with suppress(FileExistsError):
            os.mkdir(place.directory, 0o700)
        if not private(place.directory):
            return
        _sweep(place.directory)
        listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        listener.bind(place.path)
    except OSError:
        return
    try:
        go = os.pidfd_open(place.go)
        if os.getppid() != place.go:
            raise ProcessLookupError  # the pidfd may be another's
        if os.fork() == 0:
            try:
                Server(place, listener, go, run).serve(options)
            finally:
                os._exit(0)
        os.close(go)
    except OSError:
        with suppress(OSError):
            os.unlink(place.path)
    listener.close()


def _sweep(directory: str) -> None:
    """Remove what servers have left that were killed: go commands are gone."""
    for name in os.listdir(directory):
        pid, _, _ = name.partition("-")
        if pid.isdecimal() and started(int(pid)) != name:
            with suppress(OSError):
                os.unlink(os.path.join(directory, name))


class Server:
    """Serves until there is nobody to be served."""

    def __init__(self, place: Place, listener: _socket.socket, go: int, run: Run) -> None:
        self.place = place
        self.listener: _socket.socket | None = listener
        self.go = go
        self.run = run
        self.runs: dict[int, tuple[int, _socket.socket]] = {}  # by pidfd
        self.state: tuple[list[bytes | int], list[bytes]] = [], []
        self.files: dict[str, tuple[int, ...]] = {}

    def serve(self, options: Options) -> None:
        """Warm up, and serve."""
        assert self.listener is not None
        try:
            self.state = state(os.getpid()), variables(_environment())
            os.setsid()
            _alone(self.listener.fileno(), self.go)
            _once(options)
            self.files = dict(_files())
            if max(mtime for *_, mtime in self.files.values()) > self.place.began:
                return  # they may not be what was imported
            gc.freeze()
            self.listener.listen(64)
            while self._turn():
                pass
        finally:
            self._close()

    def _turn(self) -> bool:
        """Wait for something, and see to it. Whether there is more to wait for."""
        poll = select.poll()
        waited = [*self.runs]
        if self.listener is not None:
            waited += self.listener.fileno(), self.go
        for fd in waited:
            poll.register(fd, select.POLLIN)
        ready = [fd for fd, _ in poll.poll(None if self.runs else IDLE)]
        for fd in ready:
            if fd in self.runs:
                self._ended(fd)
        if not ready or self.go in ready:
            self._close()
        elif self.listener is not None and self.listener.fileno() in ready:
            self._accept(self.listener)
        return self.listener is not None or bool(self.runs)

    def _accept(self, listener: _socket.socket) -> None:
        """Somebody asks: fork."""
        try:
            conn = _socket.socket(fileno=listener._accept()[0])  # type: ignore[attr-defined]
        except OSError:
            return
        if dict(_files()) != self.files:
            self._close()
        elif peer(conn)[1] == os.geteuid():
            with suppress(OSError):
                pid = os.fork()
                if pid == 0:
                    self._serve(conn)
                self.runs[os.pidfd_open(pid)] = pid, conn
                return
        conn.close()

    def _ended(self, fd: int) -> None:
        """A run has; of its status it has told itself."""
        pid, conn = self.runs.pop(fd)
        os.close(fd)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            with suppress(OSError):
                conn.sendall(bytes((ord("s"), os.WTERMSIG(status))))
        conn.close()

    def _close(self) -> None:
        """No more."""
        if self.listener is not None:
            with suppress(OSError):
                os.unlink(self.place.path)
                os.rmdir(self.place.directory)
            self.listener.close()
            self.listener = None

    def _serve(self, conn: _socket.socket) -> NoReturn:
        """In the child: do what is asked for, and end."""
        try:
            assert self.listener is not None
            self.listener.close()
            self.listener = None
            for fd, (_, other) in self.runs.items():
                os.close(fd)
                other.close()
            os.close(self.go)
            pid, _ = peer(conn)
            words, env = _request(conn)
            same = parent(pid) == self.place.go and (state(pid), variables(env)) == self.state
            if same and _begun(conn, env):
                status = self.run(words)
                with suppress(OSError):
                    conn.sendall(bytes((ord("e"), status)))
                os._exit(status)
        except Exception:  # noqa: BLE001  whoever asked is told by the end of the connection
            pass
        finally:
            os._exit(1)
        raise AssertionError


def _files() -> Iterator[tuple[str, tuple[int, int, int]]]:
    """The files that this process has of p9emu, and what changes with them."""
    for name, module in sys.modules.items():
        path = getattr(module, "__file__", None)
        if path is not None and name.split(".", 1)[0] in ROOMS:
            try:
                st = os.stat(path)
                yield path, (st.st_ino, st.st_size, st.st_mtime_ns)
            except OSError:
                yield path, (0, 0, 0)


def _alone(*kept: int) -> None:
    """Let go of all that is the first run's."""
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd in range(3):
        os.dup2(null, fd)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            with suppress(OSError):
                os.close(int(name))


def _once(options: Options) -> None:
    """Run something, so that all is imported, Unicorn is loaded, and what is known of it is found out."""
    own = guest.directory()
    bind = Shown(own, "/tmp", cow=True)
    machine = Machine(configure(options.but(binds=(bind,))), console=MemoryConsole())
    machine.run(f"{own}/true", ())
    machine.close()


def _request(conn: _socket.socket) -> tuple[list[str], list[bytes]]:
    """Read one: the arguments and the environment. The streams and the directory are this process's then."""
    conn.settimeout(PATIENCE)
    head, got, _, _ = conn.recvmsg(HEAD, _socket.CMSG_SPACE(4 * FILES), _socket.MSG_CMSG_CLOEXEC)
    fds = [fd for _, _, data in got for fd in struct.unpack(f"{len(data) // 4}i", data)]
    length = int(head + _exactly(conn, HEAD - len(head)))
    known = program() + b"\0"
    if len(fds) != FILES or length > MOST or _exactly(conn, len(known)) != known:
        raise ValueError
    count, *rest = _exactly(conn, length - len(known)).split(b"\0")
    conn.settimeout(None)
    for i, fd in enumerate(fds[:3]):
        os.dup2(fd, i)
    os.fchdir(fds[3])
    for fd in fds:
        os.close(fd)
    return [os.fsdecode(word) for word in rest[: int(count)]], rest[int(count) :]


def _environment() -> list[bytes]:
    return [b"%s=%s" % v for v in os.environb.items()]


def _exactly(conn: _socket.socket, n: int) -> bytes:
    data = b""
    while len(data) < n:
        part = conn.recv(min(n - len(data), 1 << 20))
        if not part:
            raise EOFError
        data += part
    return data


def _begun(conn: _socket.socket, env: list[bytes]) -> bool:
    """Say that it can begin, and wait for it to be told so. From then on this process ends with whoever asked."""
    os.environb.clear()
    os.environb.update((name, value) for name, _, value in (v.partition(b"=") for v in env))
    sys.stdout.reconfigure(line_buffering=os.isatty(1))  # type: ignore[union-attr]
    pidfd = os.pidfd_open(os.getpid())
    conn.sendmsg([b"?"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", pidfd))])
    os.close(pidfd)
    if conn.recv(1) != b"!":
        return False
    fcntl.fcntl(conn, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(conn, F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(conn, fcntl.F_SETFL, fcntl.fcntl(conn, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(conn, 0)
    return not poll.poll(0)  # it may have ended before
