"""One IP stack: its own addresses, its routes, what its files hold. Source: ip/ip.h:Fs, ip/ipifc.c, ip/iproute.c."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from kernel.base.alloc import ROUTE
from kernel.devices.ip.addr import (
    IPallbits,
    IPnoaddr,
    IPv4bcast,
    IPv4off,
    defmask,
    eipfmt,
    ipismulticast,
    isv4,
    maskfmt,
    maskip,
    v4prefix,
    v6allnodesL,
    v6allnodesN,
    v6loopback,
)
from kernel.devices.ip.netlog import Netlog

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel
    from kernel.devices.ip.timers import Timers
    from kernel.devices.ip.wire import Wire

Rv4, Rifc, Rptpt, Runi, Rbcast, Rmulti = (1 << i for i in range(6))
FOREVER: Final = 0xFFFFFFFF


class Iplifc:
    """An address of an interface. Source: ip/ip.h:Iplifc."""

    def __init__(self, local: bytes, mask: bytes, remote: bytes) -> None:
        self.local = local
        self.mask = mask
        self.remote = remote
        self.net = maskip(remote, mask)
        self.selves: list[bytes] = []  # what is an address of this machine because of it


class Self:
    """An address that means this machine: what kind, and for how many interfaces' addresses."""

    def __init__(self, type: int) -> None:
        self.type = type
        self.lifcs: list[Iplifc] = []


class Route:
    """Source: ip/ip.h:Route."""

    def __init__(self, addr: bytes, mask: bytes, gate: bytes, type: int, tag: str, ifc: int) -> None:
        self.addr = maskip(addr, mask)
        self.mask = mask
        self.gate = gate
        self.type = type | (Rv4 if isv4(addr) else 0)
        self.tag = tag[:4]
        self.ifc = ifc  # number of the interface, -1 if none is known


def routetype(type: int) -> str:
    """A route's type in four letters. Source: ip/iproute.c:routetype."""
    s = "4" if type & Rv4 else "6"
    s += "i" if type & Rifc else ""
    s += "u" if type & Runi else "b" if type & Rbcast else "m" if type & Rmulti else ""
    return (s + ("p" if type & Rptpt else "")).ljust(4)


