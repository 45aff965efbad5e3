"""What can be typed to debug a program: gdb, elf."""

from typing import Any

import click

from emu.cli.options import GUEST_ARGS, HELP, machine_options, tree_options
from emu.cli.types import Options


@click.command(context_settings=GUEST_ARGS, short_help="Run a program under gdb.")
@machine_options()
@tree_options
@click.option(
    "-l",
    "--listen",
    "address",
    metavar="ADDRESS",
    default="127.0.0.1:0",
    show_default=True,
    help="Where gdb finds it: HOST:PORT (port 0 is any that is free), a path for a UNIX socket, or - for standard "
    "input and output.",
)
@click.argument("program")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def gdb(program: str, args: tuple[str, ...], address: str, **common: Any) -> int:
    """Run PROGRAM and let gdb debug it: processes are its inferiors, all of the machine stands still with them.

    Where gdb is to connect is told on standard error. The address is one of this computer unless another is asked for.

    \b
    Examples:
      p9emu gdb cow 2
      gdb -ex 'target remote | p9emu gdb -l - cow 2'

    \b
    Exit status: as run; 125 if gdb goes away without a word, 137 if it ends the program.
    """
    from emu.cli.gdb import gdb as command

    return command(Options(**common), program, args, address)


@click.command(context_settings=HELP)
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
