"""A user process's registers: one copy of the processor's whole state, and where things lie in it.

``uc_context_save`` copies Unicorn's internal CPU structure. Reading and writing that copy is far
cheaper than Unicorn's register calls, and the page-fault error code is nowhere else; but its
layout is nobody's promise, so it is found out, once in a process, on a scratch processor.
"""

import ctypes
import functools
import struct
from collections.abc import Iterator
from ctypes import c_char, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Final

from emu.machine import svm, x86
from emu.machine.lib import (
    CTL_TB_FLUSH,
    CTL_TLB_FLUSH,
    HOOK_INTR,
    INTRHOOK,
    REG_CR0,
    REG_EBP,
    REG_EBX,
    REG_ECX,
    REG_EDI,
    REG_EDX,
    REG_EFLAGS,
    REG_ESI,
    REG_FDP,
    REG_FIP,
    REG_FOP,
    REG_FPCW,
    REG_FPSW,
    REG_FPTAG,
    REG_MXCSR,
    REG_ST0,
    REG_XMM0,
    Lib,
    lib,
)
from kernel.base.hw import Regs as AnyRegs
from kernel.base.record import constant

NONE: Final = 0xFFFFFFFF  # old_exception: no exception in flight
HF_TS: Final = 1 << 11  # CR0.TS in Unicorn's digest of the control bits

EMPTY: Final = 3  # an FPU register's tag
FXSIZE: Final = 512
ADDRESS: Final = 0xFFFFFFFF
FXMASK: Final = 0xFFFF  # bits of MXCSR that there are
FXHEAD: Final = struct.Struct("<HHBxHIxxxxIxxxxII")  # the segments of FIP and FDP are 0, as Unicorn's FXSAVE has them
FPREGS: Final = (REG_FPCW, REG_FPSW, REG_FPTAG, REG_FOP, REG_FIP, REG_FDP, REG_MXCSR)


@constant
class Layout:
    """Indices of 32-bit words in a saved state."""

    ax: int
    cx: int
    dx: int
    bx: int
    sp: int
    bp: int
    si: int
    di: int
    pc: int
    flags: int  # valid without the arithmetic flags and D only: Unicorn keeps them elsewhere
    direction: int  # what a string instruction steps by: 1, or -1 if D is set
    cr0: int
    cr2: int
    cr3: int
    fpu: int  # FPU status in the low half, control in the high one
    hflags: int  # Unicorn's digest of the control bits, which translated code depends on
    errorcode: int
    isint: int  # the last trap was an INT n; Unicorn moves EIP at the next one if it stays set
    oldexception: int  # the exception in flight; Unicorn makes a double fault of the next if it stays set


class Context:
    """Room for one saved state, in memory of Python's."""

    def __init__(self, header: bytes) -> None:
        self.buf = bytearray(header)
        pin = (c_char * len(self.buf)).from_buffer(self.buf)  # the handle's address is valid while this lives
        self._pin = pin
        self.handle = c_void_p(ctypes.addressof(pin))
        self.words: memoryview[int] = memoryview(self.buf).cast("I")


def header(lib: Lib, uc: c_void_p) -> bytes:
    """An unused state as Unicorn allocates it, to be copied: its head says what kind it is."""
    handle = c_void_p()
    lib.check(lib.contextalloc(uc, ctypes.byref(handle)), "uc_context_alloc")
    try:
        return ctypes.string_at(handle, lib.contextsize(uc))
    finally:
        lib.contextfree(handle)


