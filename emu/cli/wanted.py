"""Which events a command is asked for."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from emu.observe.filter import Filter


def wanted(exprs: Sequence[str], processes: Sequence[str], paths: Sequence[str], folded: bool) -> "Filter":
    """What -e, -p and -P select; stacks are counted of faults alone, below the names of their processes."""
    from emu.observe.filter import FilterError, select

    try:
        if folded:
            some = select(exprs, processes)
            if "fault" not in some.kinds or paths:
                raise FilterError("call stacks are counted of faults", "--format")
            return replace(some, kinds=frozenset({"fault", "proc"}), test=_withnames(some))
        return select(exprs, processes, paths)
    except FilterError as e:
        raise click.BadParameter(str(e), param_hint=f"'{e.option}'") from None


def _withnames(some: "Filter") -> Callable[[Any], bool]:
    def test(ev: Any) -> bool:
        hit = some(ev)
        return ev.kind == "proc" or (hit and ev.kind == "fault")

    return test
