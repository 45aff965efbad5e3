"""The plainest emulators that do a benchmark's work on Unicorn: what p9emu is measured against.

Unicorn through its Python binding, page tables of the guest's own, one interrupt hook: no ring 3, no processes, no
checks. The handler of a fault is the least that serves one: one copy of the processor's state in, the next frame,
the page table's word, one copy out. Whatever a kernel does comes on top.

``python -m emu.bench.bare program PATH ARGS``, ``calls N``, ``faults N`` or ``copies N`` does one and prints how many
seconds of processor time that took. A process of its own: there Unicorn is as it comes, no function of it replaced.
"""

import ctypes
import mmap
import struct
import sys
import time
from collections.abc import Callable, Sequence
from ctypes import c_char, c_uint32
from typing import Any, Final

import unicorn  # before emu.machine.lib: what that puts in front of libunicorn then comes too late
from unicorn import UC_ARCH_X86, UC_HOOK_INTR, UC_MODE_32, UC_PROT_ALL
from unicorn.x86_const import UC_X86_REG_CR0, UC_X86_REG_CR3, UC_X86_REG_EAX, UC_X86_REG_ECX, UC_X86_REG_ESP

from emu.machine.regs import regsclass
from emu.program.aout import HDRSIZE, load

BY2PG: Final = 4096
PDB: Final = 0x1000  # page directory; tables and frames follow
RAM: Final = 256 << 20
STKTOP: Final = 0xDFFFF000
TOS: Final = STKTOP - 56
EXITS, BRK, PWRITE = 8, 24, 51
PAGEFAULT: Final = 14
PG_WP_PE: Final = 0x80010001
VALID: Final = 1
WRITE: Final = 2
NONE: Final = 0xFFFFFFFF

LOOP: Final = 0x1000
AREA: Final = 0x400000
# esi: first page, ecx: how many. mov [esi], ecx; add esi, 4096; dec ecx; jnz; hlt
STORES: Final = b"\x89\x0e\x81\xc6\x00\x10\x00\x00\x49\x75\xf5\xf4"
# mov eax, [esi]; add esi, 4096; dec ecx; jnz; hlt
LOADS: Final = b"\x8b\x06\x81\xc6\x00\x10\x00\x00\x49\x75\xf5\xf4"
# int 0x40; dec ecx; jnz; hlt
CALLS: Final = b"\xcd\x40\x49\x75\xfb\xf4"


