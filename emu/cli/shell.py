"""p9emu shell: a Plan 9 tree of the host is at home, and its rc reads what is typed."""

import os
from collections.abc import Sequence
from dataclasses import replace

from emu.cli.settings import Options
from emu.failure import USAGE, Failure


def shell(options: Options, tree: str | None, words: Sequence[str], recording: str | None = None) -> int:
    """Run rc, or a command, in the tree, and record the run if that is named; the status to exit with.

    Raises Failure.
    """
    from emu.cli.run import run as torun
    from emu.machine.tree import RC, WHATITIS

    def run(options: Options, program: str, args: Sequence[str]) -> int:
        if recording is None:
            return torun(options, program, args)
        from emu.cli.record import record

        return record(options, program, args, recording)

    if tree is None:
        raise Failure(f"shell needs {WHATITIS}", USAGE)
    forrc = not words or words[0].startswith("-")
    interactive = os.isatty(0) and (not words or (forrc and "i" in words[0]))
    if options.login and not (interactive or (words and forrc)):
        raise Failure("--login is for an rc on a terminal, or for arguments of rc as -c", USAGE)
    options = replace(
        options,
        tree=tree,
        interrupts=interactive,
        clock=options.clock or ("real" if interactive else "virtual"),
    )
    if not forrc:
        return run(options, words[0], words[1:])
    flags = ["-l"] if options.login else []
    if not words:  # rc takes its console for a terminal, which the host's standard input need not be
        flags.append("-i" if interactive else "-I")
    return run(replace(options, argv0="rc"), f"/{RC}", [*flags, *words])
