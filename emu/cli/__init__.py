"""The command line. Nothing is imported before it is needed: --help must be instant, and a run of hello nearly so."""

from __future__ import annotations

import gc
import os
import sys

from emu.failure import INTERRUPTED

TYPE_CHECKING = False  # as in emu
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """The console script p9emu."""
    gc.disable()  # while modules are read there is nothing to collect; concluded() enables it
    words = sys.argv[1:]
    try:
        if words[:1] == ["run"] and plain(words[1:], "_P9EMU_COMPLETE"):
            from emu.cli.plainrun import run

            run(words[1], words[2:])
        elif words[:1] == ["gdb"] and (split := address(words[1:])) is not None:
            from emu.cli.plainrun import gdb

            gdb(*split)
        from emu.cli.commands import cli

        cli.main()
    except SystemExit as e:
        from emu.cli.manners import leave

        leave(e)
    except KeyboardInterrupt:  # before the command has begun, or when it is over
        os.write(2, b"p9emu: interrupted\n")
        os._exit(INTERRUPTED)


def address(words: list[str]) -> tuple[str, list[str], str] | tuple[str, list[str]] | None:
    """A program, its arguments, and where gdb finds it, if words are no more than that; None if they may be."""
    where = words[1:2] if words[:1] == ["-l"] else []
    rest = words[2:] if where else words
    if not plain(rest, "_P9EMU_COMPLETE"):
        return None
    return (rest[0], rest[1:], where[0]) if where else (rest[0], rest[1:])


def plain(words: list[str], *variables: str) -> bool:
    """Whether words are a program and its arguments, without options, and none of the variables has some either."""
    return bool(words) and not words[0].startswith("-") and not any(os.environ.get(v) for v in variables)
