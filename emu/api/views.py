"""What a machine that stands still has in its memory, told as values: nothing of the kernel's own is handed out.

Asking changes nothing in the guest: no page is fetched, no bit set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kernel.base.chandat import chanpath
from kernel.base.dat import ESEG, SG_RONLY, Page, Segment
from kernel.base.mem import BY2PG, PTEPERTAB
from kernel.base.procdat import STATENAME, Dead
from kernel.memory.mmu import mmupages
from kernel.memory.page import cachedpages
from kernel.memory.segment import segname
from kernel.memory.swapmap import onswap, swapaddr
from kernel.sched.newproc import procbypid

if TYPE_CHECKING:
    from kernel.base.dat import Image
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Proc

USERDIRS = 0xF0000000 >> 22  # entries of a page directory below the kernel's window
FLAGS = ((1, "P"), (2, "W"), (4, "U"), (0x20, "A"), (0x40, "D"), (0x100, "G"))
WORDS = ((0x20, "was touched"), (0x40, "was written to"))

ADDRESSES = frozenset(
    ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp", "pc", "flags", "base", "top", "va", "pa", "daddr", "frames")
) | {"directory", "pde", "table", "pte"}


class NotPresent(LookupError):
    """No page of the process is in memory at ``va``; str() says why."""

    def __init__(self, va: int, why: str) -> None:
        super().__init__(f"0x{va:08x}: {why}")
        self.va = va


class _View:
    """A value whose repr has addresses and words in hexadecimal."""

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={_hex(name, getattr(self, name))}" for name in self.__dataclass_fields__)  # type: ignore[attr-defined]
        return f"{type(self).__name__}({shown})"


@dataclass(frozen=True, repr=False)
class Registers(_View):
    """A process's registers in user mode, as its last trap saved them. The names are the kernel's: pc is EIP."""

    ax: int
    bx: int
    cx: int
    dx: int
    si: int
    di: int
    bp: int
    sp: int
    pc: int
    flags: int


@dataclass(frozen=True, repr=False)
class SegmentView(_View):
    """A segment of a process: [base, top) in bytes; ``ref`` counts the processes that share it.

    ``resident`` and ``swapped`` are pages in memory and on swap, ``image`` the number of the image it comes from.
    """

    type: str
    base: int
    top: int
    ref: int
    readonly: bool
    resident: int
    swapped: int
    image: int | None


@dataclass(frozen=True, repr=False)
class ProcessView(_View):
    """A process. ``state`` is the kernel's word for it; ``kernel``: it has no user mode; ``cpu`` where it runs."""

    pid: int
    name: str
    state: str
    parent: int
    kernel: bool
    cpu: int | None
    priority: int
    segments: tuple[SegmentView, ...]
    registers: Registers

    @property
    def resident(self) -> int:
        """Its pages in memory, shared ones too."""
        return sum(s.resident for s in self.segments)


@dataclass(frozen=True, repr=False)
class Walk(_View):
    """How the processor finds ``va``: the words of its page directory and page table, as they are in memory.

    ``directory`` and ``table`` are physical addresses of these, None where there is none; ``pde`` and ``pte`` the
    entries, 0 where there is none. Intel SDM vol. 3, 4.3 has the bits.
    """

    va: int
    directory: int | None
    pde: int
    table: int | None
    pte: int

    @property
    def present(self) -> bool:
        """Both entries are: an access by the kernel would succeed."""
        return bool(self.pde & self.pte & 1)

    @property
    def frame(self) -> int | None:
        """Physical address of the page, if it is mapped."""
        return self.pte & 0xFFFFF000 if self.present else None

    @property
    def flags(self) -> str:
        """The bits of the table entry as letters: P(resent), W(ritable), U(ser), A(ccessed), D(irty), G(lobal)."""
        return "".join(letter if self.pte & bit else "-" for bit, letter in FLAGS)

    @property
    def words(self) -> str:
        """What the table entry says, in words."""
        if not self.present:
            return "not mapped: a touch is a page fault"
        said = ["may be written" if self.writable else "may be read", *(w for bit, w in WORDS if self.pte & bit)]
        return f"frame 0x{self.frame:08x}, {', '.join(said)}"

    @property
    def writable(self) -> bool:
        """A program may write there."""
        return self.present and bool(self.pde & self.pte & 2)

    def __str__(self) -> str:
        return f"0x{self.va:08x}: pde 0x{self.pde:08x} pte 0x{self.pte:08x} {self.flags}"


