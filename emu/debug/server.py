"""The server of gdb's remote protocol: packets in, answers out, and the session told what is wanted.

Processes are gdb's inferiors, each with one thread of the same number. Whatever gdb resumes, the whole machine runs:
one process alone would wait for the others for ever. Source: gdb's manual, appendix E.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

from emu.debug import files, memory, registers
from emu.debug.changes import ALL, KILL, MEMORY, REGISTER, Change, make
from emu.debug.link import Gone, Link
from emu.debug.naming import filename
from emu.debug.packets import Wrong, dotted, number, resumption, thread, unhex
from emu.debug.past import Arrived, Request
from emu.debug.relay import Relay
from emu.debug.rsp import MAXPACKET, Bad, Interrupt, Item, Packet
from emu.debug.session import Session
from emu.debug.stops import Catch, End, Plan, Stop
from emu.debug.travel import RELEASED, Announced, Killed, Travel
from emu.debug.watches import ACCESS, READ, WRITE
from emu.machine.boot import hostpath
from emu.machine.config import MachineError
from emu.plain import plain
from kernel.base.mem import USTKTOP

if TYPE_CHECKING:
    from emu.debug.machine import DebugMachine
    from emu.debug.monitor import Monitor
    from emu.debug.past import Past
    from emu.debug.position import Settings
    from emu.machine.config import Outcome
    from emu.machine.sleeper import Channel
    from kernel.base.hw import Regs
    from kernel.base.procdat import Proc

OK: Final = b"OK"
UNKNOWN: Final = b""
EINVAL, EFAULT, ESRCH = b"E16", b"E0e", b"E03"
KINDS: Final = {0: "swbreak", 1: "hwbreak", 2: WRITE, 3: READ, 4: ACCESS}
LONGEST: Final = MAXPACKET // 2 - 16  # bytes of memory in one answer
MAXWATCH: Final = 4096  # bytes that are watched at once
SUPPORTED: Final = (
    f"PacketSize={MAXPACKET:x};QStartNoAckMode+;multiprocess+;swbreak+;hwbreak+;vContSupported+;QCatchSyscalls+;"
    "qXfer:features:read+;qXfer:threads:read+;qXfer:exec-file:read+;qXfer:memory-map:read+"
)
BACKWARDS: Final = "ReverseStep+", "ReverseContinue+"
PAST: Final = b"E.the past cannot be changed"


class Server:
    """Implements emu.debug.client.Client for a gdb at the other end of ``link``."""

    def __init__(self, machine: DebugMachine, connect: Callable[[], Link], past: Past | None = None) -> None:
        self.forks = self.execs = False
        self.machine = machine
        self.session = Session(machine, self)
        self.past = past  # None in a copy, too
        self._travel = Travel(self)
        self.copied = False
        if past is not None:
            past.became, past.settings = self._became, self._settings
            self.session.keeper = past
        self.link: Link | None = None
        self._connect = connect
        self._hungup = False  # nothing more comes
        self._queue: deque[Item] = deque()  # what came and was not looked at yet
        self._pid = 0  # for what follows
        self._stepping = 0  # for bs, as gdb has selected it; else
        self._chosen = 0  # who stopped last, or whom gdb's user has chosen since
        self._alone = 0  # gdb steps over a breakpoint of that one's: it gives up if it hears of another
        self._owed: Stop | None = None  # what it is told after that
        self._doomed = False  # the program was killed
        self._end: End | None = None  # where the machine stands, that gdb has gone back from
        self._last: Stop | End | None = None
        self._features: frozenset[str] = frozenset()
        self.files = files.Files()
        self._answers: dict[bytes, Callable[[bytes], bytes]] = {
            b"?": lambda _: self._reply(self._last) if self._last is not None else b"W00",
            b"H": self._select,
            b"T": self._alive,
            b"g": lambda _: registers.everything(self._regs()).hex().encode(),
            b"G": self._putall,
            b"p": self._register,
            b"P": self._putregister,
            b"m": self._read,
            b"M": lambda a: self._write(a, unhex),
            b"X": lambda a: self._write(a, bytes),
            b"Z": lambda a: self._break(a, True),
            b"z": lambda a: self._break(a, False),
            b"q": self._query,
            b"Q": self._set,
            b"D": self._detach,
        }

    @cached_property
    def monitor(self) -> Monitor:
        """What gdb's ``monitor`` asks, if it ever does."""
        from emu.debug.monitor import Monitor

        return Monitor(self.machine, self.session)

    # emu.debug.client.Client

    def stopped(self, why: Stop | End) -> Plan | None:
        """As of Client: tell gdb, and answer until it goes on."""
        first = self.link is None
        if self.link is None:
            self.link = self._connect()
            self.machine.signals.also = self.link.fd
        done, plan = False, None
        if isinstance(why, End) and why.why and self.past is not None:
            done, plan = self._last_moment(End(why.pid, why.status, why.signal), why.why)
        else:
            self._tell(why, first)
        if not done:
            plan = self._serve()
        self._alone = plan.step if plan is not None and plan.alone else 0
        if plan is None and isinstance(self.link, Relay):
            self.link.leave(RELEASED)
        return plan

    def _tell(self, why: Stop | End, silently: bool = False) -> None:
        """Tell gdb why the machine stands still; ``silently`` if it has yet to ask."""
        assert self.link is not None
        alone, self._alone, self._owed = self._alone, 0, None
        if alone and isinstance(why, Stop) and why.pid != alone and self.session.process(alone):
            self._owed, why = why, Stop(alone)  # that one is in a system call, and its pc is behind the instruction
        self._last = why
        self._pid = self._chosen = why.pid if isinstance(why, Stop) else next(iter(self.session.attached), 0)
        if silently:
            return
        if isinstance(why, Stop) and why.what is not None and why.what[0] == "exec":
            p = self._proc(why.pid)
            self._announce(p, filename(self.machine, p))
        if why.why:
            self.output(f"p9emu: {why.why}\n".encode())
        self.link.send(self._reply(why))

    def _tellowed(self, plan: Plan) -> bool:
        """gdb goes on with that plan: whether there is something that it is told first."""
        owed, self._owed = self._owed, None
        if owed is None or self.session.process(owed.pid) is None:
            return False
        p = self._proc(owed.pid)
        assert p.regs is not None
        kind = owed.what[0] if owed.what is not None else ""
        if kind in ("swbreak", "hwbreak") and kind not in self.session.breaks.get((p.pid, p.regs.pc), ()):
            return False
        if plan.alone and plan.step != p.pid:
            self.output(f"p9emu: {p.text} {p.pid} was at pc 0x{p.regs.pc:08x}, and goes on\n".encode())
            return False
        self._tell(owed)
        return True

    def interrupted(self) -> bool:
        """As of Client. What else has come is for the next stop."""
        if self.link is None or self._hungup:
            return False
        try:
            self._queue.extend(self.link.receive(wait=False))
        except Gone:
            if self._queue and self.link.halves:  # what it said before
                self._hungup = True
                self.machine.signals.also = -1
                return False
            if self.session.attached:
                raise
            self.session.release()
            return False
        stop = False
        for item in list(self._queue):
            if isinstance(item, Packet) and item.data == b"k":
                raise Killed
            if isinstance(item, Interrupt) or (isinstance(item, Packet) and item.data == b"vCtrlC"):
                self._queue.remove(item)
                stop = True
                if isinstance(item, Packet):
                    self.link.send(OK)
        return stop

    def written(self, data: bytes) -> None:
        """The program writes that, and gdb is to show it; in a copy it has been written."""
        if not self.copied:
            self.output(data)

    def output(self, data: bytes) -> None:
        """Show on gdb's terminal what the program writes; only while it runs."""
        if self.link is not None:
            for at in range(0, len(data), LONGEST):
                self.link.send(b"O" + data[at : at + LONGEST].hex().encode())

    # Packets

    def _serve(self) -> Plan | None:
        assert self.link is not None
        while True:
            if not self._queue:
                try:
                    self._queue.extend(self.link.receive(wait=True))
                except Gone:
                    if self._doomed:
                        raise Killed from None
                    if not self.session.attached:
                        return None  # nothing is left to be looked at
                    raise
            item = self._queue.popleft()
            if isinstance(item, Bad):
                self.link.send(EINVAL)
            elif isinstance(item, Packet):
                done, plan = self._packet(item.data)
                if done:
                    return plan

    def _packet(self, data: bytes) -> tuple[bool, Plan | None]:
        """Answer; whether the machine goes on, and how."""
        assert self.link is not None
        try:
            if data == b"k":
                raise Killed
            if data in (b"bs", b"bc") and (self.past is not None or self.copied):
                return self._back(data.decode())
            plan = self._resumed(data)
            if plan is not None:
                if self._doomed:
                    raise Killed
                if self._tellowed(plan):
                    return False, None
                if self.session.chosen is not None and not plan.step:
                    return self._back("goto")
                return True, plan
            answer = self._answer(data)
        except Wrong:
            answer = EINVAL
        except LookupError:
            answer = ESRCH
        self.link.send(answer)
        if data == b"QStartNoAckMode":
            self.link.quiet()
        left = not self.session.attached and answer == OK
        if self._doomed and left:
            raise Killed
        return (True, None) if data.startswith((b"D", b"vKill;")) and left else (False, None)

    def _answer(self, data: bytes) -> bytes:
        if data.startswith(b"vFile:"):
            return self.files.answer(data)
        if data == b"vCont?":
            return b"vCont;c;C;s;S;r"
        if data.startswith(b"vKill;"):
            return self._kill(data[6:])
        handler = self._answers.get(data[:1])
        return handler(data[1:]) if handler is not None else UNKNOWN

    @property
    def _several(self) -> bool:
        """gdb knows of several processes: it names them, and us theirs."""
        return "multiprocess" in self._features

    def _named(self, pid: int) -> str:
        return dotted(pid) if self._several else f"{pid:x}"

    def _reply(self, why: Stop | End) -> bytes:
        if isinstance(why, End):
            kind = f"X{why.signal:02x}" if why.signal else f"W{why.status:02x}"
            return f"{kind};process:{why.pid:x}".encode() if self._several else kind.encode()
        out = f"T{why.signal:02x}"
        p = self.session.process(why.pid)
        if p is not None and p.regs is not None:  # in the past it may not be there yet
            for n in (registers.BP, registers.SP, registers.PC):
                out += f"{n:02x}:{registers.get(p.regs, n).hex()};"
        if why.what is not None and why.what[0] == "replaylog":
            out += "replaylog:begin;"
        elif why.what is not None and (why.what[0] not in ("swbreak", "hwbreak") or why.what[0] in self._features):
            out += "{}:{};".format(*why.what)
        return f"{out}thread:{self._named(why.pid)};".encode()

    # Going back

    def _announce(self, p: Proc, name: str) -> None:
        """gdb is told of a file, and may read it."""
        if isinstance(self.link, Relay):
            self.link.tell(Announced(hostpath(self.machine, p), name))
        else:
            self.files.announce(hostpath(self.machine, p), name)

    def _settings(self) -> Settings:
        settings = self.session.settings()
        which = self._pid, self._stepping, self._chosen
        settings.server = (self._features, self.forks, self.execs, which, self.session.chosen)
        return settings

    def _take(self, settings: Settings) -> None:
        self._features, self.forks, self.execs, which, self.session.chosen = settings.server
        self._pid, self._stepping, self._chosen = which

    def _became(self, channel: Channel, settings: Settings) -> None:
        """This is a copy."""
        self.copied, self.past = True, None
        self.link = Relay(channel)
        self._queue.clear()
        self._hungup = False
        self._alone, self._owed = 0, None
        self._take(settings)

    def _back(self, what: str) -> tuple[bool, Plan | None]:
        """gdb wants to be elsewhere. Whether the machine goes on, and how."""
        pids = self._stepping, self._chosen, self._pid
        pid = next((pid for pid in pids if self.session.process(pid)), self._pid)
        goal = None
        if what != "bs":  # a step over a breakpoint, perhaps
            goal, self.session.chosen = self.session.chosen, None
        request = Request(what, self.session.here, pid, self._settings(), goal)
        if isinstance(self.link, Relay):
            self.link.leave(request)
        return self._travel.travel(request, self._queue)

    def arrived(self, message: Arrived) -> tuple[bool, Plan | None]:
        """A copy has come to where the machine stands, which goes on, or stops."""
        assert self.link is not None
        session = self.session
        self._take(message.settings)
        session.take(message.settings)
        session.goal = message.goal
        why = message.why
        self._alone = message.plan.step if message.plan.alone else 0
        goal = session.goal
        if self._end is not None:  # there is nothing beyond
            session.goal = None
            if goal is not None:
                return self._last_moment(self._end, goal.missed)
            why = self._end
        if why is None or goal is not None:
            return True, message.plan
        self._tell(why)
        return False, None

    def _last_moment(self, end: End, missed: str) -> tuple[bool, Plan | None]:
        """The last process has ended, and gdb was to be told of something else: it is where it can go back from."""
        self._end, past = end, self.past
        assert past is not None
        if not past.points.all:
            self._tell(end)
            return False, None
        self.output(f"p9emu: {missed}: this is the end, but for the program's last instruction\n".encode())
        request = Request("bs", self.session.here, end.pid, self._settings())
        return self._travel.travel(request, self._queue)

    # Going on

    def _resumed(self, data: bytes) -> Plan | None:
        """The plan of a packet that resumes; None if it is another."""
        plan = resumption(data, self._pid)
        if plan is not None and plan.step:
            self._proc(plan.step)
        return plan

    def _kill(self, args: bytes) -> bytes:
        """End a process. With the program itself the machine ends, when gdb has nothing more to say."""
        pid = thread(b"p" + args)
        p = self._proc(pid)
        first = self.machine.first
        self.session.detach(pid)
        if first is not None and first.noteid == pid:
            self._doomed = True
        else:
            self._change(p.pid, KILL)
        return OK

    def _change(self, pid: int, what: str, where: int = 0, data: bytes = b"") -> None:
        """Raises as make()."""
        change = Change(self.session.here, pid, what, where, data)
        make(self.machine, change)
        self.session.changed = True
        if self.past is not None:
            self.past.changes.append(change)

    def _detach(self, args: bytes) -> bytes:
        pids = [thread(b"p" + args[1:])] if args[:1] == b";" else list(self.session.attached)
        for pid in pids:
            if self.copied and self.session.process(pid) is None and pid in self.session.known:
                self.session.known.discard(pid)  # it is not there yet: it will be told of once more
                continue
            self._proc(pid)
            self.session.detach(pid)
        return OK

    # Processes and their registers

    def _proc(self, pid: int) -> Proc:
        p = self.session.process(pid)
        if p is None:
            raise LookupError(pid)
        return p

    def _alive(self, args: bytes) -> bytes:
        pid = thread(args)
        if self.session.process(pid) is None:
            return ESRCH
        self._chosen = pid
        return OK

    def _select(self, args: bytes) -> bytes:
        pid = thread(args[1:])
        if args[:1] == b"c":
            self._stepping = max(pid, 0)
        if pid > 0:
            self._proc(pid)
            if args[:1] == b"g":
                self._pid = pid
        elif not self.session.process(self._pid):
            self._pid = next(iter(self.session.attached), 0)
        return OK

    def _regs(self) -> Regs:
        regs = self._proc(self._pid).regs
        assert regs is not None
        return regs

    def _putall(self, args: bytes) -> bytes:
        data = unhex(args)
        if self.copied:
            return PAST
        if len(data) != sum(map(registers.size, range(registers.COUNT))):
            raise Wrong
        self._change(self._proc(self._pid).pid, REGISTER, ALL, data)
        return OK

    def _register(self, args: bytes) -> bytes:
        try:
            return registers.get(self._regs(), number(args)).hex().encode()
        except IndexError:
            return EINVAL

    def _putregister(self, args: bytes) -> bytes:
        n, _, value = args.partition(b"=")
        if self.copied:
            return PAST
        try:
            self._change(self._proc(self._pid).pid, REGISTER, number(n), unhex(value))
        except (IndexError, ValueError):
            return EINVAL
        return OK

    # Memory

    def _range(self, args: bytes) -> tuple[int, int]:
        addr, comma, n = args.partition(b",")
        if not comma:
            raise Wrong
        return number(addr), number(n)

    def _read(self, args: bytes) -> bytes:
        addr, n = self._range(args)
        try:
            return memory.read(self.machine, self._proc(self._pid), addr, min(n, LONGEST)).hex().encode()
        except memory.Absent:
            return EFAULT

    def _write(self, args: bytes, decode: Callable[[bytes], bytes]) -> bytes:
        where, colon, text = args.partition(b":")
        addr, n = self._range(where)
        data = decode(text)
        if not colon or len(data) != n:
            raise Wrong
        if self.copied:
            return PAST
        try:
            self._change(self._proc(self._pid).pid, MEMORY, addr, data)
        except memory.Absent:
            return EFAULT
        return OK

    def _break(self, args: bytes, on: bool) -> bytes:
        parts = args.partition(b";")[0].split(b",")
        if len(parts) != 3:
            raise Wrong
        kind, addr, size = map(number, parts)
        if kind not in KINDS:
            return UNKNOWN
        if b";" in args:  # conditions and commands are gdb's own affair
            return EINVAL
        session, pid, name = self.session, self._pid, KINDS[kind]
        self._proc(pid)
        if kind < 2:
            if on:
                session.breaks.setdefault((pid, addr), set()).add(name)
            elif (pid, addr) in session.breaks:
                session.breaks[pid, addr].discard(name)
                if not session.breaks[pid, addr]:
                    del session.breaks[pid, addr]
        elif on:
            if not 0 < size <= MAXWATCH or addr + size > USTKTOP:
                return EFAULT
            session.watches.add(name, pid, addr, size)
        else:
            session.watches.remove(name, pid, addr, size)
        return OK

    # Questions and settings

    def _query(self, args: bytes) -> bytes:
        name, _, rest = args.partition(b":")
        if name == b"Supported":
            self._features = frozenset(f.removesuffix("+") for f in rest.decode("latin-1").split(";") if f[-1:] == "+")
            self.forks, self.execs = "fork-events" in self._features, "exec-events" in self._features
            events = [f"{f}+" for f in ("fork-events", "vfork-events", "exec-events") if f in self._features]
            return ";".join([SUPPORTED, *events, *(BACKWARDS if self.past is not None else ())]).encode()
        if name == b"Xfer":
            return self._transfer(rest)
        if name.startswith(b"Rcmd,"):
            text = self.monitor.command(unhex(name[5:]).decode("utf-8", "replace"))
            return text.encode()[:LONGEST].hex().encode() or OK
        if name == b"C":
            return f"QC{self._named(self._pid)}".encode()
        if name == b"fThreadInfo":
            self.session.known |= self.session.attached.keys()
            return b"m" + ",".join(self._named(pid) for pid in self.session.attached).encode()
        if name == b"sThreadInfo":
            return b"l"
        if name.startswith(b"ThreadExtraInfo,"):
            return self.monitor.thread(self._proc(thread(name[16:]))).encode().hex().encode()
        if name == b"Attached":
            return b"0"
        if name == b"Symbol":
            return OK
        return UNKNOWN

    def _set(self, args: bytes) -> bytes:
        name, _, rest = args.partition(b":")
        if name == b"StartNoAckMode":
            return OK
        if name != b"CatchSyscalls":
            return UNKNOWN
        on, *calls = rest.split(b";")
        if on not in (b"0", b"1"):
            raise Wrong
        catch: Catch = self.session.catch
        catch.calls = frozenset(map(number, calls)) if on == b"1" else None
        return OK

    def _transfer(self, args: bytes) -> bytes:
        parts = args.split(b":")
        if len(parts) != 4 or parts[1] != b"read":
            return UNKNOWN
        what, _, annex, where = parts
        offset, n = self._range(where)
        if what == b"features" and annex == b"target.xml":
            data = registers.DESCRIPTION
        elif what == b"memory-map":
            data = memory.MAP
        elif what == b"threads":
            self.session.known |= self.session.attached.keys()
            data = self.monitor.threads(self._named)
        elif what == b"exec-file":
            p = self._proc(number(annex) if annex else self._pid)
            name = filename(self.machine, p)
            self._announce(p, name)
            data = name.encode()
        else:
            return UNKNOWN if what != b"features" else b"E00"
        part = data[offset : offset + min(n, LONGEST)]
        return (b"m" if offset + len(part) < len(data) else b"l") + part

    def close(self) -> None:
        """Hang up."""
        if self.past is not None:
            self.past.close()
        if self.link is not None:
            self.link.close()


def run(server: Server, program: str, args: Sequence[str]) -> Outcome:
    """Run the program to its end, with gdb at the other end of the line. Raises as Machine.run does, Killed, Gone."""
    machine, session = server.machine, server.session
    machine.attach(session)
    try:
        try:
            outcome = machine.run(program, args)
        except MachineError as e:
            session.broke(plain(str(e)))
            raise
        if server.copied:
            session.finish()
    finally:
        if server.copied:
            os._exit(1)  # what is behind is not a copy's affair
    try:
        session.finish()
    except (Gone, Killed):
        pass  # it has ended anyway
    return outcome
