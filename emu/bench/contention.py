"""What the locks of a page cache cost several processors, in virtual time: statements of the kernel.

An operation is run once, alone, and watched: which locks it takes, and how many lines of the kernel's functions it
executes before, between and after. Then processors that do such operations in an endless row are played against each
other: one that wants a lock which another has waits until that is released, first come first served. So the figures
are the same on any host.
"""

import heapq
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any, Final, TypeAlias

from kernel.base.dat import Lock
from kernel.memory.parent.page import cache, own
from kernel.sched import ref, taslock

Step: TypeAlias = tuple[str, Any]  # ("work", lines), ("lock", lock) or ("unlock", lock)
Operation: TypeAlias = list[Step]

TAKES: Final[tuple[CodeType, ...]] = (taslock.lock.__code__, taslock.canlock.__code__)
GIVES: Final[CodeType] = taslock.unlock.__code__
COUNTS: Final[tuple[CodeType, ...]] = (ref.incref.__code__, ref.decref.__code__)
OURS: Final[tuple[CodeType, ...]] = (own.__code__, cache.__code__)  # Python's alone: the original has no such call
LOCKWORK: Final = 1  # statements that taking or releasing a free lock, or counting a reference, is worth


@dataclass
class Watch:
    """What is seen of an operation."""

    steps: Operation = field(default_factory=list)

    def work(self, n: int) -> None:
        """So many lines more."""
        if self.steps and self.steps[-1][0] == "work":
            n += self.steps.pop()[1]
        self.steps.append(("work", n))

    def call(self, frame: FrameType, event: str, arg: object) -> Any:
        """To be sys.settrace's. Locks are seen where they are taken, lines of the kernel counted."""
        code = frame.f_code
        if code in TAKES or code is GIVES:
            self.work(LOCKWORK)
            self.steps.append(("unlock" if code is GIVES else "lock", frame.f_locals["l"]))
            return None
        if code in COUNTS:
            self.work(LOCKWORK)
            return None
        if code in OURS or "/kernel/memory/" not in code.co_filename.replace("\\", "/"):
            return None
        return self.line

    def line(self, frame: FrameType, event: str, arg: object) -> Any:
        """A line of a function of the kernel's memory."""
        if event == "line":
            self.work(1)
        return self.line


@contextmanager
def watched() -> Iterator[Watch]:
    """Within, what this thread does is seen."""
    watch = Watch()
    before = sys.gettrace()
    sys.settrace(watch.call)
    try:
        yield watch
    finally:
        sys.settrace(before)


def seen(do: Callable[[], object]) -> Operation:
    """One operation, watched."""
    with watched() as watch:
        do()
    return watch.steps


def work(operation: Operation) -> int:
    """The statements of an operation."""
    return sum(n for what, n in operation if what == "work")


def taken(operation: Operation, lock: Lock) -> int:
    """How often it takes a lock."""
    return sum(step == ("lock", lock) for step in operation)


def holds(operation: Operation, lock: Lock) -> list[int]:
    """The statements for which it holds a lock, each time."""
    times: list[int] = []
    held = False
    for what, arg in operation:
        if arg is lock:
            held = what == "lock"
            times += [0] * held
        elif what == "work" and held:
            times[-1] += arg
    return times


@dataclass(frozen=True)
class Outcome:
    """What became of processors side by side: statements from one operation to the next, share of time waited."""

    each: float
    waiting: float


def play(rows: Sequence[Sequence[Operation]]) -> Outcome:
    """Each processor does its row of operations; time is the last one's end, shared by all operations."""
    queues: dict[int, deque[int]] = {}  # by id of a lock: who has it, then who waits
    since = [0] * len(rows)
    waited = [0] * len(rows)
    now = [0] * len(rows)
    todo = [iter([step for operation in row for step in operation]) for row in rows]
    ready = [(0, n) for n in range(len(rows))]
    while ready:
        time, n = heapq.heappop(ready)
        now[n] = time
        what, arg = next(todo[n], ("end", 0))
        if what == "end":
            continue
        if what == "work":
            heapq.heappush(ready, (time + arg, n))
            continue
        queue = queues.setdefault(id(arg), deque())
        if what == "lock":
            queue.append(n)
            since[n] = time
            if queue[0] == n:
                heapq.heappush(ready, (time, n))
            continue
        queue.popleft()
        heapq.heappush(ready, (time, n))
        if queue:
            waited[queue[0]] += time - since[queue[0]]
            heapq.heappush(ready, (time, queue[0]))
    operations = sum(map(len, rows))
    return Outcome(max(now) / operations, sum(waited) / max(sum(now), 1))
