"""What it costs to start: processes from beginning to end, their processor time and their memory.

Each runs under a launcher of its own: what the host says of a child's memory is at least its parent's.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from emu.bench.ratio import pairs

# Runs its arguments; writes processor seconds, kilobytes resident at the most, exit status.
LAUNCH: Final = """
import os, sys
null = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=[null])
_, status, ru = os.wait4(pid, 0)
print(ru.ru_utime + ru.ru_stime, ru.ru_maxrss, os.waitstatus_to_exitcode(status))
"""
# What the installed command does, without looking for it.
P9EMU: Final = (sys.executable, "-c", "from emu.cli import main; main()")
MEGABYTES: Final = 150


@dataclass(frozen=True)
class Used:
    """What a process took: processor seconds and megabytes resident."""

    seconds: float
    megabytes: float


@dataclass(frozen=True)
class Start:
    """One measurement beside another, or beside a figure that is given; ``limit`` is what the ratio must be under."""

    name: str
    unit: str
    ours: float
    beside: str
    theirs: float
    ratio: float
    lowest: float
    highest: float
    limit: float


def used(command: Sequence[str], env: Mapping[str, str] | None = None, cwd: str | None = None) -> Used:
    """Run a command to its end, its standard output thrown away. Raises RuntimeError if it fails."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LAUNCH, *command],
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip()}")
    seconds, kilobytes, status = done.stdout.split()
    if int(status):
        raise RuntimeError(f"{' '.join(command)}: status {status}: {done.stderr.strip()}")
    return Used(float(seconds), int(kilobytes) / 1024)


# Name, arguments of p9emu, what Python runs beside it, limit.
CASES: Final = (
    ("p9emu run true", ("run", "true"), "import unicorn, click", 1.3),
    ("p9emu --help", ("--help",), "import click", 1.5),
)
# Runs with --check beside the same without, and how many times as long they may take
CHECKED: Final = (("cow", "2000"), ("-m", "8M", "--swap", "32M", "thrash", "3000", "2"), ("usertests",))
CHECKS: Final = 3.0
# Recorded runs beside the same that are not
RECORDED: Final = (("syscalls", "100000"), ("sieve", "4000000", "10"), ("usertests",))
RECORDS: Final = 1.25
# One schedule of a guest of some hundred system calls, and what it should cost: a hundred of them a second
EXPLORE: Final = ("explore", "--format", "json", "pingpong", "50")
SCHEDULES: Final = 10, 60  # few and many: the boot is not in it
SCHEDULE: Final = 10.0  # ms
LARGE: Final = ("run", "-m", "3G", "hello")


def compiling(cache: str) -> dict[str, str]:
    """An environment in which Python keeps its bytecode in that directory, as an installation would have it."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {"PYTHONPYCACHEPREFIX": cache}


def start(
    name: str,
    unit: str,
    ours: Callable[[], float],
    beside: str,
    theirs: Callable[[], float],
    limit: float,
    rounds: int,
) -> Start:
    """One row."""
    mine, other, ratio, lowest, highest = pairs(ours, theirs, rounds)
    return Start(name, unit, mine, beside, other, ratio, lowest, highest, limit)


def measure(rounds: int) -> list[Start]:
    """All rows, each after a run that is not counted."""
    starts = []
    with tempfile.TemporaryDirectory(prefix="p9emu-bench-") as cache:
        env = compiling(cache)

        def ms(*command: str) -> Callable[[], float]:
            return lambda: used(command, env).seconds * 1e3

        for name, words, code, limit in CASES:
            ours, theirs = ms(*P9EMU, *words), ms(sys.executable, "-c", code)
            pairs(ours, theirs, 1)
            starts.append(start(name, "ms", ours, f'python -c "{code}"', theirs, limit, rounds))

        for guest in CHECKED:
            ours, theirs = ms(*P9EMU, "run", "--check", *guest), ms(*P9EMU, "run", *guest)
            name = f"p9emu run --check {' '.join(guest)}"
            starts.append(start(name, "ms", ours, "without --check", theirs, CHECKS, rounds))

        for argv in RECORDED:
            ours, theirs = ms(*P9EMU, "record", "-o", os.devnull, *argv), ms(*P9EMU, "run", *argv)
            starts.append(start(f"p9emu record {' '.join(argv)}", "ms", ours, "run", theirs, RECORDS, rounds))

        def schedule() -> float:
            few, many = (ms(*P9EMU, EXPLORE[0], "--seeds", str(n), *EXPLORE[1:])() for n in SCHEDULES)
            return (many - few) / (SCHEDULES[1] - SCHEDULES[0])

        name = f"p9emu {EXPLORE[0]} {' '.join(EXPLORE[3:])}, a schedule"
        starts.append(start(name, "ms", schedule, "100 schedules/s", lambda: SCHEDULE, 2.0, rounds))
        command = (*P9EMU, *LARGE)
        name, beside = f"p9emu {' '.join(LARGE)}", f"{MEGABYTES} MB"
        starts.append(start(name, "MB", lambda: used(command, env).megabytes, beside, lambda: MEGABYTES, 1.0, rounds))
    return starts
