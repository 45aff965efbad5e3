"""The page cache that the commit replaced: its data, and what there is in place of the commit's functions.

Source: port/portdat.h, port/page.c, port/segment.c, port/swap.c, all of the commit's parent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kernel.base.dat import PGHSIZE, Image, Lock, Page

if TYPE_CHECKING:
    from kernel.base.dat import Pte, Segment
    from kernel.base.kernel import Kernel


class ParentPage(Page):
    """A frame with a lock of its own, on the free list, on a hash chain, or on both.

    ``next`` and ``prev`` link the free list, ``hash`` the chain. The original's ``gen`` is ``refage``. Source:
    port/portdat.h of the parent.
    """

    __slots__ = ("hash", "lk", "prev")

    def __init__(self, pa: int, nmach: int) -> None:
        super().__init__(pa, nmach)
        self.lk = Lock()
        self.prev: ParentPage | None = None
        self.hash: ParentPage | None = None


class Parent:
    """``k.parent`` where that page cache is used: one hash of all cached pages, a free list with two ends.

    A page nobody references is on the free list, cached or not. ``fresh`` stands there for the frames that were never
    handed out, lowest address first. The functions are set when the kernel is made; each has the commit's name, and
    is called by the commit's function.
    """

    def __init__(self) -> None:
        self.hash: list[ParentPage | None] = [None] * PGHSIZE
        self.hashlock = Lock()
        self.tail: ParentPage | None = None
        self.fresh = ParentPage(-1, 0)

    # port/page.c
    pagechainhead: Callable[[Kernel, Page], None]
    takehead: Callable[[Kernel], Page | None]  # the part of newpage and auxpage that takes the page
    putpage: Callable[[Kernel, Page | int], None]
    cachepage: Callable[[Kernel, Page, Image], None]
    uncachepage: Callable[[Kernel, Page], None]
    lookpage: Callable[[Kernel, Image, int], Page | None]
    cachedel: Callable[[Kernel, Image, int], None]
    duppage: Callable[[Kernel, Page], None]  # the part of ptecpy that counts one more reference
    # port/segment.c
    imagereclaim: Callable[[Kernel], int]
    putimage: Callable[[Kernel, Image], None]
    mcountseg: Callable[[Kernel, Segment], int]
    mfreeseg: Callable[[Kernel, Segment, int, int], None]
    # port/fault.c
    alone: Callable[[Kernel, Page], None]  # the part of fixfault that looks whether a page need not be copied
    # port/swap.c
    pager: Callable[[Kernel], None]
    pagepte: Callable[[Kernel, int, Pte, int], None]
    # of our own
    check: Callable[[Kernel], Any]  # a kernel.memory.check.Check
