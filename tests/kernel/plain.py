"""Hardware for a kernel without a CPU: plain memory, and a processor that writes down what it is told.

:func:`plainkernel` builds a whole kernel on it, with one process that is current.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass, field

from kernel.mem import BY2PG


class PlainMemory:
    """Physical memory: anonymous host memory, so that frames nobody touches cost nothing.

    ``dirty`` collects the frames changed through the methods, ``tables`` those in use as page tables.
    """

    def __init__(self, size: int) -> None:
        self._map = mmap.mmap(-1, size)
        self._bytes = memoryview(self._map)
        self._words = self._bytes.cast("I")
        self._size = size
        self.dirty: set[int] = set()
        self.tables: set[int] = set()

    @property
    def size(self) -> int:
        return self._size

    @property
    def words(self) -> memoryview[int]:
        return self._words

    def zero(self, pa: int) -> None:
        self._bytes[pa : pa + BY2PG] = bytes(BY2PG)
        self.dirty.add(pa)

    def copy(self, dst: int, src: int) -> None:
        self._bytes[dst : dst + BY2PG] = self._bytes[src : src + BY2PG]
        self.dirty.add(dst)

    def read(self, pa: int, n: int) -> bytes:
        return bytes(self._bytes[pa : pa + n])

    def write(self, pa: int, data: bytes | bytearray | memoryview[int]) -> None:
        n = len(data)
        assert n <= BY2PG - pa % BY2PG, "a write crosses a frame boundary"
        self._bytes[pa : pa + n] = data
        self.dirty.add(pa & -BY2PG)

    def table(self, pa: int) -> None:
        self.tables.add(pa)

    def data(self, pa: int) -> None:
        self.tables.discard(pa)


@dataclass(slots=True)
class PlainRegs:
    """Registers of a process that never runs."""

    ax: int = 0
    bx: int = 0
    cx: int = 0
    dx: int = 0
    si: int = 0
    di: int = 0
    bp: int = 0
    sp: int = 0
    pc: int = 0
    flags: int = 0

    def fpstatus(self) -> tuple[int, int]:
        return 0, 0

    def mxcsr(self) -> int:
        return 0x1F80

    def copyfrom(self, other: object) -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(other, name))

    def clear(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)


@dataclass(slots=True)
class PlainCpu:
    """A processor that runs nothing. ``log`` has what it was told: cr3, invlpg, forget, each with its address."""

    cr3: int = 0
    cr2: int = 0
    ns: int = 0
    log: list[tuple[str, int]] = field(default_factory=list)

    def putcr3(self, pa: int) -> None:
        self.cr3 = pa
        self.log.append(("cr3", pa))

    def getcr3(self) -> int:
        return self.cr3

    def getcr2(self) -> int:
        return self.cr2

    def invlpg(self, va: int) -> None:
        self.log.append(("invlpg", va))

    def forget(self, pa: int) -> None:
        self.log.append(("forget", pa))

    def newregs(self) -> PlainRegs:
        return PlainRegs()

    def now(self) -> int:
        return self.ns

    def spend(self, ns: int) -> None:
        self.ns += ns
