"""One frame seen for a moment, wherever it lies. Source: pc/mmu.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.error import Panic
from kernel.base.event import TlbEvent
from kernel.base.mem import KZERO, MASK32, PDX, PPN, PTEVALID, PTEWRITE, PTX, TMPADDR, USTKTOP

if TYPE_CHECKING:
    from kernel.base.dat import Page
    from kernel.base.kernel import Kernel


LOWMEM = -KZERO & MASK32  # physical memory the kernel's window at KZERO can show


def flushpg(k: Kernel, va: int) -> None:
    """Forget one page's translation on this processor. Source: pc/mmu.c:flushpg."""
    if va >= USTKTOP:
        return  # KMAP and TMPADDR are used through the tables here: no TLB ever holds them
    k.m.cpu.invlpg(va)
    if k.sink is not None and "tlb" in k.kinds:
        k.emit(TlbEvent(0, 0, 0, "page", va, k.m.cpu.getcr3()))


def _tmpentry(k: Kernel) -> int:
    w = k.mem.words
    return (PPN(w[(k.m.cpu.getcr3() >> 2) + PDX(TMPADDR)]) >> 2) + PTX(TMPADDR)


def tmpmap(k: Kernel, p: Page) -> int:
    """Map one frame for a moment, to edit a page directory: in the window at KZERO if it lies there, else at
    TMPADDR. Source: pc/mmu.c:tmpmap."""
    if not k.m.splhi:
        raise Panic("tmpaddr: islo")
    if p.pa < LOWMEM:
        return KZERO + p.pa
    w = k.mem.words
    e = _tmpentry(k)
    if not w[e] & PTEVALID:
        raise Panic("tmpmap: no entry")
    if PPN(w[e]) != PPN(TMPADDR - KZERO):
        raise Panic(f"tmpmap: already mapped entry={w[e]:#010x}")
    w[e] = p.pa | PTEWRITE | PTEVALID
    flushpg(k, TMPADDR)
    return TMPADDR


def tmpunmap(k: Kernel, v: int) -> None:
    """Undo a tmpmap(). Source: pc/mmu.c:tmpunmap."""
    if not k.m.splhi:
        raise Panic("tmpaddr: islo")
    if v >= KZERO and v != TMPADDR:
        return
    if v != TMPADDR:
        raise Panic("tmpunmap: bad address")
    w = k.mem.words
    e = _tmpentry(k)
    if not w[e] & PTEVALID or PPN(w[e]) == PPN(TMPADDR - KZERO):
        raise Panic(f"tmpmap: not mapped entry={w[e]:#010x}")
    w[e] = PPN(TMPADDR - KZERO) | PTEWRITE | PTEVALID
    flushpg(k, TMPADDR)


def kword(k: Kernel, v: int) -> int:
    """Word index of what tmpmap() returned."""
    if v == TMPADDR:
        return PPN(k.mem.words[_tmpentry(k)]) >> 2
    return v - KZERO >> 2
