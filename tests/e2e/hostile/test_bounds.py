"""Guests that take until they are refused: the host's memory has a bound, whatever they do (docs/machine.md).

Each case runs in a process of the host's own, whose memory at its largest the host tells. Whatever becomes of it, the
machine ends in good order, without a word of p9emu's own: an error in Plan 9's words is what is printed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from guest.build import program

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
CASES = [
    name
    for p in sorted(HERE.glob("*.c"))
    for table in re.findall(r"^const Case \w+\[\] = \{$(.*?)^\};$", p.read_text(), re.MULTILINE | re.DOTALL)
    for name in re.findall(r'\{"(\w+)", \w+\}', table)
]
MEMORY = 16  # MB of the machine
MORE = 512 + 256  # MB that there may be besides, p9emu itself and what a processor translates among them
DIES = "sys: bad address in syscall"
NOMEM = "Killed: Insufficient physical memory"
ENDS = {  # what cases die of, where that is right
    "readtmp": NOMEM, "readzero": NOMEM, "readrandom": NOMEM, "readhost": NOMEM, "writehost": NOMEM, "sparse": NOMEM,
    "stack": NOMEM, "copies": NOMEM, "longargs": NOMEM, "stats": DIES, "endlessname": DIES, "fd2paths": DIES,
    "versions": DIES, "errstrs": DIES, "awaits": DIES, "brks": "sys: trap: fault read",
    "mounts": "sys: write on closed pipe", "smallblocks": "Killed", "rudeserver": "Killed",
}  # fmt: skip
REAL = ("timers",)  # run with the host's clock too

LAUNCH = """
import os, resource, sys
pid = os.fork()
if pid == 0:
    os.execv(sys.executable, [sys.executable, "-m", "emu", *sys.argv[1:]])
_, status, used = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), used.ru_maxrss >> 10)
"""


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program."""
    path = tmp_path_factory.mktemp("hostile") / "hostile"
    path.write_bytes(program("hostile", sorted(HERE.glob("*.c"))))
    return path


def run(hostile: Path, tmp_path: Path, case: str, *options: str) -> str:
    """Run a case; what it printed."""
    with open(tmp_path / "sparse", "wb") as f:
        f.truncate(1 << 30)
    done = subprocess.run(
        [
            sys.executable, "-c", LAUNCH, "run", "-m", f"{MEMORY}M", "--timeout", "100",
            "--bind", f"{tmp_path}:/n/host:rw", *options, str(hostile), case,
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        capture_output=True, text=True, errors="replace", check=True,
    )  # fmt: skip
    text, _, figures = done.stdout.rstrip().rpartition("\n")
    status, megabytes = map(int, figures.split())
    assert (status, "Traceback" in done.stderr) == (0, False), f"{text}\n{done.stderr}"
    assert not re.search("^p9emu:", done.stderr, re.MULTILINE), done.stderr
    assert megabytes <= MEMORY + MORE, f"{case} took {megabytes} MB: {text}"
    return text


def test_there_are_many_cases() -> None:
    assert len(set(CASES)) == len(CASES) >= 60


@pytest.mark.parametrize("case", CASES)
def test_the_host_keeps_its_memory(hostile: Path, tmp_path: Path, case: str) -> None:
    text = run(hostile, tmp_path, case)
    how = rf"hostile \d+: {ENDS[case]}" if case in ENDS else "$"
    assert re.search(f"^{case}: {how}", text, re.MULTILINE), text


@pytest.mark.parametrize("case", REAL)
def test_with_the_hosts_clock(hostile: Path, tmp_path: Path, case: str) -> None:
    run(hostile, tmp_path, case, "--clock", "real")


def test_a_case_that_takes_too_much_is_noticed(hostile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "MORE", 1)
    with pytest.raises(AssertionError, match="took"):
        run(hostile, tmp_path, "errstrs")
