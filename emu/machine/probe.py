"""A processor that can be looked at between two instructions: breakpoints, single steps, watched memory.

Unicorn calls a hook for code before each instruction that it is for, and translates the call into these instructions
alone: what is not asked for costs nothing. The hook is called between two instructions, with all registers in their
places, so the machine can stand still there and go on as if nothing had been: no block is counted twice, and virtual
time is what it is without. Only if something was changed meanwhile is the block left, and begun anew where it stood.

A hook for code cannot be taken away safely: Unicorn then looks up each address that it was translated at, in whatever
address space there is, and after three page faults of that kind the processor is halted for good. So such a hook is
aimed elsewhere and used again; where its bounds are not found in Unicorn's structure, it is taken away nevertheless.

A hook for memory is told the physical address. With one, all loads and stores are slow; so are all instructions, as
it is to be known where the one ends that has made the access: a function in C notes each (emu/machine/_probe.c), or,
where that was not built, one in Python, some fifty times slower.
"""

from __future__ import annotations

import ctypes
import functools
from ctypes import CFUNCTYPE, c_bool, c_int, c_int64, c_size_t, c_uint64, c_void_p
from typing import Any, Final, NamedTuple, Protocol

from emu.machine import svm, x86
from emu.machine.clock import Realcpu
from emu.machine.counter import NS_PER_BLOCK
from emu.machine.cpu import NOWHERE, Cpu
from emu.machine.lib import CTL_TB_FLUSH, HOOK_MEM_READ, REG_CR3
from emu.machine.plaincpu import PlainCpu
from emu.machine.regs import Regs
from kernel.base.record import constant

HOOK_CODE: Final = 1 << 2
HOOK_MEM_WRITE: Final = 1 << 11
MEM_WRITE: Final = 17  # uc_mem_type
IDLE: Final = 64  # calls of hooks that nobody wants any more before they are taken away

CODEHOOK: Final = CFUNCTYPE(None, c_void_p, c_uint64)
MEMHOOK: Final = CFUNCTYPE(c_bool, c_void_p, c_int, c_uint64, c_int, c_int64)

BOUNDS: Final = (
    24  # where a hook of Unicorn's (uc_priv.h:struct hook) has its first and last address, and then the callback
)
ELSEWHERE: Final = (1 << 64) - 1, (1 << 64) - 1  # no address of a 386

EACH, NOTED = -1, -2  # in place of an address: all, each told in Python; or noted in C

# Traps after which the same instruction is executed once more, if it is served
AGAIN: Final = frozenset((x86.PAGEFAULT, 7, x86.EXIT + x86.EXIT_NPF))


class Area(NamedTuple):
    """Physical memory whose use is to be told: [start, end), reads and writes."""

    start: int
    end: int
    read: bool
    write: bool


class Touch(NamedTuple):
    """An access to an area, by the instruction at ``pc`` of a block that began before ``place``."""

    write: bool
    pa: int
    size: int
    pc: int
    place: int


@constant
class Wanted:
    """Where a processor is to stop and ask: before the instructions at these addresses, or each one; at accesses.

    ``again``: each one will be wanted when a process is back that was in user mode while each was.
    """

    addresses: frozenset[int] = frozenset()
    every: bool = False
    areas: tuple[Area, ...] = ()
    again: bool = False


NOTHING: Final = Wanted()


class Observer(Protocol):
    """Who looks. What these raise ends the run."""

    def stops(self, cpu: Probed, pc: int, again: bool) -> bool:
        """Before the instruction at pc, of the current process: whether to stand still here.

        ``again``: it was begun before, and a fault of its own has been served meanwhile.
        """

    def still(self, cpu: Probed, pc: int) -> None:
        """The machine stands still; it goes on when this returns. Registers may be changed."""

    def entering(self, cpu: Probed) -> None:
        """The processor is about to run user code, after the kernel was at work."""

    def reached(self, cpu: Probed) -> None:
        """The place that the observer has set by mark() is there: it is before a block. It is set no more."""


