"""Whether MEMORY is enough, and no more than needed."""

import answer
import pytest

SWAP = "16M"
ENOUGH = 100  # faults of class swap-in
STEP = 64 << 10


def swapins(p9, memory):
    r = p9.run(p9.build("program.c"), memory=memory, swap=SWAP, check=False, events="fault")
    assert r.status == 0
    return r.faults.count(cls="swap-in")


def number(size):
    return int(size[:-1]) << {"K": 10, "M": 20, "G": 30}[size[-1].upper()]


def test_it_is_enough(p9):
    n = swapins(p9, answer.MEMORY)
    if n > ENOUGH:
        pytest.fail(f"{n} faults are swap-in, more than {ENOUGH}", pytrace=False)


def test_less_would_not_do(p9):
    if swapins(p9, number(answer.MEMORY) - STEP) <= ENOUGH:
        pytest.fail("it could do with less", pytrace=False)
