"""What a command is asked for: which events, and of a run or of a trace."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from emu.cli.replay import Replay
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


def oneof(source: str | None, program: str | None) -> None:
    """Raise UsageError unless there is a program, or something else that is looked at."""
    if source is None and program is None:
        raise click.UsageError("Missing argument 'PROGRAM'.")
    if source is not None and program is not None:
        raise click.UsageError("--from and PROGRAM exclude each other")


def onlyfrom(ctx: click.Context, source: str | None, program: str | None, options: Sequence[str]) -> None:
    """Raise UsageError unless there is a program, or a trace and nothing that would be for a program alone."""
    oneof(source, program)
    for name in options if source is not None else ():
        if name != "color" and ctx.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"--from runs nothing: {shown(ctx, name)} would have no effect")


LOOKS = ("color", "stats", "verbose")  # options for who looks at a run


def recording(ctx: click.Context, source: str, common: dict[str, Any]) -> "Replay":
    """The recording that --from names, to be run; nothing else is said of how. Raises UsageError, Failure."""
    from emu.cli.replay import Replay

    for name in common:
        if name not in LOOKS and ctx.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"--from is the run as it was: {shown(ctx, name)} would have no effect")
    return Replay(source, **{name: common[name] for name in LOOKS})


def shown(ctx: click.Context, name: str) -> str:
    """What an option is called on the command line."""
    return next(p.opts[-1] for p in ctx.command.params if p.name == name)
