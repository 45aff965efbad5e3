"""Streams. Source: ip/tcp.c.

There is no wire, and nothing is lost on it: a segment is with its receiver when the sender's call returns, and its
acknowledgement too; kernel.devices.ip.fartcp has what takes longer. What is modelled is what programs see: the
states, who may send how much until the other side reads, segments as far as the bounds of reads show them, resets,
half close, and the times that states last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from kernel.base.error import Ebadarg, Econinuse, Econrefused, Etimedout
from kernel.devices.ip.addr import eipfmt
from kernel.devices.ip.conv import V4, V6, Announced, Conv, Enetctl, Proto
from kernel.devices.ip.netlog import Logtcp
from kernel.devices.parse import atoi
from kernel.devices.qio import Queue, qclose, qfree, qhangup, qlen, qpassnolim, qtake
from kernel.sched.sleep import wakeup

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel
    from kernel.devices.ip.fs import Fs

QMAX: Final = 64 * 1024 - 1
MSPTICK: Final = 50
DEF_RTT: Final = 500
DEF_KAT: Final = 120_000
DEF_MSS: Final = 1460
MAXBACKMS: Final = 9 * 60 * 1000
MSL2: Final = 10
LOGAGAIN: Final = 3
LOGDGAIN: Final = 2
SCALE: Final = 4  # log2 of what a window is larger by, once there is a connection
Maxtu: Final = 16 * 1024
MSS: Final = {V4: Maxtu - 40, V6: Maxtu - 60}
(
    Closed, Listen, Syn_sent, Syn_received, Established, Finwait1, Finwait2, Close_wait, Closing, Last_ack, Time_wait,
) = range(11)  # fmt: skip
tcpstates: Final = (
    "Closed", "Listen", "Syn_sent", "Syn_received", "Established", "Finwait1", "Finwait2", "Close_wait", "Closing",
    "Last_ack", "Time_wait",
)  # fmt: skip
statnames: Final = (
    "MaxConn", "MaxSegment", "ActiveOpens", "PassiveOpens", "EstabResets", "CurrEstab", "InSegs", "OutSegs",
    "RetransSegs", "RetransSegsSent", "RetransTimeouts", "InErrs", "OutRsts", "CsumErrs", "HlenErrs", "LenErrs",
    "OutOfOrder", "Resequenced", "ReseqBytelim", "ReseqPktlim", "Delayack", "Wopenack", "Recovery", "RecoveryDone",
    "RecoveryRTO", "RecoveryNoSeq", "RecoveryCwind", "RecoveryPA",
)  # fmt: skip


class Tcpconv(Conv):
    """A conversation with its control block. Source: ip/tcp.c:Tcpctl."""

    def __init__(self, p: Proto, x: int) -> None:
        super().__init__(p, x)
        self.tcpstate = Closed
        self.peer: Tcpconv | None = None  # the other end, as long as there is a connection
        self.fin = False  # an end of data is yet to be sent, after the data
        self.sending = False  # somebody does, and sends what others have written meanwhile: stands for the qlock
        self.window = 0
        self.qscale = 0
        self.mss = 0
        self.srtt = 0
        self.mdev = 0
        self.cwind = 0
        self.timer = 0  # number of the timer that runs
        self.timerstart = 0  # ticks
        self.backoff = 0
        self.backedoff = 0  # ms
        self.katimerstart = 0
        self.keepalive = False
        self.since = 0  # when Finwait2 began, ns


class Tcp(Proto):
    """Source: ip/tcp.c."""

    name = "tcp"

    def __init__(self, k: Kernel, f: Fs, x: int) -> None:
        super().__init__(k, f, x)
        self.count = dict.fromkeys(statnames, 0)
        self.count["MaxConn"] = self.nc

    def make(self, x: int) -> Conv:
        """A conversation's structure."""
        return Tcpconv(self, x)

    def create(self, c: Conv) -> None:
        """Source: ip/tcp.c:tcpcreate."""
        assert isinstance(c, Tcpconv)
        c.rq = Queue(QMAX)
        c.rq.coalesce = True
        c.rq.kick = lambda: self._acktimer(c)
        c.wq = Queue(QMAX)
        c.wq.kick = lambda: self._kick(c)

    def inuse(self, c: Conv) -> bool:
        """Source: ip/tcp.c:tcpinuse."""
        assert isinstance(c, Tcpconv)
        return c.tcpstate != Closed

    # Messages

    def connect(self, c: Conv, argv: Sequence[str]) -> str | None:
        """Source: ip/tcp.c:tcpconnect."""
        assert isinstance(c, Tcpconv)
        if c.tcpstate != Closed:
            return Econinuse
        e = self.stdconnect(c, argv)
        if e is not None:
            return e
        self._init(c, False)
        self.count["ActiveOpens"] += 1
        self.iphtadd(c)
        self._setstate(c, Syn_sent)
        self._syn(c)
        return None

    def announce(self, c: Conv, argv: Sequence[str]) -> str | None:
        """Source: ip/tcp.c:tcpannounce."""
        assert isinstance(c, Tcpconv)
        if c.tcpstate != Closed:
            return Econinuse
        e = self.stdannounce(c, argv)
        if e is not None:
            return e
        self._init(c, True)
        self.count["PassiveOpens"] += 1
        self.iphtadd(c)
        self._setstate(c, Listen)
        self.connected(c, None)
        return None

    def ctl(self, c: Conv, f: Sequence[str]) -> str | None:
        """Source: ip/tcp.c:tcpctl; ``close`` is of 4aeefba68, and Go uses nothing else."""
        assert isinstance(c, Tcpconv)
        match f[0]:
            case "close" if len(f) == 1:
                self.close(c)
            case "hangup" if len(f) == 1:
                self._hangup(c)
            case "keepalive":
                return self._startka(c, f)
            case "checksum":  # the original reads a word that may not be there
                return None if len(f) > 1 else Ebadarg
            case "tcpporthogdefense":
                if len(f) < 2:
                    return Ebadarg
                return None if f[1] in ("on", "off") else "unknown value for tcpporthogdefense"
            case _:
                return Enetctl
        return None

    def _startka(self, c: Tcpconv, f: Sequence[str]) -> str | None:
        """Ask for signs of life, which the other end here always gives. Source: ip/tcp.c:tcpstartka."""
        if c.tcpstate != Established:
            return "connection must be in Establised state"
        if len(f) > 1 and (x := atoi(f[1])) >= MSPTICK:
            c.katimerstart = x // MSPTICK
        c.keepalive = True
        return None

    def _hangup(self, c: Tcpconv) -> None:
        """Reset the connection. Source: ip/tcp.c:tcphangup."""
        p = c.peer
        if p is not None:
            self._segment()
        self._localclose(c, None)
        if p is not None and p.peer is c:
            self._reset(p)

    def close(self, c: Conv) -> None:
        """Source: ip/tcp.c:tcpclose."""
        assert isinstance(c, Tcpconv)
        k = self.k
        for q in (c.rq, c.wq, c.eq):
            qhangup(k, q)
        qfree(k, c.rq)
        if c.tcpstate == Listen:
            self.connected(c, "Hangup")
            self._localclose(c, None)
        elif c.tcpstate in (Closed, Syn_sent):
            self._localclose(c, None)
        elif c.tcpstate in (Syn_received, Established, Close_wait):
            c.fin = True
            self._setstate(c, Last_ack if c.tcpstate == Close_wait else Finwait1)
            self._output(c)
            self._acktimer(c)  # there is room for what the other end has yet to send

    # What is told

    def state(self, c: Conv) -> str:
        """Source: ip/tcp.c:tcpstate."""
        assert isinstance(c, Tcpconv)
        ka = c.keepalive or c.tcpstate == Finwait2
        mine = max(c.window - qlen(c.rq), 0)
        theirs = self._theirs(c)
        return (
            f"{tcpstates[c.tcpstate]} qin {qlen(c.rq)} qout {qlen(c.wq)} rq 0.0 srtt {c.srtt} mdev {c.mdev}"
            f" sst {c.window} cwin {c.cwind} swin {theirs}>>{c.qscale} rwin {mine}>>{c.qscale} qscale {c.qscale}"
            f" timer.start {c.timerstart} timer.count {c.timerstart if c.timer and not ka else 0} rerecv 0"
            f" katimer.start {c.katimerstart} katimer.count {c.katimerstart if ka else 0}\n"
        )

    def _theirs(self, c: Tcpconv) -> int:
        """The window that the other end has told."""
        return max(c.peer.window - qlen(c.peer.rq), 0) if c.peer is not None else 0

    def stats(self) -> str:
        """Source: ip/tcp.c:tcpstats."""
        return "".join(f"{name}: {self.count[name]}\n" for name in statnames)

    # The states

    def _init(self, c: Tcpconv, listen: bool) -> None:
        """Source: ip/tcp.c:inittcpctl."""
        c.peer = None
        c.fin = False
        c.srtt = DEF_RTT << LOGAGAIN
        c.mdev = 0
        c.timerstart = DEF_RTT // MSPTICK
        c.backoff = c.backedoff = 0
        c.katimerstart = DEF_KAT // MSPTICK
        c.keepalive = False
        c.mss = c.cwind = DEF_MSS if listen or c.ipversion == V4 else 1280
        self.count["MaxSegment"] = c.mss
        self._setscale(c, 0)

    def _setscale(self, c: Tcpconv, scale: int) -> None:
        """Source: ip/tcp.c:tcpsetscale."""
        c.qscale = scale
        c.window = c.rq.limit = c.wq.limit = QMAX << scale

    def _setstate(self, c: Tcpconv, state: int) -> None:
        """Source: ip/tcp.c:tcpsetstate."""
        old = c.tcpstate
        if old == state:
            return
        if old == Established:
            self.count["CurrEstab"] -= 1
        if state == Established:
            self.count["CurrEstab"] += 1
        if state == Closed:
            for q in (c.rq, c.wq, c.eq):
                qclose(self.k, q)
        elif state == Close_wait:
            qhangup(self.k, c.rq)
        c.tcpstate = state
        if old == Syn_sent and state != Closed:
            self.connected(c, None)

    def _localclose(self, c: Tcpconv, reason: str | None) -> None:
        """Source: ip/tcp.c:localclose."""
        self.iphtrem(c)
        self._halt(c)
        c.keepalive = False
        c.peer = None
        c.fin = False
        if c.tcpstate == Syn_sent:
            self.connected(c, reason)
        qhangup(self.k, c.rq, reason)
        qhangup(self.k, c.wq, reason)
        if c.state == Announced:
            wakeup(self.k, c.listenr)  # erratum 42: it must find the queue hung up
        self._setstate(c, Closed)

    def _segment(self) -> None:
        """Count a segment, which arrives."""
        self.count["OutSegs"] += 1
        self.count["InSegs"] += 1
        f = self.f
        f.outrequests += 1
        f.inreceives += 1
        f.indelivers += 1

    def _reset(self, c: Tcpconv) -> None:
        """A reset has come for c. Source: ip/tcp.c:tcpiput, where a segment has RST."""
        self.count["OutRsts"] += 1
        if c.tcpstate == Established:
            self.count["EstabResets"] += 1
        self._localclose(c, Econrefused)
        self._kick(c)

    def _syn(self, c: Tcpconv) -> None:
        """Call the other side. Source: ip/tcp.c:tcpsndsyn, tcpoutput, tcpiput, limbo, tcpincoming."""
        f = self.f
        if not f.hasroute(c.raddr):
            self._localclose(c, "no route")
            return
        if not f.ipforme(c.raddr):  # a machine that is not there
            self._settimer(c, self._timeout)
            return
        self._segment()
        s = self.iphtlook(c.laddr, c.lport, c.raddr, c.rport)
        if s is c:
            c.peer = c  # both ends call at once
        elif isinstance(s, Tcpconv) and s.tcpstate != Listen:
            # what is left of an older call from the same port: it answers with an acknowledgement, which makes no
            # sense here and is reset, and the next call gets through
            self._reset(s)
            self._settimer(c, self._timeout)
            return
        elif not isinstance(s, Tcpconv):
            f.log.log(
                Logtcp,
                f"iphtlook(src {eipfmt(c.laddr)}!{c.lport}, dst {eipfmt(c.raddr)}!{c.rport}) failed\n",
            )
            self._reset(c)
            return
        self._established(c)
        if s is c:
            return
        self._segment()

        def begin(new: Conv) -> None:
            assert isinstance(new, Tcpconv)
            self._begin(new)
            c.peer, new.peer = new, c

        if self.newcall(s, c.laddr, c.lport, c.raddr, c.rport, c.ipversion, begin) is None:
            self._reset(c)  # the caller has been answered, and is now put off

    def _begin(self, new: Tcpconv) -> None:
        """A connection for who listens. Source: ip/tcp.c:tcpincoming."""
        self._init(new, False)
        self._established(new)
        self.iphtadd(new)

    def _established(self, c: Tcpconv) -> None:
        c.mss = MSS[V6 if c.ipversion == V6 else V4]
        self.count["MaxSegment"] = c.mss
        c.cwind = 2 * c.mss
        c.srtt = 0
        self._setscale(c, SCALE)
        self._setstate(c, Established)

    def _output(self, c: Tcpconv) -> None:
        """Send what the other end has room for, then the end if there is one. Source: ip/tcp.c:tcpoutput."""
        if not c.sending:
            c.sending = True
            self._send(c)
            c.sending = False

    def _send(self, c: Tcpconv) -> None:
        k = self.k
        while (p := c.peer) is not None and c.wq.blocks:
            room = p.window - qlen(p.rq)
            first = len(c.wq.blocks[0])
            if first and room <= 0:
                return
            data = qtake(k, c.wq, min(c.mss, room))
            if data and not self._deliver(c, p, data):
                return
        if p is not None and c.fin:
            c.fin = False
            self._segment()
            if p.peer is not c:
                self._reset(c)
                return
            self._finreceived(p)
            self._finacked(c)

    def _deliver(self, c: Tcpconv, p: Tcpconv, data: bytes) -> bool:
        """Data from c arrives at p; whether that was well."""
        self._segment()
        if p.peer is not c or p.tcpstate == Finwait2:  # nobody is there to read it
            self._reset(c)
            return False
        if p.tcpstate in (Established, Finwait1):
            qpassnolim(self.k, p.rq, data)
        return True

    def _finreceived(self, p: Tcpconv) -> None:
        """Source: ip/tcp.c:tcpiput, where a segment has FIN."""
        if p.tcpstate == Established:
            self._setstate(p, Close_wait)
        elif p.tcpstate == Finwait1:
            self._setstate(p, Closing)
        elif p.tcpstate == Finwait2:
            self._timewait(p)

    def _finacked(self, c: Tcpconv) -> None:
        """Source: ip/tcp.c:tcpiput, where all that was sent is acknowledged."""
        if c.tcpstate == Finwait1:
            self._setstate(c, Finwait2)
            c.since = self.k.fastticks()
            c.katimerstart = MSL2 * (1000 // MSPTICK)
            self._settimer(c, self._finwait2, c.katimerstart)
        elif c.tcpstate == Closing:
            self._timewait(c)
        elif c.tcpstate == Last_ack:
            self._localclose(c, None)
            self._kick(c)

    def _kick(self, c: Tcpconv) -> None:
        """Something was written. Source: ip/tcp.c:tcpkick."""
        if c.tcpstate in (Syn_sent, Syn_received, Established, Close_wait):
            self._output(c)
        else:
            self._localclose(c, "Hangup")

    def _acktimer(self, c: Tcpconv) -> None:
        """Something was read: the other end hears of the room. Source: ip/tcp.c:tcpacktimer."""
        p = c.peer
        if p is not None and p.peer is c and (p.wq.blocks or p.fin):
            self._output(p)

    # Time

    def _halt(self, c: Tcpconv) -> None:
        self.f.timers.stop(c.timer)
        c.timer = 0

    def _settimer(self, c: Tcpconv, fn: Callable[[Tcpconv], None], ticks: int | None = None) -> None:
        self._halt(c)

        def expired() -> None:
            c.timer = 0
            fn(c)

        c.timer = self.f.timers.start((c.timerstart if ticks is None else ticks) * MSPTICK, expired)

    def _timewait(self, c: Tcpconv) -> None:
        self._setstate(c, Time_wait)
        c.timerstart = MSL2 * (1000 // MSPTICK)
        self._settimer(c, lambda c: self._localclose(c, None))

    def _finwait2(self, c: Tcpconv) -> None:
        """Is the other end still there? Source: ip/tcp.c:tcpkeepalive."""
        if c.peer is None or c.peer.peer is not c:
            self._reset(c)
        else:
            self._settimer(c, self._finwait2, c.katimerstart)

    def _timeout(self, c: Tcpconv) -> None:
        """A call was not answered: again, until it takes too long. Source: ip/tcp.c:tcptimeout, tcpsettimer."""
        c.backoff += 1
        c.backedoff += c.timerstart * MSPTICK
        if c.backedoff >= MAXBACKMS // 2:
            self._localclose(c, Etimedout)
            return
        x = (1 << c.backoff) * ((c.srtt >> LOGAGAIN) + MSPTICK) // MSPTICK
        c.timerstart = min(max(x, 300 // MSPTICK), 64000 // MSPTICK)
        self.count["RetransTimeouts"] += 1
        self._syn(c)

    def gc(self) -> int:
        """End connections that wait since five minutes for the other end to close. Source: ip/tcp.c:tcpgc."""
        n = 0
        for c in self.conv:
            assert isinstance(c, Tcpconv)
            if c.tcpstate == Finwait2 and self.k.fastticks() - c.since > 5 * 60 * 1_000_000_000:
                self._localclose(c, Etimedout)
                n += 1
        return n
