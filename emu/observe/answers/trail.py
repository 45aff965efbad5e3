"""The steps of a trail, from the events that may belong to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from emu.observe.model.records import FLAGS, ONSWAP, SWAPIMAGE
from kernel.base.event import EntryEvent, Event, FaultEvent, ImageEvent, PageEvent, SegmentEvent
from kernel.base.mem import BY2PG

NOWHERE: Final = -1  # base of a segment that the trace does not tell


@dataclass(frozen=True)
class Step:
    """One event on the way: ``at`` counts the events until it has happened. ``what`` is a word for it."""

    at: int
    ns: int
    pid: int
    what: str
    text: str
    event: Event = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.at:>7,} {self.ns / 1e9:.9f} [{self.pid}] {self.what}: {self.text}"


def framewords(frame: int) -> str:
    """A frame, in a sentence."""
    return f"frame 0x{frame:08x}"


def slotwords(daddr: int) -> str:
    """A slot of swap, in a sentence."""
    return f"slot 0x{daddr:x}"


def entrywords(e: int | None) -> str:
    """An entry, as the model has them, in a sentence."""
    if e is None:
        return "nothing"
    return f"{slotwords(e & ~FLAGS)} of swap" if e & ONSWAP else framewords(e)


class Teller:
    """Takes events in order, and tells those that led to the entry of the page with that number in ``segment``.

    ``children``: who got which segment first; ``paths``: the first file of each image.
    """

    def __init__(
        self, number: int, names: dict[int, str], children: dict[int, int], paths: dict[int, str]
    ) -> None:
        self.segment = 0  # id of the one whose entry it is now
        self.steps: list[Step] = []
        self._number = number
        self._names = names
        self._children = children
        self._base, self._top = NOWHERE, 0
        self._owners: set[int] = set()  # who has the segment
        self._entry: int | None = None  # as in the model
        self._before: int | None = None  # what was there before that
        self._coming: dict[int, list[Step]] = {}  # of a frame that is not there yet: what it has gone through
        self._files: dict[int, tuple[int, int]] = {}  # image and address in it, of frames in a file's cache
        self._paths = paths
        self._folding: list[Step] = []  # a fault whose parts they are may be told yet
        self._tells: dict[str, Callable[[int, Any], None]] = {
            "segment": self._segment,
            "entry": self._put,
            "fault": self._fault,
            "page": self._page,
            "image": self._image,
        }

    def tell(self, i: int, ev: Event) -> None:
        """The next event, before which there were i."""
        self._tells[ev.kind](i, ev)

    def _say(self, i: int, ev: Event, what: str, text: str, fold: bool = False) -> None:
        step = Step(i + 1, ev.ns, ev.pid, what, text, ev)
        self.steps.append(step)
        if fold:
            self._folding.append(step)

    def _name(self, pid: int) -> str:
        return f"{self._names.get(pid, '?')}[{pid}]" if pid else "the kernel"

    # Segments and their entries

    def _image(self, i: int, ev: ImageEvent) -> None:
        if ev.op == "attach":
            self._paths[ev.image] = ev.path

    def _segment(self, i: int, ev: SegmentEvent) -> None:
        who = self._name(ev.pid)
        if ev.op == "dup":
            child = self._name(self._children.get(ev.id, 0)) if ev.id in self._children else "a child"
            if ev.id == self.segment or self._entry is not None:
                self._say(i, ev, "fork", f"{who} made {child}: both have {entrywords(self._entry)} here")
        if ev.id != self.segment:
            return
        match ev.op:
            case "new":
                self._say(i, ev, "segment", f"{who} made a {ev.type} segment, 0x{ev.base:08x}-0x{ev.top:08x}, empty")
            case "dup":
                self._owners = set()
            case "image":
                self._say(i, ev, "file", f"pages of the segment come from {self._path(ev.image)}")
            case "attach":
                if self._owners and ev.target not in self._owners:
                    self._say(i, ev, "share", f"{self._name(ev.target)} has the same segment from now on")
                self._owners.add(ev.target)
            case "relocate":
                self._say(i, ev, "move", f"the segment was moved to 0x{ev.base:08x}-0x{ev.top:08x}")
        self._base, self._top = ev.base, ev.top

    def _put(self, i: int, ev: EntryEvent) -> None:
        if self._base == NOWHERE or (ev.va - self._base) // BY2PG != self._number:
            return
        entry = ev.frame if ev.op == "page" else ev.daddr | ONSWAP if ev.op == "swap" else None
        if ev.op == "page":
            self.steps += self._coming.pop(ev.frame, ())
            self._say(i, ev, "entry", f"{framewords(ev.frame)} is there from now on", fold=True)
        elif ev.op == "swap":
            self._say(i, ev, "slot", f"{slotwords(ev.daddr)} of swap is there instead of the frame")
        else:
            self._say(i, ev, "none", f"{entrywords(self._entry)} is there no more")
        self._before, self._entry = self._entry, entry

    # Faults

    def _fault(self, i: int, ev: FaultEvent) -> None:
        inside = self._base != NOWHERE and self._base <= ev.addr < self._top
        if not inside or (ev.addr - self._base) // BY2PG != self._number or ev.pid not in self._owners:
            return
        parts = {id(step) for step in self._folding if step.pid == ev.pid}
        self.steps = [step for step in self.steps if id(step) not in parts]
        self._folding = [step for step in self._folding if id(step) not in parts]
        cls = f"{ev.cls}+{ev.load}" if ev.load else ev.cls
        self._say(i, ev, cls, self._faultwords(ev))

    def _faultwords(self, ev: FaultEvent) -> str:
        who, frame = self._name(ev.pid), framewords(ev.frame)
        did = f"{who} {'wrote' if ev.access == 'write' else 'read'}"
        match ev.cls:
            case "zero-fill":
                return f"{did} where nothing was: {frame}, filled with zeros"
            case "text-load" | "data-load":
                return f"{did}, and {frame} was read from {self._file(ev.frame)}"
            case "cache-hit":
                return f"{did}, and {frame} of the page cache had {self._file(ev.frame)}"
            case "cow-copy":
                old = entrywords(self._before)
                if ev.load in ("text-load", "data-load"):
                    old += f", read from {self._file(self._before or 0)},"
                return f"{did}, and {old} was copied into {frame}: others have the old one"
            case "cow-reuse":
                return f"{did}, and nobody else has {frame}: it may be written now"
            case "remap":
                return f"{did}, and {frame} was mapped: the page table had nothing there"
            case "swap-in":
                return f"{did}, and {frame} has again what was on swap"
            case "protection":
                return f"{did} what may only be read, and got a note"
            case _:
                return f"{did}, and got a note"

    def _file(self, frame: int) -> str:
        place = self._files.get(frame)
        if place is None:
            return "the file"
        image, daddr = place
        return f"{self._path(image)}, byte {daddr:,}"

    def _path(self, image: int) -> str:
        return self._paths.get(image) or f"image {image}"

    # Frames and slots

    def _page(self, i: int, ev: PageEvent) -> None:
        if ev.op == "cache" and ev.image >= 0:
            self._files[ev.frame] = ev.image, ev.daddr
        here = ev.frame == self._entry
        if ev.op == "alloc":
            self._coming[ev.frame] = []
        words = self._pagewords(ev)
        if not words:
            return
        what, text, fold = words
        if here or self._entry == ev.daddr | ONSWAP:
            self._say(i, ev, what, text, fold)
        elif not fold:
            self._coming.setdefault(ev.frame, []).append(Step(i + 1, ev.ns, ev.pid, what, text, ev))

    def _pagewords(self, ev: PageEvent) -> tuple[str, str, bool] | None:
        """A word and a sentence, and whether it is a part of faults; None for what is told otherwise, or not at all."""
        frame, slot, swap = framewords(ev.frame), slotwords(ev.daddr), ev.image == SWAPIMAGE
        match ev.op:
            case "page-out":
                return "page-out", f"memory is short: the pager gave {frame} {slot} of swap", False
            case "swap-write":
                return "swap-write", f"{frame} was written to {slot}", False
            case "swap-end":
                return "swap-end", f"the pager lets go of {frame}", False
            case "swap-in":
                return "swap-in", f"{slot} of swap was read into {frame}", False
            case "lookup" if swap:
                return "lookup", f"{slot} need not be read: {frame} still has it", False
            case "uncache" if swap:
                return "uncache", f"{frame} may differ from {slot} from now on", False
            case "reclaim" if swap:
                return "reclaim", f"{frame} was taken for others: only {slot} has it", False
            case "copy":
                return "copy", f"{frame} got a copy", True
        return None
