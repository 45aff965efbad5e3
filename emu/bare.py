"""The plainest emulator that runs a guest with demand paging: what the benchmarks are measured against.

Unicorn through its Python binding, used as its documentation shows: one interrupt hook, registers read and written
one by one, page tables of the guest's own but no ring 3, no processes, no checks. A missing page gets the
next frame, cleared. It is the least that serves a fault and a system call; whatever a kernel does comes on top.
"""

import struct
from collections.abc import Sequence
from ctypes import c_int32
from typing import Any

import unicorn
from unicorn import UC_ARCH_X86, UC_HOOK_INTR, UC_MODE_32
from unicorn.x86_const import (
    UC_X86_REG_CR0,
    UC_X86_REG_CR2,
    UC_X86_REG_CR3,
    UC_X86_REG_EAX,
    UC_X86_REG_ESP,
)

from emu.aout import HDRSIZE, load
from emu.regs import regsclass

BY2PG = 4096
PDB = 0x1000  # page directory; tables and frames follow
RAM = 64 << 20
STKTOP = 0xDFFFF000
TOS = STKTOP - 56
EXITS, BRK, PWRITE = 8, 24, 51
PAGEFAULT = 14
PG_WP_PE = 0x80010001
VALID = 3


class Bare:
    """One program in one address space."""

    def __init__(self, path: str, args: Sequence[str]) -> None:
        unicorn_: Any = unicorn
        uc: Any = unicorn_.Uc(UC_ARCH_X86, UC_MODE_32)
        self.uc = uc
        uc.mem_map(0, RAM)
        self.free = PDB + BY2PG
        a = load(path)
        with open(path, "rb") as f:
            image = f.read()
        self.store(a.segments[0].base, image[: HDRSIZE + a.text])
        self.store(a.segments[1].base, image[HDRSIZE + a.text : HDRSIZE + a.text + a.data])
        words = [len(args) + 1]
        at = TOS
        for s in ("bare", *args):
            b = s.encode() + b"\0"
            at -= len(b)
            self.store(at, b)
            words.append(at)
        sp = (at - 4 * (len(words) + 1)) & ~15
        self.store(sp, struct.pack(f"<{len(words) + 1}I", *words, 0))
        self.entry = a.entry
        self.bss = a.segments[2].base
        # Unicorn leaves the exception "in flight" after the hook: the next one would be a double fault.
        self.context = uc.context_save()
        self.inflight = c_int32.from_address(self.context.context.value + 4 * regsclass().layout.oldexception)
        uc.reg_write(UC_X86_REG_CR3, PDB)
        uc.reg_write(UC_X86_REG_CR0, PG_WP_PE)
        uc.reg_write(UC_X86_REG_ESP, sp)
        uc.reg_write(UC_X86_REG_EAX, TOS)
        uc.hook_add(UC_HOOK_INTR, self.interrupt)

    def frame(self, va: int) -> int:
        """The frame of va, mapped now if it was not."""
        uc = self.uc
        pde = PDB + (va >> 22) * 4
        table = int.from_bytes(uc.mem_read(pde, 4), "little") & ~0xFFF
        if not table:
            table = self.free
            self.free += BY2PG
            uc.mem_write(pde, struct.pack("<I", table | VALID))
        pte = table + (va >> 12 & 0x3FF) * 4
        frame = int.from_bytes(uc.mem_read(pte, 4), "little") & ~0xFFF
        if not frame:
            frame = self.free
            self.free += BY2PG
            uc.mem_write(frame, bytes(BY2PG))
            uc.mem_write(pte, struct.pack("<I", frame | VALID))
        return frame

    def store(self, va: int, data: bytes) -> None:
        """Put data into the address space before it runs."""
        while data:
            n = min(len(data), BY2PG - va % BY2PG)
            self.uc.mem_write(self.frame(va) + va % BY2PG, data[:n])
            va, data = va + n, data[n:]

    def interrupt(self, uc: Any, intno: int, _data: object) -> None:
        """A page fault, or a system call; a call it knows nothing of returns 0."""
        if intno == PAGEFAULT:
            self.frame(uc.reg_read(UC_X86_REG_CR2))
            uc.context_update(self.context)
            self.inflight.value = -1
            uc.context_restore(self.context)
            return
        nr = uc.reg_read(UC_X86_REG_EAX)
        n = 0
        if nr == EXITS:
            uc.emu_stop()
        elif nr == BRK:
            n = self.bss
        elif nr == PWRITE:
            sp = uc.reg_read(UC_X86_REG_ESP)
            n = int.from_bytes(uc.mem_read(self.frame(sp + 12) + (sp + 12) % BY2PG, 4), "little")
        uc.reg_write(UC_X86_REG_EAX, n)

    def run(self) -> None:
        """Run to exits()."""
        self.uc.emu_start(self.entry, 0)


def run(path: str, args: Sequence[str]) -> None:
    """Run the a.out at path with these arguments."""
    Bare(path, args).run()
