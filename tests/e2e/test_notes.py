"""Notes on the whole machine: traps, alarms, groups, floating point, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from emu.machine.config import Config
from kernel.base.event import NoteEvent, ProcEvent
from tests.e2e.harness import ROOT, machinecode, run

GUESTS = ["notes", "interrupt", "alarm", "group", "fp"]


@pytest.mark.parametrize("cpus", [1, 2, 4])
@pytest.mark.parametrize("guest", GUESTS)
def test_checks_itself(guest: str, cpus: int) -> None:
    r = run(guest, cpus=cpus)
    assert (r.outcome.exits, r.stderr) == ("", "")


@pytest.mark.parametrize("cpus", [1, 2])
def test_floating_point_in_a_note_handler_if_the_machine_lets_it(cpus: int) -> None:
    r = run("fp", "note", cpus=cpus, notefp=True)
    assert (r.outcome.exits, r.stderr) == ("", "")
    r = run("fp", "note", cpus=cpus)
    assert r.outcome.exits.startswith("fp 2: sys: floating point in note handler pc=0x")


@pytest.mark.parametrize("guest", ["notes", "alarm", "fp"])
def test_under_memory_pressure(guest: str) -> None:
    r = run(guest, memory=5 << 20, swap=8 << 20)
    assert (r.outcome.exits, r.stderr) == ("", "")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("guest", GUESTS)
def test_in_other_orders(guest: str, seed: int) -> None:
    r = run(guest, cpus=2, sched="random", seed=seed)
    assert (r.outcome.exits, r.stderr) == ("", "")


def test_a_run_repeats_itself() -> None:
    notes = [[(e.ns, e.op, e.target, e.text) for e in run("alarm", trace=True).events if isinstance(e, NoteEvent)]] * 2
    assert notes[0] == notes[1]


def test_without_an_alarm_there_is_no_process_for_them() -> None:
    r = run("forkbomb", "2", trace=True)
    assert {e.child for e in r.events if isinstance(e, ProcEvent) and e.op == "fork"} == {3, 4}


# 386 code: INT $64 with the number in AX finds its arguments from SP+4 up.


def call(nr: int, *args: int) -> bytes:
    """PUSHL each argument, and a return address; MOVL $nr, AX; INT $0x40; and the stack as it was."""
    pushes = b"".join(b"\x68" + (a & 0xFFFFFFFF).to_bytes(4, "little") for a in reversed(args))
    drop = b"\x83\xc4" + bytes([4 * len(args) + 4])
    return pushes + b"\x6a\x00\xb8" + nr.to_bytes(4, "little") + b"\xcd\x40" + drop


def test_nothing_can_be_returned_from(tmp_path: Path) -> None:
    r = machinecode(tmp_path, call(29, 0))
    assert r.outcome.exits == "code 2: Suicide"
    assert r.stderr == "code 2: call to noted() when not notified\n"


def test_restoring_what_was_never_saved(tmp_path: Path) -> None:
    """NRSTR needs no note; the original reads the registers at address zero, after it has asked."""
    r = machinecode(tmp_path, call(29, 3))
    assert r.outcome.exits == "code 2: Suicide"
    assert r.stderr == "code 2: bad ureg in noted or call to noted when not notified\n"


def test_division_by_zero_is_told(tmp_path: Path) -> None:
    r = machinecode(tmp_path, bytes.fromhex("d9eed9e8def19b") + b"\xeb\xfe")
    assert r.outcome.exits == "code 2: sys: fp: division by zero fppc=0x1024 status=0xb884 pc=0x00001026"


def test_division_by_zero_is_told_without_another_instruction(tmp_path: Path) -> None:
    r = machinecode(tmp_path, bytes.fromhex("d9eed9e8def1") + b"\xeb\xfe")
    assert r.outcome.exits.startswith("code 2: sys: fp: division by zero fppc=0x1024 status=0xb884 pc=0x00001026")


def test_the_fpu_costs_one_trap_if_it_is_used(tmp_path: Path) -> None:
    with_, without = (
        machinecode(tmp_path, bytes.fromhex(code) + call(8, 0)).outcome.stats.virtual_ns for code in ("d9e8d9e8", "")
    )
    assert 1000 <= with_ - without < 2000


# Ctrl-C


class Typist:
    """The command with a terminal's worth of signals."""

    def __init__(self, *args: str, stdin: int = subprocess.PIPE) -> None:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
        self.p = subprocess.Popen(
            [sys.executable, "-m", "emu", *args],
            stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
        )  # fmt: skip

    def line(self) -> bytes:
        assert self.p.stdout is not None
        return self.p.stdout.readline()

    def interrupt(self) -> None:
        self.p.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, bytes, bytes]:
        out, err = self.p.communicate(timeout=30)
        return self.p.returncode, out, err


@pytest.fixture
def typist() -> Callable[..., Typist]:
    return Typist


def test_interrupt_ends_a_program_without_a_handler(typist: Callable[..., Typist]) -> None:
    t = typist("run", "-m", "8M", "interrupt", "spin")
    assert t.line() == b"ready\n"
    t.interrupt()
    assert t.end() == (1, b"", b"p9emu: interrupt 2: interrupt\n")


def test_interrupt_is_a_note_to_the_whole_group(typist: Callable[..., Typist]) -> None:
    t = typist("run", "interrupt", "group")
    assert t.line() == b"ready\n"
    t.interrupt()
    status, out, err = t.end()
    assert (status, sorted(out.splitlines()), err) == (0, [b"child: interrupt", b"parent: interrupt"], b"")


def test_a_second_interrupt_ends_the_machine(typist: Callable[..., Typist]) -> None:
    t = typist("run", "interrupt", "ignore")
    assert t.line() == b"ready\n"
    t.interrupt()
    assert t.line() == b"ignored\n"
    t.interrupt()
    assert t.end() == (130, b"", b"p9emu: interrupted\n")


def test_interrupt_ends_a_read_of_the_console_and_loses_nothing(typist: Callable[..., Typist]) -> None:
    t = typist("run", "interrupt", "read")
    assert t.line() == b"ready\n"
    time.sleep(0.3)  # it waits in the host's read
    t.interrupt()
    assert t.line() == b"read: interrupted\n"
    assert t.p.stdin is not None
    t.p.stdin.write(b"typed\n")
    t.p.stdin.flush()
    assert t.line() == b"read: typed\n"
    assert t.end() == (0, b"", b"")


def test_the_second_interrupt_in_a_read(typist: Callable[..., Typist]) -> None:
    t = typist("run", "interrupt", "read")
    assert t.line() == b"ready\n"
    time.sleep(0.3)
    t.interrupt()
    assert t.line() == b"read: interrupted\n"
    time.sleep(0.3)
    t.interrupt()
    assert t.end() == (130, b"", b"p9emu: interrupted\n")


def test_signal_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    run("true")
    assert signal.getsignal(signal.SIGINT) is before
    assert Config().timeout is None
