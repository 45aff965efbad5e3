"""What processes share: name spaces, descriptors, environments, rendezvous. Source: port/pgrp.c, port/devenv.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.alloc import EVALUE, FD, MHEAD
from kernel.base.chandat import DELTAFD, Egrp, Evalue, Fgrp, Pgrp
from kernel.base.dat import Qid
from kernel.base.error import Enomem, Error
from kernel.base.kernel import current
from kernel.base.procdat import Proc_exitme, Rgrp
from kernel.files.channel import cclose, ccloseq, mountfree, mountsizes, newmhead, newmount, putmhead
from kernel.sched.qlock import qlock, qunlock
from kernel.sched.ref import decref, incref
from kernel.sched.rwlock import rlock, runlock, wlock, wunlock
from kernel.sched.taslock import lock, unlock

if TYPE_CHECKING:
    from kernel.base.chandat import Mount
    from kernel.base.kernel import Kernel


def newpgrp(k: Kernel) -> Pgrp:
    """An empty name space. Source: port/pgrp.c:newpgrp."""
    return k.made(Pgrp(incref(k, k.files.pgrpid)))


def newrgrp(k: Kernel) -> Rgrp:
    """Source: port/pgrp.c:newrgrp."""
    return Rgrp()


def closergrp(k: Kernel, r: Rgrp) -> None:
    """Drop one reference. Source: port/pgrp.c:closergrp."""
    decref(k, r)


def closepgrp(k: Kernel, p: Pgrp) -> None:
    """Drop one reference; the last one undoes all mounts. Source: port/pgrp.c:closepgrp."""
    if decref(k, p) != 0:
        return
    if k.variant.fix_3af236b5e:  # nobody else has it: no lock is held while files are closed
        for chain in p.mnthash:
            while chain:
                f = chain.pop(0)
                wlock(k, f.lock)
                m, f.mount = f.mount, None
                wunlock(k, f.lock)
                mountfree(k, m)
                putmhead(k, f)
        return
    qlock(k, p.debug)
    wlock(k, p.ns)
    p.pgrpid = 0xFFFFFFFF
    for chain in p.mnthash:
        for f in chain:
            wlock(k, f.lock)
            cclose(k, f.from_)
            mountfree(k, f.mount)
            f.mount = None
            wunlock(k, f.lock)
            putmhead(k, f)
        chain.clear()
    wunlock(k, p.ns)
    qunlock(k, p.debug)


def pgrpcpy(k: Kernel, to: Pgrp, from_: Pgrp) -> None:
    """Copy all mounts into an empty name space, ids in the order of the originals.

    Errors: Enomem, with nothing copied. Source: port/pgrp.c:pgrpcpy.
    """
    wlock(k, from_.ns)
    try:
        k.mainmem.need(sum(MHEAD + mountsizes(f.mount) for chain in from_.mnthash for f in chain))
    except Error:
        wunlock(k, from_.ns)
        raise
    copies: list[tuple[int, Mount]] = []
    for i, chain in enumerate(from_.mnthash):
        for f in chain:
            rlock(k, f.lock)
            mh = newmhead(k, f.from_)
            to.mnthash[i].append(mh)
            last: Mount | None = None
            m = f.mount
            while m is not None:
                n = newmount(k, mh, m.to, m.mflag, m.spec)
                copies.append((m.mountid, n))
                if last is None:
                    mh.mount = n
                else:
                    last.next = n
                last = n
                m = m.next
            runlock(k, f.lock)
    for _, n in sorted(copies, key=lambda c: c[0]):
        n.mountid = incref(k, k.files.mountid)
    wunlock(k, from_.ns)


def dupfgrp(k: Kernel, f: Fgrp | None) -> Fgrp:
    """A copy of the descriptors, no longer than it must be, or an empty set.

    Errors: Enomem. Source: port/pgrp.c:dupfgrp.
    """
    if f is None:
        new = Fgrp()
        k.mainmem.charge(FD * new.nfd)
        return new
    lock(k, f)
    nfd = f.maxfd + 1
    nfd += -nfd % DELTAFD
    if not k.mainmem.alloc(FD * nfd):
        unlock(k, f)
        raise Error(Enomem)
    new = Fgrp(nfd)
    new.maxfd = f.maxfd
    for i, c in enumerate(f.fd[: f.maxfd + 1]):
        if c is not None:
            incref(k, c)
            new.fd[i] = c
    unlock(k, f)
    return new


def closefgrp(k: Kernel, f: Fgrp | None) -> None:
    """Drop one reference; the last one closes all files. Source: port/pgrp.c:closefgrp."""
    if f is None or decref(k, f) != 0:
        return
    up = current(k)
    up.closingfgrp = f
    for i in range(f.maxfd + 1):
        c = f.fd[i]
        if c is not None:
            f.fd[i] = None
            cclose(k, c)
    up.closingfgrp = None
    k.mainmem.free(FD * f.nfd)


def forceclosefgrp(k: Kernel) -> None:
    """The current process is in the middle of closefgrp, and was told to die there: leave what is not closed yet to
    the close processes.

    It usually waits for a file server that it is itself: once its own end of the channel is closed, the close that
    was interrupted ends by itself. Called by interrupted(). Source: port/pgrp.c:forceclosefgrp.
    """
    up = current(k)
    f = up.closingfgrp
    if up.procctl != Proc_exitme or f is None:
        k.print("bad forceclosefgrp call")
        return
    for i in range(f.maxfd + 1):
        c = f.fd[i]
        if c is not None:
            f.fd[i] = None
            ccloseq(k, c)


def newegrp(k: Kernel) -> Egrp:
    """An empty environment."""
    return Egrp()


def evaluesize(e: Evalue) -> int:
    """What a variable takes."""
    return EVALUE + len(e.name) + len(e.value)


def envcpy(k: Kernel, to: Egrp, from_: Egrp) -> None:
    """Copy an environment into an empty one. Errors: Enomem. Source: port/devenv.c:envcpy."""
    rlock(k, from_)
    if not k.mainmem.alloc(sum(map(evaluesize, from_.ent))):
        runlock(k, from_)
        raise Error(Enomem)
    for e in from_.ent:
        to.path += 1
        to.ent.append(Evalue(e.name, Qid(to.path), e.value))
    to.names = {e.name: e for e in to.ent}
    runlock(k, from_)


def closeegrp(k: Kernel, eg: Egrp) -> None:
    """Drop one reference. Source: port/devenv.c:closeegrp."""
    if decref(k, eg) == 0:
        k.mainmem.free(sum(map(evaluesize, eg.ent)))
        eg.ent.clear()
        eg.names.clear()
