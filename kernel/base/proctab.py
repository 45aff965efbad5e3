"""The process table, the run queues and the timers of one kernel. Source: the externs of port/proc.c and alarm.c."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from greenlet import getcurrent, greenlet

from kernel.base.dat import QLock, Rendez
from kernel.base.procdat import PROFNS, Nrq, Proc, Schedq

if TYPE_CHECKING:
    from kernel.base.chandat import Pgrp
    from kernel.base.procdat import Mach


class Alarms(QLock):
    """The queue, earliest first, linked by ``palarm``. Cancelled alarms (``alarm`` 0) stay until it gets to them."""

    def __init__(self) -> None:
        super().__init__()
        self.first: Proc | None = None  # alarms.head; QLock's own head is its first waiter
        self.alarmr = Rendez()
        self.started = False


class Chooser(Protocol):
    """Who is next, where the plain scheduler goes by queues and clocks."""

    def pick(self, m: Mach, ready: list[Proc], first: Proc) -> Proc | None:
        """Which of the ready processes processor m runs next; first is the plain scheduler's. None: none yet."""

    def turn(self, some: list[Mach], front: int) -> Mach:
        """Which of some processors, which have something to do, goes on; front: the clock of the slowest, ns."""


class Procs:
    """``k.procs``."""

    def __init__(self) -> None:
        self.hub: greenlet = getcurrent()  # runs the machine's loop
        self.proctab: list[Proc] = []  # those ever used; the original's arena has conf.nproc
        self.freeprocs: list[Proc] = []
        self.others: list[Proc] = []  # outside the table, for tests
        self.runq = [Schedq() for _ in range(Nrq)]
        self.runvec = 0
        self.nrdy = 0
        self.nrun = 0
        self.balancetime = 0
        self.pidgen = 0
        self.kpgrp: Pgrp | None = None  # kproc's static name space, empty
        self.timers: list[tuple[int, int, Proc, int]] = []  # when, order, process, its timer's number
        self.timerno = 0
        self.broken: list[Proc] = []
        self.alarms = Alarms()
        self.nextprof = PROFNS  # ns of processor 0's clock at which its user is sampled next
        self.proctrace: Callable[[Proc, int], None] | None = None  # who listens to /proc/trace
        self.paused = False
        self.chooser: Chooser | None = None  # says who is next, instead of the queues' order and the clocks
