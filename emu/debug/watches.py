"""Watched memory: where it lies now, who has touched it, whether the kernel has changed it.

A watch is of a process's address; what is watched is the physical page there, so every process that shares it is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from emu.debug.memory import Absent, frame, read
from emu.machine.probe import Area, Touch
from kernel.base.mem import BY2PG
from kernel.base.record import record

if TYPE_CHECKING:
    from emu.machine.machine import Machine
    from kernel.base.procdat import Proc

WRITE, READ, ACCESS = "watch", "rwatch", "awatch"


@record
class Watch:
    """Memory of a process that is watched; ``value`` as it was when last looked at, None where it cannot be read."""

    pid: int
    addr: int
    size: int
    kind: str
    value: bytes | None = None
    frames: tuple[Area, ...] = ()


class Watches:
    """Those that there are. ``process`` is a process that is looked at, by its pid."""

    def __init__(self, machine: Machine, process: Callable[[int], Proc | None]) -> None:
        self.all: list[Watch] = []
        self.areas: tuple[Area, ...] = ()  # where they were when that was last looked for
        self._machine = machine
        self._process = process

    def add(self, kind: str, pid: int, addr: int, size: int) -> None:
        """One more."""
        w = Watch(pid, addr, size, kind)
        w.value = self._value(w)
        self.all.append(w)

    def remove(self, kind: str, pid: int, addr: int, size: int) -> None:
        """The reverse."""
        self.all = [w for w in self.all if (w.kind, w.pid, w.addr, w.size) != (kind, pid, addr, size)]

    def forget(self, pid: int) -> None:
        """Those of a process that is no more."""
        self.all = [w for w in self.all if w.pid != pid]

    def refresh(self) -> None:
        """What is there now is known."""
        for w in self.all:
            w.value = self._value(w)

    def moved(self) -> bool:
        """Look where they lie; whether that has changed."""
        found: dict[Area, None] = {}
        for w in self.all:
            p = self._process(w.pid)
            w.frames = _frames(p, w) if p is not None else ()
            found |= dict.fromkeys(w.frames)
        was, self.areas = self.areas, tuple(found)
        return was != self.areas

    def touched(self, touches: Sequence[Touch], pid: int) -> tuple[Watch, Touch] | None:
        """The first access that one is for; one of process pid's own comes first: gdb knows no others as hit by it."""
        for t in touches:
            for w in sorted(self.all, key=lambda w: w.pid != pid):
                if (w.kind == READ and t.write) or (w.kind == WRITE and not t.write):
                    continue
                if any(t.pa < a.end and t.pa + t.size > a.start for a in w.frames):
                    return w, t
        return None

    def changed(self) -> list[Watch]:
        """Those whose memory is not what it was when last looked at: the kernel has stored something there."""
        out = []
        for w in self.all:
            value = self._value(w)
            was, w.value = w.value, value
            if value != was and w.kind != READ and value is not None and was is not None:
                out.append(w)
        return out

    def _value(self, w: Watch) -> bytes | None:
        p = self._process(w.pid)
        try:
            return read(self._machine, p, w.addr, w.size) if p is not None else None
        except Absent:
            return None


def _frames(p: Proc, w: Watch) -> tuple[Area, ...]:
    areas = []
    at = w.addr
    while at < w.addr + w.size:
        n = min(w.addr + w.size - at, BY2PG - at % BY2PG)
        pa = frame(p, at)
        if pa is not None:
            pa += at % BY2PG
            areas.append(Area(pa, pa + n, w.kind != WRITE, w.kind != READ))
        at += n
    return tuple(areas)
