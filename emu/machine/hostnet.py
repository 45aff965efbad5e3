"""The host's network as a guest's kernel has it: what was granted, and no more.

All that the host tells comes by one call, ``poll``, as events of :mod:`emu.machine.sockets`, and passes the machine's
journal; what the guest does to the host is never answered at once.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from emu.machine.netconfig import Net, hostname, where
from emu.machine.sockets import CALL, DATA, DATAGRAM, DOWN, FIN, FINSENT, NAMES, RESET, SENT, UP, Event, Sockets
from emu.machine.values import blobs, data, number, text
from kernel.base.dat import Rendez
from kernel.sched.sleep import sleep, wakeup

if TYPE_CHECKING:
    from emu.machine.journal import Journal
    from emu.machine.netconfig import Address
    from kernel.base.hw import Listener
    from kernel.base.kernel import Kernel

POLLNS: Final = 10_000_000  # how often, in the machine's time, the host is asked while processes run
MAXTOLD: Final = 20  # refusals that are told
MAXASKED: Final = 256  # who may answer a port's datagrams: those who were sent some last
LOOPBACK: Final = (ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1"))
CHECKS: Final[dict[str, tuple[Callable[[Any], object], ...]]] = {
    UP: (number,), DOWN: (number, text), DATA: (number, data), SENT: (number, number), FIN: (number,),
    FINSENT: (number,), RESET: (number,), CALL: (number, number, data, number), NAMES: (number, blobs),
    DATAGRAM: (number, data, number, data),
}  # fmt: skip


def events(v: Any) -> list[Event]:
    """What a journal gives back, if it is a list of events."""
    if not isinstance(v, list | tuple):
        raise ValueError
    for what, *args in v:
        for check, arg in zip(CHECKS[what], args, strict=True):
            check(arg)
    return list(v)


def address(addr: bytes) -> Address:
    """An address of its 16 bytes."""
    v6 = ipaddress.IPv6Address(addr)
    return v6.ipv4_mapped or v6


def _nobodys(there: Address) -> bool:
    """An address of no single machine, or one that a host may take for itself."""
    if there.version == 6:  # those that begin with zeros are an old way to write those of IPv4
        return there.is_multicast or (there.packed[:12] == bytes(12) and not there.is_loopback)
    return there.is_multicast or there.packed[0] == 0 or there.packed == b"\xff" * 4


class Hoststream:
    """Implements kernel.base.hw.Stream: connection ``n`` of the host's."""

    def __init__(self, net: Hostnet, n: int) -> None:
        self.net = net
        self.n = n
        self.near: Listener | None = None
        self.ends = {FIN, FINSENT}  # that are yet to be told

    def send(self, data: bytes) -> None:
        """Take data."""
        if (s := self.net.sockets) is not None:
            s.send(self.n, data)

    def fin(self) -> None:
        """No more will be sent."""
        if (s := self.net.sockets) is not None:
            s.fin(self.n)

    def took(self, n: int) -> None:
        """So many bytes more may come."""
        if (s := self.net.sockets) is not None:
            s.took(self.n, n)

    def over(self, end: str) -> None:
        """One of the two ends was told."""
        self.ends.discard(end)
        if not self.ends:
            self.net.streams.pop(self.n, None)

    def reset(self) -> None:
        """Put an end to it."""
        if (s := self.net.sockets) is not None:
            s.reset(self.n)

    def close(self) -> None:
        """Nothing more is asked: what is not over by both ends is reset."""
        self.net.streams.pop(self.n, None)
        self.reset()


