"""System calls on segments. Source: port/sysproc.c, port/segment.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.dat import BSEG, ESEG, NSEG, PG_TXTFLUSH, SG_DATA, SG_PHYSICAL, SG_STACK, SG_TEXT, SG_TYPE, SSEG, Page
from kernel.base.error import Ebadarg, Enovmem, Error, Esoverlap
from kernel.base.kernel import current
from kernel.base.mem import BY2PG, MASK32, PGMASK, PGROUND, PTEMAPMEM, USTKTOP
from kernel.base.text import kbytes
from kernel.memory.fault import seg, validaddr
from kernel.memory.mmu import flushmmu
from kernel.memory.procflush import procflushseg
from kernel.memory.segment import ibrk, isoverlap, mfreeseg, newseg, putseg, segevent
from kernel.memory.uaccess import memchr, ustreq, vmemchr
from kernel.sched.qlock import qlock, qunlock

if TYPE_CHECKING:
    from kernel.base.dat import Pte
    from kernel.base.kernel import Args, Kernel
    from kernel.base.procdat import Proc


def segattach(k: Kernel, p: Proc, attr: int, name: str | int, va: int, len: int) -> int:
    """Attach len bytes of the named kind of segment to p at va, or below the stack if va is 0; its address.

    The name may be the address of a string of the user's, which the caller has looked at, after the test of va
    that the original makes first. Errors: Ebadarg, Enovmem, Esoverlap. Source: port/segment.c:segattach.
    """
    if va != 0 and va >= USTKTOP:
        raise Error(Ebadarg)

    for sno in range(NSEG):
        if p.seg[sno] is None and sno != ESEG:
            break
    else:
        raise Error(Enovmem)

    if k.variant.fix_e9fddbaad:
        len = len + (va & PGMASK) & MASK32
    len = PGROUND(len)
    if len == 0:
        raise Error(Ebadarg)

    # The highest hole below the stack that is large enough, but never page zero
    if va == 0:
        os = p.seg[SSEG]
        while os is not None:
            va = os.base
            if len >= va:
                raise Error(Enovmem)
            va -= len
            os = isoverlap(k, p, va, len)

    va &= ~PGMASK
    if va == 0 or (va + len) & MASK32 > USTKTOP or (va + len) & MASK32 < va:
        raise Error(Ebadarg)

    if isoverlap(k, p, va, len) is not None:
        raise Error(Esoverlap)

    for ps in k.physseg:
        if name == ps.name or (isinstance(name, int) and ustreq(k, name, kbytes(ps.name))):
            break
    else:
        raise Error(Ebadarg)
    if len > ps.size:
        raise Error(Enovmem)

    attr &= ~SG_TYPE  # the type is not the caller's to choose
    attr |= ps.attr
    s = newseg(k, attr & 0xFFFF, va, len // BY2PG)
    s.pseg = ps
    p.seg[sno] = s
    if k.sink is not None:
        segevent(k, "attach", s, p=p, slot=sno)
    return va


def pteflush(k: Kernel, pte: Pte, s: int, e: int) -> None:
    """Have the pages s..e of a table forgotten by instruction fetch. Source: port/segment.c:pteflush."""
    for n in range(s, e):
        pg = pte.pages[n]
        if isinstance(pg, Page):
            pg.cachectl[:] = bytes([PG_TXTFLUSH]) * len(pg.cachectl)


def segflush(k: Kernel, addr: int, len: int) -> int:
    """syssegflush(): the caller changed code in addr..addr+len. Source: port/segment.c:syssegflush.

    An unaligned address or length makes the length wrap around below zero: it ends in Ebadarg after
    having flushed too much, as in the original.
    """
    up = k.up
    assert up is not None
    if k.variant.fix_4d211fdd4:
        return wholeflush(k, up, addr, len)
    while len > 0:
        s = seg(k, up, addr, 1)
        if s is None:
            raise Error(Ebadarg)
        s.flushme = True
        if s.ref > 1 and k.variant.fix_30ab804b5:
            procflushseg(k, s)
        while True:
            l = len
            if (addr + l) & MASK32 > s.top:
                l = s.top - addr
            ps = addr - s.base
            pte = s.map[ps // PTEMAPMEM]
            ps &= PTEMAPMEM - 1
            pe = PTEMAPMEM
            if pe - ps > l:
                pe = PGROUND(ps + l)
            if pe == ps:
                qunlock(k, s)
                raise Error(Ebadarg)
            if pte is not None:
                pteflush(k, pte, ps // BY2PG, pe // BY2PG)
            chunk = pe - ps
            len = (len - chunk) & MASK32
            addr = (addr + chunk) & MASK32
            if not (len > 0 and addr < s.top):
                break
        qunlock(k, s)
    flushmmu(k)
    return 0


def wholeflush(k: Kernel, up: Proc, start: int, len: int) -> int:
    """segflush() of 4d211fdd4, by whole pages. Source: port/segment.c:syssegflush."""
    to = PGROUND(start + len & MASK32) & MASK32
    start &= ~PGMASK
    if to < start:
        raise Error(Ebadarg)
    while start < to:
        s = seg(k, up, start, 1)
        if s is None:
            raise Error(Ebadarg)
        s.flushme = True
        if s.ref > 1 and k.variant.fix_30ab804b5:
            procflushseg(k, s)
        while start < min(to, s.top):
            off = start - s.base
            pte = s.map[off // PTEMAPMEM]
            off &= PTEMAPMEM - 1
            n = min(min(to, s.top) - start, PTEMAPMEM - off)
            if pte is not None:
                pteflush(k, pte, off // BY2PG, (off + n) // BY2PG)
            start += n
        qunlock(k, s)
    flushmmu(k)
    return 0


def syssegbrk(k: Kernel, args: Args) -> int:
    """Move the end of the segment that holds an address. Source: port/sysproc.c:syssegbrk."""
    up = current(k)
    for i, s in enumerate(up.seg):
        if s is None or not s.base <= args[0] < s.top:
            continue
        if s.type & SG_TYPE in (SG_TEXT, SG_DATA, SG_STACK):
            raise Error(Ebadarg)
        if s.type & SG_TYPE == SG_PHYSICAL and k.variant.fix_eaf91d0f8:
            raise Error(Ebadarg)
        return ibrk(k, args[1], i)
    raise Error(Ebadarg)


def syssegattach(k: Kernel, args: Args) -> int:
    """Attach a segment by name. Source: port/sysproc.c:syssegattach."""
    attr, name, va, len = args[:4]
    if va != 0 and va >= USTKTOP:
        raise Error(Ebadarg)
    validaddr(k, name, 1, False)
    if k.variant.original_segname:
        memchr(k, name, 0)
    else:
        vmemchr(k, name, 0, 0x7FFFFFFF)
    return segattach(k, current(k), attr, name, va, len)


def syssegdetach(k: Kernel, args: Args) -> int:
    """Give up the segment that holds an address, but not the stack. Source: port/sysproc.c:syssegdetach."""
    up = current(k)
    addr = args[0]
    qlock(k, up.seglock)
    for i in range(NSEG):
        s = up.seg[i]
        if s is not None:
            qlock(k, s)
            if s.base <= addr < s.top or (s.top == s.base and addr == s.base):
                break
            qunlock(k, s)
    else:
        qunlock(k, up.seglock)
        raise Error(Ebadarg)
    if s is up.seg[SSEG]:
        qunlock(k, s)
        qunlock(k, up.seglock)
        raise Error(Ebadarg)
    up.seg[i] = None
    if k.sink is not None:
        segevent(k, "detach", s, p=up, slot=i)
    qunlock(k, s)
    putseg(k, s)
    qunlock(k, up.seglock)
    flushmmu(k)
    return 0


def syssegfree(k: Kernel, args: Args) -> int:
    """Give up whole pages inside one segment; they read as fresh. Source: port/sysproc.c:syssegfree."""
    start = args[0]
    fixed = k.variant.fix_fcc336b90
    if fixed and start + args[1] > MASK32:
        raise Error(Ebadarg)
    s = seg(k, current(k), start, 1)
    if s is None:
        raise Error(Ebadarg)
    to = (args[1] + start) & MASK32 & ~PGMASK
    start = PGROUND(start)
    if fixed and start >= to:
        qunlock(k, s)
        return 0
    if to > s.top:
        qunlock(k, s)
        raise Error(Ebadarg)
    # the original divides an unsigned difference: a negative one is a huge count that ends at the map's end
    pages = ((to - start) & MASK32) // BY2PG
    mfreeseg(k, s, start, pages)
    qunlock(k, s)
    flushmmu(k)
    return 0


def syssegflush(k: Kernel, args: Args) -> int:
    """Code was changed by data stores: have it fetched anew. Source: port/segment.c:syssegflush."""
    return segflush(k, args[0], args[1])


def sysbrk_(k: Kernel, args: Args) -> int:
    """Move the end of the bss. Source: port/sysproc.c:sysbrk_."""
    return ibrk(k, args[0], BSEG)
