"""A machine that is booted up to its program's first instruction, and goes on in copies: a fork for each schedule.

A copy costs the host a few milliseconds. Unicorn has no threads and keeps all it has in memory of its own, so a fork
of the host's process is a copy of the machine. What is on the host is not copied: where the guest may write there, in
changes kept apart or a swap device, each copy is booted for itself.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, Final

from greenlet import getcurrent, greenlet

from emu.lab.failure import CRASH, TIMEOUT, Failure, ended, exitstring, raised
from emu.machine.config import Config, LoadError, MachineError, Outcome
from emu.machine.console import DroppingConsole
from emu.machine.machine import Machine
from emu.machine.schedule import Schedule
from kernel.sched.explore import At, Decision, Explore, Strategy
from kernel.sched.strategy import Random

WARMING: Final = "pingpong", ["5"]  # small, and with most of what a schedule does
GRACE: Final = 5.0  # s that a copy may take longer than its time limit
PDEATHSIG: Final = 1  # prctl: die with the parent
CPUCLOCK: Final = 2  # clock_getcpuclockid: a process's processor time


@dataclass(frozen=True)
class Task:
    """One schedule: what is to be done and kept. ``strategy`` makes it, in the copy."""

    number: int
    seed: int
    strategy: Callable[[], Strategy]
    name: str = ""
    decisions: bool = False  # keep them, whether it fails or not
    after: Callable[[Strategy, Explore, Machine, BaseException | None], Any] | None = None  # what else to keep
    before: Callable[[Explore, Machine], None] | None = None


@dataclass
class Result:
    """What became of one schedule."""

    number: int
    seed: int
    failure: Failure | None = None
    status: int = 0
    exits: str = ""
    points: int = 0
    processes: int = 0
    order: int = 0
    virtual_ns: int = 0
    decisions: list[Decision] = field(default_factory=list)
    left: int = 0  # decisions of a replay that found no place
    kept: Any = None
    locks: dict[str, Any] = field(default_factory=dict)  # what --lock-order and --lockset saw


@dataclass(frozen=True)
class Limits:
    """What a run may take, ns of virtual time (0: any), and how it should end."""

    virtual: int = 0
    status: int | None = None  # None: any
    exits: str | None = None


class Copy:
    """A process of the host's that runs one schedule."""

    def __init__(self, task: Task, pid: int, fd: int, timeout: float, patience: float | None = None) -> None:
        self.task = task
        self.pid = pid
        self.fd = fd
        self.latest = time.monotonic() + timeout
        self.patience = patience
        self.until = self.latest if patience is None else min(self.latest, time.monotonic() + patience)
        self.data = bytearray()

    def late(self, now: float) -> bool:
        """Whether it is to be ended: by patience only when it has had that much of a processor, on a busy host too."""
        if now < self.until:
            return False
        if self.patience is not None and now < self.latest:
            left = self.patience - time.clock_gettime(~self.pid << 3 | CPUCLOCK)
            if left > 0:
                self.until = min(self.latest, now + left)
                return False
        return True

    def read(self) -> bool:
        """Take what there is; whether that was all."""
        data = os.read(self.fd, 1 << 16)
        self.data += data
        return not data

    def kill(self) -> None:
        """End it."""
        os.kill(self.pid, signal.SIGKILL)

    def reap(self, late: bool = False) -> Result:
        """After its end: its result."""
        os.close(self.fd)
        _, status = os.waitpid(self.pid, 0)
        task = self.task
        if late:
            return Result(task.number, task.seed, Failure(TIMEOUT, "the machine stood still, and was killed"))
        try:
            return unpack(bytes(self.data))
        except (ValueError, KeyError, TypeError):
            how = signal.Signals(-code).name if (code := os.waitstatus_to_exitcode(status)) < 0 else f"status {code}"
            return Result(task.number, task.seed, Failure(CRASH, f"p9emu died of {how}"))


