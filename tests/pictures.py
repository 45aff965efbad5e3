"""``python -m tests.pictures``: pictures of a terminal, and of a curve, in docs/pictures, from real runs.

Nothing in them is loaded from elsewhere: rich's own frame asks for a font, which is taken out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import termios
from collections.abc import Mapping
from contextlib import suppress
from html import unescape
from io import StringIO
from pathlib import Path
from typing import Final

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

DIR: Final = Path(__file__).parent.parent / "docs" / "pictures"
# name, and the words after p9emu
PICTURES: Final[Mapping[str, tuple[str, ...]]] = {
    "trace": ("trace", "-e", "fault,proc", "cow", "1"),
    "fork": ("trace", "-e", "fault:segment=bss", "-e", "proc", "cow", "2"),
    "race": ("explore", "--cpus", "2", "--minimize-for", "300", "-o", "/dev/null", "mhead"),
}
COLUMNS: Final = 100
# What is shown of what is printed, if not all: figures of the host are left out
SHOWN: Final[Mapping[str, str]] = {"race": r"panic.*?(?=\n\(at the end|\n +\(at the end|\n\nagain)"}
# by the command itself
CURVES: Final[Mapping[str, tuple[str, ...]]] = {"mrc": ("mrc", "--runs", "9", "agewalk")}
FONT: Final = re.compile(r"@font-face \{\{.*?\n    \}\}\n", flags=re.DOTALL)
FRAME: Final = FONT.sub("", CONSOLE_SVG_FORMAT).replace("Fira Code", "monospace")


def output(name: str, color: str) -> str:
    """What p9emu prints on a terminal."""
    verb, *rest = PICTURES[name]
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (50, COLUMNS))
    env = {**os.environ, "TERM": "xterm", "COLUMNS": str(COLUMNS)}
    command = [sys.executable, "-m", "emu", verb, "--color", color, *rest]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL, env=env) as process:
        os.close(theirs)
        data = bytearray()
        with suppress(OSError):  # the other end is closed
            while part := os.read(ours, 1 << 16):
                data += part
        os.close(ours)
    assert process.returncode in (0, 1), data
    text = data.decode().replace("\r\n", "\n")
    shown = re.search(SHOWN[name], text, flags=re.DOTALL) if name in SHOWN else None
    return shown[0] if shown else text


def typed(name: str) -> str:
    """The command."""
    return re.sub(r" (?:-o /dev/null|--minimize-for 300)", "", " ".join(("p9emu", *PICTURES[name])))


def draw(name: str) -> str:
    """The picture, as SVG."""
    text = Text.from_ansi(f"$ {typed(name)}\n{output(name, 'always')}".rstrip("\n"))
    width = max(map(len, text.plain.split("\n")))
    console = Console(record=True, file=StringIO(), width=width, color_system="truecolor")
    console.print(text, soft_wrap=True)
    svg = console.export_svg(title="", code_format=FRAME, unique_id="p9emu")
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def words(svg: str) -> list[str]:
    """The words that a picture shows, in order."""
    return " ".join(unescape(t) for t in re.findall(r"<text [^>]*>([^<]*)</text>", svg)).split()


if __name__ == "__main__":
    for name in PICTURES:
        (DIR / f"{name}.svg").write_text(draw(name))
    for name, (verb, *rest) in CURVES.items():
        subprocess.run([sys.executable, "-m", "emu", verb, "-o", str(DIR / f"{name}.svg"), *rest], check=True)
