"""The kernel's structures, all in one place. Source: port/portdat.h, pc/dat.h.

Field names are the original's. Pointers into arrays are indices here: a Pte's ``first`` and
``last``, the swap map's ``last``. A page-table entry of a segment is a Page, a swap entry
(an int: disc address with PG_ONSWAP set), or None.
"""

from __future__ import annotations

from collections.abc import Callable, MutableSequence
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from kernel.base.mem import BY2PG, PTEPERTAB, SEGMAPSIZE, SSEGMAPSIZE
from kernel.base.record import record

if TYPE_CHECKING:
    from kernel.base.chandat import Chan
    from kernel.base.event import SegmentType
    from kernel.base.procdat import Proc


# Segment types, and flags beside the type
SG_TYPE: Final = 0o7
SG_TEXT: Final = 0
SG_DATA: Final = 1
SG_BSS: Final = 2
SG_STACK: Final = 3
SG_SHARED: Final = 4
SG_PHYSICAL: Final = 5
SG_RONLY: Final = 0o40
SG_CEXEC: Final = 0o100
SEGNAME: Final[tuple[SegmentType, ...]] = ("text", "data", "bss", "stack", "shared", "physical")

# Slots of Proc.seg
SSEG, TSEG, DSEG, BSEG, ESEG, LSEG, SEG1, SEG2, SEG3, SEG4 = range(10)
NSEG: Final = 10
PG_ONSWAP: Final = 1
PG_NOFLUSH: Final = 0
PG_TXTFLUSH: Final = 1
PG_NEWCOL: Final = 3
PG_MOD: Final = 1
PG_REF: Final = 2
NOADDR: Final = 0xFFFFFFFF  # ~0: no disc address
PGHSIZE: Final = 512
IHASHSIZE: Final = 64
SEGMAXSIZE: Final = (SEGMAPSIZE * PTEPERTAB * BY2PG) & 0xFFFFFFFF


class Ref(Protocol):
    """Anything that counts its holders."""

    ref: int


class Lock:
    """A spin lock. Source: port/portdat.h, port/taslock.c."""

    __slots__ = ("key", "p")

    def __init__(self) -> None:
        self.key = False
        self.p: Proc | None = None  # holder, for the checks


class QLock:
    """A lock whose waiters sleep, first come first served. Source: port/portdat.h."""

    def __init__(self) -> None:
        self.locked = False
        self.head: Proc | None = None
        self.tail: Proc | None = None
        self.holder: Proc | None = None


class Rendez(Lock):
    """Where one process sleeps until another wakes it. Source: port/portdat.h."""

    __slots__ = ("r",)

    def __init__(self) -> None:
        super().__init__()
        self.r: Proc | None = None  # the sleeper; the original's Rendez.p


class Page:
    """A frame of the pool. Source: port/portdat.h.

    ``next`` links the free list, a hash chain of the page cache, or the MMU's lists; a page is on at
    most one of them.
    """

    __slots__ = ("cachectl", "color", "daddr", "image", "modref", "next", "pa", "ref", "refage", "va")

    def __init__(self, pa: int, nmach: int) -> None:
        self.ref = 0
        self.next: Page | None = None
        self.pa = pa
        self.va = 0
        self.daddr = 0
        self.image: Image | None = None
        self.refage = 0
        self.modref = 0
        self.color = 0
        self.cachectl = bytearray(nmach)

    def __repr__(self) -> str:
        return f"<Page {self.pa:#x} ref {self.ref} va {self.va:#x}>"


Entry: TypeAlias = Page | int | None


class Pte:
    """Page table of one megabyte of a segment. ``first``..``last`` bound the used entries."""

    __slots__ = ("first", "last", "pages")

    def __init__(self) -> None:
        self.pages: list[Entry] = [None] * PTEPERTAB
        self.first = PTEPERTAB
        self.last = 0


@record
class Qid:
    """Identity of a file: path names it, vers counts its changes, type has the QT bits."""

    path: int
    vers: int = 0
    type: int = 0


class Image(Lock):
    """A file whose pages are cached, and the text segment made from it. Source: port/portdat.h.

    ``ref`` counts segments and, through ``pgref``, cached pages: pgref <= ref.
    """

    __slots__ = ("c", "dev", "hash", "next", "notext", "num", "pghash", "pgref", "qid", "ref", "s", "type")

    def __init__(self, num: int, notext: bool = False) -> None:
        super().__init__()
        self.num = num  # index in imagealloc.list; -2 swapimage, -3 fscache
        self.ref = 0
        self.c: Chan | None = None
        self.qid = Qid(0)
        self.dev = 0
        self.type = 0
        self.notext = notext
        self.s: Segment | None = None
        self.hash: Image | None = None
        self.next: Image | None = None
        self.pgref = 0
        self.pghash: list[Page | None] = [None] * PGHSIZE


