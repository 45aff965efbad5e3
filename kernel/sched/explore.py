"""The exploring scheduler: switches where the plain one never would, as a strategy says.

The original's races are between processors and with the clock interrupt. Here nothing runs between two switch
points, so without help they would not happen. ``k.explore`` is called at every lock operation and in
the gap between the load and the compare-and-swap of a reference count; this one then may let another processor
run on (locks stay held), or, where interrupts are on and no spin lock is held, another process.

What a strategy decides otherwise than the plain scheduler would is kept as a :class:`Decision`. Its place has a name:
the process, the function that has the point, what the point is, and how many times this process came there. So the
same decisions make the same run, and mostly still do after other lines of the kernel have changed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from greenlet import getcurrent

from kernel.base.error import Panic
from kernel.base.procdat import Ready, Running
from kernel.sched.clock import interrupt
from kernel.sched.dispatch import dispatch
from kernel.sched.sched import behind, mayrun, pause, sched

if TYPE_CHECKING:
    from types import FrameType

    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Mach, Proc


LEAD: Final = 10_000_000  # ns of virtual time a processor may be ahead of the slowest
HOLDNS: Final = 10_000_000  # and how long a process is held at the most, while others go on
SPINNS: Final = 1000  # virtual time one round on a lock takes
MAXSPIN: Final = 100_000  # rounds on one lock before it counts as a deadlock

# What can be done at a point: go on; let other processors go on; give up the processor; stand still until nobody else
# can go on.
STAY, PAUSE, SCHED, HOLD = "", "pause", "sched", "hold"
INTERRUPT = "interrupt"  # let the next one of this processor come
# What else is decided: the process that a processor takes, the processor that goes on.
PICK, TURN = "pick", "turn"

# How points at fields are called, as kernel.sched.watch does
ACCESSES: Final = ("load ", "store ")

# Who only leads to the function that has the point
HELPERS: Final = frozenset(f"kernel.sched.{name}" for name in ("explore", "taslock", "qlock", "rwlock", "ref"))
PASSED: Final = HELPERS | {"kernel.sched.watch", "kernel.memory.uaccess"}


class At(NamedTuple):
    """Where something is decided: ``pid``'s n-th time at ``point``, which is ``FUNCTION:KIND``.

    For PICK and TURN the n-th time that they were asked; with PICK pid is the number of the processor.
    """

    pid: int
    point: str
    n: int

    def __str__(self) -> str:
        return f"{self.pid}/{self.point}/{self.n}"


class Decision(NamedTuple):
    """What was done there; ``to`` is the pid or the processor of PICK and TURN."""

    at: At
    do: str
    to: int = 0


class Strategy:
    """What to do where; this one does what the plain scheduler does."""

    def point(self, x: Explore, p: Proc) -> str:
        """At a switch point of p, which runs: STAY, PAUSE, SCHED or HOLD."""
        return STAY

    def pick(self, x: Explore, m: Mach, ready: list[Proc], first: Proc) -> Proc:
        """Which of the ready processes processor m takes."""
        return first

    def turn(self, x: Explore, some: list[Mach], first: Mach) -> Mach:
        """Which of some processors goes on."""
        return first

    def spin(self, x: Explore, p: Proc) -> None:
        """p finds a lock taken, and waits."""


class Explore:
    """To be ``k.explore``, and ``k.procs.chooser``."""

    def __init__(self, k: Kernel, strategy: Strategy) -> None:
        self.k = k
        self.strategy = strategy
        self.spins = 0
        self.npoints = 0  # so far
        self.decisions: list[Decision] = []
        self.held: dict[Proc, int] = {}  # since when, ns, the longest first
        self.order = 0  # stands for the sequence of processes, and how many points each had before the next
        self.watch: Callable[[At, FrameType], None] | None = None  # is told of every point that is come to
        self.limit = 0  # of virtual time, ns; 0: none
        self._here: tuple[int, str, str, int] = 0, "", "", 0
        self._times: dict[tuple[Any, ...], int] = {}
        self._counts: dict[int, int] = {}  # points of each process
        self._last = 0  # whose point was the last one
        self._pids: dict[Proc, int] = {}

    def __call__(self, point: str) -> None:
        """A switch point of the current process."""
        k = self.k
        up = k.up
        if up is None or up.greenlet is not getcurrent():  # the hub's own work
            if point == "spin":
                self.goon()
            return
        if point == "spin":
            self._spin(up)
            return
        self.spins = 0
        self.npoints += 1
        f = sys._getframe(1)
        while f.f_globals["__name__"] in PASSED and f.f_back is not None:
            f = f.f_back
        pid = up.pid or self.pid(up)
        # by its name, as a schedule has it: several devices have a function read
        function = f.f_code.co_name
        here = pid, function, point
        self._times[here] = times = self._times.get(here, 0) + 1
        self._here = pid, function, point, times
        n = self._counts[pid] = self._counts.get(pid, 0) + 1
        if pid != self._last:
            self._pids[up] = pid
            self.order = hash((self.order, self._last, self._counts.get(self._last, 0), pid, n))
            self._last = pid
        if self.watch is not None:
            self.watch(self.at(), f)
        do = self.strategy.point(self, up)
        if not do:
            return
        amid = point.startswith(ACCESSES)
        k.amid += amid
        try:
            self._leave(up, do)
        finally:
            k.amid -= amid

    def _leave(self, up: Proc, do: str) -> None:
        """Do at the point of the current process what the strategy has said."""
        k = self.k
        if do == HOLD:
            self._hold(up)
            return
        self.decisions.append(Decision(self.at(), do))
        if do == PAUSE:
            pause(k)
        elif do == INTERRUPT:
            interrupt(k)
        else:
            sched(k)

    def at(self) -> At:
        """The point that the current process is at."""
        pid, function, point, times = self._here
        return At(pid, f"{function}:{point}", times)

    @property
    def nprocs(self) -> int:
        """How many processes have come to a point."""
        return len(self._counts)

    def pid(self, p: Proc) -> int:
        """p's pid, or the one that it had before it began to end."""
        if p.pid:
            self._pids[p] = p.pid
            return p.pid
        return self._pids.get(p, 0)

    def maysched(self, up: Proc) -> bool:
        """Whether the current process could be made to give up its processor, as by an interrupt."""
        return up.nlocks == 0 and up.state == Running and not self.k.m.splhi

    def others(self, up: Proc) -> bool:
        """Whether anybody else could go on if the current process left off here."""
        k = self.k
        if len(k.machs) > 1:
            return k.procs.nrdy > 0 or any(m.proc is not None and m.proc is not up for m in k.machs)
        return k.procs.nrdy > 0 and self.maysched(up)

    # Spinning

    def _spin(self, up: Proc) -> None:
        k = self.k
        self.spins += 1
        if len(k.machs) == 1 or self.spins > MAXSPIN:
            raise Panic(f"lock loop: {up!r}")
        for p in [p for p in self.held if p.nlocks]:
            self._release(p, k.m.cpu.now())
        self.strategy.spin(self, up)
        # or the holder, on a processor that is ahead, would wait for this one's clock
        k.m.cpu.spend(SPINNS)
        pause(k)

    def goon(self) -> None:
        """The hub, an interrupt, wants a lock whose holder is paused: let those that hold any go on where they are."""
        k = self.k
        m, up = k.m, k.up
        for other in k.machs:
            if other.proc is not None and other.proc.nlocks:
                other.until = max(other.until, other.cpu.now() + 1)
                dispatch(k, other)
        k.m, k.up = m, up

    # Standing still

    def _hold(self, up: Proc) -> None:
        k = self.k
        if not self.others(up):
            return
        self.decisions.append(Decision(self.at(), HOLD))
        self.held[up] = k.m.cpu.now()
        if len(k.machs) > 1 and not (k.procs.nrdy and self.maysched(up)):
            pause(k)
        else:
            sched(k)
        self.held.pop(up, None)

    def _release(self, p: Proc, now: int) -> None:
        """p may go on; its processor, or whichever takes it, stood still as long."""
        del self.held[p]
        p.since = max(p.since, now)
        if p.mach is not None:
            cpu = p.mach.cpu
            cpu.spend(max(0, now - cpu.now()))

    def _goes(self, m: Mach) -> bool:
        """Whether processor m has anything to do but for those who are held."""
        if m.proc is not None:
            return m.proc not in self.held
        return any(p.state == Ready and p not in self.held and mayrun(self.k, p, m) for p in self.k.procs.proctab)

    def _going(self, some: list[Mach]) -> list[Mach]:
        """Those processors that go on. Who is held is let go if there are none, or if it was long."""
        while self.held:
            going = [m for m in some if self._goes(m)]
            p, since = next(iter(self.held.items()))
            now = min((m.cpu.now() for m in going), default=0)
            if going and now - since <= HOLDNS:
                return going
            self._release(p, now)
        return some

    # k.procs.chooser

    def pick(self, m: Mach, ready: list[Proc], first: Proc) -> Proc | None:
        """Which of the ready processes processor m runs next, None if all are held."""
        if self.held:
            ready = [p for p in ready if p not in self.held]
            if not ready:
                return None
            if first not in ready:
                first = ready[0]
        p = self.strategy.pick(self, m, ready, first)
        if len(ready) > 1:
            at = self._asked(m.machno, PICK)
            if p is not first:
                self.decisions.append(Decision(at, PICK, self.pid(p)))
        return p

    def turn(self, some: list[Mach], front: int) -> Mach:
        """Which processor goes on."""
        if self.held:
            some = self._going(some)
            front = min(m.cpu.now() for m in some)
        if self.limit and front > self.limit:
            raise Panic(f"no end after {self.limit / 1e9:g} s of virtual time")
        some = [m for m in some if m.cpu.now() <= front + LEAD] or some
        first = behind(some)
        m = self.strategy.turn(self, some, first)
        if len(some) > 1:
            at = self._asked(0, TURN)
            if m is not first:
                self.decisions.append(Decision(at, TURN, m.machno))
        return m

    def ready(self) -> list[Proc]:
        """The processes that wait for a processor, and are not held."""
        return [p for p in self.k.procs.proctab if p.state == Ready and p not in self.held]

    def next(self, pid: int, what: str) -> At:
        """The PICK of a processor, or TURN, that is being asked for."""
        return At(pid, what, self._times.get((pid, what), 0) + 1)

    def _asked(self, pid: int, what: str) -> At:
        at = self.next(pid, what)
        self._times[pid, what] = at.n
        return at