class Regs(Context):
    """Implements kernel.base.hw.Regs. Use the class that :func:`regsclass` makes for a layout.

    Once settled the state is ready to be resumed: no exception is in flight.
    """

    layout: Layout
    ax: int
    bx: int
    cx: int
    dx: int
    si: int
    di: int
    bp: int
    sp: int
    pc: int

    def __init__(self, blank: bytes) -> None:
        super().__init__(blank)
        self._blank = blank

    @property
    def flags(self) -> int:
        """EFLAGS whole. Only the bits that ring 3 may change are changed by writing it."""
        words, layout = self.words, self.layout
        # Unicorn joins the two words with what it works out for the arithmetic flags, where more bits may be set.
        arithmetic = self._read(REG_EFLAGS) & x86.FL_ARITHMETIC
        others = words[layout.flags] & ~(x86.FL_ARITHMETIC | x86.FL_DIRECTION)
        return arithmetic | others | words[layout.direction] & x86.FL_DIRECTION

    @flags.setter
    def flags(self, value: int) -> None:
        new = value & x86.FL_USER | x86.FL_INTERRUPT | x86.FL_ALWAYS
        lib().contextwrite(self.handle, REG_EFLAGS, ctypes.byref(c_uint32(new)))

    def fpstatus(self) -> tuple[int, int]:
        """FPU status word and address of the last FPU instruction."""
        return self._read(REG_FPSW) & 0xFFFF, self._read(REG_FIP)

    def fppending(self) -> bool:
        """An FPU exception that is not masked waits to be taken."""
        return self.words[self.layout.fpu] & x86.FPSUMMARY != 0

    def mxcsr(self) -> int:
        """SSE control and status."""
        return self._read(REG_MXCSR)

    def _read(self, reg: int) -> int:
        value = c_uint64()
        lib().contextread(self.handle, reg, ctypes.byref(value))
        return value.value

    def _write(self, reg: int, value: int) -> None:
        lib().contextwrite(self.handle, reg, ctypes.byref(c_uint64(value)))

    def fpenable(self, on: bool) -> None:
        """Let FPU and SSE instructions run, or trap as coprocessor not available (CR0.TS)."""
        words, layout = self.words, self.layout
        if on:
            words[layout.cr0] &= ~x86.CR0_TS
            words[layout.hflags] &= ~HF_TS
        else:
            words[layout.cr0] |= x86.CR0_TS
            words[layout.hflags] |= HF_TS

    def fpmask(self) -> None:
        """Mask all FPU exceptions, as FSTENV does: those pending do not trap any more."""
        self._write(REG_FPCW, self._read(REG_FPCW) | x86.FPMASKS)
        self._write(REG_FPSW, self._read(REG_FPSW) & ~x86.FPSUMMARY)

    def fpsave(self) -> bytes:
        """FPU and SSE state as FXSAVE lays it out, 512 bytes (Intel SDM vol. 1, 10.5.1)."""
        fcw, fsw, tag, fop, fip, fdp, mxcsr = (self._read(r) for r in FPREGS)
        ftw = sum(1 << i for i in range(8) if tag >> 2 * i & 3 != EMPTY)
        image = bytearray(FXSIZE)
        # Unicorn keeps an operand's address as the sum of its parts, without carrying it over at 4 GB.
        FXHEAD.pack_into(image, 0, fcw, fsw, ftw, fop, fip & ADDRESS, fdp & ADDRESS, mxcsr, FXMASK)
        room = ctypes.create_string_buffer(16)
        for i in range(8):
            for reg, at, n in ((REG_ST0, 32, 10), (REG_XMM0, 160, 16)):
                lib().contextread(self.handle, reg + i, ctypes.byref(room))
                image[at + 16 * i : at + 16 * i + n] = room.raw[:n]
        return bytes(image)

    def fprestore(self, data: bytes) -> None:
        """Take the state from what FXSAVE stored; reserved bits are left out."""
        fcw, fsw, ftw, fop, fip, fdp, mxcsr, _ = FXHEAD.unpack_from(data)
        fsw &= ~x86.FPSUMMARY
        if fsw & ~fcw & x86.FPMASKS:
            fsw |= x86.FPSUMMARY
        tag = sum((0 if ftw >> i & 1 else EMPTY) << 2 * i for i in range(8))
        for reg, value in zip(FPREGS, (fcw, fsw, tag, fop, fip, fdp, mxcsr & FXMASK), strict=True):
            self._write(reg, value)
        room = ctypes.create_string_buffer(16)
        for i in range(8):
            for reg, at, n in ((REG_ST0, 32, 10), (REG_XMM0, 160, 16)):
                room.raw = data[at + 16 * i : at + 16 * i + n].ljust(16, b"\0")
                lib().contextwrite(self.handle, reg + i, ctypes.byref(room))

    def copyfrom(self, other: AnyRegs) -> None:
        """Take over the complete state of other, floating point included (fork)."""
        assert isinstance(other, Regs)
        self.buf[:] = other.buf

    def clear(self) -> None:
        """The state of a fresh program: zero registers, FPU as pc/l.s:fpinit leaves it, MXCSR 0 (exec)."""
        self.buf[:] = self._blank

    def settle(self) -> None:
        """Make a state that was just saved ready to be resumed."""
        self.words[self.layout.isint] = 0
        self.words[self.layout.oldexception] = NONE


