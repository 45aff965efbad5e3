"""One failure at each place where it can happen: a slice of what ``make soak`` does."""

import gc
import weakref

import pytest

from emu.machine.config import Config, MachineError
from emu.machine.machine import Machine
from kernel.base.inject import KINDS
from tests.e2e.harness import Console
from tests.soak import ANSWERS, INJECTED, attempt, failures, outcome


@pytest.mark.parametrize(("argv", "cpus"), [(argv, 1) for argv in INJECTED] + [("cow 2", 2), ("thrash 140 1", 2)])
def test_the_nth_operation_fails(argv: str, cpus: int) -> None:
    """The original's answer, and all else in order."""
    most = 4 if INJECTED[argv] else 16
    assert [line for job in failures(argv, cpus, most=most) if (line := attempt(job))] == []


def test_every_kind_happens_and_is_told() -> None:
    told = dict.fromkeys(KINDS, 0)
    for argv in INJECTED:
        for job in failures(argv, 1, most=1):
            ended, counts = outcome(argv, job.config)
            (kind,) = counts
            answer = ANSWERS[kind]
            assert counts[kind] >= 1
            told[kind] += answer is not None and answer in ended
    assert all(told[kind] for kind in KINDS if ANSWERS[kind] is not None), told


def test_a_machine_in_panic_is_forgotten_when_closed() -> None:
    """With processes in the midst of kernel work: their stacks would keep it."""
    machine = Machine(Config(memory=2 << 20, swap=8 << 20, inject=(("swapwrite", 1, False),)))
    machine.kernel.console = Console()
    with pytest.raises(MachineError, match="I/O error"):
        machine.run("thrash", ["140", "1"])
    ref = weakref.ref(machine)
    machine.close()
    del machine
    gc.collect()
    assert ref() is None
