"""The command line. Nothing is imported before it is needed: --help must be instant."""

import gc
import os
from typing import NoReturn

from emu.failure import INTERRUPTED


def main() -> NoReturn:
    """The console script p9emu."""
    gc.disable()  # while modules are read there is nothing to collect; Front.main enables it
    try:
        from emu.cli.commands import cli

        cli.main()
    except SystemExit as e:
        from emu.cli.front import leave

        leave(e)
    except KeyboardInterrupt:  # before the command has begun, or when it is over
        os.write(2, b"p9emu: interrupted\n")
        os._exit(INTERRUPTED)
