"""The command line's manners: every failure is one line on standard error and an exit status."""

import atexit
import gc
import os
import sys
import threading
from collections import UserDict
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from emu.cli.headings import headed, sections
from emu.failure import BROKEN, INTERRUPTED, PIPE, USAGE, Failure
from emu.plain import plain

GCTHRESHOLD = 100_000  # objects between two looks for cyclic garbage, of which there is little


class Headed(click.Command):
    """A command whose options are listed under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under their headings."""
        for heading, params in headed([p for p in self.get_params(ctx) if isinstance(p, click.Option)]).items():
            rows = [row for p in params if (row := p.get_help_record(ctx)) is not None]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


class Front(Headed):
    """A command whose main never shows a traceback and always exits."""

    program = "p9emu"

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run the command and exit with its status (an int that it returns, 0 otherwise)."""
        extra["standalone_mode"] = False
        _streams()
        gc.set_threshold(GCTHRESHOLD)
        gc.enable()
        try:
            result = super().main(args=args, prog_name=prog_name or self.program, **extra)
            status = result if isinstance(result, int) else 0
        except Failure as e:
            status = e.status
            _tell(str(e), e.more)
        except click.ClickException as e:
            status = USAGE
            _tell(_usage(e))
        except click.Abort:
            status = INTERRUPTED
            _tell("interrupted")
        except OSError as e:
            status = BROKEN
            _tell(f"{plain(os.fsdecode(e.filename))}: {e.strerror}" if e.filename else f"{e.strerror or e}")
        except MemoryError:
            status = BROKEN
            _tell("the host has no memory left")
        except Exception as e:  # noqa: BLE001  the last line of defence: a bug of ours must not show as a traceback
            status = BROKEN
            _tell(_bug(e))
        gc.freeze()  # the interpreter would look through everything once more
        sys.exit(_settle(status))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; its interrupts and broken pipes end quietly."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Failure("interrupted", INTERRUPTED) from None
        except BrokenPipeError:
            raise Failure("", PIPE) from None


class Later(UserDict[str, click.Command]):
    """Commands by name, each imported when it is asked for; ``where`` has the module of emu.cli that each is in."""

    def __init__(self, where: Mapping[str, str]) -> None:
        super().__init__()
        self._where = where

    def __missing__(self, name: str) -> click.Command:
        command: click.Command = getattr(import_module(f"emu.cli.{self._where[name]}"), name)
        self.data[name] = command
        return command

    def __contains__(self, name: object) -> bool:
        return name in self._where

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)


class FrontGroup(Front, click.Group):
    """The same for a group of commands, of which those that are not asked for are not imported."""

    def __init__(self, *args: Any, where: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.commands = Later(where)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, and then the commands."""
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under their headings."""
        commands = {name: c for name in self.list_commands(ctx) if (c := self.get_command(ctx, name)) and not c.hidden}
        limit = formatter.width - 6 - max(map(len, commands), default=0)
        for heading, names in sections(list(commands)).items():
            with formatter.section(heading):
                formatter.write_dl([(name, commands[name].get_short_help_str(limit)) for name in names], col_max=12)


def leave(e: SystemExit) -> NoReturn:
    """End this process as Front.main, which has raised e, says.

    The interpreter would take everything apart first, module by module; what is to be done at exit is done. Somebody
    who looks on, or a thread that is still at work, gets its time.
    """
    if sys.getprofile() is not None or sys.gettrace() is not None or threading.active_count() > 1:
        raise e
    atexit._run_exitfuncs()
    os._exit(_settle(e.code if isinstance(e.code, int) else BROKEN))


def _streams() -> None:
    """Take the place of a standard stream that is closed: else the next file to be opened would be the guest's."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if fd else os.O_WRONLY)  # using it fails as before


def _usage(e: click.ClickException) -> str:
    """A usage error as one line, with the command whose help tells more."""
    message = " ".join(e.format_message().split()).removesuffix(".")
    ctx = e.ctx if isinstance(e, click.UsageError) else None
    return f"{message} (try '{ctx.command_path} --help')" if ctx else message


def _bug(e: Exception) -> str:
    """Where an unexpected exception arose, for a report."""
    tb = e.__traceback__
    while tb and tb.tb_next:
        tb = tb.tb_next
    where = f" at {os.path.basename(tb.tb_frame.f_code.co_filename)}:{tb.tb_lineno}" if tb else ""
    return f"internal error: {type(e).__name__}: {e}{where}"


def _tell(message: str, more: str = "") -> None:
    """Write the one line, if there is anything to tell; a standard error that is gone hears nothing."""
    if not message or sys.stderr is None:
        return
    try:
        sys.stderr.write(f"p9emu: {plain(message)}\n")
        for line in more.splitlines():
            sys.stderr.write(f"{plain(line.expandtabs())}\n")
        sys.stderr.flush()
    except OSError:
        pass


def _settle(status: int) -> int:
    """Flush our streams while failure can still be told; a stream that is gone is replaced, so that
    the interpreter does not stumble over it at exit. The status to exit with."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except OSError as e:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
            if stream is sys.stdout and status == 0:
                status = PIPE if isinstance(e, BrokenPipeError) else BROKEN
                if status == BROKEN:
                    _tell(f"cannot write standard output: {e.strerror}")
    return status
