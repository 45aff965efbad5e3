"""What is to be done later for a conversation. Source: ip/tcp.c:tcpackproc, which looks every 50 ms."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel


class Timers:
    """What is to be done later for conversations: looked at whenever somebody uses the device."""

    def __init__(self, k: Kernel) -> None:
        self.k = k
        self._all: list[tuple[int, int, Callable[[], None]]] = []
        self._n = 0
        self._off: set[int] = set()

    def start(self, ms: int, fn: Callable[[], None]) -> int:
        """Call fn in ms milliseconds; the timer's number."""
        self._n += 1
        heapq.heappush(self._all, (self.k.fastticks() + ms * 1_000_000, self._n, fn))
        return self._n

    def stop(self, n: int) -> None:
        """Take a timer back that has not come yet."""
        if n:
            self._off.add(n)
            if len(self._off) > 1000 and 2 * len(self._off) > len(self._all):
                self._all = [t for t in self._all if t[1] not in self._off]
                heapq.heapify(self._all)
                self._off.clear()

    def due(self) -> int:
        """When the next comes, ns; 0 if none does."""
        while self._all and self._all[0][1] in self._off:
            self._off.discard(heapq.heappop(self._all)[1])
        return self._all[0][0] if self._all else 0

    def run(self) -> None:
        """Do what is due."""
        while self._all and 0 < self.due() <= self.k.fastticks():
            heapq.heappop(self._all)[2]()
