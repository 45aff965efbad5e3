"""The system call table, and how a trace shows a call. Source: sys/src/libc/9syscall/sys.h, port/syscallfmt.c."""

from __future__ import annotations

from collections.abc import Callable, Collection
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from kernel.base.mem import s32, s64
from kernel.base.record import constant
from kernel.base.text import kstr
from kernel.files.channel import cleanname
from kernel.memory.uaccess import peek
from kernel.syscalls import auth, bindmount, oldstat, sysexec, sysfile, sysproc, sysrfork, sysseg, syssem
from kernel.syscalls.syscallfmt import SYSCTAB

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel


RFORK = 19
NOTED = 29
LONGNAME = 4096  # bytes; a longer name is not told
SHOWN = 32  # bytes of a string or buffer that a trace shows


@constant
class Syscall:
    """One call: its name, what serves it, and how its arguments look.

    ``form`` has a letter for each argument word: d signed, x hex, o octal, s string, a argument list,
    v two words that make one signed offset; f a descriptor, n the name of a file.
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
        if f in "df":
            out.append(str(s32(v)))
        elif f == "o":
            out.append(f"{v:#o}")
        elif f in "sn":
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


def files(k: Kernel, call: Syscall, args: tuple[int, ...], known: Collection[int] = ()) -> dict[int, str]:
    """Names of the files that the arguments are about, by argument word, but for those known.

    That is what a descriptor is open on, and what a string names, from the root on. Nothing is told of a string on a
    page that is not mapped yet: when the call is done it is. Touches no page, either.
    """
    found = {}
    for i, f in enumerate(call.form.partition("v")[0]):
        if i in known or f not in "fn":
            continue
        name = _opened(k, s32(args[i])) if f == "f" else _named(k, args[i])
        if name:
            found[i] = name
    return found


def _opened(k: Kernel, fd: int) -> str:
    f = k.up.fgrp if k.up is not None else None
    c = f.fd[fd] if f is not None and 0 <= fd < f.nfd else None
    return c.path.s if c is not None and c.path is not None else ""


def _named(k: Kernel, addr: int) -> str:
    name, nul, _ = peek(k, addr, LONGNAME).partition(b"\0")
    if not nul or not name:
        return ""
    text = kstr(name)
    dot = k.up.dot if k.up is not None else None
    if not text.startswith(("/", "#")) and dot is not None and dot.path is not None:
        text = f"{dot.path.s}/{text}"
    return cleanname(text)


_TABLE: tuple[tuple[int, str, str], ...] = (
    (0, "sysr1", ""),
    (1, "_errstr", "x"),
    (2, "bind", "nnx"),
    (3, "chdir", "n"),
    (4, "close", "f"),
    (5, "dup", "ff"),
    (6, "alarm", "d"),
    (7, "exec", "na"),
    (8, "exits", "s"),
    (9, "_fsession", "fxd"),
    (10, "fauth", "fs"),
    (11, "_fstat", "fx"),
    (12, "segbrk", "xx"),
    (13, "_mount", "fnxs"),
    (14, "open", "nx"),
    (15, "_read", "fxd"),
    (16, "oseek", "fdd"),
    (17, "sleep", "d"),
    (18, "_stat", "nx"),
    (19, "rfork", "x"),
    (20, "_write", "fxd"),
    (21, "pipe", "x"),
    (22, "create", "nxo"),
    (23, "fd2path", "fxd"),
    (24, "brk_", "x"),
    (25, "remove", "n"),
    (26, "_wstat", "nx"),
    (27, "_fwstat", "fx"),
    (28, "notify", "x"),
    (29, "noted", "d"),
    (30, "segattach", "dsxx"),
    (31, "segdetach", "x"),
    (32, "segfree", "xx"),
    (33, "segflush", "xx"),
    (34, "rendezvous", "xx"),
    (35, "unmount", "nn"),
    (36, "_wait", "x"),
    (37, "semacquire", "xd"),
    (38, "semrelease", "xd"),
    (39, "seek", "xfvd"),
    (40, "fversion", "fdsd"),
    (41, "errstr", "xd"),
    (42, "stat", "nxd"),
    (43, "fstat", "fxd"),
    (44, "wstat", "nxd"),
    (45, "fwstat", "fxd"),
    (46, "mount", "ffnxs"),
    (47, "await", "xd"),
    (50, "pread", "fxdv"),
    (51, "pwrite", "fxdv"),
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
