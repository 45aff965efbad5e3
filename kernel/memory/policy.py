"""Page-out policies: which pages the pager takes when memory is short.

The kernel's own, :class:`Clock16`, judges a page by its age alone. The others keep lists of all pages they have heard
of, and choose as many as are wanted each time the pager has been round all processes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from kernel.base.dat import Page
    from kernel.base.kernel import Kernel
    from kernel.base.pageoutdat import Key, Policy


class Clock16:
    """A page goes when the pager has been round 16 times and never found it referenced. Source: port/swap.c:pageout."""

    faults: ClassVar[bool] = False

    def old(self, k: Kernel, p: Page, key: Key, referenced: bool) -> bool:
        """Stamp a page that was referenced; take it by the age of its stamp."""
        if referenced:
            p.refage = k.ageclock
            return False
        age = (k.ageclock - p.refage) & 0xFFFF
        return 16 <= age < 0x8000  # a signed 16-bit difference

    def round(self, k: Kernel) -> None:
        """The pager itself counts ``k.ageclock``."""

    def fault(self, key: Key) -> None:
        """Not asked for."""


class Average:
    """A page goes when it is older than the average was in the last round. Source: port/swap.c of the parent."""

    faults: ClassVar[bool] = False

    def __init__(self) -> None:
        self.genage = self.genclock = self.gencount = self.gensum = 0

    def old(self, k: Kernel, p: Page, key: Key, referenced: bool) -> bool:
        """Stamp a page that was referenced, and compare. Source: port/swap.c:pageout of the parent."""
        if referenced:
            p.refage = self.genclock
        age = self.genclock - p.refage
        self.gensum += age
        self.gencount += 1
        return age > self.genage

    def round(self, k: Kernel) -> None:
        """Source: port/swap.c:gentick of the parent."""
        self.genclock += 1
        self.genage = self.gensum // self.gencount if self.gencount else 0
        self.gensum = self.gencount = 0

    def fault(self, key: Key) -> None:
        """Not asked for."""


class Listed:
    """What the policies with lists have in common. A subclass has arrive, touch, leave, and choose."""

    faults: ClassVar[bool] = True

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.rounds = 0
        self.heard: dict[Key, int] = {}  # pages in memory, and the round in which they were last heard of
        self.victims: set[Key] = set()

    def fault(self, key: Key) -> None:
        """It is new, or it is used."""
        if key in self.heard:
            self.touch(key)
        else:
            self.arrive(key)
        self.heard[key] = self.rounds
        self.victims.discard(key)

    def old(self, k: Kernel, p: Page, key: Key, referenced: bool) -> bool:
        """Whether it was chosen, and not used since. What a fork copied is heard of here first."""
        if key not in self.heard:
            self.arrive(key)
        self.heard[key] = self.rounds
        if key not in self.victims:
            return False
        self.victims.discard(key)
        del self.heard[key]
        self.leave(key, True)
        return True

    def round(self, k: Kernel) -> None:
        """Forget what has gone otherwise, with its segment for one, and choose as many as are wanted."""
        for key in [key for key, last in self.heard.items() if last < self.rounds - 1]:
            del self.heard[key]
            self.leave(key, False)
        self.rounds += 1
        want = max(k.swapalloc.headroom - k.palloc.freecount, 1)
        self.victims = set(islice(self.choose(want), want))

    # What a policy is

    def arrive(self, key: Key) -> None:
        """A page that was not in memory, or not known, is there now."""

    def touch(self, key: Key) -> None:
        """A page that is in memory was used, after the pager had unmapped it."""

    def leave(self, key: Key, out: bool) -> None:
        """A page is in memory no more: paged out, or gone."""

    def choose(self, want: int) -> Iterable[Key]:
        """Pages in memory, which first to take first; more than are wanted are not looked at."""
        return self.heard


class Fifo(Listed):
    """Who came first goes first."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self.queue: dict[Key, None] = {}  # in the order of arrival

    def arrive(self, key: Key) -> None:
        self.queue[key] = None

    def leave(self, key: Key, out: bool) -> None:
        del self.queue[key]

    def choose(self, want: int) -> Iterable[Key]:
        return self.queue


