"""A machine that can stand still between any two instructions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from emu.machine.console import Console, warn
from emu.machine.copied import CopiedMachine
from emu.machine.probe import Observer, Probed, ProbedPlain, ProbedReal
from emu.machine.x86 import SYSCALL
from kernel.base.procdat import Broken, Dead, Moribund
from kernel.sched.dispatch import dispatch

if TYPE_CHECKING:
    from emu.machine.clock import Clock
    from emu.machine.config import Config
    from emu.machine.cpu import Cpu, Service
    from emu.machine.journal import Journal
    from emu.machine.regs import Regs
    from kernel.base.procdat import Proc

ENDED: Final = frozenset({Dead, Moribund, Broken})
EXECNR: Final = 7  # the system call
SELDOM: Final = 127  # one in 128 traps is looked at more closely, to see whether it is time for a copy


class Debugger(Observer, Protocol):
    """Who has the machine stand still."""

    quick: bool
    """Nothing is looked for at traps but who was born, has ended or has become another program."""
    n: int
    """Times that the kernel was entered."""
    pidgen: int
    """The last process that is known."""
    free: int
    """How many of the kernel's Procs were free when it was looked who has ended."""

    def serve(self, machno: int, service: Service, trapno: int, ecode: int) -> Regs | None:
        """Have a trap served by ``service``, and look before and after."""

    def served(self, p: Proc, trapno: int) -> None:
        """A trap of p's was served while it was quick, and something may have come of it."""

    def round(self) -> None:
        """The machine's loop comes round."""

    def listen(self) -> None:
        """Take the machine's events, if they are wanted."""


class DebugMachine(CopiedMachine):
    """A Machine whose traps go through a debugger, which looks at its processors too; to be attached before run()."""

    debugger: Debugger

    def __init__(
        self,
        config: Config,
        console: Console | None = None,
        warn: Callable[[str], None] = warn,
        journal: Journal | None = None,
    ) -> None:
        super().__init__(config, console=console, warn=warn, journal=journal)

    @property
    def probes(self) -> list[Probed]:
        """Its processors."""
        return [cpu for cpu in self.cpus if isinstance(cpu, Probed)]

    def attach(self, debugger: Debugger) -> None:
        """Let the debugger look, from the first instruction on."""
        self.debugger = debugger
        debugger.listen()
        self.onturn = debugger.round
        restart: dict[int, int] = {}
        for cpu in self.probes:
            cpu.observer, cpu.restart = debugger, restart

    def _cpu(self, n: int, clock: Clock | None) -> Cpu:
        counter = self.config.counter
        if clock is not None:
            return ProbedReal(n, self.memory, self._service(n), counter=counter, clock=clock)
        kind = ProbedPlain if self.config.mmu == "plain" else Probed
        return kind(n, self.memory, self._service(n), counter=counter)

    def _service(self, n: int) -> Service:
        inner = super()._service(n)
        k = self.kernel
        machs, procs = k.machs, k.procs

        def service(no: int, ecode: int) -> Regs | None:
            debugger = self.debugger
            if debugger.quick:
                entered = debugger.n + 1
                if entered & SELDOM:
                    debugger.n = entered
                    m = machs[n]
                    p = m.proc
                    regs = dispatch(k, m, no, ecode)
                    if (
                        procs.pidgen != debugger.pidgen
                        or len(procs.freeprocs) != debugger.free
                        or (no == SYSCALL and p.scallnr == EXECNR)  # type: ignore[union-attr]
                        or procs.broken
                    ):
                        debugger.served(p, no)  # type: ignore[arg-type]
                    return regs  # type: ignore[return-value]
            return debugger.serve(n, inner, no, ecode)

        return service
