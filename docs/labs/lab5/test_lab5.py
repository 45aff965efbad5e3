"""Whether the policy of answer.py has few pages read from swap, by two programs that want opposite things."""

from contextlib import closing

import answer
import pytest

from emu.machine.config import Config
from emu.machine.machine import Machine
from kernel.memory.policy import POLICIES

MB = 1 << 20


@pytest.fixture
def mine(monkeypatch):
    """The policy has a name, as p9emu's own have."""
    monkeypatch.setitem(POLICIES, "mine", answer.Mine)


def swapins(program, *args, memory):
    with closing(Machine(Config(memory=memory, swap=16 * MB, pageout="mine"))) as machine:
        outcome = machine.run(str(program), args)
    assert outcome.status == 0
    return outcome.stats.swap_ins


def judge(n, limit):
    if n > limit:
        pytest.fail(f"{n} pages came from swap, more than {limit}", pytrace=False)


def test_round_and_round(mine):
    """400 pages, from first to last, four times over."""
    judge(swapins("thrash", "400", "4", memory=4 * MB), 500)


def test_hot_and_cold(mine, p9):
    """The program of lab 4."""
    judge(swapins(p9.build("../lab4/program.c"), memory=5 * MB), 2300)
