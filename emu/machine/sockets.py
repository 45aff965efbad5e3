"""The host's network: connections, ports where calls are taken, names. It knows nothing of a kernel.

Commands are answered by events, which ``collect`` gives; nothing here blocks. Only ordinary sockets are used.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import select
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from emu.machine.config import MachineError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from emu.machine.netconfig import Address, Door

Event = list["Any"]
# what events tell, each with the number of the connection, or of the question
UP, DOWN, DATA, SENT, FIN, FINSENT, RESET, CALL, NAMES, DATAGRAM = (
    "up", "down", "data", "sent", "fin", "finsent", "reset", "call", "names", "datagram",
)  # fmt: skip
MAXREAD: Final = 64 * 1024
MAXLINKS: Final = 256  # connections at once, and ports for datagrams
MAXDATAGRAMS: Final = 16  # that are taken at once
MAXLOOKUPS: Final = 4  # names that are looked up at once
LINGER: Final = 2.0  # s in which what was sent may leave, at the end
BACKLOG: Final = 128
NOROOM: Final = "no free devices"
# in the words that the kernel has for what other machines tell of it. Source: ip/icmp.c, ip/tcp.c
WHY: Final = {
    errno.ECONNREFUSED: "connection refused",
    errno.ETIMEDOUT: "connection timed out",
    errno.ENETUNREACH: "net unreachable",
    errno.EHOSTUNREACH: "host unreachable",
    errno.EACCES: "communication administratively prohibited",
    errno.EPERM: "communication administratively prohibited",
    errno.EMFILE: NOROOM,
    errno.ENFILE: NOROOM,
    errno.ENOBUFS: NOROOM,
    errno.ENOMEM: NOROOM,
}


class Link:
    """One connection. ``room`` is how many bytes the guest can take."""

    def __init__(self, sock: socket.socket, up: bool) -> None:
        self.sock = sock
        self.up = up
        self.out: deque[memoryview] = deque()
        self.fin = False  # to be sent after that
        self.finsent = False
        self.room = 0
        self.eof = False
        self.mask = 0  # what is waited for


class Sockets:
    """All of one machine. ``fd`` can be read when collect() has something to look at."""

    def __init__(self, doors: Sequence[Door]) -> None:
        self._epoll = select.epoll()
        self.fd = self._epoll.fileno()
        self._links: dict[int, Link] = {}
        self._byfd: dict[int, int] = {}
        self._ports: dict[tuple[int, int], socket.socket] = {}  # for datagrams, by number and version of IP
        self._portsbyfd: dict[int, tuple[int, int]] = {}
        self._pending: list[Event] = []
        self._calls = 0
        self._full = False  # no call can be taken until a connection is over
        self._closed = False
        self._doors: list[tuple[socket.socket, bool]] = []
        self._answers: deque[Event] = deque()
        self._asked: deque[tuple[int, str]] = deque()
        self._threads = 0
        self._lock = threading.Lock()
        self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._epoll.register(self._wake[0], select.EPOLLIN)
        self.ports: list[int] = []  # of the doors
        try:
            for door in doors:
                self._open(door)
        except BaseException:
            self.close()
            raise

    def _open(self, door: Door) -> None:
        sock = None
        try:
            sock = socket.socket(_family(door.address), socket.SOCK_STREAM)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if door.address.version == 6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((str(door.address), door.port))
            sock.listen(BACKLOG)
        except OSError as e:
            if sock is not None:
                sock.close()
            raise MachineError(f"--net listen={door}: {e.strerror or e}") from None
        self._doors.append((sock, False))
        self.ports.append(sock.getsockname()[1])

    def fds(self) -> list[int]:
        """Of connections and ports: who else has one keeps it open."""
        return [*self._byfd, *self._portsbyfd, *(sock.fileno() for sock, _ in self._doors)]

    # Commands

    def accepting(self, door: int, on: bool) -> None:
        """Take calls there, or let them wait."""
        sock, was = self._doors[door]
        on = on and len(self._links) < MAXLINKS and not self._full
        if on is not was:
            self._doors[door] = sock, on
            if on:
                self._epoll.register(sock, select.EPOLLIN)
            else:
                self._epoll.unregister(sock)

    def connect(self, n: int, address: Address, port: int) -> None:
        """Call there: UP or DOWN will be told of n."""
        if len(self._links) >= MAXLINKS:
            self._pending.append([DOWN, n, NOROOM])
            return
        try:
            sock = socket.socket(_family(address), socket.SOCK_STREAM)
        except OSError as e:
            self._pending.append([DOWN, n, _why(e.errno)])
            return
        sock.setblocking(False)
        error = sock.connect_ex((str(address), port))
        if error not in (0, errno.EINPROGRESS):
            sock.close()
            self._pending.append([DOWN, n, _why(error)])
            return
        self._add(n, Link(sock, False))

    def refuse(self, n: int) -> None:
        """Tell that it is not called."""
        self._pending.append([DOWN, n, _why(None)])

    def own(self, address: Address) -> bool:
        """Whether that is an address of this computer; True, too, if that cannot be told."""
        try:
            with socket.socket(_family(address), socket.SOCK_DGRAM) as s:
                s.bind((str(address), 0))
        except OSError as e:
            return e.errno != errno.EADDRNOTAVAIL
        return True

    def send(self, n: int, data: bytes) -> None:
        """Send data; SENT will be told when it is under way."""
        link = self._links.get(n)
        if link is not None:
            link.out.append(memoryview(data))
            self._flush(n, link)

    def fin(self, n: int) -> None:
        """After that send the end; FINSENT will be told."""
        link = self._links.get(n)
        if link is not None:
            link.fin = True
            self._flush(n, link)

    def took(self, n: int, room: int) -> None:
        """So many bytes more may come."""
        link = self._links.get(n)
        if link is not None:
            link.room += room
            self._watch(link)

    def reset(self, n: int) -> None:
        """End it at once; nothing more will be told of it."""
        link = self._links.get(n)
        if link is not None:
            with suppress(OSError):
                link.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self._drop(n, link)

    def datagram(self, n: int, address: Address, port: int, data: bytes) -> None:
        """Send a datagram from port n, which is opened when it is first used. Answers will be told of n."""
        key = n, address.version
        sock = self._ports.get(key)
        try:
            if sock is None:
                if len(self._ports) >= MAXLINKS:
                    return
                sock = socket.socket(_family(address), socket.SOCK_DGRAM)
                sock.setblocking(False)
                self._ports[key] = sock
                self._portsbyfd[sock.fileno()] = key
                self._epoll.register(sock, select.EPOLLIN)
            sock.sendto(data, (str(address), port))
        except OSError:
            pass  # it is lost

    def closeport(self, n: int) -> None:
        """No more datagrams."""
        for version in (4, 6):
            sock = self._ports.pop((n, version), None)
            if sock is not None:
                del self._portsbyfd[sock.fileno()]
                self._epoll.unregister(sock)
                sock.close()

    def lookup(self, n: int, name: str) -> None:
        """Ask for a host's addresses: NAMES will be told of n."""
        with self._lock:
            self._asked.append((n, name))
            if self._threads >= MAXLOOKUPS:
                return
            self._threads += 1
        threading.Thread(target=self._resolve, daemon=True).start()

    # Events

    def collect(self) -> list[Event]:
        """What has happened since the last time."""
        for fd, what in self._epoll.poll(0):
            if fd == self._wake[0]:
                self._answered()
                continue
            n = self._byfd.get(fd)
            if fd in self._portsbyfd:
                self._datagrams(fd)
            elif n is None:
                self._taken(fd)
            elif n in self._links:
                self._ready(n, self._links[n], what)
        events, self._pending = self._pending, []
        return events

    def _ready(self, n: int, link: Link, what: int) -> None:
        if not link.up:
            error = link.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                self._pending.append([DOWN, n, _why(error)])
                self._drop(n, link)
                return
            link.up = True
            with suppress(OSError):
                link.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pending.append([UP, n])
        if what & select.EPOLLOUT or link.out or link.fin:
            self._flush(n, link)
        if n not in self._links:
            return
        if link.mask & select.EPOLLIN and what & ~select.EPOLLOUT:
            self._read(n, link)
        elif what & select.EPOLLERR:
            self._lost(n, link)

    def _read(self, n: int, link: Link) -> None:
        try:
            data = link.sock.recv(min(link.room, MAXREAD))
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._lost(n, link)
            return
        if data:
            link.room -= len(data)
            self._pending.append([DATA, n, data])
        else:
            link.eof = True
            self._pending.append([FIN, n])
        self._settle(n, link)

    def _flush(self, n: int, link: Link) -> None:
        if not link.up:
            return
        sent = 0
        try:
            while link.out:
                k = link.sock.send(link.out[0])
                sent += k
                if k < len(link.out[0]):
                    link.out[0] = link.out[0][k:]
                    break
                link.out.popleft()
            if link.fin and not link.out:
                link.sock.shutdown(socket.SHUT_WR)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._lost(n, link)
            return
        if sent:
            self._pending.append([SENT, n, sent])
        if link.fin and not link.out:
            self._pending.append([FINSENT, n])
            link.fin = False
            link.finsent = True
        self._settle(n, link)

    def _settle(self, n: int, link: Link) -> None:
        """What is over by both ends is given back to the host at once."""
        if link.eof and link.finsent:
            self._drop(n, link)
        else:
            self._watch(link)

    def _lost(self, n: int, link: Link) -> None:
        self._pending.append([RESET, n])
        self._drop(n, link)

    def _taken(self, fd: int) -> None:
        """A call at a door."""
        door = next((i for i, (s, _) in enumerate(self._doors) if s.fileno() == fd), None)
        if door is None:
            return
        try:
            new, where = self._doors[door][0].accept()
        except (BlockingIOError, ConnectionError):  # the caller has gone
            return
        except OSError:  # too many files are open
            self._full = True
            self.accepting(door, False)
            return
        new.setblocking(False)
        with suppress(OSError):
            new.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._calls += 1
        n = -self._calls
        self._add(n, Link(new, True))
        self._pending.append([CALL, n, door, _packed(where[0]), where[1]])
        if len(self._links) >= MAXLINKS:
            for i in range(len(self._doors)):
                self.accepting(i, False)

    def _datagrams(self, fd: int) -> None:
        key = self._portsbyfd[fd]
        for _ in range(MAXDATAGRAMS):
            try:
                data, where = self._ports[key].recvfrom(MAXREAD)
            except BlockingIOError:
                return
            except OSError:
                continue  # what became of one that was sent
            self._pending.append([DATAGRAM, key[0], _packed(str(where[0])), where[1], data])

    # What is waited for

    def _add(self, n: int, link: Link) -> None:
        self._links[n] = link
        self._byfd[link.sock.fileno()] = n
        self._watch(link)

    def _watch(self, link: Link) -> int:
        """Wait for what can be used. Nothing: the host would tell of the other side's end over and over."""
        mask = 0
        if not link.up or link.out:
            mask |= select.EPOLLOUT
        if link.up and link.room > 0 and not link.eof:
            mask |= select.EPOLLIN
        if mask != link.mask:
            if not mask:
                self._epoll.unregister(link.sock)
            elif not link.mask:
                self._epoll.register(link.sock, mask)
            else:
                self._epoll.modify(link.sock, mask)
            link.mask = mask
        return mask

    def _drop(self, n: int, link: Link) -> None:
        self._full = False
        del self._links[n]
        del self._byfd[link.sock.fileno()]
        if link.mask:
            self._epoll.unregister(link.sock)
        link.sock.close()

    # Names

    def _resolve(self) -> None:
        """In a thread of its own: the host's resolver waits as long as it likes."""
        while True:
            with self._lock:
                if not self._asked:
                    self._threads -= 1
                    return
                n, name = self._asked.popleft()
            try:
                found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
                addresses = list(dict.fromkeys(_packed(str(where[0])) for *_, where in found))
            except (OSError, ValueError):
                addresses = []
            with self._lock:
                self._answers.append([NAMES, n, addresses])
                if self._closed:
                    return
                with suppress(BlockingIOError):
                    os.write(self._wake[1], b"!")

    def _answered(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._wake[0], 4096)
        while self._answers:
            self._pending.append(self._answers.popleft())

    def close(self) -> None:
        """The end: what was sent leaves first, if it does so in a moment."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._epoll.unregister(self._wake[0])
        for n, _ in list(self._ports):
            self.closeport(n)
        for i in range(len(self._doors)):
            self.accepting(i, False)
        for link in self._links.values():
            link.room = 0
            self._watch(link)
        end = time.monotonic() + LINGER
        while any(link.up and link.out for link in self._links.values()) and (left := end - time.monotonic()) > 0:
            for fd, what in self._epoll.poll(left):
                self._ready(self._byfd[fd], self._links[self._byfd[fd]], what)
        for n, link in list(self._links.items()):
            self._part(link)
            self._drop(n, link)
        for sock, _ in self._doors:
            sock.close()
        self._epoll.close()
        for fd in self._wake:
            os.close(fd)

    def _part(self, link: Link) -> None:
        """A socket that is closed with something to read is reset, and what was sent with it."""
        with suppress(OSError):
            link.sock.shutdown(socket.SHUT_WR)
            for _ in range(16):
                if len(link.sock.recv(MAXREAD)) < MAXREAD:
                    return


def _family(address: Address) -> socket.AddressFamily:
    return socket.AF_INET6 if address.version == 6 else socket.AF_INET


def _packed(text: str) -> bytes:
    """The 16 bytes of an address, without its zone."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed


def _why(error: int | None) -> str:
    return WHY.get(error or 0, "no route")
