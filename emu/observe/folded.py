"""Faults by call stack, a line each, as flame graphs are made of: ``PROGRAM;outermost;...;innermost;class COUNT``.

flamegraph.pl, speedscope and others read it. A function's name is without offset; one that is not known is its address.
PROGRAM is what the process is called then. The faults of its first exec, which come before it has a name, have the one
that it gets; NAMELESS where there is none.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from emu.observe.output import Output
from emu.plain import plain
from emu.program.symbols import Frame
from kernel.base.event import Event, FaultEvent, ProcEvent

NAMELESS: Final = "?"


class Folded:
    """A sink that counts stacks; finish writes them. Memory grows with the number of different ones."""

    def __init__(self, out: Output, stack: Callable[[int], Sequence[Frame]]) -> None:
        self.out = out
        self.stack = stack
        self.names: dict[int, str] = {}  # of processes
        self.counts: Counter[tuple[str, ...]] = Counter()
        self._early: dict[int, Counter[tuple[str, ...]]] = {}  # of processes that have no name yet

    def __call__(self, ev: Event) -> None:
        if isinstance(ev, ProcEvent):
            pid = ev.child or ev.pid
            self.names[pid] = ev.name
            self._name(ev.name, self._early.pop(pid, Counter()))
        elif isinstance(ev, FaultEvent):
            where = [f"[kernel {ev.fn}]"] if ev.mode == "kernel" else []
            stack = *functions(self.stack(ev.pid)), *where, ev.cls
            name = self.names.get(ev.pid)
            if name is None:
                self._early.setdefault(ev.pid, Counter())[stack] += 1
            else:
                self.counts[name, *stack] += 1

    def _name(self, name: str, stacks: Counter[tuple[str, ...]]) -> None:
        for stack, n in stacks.items():
            self.counts[name, *stack] += n

    def finish(self) -> None:
        """Write all stacks, sorted."""
        for stacks in self._early.values():
            self._name(NAMELESS, stacks)
        self._early.clear()
        for stack, n in sorted(self.counts.items()):
            self.out.write(f"{';'.join(plain(part).replace(';', ':') for part in stack)} {n}\n")


def functions(stack: Sequence[Frame]) -> list[str]:
    """The functions of a stack, the outermost first."""
    return [f.symbol.rpartition("+")[0] or f"0x{f.pc:08x}" for f in reversed(stack)]
