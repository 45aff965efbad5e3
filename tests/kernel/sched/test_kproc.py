"""Kernel processes that are made when they are first needed: what they keep of who needed them."""

from __future__ import annotations

import pytest

from kernel.base.chandat import MCACHE, MREPL
from kernel.base.kernel import Kernel
from kernel.base.procdat import Dead, Proc
from kernel.memory.swap import kickpager
from kernel.sched.alarm import procalarm
from kernel.syscalls.bindmount import sysunmount
from kernel.syscalls.sysfile import syschdir
from kernel.syscalls.sysproc import sysalarm
from tests.kernel.fakes import Rig, newrig
from tests.kernel.plain import PlainKernel
from tests.kernel.server9p import Server, ended, wait

rig = pytest.fixture(newrig)


def named(k: Kernel, name: str) -> list[Proc]:
    return [p for p in k.procs.proctab if p.text == name and p.state != Dead]


def test_the_alarm_process_does_not_hold_the_directory_of_the_first_alarm(rig: Rig) -> None:
    s = Server(rig)

    @rig.run
    def _() -> None:
        s.mount("/n")
        rig.call(syschdir, "/n")
        rig.call(sysalarm, 1000)
        rig.call(sysalarm, 0)
        rig.call(syschdir, "/")
        rig.call(sysunmount, 0, "/n")
        wait(rig)
        assert s.proc is not None
        assert ended(s.proc)  # it saw the end of its channel
        (p,) = named(rig.k, "alarm")
        assert p.dot is not None and p.dot is p.slash


def test_nor_does_the_close_process(rig: Rig) -> None:
    s = Server(rig, f=b"data")

    @rig.run
    def _() -> None:
        s.mount("/n", MREPL | MCACHE)
        rig.call(syschdir, "/n")
        rig.close(rig.open("f"))
        wait(rig)
        assert all(p.dot is not None and p.dot is p.slash for p in named(rig.k, "closeproc"))
        assert named(rig.k, "closeproc")
        rig.call(syschdir, "/")
        rig.call(sysunmount, 0, "/n")
        wait(rig)
        assert s.proc is not None
        assert ended(s.proc)


def test_the_pager_keeps_it_as_in_the_original(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        rig.call(syschdir, "/dev")
        kickpager(rig.k)
        (p,) = named(rig.k, "pager")
        assert p.dot is rig.up.dot and p.dot is not p.slash


def test_all_have_one_empty_name_space(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        rig.call(sysalarm, 1000)
        kickpager(rig.k)
        (a,), (b,) = named(rig.k, "alarm"), named(rig.k, "pager")
        assert a.pgrp is not None and a.pgrp is b.pgrp is rig.k.procs.kpgrp
        assert not any(a.pgrp.mnthash)


def test_an_alarm_can_be_set_with_a_full_process_table() -> None:
    """What exists since boot does not wait for a place."""
    k = PlainKernel(nproc=2)
    came: list[int] = []

    def body() -> None:
        procalarm(k, 50)
        came.append(k.m.cpu.now() // 1_000_000)

    k.spawn(body)
    p = k.process()
    assert len(k.procs.proctab) == 2 and p in k.procs.proctab
    k.run(10_000)
    assert came == [0]