@dataclass(frozen=True, repr=False)
class Mapping(_View):
    """A process that has a frame at an address of its own."""

    pid: int
    va: int


@dataclass(frozen=True, repr=False)
class FrameView(_View):
    """A frame of the pool. ``use`` is free, user, cache (of an image, and no process has it), mmu, or kernel.

    ``owners`` are the processes that have it in a segment, or, of a page directory or table, whose it is.
    """

    pa: int
    use: str
    ref: int
    va: int
    image: int | None
    daddr: int
    owners: tuple[Mapping, ...]


@dataclass(frozen=True, repr=False)
class ImageView(_View):
    """A file whose pages are cached. ``ref`` counts segments and cached pages, ``pgref`` the latter."""

    number: int
    path: str
    ref: int
    pgref: int
    frames: tuple[int, ...]


@dataclass(frozen=True, repr=False)
class MemoryView(_View):
    """Pages of the pool and of swap, in all and free."""

    pages: int
    free: int
    swap: int
    swap_free: int


def _hex(name: str, value: object) -> str:
    if name in ADDRESSES and isinstance(value, int):
        return f"0x{value:x}"
    if name in ADDRESSES and isinstance(value, tuple):
        return f"({', '.join(f'0x{v:x}' for v in value)})"
    return repr(value)


def process(k: Kernel, pid: int) -> ProcessView:
    """The process with that pid. Raises LookupError."""
    return _process(proc(k, pid))


def processes(k: Kernel) -> tuple[ProcessView, ...]:
    """All, by pid."""
    return tuple(_process(p) for p in sorted(_live(k), key=lambda p: p.pid))


def read(k: Kernel, pid: int, va: int, n: int) -> bytes:
    """The n bytes at address va of a process. Raises NotPresent where a page is not in memory."""
    p = proc(k, pid)
    out = b""
    while n > 0:
        page = _page(p, va)
        off = va % BY2PG
        c = min(n, BY2PG - off)
        out += k.mem.read(page.pa + off, c)
        va += c
        n -= c
    return out


def walk(k: Kernel, pid: int, va: int) -> Walk:
    """What the processor would find at an address. Raises ValueError for what is none."""
    if not 0 <= va <= 0xFFFFFFFF:
        raise ValueError(f"{va:#x} is no address of 32 bits")
    return _walk(k, proc(k, pid), va)


def pagetable(k: Kernel, pid: int) -> tuple[Walk, ...]:
    """All valid entries of a process's own part of its page tables, by address."""
    p = proc(k, pid)
    if p.mmupdb is None:
        return ()
    words = k.mem.words
    out = []
    for x in range(USERDIRS):
        pde = words[(p.mmupdb.pa >> 2) + x]
        if pde & 1:
            table = (pde & 0xFFFFF000) >> 2
            out += [_walk(k, p, x << 22 | y << 12) for y in range(1024) if words[table + y] & 1]
    return tuple(out)


def frames(k: Kernel) -> tuple[FrameView, ...]:
    """The frames that were ever in use, by address; those never touched are free."""
    owners: dict[int, list[Mapping]] = {}
    mmu: set[int] = set()
    for p in _live(k):
        for va, page in _resident(p):
            owners.setdefault(page.pa, []).append(Mapping(p.pid, va))
        for _, page in mmupages(k, p):
            mmu.add(page.pa)
            owners.setdefault(page.pa, []).append(Mapping(p.pid, page.va))
    for m in k.machs:
        spare = m.pdbpool
        while spare is not None:
            mmu.add(spare.pa)
            spare = spare.next
    free = set()
    head = k.palloc.head
    while head is not None:
        free.add(head.pa)
        head = head.next

    def use(page: Page) -> str:
        if page.pa in mmu:
            return "mmu"
        if page.pa in free:
            return "free" if page.image is None else "cache"  # with the parent's page cache it is both
        if page.pa in owners:
            return "user"
        return "cache" if page.image is not None else "kernel"

    return tuple(
        FrameView(
            page.pa,
            use(page),
            page.ref,
            page.va,
            page.image.num if page.image is not None else None,
            page.daddr,
            tuple(owners.get(page.pa, ())),
        )
        for page in sorted(k.palloc.pages.values(), key=lambda page: page.pa)
    )


