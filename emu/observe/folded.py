"""Faults by call stack, a line each, as flame graphs are made of: ``PROGRAM;outermost;...;innermost;class COUNT``.

flamegraph.pl, speedscope and others read it. A function's name is without offset; one that is not known is its address.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from emu.observe.output import Output
from emu.plain import plain
from emu.program.symbols import Frame
from kernel.base.event import Event, FaultEvent, ProcEvent


class Folded:
    """A sink that counts stacks; finish writes them. Memory grows with the number of different ones."""

    def __init__(self, out: Output, stack: Callable[[int], Sequence[Frame]]) -> None:
        self.out = out
        self.stack = stack
        self.names: dict[int, str] = {}  # of processes
        self.counts: Counter[tuple[str, ...]] = Counter()

    def __call__(self, ev: Event) -> None:
        if isinstance(ev, ProcEvent):
            self.names[ev.child or ev.pid] = ev.name
        elif isinstance(ev, FaultEvent):
            where = [f"[kernel {ev.fn}]"] if ev.mode == "kernel" else []
            self.counts[(self.names.get(ev.pid, "?"), *functions(self.stack(ev.pid)), *where, ev.cls)] += 1

    def finish(self) -> None:
        """Write all stacks, sorted."""
        for stack, n in sorted(self.counts.items()):
            self.out.write(f"{';'.join(plain(part).replace(';', ':') for part in stack)} {n}\n")


def functions(stack: Sequence[Frame]) -> list[str]:
    """The functions of a stack, the outermost first."""
    return [f.symbol.rpartition("+")[0] or f"0x{f.pc:08x}" for f in reversed(stack)]
