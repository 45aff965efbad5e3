"""What a start costs: children measured one by one."""

import os
import sys
from pathlib import Path

import pytest

from emu.bench import startup
from emu.bench.ratio import pairs
from emu.bench.startup import used


def test_memory_is_the_child_s_own() -> None:
    ballast = bytearray(200 << 20)
    small = used([sys.executable, "-I", "-S", "-c", "pass"])
    large = used([sys.executable, "-I", "-S", "-c", "bytearray(b'x') * (100 << 20)"])
    assert small.megabytes < 100 < large.megabytes < len(ballast) >> 20
    assert small.seconds > 0


def test_a_command_that_fails_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match=r"status 3: no$"):
        used([sys.executable, "-c", "import sys; sys.stderr.write('no'); sys.exit(3)"])
    with pytest.raises(RuntimeError, match="nosuch"):
        used(["nosuch"])


def test_pairs_are_compared() -> None:
    ours = iter([2.0, 3.0, 4.0])
    assert pairs(lambda: next(ours), lambda: 2.0, 3) == (3, 2, 1.5, 1, 2)


def test_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    assert [" ".join(argv) for argv in (*startup.CHECKED, *startup.RECORDED)] == [
        "cow 2000", "-m 8M --swap 32M thrash 3000 2", "usertests", "syscalls 100000", "sieve 4000000 10", "usertests",
    ]  # fmt: skip
    monkeypatch.setattr(startup, "CHECKED", (("cow", "20"), ("-m", "8M", "true")))
    monkeypatch.setattr(startup, "RECORDED", (("syscalls", "200"),))
    rows = startup.measure(1)
    assert [(s.name, s.unit, s.beside, s.limit) for s in rows] == [
        ("p9emu run true", "ms", 'python -c "import unicorn, click"', 1.3),
        ("p9emu --help", "ms", 'python -c "import click"', 1.5),
        ("p9emu run --check cow 20", "ms", "without --check", 3),
        ("p9emu run --check -m 8M true", "ms", "without --check", 3),
        ("p9emu record syscalls 200", "ms", "run", 1.25),
        ("p9emu explore pingpong 50, a schedule", "ms", "100 schedules/s", 2),
        ("p9emu run -m 3G hello", "MB", "150 MB", 1),
    ]
    assert all(s.ours > 0 and s.theirs > 0 for s in rows)
    memory = rows[-1]
    assert 10 < memory.ours < memory.theirs, "3 GB of memory cost nothing before they are used"


def test_bytecode_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    used([sys.executable, "-c", "import emu.failure"], startup.compiling(os.fspath(tmp_path)))
    assert list(tmp_path.rglob("failure*.pyc"))
