"""Streams whose other end hears of things later: one behind a wire that takes its time, or one on the host's network.

An :class:`End` belongs to one connection of one conversation and is what its far side calls; a conversation that has
gone on to something else does not hear it any more. How much may be sent without an answer is credit: the sender's
falls by what it sends, and rises by what the other side's program has read. The original has nothing like it: there the
other end is a sequence of segments, and credit the window that they tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kernel.devices.ip.tcp import Tcpconv

if TYPE_CHECKING:
    from kernel.base.hw import Stream
    from kernel.devices.ip.wire import Wire


class Farconv(Tcpconv):
    """A conversation that may have an ``end`` instead of a peer: this end of a connection whose other end is far."""

    end: End | None = None


class Streams(Protocol):
    """What TCP does when something comes from afar."""

    def farestablished(self, c: Farconv, rtt: int) -> None:
        """The call was answered, rtt ms after it."""

    def farrefused(self, c: Farconv, why: str) -> None:
        """It was not."""

    def fargot(self, c: Farconv, data: bytes) -> None:
        """Data has come."""

    def faroutput(self, c: Farconv) -> None:
        """There is room for more."""

    def farended(self, c: Farconv) -> None:
        """The other side sends no more."""

    def faracked(self, c: Farconv) -> None:
        """The other side has all, and knows that there is no more."""

    def farreset(self, c: Farconv) -> None:
        """The other side has put an end to it."""


class End:
    """Implements kernel.base.hw.Listener for a conversation's present connection."""

    far: Stream

    def __init__(self, tcp: Streams, c: Farconv, credit: int, now: int) -> None:
        self.tcp = tcp
        self.c = c
        self.credit = credit  # bytes that may be sent
        self.unread = 0  # bytes that came, and of which the other side does not know that they were read
        self.since = now  # of the call, ns
        self.laddr, self.lport, self.raddr, self.rport = c.laddr, c.lport, c.raddr, c.rport
        c.end = self

    @property
    def alive(self) -> bool:
        """The conversation is still about this connection."""
        return self.c.end is self

    def established(self, now: int) -> None:
        """The call was answered."""
        if self.alive:
            self.tcp.farestablished(self.c, (now - self.since) // 1_000_000)

    def refused(self, why: str) -> None:
        """The call was not answered, or not well."""
        if self.alive:
            self.tcp.farrefused(self.c, why)

    def got(self, data: bytes) -> None:
        """Data has come."""
        if self.alive:
            self.unread += len(data)
            self.tcp.fargot(self.c, data)

    def sent(self, n: int) -> None:
        """There is room for n bytes more."""
        if self.alive:
            self.credit += n
            self.tcp.faroutput(self.c)

    def finsent(self) -> None:
        """The other side has all that was sent, and its end."""
        if self.alive:
            self.tcp.faracked(self.c)

    def ended(self) -> None:
        """The other side sends no more."""
        if self.alive:
            self.tcp.farended(self.c)

    def reset(self) -> None:
        """The connection is no more."""
        if self.alive:
            self.tcp.farreset(self.c)


class Wired:
    """Implements kernel.base.hw.Stream: the way from ``own`` to another end of the same stack."""

    def __init__(self, wire: Wire, own: End) -> None:
        self.wire = wire
        self.own = own
        self.other: End | None = None
        own.far = self

    def _cut(self) -> bool:
        """Whether the stream is reset by chance: both ends hear of it."""
        if not self.wire.resets():
            return False
        self.wire.after(self.own.reset)
        if self.other is not None:
            self.wire.after(self.other.reset)
        return True

    def send(self, data: bytes) -> None:
        """Source: ip/tcp.c:tcpoutput."""
        if self._cut():
            return
        pool = self.wire.k.mainmem
        pool.charge(len(data))

        def arrive() -> None:
            pool.free(len(data))
            if self.other is not None and self.other.alive:
                self.other.got(data)
            else:
                self.wire.after(self.own.reset)

        self.wire.after(arrive)

    def fin(self) -> None:
        """No more will be sent."""

        def arrive() -> None:
            if self.other is not None and self.other.alive:
                self.other.ended()
                self.wire.after(self.own.finsent)
            else:
                self.wire.after(self.own.reset)

        self.wire.after(arrive)

    def reset(self) -> None:
        """Put an end to it."""

        def arrive() -> None:
            if self.other is not None:
                self.other.reset()

        self.wire.after(arrive)

    def close(self) -> None:
        """The other end will see when it sends."""

    def took(self, n: int) -> None:
        """n bytes of what came were read."""

        def arrive() -> None:
            if self.other is not None:
                self.other.sent(n)

        self.wire.after(arrive)
