"""p9emu diff: two JSON traces compared."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import IO, Final

from emu.cli.inspect import put
from emu.cli.run import use_color
from emu.cli.wrap import wrapped
from emu.failure import USAGE, Failure
from emu.observe.diff import Difference, Trace, compare, document, names, text
from emu.observe.read import ReadError
from emu.plain import plain

DIFFER: Final = 1
TROUBLE: Final = 2  # as diff's
STDIN: Final = "-"


def diff(a: str, b: str, ignore: Sequence[str], context: int, json: bool, color: str) -> int:
    """Print how two traces differ; 0 if they are the same, 1 if not. Raises Failure with 2 for trouble."""
    if a == b == STDIN:
        raise Failure("standard input can be read once only", USAGE)
    ignored = _fields(ignore)
    with ExitStack() as stack:
        try:
            first, second = (Trace(stack.enter_context(_opened(name)), name) for name in (a, b))
            d = compare(first, second, ignored, context)
        except ReadError as e:
            raise Failure(str(e), TROUBLE) from None
    _print(d, a, b, json, use_color(color, sys.stdout))
    if d.cut:
        more = "" if d.found else f"; the {d.same} events before are the same"
        raise Failure("; ".join(d.cut) + more, TROUBLE)
    return DIFFER if d.found else 0


def _print(d: Difference, a: str, b: str, json: bool, color: bool) -> None:
    if json:
        from emu.observe.jsonl import dumps

        put([dumps(document(d))])
    elif d.found:
        put(wrapped(text(d, a, b, color).splitlines(), sys.stdout))


def _fields(words: Sequence[str]) -> frozenset[str]:
    """Names of fields, of comma lists. Raises Failure."""
    given = frozenset(name.strip() for word in words for name in word.split(","))
    known = names()
    for name in sorted(given):
        if name not in known:
            raise Failure(f"--ignore {plain(name)}: no event has such a field; there are {', '.join(known)}", USAGE)
    return given


def _opened(name: str) -> IO[bytes]:
    """A file, or standard input, to be read. Raises ReadError."""
    try:
        return open(0, "rb", closefd=False) if name == STDIN else open(name, "rb")
    except (OSError, ValueError) as e:
        raise ReadError(f"{plain(name)}: {e.strerror if isinstance(e, OSError) else 'not a name of a file'}") from None
