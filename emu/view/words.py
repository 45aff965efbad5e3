"""What an event did, and what the letters mean, in words for a student."""

from __future__ import annotations

from typing import Final

from emu.observe.model.records import SWAPIMAGE
from emu.view.look import Look
from kernel.base.event import (
    BootEvent,
    EntryEvent,
    Event,
    FaultEvent,
    ImageEvent,
    MmuEvent,
    NoteEvent,
    PageEvent,
    ProcEvent,
    SchedEvent,
    SegmentEvent,
    SyscallEvent,
    TlbEvent,
)

# Of what a frame may be used for, besides a process's own: the letter, and what it means.
LETTERS: Final = {
    "cow": ("2", "copy on write"), "shared": ("=", "shared segment"), "cached": ("C", "cached, in use"),
    "idle": ("I", "cached alone"), "swapping": ("W", "going to swap"), "directory": ("D", "directory"),
    "table": ("T", "page table"), "kmap": ("K", "kmap"), "pool": ("P", "spare"), "moving": ("?", "kernel"),
    "free": (".", "free"),
}  # fmt: skip

SHORT: Final = {
    "cached": "cached", "idle": "idle", "swapping": "to swap", "directory": "dir", "table": "table", "shared": "shared",
}  # fmt: skip
"""The same, where there is less room."""

USES: Final = {
    "free": "free: nobody has it, and the next page that is needed may be put there",
    "private": "one process's own",
    "shared": "in a segment that several processes have: what one writes the others see",
    "cow": "shared after fork: copied on the first write",
    "cached": "a page of a file, kept in the page cache and used by a process; who writes gets a copy",
    "idle": "a page of a file that no process uses now; it is kept in case it is wanted again, until memory is short",
    "swapcache": "what is in it is on swap, too; it is kept in case it is wanted again, until memory is short",
    "swapping": "on its way to swap",
    "directory": "a page directory: where the processor begins to look for an address",
    "table": "a page table: where the processor finds the frames of 4 MB of addresses",
    "kmap": "a page table of the kernel's, to reach frames with",
    "pool": "a page directory kept for the next process",
    "moving": "in the kernel's hands for a moment",
}
"""What a frame is used for, as it is told of one that was chosen."""

