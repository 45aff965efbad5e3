"""Conversations and protocols: what the directories of /net have in common. Source: ip/devip.c, ip/ip.h, ip/ipaux.c."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from kernel.base.alloc import CONV
from kernel.base.dat import QLock, Rendez
from kernel.base.error import Ebadip, Econinuse, Eperm, Error
from kernel.devices.ip.addr import IPnoaddr, eipfmt, isv4, parseip
from kernel.devices.parse import atoi
from kernel.devices.qio import Queue, qfree, qreopen
from kernel.files.dev import iseve
from kernel.sched.sleep import sleep, tsleep, wakeup

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel
    from kernel.devices.ip.fs import Fs

Idle, Announcing, Announced, Connecting, Connected = range(5)
V4, V6 = 4, 6
Maxincall: Final = 10  # calls that nobody has listened to
Nchans: Final = 1024
MAXTTL: Final = 255
network: Final = "network"  # who owns what nobody has open
Enetctl: Final = "unknown control request"


class Conv:
    """A conversation. Source: ip/ip.h:Conv."""

    rq: Queue
    wq: Queue

    def __init__(self, p: Proto, x: int) -> None:
        self.p = p
        self.x = x
        self.owner = network
        self.perm = 0o660
        self.inuse = 0  # opens of its files
        self.state = Idle
        self.laddr = IPnoaddr
        self.raddr = IPnoaddr
        self.lport = 0
        self.rport = 0
        self.restricted = False  # the local port is to be a privileged one
        self.ipversion = V4
        self.ttl = MAXTTL
        self.tos = 0
        self.ignoreadvice = False
        self.maxfragsize = 0
        self.cerr = ""  # what became of a connect
        self.eq = Queue(1024)
        self.eq.msg = True
        self.sq: Queue | None = None
        self.incall: list[Conv] = []
        self.listenq = QLock()
        self.listenr = Rendez()
        self.cr = Rendez()
        self.multi: list[tuple[bytes, bytes]] = []  # group, interface
        self.key: tuple[str, bytes, int, bytes, int] | None = None  # its place in the protocol's table


class Proto:
    """A protocol: its conversations, and how each of its messages is answered. Source: ip/ip.h:Proto."""

    name: str
    nc = Nchans

    def __init__(self, k: Kernel, f: Fs, x: int) -> None:
        self.k = k
        self.f = f
        self.x = x
        self.conv: list[Conv] = []
        self.nextrport = 600
        self.ht: dict[tuple[str, bytes, int, bytes, int], list[Conv]] = {}

    # What a protocol does; these return an error, None if all is well

    def connect(self, c: Conv, argv: Sequence[str]) -> str | None:
        """Begin a connection."""
        raise NotImplementedError

    def announce(self, c: Conv, argv: Sequence[str]) -> str | None:
        """Begin to take calls."""
        raise NotImplementedError

    def bind(self, c: Conv, argv: Sequence[str]) -> str | None:
        """Choose the local port. Source: ip/devip.c:Fsstdbind."""
        return self.setladdrport(c, argv[1], False) if len(argv) == 2 else "bad args to bind"

    def ctl(self, c: Conv, f: Sequence[str]) -> str | None:
        """Any other message."""
        return Enetctl

    def state(self, c: Conv) -> str:
        """The text of status."""
        raise NotImplementedError

    def local(self, c: Conv) -> str:
        """The text of local."""
        return f"{eipfmt(c.laddr)}!{c.lport}\n"

    def remote(self, c: Conv) -> str:
        """The text of remote."""
        return f"{eipfmt(c.raddr)}!{c.rport}\n"

    def make(self, x: int) -> Conv:
        """The structure of a new conversation."""
        raise NotImplementedError

    def create(self, c: Conv) -> None:
        """Make the queues of a new conversation."""
        raise NotImplementedError

    def close(self, c: Conv) -> None:
        """Nobody has the conversation open any more."""
        raise NotImplementedError

    def inuse(self, c: Conv) -> bool:
        """Whether the protocol itself still needs a conversation that nobody has open."""
        return False

    def gc(self) -> int:
        """End conversations that hang about; how many."""
        return 0

    def stats(self) -> str:
        """The text of stats."""
        raise NotImplementedError

    # The table by addresses

    def iphtadd(self, c: Conv) -> None:
        """Make a conversation known by its addresses. Source: ip/ipaux.c:iphtadd."""
        if c.raddr != IPnoaddr:
            match = "exact"
        elif c.laddr != IPnoaddr:
            match = "pa" if c.lport else "addr"
        else:
            match = "port" if c.lport else "any"
        c.key = (match, c.raddr, c.rport, c.laddr, c.lport)
        self.ht.setdefault(c.key, []).insert(0, c)

    def iphtrem(self, c: Conv) -> None:
        """Forget it. Source: ip/ipaux.c:iphtrem."""
        if c.key is not None:
            all = self.ht[c.key]
            all.remove(c)
            if not all:
                del self.ht[c.key]
            c.key = None

    def iphtlook(self, sa: bytes, sp: int, da: bytes, dp: int) -> Conv | None:
        """Who is meant by a packet from sa, sp to da, dp: a connection, else who announced it most exactly.

        Source: ip/ipaux.c:iphtlook.
        """
        for key in (
            ("exact", sa, sp, da, dp),
            ("pa", IPnoaddr, 0, da, dp),
            ("port", IPnoaddr, 0, IPnoaddr, dp),
            ("addr", IPnoaddr, 0, da, 0),
            ("any", IPnoaddr, 0, IPnoaddr, 0),
        ):
            found = self.ht.get(key)
            if found:
                return found[0]
        return None

    # Addresses and ports

    def setluniqueport(self, c: Conv, lport: int) -> str | None:
        """Take a local port, if nobody has the same pair of addresses. Source: ip/devip.c:setluniqueport."""
        for xp in self.conv:
            if (
                xp is not c
                and xp.state in (Connected, Announced)
                and xp.lport == lport
                and xp.rport == c.rport
                and xp.raddr == c.raddr
                and xp.laddr == c.laddr
            ):
                return "address in use"
        c.lport = lport
        return None

    def setlport(self, c: Conv) -> str | None:
        """Pick a local port, from 600 in turn if it is to be privileged, else at random. Source: ip/devip.c."""
        used = {xp.lport for xp in self.conv}
        for _ in range(1024 - 600 if c.restricted else 64):
            if c.restricted:
                if not 600 <= self.nextrport < 1024:
                    self.nextrport = 600
                port = self.nextrport
                self.nextrport += 1
            else:
                port = (1 << 15) + self.f.nrand(1 << 15)
            if port not in used:
                c.lport = port
                return None
        return "no ports available"

    def setladdrport(self, c: Conv, s: str, announcing: bool) -> str | None:
        """Set the local address and port by ``[address!]port[!r]``. Source: ip/devip.c:setladdrport."""
        addr, bang, port = s.partition("!")
        c.lport = 0
        if not bang or port == "r":
            c.laddr = IPnoaddr if announcing else self.f.findlocalip(c.raddr)
            port = addr
        elif addr == "*":
            c.laddr = IPnoaddr
        else:
            ip = parseip(addr)
            if ip is None:
                return Ebadip
            if not self.f.ipforme(ip):
                return "not a local IP address"
            c.laddr = ip
        if announcing and port == "*":  # all that nobody else has announced
            if not iseve(self.k):
                raise Error(Eperm)
            return self.setluniqueport(c, 0)
        lport = atoi(port) & 0xFFFF
        return self.setluniqueport(c, lport) if lport else self.setlport(c)

    def setraddrport(self, c: Conv, s: str) -> str | None:
        """Set the remote address and port by ``address!port[!r]``. Source: ip/devip.c:setraddrport."""
        addr, bang, port = s.partition("!")
        if not bang:
            return "malformed address"
        ip = parseip(addr)
        c.raddr = ip or IPnoaddr
        if ip is None:
            return Ebadip
        c.rport = atoi(port) & 0xFFFF
        if "!r" in port:
            c.restricted = True
        return None

    def stdconnect(self, c: Conv, argv: Sequence[str]) -> str | None:
        """Set the addresses of a connection. Source: ip/devip.c:Fsstdconnect."""
        if len(argv) not in (2, 3):
            return "bad args to connect"
        p = self.setraddrport(c, argv[1])
        if p is not None:
            return p
        if len(argv) == 2:
            c.laddr = self.f.findlocalip(c.raddr)
            p = self.setlport(c)
        else:
            p = self.setladdrport(c, argv[2], False)
        if p is not None:
            return p
        c.ipversion = V4 if (isv4(c.raddr) and isv4(c.laddr)) or c.raddr == IPnoaddr else V6
        return None

    def stdannounce(self, c: Conv, argv: Sequence[str]) -> str | None:
        """Set the addresses of who takes calls. Source: ip/devip.c:Fsstdannounce."""
        c.raddr = IPnoaddr
        c.rport = 0
        return self.setladdrport(c, argv[1], True) if len(argv) == 2 else "bad args to announce"

    # Conversations

    def clone(self, user: str) -> Conv | None:
        """A free conversation, else a new one, None if there are no more. Source: ip/devip.c:Fsprotoclone."""
        c = next((c for c in self.conv if not c.inuse and not self.inuse(c)), None)
        if c is None:
            if len(self.conv) < self.nc:
                if not self.k.mainmem.alloc(CONV):
                    return None
                c = self.make(len(self.conv))
                self.create(c)
                self.conv.append(c)
            elif self.gc():
                return self.clone(user)
            else:
                return None
        c.inuse = 1
        c.owner = user
        c.perm = 0o660
        c.state = Idle
        c.laddr = c.raddr = IPnoaddr
        c.lport = c.rport = 0
        c.restricted = False
        c.maxfragsize = 0
        c.ttl = MAXTTL
        for q in (c.rq, c.wq, c.eq):
            qfree(self.k, q)  # erratum 41: what the last one wrote without a connection
            qreopen(q)
        return c

    def connected(self, c: Conv, msg: str | None) -> None:
        """A connect or announce is done, with an error if there is a text. Source: ip/devip.c:Fsconnected."""
        if msg:
            c.cerr = msg
        if c.state == Announcing:
            c.state = Announced
        elif c.state == Connecting:
            c.state = Connected
        wakeup(self.k, c.cr)

    def newcall(
        self,
        c: Conv,
        raddr: bytes,
        rport: int,
        laddr: bytes,
        lport: int,
        version: int,
        begin: Callable[[Conv], None] | None = None,
    ) -> Conv | None:
        """A call for who has announced c, None if ten wait already. Source: ip/devip.c:Fsnewcall.

        The call begins before anybody hears of it.
        """
        if len(c.incall) >= Maxincall:
            if not self.f.beenhere:
                self.f.beenhere = True
                self.k.print(f"Fsnewcall: incall queue full ({len(c.incall)}) on port {c.lport}\n")
            return None
        nc = self.clone(network)
        if nc is None:
            return None
        nc.raddr, nc.rport = raddr, rport
        nc.laddr, nc.lport = laddr, lport
        nc.state = Connected
        nc.ipversion = version
        if begin is not None:
            begin(nc)
        c.incall.append(nc)
        wakeup(self.k, c.listenr)
        return nc

    def closeconv(self, c: Conv) -> None:
        """One open less; the last one closes the conversation, and calls that nobody has taken. Source: ip/devip.c."""
        c.inuse -= 1
        if c.inuse > 0:
            return
        while c.incall:
            self.closeconv(c.incall.pop(0))
        c.owner = network
        c.perm = 0o660
        while c.multi:
            self.f.remmulti(c.multi, *c.multi[0])
        self.close(c)
        c.state = Idle


def connectctlmsg(k: Kernel, x: Proto, c: Conv, f: Sequence[str]) -> None:
    """Connect, and wait until it has come to something. Source: ip/devip.c:connectctlmsg."""
    if c.state != Idle:
        raise Error(Econinuse)
    c.state = Connecting
    c.cerr = ""
    p = x.connect(c, f)
    if p is not None:
        raise Error(p)
    timers = x.f.timers
    while c.state == Connecting:
        if due := timers.due():
            tsleep(k, c.cr, lambda: c.state != Connecting, max((due - k.fastticks() + 999_999) // 1_000_000, 1))
            timers.run()
        else:
            sleep(k, c.cr, lambda: c.state != Connecting)
    if c.cerr:
        raise Error(c.cerr)


def announcectlmsg(x: Proto, c: Conv, f: Sequence[str]) -> None:
    """Announce: no protocol here lets one wait for it. Source: ip/devip.c:announcectlmsg."""
    if c.state != Idle:
        raise Error(Econinuse)
    c.state = Announcing
    c.cerr = ""
    p = x.announce(c, f)
    if p is not None:
        raise Error(p)
    if c.cerr:
        raise Error(c.cerr)
