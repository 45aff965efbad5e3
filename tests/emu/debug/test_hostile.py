"""A slice of what ``make fuzz`` sends to p9emu gdb for ten minutes."""

import pytest

from tests.emu.debug.hostile import session

pytestmark = pytest.mark.guest


@pytest.mark.parametrize("seed", range(0, 30, 6))
def test_packets_that_no_gdb_would_send(seed: int) -> None:
    problem, answers = session(seed, packets=200)
    assert not problem
    assert answers
