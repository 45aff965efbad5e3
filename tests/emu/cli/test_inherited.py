"""What a process has from its parent."""

import os
import subprocess
import sys

from tests.e2e.harness import ROOT

TELL = "import os; from emu.cli.inherited import state; print(state(os.getpid()))"


def test_however_a_process_was_begun_it_is_the_same(tmp_path: os.PathLike[str]) -> None:
    """The C library's posix_spawn leaves its own two signals ignored; what is forked has not."""
    out = os.path.join(tmp_path, "spawned")
    actions = [(os.POSIX_SPAWN_OPEN, 1, out, os.O_WRONLY | os.O_CREAT, 0o600)]
    args = [sys.executable, "-c", TELL]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    pid = os.posix_spawn(sys.executable, args, env, file_actions=actions)
    assert os.waitpid(pid, 0)[1] == 0
    forked = subprocess.run(args, env=env, stdout=subprocess.PIPE, check=True, restore_signals=False, cwd="/").stdout
    with open(out, "rb") as f:
        assert f.read() == forked
