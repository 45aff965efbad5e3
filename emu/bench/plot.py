"""Pictures of curves, as SVG files. Matplotlib is an extra: nothing else of p9emu needs it."""

import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import groupby
from typing import Any, Final

from emu.bench.curves import US, Curve
from emu.failure import Failure

MISSING: Final = "--plot needs matplotlib: install p9emu[plots]"
SIZE: Final = (5.6, 3.2)  # inches
# Words stay words; names within the file come from its contents and not from chance.
STYLE: Final[dict[Any, Any]] = {"svg.fonttype": "none", "svg.hashsalt": "p9emu", "font.size": 9, "path.simplify": False}


def require() -> None:
    """Raise Failure if there is no matplotlib."""
    if find_spec("matplotlib") is None:
        raise Failure(MISSING, 1)


def draw(curves: Sequence[Curve], directory: str) -> list[str]:
    """Write a file for each picture; their names. Equal figures make equal files. Raises Failure, OSError."""
    require()
    return [_picture(name, same, directory) for name, same in pictures(curves)]


def pictures(curves: Sequence[Curve]) -> Iterator[tuple[str, list[Curve]]]:
    """The curves of each picture."""
    for name, group in groupby(curves, lambda c: c.picture):
        yield name, list(group)


def _picture(name: str, curves: Sequence[Curve], directory: str) -> str:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    first = curves[0]
    with rc_context(STYLE):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.add_subplot()
        for c in curves:
            xs = [p.x for p in c.points]
            if c.unit == US:
                ys = [p.ratio for p in c.points]
                below = [p.ratio - p.lowest for p in c.points]
                above = [p.highest - p.ratio for p in c.points]
                label = f"{c.series}, 1 is {c.points[0].y:.2f} us"
                axes.errorbar(xs, ys, yerr=[below, above], fmt="o-", markersize=3, capsize=2, linewidth=1, label=label)
            else:
                axes.plot(xs, [p.y for p in c.points], "o-", markersize=3, linewidth=1, label=c.series)
        xs = [p.x for p in first.points]
        axes.set_xscale("log")
        axes.set_xticks(xs, labels=[f"{x:,}" for x in xs])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.set_xlabel(first.x)
        axes.set_ylabel("cost to that of the first" if first.unit == US else first.unit)
        axes.legend(frameon=False, loc="lower right" if first.unit == US else "upper left")
        path = os.path.join(directory, f"{name}.svg")
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    return path
