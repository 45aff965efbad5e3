"""What a process has from its parent."""

import os
import subprocess
import sys
from pathlib import Path

from tests.e2e.harness import ROOT

TELL = "import os; from emu.cli.inherited import state; print(state(os.getpid()))"


def test_however_a_process_was_begun_it_is_the_same(tmp_path: Path) -> None:
    """The C library's posix_spawn leaves its own two signals ignored; what is forked has not."""
    out = tmp_path / "spawned"
    actions = [(os.POSIX_SPAWN_OPEN, 1, out, os.O_WRONLY | os.O_CREAT, 0o600)]
    args = [sys.executable, "-c", TELL]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    pid = os.posix_spawn(sys.executable, args, env, file_actions=actions)
    assert os.waitpid(pid, 0)[1] == 0
    # with a directory of its own it is never spawned
    forked = subprocess.run(args, env=env, stdout=subprocess.PIPE, check=True, restore_signals=False, cwd="/").stdout
    assert out.read_bytes() == forked
