"""Capabilities: kernel/devices/devcap.py."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from kernel.base.alloc import CAP
from kernel.base.chandat import OREAD, OWRITE
from kernel.devices.devcap import Capdev, Maxhash
from tests.kernel.fakes import Rig, err, newrig

rig = pytest.fixture(newrig)


@pytest.fixture(autouse=True)
def device(rig: Rig) -> Capdev:
    """Put it into the rig."""
    dev = Capdev(rig.k)
    rig.k.devtab.append(dev)
    return dev


def hashed(users: bytes, key: bytes) -> bytes:
    """What goes into caphash."""
    return hmac.new(key, users, hashlib.sha1).digest()


def test_a_capability_makes_another_user(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        fd = rig.open("#¤/caphash", OWRITE)
        use = rig.open("#¤/capuse", OWRITE)
        before = rig.k.mainmem.cursize
        for users, key in ((b"eve@glenda", b"k1"), (b"glenda@bob", b"k2"), (b"carol", b"k3")):
            assert rig.pwrite(fd, hashed(users, key) + b"more") == 24
        assert rig.k.mainmem.cursize == before + 3 * CAP
        assert err(rig.pwrite, use, b"glenda@bob@k2") == "capability must match user"
        assert rig.pwrite(use, b"eve@glenda@k1\0rubbish") == 21
        assert (rig.up.user, rig.up.basepri) == ("glenda", 10)
        assert err(rig.pwrite, use, b"eve@glenda@k1") == "invalid capability eve@glenda@k1"
        assert err(rig.pwrite, use, b"glenda@bob@k2") == "invalid capability glenda@bob@k2", "used, though in vain"
        rig.pwrite(use, b"carol@k3")
        assert rig.up.user == "carol"
        assert rig.k.mainmem.cursize == before
        assert err(rig.pwrite, fd, bytes(20)) == "permission denied"
        assert err(rig.open, "#¤/caphash", OWRITE) == "'#¤/caphash' permission denied"
        rig.open("#¤/capuse", OWRITE)


def test_bad_uses(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        fd = rig.open("#¤/caphash", OWRITE)
        use = rig.open("#¤/capuse", OWRITE)
        assert err(rig.pwrite, fd, bytes(19)) == err(rig.pwrite, use, b"no mark") == "i/o count too small"
        assert err(rig.pwrite, use, b"a@b") == "invalid capability a@b"
        assert err(rig.pwrite, use, b"@") == "invalid capability @"
        assert err(rig.pwrite, use, b"x" * 70_000) == "bad arg in system call"
        long = err(rig.pwrite, use, b"\xff" * 2000 + b"@" + b"\xfe" * 2000)
        assert long.startswith("invalid capability \udcff\udcff")
        assert err(rig.pread, rig.open("#¤/capuse", OREAD), 10) == "permission denied"


def test_the_oldest_goes_if_there_are_too_many(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        fd = rig.open("#¤/caphash", OWRITE)
        use = rig.open("#¤/capuse", OWRITE)
        for i in range(Maxhash + 1):
            rig.pwrite(fd, hashed(b"u", b"%d" % i))
        assert err(rig.pwrite, use, b"u@0") == "invalid capability u@0"
        rig.pwrite(use, b"u@1")


def test_caphash_can_be_done_away_with(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        assert err(rig.remove, "#¤/capuse") == "permission denied"
        rig.remove("#¤/caphash")
        assert err(rig.open, "#¤/caphash", OWRITE).endswith("does not exist")
        assert rig.ls("#¤") == ["capuse"]
