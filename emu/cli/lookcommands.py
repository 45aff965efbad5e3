"""What can be typed to look at a run, or at a trace of one: report, view, top, diff, mrc."""

from typing import Any

import click
from click.core import ParameterSource

from emu.cli.front import Headed
from emu.cli.options import GUEST_ARGS, HELP, STATUS, machine_options, tree_options
from emu.cli.settings import Options
from emu.cli.types import interval, sizes
from emu.cli.wanted import oneof, onlyfrom, recording, shown, wanted


@click.command(
    cls=Headed, context_settings=GUEST_ARGS, epilog=STATUS, short_help="Run a program and draw what happened."
)
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
@click.option(
    "--from", "source", metavar="FILE", help="Draw a trace of trace --format json, or the run that record wrote."
)
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
    oneof(source, program)
    from emu.cli.report import fromtrace
    from emu.cli.report import report as command
    from emu.machine.recording import isrecording

    if source is None:
        return command(Options(**common), program or "", args, output)
    if isrecording(source):
        with recording(ctx, source, common) as again:
            return command(again.options, again.program, again.args, output)
    for name in common:
        if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"--from runs nothing: {shown(ctx, name)} would have no effect")
    fromtrace(source, output)
    return 0


@click.command(cls=Headed, context_settings=GUEST_ARGS, short_help="Run a program event by event, on the screen.")
@machine_options()
@tree_options
@click.option(
    "-e",
    "exprs",
    multiple=True,
    metavar="EXPR",
    help="Events to list and to step through, as of trace; the maps know them all.  [default: fault,syscall,proc,note]",
)
@click.option(
    "--from", "source", metavar="FILE", help="Show a trace of trace --format json, or the run that record wrote."
)
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
    listed = wanted(exprs, (), (), folded=False)
    oneof(source, program)
    from emu.cli.view import fromtrace
    from emu.cli.view import view as command
    from emu.machine.recording import isrecording

    if source is not None and isrecording(source):
        with recording(ctx, source, {**common, "stdin": stdin}) as again:
            return command(again.options, again.program, again.args, listed, None)
    onlyfrom(ctx, source, program, (*common, "stdin"))
    if source is None:
        return command(Options(**common), program or "", args, listed, stdin)
    return fromtrace(source, listed, common["color"])


@click.command(
    cls=Headed, context_settings=GUEST_ARGS, epilog=STATUS, short_help="Run a program and show what goes on."
)
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


@click.command(cls=Headed, context_settings=HELP, short_help="Compare two JSON traces.")
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


@click.command(
    cls=Headed,
    context_settings=GUEST_ARGS,
    epilog=STATUS,
    short_help="Draw what a program would miss with less memory.",
)
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
