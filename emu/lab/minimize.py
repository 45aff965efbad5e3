"""The fewest decisions of a schedule that still come to the same failure.

Delta debugging: Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", TSE 28 (2002).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from kernel.sched.explore import HOLD, PAUSE, SCHED, Decision

T = TypeVar("T")

Fails = Callable[[Sequence[Decision]], bool]
SINGLES: Final = 200  # decisions that are tried alone, the last first


def ddmin(
    items: Sequence[T], fails: Callable[[Sequence[T]], bool], over: Callable[[], bool] = lambda: False
) -> list[T]:
    """A part of items that fails, none of which can be left out alone; items themselves do fail.

    When it is over, what there is by then.
    """
    best = list(items)
    n = 2
    while best and not over():
        if len(best) == 1:
            return [] if fails([]) else best
        size = -(-len(best) // n)
        chunks = [best[i : i + size] for i in range(0, len(best), size)]
        for i, chunk in enumerate(chunks):
            if over():
                return best
            rest = [x for j, c in enumerate(chunks) if j != i for x in c]
            if len(chunks) > 2 and fails(chunk):
                best, n = chunk, 2
                break
            if fails(rest):
                best, n = rest, max(n - 1, 2)
                break
        else:
            if size == 1:
                return best
            n = min(2 * n, len(best))
    return best


def minimize(
    decisions: Sequence[Decision], fails: Fails, over: Callable[[], bool], late: Callable[[], bool] = lambda: False
) -> list[Decision]:
    """Few decisions that fail likewise: a process held here and there, if that will do, and no choice besides.

    When it is late, no more single ones are tried.
    """
    if fails([]):
        return []
    holds = [d._replace(do=HOLD) for d in decisions if d.do in (PAUSE, SCHED, HOLD)]
    for d in holds[::-1][:SINGLES]:
        if late():
            break
        if fails([d]):
            return [d]
    if holds and fails(holds):
        return ddmin(holds, fails, over)
    best = ddmin(decisions, fails, over)
    for i, d in enumerate(best):  # a choice of processors may be none any more
        if d.do in (PAUSE, SCHED) and not over():
            held = [*best[:i], d._replace(do=HOLD), *best[i + 1 :]]
            if fails(held):
                best = held
    return ddmin(best, fails, over)
