"""What of an overlay is open, and is told when a file is copied."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from kernel.devices.hostfile import Opened, Stat
from kernel.devices.upper import BLOCK, Changes

Key = tuple[int, int]  # of a Stat


class Over:
    """What all directories of an overlay have in common: descriptors of the two layers, and what is open.

    ``through`` are files and directories that are the lower layer's alone and are changed there. ``moved`` is told when
    a file, by its old key, was copied to the upper layer or is that alone.
    """

    def __init__(self, low: int, changes: Changes, through: Sequence[tuple[bytes, ...]]) -> None:
        self.low = low
        self.changes = changes
        self.through = through
        self.moved: Callable[[Key, Stat], None] = lambda old, st: None
        self.opened: dict[Key, set[Used]] = {}
        self.refused: set[Key] = set()  # files of the lower layer that there was no room to copy

    def unuse(self, o: Used) -> bool:
        """A file is closed; whether it was the last time it was open."""
        users = self.opened[o.key]
        users.discard(o)
        if not users:
            del self.opened[o.key]
        return not users

    def rekey(self, old: Key, st: Stat) -> None:
        """A file has another number."""
        self.moved(old, st)
        if st.key != old:
            users = self.opened.pop(old, set())
            for o in users:
                o.key = st.key
            if users:
                self.opened.setdefault(st.key, set()).update(users)


class Used(Opened):
    """Something that is open."""

    __slots__ = ("key", "over")

    def used(self, over: Over) -> None:
        """It is open from now on."""
        self.over = over
        self.key = self.stat().key
        over.opened.setdefault(self.key, set()).add(self)


class Openfile(Used):
    """A regular file of either layer, open. Where it is copied while it is open, this is the copy from then on."""

    __slots__ = ("above",)

    def __init__(self, over: Over, fd: int, above: bool) -> None:
        super().__init__(fd)
        self.above = above
        self.used(over)

    def write(self, data: bytes, offset: int) -> int:
        """Write all of data; fewer only if the host then fails."""
        with self._counted(len(data), offset + len(data)):
            return super().write(data, offset)

    def truncate(self, n: int) -> None:
        """Make it n bytes long."""
        with self._counted(0, 0):
            super().truncate(n)

    @contextmanager
    def _counted(self, n: int, end: int) -> Iterator[None]:
        """Count what a change needs; n bytes up to ``end`` may be stored anew."""
        changes = self.over.changes
        if changes.limit is None or self.fd < 0:
            yield
            return
        st = os.fstat(self.fd)
        full = st.st_blocks * BLOCK >= st.st_size and end <= st.st_size  # no holes
        changes.need(0 if full else n)
        try:
            yield
        finally:
            changes.add((os.fstat(self.fd).st_blocks - st.st_blocks) * BLOCK)

    def close(self) -> None:
        """Let go of it, once."""
        if self.fd >= 0:
            st = os.fstat(self.fd)
            if self.over.unuse(self) and self.above and st.st_nlink == 0:
                self.over.changes.add(-st.st_blocks * BLOCK)
        super().close()
