"""``python -m tests.soak``: what takes minutes. Guests in many orders of events, and every failure at every place.

Races: guests under the exploring scheduler, 200 seeds, on 1, 2 and 4 processors, invariants checked all the time.
Schedules: more of them, 100,000, as p9emu explore does: random ones and priorities, invariants checked at the end. Only
panics that docs/errata.md has are let pass.
Failures: each kind of ``--fault-inject`` at each position that there is, on 1, 2 and 4 processors.

Prints what failed, with the command that shows it, and the figures. Exit status 1 if anything failed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, Final

from emu.lab.campaign import Campaign, Wanted
from emu.lab.failure import PANIC
from emu.lab.zygote import Zygote
from emu.machine.config import Config, LoadError, MachineError
from emu.machine.known import known
from emu.machine.machine import Machine
from kernel.base.inject import KINDS
from tests.e2e.harness import Console

M: Final = 1 << 20
CPUS: Final = (1, 2, 4)
TINY: Final[dict[str, Any]] = {"memory": 2 * M, "swap": 8 * M}  # 128 user pages; the command's least has 384

# Guests that verify what they do, the largest in half a second.
PLENTY: Final = ("cow 6", "forkbomb 4", "shm 4", "pipe 4", "sema 4", "text 4")
SHORT: Final = ("thrash 140 1", "swapfork 130", "pressure 45 3 1", "cow 100", "shm 80")
OTHERS: Final = ("segs", "selfmod", "pingpong 20", "shootdown 5", "notes", "group", "ns", "cachefs 20")
SELDOM: Final = ("fp", "dirs", "fs9p 2", "textpressure 6 2")  # every tenth seed
# Not alarm and procfs: they count on priorities and on who runs next, which a random draw does not keep to.

# Guests that are given failures; what there is of each kind differs.
INJECTED: Final[dict[str, dict[str, Any]]] = {
    "cow 2": {},
    "exec echo hi": {},
    "thrash 140 1": TINY,
    "swapfork 110": TINY,
}
# What a failure of a kind may come to, besides nothing.
ANSWERS: Final[dict[str, str | None]] = {
    "newpage": None,
    "malloc": "kernel allocate failed",
    "textread": "i/o error",
    "hostread": "i/o error",
    "swapread": "i/o error in demand load accessing",
    "swapwrite": "panic: executeio: page outp I/O error",
}
# Guests of which schedules are tried: a machine of theirs can be copied, and they verify what they do.
EXPLORED: Final = (
    "cow 3", "forkbomb 3", "shm 3", "pipe 2", "sema 3", "text 3", "pingpong 5", "shootdown 3", "segs", "notes", "group",
    "mhead 20",
)  # fmt: skip
SLICE: Final = 100  # schedules of one guest in a task
STRATEGIES: Final = ("random", "pct")

FEW: Final = 100  # with more positions than this the invariants are checked at the end only
CHUNK: Final = 8  # jobs in a task of a worker
MAXTASKS: Final = 50


@dataclass(frozen=True)
class Job:
    """One run. ``options`` are the command's, where it has them, ``expect`` what the program may end with."""

    argv: str
    config: dict[str, Any]
    options: str
    expect: str | None = None

    def command(self) -> str:
        """A command that does the same, as far as one can."""
        memory = " of a machine with 2M" if self.config.get("memory") == 2 * M else ""
        return f"p9emu run --check {self.options} {self.argv}{memory}"

    def run(self) -> str:
        """What went wrong, "" if nothing."""
        ended, _ = outcome(self.argv, self.config)
        return "" if self.expect is not None and self.expect in ended else ended


def outcome(argv: str, config: dict[str, Any]) -> tuple[str, dict[str, int]]:
    """How the program ended, "" if well, and how many operations of each kind to be injected there were.

    Nothing of the host's may be left over.
    """
    program, *args = argv.split()
    files = len(os.listdir("/proc/self/fd"))
    with tempfile.TemporaryDirectory() as tmp:
        old, tempfile.tempdir = tempfile.tempdir, tmp
        try:
            with closing(Machine(Config(timeout=100, **config))) as machine:
                k = machine.kernel
                k.console = Console()
                try:
                    ended = machine.run(program, args).exits
                except (LoadError, MachineError) as e:
                    ended = str(e)
                except Exception as e:  # noqa: BLE001 whatever it is, it is a finding
                    ended = f"{type(e).__name__}: {e}"
                counts = dict(k.inject.count) if k.inject is not None else {}
            left = os.listdir(tmp)
        finally:
            tempfile.tempdir = old
    if left:
        ended += f"; left the files {left}"
    if len(os.listdir("/proc/self/fd")) != files:
        ended += "; left open files"
    return ended, counts


