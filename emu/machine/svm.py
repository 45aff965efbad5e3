"""The 386 as a nested guest: VMCB, nested page tables, and the way into ring 3.

Unicorn checks every store to a page that may be executed against its translated code, which
makes it some ten times slower, and a 386 has no bit to say that a page is not code. So the 386
runs as an SVM guest: its own tables stay as they are, and frames that hold data are marked
no-execute in nested tables that it cannot see.

All this lies in a region of guest-physical addresses above any RAM, at the same place for every
processor, but in memory of its own for each: a saved state carries the addresses and may move.
"""

import ctypes
import mmap
import struct
from array import array
from ctypes import c_int, c_size_t, c_uint32, c_void_p
from typing import Final

from emu.machine import x86
from emu.machine.lib import (
    ARCH_X86,
    CPU_QEMU64,
    CTL_CODE_BUFFER,
    CTL_CPU_MODEL,
    CTL_USE_EXITS,
    HOOK_INTR,
    INTRHOOK,
    MODE_32,
    MSR,
    PROT_ALL,
    REG_CR4,
    REG_EAX,
    REG_FPCW,
    REG_FPTAG,
    REG_MSR,
    REG_MXCSR,
    Lib,
)

MAXRAM: Final = 0xC0000000
REGION: Final = 0xE0000000
VMCB: Final = REGION
HSAVE: Final = REGION + 0x1000
STUB: Final = REGION + 0x2000
PDPT: Final = REGION + 0x3000
PDS: Final = REGION + 0x4000  # four, one for each GB
PTS: Final = REGION + 0x8000  # on demand, one for each 2 MB
REGIONSIZE: Final = 8 * 1024 * 1024

VMRUN: Final = b"\x0f\x01\xd8"
LARGE: Final = 2 * 1024 * 1024
CODEBUFFER: Final = 160 * 1024 * 1024  # for translated code, of each processor; dropped when it is full
CODEROOM: Final = 1792 * 1024 * 1024  # ten of them, less than 2 GB with the libraries
PRESENT: Final = x86.NPT_PRESENT | x86.NPT_WRITE | x86.NPT_USER

CR0: Final = x86.CR0_PG | x86.CR0_WP | x86.CR0_NE | x86.CR0_ET | x86.CR0_PE
CR4: Final = x86.CR4_PSE | x86.CR4_OSFXSR | x86.CR4_OSXMMEXCPT


def anonymous(size: int) -> mmap.mmap:
    """size bytes of zeros that take memory only where they are touched."""
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000))


def ram(size: int) -> mmap.mmap:
    """The same for a machine's memory, not in the way of translated code.

    Unicorn takes room for that right below what is mapped already. From there it calls the functions of the library
    in one instruction if they are less than 2 GB away, and indirectly, which takes longer, if RAM lies in between.
    """
    gap = anonymous(CODEROOM)
    m = anonymous(size)
    gap.close()
    return m


def addressof(m: mmap.mmap) -> int:
    """Host address of a mapping."""
    return ctypes.addressof(ctypes.c_char.from_buffer(m))


