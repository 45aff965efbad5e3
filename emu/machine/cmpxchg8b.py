"""CMPXCHG8B, after which Unicorn has wrong flags, and whether it has the right ones: ZF alone changes.

Unicorn works the flags out from a note of what set them last, and for this one instruction the note is an old one.
A C function in place of Unicorn's own brings the note up to date (emu/machine/_cmpxchg8b.c).
"""

import ctypes
import functools
from ctypes import c_uint64, c_void_p
from typing import Final

from emu.machine import x86
from emu.machine.lib import ARCH_X86, MODE_32, PROT_ALL, REG_EAX, Lib

OPERAND: Final = 0x800
# mov esp, 0xff0; mov ecx, 0x400; or eax, -1, which the old note tells of; jmp to the next; add eax, ecx;
# lock cmpxchg8b [OPERAND], which differs; pushf; pop eax; hlt
PROBE: Final = (
    b"\xbc\xf0\x0f\x00\x00\xb9\x00\x04\x00\x00\x83\xc8\xff\xeb\x00\x01\xc8\xf0\x0f\xc7\x0d\x00\x08\x00\x00\x9c\x58\xf4"
)
FLAGS: Final = 1 << 2 | 1 << 0  # P and C, of the sum 0x3ff


@functools.cache
def exact(lib: Lib) -> bool:
    """Whether the flags of this Unicorn are right, its function replaced or not: tried out on a scratch engine."""
    ram = ctypes.create_string_buffer(2 * 4096)
    address = ctypes.addressof(ram) + 4095 & ~4095
    ctypes.memmove(address, PROBE, len(PROBE))
    ctypes.memset(address + OPERAND, 0xFF, 8)
    uc = c_void_p()
    lib.check(lib.open(ARCH_X86, MODE_32, ctypes.byref(uc)), "uc_open")
    try:
        lib.check(lib.map(uc, 0, 4096, PROT_ALL, address), "uc_mem_map_ptr")
        lib.check(lib.start(uc, 0, len(PROBE) - 1, 0, 0), "uc_emu_start")
        got = c_uint64()
        lib.check(lib.regread(uc, REG_EAX, ctypes.byref(got)), "uc_reg_read")
        return got.value & (x86.FL_ARITHMETIC | x86.FL_DIRECTION) == FLAGS
    finally:
        lib.close(uc)
