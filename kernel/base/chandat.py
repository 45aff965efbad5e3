"""The structures of the file system: the part of portdat.h that channels need.

Names of files are str: bytes that are not UTF-8 live in them as lone surrogates
(:func:`kstr`, :func:`kbytes`), so that every name of a host file survives the way through the kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from kernel.base.dat import Lock, Qid, QLock, Rendez, RWlock
from kernel.base.record import unique

if TYPE_CHECKING:
    from kernel.base.cachedat import Mntcache
    from kernel.base.mntdat import Mnt


# Open modes (open(2))
OREAD: Final = 0
OWRITE: Final = 1
ORDWR: Final = 2
OEXEC: Final = 3
OTRUNC: Final = 0x10
OCEXEC: Final = 0x20
ORCLOSE: Final = 0x40
OEXCL: Final = 0x1000

# Bits of Qid.type, and the same bits on top of a mode (stat(5))
QTDIR: Final = 0x80
QTAPPEND: Final = 0x40
QTEXCL: Final = 0x20
QTMOUNT: Final = 0x10
QTAUTH: Final = 0x08
QTFILE: Final = 0x00
DMDIR: Final = QTDIR << 24
DMAPPEND: Final = QTAPPEND << 24
DMEXCL: Final = QTEXCL << 24
DMMOUNT: Final = QTMOUNT << 24

# What namec is to make of the last element
Aaccess, Abind, Atodir, Aopen, Amount, Acreate, Aremove = range(7)

# bind(2)
MREPL: Final = 0
MBEFORE: Final = 1
MAFTER: Final = 2
MORDER: Final = 3
MCREATE: Final = 4
MCACHE: Final = 16
MMASK: Final = 23
MAXWELEM: Final = 16
MNTHASH: Final = 32
DELTAFD: Final = 20
NUMSIZE: Final = 12  # room for a formatted number
UNKNOWN: Final = 0xFFFFFFFF  # "don't touch" in a wstat


class Counter:
    """A global that incref hands out numbers from."""

    __slots__ = ("ref",)

    def __init__(self) -> None:
        self.ref = 0


class Data(Protocol):
    """The bytes of a write: bytes, or the writer's memory, which may fault when it is looked at."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: slice, /) -> bytes: ...


class Buffer(Data, Protocol):
    """Where a read puts its bytes: the reader's memory, which may fault, or the kernel's."""

    def store(self, at: int, data: bytes, fn: str) -> None:
        """Put data at ``at``; ``fn`` is the kernel function that does so in the original."""


class Path:
    """The name a channel was reached by, and for each element the channel mounted upon there."""

    __slots__ = ("mtpt", "ref", "s", "size")

    def __init__(self, s: str) -> None:
        self.ref = 1
        self.size = 0  # bytes charged for its elements
        self.s = s
        self.mtpt: list[Chan | None] = [None]


class Chan(Lock):
    """An open or walked-to file of some device. Source: port/portdat.h."""

    __slots__ = (
        "aux", "dev", "devoffset", "dirrock", "dri", "fid", "flag", "iounit", "ismtpt", "mchan", "mcp", "mode", "mqid",
        "mux", "offset", "path", "qid", "ref", "type", "umc", "umh", "umqlock", "uri",
    )  # fmt: skip

    # flag
    COPEN: ClassVar[int] = 0x0001  # for i/o
    CMSG: ClassVar[int] = 0x0002  # the message channel of a mount
    CCEXEC: ClassVar[int] = 0x0008  # close on exec
    CFREE: ClassVar[int] = 0x0010  # not in use
    CRCLOSE: ClassVar[int] = 0x0020  # remove on close
    CCACHE: ClassVar[int] = 0x0080  # client cache

    def __init__(self) -> None:
        super().__init__()
        self.ref = 1
        self.offset = 0  # of the fd
        self.devoffset = 0  # of the device; see sysfile.read
        self.type = 0  # index into k.devtab
        self.dev = 0
        self.mode = 0
        self.flag = 0
        self.qid = Qid(0)
        self.fid = 0  # of devmnt, to the file server
        self.iounit = 0
        self.umh: Mhead | None = None  # union this channel came from
        self.umc: Chan | None = None  # element of the union being read
        self.umqlock: QLock | None = None  # made when a union is first read
        self.uri = 0  # which element
        self.dri = 0  # devdirread's place
        self.dirrock: list[bytes] = []  # directory entries that overflowed in mountfix
        self.ismtpt = False
        self.aux: Any = None  # the device's own
        self.mchan: Chan | None = None  # channel to the file server
        self.mcp: Mntcache | None = None  # the file in the mount cache
        self.mux: Mnt | None = None  # the mount that uses this channel for its messages
        self.mqid = Qid(0)
        self.path: Path | None = None

    def __repr__(self) -> str:
        return f"<Chan {self.path.s if self.path else None} type {self.type} qid {self.qid.path:#x} ref {self.ref}>"


