"""A machine for a Python program: captured output, subscribers, runs that stand still, views of the kernel."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from emu.api import looks, views
from emu.api.log import Fault
from emu.api.options import configuration
from emu.api.result import Result
from emu.api.step import Stepper
from emu.machine.config import Config, LimitError, MachineError
from emu.machine.console import MemoryConsole
from emu.machine.machine import Machine as Computer
from emu.observe.answers import state
from emu.observe.answers.page import Life, life
from emu.observe.answers.why import Trail, why
from emu.observe.filter import DEFAULT, Filter, FilterError, select
from emu.observe.model.history import History
from emu.program.symbols import Found, Symbols
from kernel.base.event import Event, FaultEvent

if TYPE_CHECKING:
    from emu.machine.config import Outcome

MAXOUTPUT = 64 << 20
MAXEVENTS = 1_000_000

Program = str | os.PathLike[str]
Kinds = str | Iterable[str]
Subscriber = Callable[[Event], object]


class Machine:
    """One emulated computer, which runs one program. A context manager: it gives everything back at its end.

    ``config``, with fields replaced by ``options``, is what it is made of (:func:`emu.api.options.configuration`).
    The guest reads ``stdin``; what it writes is kept in ``stdout`` and ``stderr``, ``maxoutput`` bytes together, or
    the run ends with LimitError; so it does when more than ``maxevents`` events are kept. With ``capture=False`` the
    guest has the host's standard streams.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        stdin: bytes | str = b"",
        capture: bool = True,
        maxoutput: int | None = MAXOUTPUT,
        maxevents: int | None = MAXEVENTS,
        **options: Any,
    ) -> None:
        self.config = configuration(config, **options)
        if not isinstance(stdin, bytes | bytearray | str):
            raise TypeError(f"stdin: {stdin!r} is neither bytes nor text")
        _bound("maxoutput", maxoutput)
        _bound("maxevents", maxevents)
        self.result: Result | None = None
        self.messages: list[str] = []  # the emulator's own lines
        self.dump = ""  # after a MachineError: the processes, and what they wait for
        self.maxevents = maxevents
        data = stdin.encode() if isinstance(stdin, str) else stdin
        self._console = MemoryConsole(data, maxoutput) if capture else None
        self._machine = Computer(self.config, console=self._console, warn=self.messages.append)
        self._symbols = Symbols()
        self._symbols.machine = self._machine
        self._table: dict[str, list[Subscriber]] = {}
        self._stepper: Stepper[Outcome] | None = None
        self._thread: int | None = None  # that it runs in
        self._closed = False
        self._kept: list[Event] = []
        self._history: History | None = None

    # Running

    def run(self, program: Program, args: Sequence[str] = (), *, events: Kinds = DEFAULT) -> Result:
        """Run a host program, or a bundled guest by name, to its end. ``events`` are the kinds kept in the Result.

        Raises LoadError, MachineError, TimeLimit, LimitError, and what a subscriber raises.
        """
        wanted = _wanted(events)
        program = self._begin(program, tuple(args))
        self._keep(wanted)
        outcome = self._run(program, args)
        return self._end(program, args, outcome, wanted.kinds)

    def events(self, program: Program, args: Sequence[str] = (), *, kinds: Kinds = DEFAULT) -> Generator[Event]:
        """Run it likewise, and stand still at each event of these kinds: the events, one by one.

        ``result`` is there after the last one. Who leaves the loop ends the run.
        """
        wanted = _wanted(kinds)
        return self._events(self._begin(program, tuple(args)), args, wanted)

    def subscribe(self, subscriber: Subscriber, kinds: Kinds = "%all") -> Callable[[], None]:
        """Have ``subscriber`` called with each event of these kinds; the result takes it away again.

        What it raises ends the run, and comes out of that.
        """
        return self._subscribe(subscriber, _wanted(kinds))

    def _subscribe(self, subscriber: Subscriber, wanted: Filter) -> Callable[[], None]:
        called = subscriber
        if (test := wanted.test) is not None:

            def called(ev: Event) -> None:
                if test(ev):
                    subscriber(ev)

        for kind in wanted.kinds:
            self._table.setdefault(kind, []).append(called)
        self._machine.kernel.sink = self._sink
        self._listen()

        def unsubscribe() -> None:
            for kind in wanted.kinds:
                if called in self._table[kind]:
                    self._table[kind].remove(called)
            self._listen()
            if not any(self._table.values()):
                self._machine.kernel.sink = None

        return unsubscribe

    def close(self) -> None:
        """Give everything back; a run that stands still ends. The machine is of no use afterwards.

        Raises RuntimeError in another thread than that which ran it.
        """
        if self._closed:
            return
        if self._thread not in (None, threading.get_ident()):
            raise RuntimeError("a machine is closed in the thread that it ran in, and in no other")
        self._closed = True
        if self._stepper is not None:
            self._stepper.close()
        self._machine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.close()

    # What there is to see: while the machine stands still, in a subscriber, and at the end

    @property
    def stdout(self) -> bytes:
        """What the guest has written to standard output so far."""
        return bytes(self._console.output[1]) if self._console is not None else b""

    @property
    def stderr(self) -> bytes:
        """What the guest has written to standard error so far."""
        return bytes(self._console.output[2]) if self._console is not None else b""

    @property
    def kmesg(self) -> str:
        """The kernel's messages, as /dev/kmesg has them."""
        return self._machine.kernel.files.kmesg.decode("utf-8", "replace")

    @property
    def current(self) -> int | None:
        """The pid of the process that runs."""
        up = self._machine.kernel.up
        return up.pid if up is not None else None

    @property
    def now(self) -> int:
        """Virtual time, ns since the start."""
        return max(cpu.now() for cpu in self._machine.cpus)

    def read(self, pid: int, va: int, n: int) -> bytes:
        """The n bytes of memory at address va of a process. Raises NotPresent where there is no page."""
        return views.read(self._kernel, pid, va, n)

    def walk(self, pid: int, va: int) -> views.Walk:
        """The entries of page directory and page table for an address of a process."""
        return views.walk(self._kernel, pid, va)

    def pagetable(self, pid: int) -> tuple[views.Walk, ...]:
        """All valid entries of a process's page tables, by address."""
        return views.pagetable(self._kernel, pid)

    def process(self, pid: int) -> views.ProcessView:
        """A process. Raises LookupError."""
        return views.process(self._kernel, pid)

    def processes(self) -> tuple[views.ProcessView, ...]:
        """All processes, by pid."""
        return views.processes(self._kernel)

    def frames(self) -> tuple[views.FrameView, ...]:
        """The frames of the pool that were ever in use, by address."""
        return views.frames(self._kernel)

    def frame(self, pa: int) -> views.FrameView:
        """The frame that a physical address is in. Raises LookupError if none was ever in use there."""
        for f in self.frames():
            if f.pa == pa & 0xFFFFF000:
                return f
        raise LookupError(f"no frame was ever in use at 0x{pa:08x}")

    def images(self) -> tuple[views.ImageView, ...]:
        """The images in use: executables of which pages are in memory."""
        return views.images(self._kernel)

    def memory(self) -> views.MemoryView:
        """Pages of memory and of swap, in all and free."""
        return views.memory(self._kernel)

    def queue(self) -> tuple[looks.Ready, ...]:
        """The processes that wait for a processor, who gets one first first."""
        return looks.queue(self._kernel)

    def locks(self) -> looks.Locks:
        """The kernel's locks that are held or waited for, and what processes wait for."""
        return looks.heldlocks(self._kernel)

    def invariants(self) -> looks.Invariants:
        """Whether the memory subsystem is in order now."""
        return looks.invariants(self._kernel)

    def stack(self, pid: int) -> looks.Stack:
        """The functions that a process is in, of the kernel and of its program. Raises LookupError."""
        return looks.stack(self._open(), pid)

    def disasm(self, pid: int, pc: int | None = None, n: int = 8) -> looks.Code:
        """n instructions of a process at pc, or where it left user mode. Raises LookupError."""
        return looks.code(self._open(), pid, pc, n)

    # What has happened, if it is recorded

    def record(self) -> History:
        """Keep all events from now on, for why(), life(), segments() and image(); best called before the run.

        The history may be asked itself: it goes back, too.
        """
        if self._history is None:
            history = self._history = History()
            self.subscribe(history.append)
        return self._history

    def why(self, va: int, pid: int) -> Trail:
        """Each event that led to what a process has at an address, in order. Raises LookupError; see record()."""
        return why(self._now, va, pid)

    def life(self, pa: int) -> Life:
        """What has happened to a frame, and who has it. Raises LookupError; see record()."""
        return life(self._now, pa)

    def segments(self, pid: int) -> tuple[state.Segment, ...]:
        """The segments of a process, and who shares them. Raises LookupError; see record()."""
        return state.segments(self._now.model, pid)

    def image(self, number: int) -> state.Image:
        """An image and its cached pages. Raises LookupError; see record()."""
        return state.image(self._now.model, number)

    # Within

    @property
    def _now(self) -> History:
        """The history, at its end."""
        if self._history is None:
            raise RuntimeError("nothing is recorded: call record() before the run")
        self._history.seek(len(self._history))
        return self._history

    def _open(self) -> Computer:
        if self._closed:
            raise RuntimeError("the machine is closed")
        return self._machine

    @property
    def _kernel(self) -> Any:
        if self._closed:
            raise RuntimeError("the machine is closed")
        return self._machine.kernel

    def _begin(self, program: Program, args: tuple[str, ...]) -> Program:
        if self._closed:
            raise RuntimeError("the machine is closed")
        if self._thread is not None:
            raise RuntimeError("a machine runs one program; make another one")
        self._thread = threading.get_ident()
        return program

    def _keep(self, wanted: Filter) -> None:
        limit, kept = self.maxevents, self._kept

        def keep(ev: Event) -> None:
            if limit is not None and len(kept) >= limit:
                raise LimitError(f"there are more than {limit} events (maxevents; events says which are kept)")
            kept.append(ev)

        if wanted.kinds:
            self._subscribe(keep, wanted)

    def _run(self, program: Program, args: Sequence[str]) -> Outcome:
        try:
            return self._machine.run(os.fspath(program), [os.fsdecode(a) for a in args])
        except MachineError as e:
            self.dump = e.dump
            raise

    def _end(self, program: Program, args: Sequence[str], outcome: Outcome, kinds: frozenset[str]) -> Result:
        self.result = Result(
            args=(os.fspath(program), *map(os.fsdecode, args)),
            status=outcome.status,
            exits=outcome.exits,
            pid=outcome.pid,
            name=outcome.name,
            stdout=self.stdout,
            stderr=self.stderr,
            stats=outcome.stats,
            events=tuple(self._kept),
            kinds=kinds,
            config=self.config,
            messages=tuple(self.messages),
            kmesg=self.kmesg,
        )
        return self.result

    def _events(self, program: Program, args: Sequence[str], wanted: Filter) -> Generator[Event]:
        stepper = self._stepper = Stepper(lambda: self._run(program, args), self._machine.signals)
        self._keep(wanted)
        self._subscribe(stepper.sink, wanted)
        try:
            while (ev := stepper.next()) is not None:
                yield ev
        finally:
            stepper.close()
        if stepper.result is not None:
            self._end(program, args, stepper.result, wanted.kinds)

    def _sink(self, ev: Event) -> None:
        """The kernel's sink."""
        subscribers = self._table.get(ev.kind)
        if not subscribers:
            return
        if isinstance(ev, FaultEvent):
            ev = self._fault(ev)
        for subscriber in tuple(subscribers):
            subscriber(ev)

    def _listen(self) -> None:
        """Tell the kernel which kinds somebody wants."""
        self._machine.kernel.kinds = frozenset(kind for kind, subscribers in self._table.items() if subscribers)

    def _fault(self, ev: FaultEvent) -> Fault:
        found = self._symbols(ev.pid, ev.pc) or Found("", b"")
        return Fault(
            ev.ns, ev.pid, ev.cpu, ev.addr, ev.pc, ev.mode, ev.fn, ev.err, ev.access, ev.segment, ev.cls, ev.load,
            ev.frame, ev.began, ev.host, *found,
        )  # fmt: skip


