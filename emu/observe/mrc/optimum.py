"""The fewest misses there can be: Belady's MIN, which gives up the page that is needed again last."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from heapq import heappop, heappush


class Optimum:
    """A string, and when each page of it is touched next. A page that is gone is never."""

    def __init__(self, string: Sequence[int]) -> None:
        self.string = [page for page in string if page >= 0]
        never = len(self.string)
        self._next = array("q", bytes(8 * never))
        coming: dict[int, int] = {}
        for now in range(never - 1, -1, -1):
            page = self.string[now]
            self._next[now] = coming.get(page, never + page)
            coming[page] = now

    def misses(self, frames: int) -> int:
        """How many references a memory of so many frames must miss, the first of each page with them."""
        due: dict[int, int] = {}  # of a page in memory, when it is touched next
        last: list[int] = []  # the same times, the latest first, negative; those that have passed too
        never = len(self.string)
        missed = 0
        for page, coming in zip(self.string, self._next, strict=True):
            if page not in due:
                missed += 1
                if len(due) == frames:
                    self._evict(due, last, never)
            due[page] = coming
            heappush(last, -coming)
        return missed

    def _evict(self, due: dict[int, int], last: list[int], never: int) -> None:
        while True:
            time = -heappop(last)
            page = self.string[time] if time < never else time - never
            if due.get(page) == time:
                del due[page]
                return
