"""The kernel's own memory, and how much of it there is for what guests make the kernel keep. Source: port/alloc.c.

The original allocates its structures in mainmem, a pool that takes what the user pages leave of the machine's memory.
Here they are objects of the host's, and mainmem is an account: each structure is charged with what it takes of the
host's memory, and a call that would need more than there is fails with Enomem. The original fails in some places
(malloc) and in others waits until there is more (smalloc), which may be for ever.

A structure that is part of something greater is charged without a question; ``need`` is asked once, before the call
does anything. So no call fails half-way, and the account is overdrawn by one call's worth at the most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernel.base.error import Enomem, Error
from kernel.base.mem import BY2PG, MB

if TYPE_CHECKING:
    from kernel.base.dat import Conf


# What the structures take of the host's memory, in bytes, without texts and data
CHAN: Final = 1000  # with its Path and what the device has of it
MHEAD: Final = 300
MOUNT: Final = 160
FD: Final = 8  # a slot
EVALUE: Final = 400
PIPE: Final = 1600
BLOCK: Final = 120
SRV: Final = 300
MNT: Final = 400
RPC: Final = 1000
CONV: Final = 5500  # a conversation of the network, with its queues
ROUTE: Final = 700  # a route, or an address of an interface
CAP: Final = 100  # a capability
SEG: Final = 700
PTE: Final = 2300
IDENT: Final = 450  # a file of the host that was seen
LOC: Final = 1000  # a name of it that is in use
NAME: Final = 60  # an entry of a directory that is being read, without its text
PAGE: Final = 350
LEAST: Final = 64 * MB  # a machine of 4 MB leaves the kernel 2 MB, and a structure takes ten times the original's


class Pool:
    """Bytes charged and how many there are. Source: pool(2), as far as it counts."""

    __slots__ = ("cursize", "maxsize")

    def __init__(self, maxsize: int = LEAST) -> None:
        self.cursize = 0
        self.maxsize = maxsize

    def need(self, n: int = 0) -> None:
        """Raise Enomem unless there are n bytes more."""
        if self.cursize + n > self.maxsize:
            raise Error(Enomem)

    def alloc(self, n: int) -> bool:
        """Charge n bytes if they are there; whether they were."""
        if self.cursize + n > self.maxsize:
            return False
        self.cursize += n
        return True

    def charge(self, n: int) -> None:
        """Charge n bytes, there or not."""
        self.cursize += n

    def free(self, n: int) -> None:
        """Give n bytes back."""
        self.cursize -= n


def mainmem(conf: Conf) -> Pool:
    """The pool of a machine: its memory without the user pages and their structures. Source: pc/main.c:confinit."""
    return Pool(max((conf.npage - conf.upages) * BY2PG - conf.upages * PAGE, LEAST))
