"""The life of a frame: what it is now, who has it, and what has happened to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from emu.observe.model.history import History
from emu.observe.model.look import holders, purpose, segmentrefs, sharers
from emu.observe.model.records import NOIMAGE, SWAPIMAGE
from emu.observe.text import TextWriter
from emu.observe.words import USES
from kernel.base.event import Event, FaultEvent
from kernel.base.mem import BY2PG

SHOWN: Final = 40  # events that text has, the last ones


class _Nowhere:
    def write(self, text: str) -> None:
        """Nothing is written: lines are asked for."""

    def close(self) -> None:
        """Nothing is open."""


TEXT: Final = TextWriter(_Nowhere())


@dataclass(frozen=True)
class Holder:
    """A process that has a frame, and where."""

    pid: int
    name: str
    va: int
    segment: str  # its type

    def __str__(self) -> str:
        return f"{self.name}[{self.pid}] at 0x{self.va:08x} ({self.segment})"


@dataclass(frozen=True)
class Happened:
    """An event; ``at`` counts the events until it has happened."""

    at: int
    event: Event = field(repr=False)

    def __str__(self) -> str:
        ev = self.event
        return f"{self.at:>7,} {ev.ns / 1e9:.9f} [{ev.pid}] {ev.kind} {' '.join(TEXT.what(ev).split())}"


@dataclass(frozen=True)
class Life:
    """A frame by address: its ``use`` now, a word of emu.observe.model.look.PURPOSES, who has it, and its events."""

    frame: int
    use: str
    words: str
    holders: tuple[Holder, ...]
    events: tuple[Happened, ...]

    def __str__(self) -> str:
        lines = [f"frame 0x{self.frame:08x}: {self.words}", *(f"  {holder}" for holder in self.holders)]
        if len(self.events) > SHOWN:
            lines.append(f"        ... {len(self.events) - SHOWN:,} events before these")
        return "\n".join([*lines, *map(str, self.events[-SHOWN:])])


def life(history: History, frame: int) -> Life:
    """The life of the frame that an address is in, until the moment where the history stands.

    Raises LookupError if there is no such frame, as far as that is known.
    """
    frame &= -BY2PG
    m = history.model
    machine = m.machine.now.get(0)
    if machine is not None and not machine.base <= frame < machine.base + machine.pages * BY2PG:
        end = machine.base + machine.pages * BY2PG
        raise LookupError(f"0x{frame:08x} is no frame of the pool, which is 0x{machine.base:08x}-0x{end:08x}")
    held = holders(m).get(frame, [])
    use = purpose(m, frame, held, segmentrefs(m))
    f = m.frames.now.get(frame)
    words = USES["swapcache" if f is not None and f.image == SWAPIMAGE and use in ("cached", "idle") else use]
    if f is not None and f.image not in (NOIMAGE, SWAPIMAGE):
        image = m.images.now.get(f.image)
        words += f"; {image.path if image is not None else f'image {f.image}'}, byte {f.daddr:,}"
    elif f is not None and f.image == SWAPIMAGE:
        words += f"; slot 0x{f.daddr:x}"
    elif f is not None and use in ("table", "kmap"):
        words += f"; from 0x{f.va:08x} on"
    having = [
        Holder(pid, _name(history, pid), h.va, m.segments.now[h.segment].type)
        for h in held
        for pid, _ in sharers(m, h.segment)
    ]
    owner = m.frames.now.get(f.owner) if f is not None and use in ("table", "kmap") else f
    if owner is not None and owner.purpose == "directory":
        words += f"; of {_name(history, owner.owner)}[{owner.owner}]"
    told = tuple(Happened(i + 1, ev) for i, ev in history.life(frame) if not _other(ev, frame))
    return Life(frame, use, words, tuple(sorted(having, key=lambda h: (h.pid, h.va))), told)


def _other(ev: Event, frame: int) -> bool:
    return isinstance(ev, FaultEvent) and ev.frame != frame


def _name(history: History, pid: int) -> str:
    p = history.model.processes.now.get(pid)
    return p.name if p is not None and p.name else "?"
