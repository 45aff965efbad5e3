"""The machine's loop and the scheduler together: nothing waits for ever, and nothing is busy waiting."""

from __future__ import annotations

import struct
from contextlib import closing
from pathlib import Path

import pytest

from emu.machine.config import Config
from emu.machine.machine import Machine
from kernel.base.event import Event
from kernel.base.kernel import Kernel
from kernel.sched.dispatch import dispatch
from tests.e2e.harness import Console, machinecode
from tests.e2e.test_hostile import EXITS0


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_a_process_wired_to_a_processor_that_is_ahead_runs(cpus: int, elsewhere: bool) -> None:
    def sink(e: Event) -> None:
        up = machine.kernel.up
        if up is not None and up.pid > 2:
            first, last = machine.kernel.machs[0], machine.kernel.machs[-1]
            up.wired, up.mp = last, first if elsewhere else last  # it may have run elsewhere, being readied there
            for m in (first, last):
                if m.proc is None:
                    m.cpu.spend(20_000_000)

    with closing(Machine(Config(cpus=cpus, timeout=20), sink)) as machine:
        machine.kernel.console = Console()
        assert machine.run("usertests", ["time_cycles"]).exits == ""


@pytest.mark.parametrize("cpus", [1, 4])
def test_time_jumps_when_all_sleep(cpus: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = []

    def counted(k: Kernel, *args: object) -> object:
        rounds.append(args)
        return dispatch(k, *args)  # type: ignore[arg-type]

    monkeypatch.setattr("emu.machine.machine.dispatch", counted)
    ms = 3_600_000
    code = b"\x68" + struct.pack("<I", ms) + b"\x6a\x00\xb8" + struct.pack("<I", 17) + b"\xcd\x40"
    r = machinecode(tmp_path, code + EXITS0, cpus=cpus)
    assert r.outcome.status == 0
    assert r.outcome.stats.virtual_ns >= ms * 1_000_000
    assert len(rounds) < 50