class Probed(Cpu):
    """A Cpu with hooks for code and memory, which ``observer`` has set by look()."""

    observer: Observer | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._wanted = NOTHING
        self._placed: dict[int | Area, Any] = {}  # handles of hooks
        self._spare: dict[bool, list[c_size_t]] = {False: [], True: []}  # aimed elsewhere; of NOTED and of the others
        self._unwanted = 0  # calls for nothing
        self._inblock = False  # in a hook, between two instructions
        self._late = False  # hooks are to be set before emulation goes on
        self._recount: int | None = None  # the counter as it is to be for a block that was left, and is begun anew
        self._begun: tuple[int, int] | None = None  # pc and time at which it was left
        # with EACH, by the Regs of a process: pc of an instruction that has faulted; for all processors of a machine
        self.restart: dict[int, int] = {}
        self.touched: list[Touch] = []
        self.remember = False  # instructions that have faulted, whatever hooks there are
        self._whole = 0  # until when run() was told to go on
        self._mark: int | None = None
        self._codehook = CODEHOOK(self._code)
        # struct place of _probe.c: pc, whether to call on, whom
        call = ctypes.cast(self._codehook, c_void_p).value
        self._noted: ctypes.Array[c_uint64] = (c_uint64 * 3)(0, 0, call or 0)
        self._memhook = MEMHOOK(self._access)
        super().__init__(*args, **kwargs)

    # For the observer

    def look(self, wanted: Wanted) -> None:
        """From now on stop and ask there. To be called while the machine stands still, or the kernel is at work."""
        self._wanted = wanted
        needed = self._needed()
        if not (self.remember or wanted.again or EACH in needed):
            self.restart.clear()
        if needed <= self._placed.keys() and not {EACH, NOTED} & (self._placed.keys() - needed):
            return
        if self._inblock:
            self._late = True
        else:
            self._place()

    def _needed(self) -> set[int | Area]:
        wanted = self._wanted
        needed: set[int | Area] = set(wanted.areas)
        native = _native()
        if wanted.every or (wanted.areas and not native):
            return needed | {EACH}
        if wanted.areas:
            needed.add(NOTED)
        return needed | wanted.addresses

    def _place(self) -> None:
        """Set the hooks that are wanted, outside translated code; forget that."""
        self._late = False
        self._unwanted = 0
        needed = self._needed()
        for gone in self._placed.keys() - needed:
            handle = self._placed.pop(gone)
            if not isinstance(gone, Area) and self._aim(handle, gone, ELSEWHERE):
                self._spare[gone == NOTED].append(handle)
            else:
                self._lib.check(self._lib.unhook(self._uc, handle), "uc_hook_del")
        for new in needed - self._placed.keys():
            self._placed[new] = self._hooked(new)
        self._lib.ctl(self._uc, CTL_TB_FLUSH)

    def _hooked(self, new: int | Area) -> c_size_t:
        """A hook for that."""
        args: tuple[Any, ...]
        if isinstance(new, Area):
            kind = (HOOK_MEM_READ if new.read else 0) | (HOOK_MEM_WRITE if new.write else 0)
            # an access that begins before the area may reach into it
            args = kind, self._memhook, None, max(new.start - 15, 0), new.end - 1
        else:
            bounds = (new, new) if new >= 0 else (1, 0)
            spare = self._spare[new == NOTED]
            if spare:
                self._aim(spare[-1], new, bounds)
                return spare.pop()
            noted = c_void_p(_native()), ctypes.byref(self._noted)
            args = HOOK_CODE, *(noted if new == NOTED else (self._codehook, None)), *bounds
        handle = c_size_t()
        self._lib.check(self._lib.hook(self._uc, ctypes.byref(handle), *args), "uc_hook_add")
        return handle

    def _aim(self, handle: c_size_t, what: int, bounds: tuple[int, int]) -> bool:
        """Let a hook for code be for other addresses; whether it is where they are found."""
        place = (c_uint64 * 3).from_address(handle.value + BOUNDS)
        if place[2] != (_native() if what == NOTED else self._noted[2]):
            return False
        place[0], place[1] = bounds
        return True

    def place(self) -> int:
        """How far it is, exact to the block: each takes it on by NS_PER_BLOCK."""
        return self.now()

    def placeof(self, ns: int) -> int | None:
        """The place at which it is that time; None if it is not known."""
        return ns

    def mark(self, place: int | None) -> None:
        """Have the observer told before the first block at which it is there, or farther; None: not any more.

        To be called in the kernel. It takes nothing of the turn that the processor has.
        """
        if place is not None or self._mark is not None:
            self._mark = place
            self._recap()

    def _recap(self) -> None:
        """Let the turn be over at the mark for once."""
        super().setuntil(self._capped())

    def _over(self) -> bool:
        """Whether the turn itself is over."""
        return self.now() >= self._whole

    def _capped(self) -> int:
        return self._whole if self._mark is None else min(self._whole, self._mark)

    # The hooks

    def _code(self, _uc: int, pc: int) -> None:
        """Before an instruction that is hooked."""
        if self.hook.held:
            return
        try:
            self._instruction(pc)
        except BaseException as e:  # noqa: BLE001 run() raises it
            self._inblock = False
            self.ended(e)
            self._leave()

    def _instruction(self, pc: int) -> None:
        regs = self.hook.current
        again = self.restart.pop(id(regs), None) == pc if self.restart else False
        if NOTED not in self._placed:
            self._noted[0] = pc
        if self._begun == (pc, self._zero - self._blocks[0]):
            return
        self._begun = None
        if not self.touched and not self._wanted.every and pc not in self._wanted.addresses:
            if not self._wanted.areas:
                self._unwanted += 1
                if self._unwanted > IDLE:
                    self._save(regs, pc)
                    self._late = True
                    self._again(pc)
            return
        observer = self.observer
        if observer is None or not observer.stops(self, pc, again):
            self._untouched()
            return
        self._save(regs, pc)
        before = bytes(regs.buf)
        self._inblock = True
        observer.still(self, pc)
        self._inblock = False
        self._untouched()
        if self._late or bytes(regs.buf) != before or self.hook.flush:
            self._again(pc)

    def _untouched(self) -> None:
        self.touched.clear()
        self._noted[1] = 0

    def _save(self, regs: Regs, pc: int) -> None:
        self._lib.save(self._uc, regs.handle)
        regs.settle()
        regs.pc = pc

    def _again(self, pc: int) -> None:
        """Leave the block here and go on with the current Regs; whatever of it still runs does not count."""
        self._begun = (pc, self._zero - self._blocks[0])
        self._recount = self._blocks[0] + 1
        self._leave()
        self.counter.leave()

    def _leave(self) -> None:
        """Let what is left of the block run where there is no memory, as at an instruction that is diverted."""
        self.hook.held = True
        svm.regwrite(self._lib, self._uc, REG_CR3, NOWHERE)

    def _access(self, _uc: int, kind: int, pa: int, size: int, _value: int) -> bool:
        """At a load or store in an area, before it is made."""
        if not self.hook.held:
            write = kind == MEM_WRITE
            for a in self._wanted.areas:
                if pa < a.end and pa + size > a.start and (a.write if write else a.read):
                    self.touched.append(Touch(write, pa, size, self._noted[0], self.place()))
                    self._noted[1] = 1
                    break
        return True

    # Cpu

    def run(self, regs: Regs, until: int) -> bool:
        """As of Cpu; the observer may want to stand still first, and at an access by the last instruction."""
        observer = self.observer
        self._whole = until
        if observer is not None:
            observer.entering(self)
        self._begun = None
        over = super().run(regs, self._capped())
        while over and self._mark is not None and self._mark <= self.place() and observer is not None:
            self._mark = None
            observer.reached(self)
            if self._over():
                break
            self._recap()
            over = self._run()
        if over and self.touched and observer is not None:
            pc = self.hook.current.pc
            if observer.stops(self, pc, False):
                observer.still(self, pc)
            self._untouched()
        return over

    def trapped(self, intno: int, isint: bool) -> Regs | None:
        """As of Cpu; what the instruction has done so far is done once more."""
        if not isint and intno in AGAIN:
            self._untouched()
            if self.remember or EACH in self._placed:
                regs = self.hook.current
                self.restart[id(regs)] = regs.pc
        return super().trapped(intno, isint)

    def _emulate(self) -> None:
        if self._late:
            self._place()
        super()._emulate()
        recount, self._recount = self._recount, None
        if recount is not None:
            self._blocks[0] = recount


