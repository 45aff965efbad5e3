"""Messages to a file server and their answers, many at a time. Source: the second half of port/devmnt.c.

Whoever waits for an answer may be the one who reads the channel (``Mnt.rip``); it hands the answers of others to them,
and when it has its own leaves the reading to the next. A wait that is interrupted becomes the wait for the answer
to a Tflush.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernel.base.alloc import MNT, RPC
from kernel.base.error import ERRMAX, Ehungup, Eintr, Emountrpc, Error, Panic
from kernel.base.kernel import current
from kernel.base.mntdat import Fcall, Mntrpc
from kernel.base.text import kstrcpy
from kernel.files.fcall import HDRSZ, Rerror, Rflush, Tclunk, Tflush, Tmax, Tremove, convM2S, convS2M
from kernel.sched.sleep import sleep, wakeup
from kernel.sched.taslock import lock, unlock

if TYPE_CHECKING:
    from kernel.base.chandat import Chan
    from kernel.base.kernel import Kernel
    from kernel.base.mntdat import Mnt, Mntalloc
    from kernel.base.procdat import Proc


MAXFREE: Final = 10  # Mntrpcs kept for use again


def exhausted(k: Kernel, what: str) -> None:
    """Raise: there is none left of it. Source: port/proc.c:exhausted."""
    k.print(f"no free {what}\n")
    raise Error(f"no free {what}")


def muxclose(k: Kernel, m: Mnt) -> None:
    """m's channel is gone. Source: port/devmnt.c:muxclose."""
    while m.queue:
        mntfree(k, m.queue.pop(0))
    m.id = 0
    _taken(k, m, len(m.q))
    k.mainmem.free(MNT)
    lock(k, k.mntalloc)
    k.mntalloc.list.remove(m)
    unlock(k, k.mntalloc)


# Mntrpcs


def mntralloc(k: Kernel, c: Chan | None) -> Mntrpc:
    """A message on behalf of c. Source: port/devmnt.c:mntralloc."""
    ma = k.mntalloc
    lock(k, ma)
    if ma.rpcfree:
        r = ma.rpcfree.pop()
    else:
        if not k.malloc() or not k.mainmem.alloc(RPC):
            unlock(k, ma)
            exhausted(k, "mount rpc header")
        r = Mntrpc(_alloctag(ma))
    ma.nrpcused += 1
    unlock(k, ma)
    if k.watch is not None:
        k.watch.made(r)
    r.reset(c)
    return r


def mntfree(k: Kernel, r: Mntrpc) -> None:
    """Source: port/devmnt.c:mntfree."""
    ma = k.mntalloc
    _hold(k, r, 0)
    lock(k, ma)
    if len(ma.rpcfree) >= MAXFREE:
        ma.tags &= ~(1 << r.tag)
        k.mainmem.free(RPC)
    else:
        ma.rpcfree.append(r)
    ma.nrpcused -= 1
    if k.watch is not None:
        k.watch.freed(r)
    unlock(k, ma)


def _hold(k: Kernel, r: Mntrpc, n: int) -> None:
    """r's message and its answer take n bytes now."""
    k.mainmem.charge(n - r.size)
    r.size = n


def _alloctag(ma: Mntalloc) -> int:
    """The lowest tag that is free. Source: port/devmnt.c:alloctag."""
    free = ~ma.tags & (ma.tags + 1)
    if free >> 0x10000:
        raise Panic("no friggin tags left")
    ma.tags |= free
    return free.bit_length() - 1


def mntqrm(k: Kernel, m: Mnt, r: Mntrpc) -> None:
    """Wait for r's answer no longer. Source: port/devmnt.c:mntqrm."""
    lock(k, m)
    r.done = True
    if r in m.queue:
        m.queue.remove(r)
    unlock(k, m)


def mntflushalloc(k: Kernel, r: Mntrpc) -> Mntrpc:
    """A message to flush r, or the message that r flushes. Source: port/devmnt.c:mntflushalloc."""
    fr = mntralloc(k, None)
    oldtag = r.request.oldtag if r.request.type == Tflush else r.tag
    fr.request = Fcall(Tflush, oldtag=oldtag)
    fr.flushed = r
    return fr


def mntflushfree(k: Kernel, m: Mnt, r: Mntrpc) -> Mntrpc:
    """Free all flushes of a message, of which r is the last; the message itself.

    What was not answered is waited for no longer, and has Rflush for an answer. Source: port/devmnt.c:mntflushfree.
    """
    while True:
        if not r.done:
            r.reply.type = Rflush
            mntqrm(k, m, r)
        if r.flushed is None:
            return r
        fr = r.flushed
        mntfree(k, r)
        r = fr


# Sending and receiving


