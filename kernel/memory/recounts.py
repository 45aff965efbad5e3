"""Counts of swap slots and images as they should be, and a check of those that have changed: a part of
:mod:`kernel.memory.recheck`."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from kernel.base.mem import PGSHIFT
from kernel.memory.mappings import Suspicion

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from kernel.base.dat import Image, Page, Segment
    from kernel.base.kernel import Kernel


class Slots:
    """The swap map, and what waits to be written. ``hold`` is told of each page that does, and does no more."""

    def __init__(self, k: Kernel, hold: Callable[[Page, int], None]) -> None:
        self.k = k
        self.hold = hold
        self.want: defaultdict[int, int] = defaultdict(int)
        self.used: set[int] = set()
        self.todo: set[int] = set()  # slots to be looked at
        self.io: list[Page] = []
        self.iobase = 0
        self.ioslot: dict[Page, int] = {}

    def refer(self, slot: int, n: int) -> None:
        """Somebody has n references more to a slot."""
        if slot >= len(self.k.swapalloc.swmap):
            raise Suspicion
        self.want[slot] += n
        self.todo.add(slot)

    def iolist(self) -> None:
        """Bring up to date what waits to be written."""
        k = self.k
        io, base = k.iolist, k.ionext
        if not io and not self.io:
            self.iobase = base
            return
        gone = base - self.iobase if io and base >= self.iobase else len(self.io)
        now = io[base:]
        left = self.io[gone:]
        if now[: len(left)] != left:
            gone, left = len(self.io), []
        for p in self.io[:gone]:
            self.hold(p, -1)
            self.refer(self.ioslot.pop(p), -1)
        for p in now[len(left) :]:
            if p in self.ioslot:
                raise Suspicion
            slot = self.ioslot[p] = p.daddr >> PGSHIFT
            self.hold(p, 1)
            self.refer(slot, 1)
        self.io, self.iobase = now, base

    def touched(self, p: Page) -> None:
        """p was stored to: if it waits to be written, it may be to another slot."""
        slot = self.ioslot.get(p)
        if slot is not None and p.daddr >> PGSHIFT != slot:
            self.refer(slot, -1)
            self.ioslot[p] = slot = p.daddr >> PGSHIFT
            self.refer(slot, 1)

    def look(self, busy: bool) -> None:
        """Raises Suspicion."""
        ch, sa = self.k.changes, self.k.swapalloc
        assert ch is not None
        for slot in ch.slots:
            self.todo.update((slot,) if isinstance(slot, int) else range(len(sa.swmap)))
        ch.slots.clear()
        if self.todo:
            self._slots(busy)
        if sa.free != sa.top:
            used = len(self.used) if sa.top == len(sa.swmap) else sa.top - sa.swmap.count(0, 0, sa.top)
            if used + sa.free != sa.top and sa.last < sa.top:
                raise Suspicion

    def _slots(self, busy: bool) -> None:
        sa = self.k.swapalloc
        swmap, used = sa.swmap, self.used
        done = []
        for slot in self.todo:
            n, have = self.want[slot], swmap[slot]
            if have:
                used.add(slot)
            else:
                used.discard(slot)
            if min(n, 255) == have:
                done.append(slot)
            elif have != 255 and (have < n or (not busy and not (n == 0 and sa.xref))):
                raise Suspicion
        self.todo.difference_update(done)


class Images:
    """References to images, and the lists that all images are on."""

    def __init__(self, k: Kernel) -> None:
        self.k = k
        self.cached: defaultdict[Image, int] = defaultdict(int)
        self.want: defaultdict[Image, int] = defaultdict(int)
        self.todo: set[Image] = set()  # images to be looked at
        self.places = True  # whether the lists are
        self.hash: list[Image | None] = []
        self.free: Image | None = None
        self.used: set[Image] = set()

    def refer(self, i: Image | None, n: int) -> None:
        """Segments have n references more to i."""
        if i is not None:
            self.want[i] += n
            self.todo.add(i)

    def cache(self, i: Image, n: int) -> None:
        """i has n cached pages more."""
        self.cached[i] += n
        self.refer(i, n)

    def look(self, busy: bool, segments: Container[Segment]) -> None:
        """Raises Suspicion. ``segments`` are those that somebody has."""
        ch = self.k.changes
        assert ch is not None
        ia = self.k.imagealloc
        if ch.images:
            self.todo |= ch.images
            for i in ch.images:
                if i.num >= 0 and (i.ref != 0 or i.pgref != 0) != (i in self.used):
                    self.places = True
            ch.images.clear()
        done = []
        for i in self.todo:
            n = self.want[i]
            fine = i.pgref == self.cached[i]
            if not fine and not i.key:
                raise Suspicion
            if i.num >= 0:
                if i.ref < i.pgref:
                    raise Suspicion
                if i.ref != n:
                    fine = False
                    if not i.key and (i.ref < n or not busy):
                        raise Suspicion
            if fine:
                done.append(i)
        self.todo.difference_update(done)
        if self.places or ch.places or ia.free is not self.free or ia.hash != self.hash:
            ch.places.clear()
            self._places(busy, segments)

    def _places(self, busy: bool, segments: Container[Segment]) -> None:
        """All images are hashed or free."""
        ia = self.k.imagealloc
        self.free, self.hash = ia.free, ia.hash.copy()
        free, hashed = set(), set()
        i = ia.free
        while i is not None and i not in free:
            free.add(i)
            i = i.next
        fine = True
        for b, head in enumerate(ia.hash):
            i = head
            while i is not None and i not in hashed:
                hashed.add(i)
                fine = fine and i.qid.path % 64 == b
                i = i.hash
        self.used = used = {i for i in ia.list if i.ref or i.pgref}
        if used & free or not used <= hashed:
            raise Suspicion
        fine = fine and len(free) + len(used) == len(ia.list)
        fine = fine and all(i.s is None or i.s in segments for i in ia.list)
        if not fine and not busy:
            raise Suspicion
        self.places = not fine
