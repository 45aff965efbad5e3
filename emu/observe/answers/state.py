"""What there is at a moment, as far as events tell: processes and their segments, images, who is ready."""

from __future__ import annotations

from dataclasses import dataclass

from emu.observe.model.look import holders, imagerefs, mappings, processor, purpose, segmentrefs, sharers
from emu.observe.model.model import Model
from emu.observe.model.records import NOIMAGE, ONSWAP
from kernel.base.dat import ESEG
from kernel.base.mem import BY2PG


@dataclass(frozen=True)
class Segment:
    """A segment of a process, at ``slot`` of its table. ``others`` are the pids that share it; pages are counted."""

    slot: int
    id: int
    type: str
    base: int
    top: int
    resident: int
    swapped: int
    others: tuple[int, ...]
    path: str  # of its file, "" if it has none

    def __str__(self) -> str:
        shared = f", shared with {', '.join(map(str, self.others))}" if self.others else ""
        file = f", of {self.path}" if self.path else ""
        pages = (self.top - self.base) // BY2PG
        text = f"{self.slot} {self.type:<8} 0x{self.base:08x}-0x{self.top:08x} {self.resident:,} of {pages:,} in memory"
        return f"{text}, {self.swapped:,} on swap; id {self.id}{shared}{file}"


@dataclass(frozen=True)
class Process:
    """A process; ``parent`` made it, ``cpu`` is where it runs. ``resident`` and ``swapped`` count pages, shared too."""

    pid: int
    name: str
    parent: int
    state: str
    why: str
    cpu: int | None
    resident: int
    swapped: int
    status: str

    def __str__(self) -> str:
        why = f" ({self.why})" if self.why and self.why != self.state else ""
        cpu = f" on cpu{self.cpu}" if self.cpu is not None else ""
        line = f"{self.pid:>3} {self.name:<12} {self.state}{why}{cpu}, made by {self.parent}"
        return f"{line}; {self.resident:,} pages in memory, {self.swapped:,} on swap"


@dataclass(frozen=True)
class CachedPage:
    """A page of a file, at byte ``daddr`` of it, in a frame. ``use`` is a word of emu.observe.model.look.PURPOSES."""

    daddr: int
    frame: int
    use: str

    def __str__(self) -> str:
        return f"  byte {self.daddr:>8,} frame 0x{self.frame:08x} {self.use}"


@dataclass(frozen=True)
class Image:
    """A file whose pages are cached. ``ref`` counts its segments and cached pages."""

    number: int
    path: str
    open: bool
    ref: int
    pages: tuple[CachedPage, ...]

    def __str__(self) -> str:
        state = "open" if self.open else "only cached"
        head = f"image {self.number}: {self.path}, {state}, ref {self.ref}, pgref {len(self.pages)}"
        return "\n".join([head, *map(str, self.pages)])


@dataclass(frozen=True)
class Mapped:
    """What events tell of a page table: whether an address is mapped, to which frame, and may be written."""

    va: int
    frame: int | None
    write: bool

    def __str__(self) -> str:
        if self.frame is None:
            return f"0x{self.va:08x}: not mapped"
        return f"0x{self.va:08x}: frame 0x{self.frame:08x}, {'read and write' if self.write else 'read only'}"


def segments(m: Model, pid: int) -> tuple[Segment, ...]:
    """The segments of a process, by slot. Raises LookupError."""
    if pid not in m.places.now:
        raise LookupError(f"no process {pid} has memory at this moment")
    out = []
    for slot, id in sorted(m.places.row(pid).items()):
        s = m.segments.now[id]
        row = m.entries.row(id).values()
        swapped = sum(bool(e & ONSWAP) for e in row)
        image = m.images.now.get(s.image) if s.image != NOIMAGE else None
        others = tuple(sorted({p for p, _ in sharers(m, id)} - {pid}))
        path = image.path if image is not None else ""
        type = "estack" if slot == ESEG else s.type
        out.append(Segment(slot, id, type, s.base, s.top, len(row) - swapped, swapped, others, path))
    return tuple(out)


def processes(m: Model) -> tuple[Process, ...]:
    """Those that have not ended, by pid."""
    out = []
    for pid, p in sorted(m.processes.now.items()):
        if p.state == "Dead":
            continue
        entries = [e for id in set(m.places.row(pid).values()) for e in m.entries.row(id).values()]
        swapped = sum(bool(e & ONSWAP) for e in entries)
        cpu = processor(m, pid)
        resident = len(entries) - swapped
        out.append(Process(pid, p.name or "?", p.parent, p.state, p.why, cpu, resident, swapped, p.status))
    return tuple(out)


def ready(m: Model) -> tuple[Process, ...]:
    """Those that wait for a processor. In which order they will get one events do not tell."""
    return tuple(p for p in processes(m) if p.state == "Ready")


def images(m: Model) -> tuple[int, ...]:
    """The numbers of those there are."""
    return tuple(sorted(m.images.now))


def image(m: Model, number: int) -> Image:
    """An image and its cached pages. Raises LookupError."""
    i = m.images.now.get(number)
    if i is None:
        there = ", ".join(map(str, images(m))) or "none"
        raise LookupError(f"there is no image {number} at this moment; there are: {there}")
    held, refs = holders(m), segmentrefs(m)
    pages = sorted((f.daddr, pa) for pa, f in m.frames.now.items() if f.image == number)
    cached = tuple(CachedPage(daddr, pa, purpose(m, pa, held.get(pa, []), refs)) for daddr, pa in pages)
    return Image(number, i.path, i.open, imagerefs(m)[number], cached)


def mapped(m: Model, pid: int, va: int) -> Mapped:
    """What the process's page table has for an address. Raises LookupError if there is no such process."""
    if pid not in m.places.now:
        raise LookupError(f"no process {pid} has memory at this moment")
    va &= -BY2PG
    there = next((x for x in mappings(m, pid) if x.va == va), None)
    return Mapped(va, there.frame if there is not None else None, there is not None and there.write)
