"""Notes in the kernel: posting, delivering, returning from them, and what becomes of floating point meanwhile."""

from __future__ import annotations

import struct

import pytest

from kernel.base.dat import SG_STACK, SSEG, QLock
from kernel.base.error import ERRMAX, Eintr, Error, Exited
from kernel.base.kernel import Kernel
from kernel.base.mem import BY2PG, USTKTOP
from kernel.base.procdat import (
    FPactive,
    FPillegal,
    FPinit,
    NDebug,
    NExit,
    NUser,
    Proc,
    Proc_exitme,
    Proc_stopme,
    Proc_traceme,
    Queueing,
    Rendezvous,
    Rgrp,
    Stopped,
)
from kernel.base.text import kbytes
from kernel.files import pgrp
from kernel.memory.check import blocked
from kernel.memory.uaccess import ufetch, ustore, uword
from kernel.process.fpu import fpcheck, mathemu, mathnote
from kernel.process.notify import NCONT, NDFLT, NRSTR, NSAVE, noted, notify
from kernel.process.ureg import UREG, packureg
from kernel.sched.clock import nexttimer, runtimers
from kernel.sched.note import hostnote, postnote, procctl
from kernel.sched.qlock import eqlock, qlock, qunlock
from kernel.sched.sched import pause, ready
from kernel.sched.sleep import interrupted, sleep, tsleep, wakeup
from kernel.sched.taslock import lock, unlock
from kernel.syscalls.sysproc import sysnoted
from kernel.syscalls.syssem import sysrendezvous
from kernel.trap import VectorCSO, VectorSIMD, trap
from tests.kernel.plain import PlainKernel, PlainRegs
from tests.linking import linked

HANDLER = USTKTOP - 8 * BY2PG  # an address that is there
SP = USTKTOP - BY2PG


@pytest.fixture
def up(kernel: PlainKernel) -> Proc:
    """The current process: a stack, a handler, registers with marks."""
    p = kernel.up
    assert p is not None
    kernel.segment(p, SSEG, SG_STACK, USTKTOP - 16 * BY2PG, 16)
    p.regs = PlainRegs(ax=1, bx=2, cx=3, dx=4, si=5, di=6, bp=7, sp=SP, pc=HANDLER + 100, flags=0x202)
    p.trapno, p.ecode = 14, 6
    p.notify = HANDLER
    return p


def post(k: PlainKernel, p: Proc, text: str, flag: int = NUser) -> int:
    return postnote(k, p, 1, text, flag)


def dies(k: PlainKernel, up: Proc, what: object) -> str:
    """What the process dies of when it does something."""
    parent = k.process("parent")
    up.parent, up.parentpid = parent, parent.pid
    parent.nchild = 1
    with pytest.raises(Exited):
        what()  # type: ignore[operator]
    return parent.waitq[0].msg.partition(": ")[2]


# Delivery


def test_the_frame_of_a_note(kernel: PlainKernel, up: Proc) -> None:
    k = kernel
    r = up.regs
    assert r is not None
    before = packureg(up)
    up.ureg = 0x1234
    post(k, up, "hello")
    assert notify(k, up)
    ureg = SP - 256 - UREG.size
    assert up.ureg == ureg and up.notified and not up.note and not up.notepending
    assert ufetch(k, ureg, UREG.size) == before
    assert UREG.unpack(before)[12:16] == (14, 6, HANDLER + 100, 0x23)
    assert uword(k, ureg - 4) == 0x1234
    assert ufetch(k, ureg - 4 - ERRMAX, ERRMAX) == b"hello".ljust(ERRMAX, b"\0")
    sp = ureg - 4 - ERRMAX - 12
    assert (r.sp, r.pc) == (sp, HANDLER)
    assert struct.unpack("<3I", ufetch(k, sp, 12)) == (0, ureg, ureg - 4 - ERRMAX)


