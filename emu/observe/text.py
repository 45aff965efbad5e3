"""Events as lines for a person, in the manner of strace and perf trace.

    TIME [PID] KIND  what happened <SPENT>

TIME is virtual, in seconds: since the start, or since the line before. The processor is told when there are several.
SPENT is what a fault or call took, where that is asked for. A terminal gets lines of emu.observe.fit.
"""

from collections.abc import Callable, Sequence
from typing import Final

from emu.observe.output import Output
from emu.plain import plain
from emu.program.disasm import instruction
from emu.program.lines import Place
from emu.program.symbols import Found, Frame
from kernel.base.event import (
    BootEvent,
    EntryEvent,
    Event,
    FaultEvent,
    ImageEvent,
    MmuEvent,
    NoteEvent,
    PageEvent,
    ProcEvent,
    SchedEvent,
    SegmentEvent,
    SyscallEvent,
    TlbEvent,
    took,
)

Lookup = Callable[[int, int], Found | None]
"""From pid and pc to what is known of it."""

Stack = Callable[[int], Sequence[Frame]]
"""From a pid to the functions that the process is in."""

RESET: Final = "\x1b[0m"
DIM: Final = "\x1b[2m"
RED: Final = "\x1b[31m"
GREEN: Final = "\x1b[32m"
YELLOW: Final = "\x1b[33m"
CYAN: Final = "\x1b[36m"

# Red could not be served, yellow waited for a disk, green took a frame, the rest only fixed a table.
CLSCOLOR: Final = {
    "text-load": YELLOW,
    "data-load": YELLOW,
    "swap-in": YELLOW,
    "zero-fill": GREEN,
    "cow-copy": GREEN,
    "protection": RED,
    "unmapped": RED,
}
IMAGES: Final = {-1: "-", -2: "swap", -3: "fscache"}


class TextWriter:
    """A sink that writes each event as one line."""

    def __init__(
        self,
        out: Output,
        cpus: int = 1,
        color: bool = False,
        lookup: Lookup | None = None,
        stack: Stack | None = None,
        relative: bool = False,
        times: Sequence[str] = (),
    ) -> None:
        """``times``: what faults and calls took is told, "began" in virtual time, "host" in the host's."""
        self.out = out
        self.stack = stack
        self.relative = relative
        self.times = times
        self._before = 0  # ns of the last event
        self.cpus = cpus
        self.color = color
        self.lookup = lookup

    def __call__(self, ev: Event) -> None:
        self.out.write(self.line(ev))
        if self.stack is not None and isinstance(ev, FaultEvent | SyscallEvent):
            self.out.write("".join(f"{self.fitted(f' > {self.frame(f)}')}\n" for f in self.stack(ev.pid)))

    def finish(self) -> None:
        """Nothing follows the last event."""

    def fitted(self, text: str) -> str:
        """As much of a line as there is room for."""
        return text

    def line(self, ev: Event) -> str:
        """The event's line, newline included."""
        if self.relative:
            when = f"{self.when(ev):>14}"
        else:
            sec, ns = divmod(ev.ns, 1_000_000_000)
            when = f"{sec:4d}.{ns:09d}"
        spent = self.spent(ev) if self.times else ""
        who = f"[{ev.pid}]"
        cpu = f" cpu{ev.cpu}" if self.cpus > 1 else ""
        if self.color:
            return f"{DIM}{when}{RESET} {who:<6}{cpu} {CYAN}{ev.kind:<7}{RESET} {self.what(ev)}{spent}\n"
        return f"{when} {who:<6}{cpu} {ev.kind:<7} {self.what(ev)}{spent}\n"

    def when(self, ev: Event) -> str:
        """The time, in seconds. Two processors' clocks differ a little: a relative one may be negative."""
        ns, self._before = ev.ns - (self._before if self.relative else 0), ev.ns
        return seconds(ns)

    def spent(self, ev: Event) -> str:
        """What a fault or a call took, as strace -T has it; nothing of a call that never returns."""
        if not self.times or not isinstance(ev, FaultEvent | SyscallEvent):
            return ""
        if isinstance(ev, SyscallEvent) and ev.ret is None:
            return ""
        text = " host ".join(seconds(took(ev) if name == "began" else ev.host) for name in self.times)
        return f" <{text}>"

    def what(self, ev: Event) -> str:
        """What happened, without when and to whom."""
        if isinstance(ev, FaultEvent):
            return self.fault(ev)
        if isinstance(ev, SyscallEvent):
            return self.syscall(ev)
        return plain(other(ev))

    def fault(self, ev: FaultEvent) -> str:
        """Address, access, who touched it, class, segment, frame, and the instruction."""
        who = f"kernel {ev.fn}".rstrip() if ev.mode == "kernel" else ev.mode
        cls = f"{ev.cls}+{ev.load}" if ev.load else ev.cls
        frame = f"0x{ev.frame:08x}" if ev.frame else "-"
        shown = f"{cls:<18}"
        if self.color and ev.cls in CLSCOLOR:
            shown = f"{CLSCOLOR[ev.cls]}{shown}{RESET}"
        line = f"0x{ev.addr:08x} {ev.access:<5} {who:<16} {shown} {ev.segment or '-':<6} frame {frame:<10}"
        return f"{line} pc 0x{ev.pc:08x}{self.place(ev)}"

    def place(self, ev: FaultEvent) -> str:
        """Symbol, source line and instruction at a fault's pc, as far as they can be known.

        In kernel mode the pc is only where the process left user mode: no instruction is told.
        """
        found = self.lookup(ev.pid, ev.pc) if self.lookup else None
        if found is None:
            return ""
        symbol, code, place = found
        where = f" {plain(symbol)}" if symbol else ""
        if place is not None:
            where += f" {self.source(place)}"
        insn = instruction(code, ev.pc) if code and ev.mode != "kernel" else ""
        return f"{where}: {insn}" if insn else where

    def syscall(self, ev: SyscallEvent) -> str:
        """A call as in strace: ``name(args) = ret``, ``?`` if it never returns."""
        call = plain(f"{ev.name}({ev.args})")
        if ev.ret is None:
            return f"{call} = ?"
        if not ev.error:
            return f"{call} = {result(ev)}"
        end = f'{ev.ret} "{plain(ev.error)}"'
        return f"{call} = {RED}{end}{RESET}" if self.color else f"{call} = {end}"


    def source(self, place: Place) -> str:
        """A source line, as FILE:LINE."""
        return f"{plain(place.file)}:{place.line}"

    def frame(self, f: Frame) -> str:
        """A function on a stack, as strace -k has it: name with offset, source line, address."""
        where = f" {self.source(f.place)}" if f.place is not None else ""
        return f"{plain(f.symbol) or '?'}{where} [0x{f.pc:08x}]"