def pack(r: Result) -> bytes:
    """For a pipe."""
    return json.dumps(asdict(r)).encode()


def unpack(data: bytes) -> Result:
    """From a pipe."""
    fields: dict[str, Any] = json.loads(data)
    if fields["failure"] is not None:
        fields["failure"] = Failure.of(fields["failure"])
    fields["decisions"] = [Decision(At(*at), do, to) for at, do, to in fields["decisions"]]
    return Result(**fields)


class Zygote:
    """The machine that stands before its program's first instruction.

    ``timeout`` is for one schedule, seconds of the host's time. With ``warm`` something small is run first, which makes
    each copy cheaper. Raises LoadError, MachineError.
    """

    def __init__(
        self, config: Config, program: str, args: Sequence[str], timeout: float = 60.0, warm: bool = True
    ) -> None:
        self.config = replace(config, sched="fifo")
        self.program = program
        self.args = list(args)
        self.timeout = timeout
        self.patience: float | None = None  # s of a processor's time after which a copy is killed
        self.limits = Limits()
        self._machine: Machine | None = None
        self._caller = getcurrent()
        self._runner: greenlet | None = None
        self._outcome: Outcome | None = None
        self._error: BaseException | None = None
        self._froze = False
        try:
            self._prctl: Any = ctypes.CDLL(None).prctl
        except (OSError, AttributeError):
            self._prctl = None
        if not apart(config):
            machine = self._boot()
            if warm:
                _warm(machine)
            gc.collect()
            self._froze = gc.get_freeze_count() == 0  # else it is another's to undo
            gc.freeze()  # who looks for garbage would write to all that is shared

    def _boot(self) -> Machine:
        """Raises LoadError, MachineError."""
        config = replace(self.config, timeout=self.timeout)
        machine = self._machine = Machine(config, console=DroppingConsole(), warn=lambda text: None)
        machine.begins = self._stand
        self._caller = getcurrent()
        self._runner = greenlet(self._body)
        self._runner.switch()
        if self._error is not None:
            machine.close()
            raise self._error
        if self._runner.dead:
            machine.close()
            raise MachineError("the program ended before its first instruction")
        return machine

    def _body(self) -> None:
        assert self._machine is not None
        try:
            self._outcome = self._machine.run(self.program, self.args)
        except greenlet.GreenletExit:
            raise
        except BaseException as e:  # noqa: BLE001 told by whoever goes on with the run
            self._error = e

    def _stand(self) -> None:
        assert self._machine is not None
        with self._machine.signals.away():
            self._caller.switch()

    def start(self, task: Task) -> Copy:
        """Begin a schedule in a copy."""
        r, w = os.pipe()
        try:
            pid = os.fork()
        except OSError:
            os.close(r)
            os.close(w)
            raise
        if pid:
            os.close(w)
            return Copy(task, pid, r, self.timeout + GRACE, self.patience)
        status = 1
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's, who ends its copies
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
                signal.signal(number, signal.SIG_DFL)
            if self._prctl is not None:
                self._prctl(PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            os.close(r)
            gc.disable()
            data = pack(self.run(task))
            while data:
                data = data[os.write(w, data) :]
            status = 0
        finally:
            os._exit(status)

    def run(self, task: Task) -> Result:
        """In the copy: the schedule. The machine has run then."""
        result = Result(task.number, task.seed)
        try:
            if self._machine is None:
                self._boot()
        except (LoadError, MachineError) as e:
            result.failure = raised(e)
            return result
        machine = self._machine
        assert machine is not None and self._runner is not None
        machine.seed(task.seed)
        strategy = task.strategy()
        explore = machine.explore(strategy)
        explore.limit = self.limits.virtual
        if task.before is not None:
            task.before(explore, machine)
        self._caller = self._runner.parent = getcurrent()
        self._runner.switch()
        limits = self.limits
        if self._error is not None:
            result.failure = raised(self._error)
        elif (outcome := self._outcome) is not None:
            result.status = outcome.status
            result.exits = exitstring(outcome)
            if limits.status is not None:
                result.failure = ended(outcome, limits.status, limits.exits)
        result.points = explore.npoints
        result.processes = explore.nprocs
        result.order = explore.order
        result.virtual_ns = max(m.cpu.now() for m in machine.kernel.machs)
        if result.failure is not None or task.decisions:
            result.decisions = explore.decisions
        left = getattr(strategy, "left", ()), getattr(strategy, "void", ())
        result.left = len(left[0]) + len(left[1])
        if machine.watched is not None:
            result.locks = machine.watched.state()
        if task.after is not None:
            result.kept = task.after(strategy, explore, machine, self._error)
        if apart(self.config):
            machine.close()
        return result

    def close(self) -> None:
        """Give the machine back."""
        if self._runner is not None and not self._runner.dead:
            self._caller = self._runner.parent = getcurrent()
            self._runner.throw(greenlet.GreenletExit)
        if self._machine is not None:
            self._machine.close()
            self._machine = None
        if self._froze:
            gc.unfreeze()
            self._froze = False

    def one(self, task: Task) -> Result:
        """One schedule, waited for."""
        return next(iter(gather([self.start(task)])))


def gather(copies: list[Copy]) -> list[Result]:
    """Wait for all of them."""
    crew = Crew(copies)
    results: list[Result] = []
    try:
        while crew.copies:
            results += crew.wait()
    finally:
        crew.end()
    return results


class Crew:
    """The copies that run."""

    def __init__(self, copies: Sequence[Copy] = ()) -> None:
        self.copies: dict[int, Copy] = {}
        self.poll = select.poll()
        for copy in copies:
            self.add(copy)

    def add(self, copy: Copy) -> None:
        """One more."""
        self.copies[copy.fd] = copy
        self.poll.register(copy.fd, select.POLLIN)

    def wait(self, left: float | None = None) -> list[Result]:
        """The results of those that end next, within ``left`` seconds."""
        until = min(c.until for c in self.copies.values())
        now = time.monotonic()
        wait = max(0.0, min(until - now, left if left is not None else until - now))
        done = []
        for fd, _ in self.poll.poll(wait * 1000 + 1):
            if self.copies[fd].read():
                done.append(self._take(fd).reap())
        now = time.monotonic()
        for copy in [c for c in self.copies.values() if c.late(now)]:
            copy.kill()
            done.append(self._take(copy.fd).reap(late=True))
        return done

    def _take(self, fd: int) -> Copy:
        self.poll.unregister(fd)
        return self.copies.pop(fd)

    def end(self) -> None:
        """End all that are left; none stays behind."""
        for copy in list(self.copies.values()):
            copy.kill()
            self._take(copy.fd).reap()


def _warm(machine: Machine) -> None:
    """Run a small guest as a copy does, so that copies find modules, caches and specialised bytecode in place."""
    config = machine.config
    small = Config(cpus=config.cpus, points=config.points, lockorder=config.lockorder, lockset=config.lockset)
    with closing(Zygote(small, *WARMING, warm=False)) as zygote:
        zygote.limits = Limits(status=0)
        pack(zygote.run(Task(0, 0, partial(Random, 0))))
        assert zygote._machine is not None and zygote._machine.watched is not None
        machine.watch().ready(zygote._machine.watched)


def apart(config: Config) -> bool:
    """Whether each schedule needs a machine booted for itself, as something of the host's belongs to it."""
    cow = config.root is not None and config.root.cow
    return bool(config.swap) or cow or any(b.cow for b in config.binds)


def schedule(zygote: Zygote, command: str, result: Result, name: str, version: str) -> Schedule:
    """The schedule of a result."""
    failure = str(result.failure) if result.failure is not None else ""
    return Schedule(command, result.seed, tuple(result.decisions), name, failure, version)
