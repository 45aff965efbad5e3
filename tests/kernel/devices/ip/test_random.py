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
