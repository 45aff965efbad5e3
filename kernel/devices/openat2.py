"""openat2(2) of Linux: a directory several names down, in one call, if there is no link on the way."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable
from typing import Any, Final

NUMBER: Final = 437  # on every processor
# linux/openat2.h
NO_MAGICLINKS: Final = 0x02
NO_SYMLINKS: Final = 0x04
BENEATH: Final = 0x08


class How(ctypes.Structure):
    """struct open_how."""

    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


@functools.cache
def _call() -> Callable[[int, bytes], int]:
    if not hasattr(os, "O_PATH"):
        return lambda _dirfd, _path: -1
    syscall: Any = ctypes.CDLL(None).syscall
    how = How(os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, 0, BENEATH | NO_SYMLINKS | NO_MAGICLINKS)
    number, at, size = ctypes.c_long(NUMBER), ctypes.byref(how), ctypes.sizeof(how)
    return lambda dirfd, path: int(syscall(number, dirfd, path, at, size))


def directory(dirfd: int, names: list[bytes]) -> int:
    """A descriptor (O_PATH) of the directory that these names lead to from another one, none of them special.

    -1 if there is none, if one of the names is a link, or if the host has no such call or does not allow it.
    """
    return _call()(dirfd, b"/".join(names))
