"""A process's registers as a Ureg. Source: pc/trap.c, sys/include/386/ureg.h."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kernel.base.procdat import Proc


# Flags a user may change: condition codes, direction, overflow, trap
UFLAGS = 0xCD5

# Ureg: di si bp nsp bx dx cx ax gs fs es ds trap ecode pc cs flags usp ss (sys/include 386/ureg.h)
UREG = struct.Struct("<19I")
UFLAGSAT = 16  # flags among the words
UDSEL, UESEL = 0x1B, 0x23


WITHECODE = frozenset((8, 10, 11, 12, 13, 14, 17))  # traps for which the processor pushes an error code
FAULTS = frozenset((0, 5, 6, 7, 9, 10, 11, 12, 13, 14, 16, 17, 19))  # those that leave pc at the instruction
RF = 0x10000  # the processor sets it in the flags that a fault pushes
# Where pc/l.s:vectortable lies: an entry is a CALL and a byte, and for a trap without an error code the CALL's return
# address stays in its place. It is that of one build of the kernel; a system call's is 0xf010021c then.
VECTORTABLE = 0xF0100097
VECTORSIZE, CALLSIZE = 6, 5


def ecode(up: Proc) -> int:
    """The word of the Ureg's that has the error code. Source: pc/l.s:_strayintr, _syscallintr."""
    return up.ecode if up.trapno in WITHECODE else VECTORTABLE + VECTORSIZE * up.trapno + CALLSIZE


def packureg(up: Proc) -> bytes:
    """The Ureg of a process's registers, as pc/l.s lays it down.

    The segment registers are what every process starts with; nsp, the address of the Ureg's gs on the kernel's stack,
    which nothing reads, is 0.
    """
    r = up.regs
    assert r is not None
    flags = r.flags | RF if up.trapno in FAULTS else r.flags
    return UREG.pack(
        r.di, r.si, r.bp, 0, r.bx, r.dx, r.cx, r.ax, 0, 0, UDSEL, UDSEL, up.trapno, ecode(up), r.pc, UESEL,
        flags, r.sp, UDSEL,
    )  # fmt: skip


def unpackureg(up: Proc, u: Sequence[int]) -> None:
    """Give a process the registers of a Ureg's words; of the flags those that a user may change."""
    r = up.regs
    assert r is not None
    r.di, r.si, r.bp = u[0], u[1], u[2]
    r.bx, r.dx, r.cx, r.ax = u[4], u[5], u[6], u[7]
    r.pc, r.sp = u[14], u[17]
    r.flags = r.flags & ~UFLAGS | u[UFLAGSAT] & UFLAGS


def setregisters(up: Proc, offset: int, data: bytes) -> None:
    """Store bytes in a process's Ureg, as far as a user may. Source: pc/trap.c:setregisters."""
    ureg = bytearray(packureg(up))
    ureg[offset : offset + len(data)] = data
    unpackureg(up, UREG.unpack(ureg))
