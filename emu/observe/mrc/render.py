"""A miss-ratio curve for a terminal: a table, and a plot in letters."""

from __future__ import annotations

import io
from typing import Final

from emu.observe.mrc.curve import Curve, Point, distance
from emu.plain import plain

WIDTH: Final = 80
MARKS: Final = (("o", "optimum"), ("L", "lru"), ("c", "clock"), ("R", "run"))
NAMES: Final = {"optimum": "optimum", "lru": "LRU", "clock": "clock", "run": "real run"}


def text(curve: Curve, color: bool = False, width: int = WIDTH) -> str:
    """Lines for a person."""
    from rich.console import Console
    from rich.table import Table

    out = io.StringIO()
    console = Console(
        file=out,
        width=max(width, WIDTH),
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,
        highlight=False,
        markup=False,
        legacy_windows=False,
    )
    console.print(
        f"{plain(' '.join(curve.program))}: {curve.references} references to {curve.pages} pages, "
        f"{curve.peak} at once; {curve.tables} frames of page tables",
        soft_wrap=True,
    )
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("memory", "frames", "optimum", "LRU", "x", "clock", "x", "real run", "x", "LRU ratio"):
        table.add_column(name, justify="right", no_wrap=True)
    for p in curve.points:
        table.add_row(size(p.memory), str(p.frames), str(p.optimum), *_over(p, "lru"), *_over(p, "clock"), *_run(p),
                      f"{curve.ratio(p.lru):.6f}")  # fmt: skip
    console.print(table)
    for p in curve.points:
        if p.run is not None and p.run.failure:
            console.print(f"{size(p.memory)}: {plain(p.run.failure)}: no point of the curve", soft_wrap=True)
    console.print(_works(curve), soft_wrap=True)
    console.print()
    for line in plot(curve, max(width, WIDTH) - 1):
        console.print(line, soft_wrap=True)
    return "".join(line.rstrip() + "\n" for line in out.getvalue().splitlines())


def size(memory: int) -> str:
    """Bytes as they are typed; "-" for a machine that there is not."""
    if not memory:
        return "-"
    return f"{memory >> 20}M" if memory % (1 << 20) == 0 else f"{memory >> 10}K"


def _works(curve: Curve) -> str:
    if curve.smallest is None:
        return "no real run worked" if any(p.run for p in curve.points) else "there was no real run"
    return f"the least memory of a real run that worked: {size(curve.smallest)}"


def _over(p: Point, name: str) -> tuple[str, str]:
    misses = getattr(p, name)
    return str(misses), f"{distance(misses, p.optimum):.2f}"


def _run(p: Point) -> tuple[str, str]:
    if p.run is None:
        return "", ""
    if p.run.failure:
        return "killed" if "killed" in p.run.failure else "failed", ""
    return str(p.run.misses), f"{distance(p.run.misses, p.optimum):.2f}"


def plot(curve: Curve, width: int) -> list[str]:
    """A line for each size of memory, the fewest misses on the left, and what the letters mean."""
    marks = [(letter, name) for letter, name in MARKS if name != "run" or any(_misses(p, "run") for p in curve.points)]
    label = [size(p.memory) if p.memory else str(p.frames) for p in curve.points]
    margin = max(map(len, [*label, "frames"]))
    room = max(width - margin - 3, 10)
    most = max((n for p in curve.points for _, name in marks if (n := _misses(p, name)) is not None), default=1)
    lines = []
    for p, name in zip(curve.points, label, strict=True):
        row = [" "] * (room + 1)
        for letter, series in reversed(marks):  # the optimum is on top
            misses = _misses(p, series)
            if misses is not None:
                row[misses * room // max(most, 1)] = letter
        lines.append(f"{name:>{margin}} |{''.join(row).rstrip()}")
    lines.append(f"{'':>{margin}} +{'-' * room}")
    lines.append(f"{'misses':>{margin}}  0{most:>{room}}")
    legend = ", ".join(f"{letter} {NAMES[name]}" for letter, name in marks)
    lines.append(f"{legend}; of those at one place the first is shown")
    return lines


def _misses(p: Point, name: str) -> int | None:
    if name != "run":
        misses: int = getattr(p, name)
        return misses
    return p.run.misses if p.run is not None and not p.run.failure else None
