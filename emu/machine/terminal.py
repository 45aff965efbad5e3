"""The host's terminal: lines that the host lets the user edit, or, while the guest asks for it, each byte as typed."""

from __future__ import annotations

import os
import termios
from typing import Any, Final

_LFLAG, _IFLAG, _CC = 3, 0, 6  # places in what tcgetattr gives
_DISABLED: Final = b"\0"


class Terminal:
    """The terminal on a descriptor; all of it does nothing if there is none."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.tty = os.isatty(fd)
        self._saved: list[Any] | None = None

    def raw(self, on: bool) -> None:
        """Raw or as it was; nothing that was typed is lost. One that is gone is left alone.

        Return stays a newline and output is not touched. Ctrl-C and Ctrl-Z are bytes like others; Ctrl-\\ stays the
        host's, for a way out.
        """
        if not self.tty or on is (self._saved is not None):
            return
        try:
            if not on:
                mode, self._saved = self._saved, None
            else:
                self._saved = termios.tcgetattr(self.fd)
                mode = self._mode(termios.tcgetattr(self.fd))
            termios.tcsetattr(self.fd, termios.TCSANOW, mode)  # type: ignore[arg-type]
        except termios.error:
            pass

    def _mode(self, mode: list[Any]) -> list[Any]:
        mode[_IFLAG] &= ~(termios.IXON | termios.ISTRIP)
        mode[_LFLAG] &= ~(termios.ICANON | termios.ECHO | termios.ECHONL | termios.IEXTEN)
        mode[_CC][termios.VINTR] = mode[_CC][termios.VSUSP] = _DISABLED
        mode[_CC][termios.VMIN] = 1
        mode[_CC][termios.VTIME] = 0
        return mode
