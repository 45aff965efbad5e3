"""Datagrams. Source: ip/udp.c.

A datagram is in the receiver's queue when the write returns, unless there is a wire between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kernel.devices.ip.addr import IPaddrlen, IPnoaddr, eipfmt, isv4
from kernel.devices.ip.conv import V4, V6, Announced, Conv, Enetctl, Idle, Proto
from kernel.devices.ip.fs import Runi
from kernel.devices.ip.netlog import Logudp
from kernel.devices.qio import Queue, qclose, qfull, qhangup, qlen, qpassnolim

if TYPE_CHECKING:
    from kernel.base.hw import Datagrams, Network
    from kernel.base.kernel import Kernel
    from kernel.devices.ip.fs import Fs

UDP_USEAD7: Final = 52  # bytes of the header that programs see: three addresses, two ports
IP_MAX: Final = 64 * 1024
HDRSIZE: Final = {V4: 28, V6: 48}  # of IP and UDP together


class Udpconv(Conv):
    """Source: ip/udp.c:Udpcb."""

    headers = 0
    far: Datagrams | None = None  # its port on the host's network, once it has sent there


class Udp(Proto):
    """Source: ip/udp.c."""

    name = "udp"
    network: Network | None = None

    def __init__(self, k: Kernel, f: Fs, x: int) -> None:
        super().__init__(k, f, x)
        self.indatagrams = self.noports = self.outdatagrams = 0

    def make(self, x: int) -> Conv:
        """A conversation's structure."""
        return Udpconv(self, x)

    def create(self, c: Conv) -> None:
        """Source: ip/udp.c:udpcreate."""
        assert isinstance(c, Udpconv)
        c.rq = Queue(128 * 1024)
        c.rq.msg = True
        c.wq = Queue(0)
        c.wq.bypass = lambda data: self._kick(c, data)

    def connect(self, c: Conv, argv: Sequence[str]) -> str | None:
        """Source: ip/udp.c:udpconnect."""
        e = self.stdconnect(c, argv)
        self.connected(c, e)
        if e is None:
            self.iphtadd(c)
        return e

    def announce(self, c: Conv, argv: Sequence[str]) -> str | None:
        """Source: ip/udp.c:udpannounce."""
        e = self.stdannounce(c, argv)
        if e is None:
            self.connected(c, None)
            self.iphtadd(c)
        return e

    def ctl(self, c: Conv, f: Sequence[str]) -> str | None:
        """Source: ip/udp.c:udpctl."""
        assert isinstance(c, Udpconv)
        if f == ["headers"]:
            c.headers = 7
            return None
        return Enetctl

    def state(self, c: Conv) -> str:
        """Source: ip/udp.c:udpstate."""
        return f"{'Open' if c.inuse else 'Closed'} qin {qlen(c.rq)} qout {qlen(c.wq)}\n"

    def close(self, c: Conv) -> None:
        """Source: ip/udp.c:udpclose."""
        assert isinstance(c, Udpconv)
        self.iphtrem(c)
        if c.far is not None:
            c.far.close()
            c.far = None
        c.state = Idle
        for q in (c.rq, c.wq, c.eq):
            qclose(self.k, q)
        c.laddr = c.raddr = IPnoaddr
        c.lport = c.rport = 0
        c.headers = 0

    def _kick(self, c: Udpconv, data: bytes) -> None:
        """Send a datagram. Source: ip/udp.c:udpkick."""
        f = self.f
        if c.headers:
            if len(data) < UDP_USEAD7:
                return
            raddr, laddr = data[:IPaddrlen], data[IPaddrlen : 2 * IPaddrlen]
            if f.ipforme(laddr) != Runi:
                laddr = f.findlocalip(raddr)
            rport = int.from_bytes(data[48:50], "big")
            data = data[UDP_USEAD7:]
            version = V4 if isv4(laddr) or laddr == IPnoaddr else V6
        else:
            raddr, rport = c.raddr, c.rport
            version = V4 if (isv4(raddr) and isv4(c.laddr)) or raddr == IPnoaddr else V6
            if c.laddr == IPnoaddr:
                c.laddr = f.findlocalip(raddr)
            laddr = c.laddr
        self.outdatagrams += 1
        f.outrequests += 1
        kind = f.ipforme(raddr)
        if self.network is not None and self._sendhost(self.network, c, laddr, raddr, rport, data, kind):
            return
        if not kind or len(data) + HDRSIZE[version] > IP_MAX or isv4(raddr) != (version == V4):
            return  # nobody hears it, and nobody tells
        lport = c.lport
        f.datagram(len(data), lambda: self._input(laddr, lport, raddr, rport, data, version, kind))

    def _sendhost(
        self, network: Network, c: Udpconv, laddr: bytes, raddr: bytes, rport: int, data: bytes, kind: int
    ) -> bool:
        """Send it outside, if the address is none of ours, or one where nobody hears it, and that is granted."""
        if kind not in (0, Runi) or (kind and self.iphtlook(laddr, c.lport, raddr, rport) is not None):
            return False
        if c.far is None:

            def got(addr: bytes, port: int, answer: bytes) -> None:
                ours = laddr if isv4(addr) == isv4(laddr) else f.findlocalip(addr)
                self._input(addr, port, ours, c.lport, answer, V4 if isv4(addr) else V6, Runi)

            f = self.f
            c.far = network.datagrams(got)
        return c.far.send(raddr, rport, data)

    def _input(self, raddr: bytes, rport: int, laddr: bytes, lport: int, data: bytes, version: int, kind: int) -> None:
        """A datagram has come. Source: ip/udp.c:udpiput."""
        f = self.f
        f.inreceives += 1
        f.indelivers += 1
        self.indatagrams += 1
        c = self.iphtlook(raddr, rport, laddr, lport)
        if c is None:
            self.noports += 1
            f.log.log(Logudp, f"udp: no conv {eipfmt(raddr)}!{rport} -> {eipfmt(laddr)}!{lport}\n")
            if kind == Runi:
                f.later(lambda: self._advise(raddr, rport, laddr, lport, version))
            return
        assert isinstance(c, Udpconv)
        if c.state == Announced and not c.headers:
            if kind != Runi:
                laddr = f.ifclocal(laddr)
            new = self.newcall(c, raddr, rport, laddr, lport, version)
            if new is None:
                return
            self.iphtadd(new)
            assert isinstance(new, Udpconv)
            c = new
        if c.headers:
            ports = rport.to_bytes(2, "big") + lport.to_bytes(2, "big")
            data = raddr + laddr + f.ifclocal(laddr) + ports + data
        if qfull(c.rq):
            f.log.log(Logudp, f"udp: qfull {eipfmt(raddr)}.{rport} -> {eipfmt(laddr)}.{lport}\n")
            return
        qpassnolim(self.k, c.rq, data)

    def _advise(self, source: bytes, psource: int, dest: bytes, pdest: int, version: int) -> None:
        """Tell the sender that nobody is there, by ICMP. Source: ip/udp.c:udpadvise."""
        self.f.unreachable[version]()
        for s in self.conv:
            if (s.rport, s.lport, s.raddr, s.laddr) == (pdest, psource, dest, source):
                if not s.ignoreadvice:
                    qhangup(self.k, s.rq, "port unreachable")
                    qhangup(self.k, s.wq, "port unreachable")
                return

    def stats(self) -> str:
        """Source: ip/udp.c:udpstats."""
        return (
            f"InDatagrams: {self.indatagrams}\nNoPorts: {self.noports}\nInErrors: 0\n"
            f"OutDatagrams: {self.outdatagrams}\n"
        )
