"""Page directories and page tables: the 386's own words, in emulated RAM. Source: pc/mmu.c.

The kernel part of every page directory maps physical memory at KZERO, supervisor only, and the
directory itself at VPT. ``vpd`` and ``vpt`` of the original are the directory and tables that CR3
names; here they are reached by the word index of their frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.error import Panic
from kernel.base.event import MmuEvent, TlbEvent
from kernel.base.mem import KMAP, MACHADDR, MASK32, PDX, PPN, PTESIZE, PTEUSER, PTEVALID, PTEWRITE, PTX, VPT, WD2PG
from kernel.memory.palloc import mustpage, pagechainhead, pageevent, pagenumber
from kernel.memory.tmpmap import flushpg, kword, tmpmap, tmpunmap
from kernel.sched.newproc import everyproc
from kernel.sched.sleep import wakeup

if TYPE_CHECKING:
    from kernel.base.dat import Page
    from kernel.base.event import MmuAccess, MmuOp
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Mach, Proc


NPDBPOOL = 10  # page directories a processor keeps ready


def mmuevent(k: Kernel, op: MmuOp, pdb: int, va: int = 0, frame: int = 0, access: MmuAccess = "") -> None:
    """Tell the trace what happens under the directory at pdb."""
    if "mmu" in k.kinds:
        k.emit(MmuEvent(0, 0, 0, op, pdb, va, frame, access))


# Flushing and switching


def flushmmu(k: Kernel) -> None:
    """Forget all user mappings of the current process, because something was deleted.

    They come back on demand. Source: pc/mmu.c:flushmmu.
    """
    up = k.up
    assert up is not None
    s, k.m.splhi = k.m.splhi, True
    up.newtlb = True
    mmuswitch(k, up)
    k.m.splhi = s
    if k.sink is not None and "tlb" in k.kinds:
        k.emit(TlbEvent(0, 0, 0, "flush", 0, k.m.cpu.getcr3()))


def mmupdballoc(k: Kernel) -> Page:
    """A page directory with the kernel's part filled in. Source: pc/mmu.c:mmupdballoc."""
    m, w = k.m, k.mem.words
    s, m.splhi = m.splhi, True
    m.pdballoc += 1
    if m.pdbpool is None:
        m.splhi = False
        page = mustpage(k, 0)
        page.va = VPT + (VPT >> 12) * 4 & MASK32  # vpd
        m = k.m  # newpage may have slept and come back on another processor
        m.splhi = True
        k.mem.table(page.pa)
        pdb = tmpmap(k, page)
        i = kword(k, pdb)
        w[i : i + WD2PG] = w[m.pdb >> 2 : (m.pdb >> 2) + WD2PG]
        w[i + PDX(VPT)] = page.pa | PTEWRITE | PTEVALID
        tmpunmap(k, pdb)
    else:
        page = m.pdbpool
        m.pdbpool = page.next
        page.next = None
        m.pdbcnt -= 1
    m.splhi = s
    return page


def mmupdbfree(k: Kernel, proc: Proc, p: Page) -> None:
    """Keep a page directory for the next process, or leave it to mmurelease. Source: pc/mmu.c:mmupdbfree."""
    m = k.m
    if not m.splhi:
        raise Panic("mmupdbfree: islo")
    m.pdbfree += 1
    if m.pdbcnt >= NPDBPOOL:
        p.next = proc.mmufree
        proc.mmufree = p
    else:
        p.next = m.pdbpool
        m.pdbpool = p
        m.pdbcnt += 1
        if k.sink is not None:
            mmuevent(k, "pool", p.pa)


def mmuptefree(k: Kernel, proc: Proc) -> None:
    """Clear proc's user directory entries and put its page tables on its free list.

    Source: pc/mmu.c:mmuptefree.
    """
    if proc.mmupdb is None or proc.mmuused is None:
        return
    m = k.m
    s, m.splhi = m.splhi, True
    pdb = tmpmap(k, proc.mmupdb)
    i = kword(k, pdb)
    w = k.mem.words
    last = proc.mmuused
    page: Page | None = last
    while page is not None:
        w[i + page.daddr] = 0
        last = page
        page = page.next
    tmpunmap(k, pdb)
    m.splhi = s
    last.next = proc.mmufree
    proc.mmufree = proc.mmuused
    proc.mmuused = None
    if k.sink is not None:
        mmuevent(k, "clear", proc.mmupdb.pa)


