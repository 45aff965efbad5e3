"""What can be typed to have a run told: trace."""

from typing import TYPE_CHECKING, Any

import click

from emu.cli.front import Headed
from emu.cli.options import GUEST_ARGS, STATUS, machine_options, tree_options
from emu.cli.settings import Options
from emu.cli.wanted import oneof, recording, wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emu.cli.run import Rendering
    from emu.observe.filter import Filter

REFERENCES = ("csv", "oracleGeneral")
NOEVENTS = "--format {} tells references to pages, no events: it goes without -c, -e, -k, -n, -p, -P, -T and --swap"


def _legend(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from emu.cli.ends import needstdout
    from emu.observe.legend import legend

    needstdout()
    click.echo(legend(), nl=False)
    ctx.exit()


@click.command(
    cls=Headed, context_settings=GUEST_ARGS, epilog=STATUS, short_help="Run a program and tell what the kernel does."
)
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
@click.option("--from", "source", metavar="FILE", help="Trace the run again that record has written to FILE.")
@click.argument("program", required=False)
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def trace(
    ctx: click.Context,
    /,
    program: str | None,
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
    source: str | None,
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
      p9emu trace --from run.rec
    """
    oneof(source, program)
    if fmt == "perfetto" and not exprs:
        exprs = ("%all",)  # of which it makes its tracks and counters
    events = wanted(exprs, processes, paths, folded=fmt == "folded")
    _consistent(fmt, summary, stack, sort, relative, times, wide, limit)
    if fmt in ("perfetto", "oracleGeneral") and output is None:
        raise click.UsageError(f"--format {fmt} is no text: it needs -o FILE")
    if output is not None and output.startswith("|") and not output[1:].strip():
        raise click.BadParameter("no command behind the '|'", param_hint="'-o'")
    from emu.cli.run import Rendering

    rendering = Rendering(fmt, summary, stack, sort, min(times, 2), relative, wide, limit or 0)
    chosen = bool(exprs or processes or paths)
    if source is not None:
        with recording(ctx, source, common) as again:
            return _traced(again.options, again.program, again.args, output, events, rendering, chosen)
    return _traced(Options(**common), program or "", args, output, events, rendering, chosen)


def _traced(
    options: Options,
    program: str,
    args: "Sequence[str]",
    output: str | None,
    events: "Filter",
    rendering: "Rendering",
    chosen: bool,
) -> int:
    """A trace of events, or of references, where there is nothing to choose."""
    fmt = rendering.format
    if fmt in REFERENCES:
        if chosen or options.swap:
            raise click.UsageError(NOEVENTS.format(fmt))
        from emu.cli.references import references

        return references(options, program, args, output, fmt)
    from emu.cli.run import trace as command

    return command(options, program, args, output, events, rendering)


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
