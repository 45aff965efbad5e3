"""A strategy beside another one: interrupts come wherever they could."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from kernel.sched.explore import INTERRUPT, STAY, Strategy

if TYPE_CHECKING:
    from kernel.base.procdat import Mach, Proc
    from kernel.sched.explore import Explore

CHANCE: Final = 0.002  # of an interrupt at a point where there is no switch and interrupts are on


class Interrupts(Strategy):
    """What ``inner`` does, and now and then an interrupt where that does nothing."""

    def __init__(self, inner: Strategy, seed: int) -> None:
        self.inner = inner
        self.rng = random.Random(seed ^ 0x1D7)

    def point(self, x: Explore, p: Proc) -> str:
        """An interrupt with the chance CHANCE."""
        do = self.inner.point(x, p)
        if do == STAY and not x.k.m.splhi and self.rng.random() < CHANCE:
            return INTERRUPT
        return do

    def pick(self, x: Explore, m: Mach, ready: list[Proc], first: Proc) -> Proc:
        """The inner one's."""
        return self.inner.pick(x, m, ready, first)

    def turn(self, x: Explore, some: list[Mach], first: Mach) -> Mach:
        """The inner one's."""
        return self.inner.turn(x, some, first)

    def spin(self, x: Explore, p: Proc) -> None:
        """The inner one's."""
        self.inner.spin(x, p)
