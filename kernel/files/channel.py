"""Reference counts, channels, their paths and the mount table. Source: the first half of port/chan.c.

A function that takes ownership of a channel, or gives one away, says so; all others leave the
reference counts as they were. names, walk and namec are in :mod:`kernel.files.chan`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernel.base.alloc import CHAN, FD, MHEAD, MOUNT
from kernel.base.chandat import (
    MAFTER,
    MCREATE,
    MNTHASH,
    MORDER,
    MREPL,
    QTAUTH,
    QTDIR,
    QTEXCL,
    QTMOUNT,
    Chan,
    Mhead,
    Mount,
    Path,
    eqchan,
    eqchantdqid,
)
from kernel.base.error import Emount, Enotdir, Error, Eunion, Eunmount, Panic
from kernel.base.kernel import current
from kernel.sched.newproc import kproc
from kernel.sched.qlock import qlock, qunlock
from kernel.sched.ref import decref, incref
from kernel.sched.rwlock import rlock, runlock, wlock, wunlock
from kernel.sched.sleep import sleep, wakeup
from kernel.sched.taslock import lock, unlock

if TYPE_CHECKING:
    from kernel.base.chandat import Pgrp
    from kernel.base.dat import Qid
    from kernel.base.kernel import Kernel


def namespace(k: Kernel) -> Pgrp:
    """The current process's name space."""
    pg = current(k).pgrp
    if pg is None:
        raise Panic("no name space")
    return pg


def newchan(k: Kernel) -> Chan:
    """A channel of its own, ref 1, that belongs to the root device until a device takes it.

    Closing it before that is a nop. It has the fid of a channel no longer in use, if there is one.
    Source: port/chan.c:newchan.
    """
    k.mainmem.charge(CHAN)
    c = k.made(Chan())
    f = k.files
    if f.fids:
        c.fid = f.fids.pop()
    if c.fid == 0:
        f.fid += 1
        c.fid = f.fid
    return c


def newpath(s: str) -> Path:
    """A path of one element, a device or "/". Source: port/chan.c:newpath."""
    return Path(s)


def _copypath(k: Kernel, p: Path) -> Path:
    pp = Path(p.s)
    pp.size = p.size
    k.mainmem.charge(pp.size)
    pp.mtpt = list(p.mtpt)
    for c in pp.mtpt:
        if c is not None:
            incref(k, c)
    return pp


def pathclose(k: Kernel, p: Path | None) -> None:
    """Drop one reference to a path. Source: port/chan.c:pathclose."""
    if p is None or decref(k, p) != 0:
        return
    for c in p.mtpt:
        if c is not None:
            cclose(k, c)
    p.mtpt = []
    k.mainmem.free(p.size)


def cleanname(name: str) -> str:
    """name without repeated slashes, "." and, where it can be, "..". Source: cleanname(2)."""
    rooted = name.startswith("/")
    out: list[str] = []
    for elem in name.split("/"):
        if elem in ("", "."):
            continue
        if elem != "..":
            out.append(elem)
        elif out and out[-1] != "..":
            out.pop()
        elif not rooted:
            out.append("..")
    return "/" + "/".join(out) if rooted else "/".join(out) or "."


def _fixdotdotname(s: str) -> str:
    if not s.startswith("#"):
        return cleanname(s)
    i = s.find("/")
    if i < 0:
        return s
    rest = cleanname(s[i:])
    # the name of a device's root is #i rather than #i/, but that of #/ is #/
    if rest == "/" and s[1:2] != "/":
        rest = ""
    return s[:i] + rest


def _uniquepath(k: Kernel, p: Path) -> Path:
    if p.ref > 1:  # copy on write
        new = _copypath(k, p)
        pathclose(k, p)
        return new
    return p


def addelem(k: Kernel, p: Path, s: str, from_: Chan | None) -> Path:
    """p with one more element; from_ is the channel mounted upon there. Takes p. Source: port/chan.c:addelem."""
    if s == ".":
        return p
    p = _uniquepath(k, p)
    if p.s and not p.s.endswith("/") and not s.startswith("/"):
        p.s += "/"
    p.s += s
    if s == "..":
        p.s = _fixdotdotname(p.s)
        if len(p.mtpt) > 1:
            c = p.mtpt.pop()
            if c is not None:
                cclose(k, c)
    else:
        p.mtpt.append(from_)
        if from_ is not None:
            incref(k, from_)
    n = len(p.s) + FD * len(p.mtpt) - p.size
    p.size += n
    k.mainmem.charge(n)
    return p


