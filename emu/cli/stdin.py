"""What the commands that look at a run read: a program's input from a file, and a recorded trace."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from emu.failure import BROKEN, Failure
from emu.plain import plain

if TYPE_CHECKING:
    from emu.session.recorded import Recorded

MAXSTDIN: Final = 64 << 20  # bytes that a program may be given


def given(name: str) -> bytes:
    """The bytes of a file, or with - of standard input, for a program to read. Raises Failure."""
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAXSTDIN + 1)
        else:
            with open(name, "rb") as f:
                data = f.read(MAXSTDIN + 1)
    except (OSError, ValueError) as e:
        why = e.strerror if isinstance(e, OSError) else "not a name of a file"
        raise Failure(f"--stdin {plain(name)}: {why}", BROKEN) from None
    if len(data) > MAXSTDIN:
        raise Failure(f"--stdin {plain(name)}: is larger than {MAXSTDIN >> 20} MB", BROKEN)
    return data


@contextmanager
def opened(trace: str) -> "Iterator[Recorded]":
    """A trace of JSON lines with an event in it. Raises Failure."""
    from emu.session.recorded import Recorded

    try:
        recorded = Recorded(trace)
    except (OSError, ValueError) as e:
        why = e.strerror if isinstance(e, OSError) else "not a name of a file"
        raise Failure(f"cannot read {plain(trace)}: {why}", BROKEN) from None
    try:
        if not recorded.first():
            if recorded.error is not None:
                raise Failure(f"cannot read {plain(trace)}: {recorded.error.strerror}", BROKEN)
            raise Failure(f"{plain(trace)}: holds no event of a trace (p9emu trace --format json makes them)", BROKEN)
        yield recorded
    finally:
        recorded.close()
