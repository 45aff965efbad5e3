"""p9emu run and p9emu trace."""

import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Protocol, TextIO

from emu.cli.ends import needstderr
from emu.cli.settings import Options
from emu.failure import BROKEN, PIPE, TIMEOUT, USAGE, Failure
from emu.machine.limits import MAXMEM, MAXSWAP
from emu.observe.output import FILEBUF, FileOutput, Output, OutputError, StderrOutput
from emu.plain import plain
from kernel.base.record import constant

if TYPE_CHECKING:
    from emu.machine.config import Config, Outcome, Root, Tree
    from emu.machine.console import Console
    from emu.machine.journal import Journal
    from emu.machine.machine import Machine
    from emu.observe.filter import Filter
    from emu.program.symbols import Symbols
    from kernel.base.event import Event, Sink


DUMP = " (-v shows a dump)"
NOMEMORY = "Killed: Insufficient physical memory"  # Source: port/proc.c:procctl


class Renderer(Protocol):
    """What trace needs of a rendering: events, then the end."""

    def __call__(self, ev: "Event") -> None: ...

    def finish(self) -> None: ...


@constant
class Rendering:
    """How events are shown: as text, json, folded or perfetto; counts alone, sorted by a column; with call stacks.

    ``times``: what faults and calls took, in virtual time (1) and in the host's too (2). ``relative``: since the event
    before. ``wide``: whole lines, on a terminal too. ``limit``: the run ends after so many events, 0: when it ends.
    """

    format: str = "text"
    summary: bool = False
    stack: bool = False
    sort: str = ""
    times: int = 0
    relative: bool = False
    wide: bool = False
    limit: int = 0

    @property
    def timefields(self) -> tuple[str, ...]:
        """The events' fields that tell what was asked for."""
        return ("began", "host")[: self.times]


class End(Protocol):
    """What is told of a program's end."""

    @property
    def status(self) -> int: ...

    @property
    def exits(self) -> str: ...

    @property
    def pid(self) -> int: ...

    @property
    def name(self) -> str: ...


class Enough(Exception):
    """As many events were shown as are wanted."""


class Trace:
    """The sink that trace gives to the machine: wanted events go to the renderer.

    When the output fails it raises OutputError once, which the machine must let out of run; from
    then on it is silent. After ``limit`` events, if that is not 0, it raises Enough likewise.
    """

    def __init__(self, renderer: Renderer, out: Output, wanted: "Filter", limit: int = 0) -> None:
        self.renderer = renderer
        self.out = out
        self.kinds = wanted.seen
        self.test = wanted.test
        self.left = limit or -1
        self.error: OutputError | None = None
        self.seen = False

    def __call__(self, ev: "Event") -> None:
        if ev.kind in self.kinds and (self.test is None or self.test(ev)) and self.left and self.error is None:
            self.seen = True
            self.left -= 1
            try:
                self.renderer(ev)
            except OutputError as e:
                self.error = e
                raise
            if not self.left:
                raise Enough

    def sink(self) -> "Sink":
        """What is to get the events: itself, or if all of a kind go to a file as JSON, what is quicker."""
        if type(self.out) is FileOutput and self.test is None and self.left < 0:
            from emu.observe.jsonl import JsonWriter

            quick = self.renderer.quick(self.out, self.kinds) if isinstance(self.renderer, JsonWriter) else None
            if quick is not None:
                self.seen = True  # finish() writes what was kept
                return quick
        return self

    def finish(self, failed: bool = False) -> None:
        """Write what is left; then tell of a failure, now or before, by OutputError.

        A run that failed before it did anything leaves its one line of error alone: no empty summary.
        """
        if self.error is None:
            if self.seen or not failed:
                self.renderer.finish()
            self.out.close()
        else:
            with suppress(OutputError):
                self.out.close()
            raise self.error


def run(options: Options, program: str, args: Sequence[str]) -> int:
    """Run program to its end; the status to exit with. Raises Failure."""
    return conclude(options, execute(options, program, args, None, None))


