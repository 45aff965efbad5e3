"""The kernel's variants: later fixes of 9front that can be applied, and cures of ours that can be taken back.

A switch is a field of :class:`Variant`, off unless told. Its name is ``fix_COMMIT``, or ``original_NAME``; the row
beside it says what it is. A test of it stands where the original does otherwise, on a path that is seldom gone, or
where a function is chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

KINDS = {
    "R": "race or order",
    "D": "deadlock, livelock, starvation",
    "S": "single-threaded logic",
    "F": "double fetch of user memory",
    "L": "leak or lifetime",
}


@dataclass(frozen=True)
class Row:
    """One switch: the commit or the name, the day of the commit or the erratum's number, the C files, what is wrong
    without it (a fix) or with it (a cure taken back). ``kind`` has letters of KINDS.
    """

    name: str
    when: str
    file: str
    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.name:<10} {self.when:<10} {self.kind:<3} {self.file}: {self.what}"


def _switch(when: str, file: str, kind: str, what: str) -> Any:
    return field(default=False, metadata={"row": (when, file, kind, what)})


@dataclass
class Variant:
    """Which kernel of several this one is. Set before its first process is made, and left alone from then on."""

    fix_3af236b5e: bool = _switch(
        "2015-08-09",
        "chan.c, pgrp.c",
        "R",
        "cunmount closes the channel mounted upon under a walk that has found the mount head; files are closed with "
        "name spaces locked",
    )
    original_putpage: bool = _switch(
        "erratum 23", "page.c", "R", "putpage looks at the page's image before it drops the reference"
    )


def _rows(prefix: str) -> dict[str, Row]:
    return {
        name: Row(name, *f.metadata["row"])
        for f in fields(Variant)
        if f.name.startswith(prefix) and (name := f.name.removeprefix(prefix))
    }


def fixes() -> dict[str, Row]:
    """The fixes, by commit as 9front's log abbreviates it."""
    return _rows("fix_")


def originals() -> dict[str, Row]:
    """The cures that can be taken back, by name."""
    return _rows("original_")


def fixnames(text: str) -> tuple[str, ...]:
    """The commits that a comma list names, each once; more digits of a commit are as good. Raises ValueError."""
    return _names(text, fixes(), lambda word, row: len(word) <= 40 and word.startswith(row.name), "fixes")


def originalnames(text: str) -> tuple[str, ...]:
    """The cures that a comma list names, each once, by name or erratum. Raises ValueError."""
    return _names(text, originals(), lambda word, row: row.when == f"erratum {word}", "cures")


def _names(text: str, rows: dict[str, Row], means: Any, what: str) -> tuple[str, ...]:
    if text == "all":
        return tuple(rows)
    found = []
    for word in text.split(",") if text else ():
        name = next((r.name for r in rows.values() if word == r.name or means(word, r)), None)
        if name is None:
            raise ValueError(f"{word!r} is none of the {what} that are known: {', '.join(rows)}, or all")
        found.append(name)
    return tuple(name for name in rows if name in found)


def variant(original: Iterable[str] = (), fix: Iterable[str] = ()) -> Variant:
    """The kernel with these cures taken back and these fixes applied, by their names in full. Raises TypeError."""
    return Variant(**{f"original_{n}": True for n in original}, **{f"fix_{n}": True for n in fix})
