"""Segments and images. Source: port/segment.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.alloc import FD, PTE, SEG
from kernel.base.chandat import Chan, eqchantdqid
from kernel.base.dat import (
    BSEG,
    DSEG,
    IHASHSIZE,
    NOADDR,
    PG_ONSWAP,
    SEGNAME,
    SG_BSS,
    SG_DATA,
    SG_PHYSICAL,
    SG_RONLY,
    SG_SHARED,
    SG_TEXT,
    SG_TYPE,
    TSEG,
    Page,
    Pte,
    Qid,
    Segment,
)
from kernel.base.error import Ebadarg, Einuse, Enomem, Enovmem, Error, Esoverlap, Panic
from kernel.base.event import EntryEvent, SegmentEvent
from kernel.base.mem import BY2PG, MASK32, PGROUND, PTEMAPMEM, PTEPERTAB, SEGMAPSIZE, SSEGMAPSIZE
from kernel.memory.image import imageevent, unlockput
from kernel.memory.mmu import flushmmu
from kernel.memory.page import freepte, pagereclaim, ptecpy, putpage
from kernel.memory.procflush import procflushseg
from kernel.sched.broken import freebroken
from kernel.sched.qlock import eqlock, qlock, qunlock
from kernel.sched.ref import decref, incref
from kernel.sched.sleep import resrcwait
from kernel.sched.taslock import lock, unlock

if TYPE_CHECKING:
    from kernel.base.dat import Entry, Image, Physseg
    from kernel.base.event import SegmentOp, SegmentType
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Proc


NPHYSSEG = 10  # the original's table, with its end marker


def segname(s: Segment) -> SegmentType:
    """The word for a segment's type, as traces print it."""
    return SEGNAME[s.type & SG_TYPE]


def segevent(k: Kernel, op: SegmentOp, s: Segment, old: int = 0, p: Proc | None = None, slot: int = -1) -> None:
    """Tell the trace what happens to s; p is the process that has it at slot, or had."""
    image = s.image.num if s.image is not None else -1
    pid = p.pid if p is not None else 0
    k.emit(SegmentEvent(0, 0, 0, op, segname(s), s.base, s.top, s.ref, s.id, image, old, pid, slot))


def entryevent(k: Kernel, s: Segment, va: int, e: Entry) -> None:
    """Tell the trace that s has e at va now."""
    if "entry" not in k.kinds:
        return
    if isinstance(e, Page):
        k.emit(EntryEvent(0, 0, 0, "page", s.id, va, e.pa, NOADDR))
    elif e is not None:
        k.emit(EntryEvent(0, 0, 0, "swap", s.id, va, 0, e & ~PG_ONSWAP))
    else:
        k.emit(EntryEvent(0, 0, 0, "none", s.id, va, 0, NOADDR))


def newseg(k: Kernel, type: int, base: int, size: int) -> Segment:
    """A segment of size pages at base, with ref 1 and no pages.

    Errors: Enovmem (larger than a segment may be), Enomem. Source: port/segment.c:newseg.
    """
    if size > SEGMAPSIZE * PTEPERTAB:
        raise Error(Enovmem)
    if not k.malloc():
        raise Error(Enomem)
    mapsize = (size + PTEPERTAB - 1) // PTEPERTAB
    k.mainmem.need(SEG + FD * mapsize)
    s = Segment(type, base, size)
    s.id = k.nsegment = k.nsegment + 1
    if k.watch is not None:
        k.watch.made(s)
    k.segcreated(s)
    if mapsize > SSEGMAPSIZE:
        if not k.malloc():
            raise Error(Enomem)
        s.map = [None] * mapsize
    k.mainmem.charge(SEG + FD * s.mapsize)
    if k.sink is not None:
        segevent(k, "new", s)
    return s


def growmap(k: Kernel, s: Segment, mapsize: int) -> None:
    """Give s room for so many page tables, if it has less."""
    n = mapsize - s.mapsize
    if n > 0:
        s.map.extend([None] * n)
        k.mainmem.charge(FD * n)


def freeprofile(k: Kernel, s: Segment) -> None:
    """Count no longer where s spends its time."""
    if s.profile is not None:
        k.mainmem.free(len(s.profile) * 4)
        s.profile = None


