"""A slice of what ``make fuzz`` does."""

import subprocess
import sys

import pytest

from kernel.base.event import SyscallEvent
from tests.e2e.harness import ROOT, run


@pytest.mark.parametrize("args", ["--seed 16 --count 4", "--seed 16 --count 4 --net"])
def test_a_few_seeds(args: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *args.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("4 seeds, 0 failures")


@pytest.mark.parametrize("argv", ["2 40 4", "2 40 4 net"])
def test_it_is_left_time_to_do_something(argv: str) -> None:
    r = run("fuzz", *argv.split(), trace=True, check=False)
    calls = [e.name for e in r.events if isinstance(e, SyscallEvent) and e.pid > 3]
    assert len(calls) > 1000
    assert len(set(calls)) > 5
