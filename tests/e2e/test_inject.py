"""One failure at each place where it can happen: a slice of what ``make soak`` does."""

import pytest

from kernel.inject import KINDS
from tests.soak import ANSWERS, INJECTED, attempt, failures, outcome


@pytest.mark.parametrize(("argv", "cpus"), [(argv, 1) for argv in INJECTED] + [("cow 2", 2), ("thrash 140 1", 2)])
def test_the_nth_operation_fails(argv: str, cpus: int) -> None:
    """The original's answer, and all else in order."""
    most = 4 if INJECTED[argv] else 16
    assert [line for job in failures(argv, cpus, most=most) if (line := attempt(job))] == []


def test_every_kind_happens_and_is_told() -> None:
    told = {kind: 0 for kind in KINDS}
    for argv in INJECTED:
        for job in failures(argv, 1, most=1):
            ended, counts = outcome(argv, job.config)
            (kind,) = counts
            answer = ANSWERS[kind]
            assert counts[kind] >= 1
            told[kind] += answer is not None and answer in ended
    assert all(told[kind] for kind in KINDS if ANSWERS[kind] is not None), told
