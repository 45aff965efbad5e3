"""The guest's console where standard input and output are gdb's: nothing to read, and gdb shows what is written."""

from __future__ import annotations

from collections.abc import Callable


class GdbConsole:
    """Implements emu.machine.console.Console. ``send`` takes what the guest writes."""

    fd = -1
    waiting = False
    live = False
    send: Callable[[bytes], None]

    def read(self, n: int) -> bytes:
        """The end of the input."""
        return b""

    def write(self, fd: int, data: bytes) -> None:
        """To gdb's terminal."""
        self.send(data)

    def raw(self, on: bool) -> None:
        """Nobody types."""

    def poll(self, now: int) -> bool:
        """Nobody waits."""
        return False

    def wake(self) -> None:
        """Nobody waits."""