def trace(
    options: Options,
    program: str,
    args: Sequence[str],
    output: str | None,
    wanted: "Filter",
    rendering: Rendering,
) -> int:
    """Run program and render its events; the status to exit with. Raises Failure.

    ``output`` is a file, or after a "|" a command of the shell; None is standard error. It is opened before anything
    runs, and complete in whatever way the run ends.
    """
    from emu.cli.progress import Progress
    from emu.program.symbols import Symbols

    if output is not None and not output.startswith("|") and same(output, program):
        raise Failure(f"{output}: is the program itself", BROKEN)
    symbols = Symbols()
    try:
        out = opened(output)
        color = use_color(options.color, sys.stderr if output is None else None)
        tracer = Trace(_renderer(out, options.cpus, color, symbols, rendering), out, wanted, rendering.limit)
        progress = Progress(shown=type(out) is FileOutput and not os.isatty(out.fd) and not options.verbose)

        def prepare(machine: "Machine") -> None:
            progress.prepare(machine)
            machine.kernel.kinds = tracer.kinds
            if rendering.times > 1:
                machine.kernel.stopwatch = time.perf_counter_ns
            if wanted.files:
                machine.kernel.tellfiles = True

        try:
            with progress:
                outcome = execute(options, program, args, progress.watching(tracer.sink()), symbols, prepare)
        except OutputError:
            raise
        except Enough:
            tracer.finish()
            return 0
        except BaseException:
            with suppress(OutputError):  # the first failure is the one to tell
                tracer.finish(failed=True)
            raise
        tracer.finish()
    except OutputError as e:
        raise unwritten(e) from None
    return conclude(options, outcome)


def unwritten(e: OutputError) -> Failure:
    """How the command ends when its own output cannot be written: quietly if it is the reader who left."""
    return Failure("", PIPE) if e.gone else Failure(str(e), e.status)


def opened(where: str | None) -> Output:
    """Standard error, a file, or after a "|" a command of the shell. Raises OutputError, Failure."""
    if where is None:
        needstderr()
        return StderrOutput()
    if not where.startswith("|"):
        return FileOutput(where)
    from emu.observe.pipe import PipeOutput

    return PipeOutput(where[1:])


def _renderer(out: Output, cpus: int, color: bool, symbols: "Symbols", how: Rendering) -> Renderer:
    stack = symbols.stack if how.stack else None
    if how.summary:
        from emu.observe.summary import Summary

        return Summary(out, how.format == "json", color, how.sort, how.timefields, _width(out, how))
    if how.format == "json":
        from emu.observe.jsonl import JsonWriter

        return JsonWriter(out, symbols.place, stack, how.timefields)
    if how.format == "folded":
        from emu.observe.folded import Folded

        return Folded(out, symbols.stack)
    if how.format == "perfetto":
        from emu.observe.perfetto import PerfettoWriter

        return PerfettoWriter(binary(out), symbols)
    if (width := _width(out, how)) is not None:
        from emu.observe.fit import FittedWriter

        return FittedWriter(out, cpus, color, symbols, stack, how.relative, how.timefields, width)
    from emu.observe.text import TextWriter

    return TextWriter(out, cpus, color, symbols, stack, how.relative, how.timefields)


def binary(out: Output) -> FileOutput:
    """The output, for bytes. Raises Failure if that is a terminal."""
    assert isinstance(out, FileOutput)
    if os.isatty(out.fd):
        raise Failure(f"{out.path} is a terminal, and this format is no text", USAGE)
    out.kept = FILEBUF  # a command, too, gets it in large pieces
    return out


def _width(out: Output, how: Rendering) -> Callable[[], int] | None:
    """What tells the columns of the terminal that lines must fit, None if they need not."""
    if how.wide or not isinstance(out, StderrOutput) or sys.stderr is None or not sys.stderr.isatty():
        return None
    from emu.observe.fit import terminal

    return terminal(sys.stderr.fileno())


