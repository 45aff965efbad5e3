"""The exploring scheduler: switches where the plain one never would, by a seeded policy.

The original's races are between processors and with the clock interrupt. Here nothing runs between two switch
points, so without help they would not happen. ``k.explore`` is called at every lock operation and in
the gap between the load and the compare-and-swap of a reference count; this one then may let another processor
run on (locks stay held), or, where interrupts are on and no spin lock is held, another process.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from greenlet import getcurrent

from kernel.base.error import Panic
from kernel.base.procdat import Running
from kernel.sched.dispatch import dispatch
from kernel.sched.sched import pause, sched

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel


SWITCH: Final = 0.05  # chance of a switch at one point
LEAD: Final = 10_000_000  # ns of virtual time a processor may be ahead of the slowest
SPINNS: Final = 1000  # virtual time one round on a lock takes
MAXSPIN: Final = 100_000  # rounds on one lock before it counts as a deadlock


class Explore:
    """To be ``k.explore``; also what the run queues and the machine's loop draw from."""

    def __init__(self, k: Kernel, seed: int) -> None:
        self.k = k
        self.rng = random.Random(seed)
        self.spins = 0

    def __call__(self, point: str) -> None:
        """A switch point of the current process."""
        k = self.k
        up = k.up
        if up is None or up.greenlet is not getcurrent():  # the hub's own work
            if point == "spin":
                self.goon()
            return
        if point == "spin":
            self.spins += 1
            if len(k.machs) == 1 or self.spins > MAXSPIN:
                raise Panic(f"lock loop: {up!r}")
            # or the holder, on a processor that is ahead, would wait for this one's clock
            k.m.cpu.spend(SPINNS)
            pause(k)
            return
        self.spins = 0
        if self.rng.random() >= SWITCH:
            return
        if len(k.machs) > 1 and self.rng.random() < 0.5:
            pause(k)
        elif up.nlocks == 0 and up.state == Running and not k.m.splhi:
            sched(k)

    def goon(self) -> None:
        """The hub, an interrupt, wants a lock whose holder is paused: let those that hold any go on where they are."""
        k = self.k
        m, up = k.m, k.up
        for other in k.machs:
            if other.proc is not None and other.proc.nlocks:
                other.until = max(other.until, other.cpu.now() + 1)
                dispatch(k, other)
        k.m, k.up = m, up
