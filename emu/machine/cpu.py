"""One processor: runs user code until it traps, its time is up, or the kernel wants it back.

Every trap is served inside Unicorn's hook, with the registers saved in the current Regs; leaving
emulation and coming back would cost several times as much.
"""

import ctypes
import weakref
from collections.abc import Callable
from ctypes import c_size_t, c_uint64, c_void_p
from typing import Any, Final

from emu.machine import exitcheck, faultflags, rmw, svm, x86
from emu.machine.counter import NS_PER_BLOCK, Counter, Kind
from emu.machine.cpuid import cpuid
from emu.machine.lib import (
    CTL_EXITS,
    CTL_TB_FLUSH,
    CTL_TB_REMOVE,
    CTL_TLB_FLUSH,
    HOOK_BLOCK,
    HOOK_INSN,
    HOOK_INSN_INVALID,
    HOOK_INTR,
    HOOK_MEM_READ,
    HOOK_MEM_WRITE,
    INHOOK,
    INS_IN,
    INS_OUT,
    INS_SYSCALL,
    INS_SYSENTER,
    INVALIDHOOK,
    OUTHOOK,
    REG_CR3,
    Lib,
    UnicornError,
    lib,
)
from emu.machine.memory import Memory
from emu.machine.regs import Context, Regs, header, regsclass
from emu.machine.traphook import traphook
from kernel.base.mem import CPU0GDT, IDTADDR, NGDT

Service = Callable[[int, int], Regs | None]

LOWMEM: Final = 1024 * 1024
MAXINSN: Final = 15  # bytes in the longest instruction
# Unicorn's TLB has 256 entries at first; a flush doubles it if 70 % are in use, as they are after so many new pages
FIRSTGROWTH: Final = 200
LASTGROWTH: Final = FIRSTGROWTH << 6
# How long after a page fault or another page directory turns begin with a flush, each of which may double the TLB, and
# how often they do in any case, in virtual ns
GROWING: Final = 60_000_000
SELDOM: Final = 200_000_000
NOWHERE: Final = 0xFFFFF000  # a page directory outside RAM


def _close(lib: Lib, uc: c_void_p, counter: Counter) -> None:
    counter.release()
    lib.close(uc)


