"""Misses by LRU for every size of memory at once: Mattson's stack distances, counted in a Fenwick tree."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import accumulate


class Distances:
    """How deep in the stack of LRU each reference of a string finds its page.

    The stack has the pages by last use. A memory of n frames has the n on top, so a reference that finds its page at
    depth n or above is no miss. A page that is gone leaves a hole, a free frame: what comes to the top presses down
    what is above the topmost hole, and fills that.
    """

    def __init__(self, string: Sequence[int]) -> None:
        self.cold = 0
        depths = self._count(string)
        self._depths = sorted(depths)
        self._upto = [0, *accumulate(depths[d] for d in self._depths)]

    def misses(self, frames: int) -> int:
        """How many references a memory of so many frames misses, the first of each page with them."""
        return self.cold + self._upto[-1] - self._upto[bisect_right(self._depths, frames)]

    def _count(self, string: Sequence[int]) -> Counter[int]:
        depths: Counter[int] = Counter()
        slots = Slots(len(string))
        when: dict[int, int] = {}  # of a page, its slot: the time of its last use
        holes: list[int] = []  # slots of pages that are gone, the latest first, negative
        for now, page in enumerate(string):
            if page < 0:
                was = when.pop(~page, None)
                if was is not None:
                    heappush(holes, -was)
                continue
            old = when.get(page)
            if old is None:
                self.cold += 1
            else:
                depths[slots.since(old)] += 1
            if holes and (old is None or -holes[0] > old):
                slots.add(-heappop(holes), -1)
                if old is not None:
                    heappush(holes, -old)
            elif old is not None:
                slots.add(old, -1)
            slots.add(now, 1)
            when[page] = now
        return depths


class Slots:
    """Counts of slots by time, in a Fenwick tree."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.total = 0
        self._tree = [0] * (size + 1)

    def add(self, time: int, n: int) -> None:
        """n more at a time, from 0 to size - 1."""
        tree, size = self._tree, self.size
        self.total += n
        i = time + 1
        while i <= size:
            tree[i] += n
            i += i & -i

    def since(self, time: int) -> int:
        """How many there are from a time on."""
        tree, before = self._tree, 0
        i = time
        while i:
            before += tree[i]
            i &= i - 1
        return self.total - before
