"""Why a process has what it has at an address: each event that led to the entry of its segment, in order.

An entry is a frame, a slot on swap, or nothing. Its trail begins where the segment was made; if that was a copy, by
fork, it begins in the segment that was copied, and so on. Along it belong what these segments had at the address, the
faults that there were, and what happened to the frames and slots meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, NamedTuple

from emu.observe.answers.trail import Step, Teller, entrywords
from emu.observe.model.history import History
from kernel.base.event import Event, SegmentEvent
from kernel.base.mem import BY2PG

MOSTREMAPS: Final = 3  # in a row that are told one by one


@dataclass(frozen=True)
class Trail:
    """What led to ``now``, which process ``pid`` has at ``va``, the address of a page, in a segment of a ``type``."""

    pid: int
    name: str
    va: int
    type: str
    now: str
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        lines = [f"0x{self.va:08x} of {self.name}[{self.pid}], {self.type}: {self.now}"]
        for what, run in groupby(self.steps, key=lambda step: step.what):
            told = list(map(str, run))
            if what == "remap" and len(told) > MOSTREMAPS:
                told[1:-1] = [f"        ... {len(told) - 2} more of these"]
            lines += told
        return "\n".join(lines)


class Part(NamedTuple):
    """A segment of the trail, from the event that made it (by index) until the one that copied it, or now."""

    id: int
    start: int
    end: int


def why(history: History, va: int, pid: int) -> Trail:
    """The trail to what a process has at an address, at the moment where the history stands. Raises LookupError."""
    m = history.model
    names = {p: process.name or "?" for p, process in m.processes.now.items()}
    name = names.get(pid, "?")
    places = m.places.now.get(pid)
    if places is None:
        raise LookupError(f"no process {pid} has memory at this moment")
    segments = [(id, s) for id in places.values() if (s := m.segments.now.get(id)) and s.base <= va < s.top]
    if not segments:
        raise LookupError(f"0x{va:08x} is in no segment of {name}[{pid}]")
    id, s = segments[0]
    va &= -BY2PG
    number = (va - s.base) // BY2PG
    steps = _steps(history, id, number, names)
    return Trail(pid, name, va, s.type, entrywords(m.entries.row(id).get(number)), steps)


def _steps(history: History, id: int, number: int, names: dict[int, str]) -> tuple[Step, ...]:
    kinds: dict[str, list[tuple[int, Any]]] = {"segment": [], "entry": [], "fault": [], "image": []}
    events = history.events
    for i in range(history.at):
        of = kinds.get(events[i].kind)
        if of is not None:
            of.append((i, events[i]))
    segments = kinds["segment"]
    images = [(i, ev) for i, ev in kinds["image"] if ev.op == "attach"]
    parts = _parts(segments, id, history.at)
    found: list[tuple[int, Event]] = [*images, *kinds["fault"]]
    frames: set[int] = set()
    for part in parts:
        found += [(i, ev) for i, ev in segments if part.start <= i < part.end and part.id in (ev.id, ev.old)]
        entries = [(i, ev) for i, ev in kinds["entry"] if part.start <= i < part.end and ev.segment == part.id]
        found += entries
        frames.update(ev.frame for _, ev in entries)
    found += [(i, ev) for frame in frames for i, ev in history.life(frame) if ev.kind == "page"]
    children: dict[int, int] = {}
    for _, ev in segments:
        if ev.op == "attach":
            children.setdefault(ev.id, ev.target)
    teller = Teller(number, names, children, {ev.image: ev.path for _, ev in reversed(images)})
    starts = {part.start: part.id for part in parts}
    for i, ev in _inorder(found):
        teller.segment = starts.get(i, teller.segment)
        teller.tell(i, ev)
    return tuple(teller.steps)


def _inorder(found: list[tuple[int, Event]]) -> Iterator[tuple[int, Event]]:
    return iter(sorted(dict(found).items()))


def _parts(segments: list[tuple[int, SegmentEvent]], id: int, end: int) -> list[Part]:
    """The segments whose entries led to those of this one, the first of them first."""
    out: list[Part] = []
    for i, ev in reversed(segments):
        if i < end and ev.id == id and ev.op in ("new", "dup"):
            out.append(Part(id, i, end))
            if ev.op == "new":
                return out[::-1]
            id, end = ev.old, i
    out.append(Part(id, 0, end))  # the trace does not tell where it begins
    return out[::-1]
