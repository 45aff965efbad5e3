"""Page directories and page tables as they were seen, and a check of what has changed: a part of
:mod:`kernel.memory.recheck`.

All of them are compared with what they were, word for word, so it does not matter who has stored to them: the kernel,
the processor, or somebody by mistake.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import compress
from typing import TYPE_CHECKING, Final

from kernel.base.dat import SG_PHYSICAL, SG_TEXT, SG_TYPE, Page
from kernel.base.mem import (
    BY2PG,
    KMAP,
    PDX,
    PTEACCESSED,
    PTEDIRTY,
    PTEMAPMEM,
    PTEUSER,
    PTEVALID,
    PTEWRITE,
    USTKTOP,
)
from kernel.base.procdat import Dead, Proc_exitbig
from kernel.memory.check import midway
from kernel.memory.mmu import mmupages
from kernel.sched.newproc import everyproc

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Mach, Proc


USER: Final = (PDX(USTKTOP) + 1) * 4  # bytes of a page directory that are about user addresses
NOTHING: Final = bytes(BY2PG)
PART: Final = 1024  # bytes of a page table that are compared at once
PIECE: Final = 128  # and, if they differ, as one number


class Suspicion(Exception):
    """Something may be wrong."""


class Tables:
    """What was seen of a process's page directory and page tables."""

    __slots__ = ("held", "pages", "pdb", "pdes", "suspects", "used")

    def __init__(self, pdb: Page) -> None:
        self.pdb = pdb
        self.pdes = bytes(USER)
        self.held: list[Page] | None = None  # what the MMU had of the process
        self.used: dict[int, Page] = {}
        self.pages: dict[int, bytes] = {}  # by the number of the page table
        self.suspects: set[int] = set()  # addresses whose word is to be looked at


class Mappings:
    """Those of all processes. ``held`` are the pages that the MMU has of each; the list is another when they are."""

    def __init__(self, k: Kernel, held: dict[Proc | Mach, list[Page]]) -> None:
        self.k = k
        self.held = held
        self.tables: dict[Proc, Tables] = {}
        self.writable: defaultdict[int, set[tuple[Proc, int]]] = defaultdict(set)  # by frame: who may store where

    def suspect(self, p: Proc) -> None:
        """Look at all that p maps."""
        t = self.tables.get(p)
        if t is not None:
            for x, page in t.pages.items():
                words = memoryview(page).cast("I").tolist()
                t.suspects.update(x << 22 | y << 12 for y in compress(range(len(words)), words))

    def changed(self, p: Proc, va: int) -> None:
        """Look at what p maps at va: that has changed, or its counts."""
        t = self.tables.get(p)
        if t is not None and va >> 22 in t.pages:
            t.suspects.add(va)

    def look(self) -> None:
        """Raises Suspicion."""
        k = self.k
        buf, words = k.mem.buf, k.mem.words
        up = k.up
        for p in everyproc(k):
            pdb = p.mmupdb
            t = self.tables.get(p)
            if t is not None and t.pdb is not pdb:
                self._forgettables(p, t)
                t = None
            if pdb is None or p.state == Dead or p.newtlb or p.procctl == Proc_exitbig:
                continue
            if p.inkernel and p is not up and midway(k, p):
                continue
            if t is None:
                t = self.tables[p] = Tables(pdb)
            at = pdb.pa
            pdes = bytes(buf[at : at + USER])
            held = self.held[p]
            if pdes != t.pdes or held is not t.held:
                t.held = held
                self._directory(p, t, pdes)
            kpde = words[(at >> 2) + PDX(KMAP)]
            if kpde & PTEVALID and (p.kmaptable is None or kpde & ~0xFFF != p.kmaptable.pa):
                raise Suspicion
            pages = t.pages
            for x, was in pages.items():
                at = t.used[x].pa
                now = bytes(buf[at : at + BY2PG])
                if now != was:
                    pages[x] = now
                    self._words(p, t, x, was, now)
            if t.suspects:
                self._mappings(p, t)

    def _forgettables(self, p: Proc, t: Tables) -> None:
        for x in list(t.pages):
            self._forgettable(p, t, x)
        del self.tables[p]

    def _forgettable(self, p: Proc, t: Tables, x: int) -> None:
        words = memoryview(t.pages.pop(x)).cast("I").tolist()
        for y in compress(range(len(words)), words):
            if words[y] & PTEWRITE:
                self.writable[words[y] & ~0xFFF].discard((p, x << 22 | y << 12))

    def _directory(self, p: Proc, t: Tables, pdes: bytes) -> None:
        used = {page.daddr: page for what, page in mmupages(self.k, p) if what == "mmuused"}
        words = memoryview(pdes).cast("I").tolist()
        present = list(compress(range(len(words)), words))
        if len(present) != len(used):
            raise Suspicion
        for x in present:
            if x not in used or words[x] & ~0xFFF != used[x].pa:
                raise Suspicion
        for x, page in list(t.used.items()):
            if used.get(x) is not page:
                self._forgettable(p, t, x)
        for x in used:
            t.pages.setdefault(x, NOTHING)
        t.used, t.pdes = used, pdes

    def _words(self, p: Proc, t: Tables, x: int, was: bytes, now: bytes) -> None:
        """A page table has changed."""
        for at in differing(was, now):
            old, new = int.from_bytes(was[at : at + 4], "little"), int.from_bytes(now[at : at + 4], "little")
            va = x << 22 | at << 10
            if old & PTEWRITE:
                self.writable[old & ~0xFFF].discard((p, va))
            if new & PTEVALID:
                if new & PTEWRITE:
                    self.writable[new & ~0xFFF].add((p, va))
                t.suspects.add(va)

    def _mappings(self, p: Proc, t: Tables) -> None:
        """Words of page tables that have changed, or what they map has."""
        words = self.k.mem.words
        later = set()
        for va in t.suspects:
            table = t.used.get(va >> 22)
            if table is None:
                continue
            w = words[(table.pa >> 2) + (va >> 12 & 0x3FF)]
            if not w & PTEVALID:
                continue
            for s in p.seg:
                if s is not None and s.base <= va < s.top:
                    break
            else:
                raise Suspicion
            off = va - s.base
            pte = s.map[off // PTEMAPMEM]
            e = pte.pages[(off & PTEMAPMEM - 1) // BY2PG] if pte is not None else None
            if not isinstance(e, Page) or (w ^ e.pa) & (~0xFFF | PTEUSER) != PTEUSER:
                raise Suspicion
            if w & PTEWRITE:
                if s.type & SG_TYPE == SG_TEXT:
                    raise Suspicion
                if e.ref != 1 or e.image is not None:
                    if not s.locked and s.type & SG_TYPE != SG_PHYSICAL:
                        raise Suspicion
                    later.add(va)
            elif w & (PTEDIRTY | PTEACCESSED) == PTEDIRTY:
                raise Suspicion
        t.suspects = later


def differing(was: bytes, now: bytes) -> list[int]:
    """Where words of two page tables differ, in bytes from the beginning."""
    found: list[int] = []
    for at in range(0, len(now), PART):
        old, new = was[at : at + PART], now[at : at + PART]
        if old == new:
            continue
        for n in range(0, PART, PIECE):
            one, other = old[n : n + PIECE], new[n : n + PIECE]
            if one == other:
                continue
            differ = int.from_bytes(one, "little") ^ int.from_bytes(other, "little")
            while differ:
                word = (differ & -differ).bit_length() - 1 >> 5
                found.append(at + n + 4 * word)
                differ &= -1 << 32 * (word + 1)
    return found
