"""What a debugger calls things: system calls, the files of programs, how a process has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.machine.boot import hostpath
from emu.machine.config import hoststatus

if TYPE_CHECKING:
    from emu.machine.machine import Machine
    from kernel.base.procdat import Proc


def filename(machine: Machine, p: Proc) -> str:
    """What gdb is told to be the file that p executes; "" if it is no file of the host's."""
    return f"/bin/{p.text}" if hostpath(machine, p) is not None else ""


def status(machine: Machine, pid: int, p: Proc) -> int:
    """With which status the process has ended."""
    first = machine.first
    told = [first.wait] if first is not None and first.wait is not None else []
    told += p.parent.waitq if p.parent is not None else []
    return next((hoststatus(w.exits) for w in told if w.pid == pid), 0)


def callname(nr: int) -> str:
    """The name of a system call."""
    from kernel.syscalls.systab import SYSTAB

    call = SYSTAB.get(nr)
    return call.name if call is not None else f"number {nr}"
