"""Commands of click's with our manners, and under headings."""

from collections import UserDict
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from emu.cli.headings import headed, sections
from emu.cli.manners import concluded, interruptible
from emu.failure import INTERRUPTED, USAGE, Failure


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

        def call() -> int:
            try:
                result = super(Front, self).main(args=args, prog_name=prog_name or self.program, **extra)
            except click.ClickException as e:
                raise Failure(_usage(e), USAGE) from None
            except click.Abort:
                raise Failure("interrupted", INTERRUPTED) from None
            return result if isinstance(result, int) else 0

        concluded(call)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; its interrupts and broken pipes end quietly."""
        return interruptible(lambda: super(Front, self).invoke(ctx))


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


def _usage(e: click.ClickException) -> str:
    """A usage error as one line, with the command whose help tells more."""
    message = " ".join(e.format_message().split()).removesuffix(".")
    ctx = e.ctx if isinstance(e, click.UsageError) else None
    return f"{message} (try '{ctx.command_path} --help')" if ctx else message
