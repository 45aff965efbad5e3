"""What gdb changes in a machine: registers, memory, a process's life. Copies of it do the same when they come there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emu.debug import memory, registers
from kernel.base.record import constant
from kernel.devices.procctl import killproc
from kernel.sched.newproc import procbypid

if TYPE_CHECKING:
    from emu.debug.position import Position
    from emu.machine.machine import Machine

REGISTER, MEMORY, KILL = "register", "memory", "kill"
ALL: Final = -1  # instead of a register's number


@constant
class Change:
    """What is done to a process where the machine stands: ``data`` goes into a register, or into memory."""

    at: Position
    pid: int
    what: str
    where: int = 0
    data: bytes = b""


def make(machine: Machine, change: Change) -> None:
    """Do it. Raises IndexError, ValueError (a register) and emu.debug.memory.Absent, and has done nothing then."""
    p = procbypid(machine.kernel, change.pid)
    if p is None or p.regs is None:
        return
    if change.what == KILL:
        killproc(machine.kernel, p)
    elif change.what == MEMORY:
        memory.write(machine, p, change.where, change.data)
    elif change.where != ALL:
        registers.put(p.regs, change.where, change.data)
    else:
        at = 0
        for n in range(registers.COUNT):
            registers.put(p.regs, n, change.data[at : at + registers.size(n)])
            at += registers.size(n)
