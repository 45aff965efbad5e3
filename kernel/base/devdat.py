"""The device switch. Source: port/portdat.h:Dev."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from kernel.base.chandat import QTDIR, Chan
from kernel.base.error import Eperm, Error
from kernel.base.record import constant, field, record

if TYPE_CHECKING:
    from kernel.base.chandat import Buffer, Data
    from kernel.base.dat import Qid
    from kernel.base.kernel import Kernel


@constant
class Dirtab:
    """A file of a device's fixed table."""

    name: str
    qid: Qid
    length: int
    perm: int


@record
class Walkqid:
    """How far a walk came: the qids passed, and the channel at the end if it came all the way."""

    clone: Chan | None
    qid: list[Qid] = field(default_factory=list)


class Device:
    """A device: the files behind ``#dc``. Methods raise Error. What most share is in :class:`kernel.files.dev.Dev`."""

    dc: ClassVar[str] = "?"
    name: ClassVar[str] = "?"
    blocks: ClassVar[bool] = False  # close may wait for another process

    def __init__(self, k: Kernel) -> None:
        self.k = k

    def shutdown(self) -> None:
        """Let go of everything outside the machine."""

    def attach(self, spec: str) -> Chan:
        """A channel to the device's root."""
        raise NotImplementedError

    def walk(self, c: Chan, nc: Chan | None, names: Sequence[str]) -> Walkqid:
        """Walk from c, which stays where it is; raises if the first element fails."""
        raise NotImplementedError

    def stat(self, c: Chan, n: int) -> bytes:
        """c's entry, or its size alone if it does not fit into n bytes."""
        raise NotImplementedError

    def length(self, c: Chan) -> int | None:
        """c's length, or None if stat fails."""
        raise NotImplementedError

    def open(self, c: Chan, omode: int) -> Chan:
        """Open c; the channel to use from now on, usually c."""
        raise NotImplementedError

    def create(self, c: Chan, name: str, omode: int, perm: int) -> Chan:
        """Create a file in directory c and open it; c becomes its channel."""
        raise Error(Eperm)

    def close(self, c: Chan) -> None:
        """The last reference to c is gone."""

    def read(self, c: Chan, n: int, offset: int) -> bytes:
        """Up to n bytes at offset; none at the end of the file."""
        raise Error(Eperm)

    def readto(self, c: Chan, buf: Buffer, offset: int) -> int:
        """read(), into buf; how many bytes."""
        data = self.read(c, len(buf), offset)
        buf.store(0, data, self.stores(c))
        return len(data)

    def stores(self, c: Chan) -> str:
        """The original's function that stores a read's bytes in the reader's memory, for the trace."""
        return "convD2M" if c.qid.type & QTDIR else "memmove"

    def write(self, c: Chan, data: Data, offset: int) -> int:
        """Write at offset; how many bytes were taken."""
        raise Error(Eperm)

    def remove(self, c: Chan) -> None:
        """Remove c's file. The caller does not close c with this device any more."""
        raise Error(Eperm)

    def wstat(self, c: Chan, data: bytes) -> int:
        """Change c's entry, well-formed, where it is not "don't touch"; len(data)."""
        raise Error(Eperm)
