"""Where a machine stands still, and why: breakpoints, watchpoints, steps, and what processes do.

The machine stands still in a call of the client's, made from wherever that is: between two instructions, before or
after a trap is served, in the kernel when it tells an event, in the machine's loop. The run goes on when the call
returns. No virtual time passes, and a run that was looked at is the run that it would have been.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emu.debug.client import Client, Keeper, nothing
from emu.debug.machine import ENDED, EXECNR, SELDOM
from emu.debug.naming import callname, filename, status
from emu.debug.position import (
    BIRTH,
    BLOCK,
    BROKEN,
    CHANGED,
    ENTRY,
    EXEC,
    GONE,
    KERNEL,
    RETURN,
    USER,
    Goal,
    Position,
    Settings,
)
from emu.debug.stops import SIGABRT, SIGINT, SIGKILL, SIGSEGV, Catch, End, Plan, Step, Stop
from emu.debug.watches import Watch, Watches
from emu.machine import x86
from emu.machine.probe import AGAIN, NOTHING, Wanted
from kernel.base.event import FaultEvent
from kernel.base.procdat import Broken, Dead, Moribund, Scheding

if TYPE_CHECKING:
    from emu.debug.machine import DebugMachine
    from emu.debug.way import Way
    from emu.machine.cpu import Service
    from emu.machine.probe import Probed
    from emu.machine.regs import Regs
    from kernel.base.event import Event
    from kernel.base.procdat import Proc

FAILED: Final = 0xFFFFFFFF
LAST: Final = 1 << 32  # behind all that is told of processes


class Session:
    """Implements emu.debug.machine.Debugger for one client."""

    def __init__(self, machine: DebugMachine, client: Client) -> None:
        self.machine = machine
        self.client: Client | None = client
        self.attached: dict[int, Proc] = {}
        self.catch = Catch()
        self.breaks: dict[tuple[int, int], set[str]] = {}  # (pid, address): swbreak, hwbreak
        self.watches = Watches(machine, self.process)
        self.started = False
        self.quick = False
        self._near = False  # the time of a goal has come
        self._step: Step | None = None
        self._why: Stop | None = None  # found by stops(), told by still()
        self.pidgen = 0
        self.free = 0
        self._unborn: list[Proc] = []
        self._execing: dict[int, Proc] = {}
        self._calling: dict[int, int] = {}  # pid: system call that is to be told when it returns
        self._broken: set[int] = set()
        self._telling = False
        self._insink = False
        self._heard = False  # there was a sink since the program began
        self._catching = False  # system calls
        self._k = machine.kernel
        self.n = 0  # times that the kernel was entered
        self.here = Position(0)  # where the machine stands, or stood last
        self.keeper: Keeper | None = None
        self.way: Way | None = None  # in a copy, that is not at its edge yet
        self.goal: Goal | None = None
        self.chosen: Goal | None = None  # what the next continue goes to
        self.early: list[Event] = []  # those before the program began
        self.left: set[int] = set()
        self.known: set[int] = set()  # that the client has heard of
        self.changed = False  # by the client, since the machine stands still

    # For the client, while the machine stands still

    def time(self) -> int:
        """Virtual time, ns."""
        return max(cpu.now() for cpu in self.machine.cpus)

    def process(self, pid: int) -> Proc | None:
        """The process, if it is looked at."""
        p = self.attached.get(pid)
        return p if p is not None and p.pid == pid and p.state not in (Dead, Moribund) else None

    def detach(self, pid: int) -> None:
        """Look at it no more; it goes on as if nobody ever had."""
        self.left.add(pid)
        self._drop(pid)

    def _drop(self, pid: int) -> None:
        self.attached.pop(pid, None)
        self._calling.pop(pid, None)
        self._forget(pid)

    def release(self) -> None:
        """Nobody looks any more: the rest of the run is an ordinary one."""
        self.client = None
        if self.keeper is not None:
            self.keeper.close()
            self.keeper = None
        self.goal, self.quick = None, False
        self.attached.clear()
        self.breaks.clear()
        self.watches.all.clear()
        self._calling.clear()
        self.catch = Catch()
        self._catching = False
        for cpu in self.machine.probes:
            cpu.look(NOTHING)
        self.listen()
        self.machine.onturn = None
        self.machine.signals.also = -1

    def settings(self) -> Settings:
        """What is set now, but for the client's own."""
        watches = [(w.kind, w.pid, w.addr, w.size) for w in self.watches.all]
        return Settings(self.breaks, watches, self.catch, self.left, self.known)

    def take(self, settings: Settings) -> None:
        """Let that be set."""
        self.catch, self.left, self.known = settings.catch, settings.left, settings.known
        for pid in self.left & self.attached.keys():
            self._drop(pid)
        self.breaks, self._step = settings.breaks, None
        self.watches.all.clear()
        for watch in settings.watches:
            self.watches.add(*watch)
        self.resume()

    # Standing still

    def _kernel(self, rank: int, pid: int = 0) -> Position:
        """Where the kernel is at something of that rank."""
        return Position(self.n, KERNEL, self._k.nfault, rank, pid)

    def _tell(self, why: Stop | End, at: Position) -> None:
        if self.client is None or self._telling or at == self.here:  # it has stood there
            return
        if self.way is not None and self.way.passes(at, why):
            return
        if isinstance(why, End) and why.pid not in self.known and self.attached:
            return  # the client has never heard of it
        if isinstance(why, End) and not self.attached and self.goal is not None:
            why = End(why.pid, why.status, why.signal, self.goal.missed)
            self.goal = None  # there is nothing beyond
        if self.goal is None:
            self.stand(why, at)
        if self.way is not None:
            self.way.changed(at)

    def stand(self, why: Stop | End, at: Position, before: int = 0) -> None:
        """Stand still, in user mode ``before`` an instruction of that process."""
        client = self.client
        if client is None:
            return
        self.here = at
        self._telling = True
        self._heardof(why)
        self._step = None
        try:
            with self.machine.signals.away():
                plan = client.stopped(why)
        finally:
            self._telling = False
        if self.changed and at.phase == USER:
            self.n += 1  # what comes is behind it, though the process may be at an address before
        self.changed = False
        if plan is None:
            self.release()
            return
        if plan.step:
            p = self.process(plan.step)
            inside = isinstance(why, Stop) and why.what is not None and why.what[0] == "syscall_entry"
            if p is not None and p.regs is not None:
                began = p.pid == before or (inside and isinstance(why, Stop) and why.pid == p.pid)
                skip = -1 if began else p.regs.pc
                self._step = Step(plan, skip if plan.skip is None else plan.skip, plan.again)
        self.resume()
        if self.keeper is not None and at.phase == KERNEL and self.keeper.due():
            self.keeper.leave(self)

    def _heardof(self, why: Stop | End) -> None:
        """The client is told of a process."""
        if isinstance(why, End):
            self.known.discard(why.pid)
            return
        self.known.add(why.pid)
        if why.what is not None and why.what[0] == "fork":
            self.known.add(int(why.what[1].partition(".")[2], 16))

    def resume(self) -> None:
        """The machine goes on from here: look for what is wanted now."""
        self.watches.refresh()
        self.listen()
        self._catching = self.catch.calls is not None or self.catch.named is not None
        self.watches.moved()
        self.look()
        self.quick = self._quickly()

    def _quickly(self) -> bool:
        """As of Debugger."""
        wanted = self.way or self.goal or self._step or self._catching or self.watches.all
        pending = self._execing or self._calling or self._unborn
        sink = self._k.sink is not None and not self._heard
        return self.client is not None and self.started and not (wanted or pending or sink)

    @property
    def plan(self) -> Plan:
        """How the machine goes on."""
        return self._step.rest if self._step is not None else Plan()

    def look(self) -> None:
        """Set hooks for what is wanted."""
        for cpu in self.machine.probes:
            self._look(cpu)

    def _look(self, cpu: Probed) -> None:
        """For a step each instruction is hooked, on the processor that the process is on, and as long as it is."""
        quiet = self.goal is not None or (self.way is not None and self.way.blind)
        addresses = frozenset() if quiet else frozenset(addr for _, addr in self.breaks)
        near = self._near or (self.way is not None and self.way.near)
        every = near or (not quiet and self._steps(self._k.machs[cpu.machno].proc) is not None)
        cpu.look(Wanted(addresses, every, () if quiet else self.watches.areas, self._step is not None))

    def _steps(self, p: Proc | None) -> Step | None:
        """The step, if it is of that process."""
        step = self._step
        return step if step is not None and p is not None and p.pid == step.plan.step else None

    def _forget(self, pid: int) -> None:
        """Breakpoints and watchpoints of a process that is no more, or has become another program."""
        self.breaks = {key: kinds for key, kinds in self.breaks.items() if key[0] != pid}
        self.watches.forget(pid)

    # Between two instructions (emu.machine.probe.Observer)

    def stops(self, cpu: Probed, pc: int, again: bool) -> bool:
        """As of Observer."""
        p = self.machine.kernel.machs[cpu.machno].proc
        if p is None:
            return False
        at = Position(self.n, USER, cpu.place(), pc)
        way, goal = self.way, self.goal
        if way is not None and way.decides(cpu, p, at, again):
            self._why = way.why
        elif goal is not None:
            self._why = self._there(p.pid) if goal.ns is not None and cpu.now() >= goal.ns else None
        else:
            self._why = self.wants(cpu, p, pc, again)
        if way is not None and self._why is None and any(c.at <= at for c in way.due()):
            return True
        return self._why is not None

    def wants(self, cpu: Probed, p: Proc, pc: int, again: bool) -> Stop | None:
        """Why to stand still before an instruction."""
        step = self._steps(p)
        again = again or (step is not None and step.begun(pc))
        over = step.over(pc, again) if step is not None else None
        return (cpu.touched and self._accessed(cpu, p)) or over or self._broke(p, pc, again)

    def still(self, cpu: Probed, pc: int) -> None:
        """As of Observer."""
        why, self._why = self._why, None
        at = Position(self.n, USER, cpu.place(), pc)
        if why is not None:
            self.goal, self._near = None, False
            p = self._k.machs[cpu.machno].proc
            self.stand(why, at, before=p.pid if p is not None else 0)
        way = self.way
        if way is not None:
            if way.changed(at):
                way.leaves()
                self.n += 1
            self._user(cpu, inblock=True)

    def entering(self, cpu: Probed) -> None:
        """As of Observer."""
        if self.way is None and self.goal is None and self.n & SELDOM:
            self.n += 1
            self._check()
        else:
            self._enter()
            self._check()
            if self.way is not None:
                self.way.passes(self._kernel(CHANGED, LAST), None)
        self.quick = self._quickly()
        if self.way or self.goal or self._step:
            self._user(cpu)

    def reached(self, cpu: Probed) -> None:
        """As of Observer."""
        if self.way is not None:
            self.way.comes()
        self._near = self.goal is not None
        self.look()

    def _enter(self) -> None:
        """The kernel is entered."""
        if self.way is not None:
            self.way.leaves()
        self.n += 1
        goal = self.goal
        if self.way is not None and self.way.passes(Position(self.n), None):
            return
        if goal is not None and goal.ns is not None and self.time() >= goal.ns:
            self._met(self._kernel(ENTRY - 1))
        elif self.keeper is not None and self.started and self.keeper.due():
            self.here = Position(self.n)
            self.keeper.leave(self)

    def _user(self, cpu: Probed, inblock: bool = False) -> None:
        """A process goes to user mode, or goes on within a block: see to it that it is stopped in time."""
        if self._step is not None:
            self._look(cpu)
        places = [self.way.until(cpu) if self.way is not None else None]
        if self.goal is not None and self.goal.ns is not None:
            places.append(cpu.placeof(self.goal.ns - BLOCK))
        place = min((place for place in places if place is not None), default=None)
        cpu.mark(place)
        if inblock and place is not None and place <= cpu.place():
            cpu.mark(None)
            self.reached(cpu)

    def _there(self, pid: int) -> Stop:
        """The stop at the goal; it is of a process that is looked at."""
        assert self.goal is not None
        return Stop(pid if pid in self.attached else next(iter(self.attached), 0), why=f"at {self.goal.text}")

    def _met(self, at: Position) -> None:
        """In the kernel, the goal is met."""
        up = self._k.up
        why = self._there(up.pid if up is not None else 0)
        self.goal, self._near = None, False
        self.stand(why, at)

    def _accessed(self, cpu: Probed, p: Proc) -> Stop | None:
        found = self.watches.touched(cpu.touched, p.pid)
        if found is None:
            return None
        w, t = found
        return self._watched(w, p, f"at pc 0x{t.pc:08x}", "written" if t.write else "read")

    def _watched(self, w: Watch, p: Proc | None, where: str, what: str) -> Stop:
        """The stop at an access to what is watched; it is told of the process whose watch it is."""
        why = f"0x{w.addr:08x} of {w.pid} was {what} by {p.text} {p.pid}, {where}" if p and p.pid != w.pid else ""
        return Stop(w.pid, what=(w.kind, f"{w.addr:x}"), why=why)

    def _broke(self, p: Proc, pc: int, again: bool) -> Stop | None:
        kinds = self.breaks.get((p.pid, pc))
        if not kinds or again or p.pid not in self.attached:
            return None
        return Stop(p.pid, what=(min(kinds, key=("swbreak", "hwbreak").index), ""))

    # Around a trap (emu.debug.machine.Debugger)

    def serve(self, machno: int, service: Service, trapno: int, ecode: int) -> Regs | None:
        """As of Debugger. Where nothing is caught, it costs a few looks."""
        k = self._k
        if k.sink is not None and not self._heard and not self._listens:
            self.listen()
        if self.client is None:
            return service(trapno, ecode)
        if self.way is None and self.goal is None and self.n & SELDOM:
            self.n += 1
        else:
            self._enter()
        m = k.machs[machno]
        p, switches = m.proc, m.cs
        if self._catching and trapno == x86.SYSCALL and p is not None:
            self._called(p)
        if self.way is not None:
            self.way.passes(self._kernel(ENTRY, p.pid if p is not None else 0), None)
            self.listen()
        step = self._steps(p)
        if step is not None and trapno in AGAIN and p is not None and p.regs is not None:
            step.faults(p.regs.pc)
        regs = service(trapno, ecode)
        if trapno == x86.SYSCALL and p is not None and p.scallnr == EXECNR:
            self._execing[p.pid] = p
        others = m.proc is not p or m.cs != switches or k.procs.pidgen != self.pidgen  # somebody else was at work
        watching = bool(self.watches.all)
        if self._execing or self._calling or watching or (others and not self._asbefore()):
            self._check()
            for w in self.watches.changed() if watching else ():
                self._tell(self._watched(w, p, "in the kernel", "written"), self._kernel(CHANGED, w.addr))
        self.quick = self._quickly()
        if self.way is not None:
            self.way.passes(self._kernel(CHANGED, LAST), None)
        if regs is not None and (self.way or self.goal or self._step):
            self._user(self.machine.probes[machno])
        return regs

    def served(self, p: Proc, trapno: int) -> None:
        """As of Debugger."""
        if trapno == x86.SYSCALL and p.scallnr == EXECNR:
            self._execing[p.pid] = p
        if self._execing or not self._asbefore():
            self._check()
        self.free = len(self._k.procs.freeprocs)
        self.quick = self._quickly()

    def round(self) -> None:
        """As of Debugger."""
        client = self.client
        if client is None or not self.started:
            return
        self._enter()
        self._check()
        if self.way is not None:
            self.way.passes(self._kernel(CHANGED, LAST), None)
        if client.interrupted():
            running = [m.proc.pid for m in self.machine.kernel.machs if m.proc and m.proc.pid in self.attached]
            living = [pid for pid in self.attached if self.process(pid) is not None]
            for pid in (running or living)[:1]:
                self.goal, self._near = None, False
                self._tell(Stop(pid, SIGINT), self._kernel(CHANGED, LAST))

    def _called(self, p: Proc) -> None:
        """A process makes a system call."""
        assert p.regs is not None
        nr = p.regs.ax
        if p.pid not in self.attached:
            return
        calls, named = self.catch.calls, self.catch.named
        if calls is not None and (not calls or nr in calls):
            self._calling[p.pid] = nr
            self._tell(Stop(p.pid, what=("syscall_entry", f"{nr:x}")), self._kernel(ENTRY, p.pid))
        elif named is not None:
            name = callname(nr)
            if not named or name in named:
                self._tell(Stop(p.pid, why=f"system call {name} of {p.text} {p.pid}"), self._kernel(ENTRY, p.pid))

    # What has become of processes

    def _asbefore(self) -> bool:
        """Whether nobody was born, and nobody who is looked at has ended: at nearly every switch that is so."""
        if self._k.procs.pidgen != self.pidgen or self._unborn:
            return False
        for pid, p in self.attached.items():  # noqa: SIM110  a generator takes twice as long
            if p.pid != pid or p.state in ENDED:
                return False
        return True

    def _check(self) -> None:
        """The kernel was at work: look what it did."""
        if self.client is None:
            return
        k = self.machine.kernel
        if k.procs.pidgen != self.pidgen:
            known, self.pidgen = self.pidgen, k.procs.pidgen
            self._unborn += [p for p in k.procs.proctab if p.pid > known and not p.kp and p.state != Dead]
        if self._unborn:
            self._births()
        if not self.started:
            return
        for pid, p in list(self.attached.items()):
            if p.pid != pid or p.state in (Dead, Moribund):
                self._gone(pid, End(pid, status(self.machine, pid, p)))
            elif p.state == Broken and pid not in self._broken:
                self._broken.add(pid)
                why = f"{p.text} {pid} was ended by the kernel, and is kept"
                self._tell(Stop(pid, SIGSEGV, why=why), self._kernel(BROKEN, pid))
                self._gone(pid, End(pid, signal=SIGSEGV))
        up = k.up
        if up is not None and (self._execing or self._calling):
            self._returned(up)
        if self.watches.all and self.watches.moved():
            self.look()

    def _births(self) -> None:
        first = self.machine.first
        waiting, self._unborn = self._unborn, []
        for p in waiting:
            if p.state == Scheding or (not self.started and p is not self.machine.kernel.up):
                self._unborn.append(p)
            elif not self.started and first is not None:
                self.started = True
                self.attached[p.pid] = p
                self.listen()
                self._tell(Stop(p.pid), self._kernel(BIRTH, p.pid))
            else:
                self._born(p)

    def _born(self, p: Proc) -> None:
        parent = p.parent.pid if p.parent is not None else 0
        if self.client is None or parent not in self.attached or not self.client.forks or p.pid in self.left:
            return
        self.attached[p.pid] = p
        # the child's memory is its parent's: gdb takes it that the breakpoints are there too, and removes them
        for (pid, addr), kinds in list(self.breaks.items()):
            if pid == parent:
                self.breaks[p.pid, addr] = set(kinds)
        if p.pid not in self.known:
            self._tell(Stop(parent, what=("fork", f"p{p.pid:x}.{p.pid:x}")), self._kernel(BIRTH, p.pid))

    def _returned(self, up: Proc) -> None:
        """A process is about to return from a system call."""
        assert up.regs is not None
        nr = self._calling.pop(up.pid, None)
        if self._execing.pop(up.pid, None) is not None and up.regs.ax != FAILED:
            if self.way is None or not self.way.quiet:
                self._forget(up.pid)
            self.look()
            if up.pid in self.attached and self.client is not None and self.client.execs:
                file = filename(self.machine, up).encode().hex()
                self._tell(Stop(up.pid, what=("exec", file)), self._kernel(EXEC, up.pid))
                return
        if nr is not None and up.pid in self.attached:
            self._tell(Stop(up.pid, what=("syscall_return", f"{nr:x}")), self._kernel(RETURN, up.pid))

    def _gone(self, pid: int, end: End) -> None:
        if self.way is None or not self.way.quiet:
            self._drop(pid)
        else:
            self.attached.pop(pid, None)
        self._broken.discard(pid)
        self._tell(end, self._kernel(GONE, pid))

    def broke(self, why: str) -> None:
        """The run cannot go on: stand still once more, to be looked at, and gone back from."""
        self.n += 1
        at, up = self._kernel(BROKEN), self._k.up
        living = [pid for pid in self.attached if self.process(pid) is not None]
        pid = up.pid if up is not None and up.pid in living else next(iter(living), 0)
        stop = Stop(pid, SIGABRT, why=why)
        if self.way is not None:
            self.way.passes(at, stop)
        elif pid and self.started and not self._telling:
            self.goal = None
            self._tell(stop, at)
            for one in living:
                self._gone(one, End(one, signal=SIGABRT))

    def finish(self) -> None:
        """The run is over: tell of those who were there to its end."""
        self.n += 1
        for pid, p in list(self.attached.items()):
            if pid in self.attached:
                first = self.machine.first
                own = first is not None and first.wait is not None and first.wait.pid == pid
                self._gone(pid, End(pid, status(self.machine, pid, p)) if own else End(pid, signal=SIGKILL))
        if self.way is not None:
            self.way.passes(self._kernel(CHANGED, LAST), None)  # of those whom the machine itself told of, if not here

    # Events

    @property
    def _listens(self) -> bool:
        events = self.goal is not None and self.goal.ns is None
        ends = self.way is not None and self.way.ends(self.n)
        return self.client is not None and (not self.started or events or ends or self.catch.faults is not None)

    def listen(self) -> None:
        """Take events if they are wanted; not in the middle of one: who tells it may have another to tell."""
        if self._insink:
            return
        if self._listens:
            self._k.sink, self._heard = self._sink, self.started
        elif self._heard:
            self._k.sink = nothing  # a system call that somebody is in was begun with a sink, and tells of its end
        else:
            self._k.sink = None

    def _sink(self, ev: Event) -> None:
        self._insink = True
        try:
            self._event(ev)
        finally:
            self._insink = False

    def _event(self, ev: Event) -> None:
        if not self.started:
            self.early.append(ev)
            return
        goal = self.goal
        if goal is not None and goal.ns is None and goal.met(ev):
            self._met(self._kernel(ENTRY))
            return
        faults = self.catch.faults
        if isinstance(ev, FaultEvent):
            if faults is not None and ev.pid in self.attached and (not faults or ev.cls in faults):
                where = f"in {ev.fn}" if ev.mode == "kernel" else f"at pc 0x{ev.pc:08x}"
                what = f"{ev.access} fault of {ev.pid} at 0x{ev.addr:08x}"
                why = f"{what}, {ev.segment or 'no segment'}: {ev.cls}, {where}"
                self._tell(Stop(ev.pid, why=why), self._kernel(ENTRY))
            elif self.way is not None:
                self.way.passes(self._kernel(ENTRY), None)
