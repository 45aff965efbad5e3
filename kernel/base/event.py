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
    """``op``: alloc, free, copy, cache, uncache, lookup, reclaim, page-out, swap-write, swap-in.

    The last three have the disc address of the swap slot in ``daddr``.
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
    """``op``: new, dup, share, put, free, grow, shrink, attach, detach, relocate."""

    kind: ClassVar[str] = "segment"
    op: str
    type: str
    base: int
    top: int
    ref: int


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


Sink = Callable[[Event], None]
