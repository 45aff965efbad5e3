"""Interfaces: /net/ipifc. The only medium is the loopback. Source: ip/ipifc.c, ip/loopbackmedium.c."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kernel.base.error import Ebadarg, Ebadip, Error
from kernel.base.text import kbytes
from kernel.devices.ip.addr import defmask, eipfmt, maskfmt, maskip, parseip, parseipmask
from kernel.devices.ip.conv import MAXTTL, Conv, Proto, network
from kernel.devices.ip.fs import FOREVER, LOOPBACK, Iplifc
from kernel.devices.parse import atoi, strtoul
from kernel.devices.qio import Queue

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel
    from kernel.devices.ip.fs import Fs

Maxtu: Final = 16 * 1024
QMAX: Final = 64 * 1024 - 1
STATS: Final = (
    "InHdrErrors", "InAddrErrors", "ForwDatagrams", "InUnknownProtos", "InDiscards", "InDelivers", "OutRequests",
    "OutDiscards", "OutNoRoutes", "ReasmTimeout", "ReasmReqds", "ReasmOKs", "ReasmFails", "FragOKs", "FragFails",
    "FragCreates",
)  # fmt: skip


class Ifcconv(Conv):
    """Source: ip/ip.h:Ipifc."""

    bound = False
    dev = ""
    maxtu = 0
    addrs = 0


class Ipifc(Proto):
    """Source: ip/ipifc.c."""

    name = "ipifc"
    nc = 32

    def __init__(self, k: Kernel, f: Fs, x: int) -> None:
        super().__init__(k, f, x)
        c = self.clone(network)
        assert isinstance(c, Ifcconv)
        c.inuse = 0
        # as ip/ipconfig leaves it
        self.bind(c, ["bind", "loopback", "/dev/null"])
        for ip, mask in LOOPBACK:
            f.addlifc(c.x, Iplifc(ip, mask, maskip(ip, mask)))

    def make(self, x: int) -> Conv:
        """A conversation's structure."""
        return Ifcconv(self, x)

    def create(self, c: Conv) -> None:
        """Source: ip/ipifc.c:ipifccreate."""
        c.rq = Queue(QMAX)
        c.wq = Queue(QMAX)
        c.sq = Queue(QMAX)
        c.wq.bypass = lambda data: None  # a packet that comes in from nowhere

    def bind(self, c: Conv, argv: Sequence[str]) -> str | None:
        """Source: ip/ipifc.c:ipifcbind."""
        assert isinstance(c, Ifcconv)
        if len(argv) < 2:
            return Ebadarg
        if argv[1] != "loopback":
            return "unknown interface type"
        if c.bound:
            return "interface already bound"
        c.bound = True
        c.dev = argv[2][:63] if len(argv) > 2 else f"{argv[1]}{c.x}"
        c.maxtu = Maxtu
        return None

    def connect(self, c: Conv, argv: Sequence[str]) -> str | None:
        """An address instead of all others. Source: ip/ipifc.c:ipifcconnect."""
        assert isinstance(c, Ifcconv)
        if not c.bound:
            return "ipifc not yet bound to device"
        for lifc in self.f.of(c.x):
            self.f.remlifc(lifc)
        err = self._add(c, argv)
        if err is None:
            self.connected(c, None)
        return err

    def announce(self, c: Conv, argv: Sequence[str]) -> str | None:
        """Interfaces take no calls."""
        raise Error("announce not supported")

    def close(self, c: Conv) -> None:
        """A loopback stays bound. Source: ip/ipifc.c:ipifcclose."""

    def inuse(self, c: Conv) -> bool:
        """Source: ip/ipifc.c:ipifcinuse."""
        assert isinstance(c, Ifcconv)
        return c.bound

    def state(self, c: Conv) -> str:
        """Source: ip/ipifc.c:ipifcstate."""
        assert isinstance(c, Ifcconv)
        rp = (
            f"mflag 0 oflag 0 maxraint 600000 minraint 200000 linkmtu 0 reachtime 0 rxmitra 0 ttl {MAXTTL}"
            " routerlt 1800000"
        )
        if not c.bound:
            rp = "mflag 0 oflag 0 maxraint 0 minraint 0 linkmtu 0 reachtime 0 rxmitra 0 ttl 0 routerlt 0"
        n = self.f.inreceives if c.x == 0 else 0
        head = f"device {c.dev} maxtu {c.maxtu} sendra 0 recvra 0 {rp} pktin {n} pktout {n} errin 0 errout 0\n"
        return head + (
            "".join(
                f"\t{eipfmt(lifc.local):40} {maskfmt(lifc.mask):10} {eipfmt(lifc.remote):40} "
                f"{FOREVER:<12} {FOREVER:<12}\n"
                for lifc in self.f.of(c.x)
            )
            or "\n"
        )

    def local(self, c: Conv) -> str:
        """Source: ip/ipifc.c:ipifclocal."""
        return "".join(
            f"{eipfmt(lifc.local):40} ->" + "".join(f" {eipfmt(a):40}" for a in reversed(lifc.selves)) + "\n"
            for lifc in self.f.of(c.x)
        )

    def _add(self, c: Ifcconv, argv: Sequence[str]) -> str | None:
        """Source: ip/ipifc.c:ipifcadd."""
        if not c.bound:
            return "ipifc not yet bound to device"
        n = len(argv)
        if not 2 <= n <= 6:
            return Ebadarg
        if n >= 5:
            mtu = strtoul(kbytes(argv[4]))
            if mtu <= Maxtu:
                c.maxtu = mtu
        ip = parseip(argv[1])
        rem = parseip(argv[3]) if n >= 4 else ip
        if ip is None or rem is None:
            return Ebadip
        mask = parseipmask(argv[2]) if n >= 3 else defmask(ip)
        if any(lifc.local == ip for lifc in self.f.of(c.x)):
            return None
        self.f.addlifc(c.x, Iplifc(ip, mask, rem if n >= 4 else maskip(ip, mask)))
        return None

    def _remove(self, c: Ifcconv, argv: Sequence[str]) -> str | None:
        """Source: ip/ipifc.c:ipifcrem."""
        if len(argv) < 3:
            return Ebadarg
        ip = parseip(argv[1])
        if ip is None:
            return Ebadip
        mask = parseipmask(argv[2])
        rem = maskip(ip, mask)
        if len(argv) >= 4:
            far = parseip(argv[3])
            if far is None:
                return Ebadip
            rem = far
        for lifc in self.f.of(c.x):
            if lifc.local == ip and lifc.mask == mask and lifc.remote == rem:
                self.f.remlifc(lifc)
                return None
        return "address not on this interface"

    def ctl(self, c: Conv, f: Sequence[str]) -> str | None:
        """Source: ip/ipifc.c:ipifcctl."""
        assert isinstance(c, Ifcconv)
        match f[0]:
            case "add" | "try":
                return self._add(c, f)
            case "remove":
                return self._remove(c, f)
            case "unbind":
                for lifc in self.f.of(c.x):
                    self.f.remlifc(lifc)
                c.bound = False
                c.dev = ""
                c.maxtu = 0
                return None
            case "mtu":
                if len(f) < 2 or not c.bound or (mtu := strtoul(kbytes(f[1]))) > Maxtu:
                    return Ebadarg
                c.maxtu = mtu
                return None
            case "iprouting":
                self.f.iprouting = len(f) < 2 or atoi(f[1]) != 0
                return None
            case "joinmulti" | "leavemulti" | "reassemble":
                return None
        return "unsupported ctl"

    def stats(self) -> str:
        """Source: ip/ip.c:ipstats."""
        f = self.f
        counts = {"InDelivers": f.indelivers, "OutRequests": f.outrequests}
        head = f"Forwarding: {int(f.iprouting)}\nDefaultTTL: {MAXTTL}\nInReceives: {f.inreceives}\n"
        return head + "".join(f"{name}: {counts.get(name, 0)}\n" for name in STATS)
