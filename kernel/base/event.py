"""What the kernel tells the outside: typed events, flowing one way to one sink.

With no listener (``k.sink is None``) an event costs the test of that attribute. Text, JSON,
summaries and pictures are renderings of this one stream; nothing flows back.

Addresses and sizes are ints in bytes; a frame is its physical address.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final, Literal, TypeAlias, get_args, get_type_hints

from kernel.base.record import field, record

# The words that events tell by. What a trace prints of them, `p9emu trace --legend` explains.

FaultClass: TypeAlias = Literal[
    "text-load", "data-load", "cache-hit", "zero-fill", "cow-copy", "cow-reuse", "remap", "swap-in", "protection",
    "unmapped",
]  # fmt: skip
Load: TypeAlias = Literal["", FaultClass]
SegmentType: TypeAlias = Literal["text", "data", "bss", "stack", "shared", "physical"]
FaultSegment: TypeAlias = Literal["", SegmentType, "estack"]
Mode: TypeAlias = Literal["user", "kernel"]
Access: TypeAlias = Literal["read", "write"]
ProcOp: TypeAlias = Literal["fork", "exec", "exit", "broken"]
PageOp: TypeAlias = Literal[
    "alloc", "free", "copy", "cache", "uncache", "lookup", "reclaim", "page-out", "swap-write", "swap-end", "swap-in"
]
ImageOp: TypeAlias = Literal["attach", "close", "free"]
SegmentOp: TypeAlias = Literal["new", "dup", "share", "image", "free", "grow", "shrink", "attach", "detach", "relocate"]
EntryOp: TypeAlias = Literal["page", "swap", "none"]
NoteOp: TypeAlias = Literal["post", "deliver"]
TlbOp: TypeAlias = Literal["flush", "page", "switch"]
MmuOp: TypeAlias = Literal["directory", "table", "kmap", "spare", "map", "clear", "pool"]
MmuAccess: TypeAlias = Literal["", Access]
SchedOp: TypeAlias = Literal["new", "ready", "run", "off", "wait", "end"]

ASIDE: Final = frozenset({"began", "host", "files"})
"""Fields that are told where they are asked for, and in no comparison: a trace without them is whole."""


@record
class Event:
    """Base of all events. Kernel.emit fills in where and when."""

    kind: ClassVar[str] = "event"
    ns: int  # virtual time since boot
    pid: int  # 0: no process
    cpu: int  # processor number


@record
class BootEvent(Event):
    """The machine is switched on: the first event of all. Its sizes; ``base`` is the first frame of the page pool."""

    kind: ClassVar[str] = "boot"
    cpus: int
    base: int
    pages: int  # frames in the pool, all of them free
    swap: int  # slots on the swap device
    images: int


@record
class FaultEvent(Event):
    """A page fault on a user address, after it was served (or found unservable).

    ``mode`` is "user" or "kernel"; ``fn`` the kernel function that touched user memory ("" in user
    mode); ``err`` the 386 error code (bit 0 present, 1 write, 2 user). ``segment`` is "text",
    "data", "bss", "stack", "shared", "physical", "estack" or "" (none).

    ``cls`` is one of text-load, data-load, cache-hit, zero-fill, cow-copy (``load`` then names the
    load that came with it, or is ""), cow-reuse, remap, swap-in, protection, unmapped.
    """

    kind: ClassVar[str] = "fault"
    addr: int
    pc: int
    mode: Mode
    fn: str
    err: int
    access: Access
    segment: FaultSegment
    cls: FaultClass
    load: Load
    frame: int  # 0: none
    began: int = field(default=-1, compare=False)  # ns at which the process left what it did, -1: not known
    host: int = field(default=0, compare=False)  # ns of the host's time since, 0: not measured


@record
class SyscallEvent(Event):
    """A system call, told when it returns, or on entry (``ret`` None) if it never will."""

    kind: ClassVar[str] = "syscall"
    nr: int
    name: str
    args: str  # rendered for a person, strace's way
    pc: int
    ret: int | None  # signed; -1 is an error
    error: str  # errstr, when ret is -1
    began: int = field(default=-1, compare=False)  # as of a fault
    host: int = field(default=0, compare=False)
    files: tuple[str, ...] = field(default=(), compare=False)  # names of those it is about, if Kernel.tellfiles


@record
class ProcEvent(Event):
    """``child`` is the other process's pid, or 0."""

    kind: ClassVar[str] = "proc"
    op: ProcOp
    name: str
    child: int
    status: str


