"""A slice of what ``make fuzz`` does."""

import subprocess
import sys

from tests.e2e.harness import ROOT


def test_a_few_seeds() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--seed", "16", "--count", "4"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("4 seeds, 0 failures")
