"""What can be typed to record a run, and to do it again: record, replay."""

from typing import Any

import click

from emu.cli.front import Headed
from emu.cli.options import GUEST_ARGS, HELP, STATUS, machine_options, tree_options
from emu.cli.settings import Options


@click.command(cls=Headed, context_settings=GUEST_ARGS, epilog=STATUS, short_help="Run a program and record the run.")
@machine_options()
@tree_options
@click.option("-o", "--output", metavar="FILE", help="The recording; one that is there is replaced.  [required]")
@click.argument("program")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def record(program: str, args: tuple[str, ...], output: str | None, **common: Any) -> int:
    """Run PROGRAM as run does, and write to FILE all that the host has a part in: input, signals, files, time.

    replay does the run again from FILE alone; trace, report, view, debug and gdb look at it with --from.

    \b
    Examples:
      p9emu record -o run.rec cat
      p9emu replay run.rec
      p9emu trace --from run.rec
    """
    from emu.cli.record import record as command

    if output is None:
        late = any(word.startswith(("-o", "--output")) for word in args)
        raise click.UsageError("Missing option '-o' / '--output'" + ("; options come before PROGRAM" if late else ""))
    return command(Options(**common), program, args, output)


@click.command(cls=Headed, context_settings=HELP, short_help="Do a recorded run again.")
@click.option("--stats", is_flag=True, help="Print figures about the run on standard error at its end.")
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Colour what p9emu prints; auto is on a terminal, unless NO_COLOR is set.",
)
@click.option("-v", "--verbose", is_flag=True, help="Print the kernel's messages on standard error, as run does.")
@click.argument("file", metavar="FILE")
def replay(file: str, stats: bool, color: str, verbose: bool) -> int:
    """Do the run in FILE again, which record has written: byte for byte, without a look at the host.

    It stops where it comes to something else than what was recorded, and says where.

    \b
    Example:
      p9emu replay run.rec

    \b
    Exit status: that of the recorded run; 125 too if it comes to something else, or the recording ends before the run
    did; 2 if FILE is no recording, or one of another version.
    """
    from emu.cli.replay import replay as command

    return command(file, stats, color, verbose)
