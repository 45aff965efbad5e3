"""The connection server and the name server, /net/cs and /net/dns, a device of its own, ``#ñ``.

In the original they are file servers: ndb/cs and ndb/dns, processes that are mounted upon /net. Here they are the
kernel's, so that a machine without them has them. They know what the database has (:mod:`kernel.devices.ip.ndb`),
in the name space of who asks, and ask nobody.
Source: cmd/ndb/cs.c, cmd/ndb/dns.c.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from kernel.base.alloc import CONV
from kernel.base.chandat import DMDIR, QTDIR, Chan
from kernel.base.dat import Qid
from kernel.base.devdat import Dirtab
from kernel.base.error import Eintr, Error
from kernel.base.text import kbytes, kstr
from kernel.devices.parse import getfields
from kernel.files.dev import Dev, devattach, devdirread, iseve

if TYPE_CHECKING:
    from kernel.base.chandat import Data
    from kernel.base.kernel import Kernel
    from kernel.devices.ip.ndb import Ndb

Qdir, Qcs, Qdns = range(3)
Maxrequest: Final = {Qcs: 128, Qdns: 1024}
Nreply: Final = 20
Maxservice, Maxreply = 64, 256
NETWORKS: Final = ("il", "tcp", "udp", "icmp", "icmpv6", "rudp", "ssh")
DEFAULTS: Final = ("tcp", "udp")  # those of them that are there
Eaddress: Final = "can't translate address"
Eservice: Final = "can't translate service"
Ednsname: Final = "dns: name does not exist"
Ednsresource: Final = "dns: resource does not exist; negrcode 0"
DNSCOMMANDS: Final = ("debug", "testing", "dump", "poolcheck", "refresh", "restart", "stats")
DNSTYPES: Final = (
    "ip", "ns", "md", "mf", "cname", "soa", "mb", "mg", "mr", "null", "wks", "ptr", "hinfo", "minfo", "mx", "txt",
    "rp", "afsdb", "isdn", "rt", "nsap", "nsap-ptr", "sig", "key", "px", "gpos", "ipv6", "loc", "nxt", "eid", "nimrod",
    "srv", "atma", "naptr", "kx", "cert", "a6", "dname", "sink", "opt", "apl", "ds", "sshfp", "ipseckey", "rrsig",
    "nsec", "dnskey", "spf", "uinfo", "uid", "gid", "unspec", "tkey", "tsig", "ixfr", "axfr", "mailb", "maila", "all",
    "any",
)  # fmt: skip


class Query:
    """What an open file was asked, answered: a reply for each read."""

    def __init__(self) -> None:
        self.replies: list[bytes] = []

    def read(self, n: int, offset: int) -> bytes:
        """The reply at an offset, or the rest of it. Source: ndb/cs.c:rread."""
        for r in self.replies:
            if offset < len(r):
                return r[offset : offset + n]
            offset -= len(r)
        return b""


class Csdev(Dev):
    """Source: ndb/cs.c."""

    dc = "ñ"
    name = "cs"
    tab = (
        Dirtab(".", Qid(Qdir, 0, QTDIR), 0, DMDIR | 0o555),
        Dirtab("cs", Qid(Qcs), 0, 0o666),
        Dirtab("dns", Qid(Qdns), 0, 0o666),
    )

    def __init__(self, k: Kernel) -> None:
        super().__init__(k)
        self._ndb: Ndb | None = None

    def attach(self, spec: str) -> Chan:
        """A channel to the directory of the two files."""
        return devattach(self.k, self.dc, spec)

    def open(self, c: Chan, omode: int) -> Chan:
        """An open file has answers of its own."""
        if not c.qid.type & QTDIR:
            self.k.mainmem.need(CONV)
        c = super().open(c, omode)
        if not c.qid.type & QTDIR:
            self.k.mainmem.charge(CONV)
            c.aux = Query()
        return c

    def close(self, c: Chan) -> None:
        """Forget the answers."""
        if c.flag & Chan.COPEN and not c.qid.type & QTDIR:
            self.k.mainmem.free(CONV)
            c.aux = None

    def read(self, c: Chan, n: int, offset: int) -> bytes:
        """Source: ndb/cs.c:rread."""
        if c.qid.type & QTDIR:
            return devdirread(self.k, c, n, self.gen)
        q: Query = c.aux
        return q.read(n, offset)

    def write(self, c: Chan, data: Data, offset: int) -> int:
        """Ask. Source: ndb/cs.c:rwrite, ndb/dns.c:rwrite."""
        n = len(data)
        if c.qid.path == Qdns and offset != 0:
            raise Error("dns: writing at non-zero offset")
        if n >= Maxrequest[c.qid.path]:
            raise Error("request too long" if c.qid.path == Qcs else "dns: request too long")
        q: Query = c.aux
        q.replies = []
        text = kstr(data[:n].partition(b"\0")[0])
        from kernel.devices.ip.ndb import Ndb

        self._ndb = self._ndb or Ndb(self.k)
        ask = self._cs(self._ndb, text) if c.qid.path == Qcs else self._dns(self._ndb, text)
        for reply in ask:
            if reply not in q.replies:
                q.replies.append(reply)
            if len(q.replies) >= Nreply:
                break
        return n

    # Connections

    def _cs(self, db: Ndb, text: str) -> Iterator[bytes]:
        if text.startswith(("debug", "ipv6", "paranoia", "refresh", "add ")) and iseve(self.k):
            return
        if text.startswith("!"):
            yield from self._genquery(db, text[1:])
            return
        field = getfields(text, 4, "!")
        net, host = ("net", field[0] if field else "") if len(field) < 2 else (field[0], field[1])
        serv = field[2] if len(field) > 2 else None
        rem = f"!{field[3]}" if len(field) > 3 else ""
        if net not in (*NETWORKS, "net"):
            # not a known network: host and service are what they are
            yield _reply(f"/net/{net}/clone {host}" + (f"!{serv}" if serv is not None else ""))
            return
        err = Eaddress
        found = False
        hosts: Sequence[str] | Error | None = None
        for np in DEFAULTS if net == "net" else (net,):
            port = _service(db, np, serv) if serv is not None else None
            if port is None:
                err = Eservice
                continue
            if hosts is None:
                try:
                    hosts = self._hosts(db, host)
                except Error as e:
                    if str(e) == Eintr:
                        raise
                    hosts = e
            if isinstance(hosts, Error):
                err = str(hosts)
                continue
            for ip in hosts:
                found = True
                at = "" if ip == "*" else f"{ip}!"
                yield _reply(f"/net/{np}/clone {at}{port}{rem}")
        if not found:
            raise Error(err)

    def _genquery(self, db: Ndb, text: str) -> Iterator[bytes]:
        """Pairs, the first a key, of which a star means any value. Source: ndb/cs.c:genquery."""
        words = [w for w in text.split(" ") if w]
        if not words or not all("=" in w for w in words):
            raise Error("bad query")
        pairs = [(a, v) for a, _, v in (w.partition("=") for w in words)]
        for e in db.search(*pairs[0]):
            has = [p for line in e for p in line]
            if all(any(a == b and v in ("*", w) for b, w in has) for a, v in pairs[1:]):
                for line in e:
                    yield kbytes(" ".join(f"{a}={v}" for a, v in line))
                return
        raise Error("no match")

    # Names

    def _hosts(self, db: Ndb, host: str) -> Sequence[str]:
        """The addresses of a host. Errors: it is not known. Source: ndb/cs.c:iplookup."""
        if host in ("*", "::"):
            return ["*"]
        if host.startswith("$"):
            # an attribute of this system's entry
            found = db.value("sys", "localhost", host[1:])
            host = found[0] if found is not None else host
        if host.startswith("["):
            host = host[1:].partition("]")[0]
        from kernel.devices.ip.ndb import ipattr

        if ipattr(host) == "ip":
            return [host]
        ips = self._ips(db, host)
        if not ips:
            raise Error(f"can't translate address: {Ednsname}")
        return ips

    def _ips(self, db: Ndb, host: str) -> list[str]:
        """The addresses that the database has, else those that the host's network is asked for, if that is granted."""
        from kernel.devices.ip.addr import eipfmt
        from kernel.devices.ip.ndb import ipattr

        for attr in dict.fromkeys((ipattr(host), "dom", "sys")):
            found = db.value(attr, host, "ip")
            if found is not None:
                return [v for line in found[1] for a, v in line if a == "ip"]
        network = self.k.network
        known = network.names(host) if network is not None else None
        return [eipfmt(ip) for ip in known or ()]

    def _dns(self, db: Ndb, text: str) -> Iterator[bytes]:
        """A name and a type. Source: ndb/dns.c:rwrite."""
        text = text.removesuffix("\n")
        if iseve(self.k) and (text in DNSCOMMANDS or text.startswith("target ")):
            return
        name, blank, type = text.partition(" ")
        if not blank:
            raise Error(f"dns: illegal request {text}")
        if type == "trace":
            return
        if type not in DNSTYPES:
            raise Error(f"dns: unknown type {type}")
        name = name.removeprefix("!")
        name = name.lower().removesuffix(".")
        ips = self._ips(db, name) if type != "ptr" else []
        if type == "ptr":
            values = _names(db, name)
        else:
            values = [v for v in ips if type in ("all", "any", "ipv6" if ":" in v else "ip")]
        if not values:
            raise Error(Ednsresource if ips else Ednsname)
        for v in values:
            yield kbytes(f"{name} {type}\t{v}")


