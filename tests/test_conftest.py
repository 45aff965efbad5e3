"""What tests/conftest.py sees to."""

import signal
import subprocess
import sys
from pathlib import Path

CODE = """
import signal, sys
assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
import tests.conftest, subprocess
ask = "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
print(subprocess.run([sys.executable, "-c", ask], check=True, capture_output=True, text=True).stdout, end="")
"""


def test_what_tests_start_can_be_interrupted_in_a_background_job_too() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell leaves it, for the process that is started
    try:
        done = subprocess.run(
            [sys.executable, "-c", CODE], cwd=Path(__file__).parents[1], check=True, capture_output=True, text=True
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.stdout == "False\n"
