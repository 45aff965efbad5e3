"""The real time clock: kernel/devices/devrtc.py."""

from __future__ import annotations

import pytest

from kernel.base.chandat import ORDWR, OREAD, OWRITE
from kernel.base.kernel import EPOCH
from kernel.devices.devrtc import Rtcdev, asrtc
from tests.kernel.fakes import Rig, err, newrig

rig = pytest.fixture(newrig)


@pytest.fixture(autouse=True)
def device(rig: Rig) -> None:
    """Put it into the rig."""
    rig.k.devtab.append(Rtcdev(rig.k))


def test_the_time_is_that_of_the_day_until_it_is_set(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        start = EPOCH
        fd = rig.open("#r/rtc", ORDWR)
        assert rig.pread(fd, 100, 0) == b"%11d " % start
        rig.pwrite(fd, b"the time is 0x10\n", 0)
        assert rig.pread(fd, 100, 0) == b"%11d " % 16
        rig.k.m.cpu.spend(3_000_000_000)
        assert rig.pread(fd, 100, 0) == b"%11d " % 19
        assert rig.pread(fd, 100, 8) == b" 19 "
        assert err(rig.pwrite, fd, b"1", 1) == "bad arg in system call"
        rig.pwrite(fd, b"never", 0)
        assert rig.pread(fd, 100, 0) == b"%11d " % 0


def test_the_year_has_two_digits() -> None:
    assert [asrtc(t) for t in (0, 1403448765, 3155760000 - 1)] == [0, 1403448765, 3155760000 - 1]
    assert asrtc(3155760000) == 0, "2070 is 1970 again"
    assert asrtc(4102444800) == 946684800, "2100 is 2000"
    assert asrtc(4107542400) == 951868800, "1 March of both"
    assert asrtc((1 << 32) + 5) == 5


def test_memory_beside_it(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        fd = rig.open("#r/nvram", ORDWR)
        assert rig.pread(fd, 1000, 0) == bytes(256)
        assert rig.pwrite(fd, b"secret" * 100, 0) == 256
        assert rig.pread(fd, 6, 6) == b"secret"
        assert rig.pread(fd, 1000, 250) == b"etsecr"
        assert rig.pread(fd, 10, 256) == b""
        assert err(rig.pwrite, fd, b"x", 1) == "bad arg in system call"
        assert rig.stat("#r/nvram").length == 256


def test_who_may(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        rig.up.user = "glenda"
        rig.open("#r/rtc", OREAD)
        for name, mode in (("rtc", OWRITE), ("nvram", OREAD)):
            assert err(rig.open, f"#r/{name}", mode) == f"'#r/{name}' permission denied"
