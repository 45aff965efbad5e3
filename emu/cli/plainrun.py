"""p9emu run PROGRAM, without options: as emu.cli.runcommands, but without click."""

from collections.abc import Sequence
from typing import NoReturn

from emu.cli.manners import concluded, interruptible
from emu.cli.settings import Options


def run(program: str, args: Sequence[str]) -> NoReturn:
    """Run it and exit with its status."""

    def call() -> int:
        from emu.cli.run import run as command

        return command(Options(), program, tuple(args))

    concluded(lambda: interruptible(call))
