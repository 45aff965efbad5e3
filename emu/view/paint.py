"""Painted text, whatever it is shown on: lines of spans, each with its colours.

The colours are those of Okabe and Ito, which all eyes can tell apart; nothing is told by a colour alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple


class Paint(NamedTuple):
    """How text looks. Colours are "#rrggbb", "" for the terminal's own."""

    ink: str = ""
    ground: str = ""
    bold: bool = False
    dim: bool = False
    reverse: bool = False
    underline: bool = False


Span = tuple[str, Paint]
Line = list[Span]

ORANGE, SKY, GREEN, YELLOW = "#e69f00", "#56b4e9", "#009e73", "#f0e442"
BLUE, VERMILION, PURPLE, BLACK, WHITE = "#0072b2", "#d55e00", "#cc79a7", "#000000", "#ffffff"
OWNERS: Final = (SKY, ORANGE, GREEN, YELLOW, PURPLE, VERMILION, BLUE)

PLAIN: Final = Paint()
DIM: Final = Paint(dim=True)
BOLD: Final = Paint(bold=True)
TITLE: Final = Paint(bold=True, reverse=True)
HEAD: Final = Paint(bold=True, underline=True)
KERNEL: Final = Paint(WHITE, "#4a4a4a")
CACHED: Final = Paint(BLACK, "#cfcfcf")
SWAP: Final = Paint(BLACK, VERMILION)
HERE: Final = Paint(reverse=True)

CLASSES: Final = {
    "zero-fill": GREEN, "text-load": SKY, "data-load": BLUE, "cache-hit": YELLOW, "cow-copy": ORANGE,
    "cow-reuse": PURPLE, "remap": "", "swap-in": VERMILION, "protection": "", "unmapped": "",
}  # fmt: skip
"""The ink of a class of faults."""


def on(ground: str) -> Paint:
    """The ink that is easiest to read on a colour."""
    r, g, b = (int(ground[i : i + 2], 16) for i in (1, 3, 5))
    return Paint(BLACK if 0.299 * r + 0.587 * g + 0.114 * b > 115 else WHITE, ground)


def text(line: Iterable[Span]) -> str:
    """What a line says."""
    return "".join(t for t, _ in line)


def fit(line: Line, width: int) -> Line:
    """The line cut off or filled up with blanks to a width."""
    out: Line = []
    left = width
    for t, p in line:
        if left <= 0:
            break
        out.append((t[:left], p))
        left -= len(t)
    if left > 0:
        out.append((" " * left, PLAIN))
    return out


def wrap(words: str, width: int, paint: Paint = PLAIN) -> list[Line]:
    """Words as lines of that width; a word that is longer is cut."""
    import textwrap

    return [[(row, paint)] for row in textwrap.wrap(words, max(width, 1))]
