"""One failure at each place where it can happen: the original's answer, and everything else in order."""

from contextlib import closing

import pytest

from emu.machine import Config, LoadError, Machine, MachineError, Outcome
from tests.e2e.harness import Console

M = 1 << 20
GUESTS = {
    "cow 4": {},
    "exec echo hi": {},
    "swapfork 700": {"memory": 4 * M, "swap": 16 * M},
    "thrash 600 1": {"memory": 4 * M, "swap": 16 * M},
}  # fmt: skip


def inject(argv: str, kind: str, n: int) -> tuple[Outcome | str, int]:
    """The outcome with the n-th operation of a kind failing (a panic's text, if it comes to that), and how many
    such operations there were."""
    program, *args = argv.split()
    config = Config(inject=((kind, n, False),), timeout=60, **GUESTS[argv])  # type: ignore[arg-type]
    with closing(Machine(config)) as machine:
        k = machine.kernel
        k.console = Console()
        try:
            outcome: Outcome | str = machine.run(program, args)  # ends with check()
        except MachineError as e:
            outcome = str(e)
        assert k.inject is not None
        return outcome, k.inject.count[kind]


def positions(argv: str, kind: str, most: int) -> list[int]:
    """The places to fail at: all, or some of them evenly if there are very many."""
    _, total = inject(argv, kind, 10**9)
    few = min(total, most)
    return sorted({1 + i * (total - 1) // max(1, few - 1) for i in range(few)})


@pytest.mark.parametrize("argv", GUESTS)
@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("newpage", None),
        ("malloc", "kernel allocate failed"),
        ("textread", "i/o error in demand load"),
        ("swapread", "i/o error in demand load"),
    ],
)
def test_the_nth_operation_fails(argv: str, kind: str, answer: str | None) -> None:
    for n in positions(argv, kind, 12):
        try:
            outcome, _ = inject(argv, kind, n)
        except LoadError as e:  # the program itself could not be loaded
            outcome = str(e)
        if isinstance(outcome, str):
            assert answer is not None
            assert answer in outcome
            continue
        assert isinstance(outcome, Outcome)
        if answer is None:
            assert outcome.exits == ""
        elif outcome.exits:
            assert outcome.status == 1


@pytest.mark.parametrize("argv", ["swapfork 700", "thrash 600 1"])
def test_a_failed_write_to_swap_is_the_originals_panic(argv: str) -> None:
    for n in positions(argv, "swapwrite", 3):
        assert inject(argv, "swapwrite", n)[0] == "panic: executeio: page outp I/O error"
