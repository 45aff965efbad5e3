"""A loopback on which things take time and go wrong: --net delay, loss, reorder, reset.

Without it what is sent is with its receiver at once (:mod:`kernel.devices.ip.tcp`). With it what is sent waits here,
and a kernel process hands it over when its time has come, as the original's does. Source: ip/loopbackmedium.c.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kernel.base.alloc import BLOCK
from kernel.base.dat import Rendez
from kernel.base.error import Error
from kernel.sched.newproc import kproc
from kernel.sched.sleep import sleep, tsleepns, wakeup

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel

MILLION: Final = 1_000_000
HELD: Final = 1_000_000  # ns that a datagram waits at least while others overtake it


@dataclass(frozen=True)
class Faults:
    """What a wire does to what is sent. Chances are out of a million, ``delay`` is ns."""

    loss: int = 0
    reorder: int = 0
    reset: int = 0
    delay: int = 0

    @property
    def any(self) -> bool:
        """There is a wire at all."""
        return bool(self.loss or self.reorder or self.reset or self.delay)


class Wire:
    """What is under way within one IP stack."""

    def __init__(self, k: Kernel, faults: Faults) -> None:
        self.k = k
        self.faults = faults
        chance = random.Random(0)
        chance.setstate(k.rng.getstate())  # by seed, and /dev/random is not disturbed
        self._rng = random.Random(chance.getrandbits(64))
        self._all: list[tuple[int, int, Callable[[], None]]] = []
        self._n = 0
        self._ready = Rendez()
        self._started = False

    def _chance(self, n: int) -> bool:
        return n > 0 and self._rng.randrange(MILLION) < n

    def after(self, fn: Callable[[], None], more: int = 0) -> None:
        """Call fn when what is sent now arrives, ``more`` ns later than others."""
        self._n += 1
        heapq.heappush(self._all, (self.k.fastticks() + self.faults.delay + more, self._n, fn))
        if not self._started:
            self._started = True
            kproc(self.k, "loopbackread", self._read, atboot=True)
        wakeup(self.k, self._ready)

    def datagram(self, n: int, fn: Callable[[], None]) -> None:
        """Call fn when a datagram of n bytes arrives, if it does: lost by chance, or where no memory is for it."""
        pool = self.k.mainmem
        if self._chance(self.faults.loss) or not pool.alloc(n + BLOCK):
            return

        def arrive() -> None:
            pool.free(n + BLOCK)
            fn()

        self.after(arrive, max(self.faults.delay, HELD) if self._chance(self.faults.reorder) else 0)

    def resets(self) -> bool:
        """Whether somebody on the way puts an end to a stream now."""
        return self._chance(self.faults.reset)

    def _read(self) -> None:
        """The kernel process. Source: ip/loopbackmedium.c:loopbackread."""
        k, all = self.k, self._all
        while True:
            try:
                if not all:
                    sleep(k, self._ready, lambda: bool(all))
                elif (left := all[0][0] - k.fastticks()) > 0:
                    self._wait(all[0], left)
                else:
                    heapq.heappop(all)[2]()
            except Error:
                pass  # a note: it goes on

    def _wait(self, first: tuple[int, int, Callable[[], None]], ns: int) -> None:
        """Until it is time for the first one, or another has come before it."""
        tsleepns(self.k, self._ready, lambda: self._all[0] is not first, ns)
