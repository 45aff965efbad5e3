"""Physical memory, and which frames may have translated code in which processor.

Unicorn translates code by frame and does not see what others write. So a frame starts
no-execute everywhere, the first execution on a processor is a nested fault, and from then on:

- a change through the methods here makes every processor that executed the frame forget it;
- while one processor executes a frame, it is read-only for the others, so a store there is a
  nested fault that makes the executing ones forget it; executed by several, it is read-only for all.

A processor's stores to code of its own Unicorn sees itself.
"""

from collections.abc import Callable
from mmap import mmap
from typing import Final, Protocol

from emu.machine import svm

MIN: Final = 4 * 1024 * 1024
MAX: Final = svm.MAXRAM
PAGE: Final = 4096
ZERO: Final = bytes(PAGE)


class Processor(Protocol):
    """What memory asks of a processor. Frames are frame numbers: address >> 12."""

    machno: int

    def grant(self, frame: int, execute: bool, write: bool) -> None:
        """From the next instruction on, let the frame be used like this."""

    def settable(self, frame: int, execute: bool) -> None:
        """The same for a frame that no user address is mapped to, a page table."""

    def stale(self, frame: int) -> None:
        """What was translated from the frame must be dropped before it is executed again."""


def _translate(ram: mmap) -> Callable[[int, int, bool], int]:
    """As of kernel.base.hw.Memory: in C, or none where the extension was not built."""
    try:
        from emu.machine._mmu import Mmu
    except ImportError:
        return lambda pdb, va, write: -1
    return Mmu(ram).translate


