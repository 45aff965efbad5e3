"""Counting executed blocks: the clock's source, and the one place where a running guest may be stopped.

The hook that Unicorn calls before each block is a C function, or, where the extension was not
built, a Python one that does the same some forty times slower.
"""

import ctypes
from ctypes import c_char, c_size_t, c_void_p
from typing import Any, Final, Literal

from emu.lib import BLOCKHOOK, HOOK_BLOCK, Lib

NS_PER_BLOCK: Final = 10

Kind = Literal["auto", "native", "python"]

# struct counter of _blockcount.c:
#
#  | countdown int64 | stop int32 | stopped int32 | uc_emu_stop's address, 64 bits |
SIZE: Final = 24
STOP: Final = 2  # index as int32
STOPPED: Final = 3
EMUSTOP: Final = 2  # index as int64


class Counter:
    """Lets ``blocks[0]`` blocks run on one processor, then stops it before the next one."""

    def __init__(self, kind: Kind = "auto") -> None:
        self._buf = bytearray(SIZE)
        self._pin: Any = (c_char * SIZE).from_buffer(self._buf)
        self.blocks: memoryview[int] = memoryview(self._buf).cast("q")
        self._flags: memoryview[int] = memoryview(self._buf).cast("i")
        self._native = None if kind == "python" else nativehook()
        if kind == "native" and self._native is None:
            raise ImportError("the extension emu._blockcount was not built")
        self._hook: Any = None

    @property
    def native(self) -> bool:
        """The C hook counts."""
        return self._native is not None

    def install(self, lib: Lib, uc: c_void_p) -> None:
        """Register the hook with a processor."""
        data = None
        if self._native is not None:
            self.blocks[EMUSTOP] = lib.stopaddress
            self._hook = c_void_p(self._native)
            data = c_void_p(ctypes.addressof(self._pin))
        else:
            blocks, flags, stop = self.blocks, self._flags, lib.stop

            def block(_uc: int) -> None:
                if blocks[0] > 0 and not flags[STOP]:
                    blocks[0] -= 1
                    return
                flags[STOPPED] = 1
                stop(uc)

            self._hook = BLOCKHOOK(block)
        lib.check(lib.hook(uc, ctypes.byref(c_size_t()), HOOK_BLOCK, self._hook, data, 1, 0), "uc_hook_add")

    def request(self) -> None:
        """Stop before the next block, now or when the processor runs next; a signal handler may call it."""
        self._flags[STOP] = 1

    def take(self) -> bool:
        """Whether the hook has stopped the processor since the last call; also takes back a request."""
        stopped = self._flags[STOPPED] != 0
        if stopped:
            self._flags[STOP] = self._flags[STOPPED] = 0
        return stopped


def nativehook() -> int | None:
    """Address of the C hook, or None if the extension was not built."""
    try:
        from emu import _blockcount
    except ImportError:
        return None
    return _blockcount.hook
