"""Measurements by turns: medians, and the ratios of the rounds with their spread."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Rival:
    """One other's cost, and p9emu's as a multiple of it: median, lowest and highest of the rounds."""

    us: float
    ratio: float
    lowest: float
    highest: float


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """How many times theirs ours is, round by round: the median, the lowest and the highest."""
    found = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    return median(found), found[0], found[-1]


def pairs(
    ours: Callable[[], float], theirs: Callable[[], float], rounds: int
) -> tuple[float, float, float, float, float]:
    """Both by turns: the median of each, and the three figures of their ratio."""
    both = [(ours(), theirs()) for _ in range(rounds)]
    a, b = [x for x, _ in both], [y for _, y in both]
    return median(a), median(b), *ratios(a, b)
