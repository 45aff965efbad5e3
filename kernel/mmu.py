"""Page directories and page tables: the 386's own words, in emulated RAM. Source: pc/mmu.c.

The kernel part of every page directory maps physical memory at KZERO, supervisor only, and the
directory itself at VPT. ``vpd`` and ``vpt`` of the original are the directory and tables that CR3
names; here they are reached by the word index of their frame.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from kernel.dat import Dead, Mach, Page, Proc
from kernel.error import Panic
from kernel.event import TlbEvent
from kernel.mem import (
    BY2PG,
    CPU0GDT,
    CPU0MACH,
    CPU0PDB,
    CPU0PTE,
    KMAP,
    KMAPSIZE,
    KZERO,
    MACHADDR,
    MASK32,
    MB,
    NGDT,
    PDX,
    PPN,
    PTESIZE,
    PTEUNCACHED,
    PTEUSER,
    PTEVALID,
    PTEWRITE,
    PTX,
    ROUND,
    TMPADDR,
    USTKTOP,
    VMAP,
    VMAPSIZE,
    VPT,
    WD2PG,
)
from kernel.page import mustpage, pagechainhead, pageevent, pagenumber

if TYPE_CHECKING:
    from kernel.kernel import Kernel

NKPT = KMAPSIZE // BY2PG
KMAPPDX = PDX(KMAP)
LOWMEM = -KZERO & MASK32  # physical memory the kernel's window at KZERO can show
NPDBPOOL = 10  # page directories a processor keeps ready

# Segment descriptors: base 0, limit 4 GB, 4 kB grains (Intel SDM vol. 3, 3.4.5)
_DATA0, _EXEC0 = 0x00CF9200, 0x00CF9A00
_DATA3, _EXEC3 = 0x00CFF200, 0x00CFFA00


class Mmu:
    """The memory management unit of one kernel: the machine-dependent half of virtual memory."""

    def __init__(self, k: Kernel) -> None:
        self.k = k
        self.words = k.mem.words
        self.xbase = 1 * MB  # xspanalloc's next free byte, between 1 MB and the pool

    # Set-up

    def xspanalloc(self) -> int:
        """Physical address of a cleared frame of kernel memory, for ever. Source: port/xalloc.c:xspanalloc."""
        pa = self.xbase
        if pa + BY2PG > self.k.palloc.base:
            raise Panic("mmuwalk xspanalloc failed")
        self.xbase += BY2PG
        self.k.mem.zero(pa)
        self.k.mem.table(pa)
        return pa

    def machpdb(self, machno: int) -> int:
        """Make the page directory of a processor; its physical address.

        The first one maps all of low memory, its first 4 MB by a table (TMPADDR and MACHADDR need
        entries of their own), the rest by 4 MB pages. The others are copies with a private table
        for those 4 MB. Source: pc/l.s, pc/mp.c:mpstartap, pc/mmu.c:mmuinit.
        """
        w, mem = self.words, self.k.mem
        if machno == 0:
            pdb, pte, mach = (a - KZERO for a in (CPU0PDB, CPU0PTE, CPU0MACH))
            for pa in (pdb, pte):
                mem.zero(pa)
                mem.table(pa)
            for i in range(WD2PG):
                w[(pte >> 2) + i] = i * BY2PG | PTEWRITE | PTEVALID
            for pa in range(4 * MB, min(mem.size, LOWMEM), 4 * MB):
                w[(pdb >> 2) + PDX(KZERO + pa)] = pa | PTESIZE | PTEWRITE | PTEVALID
            self._gdt()
        else:
            pdb, pte, mach = self.xspanalloc(), self.xspanalloc(), self.xspanalloc()
            mem.copy(pdb, CPU0PDB - KZERO)
            mem.copy(pte, CPU0PTE - KZERO)
        w[(pdb >> 2) + PDX(KZERO)] = pte | PTEWRITE | PTEVALID
        w[(pte >> 2) + PTX(MACHADDR)] = mach | PTEWRITE | PTEVALID
        w[(pdb >> 2) + PDX(VPT)] = pdb | PTEWRITE | PTEVALID
        return pdb

    def _gdt(self) -> None:
        w = self.words
        gdt = CPU0GDT - KZERO >> 2
        for i in range(2 * NGDT):
            w[gdt + i] = 0
        for i, hi in enumerate((_DATA0, _EXEC0, _DATA3, _EXEC3), start=1):
            w[gdt + 2 * i] = 0xFFFF
            w[gdt + 2 * i + 1] = hi

    # Flushing and switching

    def flushmmu(self) -> None:
        """Forget all user mappings of the current process, because something was deleted.

        They come back on demand. Source: pc/mmu.c:flushmmu.
        """
        k = self.k
        up = k.up
        assert up is not None
        s, k.m.splhi = k.m.splhi, True
        up.newtlb = True
        self.mmuswitch(up)
        k.m.splhi = s
        if k.sink is not None:
            k.emit(TlbEvent(0, 0, 0, "flush", 0, k.m.cpu.getcr3()))

    def flushpg(self, va: int) -> None:
        """Forget one page's translation on this processor. Source: pc/mmu.c:flushpg."""
        if va >= USTKTOP:
            return  # KMAP and TMPADDR are used through the tables here: no TLB ever holds them
        k = self.k
        k.m.cpu.invlpg(va)
        if k.sink is not None:
            k.emit(TlbEvent(0, 0, 0, "page", va, k.m.cpu.getcr3()))

    def mmupdballoc(self) -> Page:
        """A page directory with the kernel's part filled in. Source: pc/mmu.c:mmupdballoc."""
        k, m, w = self.k, self.k.m, self.words
        s, m.splhi = m.splhi, True
        m.pdballoc += 1
        if m.pdbpool is None:
            m.splhi = False
            page = mustpage(k, 0)
            m = k.m  # newpage may have slept and come back on another processor
            page.va = VPT + (VPT >> 12) * 4 & MASK32  # vpd
            m.splhi = True
            k.mem.table(page.pa)
            pdb = self.tmpmap(page)
            i = self.kword(pdb)
            w[i : i + WD2PG] = w[m.pdb >> 2 : (m.pdb >> 2) + WD2PG]
            w[i + PDX(VPT)] = page.pa | PTEWRITE | PTEVALID
            self.tmpunmap(pdb)
        else:
            page = m.pdbpool
            m.pdbpool = page.next
            page.next = None
            m.pdbcnt -= 1
        m.splhi = s
        return page

    def mmupdbfree(self, proc: Proc, p: Page) -> None:
        """Keep a page directory for the next process, or leave it to mmurelease. Source: pc/mmu.c:mmupdbfree."""
        m = self.k.m
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

    def mmuptefree(self, proc: Proc) -> None:
        """Clear proc's user directory entries and put its page tables on its free list.

        Source: pc/mmu.c:mmuptefree.
        """
        if proc.mmupdb is None or proc.mmuused is None:
            return
        m = self.k.m
        s, m.splhi = m.splhi, True
        pdb = self.tmpmap(proc.mmupdb)
        i = self.kword(pdb)
        w = self.words
        last = proc.mmuused
        page: Page | None = last
        while page is not None:
            w[i + page.daddr] = 0
            last = page
            page = page.next
        self.tmpunmap(pdb)
        m.splhi = s
        last.next = proc.mmufree
        proc.mmufree = proc.mmuused
        proc.mmuused = None

    def mmuswitch(self, proc: Proc) -> None:
        """Load proc's page directory, flushed first if newtlb says so. Source: pc/mmu.c:mmuswitch.

        There are no per-process segment descriptors here.
        """
        k, m = self.k, self.k.m
        if proc.newtlb:
            self.mmuptefree(proc)
            proc.newtlb = False
            proc.flushes += 1
        if proc.mmupdb is not None:
            pdb = self.tmpmap(proc.mmupdb)
            self.words[self.kword(pdb) + PDX(MACHADDR)] = self.words[(m.pdb >> 2) + PDX(MACHADDR)]
            self.tmpunmap(pdb)
            m.cpu.putcr3(proc.mmupdb.pa)
        else:
            m.cpu.putcr3(m.pdb)
        if k.sink is not None and not proc.kp:
            k.emit(TlbEvent(0, 0, 0, "switch", 0, m.cpu.getcr3()))

    def mmurelease(self, proc: Proc) -> None:
        """Give back every frame the MMU holds for a dying process, but for its directory if a processor keeps it.

        Called with palloc locked and interrupts off. Source: pc/mmu.c:mmurelease.
        """
        k, m, w = self.k, self.k.m, self.words
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
            pdb = self.tmpmap(proc.mmupdb)
            i = self.kword(pdb) + PDX(KMAP)
            if PPN(w[i]) != kt.pa:
                raise Panic(f"mmurelease: bad kmap pde {w[i]:#010x} kmap {kt.pa:#010x}")
            w[i] = 0
            self.tmpunmap(pdb)
            k.mem.data(kt.pa)
            pagechainhead(k, kt)
            if k.sink is not None:
                pageevent(k, "free", kt)
            proc.kmaptable = None
        if proc.mmupdb is not None:
            self.mmuptefree(proc)
            self.mmupdbfree(proc, proc.mmupdb)
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
            k.procs.wakeup(k.palloc.r)
        proc.mmufree = None

    def upallocpdb(self) -> None:
        """Give the current process a page directory and load it. Source: pc/mmu.c:upallocpdb."""
        k = self.k
        up = k.up
        assert up is not None
        if up.mmupdb is not None:
            return
        page = self.mmupdballoc()
        m = k.m
        s, m.splhi = m.splhi, True
        pdb = self.tmpmap(page)
        self.words[self.kword(pdb) + PDX(MACHADDR)] = self.words[(m.pdb >> 2) + PDX(MACHADDR)]
        self.tmpunmap(pdb)
        up.mmupdb = page
        m.cpu.putcr3(page.pa)
        m.splhi = s

    # User mappings

    def putmmu(self, va: int, pa: int, page: Page) -> None:
        """Map va of the current process to pa, whose low bits may have PTEWRITE. Source: pc/mmu.c:putmmu.

        The segment is unlocked by now. If the process waits for a frame here, the pager may take the page; the
        original then maps what is no longer the process's. Here that leaves va unmapped, to fault again.
        """
        k, w = self.k, self.words
        up = k.up
        assert up is not None
        flushes = up.flushes
        if up.mmupdb is None:
            self.upallocpdb()
        assert up.mmupdb is not None
        if up.flushes != flushes:
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
                if up.flushes != flushes:
                    pt.next = up.mmufree
                    up.mmufree = pt
                    m.splhi = s
                    return
            else:
                up.mmufree = pt.next
            pde = w[x] = pt.pa | PTEUSER | PTEWRITE | PTEVALID
            k.mem.zero(pt.pa)
            pt.daddr = va >> 22
            pt.next = up.mmuused
            up.mmuused = pt
        x = (pde >> 12 << 10) + (va >> 12 & 0x3FF)
        old = w[x]
        new = w[x] = pa | PTEUSER | PTEVALID
        # A 386 walks the tables again when a cached entry forbids a write: an entry that only
        # gained permission needs no flush.
        if old & PTEVALID and ((old ^ new) & ~0xFFF or old & PTEWRITE):
            self.flushpg(va)
        if m.cpu.getcr3() != up.mmupdb.pa:
            raise Panic(f"bad cr3 {m.cpu.getcr3():#010x} {up.mmupdb.pa:#010x}")
        m.splhi = s
        # The frame holds other code than this processor may have decoded from it.
        if page.cachectl[m.machno]:
            m.cpu.forget(page.pa)
            page.cachectl[m.machno] = 0

    def walk(self, pdb: int, va: int) -> int:
        """The page table word for va under the directory at pdb, or 0. Follows 4 MB pages."""
        w = self.words
        pde = w[(pdb >> 2) + PDX(va)]
        if not pde & PTEVALID:
            return 0
        if pde & PTESIZE:
            return pde + (PTX(va) << 12)
        return w[(PPN(pde) >> 2) + PTX(va)]

    def checkmmu(self, va: int, pa: int) -> None:
        """Complain if the current process maps va elsewhere than pa. Source: pc/mmu.c:checkmmu."""
        k = self.k
        up = k.up
        if up is None or up.mmupdb is None:
            return
        pte = self.walk(up.mmupdb.pa, va)
        if pte & PTEVALID and PPN(pte) != pa:
            k.print(f"{up.pid} {up.text}: va={va:#x} pa={pa:#x} pte={pte:#08x}\n")

    # Kernel mappings

    def mmuwalk(self, pdb: int, va: int, level: int, create: bool) -> int | None:
        """Word index of va's entry at level 1 or 2 under the directory at pdb, or None.

        A missing table is made if asked. For kernel mappings only. Source: pc/mmu.c:mmuwalk.
        """
        w = self.words
        i = (pdb >> 2) + PDX(va)
        if not w[i] & PTEVALID and not create:
            return None
        if level == 1:
            return i
        if level != 2:
            return None
        if w[i] & PTESIZE:
            raise Panic(f"mmuwalk2: va {va:X} entry {w[i]:X}")
        if not w[i] & PTEVALID:
            w[i] = self.xspanalloc() | PTEWRITE | PTEVALID
        return (PPN(w[i]) >> 2) + PTX(va)

    def vmap(self, pa: int, size: int) -> int:
        """Map size bytes of device memory at pa; the address, 0 if there is no room. Source: pc/mmu.c:vmap."""
        k = self.k
        o = pa & BY2PG - 1
        pa -= o
        size = ROUND(size + o, BY2PG)
        if pa == 0:
            k.print("vmap pa=0\n")
            return 0
        va = self.vmapalloc(size)
        if va == 0:
            return 0
        self.pdbmap(k.machs[0].pdb, pa | PTEUNCACHED | PTEWRITE, va, size)
        return va + o

    def findhole(self, i: int, n: int, count: int) -> int:
        """First of count zero words among the n from word index i on, or -1. Source: pc/mmu.c:findhole."""
        have = 0
        for j in range(n):
            have = have + 1 if self.words[i + j] == 0 else 0
            if have >= count:
                return j + 1 - have
        return -1

    def vmapalloc(self, size: int) -> int:
        """Free address space for size bytes of device memory, or 0. Source: pc/mmu.c:vmapalloc."""
        w = self.words
        vpdb = (self.k.machs[0].pdb >> 2) + PDX(VMAP)
        n = VMAPSIZE // (4 * MB)
        if size >= 4 * MB:
            o = self.findhole(vpdb, n, (size + 4 * MB - 1) // (4 * MB))
            return VMAP + o * 4 * MB if o != -1 else 0
        for i in range(n):
            e = w[vpdb + i]
            if e & PTEVALID and not e & PTESIZE:
                o = self.findhole(PPN(e) >> 2, WD2PG, size // BY2PG)
                if o != -1:
                    return VMAP + i * 4 * MB + o * BY2PG
        o = self.findhole(vpdb, n, 1)
        return VMAP + o * 4 * MB if o != -1 else 0

    def vunmap(self, v: int, size: int) -> None:
        """Remove a device mapping, on every processor and in every process. Source: pc/mmu.c:vunmap."""
        k = self.k
        o = v & BY2PG - 1
        va = v - o
        size = ROUND(size + o, BY2PG)
        if va < VMAP or va + size > VMAP + VMAPSIZE:
            raise Panic(f"vunmap va={va:#010x} size={size:#x}")
        self.pdbunmap(k.machs[0].pdb, va, size)
        if k.up is None:
            k.m.cpu.putcr3(k.machs[0].pdb)
            return
        for p in k.procs.proctab:
            if p.state != Dead and p is not k.up:
                p.newtlb = True
        k.procs.flushmachs([m for m in k.machs if m is not k.m])
        self.flushmmu()

    def pdbmap(self, pdb: int, pa: int, va: int, size: int) -> None:
        """Map size bytes at va to pa (flags in its low bits), by 4 MB pages where they fit. Source: pc/mmu.c:pdbmap."""
        w = self.words
        flag, pa = pa & 0xFFF, pa & ~0xFFF
        off = 0
        while off < size:
            i = (pdb >> 2) + PDX(va + off)
            if w[i] & PTEVALID and w[i] & PTESIZE:
                raise Panic(f"vmap: va={va + off:#010x} pa={pa + off:#010x} pde={w[i]:#010x}")
            if (pa + off) % (4 * MB) == 0 and (va + off) % (4 * MB) == 0 and size - off >= 4 * MB:
                w[i] = pa + off | flag | PTESIZE | PTEVALID
                off += 4 * MB
                continue
            x = self.mmuwalk(pdb, va + off, 2, True)
            assert x is not None
            if w[x] & PTEVALID:
                raise Panic(f"vmap: va={va + off:#010x} pa={pa + off:#010x} pte={w[x]:#010x}")
            w[x] = pa + off | flag | PTEVALID
            off += BY2PG

    def pdbunmap(self, pdb: int, va: int, size: int) -> None:
        """Remove mappings that pdbmap made. Source: pc/mmu.c:pdbunmap."""
        w = self.words
        vae = va + size
        while va < vae:
            i = (pdb >> 2) + PDX(va)
            if not w[i] & PTEVALID:
                raise Panic("vunmap: not mapped")
            if w[i] & PTESIZE:
                if va & 4 * MB - 1:
                    raise Panic(f"vunmap: misaligned: {va:#x}")
                w[i] = 0
                va += 4 * MB
                continue
            x = (PPN(w[i]) >> 2) + PTX(va)
            if not w[x] & PTEVALID:
                raise Panic("vunmap: not mapped")
            w[x] = 0
            va += BY2PG

    def vmapsync(self, va: int) -> bool:
        """Bring the current directory up to date with a device mapping; whether that helps a fault at va.

        Source: pc/mmu.c:vmapsync.
        """
        if va < VMAP or va >= VMAP + VMAPSIZE:
            return False
        w = self.words
        entry = w[(self.k.machs[0].pdb >> 2) + PDX(va)]
        if not entry & PTEVALID:
            return False
        if not entry & PTESIZE and not w[(PPN(entry) >> 2) + PTX(va)] & PTEVALID:
            return False
        w[(self.k.m.cpu.getcr3() >> 2) + PDX(va)] = entry
        return True

    # kmap: frames mapped for the kernel, one table for each process

    def kmap(self, page: Page) -> int:
        """Map a frame for the kernel; its address in KMAP. Source: pc/mmu.c:kmap."""
        k, w = self.k, self.words
        up = k.up
        if up is None:
            raise Panic("kmap: up=0")
        if up.mmupdb is None:
            self.upallocpdb()
        if up.nkmap < 0:
            raise Panic(f"kmap {up.pid} {up.text}: nkmap={up.nkmap}")
        assert up.mmupdb is not None
        up.nkmap += 1
        i = (up.mmupdb.pa >> 2) + KMAPPDX
        if not w[i] & PTEVALID:
            if up.kmaptable is not None:
                raise Panic("kmaptable")
            kt = up.kmaptable = mustpage(k, 0)
            k.mem.table(kt.pa)
            w[i] = kt.pa | PTEWRITE | PTEVALID
            k.mem.zero(kt.pa)
            w[kt.pa >> 2] = page.pa | PTEWRITE | PTEVALID
            up.lastkmap = 0
            return KMAP
        if up.kmaptable is None:
            raise Panic("no kmaptable")
        kpt = up.kmaptable.pa >> 2
        o = up.lastkmap + 1
        for n in chain(range(o, NKPT), range(min(o, NKPT))):
            if w[kpt + n] == 0:
                w[kpt + n] = page.pa | PTEWRITE | PTEVALID
                up.lastkmap = n
                return KMAP + n * BY2PG
        raise Panic("out of kmap")

    def VA(self, kk: int) -> int:
        """Physical address of the frame that kmap() mapped at kk, read back from the table."""
        up = self.k.up
        assert up is not None and up.kmaptable is not None
        pte: int = self.words[(up.kmaptable.pa >> 2) + (kk - KMAP >> 12)]
        return pte & ~0xFFF

    def kunmap(self, kk: int) -> None:
        """Undo a kmap(). Source: pc/mmu.c:kunmap."""
        w = self.words
        up = self.k.up
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

    def _tmpentry(self) -> int:
        w = self.words
        return (PPN(w[(self.k.m.cpu.getcr3() >> 2) + PDX(TMPADDR)]) >> 2) + PTX(TMPADDR)

    def tmpmap(self, p: Page) -> int:
        """Map one frame for a moment, to edit a page directory: in the window at KZERO if it lies there, else at
        TMPADDR. Source: pc/mmu.c:tmpmap."""
        if not self.k.m.splhi:
            raise Panic("tmpaddr: islo")
        if p.pa < LOWMEM:
            return KZERO + p.pa
        w = self.words
        e = self._tmpentry()
        if not w[e] & PTEVALID:
            raise Panic("tmpmap: no entry")
        if PPN(w[e]) != PPN(TMPADDR - KZERO):
            raise Panic(f"tmpmap: already mapped entry={w[e]:#010x}")
        w[e] = p.pa | PTEWRITE | PTEVALID
        self.flushpg(TMPADDR)
        return TMPADDR

    def tmpunmap(self, v: int) -> None:
        """Undo a tmpmap(). Source: pc/mmu.c:tmpunmap."""
        if not self.k.m.splhi:
            raise Panic("tmpaddr: islo")
        if v >= KZERO and v != TMPADDR:
            return
        if v != TMPADDR:
            raise Panic("tmpunmap: bad address")
        w = self.words
        e = self._tmpentry()
        if not w[e] & PTEVALID or PPN(w[e]) == PPN(TMPADDR - KZERO):
            raise Panic(f"tmpmap: not mapped entry={w[e]:#010x}")
        w[e] = PPN(TMPADDR - KZERO) | PTEWRITE | PTEVALID
        self.flushpg(TMPADDR)

    def kword(self, v: int) -> int:
        """Word index of what tmpmap() returned."""
        if v == TMPADDR:
            return PPN(self.words[self._tmpentry()]) >> 2
        return v - KZERO >> 2

    # Checks

    def mmupages(self, p: Proc) -> list[tuple[str, Page]]:
        """Frames the MMU holds for p, each with the word for its use."""
        held: list[tuple[str, Page]] = []
        if p.mmupdb is not None:
            held.append(("pdb", p.mmupdb))
        if p.kmaptable is not None:
            held.append(("kmaptable", p.kmaptable))
        for name, head in (("mmuused", p.mmuused), ("mmufree", p.mmufree)):
            pg = head
            while pg is not None:
                held.append((name, pg))
                pg = pg.next
        return held

    def poolpages(self, m: Mach) -> list[Page]:
        """Page directories processor m keeps ready."""
        held = []
        pg = m.pdbpool
        while pg is not None:
            held.append(pg)
            pg = pg.next
        return held

    def countpagerefs(self, ref: dict[int, int]) -> None:
        """Count into ref, by page number, the references the MMU holds. Source: pc/mmu.c:countpagerefs."""
        k = self.k
        for p in k.procs.everyproc():
            for _, pg in self.mmupages(p):
                n = pagenumber(k, pg)
                ref[n] = ref.get(n, 0) + 1
        for m in k.machs:
            for pg in self.poolpages(m):
                n = pagenumber(k, pg)
                ref[n] = ref.get(n, 0) + 1