def images(k: Kernel) -> tuple[ImageView, ...]:
    """Those in use."""
    return tuple(
        ImageView(i.num, chanpath(i.c) if i.c is not None else "", i.ref, i.pgref, _cached(k, i))
        for i in k.imagealloc.list
        if i.ref or i.pgref
    )


def memory(k: Kernel) -> MemoryView:
    """How much there is, and how much of it is free."""
    return MemoryView(k.palloc.user, k.palloc.freecount, k.swapalloc.top, k.swapalloc.free)


def _live(k: Kernel) -> list[Proc]:
    return [p for p in k.procs.proctab if p.state != Dead and p.pid]


def proc(k: Kernel, pid: int) -> Proc:
    """The kernel's structure of a process. Raises LookupError."""
    p = procbypid(k, pid)
    if p is None:
        raise LookupError(f"there is no process {pid}")
    return p


def _process(p: Proc) -> ProcessView:
    regs = Registers(**{name: getattr(p.regs, name) for name in Registers.__dataclass_fields__})
    return ProcessView(
        pid=p.pid,
        name=p.text,
        state=p.psstate or STATENAME[p.state],
        parent=p.parentpid,
        kernel=p.kp,
        cpu=p.mach.machno if p.mach is not None else None,
        priority=p.priority,
        segments=tuple(_segment(p, i, s) for i, s in enumerate(p.seg) if s is not None),
        registers=regs,
    )


def _segment(p: Proc, i: int, s: Segment) -> SegmentView:
    entries = [e for pte in s.map if pte is not None for e in pte.pages if e is not None]
    swapped = sum(onswap(e) for e in entries)
    return SegmentView(
        type="estack" if i == ESEG else segname(s),
        base=s.base,
        top=s.top,
        ref=s.ref,
        readonly=bool(s.type & SG_RONLY) or segname(s) == "text",
        resident=len(entries) - swapped,
        swapped=swapped,
        image=s.image.num if s.image is not None else None,
    )


def _resident(p: Proc) -> Iterator[tuple[int, Page]]:
    """Each page of p that is in memory, and where p has it."""
    for s in p.seg:
        for x, pte in enumerate(s.map if s is not None else ()):
            for y, e in enumerate(pte.pages if pte is not None else ()):
                if s is not None and isinstance(e, Page):
                    yield s.base + (x * PTEPERTAB + y) * BY2PG, e


def _cached(k: Kernel, i: Image) -> tuple[int, ...]:
    return tuple(p.pa for p in cachedpages(k, i))


def _page(p: Proc, va: int) -> Page:
    for s in p.seg:
        if s is not None and s.base <= va < s.top:
            x, y = divmod((va - s.base) // BY2PG, PTEPERTAB)
            pte = s.map[x] if x < len(s.map) else None
            e = pte.pages[y] if pte is not None else None
            if isinstance(e, Page):
                return e
            if e is not None:
                raise NotPresent(va, f"is on swap, at 0x{swapaddr(e):x}")
            raise NotPresent(va, f"was not touched yet, in the {segname(s)} segment")
    raise NotPresent(va, "is in no segment")


def _walk(k: Kernel, p: Proc, va: int) -> Walk:
    if p.mmupdb is None:
        return Walk(va, None, 0, None, 0)
    words = k.mem.words
    pde = words[(p.mmupdb.pa >> 2) + (va >> 22)]
    if not pde & 1:
        return Walk(va, p.mmupdb.pa, pde, None, 0)
    table = pde & 0xFFFFF000
    return Walk(va, p.mmupdb.pa, pde, table, words[(table >> 2) + (va >> 12 & 0x3FF)])
