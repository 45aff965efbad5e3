"""``python -m tests.pictures``: pictures of a terminal, and of a curve, in docs/pictures, from real runs.

Nothing in them is loaded from elsewhere: rich's own frame asks for a font, which is taken out.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from html import unescape
from io import StringIO
from pathlib import Path
from typing import Final

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

DIR: Final = Path(__file__).parent.parent / "docs" / "pictures"
# name, and the words after p9emu
PICTURES: Final[Mapping[str, tuple[str, ...]]] = {"trace": ("trace", "-e", "fault,proc", "cow", "1")}
# by the command itself
CURVES: Final[Mapping[str, tuple[str, ...]]] = {"mrc": ("mrc", "--runs", "9", "agewalk")}
FONT: Final = re.compile(r"@font-face \{\{.*?\n    \}\}\n", flags=re.DOTALL)
FRAME: Final = FONT.sub("", CONSOLE_SVG_FORMAT).replace("Fira Code", "monospace")


def output(words: tuple[str, ...], color: str) -> str:
    """What p9emu prints on a terminal."""
    command = [sys.executable, "-m", "emu", words[0], "--color", color, *words[1:]]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


def draw(words: tuple[str, ...]) -> str:
    """The picture, as SVG."""
    text = Text.from_ansi(f"$ p9emu {' '.join(words)}\n{output(words, 'always')}".rstrip("\n"))
    width = max(map(len, text.plain.split("\n")))
    console = Console(record=True, file=StringIO(), width=width, color_system="truecolor")
    console.print(text, soft_wrap=True)
    svg = console.export_svg(title="", code_format=FRAME, unique_id="p9emu")
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def words(svg: str) -> list[str]:
    """The words that a picture shows, in order."""
    return " ".join(unescape(t) for t in re.findall(r"<text [^>]*>([^<]*)</text>", svg)).split()


if __name__ == "__main__":
    for name, command in PICTURES.items():
        (DIR / f"{name}.svg").write_text(draw(command))
    for name, (verb, *rest) in CURVES.items():
        subprocess.run([sys.executable, "-m", "emu", verb, "-o", str(DIR / f"{name}.svg"), *rest], check=True)