def chanfree(k: Kernel, c: Chan) -> None:
    """Let go of everything c holds. Source: port/chan.c:chanfree."""
    c.flag = Chan.CFREE
    c.dirrock = []
    if c.umh is not None:
        putmhead(k, c.umh)
        c.umh = None
    if c.umc is not None:
        cclose(k, c.umc)
        c.umc = None
    if c.mux is not None:
        k.hooks.muxclose(k, c.mux)
        c.mux = None
    if c.mchan is not None:
        cclose(k, c.mchan)
        c.mchan = None
    pathclose(k, c.path)
    c.path = None
    k.files.fids.append(c.fid)
    k.mainmem.free(CHAN)
    if k.watch is not None:
        k.watch.freed(c)


def closechanq(k: Kernel, c: Chan) -> None:
    """Have a close process close c, to which nobody has a reference any more. Source: port/chan.c:closechanq."""
    cq = k.files.clunkq
    lock(k, cq.l)
    cq.nqueued += 1
    cq.chans.append(c)
    unlock(k, cq.l)
    wakeup(k, cq.r)


def _closechandeq(k: Kernel) -> Chan | None:
    """The next channel to be closed, if there is one. Source: port/chan.c:closechandeq."""
    cq = k.files.clunkq
    lock(k, cq.l)
    c = None
    if cq.chans:
        c = cq.chans.pop(0)
        cq.nclosed += 1
    unlock(k, cq.l)
    return c


def startcloseproc(k: Kernel) -> None:
    """Make the first close process, unless there is one; the original does at boot. Source: port/chan.c:chandevinit."""
    cq = k.files.clunkq
    if not cq.started:
        cq.started = True
        kproc(k, "closeproc", lambda: closeproc(k), atboot=True)


def closeproc(k: Kernel) -> None:
    """A close process: one is always there to wait, while others may be stuck with a file server.

    The original's look every half second whether they are too many; these do when they are done.
    Source: port/chan.c:closeproc.
    """
    cq = k.files.clunkq
    c: Chan | None = None  # the first thing is to wait
    while True:
        if c is None:
            if cq.q.head is not None:
                k.hooks.pexit(k, "no work", True)
            qlock(k, cq.q)
            try:
                sleep(k, cq.r, lambda: bool(cq.chans))
            except Error:
                pass
            c = _closechandeq(k)
            if c is None:
                qunlock(k, cq.q)
                continue
            if cq.q.head is None:
                kproc(k, "closeproc", lambda: closeproc(k))
            qunlock(k, cq.q)
        _devclose(k, c)
        c = _closechandeq(k)


def _devclose(k: Kernel, c: Chan) -> None:
    try:
        k.devtab[c.type].close(c)
    except Error:
        pass
    chanfree(k, c)


MAXCLUNKQ: Final = 64


def cclose(k: Kernel, c: Chan) -> None:
    """Drop one reference to c; the last one closes the file.

    A file of a mount with a cache is closed by another process, for it may be opened again soon; unless it is one
    whose close matters, or too many wait already. Source: port/chan.c:cclose.
    """
    if c.ref < 1 or c.flag & Chan.CFREE:
        raise Panic(f"cclose {c!r}")
    if decref(k, c) != 0:
        return
    cq = k.files.clunkq
    if (
        c.flag & (Chan.CRCLOSE | Chan.CCACHE) == Chan.CCACHE
        and k.devtab[c.type].blocks
        and not c.qid.type & (QTEXCL | QTMOUNT | QTAUTH)
        and cq.nqueued - cq.nclosed < MAXCLUNKQ
    ):
        closechanq(k, c)
        return
    _devclose(k, c)


def ccloseq(k: Kernel, c: Chan) -> None:
    """cclose, but by another process, so as never to block.

    Where the device does not block in close this closes at once. Source: port/chan.c:ccloseq.
    """
    if c.ref < 1 or c.flag & Chan.CFREE:
        raise Panic(f"ccloseq {c!r}")
    if decref(k, c) != 0:
        return
    if k.devtab[c.type].blocks:
        closechanq(k, c)
    else:
        _devclose(k, c)


def cunique(k: Kernel, c: Chan) -> Chan:
    """c, or if others have it too, a copy in its stead. Takes c. Source: port/chan.c:cunique."""
    if c.ref != 1:
        nc = cclone(k, c)
        cclose(k, c)
        c = nc
    return c


def newmhead(k: Kernel, from_: Chan) -> Mhead:
    """Source: port/chan.c:newmhead."""
    incref(k, from_)
    k.mainmem.charge(MHEAD)
    return k.made(Mhead(from_))


def mounthash(pg: Pgrp, qid: Qid) -> list[Mhead]:
    """The hash chain for a qid, newest last. Source: port/portdat.h:MOUNTH."""
    return pg.mnthash[qid.path & (MNTHASH - 1)]


def mountsize(spec: str | None) -> int:
    """What an element of a union takes."""
    return MOUNT + len(spec or "")


def mountsizes(m: Mount | None) -> int:
    """What all elements of a union from m on take."""
    n = 0
    while m is not None:
        n += mountsize(m.spec)
        m = m.next
    return n