def test_a_note_of_the_systems_says_where(kernel: PlainKernel, up: Proc) -> None:
    post(kernel, up, "sys: trap: divide error", NDebug)
    notify(kernel, up)
    assert up.lastnote.msg == f"sys: trap: divide error pc=0x{HANDLER + 100:08x}"


@pytest.mark.parametrize("text", ["sys: " + "x" * 200, "sys: " + "é" * 100])
def test_a_long_note_of_the_systems_is_cut_to_make_room(kernel: PlainKernel, up: Proc, text: str) -> None:
    post(kernel, up, text, NDebug)
    notify(kernel, up)
    b = kbytes(up.lastnote.msg)
    assert len(b) <= ERRMAX - 1 and b.endswith(b" pc=0x%08x" % (HANDLER + 100))


def test_a_note_while_one_is_handled_waits(kernel: PlainKernel, up: Proc) -> None:
    k = kernel
    post(k, up, "one")
    notify(k, up)
    post(k, up, "two")
    assert not notify(k, up)
    assert [n.msg for n in up.note] == ["two"]
    noted(k, up, NCONT)
    assert not up.notified
    assert notify(k, up)
    assert up.lastnote.msg == "two"


def test_a_trap_in_a_handler_ends_it(kernel: PlainKernel, up: Proc) -> None:
    k = kernel
    post(k, up, "one")
    notify(k, up)
    post(k, up, "two")
    post(k, up, "sys: trap: x", NDebug)
    assert [n.msg for n in up.note] == ["sys: trap: x"]  # it replaces those that wait
    assert dies(k, up, lambda: notify(k, up)).startswith("sys: trap: x pc=")


def test_without_a_handler_a_note_is_the_end(kernel: PlainKernel, up: Proc) -> None:
    up.notify = 0
    post(kernel, up, "hangup")
    assert dies(kernel, up, lambda: notify(kernel, up)) == "hangup"


@pytest.mark.parametrize(("handler", "sp"), [(0x10, SP), (HANDLER, 0x200), (HANDLER, USTKTOP - 15 * BY2PG - 4096)])
def test_a_frame_that_cannot_be_made(kernel: PlainKernel, up: Proc, handler: int, sp: int) -> None:
    assert up.regs is not None
    up.notify, up.regs.sp = handler, sp
    post(kernel, up, "x")
    assert dies(kernel, up, lambda: notify(kernel, up)) == "Suicide"


# Returning


def test_all_registers_come_back(kernel: PlainKernel, up: Proc) -> None:
    k = kernel
    r = up.regs
    assert r is not None
    up.ureg = 0x77
    post(k, up, "x")
    notify(k, up)
    u = list(UREG.unpack(ufetch(k, up.ureg, UREG.size)))
    u[0:3] = [10, 11, 12]
    u[4:8] = [13, 14, 15, 16]
    u[14], u[15], u[16], u[17], u[18] = HANDLER + 8, 0, 0xFFFFFFFF, SP - 64, 0
    at = up.ureg
    ustore(k, at, UREG.pack(*u))
    noted(k, up, NCONT)
    assert (r.di, r.si, r.bp, r.bx, r.dx, r.cx, r.ax) == (10, 11, 12, 13, 14, 15, 16)
    assert (r.pc, r.sp, r.flags) == (HANDLER + 8, SP - 64, 0x202 | 0xCD5)
    assert up.ureg == 0x77
    # the user finds in the Ureg what the kernel made of it
    v = UREG.unpack(ufetch(k, at, UREG.size))
    assert (v[15], v[16], v[18]) == (3, 0x202 | 0xCD5, 3)


def test_going_on_elsewhere_and_coming_back(kernel: PlainKernel, up: Proc) -> None:
    k = kernel
    r = up.regs
    assert r is not None
    post(k, up, "x")
    notify(k, up)
    at = up.ureg
    noted(k, up, NSAVE)
    assert r.sp == at - 16 - ERRMAX and up.ureg == at and not up.notified
    assert struct.unpack("<2I", ufetch(k, r.sp, 8)) == (0, at)
    noted(k, up, NRSTR)  # needs no note
    assert r.sp == SP and up.ureg == 0