def _root(options: Options) -> "tuple[Root | None, Tree | None]":
    """The root that the options give, if any, and whether it is a Plan 9 tree."""
    from emu.machine.config import Root, Tree

    if options.tree is not None:
        if options.root is not None:
            raise Failure("--tree and --root exclude each other", USAGE)
        return Root(options.tree, cow=True, changes=options.changes), Tree(options.user, options.login)
    if options.user is not None:
        raise Failure("--user needs --tree TREE", USAGE)
    if options.root is None:
        if options.changes is not None:
            raise Failure("--changes needs --root DIR or --tree TREE", USAGE)
        return None, None
    if options.changes is not None and options.root[1]:
        raise Failure("--changes keeps what a root with :rw would write to the host: use one of the two", USAGE)
    return Root(*options.root, options.changes), None


def configure(options: Options, exploring: bool = False) -> "Config":
    """What the options make a machine of. Raises Failure.

    ``exploring``: whatever --sched says, an exploring scheduler will run it.
    """
    from emu.machine.config import Bind, Config

    if options.swapfile is not None and not options.swap:
        raise Failure("--swap-file needs --swap SIZE", USAGE)
    if options.mmu == "plain" and (options.cpus > 1 or options.clock == "real"):
        raise Failure("--mmu plain is for one processor and virtual time", USAGE)
    if options.points and options.sched == "fifo" and not exploring:
        raise Failure("--points needs --sched random or replay:FILE", USAGE)
    root, tree = _root(options)
    return Config(
        memory=options.memory,
        cpus=options.cpus,
        seed=options.seed,
        binds=tuple(Bind(*b) for b in options.binds),
        env=options.env,
        cwd=options.cwd or (None if tree is not None else "/"),
        check=options.check,
        verbose=options.verbose,
        timeout=options.timeout,
        counter=options.counter,
        swap=options.swap,
        swapfile=options.swapfile,
        sched=options.sched,
        points=options.points,
        lockorder=options.lockorder,
        lockset=options.lockset,
        inject=options.inject,
        original=options.original,
        fix=options.fix,
        notefp=options.notefp,
        net=options.net,
        clock=options.clock or "virtual",
        epoch=options.epoch,
        argv0=options.argv0,
        root=root,
        tree=tree,
        interrupts=options.interrupts,
        mmu=options.mmu,
        pagecache=options.pagecache,
        pageout=options.pageout,
    )


def execute(
    options: Options,
    program: str,
    args: Sequence[str],
    sink: "Sink | None",
    symbols: "Symbols | None",
    prepare: "Callable[[Machine], None] | None" = None,
    ended: "Callable[[Machine, Outcome], None] | None" = None,
    console: "Console | None" = None,
    journal: "Journal | None" = None,
) -> "Outcome":
    """Make a machine, run program on it, and turn its failures into ours.

    ``prepare`` is shown the machine before it runs, ``ended`` at its end; ``console`` takes the place of the host's
    streams. What the options are the recording of takes the host's place.
    """
    from emu.machine.machine import Machine

    config = configure(options)
    replay = options.replay
    try:
        if replay is not None:
            journal = replay.journal()
        with closing(Machine(config, sink, console=console, journal=journal)) as machine:
            if replay is not None:
                replay.prepare(machine)
            if symbols is not None:
                symbols.machine = machine
            if prepare is not None:
                prepare(machine)
            outcome = machine.run(program, args)
            if ended is not None:
                ended(machine, outcome)
            if replay is not None:
                replay.ended(outcome)
            return outcome
    except Exception as e:
        failure = failureof(e, options)
        if failure is None:
            raise
        raise failure from None


def failureof(e: BaseException, options: Options) -> Failure | None:
    """The machine's failures as ours; None for what is none of them."""
    from emu.machine.config import LoadError, MachineError
    from emu.machine.signals import Ended, TimeLimit

    replay = options.replay
    if replay is not None and (lost := replay.failure(e)) is not None:
        return lost
    if isinstance(e, LoadError):
        return Failure(str(e), e.status)
    if isinstance(e, TimeLimit):
        return Failure(str(e) or f"time limit of {options.timeout:g} s reached", TIMEOUT)
    if isinstance(e, Ended):
        return Failure(str(e), e.status)
    if isinstance(e, MachineError):
        failure = _broken(e, options.verbose)
        return failure if replay is None else replay.failed(cause(failure)) or failure
    return None