class Bare:
    """One address space; a page that is not there, or not writable, is made so at its first fault."""

    def __init__(self) -> None:
        unicorn_: Any = unicorn
        uc: Any = unicorn_.Uc(UC_ARCH_X86, UC_MODE_32)
        self.uc = uc
        self.ram = mmap.mmap(-1, RAM, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        uc.mem_map_ptr(0, RAM, UC_PROT_ALL, ctypes.addressof(c_char.from_buffer(self.ram)))
        self.bytes = memoryview(self.ram)
        self.words = self.bytes.cast("I")
        self.free = PDB + BY2PG
        layout = regsclass().layout
        self.context = uc.context_save()
        size = self.context.size
        self.state = memoryview((c_uint32 * (size // 4)).from_address(self.context.context.value)).cast("B").cast("I")
        self.cr2, self.error, self.inflight = layout.cr2, layout.errorcode, layout.oldexception
        uc.reg_write(UC_X86_REG_CR3, PDB)
        uc.reg_write(UC_X86_REG_CR0, PG_WP_PE)
        uc.hook_add(UC_HOOK_INTR, self.interrupt)

    def entry(self, va: int) -> int:
        """The index of va's word in its page table, which is made if it is not there."""
        pde = (PDB >> 2) + (va >> 22)
        table = self.words[pde]
        if not table:
            table = self.words[pde] = self.free | WRITE | VALID
            self.free += BY2PG
        return (table >> 12 << 10) + (va >> 12 & 0x3FF)

    def interrupt(self, uc: Any, intno: int, _data: object) -> None:
        """A page fault: the next frame; a copy if there was a page that may not be written."""
        if intno != PAGEFAULT:
            self.call()
            return
        uc.context_update(self.context)
        state = self.state
        words = self.words
        x = self.entry(state[self.cr2])
        new = self.free
        self.free = new + BY2PG
        old = words[x]
        if old & VALID:
            old &= ~0xFFF
            self.bytes[new : new + BY2PG] = self.bytes[old : old + BY2PG]
        words[x] = new | WRITE | VALID
        state[self.inflight] = NONE  # Unicorn leaves it set; the next fault would be a double one
        uc.context_restore(self.context)

    def call(self) -> None:
        """A system call: nothing at all."""

    def store(self, va: int, data: bytes) -> None:
        """Put data into the address space before it runs."""
        while data:
            n = min(len(data), BY2PG - va % BY2PG)
            x = self.entry(va)
            if not self.words[x]:
                self.words[x] = self.free | WRITE | VALID
                self.free += BY2PG
            pa = (self.words[x] & ~0xFFF) + va % BY2PG
            self.bytes[pa : pa + n] = data[:n]
            va, data = va + n, data[n:]

    def loop(self, code: bytes, n: int) -> None:
        """Run one of the loops n times."""
        self.store(LOOP, b"\xbe" + struct.pack("<I", AREA) + code)  # mov esi, AREA
        self.uc.reg_write(UC_X86_REG_ECX, n)
        self.uc.ctl_flush_tb()
        self.uc.reg_write(UC_X86_REG_CR3, PDB)
        self.uc.emu_start(LOOP, LOOP + 5 + len(code) - 1)

    def setentries(self, n: int, keep: int) -> None:
        """Take rights from the n pages of the area."""
        for i in range(n):
            self.words[self.entry(AREA + i * BY2PG)] &= keep


class Program(Bare):
    """A Plan 9 a.out."""

    def __init__(self, path: str, args: Sequence[str]) -> None:
        super().__init__()
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
        self.start = a.entry
        self.bss = a.segments[2].base
        self.uc.reg_write(UC_X86_REG_ESP, sp)
        self.uc.reg_write(UC_X86_REG_EAX, TOS)

    def call(self) -> None:
        """exits ends the run, brk_ tells where the bss begins, pwrite takes all; a call it knows not returns 0."""
        uc = self.uc
        nr = uc.reg_read(UC_X86_REG_EAX)
        n = 0
        if nr == EXITS:
            uc.emu_stop()
        elif nr == BRK:
            n = self.bss
        elif nr == PWRITE:
            sp = uc.reg_read(UC_X86_REG_ESP) + 12
            n = self.words[((self.words[self.entry(sp)] & ~0xFFF) + sp % BY2PG) >> 2]
        uc.reg_write(UC_X86_REG_EAX, n)

    def run(self) -> None:
        """Run to exits()."""
        self.uc.emu_start(self.start, 0)


def run(path: str, args: Sequence[str]) -> None:
    """Run the a.out at path with these arguments."""
    Program(path, args).run()


def calls(n: int) -> None:
    """n times INT $64, with a hook that does nothing."""
    Bare().loop(CALLS, n)


def faults(n: int) -> None:
    """Fill n pages with zeros on demand."""
    Bare().loop(STORES, n)


def copies(n: int) -> None:
    """What a forked page comes to: zero-filled, copied by its next writer, and mapped once more for a reader."""
    bare = Bare()
    bare.loop(STORES, n)
    bare.setentries(n, ~WRITE & NONE)
    bare.loop(STORES, n)
    bare.setentries(n, 0)
    bare.loop(LOADS, n)


LOOPS: Final[dict[str, Callable[[int], None]]] = {"calls": calls, "faults": faults, "copies": copies}


def main(kind: str, *args: str) -> None:
    """The command."""
    regsclass()
    started = time.process_time()
    if kind == "program":
        run(args[0], args[1:])
    else:
        LOOPS[kind](int(args[0]))
    sys.stdout.write(f"{time.process_time() - started}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