def putseg(k: Kernel, s: Segment | None) -> None:
    """Drop one reference to s; the last one frees its pages and leaves its image. Source: port/segment.c:putseg."""
    if s is None:
        return
    i = s.image
    if i is not None:
        lock(k, i)
        if decref(k, s) != 0:
            unlock(k, i)
            return
        if i.s is s:
            i.s = None
        unlockput(k, i)
    elif decref(k, s) != 0:
        return
    if k.sink is not None:
        segevent(k, "free", s)
    for pte in s.map:
        if pte is not None:
            freepte(k, s, pte)
            k.mainmem.free(PTE)
    freeprofile(k, s)
    k.mainmem.free(SEG + FD * s.mapsize)
    if k.watch is not None:
        k.watch.freed(s)


def relocateseg(k: Kernel, s: Segment, offset: int) -> None:
    """Add offset to the address of each page of s. Source: port/segment.c:relocateseg.

    The original takes a swap entry for a page pointer and dies of it; here it is a panic.
    """
    for pte in s.map:
        if pte is None:
            continue
        for n in range(pte.first, pte.last + 1):
            e = pte.pages[n]
            if e is None:
                continue
            if not isinstance(e, Page):
                if k.variant.fix_4d211fdd4:
                    continue
                raise Panic(f"relocateseg: entry {e:#x} is on swap")
            e.va = (e.va + offset) & MASK32
    if k.sink is not None:
        segevent(k, "relocate", s)


def dupseg(k: Kernel, seg: list[Segment | None], segno: int, share: int) -> Segment:
    """The segment a child gets for seg[segno]: the same one, or a copy that shares the pages.

    Text, shared and physical segments are always shared, the stack never, data and bss if ``share``
    (RFMEM). A data segment in the text slot becomes text again (data2txt). Errors: those of
    newseg, with the segment unlocked and unchanged. Source: port/segment.c:dupseg.
    """
    s = seg[segno]
    assert s is not None
    qlock(k, s)
    try:
        t = s.type & SG_TYPE
        if t in (SG_TEXT, SG_SHARED, SG_PHYSICAL) or (share and t == SG_BSS):
            n = s
        elif t == SG_DATA and segno == TSEG:
            n = data2txt(k, s)
            qunlock(k, s)
            return n
        elif share and t == SG_DATA:
            n = s
        else:
            k.mainmem.need(PTE * (s.mapsize - s.map.count(None)))
            n = newseg(k, s.type, s.base, s.size)
    except Error:
        qunlock(k, s)
        raise
    if n is s:
        incref(k, s)
        qunlock(k, s)
        if k.sink is not None:
            segevent(k, "share", s)
        return s

    if t == SG_DATA:
        # copy on write plus demand load info
        assert s.image is not None
        incref(k, s.image)
        n.image = s.image
        n.fstart = s.fstart
        n.flen = s.flen
    growmap(k, n, s.mapsize)
    for i, pte in enumerate(s.map):
        if pte is not None:
            n.map[i] = ptecpy(k, pte)
            k.mainmem.charge(PTE)

    if k.sink is not None:
        segevent(k, "dup", n, s.id)
    n.flushme = s.flushme
    if s.ref > 1:
        procflushseg(k, s)
    qunlock(k, s)
    return n


def data2txt(k: Kernel, s: Segment) -> Segment:
    """A text segment from a data one that a debugger made of it. Source: port/devproc.c:data2txt."""
    ps = newseg(k, SG_TEXT | (SG_RONLY if k.variant.fix_d9fec3c70 else 0), s.base, s.size)
    i = s.image
    assert i is not None
    incref(k, i)
    ps.image = i
    if k.sink is not None:
        segevent(k, "image", ps)
    ps.fstart = s.fstart
    ps.flen = s.flen
    ps.flushme = True
    return ps