def newmount(k: Kernel, mh: Mhead | None, to: Chan, flag: int, spec: str | None) -> Mount:
    """One more element of a union. Source: port/pgrp.c:newmount."""
    incref(k, to)
    k.mainmem.charge(mountsize(spec))
    return k.made(Mount(mh, to, flag, incref(k, k.files.mountid), spec))


def mountfree(k: Kernel, m: Mount | None) -> None:
    """Close a chain of mounts. Source: port/pgrp.c:mountfree."""
    while m is not None:
        f = m.next
        cclose(k, m.to)
        m.mountid = 0
        k.mainmem.free(mountsize(m.spec))
        if k.watch is not None:
            k.watch.freed(m)
        m = f


def _findhead(chain: list[Mhead], c: Chan) -> Mhead | None:
    return next((m for m in chain if eqchan(m.from_, c, True)), None)


def cmount(k: Kernel, new: Chan, old: Chan, flag: int, spec: str | None) -> int:
    """Mount new upon old: instead of it (MREPL), or before or after it in a union; the mount's id.

    A union bound somewhere is copied. Errors: Emount if one is a directory and the other not, or if
    creation is asked for in a union that has no one place for it. Source: port/chan.c:cmount.
    """
    if QTDIR & (old.qid.type ^ new.qid.type):
        raise Error(Emount)
    order = flag & MORDER
    if not old.qid.type & QTDIR and order != MREPL:
        raise Error(Emount)
    mh = new.umh
    if flag & MCREATE and mh is not None and mh.mount is not None:
        # a mount point that is no union and permits creation may be bound with MCREATE
        if mh.mount.next is not None or not mh.mount.mflag & MCREATE:
            raise Error(Emount)

    k.mainmem.need(mountsizes(mh.mount) if mh is not None else 0)
    if k.variant.fix_55c3138c6:
        return _cmount(k, new, old, flag, spec)
    pg = namespace(k)
    wlock(k, pg.ns)
    chain = mounthash(pg, old.qid)
    m = _findhead(chain, old)
    if m is None:  # nothing mounted here yet
        m = newmhead(k, old)
        chain.append(m)
        if order != MREPL:  # the old directory is part of the union
            m.mount = newmount(k, m, old, 0, None)
    wlock(k, m.lock)
    try:
        wunlock(k, pg.ns)
        nm = newmount(k, m, new, flag, spec)
        last = nm
        if mh is not None and mh.mount is not None:
            flg = MAFTER if order == MREPL else order
            um = mh.mount.next
            while um is not None:
                last.next = newmount(k, m, um.to, flg, um.spec)
                last = last.next
                um = um.next
        if m.mount is not None and order == MREPL:
            mountfree(k, m.mount)
            m.mount = None
        if flag & MCREATE:
            nm.mflag |= MCREATE
        if m.mount is not None and order == MAFTER:
            f = m.mount
            while f.next is not None:
                f = f.next
            f.next = nm
        else:
            last.next = m.mount
            m.mount = nm
    except Error:
        wunlock(k, m.lock)
        raise
    wunlock(k, m.lock)
    return nm.mountid


def _cmount(k: Kernel, new: Chan, old: Chan, flag: int, spec: str | None) -> int:
    """The rest of cmount() since 55c3138c6: a union is copied under its lock, before others are taken."""
    order = flag & MORDER
    nm = last = newmount(k, None, new, flag, spec)
    mh = new.umh
    if mh is not None:
        rlock(k, mh.lock)
        um = mh.mount
        if um is not None and flag & MCREATE and (um.next is not None or not um.mflag & MCREATE):
            runlock(k, mh.lock)
            mountfree(k, nm)
            raise Error(Emount)
        while um is not None and um.next is not None:
            um = um.next
            last.next = newmount(k, None, um.to, MAFTER if order == MREPL else order, um.spec)
            last = last.next
        runlock(k, mh.lock)

    pg = namespace(k)
    wlock(k, pg.ns)
    chain = mounthash(pg, old.qid)
    m = _findhead(chain, old)
    if m is None:
        m = newmhead(k, old)
        if order != MREPL:
            m.mount = newmount(k, m, old, 0, None)
        chain.append(m)
    wlock(k, m.lock)
    gone = m.mount
    if gone is not None and order == MAFTER:
        f = gone
        while f.next is not None:
            f = f.next
        f.next = nm
        gone = None
    else:
        if order != MREPL:
            last.next, gone = gone, None
        m.mount = nm
    wunlock(k, m.lock)
    wunlock(k, pg.ns)
    mountfree(k, gone)
    return nm.mountid


