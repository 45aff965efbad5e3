"""The log of an IP stack, /net/log. Source: ip/netlog.c."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernel.base.dat import QLock, Rendez
from kernel.base.error import Error
from kernel.base.text import kbytes
from kernel.devices.ip.addr import IPnoaddr, parseip
from kernel.devices.parse import Cmdtab, lookupcmd, parsecmd
from kernel.sched.qlock import qlock, qunlock
from kernel.sched.sleep import sleep, wakeup

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel

Nlog: Final = 16 * 1024
Logtcp, Logicmp, Logudp = 1 << 4, 1 << 5, 1 << 6
FLAGS: Final = {
    "ppp": 1 << 0, "ip": 1 << 1, "fs": 1 << 2, "il": 1 << 3, "tcp": Logtcp, "icmp": Logicmp, "udp": Logudp,
    "compress": 1 << 7, "logilmsg": 1 << 8, "gre": 1 << 9, "tcpwin": Logtcp | 1 << 10, "tcprxmt": Logtcp | 1 << 11,
    "udpmsg": Logudp | 1 << 12, "ipmsg": 1 << 1 | 1 << 13, "esp": 1 << 14,
}  # fmt: skip
_COMMANDS: Final = (Cmdtab("set", 0), Cmdtab("clear", 0), Cmdtab("only", 0))


class Netlog:
    """What was logged and not read yet, 16 kB at most, the newest."""

    def __init__(self, k: Kernel) -> None:
        self.k = k
        self.opens = 0
        self.buf = bytearray()
        self.mask = 0
        self.iponly = IPnoaddr
        self._lock = QLock()
        self._ready = Rendez()

    def read(self, n: int) -> bytes:
        """Wait for something, and take up to n bytes of it. Source: ip/netlog.c:netlogread."""
        k = self.k
        qlock(k, self._lock)
        try:
            while not self.buf:
                sleep(k, self._ready, lambda: bool(self.buf))
        except Error:
            qunlock(k, self._lock)
            raise
        out = bytes(self.buf[:n])
        del self.buf[:n]
        qunlock(k, self._lock)
        return out

    def ctl(self, data: bytes) -> None:
        """``set`` and ``clear`` with what is to be logged, ``only`` with an address. Source: ip/netlog.c:netlogctl."""
        f = parsecmd(data)
        if len(f) < 2:
            raise Error("too few arguments for netlog control message")
        cmd = lookupcmd(f, _COMMANDS)
        if cmd == "only":
            self.iponly = parseip(f[1]) or IPnoaddr
            return
        for word in f[1:]:
            mask = FLAGS.get(word, 0)
            self.mask = self.mask | mask if cmd == "set" else self.mask & ~mask

    def log(self, mask: int, text: str) -> None:
        """Log a line, if somebody asked for its kind and reads. Source: ip/netlog.c:netlog."""
        if self.mask & mask and self.opens:
            self.buf += kbytes(text)[:255]
            del self.buf[:-Nlog]
            wakeup(self.k, self._ready)
