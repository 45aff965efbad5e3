"""Control messages, of which programs send and see echo requests and answers: ping. Source: ip/icmp.c, ip/icmp6.c.

A write is a packet with its IP header, of which the kernel fills in what is its own; a read gives one likewise.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kernel.devices.ip.addr import IPnoaddr, IPv4off, ipismulticast, isv4
from kernel.devices.ip.conv import MAXTTL, V4, V6, Conv, Enetctl, Proto
from kernel.devices.ip.netlog import Logicmp
from kernel.devices.qio import Queue, qclose, qfull, qlen, qpassnolim

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel
    from kernel.devices.ip.fs import Fs

IP_MAX: Final = 64 * 1024
ICMP_HDRSIZE: Final = 8  # type, code, checksum of two bytes, identifier, sequence number
ICMP_USEAD6: Final = 40
EchoReply, Unreachable, EchoRequest = 0, 3, 8
UnreachableV6, EchoRequestV6, EchoReplyV6 = 1, 128, 129
RouterSolicit, RouterAdvert, NbrSolicit, NbrAdvert, RedirectV6 = range(133, 138)
HOP_LIMIT: Final = 255  # of what neighbours say to each other
statnames: Final = ("InMsgs", "InErrors", "OutMsgs", "CsumErrs", "LenErrs", "HlenErrs")
statnames6: Final = (
    *statnames, "HoplimErrs", "IcmpCodeErrs", "TargetErrs", "OptlenErrs", "AddrmxpErrs", "RouterAddrErrs"
)  # fmt: skip
icmpnames: Final = {
    EchoReply: "EchoReply", Unreachable: "Unreachable", 4: "SrcQuench", 5: "Redirect", EchoRequest: "EchoRequest",
    11: "TimeExceed", 12: "InParmProblem", 13: "Timestamp", 14: "TimestampReply", 15: "InfoRequest", 16: "InfoReply",
    17: "AddrMaskRequest", 18: "AddrMaskReply  ",
}  # fmt: skip
icmpnames6: Final = {
    EchoReply: "EchoReply", UnreachableV6: "UnreachableV6", 2: "PacketTooBigV6", 3: "TimeExceedV6", 4: "SrcQuench",
    5: "Redirect", 8: "EchoRequest", 11: "TimeExceed", 12: "InParmProblem", 13: "Timestamp", 14: "TimestampReply",
    15: "InfoRequest", 16: "InfoReply", 17: "AddrMaskRequest", 18: "AddrMaskReply", EchoRequestV6: "EchoRequestV6",
    EchoReplyV6: "EchoReplyV6", RouterSolicit: "RouterSolicit", RouterAdvert: "RouterAdvert",
    NbrSolicit: "NbrSolicit", NbrAdvert: "NbrAdvert", RedirectV6: "RedirectV6",
}  # fmt: skip


def ptclcsum(data: bytes | bytearray) -> int:
    """The checksum of IP: 0 over what has a right one. Source: ip/ptclbsum.c."""
    even = data + bytes(len(data) & 1)
    n: int = sum(struct.unpack(f">{len(even) // 2}H", even))
    while n >> 16:
        n = (n & 0xFFFF) + (n >> 16)
    return ~n & 0xFFFF


class Icmpconv(Conv):
    """Source: ip/icmp6.c:Icmpcb6. Who has the conversation next finds ``headers`` as it was left."""

    headers = 0


class Icmp(Proto):
    """Source: ip/icmp.c."""

    name = "icmp"
    nc = 128
    version = V4
    iphdr = 20
    maxtype = 18
    names = icmpnames
    counted: tuple[str, ...] = statnames
    request, reply, unreach = EchoRequest, EchoReply, Unreachable

    def __init__(self, k: Kernel, f: Fs, x: int) -> None:
        super().__init__(k, f, x)
        self.count = dict.fromkeys(self.counted, 0)
        self.sent = [0] * (self.maxtype + 1)
        self.got = [0] * (self.maxtype + 1)
        self.id4 = 0
        f.unreachable[self.version] = self._unreached

    def make(self, x: int) -> Conv:
        """A conversation's structure."""
        return Icmpconv(self, x)

    def create(self, c: Conv) -> None:
        """Source: ip/icmp.c:icmpcreate."""
        assert isinstance(c, Icmpconv)
        c.rq = Queue(64 * 1024)
        c.rq.msg = True
        c.wq = Queue(0)
        c.wq.bypass = lambda data: self._kick(c, data)

    def connect(self, c: Conv, argv: Sequence[str]) -> str | None:
        """Source: ip/icmp.c:icmpconnect."""
        e = self.stdconnect(c, argv)
        if e is None:
            self.connected(c, None)
        return e

    def announce(self, c: Conv, argv: Sequence[str]) -> str | None:
        """Source: ip/icmp.c:icmpannounce."""
        e = self.stdannounce(c, argv)
        if e is None:
            self.connected(c, None)
        return e

    def state(self, c: Conv) -> str:
        """Source: ip/icmp.c:icmpstate."""
        return f"Datagram qin {qlen(c.rq)} qout {qlen(c.wq)}\n"

    def close(self, c: Conv) -> None:
        """Source: ip/icmp.c:icmpclose."""
        for q in (c.rq, c.wq):
            qclose(self.k, q)
        c.laddr = c.raddr = IPnoaddr
        c.lport = 0

    def stats(self) -> str:
        """Source: ip/icmp.c:icmpstats, ip/icmp6.c:icmpstats6, which leaves out what has no name."""
        out = [f"{name}: {n}\n" for name, n in self.count.items()]
        for i, (got, sent) in enumerate(zip(self.got, self.sent, strict=True)):
            if i in self.names or self.version == V4:
                out.append(f"{self.names.get(i, i)}: {got} {sent}\n")
        return "".join(out)

    # Packets

    def _header(self, src: bytes, dst: bytes, n: int, ttl: int, tos: int) -> bytes:
        """The header of a packet with n bytes of data. Source: ip/ip.c:ipoput4."""
        self.id4 = (self.id4 + 1) & 0xFFFF
        head = bytearray(bytes((0x45, tos & 0xFF)) + (20 + n).to_bytes(2, "big") + self.id4.to_bytes(2, "big"))
        head += bytes((0, 0, ttl & 0xFF, 1, 0, 0)) + src[IPv4off:] + dst[IPv4off:]
        head[10:12] = ptclcsum(head).to_bytes(2, "big")
        return bytes(head)

    def _pseudo(self, src: bytes, dst: bytes, n: int) -> bytes:
        """What the checksum is of, beside the message."""
        return b""

    def _kick(self, c: Icmpconv, data: bytes) -> None:
        """Send a packet. Source: ip/icmp.c:icmpkick."""
        if len(data) < self.iphdr + ICMP_HDRSIZE:
            return
        body = bytearray(data[self.iphdr :])
        if body[0] <= self.maxtype:
            self.sent[body[0]] += 1
        body[4:6] = (c.lport & 0xFFFF).to_bytes(2, "big")
        self.count["OutMsgs"] += 1
        self._send(c.laddr, c.raddr, body, c.ttl, c.tos)

    def _send(self, src: bytes, dst: bytes, body: bytearray, ttl: int, tos: int) -> None:
        f = self.f
        f.outrequests += 1
        if self.iphdr + len(body) >= IP_MAX:
            return
        body[2:4] = bytes(2)
        body[2:4] = ptclcsum(self._pseudo(src, dst, len(body)) + body).to_bytes(2, "big")
        packet = self._header(src, dst, len(body), ttl, tos) + body
        if isv4(dst) == (self.version == V4) and f.ipforme(dst):
            f.datagram(len(packet), lambda: self._input(src, dst, packet))

    def _input(self, src: bytes, dst: bytes, packet: bytes) -> None:
        """A packet has come. Source: ip/icmp.c:icmpiput, ip/icmp6.c:icmpiput6."""
        f = self.f
        f.inreceives += 1
        f.indelivers += 1
        self.count["InMsgs"] += self.version == V4
        body = bytearray(packet[self.iphdr :])
        type, code = body[0], body[1]
        f.log.log(Logicmp, f"icmpiput {self.names.get(type, '') if type <= self.maxtype else ''} ({type}) {code}\n")
        if not self._valid(type, code, packet):
            return
        if type <= self.maxtype:
            self.got[type] += 1
        if type == self.request:
            body[0] = self.reply
            self.sent[EchoReply] += 1
            if ipismulticast(dst) and self.version == V6:
                dst = f.findlocalip(src)
            self._send(dst, src, body, MAXTTL, 0)
        else:
            self._goticmpkt(src, dst, type, packet)

    def _valid(self, type: int, code: int, packet: bytes) -> bool:
        return True

    def _goticmpkt(self, src: bytes, dst: bytes, type: int, packet: bytes) -> None:
        """Source: ip/icmp.c:goticmpkt."""
        recid = int.from_bytes(packet[self.iphdr + 4 : self.iphdr + 6], "big")
        self._pass(recid, src, packet)

    def _pass(self, recid: int, addr: bytes, packet: bytes) -> None:
        for s in self.conv:
            if s.lport == recid and s.raddr == addr:
                if not qfull(s.rq):
                    qpassnolim(self.k, s.rq, packet)
                return

    def _unreached(self) -> None:
        """Somebody was told that nobody hears him: Proto.advise does the rest. Source: ip/icmp.c:icmpnoconv."""
        self.count["InMsgs"] += self.version == V4
        self.got[self.unreach] += 1


