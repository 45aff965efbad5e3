"""Flags as they were, where RCL, RCR or SETcc faults: Unicorn has changed them before the result is stored.

The instruction will be repeated, and its result depends on them. What they were is noted by functions in place of
Unicorn's (emu/machine/_faultflags.c).
"""

import functools
from typing import Final

from emu.machine import rmw, x86
from emu.machine.lib import Lib
from emu.machine.regs import Regs

ROTATE: Final = -1
NOTHING: Final = -2
ROTATIONS: Final = (0xC0, 0xC1, 0xD0, 0xD1, 0xD2, 0xD3)
# How an instruction that is one of these may begin; -1: nobody can tell
FIRST: Final = frozenset((-1, 0x0F, *ROTATIONS, *rmw.PREFIXES))
# SETcc's conditions: the opcode without its lowest bit, which negates
OVER, CARRY, ZERO, BE, SIGN, PARITY, L, LE = range(8)
# Unicorn's kinds of what set the flags last (CCOp in its target/i386/cpu.h)
DYNAMIC: Final = 0  # known when it runs, not when it is translated
SUB: Final = range(14, 18)
OTHERS: Final = 46  # ADCX and what follows


def mend(lib: Lib, regs: Regs, code: bytes, addr: int, write: bool) -> None:
    """Put the flags right if it is one of these instructions, code, that has faulted at addr when it stored or loaded.

    Nothing without the extension.
    """
    what = _look(code)
    if what == NOTHING or not (write or (what == ROTATE and rmw.writes(code, regs, addr))):
        return
    noted = lib.faulted()
    if not noted:
        return
    flags = noted >> 16
    if what == ROTATE:
        flags = noted if write else flags
    elif not _workedout(noted >> 32 & 0xFFFF, what):
        return  # nothing was changed
    regs.flags = regs.flags & ~x86.FL_ARITHMETIC | flags & x86.FL_ARITHMETIC


def _workedout(kind: int, condition: int) -> bool:
    """Whether Unicorn works out all flags for this condition. Source: gen_prepare_cc of its target/i386/translate.c."""
    if condition in (BE, L, LE):
        return kind not in SUB
    if condition == OVER:
        return kind < OTHERS
    if condition in (ZERO, SIGN):
        return kind == DYNAMIC
    return condition == PARITY


@functools.lru_cache(4096)
def _look(code: bytes) -> int:
    """ROTATE for RCL and RCR of memory, SETcc's condition if it sets memory, NOTHING for all else."""
    code = code.lstrip(rmw.PREFIXES)
    if len(code) >= 3 and code[0] == 0x0F and code[1] & 0xF0 == 0x90 and code[2] < 0xC0:
        return code[1] >> 1 & 7
    if len(code) >= 2 and code[0] in ROTATIONS and code[1] < 0xC0 and code[1] >> 3 & 7 in (2, 3):
        return ROTATE
    return NOTHING