def _broken(e: Exception, verbose: bool) -> Failure:
    """The emulator's failure; its dump only when asked for, and how to repeat what should never happen."""
    dump = str(getattr(e, "dump", "") or "")
    repeat = str(getattr(e, "repeat", "") or "")
    more = f"p9emu: again: {plain(repeat)}  # {_about(str(e))}" if repeat else ""
    if dump and not verbose:
        return Failure(f"{e}{DUMP}", BROKEN, more)
    return Failure(str(e), BROKEN, "\n".join(filter(None, (more, dump))))


def cause(failure: Failure) -> str:
    """Why it failed, whatever is told besides."""
    return str(failure).removesuffix(DUMP)


def _about(panic: str) -> str:
    """The version, and what errata know of a panic."""
    from importlib.metadata import PackageNotFoundError, version

    from emu.machine.known import judgement

    try:
        ours = f"p9emu {version('p9emu')}"
    except PackageNotFoundError:
        ours = "p9emu, not installed"
    return f"{ours}; {judgement(panic)}" if panic.startswith("panic: ") else ours


def conclude(options: Options, outcome: "Outcome") -> int:
    """Tell what follows the run: the figures, and an exit string that is no number."""
    color = use_color(options.color, sys.stderr)
    text = stats_text(outcome.stats, color) if options.stats else ""
    complaint = complaint_of(outcome)
    if complaint:
        line = f"p9emu: {plain(complaint)}{_more(options, complaint)}"
        text += f"\x1b[31m{line}\x1b[0m\n" if color else f"{line}\n"
    if text:
        try:
            StderrOutput().write(text)
        except OutputError as e:
            raise unwritten(e) from None
    return outcome.status


def _more(options: Options, complaint: str) -> str:
    """For a program that was killed for memory: what gives it more."""
    if not complaint.endswith(NOMEMORY):
        return ""
    ways = ["-m"] if options.memory < MAXMEM else []
    ways += ["--swap"] if options.swap < MAXSWAP else []
    return f" ({' or '.join(ways)} gives more)" if ways else ""


def complaint_of(outcome: "End") -> str:
    """``PROGRAM PID: STRING`` of an exit string that is neither empty nor a status; else ""."""
    prefix = f"{outcome.name} {outcome.pid}: "
    string = outcome.exits.removeprefix(prefix)
    if not string or outcome.status != 1 or re.fullmatch("0*1", string):
        return ""
    return prefix + string


def stats_text(stats: object, color: bool) -> str:
    """A dataclass of figures as aligned lines; fields in _ns and _seconds are times."""
    rows = list(_rows(stats))
    width = max((len(name) for name, _ in rows), default=0)
    wide = max((len(value) for _, value in rows), default=0)
    dim, reset = ("\x1b[2m", "\x1b[0m") if color else ("", "")
    return "".join(f"{dim}{name:<{width}}{reset}  {value:>{wide}}\n" for name, value in rows)


def _rows(stats: object) -> "list[tuple[str, str]]":
    from dataclasses import fields, is_dataclass

    if not is_dataclass(stats):
        return []
    rows: list[tuple[str, str]] = []
    for f in fields(stats):
        value = getattr(stats, f.name)
        label = f.name.replace("_", " ")
        if isinstance(value, dict):
            rows += [(f"{label} {plain(str(key))}", str(n)) for key, n in sorted(value.items())]
        elif f.name.endswith("_ns"):
            rows.append((label.removesuffix(" ns") + " time", f"{value / 1e9:.9f} s"))
        elif f.name.endswith("_seconds"):
            rows.append((label.removesuffix(" seconds") + " time", f"{value:.3f} s"))
        else:
            rows.append((label, plain(str(value))))
    return rows


def use_color(choice: str, stream: TextIO | None) -> bool:
    """Whether to colour what goes to stream. NO_COLOR, if not empty, decides for auto."""
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream is not None and stream.isatty()


def same(output: str, program: str) -> bool:
    """Whether -o would overwrite the program."""
    from emu.program.find import resolve

    try:
        return os.path.samefile(output, resolve(program))
    except (OSError, ValueError):
        return False