class Hostport:
    """Implements kernel.base.hw.Datagrams: port ``n`` of the host's. Those alone may answer to whom was sent."""

    def __init__(self, net: Hostnet, n: int, got: Callable[[bytes, int, bytes], None]) -> None:
        self.net = net
        self.n = n
        self.got = got
        self.asked: dict[tuple[bytes, int], None] = {}

    def send(self, addr: bytes, port: int, data: bytes) -> bool:
        """Send one; False: that is not granted."""
        there = address(addr)
        if not self.net.granted(there, port):
            return False
        self.asked[addr, port] = None
        if len(self.asked) > MAXASKED:
            del self.asked[next(iter(self.asked))]
        if (s := self.net.sockets) is not None and not self.net.ours(s, there, port):
            s.datagram(self.n, there, port, data)
        return True

    def close(self) -> None:
        """No more."""
        self.net.ports.pop(self.n, None)
        if (s := self.net.sockets) is not None:
            s.closeport(self.n)


class Question:
    """A name that was asked for."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.addresses: list[bytes] | None = None
        self.r = Rendez()


class Hostnet:
    """Implements kernel.base.hw.Network. ``warn`` takes what is refused, if ``verbose``."""

    def __init__(
        self, k: Kernel, net: Net, warn: Callable[[str], None], verbose: bool, journal: Journal | None = None
    ) -> None:
        self.k = k
        self.net = net
        self.warn = warn
        self.verbose = verbose
        self.journal = journal
        self.streams: dict[int, Hoststream] = {}
        self.ports: dict[int, Hostport] = {}
        self.listening: Callable[[int], bool] = lambda port: False
        self.answer: Callable[[int, bytes, int, Hoststream], Listener | None] = lambda *call: None
        self.due = 0  # when the host is asked next
        self._calls = 0
        self._asked: dict[int, Question] = {}
        self._known: dict[str, set[Address]] = {}  # addresses that a name was found to have
        self._told: set[str] = set()
        self._sockets = Sockets(net.listen) if net.outside and not self._replaying() else None
        if self._sockets is not None:
            self._announce(self._sockets.ports)

    def _replaying(self) -> bool:
        return self.journal is not None and self.journal.replaying

    @property
    def sockets(self) -> Sockets | None:
        """The host, unless a journal stands for it."""
        return None if self._replaying() else self._sockets

    @property
    def fd(self) -> int:
        """Can be read when there is something to poll, -1 if there never is."""
        return self._sockets.fd if self._sockets is not None else -1

    def _announce(self, ports: Sequence[int]) -> None:
        for door, port in zip(self.net.listen, ports, strict=True):
            if self.verbose or not door.port:
                self.warn(f"net: {where(door.address, port)} is port {door.guest} of the guest")
            if door.open:
                self.warn(f"net: warning: whoever can reach {where(door.address, port)} can call the guest")

    # What the kernel asks

    def connect(self, addr: bytes, port: int, near: Listener) -> Hoststream | None:
        """Call an address of 16 bytes. None: that is not granted."""
        there = address(addr)
        if not self.granted(there, port):
            return None
        self._calls += 1
        stream = self._stream(self._calls)
        stream.near = near
        if self.sockets is not None:
            if self.ours(self.sockets, there, port):
                self.sockets.refuse(stream.n)
            else:
                self.sockets.connect(stream.n, there, port)
        return stream

    def datagrams(self, got: Callable[[bytes, int, bytes], None]) -> Hostport:
        """A port for datagrams; got is called with where an answer comes from, and the answer."""
        self._calls += 1
        port = self.ports[self._calls] = Hostport(self, self._calls, got)
        return port

    def names(self, name: str) -> Sequence[bytes] | None:
        """The addresses of a host, as soon as they are known; None: that is not granted."""
        host = hostname(name)
        if host is None:
            return None
        if not self.net.resolve and not any(g.name == host for g in self.net.connect):
            self._tell(f"net: the host is not asked for {host} (--net resolve would allow it)")
            return None
        self._calls += 1
        q = self._asked[self._calls] = Question(host)
        if self.sockets is not None:
            self.sockets.lookup(self._calls, host)
        n = self._calls
        try:
            while q.addresses is None:
                sleep(self.k, q.r, lambda: q.addresses is not None)
        finally:
            self._asked.pop(n, None)
        return q.addresses

    def _stream(self, n: int) -> Hoststream:
        stream = self.streams[n] = Hoststream(self, n)
        return stream

    def granted(self, there: Address, port: int) -> bool:
        """Whether that may be called, or sent to. What may not is told."""
        if self._granted(there, port):
            return True
        self._tellnot(there, port)
        return False

    def ours(self, sockets: Sockets, there: Address, port: int) -> bool:
        """Whether that is the host itself by one of its other addresses, which was not named.

        The host is asked, and what it says is no part of a run: the call fails, or the datagram is lost.
        """
        if any(g.address == there and g.port in (None, port) for g in self.net.connect) or there.is_loopback:
            return False
        if not sockets.own(there):
            return False
        self._tellnot(there, port)
        return True

    def _tellnot(self, there: Address, port: int) -> None:
        at = where(there, port)
        self._tell(f"net: {at} is not called (--net connect={at} would allow it)")

    def _granted(self, there: Address, port: int) -> bool:
        """Whether that may be called, unless it is ours. A star, or a name's addresses, are others.

        Nor are they of the link: what answers there, as 169.254.169.254 on a cloud's machines, trusts the host.
        """
        if _nobodys(there):
            return False
        for g in self.net.connect:
            if g.port not in (None, port):
                continue
            if g.address is not None:
                ok = g.address == there
            elif g.name == "localhost":
                ok = there in LOOPBACK
            else:
                near = there.is_loopback or there.is_link_local
                ok = not near and (g.name is None or there in self._known.get(g.name, ()))
            if ok:
                return True
        return False

    def _tell(self, line: str) -> None:
        if self.verbose and line not in self._told and len(self._told) < MAXTOLD:
            self._told.add(line)
            self.warn(line)

    # The machine's side

    @property
    def waiting(self) -> bool:
        """Something may come that a process can hear of."""
        return bool(self.streams or self._asked or any(p.asked for p in self.ports.values())) or any(
            self.listening(door.guest) for door in self.net.listen
        )

    def poll(self, now: int) -> bool:
        """Ask the host, and tell the kernel; whether there was anything."""
        self.due = now + POLLNS
        if not self.waiting:
            return False
        if self.sockets is not None:
            for i, door in enumerate(self.net.listen):
                self.sockets.accepting(i, self.listening(door.guest))
        came = self.journal.ask("net", [], self._collect, events) if self.journal is not None else self._collect()
        for event in came:
            self._apply(*event)
        return bool(came)

    def _collect(self) -> list[Event]:
        assert self._sockets is not None
        return self._sockets.collect()

    def _apply(self, what: str, n: int, *args: Any) -> None:
        if what == NAMES:
            self._found(n, *args)
            return
        if what == CALL:
            self._called(n, *args)
            return
        if what == DATAGRAM:
            port = self.ports.get(n)
            if port is not None and tuple(args[:2]) in port.asked:
                port.got(*args)
            return
        stream = self.streams.get(n)
        if stream is None or stream.near is None:
            return
        near = stream.near
        match what:
            case "up":
                near.established(self.k.fastticks())
            case "down":
                near.refused(*args)
            case "data":
                near.got(*args)
            case "sent":
                near.sent(*args)
            case "fin":
                stream.over(what)
                near.ended()
            case "finsent":
                stream.over(what)
                near.finsent()
            case "reset":
                near.reset()

    def _called(self, n: int, door: int, addr: bytes, port: int) -> None:
        stream = self._stream(n)
        stream.near = self.answer(self.net.listen[door].guest, addr, port, stream)
        if stream.near is None:
            stream.reset()
            stream.close()

    def _found(self, n: int, addresses: list[bytes]) -> None:
        q = self._asked.get(n)
        if q is not None:
            q.addresses = addresses
            self._known.setdefault(q.name, set()).update(address(a) for a in addresses)
            wakeup(self.k, q.r)

    def close(self) -> None:
        """The machine's end."""
        if self._sockets is not None and not self._replaying():
            self._sockets.close()
