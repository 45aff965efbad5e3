"""Swap slots: the entries that name them and the count of each. Source: port/swap.c, port/portdat.h."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.dat import NOADDR, PG_ONSWAP, Page
from kernel.base.error import Panic
from kernel.base.mem import BY2PG
from kernel.sched.taslock import lock, unlock

if TYPE_CHECKING:
    from kernel.base.dat import Entry
    from kernel.base.kernel import Kernel


def onswap(e: Entry) -> bool:
    """Whether a segment's entry names a swap slot. Source: port/portdat.h."""
    return type(e) is int


def pagedout(e: Entry) -> bool:
    """Whether a segment's entry has no page in memory. Source: port/portdat.h."""
    return not isinstance(e, Page)


def swapaddr(e: int) -> int:
    """Disc address of a swap entry. Source: port/portdat.h."""
    return e & ~PG_ONSWAP


def newswap(k: Kernel) -> int:
    """Take a free slot with two references, for the pte and for the write; its disc address, NOADDR if none.

    The search starts at the last slot given out and wraps around; a last slot beyond the top (setswapchan) makes
    it go on beyond the top. Source: port/swap.c:newswap.
    """
    sa = k.swapalloc
    lock(k, sa)
    if sa.free == 0:
        unlock(k, sa)
        return NOADDR
    if sa.last > sa.top:  # top - last is negative, and a huge length for memchr
        look = sa.swmap.find(0, sa.last)
    else:
        look = sa.swmap.find(0, sa.last, sa.top)
        if look < 0:
            look = sa.swmap.find(0, 0, sa.last)
    if look < 0:
        raise Panic("newswap: no free slot")  # the original leaves the map, or writes through a nil pointer
    sa.swmap[look] = 2
    sa.last = look
    sa.free -= 1
    unlock(k, sa)
    return look * BY2PG


def putswap(k: Kernel, p: int) -> None:
    """Drop one reference to the slot of a swap entry. Panics if it has none.

    A count that reached 255 stays there: such slots share xref and are freed together. The parent's next search
    begins at the lowest slot that was freed. Source: port/swap.c:putswap.
    """
    sa = k.swapalloc
    lock(k, sa)
    i = p // BY2PG
    n = sa.swmap[i]
    if n == 0:
        raise Panic(f"putswap {p:#x} ref == 0")
    if n == 255:
        if sa.xref == 0:
            raise Panic(f"putswap {p:#x} xref == 0")
        sa.xref -= 1
        if sa.xref == 0:
            for j in range(sa.top):
                if sa.swmap[j] == 255:
                    sa.swmap[j] = 0
                    if k.parent is not None:
                        sa.last = min(sa.last, j)
                    sa.free += 1
    else:
        sa.swmap[i] = n - 1
        if n == 1:
            if k.parent is not None:
                sa.last = min(sa.last, i)
            sa.free += 1
    unlock(k, sa)


def dupswap(k: Kernel, p: int) -> None:
    """Count one more reference to the slot of a swap entry. Source: port/swap.c:dupswap."""
    sa = k.swapalloc
    lock(k, sa)
    i = p // BY2PG
    if sa.swmap[i] == 255:
        sa.xref += 1
    else:
        sa.swmap[i] += 1
        if sa.swmap[i] == 255:
            sa.xref += 255
    unlock(k, sa)


def swapcount(k: Kernel, daddr: int) -> int:
    """References to the slot at daddr. Source: port/swap.c:swapcount."""
    return k.swapalloc.swmap[daddr // BY2PG]
