"""Disks, ``#S``: one file for each. Source: port/devsd.c, cut down to whole units of plain data.

A transfer takes virtual time, and other processes run meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernel.chandat import DMDIR, QTDIR, Chan, Data
from kernel.dat import Qid
from kernel.dev import Dev, Dirtab
from kernel.error import Eio, Enegoff, Error

if TYPE_CHECKING:
    from kernel.hw import Disk
    from kernel.kernel import Kernel

SEEKNS: Final = 100_000  # virtual time of one transfer: a fixed part
BYTENS: Final = 5  # and so much for each byte


class Sddev(Dev):
    """The disks of the machine, by name."""

    dc = "S"
    name = "sd"

    def __init__(self, k: Kernel, disks: dict[str, Disk]) -> None:
        super().__init__(k)
        self.units = list(disks.values())
        self.reads = 0
        self.writes = 0
        self.tab = (
            Dirtab(".", Qid(0, 0, QTDIR), 0, DMDIR | 0o555),
            *(Dirtab(name, Qid(i + 1), disk.size, 0o640) for i, (name, disk) in enumerate(disks.items())),
        )

    def _unit(self, c: Chan) -> Disk:
        return self.units[c.qid.path - 1]

    def _wait(self, n: int) -> None:
        self.k.procs.delay(SEEKNS + n * BYTENS)

    def read(self, c: Chan, n: int, offset: int) -> bytes:
        """Source: port/devsd.c:sdread."""
        if c.qid.type & QTDIR:
            return super().read(c, n, offset)
        if offset < 0:
            raise Error(Enegoff)
        self.reads += 1
        self._wait(n)
        try:
            return self._unit(c).read(offset, n)
        except OSError:
            raise Error(Eio) from None

    def write(self, c: Chan, data: Data, offset: int) -> int:
        """Source: port/devsd.c:sdwrite."""
        if offset < 0:
            raise Error(Enegoff)
        self.writes += 1
        block = bytes(data[0 : len(data)])
        self._wait(len(block))
        try:
            return self._unit(c).write(offset, block)
        except OSError:
            raise Error(Eio) from None

    def length(self, c: Chan) -> int | None:
        """What stat would say of the file's size."""
        return self._unit(c).size
