"""The kernel's own page tables, and device memory in them. Source: pc/mmu.c, pc/l.s, port/xalloc.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.error import Panic
from kernel.base.mem import (
    BY2PG,
    CPU0GDT,
    CPU0MACH,
    CPU0PDB,
    CPU0PTE,
    KZERO,
    MACHADDR,
    MB,
    NGDT,
    PDX,
    PPN,
    PTESIZE,
    PTEUNCACHED,
    PTEVALID,
    PTEWRITE,
    PTX,
    ROUND,
    VMAP,
    VMAPSIZE,
    VPT,
    WD2PG,
)
from kernel.base.procdat import Dead
from kernel.memory.mmu import flushmmu
from kernel.memory.procflush import flushmachs
from kernel.memory.tmpmap import LOWMEM

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel


# Segment descriptors: base 0, limit 4 GB, 4 kB grains (Intel SDM vol. 3, 3.4.5)
_DATA0, _EXEC0 = 0x00CF9200, 0x00CF9A00
_DATA3, _EXEC3 = 0x00CFF200, 0x00CFFA00


# Set-up


def xspanalloc(k: Kernel) -> int:
    """Physical address of a cleared frame of kernel memory, for ever. Source: port/xalloc.c:xspanalloc."""
    pa = k.xbase
    if pa + BY2PG > k.palloc.base:
        raise Panic("mmuwalk xspanalloc failed")
    k.xbase += BY2PG
    k.mem.zero(pa)
    k.mem.table(pa)
    return pa


def machpdb(k: Kernel, machno: int) -> int:
    """Make the page directory of a processor; its physical address.

    The first one maps all of low memory, its first 4 MB by a table (TMPADDR and MACHADDR need
    entries of their own), the rest by 4 MB pages. The others are copies with a private table
    for those 4 MB. Source: pc/l.s, pc/mp.c:mpstartap, pc/mmu.c:mmuinit.
    """
    w, mem = k.mem.words, k.mem
    if machno == 0:
        pdb, pte, mach = (a - KZERO for a in (CPU0PDB, CPU0PTE, CPU0MACH))
        for pa in (pdb, pte):
            mem.zero(pa)
            mem.table(pa)
        for i in range(WD2PG):
            w[(pte >> 2) + i] = i * BY2PG | PTEWRITE | PTEVALID
        for pa in range(4 * MB, min(mem.size, LOWMEM), 4 * MB):
            w[(pdb >> 2) + PDX(KZERO + pa)] = pa | PTESIZE | PTEWRITE | PTEVALID
        _gdt(k)
    else:
        pdb, pte, mach = xspanalloc(k), xspanalloc(k), xspanalloc(k)
        mem.copy(pdb, CPU0PDB - KZERO)
        mem.copy(pte, CPU0PTE - KZERO)
    w[(pdb >> 2) + PDX(KZERO)] = pte | PTEWRITE | PTEVALID
    w[(pte >> 2) + PTX(MACHADDR)] = mach | PTEWRITE | PTEVALID
    w[(pdb >> 2) + PDX(VPT)] = pdb | PTEWRITE | PTEVALID
    return pdb


def _gdt(k: Kernel) -> None:
    w = k.mem.words
    gdt = CPU0GDT - KZERO >> 2
    for i in range(2 * NGDT):
        w[gdt + i] = 0
    for i, hi in enumerate((_DATA0, _EXEC0, _DATA3, _EXEC3), start=1):
        w[gdt + 2 * i] = 0xFFFF
        w[gdt + 2 * i + 1] = hi


# Kernel mappings


def mmuwalk(k: Kernel, pdb: int, va: int, level: int, create: bool) -> int | None:
    """Word index of va's entry at level 1 or 2 under the directory at pdb, or None.

    A missing table is made if asked. For kernel mappings only. Source: pc/mmu.c:mmuwalk.
    """
    w = k.mem.words
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
        w[i] = xspanalloc(k) | PTEWRITE | PTEVALID
    return (PPN(w[i]) >> 2) + PTX(va)


def vmap(k: Kernel, pa: int, size: int) -> int:
    """Map size bytes of device memory at pa; the address, 0 if there is no room. Source: pc/mmu.c:vmap."""
    o = pa & BY2PG - 1
    pa -= o
    size = ROUND(size + o, BY2PG)
    if pa == 0:
        k.print("vmap pa=0\n")
        return 0
    va = vmapalloc(k, size)
    if va == 0:
        return 0
    pdbmap(k, k.machs[0].pdb, pa | PTEUNCACHED | PTEWRITE, va, size)
    return va + o


def findhole(k: Kernel, i: int, n: int, count: int) -> int:
    """First of count zero words among the n from word index i on, or -1. Source: pc/mmu.c:findhole."""
    have = 0
    for j in range(n):
        have = have + 1 if k.mem.words[i + j] == 0 else 0
        if have >= count:
            return j + 1 - have
    return -1


def vmapalloc(k: Kernel, size: int) -> int:
    """Free address space for size bytes of device memory, or 0. Source: pc/mmu.c:vmapalloc."""
    w = k.mem.words
    vpdb = (k.machs[0].pdb >> 2) + PDX(VMAP)
    n = VMAPSIZE // (4 * MB)
    if size >= 4 * MB:
        o = findhole(k, vpdb, n, (size + 4 * MB - 1) // (4 * MB))
        return VMAP + o * 4 * MB if o != -1 else 0
    for i in range(n):
        e = w[vpdb + i]
        if e & PTEVALID and not e & PTESIZE:
            o = findhole(k, PPN(e) >> 2, WD2PG, size // BY2PG)
            if o != -1:
                return VMAP + i * 4 * MB + o * BY2PG
    o = findhole(k, vpdb, n, 1)
    return VMAP + o * 4 * MB if o != -1 else 0


def vunmap(k: Kernel, v: int, size: int) -> None:
    """Remove a device mapping, on every processor and in every process. Source: pc/mmu.c:vunmap."""
    o = v & BY2PG - 1
    va = v - o
    size = ROUND(size + o, BY2PG)
    if va < VMAP or va + size > VMAP + VMAPSIZE:
        raise Panic(f"vunmap va={va:#010x} size={size:#x}")
    pdbunmap(k, k.machs[0].pdb, va, size)
    if k.up is None:
        k.m.cpu.putcr3(k.machs[0].pdb)
        return
    for p in k.procs.proctab:
        if p.state != Dead and p is not k.up:
            p.newtlb = True
    flushmachs(k, [m for m in k.machs if m is not k.m])
    flushmmu(k)


def pdbmap(k: Kernel, pdb: int, pa: int, va: int, size: int) -> None:
    """Map size bytes at va to pa (flags in its low bits), by 4 MB pages where they fit. Source: pc/mmu.c:pdbmap."""
    w = k.mem.words
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
        x = mmuwalk(k, pdb, va + off, 2, True)
        assert x is not None
        if w[x] & PTEVALID:
            raise Panic(f"vmap: va={va + off:#010x} pa={pa + off:#010x} pte={w[x]:#010x}")
        w[x] = pa + off | flag | PTEVALID
        off += BY2PG


def pdbunmap(k: Kernel, pdb: int, va: int, size: int) -> None:
    """Remove mappings that pdbmap made. Source: pc/mmu.c:pdbunmap."""
    w = k.mem.words
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


def vmapsync(k: Kernel, va: int) -> bool:
    """Bring the current directory up to date with a device mapping; whether that helps a fault at va.

    Source: pc/mmu.c:vmapsync.
    """
    if va < VMAP or va >= VMAP + VMAPSIZE:
        return False
    w = k.mem.words
    entry = w[(k.machs[0].pdb >> 2) + PDX(va)]
    if not entry & PTEVALID:
        return False
    if not entry & PTESIZE and not w[(PPN(entry) >> 2) + PTX(va)] & PTEVALID:
        return False
    w[(k.m.cpu.getcr3() >> 2) + PDX(va)] = entry
    return True