@pytest.mark.parametrize(
    ("how", "flag", "status"), [(NDFLT, NUser, "x"), (NDFLT, NExit, "x"), (NDFLT, NDebug, "x"), (99, NUser, "x")]
)
def test_leaving_it_to_the_system(kernel: PlainKernel, up: Proc, how: int, flag: int, status: str) -> None:
    post(kernel, up, "x", flag)
    notify(kernel, up)
    assert dies(kernel, up, lambda: noted(kernel, up, how)) == status


@pytest.mark.parametrize("how", [NCONT, NSAVE, NDFLT])
def test_noted_without_a_note(kernel: PlainKernel, up: Proc, how: int) -> None:
    with pytest.raises(Error, match="the front fell off"):
        sysnoted(kernel, (how, 0, 0, 0, 0))
    assert dies(kernel, up, lambda: noted(kernel, up, how)) == "Suicide"


def test_a_forged_place_of_the_registers(kernel: PlainKernel, up: Proc) -> None:
    """The original writes there without asking whether it may."""
    sysnoted(kernel, (NRSTR, 0, 0, 0, 0))
    up.ureg = 0x20
    assert dies(kernel, up, lambda: noted(kernel, up, NRSTR)) == "Suicide"


@pytest.mark.parametrize("how", [NCONT, NSAVE])
@pytest.mark.parametrize(("word", "value"), [(14, 0x10), (17, 0x10)])
def test_registers_that_lead_nowhere(kernel: PlainKernel, up: Proc, how: int, word: int, value: int) -> None:
    k = kernel
    post(k, up, "x")
    notify(k, up)
    ustore(k, up.ureg + 4 * word, struct.pack("<I", value))
    assert dies(k, up, lambda: noted(k, up, how)) == "Suicide"


def test_no_room_below_the_registers(kernel: PlainKernel, up: Proc) -> None:
    k = kernel
    post(k, up, "x")
    notify(k, up)
    base = USTKTOP - 16 * BY2PG
    ustore(k, base + 4, UREG.pack(*UREG.unpack(ufetch(k, up.ureg, UREG.size))))
    up.ureg = base + 4
    assert dies(k, up, lambda: noted(k, up, NSAVE)) == "Suicide"


# Posting


def test_five_notes_wait_at_the_most(kernel: PlainKernel, up: Proc) -> None:
    assert [post(kernel, up, str(i)) for i in range(7)] == [1, 1, 1, 1, 1, 0, 0]
    assert [n.msg for n in up.note] == list("01234")


def test_a_longer_text_ends_in_dots(kernel: PlainKernel, up: Proc) -> None:
    post(kernel, up, "x" * 200)
    assert up.note[0].msg == "x" * (ERRMAX - 5) + "..."


def test_nobody_is_told(kernel: PlainKernel, up: Proc) -> None:
    assert postnote(kernel, None, 1, "x", NUser) == 0
    up.pid = 0
    assert post(kernel, up, "x") == 0 and not up.note
    qlock(kernel, up.debug)
    assert postnote(kernel, up, 0, "x", NUser) == 0
    qunlock(kernel, up.debug)


def test_a_note_takes_a_process_out_of_a_queue() -> None:
    k = PlainKernel()
    q = QLock()
    got: list[str] = []

    def holder() -> None:
        assert k.up is not None
        qlock(k, q)
        tsleep(k, k.up.sleep, lambda: False, 100)
        qunlock(k, q)

    def waiter(name: str) -> None:
        try:
            eqlock(k, q)
        except Error as e:
            got.append(f"{name} {e}")
            return
        got.append(name)
        qunlock(k, q)

    k.spawn(holder)
    procs = [k.spawn(lambda n=n: waiter(n)) for n in "abc"]  # type: ignore[misc]

    def poster() -> None:
        assert k.up is not None
        tsleep(k, k.up.sleep, lambda: False, 20)
        assert procs[1].state == Queueing
        post(k, procs[1], "x")
        post(k, procs[2], "y")

    k.spawn(poster)
    k.run()
    assert sorted(got[:2]) == [f"b {Eintr}", f"c {Eintr}"] and got[2] == "a"