FAULTS: Final = {
    "zero-fill": "The first touch of this page. The kernel took a free frame, filled it with zeros and mapped it.",
    "text-load": "The program came to code that is not in memory yet. The page was read from its file, and is kept in "
    "the page cache: the next who runs this program need not read it.",
    "data-load": "The first touch of a page of initialised data. It was read from the program's file.",
    "cache-hit": "The page of the file was still in memory, in the page cache. Nothing had to be read.",
    "cow-copy": "Shared after fork, copied on the first write: others have this page too, so the writer got a copy of "
    "its own, and they keep what was there.",
    "cow-reuse": "The page could only be read, as if it were shared. Nobody else has it, so no copy is needed: it may "
    "be written from now on.",
    "remap": "The page is in memory; only the page table had nothing there, or had forgotten it (a fork forgets all). "
    "The entry was written, nothing was copied.",
    "swap-in": "The page had been put out to swap when memory was short. It was brought back.",
    "protection": "A write to what may only be read. The process gets a note, and ends if it has no handler.",
    "unmapped": "No segment has this address. The process gets a note, and ends if it has no handler.",
}
FILECOPY: Final = (
    "A write to a page of the program's file. The page cache keeps the page as it is in the file, so the writer got a "
    "copy of its own."
)
SWAPCOPY: Final = (
    "A write to a page that is on swap. It was brought back, and others have it too: the writer got a copy of its own."
)
READCOPY: Final = (
    "Others have this page too, and even a read made a copy: so it is on a machine with several processors, and in a "
    "segment that several processes have."
)
PAGES: Final = {
    "alloc": "A free frame is taken.",
    "free": "Nobody has this frame any more: it is free.",
    "copy": "One frame is copied into another: the first write to a page that others have, too.",
    "cache": "The frame is entered in the page cache: whoever wants this page of the file finds it there.",
    "uncache": "The frame leaves the page cache: its file cannot find it any more.",
    "lookup": "The page cache was asked for a page of a file, and had it.",
    "reclaim": "Memory is short: the pager takes a cached page that nobody uses.",
    "page-out": "Memory is short: the pager puts this page on its list for swap.",
    "swap-write": "The page is written to swap.",
    "swap-end": "The page is on swap; its frame is needed no more.",
    "swap-in": "The page is read from swap.",
}
SEGMENTS: Final = {
    "new": "A new segment: a range of addresses with nothing in it yet.",
    "dup": "A copy of a segment, as fork makes one: both have the same pages, which are copied when they are written.",
    "share": "One more process has this segment: what one writes the other sees.",
    "image": "The pages of this segment come from a file.",
    "free": "The segment is no more, and gives up its pages.",
    "grow": "The segment becomes larger. Pages come when they are touched.",
    "shrink": "The segment becomes smaller, and gives up the pages beyond.",
    "attach": "The process has this segment from now on.",
    "detach": "The process gives this segment up.",
    "relocate": "The segment moves to other addresses, with its pages.",
}
ENTRIES: Final = {
    "page": "The segment has this frame at that address from now on.",
    "swap": "What the segment has at that address is on swap from now on.",
    "none": "The segment has nothing at that address any more.",
}
MMU: Final = {
    "directory": "The process gets a page directory: what the processor looks in first, for every address.",
    "table": "A frame becomes a page table, for 4 MB of the process's addresses.",
    "kmap": "A frame becomes a page table for what the kernel maps.",
    "spare": "A page table that maps nothing is kept for the next need.",
    "map": "The page table says now where this page is: the instruction can go on.",
    "clear": "The page tables forget everything: each page that is touched again is a fault, which finds it.",
    "pool": "A page directory is kept for another process.",
}
IMAGES: Final = {
    "attach": "A program's file is in use.",
    "new": "A file's pages can be cached from now on.",
    "put": "One user less of a program's file.",
    "close": "No process runs this file any more. Its pages stay cached.",
    "free": "No page of this file is left in memory.",
    "reclaim": "Memory or images are short: the pages of a file that nobody runs are given up.",
}
PROCS: Final = {
    "fork": "A new process. Its memory is not copied: both have the same pages, until one of them writes.",
    "exec": "The process runs another program. Its memory begins anew, and its pages come when they are touched.",
    "exit": "The process ends, and gives up its memory: pages that nobody else has become free.",
    "broken": "The process ended by an error, and is kept as it is, for a debugger.",
}
NOTES: Final = {
    "post": "A note is sent to a process (other systems call it a signal).",
    "deliver": "The process's handler gets the note.",
}
SCHEDS: Final = {
    "new": "There is a new process.",
    "ready": "The process can run, and waits for a processor.",
    "run": "The processor runs this process now.",
    "off": "The process gives up the processor.",
    "wait": "The process waits for something.",
    "end": "The process is no more.",
}
TLBS: Final = {
    "flush": "The processor forgets the translations that it remembers: page tables have changed.",
    "page": "The processor forgets one translation.",
    "switch": "The processor turns to another page directory: another address space.",
}


def many(n: int, one: str) -> str:
    """``1 page``, ``2,000 pages``."""
    return f"{n:,} {one}" + ("" if n == 1 else "s")


