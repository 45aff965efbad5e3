"""The same processor without nested paging: Unicorn's own 386, ring 3 entered as hardware does.

Slower, since Unicorn checks every store against the code it has translated, but free of SVM: what differs between
the two would be a mistake of one of them. For one processor only: a store by another one to code that this one has
translated would not be noticed.
"""

import ctypes
import struct
from ctypes import Structure, c_size_t, c_uint16, c_uint32, c_uint64, c_void_p
from typing import Any, Final

from emu.machine import svm, x86
from emu.machine.cpu import Cpu
from emu.machine.cpuid import cpuid
from emu.machine.lib import (
    CTL_TB_FLUSH,
    EDGEHOOK,
    HOOK_EDGE_GENERATED,
    HOOK_INTR,
    INHOOK,
    INS_CPUID,
    INTRHOOK,
    PROT_ALL,
    REG_CR0,
    REG_CR3,
    REG_CR4,
    REG_CS,
    REG_DS,
    REG_ES,
    REG_ESP,
    REG_GDTR,
    REG_IDTR,
    REG_SS,
)
from emu.machine.regs import Context, Regs, header
from kernel.base.mem import CPU0GDT, IDTADDR, NGDT

GDT: Final = svm.REGION  # of the way to ring 3 only; the kernel's own replaces it
STUB: Final = svm.REGION + 0x1000
STACK: Final = svm.REGION + 0x2000
KDATA, KCODE, UDATA, UCODE = 0x08, 0x10, 0x1B, 0x23
DESCRIPTORS: Final = (0, 0x00CF92000000FFFF, 0x00CF9A000000FFFF, 0x00CFF2000000FFFF, 0x00CFFA000000FFFF)
WAY: Final = b"\xcf\xcd\x77"  # iret, to: int 0x77
CR4: Final = svm.CR4 | x86.CR4_TSD  # RDTSC is a protection violation in ring 3


class Table(Structure):
    """Unicorn's uc_x86_mmr: where a descriptor table lies."""

    _fields_ = [("selector", c_uint16), ("base", c_uint64), ("limit", c_uint32), ("flags", c_uint32)]


class PlainCpu(Cpu):
    """A Cpu whose guest-physical memory is physical memory."""

    # emu.machine.memory.Processor

    def grant(self, frame: int, execute: bool, write: bool) -> None:
        """Everything is allowed."""

    def settable(self, frame: int, execute: bool, write: bool = True) -> None:
        """Everything is allowed."""

    def stale(self, frame: int) -> None:
        """What was translated from the frame must be dropped before the guest goes on."""
        super().stale(frame)
        self.hook.flush = True

    # Setting up

    def _boot(self) -> bytes:
        """Enter ring 3; returns the state of a fresh program."""
        lib, uc, buf = self._lib, self._uc, self._region.buf
        blank = Context(header(lib, uc))

        def put(at: int, data: bytes) -> None:
            buf[at - svm.REGION : at - svm.REGION + len(data)] = data

        put(GDT, struct.pack(f"<{len(DESCRIPTORS)}Q", *DESCRIPTORS))
        put(STUB, WAY)
        put(STACK, struct.pack("<5I", STUB + 1, UCODE, x86.FL_ALWAYS | x86.FL_INTERRUPT, 0, UDATA))
        self._table(REG_GDTR, GDT, len(DESCRIPTORS) * 8 - 1)
        for segment, selector in ((REG_CS, KCODE), (REG_SS, KDATA), (REG_DS, UDATA), (REG_ES, UDATA)):
            svm.regwrite(lib, uc, segment, selector)
        svm.regwrite(lib, uc, REG_ESP, STACK)
        seen: list[int] = []

        def stop(_uc: int, intno: int) -> None:
            seen.append(intno)
            lib.stop(uc)

        hook = INTRHOOK(stop)
        handle = c_size_t()
        lib.check(lib.hook(uc, ctypes.byref(handle), HOOK_INTR, hook, None, 1, 0), "uc_hook_add")
        err = lib.start(uc, STUB, 0, 0, 0)
        lib.check(lib.unhook(uc, handle), "uc_hook_del")
        if err or seen != [0x77]:
            raise lib.unusable(f"IRET does not enter ring 3 (error {err}, interrupts {seen})")
        self._table(REG_GDTR, CPU0GDT, NGDT * 8 - 1)
        self._table(REG_IDTR, IDTADDR, 256 * 8 - 1)
        svm.regwrite(lib, uc, REG_CR4, CR4)
        svm.regwrite(lib, uc, REG_CR3, 0)
        svm.regwrite(lib, uc, REG_CR0, svm.CR0)
        lib.save(uc, blank.handle)
        fresh = self._regs(bytes(blank.buf))
        fresh.settle()
        for register in ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp", "pc"):
            setattr(fresh, register, 0)
        return bytes(fresh.buf)

    def _open(self) -> c_void_p:
        uc = svm.engine(self._lib)
        self._lib.check(self._lib.map(uc, 0, self.memory.size, PROT_ALL, self.memory.address), "uc_mem_map_ptr RAM")
        self._region.attach(self._lib, uc)
        svm.fpinit(self._lib, uc)
        return uc

    def _table(self, reg: int, base: int, limit: int) -> None:
        table = Table(0, base, limit, 0)
        self._lib.check(self._lib.regwrite(self._uc, reg, ctypes.byref(table)), "uc_reg_write")

    def _install(self) -> None:
        """The hooks of every Cpu; one for new blocks, one for CPUID."""
        super()._install()

        def generated(_uc: int, block: Any) -> None:
            try:
                pc, size = block.contents.pc, block.contents.size
                for va in {pc & 0xFFFFF000, pc + size - 1 & 0xFFFFF000}:
                    pa = self.memory.walk(self.hook.cr3, va)
                    if pa is not None and not self.memory.executed.get(pa >> 12, 0) >> self.machno & 1:
                        self.memory.execute(self, pa >> 12)
            except BaseException as e:  # noqa: BLE001 run() raises it
                self.ended(e)

        def identify(_uc: int) -> int:
            try:
                if not self.hook.held:
                    self._hold()
                    regs = self.hook.current
                    regs.ax, regs.bx, regs.cx, regs.dx = cpuid(regs.ax)
                    regs.pc += self._prefixes(regs) + 2
            except BaseException as e:  # noqa: BLE001 run() raises it
                self.ended(e)
            return 1

        self._hook(EDGEHOOK(generated), HOOK_EDGE_GENERATED)
        self._insnhook(INHOOK(identify), INS_CPUID)

    # Traps

    def flushtlb(self) -> None:
        """Forget every translation of an address, and of a frame that has become stale."""
        if self._stale:
            self._stale.clear()
            self._lib.ctl(self._uc, CTL_TB_FLUSH)
        super().flushtlb()

    def _exception(self, regs: Regs, no: int) -> Regs | None:
        """As of every Cpu, but RDTSC comes as a protection violation."""
        if no == x86.PROTECTION and self._opcode(regs).startswith(b"\x0f\x31"):
            self._rdtsc(regs)
            return regs
        return super()._exception(regs, no)
