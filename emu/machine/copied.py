"""A machine of which there may be copies, each in a process of the host's: what it has of the host, copies have not.

A copy goes over what the machine has done already. So nothing that it does reaches the host, and no signal reaches it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emu.machine.disk import MemoryDisk
from emu.machine.machine import Machine

if TYPE_CHECKING:
    from emu.machine.config import Config


class CopiedMachine(Machine):
    """A Machine that may be copied wherever it stands."""

    def _makedisk(self, size: int, path: str | None) -> MemoryDisk:
        return MemoryDisk(size, path)

    def woken(self) -> None:
        """In a copy, before it goes on."""
        if isinstance(self.disk, MemoryDisk):
            self.disk.kept = False
        self.warn = lambda text: None
        self.signals.leave()


def unrepeatable(config: Config) -> str:
    """What of a run a copy could not go over as it was; "" if nothing."""
    if config.clock == "real":
        return "it follows the host's clock"
    root = config.root
    written = [b.guest for b in config.binds if b.writable or b.cow or b.through]
    if root is not None and (root.writable or root.cow or root.changes is not None):
        written.append("/")
    if written:
        return f"it may change files of the host, in {written[0]}"
    return ""