class Lru(Fifo):
    """Whose last use is longest ago goes first: first in, first out, and a use puts a page at the end."""

    def touch(self, key: Key) -> None:
        del self.queue[key]
        self.queue[key] = None


class Random(Listed):
    """Any page."""

    def choose(self, want: int) -> Iterable[Key]:
        return self.rng.sample(list(self.heard), min(want, len(self.heard)))


class Ghosts:
    """The names of pages that have gone, the last so many of them."""

    def __init__(self) -> None:
        self.names: dict[Key, None] = {}

    def add(self, key: Key, most: int) -> None:
        """Remember key, and no more than so many."""
        self.names[key] = None
        while len(self.names) > most:
            del self.names[next(iter(self.names))]

    def take(self, key: Key) -> bool:
        """Whether key is remembered; it is no longer."""
        return key in self.names and self.names.pop(key) is None


class TwoQ(Listed):
    """Who comes back after it went is kept by its last use; who came once goes first. Johnson and Shasha, VLDB 1994.

    Kin is a quarter of the pages in memory, Kout half of them.
    """

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self.a1in: dict[Key, None] = {}  # came once, in that order
        self.am: dict[Key, None] = {}  # came back, in the order of use
        self.a1out = Ghosts()

    def arrive(self, key: Key) -> None:
        (self.am if self.a1out.take(key) else self.a1in)[key] = None

    def touch(self, key: Key) -> None:
        if key in self.am:
            del self.am[key]
            self.am[key] = None

    def leave(self, key: Key, out: bool) -> None:
        if key in self.am:
            del self.am[key]
            return
        del self.a1in[key]
        if out:
            self.a1out.add(key, len(self.heard) // 2)

    def choose(self, want: int) -> Iterable[Key]:
        surplus = max(len(self.a1in) - len(self.heard) // 4, 0)
        yield from islice(self.a1in, surplus)
        yield from self.am
        yield from islice(self.a1in, surplus, None)


class S3Fifo(Listed):
    """Three queues and no order of use: who is not used while in the small one goes first. Yang and others, SOSP 2023.

    The small queue is a tenth of the pages in memory. A page used more than once there moves to the main one; there
    each use, up to three, is another time round.
    """

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self.small: dict[Key, int] = {}  # how often used
        self.main: dict[Key, int] = {}
        self.ghost = Ghosts()

    def arrive(self, key: Key) -> None:
        (self.main if self.ghost.take(key) else self.small)[key] = 0

    def touch(self, key: Key) -> None:
        queue = self.small if key in self.small else self.main
        queue[key] = min(queue[key] + 1, 3)

    def leave(self, key: Key, out: bool) -> None:
        if self.small.pop(key, None) is None:
            del self.main[key]
        elif out:
            self.ghost.add(key, len(self.main))

    def choose(self, want: int) -> Iterable[Key]:
        surplus = max(len(self.small) - len(self.heard) // 10, 0)
        first, rest = list(self.small)[:surplus], list(self.small)[surplus:]
        for key in first:
            if self.small[key] > 1:
                del self.small[key]
                self.main[key] = 0
            else:
                yield key
        left = list(self.main)
        while left:
            for key in [key for key in left if not self.main[key]]:
                left.remove(key)
                yield key
            for key in left:
                self.main[key] = self.main.pop(key) - 1
        yield from rest


POLICIES: Final[dict[str, Callable[[random.Random], Policy]]] = {
    "clock16": lambda rng: Clock16(),
    "average": lambda rng: Average(),
    "fifo": Fifo,
    "random": Random,
    "lru": Lru,
    "2q": TwoQ,
    "s3fifo": S3Fifo,
}
