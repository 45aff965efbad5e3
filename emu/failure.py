"""How a command fails: one line on standard error and an exit status."""

from __future__ import annotations

TYPE_CHECKING = False  # as in emu
if TYPE_CHECKING:
    from typing import Final

USAGE: Final = 2
TIMEOUT: Final = 124
BROKEN: Final = 125  # the emulator's own failure
UNLOADABLE: Final = 126
NOTFOUND: Final = 127
INTERRUPTED: Final = 130
PIPE: Final = 141  # as if by SIGPIPE


class Failure(Exception):
    """Ends the command with ``status``; str() is what is told, nothing if empty.

    ``more`` holds further lines (a panic's dump), which follow unchanged.
    """

    def __init__(self, message: str, status: int, more: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.more = more