class Cpu:
    """Implements kernel.base.hw.Cpu on one Unicorn over memory that other processors share.

    ``service(trapno, ecode)`` is called for every trap, with the state saved in ``current``. It
    returns the Regs to go on with, which become ``current``, or None to make run() return False.
    What it raises, run() raises. A trap number is the 386's, 64 for INT $64; ecode is its error
    code, or 0. Frames below lowmem are the kernel's own and are never mapped for users.
    """

    def __init__(
        self, machno: int, memory: Memory, service: Service, *, counter: Kind = "auto", lowmem: int = LOWMEM
    ) -> None:
        self.machno = machno
        self.memory = memory
        self.service = service
        self.counter = Counter(counter)
        self._blocks = self.counter.blocks
        self._zero = 0  # virtual time when the counter will be at 0
        self._until = 0
        self._cr2 = 0
        self._missed = 0  # page faults since Unicorn's TLB was last made to grow
        self._room = FIRSTGROWTH
        self._growing = True  # new pages have come, or another directory
        self._grown = 0  # when the TLB will be as large as it needs to be
        self._seldom = 0  # when it is flushed in any case
        self._raised: BaseException | None = None
        self._left = False  # the service returned None
        self._trap: tuple[int, int] | None = None  # to be served once emulation has stopped
        self._fence: int | None = None  # stop at the instruction that runs into this page
        self._low = lowmem >> 12
        self._stale: set[int] = set()

        self._lib = lib()
        self._regs = regsclass()
        self._layout = self._regs.layout
        self._region = svm.Region()
        self._uc = self._open()
        self._closer = weakref.finalize(self, _close, self._lib, self._uc, self.counter)
        exitcheck.leaveout(self._lib, self._uc)
        self.hook = traphook(counter, self, self._lib, self._uc, self._layout)
        self._blank = self._boot()
        self.loaded: Callable[[int], None] | None = None  # is told of each page directory, before it is in use
        self._hooks: list[Any] = []  # kept alive: Unicorn holds their addresses
        self._install()
        memory.attach(self)

    @property
    def current(self) -> Regs:
        """The registers of what runs."""
        return self.hook.current

    def close(self) -> None:
        """Give back what the processor holds; not to be called from the service. It cannot be used any more."""
        if self._closer.alive:
            self.memory.detach(self)
            self._closer()
            self._blocks = self.counter.blocks

    # kernel.base.hw.Cpu

    def putcr3(self, pa: int) -> None:
        """Load a page directory; forgets every translation."""
        frame = pa >> 12
        if frame >= self._low and frame not in self.memory.tables:
            self.memory.table(pa)
        if self.loaded is not None:
            self.loaded(pa)
        self.hook.cr3 = pa
        self.hook.flush = True
        self._growing = True

    def getcr3(self) -> int:
        """Physical address of the loaded page directory."""
        return self.hook.cr3

    def getcr2(self) -> int:
        """Address of the last page fault."""
        return self._cr2

    def invlpg(self, va: int) -> None:
        """Forget the translation of one page; Unicorn can only forget all."""
        self.hook.flush = True

    def forget(self, pa: int) -> None:
        """Forget what this processor decoded from the frame at pa."""
        self.memory.revoke(pa >> 12, 1 << self.machno)

    def newregs(self) -> Regs:
        """Room for one process's registers, in the state of a fresh program."""
        return self._regs(self._blank)

    def now(self) -> int:
        """Virtual time of this processor, ns since boot, exact to the block, in a trap too."""
        return self._zero - self._blocks[0] * NS_PER_BLOCK

    def spend(self, ns: int) -> int:
        """Let ns of virtual time pass on this processor; now() as it was before."""
        blocks = self._blocks
        n = blocks[0]
        was = self._zero - n * NS_PER_BLOCK
        left = n - ns // NS_PER_BLOCK
        if left >= 0 and not ns % NS_PER_BLOCK:
            blocks[0] = left
        else:
            self._zero += ns
            self.setuntil(self._until)
        return was

    # The machine's side

    @property
    def engine(self) -> int:
        """Where Unicorn's part of the processor lies in the host's memory."""
        return self._uc.value or 0

    def watch(self, memory: Any, block: Any, data: int) -> None:
        """Have hooks called, with data, at each load and store and before each block. Slow; time passes as without."""
        self._hook(memory, HOOK_MEM_READ | HOOK_MEM_WRITE, data)
        self._hook(block, HOOK_BLOCK, data)

    def setuntil(self, ns: int) -> None:
        """Let run() return True at the first block boundary at which now() is ns or more."""
        now = self.now()
        blocks = max(0, -((now - ns) // NS_PER_BLOCK))
        self._until = ns
        self._blocks[0] = blocks
        self._zero = now + blocks * NS_PER_BLOCK

    @property
    def until(self) -> int:
        """The time given to run() or setuntil()."""
        return self._until

    def requeststop(self) -> None:
        """Make run() return True before the next block, its time up or not; a signal handler may call it."""
        self.counter.request()

    def run(self, regs: Regs, until: int) -> bool:
        """Run regs in user mode, serving its traps; switching to others is the service's affair.

        True: the time is up (or a stop was requested), and ``current`` is where user mode was left.
        False: the service returned None.
        """
        self.hook.current = regs
        self._regrow()
        self.setuntil(until)
        self._taketrap()  # left by an exception, if any
        self._fence = None
        return self._run()

    def _run(self) -> bool:
        """The same from where user mode was left, with nothing changed."""
        while True:
            trap = self._taketrap()
            if trap is not None:
                new = self.service(*trap)
                if new is None:
                    return False
                self.hook.current = new
            self._emulate()
            fenced, self.hook.apart = self.hook.apart, False
            left, self._left = self._left, False
            if self._raised is not None:
                raised, self._raised = self._raised, None
                raise raised
            if left:
                return False
            if not self._deferred():
                self._lib.save(self._uc, self.hook.current.handle)
                self.hook.current.settle()
                if self.counter.take():
                    return True
                if not fenced:
                    raise UnicornError(f"emulation ended by itself at pc 0x{self.hook.current.pc:x}")

    # emu.machine.memory.Processor

    def grant(self, frame: int, execute: bool, write: bool) -> None:
        """From the next instruction on, let the frame be used like this."""
        was = self._region.entry(frame) ^ x86.NPT_NX
        self.settable(frame, execute, write)
        # An entry of the TLB that forbids is looked for again; one that allows what is forbidden now must go.
        if was & ~(self._region.entry(frame) ^ x86.NPT_NX) & (x86.NPT_NX | x86.NPT_WRITE):
            self.hook.flush = True

    def settable(self, frame: int, execute: bool, write: bool = True) -> None:
        """The same for a frame that no user address is mapped to: no TLB entry is involved."""
        low = frame < self._low
        self._region.set(frame, execute or low, write or low)

    def stale(self, frame: int) -> None:
        """What was translated from the frame must be dropped before it is executed again."""
        self._stale.add(frame)

    # Setting up

    def _open(self) -> c_void_p:
        """Unicorn's part of the processor."""
        return svm.open(self._lib, self.memory.address, self.memory.size, self._region)

    def _boot(self) -> bytes:
        """Enter the guest; returns the state of a fresh program."""
        blank = Context(header(self._lib, self._uc))
        start = svm.Start()
        start.gdt = CPU0GDT, NGDT * 8 - 1
        start.idt = IDTADDR, 256 * 8 - 1
        svm.enter(self._lib, self._uc, self._region, start, blank.handle)
        self._region.identity(self.memory.size)
        for frame in range(self._low):
            self._region.set(frame, execute=True, write=True)
        fresh = self._regs(bytes(blank.buf))
        fresh.settle()
        return bytes(fresh.buf)

    def _insnhook(self, hook: Any, number: int) -> None:
        """Register a hook for an instruction."""
        args = HOOK_INSN, hook, None, 1, 0, ctypes.c_int(number)
        self._lib.check(self._lib.hook(self._uc, ctypes.byref(c_size_t()), *args), "uc_hook_add")
        self._hooks.append(hook)

    def _hook(self, hook: Any, kind: int, data: int | None = None) -> None:
        """Register a hook of another kind."""
        args = kind, hook, data, 1, 0
        self._lib.check(self._lib.hook(self._uc, ctypes.byref(c_size_t()), *args), "uc_hook_add")
        self._hooks.append(hook)

    def _install(self) -> None:
        """Register the hooks."""

        def protection(_uc: int) -> int:
            return self._divert(x86.PROTECTION)

        def undefined(_uc: int) -> None:
            self._divert(x86.UNDEFINED)

        self._hook(self.hook.callback, HOOK_INTR, self.hook.data)
        self._hook(INVALIDHOOK(self._invalid), HOOK_INSN_INVALID)
        self._insnhook(INHOOK(protection), INS_IN)
        self._insnhook(OUTHOOK(protection), INS_OUT)
        self._insnhook(OUTHOOK(undefined), INS_SYSCALL)
        self._insnhook(OUTHOOK(undefined), INS_SYSENTER)
        self.counter.install(self._lib, self._uc)
        self._blocks = self.counter.blocks

    # Running

    def _emulate(self) -> None:
        """Run ``current`` until something stops emulation."""
        regs, words, layout = self.hook.current, self.hook.current.words, self._layout
        # uc_emu_start takes the arithmetic flags and D from this word, not from where they are kept.
        words[layout.flags] = regs.flags
        self.hook.resume(regs)
        if self._fence is None:
            err = self.counter.start(words[layout.pc])
        else:
            err = self._tofence(self._fence, words[layout.pc])
        if err and self._raised is None:
            self._lib.check(err, f"uc_emu_start at pc 0x{words[layout.pc]:x}")

    def _tofence(self, end: int, pc: int) -> int:
        """Run, but stop at an instruction boundary close before the page at end.

        Unicorn translates ahead across the end of a page: a page fault of that fetch is told before
        the instructions of the first page have run. Here they run first; at most 14 rounds, the
        instruction that really needs the next page is the one at pc.
        """
        self._fence = None
        self.hook.apart = True
        stops = range(max(pc + 1, end - MAXINSN + 1), end + 1)
        self._lib.ctl(self._uc, CTL_EXITS, (c_uint64 * len(stops))(*stops), c_size_t(len(stops)))
        err = self.counter.start(pc)  # drops the code in which the stops are built in
        self._lib.ctl(self._uc, CTL_EXITS, None, c_size_t(0))
        return err

    def _taketrap(self) -> tuple[int, int] | None:
        """The trap that is to be served outside emulation, once."""
        trap, self._trap = self._trap, None
        self.hook.held = False
        return trap

    def _deferred(self) -> bool:
        """Emulation was stopped, with the state saved, to go on differently."""
        return self.hook.held or self._fence is not None

    # What the interrupt hook leads to (emu.machine.traphook.Handlers)

    def ended(self, raised: BaseException | None) -> None:
        """In a hook: leave emulation. run() raises what was raised, or returns False."""
        if raised is None:
            self._left = True
        else:
            self._raised = raised
        self.counter.leave()

    def flushtlb(self) -> None:
        """Forget every translation of an address."""
        self.hook.flush = False
        self._lib.ctl(self._uc, CTL_TLB_FLUSH)

    def trapped(self, intno: int, isint: bool) -> Regs | None:
        """In a hook, with the state saved: see to anything but a system call that is to be served at once."""
        regs = self.hook.current
        if intno == x86.PAGEFAULT and not isint:
            return self._pagefault(regs)
        if intno >= x86.EXIT:
            return self._exit(regs, intno - x86.EXIT)
        if not isint:
            return self._exception(regs, intno)
        if intno == x86.SYSCALL:
            return self._serve(intno, 0)
        return self._softint(regs, intno)

    def _serve(self, trapno: int, ecode: int) -> Regs | None:
        """In a hook, with the state saved: have the trap served; None if emulation is being left."""
        if self.hook.apart:
            # Outside: the code in which the stops are built in can be dropped only in its own address space.
            self._trap = trapno, ecode
            self.hook.held = True
            self.counter.leave()
            return None
        new = self.service(trapno, ecode)
        if new is None:
            self.ended(None)
        return new

    def _exception(self, regs: Regs, no: int) -> Regs | None:
        """A processor exception other than a page fault."""
        if no == x86.PROTECTION and self._opcode(regs).startswith(b"\x0f\x35"):  # SYSEXIT
            return self._serve(x86.UNDEFINED, 0)
        return self._serve(no, regs.words[self._layout.errorcode])

    def _invalid(self, _uc: int) -> bool:
        """Unicorn's hook for undefined instructions; the exception is dealt with."""
        try:
            if not self.hook.held:
                regs = self.hook.current
                self._lib.save(self._uc, regs.handle)
                regs.settle()
                trapno = x86.UNDEFINED
                if self._opcode(regs).startswith(b"\xf1"):  # INT1, which Unicorn does not know
                    regs.pc += self._prefixes(regs) + 1
                    trapno = x86.DEBUG
                new = self._serve(trapno, 0)
                if new is not None:
                    self.hook.resume(new)
        except BaseException as e:  # noqa: BLE001 run() raises it
            self.ended(e)
        return True

    def _divert(self, trapno: int) -> int:
        """Unicorn's hook for an instruction that must trap, at that instruction.

        The rest of its block will still run, in an address space that has nothing in it, so that
        it cannot change memory; its registers are not used.
        """
        try:
            if not self.hook.held:
                self._hold()
                self._trap = trapno, 0
        except BaseException as e:  # noqa: BLE001 run() raises it
            self.ended(e)
        return 0

    def _hold(self) -> None:
        """In the middle of a block: save the state and let nothing that still runs count."""
        self._lib.save(self._uc, self.hook.current.handle)
        self.hook.current.settle()
        self.hook.held = True
        svm.regwrite(self._lib, self._uc, REG_CR3, NOWHERE)
        self.counter.leave()

    # Traps

    def _prefixes(self, regs: Regs) -> int:
        """How many prefixes the instruction at pc has."""
        code = self.memory.code(self.hook.cr3, regs.pc, MAXINSN)
        return len(code) - len(code.lstrip(rmw.PREFIXES))

    def _opcode(self, regs: Regs) -> bytes:
        """The instruction at pc without its prefixes, as far as it can be read."""
        return self.memory.code(self.hook.cr3, regs.pc, MAXINSN).lstrip(rmw.PREFIXES)

    def _softint(self, regs: Regs, n: int) -> Regs | None:
        """INT3, or an INT n or INTO through a gate that ring 3 may not use. Source: pc/trap.c:trapinit0."""
        if n == x86.BREAKPOINT:
            return self._serve(n, 0)
        into = n == x86.OVERFLOW and self.memory.code(self.hook.cr3, regs.pc - 1, 1) == b"\xce"
        regs.pc -= 1 if into else 2
        return self._serve(x86.PROTECTION, n << x86.EC_VECTOR | x86.EC_IDT)

    def _pagefault(self, regs: Regs) -> Regs | None:
        """A page fault, with the address and error code of a 386."""
        words, layout = regs.words, self._layout
        ecode = words[layout.errorcode]
        addr = self._cr2 = words[layout.cr2]
        pc = words[layout.pc]
        write = bool(ecode & x86.PF_WRITE)
        code = b""
        if not write or self.memory.opcode(self.hook.cr3, pc) in faultflags.FIRST:
            code = self.memory.code(self.hook.cr3, pc, MAXINSN)
            faultflags.mend(self._lib, regs, code, addr, write)
        if not write:
            if not addr & 0xFFF and addr - (pc & 0xFFFFF000) == 0x1000 and not self.hook.apart:
                self._fence = addr
                self.counter.leave()
                return None
            if ecode == x86.PF_USER and rmw.writes(code, regs, addr):
                ecode |= x86.PF_WRITE
            elif not ecode & x86.PF_USER and self._opcode(regs).startswith(b"\xcf"):
                # IRET with NT set reads the back link of a task that does not exist.
                return self._serve(x86.TASK, 0)
        self._growing = True
        self._missed += 1
        if self._missed >= self._room:
            self._grow()
        return self._serve(x86.PAGEFAULT, ecode)

    def _regrow(self) -> None:
        """A turn begins: flush the TLB if it may have to be larger; it grows only then."""
        now = self.now()
        if self._growing:
            self._growing = False
            self._grown = now + GROWING
        if now < self._grown or now >= self._seldom:
            self._seldom = now + SELDOM
            self.hook.flush = True

    def _grow(self) -> None:
        """Let the TLB grow at once: the next tick, which flushes it too, may be a million blocks away."""
        self._missed = 0
        self._room = min(2 * self._room, LASTGROWTH)
        self.hook.flush = True

    def _exit(self, regs: Regs, code: int) -> Regs:
        """An exit of the nested guest: things that the user never sees."""
        if code == x86.EXIT_NPF:
            self._nestedfault(regs)
        elif code == x86.EXIT_RDTSC:
            self._rdtsc(regs)
        elif code == x86.EXIT_CPUID:
            regs.ax, regs.bx, regs.cx, regs.dx = cpuid(regs.ax)
            regs.pc += self._prefixes(regs) + 2
        else:
            raise UnicornError(f"exit 0x{code:x} of the nested guest at pc 0x{regs.pc:x}")
        return regs

    def _rdtsc(self, regs: Regs) -> None:
        # one counter for all: what is read later, by whatever processor, is more
        now = self.memory.stamp = max(self.now(), self.memory.stamp + 1)
        regs.ax, regs.dx = now, now >> 32
        regs.pc += self._prefixes(regs) + 2

    def _nestedfault(self, regs: Regs) -> None:
        """The first execution of a frame, or a store to one that another processor executes."""
        why = regs.words[self._layout.errorcode]
        pa = self._region.npfaddress
        frame = pa >> 12
        if pa < self.memory.size and why & x86.NPF_PRESENT and not why & x86.NPF_RESERVED:
            entry = self._region.entry(frame)
            if why & x86.NPF_FETCH and entry & x86.NPT_NX:
                self.memory.execute(self, frame)
                if frame in self._stale:
                    self._drop(regs, frame)
                return
            if why & x86.NPF_WRITE and not entry & x86.NPT_WRITE:
                faultflags.mend(self._lib, regs, self.memory.code(self.hook.cr3, regs.pc, MAXINSN), 0, write=True)
                self.memory.store(self, frame)
                return
        raise UnicornError(
            f"processor {self.machno}: page tables at 0x{self.hook.cr3:x} lead to physical address 0x{pa:x} "
            f"(pc 0x{regs.pc:x}, nested fault 0x{why:x})"
        )

    def _drop(self, regs: Regs, frame: int) -> None:
        """Drop what was translated from the frame, which the instructions at pc are about to execute."""
        self._stale.discard(frame)
        for va in (regs.pc & 0xFFFFF000, (regs.pc & 0xFFFFF000) + 0x1000):
            pa = self.memory.walk(self.hook.cr3, va & 0xFFFFFFFF)
            if pa is not None and pa >> 12 == frame:
                self._lib.ctl(self._uc, CTL_TB_REMOVE, c_uint64(va), c_uint64(va + 0x1000))
                return
        self._lib.ctl(self._uc, CTL_TB_FLUSH)
