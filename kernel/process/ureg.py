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


def packureg(up: Proc) -> bytes:
    """The Ureg of a process's registers. The segment registers are what every process starts with."""
    r = up.regs
    assert r is not None
    return UREG.pack(
        r.di, r.si, r.bp, 0, r.bx, r.dx, r.cx, r.ax, 0, 0, UDSEL, UDSEL, up.trapno, up.ecode, r.pc, UESEL,
        r.flags, r.sp, UDSEL,
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
