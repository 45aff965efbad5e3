"""Which schedules are tried, in which order: by seeds, or all with so many delays."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, Protocol

from emu.lab.zygote import Result, Task
from emu.machine.machine import Machine
from kernel.sched.explore import Explore, Strategy
from kernel.sched.strategy import Delays, Pct, Random

RANDOM, PCT, DELAY = "random", "pct", "delay"
STRATEGIES: Final = (RANDOM, PCT, DELAY)


class Plan(Protocol):
    """What is to be tried."""

    def next(self) -> Task | None:
        """One more schedule; None if there is none now, before more results are taken."""

    def take(self, task: Task, result: Result) -> None:
        """What became of one."""

    def done(self) -> bool:
        """Whether all was tried, once nothing runs."""

    def summary(self, n: int) -> str:
        """What n schedules without a failure mean, "" if there is nothing to say."""


class Seeds:
    """A schedule for each seed, drawn by ``make``."""

    def __init__(self, name: str, seeds: range, make: Callable[[int], Strategy]) -> None:
        self.name = name
        self.make = make
        self._left = iter(seeds)
        self._number = 0

    def next(self) -> Task | None:
        """The next seed's."""
        seed = next(self._left, None)
        if seed is None:
            return None
        self._number += 1
        return Task(self._number, seed, partial(self.make, seed), self.name)

    def take(self, task: Task, result: Result) -> None:
        """Nothing is learnt."""

    def done(self) -> bool:
        """None left is known by next."""
        return True

    def summary(self, n: int) -> str:
        """Nothing is known."""
        return ""


def randoms(seeds: range) -> Seeds:
    """Random ones."""
    return Seeds(RANDOM, seeds, Random)


class Pcts(Seeds):
    """Burckhardt's: of ``depth``, for a run of ``n`` processes and ``k`` points."""

    def __init__(self, seeds: range, depth: int, n: int, k: int) -> None:
        super().__init__(f"{PCT}, depth {depth}", seeds, partial(_pct, depth, k))
        self.depth, self.n, self.k = depth, max(n, 1), max(k, 1)

    @property
    def bound(self) -> float:
        """The least probability that one schedule finds a bug of that depth."""
        return 1 / (self.n * float(self.k) ** (self.depth - 1))

    def summary(self, n: int) -> str:
        """How probable it is that a bug of that depth was missed."""
        miss = math.exp(n * math.log1p(-self.bound)) if self.bound < 1 else 0.0
        return (
            f"a bug of depth {self.depth} is found by one schedule with a probability of 1/{1 / self.bound:.0f} or "
            f"more ({self.n} processes, {self.k} points), and missed by all {n} with {miss:.3g} or less"
        )


def _pct(depth: int, k: int, seed: int) -> Strategy:
    return Pct(seed, depth, k)


class DelayPlan:
    """Every schedule of the plain scheduler with up to ``bound`` holds, fewest first.

    A point where nobody else could go on is left out. The places that are far from each other come first.
    """

    def __init__(self, bound: int, seed: int, useful: list[int], most: int | None = None) -> None:
        self.bound = bound
        self.seed = seed
        self.most = most
        self._number = 0
        self._level = 1
        self._todo: Iterator[tuple[int, ...]] = iter([(n,) for n in spread(useful)])
        self._grown: list[tuple[tuple[int, ...], list[int]]] = []
        self._running: dict[int, tuple[int, ...]] = {}
        self._ended = False
        self._cut = False

    def next(self) -> Task | None:
        """The next set of holds."""
        if self.most is not None and self._number >= self.most:
            self._cut = next(self._todo, None) is not None or self._level < self.bound
            return None
        points = next(self._todo, None)
        if points is None:
            if self._running or self._level >= self.bound or not self._grown:
                self._ended = not self._running
                return None
            self._level += 1
            grown, self._grown = sorted(self._grown), []
            self._todo = ((*points, n) for points, useful in grown for n in spread(useful))
            return self.next()
        self._number += 1
        more = self._level < self.bound
        self._running[self._number] = points
        return Task(
            self._number,
            self.seed,
            partial(Delays, points, points[-1] if more else None),
            f"{DELAY}, bound {self.bound}",
            after=useful_of if more else None,
        )

    def take(self, task: Task, result: Result) -> None:
        """Where one more hold can be."""
        points = self._running.pop(task.number)
        if result.kept:
            self._grown.append((points, result.kept))

    def done(self) -> bool:
        """Whether all were tried."""
        return self._ended

    def summary(self, n: int) -> str:
        """How much was covered."""
        if self._ended and not self._cut:
            return f"all {n} schedules with up to {self.bound} delay{'s' * (self.bound > 1)} are covered"
        return f"{n} schedules were tried of those with up to {self.bound} delays, not all"


def useful_of(strategy: Strategy, explore: Explore, machine: Machine, error: BaseException | None) -> list[int]:
    """In the copy, at the end: where one more hold could change anything."""
    assert isinstance(strategy, Delays)
    return strategy.useful


def spread(points: list[int]) -> list[int]:
    """The same points, each far from those before it: in the order of their places' bits reversed."""
    width = max(len(points) - 1, 1).bit_length()
    order = sorted(range(len(points)), key=lambda i: int(f"{i:0{width}b}"[::-1], 2))
    return [points[i] for i in order]