def mmuswitch(k: Kernel, proc: Proc) -> None:
    """Load proc's page directory, flushed first if newtlb says so. Source: pc/mmu.c:mmuswitch.

    There are no per-process segment descriptors here.
    """
    m = k.m
    if proc.newtlb:
        mmuptefree(k, proc)
        proc.newtlb = False
        proc.flushes += 1
    if proc.mmupdb is not None:
        pdb = tmpmap(k, proc.mmupdb)
        k.mem.words[kword(k, pdb) + PDX(MACHADDR)] = k.mem.words[(m.pdb >> 2) + PDX(MACHADDR)]
        tmpunmap(k, pdb)
        m.cpu.putcr3(proc.mmupdb.pa)
    else:
        m.cpu.putcr3(m.pdb)
    if k.sink is not None and not proc.kp and "tlb" in k.kinds:
        k.emit(TlbEvent(0, 0, 0, "switch", 0, m.cpu.getcr3()))


def mmurelease(k: Kernel, proc: Proc) -> None:
    """Give back every frame the MMU holds for a dying process, but for its directory if a processor keeps it.

    Called with palloc locked and interrupts off. Source: pc/mmu.c:mmurelease.
    """
    m, w = k.m, k.mem.words
    if not m.splhi:
        raise Panic("mmurelease: islo")
    m.cpu.putcr3(m.pdb)
    kt = proc.kmaptable
    if kt is not None:
        if proc.mmupdb is None:
            raise Panic("mmurelease: no mmupdb")
        kt.ref -= 1
        if kt.ref != 0:
            raise Panic(f"mmurelease: kmap ref {kt.ref}")
        if proc.nkmap:
            raise Panic(f"mmurelease: nkmap {proc.nkmap}")
        pdb = tmpmap(k, proc.mmupdb)
        i = kword(k, pdb) + PDX(KMAP)
        if PPN(w[i]) != kt.pa:
            raise Panic(f"mmurelease: bad kmap pde {w[i]:#010x} kmap {kt.pa:#010x}")
        w[i] = 0
        tmpunmap(k, pdb)
        k.mem.data(kt.pa)
        pagechainhead(k, kt)
        if k.sink is not None:
            pageevent(k, "free", kt)
        proc.kmaptable = None
    if proc.mmupdb is not None:
        mmuptefree(k, proc)
        mmupdbfree(k, proc, proc.mmupdb)
        proc.mmupdb = None
    page = proc.mmufree
    while page is not None:
        nxt = page.next
        page.ref -= 1
        if page.ref != 0:
            raise Panic(f"mmurelease: page->ref {page.ref}")
        k.mem.data(page.pa)
        pagechainhead(k, page)
        if k.sink is not None:
            pageevent(k, "free", page)
        page = nxt
    if proc.mmufree is not None and k.palloc.r.r is not None:
        wakeup(k, k.palloc.r)
    proc.mmufree = None


def upallocpdb(k: Kernel) -> None:
    """Give the current process a page directory and load it. Source: pc/mmu.c:upallocpdb."""
    up = k.up
    assert up is not None
    if up.mmupdb is not None:
        return
    page = mmupdballoc(k)
    m = k.m
    s, m.splhi = m.splhi, True
    pdb = tmpmap(k, page)
    k.mem.words[kword(k, pdb) + PDX(MACHADDR)] = k.mem.words[(m.pdb >> 2) + PDX(MACHADDR)]
    tmpunmap(k, pdb)
    up.mmupdb = page
    if k.sink is not None:
        mmuevent(k, "directory", page.pa)
    m.cpu.putcr3(page.pa)
    m.splhi = s


# User mappings


