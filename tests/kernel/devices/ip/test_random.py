"""Messages that are random or nearly right: an error or none, and all memory comes back."""

from __future__ import annotations

import random

import pytest

from kernel.base.alloc import CONV
from kernel.base.chandat import ORDWR
from kernel.base.error import Error
from kernel.devices.ip.tcp import Tcpconv
from tests.kernel.devices.ip.net import Netrig, newnet

rig = pytest.fixture(newnet)

VERBS = (
    "connect", "connect", "announce", "announce", "bind", "hangup", "close", "headers", "keepalive", "ttl", "tos",
    "ignoreadvice", "addmulti", "remmulti", "maxfragsize", "checksum", "tcpporthogdefense", "", "x",
)  # fmt: skip
WORDS = (
    "127.0.0.1!7", "127.0.0.1!8", "*!7", "*!8", "::1!7", "7", "*", "0", "!", "127.0.0.1!7!r", "10.0.0.1!5", "224.0.0.9",
    "127.0.0.1", "ff02::9", "::1", "-1", "99999999999", "'", "\0", "\xff", "1" * 5000, "a:b:c", "127.0.0.1!99999",
)  # fmt: skip


def message(rng: random.Random) -> bytes:
    """One of them."""
    words = [rng.choice(VERBS), *(rng.choice(WORDS) for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3))))]
    text = bytearray(" ".join(words).encode())
    if rng.random() < 0.1:
        text[rng.randrange(len(text) + 1) :] = rng.randbytes(rng.randrange(20))
    return bytes(text)


@pytest.mark.parametrize("seed", range(6))
def test_random_messages(rig: Netrig, seed: int) -> None:
    rng = random.Random(seed)

    @rig.run
    def _() -> None:
        rig.net()
        rig.slurp("/net/iproute")
        charged = rig.k.mainmem.cursize
        fds: list[int] = []
        for _ in range(400):
            try:
                step = rng.randrange(10)
                at = f"/net/{rng.choice(('tcp', 'udp'))}"
                if step < 2:
                    fds.append(rig.open(f"{at}/clone", ORDWR))
                elif step < 3:
                    fds.append(rig.open(f"{at}/{rng.randrange(20)}/data", ORDWR))
                elif step < 4 and fds:
                    rig.close(fds.pop(rng.randrange(len(fds))))
                elif step < 5:
                    rig.slurp(f"{at}/{rng.randrange(20)}/{rng.choice(('status', 'local', 'remote', 'ctl'))}")
                elif fds:
                    rig.pwrite(rng.choice(fds), message(rng))
            except Error:
                pass
        for fd in fds:
            rig.close(fd)
        made = 0
        for p in rig.ip.protos[0][:2]:
            made += len(p.conv)
            for c in p.conv:
                assert not c.inuse
                # who has not been answered to yet is not known by an address of another's
                assert c.key is None or (isinstance(c, Tcpconv) and p.inuse(c))
        assert rig.k.mainmem.cursize - charged <= made * (CONV + 70_000)
        rig.k.m.cpu.spend(60 * 1_000_000_000)
        assert rig.slurp("/net/tcp/stats")
        held = [c for c in rig.ip.protos[0][0].conv if rig.ip.protos[0][0].inuse(c)]
        assert held == []
        rig.slurp("/net/udp/stats")
        queued = sum(q.len for p in rig.ip.protos[0][:2] for c in p.conv for q in (c.rq, c.wq))
        slots = 8 * (len(rig.up.fgrp.fd) + 20) if rig.up.fgrp is not None else 0
        assert rig.k.mainmem.cursize - charged <= made * CONV + 2 * queued + slots