@unique
class Mount:
    """One element of a union: what is mounted, and how. Source: port/portdat.h."""

    head: Mhead | None  # None since 55c3138c6, which makes mounts before it looks for the head
    to: Chan
    mflag: int
    mountid: int
    spec: str | None = None
    next: Mount | None = None


class Mhead:
    """A place something is mounted upon. Source: port/portdat.h."""

    __slots__ = ("from_", "lock", "mount", "ref")

    def __init__(self, from_: Chan) -> None:
        self.ref = 1
        self.lock = RWlock()
        self.from_ = from_
        self.mount: Mount | None = None


class Pgrp(Lock):
    """A name space. ``mnthash`` has a list of Mheads for each hash of a qid. Source: port/portdat.h."""

    def __init__(self, pgrpid: int) -> None:
        super().__init__()
        self.ref = 1
        self.noattach = False
        self.pgrpid = pgrpid
        self.debug = QLock()
        self.ns = RWlock()
        self.mnthash: list[list[Mhead]] = [[] for _ in range(MNTHASH)]


class Fgrp(Lock):
    """File descriptors. ``fd`` grows by DELTAFD. Source: port/portdat.h."""

    def __init__(self, nfd: int = DELTAFD) -> None:
        super().__init__()
        self.ref = 1
        self.fd: list[Chan | None] = [None] * nfd
        self.maxfd = 0  # highest in use
        self.exceed = 0

    @property
    def nfd(self) -> int:
        """Number of slots."""
        return len(self.fd)


@unique
class Evalue:
    """One environment variable. Source: port/portdat.h."""

    name: str
    qid: Qid
    value: bytes = b""


class Egrp(RWlock):
    """An environment. Source: port/portdat.h."""

    def __init__(self) -> None:
        super().__init__()
        self.ref = 1
        self.ent: list[Evalue] = []
        self.names: dict[str, Evalue] = {}  # the same by name: programs write many, each after a search in vain
        self.path = 0  # qid.path of the last Evalue made
        self.vers = 0


class Clunkq:
    """Channels to be closed by the close processes. Source: port/chan.c."""

    def __init__(self) -> None:
        self.chans: list[Chan] = []  # the oldest first
        self.nqueued = 0
        self.nclosed = 0  # or being closed
        self.started = False
        self.l = Lock()
        self.q = QLock()  # held by the close process that sleeps at r
        self.r = Rendez()


class Files:
    """What chan.c, pgrp.c, auth.c and devcons.c keep in globals; ``k.files``. The boot may fill in the strings.

    ``kmalloc`` and ``kdraw`` are what /dev/swap tells of the kernel's own memory, as bytes used and limit.
    """

    def __init__(self) -> None:
        self.fid = 0  # the last one made
        self.fids: list[int] = []  # of free channels; 0 if it was given up
        self.clunkq = Clunkq()
        self.pgrpid = Counter()
        self.mountid = Counter()
        self.hostdomain = ""
        self.sysname = ""
        self.kerndate = 0  # mtime of the kernel's own files, s
        self.fasthz = 1_000_000_000  # the fast clock counts virtual ns
        self.kmesg = bytearray()
        self.kmalloc = (0, 0)
        self.kdraw = (0, 0)


def chanpath(c: Chan | None) -> str:
    """The name c was reached by. Source: port/chan.c:chanpath."""
    if c is None:
        return "<nil chan>"
    if c.path is None:
        return "<nil path>"
    return c.path.s


def eqchan(a: Chan, b: Chan, skipvers: bool) -> bool:
    """Whether two channels are of the same file. Source: port/chan.c:eqchan."""
    return eqchantdqid(a, b.type, b.dev, b.qid, skipvers)


def eqchantdqid(a: Chan, type: int, dev: int, qid: Qid, skipvers: bool | int) -> bool:
    """Whether a is the file qid of that device. Source: port/chan.c:eqchantdqid."""
    return a.qid.path == qid.path and (bool(skipvers) or a.qid.vers == qid.vers) and a.type == type and a.dev == dev
