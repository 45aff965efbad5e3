"""In which order workers take the tests: long ones first, so that at the end none is waited for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

# What takes seconds, the longest first: names of tests, or their beginnings.
LONG: Final = (
    "tests/go/test_go.py::test_packages_of_the_standard_library",
    "tests/e2e/test_command.py::test_usertests",
    "tests/test_docs.py::test_commands_do_what_is_shown[docs/performance.md",
    "tests/quality/test_mutants.py::test_nothing_is_wrong_with_the_kernel[workload]",
    "tests/guest/test_build.py::test_rebuild_elsewhere_is_byte_for_byte_the_same",
    "tests/quality/test_mutants.py::test_mutant_is_caught[page",
    "tests/kernel/memory/test_properties.py",
    "tests/e2e/test_plain.py::test_nested_and_plain_paging_give_the_same_trace[usertests]",
    "tests/emu/machine/test_counter.py::test_a_library_that_does_not_find_its_way_back_is_refused",
)
# The first of those fills Go's cache: what would build the same meanwhile comes at the end.
LAST: Final = (
    "tests/go/",
    "tests/emu/bench/test_gotests.py",
    "tests/test_docs.py::test_commands_do_what_is_shown[docs/go.md",
)


def shares(n: int, workers: int) -> list[int]:
    """How many of n tests, in a row, pytest-xdist gives to each worker at first, with ``--dist worksteal``."""
    sizes = []
    for left in range(workers, 0, -1):
        sizes.append(n // left)
        n -= sizes[-1]
    return sizes


def arranged(names: Sequence[str], workers: int) -> list[int]:
    """Which test comes at each place: every worker's share begins with long ones, which they are dealt by turns."""

    def rank(i: int) -> int:
        return next((r for r, name in enumerate(LONG) if names[i].startswith(name)), len(LONG))

    long = sorted((i for i in range(len(names)) if rank(i) < len(LONG)), key=rank)
    others = [i for i in range(len(names)) if rank(i) == len(LONG)]
    rest = iter(sorted(others, key=lambda i: names[i].startswith(LAST)))
    order: list[int] = []
    for worker, size in enumerate(shares(len(names), workers)):
        share = long[worker::workers]
        order += share
        order += [i for _, i in zip(range(size - len(share)), rest, strict=False)]
    return order + list(rest)
