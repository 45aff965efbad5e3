"""go_plan9_386_exec: what `go test` and `go run` look for on PATH to run a plan9/386 binary."""

import os
import shlex
from typing import Any

import click

from emu.cli.front import Front
from emu.cli.gorun import MODES, SHOWN, gorun
from emu.cli.options import machine_options
from emu.cli.settings import Options
from emu.failure import USAGE, Failure


class GoExec(Front):
    """The command: its options come from P9EMU_OPTS, as go passes only the program and its arguments."""

    program = "go_plan9_386_exec"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the words of P9EMU_OPTS before args."""
        text = os.environ.get("P9EMU_OPTS", "")
        try:
            words = shlex.split(text)
        except ValueError as e:
            raise Failure(f"P9EMU_OPTS: {str(e).lower()}", USAGE) from None
        return super().parse_args(ctx, [*words, *args])


def _show(_ctx: click.Context, _param: click.Parameter, text: str) -> frozenset[str]:
    names = frozenset(filter(None, text.split(",")))
    unknown = sorted(names - {*SHOWN, *MODES, "none"})
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join((*SHOWN, *MODES[1:]))}, none.")
    if len(names & {"module", *MODES}) > 1:
        raise click.BadParameter("module is there twice.")
    return names


@click.command(cls=GoExec, context_settings={"allow_interspersed_args": False, "help_option_names": ["-h", "--help"]})
@machine_options(memory="3G", notefp=True)
@click.option(
    "--show",
    callback=_show,
    default=",".join(SHOWN),
    show_default=True,
    metavar="LIST",
    help="What the guest may see of the host: module (as with :cow; module:rw and module:ro are other ways), goroot "
    "(read-only), env, tmp (a new directory, writable, and one as home); none shows only the current directory, "
    "read-only.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    metavar="N",
    help="Run the program N times, with --sched random and the seeds from --seed on, until one fails.",
)
@click.argument("program")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def go_exec(program: str, args: tuple[str, ...], show: frozenset[str], seeds: int | None, **common: Any) -> int:
    """Run PROGRAM, a Plan 9 386 binary that the go command has built.

    The go command finds this one by its name. Options are taken from the environment variable P9EMU_OPTS; they are
    those of `p9emu run`, --show and --seeds. Without any, `go test` of several packages has one process fork for each
    run after the first; P9EMU_GO_SERVER=off does without.

    \b
    Example:
      P9EMU_OPTS='--cpus 2' GOOS=plan9 GOARCH=386 go test ./...
    """
    options = Options(**common)
    if seeds is not None:
        from emu.cli.goseeds import seeds as sweep

        one = sweep(options, seeds)
        if isinstance(one, int):
            return one
        options = one
    return gorun(options, program, args, show)
