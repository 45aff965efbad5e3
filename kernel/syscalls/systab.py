"""The system call table, and how a trace shows a call. Source: sys/src/libc/9syscall/sys.h, port/syscallfmt.c."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from kernel.base.mem import s32, s64
from kernel.memory.uaccess import peek
from kernel.syscalls import auth, bindmount, oldstat, sysexec, sysfile, sysproc, sysrfork, sysseg, syssem
from kernel.syscalls.syscallfmt import SYSCTAB

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel


RFORK = 19
NOTED = 29
SHOWN = 32  # bytes of a string or buffer that a trace shows


@dataclass(slots=True, frozen=True)
class Syscall:
    """One call: its name, what serves it, and how its arguments look.

    ``form`` has a letter for each argument word: d signed, x hex, o octal, s string, a argument list,
    v two words that make one signed offset.
    """

    name: str
    fn: Callable[[Kernel, tuple[int, ...]], int]
    form: str
    state: str
    noreturn: bool = False


def _string(k: Kernel, addr: int) -> str:
    if addr == 0:
        return "nil"
    data = peek(k, addr, SHOWN + 1)
    if not data:
        return f"{addr:#x}"
    text, nul, _ = data.partition(b"\0")
    dots = "" if nul else "..."
    return '"' + text[:SHOWN].decode("utf-8", "backslashreplace").replace("\n", "\\n") + '"' + dots


def render(k: Kernel, call: Syscall, args: tuple[int, ...]) -> str:
    """The arguments as a person reads them. Touches no page that is not mapped already."""
    out = []
    i = 0
    for f in call.form:
        v = args[i]
        i += 1
        if f == "d":
            out.append(str(s32(v)))
        elif f == "o":
            out.append(f"{v:#o}")
        elif f == "s":
            out.append(_string(k, v))
        elif f == "v":
            out.append(str(s64(v, args[i])))
            i += 1
        elif f == "a":
            names: list[str] = []
            while len(names) < 16:
                word = peek(k, v, 4)
                if len(word) < 4 or word == b"\0\0\0\0":
                    break
                names.append(_string(k, int.from_bytes(word, "little")))
                v += 4
            out.append("[" + ", ".join(names) + "]")
        else:
            out.append(f"{v:#x}")
    return ", ".join(out)


_TABLE: tuple[tuple[int, str, str], ...] = (
    (0, "sysr1", ""),
    (1, "_errstr", "x"),
    (2, "bind", "ssx"),
    (3, "chdir", "s"),
    (4, "close", "d"),
    (5, "dup", "dd"),
    (6, "alarm", "d"),
    (7, "exec", "sa"),
    (8, "exits", "s"),
    (9, "_fsession", "dxd"),
    (10, "fauth", "ds"),
    (11, "_fstat", "dx"),
    (12, "segbrk", "xx"),
    (13, "_mount", "dsxs"),
    (14, "open", "sx"),
    (15, "_read", "dxd"),
    (16, "oseek", "ddd"),
    (17, "sleep", "d"),
    (18, "_stat", "sx"),
    (19, "rfork", "x"),
    (20, "_write", "dxd"),
    (21, "pipe", "x"),
    (22, "create", "sxo"),
    (23, "fd2path", "dxd"),
    (24, "brk_", "x"),
    (25, "remove", "s"),
    (26, "_wstat", "sx"),
    (27, "_fwstat", "dx"),
    (28, "notify", "x"),
    (29, "noted", "d"),
    (30, "segattach", "dsxx"),
    (31, "segdetach", "x"),
    (32, "segfree", "xx"),
    (33, "segflush", "xx"),
    (34, "rendezvous", "xx"),
    (35, "unmount", "ss"),
    (36, "_wait", "x"),
    (37, "semacquire", "xd"),
    (38, "semrelease", "xd"),
    (39, "seek", "xdvd"),
    (40, "fversion", "ddsd"),
    (41, "errstr", "xd"),
    (42, "stat", "sxd"),
    (43, "fstat", "dxd"),
    (44, "wstat", "sxd"),
    (45, "fwstat", "dxd"),
    (46, "mount", "ddsxs"),
    (47, "await", "xd"),
    (50, "pread", "dxdv"),
    (51, "pwrite", "dxdv"),
    (52, "tsemacquire", "xd"),
    (53, "_nsec", "x"),
)


def _systab() -> dict[int, Syscall]:
    """The calls this kernel has, by number. A number that is not here is a bad system call."""
    tab = {}
    modules = (sysproc, sysrfork, sysexec, sysseg, syssem, sysfile, bindmount, oldstat, auth)
    for nr, name, form in _TABLE:
        fname = "sys" + name.removeprefix("sys")
        fn = next((getattr(m, fname) for m in modules if hasattr(m, fname)), None)
        if fn is not None:
            tab[nr] = Syscall(name, fn, form, SYSCTAB[nr] or "", name in ("exits",))
    return tab


SYSTAB: Final = MappingProxyType(_systab())
