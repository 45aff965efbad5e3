"""What can be written to a process's ctl file. Source: port/devproc.c:procctlreq.

The requests of the real-time scheduler (period, deadline, cost, sporadic, deadlinenotes, admit, extra, expel) are not
there: this kernel has no such scheduler, and they are unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernel.base.error import Ebadctl, Ebadfd, Einuse, Eperm, Eprocdied, Error
from kernel.base.kernel import current
from kernel.base.procdat import (
    Broken,
    NExit,
    NUser,
    PriNormal,
    Proc_exitme,
    Proc_stopme,
    Proc_traceme,
    Proc_tracesyscall,
    Stopped,
)
from kernel.devices.parse import Cmdtab, atoi, lookupcmd, parsecmd
from kernel.devices.procmem import startprofile
from kernel.files.channel import cclose
from kernel.files.dev import iseve
from kernel.files.pgrp import closefgrp
from kernel.sched.broken import unbreak
from kernel.sched.newproc import procpriority, procwired
from kernel.sched.note import postnote
from kernel.sched.qlock import qlock, qunlock
from kernel.sched.ref import incref
from kernel.sched.sched import SUser, ready, tellproc
from kernel.sched.sleep import sleep
from kernel.sched.taslock import lock, unlock

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Proc


proccmd: Final = (
    Cmdtab("close", 2),
    Cmdtab("closefiles", 1),
    Cmdtab("fixedpri", 2),
    Cmdtab("hang", 1),
    Cmdtab("nohang", 1),
    Cmdtab("noswap", 1),
    Cmdtab("kill", 1),
    Cmdtab("pri", 2),
    Cmdtab("private", 1),
    Cmdtab("profile", 1),
    Cmdtab("start", 1),
    Cmdtab("startstop", 1),
    Cmdtab("startsyscall", 1),
    Cmdtab("stop", 1),
    Cmdtab("waitstop", 1),
    Cmdtab("wired", 2),
    Cmdtab("trace", 0),
    Cmdtab("interrupt", 1),
    Cmdtab("nointerrupt", 1),
    Cmdtab("event", 1),
)


def procctlreq(k: Kernel, p: Proc, data: bytes) -> None:
    """Do what a message asks of p, whose debug lock is held. Source: port/devproc.c:procctlreq."""
    if p.kp:
        raise Error(Eperm)
    f = parsecmd(data)
    cmd = lookupcmd(f, proccmd)
    if cmd == "close":
        procctlclosefiles(k, p, False, atoi(f[1]))
    elif cmd == "closefiles":
        procctlclosefiles(k, p, True, 0)
    elif cmd in ("hang", "nohang"):
        p.hang = cmd == "hang"
    elif cmd == "noswap":
        p.noswap = True
    elif cmd == "kill":
        killproc(k, p)
    elif cmd in ("pri", "fixedpri"):
        pri = atoi(f[1])
        if pri > PriNormal and not iseve(k):
            raise Error(Eperm)
        procpriority(k, p, pri, cmd == "fixedpri")
    elif cmd == "private":
        p.privatemem = True
    elif cmd == "profile":
        startprofile(k, p)
    elif cmd in ("start", "startstop", "startsyscall"):
        _start(k, p, {"start": 0, "startstop": Proc_traceme, "startsyscall": Proc_tracesyscall}[cmd])
    elif cmd == "stop":
        procstopwait(k, p, Proc_stopme)
    elif cmd == "waitstop":
        procstopwait(k, p, 0)
    elif cmd == "wired":
        procwired(k, p, atoi(f[1]))
    elif cmd == "trace":
        if len(f) > 2:
            raise Error("args")
        p.trace = not p.trace if len(f) == 1 else atoi(f[1]) != 0
    elif cmd == "interrupt":
        postnote(k, p, 0, None, NUser)
    elif cmd == "nointerrupt":
        if p.note:
            raise Error("notes pending")
        p.notepending = 0
    elif cmd == "event":
        tellproc(k, current(k), SUser)


def killproc(k: Kernel, p: Proc) -> None:
    """Have p end as soon as it runs."""
    if p.state == Broken:
        unbreak(k, p)
        return
    stopped = p.state == Stopped
    p.procctl = Proc_exitme
    postnote(k, p, 0, "sys: killed", NExit)
    if stopped:
        ready(k, p)


def _start(k: Kernel, p: Proc, ctl: int) -> None:
    """Let p go on; with ctl until that makes it stop, which is waited for."""
    if p.state != Stopped:
        raise Error(Ebadctl)
    if ctl:
        p.procctl = ctl
    ready(k, p)
    if ctl:
        procstopwait(k, p, ctl)


def procstopwait(k: Kernel, p: Proc, ctl: int) -> None:
    """Ask p, whose debug lock is held, for what ctl says if it is not 0, and wait until p is stopped.

    A note ends the wait, and leaves p with its order. Errors: Einuse, Eprocdied, Eintr.
    Source: port/devproc.c:procstopwait.
    """
    up = current(k)
    if p.pdbg is not None:
        raise Error(Einuse)
    if p.state in (Stopped, Broken):
        return
    pid = p.pid
    if pid == 0:
        raise Error(Eprocdied)
    if ctl:
        p.procctl = ctl
    p.pdbg = up
    qunlock(k, p.debug)
    up.psstate = "Stopwait"
    try:
        sleep(k, up.sleep, lambda: p.state == Stopped)
    except Error:
        if k.variant.fix_a0e001a23:
            qlock(k, p.debug)
            p.pdbg = None
            raise
        p.pdbg = None
        qlock(k, p.debug)
        raise
    qlock(k, p.debug)
    if p.pid != pid:
        raise Error(Eprocdied)


def procctlclosefiles(k: Kernel, p: Proc, all: bool, fd: int) -> None:
    """Close one descriptor of p, whose debug lock is held, or all from fd on.

    Source: port/devproc.c:procctlclosefiles.
    """
    if fd < 0:
        raise Error(Ebadfd)
    f = p.fgrp
    if f is None:
        raise Error(Eprocdied)
    incref(k, f)
    lock(k, f)
    while fd <= f.maxfd:
        c = f.fd[fd]
        if c is not None:
            f.fd[fd] = None
            unlock(k, f)
            qunlock(k, p.debug)
            cclose(k, c)
            qlock(k, p.debug)
            lock(k, f)
        if not all:
            break
        fd += 1
    unlock(k, f)
    closefgrp(k, f)
