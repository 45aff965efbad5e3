"""Memory and machine numbers of the 386 port. Source: pc/mem.h."""

from __future__ import annotations

from typing import Final

BY2WD: Final = 4  # bytes in a word
BY2PG: Final = 4096  # bytes in a page
WD2PG: Final = BY2PG // BY2WD
BY2XPG: Final = 4096 * 1024  # bytes in a page mapped by one page-directory entry
PGSHIFT: Final = 12
PGMASK: Final = BY2PG - 1
MB: Final = 1024 * 1024
MAXMACH: Final = 32  # processors the original is built for
KSTACK: Final = 4096

# Time
HZ: Final = 100
MS2HZ: Final = 1000 // HZ
NSPERTICK: Final = 1_000_000_000 // HZ

# Address space of the 386 port:
#
#   0        UTZERO ............ USTKTOP | VMAP ... | KMAP 4M | VPT 4M | KZERO ... 4G
#   nothing  user text, data...   stack  | devices  | kmap()  | tables | kernel
KZERO: Final = 0xF0000000
KTZERO: Final = KZERO + 0x100000
VPTSIZE: Final = BY2XPG
VPT: Final = KZERO - VPTSIZE
KMAPSIZE: Final = BY2XPG
KMAP: Final = VPT - KMAPSIZE
VMAPSIZE: Final = 0x10000000 - VPTSIZE - KMAPSIZE
VMAP: Final = KMAP - VMAPSIZE
UZERO: Final = 0
UTZERO: Final = UZERO + BY2PG
USTKTOP: Final = VMAP - BY2PG
USTKSIZE: Final = 16 * MB

# Fixed places in low physical memory, seen by the kernel at KZERO
TMPADDR: Final = KZERO + 0x2000
IDTADDR: Final = KZERO + 0x10800
CPU0PDB: Final = KZERO + 0x12000
CPU0PTE: Final = KZERO + 0x13000
CPU0GDT: Final = KZERO + 0x14000
MACHADDR: Final = KZERO + 0x15000
CPU0MACH: Final = KZERO + 0x16000
CPU0END: Final = KZERO + 0x18000

# Segment selectors
KDSEL: Final = 1 << 3
KESEL: Final = 2 << 3
UDSEL: Final = 3 << 3 | 3
UESEL: Final = 4 << 3 | 3
NGDT: Final = 14

# Virtual MMU: a segment is a map of page tables of PTEPERTAB entries each
PTEMAPMEM: Final = 1024 * 1024
PTEPERTAB: Final = PTEMAPMEM // BY2PG
SEGMAPSIZE: Final = 1984
SSEGMAPSIZE: Final = 16

# Physical MMU: page directory and page table entries (Intel SDM vol. 3, 4.3)
#
#  31                    12 11  9 8 7 6 5 4 3 2 1 0
#  | frame address         | avl |G|S|D|A|C|T|U|W|P|
PTEVALID: Final = 1 << 0
PTEWRITE: Final = 1 << 1
PTERONLY: Final = 0 << 1
PTEUSER: Final = 1 << 2
PTEKERNEL: Final = 0 << 2
PTEWT: Final = 1 << 3
PTEUNCACHED: Final = 1 << 4
PTEACCESSED: Final = 1 << 5
PTEDIRTY: Final = 1 << 6
PTESIZE: Final = 1 << 7
PTEGLOBAL: Final = 1 << 8
MASK32: Final = 0xFFFFFFFF


def s32(v: int) -> int:
    """A word as a signed number."""
    return (v & MASK32 ^ 0x80000000) - 0x80000000


def s64(lo: int, hi: int = 0) -> int:
    """Two words, or one number of 64 bits, as a signed number."""
    return ((lo | hi << 32) & (1 << 64) - 1 ^ 1 << 63) - (1 << 63)


def PPN(x: int) -> int:
    """Frame address of a table entry or address."""
    return x & 0xFFFFF000


def PDX(va: int) -> int:
    """Index of va's entry in a page directory."""
    return va >> 22 & 0x3FF


def PTX(va: int) -> int:
    """Index of va's entry in its page table."""
    return va >> 12 & 0x3FF


def PGROUND(x: int) -> int:
    """x rounded up to a page, in 32-bit arithmetic."""
    return (x + PGMASK) & 0xFFFFF000


def ROUND(x: int, sz: int) -> int:
    """x rounded up to a multiple of sz, a power of two."""
    return (x + sz - 1) & ~(sz - 1)