@record
class PageEvent(Event):
    """What becomes of a frame.

    ``page-out``, ``swap-write``, ``swap-end`` and ``swap-in`` have the disc address of the swap slot in ``daddr``. From
    page-out to swap-end the page is on the pager's i/o list, which holds one reference to it and one to the slot.
    """

    kind: ClassVar[str] = "page"
    op: PageOp
    frame: int
    va: int
    image: int  # image number, -1: none; -2 swapimage, -3 fscache
    daddr: int
    ref: int


@record
class ImageEvent(Event):
    """``op``: attach, close (only cached pages are left), free."""

    kind: ClassVar[str] = "image"
    op: ImageOp
    image: int
    path: str
    ref: int
    pgref: int


@record
class SegmentEvent(Event):
    """What becomes of a segment.

    ``dup``: every entry of segment ``old`` is one of this, too: each page and swap slot has a holder more. ``image``:
    the segment's pages come from ``image`` from now on. ``attach`` and ``detach`` tell which process has it, at which
    place of its table. ``free``: the segment is no more, and holds none of its pages.
    """

    kind: ClassVar[str] = "segment"
    op: SegmentOp
    type: SegmentType
    base: int
    top: int
    ref: int
    id: int = 0  # serial number, from 1 on; no other segment ever has it
    image: int = -1  # number of the image, -1: none
    old: int = 0  # dup: id of the segment that was copied
    target: int = 0  # attach, detach: pid of the process
    slot: int = -1  # attach, detach: index in its table


@record
class EntryEvent(Event):
    """What a segment has at an address from now on. ``op``: page (in ``frame``), swap (a slot, at ``daddr``), none."""

    kind: ClassVar[str] = "entry"
    op: EntryOp
    segment: int  # id
    va: int
    frame: int
    daddr: int


@record
class NoteEvent(Event):
    """``op``: post, deliver (its handler is called)."""

    kind: ClassVar[str] = "note"
    op: NoteOp
    target: int
    text: str


@record
class TlbEvent(Event):
    """``op``: flush (flushmmu), page (flushpg), switch (mmuswitch)."""

    kind: ClassVar[str] = "tlb"
    op: TlbOp
    va: int
    pdb: int


@record
class MmuEvent(Event):
    """What the processor finds under the page directory in frame ``pdb``, and the frames that takes.

    ``op``: directory (it is the process's), table (``frame`` holds the entries of the 4 MB from ``va`` on), kmap (the
    same for what the kernel maps), spare (a table that maps nothing, kept for the next), map (``va`` is ``frame``, as
    ``access`` allows), clear (no user mapping is left, all tables are spare), pool (the directory is kept by the
    processor for another process).
    """

    kind: ClassVar[str] = "mmu"
    op: MmuOp
    pdb: int
    va: int
    frame: int
    access: MmuAccess  # "" but for map


@record
class SchedEvent(Event):
    """``op``: new, ready, run, off (gave up the processor), wait, end (its pid is no more).

    ``state`` is the kernel's word for what the process is now; ``why`` what it is at, as ps tells it.
    """

    kind: ClassVar[str] = "sched"
    op: SchedOp
    target: int  # pid; 0: a process that has ended, and puts its affairs in order
    name: str
    state: str
    why: str


Sink = Callable[[Event], None]

KINDS: Final = frozenset(cls.kind for cls in Event.__subclasses__())


def took(ev: FaultEvent | SyscallEvent) -> int:
    """Virtual ns that a fault or call took, waiting included; 0 where that is not known, or it never ends.

    The clocks of two processors are not quite the same: a process that changed over may seem to end before it began.
    """
    if ev.began < 0 or (isinstance(ev, SyscallEvent) and ev.ret is None):
        return 0
    return max(ev.ns - ev.began, 0)


def words(cls: type[Event]) -> dict[str, tuple[str, ...]]:
    """The fields of a kind of event that hold one of certain words, and these."""
    return {name: w for name, hint in get_type_hints(cls).items() if (w := _words(hint))}


def _words(hint: object) -> tuple[str, ...]:
    args = get_args(hint)
    return args if args and all(isinstance(a, str) for a in args) else ()
