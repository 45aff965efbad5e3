"""Events as track events of Perfetto's trace format, which ui.perfetto.dev and the trace processor open.

    a process          its thread: system calls, and in them or beside them faults, as slices
                       its state, below: running, ready, what it waits for
                       its resident pages, as a counter
    processors         a track each: who runs
    memory             counters: free and cached frames, swap slots in use

Instants: forks, execs, exits, notes. A flow leads from a fork to the copies of pages that it shared.

A packet is written as soon as it is known, and on each track in the order of time; the clocks of two processors differ
a little, so what would go back stands where the track is already. What happens within a system call is kept until the
call is told. So memory does not grow with the run. Source: perfetto's protos/perfetto/trace/track_event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from emu.observe.output import BinaryOutput
from emu.observe.protobuf import fixed, message, number, text, varint
from emu.observe.residence import Residence
from emu.program.symbols import Found
from kernel.base.event import Event, FaultEvent, NoteEvent, ProcEvent, SchedEvent, SyscallEvent

Lookup = Callable[[int, int], Found | None]
"""From pid and pc to what is known of it."""

# Numbers of fields. Of Trace, TracePacket and TrackEvent:
PACKET: Final = 1
TIMESTAMP, SEQUENCE, EVENT, DESCRIPTOR, FIRST = 8, 10, 11, 60, 87
ARGUMENT, TYPE, TRACK, CATEGORY, NAME, COUNTER, FLOW = 4, 9, 11, 22, 23, 30, 47
BEGIN, END, INSTANT, COUNT = 1, 2, 3, 4  # TrackEvent.Type
# TrackDescriptor; ProcessDescriptor, ThreadDescriptor and CounterDescriptor
UUID, LABEL, PROCESS, THREAD, PARENT, COUNTING = 1, 2, 3, 4, 5, 8
PID, PROCESSNAME = 1, 6
TID, THREADNAME = 2, 5
UNITNAME = 6
# DebugAnnotation
INT, STRING, POINTER, KEY = 4, 6, 7, 10

# Tracks: of the machine, of processors, and of each pid
MEMORY, FREE, CACHED, SWAP, PROCESSORS = 1, 2, 3, 4, 5
CPU: Final = 1 << 8  # and its number
OFPROCESS, OFTHREAD, OFSTATE, OFRESIDENT = range(4)  # of pid << 16

Packet = tuple[int, int, bytes]
"""Time, type, and what else a track event has."""

SEQ: Final = number(SEQUENCE, 1)
STAMP: Final = varint(TIMESTAMP << 3)
EVENTKEY: Final = varint(EVENT << 3 | 2)
TYPES: Final = {kind: number(TYPE, kind) + varint(TRACK << 3) for kind in (BEGIN, END, INSTANT, COUNT)}
PAGES: Final = message(COUNTING, text(UNITNAME, "pages"))


class PerfettoWriter:
    """A sink that writes each event as packets. ``lookup`` tells symbol and line of a fault's pc."""

    def __init__(self, out: BinaryOutput, lookup: Lookup | None = None) -> None:
        self.out = out
        self.lookup = lookup
        self.at: dict[int, int] = {}  # time of the last packet, by track
        self.names: dict[int, str] = {}  # of processes whose tracks are there
        self.cpus: dict[int, bool] = {}  # processors that have a track, and whether somebody runs
        self.states: dict[int, str] = {}  # of a pid
        self.held: dict[int, list[Packet]] = {}  # of a pid that is in a system call: what happened in it
        self.open: set[int] = set()  # pids in a call that does not return
        self.residence = Residence()
        self.counted: dict[int, int] = {}  # the last value, by counter's track
        self.flow = 0  # of the last fork
        self.now = 0
        self._first = True
        self._tellers: dict[type[Event], Callable[[Any], None]] = {
            FaultEvent: self._fault,
            SyscallEvent: self._syscall,
            ProcEvent: self._proc,
            NoteEvent: self._note,
            SchedEvent: self._sched,
        }

    def __call__(self, ev: Event) -> None:
        if ev.ns != self.now:
            self._counters()
            self.now = ev.ns
        tell = self._tellers.get(type(ev))
        if tell is not None:
            tell(ev)
        self.residence(ev)

    def finish(self) -> None:
        """Write what is left, and end every slice."""
        self._counters()
        for pid in list(self.held):
            self._release(pid)
        for pid in sorted(self.open):
            self._write(_thread(pid), self.now, END)
        for pid in sorted(self.states):
            self._write(_state(pid), self.now, END)
        for cpu, busy in sorted(self.cpus.items()):
            if busy:
                self._write(CPU + cpu, self.now, END)

    # Events

    def _fault(self, ev: FaultEvent) -> None:
        """A slice, from the trap on; one within a system call is kept for that."""
        self._process(ev.pid)
        args = [_pointer("addr", ev.addr), _word("access", ev.access), _word("segment", ev.segment)]
        if ev.frame:
            args.append(_pointer("frame", ev.frame))
        args.append(_pointer("pc", ev.pc))
        found = self.lookup(ev.pid, ev.pc) if self.lookup is not None else None
        if found is not None:
            if found.symbol:
                args.append(_string("symbol", found.symbol))
            if found.place is not None:
                args.append(_string("line", f"{found.place.file}:{found.place.line}"))
        if ev.mode == "kernel":
            args.append(_word("kernel", ev.fn))
        if ev.load:
            args.append(_word("load", ev.load))
        if ev.cls == "cow-copy" and (flow := self.residence.copied(ev.pid, ev.addr)):
            args.append(fixed(FLOW, flow))
        packets = [
            (ev.began if ev.began >= 0 else ev.ns, BEGIN, _named("fault", ev.cls) + b"".join(args)),
            (ev.ns, END, b""),
        ]
        if ev.mode == "kernel" and ev.pid not in self.open:
            self.held.setdefault(ev.pid, []).extend(packets)
        else:
            self._release(ev.pid)
            self._all(ev.pid, packets)

    def _syscall(self, ev: SyscallEvent) -> None:
        """A slice, with what was kept; one that does not return ends with its process."""
        self._process(ev.pid)
        args = _string("args", ev.args) + _pointer("pc", ev.pc)
        began = ev.began if ev.began >= 0 else ev.ns
        self._release(ev.pid, began)  # on the way back from the call before
        self._write(_thread(ev.pid), began, BEGIN, _named("syscall", ev.name) + args)
        self._release(ev.pid)
        if ev.ret is None:
            self.open.add(ev.pid)
            return
        result = _integer("ret", ev.ret) + (_string("error", ev.error) if ev.error else b"")
        self._write(_thread(ev.pid), ev.ns, END, result)

    def _proc(self, ev: ProcEvent) -> None:
        """An instant. A fork begins the flow to the copies it causes; what is exec'ed gives its name."""
        data = _named("process", f"{ev.op} {ev.child}" if ev.child else ev.op)
        if ev.status:
            data += _string("status", ev.status)
        if ev.op == "fork":
            self._process(ev.child, ev.name)
            if flow := self.residence.forked(ev.pid):
                data += fixed(FLOW, flow)
        if ev.op == "exec":
            self._process(ev.pid, ev.name)
        self._process(ev.pid)
        packet = ev.ns, INSTANT, data
        if ev.op in ("fork", "exec") and ev.pid not in self.open:
            self.held.setdefault(ev.pid, []).append(packet)
            return
        self._release(ev.pid)
        self._all(ev.pid, [packet])
        if ev.op == "exit" and ev.pid in self.open:
            self.open.discard(ev.pid)
            self._write(_thread(ev.pid), ev.ns, END)

    def _note(self, ev: NoteEvent) -> None:
        """An instant: what is posted beside the state of the process, what is delivered on its thread."""
        self._process(ev.target)
        data = _named("note", f"{ev.op} note") + _string("text", ev.text)
        if ev.op == "deliver":
            self._release(ev.target)
        self._write((_thread if ev.op == "deliver" else _state)(ev.target), ev.ns, INSTANT, data)

    def _sched(self, ev: SchedEvent) -> None:
        """What the process does now, and whether the processor runs somebody."""
        if ev.op == "run":
            self._cpu(ev.cpu, ev.ns, f"{ev.name} {ev.target}" if ev.target else ev.name)
        elif ev.op == "off":
            self._cpu(ev.cpu, ev.ns, "")
        pid = ev.target
        if not pid:
            return
        self._process(pid, ev.name if ev.op != "new" else "")
        state = "" if ev.op == "end" else ev.state
        if state == self.states.get(pid, ""):
            return
        if self.states.pop(pid, ""):
            self._write(_state(pid), ev.ns, END)
        if state:
            self.states[pid] = state
            why = _word("at", ev.why) if ev.why and ev.op == "wait" else b""
            self._write(_state(pid), ev.ns, BEGIN, _named("sched", state) + why)
        if ev.op == "end":
            self._ended(pid)

    # Tracks

    def _process(self, pid: int, name: str = "") -> None:
        """See that a process has its tracks, and is called that."""
        was = self.names.get(pid)
        if was is not None and (not name or was == name):
            return
        self.names[pid] = name
        process = number(PID, pid) + (text(PROCESSNAME, name) if name else b"")
        thread = number(PID, pid) + number(TID, pid) + (text(THREADNAME, name) if name else b"")
        own = pid << 16
        self._track(own + OFPROCESS, message(PROCESS, process))
        self._track(own + OFTHREAD, message(THREAD, thread))
        if was is None:
            self._track(own + OFSTATE, number(PARENT, own + OFTHREAD) + text(LABEL, "state"))

    def _ended(self, pid: int) -> None:
        """The pid is no more: forget it."""
        self._counters()
        if pid in self.open:
            self.open.discard(pid)
            self._write(_thread(pid), self.now, END)
        self._release(pid)
        for track in range(pid << 16, (pid << 16) + 4):
            self.at.pop(track, None)
            self.counted.pop(track, None)
        self.names.pop(pid, None)

    def _cpu(self, cpu: int, ns: int, name: str) -> None:
        """The processor runs that process, "" none."""
        busy = self.cpus.get(cpu)
        if busy is None:
            if not self.cpus:
                self._track(PROCESSORS, text(LABEL, "processors"))
            self._track(CPU + cpu, number(PARENT, PROCESSORS) + text(LABEL, f"processor {cpu}"))
        elif busy:
            self._write(CPU + cpu, ns, END)
        self.cpus[cpu] = bool(name)
        if name:
            self._write(CPU + cpu, ns, BEGIN, _named("sched", name))

    def _counters(self) -> None:
        """The moment is over: write the counters that have changed in it."""
        r = self.residence
        if not r.changed:
            return
        r.changed = False
        if r.pages:
            self._count(FREE, "free frames", r.pages - len(r.frames), MEMORY)
        if r.frames:
            self._count(CACHED, "cached frames", r.cached, MEMORY)
        if r.swap:
            self._count(SWAP, "swap slots in use", len(r.slots), MEMORY)
        for pid in sorted(r.stirred):
            if pid in self.names:
                self._count((pid << 16) + OFRESIDENT, "resident", r.resident(pid), pid << 16)
        r.stirred.clear()

    def _count(self, track: int, name: str, value: int, parent: int) -> None:
        was = self.counted.get(track)
        if was == value:
            return
        if was is None:
            if parent == MEMORY and MEMORY not in self.counted:
                self.counted[MEMORY] = 0
                self._track(MEMORY, text(LABEL, "memory"))
            self._track(track, number(PARENT, parent) + text(LABEL, name) + PAGES)
        self.counted[track] = value
        self._write(track, self.now, COUNT, number(COUNTER, value))

    # Packets

    def _release(self, pid: int, before: int | None = None) -> None:
        """Write what was kept of a process, all of it or what was before that time."""
        held = self.held.pop(pid, [])
        n = len(held)
        if before is not None:
            n = next((i for i, packet in enumerate(held) if packet[0] >= before), n)
        self._all(pid, held[:n])
        if held[n:]:
            self.held[pid] = held[n:]

    def _all(self, pid: int, packets: Sequence[Packet]) -> None:
        for ns, kind, data in packets:
            self._write(_thread(pid), ns, kind, data)

    def _write(self, track: int, ns: int, kind: int, data: bytes = b"") -> None:
        """A track event."""
        was = self.at.get(track, 0)
        if ns < was:
            ns = was
        else:
            self.at[track] = ns
        event = TYPES[kind] + varint(track) + data
        self._packet(STAMP + varint(ns) + EVENTKEY + varint(len(event)) + event)

    def _track(self, track: int, data: bytes) -> None:
        self._packet(message(DESCRIPTOR, number(UUID, track) + data))

    def _packet(self, data: bytes) -> None:
        if self._first:
            self._first = False
            data += number(FIRST, 1)
        self.out.writebytes(b"\x0a" + varint(len(data) + len(SEQ)) + data + SEQ)


def _thread(pid: int) -> int:
    return (pid << 16) + OFTHREAD


def _state(pid: int) -> int:
    return (pid << 16) + OFSTATE


@lru_cache(1 << 10)
def _named(category: str, name: str) -> bytes:
    return text(CATEGORY, category) + text(NAME, name)


# Arguments: name and value. Those made of few words are kept.


@lru_cache(1 << 6)
def _key(name: str) -> bytes:
    return text(KEY, name)


@lru_cache(1 << 10)
def _word(name: str, value: str) -> bytes:
    return _string(name, value)


def _string(name: str, value: str) -> bytes:
    return message(ARGUMENT, _key(name) + text(STRING, value))


def _integer(name: str, value: int) -> bytes:
    return message(ARGUMENT, _key(name) + number(INT, value))


def _pointer(name: str, value: int) -> bytes:
    return message(ARGUMENT, _key(name) + number(POINTER, value))
