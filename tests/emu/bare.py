"""The bare machine: processors over RAM with hand-made page tables, no kernel.

bare = Bare()
bare.load(0x1000, b"\\x40\\xcd\\x40")    # INCL AX; INT $64
bare.run(bare.regs(0x1000))
assert bare.traps == [Trap(64, 0, 0x1003, 0)]
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from emu.machine.counter import Kind
from emu.machine.cpu import Cpu
from emu.machine.memory import Memory
from emu.machine.plaincpu import PlainCpu
from emu.machine.regs import Regs
from kernel.base.mem import CPU0GDT, KZERO, PTESIZE, PTEUSER, PTEVALID, PTEWRITE

PAGE: Final = 4096
FIRSTFRAME: Final = 0x100000  # as the Cpu's lowmem: what lies below is never mapped for users
FOREVER: Final = 1 << 60

# Null, then flat data and code for rings 0 and 3, as pc/mmu.c:mmuinit has them
GDT: Final = (0, 0x00CF92000000FFFF, 0x00CF9A000000FFFF, 0x00CFF2000000FFFF, 0x00CFFA000000FFFF)


@dataclass
class Trap:
    """A trap as the service saw it; addr is CR2 for a page fault, else 0."""

    trapno: int
    ecode: int
    pc: int
    addr: int = 0


Policy = Callable[["Bare", Trap], Regs | None]


class Bare:
    """Processors, memory, address spaces, and the list of traps. By default each trap ends the run."""

    def __init__(
        self, size: int = 16 << 20, ncpu: int = 1, counter: Kind = "auto", plain: bool = False, kind: type[Cpu] = Cpu
    ) -> None:
        self.memory = Memory(size)
        self.traps: list[Trap] = []
        self.policy: Policy = lambda bare, trap: None
        cpu = PlainCpu if plain else kind
        self.cpus = [cpu(i, self.memory, self._service(i), counter=counter) for i in range(ncpu)]
        self.cpu = self.cpus[0]
        self.running = self.cpu
        self._next = FIRSTFRAME
        self.memory.write(CPU0GDT - KZERO, struct.pack(f"<{len(GDT)}Q", *GDT))
        self.pdb = self.space()

    def close(self) -> None:
        for cpu in self.cpus:
            cpu.close()

    def __enter__(self) -> "Bare":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def frame(self) -> int:
        """A cleared frame that was not given out before."""
        pa = self._next
        self._next += PAGE
        return pa

    def space(self) -> int:
        """A new page directory with the kernel's 4 MB; it becomes the one that map() fills and run() loads."""
        self.pdb = self.frame()
        self.memory.table(self.pdb)
        self.memory.words[(self.pdb >> 2) + (KZERO >> 22)] = PTEVALID | PTEWRITE | PTESIZE
        return self.pdb

    def map(self, va: int, pa: int | None = None, *, write: bool = True, user: bool = True) -> int:
        """Map a page at va, by default to a new frame; returns the frame."""
        words = self.memory.words
        slot = (self.pdb >> 2) + (va >> 22)
        if not words[slot]:
            table = self.frame()
            self.memory.table(table)
            words[slot] = table | PTEVALID | PTEWRITE | PTEUSER
        if pa is None:
            pa = self.frame()
        pte = pa | PTEVALID | (PTEWRITE if write else 0) | (PTEUSER if user else 0)
        words[((words[slot] & ~0xFFF) >> 2) + (va >> 12 & 0x3FF)] = pte
        return pa

    def unmap(self, va: int) -> None:
        """Take a page's mapping away; the processors' TLBs are the caller's affair."""
        self.memory.words[self._slot(va)] = 0

    def pte(self, va: int) -> int:
        """The page table entry of va."""
        return self.memory.words[self._slot(va)]

    def _slot(self, va: int) -> int:
        table = self.memory.words[(self.pdb >> 2) + (va >> 22)] & ~0xFFF
        return (table >> 2) + (va >> 12 & 0x3FF)

    def load(self, va: int, code: bytes, *, write: bool = True) -> None:
        """Map what is not mapped yet and store bytes at va, through the hardware's door for code."""
        while code:
            pa = self.memory.walk(self.pdb, va)
            if pa is None:
                pa = self.map(va & ~(PAGE - 1), write=write) | va & PAGE - 1
            n = min(len(code), PAGE - (va & PAGE - 1))
            self.memory.write(pa, code[:n])
            va += n
            code = code[n:]

    def peek(self, va: int, n: int = 4) -> int:
        """The little-endian number of n bytes at va."""
        pa = self.memory.walk(self.pdb, va)
        assert pa is not None
        return int.from_bytes(self.memory.read(pa, n), "little")

    def regs(self, pc: int, sp: int = 0, cpu: int = 0) -> Regs:
        """Fresh registers that start at pc."""
        regs = self.cpus[cpu].newregs()
        regs.pc, regs.sp = pc, sp
        return regs

    def run(self, regs: Regs, ns: int = FOREVER, cpu: int = 0) -> bool:
        """Run for ns of virtual time at most, in the address space made last."""
        self.running = self.cpus[cpu]
        self.running.putcr3(self.pdb)
        return self.running.run(regs, min(self.running.now() + ns, FOREVER))

    def _service(self, i: int) -> Callable[[int, int], Regs | None]:
        def service(trapno: int, ecode: int) -> Regs | None:
            cpu = self.cpus[i]
            trap = Trap(trapno, ecode, cpu.current.pc, cpu.getcr2() if trapno == 14 else 0)
            self.traps.append(trap)
            return self.policy(self, trap)

        return service
