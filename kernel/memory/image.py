"""The end of an image. Its beginning, attachimage, is in :mod:`kernel.memory.segment`. Source: port/segment.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.dat import IHASHSIZE, Qid
from kernel.base.event import ImageEvent
from kernel.base.mem import MASK32
from kernel.sched.ref import decref
from kernel.sched.taslock import lock, unlock

if TYPE_CHECKING:
    from kernel.base.dat import Image
    from kernel.base.event import ImageOp
    from kernel.base.kernel import Kernel


def imageevent(k: Kernel, op: ImageOp, i: Image) -> None:
    """Tell the trace what happens to i."""
    path = i.c.path.s if i.c is not None and i.c.path is not None else ""
    k.emit(ImageEvent(0, 0, 0, op, i.num, path, i.ref, i.pgref))


def unlockput(k: Kernel, i: Image) -> None:
    """Unlock i and drop one reference to it; with the fix as one step, but for the parent's page cache."""
    if k.variant.fix_61a062ee9 and k.parent is None:
        putimage(k, i, True)
        return
    unlock(k, i)
    putimage(k, i)


def putimage(k: Kernel, i: Image, locked: bool = False) -> None:
    """Drop one reference to i, which may be locked already, and is unlocked then.

    When only cached pages are left the file is closed; when nothing is left the image is free.
    Source: port/segment.c:putimage.
    """
    if k.parent is not None:
        k.parent.putimage(k, i)
        return
    if i.notext:
        decref(k, i)
        if locked:
            unlock(k, i)
        return

    c = None
    if not locked:
        lock(k, i)
    r = decref(k, i)
    if r == i.pgref:
        c = i.c
        if k.sink is not None and c is not None:
            imageevent(k, "close", i)
        i.c = None
    if r == 0:
        ia = k.imagealloc
        h = i.qid.path % IHASHSIZE
        i.qid = Qid(MASK32, MASK32, 0)
        unlock(k, i)

        lock(k, ia)
        last = None
        f = ia.hash[h]
        while f is not None:
            if f is i:
                if last is None:
                    ia.hash[h] = i.hash
                else:
                    last.hash = i.hash
                break
            last = f
            f = f.hash
        i.next = ia.free
        ia.free = i
        unlock(k, ia)
        if k.sink is not None:
            imageevent(k, "free", i)
    else:
        unlock(k, i)
    if c is not None:
        k.hooks.ccloseq(k, c)  # does not block
