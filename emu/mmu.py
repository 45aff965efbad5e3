"""The paging unit as the kernel uses it on a process's memory.

On a 386 the kernel runs in the process's address space and hardware translates what it touches. Here it asks for each
page that it touches. There is an answer in C too (emu/_mmu.c), as each system call and each trap asks.
"""

import mmap
from typing import Final, Protocol

from kernel.mem import PTEACCESSED, PTEDIRTY, PTEVALID, PTEWRITE

READABLE: Final = PTEVALID | PTEACCESSED
WRITABLE: Final = PTEVALID | PTEWRITE | PTEACCESSED | PTEDIRTY


class Mmu(Protocol):
    """The paging unit over one memory."""

    def translate(self, pdb: int, va: int, write: bool) -> int:
        """As of kernel.hw.Memory."""


class PythonMmu:
    """Implements Mmu; words is the memory as 32-bit words."""

    def __init__(self, words: "memoryview[int]") -> None:
        self._words = words

    def translate(self, pdb: int, va: int, write: bool) -> int:
        """As of kernel.hw.Memory."""
        w = self._words
        try:
            pde = w[(pdb >> 2) + (va >> 22)]
            if pde & READABLE != READABLE:
                return -1
            pte = w[(pde >> 12 << 10) + (va >> 12 & 0x3FF)]
        except IndexError:
            return -1
        want = WRITABLE if write else READABLE
        if pte & want != want:
            return -1
        return (pte & ~0xFFF) + (va & 0xFFF)


def mmu(ram: mmap.mmap) -> Mmu:
    """That in C, if the extension was built."""
    try:
        from emu._mmu import Mmu as Native
    except ImportError:
        return PythonMmu(memoryview(ram).cast("I"))
    return Native(ram)
