"""A miss-ratio curve as a picture, PNG or SVG. Matplotlib is an extra: nothing else of p9emu needs it."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final

from emu.observe.mrc.curve import Curve
from emu.plain import plain

SIZE: Final = (6.4, 4.0)  # inches
# As emu/bench/plot.py: equal figures make equal files.
STYLE: Final[dict[Any, Any]] = {"svg.fonttype": "none", "svg.hashsalt": "p9emu", "font.size": 9, "path.simplify": False}
LINES: Final = (("optimum", "optimum (MIN)", "s-"), ("lru", "LRU", "o-"), ("clock", "clock", "^--"))


def possible() -> bool:
    """Whether there is a matplotlib."""
    return find_spec("matplotlib") is not None


def draw(curve: Curve, format: str) -> bytes:
    """The picture as a file of that format, "png" or "svg"."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.add_subplot()
        machines = all(p.memory for p in curve.points)
        xs = [p.memory / (1 << 20) if machines else p.frames for p in curve.points]
        for name, label, style in LINES:
            ys = [curve.ratio(getattr(p, name)) for p in curve.points]
            axes.plot(xs, ys, style, markersize=4, linewidth=1, label=label, alpha=0.8)
        ran = [(x, p.run) for x, p in zip(xs, curve.points, strict=True) if p.run is not None]
        if any(not run.failure for _, run in ran):
            places = [x for x, run in ran if not run.failure]
            ratios = [curve.ratio(run.misses) for _, run in ran if not run.failure]
            axes.plot(places, ratios, "kx", markersize=7, label="real run")
        for x, run in ran:
            if run.failure:
                axes.axvline(x, color="0.6", linestyle=":", linewidth=1)
                axes.annotate(
                    "killed" if "killed" in run.failure else "failed", (x, 0.5), xycoords=("data", "axes fraction"),
                    rotation=90, va="center", ha="right", color="0.4",
                )  # fmt: skip
        axes.set_xticks(xs, labels=[f"{x:g}" for x in xs])
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.set_xlabel("memory of the machine, MB" if machines else "frames for pages of programs")
        axes.set_ylabel("misses per reference")
        axes.set_title(plain(" ".join(curve.program)).replace("$", r"\$"), fontsize=10)
        counts = axes.secondary_yaxis("right", functions=_scale(max(curve.references, 1)))
        counts.set_ylabel("misses")
        axes.legend(frameon=False)
        out = io.BytesIO()
        none = {"Date": None, "Creator": None} if format == "svg" else {"Software": None}
        figure.savefig(out, format=format, dpi=150, metadata=none)
    return out.getvalue()


def _scale(references: int) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """From ratios to counts, and back."""
    return lambda ratio: ratio * references, lambda misses: misses / references