def putmmu(k: Kernel, va: int, pa: int, page: Page) -> None:
    """Map va of the current process to pa, whose low bits may have PTEWRITE. Source: pc/mmu.c:putmmu.

    The segment is unlocked by now. If the process waits for a frame here, the pager may take the page; the
    original then maps what is no longer the process's. Here that leaves va unmapped, to fault again.
    """
    w = k.mem.words
    up = k.up
    assert up is not None
    flushes = up.flushes
    if up.mmupdb is None:
        upallocpdb(k)
    assert up.mmupdb is not None
    if up.flushes != flushes and not k.variant.original_putmmu:
        return
    x = (up.mmupdb.pa >> 2) + (va >> 22)
    m = k.m
    s, m.splhi = m.splhi, True
    pde = w[x]
    if not pde & PTEVALID:
        pt = up.mmufree
        if pt is None:
            m.splhi = False
            pt = mustpage(k, 0)
            m = k.m
            m.splhi = True
            k.mem.table(pt.pa)
            if up.flushes != flushes and not k.variant.original_putmmu:
                pt.next = up.mmufree
                up.mmufree = pt
                if k.sink is not None:
                    mmuevent(k, "spare", up.mmupdb.pa, 0, pt.pa)
                m.splhi = s
                return
        else:
            up.mmufree = pt.next
        pde = w[x] = pt.pa | PTEUSER | PTEWRITE | PTEVALID
        k.mem.zero(pt.pa)
        pt.daddr = va >> 22
        pt.next = up.mmuused
        up.mmuused = pt
        if k.sink is not None:
            mmuevent(k, "table", up.mmupdb.pa, va >> 22 << 22, pt.pa)
    x = (pde >> 12 << 10) + (va >> 12 & 0x3FF)
    old = w[x]
    new = w[x] = pa | PTEUSER | PTEVALID
    if k.sink is not None:
        mmuevent(k, "map", up.mmupdb.pa, va, page.pa, "write" if pa & PTEWRITE else "read")
    # A 386 walks the tables again when a cached entry forbids a write: an entry that only
    # gained permission needs no flush.
    if old & PTEVALID and ((old ^ new) & ~0xFFF or old & PTEWRITE):
        flushpg(k, va)
    if m.cpu.getcr3() != up.mmupdb.pa:
        raise Panic(f"bad cr3 {m.cpu.getcr3():#010x} {up.mmupdb.pa:#010x}")
    m.splhi = s
    # The frame holds other code than this processor may have decoded from it.
    if page.cachectl[m.machno]:
        m.cpu.forget(page.pa)
        page.cachectl[m.machno] = 0


def pteword(k: Kernel, pdb: int, va: int) -> int:
    """The page table word for va under the directory at pdb, or 0. Follows 4 MB pages."""
    w = k.mem.words
    pde = w[(pdb >> 2) + PDX(va)]
    if not pde & PTEVALID:
        return 0
    if pde & PTESIZE:
        return pde + (PTX(va) << 12)
    return w[(PPN(pde) >> 2) + PTX(va)]


def checkmmu(k: Kernel, va: int, pa: int) -> None:
    """Complain if the current process maps va elsewhere than pa. Source: pc/mmu.c:checkmmu."""
    up = k.up
    if up is None or up.mmupdb is None:
        return
    pte = pteword(k, up.mmupdb.pa, va)
    if pte & PTEVALID and PPN(pte) != pa:
        k.print(f"{up.pid} {up.text}: va={va:#x} pa={pa:#x} pte={pte:#08x}\n")


# Checks


def mmupages(k: Kernel, p: Proc) -> list[tuple[str, Page]]:
    """Frames the MMU holds for p, each with the word for its use."""
    held: list[tuple[str, Page]] = []
    if p.mmupdb is not None:
        held.append(("pdb", p.mmupdb))
    if p.kmaptable is not None:
        held.append(("kmaptable", p.kmaptable))
    for name, head in (("mmuused", p.mmuused), ("mmufree", p.mmufree)):
        pg = head
        while pg is not None and len(held) <= k.palloc.user:  # a list that is a ring has an end here, too
            held.append((name, pg))
            pg = pg.next
    return held


def poolpages(k: Kernel, m: Mach) -> list[Page]:
    """Page directories processor m keeps ready."""
    held: list[Page] = []
    pg = m.pdbpool
    while pg is not None and len(held) <= k.palloc.user:
        held.append(pg)
        pg = pg.next
    return held


def countpagerefs(k: Kernel, ref: dict[int, int]) -> None:
    """Count into ref, by page number, the references the MMU holds. Source: pc/mmu.c:countpagerefs."""
    for p in everyproc(k):
        for _, pg in mmupages(k, p):
            n = pagenumber(k, pg)
            ref[n] = ref.get(n, 0) + 1
    for m in k.machs:
        for pg in poolpages(k, m):
            n = pagenumber(k, pg)
            ref[n] = ref.get(n, 0) + 1