def mountrpc(k: Kernel, m: Mnt, r: Mntrpc) -> None:
    """Send r and wait for its answer, which is in r.reply then. Source: port/devmnt.c:mountrpc.

    Errors: the server's own; Eintr if a note came and the server had not answered when it answered the flush;
    Emountrpc if the conversation went wrong, Ehungup if the channel is.
    """
    r.request.tag = r.tag
    r.reply = Fcall(Tmax)  # no message has this type
    mountio(k, m, r)
    t = r.reply.type
    if t == Rerror:
        raise Error(kstrcpy(r.reply.ename, ERRMAX))
    if t == Rflush:
        raise Error(Eintr)
    if t != r.request.type + 1:
        up = current(k)
        sn = m.c.path.s if m.c.path is not None else "?"
        cn = r.c.path.s if r.c is not None and r.c.path is not None else "?"
        k.print(
            f"mnt: proc {up.text} {up.pid}: mismatch from {sn} {cn} tag {r.tag} fid {r.request.fid} "
            f"T{r.request.type} R{t} rp {r.reply.tag}\n"
        )
        raise Error(Emountrpc)


def mountio(k: Kernel, m: Mnt, r: Mntrpc) -> None:
    """Send r and wait, and if that is interrupted send a flush and wait for that. Source: port/devmnt.c:mountio."""
    up = current(k)
    while True:
        try:
            _transact(k, m, r, up)
            break
        except Error as e:
            if m.rip is up:
                mntgate(k, m)
            err = str(e)  # e itself would hold the frames, and they the messages
        if err == Eintr:
            try:
                r = mntflushalloc(k, r)
                r.request.tag = r.tag
                continue
            except Error as e:
                err = str(e)
        r = mntflushfree(k, m, r)
        if r.request.type in (Tremove, Tclunk) and err != Ehungup:
            assert r.c is not None
            r.c.fid = 0  # who knows whether the server has it still: give the number up
        raise Error(err)
    mntflushfree(k, m, r)


def _transact(k: Kernel, m: Mnt, r: Mntrpc, up: Proc) -> None:
    """Send one message; returns when it is answered."""
    lock(k, m)
    r.z = up.sleep
    r.m = m
    m.queue.insert(0, r)
    unlock(k, m)

    if r.source is not None:
        k.mainmem.need(2 * m.msize)
        r.request.data = r.source()
    msg = convS2M(r.request, m.msize)
    _hold(k, r, len(r.request.data) + len(msg))
    if not msg:
        k.print(
            f"mountio: proc {up.text} {up.pid}: convS2M returned 0 for tag {r.tag} fid {r.request.fid} "
            f"T{r.request.type}\n"
        )
        raise Error(Emountrpc)
    if k.devtab[m.c.type].write(m.c, msg, 0) != len(msg):
        raise Error(Emountrpc)

    while True:  # readers come to the channel one at a time
        lock(k, m)
        if m.rip is None:
            break
        unlock(k, m)
        sleep(k, r.z, lambda: r.done or m.rip is None)
        if r.done:
            return
    m.rip = up
    unlock(k, m)
    while not r.done:
        reply = mntrpcread(k, m)
        if reply is None:
            raise Error(Emountrpc)
        mountmux(k, m, r, reply)
    mntgate(k, m)


def _doread(k: Kernel, m: Mnt, n: int) -> bool:
    """Read the channel until n bytes are there; False if it ends. Source: port/devmnt.c:doread."""
    while len(m.q) < n:
        b = k.devtab[m.c.type].read(m.c, m.msize, 0)
        if not b:
            return False
        m.q += b
        k.mainmem.charge(len(b))
    return True


def _taken(k: Kernel, m: Mnt, n: int) -> bytes:
    """The first n bytes that were read, to be kept no longer."""
    b = bytes(m.q[:n])
    del m.q[:n]
    k.mainmem.free(len(b))
    return b


def mntrpcread(k: Kernel, m: Mnt) -> Fcall | None:
    """The next message of the channel, or None if there is none that makes sense.

    One that is too long takes all that was read with it. Source: port/devmnt.c:mntrpcread.
    """
    if not _doread(k, m, HDRSZ):
        return None
    n = int.from_bytes(m.q[:4], "little", signed=True)
    if n > m.msize:
        _taken(k, m, len(m.q))
        return None
    if not _doread(k, m, n):
        return None
    n = max(n, 0)
    reply = convM2S(_taken(k, m, n))
    if reply is None:
        k.print("mntrpcread: convM2S failed\n")
    return reply


def mntgate(k: Kernel, m: Mnt) -> None:
    """Leave the reading to another that waits. Source: port/devmnt.c:mntgate."""
    lock(k, m)
    m.rip = None
    for q in m.queue:
        if not q.done and q.z is not None and wakeup(k, q.z) is not None:
            break
    unlock(k, m)


def mountmux(k: Kernel, m: Mnt, r: Mntrpc, reply: Fcall) -> None:
    """Give an answer to whom it belongs; r is the reader's own message. Source: port/devmnt.c:mountmux."""
    lock(k, m)
    for q in m.queue:
        if q.tag == reply.tag:
            m.queue.remove(q)
            q.reply = reply
            _hold(k, q, len(reply.data) + len(reply.stat))
            q.done = True  # hands off
            if q is not r and q.z is not None:
                wakeup(k, q.z)
            unlock(k, m)
            return
    unlock(k, m)
    k.print(f"unexpected reply tag {reply.tag}; type {reply.type}\n")
