"""The invariants of the memory subsystem, of what has changed since the last look: what ``--check`` does at each step.

It keeps what :mod:`kernel.memory.check` would count, brings it up to date by ``k.changes``, and looks again at the
pages, slots, images, segments and page table words that a change can concern. Small things that nobody tells of
are compared as a whole: who has which segments, heads of lists, and every page directory and page table of every
process. It says no more than that something may be wrong; then everything is checked, and that check has the word.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import compress
from typing import TYPE_CHECKING, Final

from kernel.base.changes import Changes, Entries, Map
from kernel.base.dat import PGHSIZE, SG_PHYSICAL, SG_TYPE, Page
from kernel.base.mem import BY2PG, PGSHIFT, PTEMAPMEM
from kernel.memory.check import check, midway
from kernel.memory.mappings import Mappings, Suspicion
from kernel.memory.mmu import mmupages, poolpages
from kernel.memory.palloc import pagenumber
from kernel.memory.recounts import Images, Slots
from kernel.sched.newproc import everyproc

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from kernel.base.dat import Entry, Image, Pte, Segment
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Mach, Proc


WHOLE: Final = 1000  # steps from one check of everything to the next


def begin(k: Kernel) -> None:
    """From here on k's structures tell what becomes of them. Before there is a process, and never twice.

    The page cache of the commit's parent has structures of its own, and is always checked as a whole.
    """
    if k.parent is None:
        k.changes = Changes(k)
        k.recheck = Recheck(k)


class Recheck:
    """What was seen of a kernel, and a check of the rest."""

    def __init__(self, k: Kernel) -> None:
        assert k.changes is not None
        self.k = k
        self.changes = k.changes
        self.steps = 0
        self.wholes = 0  # times that all was checked
        self.known = False  # whether what is here is what there was
        self.extra: Counter[int] = Counter()
        self._forget()

    def _forget(self) -> None:
        """As if nothing had been seen."""
        self.segs: dict[Proc, list[Segment | None]] = {}
        self.having: dict[Segment, list[Proc]] = {}  # who has it, as often as he has
        self.maps: dict[Segment, list[Pte | None]] = {}
        self.geometry: dict[Segment, tuple[int, int, int, Image | None]] = {}
        self.heads: dict[Proc, tuple[Page | None, ...]] = {}
        self.held: dict[Proc | Mach, list[Page]] = {}
        self.pools: dict[Mach, tuple[Page | None, int]] = {}
        self.holderof: dict[Page, Proc | Mach] = {}
        self.want: defaultdict[Page, int] = defaultdict(int)  # holders
        self.lists: defaultdict[Page, int] = defaultdict(int)  # lists that it is on
        self.free: list[Page] = []  # the free list, its head last
        self.depth: dict[Page, int] = {}  # index there
        self.chains: dict[tuple[Image, int], list[Page]] = {}
        self.chainof: dict[Page, tuple[Image, int]] = {}
        self.images = Images(self.k)
        self.slots = Slots(self.k, self._hold)
        self.mappings = Mappings(self.k, self.held)
        # what is to be looked at
        self.pages: set[Page] = set()
        self.segments: set[Segment] = set()
        self.busy = False

    def __call__(self) -> list[str]:
        """What is wrong."""
        self.steps += 1
        if self.known and self.steps % WHOLE:
            try:
                self._step()
                return []
            except Suspicion:
                pass
        elif self.known:
            self.wholes += 1
            return check(self.k, self.extra)
        self.wholes += 1
        wrong = check(self.k, self.extra)
        self.known = False
        if not wrong:
            self._learn()
        return wrong

    def hold(self, p: Page, n: int) -> None:
        """A test that drives the kernel by hand has n references more to p; as ``extra`` of check()."""
        self.extra[pagenumber(self.k, p)] += n
        self._hold(p, n)

    def _learn(self) -> None:
        """See everything."""
        for s in self.maps:
            self._drop(s)
        self._forget()
        ch, k = self.changes, self.k
        for i in (*k.imagealloc.list, k.swapimage, k.fscache):
            ch.images.add(i)
            ch.chains.update((i, h) for h in compress(range(PGHSIZE), i.pghash))
        ch.pages.update(k.palloc.pages.values())
        for number, n in self.extra.items():
            self.want[k.palloc.pages[number]] += n
        ch.slots.update(n for n, count in enumerate(k.swapalloc.swmap) if count)
        try:
            self._step()
            self.known = True
        except Suspicion:
            pass

    def _step(self) -> None:
        """Look at what has changed. Raises Suspicion."""
        self._processes()
        self._machs()
        ch = self.changes
        if ch.entries:
            log = ch.entries[:]
            ch.entries.clear()
            for entries, n in log:
                if entries.seen is not None:
                    self._entry(entries, n)
        if ch.ptes:
            self._ptes()
        if ch.segments:
            self._segments()
        self.slots.iolist()
        if ch.pages:
            self._touched()
        if ch.chains:
            self._chains()
        self._freelist()
        if self.segments:
            self._references()
        self.slots.look(self.busy)
        self.images.look(self.busy, self.having)
        self._pages()
        self.mappings.look()

    # Who holds what

    def _hold(self, p: Page, n: int) -> None:
        self.want[p] += n
        self.pages.add(p)

    def _on(self, p: Page, n: int) -> None:
        self.lists[p] += n
        self.pages.add(p)

    def _processes(self) -> None:
        busy = False
        k = self.k
        up = k.up
        for p in everyproc(k):
            if p.seg != self.segs.get(p):
                self._changedsegs(p)
            heads = p.mmupdb, p.mmuused, p.mmufree, p.kmaptable
            if heads != self.heads.get(p):
                self.heads[p] = heads
                self._holds(p, [page for _, page in mmupages(k, p)])
            if p.inkernel and p is not up and not busy:
                busy = midway(k, p)
        self.busy = busy

    def _machs(self) -> None:
        for m in self.k.machs:
            pool = m.pdbpool, m.pdbcnt
            if pool != self.pools.get(m):
                self.pools[m] = pool
                self._holds(m, poolpages(self.k, m))
                if m.pdbcnt != len(self.held[m]):
                    raise Suspicion

    def _holds(self, who: Proc | Mach, now: list[Page]) -> None:
        """The MMU's pages of a process or processor."""
        for p in self.held.get(who, ()):
            self._hold(p, -1)
            self._on(p, -1)
            self.holderof.pop(p, None)
        for p in now:
            self._hold(p, 1)
            self._on(p, 1)
            self.holderof[p] = who
        self.held[who] = now

    def _changedsegs(self, p: Proc) -> None:
        before = self.segs.get(p, ())
        self.segs[p] = now = p.seg.copy()
        for s in now:
            if s is not None:
                self.having.setdefault(s, []).append(p)
                self.segments.add(s)
                if s not in self.maps:
                    self._adopt(s)
        for s in before:
            if s is not None:
                have = self.having[s]
                have.remove(p)
                self.segments.add(s)
                if not have:
                    self._drop(s)
                    del self.having[s], self.maps[s]
        self.mappings.suspect(p)
        self.images.places = True

    def _adopt(self, s: Segment) -> None:
        """A segment is somebody's from here on."""
        if not isinstance(s.map, Map):
            raise Suspicion
        self.geometry[s] = s.type, s.base, s.top, s.image
        self.maps[s] = []
        self.images.refer(s.image, 1)
        self._mapped(s)

    def _mapped(self, s: Segment) -> None:
        """Take the page tables that s has now."""
        was, now = self.maps[s], list(s.map)
        self.maps[s] = now
        if was == now:
            return
        kept = set(now)
        for pte in was:
            if pte is not None and pte not in kept:
                self._unsee(s, pte)
        for n, pte in enumerate(now):
            if pte is not None:
                pages = pte.pages
                assert isinstance(pages, Entries)
                pages.owner = s
                pages.number = n
                if pages.seen is None:
                    pages.seen = seen = list(pages)
                    if s.type & SG_TYPE != SG_PHYSICAL:
                        self._count(seen, 1)
                    self.changes.ptes.add(pte)

    def _unsee(self, s: Segment, pte: Pte) -> None:
        pages = pte.pages
        assert isinstance(pages, Entries)
        if pages.seen is not None:
            if self.geometry[s][0] & SG_TYPE != SG_PHYSICAL:
                self._count(pages.seen, -1)
            pages.seen = pages.owner = None

    def _count(self, seen: Iterable[Entry], n: int) -> None:
        for e in seen:
            if e is not None:
                self._refer(e, n)

    def _refer(self, e: Page | int, n: int) -> None:
        """A segment has one reference more, or less."""
        if isinstance(e, Page):
            self.want[e] += n
            self.pages.add(e)
        else:
            self.slots.refer(e >> PGSHIFT, n)

    def _drop(self, s: Segment) -> None:
        """Nobody has s any more."""
        for pte in self.maps[s]:
            if pte is not None:
                self._unsee(s, pte)
        self.images.refer(self.geometry.pop(s)[3], -1)

    # Segments

    def _entry(self, entries: Entries, n: Any) -> None:
        """An entry of a page table of a segment was stored."""
        seen, s = entries.seen, entries.owner
        assert seen is not None and s is not None
        if not isinstance(n, int):
            for one in range(len(seen)):
                self._entry(entries, one)
            return
        old, new = seen[n], entries[n]
        if old is new or (old == new and type(old) is int):
            return
        seen[n] = new
        kind, base, _, _ = self.geometry[s]
        if kind & SG_TYPE != SG_PHYSICAL:
            if old is not None:
                self._refer(old, -1)
            if new is not None:
                self._refer(new, 1)
        if new is not None and not entries.pte.first <= n <= entries.pte.last:
            raise Suspicion
        va = base + entries.number * PTEMAPMEM + n * BY2PG
        for p in self.having[s]:
            self.mappings.changed(p, va)

    def _ptes(self) -> None:
        for pte in self.changes.ptes:
            pages = pte.pages
            if isinstance(pages, Entries) and pages.seen is not None:
                if any(pages[: pte.first]) or any(pages[pte.last + 1 :]):
                    raise Suspicion
        self.changes.ptes.clear()

    def _segments(self) -> None:
        """Segments were stored to."""
        for s in self.changes.segments:
            if s not in self.maps:
                continue
            self.segments.add(s)
            was = self.geometry[s]
            now = s.type, s.base, s.top, s.image
            if now != was:
                if (now[0] ^ was[0]) & SG_TYPE or now[1] != was[1]:
                    self._drop(s)
                    del self.maps[s]
                    self._adopt(s)
                else:
                    self.images.refer(was[3], -1)
                    self.images.refer(now[3], 1)
                    self.geometry[s] = now
                for p in self.having[s]:
                    self.mappings.suspect(p)
            self._mapped(s)
        self.changes.segments.clear()
        if self.changes.ptes:
            self._ptes()

    def _references(self) -> None:
        """Segments whose references or holders have changed."""
        done = []
        for s in self.segments:
            have = self.having.get(s)
            n = len(have) if have else 0
            if n and (s.ref < n or (s.ref > n and not self.busy)):
                raise Suspicion
            if not n or s.ref == n:
                done.append(s)
        self.segments.difference_update(done)

    # Lists of pages

    def _touched(self) -> None:
        """Pages were stored to: the lists that they are on may be others."""
        for p in self.changes.pages:
            key = self.chainof.get(p)
            if key is not None:
                self.changes.chains.add(key)
            who = self.holderof.get(p)
            if who is not None:
                if who in self.pools:
                    self.pools.pop(who)
                    self._machs()
                else:
                    self._holds(who, [page for _, page in mmupages(self.k, who)])  # type: ignore[arg-type]
            self.slots.touched(p)
        self.pages |= self.changes.pages

    def _chains(self) -> None:
        found: list[tuple[tuple[Image, int], list[Page]]] = []
        keys = self.changes.chains
        for key in list(keys):
            i, h = key
            if not isinstance(h, int):
                keys.remove(key)
                keys.update((i, n) for n in range(PGHSIZE))
        for key in keys:
            i, h = key
            now: list[Page] = []
            p = i.pghash[h]
            while p is not None:
                now.append(p)
                if p.daddr >> PGSHIFT & PGHSIZE - 1 != h or p.image is not i or len(now) > self.k.palloc.user:
                    raise Suspicion
                p = p.next
            was = self.chains.get(key, [])
            if was == now:
                continue
            for p in was:
                self._on(p, -1)
                del self.chainof[p]
            self.images.cache(i, len(now) - len(was))
            found.append((key, now))
        for key, now in found:
            self.chains[key] = now
            for p in now:
                if p in self.chainof:
                    raise Suspicion
                self._on(p, 1)
                self.chainof[p] = key
        keys.clear()

    def _freelist(self) -> None:
        pa = self.k.palloc
        free, depth = self.free, self.depth
        touched = self.changes.pages
        head = pa.head
        if (touched and not depth.keys().isdisjoint(touched)) or head is not (free[-1] if free else None):
            same = min((depth[p] for p in touched if p in depth), default=len(free))  # below it nothing was stored to
            new: list[Page] = []
            p = head
            while p is not None and depth.get(p, same) >= same:
                new.append(p)
                if len(new) > pa.user:
                    raise Suspicion
                p = p.next
            keep = 0 if p is None else depth[p] + 1
            for p in free[keep:]:
                self._on(p, -1)
                del depth[p]
            del free[keep:]
            for p in reversed(new):
                if p in depth:
                    raise Suspicion
                depth[p] = len(free)
                free.append(p)
                self._on(p, 1)
        touched.clear()
        if pa.fresh + len(free) != pa.freecount:
            raise Suspicion

    def _pages(self) -> None:
        """Pages whose fields, holders or lists have changed."""
        busy = self.busy
        later = set()
        want, lists, depth, chainof = self.want, self.lists, self.depth, self.chainof
        writable, changed = self.mappings.writable, self.mappings.changed
        for p in self.pages:
            n, on, ref, image = want[p], lists[p], p.ref, p.image
            if ref != n:
                if ref < n or not busy:
                    raise Suspicion
                later.add(p)
            if p in depth and (ref or image is not None):
                raise Suspicion
            if on != 1:
                if on > 1:
                    raise Suspicion
                if not ref and not n:
                    if not busy:
                        raise Suspicion
                    later.add(p)
            if image is not None:
                key = chainof.get(p)
                if key is None:
                    if not image.key:
                        raise Suspicion
                    later.add(p)
                elif key[0] is not image:
                    raise Suspicion
            elif p in chainof:
                raise Suspicion
            if ref != 1 or image is not None:
                for who, va in writable.get(p.pa, ()):
                    changed(who, va)
        self.pages = later
