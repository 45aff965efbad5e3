"""The laboratory's command: what can be typed. Nothing heavy is imported before it runs, as in commands."""

from typing import Any

import click

from emu.cli.front import Headed
from emu.cli.options import GUEST_ARGS, machine_options, tree_options
from emu.cli.settings import Options
from emu.cli.types import seconds


@click.command(
    cls=Headed, context_settings=GUEST_ARGS, short_help="Try many orders of a program's events, to find races."
)
@machine_options(once=False)
@tree_options
@click.option(
    "--strategy",
    type=click.Choice(["random", "pct", "delay"]),
    default="random",
    show_default=True,
    help="random: a switch now and then. pct: priorities that change at a few points. delay: every schedule with so "
    "many processes held at a point.",
)
@click.option("--seeds", type=click.IntRange(min=1), metavar="N", help="Schedules, from --seed on.  [default: 1000]")
@click.option("--for", "seconds", type=seconds, metavar="SECONDS", help="Stop after so much of the host's time.")
@click.option(
    "-j", "--jobs", type=click.IntRange(1, 256), metavar="N", default=1, show_default=True, help="Schedules at a time."
)
@click.option("--all", "every", is_flag=True, help="Go on after the first failure.")
@click.option(
    "--depth", type=click.IntRange(1, 20), metavar="D", default=3, show_default=True, help="pct: steps of a bug."
)
@click.option(
    "--bound", type=click.IntRange(1, 20), metavar="K", default=1, show_default=True, help="delay: holds at most."
)
@click.option("--dask", metavar="ADDRESS", help="Let the workers of the Dask cluster there try the schedules.")
@click.option(
    "--expect",
    type=click.IntRange(0, 255),
    metavar="STATUS",
    help="The exit status that is no failure.  [default: that of the plain scheduler's order]",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    default="schedule.jsonl",
    show_default=True,
    help="Write the schedule of a failure to FILE, that of a second one to FILE with -2.",
)
@click.option(
    "--minimize-for",
    "minimize",
    type=click.FloatRange(min=0),
    default=20,
    show_default=True,
    metavar="SECONDS",
    help="Look for fewer switches for so long; 0: leave them all.",
)
@click.option("--format", "fmt", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.argument("program")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def explore(
    program: str,
    args: tuple[str, ...],
    strategy: str,
    seeds: int | None,
    seconds: float | None,
    jobs: int,
    every: bool,
    depth: int,
    bound: int,
    dask: str | None,
    expect: int | None,
    output: str,
    minimize: float,
    fmt: str,
    **common: Any,
) -> int:
    """Run PROGRAM under many schedules, and tell what goes wrong in some of them.

    A failure is a panic, a broken invariant (with --check), a deadlock, a livelock, or another end of the program than
    in the plain scheduler's order. It is told with the fewest switches that still come to it, as a story, and written
    to a file that run --sched replay:FILE repeats. --timeout is for one schedule (20 seconds unless told). The program
    has no input, and what it prints is dropped.

    \b
    Examples:
      p9emu explore --cpus 2 mhead
      p9emu explore --strategy pct --for 60 -j 2 --check sema 5
      p9emu explore --strategy delay --bound 1 pipe 2

    \b
    Exit status:
      0        nothing was found
      1        a failure was found
      2        wrong usage
      125      p9emu itself failed
      126      the program cannot be loaded
      127      the program was not found
      130      interrupted
    """
    if dask is not None and strategy == "delay":
        raise click.UsageError("--dask hands out seeds, and delay has none")
    from emu.cli.explore import How
    from emu.cli.explore import explore as command
    from emu.lab.campaign import Wanted

    options = Options(sched="fifo", swapfile=None, stats=False, **common)
    wanted = Wanted(strategy, options.seed, seeds, depth, bound, seconds, jobs, every, expect)
    return command(options, program, args, wanted, How(output, minimize, fmt == "json", dask))
