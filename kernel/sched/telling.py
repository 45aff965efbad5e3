"""Which of the kernel's lines are for a trace alone: what stands in an ``if`` that asks for the sink.

A run must be the same whether it is traced or not, so what they load is no switch point, and no use of what is freed.
"""

from __future__ import annotations

import ast
import linecache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType

DEPTH: Final = 4  # calls from such a line that are looked through
TRACED: Final = "tracedfault"  # which with a sink calls fault() as it does without, and all else for the trace


class Telling:
    """Looks at sources once."""

    def __init__(self) -> None:
        self._lines: dict[str, frozenset[int]] = {}

    def __call__(self, f: FrameType) -> bool:
        """Whether the function of f is at work for the trace."""
        child = ""
        g: FrameType | None = f
        for _ in range(DEPTH):
            if g is None or not str(g.f_globals.get("__name__", "")).startswith("kernel."):
                return False
            if g.f_lineno in self.lines(g.f_code.co_filename):
                return True
            if g.f_code.co_name == TRACED:
                return child != "fault"
            child = g.f_code.co_name
            g = g.f_back
        return False

    def lines(self, file: str) -> frozenset[int]:
        """The numbers of such lines in a source file."""
        found = self._lines.get(file)
        if found is None:
            found = self._lines[file] = sinklines("".join(linecache.getlines(file)))
        return found


def sinklines(source: str) -> frozenset[int]:
    """The lines of each ``if k.sink is not None`` or ``if KIND in k.kinds``, but not those of its else."""
    found: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.If) and _asks(node.test):
            found.update(range(node.lineno, (node.body[-1].end_lineno or node.lineno) + 1))
    return frozenset(found)


def _asks(test: ast.expr) -> bool:
    if isinstance(test, ast.BoolOp):
        return isinstance(test.op, ast.And) and any(_asks(value) for value in test.values)
    if not isinstance(test, ast.Compare):
        return False
    if isinstance(test.ops[0], ast.In):  # "page" in k.kinds
        return _named(test.comparators[0], "kinds")
    return isinstance(test.ops[0], ast.IsNot) and _named(test.left, "sink")


def _named(e: ast.expr, name: str) -> bool:
    return isinstance(e, ast.Attribute) and e.attr == name
