"""What may stand where the cursor is: commands, events and their fields, processes."""

from __future__ import annotations

import re
from typing import Final

from emu.observe.fields import fieldnames
from emu.observe.filter import KINDS
from emu.observe.read import RENAMED
from emu.prompt.commands import Debugger
from kernel.base.event import Event, words

DELIMITERS: Final = " \t,:=|"
EXPRESSIONS: Final = frozenset({"until", "back", "goto", "select"})
PIDS: Final = frozenset({"segs", "stack", "regs", "why", "pte", "disasm"})
FIELD: Final = re.compile(r"(\w+)!?=(?:[^\s,=]*\|)?$")


def candidates(debugger: Debugger, before: str, word: str) -> list[str]:
    """What begins with ``word`` and may stand behind ``before``, the line so far without it."""
    return sorted(c for c in _all(debugger, before) if c.startswith(word))


def _all(debugger: Debugger, before: str) -> list[str]:
    told = before.split()
    if not told:
        return [f"{name} " for name in debugger.commands]
    if told[0] == "help":
        return list(debugger.commands)
    if told[0] in PIDS:
        return [str(pid) for pid in debugger.place.history.model.places.now]
    if told[0] not in EXPRESSIONS:
        return []
    kind = next((k for k in re.findall(r"\w+", before)[::-1] if k in KINDS), None)
    if kind is None or before.rstrip().endswith(",!"):
        return [*KINDS, "%all"]
    cls = next(cls for cls in Event.__subclasses__() if cls.kind == kind)
    field = FIELD.search(before)
    if field is not None:
        names = {RENAMED.get(name, name): values for name, values in words(cls).items()}
        return list(names.get(field[1], ()))
    return [f"{name}=" for name in fieldnames(kind)]
