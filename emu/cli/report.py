"""p9emu report: a run, or a trace of one, as an HTML file."""

import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress

from emu.cli.progress import Progress
from emu.cli.run import conclude, execute, same
from emu.cli.settings import Options
from emu.failure import BROKEN, Failure
from emu.observe.output import OutputError
from emu.observe.report.file import WholeFile
from emu.observe.report.read import Reader
from emu.observe.report.report import Report
from emu.observe.report.words import About
from emu.plain import plain


def report(options: Options, program: str, args: Sequence[str], output: str) -> int:
    """Run program and write what happened to output; the status to exit with. Raises Failure.

    However the run ends, the report tells of it until there; if no program came to run, there is none.
    """
    from emu.program.symbols import Symbols

    if same(output, program):
        raise Failure(f"{output}: is the program itself", BROKEN)
    file = _file(output)
    symbols = Symbols()
    sink = Report(symbols, symbols.stack)
    about = About(_typed(), machine=_machine(options), versions=_versions())
    progress = Progress(shown=not options.verbose)
    try:
        with progress:
            outcome = execute(options, program, args, progress.watching(sink), symbols, progress.prepare)
    except BaseException as e:
        about.failure = str(e) if isinstance(e, Failure) else "interrupted" if isinstance(e, KeyboardInterrupt) else ""
        about.failure = about.failure or "p9emu failed"
        if sink.started:
            with suppress(OutputError):  # the first failure is the one to tell
                sink.write(file, about)
        raise
    about.status = outcome.status
    progress.doing = "writing the report"
    with progress:
        _write(sink, file, about)
    return conclude(options, outcome)


def fromtrace(trace: str, output: str) -> None:
    """Write a report of a trace of JSON lines, as far as it can be understood. Raises Failure."""
    with suppress(OSError):
        if os.path.samefile(trace, output):
            raise Failure(f"{output}: is the trace itself", BROKEN)
    file = _file(output)
    about = About(_typed(), versions=_versions(), source=trace)
    try:
        with open(trace, encoding="utf-8", errors="replace", newline="\n") as f:
            reader = Reader(f)
            sink = Report(reader.lookup, reader.stack)
            progress = Progress()
            take = progress.watching(sink)
            with progress:
                for ev in reader:
                    take(ev)
    except (OSError, ValueError) as e:
        why = e.strerror if isinstance(e, OSError) else "not a name of a file"
        raise Failure(f"cannot read {plain(trace)}: {why}", BROKEN) from None
    if not len(sink.columns):
        raise Failure(f"{plain(trace)}: holds no event of a trace (p9emu trace --format json makes them)", BROKEN)
    about.troubles += reader.troubles()
    progress.doing = "writing the report"
    with progress:
        _write(sink, file, about)


def _file(path: str) -> WholeFile:
    try:
        return WholeFile(path)
    except OutputError as e:
        raise Failure(str(e), BROKEN) from None


def _write(sink: Report, file: WholeFile, about: About) -> None:
    try:
        sink.write(file, about)
    except OutputError as e:
        raise Failure(str(e), BROKEN) from None


def _typed() -> str:
    """The command line, for a shell."""
    return shlex.join(["p9emu", *sys.argv[1:]])


def _machine(options: Options) -> list[tuple[str, str]]:
    """The options that make the machine what it is, in words."""
    rows: list[tuple[str, str]] = [
        ("memory", _size(options.memory)),
        ("processors", str(options.cpus)),
        ("swap", _size(options.swap) if options.swap else "none"),
        ("seed", str(options.seed)),
        ("scheduler", options.sched),
        ("clock", options.clock or "virtual"),
        *([("time at the start", f"{options.epoch} s since 1970")] if options.epoch is not None else []),
        ("paging", options.mmu),
        ("blocks counted", options.counter),
    ]
    if options.pagecache != "commit":
        rows.append(("page cache", options.pagecache))
    if options.pageout is not None:
        rows.append(("page-out policy", options.pageout))
    if options.inject:
        plan = ", ".join(f"{kind}:{n}{'+' if every else ''}" for kind, n, every in options.inject)
        rows.append(("made to fail", plan))
    rows += [("cures taken back", ", ".join(options.original))] if options.original else []
    rows += [("fixes applied", ", ".join(options.fix))] if options.fix else []
    if options.tree is not None:
        rows += [("tree", options.tree), *([("user", options.user)] if options.user else [])]
    if options.root is not None:
        rows.append(("root", options.root[0]))
    rows += [("bound", f"{b.host} at {b.guest}{', writable' if b.writable else ''}") for b in options.binds]
    rows += [("directory", options.cwd)] if options.cwd not in (None, "/") else []
    rows += [("note handlers", "may use floating point")] if options.notefp else []
    rows += [("network", "none" if options.net == "off" else options.net)] if options.net != "loopback" else []
    rows += [("invariants", "checked")] if options.check else []
    return rows


def _size(n: int) -> str:
    return f"{n >> 20} MB" if n % (1 << 20) == 0 else f"{n >> 10} KB"


def _versions() -> list[tuple[str, str]]:
    from importlib.metadata import PackageNotFoundError, version

    rows = []
    for name in ("p9emu", "unicorn", "capstone"):
        with suppress(PackageNotFoundError):
            rows.append((name, version(name)))
    return [*rows, ("Python", ".".join(map(str, sys.version_info[:3])))]
