"""What concerns several devices: notes for a group, limits that keep a hostile guest from the host's memory."""

from __future__ import annotations

import pytest

from kernel.base.chandat import OTRUNC, OWRITE
from kernel.base.error import Error
from kernel.devices.devenv import ksetenv
from kernel.sched.newproc import everyproc
from kernel.sched.note import pgrpnote
from kernel.sched.sched import yield_
from kernel.sched.sleep import sleep
from tests.kernel.fakes import Rig, newrig

rig = pytest.fixture(newrig)


def test_notes_for_a_group(rig: Rig) -> None:
    got = []

    @rig.run
    def _() -> None:
        def sleeper() -> None:
            up = rig.up
            with pytest.raises(Error) as e:
                sleep(rig.k, up.sleep, lambda: False)
            got.append(str(e.value))

        for group in (50, 60):
            p = rig.spawn(sleeper, rig.up)
            p.noteid = group
        yield_(rig.k)
        for p in everyproc(rig.k):
            p.kp = False
        pgrpnote(rig.k, 50, "interrupt")
        with pytest.raises(Error, match="read or write too large"):
            pgrpnote(rig.k, 50, "x" * 127)

    assert got == ["interrupted"]


def test_memory_held_for_processes_is_limited(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernel.devices.devroot.MAXNODES", 1)
    mainmem = rig.k.mainmem

    def left(n: int) -> None:
        mainmem.maxsize = mainmem.cursize + n

    @rig.run
    def _() -> None:
        ksetenv(rig.k, "a", "12345")
        ksetenv(rig.k, "b", "12345")
        fd = rig.open("/env/a", OWRITE)
        before = mainmem.cursize
        left(-1)  # not even a channel
        with pytest.raises(Error, match="kernel allocate failed"):
            rig.create("/env/c", OWRITE)
        left(1001)  # a channel, no variable
        with pytest.raises(Error, match="kernel allocate failed"):
            rig.create("/env/c", OWRITE)
        assert mainmem.cursize == before
        left(0)
        with pytest.raises(Error, match="kernel allocate failed"):
            rig.pwrite(fd, b"x", 5)
        assert mainmem.cursize == before
        left(1000)
        rig.pwrite(fd, b"x", 5)
        assert mainmem.cursize == before + 1
        rig.close(rig.open("/env/a", OWRITE | OTRUNC))
        assert mainmem.cursize == before - 5
        rig.remove("/env/b")
        assert mainmem.cursize < before - 300
        left(10000)
        before = mainmem.cursize
        a, b = rig.pipe()
        left(1100)
        rig.pwrite(a, b"x" * 800)
        with pytest.raises(Error, match="kernel allocate failed"):
            rig.pwrite(a, b"x" * 200)
        rig.up.note.clear()
        rig.up.notepending = 0
        assert len(rig.pread(b, 300)) == 300
        with pytest.raises(Error, match="kernel allocate failed"):
            rig.pipe()
        rig.close(b)
        rig.close(a)
        assert mainmem.cursize == before
        rig.pipe()
        left(10000)
        rig.close(rig.create("/tmp/a", OWRITE))
        with pytest.raises(Error, match="file system full"):
            rig.create("/tmp/b", OWRITE)
        rig.remove("/tmp/a")
        rig.close(rig.create("/tmp/b", OWRITE))