def test_a_note_takes_a_process_out_of_a_rendezvous() -> None:
    k = PlainKernel()
    group = Rgrp()
    got: list[int] = []

    def waiter() -> None:
        assert k.up is not None
        k.up.rgrp = group
        got.append(sysrendezvous(k, (8, 1, 0, 0, 0)))
        k.up.rgrp = None

    procs = [k.spawn(waiter) for _ in range(1)]

    def poster() -> None:
        assert k.up is not None
        tsleep(k, k.up.sleep, lambda: False, 20)
        assert procs[0].state == Rendezvous
        post(k, procs[0], "x")
        assert not any(group.rendhash)

    k.spawn(poster)
    k.run()
    assert got == [0xFFFFFFFF]


def test_a_note_from_outside_the_machine(kernel: PlainKernel, up: Proc) -> None:
    k = kernel
    other, stranger, kp = k.process(), k.process(), k.process()
    other.noteid = kp.noteid = up.noteid
    kp.kp = True
    qlock(k, up.debug)
    assert not hostnote(k, up.noteid, "interrupt")  # a debugger is at work
    assert not other.note
    qunlock(k, up.debug)
    assert hostnote(k, up.noteid, "interrupt")
    assert [[n.msg for n in p.note] for p in (up, other, stranger, kp)] == [["interrupt"], ["interrupt"], [], []]


# Stopping


def test_an_order_to_stop_is_taken_at_the_end_of_a_trap() -> None:
    k = PlainKernel()
    seen: list[object] = []

    def target() -> None:
        assert k.up is not None
        k.up.procctl = Proc_traceme
        procctl(k, k.up)  # no note: goes on
        assert k.up.procctl == Proc_traceme
        k.up.procctl, k.up.psstate = Proc_stopme, "Pread"
        procctl(k, k.up)
        seen.append((k.up.procctl, k.up.psstate))

    p = k.spawn(target)

    def debugger() -> None:
        assert k.up is not None
        p.pdbg = k.up
        sleep(k, k.up.sleep, lambda: p.state == Stopped)
        seen.append((p.state, p.psstate, p.pdbg))
        ready(k, p)

    k.spawn(debugger)
    k.run()
    assert seen == [(Stopped, "Stopped", None), (0, "Pread")]
    assert not blocked(k)


def test_a_killed_process_hands_its_files_over(kernel: PlainKernel, up: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    kernel.hooks.forceclosefgrp = lambda k: called.append("forceclosefgrp")
    up.procctl = Proc_exitme
    with pytest.raises(Error, match=Eintr):
        interrupted(kernel)
    up.closingfgrp = pgrp.dupfgrp(kernel, None)
    with pytest.raises(Error, match=Eintr):
        interrupted(kernel)
    assert called == ["forceclosefgrp"]
    up.closingfgrp = None


# Floating point


def test_a_handler_has_no_floating_point(kernel: PlainKernel, up: Proc) -> None:
    k = kernel
    r = up.regs
    assert isinstance(r, PlainRegs)
    r.fpenable(False)
    assert up.fpstate == FPinit
    mathemu(k, up)
    assert (up.fpstate, r.fpon) == (FPactive, True)
    post(k, up, "x")
    notify(k, up)
    assert (up.fpstate, r.fpon) == (FPactive | FPillegal, False)
    mathemu(k, up)
    assert up.note[0].msg == "sys: floating point in note handler" and up.note[0].flag == NDebug
    up.note.clear()
    noted(k, up, NCONT)
    assert (up.fpstate, r.fpon) == (FPactive, True)


def test_it_stays_off_for_who_has_not_used_it(kernel: PlainKernel, up: Proc) -> None:
    k = kernel
    assert isinstance(up.regs, PlainRegs)
    post(k, up, "x")
    notify(k, up)
    noted(k, up, NCONT)
    assert up.fpstate == FPinit and not up.regs.fpon


def test_a_pending_exception_is_taken_once(kernel: PlainKernel, up: Proc) -> None:
    k = kernel
    r = up.regs
    assert isinstance(r, PlainRegs)
    r.fpsw = 0x8084
    fpcheck(k, up)
    assert not up.note  # the FPU is not in use
    up.fpstate = FPactive
    fpcheck(k, up)
    fpcheck(k, up)
    assert [n.msg for n in up.note] == ["sys: fp: division by zero fppc=0x0 status=0x8084"]


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (0x00, "unknown exception"),
        (0x01, "invalid operation"),
        (0x02, "denormalized operand"),
        (0x04, "division by zero"),
        (0x08, "numeric overflow"),
        (0x10, "numeric underflow"),
        (0x20, "precision loss"),
        (0x3E, "denormalized operand"),
        (0x3F, "invalid operation"),
        (0x41, "stack underflow"),
        (0x241, "stack overflow"),
    ],
)
def test_texts_of_floating_point_notes(kernel: PlainKernel, up: Proc, status: int, text: str) -> None:
    mathnote(kernel, up, status, 0x1234)
    assert up.note[0].msg == f"sys: fp: {text} fppc=0x1234 status={status:#x}"


