"""p9emu mrc: a run whose page references are recorded, misses computed from them, and some runs to compare."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from emu.cli.run import conclude, execute, same, use_color
from emu.cli.settings import Options
from emu.failure import BROKEN, INTERRUPTED, TIMEOUT, USAGE, Failure
from emu.machine.console import MemoryConsole
from emu.machine.limits import MAXSWAP, MINMEM
from emu.machine.references import References
from emu.observe.mrc import picture
from emu.observe.mrc.curve import Curve, Point, Run, below, compute, frames, ran, spread
from emu.observe.mrc.curve import sizes as enough
from emu.observe.mrc.render import size, text
from emu.observe.mrc.runs import Misses
from emu.observe.mrc.shorten import WIDTH, Shortened
from emu.observe.output import OutputError, StderrOutput
from emu.observe.report.file import WholeFile
from kernel.base.mem import BY2PG, MB

if TYPE_CHECKING:
    from emu.machine.config import Outcome
    from emu.machine.console import Console
    from emu.machine.machine import Machine
    from kernel.base.event import Event

PICTURES: Final = ("png", "svg")
MISSING: Final = "a picture needs matplotlib: install p9emu[plots]"
LEASTSWAP: Final = 16 * MB


@dataclass(frozen=True)
class Wanted:
    """Where the curve goes and how, at which sizes of memory, and how many real runs there are."""

    output: str | None
    format: str | None
    sizes: tuple[int, ...] | None
    runs: int


class Heard:
    """The host's streams for a guest, and what it was given to read, for the runs that follow."""

    def __init__(self, inner: Console) -> None:
        self.inner = inner
        self.input = bytearray()

    def read(self, n: int) -> bytes:
        """As the console within."""
        data = self.inner.read(n)
        self.input += data
        return data

    def write(self, fd: int, data: bytes) -> None:
        """As the console within."""
        self.inner.write(fd, data)

    def raw(self, on: bool) -> None:
        """As the console within."""
        self.inner.raw(on)


class Recording:
    """The first run: its references, and what it missed."""

    def __init__(self) -> None:
        self.string = Shortened()
        self.misses = Misses()
        self.heard: Heard | None = None
        self._machine: Machine | None = None
        self._references = References(lambda _pid, _ns, pages: self.string.add(pages), self.string.gone)

    def prepare(self, machine: Machine) -> None:
        """Before it runs."""
        self._references.watch(machine)
        self._machine = machine
        self.heard = machine.kernel.console = Heard(machine.console)

    def __call__(self, ev: Event) -> None:
        """The sink."""
        self._references(ev)
        self.misses(ev)

    @property
    def interrupted(self) -> bool:
        """Whether somebody has typed Ctrl-C: the program may have ended of it."""
        return self._machine is not None and self._machine.signals.interrupts > 0

    def finish(self) -> None:
        """After the run."""
        self._references.finish()
        self.string.end()


def mrc(options: Options, program: str, args: Sequence[str], wanted: Wanted) -> int:
    """Run program, several times, and write its curve; the status of the first run. Raises Failure."""
    fmt = _format(wanted)
    _repeatable(options, wanted.runs)
    if wanted.output is not None and same(wanted.output, program):
        raise Failure(f"{wanted.output}: is the program itself", BROKEN)
    try:
        file = WholeFile(wanted.output) if wanted.output is not None else None
        recording = Recording()
        outcome = execute(options, program, args, recording, None, prepare=recording.prepare)
        recording.finish()
        _whole(recording, outcome)
        curve = _curve(options, [program, *args], recording, wanted.sizes)
        heard = bytes(recording.heard.input) if recording.heard is not None else b""
        chosen = spread(curve.points, wanted.runs if not recording.interrupted else 0)
        for n, p in enumerate(chosen, 1):
            with _progress(f"run {n} of {len(chosen)}, with {size(p.memory)}"):
                p.run = _run(options, program, args, p, curve, heard, outcome)
        if file is not None:
            file.write([_rendered(curve, fmt)])
        else:
            width = shutil.get_terminal_size().columns if sys.stderr is not None and sys.stderr.isatty() else 80
            shown = text(curve, use_color(options.color, sys.stderr), width)
            StderrOutput().write(shown if fmt == "text" else _rendered(curve, fmt).decode())
    except OutputError as e:
        raise Failure(str(e), BROKEN) from None
    return conclude(options, outcome)


