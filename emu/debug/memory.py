"""A process's memory as a debugger sees it: what the process would find there. Asking fetches no page and sets no bit.

A page that is not in memory is read from where a fault would take it: the executable's file, the swap device; what a
fault would clear is zeros. Only what is there, and is this process's alone, can be written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emu.machine.boot import hostpath
from kernel.base.dat import SG_PHYSICAL, SG_SHARED, SG_TEXT, SG_TYPE, Page, Segment
from kernel.base.mem import BY2PG, PTEPERTAB, USTKTOP
from kernel.memory.segment import segname
from kernel.memory.swapmap import swapaddr

if TYPE_CHECKING:
    from emu.machine.machine import Machine
    from kernel.base.procdat import Proc

MAP: Final = (
    '<?xml version="1.0"?><!DOCTYPE memory-map PUBLIC "+//IDN gnu.org//DTD GDB Memory Map V1.0//EN" '
    '"http://sourceware.org/gdb/gdb-memory-map.dtd"><memory-map>'
    f'<memory type="ram" start="0x0" length="0x{USTKTOP:x}"/></memory-map>'
).encode()
ZERO: Final = bytes(BY2PG)


class Absent(LookupError):
    """There is nothing to be read or written at ``va``; str() says why."""

    def __init__(self, va: int, why: str) -> None:
        super().__init__(f"0x{va:08x}: {why}")
        self.va = va


def read(machine: Machine, p: Proc, va: int, n: int) -> bytes:
    """Up to n bytes at va, fewer where memory ends. Raises Absent if there is none at va."""
    out = b""
    while n > 0:
        try:
            page = _contents(machine, p, va)
        except Absent:
            if not out:
                raise
            break
        off = va % BY2PG
        c = min(n, BY2PG - off)
        out += page[off : off + c]
        va = va + c & 0xFFFFFFFF
        n -= c
        if not va:
            break
    return out


def write(machine: Machine, p: Proc, va: int, data: bytes) -> None:
    """Store data at va, all of it or nothing. Raises Absent."""
    pieces = []
    done = 0
    while done < len(data):
        at = va + done
        c = min(len(data) - done, BY2PG - at % BY2PG)
        pieces.append((_own(p, at).pa + at % BY2PG, data[done : done + c]))
        done += c
    for pa, piece in pieces:
        machine.kernel.mem.write(pa, piece)


def frame(p: Proc, va: int) -> int | None:
    """The frame that the page at va is in, if it is in memory."""
    s = segment(p, va)
    e = _entry(s, va) if s is not None else None
    return e.pa if isinstance(e, Page) else None


def segment(p: Proc, va: int) -> Segment | None:
    """The segment that has va."""
    return next((s for s in p.seg if s is not None and s.base <= va < s.top), None)


def told(p: Proc, va: int) -> str:
    """In words what is at va."""
    s = segment(p, va)
    if s is None:
        return "is in no segment"
    e = _entry(s, va)
    if isinstance(e, Page):
        whose = f"held {e.ref} times" + (f", of image {e.image.num}" if e.image is not None else "")
        return f"is in frame 0x{e.pa:x} ({whose}), in the {segname(s)} segment"
    if e is not None:
        return f"is on swap, at 0x{swapaddr(e):x}, in the {segname(s)} segment"
    return f"was not touched yet, in the {segname(s)} segment"


def _entry(s: Segment, va: int) -> Page | int | None:
    x, y = divmod((va - s.base) // BY2PG, PTEPERTAB)
    pte = s.map[x] if x < len(s.map) else None
    return pte.pages[y] if pte is not None else None


def _contents(machine: Machine, p: Proc, va: int) -> bytes:
    """The page at va."""
    s = segment(p, va)
    if s is None:
        raise Absent(va, "is in no segment")
    e = _entry(s, va)
    if isinstance(e, Page):
        return machine.kernel.mem.read(e.pa, BY2PG)
    if e is not None:
        if machine.disk is None:
            raise Absent(va, "is on swap")
        return machine.disk.read(swapaddr(e), BY2PG).ljust(BY2PG, b"\0")
    if s.type & SG_TYPE == SG_PHYSICAL:
        raise Absent(va, "is not mapped")
    if s.image is None or s.image.notext:
        return ZERO
    path = hostpath(machine, p)
    offset = va - va % BY2PG - s.base
    n = min(BY2PG, s.flen - offset)
    if n <= 0:
        return ZERO
    try:
        if path is None:
            raise OSError
        with open(path, "rb") as f:
            f.seek(s.fstart + offset)
            return f.read(n).ljust(BY2PG, b"\0")
    except OSError:
        raise Absent(va, told(p, va).removeprefix("is ")) from None


def _own(p: Proc, va: int) -> Page:
    """The page at va, if a debugger may change it: nobody else would see it who would not see a store of p's."""
    s = segment(p, va)
    e = _entry(s, va) if s is not None else None
    if s is None or not isinstance(e, Page):
        raise Absent(va, told(p, va))
    if s.type & SG_TYPE == SG_TEXT or e.image is not None:
        raise Absent(va, "is shared by all who run this program")
    if e.ref > 1 and s.type & SG_TYPE != SG_SHARED:
        raise Absent(va, "is shared until it is copied on write")
    return e
