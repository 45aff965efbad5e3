"""What a fault and a look-up in the page cache cost in a small machine and in a large one; tcp beside a pipe."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from emu.bench import rivals
from emu.bench.ratio import pairs
from emu.machine.config import Config
from emu.machine.machine import Machine
from kernel.base.dat import PGHSIZE, Image, Page
from kernel.base.mem import BY2PG, MB
from kernel.memory.page import cachepage, lookpage

LOOKUPS: Final = 16384


@dataclass(frozen=True)
class Scale:
    """Microseconds for one operation in the small and in the large case; the ratio's median, lowest and highest."""

    name: str
    small_us: float
    large_us: float
    ratio: float
    lowest: float
    highest: float


def each(config: Config, guest: str, n: int, more: int) -> float:
    """Microseconds for one operation of a guest after n of them, over so many more."""
    most, least = (rivals.machine((guest, str(i)), config) for i in (n + more, n))
    return max(most - least, 1e-9) * 1e6 / more


def faults(memory: int, resident: int, some: int = 1500) -> Callable[[], float]:
    """Microseconds for a zero-fill fault while so many pages are there already."""
    return lambda: each(Config(memory=memory), "touch", resident, some)


def moved(how: str, size: int, writes: int) -> Callable[[], float]:
    """Microseconds for a write that another process reads, by "pipe" or "tcp"."""

    def run() -> float:
        most, least = (rivals.machine(("stream", how, str(size), str(n))) for n in (100 + writes, 100))
        return max(most - least, 1e-9) * 1e6 / writes

    return run


def lookups(pages: int) -> Callable[[], float]:
    """Microseconds for a look-up in the cache of an image with so many pages, each found as often as the others."""

    def run() -> float:
        with closing(Machine(Config())) as machine:
            k = machine.kernel
            image = Image(-1, notext=True)
            for i in range(pages):
                p = Page(0, 1)
                p.daddr = i * BY2PG
                cachepage(k, p, image)
            daddrs = [i % pages * BY2PG for i in range(LOOKUPS)]
            started = time.process_time()
            for daddr in daddrs:
                lookpage(k, image, daddr)
            return (time.process_time() - started) * 1e6 / LOOKUPS

    return run


CASES: Final = (
    ("zero-fill fault, -m 16M and -m 3G", faults(16 * MB, 100), faults(3072 * MB, 100)),
    (
        "zero-fill fault, 100 and 100,000 pages resident",
        faults(3072 * MB, 100, 25_000),
        faults(3072 * MB, 100_000, 25_000),
    ),
    (f"page cache look-up, 16 and {PGHSIZE} pages of an image", lookups(16), lookups(PGHSIZE)),
    (f"page cache look-up, {PGHSIZE} and {8 * PGHSIZE} pages", lookups(PGHSIZE), lookups(8 * PGHSIZE)),
    ("8 kB to another process, by pipe and by tcp", moved("pipe", 8192, 5000), moved("tcp", 8192, 5000)),
    ("64 bytes to another process, by pipe and by tcp", moved("pipe", 64, 10_000), moved("tcp", 64, 10_000)),
)


def measure(name: str, small: Callable[[], float], large: Callable[[], float], rounds: int) -> Scale:
    """Both cases by turns, in microseconds."""
    many, few, ratio, lowest, highest = pairs(large, small, rounds)
    return Scale(name, few, many, ratio, lowest, highest)
