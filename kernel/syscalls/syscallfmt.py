"""What /proc/n/syscall shows of a traced process's calls. Source: port/syscallfmt.c.

A call is shown in two parts, each of which the process stops for: what it asks for, and what came of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernel.base.error import Error
from kernel.base.mem import BY2WD, MASK32, s32, s64
from kernel.base.text import kbytes
from kernel.memory.fault import validaddr
from kernel.memory.uaccess import ufetch, uword, vmemchr
from kernel.sched.qlock import qlock, qunlock

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Proc


SHOWN: Final = 64  # bytes of a buffer

# Names by number: sysctab, made of sys.h by port/mksystab
SYSCTAB: Final = (
    "Running", "_errstr", "Bind", "Chdir", "Close", "Dup", "Alarm", "Exec", "Exits", "_fsession", "Fauth", "_fstat",
    "Segbrk", "_mount", "Open", "_read", "Oseek", "Sleep", "_stat", "Rfork", "_write", "Pipe", "Create", "Fd2path",
    "Brk", "Remove", "_wstat", "_fwstat", "Notify", "Noted", "Segattach", "Segdetach", "Segfree", "Segflush", "Rendez",
    "Unmount", "_wait", "Semacquire", "Semrelease", "Seek", "Fversion", "Errstr", "Stat", "Fstat", "Wstat", "Fwstat",
    "Mount", "Await", None, None, "Pread", "Pwrite", "Tsemacquire", "_nsec",
)  # fmt: skip

# How the arguments look: p pointer, x hexadecimal, d signed, u unsigned, s string, a list of strings, w what is
# written (its length is the next word), D and X as d and x, but of two words. A blank stands for itself.
_FORM: Final = {
    "Running": "p", "_errstr": "s", "Bind": "s s x", "Chdir": "s", "Close": "d", "Dup": "d d", "Alarm": "u ",
    "Exec": "sa", "Exits": "s", "_fsession": "d p", "Fauth": "ds", "_fstat": "d p", "Segbrk": "p p",
    "_mount": "d s x s", "Open": "s x", "_read": "d p d", "Oseek": "d d d", "Sleep": "d", "_stat": "s p", "Rfork": "x",
    "_write": "d wd", "Pipe": "p", "Create": "s x x", "Fd2path": "d p u", "Brk": "p", "Remove": "s", "_wstat": "s p",
    "_fwstat": "d p", "Notify": "p", "Noted": "d", "Segattach": "d s p u", "Segdetach": "p", "Segfree": "p u",
    "Segflush": "p u", "Rendez": "p p", "Unmount": "s s", "_wait": "p", "Semacquire": "p d", "Semrelease": "p d",
    "Seek": "p d X d", "Fversion": "d d s u", "Errstr": "p u", "Stat": "s p u", "Fstat": "d p u", "Wstat": "s p u",
    "Fwstat": "d p u", "Mount": "d d s x s", "Await": "p u", "Pread": "d p d D", "Pwrite": "d wd D",
    "Tsemacquire": "p d", "_nsec": "p",
}  # fmt: skip


def _data(k: Kernel, a: int, n: int) -> str:
    """A buffer of the user's, a dot for what does not print. Source: port/syscallfmt.c:fmtrwdata."""
    if a == 0:
        return "0x0"
    validaddr(k, a, n & MASK32, False)
    text = "".join(chr(c) if 0x20 < c < 0x7F else "." for c in ufetch(k, a, n, "fmtrwdata"))
    return f' {a:#x}/"{text}"'


def _string(k: Kernel, a: int) -> str:
    """A string of the user's, as long as it is. Source: port/syscallfmt.c:fmtuserstring."""
    if a == 0:
        return '0/""'
    validaddr(k, a, 1, False)
    end = vmemchr(k, a, 0, 0x7FFFFFFF)
    return f'{a:#x}/"{ufetch(k, a, end - a).decode("utf-8", "replace")}"'


def _arguments(k: Kernel, form: str, args: tuple[int, ...]) -> str:
    out = []
    words = iter(args)
    for f in form:
        if f == " ":
            out.append(f)
            continue
        w = next(words)
        if f in "DX":
            w |= next(words) << 32
            out.append(f"{w:#x}" if f == "X" else str(s64(w)))
        elif f in "px":
            out.append(f"{w:#x}")
        elif f == "d":
            out.append(str(s32(w)))
        elif f == "u":
            out.append(str(w))
        elif f == "s":
            out.append(_string(k, w))
        elif f == "w":
            n = min(s32(args[2]), SHOWN)
            out.append(_data(k, w, n) + " ")
        else:
            out += _list(k, w)
    return "".join(out)


def _list(k: Kernel, argv: int) -> list[str]:
    out: list[str] = []
    while True:
        validaddr(k, argv, BY2WD, False)
        a = uword(k, argv, "syscallfmt")
        if a == 0:
            return out
        out.append(" " + _string(k, a))
        argv = (argv + BY2WD) & MASK32


def _keep(k: Kernel, up: Proc, text: str) -> None:
    qlock(k, up.debug)
    up.syscalltrace = kbytes(text)
    qunlock(k, up.debug)


def syscallfmt(k: Kernel, up: Proc, nr: int, pc: int) -> None:
    """Say what the current process asks for. Errors: those of bad addresses. Source: port/syscallfmt.c:syscallfmt."""
    text = f"{up.pid} {up.text} "
    name = None
    if nr >= len(SYSCTAB):
        text += f" {nr} "
    else:
        name = SYSCTAB[nr]
        text += f"{name or 'huh?'} "
    text += f"{pc:x} "
    if name is not None:
        text += _arguments(k, _FORM[name], up.s)
    _keep(k, up, text)


def _result(k: Kernel, name: str | None, args: tuple[int, ...], ret: int) -> tuple[str, bool]:
    """The result, and whether the error string goes with it.

    The original compares an unsigned result with 0 where it asks whether a call gave data: -1 counts as data.
    """
    n = s32(ret)
    if name in ("Exec", "Segbrk", "Segattach", "Rendez"):
        return f" = {ret:#x}", n == -1
    if name in ("Await", "_errstr", "Errstr", "Fd2path"):
        a, l = args[1:3] if name == "Fd2path" else args[:2]
        if name == "_errstr":
            l = 64
        if ret > 0:
            return f"{_string(k, a)} {l} = {n}", False
        nothing = f'{a:#x}/""' if name == "Await" else '""'
        return f"{nothing} {l} = {n}", True
    if name in ("_read", "Pread"):
        text = _data(k, args[1], min(ret, SHOWN)) if ret > 0 else '/""'
        text += f" {s32(args[2])}"
        if name == "Pread":
            text += f" {s64(args[3], args[4])}"
        return f"{text} = {n}", not ret > 0
    return f" = {n}", n == -1


def sysretfmt(k: Kernel, up: Proc, nr: int, ret: int, start: int, stop: int) -> None:
    """Say what came of a call, when it began and ended, in ns. Source: port/syscallfmt.c:sysretfmt.

    The original looks at the buffer of a read that failed; where that is a bad address it has nowhere to take the
    error to, and dies. Here that call has the plain form.
    """
    name = SYSCTAB[nr] if nr < len(SYSCTAB) else None
    try:
        text, failed = _result(k, name, up.s, ret)
    except Error:
        text, failed = f" = {s32(ret)}", True
    _keep(k, up, text + f" {up.syserrstr if failed else chr(34) * 2} {start} {stop}\n")
