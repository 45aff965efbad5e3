"""Close processes: kernel/files/channel.py, and kernel/files/pgrp.py where they help it."""

from __future__ import annotations

import pytest

from kernel.base.chandat import MCACHE, MREPL, ORCLOSE, QTEXCL
from kernel.base.mntdat import Fcall
from kernel.base.procdat import Dead, NUser, Proc_exitme
from kernel.files.fcall import Rclunk, Rflush, Tclunk, Tflush
from kernel.files.pgrp import closefgrp, forceclosefgrp
from kernel.sched.note import postnote
from tests.kernel.fakes import Rig, newrig
from tests.kernel.server9p import Node, Server, answer, asleep, client, held, wait

rig = pytest.fixture(newrig)


def test_a_cached_file_is_closed_by_another_process(rig: Rig) -> None:
    s = Server(rig, f=b"data")

    @rig.run
    def _() -> None:
        s.mount("/n", MREPL | MCACHE)
        clunks = held(s, Tclunk)
        cq = rig.k.files.clunkq
        for i in range(1, 4):
            rig.close(rig.open("/n/f"))  # does not wait
            wait(rig)
            assert (len(clunks), cq.nqueued, cq.nclosed) == (i, i, i)
        closers = [p for p in rig.k.procs.proctab if p.text == "closeproc" and p.state != Dead]
        assert len(closers) == 4  # three are stuck, one is there for the next
        answer(rig, s, *(Fcall(Rclunk, f.tag) for f in clunks))
        wait(rig)
        assert len([p for p in closers if p.state != Dead]) == 2


def test_some_closes_are_waited_for(rig: Rig) -> None:
    s = Server(rig, f=b"data")
    s.add(s.root, Node(s, "excl", QTEXCL << 24 | 0o666, b"x"))

    @rig.run
    def _() -> None:
        cq = rig.k.files.clunkq
        s.mount("/n", MREPL | MCACHE)
        rig.close(rig.open("/n/excl"))
        assert s.log[-1].type == Tclunk
        rig.close(rig.open("/n/f", ORCLOSE))
        assert s.log[-1].type == Tclunk
        assert s.log[-2].mode == ORCLOSE
        cq.nqueued += 64
        rig.close(rig.open("/n/f"))
        assert s.log[-1].type == Tclunk
        assert cq.chans == []


def test_a_process_that_waits_for_itself_can_be_freed(rig: Rig) -> None:
    k = rig.k
    s = Server(rig, f=b"data")

    @rig.run
    def _() -> None:
        s.mount("/n")
        waiting, flushes = held(s, Tclunk), held(s, Tflush)
        ends: list[object] = []

        def selfish() -> None:
            rig.open("/n/f")  # to be closed first
            a, b = rig.pipe()
            rig.close(a)
            assert rig.up.fgrp is not None
            f, rig.up.fgrp = rig.up.fgrp, None
            closefgrp(k, f)
            ends.append(f.fd[b])

        p = client(rig, selfish, ends)
        asleep(rig, p)
        wait(rig)
        assert (len(waiting), p.closingfgrp is not None) == (1, True)
        p.procctl = Proc_exitme
        postnote(k, p, 1, None, NUser)
        wait(rig)
        fgrp = p.closingfgrp
        assert fgrp is not None
        assert all(c is None for c in fgrp.fd)
        p.procctl = 0
        answer(rig, s, Fcall(Rclunk, waiting[0].tag), Fcall(Rflush, flushes[-1].tag))
        wait(rig, p)
        assert p.closingfgrp is None


def test_an_unneeded_force_is_told(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        forceclosefgrp(rig.k)
        assert rig.k.files.kmesg == b"bad forceclosefgrp call"[: len(rig.k.files.kmesg)]
