"""kmap: frames mapped for the kernel, one table for each process. Source: pc/mmu.c."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from kernel.base.error import Panic
from kernel.base.mem import BY2PG, KMAP, KMAPSIZE, PDX, PTEVALID, PTEWRITE
from kernel.memory.mmu import mmuevent, upallocpdb
from kernel.memory.palloc import mustpage

if TYPE_CHECKING:
    from kernel.base.dat import Page
    from kernel.base.kernel import Kernel


NKPT = KMAPSIZE // BY2PG
KMAPPDX = PDX(KMAP)


# kmap: frames mapped for the kernel, one table for each process


def kmap(k: Kernel, page: Page) -> int:
    """Map a frame for the kernel; its address in KMAP. Source: pc/mmu.c:kmap."""
    w = k.mem.words
    up = k.up
    if up is None:
        raise Panic("kmap: up=0")
    if up.mmupdb is None:
        upallocpdb(k)
    if up.nkmap < 0:
        raise Panic(f"kmap {up.pid} {up.text}: nkmap={up.nkmap}")
    assert up.mmupdb is not None
    up.nkmap += 1
    i = (up.mmupdb.pa >> 2) + KMAPPDX
    if not w[i] & PTEVALID:
        if up.kmaptable is not None:
            raise Panic("kmaptable")
        kt = up.kmaptable = mustpage(k, 0)
        if k.sink is not None:
            mmuevent(k, "kmap", up.mmupdb.pa, KMAP, kt.pa)
        k.mem.table(kt.pa)
        w[i] = kt.pa | PTEWRITE | PTEVALID
        k.mem.zero(kt.pa)
        w[kt.pa >> 2] = page.pa | PTEWRITE | PTEVALID
        up.lastkmap = 0
        return KMAP
    if up.kmaptable is None:
        raise Panic("no kmaptable")
    kpt = up.kmaptable.pa >> 2
    n = up.lastkmap + 1
    if n >= NKPT or w[kpt + n]:  # seldom
        n = _freeslot(w, kpt, n)
    w[kpt + n] = page.pa | PTEWRITE | PTEVALID
    up.lastkmap = n
    return KMAP + n * BY2PG


def _freeslot(w: memoryview[int], kpt: int, o: int) -> int:
    """The first entry of the table at kpt that is free, from o on and then from the start."""
    for n in chain(range(o, NKPT), range(min(o, NKPT))):
        if w[kpt + n] == 0:
            return n
    raise Panic("out of kmap")


def VA(k: Kernel, kk: int) -> int:
    """Physical address of the frame that kmap() mapped at kk, read back from the table."""
    up = k.up
    assert up is not None and up.kmaptable is not None
    pte: int = k.mem.words[(up.kmaptable.pa >> 2) + (kk - KMAP >> 12)]
    return pte & ~0xFFF


def kunmap(k: Kernel, kk: int) -> None:
    """Undo a kmap(). Source: pc/mmu.c:kunmap."""
    w = k.mem.words
    up = k.up
    assert up is not None
    if up.mmupdb is None or not w[(up.mmupdb.pa >> 2) + KMAPPDX] & PTEVALID:
        raise Panic("kunmap: no kmaps")
    if kk < KMAP or kk >= KMAP + KMAPSIZE:
        raise Panic(f"kunmap: bad address {kk:#010x}")
    assert up.kmaptable is not None
    x = (up.kmaptable.pa >> 2) + (kk >> 12 & 0x3FF)
    if not w[x] & PTEVALID:
        raise Panic(f"kunmap: not mapped {kk:#010x}")
    up.nkmap -= 1
    if up.nkmap < 0:
        raise Panic(f"kunmap {up.pid} {up.text}: nkmap={up.nkmap}")
    w[x] = 0  # no TLB ever held it: see flushpg
