"""Why a machine stands still, what it is to stand still for, and how it goes on: as session and client tell it."""

from __future__ import annotations

from kernel.base.record import constant, record

SIGINT, SIGTRAP, SIGABRT, SIGKILL, SIGSEGV = 2, 5, 6, 9, 11


@constant
class Stop:
    """Why the machine stands still. ``what`` is gdb's word for it with a value; ``why`` is for a person."""

    pid: int
    signal: int = SIGTRAP
    what: tuple[str, str] | None = None
    why: str = ""


@constant
class End:
    """A process is no more: it has exited with a status, or was ended by a signal (as gdb counts them)."""

    pid: int
    status: int = 0
    signal: int = 0
    why: str = ""


@constant
class Plan:
    """How to go on: until something happens, or until process ``step`` has left [start, end) by single steps.

    ``alone``: the client asked for that process alone, and is not prepared to hear of another.
    """

    step: int = 0
    start: int = 0
    end: int = 0
    alone: bool = False
    skip: int | None = None  # pc of the instruction that is stepped over, if it is not that where the machine stands
    again: bool = False  # and it has faulted


@record
class Catch:
    """What is to be told besides: system calls (None: no, empty: all), faults of classes, likewise."""

    calls: frozenset[int] | None = None
    faults: frozenset[str] | None = None
    named: frozenset[str] | None = None  # system calls by their names, for a person


@record
class Step:
    """A step that is not over."""

    plan: Plan
    skip: int  # pc of the instruction that is to be stepped over, -1 if the process is at it, or in a system call
    again: bool = False  # that one has faulted

    @property
    def rest(self) -> Plan:
        """How it goes on elsewhere."""
        plan = self.plan
        return Plan(plan.step, plan.start, plan.end, plan.alone, self.skip, self.again)

    def faults(self, pc: int) -> None:
        """The instruction at pc is begun once more when its fault is served, whoever runs until then, and wherever."""
        self.skip, self.again = pc, True

    def begun(self, pc: int) -> bool:
        """Whether the process, which is at pc, was there before."""
        return self.again and pc == self.skip

    def over(self, pc: int, again: bool) -> Stop | None:
        """The stop, if it is over before the instruction at pc; to be asked at each of the process's."""
        skip, self.skip, self.again = self.skip, -1, False
        if again or pc == skip or self.plan.start <= pc < self.plan.end:
            return None
        return Stop(self.plan.step)
