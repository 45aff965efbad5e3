"""Whether program.c still does what it did, with no more than eight copies."""

import pytest

LIMIT = 8


@pytest.fixture
def ran(p9):
    return p9.run(p9.build("program.c"), events="fault,proc")


def test_the_output_is_what_it_was(ran):
    assert ran.status == 0
    sums = [sum(i * 1000 + j for i in range(64) for j in range(me, 1020, 4)) for me in range(4)]
    assert ran.text == "".join(f"worker {me}: {total}\n" for me, total in enumerate(sums))


def test_there_are_four_workers(ran):
    assert [ev.kind == "proc" and ev.op == "fork" for ev in ran.events].count(True) == 4


def test_few_pages_are_copied(ran):
    assert ran.faults.count(cls="cow-copy", segment=("data", "bss")) <= LIMIT