def _reply(s: str) -> bytes:
    return kbytes(s)[: Maxreply - 1]


def _service(db: Ndb, net: str, name: str) -> str | None:
    """The port of a service, ``!r`` after it if only privileged ones may call. Source: ndb/cs.c:ipserv."""
    if name == "*":
        return name
    if not all(ch.isascii() and (ch.isalnum() or ch in "-$") for ch in name):
        return None
    found = None
    if not name.isdigit() and name:
        found = db.value(net, name, "port")
        if found is None:
            return None
    elif net == "tcp" and int(name[:10] or "0") < 1024:
        found = db.value("port", name, "port")
    port, entry = found if found is not None else (name, [])
    restricted = any(a == "restricted" for line in entry for a, _ in line)
    return (port + ("!r" if restricted else ""))[: Maxservice - 1]


def _names(db: Ndb, name: str) -> list[str]:
    """Whose address that is, written backwards under in-addr.arpa or ip6.arpa."""
    from kernel.devices.ip.addr import eipfmt

    ip = ""
    if name.endswith(".in-addr.arpa"):
        ip = ".".join(reversed(name.removesuffix(".in-addr.arpa").split(".")))
    elif name.endswith(".ip6.arpa"):
        digits = "".join(reversed(name.removesuffix(".ip6.arpa").split(".")))
        if len(digits) == 32 and all(ch in "0123456789abcdef" for ch in digits):
            ip = eipfmt(bytes.fromhex(digits))
    found = db.value("ip", ip, "dom") or db.value("ip", ip, "sys")
    return [found[0]] if found is not None else []