def segpage(k: Kernel, s: Segment, p: Page) -> None:
    """Put page p at its va in s. Panics if that is outside s. Source: port/segment.c:segpage."""
    if p.va < s.base or p.va >= s.top:
        raise Panic("segpage")
    off = p.va - s.base
    pte = s.map[off // PTEMAPMEM]
    if pte is None:
        k.mainmem.charge(PTE)
        pte = s.map[off // PTEMAPMEM] = Pte()
    n = (off & PTEMAPMEM - 1) // BY2PG
    pte.pages[n] = p
    if k.sink is not None:
        entryevent(k, s, p.va, p)
    if n < pte.first:
        pte.first = n
    if n > pte.last:
        pte.last = n


def attachimage(k: Kernel, type: int, c: Chan, base: int, len: int) -> Image:
    """The image of file c, locked, with a text segment of len pages at base and one more reference to it.

    If the image already has a segment, base and len are ignored. Without a free image, inactive ones
    are emptied, and if that does not help the caller waits. Errors: those of newseg, with the
    image released. Source: port/segment.c:attachimage.
    """
    ia = k.imagealloc
    qid = c.qid
    lock(k, ia)

    # The remains of an earlier, or a running, incarnation of this text
    i = ia.hash[qid.path % IHASHSIZE]
    while i is not None:
        if qid.path == i.qid.path:
            lock(k, i)
            if eqchantdqid(c, i.type, i.dev, i.qid, 0) and qid.type == i.qid.type:
                break
            unlock(k, i)
        i = i.hash

    if i is None:
        while (i := ia.free) is None:
            unlock(k, ia)
            n = imagereclaim(k, 1000, not k.variant.fix_61a062ee9)
            if ia.free is None and (n == 0 or not k.variant.fix_61a062ee9):
                freebroken(k)
                resrcwait(k, "no image after reclaim")
            lock(k, ia)
        ia.free = i.next
        lock(k, i)
        i.type = c.type
        i.dev = c.dev
        i.qid = Qid(qid.path, qid.vers, qid.type)
        i.hash = ia.hash[qid.path % IHASHSIZE]
        ia.hash[qid.path % IHASHSIZE] = i

    unlock(k, ia)
    if i.c is None:
        i.c = c
        c.flag &= ~Chan.CCACHE
        incref(k, c)

    if i.s is None:
        incref(k, i)
        try:
            i.s = newseg(k, type, base, len)
        except Error:
            unlockput(k, i)
            raise
        i.s.image = i
        if k.sink is not None:
            segevent(k, "image", i.s)
    else:
        incref(k, i.s)
    if k.sink is not None:
        imageevent(k, "attach", i)
    return i


def imagereclaim(k: Kernel, min: int, active: bool = True) -> int:
    """Free about min cached pages, going round the images from where the last call broke off.

    While no image structure is free only inactive images give pages. With 61a062ee9 either active ones or others do, as
    told. Source: port/segment.c:imagereclaim.
    """
    if k.parent is not None:
        return k.parent.imagereclaim(k)
    ia = k.imagealloc
    if min == 0 and k.variant.fix_8ed25f24b:
        return 0
    chosen = k.variant.fix_61a062ee9
    eqlock(k, ia.ireclaim)
    n = 0
    nimage = len(ia.list)
    for _ in range(nimage):
        if ia.rotor >= nimage:
            ia.rotor = 0
        i = ia.list[ia.rotor]
        if i.ref != 0 and ((i.ref != i.pgref) == active if chosen else ia.free is not None or i.ref == i.pgref):
            n += pagereclaim(k, i, min - n)
            if n >= min:
                break
        ia.rotor += 1
    qunlock(k, ia.ireclaim)
    return n


def ibrk(k: Kernel, addr: int, seg: int) -> int:
    """Make segment number seg of the current process end at addr; 0, or its base if addr is 0.

    Only the new top is tested against other segments: brk can grow past one. Shrinking flushes the
    whole address space. Errors: Ebadarg, Enovmem, Esoverlap, Einuse (shrinking a shared
    segment). Source: port/segment.c:ibrk.
    """
    up = k.up
    assert up is not None
    s = up.seg[seg]
    if s is None:
        raise Error(Ebadarg)
    if addr == 0:
        return s.base

    qlock(k, s)
    # The bss may start inside the last page of data
    if addr < s.base:
        d = up.seg[DSEG]
        if seg != BSEG or d is None or addr < d.base:
            qunlock(k, s)
            raise Error(Enovmem)
        addr = s.base

    newtop = PGROUND(addr)
    newsize = (newtop - s.base & MASK32) // BY2PG
    if newtop < s.top:
        # Another process may have passed the address to the kernel and be past its check.
        if s.ref > 1:
            qunlock(k, s)
            raise Error(Einuse)
        mfreeseg(k, s, newtop, (s.top - newtop) // BY2PG)
        s.top = newtop
        s.size = newsize
        if k.sink is not None:
            segevent(k, "shrink", s)
        qunlock(k, s)
        flushmmu(k)
        return 0

    for ns in up.seg:
        if ns is None or ns is s:
            continue
        if (newtop > ns.base and s.base < ns.top) if k.variant.fix_29c7ca80c else (ns.base <= newtop < ns.top):
            qunlock(k, s)
            raise Error(Esoverlap)

    if newsize > SEGMAPSIZE * PTEPERTAB:
        qunlock(k, s)
        raise Error(Enovmem)
    mapsize = (newsize + PTEPERTAB - 1) // PTEPERTAB
    growmap(k, s, mapsize)

    s.top = newtop
    s.size = newsize
    if k.sink is not None:
        segevent(k, "grow", s)
    qunlock(k, s)
    return 0


def mcountseg(k: Kernel, s: Segment) -> int:
    """How many pages of s are in memory. The caller holds s. Source: port/segment.c:mcountseg."""
    if k.parent is not None:
        return k.parent.mcountseg(k, s)
    if s.type & SG_TYPE == SG_PHYSICAL and k.variant.fix_eaf91d0f8:
        return 0
    return sum(isinstance(e, Page) for pte in s.map if pte is not None for e in pte.pages)


def mfreeseg(k: Kernel, s: Segment, start: int, pages: int) -> None:
    """Drop pages of s from address start on. The caller holds s. Source: port/segment.c:mfreeseg.

    Other processors flush before a page is freed. On a physical segment the frames, which are
    not the pool's, end up on the free list, as in the original; no guest can attach one.
    """
    if k.parent is not None:
        k.parent.mfreeseg(k, s, start, pages)
        return
    if s.type & SG_TYPE == SG_PHYSICAL and k.variant.fix_eaf91d0f8:
        return
    if s.ref > 1:
        procflushseg(k, s)

    soff = (start - s.base) & MASK32
    j = (soff & PTEMAPMEM - 1) // BY2PG
    for i in range(soff // PTEMAPMEM, s.mapsize):
        if pages <= 0:
            return
        pte = s.map[i]
        if pte is None:
            pages -= PTEPERTAB - j
            j = 0
            continue
        while j < PTEPERTAB:
            e = pte.pages[j]
            if e is not None:
                pte.pages[j] = None
                if k.sink is not None:
                    entryevent(k, s, s.base + (i * PTEPERTAB + j) * BY2PG, None)
                putpage(k, e)
            pages -= 1
            if pages == 0:
                return
            j += 1
        j = 0


def isoverlap(k: Kernel, p: Proc, va: int, len: int) -> Segment | None:
    """A segment of p that has an end of va..va+len inside it, or None.

    Misses one that lies wholly inside the range. Source: port/segment.c:isoverlap.
    """
    newtop = (va + len) & MASK32
    for ns in p.seg:
        if ns is None:
            continue
        if (ns.base < newtop <= ns.top) or (ns.base <= va < ns.top):
            return ns
        if k.variant.fix_29c7ca80c and newtop > ns.base and va < ns.top:
            return ns
    return None


def addphysseg(k: Kernel, new: Physseg) -> int:
    """Make new attachable by its name; -1 if the name is taken or the table full. Source: port/segment.c:addphysseg."""
    if any(ps.name == new.name for ps in k.physseg):
        return -1
    if len(k.physseg) >= NPHYSSEG - 2:
        return -1
    k.physseg.append(new)
    return 0


def isphysseg(k: Kernel, name: str) -> bool:
    """Whether segattach knows the name. Source: port/segment.c:isphysseg."""
    return any(ps.name == name for ps in k.physseg)


def segclock(k: Kernel, pc: int) -> None:
    """Count one tick of profiling at pc. Source: port/segment.c:segclock."""
    up = k.up
    s = up.seg[TSEG] if up is not None else None
    if s is None or s.profile is None:
        return
    s.profile[0] += 10
    if s.base <= pc < s.top:
        s.profile[pc - s.base >> 3] += 10
