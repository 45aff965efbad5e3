"""Counting executed blocks: the clock's source, and the one place where a running guest may be stopped.

There are four ways, which count alike:

- ``inline``: each block counts down by itself (emu/machine/_blockcount.c).
- ``call``: a C function in place of the one of Unicorn's that each block calls.
- ``hook``: a C function that Unicorn's hook for blocks calls: one call more.
- ``python``: such a hook in Python, some forty times slower, where the extension was not built.
"""

import ctypes
import functools
import os
import sys
from collections.abc import Callable
from ctypes import CFUNCTYPE, c_char, c_int, c_size_t, c_uint64, c_void_p
from typing import Any, Final, Literal

from emu.machine.lib import (
    ARCH_X86,
    BLOCKHOOK,
    HOOK_BLOCK,
    MODE_32,
    PROT_ALL,
    REG_ECX,
    REG_EIP,
    Lib,
    blockcount,
    lib,
)

NS_PER_BLOCK: Final = 10

Kind = Literal["auto", "native", "inline", "call", "hook", "python"]

# struct counter of _blockcount.c:
#
#  | address of the countdown, 64 bits | stop int32 | stopped int32 | uc_emu_stop's address, 64 bits | the engine's |
#  | inline int64 | a countdown, int64 |
SIZE: Final = 48
STOP, STOPPED = 2, 3  # indices as int32
COUNTDOWN, EMUSTOP, ENGINE, INLINE, OWN = 0, 2, 3, 4, 5  # indices as int64
LEAVING: Final = 1 << 62  # subtracted from the countdown while emulation is being left

# Where things lie in the releases of Unicorn whose translator _blockcount.c knows: the processor's address in an
# engine, its state's in the processor, and the state itself. That is aligned to 16 bytes, and a field before it ends 12
# bytes earlier: 8 of them are free.
RELEASES: Final = ("2.0.", "2.1.")
PROCESSOR: Final = 0x1B8
STATEAT: Final = 0x128
STATE: Final = 0x8A50
INFRONT: Final = STATE - 8
EIP: Final = STATE + 0x80

START: Final = CFUNCTYPE(c_int, c_void_p, c_void_p, c_uint64)
# Two blocks by turns, the second at TURN: inc ecx; jmp TURN; cmp ecx, 5; jne to the first; hlt
PROBE: Final = b"\x41\xeb\x00\x83\xf9\x05\x75\xf8\xf4"
PROBEPC: Final = 16
TURN: Final = PROBEPC + 3
# mov eax, LEARNPC + 7; jmp eax; hlt
LEARNPC: Final = 64
LEARN: Final = b"\xb8" + (LEARNPC + 7).to_bytes(4, "little") + b"\xff\xe0\xf4"


class Counter:
    """Lets ``blocks[0]`` blocks run on one processor, then stops it before the next one."""

    def __init__(self, kind: Kind = "auto") -> None:
        self._buf = bytearray(SIZE)
        self._pin: Any = (c_char * SIZE).from_buffer(self._buf)
        self._words: memoryview[int] = memoryview(self._buf).cast("q")
        self._words[COUNTDOWN] = ctypes.addressof(self._pin) + 8 * OWN
        self.blocks: memoryview[int] = self._words[OWN:]
        self._flags: memoryview[int] = memoryview(self._buf).cast("i")
        self._hook: Any = None
        self.kind = choose(kind)
        self.start: Callable[[int], int]
        self.leave: Callable[[], object]

    @property
    def native(self) -> bool:
        """A C function counts."""
        return self.kind != "python"

    def install(self, lib: Lib, uc: c_void_p) -> None:
        """Have it count for a processor, which is from then on started by ``start(pc)`` and stopped by ``leave()``.

        ``blocks`` may be another one after that, and after ``release()``.
        """
        words, flags, stop = self._words, self._flags, lib.stop
        data = c_void_p(ctypes.addressof(self._pin))
        words[EMUSTOP] = lib.stopaddress
        words[ENGINE] = uc.value or 0
        native = blockcount()
        if self.kind == "inline":
            words[INLINE] = 1
            words[COUNTDOWN] = c_uint64.from_address(words[ENGINE] + PROCESSOR).value + INFRONT
            self.blocks = memoryview((c_char * 8).from_address(words[COUNTDOWN])).cast("B").cast("q")
        blocks = self.blocks
        if self.kind in ("inline", "call"):
            begin = START(native.start)

            def start(pc: int) -> int:
                try:
                    return int(begin(data, uc, pc))
                finally:
                    if blocks[0] < 0:
                        blocks[0] += LEAVING

            def leave() -> None:
                # Nothing looks for a stop but where the countdown is over.
                if blocks[0] >= 0:
                    blocks[0] -= LEAVING
                stop(uc)

            self.start, self.leave = start, leave
            return

        def block(_uc: int) -> None:
            if blocks[0] > 0 and not flags[STOP]:
                blocks[0] -= 1
                return
            flags[STOPPED] = 1
            stop(uc)

        self._hook = BLOCKHOOK(block) if self.kind == "python" else c_void_p(native.hook)
        lib.check(lib.hook(uc, ctypes.byref(c_size_t()), HOOK_BLOCK, self._hook, data, 1, 0), "uc_hook_add")
        self.start = lambda pc: lib.start(uc, pc, 0, 0, 0)
        self.leave = functools.partial(stop, uc)

    def release(self) -> None:
        """The engine is about to be closed: keep the countdown, and count for no other at its address.

        A stack that was left in the middle of emulation may still name this counter (``Lib.renote``).
        """
        self._words[ENGINE] = 0
        self._words[OWN] = self.blocks[0]
        self._words[COUNTDOWN] = ctypes.addressof(self._pin) + 8 * OWN
        self.blocks = self._words[OWN:]

    def request(self) -> None:
        """Stop early, now or when the processor runs next; a signal handler or another thread may call it.

        Before the next block, or (``inline``, ``call``) when the countdown is over at the latest.
        """
        self._flags[STOP] = 1

    def take(self) -> bool:
        """Whether the hook has stopped the processor since the last call; also takes back a request."""
        stopped = self._flags[STOPPED] != 0
        if stopped:
            self._flags[STOP] = self._flags[STOPPED] = 0
        return stopped


