"""Lines that a terminal is too narrow for, broken between words; files and pipes get them as they are."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import Final, TextIO

INDENT: Final = "    "  # what goes on stands below, and further in
LEAST: Final = 20  # columns; a terminal that is narrower breaks lines as it likes
COLORED: Final = re.compile(r"((?:\x1b\[[0-9;]*m)*)([^\x1b]*)((?:\x1b\[[0-9;]*m)*)")


def wrapped(lines: Iterable[str], stream: TextIO | None) -> Iterator[str]:
    """The lines, and where the stream is a terminal those that are too long for it in several."""
    width = _columns(stream)
    for line in lines:
        parts = COLORED.fullmatch(line)
        if width is None or parts is None or len(parts[2]) <= width:
            yield line
            continue
        before, text, after = parts.groups()
        start = text[: len(text) - len(text.lstrip())]
        rows = textwrap.wrap(
            text.lstrip(), width, initial_indent=start, subsequent_indent=start[: width // 2] + INDENT,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        yield from (f"{before}{row}{after}" for row in rows)


def _columns(stream: TextIO | None) -> int | None:
    if stream is None or not stream.isatty():
        return None
    from emu.observe.fit import terminal

    width = terminal(stream.fileno())()
    return width if width >= LEAST else None
