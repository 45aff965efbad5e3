"""A rig with the host's network: real sockets on its loopback on one side, processes in Python on the other."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing

from emu.machine.hostnet import Hostnet
from emu.machine.journal import Journal
from emu.machine.netconfig import parse
from tests.kernel.devices.ip.net import Netrig, wait


class Hostrig(Netrig):
    """A rig whose stack has the host's network."""

    def __init__(self, words: str, journal: Journal | None = None) -> None:
        super().__init__()
        self.said: list[str] = []
        self.outer = Hostnet(self.k, parse(words), self.said.append, True, journal)
        self.k.network = self.outer

    @property
    def port(self) -> int:
        """Of the host's, where calls are taken."""
        assert self.outer.sockets is not None
        return self.outer.sockets.ports[0]

    def until(self, done: Callable[[], object], seconds: float = 20) -> None:
        """Let the machine's loop come round until that holds."""
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, "nothing comes"
            if not self.outer.poll(0):
                time.sleep(0.001)
            wait(self, 0)

    def dial(self, address: str) -> tuple[int, str, object]:
        """Call, and wait for what comes of it: ctl, directory, result."""
        fd, at = self.clone("tcp")
        out = self.later(lambda: self.pwrite(fd, f"connect {address}".encode()))
        self.until(lambda: out)
        return fd, at, out[0]

    def waits(self, at: str) -> int:
        """Calls that nobody has taken."""
        return len(self.ip.protos[0][0].conv[int(at.rpartition("/")[2])].incall)

    def qin(self, at: str) -> int:
        """Bytes that wait to be read."""
        return int(self.slurp(f"{at}/status").split()[2])


def listener() -> Iterator[socket.socket]:
    """Body of a fixture: somebody who listens on the host's loopback."""
    with closing(socket.create_server(("127.0.0.1", 0))) as s:
        s.settimeout(20)
        yield s


def maker() -> Iterator[Callable[..., Hostrig]]:
    """Body of a fixture: makes rigs, which are closed at the end."""
    made: list[Hostrig] = []

    def new(words: str, journal: Journal | None = None) -> Hostrig:
        made.append(Hostrig(words, journal))
        return made[-1]

    yield new
    for rig in made:
        rig.outer.close()
        rig.shutdown()


Make = Callable[..., Hostrig]


def port(s: socket.socket) -> int:
    """Its port."""
    n: int = s.getsockname()[1]
    return n


def everything(s: socket.socket) -> bytes:
    """What comes until the end."""
    out = b""
    while data := s.recv(1 << 16):
        out += data
    return out
