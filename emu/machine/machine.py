"""The machine: memory, processors and kernel, booted and run to the end of one program.

Processors are run in turn, the one whose virtual clock is furthest behind first, each for a slice of
time at the most; the turns are a function of the guest alone, so a run repeats itself exactly. With the host's clock
they take turns, and what happens depends on when it happens.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from greenlet import getcurrent

from emu.failure import USAGE
from emu.machine import boot
from emu.machine.config import Config, LoadError, MachineError, Outcome, Stats, hoststatus
from emu.machine.console import HostConsole, warn
from emu.machine.cpu import Cpu
from emu.machine.lib import UnusableError
from emu.machine.memory import Memory
from emu.machine.signals import LONGEST, Signals
from kernel.base.dat import TSEG
from kernel.base.error import Panic, Wrong
from kernel.base.kernel import NSPERSEC
from kernel.base.mem import BY2PG, MB, ROUND
from kernel.base.procdat import Broken, Dead, Mach
from kernel.base.variant import variant
from kernel.main import confinit, newkernel
from kernel.memory.check import mustcheck
from kernel.memory.uaccess import peek
from kernel.memory.vmap import machpdb
from kernel.sched.clock import Never, idle, nexttimer, runtimers
from kernel.sched.dispatch import dispatch
from kernel.sched.newproc import procbypid, unwind
from kernel.sched.note import hostnote
from kernel.sched.sched import behind, canrun
from kernel.waits import procdump

# What is for some runs alone is imported where it is used: a run of hello is half imports.
if TYPE_CHECKING:
    from emu.machine.clock import Clock
    from emu.machine.console import Console
    from emu.machine.cpu import Service
    from emu.machine.disk import FileDisk, MemoryDisk
    from emu.machine.hostnet import Hostnet
    from emu.machine.journal import Journal
    from emu.machine.lookup import Counts
    from emu.machine.netconfig import Net
    from emu.machine.schedule import Schedule
    from kernel.base.chandat import Chan
    from kernel.base.event import Sink
    from kernel.base.hw import Regs
    from kernel.sched.explore import Explore, Strategy
    from kernel.sched.strategy import Replay
    from kernel.sched.watch import Watch

SLICE = 500_000  # ns one of several processors runs ahead of the others


def _schedule(config: Config, journal: Journal | None) -> Schedule | None:
    """That of --sched replay:FILE."""
    if config.sched in ("fifo", "random"):
        return None
    from emu.machine.schedule import PREFIX, ScheduleError, parse, read
    from emu.machine.values import data

    if not config.sched.startswith(PREFIX):
        return None
    path = config.sched.removeprefix(PREFIX)
    try:
        return parse(path, journal.ask("schedule", [path], lambda: read(path), data) if journal else read(path))
    except ScheduleError as e:
        raise LoadError(f"--sched {PREFIX}{e}", USAGE) from None


def _net(config: Config) -> Net | None:
    """What of --net is more than the loopback."""
    if config.net == "loopback":
        return None
    from emu.machine.netconfig import parse

    return parse(config.net)


class Machine:
    """One emulated computer. ``sink`` gets every kernel event; it may raise to end the run.

    ``clock`` is what time it follows with Config.clock "real", the host's if not given. Without a ``console`` the
    host's standard streams and its signals are the guest's; ``warn`` takes the emulator's own lines. What the host has
    a part in passes the ``journal``; one that gives back takes the host's place.
    """

    def __init__(
        self,
        config: Config,
        sink: Sink | None = None,
        clock: Clock | None = None,
        console: Console | None = None,
        warn: Callable[[str], None] = warn,
        journal: Journal | None = None,
    ) -> None:
        self.config = config
        self.warn = warn
        self.journal = journal
        conf = confinit(config.memory, config.cpus)
        if config.swap:
            conf.nswap = config.swap // BY2PG
        conf.notefp = config.notefp
        # The kernel's window maps 4 MB at a time; what -m leaves of the last 4 MB nobody uses.
        self.memory = Memory(ROUND(config.memory, 4 * MB))
        self.kernel = k = newkernel(
            conf,
            self.memory,
            config.memory - conf.upages * BY2PG,
            pagecache=config.pagecache,
            pageout=config.pageout or "",
            seed=config.seed,
        )
        k.variant = variant(config.original, config.fix)
        if config.clock == "real":
            from emu.machine.clock import Hostclock, Stepclock

            clock = clock or Hostclock()
            if journal is not None:
                clock = Stepclock(clock, journal)
            k.epoch = clock.epoch
        else:
            clock = None
        if config.epoch is not None:
            k.epoch = config.epoch * NSPERSEC
        self.cpus: list[Cpu] = []
        for n in range(config.cpus):
            try:
                cpu = self._cpu(n, clock)
            except ImportError as e:
                raise MachineError(f"--counter {config.counter}: {e}") from None
            except UnusableError as e:
                raise MachineError(str(e)) from None
            self.cpus.append(cpu)
            m = Mach(n, cpu, machpdb(k, n))
            k.machs.append(m)
            cpu.putcr3(m.pdb)
        k.m = k.machs[0]
        k.sink = sink
        k.checking = config.check
        if config.check and not ("fields" in config.points or config.lockset):
            from kernel.memory.recheck import begin

            begin(k)
        self.clock = clock
        if journal is not None:
            journal.now = lambda: sum(cpu.now() for cpu in self.cpus)
        self.schedule = _schedule(config, journal)
        self.replay: Replay | None = None
        self.begins: Callable[[], object] | None = None  # called before the program's first instruction
        if config.sched != "fifo":
            self.begins = self._explore
        elif config.check or config.lockorder or config.lockset:
            self.begins = self.watch
        self.watched: Watch | None = None
        self._epoch = k.epoch
        self.seed(config.seed if self.schedule is None else self.schedule.seed)
        if config.inject:
            from kernel.base.inject import Inject

            k.inject = Inject({kind: (n, every) for kind, n, every in config.inject})
        self.turns = list(range(config.cpus))  # with a clock: when each processor had its last turn
        self.signals = self._signals(console is None)
        self.console: Console = console or HostConsole(k, self.signals, live=clock is not None, journal=journal)
        k.console = self.console
        k.onwarn = lambda text: self.warn(f"warning: {text}")
        if config.verbose:
            k.onprint = lambda text: self.warn(text.rstrip("\n"))
        if config.counter == "auto" and not self.cpus[0].counter.native:
            self.warn("the block counter is in Python, as no C compiler was there at installation: running slower")
        self.disk = self._swapdisk()
        self.net = _net(config)
        self.hostnet = self._hostnet()
        self.typed = 0  # times that Ctrl-C was typed
        self.posted = 0  # of so many there was a note
        self.first: boot.First | None = None
        self.program: tuple[str, str | None] = ("", None)  # name in the guest and host path of what runs
        self.onturn: Callable[[], None] | None = None  # called each time that the loop comes round
        self._counted: Counts | None = None  # by Unicorn, before the run
        self._paths: dict[int, tuple[Chan, str | None]] = {}  # by number of an image: its file, and the host path

    def _hostnet(self) -> Hostnet | None:
        """The host's network. Without any the kernel asks it too, with -v, for what is not granted to be told."""
        config = self.config
        if (self.net is None or not self.net.outside) and (config.net == "off" or not config.verbose):
            return None
        from emu.machine.hostnet import Hostnet
        from emu.machine.netconfig import Net

        k = self.kernel
        k.network = made = Hostnet(k, self.net or Net(), self.warn, config.verbose, self.journal)
        self.signals.net = made.fd
        return made

    def seed(self, seed: int) -> None:
        """Begin chance, and the time of day, anew."""
        k = self.kernel
        self._seed = seed
        k.rng.seed(seed)
        k.epoch = self._epoch
        if seed and self.clock is None:
            # programs that seed their own chance by the time of day, as Go's do, go different ways too
            k.epoch += random.Random(seed).randrange(NSPERSEC)

    def explore(self, strategy: Strategy) -> Explore:
        """From here on, switch as the strategy says."""
        from kernel.sched.explore import Explore
        from kernel.sched.interrupts import Interrupts
        from kernel.sched.strategy import Pct, Random
        from kernel.sched.watch import INTERRUPTS

        k = self.kernel
        if INTERRUPTS in self.config.points and isinstance(strategy, Random | Pct):
            strategy = Interrupts(strategy, self._seed)
        k.explore = k.procs.chooser = explore = Explore(k, strategy)
        if self.watched is None:
            self.watch()
        return explore

    def watch(self) -> Watch:
        """From here on, look at structures, as the configuration says; what is freed is marked."""
        from kernel.sched.watch import Watch

        c = self.config
        self.kernel.watch = self.watched = Watch(self.kernel, c.points, order=c.lockorder, sets=c.lockset)
        return self.watched

    def _explore(self) -> None:
        from kernel.sched.strategy import Random, Replay

        if self.schedule is not None:
            self.replay = Replay(self.schedule.decisions)
            self.explore(self.replay)
        else:
            self.explore(Random(self.config.seed))

    def _watched(self) -> None:
        """Tell what the locks and fields came to."""
        if self.watched is not None:
            for line in self.watched.report():
                self.warn(line)

    def _diverged(self) -> None:
        """Tell what of a schedule could not be done."""
        if self.replay is not None and self.schedule is not None:
            left = [*self.replay.void, *self.replay.left.values()]
            if left:
                from emu.machine.schedule import diverged

                self.warn(diverged(left, len(self.schedule.decisions)))

    def _cpu(self, n: int, clock: Clock | None) -> Cpu:
        if clock is None:
            kind = Cpu
            if self.config.mmu == "plain":
                from emu.machine.plaincpu import PlainCpu

                kind = PlainCpu
            return kind(n, self.memory, self._service(n), counter=self.config.counter)
        from emu.machine.clock import Realcpu

        return Realcpu(n, self.memory, self._service(n), counter=self.config.counter, clock=clock)

    def _signals(self, foreground: bool) -> Signals:
        config, journal = self.config, self.journal
        if journal is None:
            return Signals(self._stop, config.timeout, foreground=foreground, passed=config.interrupts)
        if journal.replaying:  # Ctrl-C is for who looks at it
            return Signals(lambda: None, None, foreground=False)
        # they are looked at when the loop comes round, which is as it would be without them
        return Signals(lambda: None, config.timeout, foreground=foreground, passed=config.interrupts)

    def _swapdisk(self) -> FileDisk | MemoryDisk | None:
        config = self.config
        if not config.swap:
            return None
        replaying = self.journal is not None and self.journal.replaying
        try:
            return self._makedisk(config.swap, None if replaying else config.swapfile)
        except OSError as e:
            what = f"--swap-file {config.swapfile}" if config.swapfile else "--swap"
            raise MachineError(f"{what}: {e.strerror}") from None

    def _makedisk(self, size: int, path: str | None) -> FileDisk | MemoryDisk:
        from emu.machine.disk import FileDisk

        return FileDisk(size, path)

    def _service(self, n: int) -> Service:
        machs = self.kernel.machs
        k = self.kernel

        def service(no: int, ecode: int) -> Regs | None:
            # the kernel's Regs are those that newregs() made
            return dispatch(k, machs[n], no, ecode)

        return service  # type: ignore[return-value]

    def run(self, program: str, args: Sequence[str]) -> Outcome:
        """Run a host program, or a bundled guest by name, to its end.

        Raises LoadError, MachineError, TimeLimit, and whatever the sink raises.
        """
        started = time.perf_counter()
        self._counted = self._counts()
        self.kernel.procs.hub = getcurrent()
        first = self.first = boot.boot(self, program, [os.fsencode(a) for a in args])
        try:
            with self.signals:
                try:
                    self._loop()
                finally:
                    self.console.raw(False)
                    self._diverged()
                    self._watched()
                if self.config.verbose:
                    self._leftovers(first)
                self.kernel.up = None
                self._checkend()
        except Panic as e:
            repeat = self._repeat(program, args, isinstance(e, Wrong))
            raise MachineError(f"panic: {e}", procdump(self.kernel), repeat) from e
        except (AttributeError, TypeError, AssertionError) as e:
            nil = self._nilpointer(e)
            if nil is None:
                raise
            panic = Panic(nil).with_traceback(e.__traceback__)
            repeat = self._repeat(program, args, False)
            raise MachineError(f"panic: {nil}", procdump(self.kernel), repeat) from panic
        except RecursionError as e:
            # a file server mounted through itself, over and over: the original's stack is 4 kB
            raise MachineError("panic: kernel stack overflow", procdump(self.kernel)) from e
        w = first.wait
        if first.loaderror is not None:
            raise first.loaderror
        assert w is not None
        # the name is that of the program which it was at the end, after any exec
        return Outcome(hoststatus(w.exits), w.msg, w.pid, w.text, self._stats(time.perf_counter() - started))

    def _repeat(self, program: str, args: Sequence[str], check: bool) -> str:
        from emu.machine.repeat import commandline

        return commandline(self.config, program, args, check=check)

    def _nilpointer(self, e: AttributeError | TypeError | AssertionError) -> str | None:
        """What follows a switch at a field, in the kernel's words."""
        if not self.config.points:
            return None
        from kernel.sched.watch import FIELDS, nilpointer

        return nilpointer(e) if FIELDS in self.config.points else None

    def _checkend(self) -> None:
        if self.kernel.amid:  # somebody was left between a load and a store
            return
        try:
            mustcheck(self.kernel)
        except Wrong as e:
            raise Wrong(f"{e}; seen at the end") from None

    # The loop

    def _loop(self) -> None:
        k = self.kernel
        machs = k.machs
        procs = k.procs
        signals, console, journal, net = self.signals, self.console, self.journal, self.hostnet
        while not k.halted:
            if journal is None:
                signals.check()
                self.typed = signals.interrupts
            else:
                self._journalled(journal)
            if self.onturn is not None:
                self.onturn()
            if self.typed > self.posted:
                self._interrupted()
            busy = [m for m in machs if m.proc is not None]
            if not busy and not procs.runvec:
                self._sleep()
                continue
            front = min(m.cpu.now() for m in busy or machs)
            for m in machs:
                if m.proc is None and (m.cpu.now() < front or (self.clock is not None and m.nexttick <= front)):
                    idle(k, m, front)
            some = [m for m in machs if m.proc is not None or canrun(k, m)] if procs.runvec else busy
            if procs.chooser is not None:
                m = procs.chooser.turn(some, front)
            elif self.clock is not None:
                m = min(some, key=lambda m: self.turns[m.machno])
                self.turns[m.machno] = max(self.turns) + 1
            else:
                m = behind(some)
            now = m.cpu.now()
            k.m, k.up = m, None
            runtimers(k, now)
            if console.waiting and console.poll(now):
                console.wake()
            if net is not None and now >= net.due:
                net.poll(now)
            m.until = min(m.nexttick, nexttimer(k))
            if len(machs) > 1:
                m.until = min(m.until, now + SLICE)
            # the host's time passes in here too: a turn is long enough to get something done
            m.until = max(m.until, now + (1 if self.clock is None else SLICE))
            regs = dispatch(k, m)
            if regs is not None:
                if self.begins is not None:
                    begins, self.begins = self.begins, None
                    begins()
                self.cpus[m.machno].run(regs, m.until)  # type: ignore[arg-type]

    def _journalled(self, journal: Journal) -> None:
        """What else there is to do where the loop comes round."""
        if self.clock is not None:
            from emu.machine.clock import Stepclock

            if isinstance(self.clock, Stepclock):
                self.clock.step()
        journal.round(self.signals)
        self.typed = journal.typed

    def _sleep(self) -> None:
        """Nothing can run: wait for input, if a process does, or let time pass until the next timer.

        Virtual time stands still while it is waited for input, but if that comes from a terminal, or if something may
        come from the host's network: then it passes no faster than the host's.
        """
        k = self.kernel
        console, clock = self.console, self.clock
        t = nexttimer(k)
        k.m, k.up = k.machs[0], None
        if self.hostnet is not None and self.hostnet.poll(k.m.cpu.now()):
            return
        net = self.hostnet is not None and self.hostnet.waiting
        if t == Never and not console.waiting and not net:
            raise MachineError("no progress: every process waits for another", procdump(k))
        source = console if console.waiting else None
        if clock is not None or source is not None or net:
            still = source is not None and not console.live and not net
            left = None if t == Never or still else max(t - k.m.cpu.now(), 0)
            ready, came = self._wait(source, left)
            if ready:
                console.wake()
            if ready or came:
                return
            if clock is not None:
                from emu.machine.clock import Stepclock

                t = clock.step() if isinstance(clock, Stepclock) else clock.now()
            elif left is not None and left > LONGEST:
                t = k.m.cpu.now() + LONGEST  # as long as was waited
        for m in k.machs:
            idle(k, m, t)
        k.m, k.up = k.machs[0], None
        runtimers(k, t)

    def _wait(self, source: Console | None, ns: int | None) -> list[bool]:
        """Wait on the host: whether the source can be read, and whether a signal came."""
        clock, journal = self.clock, self.journal
        wait = clock.wait if clock is not None else Signals.wait

        def call() -> list[bool]:
            return [wait(self.signals, source, ns), self.signals.came]

        if journal is None:
            return call()
        from emu.machine.values import truths

        if source is not None or ns is None or ns > NSPERSEC // 10:
            journal.waiting()
        return journal.ask("wait", [source is not None, ns], call, truths)

    # Ctrl-C: the first one is the note "interrupt" to the program's group, the second one the machine's end. In a shell
    # each is a note.

    def _interrupted(self) -> None:
        """In the loop, after Ctrl-C."""
        k = self.kernel
        k.m, k.up = k.machs[0], None
        if self.first is None or not self.first.noteid:
            raise KeyboardInterrupt  # there is no program yet
        if hostnote(k, self.first.noteid, "interrupt"):
            self.posted = self.typed

    def _stop(self) -> None:
        """Have the processors return to the loop; a signal handler calls it."""
        for cpu in self.cpus:
            cpu.requeststop()

    # Reports

    def _leftovers(self, first: boot.First) -> None:
        for p in self.kernel.procs.proctab:
            if p.state != Dead and not p.kp:
                what = "kept, broken," if p.state == Broken else "still running"
                self.warn(f"{p.text} {p.pid}: {what} when {first.name} ended")

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
            unicorn=self._engine(),
        )

    def _counts(self) -> Counts | None:
        """What Unicorn has done between instructions so far, if that is wanted."""
        if not self.config.verbose:
            return None
        from emu.machine.lookup import counts

        return counts()

    def _engine(self) -> dict[str, int | str]:
        k, now = self.kernel, self._counts()
        if now is None or self._counted is None:
            return {}
        return now.since(self._counted).figures(k.nfault, sum(m.cs for m in k.machs))

    # For renderers of the trace

    def code(self, pid: int, pc: int) -> bytes:
        """Up to 15 bytes at pc in the current process, b"" if it is another or they are not mapped."""
        return self.peek(pid, pc, 15)

    def peek(self, pid: int, addr: int, n: int) -> bytes:
        """Up to n bytes at addr, likewise."""
        up = self.kernel.up
        if up is None or up.pid != pid:
            return b""
        return peek(self.kernel, addr, n)

    def registers(self, pid: int) -> tuple[int, int] | None:
        """pc and SP where the current process left user mode; None if it is another one."""
        up = self.kernel.up
        if up is None or up.pid != pid or up.regs is None:
            return None
        return up.regs.pc, up.regs.sp

    def image(self, pid: int) -> str | None:
        """Host path of the a.out that process pid runs, if it is known; where it was when that was first asked."""
        up = self.kernel.up
        p = up if up is not None and up.pid == pid else procbypid(self.kernel, pid)
        s = p.seg[TSEG] if p is not None else None
        image = s.image if s is not None else None
        if p is None or image is None or image.c is None:
            return None
        known = self._paths.get(image.num)
        if known is None or known[0] is not image.c:
            known = self._paths[image.num] = image.c, boot.hostpath(self, p)
        return known[1]

    def close(self) -> None:
        """Give everything back. The machine is of no use afterwards."""
        unwind(self.kernel)
        boot.shutdown(self)
        if self.hostnet is not None:
            self.signals.net = -1
            self.hostnet.close()
        if self.disk is not None:
            self.disk.close()
        for cpu in self.cpus:
            cpu.close()
