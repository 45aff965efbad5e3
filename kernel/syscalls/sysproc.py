"""System calls on processes and memory. Source: port/sysproc.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.error import ERRMAX, Ebadarg, Egreg, Eperm, Error
from kernel.base.kernel import current
from kernel.base.mem import BY2WD, HZ, s32
from kernel.base.text import kbytes, kstr
from kernel.memory.fault import validaddr
from kernel.memory.page import checkpagerefs
from kernel.memory.uaccess import ufetch, ustore, ustr, vmemchr
from kernel.process.proc import pexit, pwait, waittext
from kernel.sched.alarm import procalarm
from kernel.sched.sched import yield_
from kernel.sched.sleep import tsleep

if TYPE_CHECKING:
    from kernel.base.kernel import Args, Kernel


OWAITMSG = 64  # bytes of the status in the old wait's message


def sysr1(k: Kernel, args: Args) -> int:
    """Check the page reference counts. Source: port/sysproc.c:sysr1."""
    if current(k).user != k.eve:
        raise Error(Eperm)
    checkpagerefs(k)
    return 0


def syssleep(k: Kernel, args: Args) -> int:
    """Sleep for so many ms, at least one tick; 0 lets others run. Source: port/sysproc.c:syssleep."""
    ms = s32(args[0])
    if ms <= 0:
        yield_(k)
    else:
        up = current(k)
        tsleep(k, up.sleep, lambda: False, max(ms, 1000 // HZ))
    return 0


def sysalarm(k: Kernel, args: Args) -> int:
    """Ask for the note "alarm" in so many ms; what was left of the last one. Source: port/sysproc.c:sysalarm."""
    return procalarm(k, args[0])


def sysexits(k: Kernel, args: Args) -> int:
    """End the process with a status string. Source: port/sysproc.c:sysexits."""
    status: str | None = None
    if args[0]:
        try:
            validaddr(k, args[0], 1, False)
            if vmemchr(k, args[0], 0, ERRMAX):
                status = kstr(ustr(k, args[0]))
            else:
                status = kstr(ufetch(k, args[0], ERRMAX - 1))
        except Error:
            status = "invalid exit string"
    pexit(k, status, True)


def sysawait(k: Kernel, args: Args) -> int:
    """Wait for a child; its pid, times and status as text. Source: port/sysproc.c:sysawait."""
    p, n = args[0], args[1]
    validaddr(k, p, n, True)
    w = pwait(k)
    if n == 0:
        return -1  # snprint's; the record is gone, and the error string is left as it was
    data = waittext(k, w, n)
    ustore(k, p, data + b"\0")
    return len(data)


def sys_wait(k: Kernel, args: Args) -> int:
    """The old wait call: pid and times as decimal fields, then the status. Source: port/sysproc.c:sys_wait."""
    ow = args[0]
    if ow == 0:
        return pwait(k).pid
    validaddr(k, ow, 12 + 36 + OWAITMSG, True)
    w = pwait(k)
    ustore(k, ow, b"".join(b"%11d " % v for v in (w.pid, *w.time)))
    ustore(k, ow + 48, kbytes(w.msg)[: OWAITMSG - 1].ljust(OWAITMSG, b"\0"))
    return w.pid


def _generrstr(k: Kernel, buf: int, n: int) -> int:
    up = current(k)
    if n == 0:
        raise Error(Ebadarg)
    validaddr(k, buf, n, True)
    n = min(n, ERRMAX)
    old = ufetch(k, buf, n)
    ustore(k, buf, up.syserrbuf[: n - 1] + b"\0")
    up.syserrbuf[:n] = old[:-1] + b"\0"
    return 0


def syserrstr(k: Kernel, args: Args) -> int:
    """Exchange the error string with the caller's. Source: port/sysproc.c:syserrstr."""
    return _generrstr(k, args[0], args[1])


def sys_errstr(k: Kernel, args: Args) -> int:
    """errstr() of old binaries, 64 bytes. Source: port/sysproc.c:sys_errstr."""
    return _generrstr(k, args[0], 64)


def sysnotify(k: Kernel, args: Args) -> int:
    """Set the note handler. Source: port/sysproc.c:sysnotify."""
    if args[0]:
        validaddr(k, args[0], BY2WD, False)
    current(k).notify = args[0]
    return 0


def sysnoted(k: Kernel, args: Args) -> int:
    """Return from a note handler; syscall() does the work. Source: port/sysproc.c:sysnoted."""
    if args[0] != 3 and not current(k).notified:
        raise Error(Egreg)
    return 0


def sys_nsec(k: Kernel, args: Args) -> int:
    """Store the time of day in ns. Source: port/sysproc.c:sys_nsec."""
    validaddr(k, args[0], 8, True)
    ustore(k, args[0], k.nsec().to_bytes(8, "little", signed=True), "sys_nsec")
    return 0