def races(seeds: Iterable[int], cpus: Iterable[int] = CPUS, few: bool = False) -> Iterator[Job]:
    """Guests under the exploring scheduler; only the quickest if ``few``."""
    for seed in seeds:
        if few:
            guests = PLENTY + (SHORT[:1] if seed % 5 == 0 else ())
        else:
            guests = PLENTY + SHORT + OTHERS + (SELDOM if seed % 10 == 0 else ())
        for n in cpus:
            for argv in guests:
                config = {"seed": seed, "cpus": n, "sched": "random", "check": True}
                if argv in SHORT:
                    config |= TINY
                yield Job(argv, config, f"--sched random --seed {seed} --cpus {n}")


@dataclass(frozen=True)
class Slice:
    """Some schedules of one guest."""

    argv: str
    cpus: int
    strategy: str
    first: int
    seeds: int

    def command(self) -> str:
        """What does the same."""
        options = f"--strategy {self.strategy} --cpus {self.cpus} --seed {self.first} --seeds {self.seeds} --all"
        return f"p9emu explore {options} {self.argv}"

    def run(self) -> str:
        """What went wrong that errata do not know, "" if nothing."""
        program, *args = self.argv.split()
        zygote = Zygote(Config(cpus=self.cpus, memory=16 * M), program, args)
        try:
            wanted = Wanted(self.strategy, self.first, self.seeds, all=True)
            found = Campaign(zygote, wanted).run().found.values()
        finally:
            zygote.close()
        bad = [f for f in found if f.failure.kind != PANIC or not known(f.failure.what)]
        return "; ".join(f"{f.failure}, seed {f.result.seed}, {f.count} times" for f in bad)


def schedules(total: int, guests: Sequence[str] = EXPLORED, cpus: Sequence[int] = CPUS) -> Iterator[Slice]:
    """So many, by turns of guests, processors and strategies."""
    first = 0
    while total > 0:
        for strategy in STRATEGIES:
            for n in cpus:
                for argv in guests:
                    few = min(SLICE, total)
                    if few <= 0:
                        return
                    yield Slice(argv, n, strategy, first, few)
                    total -= few
        first += SLICE


def failures(argv: str, cpus: int, kinds: Iterable[str] = KINDS, most: int = sys.maxsize) -> Iterator[Job]:
    """One failure at each position there is, or at so many of them, evenly."""
    config = INJECTED[argv] | {"cpus": cpus}
    _, counts = outcome(argv, config | {"inject": tuple((kind, sys.maxsize, False) for kind in KINDS)})
    for kind in kinds:
        total = counts[kind]
        few = min(total, most)
        for n in sorted({1 + i * (total - 1) // max(1, few - 1) for i in range(few)}):
            injected = config | {"inject": ((kind, n, False),), "check": total <= FEW}
            yield Job(argv, injected, f"--fault-inject {kind}:{n} --cpus {cpus}", ANSWERS[kind])


def jobs(part: str, seeds: int, total: int) -> Iterator[Job | Slice]:
    """All there is to do."""
    if part in ("all", "failures"):
        for argv in INJECTED:
            for cpus in CPUS:
                yield from failures(argv, cpus)
    if part in ("all", "races"):
        yield from races(range(seeds))
    if part in ("all", "schedules"):
        yield from schedules(total)


def attempt(job: Job | Slice) -> str:
    """A line if the job fails, else ""."""
    wrong = job.run()
    return f"{job.command()}: {wrong}" if wrong else ""


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="tests.soak", description=__doc__.split("\n\n")[0])
    parser.add_argument("--part", choices=("all", "races", "failures", "schedules"), default="all")
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--schedules", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    start = time.monotonic()
    todo = list(jobs(options.part, options.seeds, options.schedules))
    bad = 0
    # Unicorn does not give all memory back: new workers now and then. No Pool, which waits for ever if one is killed,
    # nor max_tasks_per_child, with which the executor may
    batch = CHUNK * MAXTASKS * options.workers
    for i in range(0, len(todo), batch):
        with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
            for line in pool.map(attempt, todo[i : i + batch], chunksize=CHUNK):
                if line:
                    bad += 1
                    print(line, flush=True)
    print(f"{len(todo)} runs, {bad} failures, {time.monotonic() - start:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
