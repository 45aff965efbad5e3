"""Every mutant of the kernel is caught, and the kernel itself is not."""

import subprocess
import sys

import pytest

from tests.quality.hunt import CATCHERS, CAUGHT
from tests.quality.mutants import MUTANTS, ROOT


def hunt(*args: str) -> subprocess.CompletedProcess[str]:
    """Run a catcher in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "tests.quality.hunt", *args], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("catcher", CATCHERS)
def test_nothing_is_wrong_with_the_kernel(catcher: str) -> None:
    r = hunt(catcher)
    assert r.returncode == 0, r.stdout + r.stderr


@pytest.mark.parametrize("name", [m.name for m in MUTANTS])
def test_mutant_is_caught(name: str) -> None:
    mutant = next(m for m in MUTANTS if m.name == name)
    mutant.source()  # the change fits the function as it is now
    assert any(hunt(catcher, name).returncode == CAUGHT for catcher in mutant.caught)


def test_there_are_enough() -> None:
    assert len(MUTANTS) >= 15
