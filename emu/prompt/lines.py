"""What words of a line mean: numbers, addresses, times, events. What is wrong is told in a line."""

from __future__ import annotations

import re
from typing import Final

from emu.observe.filter import Filter, FilterError, select

SPACED: Final = re.compile(r"^\s*(!?\w+)\s+(?=\w+\s*!?=)")
MOST: Final = 10**9  # that a count may be
NUMBERED: Final = "a number of events, from 1 on"
SECONDS: Final = re.compile(r"(\d{1,9})?(?:\.(\d{1,9})\d*)?(s?)")


class Wrong(Exception):
    """A line is not what a command takes. str() says why, in a line."""


def number(text: str, what: str = "a number", least: int = 0) -> int:
    """A count. Raises Wrong."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and least <= int(text) <= MOST):
        raise Wrong(f"{text!r} is not {what}")
    return int(text)


def address(text: str) -> int:
    """An address, as 0x3004. Raises Wrong."""
    try:
        value = int(text, 0)
    except ValueError:
        raise Wrong(f"{text!r} is not an address, as 0x3004") from None
    if not 0 <= value <= 0xFFFFFFFF:
        raise Wrong(f"{text} is not an address of 32 bits")
    return value


def seconds(text: str) -> int | None:
    """A time in nanoseconds, of seconds as 0.0123; None if it is none."""
    m = SECONDS.fullmatch(text)
    if m is None or (m[1] is None and m[2] is None):
        return None
    return int(m[1] or 0) * 1_000_000_000 + int((m[2] or "").ljust(9, "0"))


def events(text: str) -> Filter:
    """Which events an expression chooses, as of ``trace -e``; a space will do for the colon. Raises Wrong."""
    try:
        return select([SPACED.sub(r"\1:", text)])
    except FilterError as e:
        raise Wrong(str(e)) from None


def counted(words: list[str]) -> tuple[list[str], int]:
    """Words, and the count that may stand behind them."""
    if len(words) > 1 and words[-1].isascii() and words[-1].isdigit():
        return words[:-1], number(words[-1], NUMBERED, 1)
    return words, 1
