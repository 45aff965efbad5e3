"""A tree of two layers: a directory of the host that is never written, and above it one that holds what was changed.

Nothing is remembered between two calls of what is in either layer: several machines may use the same changes. The
upper layer's form is told in :mod:`kernel.devices.upper`, how a change is made in :mod:`kernel.devices.layers`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from kernel.base.error import Error
from kernel.devices.hostfile import Folder, Stat, Tree, hosterrors
from kernel.devices.layers import Layers, top
from kernel.devices.overfile import Key, Over
from kernel.devices.upper import Changes


class Overlay(Tree):
    """The two layers, as one tree. What ``through`` is, is told in Over. ``changes`` are closed with it."""

    def __init__(self, path: str | bytes, changes: Changes, through: Sequence[tuple[bytes, ...]] = ()) -> None:
        try:
            super().__init__(path)
            if changes.fresh:
                st = os.fstat(self.fd)
                with hosterrors():
                    os.fchmod(changes.fd, st.st_mode & 0o777)
                    os.utime(changes.fd, ns=(st.st_atime_ns, st.st_mtime_ns))
        except Error:
            changes.close()
            raise
        self.over = Over(self.fd, changes, through)

    def tell(self, moved: Callable[[Key, Stat], None]) -> None:
        """Call this whenever a file gets another key: its old one and what it is now."""
        self.over.moved = moved

    def close(self) -> None:
        """Let go of both layers."""
        super().close()
        self.over.changes.close()

    def deep(self, names: list[bytes]) -> Folder | None:
        """Never at once: each name may be in either layer."""
        return None

    def top(self) -> Layers:
        """The root, to be closed by the caller."""
        return top(self.over)
