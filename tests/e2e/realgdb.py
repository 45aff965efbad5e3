"""A real gdb that is given commands."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from tests.e2e.harness import ROOT

SETUP = "set pagination off", "set confirm off", "set width 0", "set debuginfod enabled off"


def gdb(
    program: str | Path, *args: str, script: tuple[str, ...], before: tuple[str, ...] = (), server: tuple[str, ...] = ()
) -> str:
    """What gdb prints that is given these commands, after it was connected to a program; ``server`` has options."""
    words = shlex.join([sys.executable, "-m", "emu", "gdb", "-l", "-", *server, str(program), *args])
    commands = [*SETUP, *before, f"target remote | {words}", *script]
    done = subprocess.run(
        ["gdb", "-nx", "-batch", *(word for c in commands for word in ("-ex", c))],
        cwd=ROOT,
        env={**os.environ, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout.replace(f"{ROOT}/", "")


def inorder(text: str, *parts: str) -> bool:
    """Whether the parts stand there, one after the other."""
    at = 0
    for part in parts:
        at = text.find(part, at)
        assert at >= 0, f"{part!r} is not there, or not in that place:\n{text}"
        at += len(part)
    return True
