"""The script go_plan9_386_exec: without options of its own it needs no click, and served by another process nothing."""

from __future__ import annotations

import gc
import os
import sys

from emu.cli import plain
from emu.cli.served import served
from emu.failure import INTERRUPTED

TYPE_CHECKING = False  # as in emu
if TYPE_CHECKING:
    from typing import Final, NoReturn

    from emu.cli.served import Place
    from emu.cli.settings import Options

MEMORY: Final = 3 << 30  # of the machine, as emu.cli.goexec has it


def main() -> NoReturn:
    """The console script."""
    gc.disable()  # as in emu.cli.main
    words = sys.argv[1:]
    try:
        if plain(words, "P9EMU_OPTS", "_GO_PLAN9_386_EXEC_COMPLETE"):
            _plainly(words, served(words))
        from emu.cli.goexec import go_exec

        go_exec.main(words)
    except SystemExit as e:
        from emu.cli.manners import leave

        leave(e)
    except KeyboardInterrupt:
        os._exit(_interrupted())


def _plainly(words: list[str], place: Place | None = None) -> NoReturn:
    """Run it, and exit with its status. Others may be served from now on, at ``place``."""
    from emu.cli.manners import concluded, interruptible

    def run() -> int:
        from emu.cli.gorun import gorun

        if place is not None:
            from emu.cli.server import start

            start(place, _served, _options())
        return gorun(_options(), words[0], tuple(words[1:]))

    concluded(lambda: interruptible(run))


def _served(words: list[str]) -> int:
    """The same in a process of the server's: the status."""
    from emu.cli.manners import ended

    try:
        _plainly(words)
    except SystemExit as e:
        return ended(e)
    except KeyboardInterrupt:
        return _interrupted()


def _interrupted() -> int:
    """Before the command has begun, or when it is over."""
    os.write(2, b"p9emu: interrupted\n")
    return INTERRUPTED


def _options() -> Options:
    from emu.cli.settings import Options

    return Options(memory=MEMORY, notefp=True)
