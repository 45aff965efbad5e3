"""The structures of 9P and of the mount driver. Source: fcall.h, port/portdat.h, port/devmnt.c."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kernel.base.dat import Lock, Qid, Rendez
from kernel.base.record import field, record

if TYPE_CHECKING:
    from kernel.base.chandat import Chan
    from kernel.base.procdat import Proc

    # self.size: bytes charged for the message and its answer


@record
class Fcall:
    """One message; which fields count follows from the type. ``qid`` is also Rauth's. Source: fcall.h:Fcall."""

    type: int = 0
    tag: int = 0
    fid: int = 0
    msize: int = 0
    version: str = ""
    oldtag: int = 0
    ename: str = ""
    qid: Qid = field(default_factory=lambda: Qid(0))
    iounit: int = 0
    afid: int = 0
    uname: str = ""
    aname: str = ""
    perm: int = 0
    name: str = ""
    mode: int = 0
    newfid: int = 0
    wname: list[str] = field(default_factory=list)
    wqid: list[Qid] = field(default_factory=list)
    offset: int = 0
    count: int = 0
    data: bytes = b""
    stat: bytes = b""


class Mntrpc:
    """One message and its answer. Source: port/devmnt.c.

    ``source`` gives the data of a Twrite, which may be user memory. A free Mntrpc keeps its tag.
    """

    __slots__ = ("c", "done", "flushed", "m", "reply", "request", "size", "source", "tag", "z")

    def __init__(self, tag: int) -> None:
        self.tag = tag
        self.size = 0
        self.reset(None)

    def reset(self, c: Chan | None) -> None:
        """Fit for use again."""
        self.c = c  # for whom
        self.request = Fcall()
        self.reply = Fcall()
        self.m: Mnt | None = None
        self.z: Rendez | None = None  # where its process waits
        self.source: Callable[[], bytes] | None = None
        self.flushed: Mntrpc | None = None  # the message that this one flushes
        self.done = False


class Mnt(Lock):
    """A channel with a file server at its other end. Source: port/portdat.h."""

    __slots__ = ("c", "id", "msize", "q", "queue", "rip", "version")

    def __init__(self, c: Chan, id: int, msize: int, version: bytes) -> None:
        super().__init__()
        self.c = c
        self.rip: Proc | None = None  # reader in progress
        self.queue: list[Mntrpc] = []  # those that wait for their answer, the newest first
        self.id = id  # less than the device number of any of its files
        self.msize = msize
        self.version = version
        self.q = bytearray()  # what was read and is not taken apart yet


class Mntalloc(Lock):
    """All mounts, their free Mntrpcs, and the tags in use, a bit each. Source: port/devmnt.c.

    ``id`` numbers mounts and the devices of type M, of which the directories of the host are some.
    """

    __slots__ = ("id", "list", "nrpcused", "rpcfree", "tags")

    def __init__(self) -> None:
        super().__init__()
        self.list: list[Mnt] = []
        self.rpcfree: list[Mntrpc] = []
        self.nrpcused = 0
        self.id = 1
        self.tags = 1 | 1 << 0xFFFF  # neither 0 nor NOTAG

    def newid(self) -> int:
        """The next number."""
        self.id += 1
        return self.id - 1
