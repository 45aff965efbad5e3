"""Page references: which pages a guest touches, in order.

Every load and store is noticed (Unicorn's hooks, which tell the physical address), every block of code when it begins,
every access of the kernel to the memory of a user, and every page that a fault has brought. Of touches of the same page
one after the other the first is told.

What is told are numbers of objects. An object is what a frame holds from one allocation to the next. So a page that
several segments share, copy on write too, is one object until it is copied, and a page of a file is one as long as it
is in memory, whoever maps it. Record with memory enough: a page that comes back from swap comes back as another object.

Notes are taken in C (emu/machine/_references.c), or here where that was not built. The run is the same as without, but
for the host's time.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Sequence
from ctypes import CFUNCTYPE, POINTER, Structure, c_int, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from emu.machine import recursion
from emu.machine.config import MachineError
from emu.machine.lib import lib
from kernel.base.event import Event, FaultEvent, ImageEvent, MmuEvent, PageEvent

if TYPE_CHECKING:
    from emu.machine.machine import Machine

ROOM: Final = 1 << 18  # notes between two looks at them, at the most
BEHIND: Final = 1 << 31  # with a frame: the page behind it in the address space
NOTHING: Final = 0xFFFFFFFF
UNKNOWN: Final = -1  # of a frame that is none of the pool: the kernel's own
PAGE: Final = 4096

Receive = Callable[[int, int, Sequence[int]], None]
"""From a pid, the virtual time and the numbers of what was touched until then."""

DRAINHOOK: Final = CFUNCTYPE(None)
MEMORYHOOK: Final = CFUNCTYPE(None, c_void_p, c_int, c_uint64, c_int, c_int64, c_void_p)
BLOCKHOOK: Final = CFUNCTYPE(None, c_void_p, c_uint64, c_uint32, c_void_p)


class Touched(NamedTuple):
    """An object: who had it allocated, for which address; and what is in it, if it is a page of a file."""

    pid: int
    va: int
    image: int = -1
    path: str = ""
    offset: int = 0


class Notes(Structure):
    """As in _references.c. ``buf`` has ``n`` frame numbers."""


class Processor(Structure):
    """As in _references.c."""

    _fields_ = [("notes", POINTER(Notes)), ("recursion", POINTER(c_int32)), ("pdb", c_uint32)]


Notes._fields_ = [
    ("buf", c_void_p),
    ("n", c_uint64),
    ("room", c_uint64),
    ("current", c_void_p),
    ("drain", DRAINHOOK),
    ("ram", c_void_p),
    ("size", c_uint32),
    ("last", c_uint32),
]


class References:
    """Watches one machine, and is the sink of its events: every one of them. ``receive`` gets what was touched.

    ``pages`` has the objects, by number, in the order in which they were touched first. ``gone`` is told of an object
    that is no more, after receive has had what came before. What the two raise comes out of the run. Call finish() at
    its end.
    """

    def __init__(self, receive: Receive, gone: Callable[[int], None] | None = None) -> None:
        self.pages: list[Touched] = []
        self._receive = receive
        self._gone = gone
        self._machine: Machine | None = None
        self._numbers = Numbers(self._new)
        self._labels: dict[int, Touched] = {}  # by frame, of all that were ever allocated
        self._paths: dict[int, str] = {}  # by number of an image
        self._sources: dict[int, int] = {}  # by pid, the frame of what it found in a cache or loaded last
        self._owners: dict[int, int] = {}  # pid by page directory
        self._places: dict[tuple[int, int], int] = {}  # of directory and frame, the address
        self._last = UNKNOWN
        self._raised: BaseException | None = None
        self._buf = (c_uint32 * ROOM)()
        self._words = memoryview(self._buf).cast("B").cast("I")
        self._notes = Notes(buf=ctypes.addressof(self._buf), room=ROOM, drain=DRAINHOOK(self._full), last=NOTHING)
        self._processors: list[Processor] = []
        self._kept: list[Any] = []

    def watch(self, machine: Machine) -> None:
        """Take notes of a machine, from now on; before it runs. Raises MachineError where Unicorn does not let us."""
        at = recursion.place(lib())
        if at is None:
            raise MachineError("page references cannot be had of this release of Unicorn")
        self._machine = machine
        notes, memory = self._notes, machine.memory
        notes.ram, notes.size = memory.address, memory.size
        for cpu in machine.cpus:
            silence = ctypes.cast(cpu.engine + at, POINTER(c_int32))
            processor = Processor(ctypes.pointer(notes), silence, cpu.getcr3())
            self._processors.append(processor)
            touching, starting = self._hooks(processor)
            cpu.watch(touching, starting, ctypes.addressof(processor))
            cpu.loaded = self._loaded(processor)
        translate = memory.translate

        def translated(pdb: int, va: int, write: bool) -> int:
            pa = translate(pdb, va, write)
            here = pa if pa >= 0 else memory.walk(pdb, va)
            if here is not None:
                self._touch(here >> 12, pdb)
            return pa

        memory.translate = translated

    def __call__(self, ev: Event) -> None:
        """An event: what a frame holds, and what a fault has brought. Raises what receive has raised meanwhile."""
        if isinstance(ev, PageEvent):
            self._page(ev)
        elif isinstance(ev, FaultEvent):
            source = self._sources.pop(ev.pid, None)
            if source is not None and ev.load:
                self._touch(source)
            if ev.frame:
                self._touch(ev.frame >> 12)
        elif isinstance(ev, ImageEvent):
            if ev.op in ("new", "attach"):
                self._paths[ev.image] = ev.path
        elif isinstance(ev, MmuEvent) and ev.op == "directory":
            self._owners[ev.pdb] = ev.pid
        if self._raised is not None:
            raised, self._raised = self._raised, None
            raise raised

    def finish(self) -> None:
        """Hand over what is left. Raises what receive raises."""
        self._drain()
        if self._raised is not None:
            raise self._raised

    # What frames hold

    def _page(self, ev: PageEvent) -> None:
        frame = ev.frame >> 12
        if ev.op == "alloc":
            self._drain()
            self._numbers.pop(frame, None)
            self._labels[frame] = Touched(ev.pid, ev.va)
        elif ev.op == "free" and self._gone is not None and frame in self._numbers:
            self._drain()
            self._gone(self._numbers.pop(frame))
        elif ev.op in ("cache", "lookup", "swap-in"):
            self._sources[ev.pid] = frame
            if ev.op == "cache" and ev.image >= 0:
                label = self._labels.get(frame, Touched(ev.pid, ev.va))
                self._labels[frame] = label._replace(
                    image=ev.image, path=self._paths.get(ev.image, ""), offset=ev.daddr
                )
        elif ev.op == "copy" and self._machine is not None:
            pdb = self._machine.kernel.m.cpu.getcr3()
            old = self._machine.memory.walk(pdb, ev.va)
            if old is not None and old >> 12 != frame:
                self._touch(old >> 12, pdb)

    def _new(self, note: int) -> int:
        """The number of what a note is about, which was not touched before in this frame."""
        if note & BEHIND:
            behind = self._behind(note & ~BEHIND)
            return self._numbers[behind] if behind is not None else UNKNOWN
        label = self._labels.get(note)
        if label is None:
            return UNKNOWN
        n = self._numbers[note] = len(self.pages)
        self.pages.append(label)
        return n

    def _behind(self, frame: int) -> int | None:
        """The frame of the page behind one, in the address space of who ran; None if there is none any more."""
        assert self._machine is not None
        memory = self._machine.memory
        pdb = self._pdb()
        va = self._places.get((pdb, frame))
        if va is None or (memory.walk(pdb, va) or 0) >> 12 != frame:
            words = memory.words
            for d in range(1024):
                pde = words[(pdb >> 2) + d]
                if pde & 0x81 == 1:
                    table = pde >> 12 << 10
                    for n, entry in enumerate(words[table : table + 1024]):
                        if entry & 1:
                            self._places[pdb, entry >> 12] = d << 22 | n << 12
            va = self._places.get((pdb, frame))
        pa = memory.walk(pdb, va + PAGE) if va is not None else None
        return pa >> 12 if pa is not None else None

    # Notes

    def _hooks(self, processor: Processor) -> tuple[Any, Any]:
        """For loads and stores, and for blocks: in C, or here where the extension was not built."""
        try:
            from emu.machine import _references
        except ImportError:
            return pythonhooks(self, processor)
        return c_void_p(_references.memory), c_void_p(_references.block)

    def _loaded(self, processor: Processor) -> Callable[[int], None]:
        """What a processor is to call with each page directory it loads."""

        def loaded(pdb: int) -> None:
            if self._notes.current == ctypes.addressof(processor):
                self._drain()
            processor.pdb = pdb

        return loaded

    def _touch(self, frame: int, pdb: int | None = None) -> None:
        """A touch that is told from here."""
        notes = self._notes
        cpu: Any = self._machine.kernel.m if self._machine is not None else None
        processor = self._processors[cpu.machno] if cpu is not None else None
        if processor is not None and notes.current != ctypes.addressof(processor):
            self._drain()
            notes.current = ctypes.addressof(processor)
        self.note(frame)

    def note(self, frame: int) -> None:
        """One note, of the processor whose turn it is."""
        notes = self._notes
        if frame == notes.last:
            return
        if notes.n == ROOM:
            self._drain()
        self._words[notes.n] = frame
        notes.n += 1
        notes.last = frame

    def _pdb(self) -> int:
        current = self._notes.current
        return next((p.pdb & 0xFFFFF000 for p in self._processors if ctypes.addressof(p) == current), 0)

    def _full(self) -> None:
        """In a hook: nothing can be raised here, so the next event does."""
        try:
            self._drain()
        except BaseException as e:  # noqa: BLE001 the next event raises it
            self._raised = self._raised or e

    def _drain(self) -> None:
        """Hand over what was noted."""
        notes = self._notes
        n, notes.n, notes.last = notes.n, 0, NOTHING
        if not n or self._raised is not None:
            return
        taken = self._words[:n].tolist()
        told = array("i", map(self._numbers.__getitem__, taken))
        if min(told) < 0 or max(taken) >= BEHIND:  # kernel's frames; and what lies behind may be told twice
            known = [t for t in told if t >= 0]
            told = array("i", [t for i, t in enumerate(known) if not i or t != known[i - 1]])
        if told and told[0] == self._last:
            del told[0]
        if told:
            self._last = told[-1]
            ns = self._machine.kernel.m.cpu.now() if self._machine is not None else 0
            self._receive(self._owners.get(self._pdb(), 0), ns, told)


class Numbers(dict[int, int]):
    """Numbers of objects by frame; ``new`` gives that of one that is not there."""

    def __init__(self, new: Callable[[int], int]) -> None:
        self.new = new

    def __missing__(self, frame: int) -> int:
        return self.new(frame)


def pythonhooks(references: References, processor: Processor) -> tuple[Any, Any]:
    """The hooks of _references.c."""
    notes = references._notes
    address = ctypes.addressof(processor)

    def note(frame: int) -> None:
        if notes.current != address:
            references._full()
            notes.current = address
        references.note(frame)

    def memory(_uc: int, _type: int, pa: int, size: int, _value: int, _data: int) -> None:
        if pa < notes.size:
            note(pa >> 12)
            if (pa & PAGE - 1) + size > PAGE:
                note(pa >> 12 | BEHIND)

    def block(_uc: int, pc: int, size: int, _data: int) -> None:
        assert references._machine is not None
        processor.recursion[0] = 0
        walk = references._machine.memory.walk
        for va in range(pc & 0xFFFFF000, pc + size, PAGE):
            pa = walk(processor.pdb, va & 0xFFFFFFFF)
            if pa is not None:
                note(pa >> 12)

    return MEMORYHOOK(memory), BLOCKHOOK(block)
