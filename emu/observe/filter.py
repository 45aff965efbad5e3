"""The -e expression: which kinds of events are wanted."""

from collections.abc import Iterable
from typing import Final

KINDS: Final = (
    "fault", "syscall", "proc", "page", "image", "segment", "note", "tlb", "entry", "mmu", "sched", "boot",
)  # fmt: skip
DEFAULT: Final = frozenset({"fault", "syscall", "proc", "note"})


class FilterError(ValueError):
    """An expression names an event that does not exist, or nothing at all. str() is one line."""


def parse(exprs: Iterable[str]) -> frozenset[str]:
    """The kinds that a sequence of -e expressions selects; DEFAULT if there is none.

    An expression is a comma list of kinds and ``%all``; ``!x`` excludes x, wherever it stands.
    Exclusions without any inclusion are taken from all kinds. Raises FilterError.
    """
    wanted: set[str] = set()
    unwanted: set[str] = set()
    given = False
    positive = False
    for expr in exprs:
        for item in expr.split(","):
            word = item.strip()
            exclude = word.startswith("!")
            kinds = _kinds(word.removeprefix("!").strip())
            given = True
            if exclude:
                unwanted |= kinds
            else:
                positive = True
                wanted |= kinds
    if not given:
        return DEFAULT
    selected = frozenset((wanted if positive else set(KINDS)) - unwanted)
    if not selected:
        raise FilterError("the expression selects no event")
    return selected


def _kinds(word: str) -> set[str]:
    if word == "%all":
        return set(KINDS)
    if word in KINDS:
        return {word}
    raise FilterError(f"unknown event {word!r}; the events are {', '.join(KINDS)} and %all (!x excludes x)")
