"""The machine: memory, processors and kernel, booted and run to the end of one program.

Processors are run in turn, the one whose virtual clock is furthest behind first, each for a slice of
time at the most; the turns are a function of the guest alone, so a run repeats itself exactly.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

from emu import boot
from emu.console import HostConsole, Interrupted, warn
from emu.cpu import Cpu
from emu.disk import FileDisk
from emu.memory import Memory
from kernel.dat import Broken, Dead, Mach
from kernel.error import Panic
from kernel.explore import Explore
from kernel.inject import Inject
from kernel.kernel import Kernel, confinit
from kernel.mem import BY2PG, MB, ROUND
from kernel.pgrp import hostnote
from kernel.proc import Never
from kernel.uaccess import peek

if TYPE_CHECKING:
    from emu.counter import Kind
    from emu.cpu import Service
    from kernel.event import Sink
    from kernel.hw import Regs

SLICE = 500_000  # ns one of several processors runs ahead of the others


@dataclass(frozen=True)
class Bind:
    """A host directory shown in the guest."""

    host: str
    guest: str
    writable: bool = False


@dataclass(frozen=True)
class Config:
    """What a machine is made of. ``memory`` in bytes, ``timeout`` in seconds of the host's time."""

    memory: int = 64 << 20
    cpus: int = 1
    seed: int = 0
    binds: tuple[Bind, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    cwd: str = "/"
    check: bool = False
    verbose: bool = False
    timeout: float | None = None
    counter: Kind = "auto"
    swap: int = 0  # bytes of a swap device to make; 0: none
    swapfile: str | None = None  # the host file it is in, to be kept
    sched: str = "fifo"  # or "random": an exploring scheduler, by seed
    mmu: str = "nested"  # or "plain": without nested paging
    inject: tuple[tuple[str, int, bool], ...] = ()  # operation, number, whether every such number fails


class LoadError(Exception):
    """The program cannot be run: ``status`` 127 if it is not there, else 126."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class MachineError(Exception):
    """The emulator or its kernel failed (status 125). ``dump`` has the processes, one a line."""

    def __init__(self, message: str, dump: str = "") -> None:
        super().__init__(message)
        self.dump = dump


class TimeLimit(Exception):
    """Config.timeout is over (status 124)."""


@dataclass
class Stats:
    """Figures of one run."""

    virtual_ns: int = 0
    faults: int = 0
    system_calls: int = 0
    context_switches: int = 0
    ticks: int = 0
    pages: int = 0
    free_pages: int = 0
    processes: int = 0
    page_outs: int = 0
    swap_writes: int = 0
    swap_ins: int = 0
    reclaimed_pages: int = 0
    host_seconds: float = 0.0


@dataclass
class Outcome:
    """How the program ended: the exit status for the host, Plan 9's exit string, and figures."""

    status: int
    exits: str
    pid: int
    name: str
    stats: Stats


def hoststatus(string: str) -> int:
    """Exit status for an exit string: 0 for "", 1..255 for a decimal number (as Go's), else 1."""
    if not string:
        return 0
    if string.isascii() and string.isdigit() and len(string) <= 3 and 1 <= int(string) <= 255:
        return int(string)
    return 1


class Machine:
    """One emulated computer. ``sink`` gets every kernel event; it may raise to end the run."""

    def __init__(self, config: Config, sink: Sink | None = None) -> None:
        self.config = config
        conf = confinit(config.memory, config.cpus)
        if config.swap:
            conf.nswap = config.swap // BY2PG
        # The kernel's window maps 4 MB at a time; what -m leaves of the last 4 MB nobody uses.
        self.memory = Memory(ROUND(config.memory, 4 * MB))
        self.kernel = k = Kernel(conf, self.memory, config.memory - conf.upages * BY2PG)
        self.cpus: list[Cpu] = []
        kind = Cpu
        if config.mmu == "plain":
            from emu.plaincpu import PlainCpu

            kind = PlainCpu
        for n in range(config.cpus):
            try:
                cpu = kind(n, self.memory, self._service(n), counter=config.counter)
            except ImportError as e:
                raise MachineError(f"--counter native: {e}") from None
            self.cpus.append(cpu)
            m = Mach(n, cpu, k.mmu.machpdb(n))
            k.machs.append(m)
            cpu.putcr3(m.pdb)
        k.m = k.machs[0]
        k.sink = sink
        k.checking = config.check
        k.rng.seed(config.seed)
        if config.sched == "random":
            k.explore = explore = Explore(k, config.seed)
            k.procs.rng = explore.rng
        if config.inject:
            k.inject = Inject({kind: (n, every) for kind, n, every in config.inject})
        self.console = k.console = HostConsole()
        if config.verbose:
            k.onprint = lambda text: warn(text.rstrip("\n"))
        if config.counter == "auto" and not self.cpus[0].counter.native:
            warn("the block counter is in Python, as no C compiler was there at installation: running slower")
        self.disk = self._swapdisk()
        self.timedout = False
        self.interrupts = 0  # times that Ctrl-C was typed
        self.posted = False  # the note for the first was posted
        self.first: boot.First | None = None
        self.program = ("", "")  # name in the guest and host path of what runs

    def _swapdisk(self) -> FileDisk | None:
        config = self.config
        if not config.swap:
            return None
        try:
            return FileDisk(config.swap, config.swapfile)
        except OSError as e:
            what = f"--swap-file {config.swapfile}" if config.swapfile else "--swap"
            raise MachineError(f"{what}: {e.strerror}") from None

    def _service(self, n: int) -> Service:
        k = self.kernel
        dispatch = k.procs.dispatch

        def service(no: int, ecode: int) -> Regs | None:
            # the kernel's Regs are those that newregs() made
            return dispatch(k.machs[n], (no, ecode))

        return service  # type: ignore[return-value]

    def run(self, program: str, args: Sequence[str]) -> Outcome:
        """Run a host program, or a bundled guest by name, to its end.

        Raises LoadError, MachineError, TimeLimit, and whatever the sink raises.
        """
        started = time.perf_counter()
        first = self.first = boot.boot(self, program, [os.fsencode(a) for a in args])
        old = self._alarm(True)
        sigint = self._catch()
        try:
            self._loop()
            if self.config.verbose:
                self._leftovers(first)
            self.kernel.up = None
            self.kernel.check()
        except Panic as e:
            raise MachineError(f"panic: {e}", self.kernel.procs.dump()) from e
        finally:
            self._alarm(False, old)
            if sigint is not None:
                signal.signal(signal.SIGINT, sigint)  # type: ignore[arg-type]
        w = first.wait
        if first.loaderror is not None:
            raise first.loaderror
        assert w is not None
        string = w.msg.removeprefix(f"{first.name} {w.pid}: ")
        return Outcome(hoststatus(string), w.msg, w.pid, first.name, self._stats(time.perf_counter() - started))

    # The loop

    def _loop(self) -> None:
        k = self.kernel
        machs = k.machs
        procs = k.procs
        while not k.halted:
            if self.interrupts:
                self._interrupted()
            if self.timedout:
                raise TimeLimit(f"time limit of {self.config.timeout:g} s reached")
            busy = [m for m in machs if m.proc is not None]
            if not busy and not procs.runvec:
                self._sleep()
                continue
            front = min(m.cpu.now() for m in busy or machs)
            for m in machs:
                if m.proc is None and m.cpu.now() < front:
                    procs.idle(m, front)
            some = machs if procs.runvec else busy
            if procs.rng is not None:
                m = procs.rng.choice(some)
            else:
                # of two at the same time, the idle one: it takes what is ready, while the other goes on
                m = min(some, key=lambda m: (m.cpu.now(), m.proc is not None, m.machno))
            now = m.cpu.now()
            k.m, k.up = m, m.proc
            procs.runtimers(now)
            m.until = min(m.nexttick, procs.nexttimer())
            if len(machs) > 1:
                m.until = min(m.until, now + SLICE)
            m.until = max(m.until, now + 1)
            regs = procs.dispatch(m)
            if regs is not None:
                self.cpus[m.machno].run(regs, m.until)  # type: ignore[arg-type]

    def _sleep(self) -> None:
        """Nothing can run: let time jump to the next timer."""
        k = self.kernel
        t = k.procs.nexttimer()
        if t == Never:
            raise MachineError("no progress: every process waits for another", k.procs.dump())
        for m in k.machs:
            k.procs.idle(m, t)
        k.m, k.up = k.machs[0], None
        k.procs.runtimers(t)

    # Ctrl-C: the first one is the note "interrupt" to the program's group, the second one the machine's end.

    def _catch(self) -> object:
        """Have Ctrl-C set flags that the loop and the block hook test; the handler before, to be put back."""
        if threading.current_thread() is not threading.main_thread():
            return None

        def handler(_no: int, _frame: FrameType | None) -> None:
            self.interrupts += 1
            for cpu in self.cpus:
                cpu.requeststop()
            if self.interrupts > 2:
                raise KeyboardInterrupt  # the loop does not come round
            if self.console.reading:
                raise Interrupted if self.interrupts == 1 else KeyboardInterrupt

        self.console.onintr = self._endsread
        return signal.signal(signal.SIGINT, handler)

    def _interrupted(self) -> None:
        """In the loop, after Ctrl-C."""
        k = self.kernel
        if self.interrupts > 1:
            raise KeyboardInterrupt
        k.m, k.up = k.machs[0], None
        self._postnote()

    def _postnote(self) -> bool:
        """Post the note of the first Ctrl-C, unless that was done; False if it must wait."""
        if self.first is None or not self.first.noteid:
            raise KeyboardInterrupt  # there is no program yet
        if not self.posted:
            self.posted = hostnote(self.kernel, self.first.noteid, "interrupt")
        return self.posted

    def _endsread(self) -> bool:
        """Ctrl-C in a read from the console: whether the process that reads goes on without."""
        up = self.kernel.up
        return not self._postnote() or (up is not None and bool(up.notepending))

    def _alarm(self, on: bool, old: object = None) -> object:
        """Start or stop the host timer of --timeout. It only sets flags that the loop and the block hook test."""
        seconds = self.config.timeout
        if seconds is None or threading.current_thread() is not threading.main_thread():
            return None
        if not on:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old or signal.SIG_DFL)  # type: ignore[arg-type]
            return None

        def handler(_no: int, _frame: FrameType | None) -> None:
            self.timedout = True
            for cpu in self.cpus:
                cpu.requeststop()
            if self.console.reading:
                raise TimeLimit(f"time limit of {seconds:g} s reached")

        previous = signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, seconds, 0.05)
        return previous

    # Reports

    def _leftovers(self, first: boot.First) -> None:
        for p in self.kernel.procs.proctab:
            if p.state != Dead and not p.kp:
                what = "kept, broken," if p.state == Broken else "still running"
                warn(f"{p.text} {p.pid}: {what} when {first.name} ended")

    def _stats(self, seconds: float) -> Stats:
        k = self.kernel
        return Stats(
            virtual_ns=max(m.cpu.now() for m in k.machs),
            faults=k.nfault,
            system_calls=k.nsyscall,
            context_switches=sum(m.cs for m in k.machs),
            ticks=k.machs[0].ticks,
            pages=k.palloc.user,
            free_pages=k.palloc.freecount,
            processes=k.procs.pidgen,
            page_outs=k.npageout,
            swap_writes=k.nswapwrite,
            swap_ins=k.nswapin,
            reclaimed_pages=k.nreclaim,
            host_seconds=seconds,
        )

    # For renderers of the trace

    def code(self, pid: int, pc: int) -> bytes:
        """Up to 15 bytes at pc in the current process, b"" if it is another or they are not mapped."""
        up = self.kernel.up
        if up is None or up.pid != pid:
            return b""
        return peek(self.kernel, pc, 15)

    def image(self, pid: int) -> str | None:
        """Host path of the a.out that process pid runs, if it is known."""
        p = self.kernel.procs.proc(pid)
        return boot.hostpath(self, p) if p is not None else None

    def close(self) -> None:
        """Give everything back. The machine is of no use afterwards."""
        boot.shutdown(self)
        if self.disk is not None:
            self.disk.close()
        for cpu in self.cpus:
            cpu.close()
