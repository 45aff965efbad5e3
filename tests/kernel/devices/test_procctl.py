"""Control of a process by its file: kernel/devices/procctl.py."""

from __future__ import annotations

import struct

import pytest

from kernel.base.chandat import OREAD, Aopen
from kernel.base.dat import SG_DATA, TSEG
from kernel.base.error import Error
from kernel.base.mem import BY2PG, USTKTOP
from kernel.base.procdat import (
    NUser,
    Proc,
    Proc_exitme,
    Proc_tracesyscall,
    Stopped,
    Wakeme,
)
from kernel.files.chan import namec
from kernel.memory.segment import newseg
from kernel.memory.uaccess import ustore
from kernel.process.proc import pexit
from kernel.sched.newproc import procpriority
from kernel.sched.note import postnote
from kernel.sched.sched import ready
from kernel.trap import syscall
from tests.kernel.fakes import BUF, UBASE
from tests.kernel.procrig import CODE, ProcRig, newprocrig

rig = pytest.fixture(newprocrig)


def refused(rig: ProcRig, p: Proc, request: str, text: str) -> None:
    with pytest.raises(Error) as e:
        rig.ctl(p, request)
    assert str(e.value) == text


def test_stop_and_start(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        done: list[str] = []

        def debugger() -> None:
            rig.ctl(p, "stop")
            done.append(p.psstate or "")

        d = rig.spawn(debugger, rig.up)
        rig.others()
        assert d.psstate == "Stopwait" and not done  # it stops when it is done with its call
        postnote(rig.k, p, 1, None, NUser)
        rig.others()
        assert done == ["Stopped"] and p.state == Stopped and p.pdbg is None
        rig.ctl(p, "stop")
        rig.ctl(p, "waitstop")
        rig.ctl(p, "start")
        rig.others()
        assert p.state == Wakeme and p.psstate is None
        for request in ("start", "startstop", "startsyscall"):
            refused(rig, p, request, "bad process or channel control request")


def test_one_debugger_at_a_time(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        p.procctl = 0
        failed: list[str] = []

        def first() -> None:
            try:
                rig.ctl(p, "waitstop")
            except Error as e:
                failed.append(str(e))

        d = rig.spawn(first, rig.up)
        rig.others()
        assert (d.psstate, p.pdbg) == ("Stopwait", d)
        for request in ("stop", "waitstop"):
            refused(rig, p, request, "device or object already in use")
        postnote(rig.k, d, 1, "enough", NUser)
        rig.others()
        assert (failed, p.pdbg, p.debug.locked) == (["interrupted"], None, False)
        rig.spawn(first, rig.up)
        rig.others()
        rig.ctl(p, "kill")
        rig.others()
        assert failed == ["interrupted", "process exited"]


def test_startstop_stops_for_a_note_alone(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        k = rig.k
        p = rig.target()
        rig.stop(p)
        stopped: list[int] = []

        def debugger() -> None:
            rig.ctl(p, "startstop")
            stopped.append(len(p.note))

        rig.spawn(debugger, rig.up)
        rig.others()
        postnote(k, p, 1, None, NUser)  # an interrupted call is no note
        rig.others()
        assert not stopped and p.state == Wakeme
        postnote(k, p, 1, "wait", NUser)
        rig.others()
        assert stopped == [1] and p.state == Stopped
        assert rig.slurp(f"/proc/{p.pid}/note") == b"wait\0"
        assert not p.notepending
        assert rig.slurp(f"/proc/{p.pid}/note") == b""
        postnote(k, p, 1, "a long one", NUser)
        fd = rig.open(f"/proc/{p.pid}/note")
        assert rig.pread(fd, 5) == b"a lo\0"
        with pytest.raises(Error, match="read or write too small"):
            rig.dev.read(namec(k, f"/proc/{p.pid}/note", Aopen, OREAD), 0, 0)


def test_a_call_is_told_twice(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        k = rig.k
        p = rig.target()
        ustore(k, UBASE, struct.pack("<6I", 0, 3, 0, 100, 0xFFFFFFFF, 0xFFFFFFFF))

        def traced() -> None:
            up = rig.up
            assert up.regs is not None
            ustore(k, UBASE, struct.pack("<6I", 0, 3, BUF, 100, 0xFFFFFFFF, 0xFFFFFFFF))
            up.regs.ax, up.regs.sp, up.regs.pc = 50, UBASE, 0x2000
            up.procctl = Proc_tracesyscall
            up.seg[9] = newseg(k, 3, USTKTOP - BY2PG, 1)  # for the Tos
            syscall(k)

        p = rig.spawn(traced, rig.up)
        p.text = "prog"
        rig.others()
        assert p.state == Stopped
        assert rig.slurp(f"/proc/{p.pid}/syscall").decode() == f"{p.pid} prog Pread 2000 3 {BUF:#x} 100 -1"
        ready(k, p)  # as "start": it is not traced any more
        p.procctl = Proc_tracesyscall
        rig.others()
        assert p.state == Stopped
        text = rig.slurp(f"/proc/{p.pid}/syscall").decode()
        # -1 counts as data, so the error is not shown: the original's slip
        assert text.startswith(f' {BUF:#x}/"{"." * 64}" 100 -1 = -1 "" 1402963200')
        rig.ctl(p, "start")
        rig.others()


def test_kill(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        rig.ctl(p, "kill")
        assert p.procctl == Proc_exitme and [n.msg for n in p.note] == ["sys: killed"]
        rig.others()
        assert p.pid == 0
        p = rig.target()
        rig.stop(p)
        rig.ctl(p, "kill")
        rig.others()
        assert p.pid == 0
        p = rig.spawn(lambda: pexit(rig.k, "broken", False), rig.up)
        rig.others()
        assert p.pid != 0 and p in rig.k.procs.broken
        rig.ctl(p, "kill")
        rig.others()
        assert p.pid == 0 and not rig.k.procs.broken
        p = rig.target()
        p.kp = True
        refused(rig, p, "kill", "permission denied")
        p.kp = False


def test_descriptors_are_closed(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        f = p.fgrp
        assert f is not None
        rig.ctl(p, "close 1")
        assert [c is not None for c in f.fd[:3]] == [True, False, True]
        rig.ctl(p, "close 17")
        refused(rig, p, "close -1", "fd out of range or not open")
        rig.ctl(p, "closefiles")
        assert not any(f.fd) and f.ref == 1
        p.fgrp = None
        refused(rig, p, "closefiles", "process exited")
        p.fgrp = f


def test_priorities_and_processors(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        k = rig.k
        p = rig.target()
        rig.ctl(p, "pri 5")
        assert (p.basepri, p.priority, p.fixedpri) == (5, 5, False)
        rig.ctl(p, "fixedpri 99")
        assert (p.basepri, p.fixedpri) == (19, True)
        rig.ctl(p, "pri -4")
        assert p.basepri == 0
        rig.up.user = "glenda"
        p.user = "glenda"
        rig.ctl(p, "pri 10")
        for request in ("pri 11", "fixedpri 12"):
            refused(rig, p, request, "permission denied")
        rig.ctl(p, "wired -1")
        assert p.wired is k.machs[0]
        rig.ctl(p, "wired 7")
        assert p.mp is k.machs[0]
        # on a run queue the queue is kept
        q = rig.spawn(lambda: None, rig.up)
        pri = q.priority
        procpriority(k, q, 3, False)
        assert (q.basepri, q.priority) == (3, pri)
        rig.others()


def test_flags(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        p = rig.target()
        for request, flag, value in (
            ("hang", "hang", True),
            ("nohang\n", "hang", False),
            ("'noswap'", "noswap", True),
            ("trace", "trace", True),
            ("trace", "trace", False),
            ("trace 2", "trace", True),
            ("trace 0", "trace", False),
            ("interrupt", "notepending", 1),
            ("nointerrupt", "notepending", 0),
        ):
            rig.ctl(p, request)
            assert getattr(p, flag) == value
        refused(rig, p, "trace 1 2", "args")
        postnote(rig.k, p, 1, "x", NUser)
        refused(rig, p, "nointerrupt", "notes pending")
        p.note.clear()
        p.notepending = 0
        rig.others()


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ("", "empty control message"),
        (" \n", "empty control message"),
        ("jump", 'unknown control message "jump"'),
        ("jump 'very high'", "unknown control message \"jump 'very high'\""),
        ("kill me", 'wrong #args in control message "kill me"'),
        ("pri", 'wrong #args in control message "pri"'),
        ("period 10ms", 'unknown control message "period 10ms"'),
        ("admit", 'unknown control message "admit"'),
        ("x" * 200, 'unknown control message "' + "x" * 92 + '"'),
    ],
)
def test_bad_requests(rig: ProcRig, request_: str, text: str) -> None:
    @rig.run
    def _() -> None:
        refused(rig, rig.target(), request_, text)


def test_profile(rig: ProcRig) -> None:
    @rig.run
    def _() -> None:
        k = rig.k
        p = rig.target()
        refused(rig, p, "profile", "bad process or channel control request")
        s = rig.text(p, b"code")
        fd = rig.open(f"/proc/{p.pid}/profile")
        with pytest.raises(Error, match="profile is off"):
            rig.pread(fd, 10)
        rig.ctl(p, "profile")
        up, k.up = k.up, p
        from kernel.memory.segment import segclock

        segclock(k, CODE + 17)
        segclock(k, 0x9999999)
        k.up = up
        counters = struct.unpack("<512I", rig.pread(fd, 4096))
        assert (counters[0], counters[2], sum(counters)) == (20, 10, 30)
        assert rig.pread(fd, 100, 2048) == b""
        # counters take a word for eight bytes: more than the kernel's own memory is refused
        s.top = s.base + (1 << 30)
        refused(rig, p, "profile", "kernel allocate failed")
        assert s.profile is None
        s.top = s.base + BY2PG
        p.seg[TSEG] = newseg(k, SG_DATA, CODE, 1)
        refused(rig, p, "profile", "bad process or channel control request")
        p.seg[TSEG] = s
