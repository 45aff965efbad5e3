"""What can be typed to run a program: run, shell."""

from typing import Any

import click

from emu.cli.front import Headed
from emu.cli.options import GUEST_ARGS, STATUS, machine_options, tree_options, user_option
from emu.cli.settings import Options


@click.command(cls=Headed, context_settings=GUEST_ARGS, epilog=STATUS, short_help="Run a program.")
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


@click.command(
    cls=Headed, context_settings=GUEST_ARGS, epilog=STATUS, short_help="Run the shell of a Plan 9 distribution."
)
@machine_options(memory="512M", clock=None, root=False)
@user_option()
@click.option("-l", "--login", is_flag=True, help="Let rc run the user's lib/profile first, with service=con.")
@click.option("--record", metavar="FILE", help="Write a recording of the session to FILE, for p9emu replay.")
@click.argument("tree", required=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[CMD]...")
def shell(tree: str | None, words: tuple[str, ...], record: str | None, **common: Any) -> int:
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

    return command(Options(**common), tree, words, record)
