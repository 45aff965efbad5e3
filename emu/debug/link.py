"""The way to the debugger: a socket of this computer, or standard input and output. There is one client, the first."""

from __future__ import annotations

import os
import select
import socket
import stat
from contextlib import suppress
from typing import Final, Protocol

from emu.debug.rsp import Ack, Bad, Interrupt, Item, Packet, Parser, frame

CHUNK: Final = 1 << 16


class AddressError(ValueError):
    """An address that cannot be listened at; str() says which and why."""


class Gone(Exception):
    """The client went away."""


class Link(Protocol):
    """What the server needs of a connection."""

    fd: int
    """Readable when the client has sent something."""
    halves: bool
    """A client that says nothing more may still listen."""

    def receive(self, wait: bool) -> list[Item]:
        """What came; with ``wait`` not before something did. Raises Gone."""

    def send(self, data: bytes) -> None:
        """Send a packet with that data. Raises Gone."""

    def quiet(self) -> None:
        """From the next packet on, acknowledge none."""

    def close(self) -> None:
        """Hang up."""


class Stream:
    """Implements Link on file descriptors; ``own`` is closed with it."""

    def __init__(self, fd: int, out: int, own: socket.socket | None = None) -> None:
        self.fd = fd
        self._out = out
        self._own = own
        self.halves = own is None
        self._parser = Parser()
        self._acks = True
        self._last = b""

    def receive(self, wait: bool) -> list[Item]:
        """As of Link; what went wrong on the way is seen to here."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        while True:
            if not poll.poll(None if wait else 0):
                return []
            try:
                data = os.read(self.fd, CHUNK)
            except OSError:
                raise Gone from None
            if not data:
                raise Gone
            items = [i for i in self._parser.feed(data) if self._taken(i)]
            if items or not wait:
                return items

    def _taken(self, item: Item) -> bool:
        if isinstance(item, Ack):
            if not item.good and self._acks and self._last:
                self._write(self._last)
            return False
        if isinstance(item, Packet):
            if self._acks:
                self._write(b"+")
        elif isinstance(item, Bad) and not item.large and self._acks:
            self._write(b"-")
            return False
        elif isinstance(item, Bad) and self._acks:
            self._write(b"+")
        return isinstance(item, Packet | Interrupt | Bad)

    def send(self, data: bytes) -> None:
        """As of Link."""
        self._last = frame(data)
        self._write(self._last)

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._out, data) :]
            except OSError:
                raise Gone from None

    def quiet(self) -> None:
        """As of Link."""
        self._acks = False

    def close(self) -> None:
        """As of Link."""
        if self._own is not None:
            self._own.close()


class Listener:
    """Where a client is waited for: ``HOST:PORT`` (``:PORT`` is this computer's loopback), or the path of a socket."""

    def __init__(self, address: str) -> None:
        self.path = ""
        if ":" not in address and ("/" in address or not address.isdecimal()):
            self._unix(address)
        else:
            self._inet(address)

    def _inet(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        host = host.strip("[]") or "127.0.0.1"
        if not port.isdecimal() or int(port) > 0xFFFF:
            raise AddressError(f"{address}: not HOST:PORT, and no path of a socket")
        try:
            family, kind, proto, _, where = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
            self.socket = socket.socket(family, kind, proto)
        except (OSError, UnicodeError):
            raise AddressError(f"{address}: no such host") from None
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(where)
            self.socket.listen(1)
        except OSError as e:
            self.socket.close()
            raise AddressError(f"{address}: {e.strerror or e}") from None
        name, number = self.socket.getsockname()[:2]
        self.where = f"[{name}]:{number}" if ":" in name else f"{name}:{number}"
        self.open = not (name == "::1" or name.startswith("127."))

    def _unix(self, path: str) -> None:
        self.where, self.open = path, False
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._sweep(path)
            self.socket.bind(path)
            self.path = path
            os.chmod(path, 0o600)
            self.socket.listen(1)
        except (OSError, ValueError) as e:
            self.socket.close()
            why = e.strerror if isinstance(e, OSError) and e.strerror else str(e)
            raise AddressError(f"{path}: {why}") from None

    def _sweep(self, path: str) -> None:
        """A socket that nobody listens at was left by one who was killed."""
        with suppress(FileNotFoundError):
            if stat.S_ISSOCK(os.stat(path).st_mode):
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
                    try:
                        other.connect(path)
                    except ConnectionRefusedError:
                        os.unlink(path)

    def accept(self) -> Stream:
        """Wait for the client. Nobody else is let in."""
        try:
            client, _ = self.socket.accept()
        finally:
            self.close()
        if client.family != socket.AF_UNIX:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Stream(client.fileno(), client.fileno(), client)

    def close(self) -> None:
        """Listen no more."""
        self.socket.close()
        path, self.path = self.path, ""
        if path:
            with suppress(OSError):
                os.unlink(path)
