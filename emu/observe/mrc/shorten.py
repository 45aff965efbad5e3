"""A string of references without those that no memory of WIDTH pages or more can miss.

The string is cut into phases, each as long as it can be with WIDTH pages in it. Of a page's references within a phase
the first and the last are kept. Between them fewer than WIDTH other pages are touched, so a memory of WIDTH pages finds
the page in between, by LRU and by the optimum; and as the last one stays, the order of last use is what it was.
(Kaplan, Smaragdakis and Wilson, Flexible reference trace reduction, call it safely allowed drop.)
"""

from array import array
from collections.abc import Iterable
from typing import Final

WIDTH: Final = 16


class Shortened:
    """Takes a string in pieces. ``string`` is what is left of it, ``references`` how many there were in all.

    ``pages`` is how many different pages there were, ``peak`` how many at once.
    """

    def __init__(self, width: int = WIDTH) -> None:
        self.string = array("i")
        self.references = 0
        self.pages = 0
        self.peak = 0
        self.width = width
        self._first: dict[int, int] = {}  # of a page of this phase: when
        self._last: dict[int, int] = {}
        self._gone: list[tuple[int, int]] = []
        self._seen: set[int] = set()  # that are not gone

    def add(self, pages: Iterable[int]) -> None:
        """More references."""
        first, last, now = self._first, self._last, self.references
        width = self.width
        for page in pages:
            if page not in last:
                if len(last) == width:
                    self.end()
                first[page] = now
            last[page] = now
            now += 1
        self.references = now

    def gone(self, page: int) -> None:
        """A page is no more."""
        self._gone.append((self.references, ~page))

    def end(self) -> None:
        """A phase ends, or the string."""
        kept = [(when, page) for page, when in self._first.items()]
        kept += [(when, page) for page, when in self._last.items() if when != self._first[page]]
        # a page that is gone is so after the reference before; and by its number it comes before those at the same time
        kept += self._gone
        kept.sort()
        for _, page in kept:
            if page >= 0:
                if page not in self._seen:
                    self._seen.add(page)
                    self.pages += 1
                    self.peak = max(self.peak, len(self._seen))
            else:
                self._seen.discard(~page)
        self.string.extend(page for _, page in kept)
        self._first.clear()
        self._last.clear()
        self._gone.clear()
