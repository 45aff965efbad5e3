"""What a machine that stands still is in the middle of: who waits for what, who holds which lock, where each is.

As in :mod:`emu.api.views` values are told, nothing of the kernel's own; str() of one is text for a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from emu.api.views import NotPresent, proc, read
from emu.program.disasm import Instruction, instructions
from emu.program.symbols import Found, Frame, Symbols
from kernel.base.procdat import STATENAME, Dead
from kernel.memory.check import checknow
from kernel.waits import functions, locks, waitsfor

if TYPE_CHECKING:
    from emu.machine.machine import Machine
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Proc

LONGEST = 15  # bytes in an instruction


@dataclass(frozen=True)
class Ready:
    """A process that waits for a processor."""

    pid: int
    name: str
    priority: int

    def __str__(self) -> str:
        return f"{self.name}[{self.pid}], priority {self.priority}"


@dataclass(frozen=True)
class HeldLock:
    """A lock that is held or waited for. ``kind`` is lock, qlock or rwlock; who has it and who waits are in words."""

    name: str
    kind: str
    holder: str
    waiters: tuple[str, ...]

    def __str__(self) -> str:
        waiters = f"; waited for by {', '.join(self.waiters)}" if self.waiters else ""
        return f"{self.kind} {self.name}: {f'held by {self.holder}' if self.holder else 'free'}{waiters}"


@dataclass(frozen=True)
class Waiting:
    """A process that does not run, and what it waits for."""

    pid: int
    name: str
    state: str
    what: str

    def __str__(self) -> str:
        return f"{self.name}[{self.pid}] {self.state}: waits for {self.what}"


@dataclass(frozen=True)
class Locks:
    """The locks that are held or waited for, and all that processes wait for besides a processor."""

    held: tuple[HeldLock, ...]
    waiting: tuple[Waiting, ...]

    def __str__(self) -> str:
        return "\n".join([*(map(str, self.held) if self.held else ["no lock is held"]), *map(str, self.waiting)])


@dataclass(frozen=True)
class Invariants:
    """Whether the memory subsystem is in order. ``known``: it can be told; ``wrong``: what is not, in words.

    ``busy`` is where the process that runs is in the kernel: it may hold what is not counted yet.
    """

    known: bool
    wrong: tuple[str, ...]
    busy: str

    def __str__(self) -> str:
        if not self.known:
            return "a process that has ended gives its page tables back: what holds can be told at the next event"
        where = f" ({self.busy})" if self.busy else ""
        if not self.wrong:
            return f"every invariant of the memory subsystem holds{where}"
        return "\n".join([f"broken{where}:", *(f"  {line}" for line in self.wrong)])


@dataclass(frozen=True)
class Stack:
    """The functions that a process is in: the kernel's as one text, outermost first; its own, innermost first."""

    pid: int
    name: str
    kernel: str
    frames: tuple[Frame, ...]

    def __str__(self) -> str:
        lines = [f"{self.name}[{self.pid}] in the kernel: {self.kernel or 'it is in user mode'}"]
        for f in self.frames:
            where = f" {f.place.file}:{f.place.line}" if f.place is not None else ""
            lines.append(f"  0x{f.pc:08x} {f.symbol or '?'}{where}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Code:
    """Instructions of a process, and what is known of the place of the first."""

    pid: int
    name: str
    found: Found
    instructions: tuple[Instruction, ...]

    def __str__(self) -> str:
        place = self.found.place
        where = f" {place.file}:{place.line}" if place is not None else ""
        head = f"{self.name}[{self.pid}] {self.found.symbol or '?'}{where}"
        return "\n".join([head, *(f"  {i}" for i in self.instructions)])


class _AnyProcess:
    """A CodeSource that tells of every process, not only of the one that is at work."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.k = machine.kernel

    def image(self, pid: int) -> str | None:
        """As the machine has it."""
        return self.machine.image(pid)

    def code(self, pid: int, pc: int) -> bytes:
        """Up to 15 bytes."""
        return self.peek(pid, pc, LONGEST)

    def peek(self, pid: int, addr: int, n: int) -> bytes:
        """As many of them as are in memory."""
        while n:
            try:
                return read(self.k, pid, addr, n)
            except NotPresent as e:
                n = max(e.va - addr, 0)
        return b""

    def registers(self, pid: int) -> tuple[int, int] | None:
        """As its last trap saved them."""
        regs = proc(self.k, pid).regs
        return (regs.pc, regs.sp) if regs is not None else None


def queue(k: Kernel) -> tuple[Ready, ...]:
    """Those that wait for a processor, who gets one first first."""
    out = []
    for rq in reversed(k.procs.runq):
        p = rq.head
        while p is not None:
            out.append(Ready(p.pid, p.text, p.priority))
            p = p.rnext
    return tuple(out)


def heldlocks(k: Kernel) -> Locks:
    """Locks, and what processes wait for."""
    held = tuple(HeldLock(*held) for held in locks(k))
    waiting = [_waiting(k, p) for p in k.procs.proctab if p.state != Dead and p is not k.up]
    return Locks(held, tuple(w for w in waiting if w.what))


def _waiting(k: Kernel, p: Proc) -> Waiting:
    return Waiting(p.pid, p.text, p.psstate or STATENAME[p.state], waitsfor(k, p))


def invariants(k: Kernel) -> Invariants:
    """Whether all is in order."""
    wrong = checknow(k)
    busy = f"{k.up.text}[{k.up.pid}] is in {functions(k.up)}" if k.up is not None and functions(k.up) else ""
    return Invariants(wrong is not None, tuple(wrong or ()), busy)


def stack(machine: Machine, pid: int) -> Stack:
    """Where a process is. Raises LookupError."""
    p = proc(machine.kernel, pid)
    symbols = Symbols()
    symbols.machine = _AnyProcess(machine)
    frames = () if p.kp else tuple(symbols.stack(pid))
    return Stack(pid, p.text, functions(p), frames)


def code(machine: Machine, pid: int, pc: int | None = None, n: int = 8) -> Code:
    """n instructions of a process, from pc on or from where it left user mode.

    Raises LookupError: there is no such process, it has no user mode, or nothing of it is in memory there.
    """
    p = proc(machine.kernel, pid)
    if pc is None:
        if p.kp or p.regs is None:
            raise LookupError(f"{p.text}[{pid}] has no user mode")
        pc = p.regs.pc
    source = _AnyProcess(machine)
    symbols = Symbols()
    symbols.machine = source
    data = source.peek(pid, pc, n * LONGEST)
    if not data:
        raise LookupError(f"nothing of {p.text}[{pid}] is in memory at 0x{pc:08x}")
    found = symbols(pid, pc) or Found("", b"")
    return Code(pid, p.text, found, tuple(instructions(data, pc, n)))
