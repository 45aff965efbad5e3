"""Which panics docs/errata.md knows: what the original does wrong, and we with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Known:
    """A row of docs/errata.md: its number, how the panic's text begins, and in a few words what it is."""

    erratum: str
    pattern: str
    what: str


KNOWN: Final = (
    Known("2", "newpage: no progress", "the pager is content, and newpage waits for it"),
    Known("9", "newpage: no progress", "the pager finds nothing to page out while swap is free"),
    Known("4", "relocateseg", "relocateseg takes a swap entry for a page"),
    Known("14a", "decref$", "putpage of a cached page that nobody has"),
    Known("27", "no environment", "descriptors are closed after the environment is given up"),
    Known("29", "executeio: page outp I/O error", "a page that cannot be written to swap"),
    Known("6", "executeio: page outp I/O error", "a smaller swap device leaves swapalloc.last where it was"),
    Known("38", "cclose <Chan", "cunmount closes Mhead.from under a walk; mended in 9front's 3af236b5e"),
    Known("38", "use after free: chanfree stores Chan", "cunmount closes Mhead.from under a walk, which closes it too"),
)


def known(panic: str) -> list[Known]:
    """The rows that a panic may be, by its text."""
    text = panic.removeprefix("panic: ")
    return [k for k in KNOWN if re.match(k.pattern, text)]


def judgement(panic: str) -> str:
    """One line about that."""
    rows = known(panic)
    if not rows:
        return "not in docs/errata.md"
    return "; or ".join(f"erratum {k.erratum}: {k.what}" for k in rows)