def _word(index: int) -> property:
    """A register that is one word of the saved state."""

    def get(self: Regs) -> int:
        return self.words[index]

    def put(self: Regs, value: int) -> None:
        self.words[index] = value & 0xFFFFFFFF

    return property(get, put)


@functools.cache
def regsclass() -> type[Regs]:
    """The class of registers for this process's Unicorn; its indices are built in."""
    layout = probe(lib())
    names = ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp", "pc")
    members: dict[str, object] = {name: _word(getattr(layout, name)) for name in names}
    return type("Regs", (Regs,), {**members, "layout": layout})


# The scratch machine of the probe: one page directory that maps 4 MB of RAM flat for ring 3.
PDB: Final = 0x1000
CODE: Final = 0x2000
HLT: Final = b"\xf4"  # ends a block: else all of the zeros behind the code would be translated
MARKS: Final = {
    "ax": 0x11A5A501,
    "cx": 0x22A5A502,
    "dx": 0x33A5A503,
    "bx": 0x44A5A504,
    "sp": 0x55A5A505,
    "bp": 0x66A5A506,
    "si": 0x77A5A507,
    "di": 0x18A5A508,
    "pc": 0x29A5A509,
    "cr3": 0x3AA5A000,
    "flags": 0x244202,
}
MARKED: Final = {"cx": REG_ECX, "dx": REG_EDX, "bx": REG_EBX, "bp": REG_EBP, "si": REG_ESI, "di": REG_EDI}
FAULTADDR: Final = 0x5BA5A50C
SELECTOR: Final = 0x6CA8


class _Scratch:
    """A processor on which known traps are provoked; ``trap`` runs code and returns the state's words."""

    def __init__(self, lib: Lib) -> None:
        self.lib = lib
        self.ram = svm.anonymous(4 << 20)
        self.region = svm.Region()
        self.uc = svm.open(lib, svm.addressof(self.ram), 4 << 20, self.region)
        self.context = Context(header(lib, self.uc))
        self.cr0 = 0  # to be written before the state of a trap is saved
        start = svm.Start()
        start.ax, start.sp, start.pc = MARKS["ax"], MARKS["sp"], MARKS["pc"]
        start.cr3, start.flags = MARKS["cr3"], MARKS["flags"]
        for name, reg in MARKED.items():
            svm.regwrite(lib, self.uc, reg, MARKS[name])
        svm.enter(lib, self.uc, self.region, start, self.context.handle)
        self.first = self.context.words.tolist()
        self.region.identity(4 << 20)
        for frame in (PDB >> 12, CODE >> 12):
            self.region.set(frame, execute=True, write=True)
        struct.pack_into("<I", self.ram, PDB, x86.PDE_VALID | x86.PDE_WRITE | x86.PDE_USER | x86.PDE_SIZE)
        # Kept until close: a callback must outlive every call that may reach it.
        self._hook = INTRHOOK(self._stop)
        self.lib.check(lib.hook(self.uc, ctypes.byref(c_size_t()), HOOK_INTR, self._hook, None, 1, 0), "uc_hook_add")

    def _stop(self, _uc: int, _intno: int) -> None:
        if self.cr0:
            svm.regwrite(self.lib, self.uc, REG_CR0, self.cr0)
        self.lib.save(self.uc, self.context.handle)
        self.lib.stop(self.uc)

    def trap(self, code: bytes, cr3: int) -> list[int]:
        """Run code from the first state at CODE; the words of the state that its trap leaves."""
        code += HLT
        self.ram[CODE : CODE + len(code)] = code
        words = self.context.words
        words[:] = memoryview(struct.pack(f"{len(self.first)}I", *self.first)).cast("I")
        words[cr3] = PDB
        self.lib.restore(self.uc, self.context.handle)
        self.lib.ctl(self.uc, CTL_TB_FLUSH)
        self.lib.ctl(self.uc, CTL_TLB_FLUSH)
        self.lib.start(self.uc, CODE, 0, 0, 0)
        return words.tolist()

    def close(self) -> None:
        self.lib.close(self.uc)


