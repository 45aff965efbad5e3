"""Streams whose other end is far: behind a wire that takes its time, or on the host's network. Source: ip/tcp.c.

The states are those of :mod:`kernel.devices.ip.tcp`; what was a call there is a message here. The original has segments
instead, with numbers, which are acknowledged and sent again: what names no source of its own here is not in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.error import Econrefused
from kernel.devices.ip.addr import IPnoaddr, isv4
from kernel.devices.ip.conv import V4, V6, Maxincall
from kernel.devices.ip.far import End, Farconv, Wired
from kernel.devices.ip.fs import LOOPBACK
from kernel.devices.ip.tcp import (
    LOGAGAIN,
    LOGDGAIN,
    QMAX,
    SCALE,
    Established,
    Finwait1,
    Finwait2,
    Listen,
    Syn_sent,
    Tcp,
    Tcpconv,
)
from kernel.devices.qio import qlen, qpassnolim, qtake
from kernel.sched.sleep import wakeup

if TYPE_CHECKING:
    from kernel.base.hw import Network, Stream
    from kernel.devices.ip.conv import Conv
    from kernel.devices.ip.wire import Wire


class Fartcp(Tcp):
    """TCP, of whose connections some have far ends."""

    network: Network | None = None

    def make(self, x: int) -> Conv:
        """A conversation's structure."""
        return Farconv(self, x)

    def _init(self, c: Tcpconv, listen: bool) -> None:
        assert isinstance(c, Farconv)
        super()._init(c, listen)
        c.end = None

    def _theirs(self, c: Tcpconv) -> int:
        assert isinstance(c, Farconv)
        return c.end.credit if c.end is not None else super()._theirs(c)

    def _hangup(self, c: Tcpconv) -> None:
        assert isinstance(c, Farconv)
        if c.end is not None:
            c.end.far.reset()
        super()._hangup(c)

    def _localclose(self, c: Tcpconv, reason: str | None) -> None:
        assert isinstance(c, Farconv)
        end, c.end = c.end, None
        if end is not None:
            end.far.close()
        super()._localclose(c, reason)

    def _syn(self, c: Tcpconv) -> None:
        assert isinstance(c, Farconv)
        f = self.f
        if self._callhost(c):
            return
        if f.wire is not None and f.ipforme(c.raddr):
            self._synwired(c, f.wire)
        else:
            super()._syn(c)

    def _output(self, c: Tcpconv) -> None:
        assert isinstance(c, Farconv)
        if c.end is not None:
            self.faroutput(c)
        else:
            super()._output(c)

    def _acktimer(self, c: Tcpconv) -> None:
        assert isinstance(c, Farconv)
        if c.end is not None:
            self._tookfar(c, c.end)
        else:
            super()._acktimer(c)

    def _finwait2(self, c: Tcpconv) -> None:
        assert isinstance(c, Farconv)
        if c.end is not None:
            self._settimer(c, self._finwait2, c.katimerstart)
        else:
            super()._finwait2(c)

    # On the host's network, of which the first stack knows

    def outside(self, network: Network) -> None:
        """Be reached from there, and reach what is granted."""
        self.network = network
        network.listening = self.listening
        network.answer = self.answer

    def _callhost(self, c: Farconv) -> bool:
        """Call outside, if the address is none of ours, or one where nobody is, and it may be called."""
        if self.network is None or (
            self.f.ipforme(c.raddr) and self.iphtlook(c.laddr, c.lport, c.raddr, c.rport) not in (None, c)
        ):
            return False
        end = End(self, c, 0, self.k.fastticks())
        far = self.network.connect(c.raddr, c.rport, end)
        if far is None:
            c.end = None
            return False
        end.far = far
        far.took(QMAX << SCALE)
        self._segment()
        return True

    def _listener(self, raddr: bytes, rport: int, port: int) -> tuple[bytes, Farconv] | None:
        """Who takes a call from there, and at which of our addresses."""
        all = [laddr for laddr, _ in LOOPBACK]
        for laddr in all if isv4(raddr) else reversed(all):
            s = self.iphtlook(raddr, rport, laddr, port)
            if isinstance(s, Farconv) and s.tcpstate == Listen and self.f.ipforme(laddr):
                return laddr, s
        return None

    def listening(self, port: int) -> bool:
        """Whether somebody takes a call from outside now."""
        found = self._listener(IPnoaddr, 0, port)
        return found is not None and len(found[1].incall) < Maxincall

    def answer(self, port: int, raddr: bytes, rport: int, far: Stream) -> End | None:
        """Take a call from outside."""
        found = self._listener(raddr, rport, port)
        if found is None:
            return None
        laddr, s = found
        ends: list[End] = []

        def begin(new: Conv) -> None:
            assert isinstance(new, Farconv)
            self._begin(new)
            end = End(self, new, new.window, self.k.fastticks())
            end.far = far
            ends.append(end)

        version = V4 if isv4(raddr) else V6
        if self.newcall(s, raddr, rport, laddr, port, version, begin) is None:
            return None
        far.took(QMAX << SCALE)
        return ends[0]

    # Within, behind a wire

    def _synwired(self, c: Farconv, wire: Wire) -> None:
        """Call the other side, which hears of it later."""
        end = End(self, c, 0, self.k.fastticks())
        Wired(wire, end)
        self._segment()
        if wire.resets():
            wire.after(lambda: end.refused(Econrefused))
        else:
            wire.after(lambda: self._synarrived(end, wire))

    def _synarrived(self, end: End, wire: Wire) -> None:
        """Source: ip/tcp.c:tcpiput, limbo."""
        c = end.c
        if not end.alive:
            return
        s = self.iphtlook(c.laddr, c.lport, c.raddr, c.rport)
        if isinstance(s, Farconv) and s.tcpstate == Syn_sent and s.end is not None:  # both call at once, or it is c
            assert isinstance(end.far, Wired)
            end.far.other = s.end
            wire.after(lambda: end.established(self.k.fastticks()))
        elif isinstance(s, Farconv) and s.tcpstate != Listen:
            self._reset(s)
            if end.alive:
                self._settimer(c, self._timeout)
                wakeup(self.k, c.cr)  # who waits has to look when that is
        elif isinstance(s, Farconv):
            wire.after(lambda: self._answered(end, wire))
        else:
            wire.after(lambda: end.refused(Econrefused))

    def _answered(self, end: End, wire: Wire) -> None:
        """Source: ip/tcp.c:tcpiput, in Syn_sent."""
        if end.alive:
            wire.after(lambda: self._opened(end, wire))
            end.established(self.k.fastticks())

    def _opened(self, end: End, wire: Wire) -> None:
        """The listener hears that its answer has come. Source: ip/tcp.c:tcpincoming."""
        c = end.c
        s = self.iphtlook(end.laddr, end.lport, end.raddr, end.rport)
        far = end.far
        assert isinstance(far, Wired)

        def begin(new: Conv) -> None:
            assert isinstance(new, Farconv)
            self._begin(new)
            far.other = mine = End(self, new, new.window, self.k.fastticks())
            Wired(wire, mine).other = end
            self._rtt(new, 2 * wire.faults.delay // 1_000_000)

        if (
            not isinstance(s, Farconv)
            or s.tcpstate != Listen
            or self.newcall(s, end.laddr, end.lport, end.raddr, end.rport, c.ipversion, begin) is None
        ):
            wire.after(end.reset)

    # What comes from afar. Implements kernel.devices.ip.far.Streams

    def _rtt(self, c: Farconv, ms: int) -> None:
        """Source: ip/tcp.c:tcpsynackrtt."""
        c.srtt = ms << LOGAGAIN
        c.mdev = ms << LOGDGAIN

    def farestablished(self, c: Farconv, rtt: int) -> None:
        """The call was answered, rtt ms after it."""
        end = c.end
        if c.tcpstate != Syn_sent or end is None:
            return
        self._halt(c)
        end.credit = QMAX << SCALE
        self._established(c)
        if end.alive:  # who waited has been woken, and may have done anything
            self._rtt(c, rtt)
            self.faroutput(c)

    def farrefused(self, c: Farconv, why: str) -> None:
        """It was not."""
        self.count["OutRsts"] += 1
        self._localclose(c, why)
        self._kick(c)

    def fargot(self, c: Farconv, data: bytes) -> None:
        """Data has come."""
        self.count["InSegs"] += 1
        end = c.end
        assert end is not None
        if c.tcpstate == Finwait2 and c.rq.closed:  # nobody is there to read it
            end.far.reset()
            self._localclose(c, None)
            return
        if c.tcpstate in (Established, Finwait1, Finwait2):
            qpassnolim(self.k, c.rq, data)
        if end.alive:
            self._tookfar(c, end)

    def _tookfar(self, c: Farconv, end: End) -> None:
        n = end.unread - qlen(c.rq)
        if n >= 2 * c.mss or n == end.unread > 0:
            end.unread -= n
            end.far.took(n)

    def faroutput(self, c: Farconv) -> None:
        """There is room for more. Source: ip/tcp.c:tcpoutput."""
        end = c.end
        if end is None or c.sending:
            return
        c.sending = True
        while end.alive and c.wq.blocks and (end.credit or not len(c.wq.blocks[0])):
            n = min(c.mss, end.credit)
            data = qtake(self.k, c.wq, n)
            if data:
                self.count["OutSegs"] += 1
                end.credit -= len(data)
                end.far.send(data)
        c.sending = False
        if not end.alive:
            self._output(c)  # what is there now was not sent meanwhile
        elif c.fin and not c.wq.blocks:
            c.fin = False
            end.far.fin()

    def farended(self, c: Farconv) -> None:
        """The other side sends no more."""
        self._finreceived(c)

    def faracked(self, c: Farconv) -> None:
        """The other side has all, and knows that there is no more."""
        self._finacked(c)

    def farreset(self, c: Farconv) -> None:
        """The other side has put an end to it."""
        if c.tcpstate == Syn_sent:
            self.farrefused(c, Econrefused)
        else:
            self._reset(c)
