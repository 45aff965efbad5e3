"""Descriptors as files: kernel/devices/devdup.py."""

from __future__ import annotations

import pytest

from kernel.base.chandat import OCEXEC, ORDWR, OREAD, OWRITE, Chan
from kernel.base.error import Error
from kernel.devices.devcons import conschan
from kernel.files.channel import cclose
from tests.kernel.fakes import Rig, newrig

rig = pytest.fixture(newrig)


def test_descriptors_by_name(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        assert rig.ls("/fd") == ["0", "0ctl", "1", "1ctl", "2", "2ctl", "3", "3ctl"]
        assert rig.stat("/fd/0").mode == 0o400
        assert rig.stat("/fd/1").mode == 0o200
        f = rig.up.fgrp
        assert f is not None
        fd = rig.open("/fd/1", OWRITE)
        assert f.fd[fd] is f.fd[1]
        with pytest.raises(Error, match="inappropriate use of fd"):
            rig.open("/fd/1", OREAD)
        with pytest.raises(Error, match="file does not exist"):
            rig.open("/fd/99")
        with pytest.raises(Error, match="file is a directory"):
            rig.open("/fd", OWRITE)
        assert rig.slurp("/fd/0ctl") == b"  0 r  c    0 (0000000000000002 0 00)     0        0 #c/cons\n"
        with pytest.raises(Error, match="permission denied"):
            rig.pwrite(rig.open("/fd/0ctl", ORDWR), b"x")


def test_close_on_exec_marks_the_channel(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        f = rig.up.fgrp
        assert f is not None
        a = rig.open("/dev/null", OREAD | OCEXEC)
        b = rig.open("/dev/null", OREAD)
        ca, cb = f.fd[a], f.fd[b]
        assert ca is not None
        assert cb is not None
        assert ca.flag & Chan.CCEXEC
        assert not cb.flag & Chan.CCEXEC
        rig.open(f"/fd/{b}", OREAD | OCEXEC)
        assert cb.flag & Chan.CCEXEC


def test_conschan_is_bound_to_its_stream(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        c = conschan(rig.k, 2)
        rig.k.devtab[c.type].write(c, b"x", 0)
        cclose(rig.k, c)

    assert rig.console.text(2) == b"x"
