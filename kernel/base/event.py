"""What the kernel tells the outside: typed events, flowing one way to one sink.

With no listener (``k.sink is None``) an event costs the test of that attribute. Text, JSON,
summaries and pictures are renderings of this one stream; nothing flows back.

Addresses and sizes are ints in bytes; a frame is its physical address.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(slots=True)
class Event:
    """Base of all events. Kernel.emit fills in where and when."""

    kind: ClassVar[str] = "event"
    ns: int  # virtual time since boot
    pid: int  # 0: no process
    cpu: int  # processor number


@dataclass(slots=True)
class BootEvent(Event):
    """The machine is switched on: the first event of all. Its sizes; ``base`` is the first frame of the page pool."""

    kind: ClassVar[str] = "boot"
    cpus: int
    base: int
    pages: int  # frames in the pool, all of them free
    swap: int  # slots on the swap device
    images: int


@dataclass(slots=True)
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
    mode: str
    fn: str
    err: int
    access: str  # "read" or "write"
    segment: str
    cls: str
    load: str
    frame: int  # 0: none


@dataclass(slots=True)
class SyscallEvent(Event):
    """A system call, told when it returns, or on entry (``ret`` None) if it never will."""

    kind: ClassVar[str] = "syscall"
    nr: int
    name: str
    args: str  # rendered for a person, strace's way
    pc: int
    ret: int | None  # signed; -1 is an error
    error: str  # errstr, when ret is -1


@dataclass(slots=True)
class ProcEvent(Event):
    """``op``: fork, exec, exit, broken. ``child`` is the other process's pid, or 0."""

    kind: ClassVar[str] = "proc"
    op: str
    name: str
    child: int
    status: str


@dataclass(slots=True)
class PageEvent(Event):
    """``op``: alloc, free, copy, cache, uncache, lookup, reclaim, page-out, swap-write, swap-end, swap-in.

    The last four have the disc address of the swap slot in ``daddr``. From page-out to swap-end the page is on the
    pager's i/o list, which holds one reference to it and one to the slot.
    """

    kind: ClassVar[str] = "page"
    op: str
    frame: int
    va: int
    image: int  # image number, -1: none; -2 swapimage, -3 fscache
    daddr: int
    ref: int


@dataclass(slots=True)
class ImageEvent(Event):
    """``op``: attach, new, put, close, free, reclaim."""

    kind: ClassVar[str] = "image"
    op: str
    image: int
    path: str
    ref: int
    pgref: int


@dataclass(slots=True)
class SegmentEvent(Event):
    """``op``: new, dup, share, image, free, grow, shrink, attach, detach, relocate.

    ``dup``: every entry of segment ``old`` is one of this, too: each page and swap slot has a holder more. ``image``:
    the segment's pages come from ``image`` from now on. ``attach`` and ``detach`` tell which process has it, at which
    place of its table. ``free``: the segment is no more, and holds none of its pages.
    """

    kind: ClassVar[str] = "segment"
    op: str
    type: str
    base: int
    top: int
    ref: int
    id: int = 0  # serial number, from 1 on; no other segment ever has it
    image: int = -1  # number of the image, -1: none
    old: int = 0  # dup: id of the segment that was copied
    target: int = 0  # attach, detach: pid of the process
    slot: int = -1  # attach, detach: index in its table


@dataclass(slots=True)
class EntryEvent(Event):
    """What a segment has at an address from now on. ``op``: page (in ``frame``), swap (a slot, at ``daddr``), none."""

    kind: ClassVar[str] = "entry"
    op: str
    segment: int  # id
    va: int
    frame: int
    daddr: int


@dataclass(slots=True)
class NoteEvent(Event):
    """``op``: post, deliver, kill."""

    kind: ClassVar[str] = "note"
    op: str
    target: int
    text: str


@dataclass(slots=True)
class TlbEvent(Event):
    """``op``: flush (flushmmu), page (flushpg), switch (mmuswitch)."""

    kind: ClassVar[str] = "tlb"
    op: str
    va: int
    pdb: int


@dataclass(slots=True)
class MmuEvent(Event):
    """What the processor finds under the page directory in frame ``pdb``, and the frames that takes.

    ``op``: directory (it is the process's), table (``frame`` holds the entries of the 4 MB from ``va`` on), kmap (the
    same for what the kernel maps), spare (a table that maps nothing, kept for the next), map (``va`` is ``frame``, as
    ``access`` allows), clear (no user mapping is left, all tables are spare), pool (the directory is kept by the
    processor for another process).
    """

    kind: ClassVar[str] = "mmu"
    op: str
    pdb: int
    va: int
    frame: int
    access: str  # map: "read" or "write", else ""


@dataclass(slots=True)
class SchedEvent(Event):
    """``op``: new, ready, run, off (gave up the processor), wait, end (its pid is no more).

    ``state`` is the kernel's word for what the process is now; ``why`` what it is at, as ps tells it.
    """

    kind: ClassVar[str] = "sched"
    op: str
    target: int  # pid; 0: a process that has ended, and puts its affairs in order
    name: str
    state: str
    why: str


Sink = Callable[[Event], None]
