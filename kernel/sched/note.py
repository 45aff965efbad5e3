"""Notes, and what else one process asks of another. Source: port/proc.c, port/pgrp.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.error import ERRMAX, Error, Etoobig, Panic
from kernel.base.event import NoteEvent
from kernel.base.procdat import (
    NNOTE,
    Dead,
    Note,
    NUser,
    Proc_exitbig,
    Proc_exitme,
    Proc_stopme,
    Proc_traceme,
    Queueing,
    Rendezvous,
    Stopped,
    Wakeme,
)
from kernel.base.text import kstrcpy
from kernel.sched.newproc import everyproc
from kernel.sched.qlock import qlock, qunlock
from kernel.sched.sched import ready, sched, schedevent
from kernel.sched.sleep import wakeup
from kernel.sched.taslock import canlock, lock, unlock

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Proc


def pgrpnote(k: Kernel, noteid: int, text: str, flag: int = NUser) -> None:
    """Post a note to all other processes of a note group. Source: port/pgrp.c:pgrpnote."""
    if len(text) >= ERRMAX - 1:
        raise Error(Etoobig)
    for p in everyproc(k):
        if p is not k.up and p.noteid == noteid and not p.kp:
            qlock(k, p.debug)
            if p.noteid == noteid:
                postnote(k, p, 0, text, flag)
            qunlock(k, p.debug)


def hostnote(k: Kernel, noteid: int, text: str) -> bool:
    """Post a note to a whole group from outside the machine; False if it must wait, as somebody is at work there."""
    group = [p for p in k.procs.proctab if p.state != Dead and p.noteid == noteid and not p.kp]
    for p in group:
        places = (p.rlock, p.r, p.rgrp if p.state == Rendezvous else None)
        if p.debug.locked or any(l is not None and l.key for l in places):
            return False
    for p in group:
        postnote(k, p, 0, text, NUser)
    return True


def postnote(k: Kernel, p: Proc | None, dolock: int, n: str | None, flag: int) -> int:
    """Give p a note and wake it from what it waits for; 1 if the note was taken.

    A note of the system's own replaces those that wait if no handler could see them first.
    Source: port/proc.c:postnote.
    """
    if p is None:
        return 0
    if dolock:
        qlock(k, p.debug)
    if p.pid == 0:
        if dolock:
            qunlock(k, p.debug)
        return 0
    if n is not None and flag != NUser and (p.notify == 0 or p.notified):
        p.note.clear()
    ret = 0
    if len(p.note) < NNOTE and n is not None:
        p.note.append(Note(kstrcpy(n, ERRMAX), flag))
        ret = 1
    p.notepending = 1
    if dolock:
        qunlock(k, p.debug)
    if k.sink is not None and n is not None:
        k.emit(NoteEvent(0, 0, 0, "post", p.pid, n))

    _notewakes(k, p)

    if p.state == Queueing and p.eql is not None:
        q = p.eql
        l = None
        d = q.head
        while d is not None and d is not p:
            l = d
            d = d.qnext
        if d is p:
            if l is not None:
                l.qnext = p.qnext
            else:
                q.head = p.qnext
            if p.qnext is None:
                q.tail = l
            p.qnext = None
            p.eql = None  # not taken
            ready(k, p)
    elif p.state == Rendezvous:
        rgrp = p.rgrp
        assert rgrp is not None
        lock(k, rgrp)
        hash = rgrp.rendhash
        h = p.rendtag % len(hash)
        l, d = None, hash[h]
        while d is not None and d is not p:
            l, d = d, d.rendhash
        if d is p:
            if l is not None:
                l.rendhash = p.rendhash
            else:
                hash[h] = p.rendhash
            p.rendval = 0xFFFFFFFF
            ready(k, p)
        unlock(k, rgrp)
    return ret


def _notewakes(k: Kernel, p: Proc) -> None:
    """Wake p, which has a note, if it sleeps.

    A wakeup takes the place's lock and then p's; here only p leads to the place, so whoever finds that one
    taken lets go and tries again. Source: port/proc.c:postnote.
    """
    while True:
        s, k.m.splhi = k.m.splhi, True
        lock(k, p.rlock)
        r = p.r
        if r is None:
            break
        if canlock(k, r):
            if p.state != Wakeme or r.r is not p:
                raise Panic("postnote: state")
            p.r = None
            r.r = None
            ready(k, p)
            unlock(k, r)
            break
        unlock(k, p.rlock)
        k.m.splhi = s
        sched(k)
    unlock(k, p.rlock)
    k.m.splhi = s


def wakedebugger(k: Kernel, p: Proc) -> None:
    """Wake who waits for p to stop, and forget it. The caller has locked p.debug.

    The original looks at pdbg, and looks again to use it. Who was interrupted clears it without the lock.
    """
    if p.pdbg is None:
        return
    if k.explore is not None:
        k.explore("pdbg")
    pdbg = p.pdbg
    if pdbg is None:
        raise Panic(f"fault: pdbg of {p.text} {p.pid} is nil")
    wakeup(k, pdbg.sleep)
    p.pdbg = None


def procctl(k: Kernel, p: Proc) -> None:
    """Do what another process asked of p, the current one: die, or stop until it says go.

    Source: port/proc.c:procctl.
    """
    if p.procctl == Proc_exitbig:
        k.hooks.pprint(k, "Killed: Insufficient physical memory\n")
        k.hooks.pexit(k, "Killed: Insufficient physical memory", True)
    if p.procctl == Proc_exitme:
        k.hooks.pexit(k, "Killed", True)
    if p.procctl == Proc_stopme or (p.procctl == Proc_traceme and p.note):
        p.procctl = 0
        state, p.psstate = p.psstate, "Stopped"
        s, k.m.splhi = k.m.splhi, False
        qlock(k, p.debug)
        wakedebugger(k, p)  # it finds us Stopped once we have given up the processor
        qunlock(k, p.debug)
        k.m.splhi = True
        p.state = Stopped
        if k.sink is not None:
            schedevent(k, "wait", p)
        sched(k)
        p.psstate = state
        k.m.splhi = s
