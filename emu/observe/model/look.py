"""Questions to a model: who holds a frame, what it is used for, where the rest is."""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

from emu.observe.model.model import Model
from emu.observe.model.records import FLAGS, FSCACHE, NOIMAGE, ONSWAP, SWAPIMAGE, WRITE
from kernel.base.mem import BY2PG

PURPOSES: Final = (
    "free", "private", "shared", "cow", "cached", "idle", "swapping", "directory", "table", "kmap", "pool", "moving",
)  # fmt: skip
"""What a frame is used for, as purpose() tells it:

free, private (one segment has it), shared (one segment, which several processes have), cow (several segments have it:
who writes gets a copy), cached (an image's page cache has it, and some segment), idle (the cache alone: the pager may
take it), swapping (on its way to swap), directory and table (what the processor walks), kmap (the kernel's table of
the same kind), pool (a directory kept for the next process), moving (the kernel itself has it, for a moment).
"""


class Holder(NamedTuple):
    """A segment that has a page, and where in it."""

    segment: int
    va: int


class Mapping(NamedTuple):
    """What a process's page tables say of an address. Every such page is the user's to read."""

    va: int
    frame: int
    write: bool


def holders(m: Model) -> dict[int, list[Holder]]:
    """Of each frame that segments have: which, and where."""
    held: dict[int, list[Holder]] = {}
    for id, row in m.entries.now.items():
        base = m.segments.now[id].base
        for n, e in row.items():
            if not e & ONSWAP:
                held.setdefault(e, []).append(Holder(id, base + n * BY2PG))
    return held


def purpose(m: Model, frame: int, held: list[Holder], sharers: Counter[int]) -> str:
    """One of PURPOSES, given the frame's holders and how many places each segment has."""
    f = m.frames.now.get(frame)
    if f is None:
        return "free"
    if f.purpose != "page":
        return f.purpose
    if f.io:
        return "swapping"
    if f.image != NOIMAGE:
        return "cached" if held else "idle"
    if not held:
        return "moving"
    if len(held) > 1:
        return "cow"
    return "shared" if sharers[held[0].segment] > 1 else "private"


def purposes(m: Model) -> dict[int, str]:
    """Every frame of the pool, by address in order; those in use only if the trace does not tell how large it is."""
    held, sharers = holders(m), segmentrefs(m)
    machine = m.machine.now.get(0)
    frames = sorted(m.frames.now)
    if machine is not None:
        frames = list(range(machine.base, machine.base + machine.pages * BY2PG, BY2PG))
    return {pa: purpose(m, pa, held.get(pa, []), sharers) for pa in frames}


def free(m: Model) -> int:
    """How many frames are free; 0 if the trace does not tell how many there are."""
    machine = m.machine.now.get(0)
    return machine.pages - len(m.frames.now) if machine is not None else 0


def segmentrefs(m: Model) -> Counter[int]:
    """Of each segment, how many places of processes have it: its references."""
    return Counter(id for row in m.places.now.values() for id in row.values())


def sharers(m: Model, segment: int) -> list[tuple[int, int]]:
    """Who has a segment: pid and place in its table."""
    return [(pid, slot) for pid, row in m.places.now.items() for slot, id in row.items() if id == segment]


def framerefs(m: Model) -> Counter[int]:
    """References to each frame: segments, the processor's tables, the pager's list."""
    refs = Counter(e for row in m.entries.now.values() for e in row.values() if not e & ONSWAP)
    refs.update(pa for pa, f in m.frames.now.items() if f.purpose != "page" or f.io)
    return refs


def slotrefs(m: Model) -> Counter[int]:
    """References to each swap slot in use, by address on the device: segments, and pages on their way there."""
    refs = Counter(e & ~FLAGS for row in m.entries.now.values() for e in row.values() if e & ONSWAP)
    refs.update(f.daddr for f in m.frames.now.values() if f.io)
    return refs


def slots(m: Model) -> dict[int, list[Holder]]:
    """Of each swap slot that segments have: which, and where."""
    held: dict[int, list[Holder]] = {}
    for id, row in m.entries.now.items():
        base = m.segments.now[id].base
        for n, e in row.items():
            if e & ONSWAP:
                held.setdefault(e & ~FLAGS, []).append(Holder(id, base + n * BY2PG))
    return held


def cached(m: Model) -> dict[int, dict[int, list[int]]]:
    """The page caches: of each image, frames by offset in its file; swap and mount cache are images, too."""
    caches: dict[int, dict[int, list[int]]] = {}
    for pa, f in m.frames.now.items():
        if f.image != NOIMAGE:
            caches.setdefault(f.image, {}).setdefault(f.daddr, []).append(pa)
    return caches


def imagerefs(m: Model) -> Counter[int]:
    """References to each image of a file: its cached pages, and the segments made from it."""
    refs = Counter(f.image for f in m.frames.now.values() if f.image not in (NOIMAGE, SWAPIMAGE, FSCACHE))
    refs.update(s.image for s in m.segments.now.values() if s.image != NOIMAGE)
    return refs


def resident(m: Model, pid: int) -> int:
    """How many pages in memory the segments of a process have."""
    ids = set(m.places.row(pid).values())
    return sum(not e & ONSWAP for id in ids for e in m.entries.row(id).values())


def mappings(m: Model, pid: int) -> list[Mapping]:
    """What the process's page tables map, by address."""
    pdb = m.directories.now.get(pid)
    row = m.maps.row(pdb) if pdb is not None else {}
    return [Mapping(n * BY2PG, e & ~FLAGS, bool(e & WRITE)) for n, e in sorted(row.items())]


def processor(m: Model, pid: int) -> int | None:
    """Which processor runs the process, or None."""
    return next((cpu for cpu, p in m.running.now.items() if p == pid), None)
