"""The fold: what each event means for the state of the machine.

The references of a page are not counted here. Whoever holds one is known: the segments that have the page
(``entries``), the processor's tables, the pager's list (``Frame.io``); :mod:`look` adds them up. For a moment the
kernel itself may hold one more, between taking a page and giving it to someone.

A model of a stream that lacks kinds of events, or its beginning, knows what the rest tells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from emu.observe.model.records import (
    NOADDR,
    NOIMAGE,
    ONSWAP,
    WRITE,
    Frame,
    Image,
    Machine,
    Process,
    Segment,
)
from emu.observe.model.tables import Nested, Table
from kernel.base.event import (
    BootEvent,
    EntryEvent,
    Event,
    ImageEvent,
    MmuEvent,
    PageEvent,
    ProcEvent,
    SchedEvent,
    SegmentEvent,
)
from kernel.base.mem import BY2PG, PDX

NEWCOMER = Process("", 0, "", "", "")


class Model:
    """The machine after the events that were applied. Tables are to be read; apply() alone changes them."""

    def __init__(self) -> None:
        self.machine: Table[int, Machine] = Table()  # under 0, once it is known
        self.frames: Table[int, Frame] = Table()  # by address; one that is missing is free
        self.segments: Table[int, Segment] = Table()  # by id
        self.entries: Nested[int] = Nested()  # of a segment, by page number in it: a frame, or a slot | ONSWAP
        self.places: Nested[int] = Nested()  # of a pid: segment ids, by index in its table
        self.processes: Table[int, Process] = Table()  # by pid; those that have ended stay
        self.running: Table[int, int] = Table()  # pid by processor; 0: one that has ended; missing: nothing runs there
        self.directories: Table[int, int] = Table()  # page directory by pid
        self.tables: Nested[int] = Nested()  # of a directory: frames of page tables in use, by directory entry
        self.maps: Nested[int] = Nested()  # of a directory: frame | WRITE, by page number
        self.images: Table[int, Image] = Table()  # by number
        self._apply: dict[type[Event], Callable[[Any], None]] = {
            BootEvent: self._boot,
            PageEvent: self._page,
            SegmentEvent: self._segment,
            EntryEvent: self._entry,
            MmuEvent: self._mmu,
            ImageEvent: self._image,
            ProcEvent: self._proc,
            SchedEvent: self._sched,
        }

    def apply(self, ev: Event) -> None:
        """Make the state what it is after ev. Faults, calls, notes and the TLB tell of what others tell, too."""
        apply = self._apply.get(type(ev))
        if apply is not None:
            apply(ev)

    def _boot(self, ev: BootEvent) -> None:
        """The pool is as large as that, and free."""
        self.machine.put(0, Machine(ev.cpus, ev.base, ev.pages, ev.swap, ev.images))

    def _page(self, ev: PageEvent) -> None:
        """A frame is taken, given back, entered in a page cache or taken out of it, or goes to the pager's list.

        copy, lookup, swap-write and swap-in change bytes and references alone.
        """
        match ev.op:
            case "alloc":
                self.frames.put(ev.frame, Frame("page", ev.va, 0, NOIMAGE, NOADDR, False))
            case "free":
                f = self.frames.now.get(ev.frame)
                if f is not None and f.purpose == "directory":
                    self.directories.put(f.owner, None)
                self.frames.put(ev.frame, None)
            case "cache":
                self.frames.put(ev.frame, Frame("page", ev.va, 0, ev.image, ev.daddr, self._io(ev.frame)))
            case "uncache" | "reclaim":
                self.frames.put(ev.frame, Frame("page", ev.va, 0, NOIMAGE, NOADDR, self._io(ev.frame)))
            case "page-out" | "swap-end":
                self.frames.put(ev.frame, Frame("page", ev.va, 0, ev.image, ev.daddr, ev.op == "page-out"))

    def _io(self, frame: int) -> bool:
        f = self.frames.now.get(frame)
        return f is not None and f.io

    def _segment(self, ev: SegmentEvent) -> None:
        """A segment comes, goes, changes its range or source, or a process gets it or gives it up."""
        if ev.op == "free":
            self.segments.put(ev.id, None)
            self.entries.drop(ev.id)
            return
        if ev.op == "detach":
            self.places.put(ev.target, ev.slot, None)
            return
        self.segments.put(ev.id, Segment(ev.type, ev.base, ev.top, ev.image))
        if ev.op == "dup":
            self.entries.copy(ev.old, ev.id)
        elif ev.op == "attach":
            self.places.put(ev.target, ev.slot, ev.id)

    def _entry(self, ev: EntryEvent) -> None:
        """A segment has a page, a swap slot, or nothing at an address. What comes for one that is gone is dropped."""
        s = self.segments.now.get(ev.segment)
        if s is not None:
            e = ev.frame if ev.op == "page" else ev.daddr | ONSWAP if ev.op == "swap" else None
            self.entries.put(ev.segment, (ev.va - s.base) // BY2PG, e)

    def _mmu(self, ev: MmuEvent) -> None:
        """A frame becomes a directory or a table, or the processor finds a page there, or none any more."""
        match ev.op:
            case "map":
                self.maps.put(ev.pdb, ev.va // BY2PG, ev.frame | (WRITE if ev.access == "write" else 0))
            case "table":
                self.tables.put(ev.pdb, PDX(ev.va), ev.frame)
                self.frames.put(ev.frame, Frame("table", ev.va, ev.pdb, NOIMAGE, NOADDR, False))
            case "spare":
                self.frames.put(ev.frame, Frame("table", 0, ev.pdb, NOIMAGE, NOADDR, False))
            case "kmap":
                self.frames.put(ev.frame, Frame("kmap", ev.va, ev.pdb, NOIMAGE, NOADDR, False))
            case "clear":
                self.maps.drop(ev.pdb)
                self.tables.drop(ev.pdb)
            case "directory":
                self.directories.put(ev.pid, ev.pdb)
                self.frames.put(ev.pdb, Frame("directory", 0, ev.pid, NOIMAGE, NOADDR, False))
            case "pool":
                f = self.frames.now.get(ev.pdb)
                if f is not None and f.purpose == "directory":
                    self.directories.put(f.owner, None)
                self.frames.put(ev.pdb, Frame("pool", 0, ev.cpu, NOIMAGE, NOADDR, False))

    def _image(self, ev: ImageEvent) -> None:
        """A file is a program's text from here on, or only cached pages are left of it, or nothing."""
        if ev.op == "attach":
            self.images.put(ev.image, Image(ev.path, True))
        elif ev.op == "close":
            self.images.put(ev.image, Image(ev.path, False))
        elif ev.op == "free":
            self.images.put(ev.image, None)

    def _proc(self, ev: ProcEvent) -> None:
        """A process has another name, or an exit string. That there is one, and what it does, sched tells."""
        pid = ev.child if ev.op == "fork" else ev.pid
        p = self.processes.now.get(pid, NEWCOMER)
        parent = ev.pid if ev.op == "fork" else p.parent
        status = ev.status if ev.op in ("exit", "broken") else p.status
        self.processes.put(pid, Process(ev.name, parent, p.state, p.why, status))

    def _sched(self, ev: SchedEvent) -> None:
        """What a process does: it is there, can run, runs, has given up the processor, waits, is no more."""
        if ev.op == "off":
            self.running.put(ev.cpu, None)
            return
        if ev.op in ("run", "end"):
            self.running.put(ev.cpu, ev.target if ev.op == "run" else 0)
        if not ev.target:  # has ended
            return
        p = self.processes.now.get(ev.target, NEWCOMER)
        parent = ev.pid if ev.op == "new" else p.parent
        state = "Dead" if ev.op == "end" else ev.state
        self.processes.put(ev.target, Process(ev.name, parent, state, ev.why, p.status))