# Letters: I address, M mask, N number, W word, H host, S service, Q pair
FORMS = {
    "ipifc/clone": (
        "bind loopback W", "bind W W", "bind loopback", "add I", "add I M", "add I M I", "add I M I N", "add I M I N W",
        "try I M", "remove I M", "remove I", "connect I M", "unbind", "mtu N", "iprouting N", "addmulti I I",
        "remmulti I", "joinmulti I", "leavemulti I", "reassemble", "add6 I N", "ra6 W N", "announce I", "W I M",
    ),
    "iproute": ("add I M I", "add I M I W", "add I M", "remove I M", "flush", "flush W", "tag W", "W I M"),
    "arp": ("flush", "add I W", "add loopback I W", "add ether I W", "del I", "W I"),
    "ndb": ("Q Q\n\tQ", "Q\n"),
    "log": ("set W", "set tcp udp", "clear W", "clear", "only I", "W W"),
    "cs": ("tcp!H!S", "udp!H!S", "net!H!S", "W!H!S!N", "tcp!H", "H", "!Q", "!Q Q", "!Q W=*", "refresh"),
    "dns": ("H ip", "H ipv6", "H ptr", "I ptr", "H W", "I.in-addr.arpa ptr", "H", "refresh"),
}  # fmt: skip
WORDS_OF = {
    "I": "127.0.0.1 127.0.0.2 ::1 fe80::1 10.0.0.1 1.2.3.4 224.0.0.1 ff02::1 :: 0 127.1 x 999.0.0.1 :::",
    "M": "255.255.255.0 255.0.0.0 /64 /128 /0 /104 /999 /-1 255.0.255.0 0 ffff:: x /",
    "N": "0 1 -1 1000 65535 65536 4294967296 99999999999 on x",
    "W": "loopback tcp udp on all x '' 'a_b' ' \udcff \u263a longerthanfour a=b",
    "H": "localhost here far 127.0.0.1 * :: [::1] [ $ip $ nobody a.b.c - 1.0.0.127",
    "S": "http 80 * 0 -1 70000 login nosuch a$b !",
    "Q": "ip=127.0.0.1 sys=localhost dom=* tcp=http a= =b = sys ip='1_2' tcp=\"x",
}
MEANS = {letter: words.split() for letter, words in WORDS_OF.items()}


def formed(rng: random.Random, file: str) -> bytes:
    """A message to the file, nearly right."""
    text = "".join(rng.choice(MEANS[c]) if c in MEANS else c for c in rng.choice(FORMS[file]))
    while rng.random() < 0.15:
        text += " " + rng.choice(MEANS[rng.choice("IMNWHSQ")])
    data = bytearray(text.encode("utf-8", "surrogateescape"))
    if rng.random() < 0.1:
        data[rng.randrange(len(data) + 1) :] = rng.randbytes(rng.choice((1, 20, 2000)))
    return bytes(data)


@pytest.mark.parametrize("seed", range(6))
def test_random_messages_to_the_other_files(rig: Netrig, seed: int) -> None:
    rng = random.Random(seed)

    @rig.run
    def _() -> None:
        rig.net()
        rig.slurp("/net/iproute")
        charged = rig.k.mainmem.cursize
        fds: list[tuple[str, int]] = []
        for _ in range(600):
            try:
                step = rng.randrange(10)
                if step < 1 or not fds:
                    file = rng.choice(list(FORMS))
                    fds.append((file, rig.open(f"/net/{file}", ORDWR)))
                elif step < 2:
                    rig.close(fds.pop(rng.randrange(len(fds)))[1])
                elif step < 3:
                    file = rng.choice(("iproute", "ipselftab", "ndb", "ipifc/stats", "ipifc/0/status", "ipifc/1/local"))
                    rig.slurp(f"/net/{file}")
                else:
                    file, fd = rng.choice(fds)
                    rig.pwrite(fd, formed(rng, file), rng.choice((0, 0, 0, 1, 1000, 1 << 40)))
                    if file in ("cs", "dns"):
                        rig.pread(fd, 200, rng.choice((0, 0, 100)))
            except Error:
                pass
        for _, fd in fds:
            rig.close(fd)
        ifcs = rig.ip.protos[0][2].conv
        fd = rig.open("/net/ipifc/0/ctl", ORDWR)
        for c in ifcs:
            assert c.inuse == (c.x == 0)
            other = rig.open(f"/net/ipifc/{c.x}/ctl", ORDWR)
            rig.pwrite(other, b"unbind")
            rig.close(other)
        rig.pwrite(rig.open("/net/iproute", ORDWR), b"flush")
        assert rig.slurp("/net/iproute") == rig.slurp("/net/ipselftab") == b""
        slots = 8 * (len(rig.up.fgrp.fd) + 20) if rig.up.fgrp is not None else 0
        assert rig.k.mainmem.cursize - charged <= (len(ifcs) - 1) * CONV + slots