@functools.cache
def _native() -> int:
    """Where the function of _probe.c is; 0 if the extension was not built."""
    try:
        from emu.machine._probe import hook
    except ImportError:
        return 0
    return hook


class ProbedPlain(Probed, PlainCpu):
    """The same without nested paging."""


class ProbedReal(Probed, Realcpu):
    """The same with the host's time. That may stand still while blocks are executed: its place is their number."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._base = 0  # place when the counter will be at 0
        self._end = 0  # place where the turn is over
        super().__init__(*args, **kwargs)

    def place(self) -> int:
        """As of Probed."""
        return self._base - self._blocks[0] * NS_PER_BLOCK

    def placeof(self, ns: int) -> int | None:
        """As of Probed."""
        return self.place() if self.now() >= ns else None

    def setuntil(self, ns: int) -> None:
        """As of Realcpu: a turn begins."""
        place = self.place()
        super().setuntil(ns)
        self._base = self._end = place + self._blocks[0] * NS_PER_BLOCK
        if self._mark is not None:
            self._recap()

    def _recap(self) -> None:
        place = self.place()
        self._base = self._end if self._mark is None else min(self._end, max(self._mark, place))
        self._blocks[0] = (self._base - place) // NS_PER_BLOCK

    def _over(self) -> bool:
        return self.place() >= self._end

    def _capped(self) -> int:
        return self._whole
