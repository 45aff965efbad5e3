"""The p9emu command: what can be typed. Each command is imported only when it is asked for, what it does when it runs.

Nothing here imports the emulator, the kernel (but for its dataclasses), capstone or rich: --help must be instant.
"""

from typing import Final

import click

from emu.cli.front import FrontGroup
from emu.cli.options import HELP, STATUS

WHERE: Final = {
    "run": "runcommands",
    "shell": "runcommands",
    "trace": "tracecommands",
    "explore": "labcommands",
    "report": "lookcommands",
    "view": "lookcommands",
    "top": "lookcommands",
    "diff": "lookcommands",
    "mrc": "lookcommands",
    "debug": "debugcommands",
    "gdb": "debugcommands",
    "elf": "debugcommands",
    "record": "recordcommands",
    "replay": "recordcommands",
    "info": "toolcommands",
    "disasm": "toolcommands",
    "guests": "toolcommands",
    "variants": "toolcommands",
    "cc": "toolcommands",
    "changes": "toolcommands",
    "bench": "toolcommands",
    "judge": "toolcommands",
}
"""The module of emu.cli that has each command."""


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(f"p9emu {version('p9emu')}")
    except PackageNotFoundError:
        click.echo("p9emu (not installed)")
    ctx.exit()


@click.group("p9emu", cls=FrontGroup, where=WHERE, no_args_is_help=False, context_settings=HELP, epilog=STATUS)
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
