"""The structures of the mount cache. Source: port/cache.c."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernel.base.dat import Lock, Qid, QLock
from kernel.base.mem import BY2PG, MB

if TYPE_CHECKING:
    from kernel.base.dat import Conf, Page


NHASH: Final = 128
MAXCACHE: Final = 1024 * 1024  # nothing of a file beyond this is cached
NFILE: Final = 4096


class Extent:
    """``len`` bytes of a file from ``start`` on, in page ``cache`` as long as that has the number ``bid``."""

    __slots__ = ("bid", "cache", "len", "next", "start")

    def __init__(self) -> None:
        self.bid = 0
        self.start = 0
        self.len = 0
        self.cache: Page | None = None
        self.next: Extent | None = None


class Mntcache(QLock):
    """What is cached of one file. Source: port/cache.c."""

    __slots__ = ("dev", "hash", "list", "next", "prev", "qid", "type")

    def __init__(self) -> None:
        super().__init__()
        self.qid = Qid(0)
        self.dev = 0
        self.type = 0
        self.list: Extent | None = None
        self.hash: Mntcache | None = None
        self.prev: Mntcache | None = None
        self.next: Mntcache | None = None


class Cache(Lock):
    """All files, the one not used for longest first.

    Files never used need no Mntcache: they are ``fresh`` many before ``head``, where they stay until they are used.
    """

    __slots__ = ("fresh", "hash", "head", "maxcache", "pgno", "tail")

    def __init__(self, conf: Conf) -> None:
        super().__init__()
        self.pgno = 0
        self.head: Mntcache | None = None
        self.tail: Mntcache | None = None
        self.hash: list[Mntcache | None] = [None] * NHASH
        self.fresh = NFILE
        self.maxcache = 10 * MAXCACHE if conf.npage * BY2PG > 200 * MB else MAXCACHE


class Ecache(Lock):
    """How many extents there are, and how many of them are free."""

    __slots__ = ("free", "total")

    def __init__(self) -> None:
        super().__init__()
        self.total = 0
        self.free = 0
