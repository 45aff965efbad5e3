"""p9emu run PROGRAM, p9emu gdb [-l ADDRESS] PROGRAM, without other options: what click leads to, but without it."""

from collections.abc import Callable, Sequence
from typing import NoReturn

from emu.cli.manners import concluded, interruptible
from emu.cli.settings import LISTEN, Options


def run(program: str, args: Sequence[str]) -> NoReturn:
    """Run it and exit with its status."""

    def call() -> int:
        from emu.cli.run import run as command

        return command(Options(), program, tuple(args))

    _exits(call)


def gdb(program: str, args: Sequence[str], address: str = LISTEN) -> NoReturn:
    """Let gdb debug it and exit with its status."""

    def call() -> int:
        from emu.cli.gdb import gdb as command

        return command(Options(), program, tuple(args), address)

    _exits(call)


def _exits(call: Callable[[], int]) -> NoReturn:
    concluded(lambda: interruptible(call))
