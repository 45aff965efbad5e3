"""Reference counts. Source: port/chan.c:incref, decref, which this commit made of compare-and-swap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.error import Panic

if TYPE_CHECKING:
    from kernel.base.dat import Ref
    from kernel.base.kernel import Kernel


def cmpswap(r: Ref, old: int, new: int) -> bool:
    """Set r's count to new if it is still old; say whether. One instruction on a 386."""
    if r.ref != old:
        return False
    r.ref = new
    return True


def incref(k: Kernel, r: Ref) -> int:
    """Count one more holder of r; the new count. Source: port/chan.c:incref."""
    while True:
        old = r.ref
        if k.explore is None:  # nothing comes between
            r.ref = old + 1
            return old + 1
        k.explore("cmpswap")
        if cmpswap(r, old, old + 1):
            return old + 1


def decref(k: Kernel, r: Ref) -> int:
    """Count one holder less; the new count. Panics if there was none. Source: port/chan.c:decref."""
    while True:
        old = r.ref
        if old <= 0:
            raise Panic("decref")
        if k.explore is None:
            r.ref = old - 1
            return old - 1
        k.explore("cmpswap")
        if cmpswap(r, old, old - 1):
            return old - 1