class Icmp6(Icmp):
    """Source: ip/icmp6.c. What neighbours say to each other, of whom there are none here, is counted and dropped."""

    name = "icmpv6"
    nc = 16
    version = V6
    iphdr = 40
    maxtype = RedirectV6
    names = icmpnames6
    counted = statnames6
    request, reply, unreach = EchoRequestV6, EchoReplyV6, UnreachableV6

    def ctl(self, c: Conv, f: Sequence[str]) -> str | None:
        """Source: ip/icmp6.c:icmpctl6."""
        assert isinstance(c, Icmpconv)
        if f != ["headers"]:
            return Enetctl
        c.headers = 6
        return None

    def _header(self, src: bytes, dst: bytes, n: int, ttl: int, tos: int) -> bytes:
        """Source: ip/ipv6.c:ipoput6."""
        head = bytes((0x60 | (tos >> 4 & 0xF), (tos & 0xF) << 4, 0, 0)) + n.to_bytes(2, "big")
        return head + bytes((58, ttl & 0xFF)) + src + dst

    def _pseudo(self, src: bytes, dst: bytes, n: int) -> bytes:
        """Source: ip/icmp6.c:set_cksum."""
        return bytes(4) + n.to_bytes(2, "big") + bytes((0, 58)) + src + dst

    def _kick(self, c: Icmpconv, data: bytes) -> None:
        """Source: ip/icmp6.c:icmpkick6."""
        if len(data) < self.iphdr + ICMP_HDRSIZE or len(data) >= IP_MAX:
            return
        body = bytearray(data[self.iphdr :])
        src, dst = c.laddr, c.raddr
        if c.headers:
            src, dst = data[8:24], data[24:ICMP_USEAD6]
        else:
            body[4:6] = (c.lport & 0xFFFF).to_bytes(2, "big")
        if body[0] <= self.maxtype:
            self.sent[body[0]] += 1
        self._send(src, dst, body, c.ttl, c.tos)

    def _valid(self, type: int, code: int, packet: bytes) -> bool:
        """Source: ip/icmp6.c:valid."""
        why = None
        if RouterSolicit <= type <= RedirectV6:
            why = "HoplimErrs" if packet[7] != HOP_LIMIT else "IcmpCodeErrs" if code else None
        if why is not None:
            self.count[why] += 1
            self.count["InErrors"] += 1
        return why is None and type <= self.maxtype

    def _goticmpkt(self, src: bytes, dst: bytes, type: int, packet: bytes) -> None:
        """Source: ip/icmp6.c:goticmpkt6."""
        if type in (RouterAdvert, RouterSolicit):
            self._pass(type, dst, packet)
        elif type not in (NbrSolicit, NbrAdvert):
            super()._goticmpkt(src, dst, type, packet)