def told(ev: Event | None, look: Look) -> str:
    """What an event did."""
    match ev:
        case None:
            return "Nothing has happened yet: the machine is not switched on. The key n goes to the first event."
        case FaultEvent():
            return _fault(ev, look)
        case PageEvent():
            return PAGES.get(ev.op, "")
        case SegmentEvent():
            return SEGMENTS.get(ev.op, "")
        case EntryEvent():
            return ENTRIES.get(ev.op, "")
        case MmuEvent():
            return MMU.get(ev.op, "")
        case ImageEvent():
            return IMAGES.get(ev.op, "")
        case ProcEvent():
            return PROCS.get(ev.op, "")
        case NoteEvent():
            return NOTES.get(ev.op, "")
        case SchedEvent():
            return SCHEDS.get(ev.op, "")
        case TlbEvent():
            return TLBS.get(ev.op, "")
        case BootEvent():
            return "The machine is switched on. All of its frames are free."
        case SyscallEvent():
            said = f"The program asked the kernel for something: the system call {ev.name}"
            if ev.ret is None:
                return f"{said}, which never returns."
            return f"{said}, which has failed." if ev.error else f"{said}. It has returned."
    return ""


def _fault(ev: FaultEvent, look: Look) -> str:
    words = FAULTS.get(ev.cls, "A page fault.")
    if ev.cls == "cow-copy":
        if ev.access == "read":
            words = READCOPY
        elif ev.load == "swap-in":
            words = SWAPCOPY
        elif ev.load:
            words = FILECOPY
        elif ev.segment == "data":
            words = f"{words[:-1]} (a process since a fork, or the page cache for the program's file)."
        if ev.load == "swap-in" and words is not SWAPCOPY:
            words += " It had to be brought back from swap first."
    if ev.mode == "kernel":
        words += " It was the kernel that touched it, for the process."
    return words


def frame(look: Look, pa: int) -> str:
    """What a frame is."""
    use = look.purpose(pa)
    f = look.m.frames.now.get(pa)
    use = "swapcache" if f is not None and f.image == SWAPIMAGE and use in ("cached", "idle") else use
    words = f"frame 0x{pa:08x}: {USES[use]}"
    held = look.held(pa)
    if held:
        where = []
        for h in held[:4]:
            names = ", ".join(look.name(pid) for pid in look.having(h.segment)[:4]) or "nobody"
            s = look.m.segments.now.get(h.segment)
            where.append(f"{names} at 0x{h.va:08x} ({s.type if s is not None else '?'})")
        words += ". " + "; ".join(where) + (f" and {len(held) - 4} more" if len(held) > 4 else "")
    elif f is not None and (pids := look.owners(pa)):
        words += f". Of {', '.join(look.name(pid) for pid in pids)}"
    image = look.m.images.now.get(f.image) if f is not None else None
    if image is not None:
        words += f". {image.path}, byte {f.daddr if f is not None else 0:,} on"
    return words + "."


KEYS: Final = (
    ("→ n", "the next event", "← p", "back one"),
    ("f F", "next, last page fault", "c C", "next, last of this class"),
    ("PgDn PgUp", "ten events on, back", "Home End", "the start; the newest, the end"),
    ("space", "run, pause", "+ -", "faster, slower"),
    ("Tab", "another process's memory", "a", "list all events, or as -e says"),
    ("m", "arrows choose a frame", "l Enter", "the life of that frame"),
    ("/ N", "search; search on", "o", "what the program wrote"),
    ("?", "help", "q", "quit"),
)

HELP: Final = """\
A machine stands still at an event, or a recorded run is shown at one. Everything on the screen is as it was at that \
moment. Cells that have changed since the last moment are shown reversed.

PHYSICAL MEMORY, one cell for each frame (4096 bytes):
  a..z  a process's own page: the letter and colour of that process
  2..9  shared after fork by so many: copied on the first write (+ is more)
  =     in a segment that several processes have
  C     a page of a file in the page cache, and in use     I  likewise, unused
  W     on its way to swap     .  free
  D     page directory   T  page table   K  the kernel's table   P  spare

VIRTUAL MEMORY, of one process, one letter for each page; colours as above:
  w  mapped, may be written          r  mapped, may be read
  c  mapped to be read; the first write copies it
  m  in memory, but not in the page table: the next touch is a fault
  s  on swap                         .  nothing yet

The pager puts pages out when fewer frames are free than its headroom; programs \
wait for memory when there are no more than highwater.
"""
