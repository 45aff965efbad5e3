"""``python -m tests.soak [SEEDS]``: guests under the exploring scheduler, invariants checked, many seeds.

Prints what failed, with the command that shows it, and the figures. Exit status 1 if anything failed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

from tests.e2e.harness import run

M = 1 << 20
SMALL = ("cow 6", "forkbomb 4", "shm 4", "pipe 4", "sema 4", "text 4")
LARGE = (*SMALL, "segs", "selfmod", "pingpong 20", "thrash 500 1", "swapfork 500")


def one(argv: str, cpus: int, seed: int) -> str:
    """What went wrong in one run, "" if nothing."""
    small = argv.split()[0] in ("thrash", "swapfork")
    config: dict[str, Any] = {"memory": 4 * M, "swap": 16 * M} if small else {}
    try:
        r = run(*argv.split(), cpus=cpus, seed=seed, sched="random", check=not small, timeout=100, **config)
    except Exception as e:  # noqa: BLE001 whatever it is, it is a finding
        return f"{type(e).__name__}: {e}"
    return r.outcome.exits


def soak(seeds: Iterable[int], guests: Sequence[str], cpus: Sequence[int]) -> list[str]:
    """Run all combinations; one line for each that failed."""
    bad = []
    for seed in seeds:
        for n in cpus:
            for argv in guests:
                wrong = one(argv, n, seed)
                if wrong:
                    bad.append(f"p9emu run --check --sched random --seed {seed} --cpus {n} {argv}: {wrong}")
    return bad


def main() -> int:
    """The command."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    start = time.monotonic()
    failures = 0
    for seed in range(seeds):
        for line in soak([seed], LARGE, (1, 2, 4)):
            failures += 1
            print(line, flush=True)
    runs = seeds * 3 * len(LARGE)
    print(f"{seeds} seeds, {runs} runs, {failures} failures, {time.monotonic() - start:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