def _places(words: list[int], value: int) -> Iterator[int]:
    """Indices of a value."""
    i = -1
    for _ in range(words.count(value)):
        i = words.index(value, i + 1)
        yield i


def probe(lib: Lib) -> Layout:
    """Find where things lie in a saved state. Raises UnicornError if they are not to be found."""
    scratch = _Scratch(lib)
    try:

        def find(name: str, *runs: tuple[list[int], int]) -> int:
            """The one word that has the given value in each of the given states."""
            # in the state where the value is rarest first
            (words, value), *rest = sorted(runs, key=lambda run: run[0].count(run[1]))
            hits = list(_places(words, value))
            for words, value in rest:
                hits = [i for i in hits if words[i] == value]
            if len(hits) != 1:
                raise lib.unusable(f"{len(hits)} places in a saved state look like {name}")
            return hits[0]

        first = scratch.first
        at = {name: find(name, (first, value)) for name, value in MARKS.items()}
        trap = functools.partial(scratch.trap, cr3=at["cr3"])
        int77 = trap(b"\xcd\x77")
        read = trap(b"\xa1" + struct.pack("<I", FAULTADDR))  # mov eax, [FAULTADDR]
        write = trap(b"\xa3" + struct.pack("<I", FAULTADDR))  # mov [FAULTADDR], eax
        select = trap(b"\x66\xb8" + struct.pack("<H", SELECTOR) + b"\x8e\xd8")  # mov ax, SELECTOR; mov ds, ax
        at["cr2"] = find("CR2", (first, 0), (read, FAULTADDR), (select, 0))
        down = trap(b"\xfd\xcd\x77")  # std
        at["direction"] = find("the direction", (first, 1), (int77, 1), (down, NONE))
        at["errorcode"] = find("the error code", (read, 4), (write, 6), (select, SELECTOR))
        at["isint"] = find("the INT mark", (first, 0), (int77, 1), (read, 0), (select, 0))
        at["oldexception"] = find(
            "the exception in flight", (first, NONE), (int77, NONE), (read, x86.PAGEFAULT), (select, x86.PROTECTION)
        )
        at["fpu"] = find("the FPU's status and control", (first, x86.FPINIT << 16), (int77, x86.FPINIT << 16))
        at["cr0"] = find("CR0", (int77, svm.CR0), (read, svm.CR0))
        scratch.cr0 = svm.CR0 | x86.CR0_TS
        off = trap(b"\xcd\x77")
        digests = [i for i, (a, b) in enumerate(zip(int77, off, strict=True)) if a ^ b == HF_TS and i != at["cr0"]]
        if len(digests) != 1 or off[at["cr0"]] != scratch.cr0:
            raise lib.unusable(f"{len(digests)} places in a saved state look like the digest of CR0.TS")
        at["hflags"] = digests[0]
        return Layout(**at)
    finally:
        scratch.close()