def _bound(name: str, value: int | None) -> None:
    """Raise TypeError or ValueError unless that is a number that something may reach, or None."""
    if value is not None and not isinstance(value, int):
        raise TypeError(f"{name}: {value!r} is not a number, or None")
    if value is not None and value < 0:
        raise ValueError(f"{name}: {value} is negative")


def _wanted(kinds: Kinds) -> Filter:
    """Kinds of events as a set, an expression as of -e, or nothing. Raises ValueError."""
    words = [kinds] if isinstance(kinds, str) else sorted(kinds)
    if not any(words):
        return Filter(frozenset())
    try:
        return select(words)
    except FilterError as e:
        raise ValueError(str(e)) from None


def run(
    program: Program,
    *args: str,
    stdin: bytes | str = b"",
    events: Kinds = DEFAULT,
    config: Config | None = None,
    maxoutput: int | None = MAXOUTPUT,
    maxevents: int | None = MAXEVENTS,
    **options: Any,
) -> Result:
    """Run a host program, or a bundled guest by name, on a machine of its own, with captured output, to its end.

    ``events`` are the kinds of events kept, a set or an expression as of ``p9emu trace -e``; "" for none, which is
    fastest. The rest is as for Machine. Raises LoadError, MachineError, TimeLimit, LimitError.
    """
    with Machine(config, stdin=stdin, maxoutput=maxoutput, maxevents=maxevents, **options) as machine:
        return machine.run(program, args, events=events)
