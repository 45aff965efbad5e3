"""The console script go_plan9_386_exec: without options of its own it needs no click."""

import gc
import os
import sys
from typing import Final, NoReturn

from emu.cli import plain
from emu.cli.manners import concluded, interruptible, leave
from emu.cli.settings import Options
from emu.failure import INTERRUPTED

MEMORY: Final = 3 << 30  # of the machine, as emu.cli.goexec has it


def main() -> NoReturn:
    """The console script."""
    gc.disable()  # as in emu.cli.main
    words = sys.argv[1:]
    try:
        if plain(words, "P9EMU_OPTS", "_GO_PLAN9_386_EXEC_COMPLETE"):
            concluded(lambda: interruptible(lambda: _plainly(words[0], tuple(words[1:]))))
        from emu.cli.goexec import go_exec

        go_exec.main(words)
    except SystemExit as e:
        leave(e)
    except KeyboardInterrupt:
        os.write(2, b"p9emu: interrupted\n")
        os._exit(INTERRUPTED)


def _plainly(program: str, args: tuple[str, ...]) -> int:
    from emu.cli.gorun import gorun

    return gorun(Options(memory=MEMORY, notefp=True), program, args)
