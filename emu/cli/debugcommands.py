"""What can be typed to debug a program, or the kernel below it: gdb, elf, debug."""

from typing import Any

import click

from emu.cli.front import Headed
from emu.cli.options import GUEST_ARGS, HELP, machine_options, tree_options
from emu.cli.settings import LISTEN, Options
from emu.cli.wanted import oneof, onlyfrom, recording, wanted


@click.command(cls=Headed, context_settings=GUEST_ARGS, short_help="Run a program under gdb.")
@machine_options()
@tree_options
@click.option(
    "-l",
    "--listen",
    "address",
    metavar="ADDRESS",
    default=LISTEN,
    show_default=True,
    help="Where gdb finds it: HOST:PORT (port 0 is any that is free), a path for a UNIX socket, or - for standard "
    "input and output.",
)
@click.option("--from", "source", metavar="FILE", help="Debug the run that record has written to FILE.")
@click.argument("program", required=False)
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def gdb(
    ctx: click.Context, /, program: str | None, args: tuple[str, ...], address: str, source: str | None, **common: Any
) -> int:
    """Run PROGRAM and let gdb debug it: processes are its inferiors, all of the machine stands still with them.

    Where gdb is to connect is told on standard error. The address is one of this computer unless another is asked for.

    \b
    Examples:
      p9emu gdb cow 2
      gdb -ex 'target remote | p9emu gdb -l - cow 2'

    \b
    Exit status: as run; 125 if gdb goes away without a word, 137 if it ends the program.
    """
    oneof(source, program)
    from emu.cli.gdb import gdb as command

    if source is not None:
        with recording(ctx, source, common) as again:
            return command(again.options, again.program, again.args, address)
    return command(Options(**common), program or "", args, address)


@click.command(cls=Headed, context_settings=HELP, short_help="Write an ELF file of a program, for gdb.")
@click.option("-o", "output", metavar="FILE", help="The ELF file; - is standard output.  [default: PROGRAM.elf, here]")
@click.argument("program")
def elf(program: str, output: str | None) -> None:
    """Write an ELF file with PROGRAM's text, data, symbols, lines and frames, for gdb to read.

    p9emu gdb gives gdb the same by itself.

    \b
    Example:
      p9emu elf -o hello.elf hello

    \b
    Exit status: 125 if FILE cannot be written, 126 if PROGRAM is no Plan 9 386 executable, 127 if there is no such
    file.
    """
    from emu.cli.gdb import elf as command

    command(program, output)


@click.command(cls=Headed, context_settings=GUEST_ARGS, short_help="Run a program event by event, at a prompt.")
@machine_options()
@tree_options
@click.option(
    "-e",
    "exprs",
    multiple=True,
    metavar="EXPR",
    help="Events that step and back go by, as of trace; why, page and until know them all.  "
    "[default: fault,syscall,proc,note]",
)
@click.option(
    "--from", "source", metavar="FILE", help="Look at a trace of trace --format json, or at the run that record wrote."
)
@click.option(
    "--stdin",
    metavar="FILE",
    help="What the program reads: a file, or with - and -x what is piped to p9emu.  [default: nothing]",
)
@click.option("-x", "--command", "script", metavar="FILE", help="Do the commands in FILE, and end.")
@click.option("-q", "--quiet", is_flag=True, help="Of a script tell what its commands say alone.")
@click.argument("program", required=False)
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def debug(
    ctx: click.Context,
    /,
    program: str | None,
    args: tuple[str, ...],
    exprs: tuple[str, ...],
    source: str | None,
    stdin: str | None,
    script: str | None,
    quiet: bool,
    **common: Any,
) -> int:
    """Run PROGRAM at a prompt: on and back by events, and ask the kernel why a page is what it is.

    Commands are typed, or read from a pipe or a script; "help" tells them. What PROGRAM writes appears between them.

    \b
    Examples:
      p9emu debug cow 4
      echo "until fault class=cow-copy" | p9emu debug cow 4
      p9emu debug -x FILE -m 4M --swap 16M swapfork 300
      p9emu debug --from run.jsonl

    \b
    Exit status: 0 at the end of the session, however the program ended; 1 if a line of a script could not be done,
    or "invariants" found something broken in one; else as run.
    """
    told = wanted(exprs, (), (), folded=False)
    oneof(source, program)
    from emu.cli.debug import debug as command
    from emu.cli.debug import fromtrace
    from emu.machine.recording import isrecording

    if source is not None and isrecording(source):
        with recording(ctx, source, {**common, "stdin": stdin}) as again:
            return command(again.options, again.program, again.args, told, None, script, quiet)
    onlyfrom(ctx, source, program, (*common, "stdin"))
    if source is not None:
        return fromtrace(source, told, script, quiet)
    return command(Options(**common), program or "", args, told, stdin, script, quiet)
