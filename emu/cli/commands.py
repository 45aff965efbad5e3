"""The p9emu command: what can be typed. What each command does is imported only when it runs.

Nothing here imports the emulator, the kernel, capstone or rich: --help must be instant.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from emu.cli.front import FrontGroup
from emu.cli.labcommands import explore
from emu.cli.options import GUEST_ARGS, HELP, machine_options, tree_options, user_option
from emu.cli.types import Options, interval, sizes

if TYPE_CHECKING:
    from emu.observe.filter import Filter

STATUS = """
\b
Exit status of run, trace, report, top, mrc and shell:
  0        the guest's exit string is empty
  1..255   the exit string is that number
  1        any other exit string, told as "p9emu: PROGRAM PID: STRING"
  2        wrong usage
  124      time limit
  125      the emulator itself failed, or could not write its output
  126      the program cannot be loaded
  127      the program was not found
  130      interrupted
  141      the reader of the output is gone
  128+N    ended by the host's signal N (HUP, QUIT, TERM)
"""


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(f"p9emu {version('p9emu')}")
    except PackageNotFoundError:
        click.echo("p9emu (not installed)")
    ctx.exit()


def _legend(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from emu.observe.legend import legend

    click.echo(legend(), nl=False)
    ctx.exit()


REFERENCES = ("csv", "oracleGeneral")
NOEVENTS = "--format {} tells references to pages, no events: it goes without -c, -e, -k, -n, -p, -P, -T and --swap"


@click.group("p9emu", cls=FrontGroup, no_args_is_help=False, context_settings=HELP, epilog=STATUS)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Show the version and exit."
)
def cli() -> None:
    """Run Plan 9 386 programs on 9front's memory subsystem, rebuilt in Python.

    \b
    Examples:
      p9emu guests                     the programs that come along
      p9emu run hello                  run one
      p9emu trace -e fault hello       and see its page faults
    """


@cli.command(context_settings=GUEST_ARGS, epilog=STATUS, short_help="Run a program.")
@machine_options()
@tree_options
@click.argument("program")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def run(program: str, args: tuple[str, ...], **common: Any) -> int:
    """Run PROGRAM, a Plan 9 386 executable or the name of a bundled guest.

    Options come before PROGRAM; everything after it belongs to the guest.

    \b
    Examples:
      p9emu run hello
      p9emu run -m 8M --bind .:/n/host:rw ./a.out -v /n/host/input
    """
    from emu.cli.run import run as command

    return command(Options(**common), program, args)


@cli.command(context_settings=GUEST_ARGS, epilog=STATUS, short_help="Run a program and tell what the kernel does.")
@machine_options()
@tree_options
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Write the trace to FILE instead of standard error, or, as '|COMMAND', to a command of the shell.",
)
@click.option(
    "-e",
    "exprs",
    multiple=True,
    metavar="EXPR",
    help="Events to tell: a comma list of fault, syscall, proc, page, image, segment, note, tlb, entry, mmu, sched, "
    "boot, %all; !x leaves x out. fault:class=cow-copy|remap,segment!=stack asks for fields, addr=0x3000-0x5000 for "
    "what touches these addresses.  [default: fault,syscall,proc,note]",
)
@click.option(
    "-p",
    "--process",
    "processes",
    multiple=True,
    metavar="PID|NAME",
    help="Only events of these processes. Repeatable.",
)
@click.option(
    "-P",
    "--path",
    "paths",
    multiple=True,
    metavar="PATH",
    help="Only system calls that name PATH, or a descriptor open on it, and other events of -e. Repeatable.",
)
@click.option("-n", "--limit", type=click.IntRange(min=1), metavar="N", help="End the run after N events (status 0).")
@click.option("-c", "--summary-only", "summary", is_flag=True, help="Print counts at the end, and no single events.")
@click.option(
    "-S",
    "--sort",
    metavar="COLUMN",
    default="",
    help="With -c: sort by name, count, errors, time, host, or a segment (text, data, bss, stack...).",
)
@click.option("-r", "--relative", is_flag=True, help="Tell the time since the event before.")
@click.option(
    "-T",
    "--times",
    count=True,
    help="Tell the virtual time that each fault and system call took; -TT the host's too.",
)
@click.option(
    "--format",
    "fmt",
    type=click.Choice(["text", "json", "folded", "perfetto", "csv", "oracleGeneral"]),
    default="text",
    show_default=True,
    help="Lines for a person, one JSON object per line, faults counted by call stack, for flame graphs, what "
    "ui.perfetto.dev opens, or instead of events each reference to a page, for cache simulators.",
)
@click.option("-k", "--stack", is_flag=True, help="Show the call stack of each fault and system call.")
@click.option("--wide", is_flag=True, help="Whole lines, on a terminal too, where they are made to fit otherwise.")
@click.option(
    "--legend",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_legend,
    help="Tell what the words of a trace mean, and exit.",
)
@click.argument("program")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def trace(
    program: str,
    args: tuple[str, ...],
    output: str | None,
    exprs: tuple[str, ...],
    summary: bool,
    fmt: str,
    stack: bool,
    processes: tuple[str, ...],
    paths: tuple[str, ...],
    limit: int | None,
    sort: str,
    relative: bool,
    times: int,
    wide: bool,
    **common: Any,
) -> int:
    """Run PROGRAM and tell what the kernel does: page faults, system calls, processes...

    One line per event goes to standard error, or to FILE. The guest owns standard output. A terminal gets as much of
    each line as fits.

    \b
    Examples:
      p9emu trace hello
      p9emu trace -e fault,page -o faults.txt sort /lib/words
      p9emu trace -e '!tlb' --format json -o run.jsonl hello
      p9emu trace -c -S time hello
      p9emu trace -e fault:class=cow-copy,segment=bss -T cow 4
      p9emu trace -P /lib/words -o '|grep open' cat /lib/words
      p9emu trace --format folded -o stacks.txt hello
      p9emu trace --format perfetto -o cow.pftrace cow 20
      p9emu trace --format csv -o sieve.csv sieve 10000
    """
    if fmt == "perfetto" and not exprs:
        exprs = ("%all",)  # of which it makes its tracks and counters
    wanted = _wanted(exprs, processes, paths, folded=fmt == "folded")
    _consistent(fmt, summary, stack, sort, relative, times, wide, limit)
    if fmt in ("perfetto", "oracleGeneral") and output is None:
        raise click.UsageError(f"--format {fmt} is no text: it needs -o FILE")
    if output is not None and output.startswith("|") and not output[1:].strip():
        raise click.BadParameter("no command behind the '|'", param_hint="'-o'")
    if fmt in REFERENCES:
        if exprs or processes or paths or common["swap"]:
            raise click.UsageError(NOEVENTS.format(fmt))
        from emu.cli.references import references

        return references(Options(**common), program, args, output, fmt)
    from emu.cli.run import Rendering
    from emu.cli.run import trace as command

    rendering = Rendering(fmt, summary, stack, sort, min(times, 2), relative, wide, limit or 0)
    return command(Options(**common), program, args, output, wanted, rendering)


def _consistent(
    fmt: str, summary: bool, stack: bool, sort: str, relative: bool, times: int, wide: bool, limit: int | None
) -> None:
    """Refuse options of which one would do nothing."""
    if fmt == "folded" and (summary or stack or times or limit):
        raise click.UsageError("--format folded is a count of call stacks: it goes without -c, -k, -n and -T")
    if fmt in REFERENCES and (summary or stack or times or limit):
        raise click.UsageError(NOEVENTS.format(fmt))
    if fmt == "perfetto" and (summary or stack or times):
        raise click.UsageError("--format perfetto has times of its own, and no summary: it goes without -c, -k and -T")
    if (relative and (summary or fmt != "text")) or (wide and fmt != "text"):
        raise click.UsageError(f"{'-r' if relative else '--wide'} is for lines of text")
    if summary and stack:
        raise click.UsageError("-c shows no single events: it goes without -k")
    if not sort:
        return
    if not summary or fmt != "text":
        raise click.UsageError("-S sorts the tables of -c")
    from emu.observe.summary import ALIASES, COLUMNS

    if sort not in (*COLUMNS, *ALIASES):
        raise click.BadParameter(f"no column {sort!r}; there are {', '.join(COLUMNS)}", param_hint="'-S'")
    if sort == "host" and times < 2:
        raise click.BadParameter("there is a column of the host's time with -TT", param_hint="'-S'")


def _wanted(exprs: Sequence[str], processes: Sequence[str], paths: Sequence[str], folded: bool) -> "Filter":
    """What -e, -p and -P select; stacks are counted of faults alone, below the names of their processes."""
    from emu.observe.filter import FilterError, select

    try:
        if folded:
            wanted = select(exprs, processes)
            if "fault" not in wanted.kinds or paths:
                raise FilterError("call stacks are counted of faults", "--format")
            return replace(wanted, kinds=frozenset({"fault", "proc"}), test=_withnames(wanted))
        return select(exprs, processes, paths)
    except FilterError as e:
        raise click.BadParameter(str(e), param_hint=f"'{e.option}'") from None


def _withnames(wanted: "Filter") -> Callable[[Any], bool]:
    def test(ev: Any) -> bool:
        hit = wanted(ev)
        return ev.kind == "proc" or (hit and ev.kind == "fault")

    return test


@cli.command(context_settings=GUEST_ARGS, epilog=STATUS, short_help="Run the shell of a Plan 9 distribution.")
@machine_options(memory="512M", clock=None, root=False)
@user_option()
@click.option("-l", "--login", is_flag=True, help="Let rc run the user's lib/profile first, with service=con.")
@click.argument("tree", required=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[CMD]...")
def shell(tree: str | None, words: tuple[str, ...], **common: Any) -> int:
    """Run rc, or CMD, in TREE, a directory with a Plan 9 distribution (9front, the 4th edition).

    TREE is not written. CMD is a command there, a program or script of the host, or, if it begins with a "-", arguments
    of rc. Without it rc reads standard input.

    On a terminal Ctrl-C interrupts the command that runs, Ctrl-D ends the shell, and Ctrl-\\ ends p9emu in any case.

    \b
    Examples:
      p9emu shell /dist/9front
      p9emu shell /dist/9front -c 'cd /sys/src/cmd/rc; mk'
      p9emu shell --bind .:/n/here:rw /dist/9front ls -l /n/here
    """
    from emu.cli.shell import shell as command

    return command(Options(**common), tree, words)


@cli.command(context_settings=GUEST_ARGS, epilog=STATUS, short_help="Run a program and draw what happened.")
@machine_options()
@tree_options
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    default="report.html",
    show_default=True,
    help="Write the report to FILE; one that is there is replaced.",
)
@click.option("--from", "source", metavar="TRACE", help="Draw a trace that trace --format json wrote; nothing is run.")
@click.argument("program", required=False)
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def report(
    ctx: click.Context, /, program: str | None, args: tuple[str, ...], output: str, source: str | None, **common: Any
) -> int:
    """Run PROGRAM and make one HTML file of what happened, to be opened in a browser.

    It tells the run in words, and shows processes, faults and every page of memory at any moment.

    \b
    Examples:
      p9emu report cow 20
      p9emu report -o thrash.html -m 8M --swap 32M thrash 3000 2
      p9emu trace -e %all --format json -o run.jsonl cow 20
      p9emu report --from run.jsonl
    """
    if source is None:
        if program is None:
            raise click.UsageError("Missing argument 'PROGRAM'.")
        from emu.cli.report import report as command

        return command(Options(**common), program, args, output)
    if program is not None:
        raise click.UsageError("--from and PROGRAM exclude each other")
    for name in common:
        if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"--from runs nothing: {_shown(ctx, name)} would have no effect")
    from emu.cli.report import fromtrace

    fromtrace(source, output)
    return 0


def _shown(ctx: click.Context, name: str) -> str:
    """What an option is called on the command line."""
    return next(p.opts[-1] for p in ctx.command.params if p.name == name)


@cli.command(context_settings=GUEST_ARGS, short_help="Run a program event by event, on the screen.")
@machine_options()
@tree_options
@click.option(
    "-e",
    "exprs",
    multiple=True,
    metavar="EXPR",
    help="Events to list and to step through, as of trace; the maps know them all.  [default: fault,syscall,proc,note]",
)
@click.option("--from", "source", metavar="TRACE", help="Show a trace that trace --format json wrote; nothing is run.")
@click.option(
    "--stdin",
    metavar="FILE",
    help="What the program reads: a file, or with - what is piped to p9emu.  [default: nothing]",
)
@click.argument("program", required=False)
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def view(
    ctx: click.Context,
    /,
    program: str | None,
    args: tuple[str, ...],
    exprs: tuple[str, ...],
    source: str | None,
    stdin: str | None,
    **common: Any,
) -> int:
    """Run PROGRAM on the screen, event by event: every page of memory, the events, and what each of them does.

    The machine stands still at an event until a key lets it go on; one can go back, too. The key ? tells them all.
    What the program writes is shown on the screen. Needs the extra "view".

    \b
    Examples:
      p9emu view cow 4
      p9emu view -m 8M --swap 32M thrash 3000 2
      p9emu trace -e %all --format json -o run.jsonl cow 20
      p9emu view --from run.jsonl

    \b
    Exit status: 0 when you quit, however the program ended; 1 without textual; else as run.
    """
    wanted = _wanted(exprs, (), (), folded=False)
    if source is None:
        if program is None:
            raise click.UsageError("Missing argument 'PROGRAM'.")
        from emu.cli.view import view as command

        return command(Options(**common), program, args, wanted, stdin)
    if program is not None:
        raise click.UsageError("--from and PROGRAM exclude each other")
    for name in (*common, "stdin"):
        if name != "color" and ctx.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"--from runs nothing: {_shown(ctx, name)} would have no effect")
    from emu.cli.view import fromtrace

    return fromtrace(source, wanted, common["color"])


@cli.command(context_settings=GUEST_ARGS, epilog=STATUS, short_help="Run a program and show what goes on.")
@machine_options()
@tree_options
@click.option(
    "--sort",
    type=click.Choice(
        ["faults", "rate", "pid", "name", "state", "res", "swap", "calls", "new", "copy", "load", "in", "map", "bad"]
    ),
    default="faults",
    show_default=True,
    metavar="COLUMN",
    help="What processes are sorted by: faults, rate (/S), pid, name, state, res, swap, calls, new, copy, load, in, "
    "map or bad.",
)
@click.option(
    "--interval",
    type=interval,
    default="0",
    metavar="MS",
    help="Print a table each MS milliseconds of virtual time.  [default: on a terminal a picture that is drawn anew; "
    "else one table, at the end]",
)
@click.argument("program")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def top(program: str, args: tuple[str, ...], sort: str, interval: int, **common: Any) -> int:
    """Run PROGRAM and show, while it runs, who has how much memory, and who faults.

    The picture is on standard error; what the guest writes to the same terminal appears above it. RES and SWAP are
    pages in memory and on swap, /S faults in a second of virtual time. Faults are NEW pages of zeros, COPY on write,
    LOAD from a file, IN from swap, MAP of what is in memory, or BAD.

    \b
    Examples:
      p9emu top -m 8M --swap 32M pressure
      p9emu top --interval 100 --sort res thrash 3000 2
    """
    from emu.cli.top import top as command

    return command(Options(**common), program, args, sort, interval)


@cli.command(context_settings=HELP, short_help="Compare two JSON traces.")
@click.option(
    "--ignore",
    multiple=True,
    metavar="FIELD,...",
    help="Compare without these fields. Times and frame numbers differ by small causes: --ignore ns,frame.",
)
@click.option(
    "-U",
    "--context",
    type=click.IntRange(0, 1000),
    default=3,
    show_default=True,
    metavar="N",
    help="Show N events before the first difference, and after.",
)
@click.option("--format", "fmt", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Colour what is printed; auto is on a terminal, unless NO_COLOR is set.",
)
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
def diff(first: str, second: str, ignore: tuple[str, ...], context: int, fmt: str, color: str) -> int:
    """Show the first event in which two JSON traces differ, and which counts do. "-" is standard input.

    \b
    Examples:
      p9emu trace -e %all --format json -o a.jsonl cow 4
      p9emu trace -e %all --format json -o b.jsonl cow 5
      p9emu diff --ignore ns,frame a.jsonl b.jsonl

    \b
    Exit status: 0 if they are the same, 1 if they differ, 2 if one is no trace or breaks off.
    """
    from emu.cli.diff import diff as command

    return command(first, second, ignore, context, fmt == "json", color)


@cli.command(context_settings=GUEST_ARGS, epilog=STATUS, short_help="Draw what a program would miss with less memory.")
@machine_options(memory="512M")
@tree_options
@click.option("-o", "--output", metavar="FILE", help="Write the curve to FILE instead of standard error.")
@click.option(
    "--format",
    "fmt",
    type=click.Choice(["text", "json", "png", "svg"]),
    help="A table and a plot in letters, JSON, or a picture.  [default: by FILE's name, else text]",
)
@click.option(
    "--sizes", type=sizes, metavar="SIZE,...", help="Sizes of memory, 4M to 3G.  [default: up to what suffices]"
)
@click.option(
    "--runs",
    type=click.IntRange(0, 64),
    default=5,
    show_default=True,
    metavar="N",
    help="Run the program with N of the sizes of memory, and compare.",
)
@click.argument("program")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def mrc(
    program: str,
    args: tuple[str, ...],
    output: str | None,
    fmt: str | None,
    sizes: tuple[int, ...] | None,
    runs: int,
    **common: Any,
) -> int:
    """Run PROGRAM and draw its miss-ratio curve: how many pages it would miss with less memory.

    Which pages it touches, one by one, is recorded with -m so large that none goes to swap. From that string misses
    are computed for sizes of memory by LRU, by the clock, and the fewest that are possible. Then the program is run
    with some of these sizes and a swap device, without output, and the misses of the kernel's pager are counted.

    \b
    Examples:
      p9emu mrc thrash 3000 2
      p9emu mrc -o curve.png --sizes 8M,12M,16M,24M,32M thrash 3000 2
      p9emu mrc --format json -o curve.json --runs 0 sieve 100000
    """
    from emu.cli.mrc import Wanted
    from emu.cli.mrc import mrc as command

    return command(Options(**common), program, args, Wanted(output, fmt, sizes, runs))


@cli.command(context_settings=HELP)
@click.option("--format", "fmt", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.argument("program")
def info(program: str, fmt: str) -> None:
    """Show PROGRAM's header, segments and symbols.

    \b
    Example:
      p9emu info hello

    \b
    Exit status: 126 if PROGRAM is no Plan 9 386 executable, 127 if there is no such file.
    """
    from emu.cli.inspect import info as command

    command(program, fmt == "json")


@cli.command(context_settings=HELP)
@click.argument("program")
@click.argument("symbol", required=False)
def disasm(program: str, symbol: str | None) -> None:
    """Disassemble PROGRAM's text, or only the function SYMBOL.

    \b
    Example:
      p9emu disasm hello main

    \b
    Exit status: 1 if there is no function SYMBOL, 126 if PROGRAM is no Plan 9 386
    executable, 127 if there is no such file.
    """
    from emu.cli.inspect import disasm as command

    command(program, symbol)


@cli.command(context_settings=HELP)
@click.option("--format", "fmt", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("-v", "--verbose", is_flag=True, help="Describe each program.")
def guests(fmt: str, verbose: bool) -> None:
    """List the programs that come with p9emu; run takes their names.

    \b
    Example:
      p9emu guests -v
    """
    from emu.cli.inspect import guests as command

    command(fmt == "json", verbose)


@cli.command(context_settings=HELP)
@click.option("--format", "fmt", type=click.Choice(["text", "json"]), default="text", show_default=True)
def variants(fmt: str) -> None:
    """List what --fix and --original take: later fixes of 9front, and cures of p9emu's own.

    Each line has the name, the day or the erratum, the kind (R race or order, D deadlock, S single-threaded, F double
    fetch, L leak), the C file, and what is wrong without the fix, or without the cure.

    \b
    Example:
      p9emu variants
    """
    from emu.cli.inspect import variants as command

    command(fmt == "json")


@cli.command(context_settings=HELP, short_help="Compile C and assembly into a program.")
@click.option("-o", "output", metavar="OUT", default="a.out", show_default=True, help="The program's file.")
@click.option("-I", "include", metavar="DIR", multiple=True, help="Look for headers in DIR too.")
@click.option("-D", "define", metavar="NAME[=V]", multiple=True, help="Define a macro, as V or 1.")
@click.option(
    "-O",
    "level",
    metavar="LEVEL",
    type=click.Choice(["0", "1", "2", "3", "s", "z", "g"]),
    default="1",
    show_default=True,
    help="How much to optimize: 0 to 3, s, z or g.",
)
@click.option("-W", "warn", metavar="WARNING", multiple=True, help="A warning as clang names it, besides -Wall.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
def cc(
    files: tuple[str, ...],
    output: str,
    include: tuple[str, ...],
    define: tuple[str, ...],
    level: str,
    warn: tuple[str, ...],
) -> int:
    """Compile FILEs in C (.c) and assembly (.S, .s) into a Plan 9 386 executable with symbols and line tables.

    It is linked with the small library of the bundled guests, which #include "guest.h" declares. A program begins
    with main(argc, argv), which returns its exit string, nil for success; one in assembly may have _start instead.
    OUT is a.out unless told otherwise, as with other compilers. Needs the extra "guests".

    \b
    Examples:
      p9emu cc hello.c && p9emu run ./a.out
      p9emu cc -o prog -O2 -Wextra main.c fast.S

    \b
    Exit status: 1 if the program cannot be made of FILEs, 125 if OUT cannot be written.
    """
    from emu.cli.cc import cc as command

    return command(files, output, include, define, level, warn)


@cli.command(context_settings=HELP)
@click.option("--format", "fmt", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.argument("directory", metavar="DIR")
@click.argument("tree", required=False)
def changes(directory: str, tree: str | None, fmt: str) -> None:
    """List what --changes DIR has kept: A for what is new, M for what is changed, D for what is removed.

    TREE is the directory that was the root. Without it new files and changed ones cannot be told apart: both are ?.

    \b
    Example:
      p9emu run --root plan9 --changes changes dirs /tmp
      p9emu changes changes plan9

    \b
    Exit status: 2 if DIR is no such directory.
    """
    from emu.cli.changes import changes as command

    command(directory, tree, fmt == "json")


@cli.command(context_settings=HELP)
@click.option("--quick", is_flag=True, help="One round of each measurement instead of three.")
@click.option("--full", is_flag=True, help="Everything, in seven rounds and more: half an hour.")
@click.option("--format", "fmt", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True)
@click.option("--json", "fmt", flag_value="json", help="The same as --format json.")
@click.option("--curves", is_flag=True, help="Also how costs grow, from place to place.")
@click.option("--plot", type=click.Path(file_okay=False), metavar="DIR", help="Draw the curves, as SVG files in DIR.")
@click.option("--go", is_flag=True, help="Also tests of Go's standard library.")
@click.option("--pagecache", is_flag=True, help="Only the page caches and page-out policies beside each other.")
def bench(quick: bool, full: bool, fmt: str, curves: bool, plot: str | None, go: bool, pagecache: bool) -> None:
    """Measure the emulator on this computer, beside a bare Unicorn and, if installed, Qiling and qemu-i386.

    Takes two or three minutes; a bar on a terminal shows how far it is.

    \b
    Example:
      p9emu bench --quick
      p9emu bench --plot pictures
      p9emu bench --pagecache

    \b
    Exit status: 1 if --plot finds no matplotlib, or --go or --full no go command.
    """
    if pagecache:
        from emu.bench.pagecaches import main as caches

        if quick or full or curves or plot is not None or go:
            raise click.UsageError("--pagecache is measured alone")
        caches(fmt)
        return
    from emu.bench.suite import main as command

    if quick and full:
        raise click.UsageError("--quick and --full exclude each other")
    command(quick, fmt, curves, plot, go, full)


@cli.command(context_settings=HELP)
@click.option("--only", multiple=True, metavar="PART", help="Look at this part alone; repeatable.")
@click.argument("patch", required=False)
def judge(patch: str | None, only: tuple[str, ...]) -> int:
    """Tell what a change of kernel/ breaks or changes, in a minute or two.

    The tree that p9emu runs from is judged as it is, or a copy of it with PATCH (a unified diff; - is standard
    input): against the recordings of the original C and of the real kernel, whole traces, invariants in many orders,
    deliberate mistakes, every bundled program. Needs a clone, with its tests.

    \b
    Exit status: 0 all is as it was, 1 something is not, 125 PATCH does not apply.
    """
    from emu.cli.judge import judge as command

    return command(patch, only)


cli.add_command(explore)