def choose(kind: Kind) -> Kind:
    """The way that a kind comes to on this computer. Raises ImportError if there is none."""
    if kind == "python":
        return kind
    if blockcount() is None:
        if kind == "auto":
            return "python"
        raise ImportError("the extension emu.machine._blockcount was not built")
    if kind == "hook":
        return kind
    ways: tuple[Kind, ...] = (kind,) if kind in ("inline", "call") else ("inline", "call")
    for way in ways:
        if works(lib(), way):
            return way
    if kind in ways:
        raise ImportError("this Unicorn does not let its check for a stop be replaced")
    return "hook"


@functools.cache
def works(lib: Lib, kind: Kind) -> bool:
    """Whether one of the ways without a hook does on this Unicorn: tried out on a scratch engine."""
    if kind == "inline" and not lib.release.startswith(RELEASES):
        return False
    ram = ctypes.create_string_buffer(2 * 4096)
    address = ctypes.addressof(ram) + 4095 & ~4095
    ctypes.memmove(address + PROBEPC, PROBE, len(PROBE))
    ctypes.memmove(address + LEARNPC, LEARN, len(LEARN))
    counter = Counter("hook")
    counter.kind = kind  # which is what is in question
    uc = c_void_p()
    lib.check(lib.open(ARCH_X86, MODE_32, ctypes.byref(uc)), "uc_open")
    try:
        lib.check(lib.map(uc, 0, 4096, PROT_ALL, address), "uc_mem_map_ptr")
        if kind == "inline" and not _asknown(uc):
            return False
        counter.install(lib, uc)
        if kind == "inline":
            # What the translator is to use is seen at an indirect jump.
            counter.blocks[0] = 10
            lib.check(counter.start(LEARNPC), "uc_emu_start")
            if not c_uint64.from_address(blockcount().state).value:
                return False
        # The third block goes to the fourth without telling: EIP is right only if Unicorn finds out where it is.
        counter.blocks[0] = 3
        lib.check(counter.start(PROBEPC), "uc_emu_start")
        got = []
        for reg in (REG_ECX, REG_EIP):
            value = c_uint64()
            lib.check(lib.regread(uc, reg, ctypes.byref(value)), "uc_reg_read")
            got.append(value.value)
        if kind == "inline":
            cpu = c_uint64.from_address((uc.value or 0) + PROCESSOR).value
            if c_uint64.from_address(cpu + EIP).value != TURN:
                return False
        return got == [2, TURN] and counter.take() and counter.blocks[0] == 0
    finally:
        lib.close(uc)


def _asknown(uc: c_void_p) -> bool:
    """Whether an engine has its processor, and the processor its state, where they are looked for.

    Read as a file: an address that is none fails, and does no harm.
    """
    try:
        fd = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:

            def word(address: int) -> int:
                return int.from_bytes(os.pread(fd, 8, address), sys.byteorder)

            cpu = word((uc.value or 0) + PROCESSOR)
            return word(cpu + STATEAT) == cpu + STATE and word(cpu + INFRONT) == 0
        finally:
            os.close(fd)
    except (OSError, OverflowError):
        return False
