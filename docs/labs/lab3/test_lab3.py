"""Whether answer.py finds the frames that are lost, and tells where they are."""

from contextlib import suppress

import answer
import pytest
from leaks import LEAKS, leak

from emu import Machine, MachineError

PROGRAM = ("cow", ["5"])


def ended(number):
    """A machine with leak ``number``, whose program has ended; p9emu's own check complains of what it finds."""
    machine = Machine()
    with leak(number), suppress(MachineError):
        machine.run(*PROGRAM)
    return machine


def missing(machine):
    """How many frames are neither free nor in a cache."""
    cached = sum(len(image.frames) for image in machine.images())
    memory = machine.memory()
    return memory.pages - memory.free - cached - sum(f.use == "mmu" for f in machine.frames())


def test_nothing_is_lost_by_a_kernel_without_a_leak():
    with ended(0) as machine:
        assert answer.lost(machine) == set()


@pytest.mark.parametrize("number", LEAKS)
def test_lost_frames_are_found(number):
    with ended(number) as machine:
        found = answer.lost(machine)
        if len(found) != missing(machine):
            pytest.fail(f"leak {number}: {len(found)} frames found, not as many as are missing", pytrace=False)


@pytest.mark.parametrize("number", LEAKS)
def test_the_function_is_found(number):
    if answer.WHERE[number] != LEAKS[number][0].__name__:
        pytest.fail(f"leak {number}: it is not {answer.WHERE[number] or 'nobody'}", pytrace=False)
