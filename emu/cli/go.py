"""go_plan9_386_exec: what `go test` and `go run` look for on PATH to run a plan9/386 binary.

The guest's name space has what the program would see had it been started on the host: the package's module, the Go
root and the current directory at their own paths, and /tmp, a directory of its own that is removed at the end.
"""

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final, NoReturn

import click

from emu.cli.front import Front
from emu.cli.options import machine_options
from emu.cli.types import Options, Shown
from emu.failure import BROKEN, USAGE, Failure

SHOWN: Final = ("module", "goroot", "env", "tmp")


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
    unknown = sorted(names - {*SHOWN, "none"})
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(SHOWN)}, none.")
    return names


@click.command(cls=GoExec, context_settings={"allow_interspersed_args": False, "help_option_names": ["-h", "--help"]})
@machine_options(memory="3G", notefp=True)
@click.option(
    "--show",
    callback=_show,
    default=",".join(SHOWN),
    show_default=True,
    metavar="LIST",
    help="What the guest may see of the host: module, goroot (both read-only), env, tmp (a new directory, "
    "writable); none shows only the current directory, read-only.",
)
@click.argument("program")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def go_exec(program: str, args: tuple[str, ...], show: frozenset[str], **common: Any) -> int:
    """Run PROGRAM, a Plan 9 386 binary that the go command has built.

    The go command finds this one by its name. Options are taken from the environment variable P9EMU_OPTS; they are
    those of `p9emu run`, and --show.

    \b
    Example:
      P9EMU_OPTS='--cpus 2' GOOS=plan9 GOARCH=386 go test ./...
    """
    from emu.cli.run import run

    options = Options(**common)
    cwd = os.getcwd()
    env = dict(goenv(os.environ.items())) if "env" in show else {}
    env.update(options.env)
    options = replace(options, env=tuple(env.items()), cwd=cwd if options.cwd == "/" else options.cwd)
    shown = _directories(cwd, show)
    if "tmp" not in show:
        return run(replace(options, binds=(*_binds(shown), *options.binds)), program, args)
    with _temporary() as tmp:
        # What lies in the host's /tmp is mounted in the guest's, which must have a directory for it.
        for d in (*shown, *(guest for _, guest, *_ in options.binds)):
            if d.startswith("/tmp/"):
                os.makedirs(os.path.join(tmp, d[len("/tmp/") :]), exist_ok=True)
        binds = ((tmp, "/tmp", True, False), *_binds(shown), *options.binds)
        return run(replace(options, binds=binds), program, args)


def _temporary() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="p9emu-")
    except OSError as e:
        raise Failure(f"temporary directory: {e.strerror}", BROKEN) from None


def goenv(env: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """The variables that can be files of /env."""
    return ((name, value) for name, value in env if name and "/" not in name and name not in (".", ".."))


def _binds(shown: Iterable[str]) -> tuple[Shown, ...]:
    return tuple((d, d, False, False) for d in shown)


def _directories(cwd: str, show: frozenset[str]) -> list[str]:
    """The directories to show, none of them within another."""
    found = [cwd]
    if "module" in show:
        found.append(moduleroot(cwd))
    if "goroot" in show:
        found += [os.path.realpath(d) for d in (goroot(),) if d]
    out: list[str] = []
    for d in sorted(set(found)):
        if d != "/" and not any(d.startswith(o + "/") for o in out):
            out.append(d)
    return out


def moduleroot(cwd: str) -> str:
    """The nearest directory from cwd upwards that holds a go.mod; cwd if none does."""
    d = cwd
    while not os.path.isfile(os.path.join(d, "go.mod")):
        up = os.path.dirname(d)
        if up == d:
            return cwd
        d = up
    return d


def goroot() -> str | None:
    """The Go root: GOROOT, which go test sets, else what the go command says."""
    root = os.environ.get("GOROOT")
    if not root and shutil.which("go"):
        import subprocess  # takes longer than all else here; go test sets GOROOT

        try:
            root = subprocess.run(["go", "env", "GOROOT"], capture_output=True, text=True, timeout=10).stdout.strip()
        except (OSError, subprocess.TimeoutExpired):
            root = None
    return root if root and os.path.isdir(root) else None


def main() -> NoReturn:
    """The console script."""
    go_exec.main(sys.argv[1:])
