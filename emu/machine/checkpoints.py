"""Where a run can be gone on from once more: copies of the machine that sleep, dense near now and sparse long ago.

A run repeats itself exactly. So to go back is to wake the last copy before a point, and to go on from there to it.
A copy costs the pages that are written between it and the next one: those are what is bounded here, and the number.
"""

from __future__ import annotations

import resource
import socket
import time
from array import array
from typing import TYPE_CHECKING, Any, Final

from emu.machine.sleeper import Channel, Sleeper, fall
from kernel.base.record import record

if TYPE_CHECKING:
    from collections.abc import Sequence

EVERY: Final = 0.1  # s of the host's processor from one to the next
SELDOM: Final = 40  # times as long as a copy takes to make, at least, from one to the next
MOST: Final = 256
ROOM: Final = 512 << 20  # bytes that all may take together, as far as that can be told
PAGE: Final = resource.getpagesize()


@record
class Checkpoint:
    """A copy that sleeps at ``at``, however points in a run are counted: later ones are larger."""

    at: Any
    seconds: float  # of the run until then
    sleeper: Sleeper
    size: int = 0  # bytes written since, until the next one
    used: int = 0  # copies that were woken here and are not done


class Checkpoints:
    """The copies of one run."""

    def __init__(self, every: float = EVERY, most: int = MOST, room: int = ROOM) -> None:
        self.all: list[Checkpoint] = []
        self.ours: list[socket.socket] = []  # no copy is to have these
        # Those of all. Whoever looks at an object writes to it, and that costs each copy a page.
        self._fds = array("i")
        self._size = 0  # of all
        self._every, self._most, self._room = every, most, room
        self._due = 0.0
        self._written = 0  # pages that were copied, at the last one
        self._full = False  # the host has no room for more

    def due(self) -> bool:
        """Whether there should be one; to be asked often."""
        return time.process_time() >= self._due

    def take(self, at: Any, others: Sequence[int] = ()) -> Channel | None:
        """Leave a copy here, without the descriptors ``others``, of which nothing is closed or used in one any more.

        In who is woken from it: the way to who has done that.
        """
        began = time.process_time()
        written = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        if self.all:
            self.all[-1].size = (written - self._written) * PAGE
            self._size += self.all[-1].size
        try:
            made = fall(self._fds + array("i", [*(s.fileno() for s in self.ours), *others]))
        except OSError:
            self._full = True
        else:
            if isinstance(made, Channel):
                for s in (*(c.sleeper.sock for c in self.all), *self.ours):
                    s.detach()  # closed, and the number is another's by now
                self.all.clear()
                self.ours.clear()
                return made
            self.all.append(Checkpoint(at, began, made))
            self._fds.append(made.sock.fileno())
        self._written = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        self._thin()
        now = time.process_time()
        self._due = now + max(self._every, SELDOM * (now - began))
        return None

    def before(self, at: Any) -> Checkpoint | None:
        """The last one that is not behind a point."""
        return next((c for c in reversed(self.all) if c.at <= at), None)

    def close(self) -> None:
        """End them all."""
        for c in self.all:
            c.sleeper.end()
        self.all.clear()
        del self._fds[:]

    def _thin(self) -> None:
        """End those that are missed least: each is as far from the next, more or less, as it is long ago."""
        if self._full:
            self._full, self._most = False, max(len(self.all) // 2, 2)
        while len(self.all) > 2 and (len(self.all) > self._most or self._size > self._room):
            now = self.all[-1].seconds + self._every
            spare = [i for i in range(1, len(self.all) - 1) if not self.all[i].used]
            if not spare:
                return
            i = min(
                spare, key=lambda i: (self.all[i + 1].seconds - self.all[i - 1].seconds) / (now - self.all[i].seconds)
            )
            gone = self.all.pop(i)
            del self._fds[i]
            self._size -= gone.size + self.all[i - 1].size
            gone.sleeper.end()
            before = self.all[i - 1]  # keeps what was written behind either
            before.size = memory(before.sleeper.pid) or before.size + gone.size
            self._size += before.size


def memory(pid: int) -> int:
    """The bytes that a process takes, its share of those that several have; 0 if that cannot be told."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            return next((int(line.split()[1]) << 10 for line in f if line.startswith("Pss:")), 0)
    except (OSError, ValueError):
        return 0