def seconds(ns: int) -> str:
    """A time with nine digits behind the point."""
    sec, rest = divmod(abs(ns), 1_000_000_000)
    return f"{'-' if ns < 0 else ''}{sec}.{rest:09d}"


def other(ev: Event) -> str:
    """What an event tells that is neither a fault nor a call."""
    match ev:
        case ProcEvent():
            child = f" pid {ev.child}" if ev.child else ""
            status = f' "{ev.status}"' if ev.status or ev.op == "exit" else ""
            return f"{ev.op:<6} {ev.name}{child}{status}"
        case PageEvent():
            image = IMAGES.get(ev.image, str(ev.image))
            return (
                f"{ev.op:<7} frame 0x{ev.frame:08x} va 0x{ev.va:08x} image {image:<4} daddr 0x{ev.daddr:x} ref {ev.ref}"
            )
        case ImageEvent():
            image = IMAGES.get(ev.image, str(ev.image))
            return f"{ev.op:<7} image {image} {ev.path} ref {ev.ref} pgref {ev.pgref}"
        case SegmentEvent():
            more = f" image {ev.image}" if ev.image >= 0 else ""
            more += f" of {ev.old}" if ev.old else ""
            more += f" pid {ev.target} slot {ev.slot}" if ev.slot >= 0 else ""
            return f"{ev.op:<8} {ev.type:<8} 0x{ev.base:08x}-0x{ev.top:08x} ref {ev.ref} id {ev.id}{more}"
        case EntryEvent():
            what = {"page": f" frame 0x{ev.frame:08x}", "swap": f" daddr 0x{ev.daddr:x}"}.get(ev.op, "")
            return f"{ev.op:<7} segment {ev.segment} va 0x{ev.va:08x}{what}"
        case MmuEvent():
            what = f" va 0x{ev.va:08x}" if ev.op in ("map", "table", "kmap") else ""
            what += f" frame 0x{ev.frame:08x}" if ev.frame else ""
            return f"{ev.op:<9} pdb 0x{ev.pdb:08x}{what} {ev.access}".rstrip()
        case SchedEvent():
            why = f" ({ev.why})" if ev.why else ""
            return f"{ev.op:<5} {ev.name} {ev.target} {ev.state}{why}"
        case BootEvent():
            pool = f"{ev.pages} frames from 0x{ev.base:08x}"
            return f"cpus {ev.cpus}, {pool}, {ev.swap} swap slots, {ev.images} images"
        case NoteEvent():
            return f'{ev.op:<7} to {ev.target} "{ev.text}"'
        case TlbEvent():
            return f"{ev.op:<6} va 0x{ev.va:08x} pdb 0x{ev.pdb:08x}"
        case _:
            return repr(ev)


def result(ev: SyscallEvent) -> str:
    """What a call returned, as a program sees it: addresses are no numbers."""
    if ev.ret is not None and (ev.ret < -1 or (ev.name == "segattach" and not ev.error)):
        return f"0x{ev.ret & 0xFFFFFFFF:08x}"
    return "?" if ev.ret is None else str(ev.ret)
