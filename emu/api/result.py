"""How a run of a program ended, and what happened in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

from emu.api.log import NOWHERE, Fault, Faults, Syscalls
from emu.observe.jsonl import JsonWriter
from emu.observe.summary import Summary
from emu.observe.text import TextWriter
from kernel.base.event import SyscallEvent

if TYPE_CHECKING:
    from emu.machine.config import Config, Stats
    from kernel.base.event import Event


@dataclass(frozen=True, eq=False)
class Result:
    """The end of a run. Nothing of the machine is in it: it is good when the machine is closed.

    ``args`` is the program and its arguments; ``status`` what the command would exit with, 0 for success; ``exits``
    Plan 9's exit string as a parent gets it (``NAME PID: STRING``, "" for success); ``pid`` and ``name`` those of the
    program's process at its end. ``stdout`` and ``stderr`` are what the guest wrote to its descriptors 1 and 2.
    ``events`` are those that were asked for, in order, ``kinds`` the kinds of these. ``messages`` are the emulator's
    own lines, ``kmesg`` the kernel's.
    """

    args: tuple[str, ...]
    status: int
    exits: str
    pid: int
    name: str
    stdout: bytes = field(repr=False)
    stderr: bytes = field(repr=False)
    stats: Stats = field(repr=False)
    events: tuple[Event, ...] = field(repr=False)
    kinds: frozenset[str] = field(repr=False)
    config: Config = field(repr=False)
    messages: tuple[str, ...] = field(default=(), repr=False)
    kmesg: str = field(default="", repr=False)

    @property
    def text(self) -> str:
        """stdout, decoded as UTF-8; a byte that is none becomes a lone surrogate."""
        return self.stdout.decode("utf-8", "surrogateescape")

    @property
    def errtext(self) -> str:
        """stderr, likewise."""
        return self.stderr.decode("utf-8", "surrogateescape")

    @cached_property
    def faults(self) -> Faults:
        """The page faults. Raises ValueError if they were not asked for."""
        self._mustkeep("fault")
        return Faults([e for e in self.events if isinstance(e, Fault)], Fault)

    @cached_property
    def syscalls(self) -> Syscalls:
        """The system calls. Raises ValueError if they were not asked for."""
        self._mustkeep("syscall")
        return Syscalls([e for e in self.events if isinstance(e, SyscallEvent)], SyscallEvent)

    def check_status(self) -> Result:
        """The result itself; raises ExitError if the program did not succeed."""
        if self.status:
            raise ExitError(self)
        return self

    def trace(self, kinds: frozenset[str] | None = None) -> str:
        """The events, or those of some kinds, as ``p9emu trace`` writes them."""
        lines = []
        for e in self.events:
            if kinds is None or e.kind in kinds:
                where = e.found if isinstance(e, Fault) else None
                lines.append(TextWriter(NOWHERE, self.config.cpus, lookup=lambda *_, w=where: w).line(e))
        return "".join(lines)

    def json(self) -> str:
        """The events as ``p9emu trace --format json`` writes them, one a line."""
        lines = []
        for e in self.events:
            place = e.place if isinstance(e, Fault) else None
            lines.append(JsonWriter(NOWHERE, source=lambda *_, p=place: p).line(e))
        return "".join(lines)

    def summary(self) -> str:
        """What was counted, as the tables of ``p9emu trace -c``."""
        return self._counted().tables()

    def _counted(self) -> Summary:
        summary = Summary(NOWHERE)
        for e in self.events:
            summary(e)
        return summary

    def _mustkeep(self, kind: str) -> None:
        if kind not in self.kinds:
            raise ValueError(f"no events of kind {kind!r} were kept; events={kind!r} does that")

    def __repr__(self) -> str:
        end = f" {self.exits!r}" if self.exits else ""
        return f"<Result {' '.join(self.args)}: status {self.status}{end}, {self.stats.faults} faults>"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        head = f"<p><code>{escape(' '.join(self.args))}</code>: status {self.status}"
        if self.exits:
            head += f", <code>{escape(self.exits)}</code>"
        return f"{head}</p>{self._counted().html()}"


class ExitError(Exception):
    """The program did not succeed; ``result`` is the Result."""

    def __init__(self, result: Result) -> None:
        super().__init__(f"{result.args[0]} ended with status {result.status}: {result.exits}")
        self.result = result
