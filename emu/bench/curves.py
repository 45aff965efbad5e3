"""How costs grow: with memory, pages, images, processes and processors. p9emu bench --curves.

The places of a curve are measured by turns. Its figures are ratios to its first place in the same round: the median
with the lowest and the highest. Pictures are made of them by :mod:`emu.bench.plot`.
"""

import gc
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from statistics import median
from typing import Final

from emu.bench import claims, scaling
from emu.bench.ratio import ratios
from emu.bench.scaling import each
from emu.machine.config import Config
from emu.machine.machine import Machine
from kernel.base.chandat import Chan
from kernel.base.dat import SG_RONLY, SG_TEXT, Image
from kernel.base.kernel import Kernel
from kernel.base.mem import MB, UTZERO
from kernel.memory.page import pagereclaim
from kernel.memory.segment import attachimage
from kernel.sched.taslock import unlock

US: Final = "us"
COUNT: Final = "pages"
LARGE: Final = 256 * MB


@dataclass(frozen=True)
class Case:
    """A curve to measure: ``measure`` gives its figure at one of the places ``xs``.

    Curves of one picture have it in common. ``x`` says what the places are, ``unit`` what the figures are: a time, or
    a count, which is the same each time.
    """

    picture: str
    series: str
    x: str
    xs: Sequence[int]
    unit: str
    measure: Callable[[int], float]


@dataclass(frozen=True)
class Point:
    """A figure, and its ratio to the curve's first."""

    x: int
    y: float
    ratio: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Curve:
    """A measured Case."""

    picture: str
    series: str
    x: str
    unit: str
    points: Sequence[Point]


def some(xs: Sequence[int]) -> list[int]:
    """The ends and the middle."""
    return sorted({xs[0], xs[len(xs) // 2], xs[-1]})


def measure(case: Case, rounds: int, quick: bool = False) -> Curve:
    """Measure all places by turns; fewer of them if quick."""
    xs = some(case.xs) if quick else case.xs
    case.measure(xs[0])  # the first time is not like the others
    table = [[case.measure(x) for x in xs] for _ in range(rounds)]
    first = [row[0] for row in table]
    points = []
    for n, x in enumerate(xs):
        column = [row[n] for row in table]
        # a count may be 0 at the first place
        points.append(Point(x, median(column), *(ratios(column, first) if all(first) else (1.0, 1.0, 1.0))))
    return Curve(case.picture, case.series, case.x, case.unit, points)


# What is measured


def memoryfault(megabytes: int) -> float:
    """A zero-fill fault in a machine with so much memory."""
    return each(Config(memory=megabytes * MB), "touch", 100, 1500)


def residentfault(pages: int) -> float:
    """A zero-fill fault while the process has so many pages."""
    return each(Config(memory=3072 * MB), "touch", pages, 25_000)


def fork(processes: int) -> float:
    """A child from fork to its wait record, while so many others live."""
    return each(Config(memory=LARGE), "forkbomb", processes, 300)


def cpusfault(cpus: int) -> float:
    """A zero-fill fault on one of so many processors."""
    return each(Config(memory=LARGE, cpus=cpus), "touch", 100, 3000)


def rendezvous(cpus: int) -> float:
    """Two processes that meet, on so many processors."""
    return each(Config(memory=LARGE, cpus=cpus), "pingpong", 100, 1000)


def lookup(pages: int) -> float:
    """Finding a page in the cache of an image that has so many."""
    return scaling.lookups(pages)()


def _cached(k: Kernel, pages: int) -> Image:
    image = Image(-1, notext=True)
    claims.cache(k, image, pages)
    return image


def longest(pages: int) -> float:
    """The longest chain of such an image."""
    with closing(Machine(Config())) as machine:
        return claims.longest(_cached(machine.kernel, pages))


def passed(pages: int) -> float:
    """Pages that a look-up passes on a chain before the one that it finds, on average."""
    with closing(Machine(Config())) as machine:
        lengths = [len(c) for c in claims.chains(_cached(machine.kernel, pages))]
        return sum(n * (n - 1) / 2 for n in lengths) / pages


def attach(images: int) -> float:
    """Finding the image of a file among so many that have segments."""
    with closing(Machine(Config())) as machine:
        k = machine.kernel
        chans = []
        for n in range(images):
            c = Chan()
            c.qid.path = n
            chans.append(c)
        turns = [chans[n % images] for n in range(ATTACHES)]
        for c in chans:
            unlock(k, attachimage(k, SG_TEXT | SG_RONLY, c, UTZERO, 1))
        gc.collect()
        started = time.process_time()
        for c in turns:
            unlock(k, attachimage(k, SG_TEXT | SG_RONLY, c, UTZERO, 1))
        return (time.process_time() - started) * 1e6 / ATTACHES


ATTACHES: Final = 8192
RECLAIMS: Final = 4096


def reclaim(pages: int, inuse: bool = False) -> float:
    """Giving a page back, of an image with so many in its cache; there may be as many again that are in use."""
    with closing(Machine(Config(memory=LARGE))) as machine:
        k = machine.kernel
        images = []
        for _ in range(max(RECLAIMS // pages, 1)):
            image = _cached(k, pages)
            if inuse:
                claims.cache(k, image, pages, ref=1)
            images.append(image)
        gc.collect()
        started = time.process_time()
        for image in images:
            left = pages
            while left:
                left -= pagereclaim(k, image, left)
        return (time.process_time() - started) * 1e6 / (pages * len(images))


PAGES: Final = (16, 64, 256, 512, 1024, 2048, 4096)
MEMORY: Final = (16, 64, 256, 1024, 3072)
CPUS: Final = (1, 2, 4, 8)
CACHED: Final = "cached pages of the image"

CASES: Final = (
    Case("memory", "zero-fill fault", "memory, MB", MEMORY, US, memoryfault),
    Case("resident", "zero-fill fault", "resident pages", (100, 1000, 10_000, 30_000, 100_000), US, residentfault),
    Case("lookup", "look-up of a cached page", CACHED, PAGES, US, lookup),
    Case("chains", "longest chain", CACHED, PAGES, COUNT, longest),
    Case("chains", "passed by a look-up", CACHED, PAGES, COUNT, passed),
    Case("images", "attaching an image that is there", "images", (1, 10, 50, 100, 200), US, attach),
    Case("processes", "fork, run, exit and await", "processes", (10, 30, 100, 300, 1000), US, fork),
    Case("processors", "zero-fill fault", "processors", CPUS, US, cpusfault),
    Case("processors", "rendezvous there and back", "processors", CPUS, US, rendezvous),
    Case("reclaim", "reclaiming a page", CACHED, PAGES, US, reclaim),
    Case("reclaim", "with as many pages in use", CACHED, PAGES, US, lambda pages: reclaim(pages, inuse=True)),
)