def cunmount(k: Kernel, mnt: Chan, mounted: Chan | None) -> None:
    """Undo the mount of mounted upon mnt, or all mounts there. Source: port/chan.c:cunmount.

    Errors: Eunmount if nothing is mounted upon mnt, Eunion if mounted is not.
    """
    pg = namespace(k)
    wlock(k, pg.ns)
    chain = mounthash(pg, mnt.qid)
    m = _findhead(chain, mnt)
    if m is None:
        wunlock(k, pg.ns)
        raise Error(Eunmount)
    wlock(k, m.lock)
    fixed = k.variant.fix_3af236b5e  # files are closed without these locks, and from_ by the last putmhead
    if mounted is None:
        chain.remove(m)
        if fixed:
            f, m.mount = m.mount, None
            wunlock(k, m.lock)
            wunlock(k, pg.ns)
            mountfree(k, f)
        else:
            wunlock(k, pg.ns)
            mountfree(k, m.mount)
            m.mount = None
            cclose(k, m.from_)
            wunlock(k, m.lock)
        putmhead(k, m)
        return
    prev: Mount | None = None
    f = m.mount
    while f is not None:
        mchan = f.to.mchan
        if eqchan(f.to, mounted, True) or (mchan is not None and eqchan(mchan, mounted, True)):
            if prev is None:
                m.mount = f.next
            else:
                prev.next = f.next
            f.next = None
            if not fixed:
                mountfree(k, f)
            gone = m.mount is None
            if gone:
                chain.remove(m)
                if not fixed:
                    cclose(k, m.from_)
            wunlock(k, m.lock)
            wunlock(k, pg.ns)
            if fixed:
                mountfree(k, f)
            if gone:
                putmhead(k, m)
            return
        prev = f
        f = f.next
    wunlock(k, m.lock)
    wunlock(k, pg.ns)
    raise Error(Eunion)


def putmhead(k: Kernel, m: Mhead | None) -> None:
    """Drop one reference to a mount head. Source: port/chan.c:putmhead."""
    if m is not None and decref(k, m) == 0:
        m.mount = None
        if k.variant.fix_3af236b5e:
            cclose(k, m.from_)
        k.mainmem.free(MHEAD)
        if k.watch is not None:
            k.watch.freed(m)


def cclone(k: Kernel, c: Chan) -> Chan:
    """A second channel to the file of c, which is not open. Source: port/chan.c:cclone."""
    if c.ref < 1 or c.flag & Chan.CFREE:
        raise Panic(f"cclone: {c!r}")
    nc = k.devtab[c.type].walk(c, None, []).clone
    if nc is None:
        raise Error("clone failed")
    nc.path = c.path
    if c.path is not None:
        incref(k, c.path)
    return nc


def findmount(k: Kernel, type: int, dev: int, qid: Qid) -> tuple[Chan, Mhead] | None:
    """What is mounted upon a file, and the mount head, both counted for the caller. Source: port/chan.c:findmount."""
    pg = namespace(k)
    rlock(k, pg.ns)
    for m in mounthash(pg, qid):
        if k.variant.fix_3af236b5e and not eqchantdqid(m.from_, type, dev, qid, True):
            continue
        rlock(k, m.lock)
        if eqchantdqid(m.from_, type, dev, qid, True):
            held = k.variant.fix_55c3138c6
            if not held:
                runlock(k, pg.ns)
            assert m.mount is not None
            incref(k, m)
            incref(k, m.mount.to)
            to = m.mount.to
            runlock(k, m.lock)
            if held:
                runlock(k, pg.ns)
            return to, m
        runlock(k, m.lock)
    runlock(k, pg.ns)
    return None


def domount(k: Kernel, c: Chan, mh: Mhead | None, path: Path | None) -> tuple[Chan, Mhead | None, Path | None]:
    """Step from c to what is mounted upon it, if anything is, and note that in path.

    Takes c, mh and path and gives back what stands in their place. Source: port/chan.c:domount.
    """
    found = findmount(k, c.type, c.dev, c.qid)
    if found is None:
        return c, mh, path
    cclose(k, c)
    putmhead(k, mh)
    c, mh = found
    if path is not None:
        path = _uniquepath(k, path)
        incref(k, mh.from_)
        old = path.mtpt[-1]
        if old is not None:
            cclose(k, old)
        path.mtpt[-1] = mh.from_
    return c, mh, path


def undomount(k: Kernel, c: Chan, path: Path) -> Chan:
    """From c back to what it is mounted upon, as path tells; path is ours. Takes c. Source: port/chan.c:undomount."""
    nc = path.mtpt[-1] if path.mtpt else None
    if nc is not None:
        cclose(k, c)
        path.mtpt[-1] = None
        return nc
    return c


def isdir(c: Chan) -> None:
    """Raise Enotdir unless c is a directory. Source: port/chan.c:isdir."""
    if not c.qid.type & QTDIR:
        raise Error(Enotdir)