class Fs:
    """Source: ip/ip.h:Fs."""

    def __init__(self, k: Kernel, timers: Timers, wire: Wire | None = None) -> None:
        self.k = k
        self.timers = timers
        self.wire = wire  # None: what is sent is there
        self.log = Netlog(k)
        self.ndb = b""
        self.ndbvers = 0
        self.ndbmtime = 0
        self.lifcs: list[tuple[int, Iplifc]] = []  # with the number of the interface
        self.self: dict[bytes, Self] = {}
        self.groups: Counter[tuple[bytes, bytes]] = Counter()  # how many hear a group on an interface
        self.routes: dict[tuple[bytes, bytes], Route] = {}  # those that were added by hand, by net and mask
        self.iprouting = False
        self.unreachable: dict[int, Callable[[], None]] = {}  # count that a port was told to be, by version of IP
        self.beenhere = False  # a full queue was told of
        self.inreceives = self.indelivers = self.outrequests = 0
        self._rng = random.Random(0)
        self._rng.setstate(k.rng.getstate())  # by seed, and /dev/random is not disturbed

    def nrand(self, n: int) -> int:
        """A number below n."""
        return self._rng.randrange(n)

    # The loopback

    def datagram(self, n: int, fn: Callable[[], None]) -> None:
        """Call fn when a datagram of n bytes arrives, if it does."""
        if self.wire is None:
            fn()
        else:
            self.wire.datagram(n, fn)

    def later(self, fn: Callable[[], None]) -> None:
        """Call fn when what is sent now arrives."""
        if self.wire is None:
            fn()
        else:
            self.wire.after(fn)

    # Addresses

    def ipforme(self, addr: bytes) -> int:
        """What kind of address of this machine that is: Runi, Rbcast, Rmulti, 0 if none. Source: ip/ipifc.c:ipforme."""
        s = self.self.get(addr)
        if s is not None:
            return s.type
        return Runi if v4prefix + bytes(4) in self.self or IPnoaddr in self.self else 0

    def findlocalip(self, remote: bytes) -> bytes:
        """The own address to speak to remote from: on its net, else the first of its version.

        Source: ip/ipifc.c:findlocalip.
        """
        all = [lifc for _, lifc in self.lifcs if isv4(lifc.local) == isv4(remote)]
        for lifc in all:
            if maskip(remote, lifc.mask) == lifc.net:
                return lifc.local
        return all[0].local if all else IPnoaddr

    def ifclocal(self, addr: bytes) -> bytes:
        """The first address of the interface that a packet to addr comes in by."""
        s = self.self.get(addr)
        for x, lifc in self.lifcs:
            if s is None or lifc in s.lifcs:
                return next(first for i, first in self.lifcs if i == x).local
        return addr

    def hasroute(self, remote: bytes) -> bool:
        """Whether there is a way to send there. Source: ip/iproute.c:v4lookup, v6lookup."""
        return (
            remote in self.self
            or any(maskip(remote, lifc.mask) == lifc.net for _, lifc in self.lifcs)
            or any(maskip(remote, r.mask) == r.addr and self.findifc(r.gate) >= 0 for r in self.routes.values())
        )

    def findifc(self, remote: bytes) -> int:
        """The number of the interface on whose net that is, -1 if none. Source: ip/ipifc.c:findipifc."""
        best, mask = -1, b""
        for x, lifc in self.lifcs:
            if maskip(remote, lifc.mask) == lifc.net and lifc.mask > mask:
                best, mask = x, lifc.mask
        return best

    def addlifc(self, x: int, lifc: Iplifc) -> None:
        """Give interface x an address, and those that come with it. Errors: Enomem. Source: ip/ipifc.c:ipifcadd."""
        self.k.mainmem.need(8 * ROUTE)
        self.k.mainmem.charge(ROUTE)
        self.lifcs.append((x, lifc))
        ip = lifc.local
        self._addself(lifc, ip, Runi)
        if isv4(ip) or ip == IPnoaddr:
            for mask in (lifc.mask, defmask(ip)):
                net = maskip(ip, mask)
                self._addself(lifc, bytes(a | (~m & 0xFF) for a, m in zip(net, mask, strict=True)), Rbcast)
                self._addself(lifc, net, Rbcast)
            self._addself(lifc, IPv4bcast, Rbcast)
        else:
            if ip == v6loopback:
                self._addself(lifc, v6allnodesN, Rmulti)
            self._addself(lifc, v6allnodesL, Rmulti)
            self._addself(lifc, b"\xff\x02" + bytes(9) + b"\x01\xff" + ip[13:], Rmulti)

    def remlifc(self, lifc: Iplifc) -> None:
        """Take an address back. Source: ip/ipifc.c:ipifcremlifc."""
        self.lifcs = [(x, other) for x, other in self.lifcs if other is not lifc]
        self.k.mainmem.free(ROUTE)
        for addr in list(lifc.selves):
            self._remself(lifc, addr)

    def _addself(self, lifc: Iplifc, addr: bytes, type: int) -> None:
        """Source: ip/ipifc.c:addselfcache."""
        s = self.self.get(addr)
        if s is None:
            s = self.self[addr] = Self(type)
            self.k.mainmem.charge(ROUTE)
        if lifc not in s.lifcs:
            s.lifcs.append(lifc)
            lifc.selves.append(addr)

    def _remself(self, lifc: Iplifc, addr: bytes) -> None:
        """Source: ip/ipifc.c:remselfcache."""
        s = self.self.get(addr)
        if s is None or lifc not in s.lifcs:
            return
        s.lifcs.remove(lifc)
        lifc.selves.remove(addr)
        if not s.lifcs:
            del self.self[addr]
            self.k.mainmem.free(ROUTE)

    def addmulti(self, multi: list[tuple[bytes, bytes]], ma: bytes, ia: bytes) -> None:
        """Hear a group on the interface with address ia, which the conversation's list tells of.

        Source: ip/ipifc.c:ipifcaddmulti.
        """
        if (ma, ia) in multi:
            return
        self.k.mainmem.need(2 * ROUTE)
        self.k.mainmem.charge(ROUTE)
        multi.append((ma, ia))
        self.groups[ma, ia] += 1
        for _, lifc in self.lifcs:
            if lifc.local == ia:
                self._addself(lifc, ma, Rmulti)

    def remmulti(self, multi: list[tuple[bytes, bytes]], ma: bytes, ia: bytes) -> None:
        """Take that back, if nobody else hears the group. Source: ip/ipifc.c:ipifcremmulti."""
        if (ma, ia) not in multi:
            return
        multi.remove((ma, ia))
        self.k.mainmem.free(ROUTE)
        self.groups[ma, ia] -= 1
        if self.groups[ma, ia]:
            return
        del self.groups[ma, ia]
        for _, lifc in self.lifcs:
            if lifc.local == ia and ipismulticast(ma):
                self._remself(lifc, ma)

    # Routes

    def allroutes(self) -> list[Route]:
        """All routes, IPv4 first, in the order of their addresses."""
        all: dict[tuple[bytes, bytes], Route] = {}
        for x, lifc in self.lifcs:
            ptpt = Rptpt if lifc.mask == IPallbits and lifc.local != v6loopback else 0
            r = Route(lifc.remote, lifc.mask, lifc.remote, Rifc | ptpt, "ifc", x)
            all.setdefault((r.addr, r.mask), r)
        for addr, s in self.self.items():
            x = next(i for i, lifc in self.lifcs if lifc is s.lifcs[0])
            r = Route(addr, IPallbits, addr, s.type, "ifc", x)
            all.setdefault((r.addr, r.mask), r)
        for r in self.routes.values():
            r.ifc = self.findifc(r.gate)
            all.setdefault((r.addr, r.mask), r)
        return sorted(all.values(), key=lambda r: (not r.type & Rv4, r.addr, r.mask))

    def routetext(self) -> str:
        """The text of iproute. Source: ip/iproute.c:sprintroute."""
        return "".join(
            f"{eipfmt(r.addr):15} {maskfmt(r.mask):4} {eipfmt(r.gate):15} {routetype(r.type)} {r.tag.ljust(4)}"
            f" {'-' if r.ifc < 0 else r.ifc:>3}\n"
            for r in self.allroutes()
        )

    def addroute(self, addr: bytes, mask: bytes, gate: bytes, tag: str) -> None:
        """Add a route to a net, or replace that of the same net. Errors: Enomem."""
        self.delroute(addr, mask)
        self.k.mainmem.need(ROUTE)
        self.k.mainmem.charge(ROUTE)
        self.routes[maskip(addr, mask), mask] = Route(addr, mask, gate, 0, tag, -1)

    def delroute(self, addr: bytes, mask: bytes) -> None:
        """Remove the route to a net, if there is one."""
        if self.routes.pop((maskip(addr, mask), mask), None) is not None:
            self.k.mainmem.free(ROUTE)

    def flushroutes(self, tag: str | None) -> None:
        """Remove all routes that were added, or those with a tag. Source: ip/iproute.c:routeflush."""
        routes = {net: r for net, r in self.routes.items() if tag is not None and r.tag != tag[:4]}
        self.k.mainmem.free(ROUTE * (len(self.routes) - len(routes)))
        self.routes = routes

    def selftext(self) -> str:
        """The text of ipselftab. Source: ip/ipifc.c:ipselftabread."""
        return "".join(f"{eipfmt(addr):44} {len(s.lifcs):02d} {routetype(s.type)}\n" for addr, s in self.self.items())

    def of(self, x: int) -> Iterator[Iplifc]:
        """The addresses of interface x."""
        return (lifc for i, lifc in list(self.lifcs) if i == x)


LOOPBACK: Final = (
    (v4prefix + bytes((127, 0, 0, 1)), b"\xff" * (IPv4off + 1) + bytes(3)),
    (v6loopback, IPallbits),
)
