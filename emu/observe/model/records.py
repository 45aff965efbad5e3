"""What a model keeps of each thing. Records never change: a new one takes the place of the old."""

from __future__ import annotations

from typing import Final, NamedTuple

NOADDR: Final = 0xFFFFFFFF  # no disc address
SWAPIMAGE: Final = -2
FSCACHE: Final = -3
NOIMAGE: Final = -1

# A segment's entry, and what a page table maps, are a number each, as in the kernel: a frame's address with flags.
ONSWAP: Final = 1  # of an entry: it is the address of a swap slot
WRITE: Final = 2  # of a mapping: the process may write
FLAGS: Final = 0xFFF


class Machine(NamedTuple):
    """Sizes, told at boot. ``base`` is the address of the pool's first frame."""

    cpus: int
    base: int
    pages: int
    swap: int
    images: int


class Frame(NamedTuple):
    """A frame that is not free.

    ``purpose``: "page" (the pool's common use: segments, and the page cache), "directory" (``owner`` is a pid), "table"
    or "kmap" (``owner`` is the directory's frame, ``va`` what it maps), "pool" (a directory without a process;
    ``owner`` is the processor that keeps it). ``image`` is the image whose cache has the page, at ``daddr``; ``io``
    tells that the pager is about to write it to swap.
    """

    purpose: str
    va: int
    owner: int
    image: int
    daddr: int
    io: bool


class Segment(NamedTuple):
    """A segment. What its pages are is in Model.entries, who has it in Model.places."""

    type: str
    base: int
    top: int
    image: int


class Process(NamedTuple):
    """A process. ``state`` is the kernel's word, "Dead" once it has ended; ``why`` what it is at, as ps tells it.

    ``parent`` is the process that made it, 0 for the first ones. ``status`` is the exit string with name and pid.
    """

    name: str
    parent: int
    state: str
    why: str
    status: str


class Image(NamedTuple):
    """A file whose pages are cached. ``open`` is False when nothing but cached pages is left of it."""

    path: str
    open: bool
