"""What ends a command from outside: a standard output that is not there, and the host's signals."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from emu.failure import BROKEN, Failure

ENDING: Final = (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM)


def needstdout() -> None:
    """Before anything is done: raises Failure if standard output is closed."""
    if sys.stdout is None:
        raise Failure("cannot write standard output: it is closed", BROKEN)


def needstderr() -> None:
    """The same for standard error; the status is all that can tell of it."""
    if sys.stderr is None:
        raise Failure("cannot write standard error: it is closed", BROKEN)


@contextmanager
def endable() -> Iterator[None]:
    """Who asks the process to end gets a Failure raised in it, so that it tidies up. One that is ignored stays so."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise Failure(f"ended by {signal.Signals(number).name}", 128 + number)

    old: dict[int, Any] = {}
    try:
        for number in ENDING:
            if signal.getsignal(number) is signal.SIG_DFL:
                old[number] = signal.signal(number, end)
        yield
    finally:
        for caught, handler in old.items():
            signal.signal(caught, handler)
