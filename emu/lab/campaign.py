"""A campaign: schedules of one program until something fails, or enough were tried."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from emu.lab import minimize
from emu.lab.failure import LIVELOCK, OWN, Failure
from emu.lab.plan import DELAY, PCT, DelayPlan, Pcts, Plan, randoms, useful_of
from emu.lab.zygote import Crew, Limits, Result, Task, Zygote
from emu.machine.machine import Machine
from kernel.base.variant import fixes, variant
from kernel.sched.explore import Decision, Explore, Strategy
from kernel.sched.strategy import Delays, Replay
from kernel.sched.watch import Locks

TIMES: Final = 50  # the plain run's virtual time, and
MORE: Final = 5_000_000_000  # ns more, before a run counts as one without end
NEVER: Final = 1 << 62
LONGER: Final = 3  # times as long as the schedule that failed another may take, when switches are left out, and
LATER: Final = 100_000_000  # ns more
MANY: Final = 10  # times as long on the host, for a kernel whose lists are broken may go round for ever, and
PATIENCE: Final = 0.5  # s of a processor at least


class CampaignError(Exception):
    """A campaign cannot go on; str() is one line."""


@dataclass(frozen=True)
class Wanted:
    """What is asked of a campaign."""

    strategy: str = "random"
    seed: int = 0
    seeds: int | None = None
    depth: int = 3
    bound: int = 1
    seconds: float | None = None
    jobs: int = 1
    all: bool = False
    expect: int | None = None  # exit status; None: as in the plain scheduler's order


DEFAULT: Final = 1000  # schedules, unless told


@dataclass
class Found:
    """A failure, the first schedule that it was found with, and how often it was."""

    failure: Failure
    result: Result
    strategy: str
    count: int = 1
    seconds: float = 0.0  # since the beginning


@dataclass
class Tally:
    """How far a campaign is."""

    schedules: int = 0
    seconds: float = 0.0
    orders: set[int] = field(default_factory=set)
    found: dict[tuple[str, str, str], Found] = field(default_factory=dict)
    points: int = 0  # of the plain run
    processes: int = 0
    locks: Locks = field(default_factory=Locks)

    @property
    def rate(self) -> float:
        """Schedules a second."""
        return self.schedules / self.seconds if self.seconds else 0.0

    @property
    def own(self) -> bool:
        """Whether p9emu itself failed."""
        return any(kind in OWN for kind, _, _ in self.found)


Listener = Callable[[Tally, Result], None]


def plain() -> Strategy:
    """That of the plain scheduler."""
    return Strategy()


def _switch(fix: Sequence[str], original: Sequence[str], _explore: Explore, machine: Machine) -> None:
    """In a copy: another variant of the kernel from here on."""
    machine.kernel.variant = variant(original, fix)


class Campaign:
    """Schedules of the program that a zygote stands before."""

    def __init__(self, zygote: Zygote, wanted: Wanted, listener: Listener = lambda tally, result: None) -> None:
        self.zygote = zygote
        self.wanted = wanted
        self.listener = listener
        self.tally = Tally()
        self.summary = ""

    def run(self) -> Tally:
        """All of it. Raises LoadError, MachineError; KeyboardInterrupt, with what is known by then in ``tally``."""
        began = time.monotonic()
        w, tally, zygote = self.wanted, self.tally, self.zygote
        zygote.limits = Limits(status=w.expect)
        delays = w.strategy == DELAY
        first = Task(
            0, w.seed, partial(Delays, (), 0) if delays else plain, "fifo", True, useful_of if delays else None
        )
        base = zygote.one(first)
        tally.points, tally.processes = base.points, base.processes
        self._taken(first, base, began)
        if base.failure is not None:
            return tally
        zygote.limits = Limits(TIMES * base.virtual_ns + MORE, base.status, base.exits if w.expect is None else None)
        plan = self._plan(base)
        n = self._try(plan, began)
        self.summary = plan.summary(n)
        return tally

    def _plan(self, base: Result) -> Plan:
        w = self.wanted
        if w.strategy == DELAY:
            return DelayPlan(w.bound, w.seed, base.kept or [], w.seeds)
        n = w.seeds if w.seeds is not None else 1 << 62 if w.seconds is not None else DEFAULT
        seeds = range(w.seed, w.seed + n)
        return Pcts(seeds, w.depth, base.processes, base.points) if w.strategy == PCT else randoms(seeds)

    def _try(self, plan: Plan, began: float) -> int:
        w = self.wanted
        until = began + w.seconds if w.seconds is not None else None
        crew = Crew()
        tasks: dict[int, Task] = {}
        failed: list[tuple[Task, Result]] = []
        n = 0
        try:
            while True:
                late = until is not None and time.monotonic() >= until
                stop = late or (bool(failed) and not w.all)
                while not stop and len(crew.copies) < w.jobs and (task := plan.next()) is not None:
                    tasks[task.number] = task
                    crew.add(self.zygote.start(task))
                if not crew.copies:
                    break
                for result in crew.wait(None if until is None or stop else max(0.0, until - time.monotonic())):
                    task = tasks.pop(result.number)
                    n += 1
                    plan.take(task, result)
                    if result.failure is not None and not w.all:
                        failed.append((task, result))
                    else:
                        self._taken(task, result, began)
        finally:
            crew.end()
        # of those that failed while others still ran, the first in the plan's order
        for task, result in sorted(failed, key=lambda pair: pair[0].number):
            self._taken(task, result, began)
        return n

    def _taken(self, task: Task, result: Result, began: float) -> None:
        tally = self.tally
        tally.schedules += 1
        tally.seconds = time.monotonic() - began
        tally.orders.add(result.order)
        tally.locks.add(result.locks)
        if result.failure is not None:
            known = tally.found.get(result.failure.key)
            if known is None:
                tally.found[result.failure.key] = Found(result.failure, result, task.name, seconds=tally.seconds)
            else:
                known.count += 1
        self.listener(tally, result)

    # One failure

    def fails(self, found: Found) -> minimize.Fails:
        """Whether decisions come to the same failure."""

        def fails(decisions: Sequence[Decision]) -> bool:
            r = self.again(found, decisions)
            return r.failure is not None and r.failure.key == found.failure.key

        return fails

    def again(self, found: Found, todo: Sequence[Decision], **more: Any) -> Result:
        """A schedule with these decisions; ``more`` are fields of its Task."""
        return self.zygote.one(Task(0, found.result.seed, partial(Replay, list(todo)), **more))

    def mended(self, found: Found, seconds: float) -> list[str]:
        """The later fixes of 9front with which the failure's schedule, as far as it is the same then, does not fail."""
        config = self.zygote.config
        until = time.monotonic() + seconds
        fails = []
        self.zygote.patience = PATIENCE
        for name in fixes():
            if name not in config.fix and time.monotonic() < until:
                switch = partial(_switch, (*config.fix, name), config.original)
                r = self.again(found, found.result.decisions, before=switch)
                if r.failure is None:
                    fails.append(name)
        self.zygote.patience = None
        return fails

    def minimize(self, found: Found, seconds: float) -> bool:
        """Leave the fewest decisions in ``found.result``; False if it cannot be repeated. Those are what was done.

        From then on a copy that takes much longer than that schedule did is killed.
        """
        now = time.monotonic()
        until, late = now + seconds, now + seconds / 3
        fails = self.fails(found)
        self.zygote.patience = None
        if not fails(found.result.decisions):
            return False
        self.zygote.patience = max(PATIENCE, MANY * (time.monotonic() - now))
        limits = self.zygote.limits
        if found.failure.kind != LIVELOCK:  # one that goes on much longer fails otherwise
            virtual = min(limits.virtual or NEVER, LONGER * found.result.virtual_ns + LATER)
            self.zygote.limits = replace(limits, virtual=virtual)
        few = minimize.minimize(
            found.result.decisions, fails, lambda: time.monotonic() >= until, lambda: time.monotonic() >= late
        )
        self.zygote.limits = limits
        again = self.again(found, few, decisions=True)
        if again.failure is not None and again.failure.key == found.failure.key:
            again.number = found.result.number
            found.result = again
        return True