class Memory:
    """Implements kernel.base.hw.Memory on one mapping of size bytes, a multiple of 4 MB up to 3 GB."""

    def __init__(self, size: int) -> None:
        if size % MIN or not MIN <= size <= MAX:
            raise ValueError(f"memory of {size} bytes is not a multiple of 4 MB up to 3 GB")
        self.size = size
        self._map = svm.ram(size)
        self.buf = memoryview(self._map)
        self.words: memoryview[int] = self.buf.cast("I")
        # the kernel's translations may be watched (emu.machine.references), looks at code not
        self.translate = self._looked = _translate(self._map)
        self.executed: dict[int, int] = {}  # frame -> set of processors that may execute it, as bits
        self.tables: set[int] = set()
        self.stamp = -1  # what RDTSC gave last on any processor; it is here as processors share nothing else
        self._cpus: list[Processor] = []

    @property
    def address(self) -> int:
        """Where memory lies in the host's."""
        return svm.addressof(self._map)

    def zero(self, pa: int) -> None:
        """Clear the frame at pa."""
        if pa >> 12 in self.executed:
            self.forget(pa >> 12)
        self.buf[pa : pa + PAGE] = ZERO

    def copy(self, dst: int, src: int) -> None:
        """Copy the frame at src to the frame at dst."""
        if dst >> 12 in self.executed:
            self.forget(dst >> 12)
        self.buf[dst : dst + PAGE] = self.buf[src : src + PAGE]

    def read(self, pa: int, n: int) -> bytes:
        """The n bytes at pa."""
        return bytes(self.buf[pa : pa + n])

    def write(self, pa: int, data: "bytes | bytearray | memoryview[int]") -> None:
        """Store data at pa; it does not cross a frame boundary."""
        if pa >> 12 in self.executed:
            self.forget(pa >> 12)
        self.buf[pa : pa + len(data)] = data

    def changing(self, pa: int) -> None:
        """The frame at pa is about to be changed in buf."""
        if pa >> 12 in self.executed:
            self.forget(pa >> 12)

    def table(self, pa: int) -> None:
        """The frame at pa is about to serve as a page directory or page table.

        It must be executable in the nested tables: Unicorn's walk dies on one that is not.
        """
        if not 0 <= pa < self.size:
            raise ValueError(f"no memory at 0x{pa:x} for a page table")
        frame = pa >> 12
        if frame in self.executed:
            self.forget(frame)
        self.tables.add(frame)
        for cpu in self._cpus:
            cpu.settable(frame, execute=True)

    def data(self, pa: int) -> None:
        """The frame at pa no longer serves as a page directory or page table."""
        frame = pa >> 12
        self.tables.discard(frame)
        for cpu in self._cpus:
            cpu.settable(frame, execute=False)

    def attach(self, cpu: Processor) -> None:
        """A processor joins. Tables and frames that others execute are set up in it."""
        for frame in self.tables:
            cpu.settable(frame, execute=True)
        for frame in self.executed:
            cpu.grant(frame, execute=False, write=False)
        self._cpus.append(cpu)

    def detach(self, cpu: Processor) -> None:
        """A processor leaves."""
        self._cpus.remove(cpu)
        for frame in [f for f, mask in self.executed.items() if mask >> cpu.machno & 1]:
            self._settle(frame, self.executed[frame] & ~(1 << cpu.machno))

    def execute(self, cpu: Processor, frame: int) -> None:
        """cpu is about to execute the frame."""
        self._settle(frame, self.executed.get(frame, 0) | 1 << cpu.machno)

    def store(self, cpu: Processor, frame: int) -> None:
        """cpu is about to store to a frame that was read-only for it: the others lose their code of it."""
        self.revoke(frame, self.executed.get(frame, 0) & ~(1 << cpu.machno))

    def forget(self, frame: int) -> None:
        """The frame's contents change: no processor may go on with code translated from it."""
        self.revoke(frame, self.executed[frame])

    def revoke(self, frame: int, mask: int) -> None:
        """The processors in mask must not execute the frame before they have dropped its code."""
        mask &= self.executed.get(frame, 0)
        for cpu in self._cpus:
            if mask >> cpu.machno & 1:
                cpu.stale(frame)
        self._settle(frame, self.executed.get(frame, 0) & ~mask)

    def _settle(self, frame: int, mask: int) -> None:
        """Record who executes the frame, and let each processor do with it what that leaves."""
        if mask:
            self.executed[frame] = mask
        else:
            self.executed.pop(frame, None)
        for cpu in self._cpus:
            mine = 1 << cpu.machno
            cpu.grant(frame, execute=bool(mask & mine), write=not mask & ~mine)

    def walk(self, cr3: int, va: int) -> int | None:
        """The physical address of va by the page tables at cr3, or None; permissions are not looked at."""
        words = self.words
        at = cr3 & 0xFFFFF000 | va >> 20 & 0xFFC
        if at >= self.size:
            return None
        entry = words[at >> 2]
        if not entry & 1:
            return None
        if entry & 0x80:
            pa = entry & 0xFFC00000 | va & 0x3FFFFF
        else:
            at = entry & 0xFFFFF000 | va >> 10 & 0xFFC
            if at >= self.size:
                return None
            entry = words[at >> 2]
            if not entry & 1:
                return None
            pa = entry & 0xFFFFF000 | va & 0xFFF
        return pa if pa < self.size else None

    def opcode(self, cr3: int, va: int) -> int:
        """The byte at va; -1 if it takes more to find it."""
        at = self._looked(cr3, va, False)
        return self._map[at] if 0 <= at < self.size else -1

    def code(self, cr3: int, va: int, n: int) -> bytes:
        """Up to n bytes of instructions at va; fewer if they run into a page that is not mapped."""
        at = self._looked(cr3, va & 0xFFFFFFFF, False)
        if 0 <= at <= self.size - n and (at & (PAGE - 1)) <= PAGE - n:
            return self._map[at : at + n]
        got = b""
        while n > 0:
            pa = self.walk(cr3, va & 0xFFFFFFFF)
            if pa is None:
                break
            chunk = min(n, PAGE - (pa & (PAGE - 1)))
            got += bytes(self.buf[pa : pa + chunk])
            va += chunk
            n -= chunk
        return got
