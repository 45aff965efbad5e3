"""Unicorn's check for a stop after each load and store, and how it is left out.

Unicorn 2.1 follows every memory access of the code it translates with a call that looks whether
uc_emu_stop was called, before which all registers must be in memory. p9emu stops a guest only before
a block or in a trap, where Unicorn looks anyway. (A stop that is noticed after an access starts the
instruction anew, and ``inc [mem]`` counts twice.)

The engine has a switch for that, ``no_exit_request``, which Unicorn itself uses for ARM and offers to
nobody. It is looked for by its neighbours and tried out on a scratch engine; where it is not found
p9emu works the same way, slower.
"""

import ctypes
import functools
from ctypes import c_char, c_int, c_size_t, c_ubyte, c_uint64, c_void_p
from typing import Final

from emu.machine.lib import (
    ARCH_X86,
    CTL_CONTEXT_MODE,
    CTL_TB_FLUSH,
    HOOK_MEM_READ,
    INVALIDHOOK,
    MODE_32,
    PROT_ALL,
    REG_ECX,
    Lib,
)

SEARCHED: Final = 4096  # bytes of the engine that are looked at; it is larger
HEAD: Final = 64  # more than a saved state's head
# What follows the word that CTL_CONTEXT_MODE sets (uc_priv.h:uc_struct):
#
#  | context_content 4 | cpu_context_size 4 | next_pc 8, aligned | hook_insert, first_tb, no_exit_request, init_done |

CODE: Final = b"\xa1\x00\x08\x00\x00\x41\xeb\xfe"  # mov eax, [0x800]; inc ecx; jmp .


def leaveout(lib: Lib, uc: c_void_p) -> None:
    """Let what the engine translates from now on do without the check."""
    at = place(lib)
    if at is not None:
        _byte(uc, at).value = 1


def _byte(uc: c_void_p, at: int) -> c_ubyte:
    return c_ubyte.from_address((uc.value or 0) + at)


@functools.cache
def place(lib: Lib) -> int | None:
    """Where the switch lies in an engine, or None."""
    ram = ctypes.create_string_buffer(2 * 4096)
    address = ctypes.addressof(ram) + 4095 & ~4095
    ctypes.memmove(address, CODE, len(CODE))
    uc = c_void_p()
    lib.check(lib.open(ARCH_X86, MODE_32, ctypes.byref(uc)), "uc_open")
    try:
        lib.check(lib.map(uc, 0, 4096, PROT_ALL, address), "uc_mem_map_ptr")
        at = _search(lib, uc)
        return at if at is not None and _works(lib, uc, at) else None
    finally:
        lib.close(uc)


def _search(lib: Lib, uc: c_void_p) -> int | None:
    """The one place with the neighbours of the switch, or None."""
    shots = []
    for mode in (2, 1):
        lib.check(lib.ctl(uc, CTL_CONTEXT_MODE, c_int(mode)), "uc_ctl context mode")
        shots.append(memoryview((c_char * SEARCHED).from_address(uc.value or 0).raw))
    first, second = (shot.cast("I") for shot in shots)
    size = lib.contextsize(uc)
    found = []
    for i in range(len(first) - 8):
        if first[i] == 2 and second[i] == 1 and 0 <= size - second[i + 1] <= HEAD:
            flags = (4 * i + 8 + 7 & ~7) + 8
            _, _, switch, done = shots[1][flags : flags + 4]
            if not switch and done:
                found.append(flags + 2)
    return found[0] if len(found) == 1 else None


def _works(lib: Lib, uc: c_void_p, at: int) -> bool:
    """Whether, with the switch on, a stop at a load comes at the end of the block and not at once."""

    def stop(uc: int) -> bool:
        lib.stop(c_void_p(uc))
        return True

    hook = INVALIDHOOK(stop)
    lib.check(lib.hook(uc, ctypes.byref(c_size_t()), HOOK_MEM_READ, hook, None, 1, 0), "uc_hook_add")
    counts = []
    for on in (0, 1):
        _byte(uc, at).value = on
        count = c_uint64(0)
        lib.check(lib.regwrite(uc, REG_ECX, ctypes.byref(count)), "uc_reg_write")
        lib.check(lib.start(uc, 0, 4096, 0, 0), "uc_emu_start")
        lib.check(lib.regread(uc, REG_ECX, ctypes.byref(count)), "uc_reg_read")
        counts.append(count.value)
        lib.check(lib.ctl(uc, CTL_TB_FLUSH), "uc_ctl flush")
    return counts == [0, 1]
