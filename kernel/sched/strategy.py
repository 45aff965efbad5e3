"""Strategies of the exploring scheduler: what it does at which point.

Random draws everything. Pct gives priorities, which change at a few points: Burckhardt, Kothari, Musuvathi and
Nagarakatte, "A randomized scheduler with probabilistic guarantees of finding bugs", ASPLOS 2010. Delays holds a
process at given points: Emmi, Qadeer and Rakamaric, "Delay-bounded scheduling", POPL 2011. Replay does what was
decided before.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from kernel.sched.explore import HOLD, INTERRUPT, PAUSE, PICK, SCHED, STAY, TURN, Decision, Strategy

if TYPE_CHECKING:
    from kernel.base.procdat import Mach, Proc
    from kernel.sched.explore import Explore

SWITCH: Final = 0.05  # Random's chance of a switch at one point
STUBBORN: Final = 20  # times that Pct's best gets the processor again though it gave it up


class Random(Strategy):
    """A switch now and then, and then to anybody, all by seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def point(self, x: Explore, p: Proc) -> str:
        """A switch with the chance SWITCH."""
        if self.rng.random() >= SWITCH:
            return STAY
        if len(x.k.machs) > 1 and self.rng.random() < 0.5:
            return PAUSE
        return SCHED if x.maysched(p) else STAY

    def pick(self, x: Explore, m: Mach, ready: list[Proc], first: Proc) -> Proc:
        """Any."""
        return self.rng.choice(ready)

    def turn(self, x: Explore, some: list[Mach], first: Mach) -> Mach:
        """Any."""
        return self.rng.choice(some)


class Pct(Strategy):
    """The process of the highest priority goes on; at ``depth`` - 1 of ``npoints`` points it falls below all others.

    Which points is drawn, and the priorities that the processes begin with. A bug that needs ``depth`` steps of ``n``
    processes in a certain order is found with a probability of 1 / (n * npoints ** (depth - 1)) at least.
    """

    def __init__(self, seed: int, depth: int, npoints: int) -> None:
        self.rng = random.Random(seed)
        places = range(1, max(npoints, depth) + 1)
        self.changes = {n: depth - 1 - i for i, n in enumerate(self.rng.sample(places, depth - 1))}
        self.priority: dict[int, float] = {}
        self.depth = depth
        self.lowest = 0.0
        self.again: dict[int, tuple[int, int]] = {}  # of each processor: whom it took last, how many times in a row

    def of(self, x: Explore, p: Proc) -> float:
        """p's priority: above depth, unless it fell."""
        pid = x.pid(p)
        pri = self.priority.get(pid)
        if pri is None:
            pri = self.priority[pid] = self.depth + self.rng.random()
        return pri

    def fall(self, x: Explore, p: Proc) -> None:
        """Below all."""
        self.lowest -= 1
        self.priority[x.pid(p)] = self.lowest

    def point(self, x: Explore, p: Proc) -> str:
        """Leave off for whoever has a higher priority."""
        mine = self.of(x, p)
        if x.npoints in self.changes:
            mine = self.priority[x.pid(p)] = self.changes[x.npoints]
        procs = x.k.procs
        if procs.nrdy and x.maysched(p) and any(self.of(x, q) > mine for q in x.ready()):
            return SCHED
        if any(m.proc is not None and self.of(x, m.proc) > mine for m in x.k.machs):
            return PAUSE
        return STAY

    def pick(self, x: Explore, m: Mach, ready: list[Proc], first: Proc) -> Proc:
        """The highest; but one that gives up the processor time and again waits for another."""
        best = max(ready, key=lambda p: self.of(x, p))
        pid, n = self.again.get(m.machno, (0, 0))
        n = n + 1 if x.pid(best) == pid else 1
        if n > STUBBORN and len(ready) > 1:
            self.fall(x, best)
            best = max(ready, key=lambda p: self.of(x, p))
            n = 1
        self.again[m.machno] = x.pid(best), n
        return best

    def turn(self, x: Explore, some: list[Mach], first: Mach) -> Mach:
        """The processor that has the highest, or would take it."""
        ready = x.ready()

        def best(m: Mach) -> tuple[float, int]:
            p = m.proc
            return (self.of(x, p) if p is not None else max((self.of(x, q) for q in ready), default=0.0)), -m.machno

        return max(some, key=best)

    def spin(self, x: Explore, p: Proc) -> None:
        """Who has the lock must get on."""
        self.fall(x, p)


class Delays(Strategy):
    """Hold whoever comes to the points of these numbers; in ``useful`` are those where that would change anything."""

    def __init__(self, points: Iterable[int], after: int | None = None) -> None:
        self.points = frozenset(points)
        self.after = after  # from which point on the useful ones are looked for
        self.useful: list[int] = []

    def point(self, x: Explore, p: Proc) -> str:
        """HOLD or STAY."""
        n = x.npoints
        if self.after is not None and n > self.after and x.others(p):
            self.useful.append(n)
        return HOLD if n in self.points else STAY


class Replay(Strategy):
    """Do what was decided. ``left`` are the decisions whose place was not come to, ``void`` those impossible there."""

    def __init__(self, decisions: Iterable[Decision]) -> None:
        self.left = {d.at: d for d in decisions}
        self.void: list[Decision] = []

    def point(self, x: Explore, p: Proc) -> str:
        """What was done here."""
        if not self.left:
            return STAY
        d = self.left.pop(x.at(), None)
        if d is None:
            return STAY
        if (
            (d.do == PAUSE and len(x.k.machs) == 1)
            or (d.do == SCHED and not x.maysched(p))
            or (d.do == INTERRUPT and x.k.m.splhi)
        ):
            self.void.append(d)
            return STAY
        if d.do == HOLD and not x.others(p):
            self.void.append(d)
        return d.do

    def pick(self, x: Explore, m: Mach, ready: list[Proc], first: Proc) -> Proc:
        """Who was taken."""
        d = self.left.pop(x.next(m.machno, PICK), None) if len(ready) > 1 else None
        if d is None:
            return first
        p = next((p for p in ready if x.pid(p) == d.to), None)
        if p is None:
            self.void.append(d)
        return p or first

    def turn(self, x: Explore, some: list[Mach], first: Mach) -> Mach:
        """Which one went on."""
        d = self.left.pop(x.next(0, TURN), None) if len(some) > 1 else None
        if d is None:
            return first
        m = next((m for m in some if m.machno == d.to), None)
        if m is None:
            self.void.append(d)
        return m or first
