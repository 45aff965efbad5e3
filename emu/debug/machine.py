"""A machine that can stand still between any two instructions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from emu.machine.console import Console, warn
from emu.machine.copied import CopiedMachine
from emu.machine.probe import Observer, Probed, ProbedPlain, ProbedReal

if TYPE_CHECKING:
    from emu.machine.clock import Clock
    from emu.machine.config import Config
    from emu.machine.cpu import Cpu, Service
    from emu.machine.journal import Journal
    from emu.machine.regs import Regs


class Debugger(Observer, Protocol):
    """Who has the machine stand still."""

    def serve(self, machno: int, service: Service, trapno: int, ecode: int) -> Regs | None:
        """Have a trap served by ``service``, and look before and after."""

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
        for cpu in self.probes:
            cpu.observer = debugger

    def _cpu(self, n: int, clock: Clock | None) -> Cpu:
        counter = self.config.counter
        if clock is not None:
            return ProbedReal(n, self.memory, self._service(n), counter=counter, clock=clock)
        kind = ProbedPlain if self.config.mmu == "plain" else Probed
        return kind(n, self.memory, self._service(n), counter=counter)

    def _service(self, n: int) -> Service:
        inner = super()._service(n)

        def service(no: int, ecode: int) -> Regs | None:
            return self.debugger.serve(n, inner, no, ecode)

        return service
