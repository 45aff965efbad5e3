"""The network, ``#I``, bound at /net: the files of an IP stack. Source: ip/devip.c.

What is behind them is in :mod:`kernel.devices.ip`, and made when somebody first looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kernel.base.chandat import DMDIR, OREAD, OTRUNC, OWRITE, QTDIR, QTFILE, Chan
from kernel.base.dat import Qid
from kernel.base.error import Ebadarg, Ebadip, Eio, Enodev, Eperm, Error, Eshortstat
from kernel.base.kernel import current
from kernel.base.text import kbytes, kstr
from kernel.devices.qio import qlen, qread, qwrite
from kernel.files.conv import convM2D
from kernel.files.dev import DEVDOTDOT, Dev, devattach, devdir, devdirread, devwalk, iseve, openmode, readstr

if TYPE_CHECKING:
    from kernel.base.chandat import Data
    from kernel.base.devdat import Walkqid
    from kernel.base.kernel import Kernel
    from kernel.devices.ip.conv import Conv, Proto
    from kernel.devices.ip.fs import Fs
    from kernel.devices.ip.wire import Faults
    from kernel.files.conv import Dir

Qtopdir = 1
Qarp, Qbootp, Qndb, Qiproute, Qipselftab, Qlog = range(2, 8)
Qprotodir = 8
Qclone, Qstats = 9, 10
Qconvdir = 11
Qctl, Qdata, Qerr, Qlisten, Qlocal, Qremote, Qstatus, Qsnoop = range(12, 20)
Shiftconv, Shiftproto = 5, 17
Maskconv: Final = (1 << 12) - 1
Nfs: Final = 128
NDB: Final = 1024
STATELEN: Final = 32 * 1024
MAXCTL: Final = 64 * 1024  # bytes of a message
network: Final = "network"
TOP: Final = {
    Qarp: ("arp", 0o664), Qbootp: ("bootp", 0o666), Qndb: ("ndb", 0o666), Qiproute: ("iproute", 0o664),
    Qipselftab: ("ipselftab", 0o444), Qlog: ("log", 0o666),
}  # fmt: skip
CONVFILES: Final = ("ctl", "data", "err", "listen", "local", "remote", "status", "snoop")  # from Qctl on
READONLY: Final = (Qtopdir, Qprotodir, Qconvdir, Qstatus, Qremote, Qlocal, Qstats, Qbootp, Qipselftab)


def QID(p: int, c: int, y: int) -> int:
    """qid.path of file y of conversation c of protocol p."""
    return p << Shiftproto | c << Shiftconv | y


class IPaux:
    """Who attached, and the tag of routes that are added. Source: ip/ip.h:IPaux."""

    def __init__(self, owner: str, tag: str) -> None:
        self.owner = owner
        self.tag = tag[:4].ljust(4)


class Ipdev(Dev):
    """Source: ip/devip.c."""

    dc = "I"
    name = "ip"

    def __init__(self, k: Kernel, faults: Faults | None = None) -> None:
        super().__init__(k)
        self.faults = faults if faults is not None and faults.any else None
        self.ipfs: dict[int, Fs] = {}
        self.protos: dict[int, list[Proto]] = {}

    # Which stack, protocol and conversation a channel is of

    def _fs(self, dev: int) -> Fs:
        """The stack of ``#I`` and that number. Source: ip/devip.c:ipgetfs."""
        f = self.ipfs.get(dev)
        if f is None:
            f = self._newfs(dev)
        f.timers.run()
        return f

    def _newfs(self, dev: int) -> Fs:
        from kernel.devices.ip.fs import Fs
        from kernel.devices.ip.icmp import Icmp, Icmp6
        from kernel.devices.ip.ifc import Ipifc
        from kernel.devices.ip.tcp import Tcp
        from kernel.devices.ip.timers import Timers
        from kernel.devices.ip.udp import Udp

        k = self.k
        network = k.network if dev == 0 else None
        wire = None
        if self.faults is not None:
            from kernel.devices.ip.wire import Wire

            wire = Wire(k, self.faults)
        f = self.ipfs[dev] = Fs(k, Timers(k), wire)
        if wire is None and network is None:
            tcp = Tcp(k, f, 0)
        else:
            from kernel.devices.ip.fartcp import Fartcp

            tcp = far = Fartcp(k, f, 0)
            if network is not None:
                far.outside(network)
        udp = Udp(k, f, 1)
        udp.network = network
        self.protos[dev] = [tcp, udp, Ipifc(k, f, 2), Icmp(k, f, 3), Icmp6(k, f, 4)]
        return f

    def _proto(self, c: Chan) -> Proto:
        self._fs(c.dev)
        return self.protos[c.dev][c.qid.path >> Shiftproto]

    def _conv(self, c: Chan) -> Conv:
        return self._proto(c).conv[c.qid.path >> Shiftconv & Maskconv]

    # Names

    def attach(self, spec: str) -> Chan:
        """Source: ip/devip.c:ipattach."""
        from kernel.devices.parse import atoi

        dev = atoi(spec)
        if not 0 <= dev < Nfs:
            raise Error("bad specification")
        c = devattach(self.k, "I", spec)
        c.qid = Qid(QID(0, 0, Qtopdir), 0, QTDIR)
        c.dev = dev
        c.aux = IPaux(current(self.k).user, "none")
        return c

    def walk(self, c: Chan, nc: Chan | None, names: Sequence[str]) -> Walkqid:
        """Source: ip/devip.c:ipwalk."""
        a: IPaux = c.aux
        wq = devwalk(self.k, c, nc, names, self.gen)
        if wq.clone is not None:
            wq.clone.aux = IPaux(a.owner, a.tag)
        return wq

    def gen(self, c: Chan, name: str | None, s: int) -> Dir | int:
        """Source: ip/devip.c:ipgen."""
        k = self.k
        t = c.qid.path & 0x1F
        f = self._fs(c.dev)
        protos = self.protos[c.dev]
        proto = c.qid.path >> Shiftproto
        if t in (Qtopdir, Qprotodir) and s == DEVDOTDOT:
            return devdir(k, c, Qid(Qtopdir, 0, QTDIR), f"#I{c.dev}", 0, network, DMDIR | 0o555)
        if t == Qtopdir:
            if s < len(protos):
                if name is not None and name != protos[s].name:
                    return 0
                qid = Qid(QID(s, 0, Qprotodir), 0, QTDIR)
                return devdir(k, c, qid, protos[s].name, 0, network, DMDIR | 0o555)
            return self._gen1(c, f, s - len(protos) + Qarp)
        if t in TOP:
            return self._gen1(c, f, t)
        p = protos[proto]
        if t == Qprotodir:
            if s < len(p.conv):
                if name is not None and name != str(s):
                    return 0
                qid = Qid(QID(proto, s, Qconvdir), 0, QTDIR)
                return devdir(k, c, qid, str(s), 0, p.conv[s].owner, DMDIR | 0o555)
            return self._gen2(c, s - len(p.conv) + Qclone)
        if t in (Qclone, Qstats):
            return self._gen2(c, t)
        if t == Qconvdir:
            if s == DEVDOTDOT:
                return devdir(k, c, Qid(QID(proto, 0, Qprotodir), 0, QTDIR), p.name, 0, network, DMDIR | 0o555)
            if name is not None and s < len(CONVFILES) and name != CONVFILES[s]:
                return 0
            return self._gen3(c, s + Qctl)
        return self._gen3(c, t)

    def _gen1(self, c: Chan, f: Fs, i: int) -> Dir | int:
        """Source: ip/devip.c:ip1gen."""
        if i not in TOP:
            return -1
        name, perm = TOP[i]
        ndb = i == Qndb
        qid = Qid(QID(0, 0, i), f.ndbvers if ndb else 0, QTFILE)
        d = devdir(self.k, c, qid, name, len(f.ndb) if ndb else 0, network, perm)
        if ndb and f.ndbmtime > self.k.files.kerndate:
            d.mtime = f.ndbmtime
        return d

    def _gen2(self, c: Chan, i: int) -> Dir | int:
        """Source: ip/devip.c:ip2gen."""
        qid = Qid(QID(c.qid.path >> Shiftproto, 0, i), 0, QTFILE)
        if i == Qclone:
            return devdir(self.k, c, qid, "clone", 0, network, 0o666)
        if i == Qstats:
            return devdir(self.k, c, qid, "stats", 0, network, 0o444)
        return -1

    def _gen3(self, c: Chan, i: int) -> Dir | int:
        """Source: ip/devip.c:ip3gen."""
        cv = self._conv(c)
        if not Qctl <= i <= Qsnoop or (i == Qsnoop and cv.sq is None):
            return -1
        perm = cv.perm if i <= Qlisten else 0o400 if i == Qsnoop else 0o444
        q = {Qdata: cv.rq, Qerr: cv.eq, Qsnoop: cv.sq}.get(i)
        qid = Qid(QID(c.qid.path >> Shiftproto, cv.x, i), 0, QTFILE)
        return devdir(self.k, c, qid, CONVFILES[i - Qctl], qlen(q) if q is not None else 0, cv.owner, perm)

    # Opening

    def open(self, c: Chan, omode: int) -> Chan:
        """Opening clone takes a conversation, opening listen waits for a call. Source: ip/devip.c:ipopen."""
        t = c.qid.path & 0x1F
        f = self._fs(c.dev)
        mode = omode & 3
        if t in READONLY:
            if omode != OREAD:
                raise Error(Eperm)
        elif t == Qndb:
            write = omode & (OWRITE | OTRUNC)
            if write and not iseve(self.k):
                raise Error(Eperm)
            if write == OWRITE | OTRUNC:
                f.ndb = b""
        elif t == Qlog:
            f.log.opens += 1
        elif t in (Qiproute, Qarp):
            if omode != OREAD and not iseve(self.k):
                raise Error(Eperm)
        elif t == Qsnoop:
            if omode != OREAD or (c.aux.owner != self._conv(c).owner and not iseve(self.k)):
                raise Error(Eperm)
        elif t == Qclone:
            p = self._proto(c)
            cv = p.clone(c.aux.owner)
            if cv is None:
                raise Error(Enodev)
            c.qid = Qid(QID(p.x, cv.x, Qctl), 0, QTFILE)
        elif t in (Qctl, Qdata, Qerr):
            cv = self._conv(c)
            self._permcheck(c, cv, mode)
            cv.inuse += 1
            if cv.inuse == 1:
                cv.owner = c.aux.owner
                cv.perm = 0o660
        elif t == Qlisten:
            self._listen(c, mode)
        c.mode = openmode(omode)
        c.flag |= Chan.COPEN
        c.offset = 0
        return c

    def _permcheck(self, c: Chan, cv: Conv, mode: int) -> None:
        perm = (4, 2, 6, 0)[mode]
        if perm & cv.perm >> 6 != perm and (c.aux.owner != cv.owner or perm & cv.perm != perm):
            raise Error(Eperm)

    def _listen(self, c: Chan, mode: int) -> None:
        """Wait for a call; c becomes its ctl file."""
        from kernel.devices.ip.conv import Announced
        from kernel.sched.qlock import qlock, qunlock
        from kernel.sched.sleep import sleep

        k = self.k
        p, cv = self._proto(c), self._conv(c)
        self._permcheck(c, cv, mode)
        if cv.state != Announced:
            raise Error("not announced")
        cv.inuse += 1
        try:
            nc = None
            while nc is None:
                if cv.rq.closed:
                    raise Error("listen hungup")
                qlock(k, cv.listenq)
                try:
                    sleep(k, cv.listenr, lambda: bool(cv.incall) or cv.rq.closed)  # erratum 42
                except Error:
                    qunlock(k, cv.listenq)
                    raise
                if cv.incall:
                    nc = cv.incall.pop(0)
                    c.qid = Qid(QID(p.x, nc.x, Qctl), 0, QTFILE)
                    cv.owner = c.aux.owner
                qunlock(k, cv.listenq)
        except Error:
            p.closeconv(cv)
            raise
        p.closeconv(cv)

    def close(self, c: Chan) -> None:
        """Source: ip/devip.c:ipclose."""
        if not c.flag & Chan.COPEN:
            return
        t = c.qid.path & 0x1F
        if t == Qlog:
            log = self._fs(c.dev).log
            log.opens -= 1
            if not log.opens:
                log.buf.clear()
        elif t in (Qctl, Qdata, Qerr):
            self._proto(c).closeconv(self._conv(c))

    def wstat(self, c: Chan, data: bytes) -> int:
        """Source: ip/devip.c:ipwstat."""
        if c.qid.path & 0x1F not in (Qctl, Qdata):
            raise Error(Eperm)
        got = convM2D(data)
        if got is None:
            raise Error(Eshortstat)
        d, m = got
        cv = self._conv(c)
        if not iseve(self.k) and c.aux.owner != cv.owner:
            raise Error(Eperm)
        if d.uid:
            cv.owner = d.uid
        cv.perm = d.mode & 0o777
        return m

    # Reading

    def read(self, c: Chan, n: int, offset: int) -> bytes:
        """Source: ip/devip.c:ipread."""
        t = c.qid.path & 0x1F
        if t == Qdata:
            return qread(self.k, self._conv(c).rq, n)
        if t in (Qtopdir, Qprotodir, Qconvdir):
            return devdirread(self.k, c, n, self.gen)
        f = self._fs(c.dev)
        if t in (Qerr, Qsnoop):
            cv = self._conv(c)
            q = cv.eq if t == Qerr else cv.sq
            assert q is not None
            return qread(self.k, q, n)
        if t == Qlog:
            return f.log.read(n)
        if t == Qndb:
            return readstr(offset, n, f.ndb)
        return readstr(offset, n, kbytes(self._text(c, t, f)))

    def _text(self, c: Chan, t: int, f: Fs) -> str:
        if t in (Qarp, Qbootp):
            return ""
        if t == Qiproute:
            return f.routetext()
        if t == Qipselftab:
            return f.selftext()
        p = self._proto(c)
        if t == Qstats:
            return p.stats()
        cv = self._conv(c)
        if t == Qctl:
            return str(cv.x)
        if t == Qlisten:
            raise Error(Eperm)
        return {Qlocal: p.local, Qremote: p.remote, Qstatus: p.state}[t](cv)[: STATELEN - 2]

    # Writing

    def write(self, c: Chan, data: Data, offset: int) -> int:
        """Source: ip/devip.c:ipwrite."""
        t = c.qid.path & 0x1F
        n = len(data)
        if t == Qdata:
            qwrite(self.k, self._conv(c).wq, data)
            return n
        f = self._fs(c.dev)
        if t == Qarp:
            return self._arpwrite(f, data)
        if t == Qndb:
            return self._ndbwrite(f, data, offset)
        if t not in (Qiproute, Qlog, Qctl):
            raise Error(Eperm)
        if n > MAXCTL:
            raise Error(Ebadarg)
        if t == Qiproute:
            self._routewrite(f, c, data[:n])
        elif t == Qlog:
            f.log.ctl(data[:n])
        else:
            self._ctl(c, data[:n])
        return n

    def _ctl(self, c: Chan, data: bytes) -> None:
        from kernel.devices.ip.conv import MAXTTL, announcectlmsg, connectctlmsg
        from kernel.devices.parse import atoi, parsecmd, strtoul

        x, cv = self._proto(c), self._conv(c)
        f = parsecmd(data)
        if not f:
            raise Error("short control request")
        p = None
        match f[0]:
            case "connect":
                connectctlmsg(self.k, x, cv, f)
            case "announce":
                announcectlmsg(x, cv, f)
            case "bind":
                p = x.bind(cv, f)
            case "ttl":
                cv.ttl = atoi(f[1]) if len(f) > 1 else MAXTTL
            case "tos":
                cv.tos = atoi(f[1]) if len(f) > 1 else 0
            case "ignoreadvice":
                cv.ignoreadvice = True
            case "addmulti" | "remmulti":
                self._multictl(x, cv, f)
            case "maxfragsize":
                if len(f) < 2:
                    raise Error("maxfragsize needs size")
                cv.maxfragsize = strtoul(f[1].encode("utf-8", "surrogateescape"))
            case _:
                p = x.ctl(cv, f)
        if p is not None:
            raise Error(p)

    def _multictl(self, x: Proto, cv: Conv, f: Sequence[str]) -> None:
        from kernel.devices.ip.addr import ipismulticast, parseip

        word = f[0]
        if len(f) < 2:
            raise Error(f"{word} needs interface address")
        # the group is the remote address, unless it is told
        told = word == "addmulti" and len(f) > 2
        if not told and not ipismulticast(cv.raddr):
            raise Error(f"{word} for a non multicast address")
        ia = parseip(f[1])
        ma = parseip(f[2]) if told else cv.raddr
        if ia is None or ma is None:
            raise Error(Ebadip)
        if not ipismulticast(ma):
            raise Error(f"{word} for a non multicast address")
        if word == "addmulti":
            x.f.addmulti(cv.multi, ma, ia)
        else:
            x.f.remmulti(cv.multi, ma, ia)

    def _ndbwrite(self, f: Fs, data: Data, offset: int) -> int:
        """Source: ip/devip.c:ndbwrite."""
        n = len(data)
        if offset > len(f.ndb) or offset + n >= NDB:
            raise Error(Eio)
        f.ndb = (f.ndb[:offset] + data[:n]).partition(b"\0")[0]
        f.ndbvers += 1
        f.ndbmtime = self.k.nsec() // 1_000_000_000
        return n

    def _arpwrite(self, f: Fs, data: Data) -> int:
        """There is no interface here whose addresses would have to be found out. Source: ip/arp.c:arpwrite."""
        from kernel.devices.ip.addr import parseip
        from kernel.devices.parse import getfields

        text = data[:255].removesuffix(b"\n").partition(b"\0")[0]
        w = getfields(kstr(text), 4, " ")
        if w[:1] == ["flush"]:
            return min(len(data), 255)
        if not w or w[0] not in ("add", "del"):
            raise Error("bad arp")
        if len(w) not in ((2,) if w[0] == "del" else (3, 4)):
            raise Error(Ebadarg)
        if len(w) == 4 and w[1] != "loopback":
            raise Error("bad arp")
        ip = parseip(w[2 if len(w) == 4 else 1])
        if ip is None:
            raise Error(Ebadip)
        if len(w) == 3 and not f.hasroute(ip):
            raise Error("Destination unreachable")
        if w[0] == "add":
            raise Error("bad arp")
        return min(len(data), 255)

    def _routewrite(self, f: Fs, c: Chan, data: bytes) -> None:
        """Source: ip/iproute.c:routewrite."""
        from kernel.devices.ip.addr import parseip, parseipmask
        from kernel.devices.parse import parsecmd

        w = parsecmd(data)
        if not w:  # the original reads a word that is not there
            raise Error(Ebadarg)
        match w[0]:
            case "flush":
                f.flushroutes(w[1] if len(w) > 1 else None)
            case "remove" | "add":
                if len(w) < (3 if w[0] == "remove" else 4):
                    raise Error(Ebadarg)
                addr = parseip(w[1])
                gate = parseip(w[3]) if w[0] == "add" else addr
                if addr is None or gate is None:
                    raise Error(Ebadip)
                if w[0] == "add":
                    f.addroute(addr, parseipmask(w[2]), gate, c.aux.tag)
                else:
                    f.delroute(addr, parseipmask(w[2]))
            case "tag":
                if len(w) < 2:
                    raise Error(Ebadarg)
                c.aux = IPaux(c.aux.owner, w[1])