@record
class Physseg:
    """What segattach can attach by name. Source: port/portdat.h."""

    attr: int
    name: str
    pa: int
    size: int
    pgalloc: Callable[[Segment, int], Page] | None = None
    pgfree: Callable[[Page], None] | None = None


class Sema(Rendez):
    """A process waiting for the semaphore at ``addr``. Source: port/portdat.h."""

    __slots__ = ("addr", "waiting")

    def __init__(self, addr: int) -> None:
        super().__init__()
        self.addr = addr
        self.waiting = False


class Segment(QLock):
    """A range of address space with one source of pages. Source: port/portdat.h."""

    def __init__(self, type: int, base: int, size: int) -> None:
        super().__init__()
        self.id = 0  # serial number
        self.ref = 1
        self.steal = 0
        self.type = type
        self.base = base
        self.top = (base + size * BY2PG) & 0xFFFFFFFF
        self.size = size
        self.fstart = 0
        self.flen = 0
        self.flushme = False
        self.image: Image | None = None
        self.pseg: Physseg | None = None
        self.profile: MutableSequence[int] | None = None
        self.map: list[Pte | None] = [None] * SSEGMAPSIZE
        self.sema: list[Sema] = []  # waiters, oldest first
        self.semalock = Lock()
        self.mark = 0

    @property
    def mapsize(self) -> int:
        """Page tables that fit the map; the original's embedded map has SSEGMAPSIZE."""
        return len(self.map)

    def __repr__(self) -> str:
        return f"<Segment {SEGNAME[self.type & SG_TYPE]} {self.base:#x}-{self.top:#x} ref {self.ref}>"


class Palloc(Lock):
    """The pool of user pages.

    Frames never handed out need no Page: they are the tail of the free list, ``fresh`` of them,
    highest address first, behind the pages reached from ``head``.
    """

    __slots__ = ("base", "fresh", "freecount", "head", "nmach", "noflush", "pages", "pwait", "r", "user")

    def __init__(self, base: int, npage: int, nmach: int) -> None:
        super().__init__()
        self.base = base  # physical address of the first frame of the pool
        self.user = npage
        self.fresh = npage
        self.nmach = nmach
        self.noflush = bytes([PG_NOFLUSH]) * nmach  # what cachectl of a page is that was just taken
        self.head: Page | None = None
        self.freecount = npage
        self.pages: dict[int, Page] = {}  # by page number; only those ever taken
        self.r = Rendez()
        self.pwait = QLock()


class Imagealloc(Lock):
    """All images, the free ones, and the hash by qid.path. Source: port/segment.c."""

    __slots__ = ("free", "hash", "ireclaim", "list", "rotor")

    def __init__(self, nimage: int) -> None:
        super().__init__()
        self.list = [Image(i) for i in range(nimage)]
        for i, im in enumerate(self.list[:-1]):
            im.next = self.list[i + 1]
        self.free: Image | None = self.list[0]
        self.hash: list[Image | None] = [None] * IHASHSIZE
        self.ireclaim = QLock()
        self.rotor = 0  # imagereclaim's static i


class Swapalloc(Lock):
    """The swap map: a reference count for each slot. Source: port/portdat.h."""

    __slots__ = ("free", "headroom", "highwater", "last", "r", "swmap", "top", "xref")

    def __init__(self, nswap: int) -> None:
        super().__init__()
        self.free = nswap
        self.swmap = bytearray(nswap)
        self.last = 0
        self.top = nswap
        self.r = Rendez()
        self.highwater = 0
        self.headroom = 0
        self.xref = 0


@record
class Conf:
    """Sizes of this kernel. Source: pc/dat.h:Conf, pc/main.c:confinit."""

    nmach: int = 1
    npage: int = 0
    upages: int = 0
    nproc: int = 0
    nimage: int = 200
    nswap: int = 0
    nswppo: int = 4096
    copymode: int = 0  # 0: copy on write, 1: copy on reference
    notefp: bool = False  # note handlers may use floating point


class RWlock:
    """Source: port/portdat.h."""

    def __init__(self) -> None:
        self.readers = 0
        self.writer = False
        self.wproc: Proc | None = None
        self.queue: list[tuple[Proc, bool]] = []  # waiter, whether it wants to write
