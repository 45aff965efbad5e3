"""Disks, ``#S``: one file for each. Source: port/devsd.c, cut down to whole units of plain data.

Their unit numbers and versions are counted by :mod:`kernel.devices.devaoe`. A transfer takes virtual time, and other
processes run meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernel.base.chandat import DMDIR, QTDIR
from kernel.base.dat import Qid
from kernel.base.devdat import Dirtab
from kernel.base.error import Eio, Enegoff, Error
from kernel.devices.devaoe import Aoe, newunit, newvers
from kernel.files.dev import PIECE, Dev
from kernel.sched.sleep import devwait

if TYPE_CHECKING:
    from kernel.base.chandat import Buffer, Chan, Data
    from kernel.base.hw import Disk
    from kernel.base.kernel import Kernel


SEEKNS: Final = 100_000  # virtual time of one transfer: a fixed part
BYTENS: Final = 5  # and so much for each byte


class Unit:
    """A disk with its number and version; its file's qid has both."""

    __slots__ = ("disk", "name", "unit", "vers")

    def __init__(self, k: Kernel, aoe: Aoe, name: str, disk: Disk) -> None:
        self.disk = disk
        self.name = name
        self.unit = newunit(k, aoe)
        if self.unit == -1:
            raise Error("too many units")
        self.vers = 0
        newvers(k, aoe, self)


class Sddev(Dev):
    """The disks of the machine, by name."""

    dc = "S"
    name = "sd"

    def __init__(self, k: Kernel, disks: dict[str, Disk]) -> None:
        super().__init__(k)
        self.aoe = Aoe()
        units = [Unit(k, self.aoe, name, disk) for name, disk in disks.items()]
        self.units = {u.unit: u for u in units}
        self.reads = 0
        self.writes = 0
        self.tab = (
            Dirtab(".", Qid(0, 0, QTDIR), 0, DMDIR | 0o555),
            *(Dirtab(u.name, Qid(u.unit, u.vers), u.disk.size, 0o640) for u in units),
        )

    def _unit(self, c: Chan) -> Disk:
        return self.units[c.qid.path].disk

    def _wait(self, n: int) -> None:
        devwait(self.k, SEEKNS + n * BYTENS)

    def readto(self, c: Chan, buf: Buffer, offset: int) -> int:
        """One transfer, whatever its size; what is not there takes no time."""
        n = len(buf)
        if c.qid.type & QTDIR or n <= PIECE:
            return super().readto(c, buf, offset)
        n = max(min(n, self._unit(c).size - offset), 0)
        self._begin(n, offset)
        for at in range(0, n, PIECE):
            buf.store(at, self._transfer(c, min(n - at, PIECE), offset + at), self.stores(c))
        return n

    def _begin(self, n: int, offset: int) -> None:
        if offset < 0:
            raise Error(Enegoff)
        self.reads += 1
        self._wait(n)

    def _transfer(self, c: Chan, n: int, offset: int) -> bytes:
        try:
            return self._unit(c).read(offset, n)
        except OSError:
            raise Error(Eio) from None

    def read(self, c: Chan, n: int, offset: int) -> bytes:
        """Source: port/devsd.c:sdread."""
        if c.qid.type & QTDIR:
            return super().read(c, n, offset)
        self._begin(n, offset)
        return self._transfer(c, n, offset)

    def write(self, c: Chan, data: Data, offset: int) -> int:
        """Source: port/devsd.c:sdwrite."""
        if offset < 0:
            raise Error(Enegoff)
        self.writes += 1
        n = len(data)
        block = bytes(data[0 : min(n, PIECE)])
        self._wait(n)
        done = 0
        while block:
            try:
                m = self._unit(c).write(offset + done, block)
            except OSError:
                raise Error(Eio) from None
            done += m
            if m < len(block):
                break
            block = bytes(data[done : min(done + PIECE, n)]) if done < n else b""
        return done

    def length(self, c: Chan) -> int | None:
        """What stat would say of the file's size."""
        return self._unit(c).size