@contextmanager
def _progress(what: str) -> Iterator[None]:
    """Say on a terminal what goes on, as long as it does."""
    if sys.stderr is None or not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield
        return
    out = StderrOutput()
    out.write(f"p9emu: {what}\r")
    try:
        yield
    finally:
        out.write("\x1b[K")


def _format(wanted: Wanted) -> str:
    """How the curve is written. Raises Failure."""
    fmt = wanted.format
    if fmt is None:
        end = os.path.splitext(wanted.output or "")[1].removeprefix(".").lower()
        fmt = end if end in (*PICTURES, "json") else "text"
    if fmt in PICTURES:
        if wanted.output is None:
            raise Failure(f"--format {fmt} needs -o FILE", USAGE)
        if not picture.possible():
            raise Failure(MISSING, 1)
    return fmt


def _repeatable(options: Options, runs: int) -> None:
    """Refuse what several runs would do several times, or each in its own way. Raises Failure."""
    if options.clock == "real":
        raise Failure("mrc compares runs: --clock real makes each another", USAGE)
    writes = options.changes is not None or options.swapfile is not None
    writes |= any(b.writable for b in options.binds) or (options.root is not None and options.root[1])
    if writes and runs:
        raise Failure("mrc runs the program several times: nothing can be :rw or kept, but with --runs 0", USAGE)


def _whole(recording: Recording, outcome: Outcome) -> None:
    """Raise Failure if the recorded run was short of memory, so that its string is not what the program does."""
    stats = outcome.stats
    if stats.page_outs or stats.reclaimed_pages or recording.misses.killed:
        raise Failure("memory ran short while references were recorded (-m gives more)", BROKEN)


def _curve(options: Options, words: Sequence[str], recording: Recording, sizes: Sequence[int] | None) -> Curve:
    """The curve as far as it is computed."""
    string, tables = recording.string, recording.misses.tables
    curve = Curve(words, string.references, string.pages, string.peak, tables)
    wanted = sizes if sizes is not None else enough(string.peak, options.cpus, tables, MINMEM)
    places = [(memory, frames(memory, options.cpus, tables)) for memory in wanted]
    if sizes is None and len(wanted) == 1:
        places = [(0, n) for n in below(string.peak, WIDTH)] + places
    compute(curve, string, places)
    return curve


def _run(
    options: Options, program: str, args: Sequence[str], p: Point, curve: Curve, heard: bytes, first: Outcome
) -> Run:
    """The program with less memory; what it does is known, so it is not shown. Raises Failure."""
    counted = Misses()
    swap = options.swap or min(max(4 * curve.peak * BY2PG, LEASTSWAP), MAXSWAP)
    less = replace(options, memory=p.memory, swap=swap, stats=False, verbose=False)
    try:
        outcome = execute(less, program, args, counted, None, console=MemoryConsole(heard))
    except Failure as e:
        if e.status in (TIMEOUT, INTERRUPTED) or e.status > 128:
            raise
        return ran(counted, e.status, str(e))
    failure = ""
    if counted.killed:
        failure = f"{', '.join(counted.killed)} killed: insufficient physical memory"
    elif outcome.status != first.status:
        failure = f"ended with status {outcome.status}, not {first.status}"
    return ran(counted, outcome.status, failure)


def _rendered(curve: Curve, fmt: str) -> bytes:
    """The curve for a file."""
    if fmt in PICTURES:
        return picture.draw(curve, fmt)
    if fmt == "json":
        from emu.observe.jsonl import dumps

        return (dumps(curve.document()) + "\n").encode()
    return text(curve).encode("utf-8", "backslashreplace")
