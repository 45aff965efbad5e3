"""p9emu bench: what one fault, one system call and plain computing cost, beside a bare Unicorn.

Each row runs one guest on the whole machine and on :mod:`emu.bare`, by turns in this one process, and takes
the best time of each. Costs of a single operation are the difference of a long and a short run, so start-up
is not in them. The ratio is what to quote: the times are of this host, at this moment.
"""

import json
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass

from emu import bare
from emu.machine import Config, Machine


@dataclass(frozen=True)
class Row:
    """One measurement: host microseconds for one operation, ours and the bare emulator's."""

    name: str
    guest: str
    ours_us: float
    bare_us: float
    ratio: float


@dataclass(frozen=True)
class Work:
    """A guest whose argument is a number of operations."""

    name: str
    guest: str
    few: int
    many: int


WORKS = (
    Work("null system call", "syscalls", 1000, 21000),
    Work("zero-fill fault", "touch", 100, 4100),
    Work("sieve, per number", "sieve", 100_000, 2_100_000),
)


def _ours(guest: str, n: int) -> None:
    with closing(Machine(Config())) as machine:
        machine.run(guest, [str(n)])


def _bare(guest: str, n: int) -> None:
    import guest as guests

    bare.run(str(guests.path(guest)), [str(n)])


def _time(f: Callable[[str, int], None], guest: str, n: int) -> float:
    t = time.perf_counter()
    f(guest, n)
    return time.perf_counter() - t


def measure(work: Work, rounds: int) -> Row:
    """Time one guest both ways, by turns."""
    best = {(f, n): float("inf") for f in (_ours, _bare) for n in (work.few, work.many)}
    for _ in range(rounds):
        for f, n in best:
            best[f, n] = min(best[f, n], _time(f, work.guest, n))
    ops = work.many - work.few
    ours, plain = ((best[f, work.many] - best[f, work.few]) * 1e6 / ops for f in (_ours, _bare))
    return Row(work.name, work.guest, ours, plain, ours / plain)


def main(quick: bool, fmt: str) -> None:
    """Print the table. The guests' own output is a line or two; it is swallowed."""
    from emu.console import HostConsole

    saved = HostConsole.write
    HostConsole.write = lambda self, fd, data: None  # type: ignore[method-assign]
    try:
        rows = [measure(w, 3 if quick else 7) for w in WORKS]
    finally:
        HostConsole.write = saved  # type: ignore[method-assign]
    if fmt == "json":
        sys.stdout.write(json.dumps({"v": 1, "rows": [asdict(r) for r in rows]}) + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("", "guest", "p9emu, us", "bare Unicorn, us", "ratio")
    for c in table.columns[2:]:
        c.justify = "right"
    for r in rows:
        table.add_row(r.name, r.guest, f"{r.ours_us:.3f}", f"{r.bare_us:.3f}", f"{r.ratio:.2f}")
    Console().print(table)