class Region:
    """One processor's memory above RAM: VMCB, host-save page, stub and nested tables."""

    def __init__(self) -> None:
        self.map = anonymous(REGIONSIZE)
        self.buf = memoryview(self.map)
        self.qwords = self.buf.cast("Q")
        self._next = PTS
        self._tables: dict[int, int] = {}  # 2 MB region -> index in qwords of its table

    def attach(self, lib: Lib, uc: c_void_p) -> None:
        """Show it to a processor."""
        lib.check(lib.map(uc, REGION, REGIONSIZE, PROT_ALL, addressof(self.map)), "uc_mem_map_ptr region")

    @property
    def npfaddress(self) -> int:
        """Guest-physical address of the last nested page fault."""
        return self.qwords[(VMCB - REGION + x86.VMCB_EXITINFO2) >> 3]

    def identity(self, size: int) -> None:
        """Map RAM of size bytes onto itself in entries of 2 MB, writable, none executable."""
        flags = PRESENT | x86.NPT_LARGE | x86.NPT_NX
        first = (PDS - REGION) >> 3
        self.qwords[first : first + size // LARGE] = memoryview(array("Q", range(flags, size + flags, LARGE)))
        for i in range(4):
            self.qwords[((PDPT - REGION) >> 3) + i] = PDS + i * 4096 | x86.NPT_PRESENT

    def entry(self, frame: int) -> int:
        """The nested entry of a frame of RAM."""
        table = self._tables.get(frame >> 9)
        if table is None:
            return self.qwords[((PDS - REGION) >> 3) + (frame >> 9)]
        return self.qwords[table + (frame & 511)]

    def set(self, frame: int, execute: bool, write: bool) -> None:
        """Say what may be done with a frame of RAM besides reading it."""
        n = frame >> 9
        table = self._tables.get(n)
        if table is None:
            if not execute and write:
                return
            table = self._tables[n] = (self._next - REGION) >> 3
            flags = n * LARGE | PRESENT | x86.NPT_NX
            self.qwords[table : table + 512] = memoryview(array("Q", range(flags, flags + LARGE, 4096)))
            self.qwords[((PDS - REGION) >> 3) + n] = self._next | PRESENT
            self._next += 4096
        flags = x86.NPT_PRESENT | x86.NPT_USER
        if write:
            flags |= x86.NPT_WRITE
        if not execute:
            flags |= x86.NPT_NX
        self.qwords[table + (frame & 511)] = frame << 12 | flags


class Start:
    """What the guest's registers hold at VMRUN: a plain ring 3 start unless a probe asks for marks."""

    def __init__(self) -> None:
        self.ax = self.sp = self.pc = self.cr3 = 0
        self.flags = x86.FL_ALWAYS | x86.FL_INTERRUPT
        self.gdt = (0, 0)  # base, limit
        self.idt = (0, 0)


def fillvmcb(region: Region, start: Start) -> None:
    """Write the VMCB of a guest in ring 3 with flat segments and paging on."""
    at = VMCB - REGION
    b = region.buf

    def put(offset: int, fmt: str, *values: int) -> None:
        struct.pack_into("<" + fmt, b, at + offset, *values)

    put(x86.VMCB_INTERCEPT, "Q", 1 << x86.EXIT_RDTSC - x86.INTERCEPT_BASE | 1 << x86.EXIT_CPUID - x86.INTERCEPT_BASE)
    put(x86.VMCB_ASID, "I", 1)
    put(x86.VMCB_TLB, "B", 1)
    put(x86.VMCB_NESTED, "Q", 1)
    put(x86.VMCB_NCR3, "Q", PDPT)
    put(x86.VMCB_CS, "HHIQ", 4 << 3 | 3, x86.ATTR_UCODE, 0xFFFFFFFF, 0)
    for segment in (x86.VMCB_ES, x86.VMCB_SS, x86.VMCB_DS):
        put(segment, "HHIQ", 3 << 3 | 3, x86.ATTR_UDATA, 0xFFFFFFFF, 0)
    put(x86.VMCB_GDTR, "HHIQ", 0, 0, start.gdt[1], start.gdt[0])
    put(x86.VMCB_IDTR, "HHIQ", 0, 0, start.idt[1], start.idt[0])
    put(x86.VMCB_CPL, "B", 3)
    put(x86.VMCB_EFER, "Q", 0)
    put(x86.VMCB_CR0, "Q", CR0)
    put(x86.VMCB_CR3, "Q", start.cr3)
    put(x86.VMCB_CR4, "Q", CR4)
    put(x86.VMCB_RFLAGS, "Q", start.flags)
    put(x86.VMCB_RIP, "Q", start.pc)
    put(x86.VMCB_RSP, "Q", start.sp)
    put(x86.VMCB_RAX, "Q", start.ax)


def regwrite(lib: Lib, uc: c_void_p, reg: int, value: int) -> None:
    """Write one register of the running processor."""
    lib.check(lib.regwrite(uc, reg, ctypes.byref(c_uint32(value))), "uc_reg_write")


def msrwrite(lib: Lib, uc: c_void_p, rid: int, value: int) -> None:
    """Write one model-specific register of the running processor."""
    lib.check(lib.regwrite(uc, REG_MSR, ctypes.byref(MSR(rid, value))), "uc_reg_write MSR")


def engine(lib: Lib) -> c_void_p:
    """A processor without memory."""
    uc = c_void_p()
    lib.check(lib.open(ARCH_X86, MODE_32, ctypes.byref(uc)), "uc_open")
    lib.check(lib.ctl(uc, CTL_CPU_MODEL, c_int(CPU_QEMU64)), "uc_ctl cpu model")
    if lib.ctl(uc, CTL_CODE_BUFFER, c_uint32(CODEBUFFER)):
        lib.close(uc)
        raise lib.unusable("it has no memory for translated code that can be set")
    # Without an "until" address: every address must be the guest's own to run or fault on, 0 included.
    lib.check(lib.ctl(uc, CTL_USE_EXITS, c_int(1)), "uc_ctl use exits")
    return uc


def fpinit(lib: Lib, uc: c_void_p) -> None:
    """The FPU state of a real processor after FPINIT."""
    regwrite(lib, uc, REG_FPCW, x86.FPINIT)
    regwrite(lib, uc, REG_FPTAG, 0xFFFF)
    regwrite(lib, uc, REG_MXCSR, 0)


def open(lib: Lib, ram: int, size: int, region: Region) -> c_void_p:
    """A processor over RAM of size bytes at host address ram, in the state in which VMRUN is allowed."""
    uc = engine(lib)
    lib.check(lib.map(uc, 0, size, PROT_ALL, ram), "uc_mem_map_ptr RAM")
    region.attach(lib, uc)
    regwrite(lib, uc, REG_CR4, x86.CR4_PAE)
    msrwrite(lib, uc, x86.MSR_EFER, x86.EFER_SVME | x86.EFER_NXE)
    msrwrite(lib, uc, x86.MSR_VM_HSAVE_PA, HSAVE)
    fpinit(lib, uc)
    return uc


def enter(lib: Lib, uc: c_void_p, region: Region, start: Start, context: c_void_p) -> None:
    """Go through VMRUN and save the state before the guest's first instruction to context.

    The nested tables must be empty yet: the first fetch then leaves at once, whatever RAM holds.
    """
    fillvmcb(region, start)
    region.buf[STUB - REGION : STUB - REGION + len(VMRUN)] = VMRUN
    seen: list[int] = []

    def stop(_uc: int, intno: int) -> None:
        seen.append(intno)
        lib.save(uc, context)
        lib.stop(uc)

    hook = INTRHOOK(stop)
    handle = c_size_t()
    lib.check(lib.hook(uc, ctypes.byref(handle), HOOK_INTR, hook, None, 1, 0), "uc_hook_add")
    regwrite(lib, uc, REG_EAX, VMCB)
    err = lib.start(uc, STUB, 0, 0, 0)
    lib.check(lib.unhook(uc, handle), "uc_hook_del")
    if err or seen != [x86.EXIT + x86.EXIT_NPF]:
        raise lib.unusable(f"VMRUN does not enter a guest (error {err}, interrupts {seen})")
