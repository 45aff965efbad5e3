"""Unicorn's memory hooks fall silent after a fault in the middle of an access, and how they are made to speak again.

A load that crosses a page is made of two, and for the time of these Unicorn 2.1 calls no hook: the engine has the size
of the load in ``size_recur_mem`` meanwhile. If the second page is missing, the fault leaves that word as it is, and no
hook is called for any load or store, until such a load succeeds or emulation starts anew. So it must be cleared before
the next block. It is looked for on a scratch engine, which is given such faults.
"""

import ctypes
import functools
from ctypes import c_char, c_size_t, c_void_p
from typing import Final

from emu.machine import svm, x86
from emu.machine.lib import (
    ARCH_X86,
    HOOK_INTR,
    HOOK_MEM_READ,
    INTRHOOK,
    INVALIDHOOK,
    MODE_32,
    PROT_ALL,
    REG_CR0,
    REG_CR3,
    REG_EIP,
    Lib,
)

SEARCHED: Final = 8192  # bytes of the engine that are looked at; it is larger
DIRECTORY, TABLE, LAST = 0x1000, 0x2000, 0x3000  # physical; addresses 0 and 0x3000 are mapped, 0x4000 is not
# mov eax, [0x3ffe]; mov ax, [0x3fff]; mov eax, [0x3000]; each by itself
FOUR, TWO, WITHIN = b"\xa1\xfe\x3f\x00\x00", b"\x66\xa1\xff\x3f\x00\x00", b"\xa1\x00\x30\x00\x00"


@functools.cache
def place(lib: Lib) -> int | None:
    """Where the word lies in an engine, or None if it is not found."""
    ram = ctypes.create_string_buffer(5 * 4096)
    address = ctypes.addressof(ram) + 4095 & ~4095
    words = (ctypes.c_uint32 * 4096).from_address(address)
    words[DIRECTORY >> 2] = TABLE | 3
    for page in (0, LAST):
        words[(TABLE >> 2) + (page >> 12)] = page | 3
    uc = c_void_p()
    lib.check(lib.open(ARCH_X86, MODE_32, ctypes.byref(uc)), "uc_open")
    try:
        lib.check(lib.map(uc, 0, 4 * 4096, PROT_ALL, address), "uc_mem_map_ptr")
        svm.regwrite(lib, uc, REG_CR3, DIRECTORY)
        svm.regwrite(lib, uc, REG_CR0, x86.CR0_PG | x86.CR0_PE)
        return _search(lib, uc, address)
    finally:
        lib.close(uc)


def _search(lib: Lib, uc: c_void_p, ram: int) -> int | None:
    def stop(uc: int, _intno: int) -> None:
        lib.stop(c_void_p(uc))

    hooks = INVALIDHOOK(lambda _uc: True), INTRHOOK(stop)
    for hook, kind in zip(hooks, (HOOK_MEM_READ, HOOK_INTR), strict=True):
        lib.check(lib.hook(uc, ctypes.byref(c_size_t()), kind, hook, None, 1, 0), "uc_hook_add")

    def run(at: int, code: bytes) -> memoryview:
        """The engine after an instruction."""
        ctypes.memmove(ram + at, code, len(code))
        svm.regwrite(lib, uc, REG_EIP, at)
        lib.start(uc, at, at + len(code), 0, 0)
        return memoryview((c_char * SEARCHED).from_address(uc.value or 0).raw).cast("I")

    shots = [run(0x100, WITHIN), run(0x200, FOUR), run(0x300, WITHIN), run(0x400, TWO)]
    found = [4 * i for i, values in enumerate(zip(*shots, strict=True)) if values == (0, 4, 0, 2)]
    return found[0] if len(found) == 1 else None
