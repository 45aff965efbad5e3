"""A Go test under many seeds: each in a process of its own, until one fails."""

import os
import shlex
import sys
import tempfile
from dataclasses import replace

from emu.cli.settings import Options
from emu.failure import BROKEN, INTERRUPTED, Failure


def seeds(options: Options, n: int) -> Options | int:
    """Fork for each of n seeds, from the options' own on. In a child: the options of its run, which it goes on with.
    In the parent, when all is done: the exit status.

    What a run prints is held back. Of the first that fails it is shown, and the seed and how to repeat it on standard
    error; if none fails, that of the last run. Raises Failure.
    """
    printed = b""
    for seed in range(options.seed, options.seed + n):
        try:
            with tempfile.TemporaryFile() as out:
                pid = os.fork()
                if pid == 0:
                    for fd in (1, 2):
                        os.dup2(out.fileno(), fd)
                    return replace(options, sched="random", seed=seed)
                status = _wait(pid)
                out.seek(0)
                printed = out.read()
        except OSError as e:
            raise Failure(f"seed {seed}: {e.strerror}", BROKEN) from None
        if status:
            _show(printed)
            again = " ".join(shlex.quote(word) for word in _repeating(os.environ.get("P9EMU_OPTS", ""), seed))
            os.write(2, f"p9emu: seed {seed} fails; again: P9EMU_OPTS={shlex.quote(again)}\n".encode())
            return status
    _show(printed)
    return 0


def _wait(pid: int) -> int:
    try:
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except KeyboardInterrupt:  # the child has had it too
        os.waitpid(pid, 0)
        raise Failure("interrupted", INTERRUPTED) from None
    return status if status >= 0 else 128 - status


def _show(printed: bytes) -> None:
    sys.stdout.flush()
    while printed:
        printed = printed[os.write(1, printed) :]


def _repeating(text: str, seed: int) -> list[str]:
    """The words of P9EMU_OPTS for this seed alone."""
    words = []
    rest = iter(shlex.split(text))
    for word in rest:
        if word in ("--seeds", "--seed", "--sched"):
            next(rest, "")
        elif not word.startswith(("--seeds=", "--seed=", "--sched=")):
            words.append(word)
    return [*words, "--sched", "random", "--seed", str(seed)]
