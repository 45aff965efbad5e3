"""What a journal's results are made of. Each function gives back what it is given; ValueError if it is not that.

Apart from the journal, which most runs do without.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Value = Any
T = TypeVar("T")


def nothing(v: Value) -> None:
    """Nothing is told but that it was done."""
    if v is not None:
        raise ValueError


def number(v: Value) -> int:
    """A number."""
    if type(v) is not int:
        raise ValueError
    return v


def truth(v: Value) -> bool:
    """Yes or no."""
    if type(v) is not bool:
        raise ValueError
    return v


def text(v: Value) -> str:
    """A string."""
    if not isinstance(v, str):
        raise ValueError
    return v


def data(v: Value) -> bytes:
    """Bytes."""
    if not isinstance(v, bytes):
        raise ValueError
    return v


def numbers(v: Value) -> list[int]:
    """A list of numbers, none empty."""
    if not v:
        raise ValueError
    return [number(x) for x in v]


def truths(v: Value) -> list[bool]:
    """Two answers."""
    a, b = v
    return [truth(a), truth(b)]


def blobs(v: Value) -> list[bytes]:
    """A list of bytes."""
    if not isinstance(v, list | tuple):
        raise ValueError
    return [data(x) for x in v]


def orelse(check: Callable[[Value], T]) -> Callable[[Value], T | None]:
    """The same, or None."""
    return lambda v: None if v is None else check(v)
