"""Choosing that page cache for a kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.parentdat import Parent
from kernel.memory.parent.check import ParentCheck
from kernel.memory.parent.page import (
    cachedel,
    cachepage,
    duppage,
    lookpage,
    pagechainhead,
    pageinit,
    putpage,
    takehead,
    uncachepage,
)
from kernel.memory.parent.segment import alone, imagereclaim, mcountseg, mfreeseg, putimage
from kernel.memory.parent.swap import pagepte, pager

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel


def link(k: Kernel) -> None:
    """Have k, which has handed out no page yet, use the page cache of the commit's parent."""
    c = k.parent = Parent()
    c.pagechainhead, c.takehead, c.putpage = pagechainhead, takehead, putpage
    c.cachepage, c.uncachepage, c.lookpage, c.cachedel, c.duppage = cachepage, uncachepage, lookpage, cachedel, duppage
    c.imagereclaim, c.putimage, c.mcountseg, c.mfreeseg = imagereclaim, putimage, mcountseg, mfreeseg
    c.alone = alone
    c.pager, c.pagepte = pager, pagepte
    c.check = ParentCheck
    pageinit(k)
