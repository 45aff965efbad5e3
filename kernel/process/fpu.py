"""Floating-point exceptions. Source: pc/main.c."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from kernel.base.procdat import FPactive, FPillegal, NDebug
from kernel.sched.note import postnote

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Proc


FPFRESH = struct.pack("<H510x", 0x232)  # FXSAVE's image of what pc/l.s:fpinit leaves, MXCSR 0
mathmsg = (
    "invalid",
    "denormalized operand",
    "division by zero",
    "numeric overflow",
    "numeric underflow",
    "precision loss",
)


def matherror(k: Kernel, up: Proc) -> None:
    """An FPU exception. They are all masked from then on, for FSTENV does that. Source: pc/main.c:matherror."""
    assert up.regs is not None
    fsw, fip = up.regs.fpstatus()
    up.regs.fpmask()
    mathnote(k, up, fsw, fip)


def fpcheck(k: Kernel, up: Proc) -> None:
    """Take an FPU exception that no FPU instruction took: the emulated ones do not, but for WAIT."""
    assert up.regs is not None
    if up.fpstate == FPactive and up.regs.fppending():
        matherror(k, up)


def mathemu(k: Kernel, up: Proc) -> None:
    """An FPU instruction with the FPU off: the program's first one, or one in a note handler.

    Source: pc/main.c:mathemu.
    """
    assert up.regs is not None
    if up.fpstate & FPillegal:
        if not k.conf.notefp:
            postnote(k, up, 1, "sys: floating point in note handler", NDebug)
            return
        # As 9front's amd64 kernel came to do: the handler gets a state of its own, until noted().
        up.fpuser = up.regs.fpsave()
        up.regs.fprestore(FPFRESH)
    up.fpstate = FPactive  # the registers are as fpinit would leave them
    up.regs.fpenable(True)


def mathnote(k: Kernel, up: Proc, status: int, pc: int) -> None:
    """A floating-point error becomes a note. Source: pc/main.c:mathnote."""
    msg = "unknown exception"
    for i in range(1, 6):
        if status & 1 << i:
            msg = mathmsg[i]
            break
    if status & 1:
        if status & 0x40:
            msg = "stack overflow" if status & 0x200 else "stack underflow"
        else:
            msg = "invalid operation"
    postnote(k, up, 1, f"sys: fp: {msg} fppc={pc:#x} status={status:#x}", NDebug)
