"""Copies of this process that sleep, and what goes on from there when one is woken.

A sleeper stays as it is however often it is woken: each time another copy goes on. All are gone when the process that
has made them is, however that ends: a sleeper ends with the other end of its socket, who was woken with the sleeper.
"""

from __future__ import annotations

import _socket
import ctypes
import os
import pickle
import signal
import socket
from array import array
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

PDEATHSIG: Final = 1  # prctl: die with the parent
FAMILY: Final = int(socket.AF_UNIX)
STREAM: Final = int(socket.SOCK_STREAM)
HEAD: Final = 8  # bytes that tell a message's length

Fall: TypeAlias = "Callable[[int, array[int]], tuple[int, int]]"


class Channel:
    """Messages to and from a copy: any values that can be pickled. What raises EOFError says that it is gone."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def send(self, message: Any) -> None:
        """Send one. Raises EOFError."""
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        try:
            self.sock.sendall(len(data).to_bytes(HEAD, "little") + data)
        except OSError:
            raise EOFError from None

    def receive(self) -> Any:
        """Wait for one. Raises EOFError."""
        return pickle.loads(self._bytes(int.from_bytes(self._bytes(HEAD), "little")))

    def _bytes(self, n: int) -> bytes:
        out = bytearray()
        while len(out) < n:
            try:
                data = self.sock.recv(min(n - len(out), 1 << 20))
            except OSError:
                raise EOFError from None
            if not data:
                raise EOFError
            out += data
        return bytes(out)

    def close(self) -> None:
        """Nobody listens any more."""
        self.sock.close()


class Sleeper:
    """A copy that sleeps."""

    def __init__(self, pid: int, sock: _socket.socket) -> None:
        self.pid = pid
        self.sock = sock

    def wake(self) -> Channel:
        """Let another copy go on; the way to talk to it. Raises EOFError if the sleeper is gone."""
        mine, its = socket.socketpair()
        try:
            self.sock.sendmsg([b"!"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [its.fileno()]))])
        except OSError:
            mine.close()
            raise EOFError from None
        finally:
            its.close()
        return Channel(mine)

    def end(self) -> None:
        """End it, and whoever it was woken to."""
        self.sock.close()
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def fall(others: array[int]) -> Sleeper | Channel:
    """Leave a copy here that sleeps, without the descriptors ``others``; in who is woken: the way to who has done that.

    No signal reaches a copy. Raises OSError if the host has no room for one.
    """
    # not socket.socketpair(), which makes two of Python's objects of each: whatever is written costs a sleeper a page
    mine, its = _socket.socketpair(FAMILY, STREAM, 0)
    try:
        pid, fd = _fall()(its.fileno(), others + array("i", [mine.fileno()]))
    except OSError:
        mine.close()
        its.close()
        raise
    if pid:
        its.close()
        return Sleeper(pid, mine)
    mine.detach()  # closed already
    its.detach()
    return Channel(socket.socket(fileno=fd))


def _fall() -> Fall:
    try:
        from emu.machine._sleeper import fall
    except ImportError:
        return plain
    found: Fall = fall
    return found


def plain(fd: int, others: array[int]) -> tuple[int, int]:
    """What the extension does, where it was not built: a sleeper takes more memory."""
    old = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
    except OSError:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
        raise
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
        return pid, -1
    try:
        for other in others:
            os.close(other)
        return 0, _asleep(fd)
    except BaseException:  # noqa: BLE001 nothing of it may go on
        os._exit(1)


def _asleep(fd: int) -> int:
    me = os.getpid()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=fd) as sock:
        while True:
            data, fds, _, _ = socket.recv_fds(sock, 1, 1)
            if not data:
                os._exit(0)
            for got in fds:
                if os.fork() == 0:
                    ctypes.CDLL(None).prctl(PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                    if os.getppid() != me:
                        os._exit(0)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    return got
                os.close(got)
