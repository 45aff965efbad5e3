"""The command line. Nothing is imported before it is needed: --help must be instant."""

from typing import NoReturn


def main() -> NoReturn:
    """The console script p9emu."""
    from emu.cli.commands import cli

    cli.main()
