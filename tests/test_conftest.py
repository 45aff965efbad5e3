"""What tests/conftest.py sees to."""

import signal
import subprocess
import sys
from pathlib import Path

CODE = """
import signal, sys
keys = signal.SIGINT, signal.SIGQUIT
assert all(signal.getsignal(key) is signal.SIG_IGN for key in keys)
import tests.conftest, subprocess
ask = "import signal; print(*(signal.getsignal(n) is signal.SIG_IGN for n in (signal.SIGINT, signal.SIGQUIT)))"
print(subprocess.run([sys.executable, "-c", ask], check=True, capture_output=True, text=True).stdout, end="")
"""


def test_what_tests_start_can_be_interrupted_in_a_background_job_too() -> None:
    keys = signal.SIGINT, signal.SIGQUIT
    before = [signal.signal(key, signal.SIG_IGN) for key in keys]  # as a shell leaves it, for what is started
    try:
        done = subprocess.run(
            [sys.executable, "-c", CODE], cwd=Path(__file__).parents[1], check=True, capture_output=True, text=True
        )
    finally:
        for key, handler in zip(keys, before, strict=True):
            signal.signal(key, handler)
    assert done.stdout == "False False\n"
