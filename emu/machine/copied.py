"""A machine of which there may be copies, each in a process of the host's: what it has of the host, copies have not.

A copy goes over what the machine has done already. What the host had a part in is given back to it by the machine's
journal; so nothing that it does reaches the host, and no signal reaches it.
"""

from __future__ import annotations

from typing import Final

from emu.machine.console import HostConsole
from emu.machine.disk import MemoryDisk
from emu.machine.journal import Entry
from emu.machine.machine import Machine
from emu.machine.terminal import Terminal

NOW: Final[Entry] = ("now", None, None)  # where the journal is at its end: no copy comes to ask for more


class CopiedMachine(Machine):
    """A Machine that may be copied wherever it stands."""

    def _makedisk(self, size: int, path: str | None) -> MemoryDisk:
        return MemoryDisk(size, path)

    def outside(self) -> list[int]:
        """Descriptors that no copy is to have: while it sleeps, the other side would not hear of their end."""
        sockets = self.hostnet.sockets if self.hostnet is not None else None
        return sockets.fds() if sockets is not None else []

    def woken(self, entries: list[Entry]) -> None:
        """In a copy, before it goes on; ``entries`` are those of the journal since it was left."""
        if self.journal is not None:
            self.journal.output = None
            if not self.journal.replaying:
                self.journal.replay(iter([*entries, NOW]))
        if isinstance(self.disk, MemoryDisk):
            self.disk.kept = False
        if isinstance(self.console, HostConsole):
            self.console.terminal = Terminal(-1)
        self.warn = lambda text: None
        self.signals.leave()
