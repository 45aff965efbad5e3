"""What the machine is: kernel/devices/devarch.py."""

from __future__ import annotations

import pytest

from kernel.base.chandat import ORDWR, OWRITE
from kernel.devices.devarch import Archdev
from tests.kernel.fakes import Rig, err, newrig

rig = pytest.fixture(newrig)


@pytest.fixture(autouse=True)
def device(rig: Rig) -> None:
    """Put it into the rig."""
    rig.k.devtab.append(Archdev(rig.k))


def test_what_is_told(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        assert rig.slurp("#P/cputype") == b"P6 1000\n"
        assert rig.slurp("#P/ioalloc") == b""
        assert rig.slurp("#P/archctl") == b"cpu P6 1000\npge off\ncoherence mfence\ncmpswap cmpswap486\ni8253set on\n"
        assert rig.ls("#P") == ["ioalloc", "cputype", "archctl"]
        assert err(rig.open, "#P/cputype", OWRITE) == "'#P/cputype' permission denied"


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("", "empty control message"),
        ("frob", 'unknown control message "frob"'),
        ("pge", 'wrong #args in control message "pge"'),
        ("pge on", "processor does not support pge"),
        ("coherence frob", 'invalid coherence ctl "coherence frob"'),
        ("coherence mb586", ""),
        ("coherence nop", ""),
        ("i8253set maybe", 'invalid i2853set ctl "i8253set maybe"'),
        ("i8253set off", ""),
        ("cache 0 0x1000 wc", "mtrrs not supported"),
        ("x" * 70_000, "bad arg in system call"),
    ],
)
def test_messages(rig: Rig, message: str, error: str) -> None:
    @rig.run
    def _() -> None:
        fd = rig.open("#P/archctl", ORDWR)
        if error:
            assert err(rig.pwrite, fd, message.encode()) == error
        else:
            rig.pwrite(fd, message.encode())
            assert message in rig.slurp("#P/archctl").decode()


def test_several_processors_need_to_be_coherent(rig: Rig) -> None:
    rig.k.machs *= 2

    @rig.run
    def _() -> None:
        fd = rig.open("#P/archctl", ORDWR)
        assert err(rig.pwrite, fd, b"coherence nop") == "cannot disable coherence on a multiprocessor"