def test_a_simd_error_tells_the_flags_of_mxcsr(kernel: PlainKernel, up: Proc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PlainRegs, "mxcsr", lambda self: 0x1F04)
    up.notify = HANDLER
    trap(kernel, VectorSIMD, 0)
    assert up.lastnote.msg.startswith(f"sys: fp: division by zero fppc={HANDLER + 100:#x} status=0x4 pc=")


def test_segment_overrun_is_the_end(kernel: PlainKernel, up: Proc) -> None:
    assert dies(kernel, up, lambda: trap(kernel, VectorCSO, 0)) == "math overrun"


# Locks. A note may come while a wakeup is under way on another processor: both must hold the same two.


@pytest.mark.parametrize("wake", ["note", "wakeup"])
def test_who_wakes_a_sleeper_holds_its_lock_and_the_places(wake: str) -> None:
    k = PlainKernel()
    held: list[tuple[bool, bool]] = []

    def readied(k: Kernel, p: Proc) -> None:
        if p.r is None and p.text == "sleeper":
            held.append((p.rlock.key, p.sleep.key))
        ready(k, p)

    def sleeper() -> None:
        try:
            sleep(k, p.sleep, lambda: False)
        except Error:
            pass

    def waker() -> None:
        if wake == "note":
            postnote(k, p, 1, "x", NUser)
        else:
            wakeup(k, p.sleep)

    p = k.spawn(sleeper)
    p.text = "sleeper"
    k.run(10)
    k.spawn(waker)
    with linked({ready: readied}):
        k.run()
    assert held == [(True, True)]


def test_a_note_waits_for_who_holds_the_place() -> None:
    k = PlainKernel(nmach=2)
    order: list[str] = []

    def sleeper() -> None:
        try:
            sleep(k, p.sleep, lambda: False)
        except Error:
            order.append("noted")

    def holder() -> None:
        lock(k, p.sleep)
        pause(k)
        order.append("released")
        unlock(k, p.sleep)

    def poster() -> None:
        postnote(k, p, 1, "x", NUser)

    p = k.spawn(sleeper)
    k.run(10)
    k.spawn(holder)
    k.spawn(poster)
    k.run()
    assert order == ["released", "noted"]


def test_time_waits_for_who_holds_the_place() -> None:
    k = PlainKernel()
    p = k.spawn(lambda: tsleep(k, p.sleep, lambda: False, 100))
    k.run(50)
    when = nexttimer(k)
    p.sleep.key = True
    runtimers(k, when)
    assert (p.sleep.r, nexttimer(k)) == (p, when)
    p.sleep.key = False
    runtimers(k, when)
    assert p.sleep.r is None
