"""Queues of blocks with flow control, as far as pipes and the network need them. Source: port/qio.c."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from kernel.base.alloc import BLOCK
from kernel.base.dat import QLock, Rendez
from kernel.base.error import Egreg, Ehungup, Enomem, Error
from kernel.base.kernel import current
from kernel.base.mem import ROUND
from kernel.base.procdat import Proc_exitbig, Proc_exitme
from kernel.sched.qlock import eqlock, qunlock
from kernel.sched.sched import sched
from kernel.sched.sleep import sleep, wakeup

if TYPE_CHECKING:
    from kernel.base.chandat import Data
    from kernel.base.kernel import Kernel


Maxatomic: Final = 64 * 1024  # a write is cut into blocks of this size


class Block:
    """The bytes of one write, from ``rp`` on, and the memory that they count for."""

    __slots__ = ("alloc", "data", "rp")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.rp = 0
        self.alloc = balloc(len(data))

    def __len__(self) -> int:
        return len(self.data) - self.rp


def balloc(n: int) -> int:
    """Memory that a block of n bytes counts for against a queue's limit.

    A Block structure (32 bytes), room for headers (64) and the allocator's own words (8 before, 16 around),
    in units of 32, less what is not buffer. Source: port/allocb.c:_allocb, pool(2).
    """
    return (ROUND(n + 32 + 64 + 8 + 16, 32) - 16 - 8 - 32) & ~7


class Queue:
    """``len`` counts allocated bytes, ``dlen`` data. Source: port/qio.c.

    A read of a queue with ``msg`` drops what of a block did not fit; one with ``coalesce`` takes as many blocks as fit.
    ``kick`` is called when a block was put in, and when a reader has made room; ``bypass`` gets blocks instead.
    """

    msg = False
    coalesce = False
    kick: Callable[[], None] | None = None
    bypass: Callable[[bytes], None] | None = None

    def __init__(self, limit: int) -> None:
        self.inilim = limit
        self.blocks: deque[Block] = deque()
        self.len = 0
        self.dlen = 0
        self.rp = 0  # allocated bytes that were ever taken out, and put in
        self.wp = 0
        self.limit = limit
        self.closed = False
        self.flow = False  # a writer waits, or is about to
        self.starve = True  # a reader waits, or is about to
        self.eof = 0  # times a reader was told of the end
        self.rlock = QLock()
        self.rr = Rendez()
        self.wlock = QLock()
        self.wr = Rendez()
        self.err = ""


def qlen(q: Queue) -> int:
    """Data bytes queued. Source: port/qio.c:qlen."""
    return q.dlen


def _qwait(k: Kernel, q: Queue) -> bool:
    """Wait for data; False at the end. From the fourth time on the end is an error. Source: port/qio.c:qwait."""
    while not q.blocks:
        if q.closed:
            q.eof += 1
            if q.eof > 3 or (q.err and q.err != Ehungup):
                raise Error(q.err)
            return False
        q.starve = True
        sleep(k, q.rr, lambda: q.closed or bool(q.blocks))
    return True


def _qremove(k: Kernel, q: Queue) -> Block:
    b = q.blocks.popleft()
    k.mainmem.free(b.alloc + BLOCK)
    q.dlen -= len(b.data) - b.rp
    q.len -= b.alloc
    q.rp += b.alloc
    return b


def _qputback(k: Kernel, q: Queue, b: Block) -> None:
    q.blocks.appendleft(b)
    k.mainmem.charge(b.alloc + BLOCK)
    q.dlen += len(b)
    q.len += b.alloc
    q.rp -= b.alloc


def qread(k: Kernel, q: Queue, n: int) -> bytes:
    """Up to n bytes of the first block; the rest of it stays for the next read. Source: port/qio.c:qread."""
    eqlock(k, q.rlock)
    try:
        out = b""
        if _qwait(k, q) and (not q.coalesce or _dropempty(k, q)):
            b = _qremove(k, q)
            out = b.data[b.rp : b.rp + n]
            b.rp += len(out)
            if len(b) and not q.msg:
                _qputback(k, q, b)
            if q.coalesce:
                out = _more(k, q, out, n)
            # flow control: let the writer go on
            if k.variant.fix_ad9748422:
                _wakewriters(k, q)
            elif q.flow and q.len < q.limit // 2:
                q.flow = False
                wakeup(k, q.wr)
            if q.kick is not None:
                q.kick()
    except Error:
        qunlock(k, q.rlock)
        raise
    qunlock(k, q.rlock)
    return out


def _dropempty(k: Kernel, q: Queue) -> bool:
    """Throw away empty blocks at the head; whether another came before the end."""
    while not len(q.blocks[0]):
        _qremove(k, q)
        if not _qwait(k, q):
            return False
    return True


def _more(k: Kernel, q: Queue, out: bytes, n: int) -> bytes:
    """out with the blocks after it that fit as a whole into n bytes."""
    if not q.blocks:
        return out
    parts = [out]
    size = len(out)
    while q.blocks and size + len(q.blocks[0]) <= n and size < n:
        b = _qremove(k, q)
        parts.append(b.data[b.rp :] if b.rp else b.data)
        size += len(parts[-1])
    return b"".join(parts)


def _wakewriters(k: Kernel, q: Queue) -> None:
    """Let writers look where they are in the queue. Source: port/qio.c:iunlock_consumer, of ad9748422."""
    flow = q.flow
    if q.wp - q.rp <= q.limit:
        q.flow = False
    if flow:
        wakeup(k, q.wr)


def _qflow(k: Kernel, q: Queue) -> None:
    """Wait until the queue is below its limit; since ad9748422 until we are. Source: port/qio.c:qflow."""
    behind = q.wp

    def notfull() -> bool:
        if k.variant.fix_ad9748422:
            return behind - q.rp <= q.limit or q.closed
        return q.len < q.limit or q.closed

    while not notfull():
        q.flow = True
        eqlock(k, q.wlock)
        try:
            sleep(k, q.wr, notfull)
        except Error:
            qunlock(k, q.wlock)
            raise
        qunlock(k, q.wlock)


def qbwrite(k: Kernel, q: Queue, b: Block) -> int:
    """Queue a block, then wait while the queue is full: a note cannot keep the data out. Source: port/qio.c:qbwrite."""
    if q.closed:
        raise Error(q.err)
    n = len(b)
    if q.bypass is not None:
        q.bypass(b.data)
        return n
    if not k.mainmem.alloc(b.alloc + BLOCK):
        raise Error(Enomem)
    _append(q, b)
    if q.kick is not None:
        q.kick()
    if q.starve:
        q.starve = False
        p = wakeup(k, q.rr)
        # a reader of higher priority runs at once
        if p is not None and p.priority > current(k).priority:
            sched(k)
    _qflow(k, q)
    return n


def _append(q: Queue, b: Block) -> None:
    q.blocks.append(b)
    q.len += b.alloc
    q.dlen += len(b)
    q.wp += b.alloc


def qpassnolim(k: Kernel, q: Queue, data: bytes) -> None:
    """Queue a block whatever the limit; a closed queue drops it. Source: port/qio.c:qpassnolim."""
    if q.closed:
        return
    b = Block(data)
    k.mainmem.charge(b.alloc + BLOCK)
    _append(q, b)
    if q.len >= q.limit // 2:
        q.flow = True
    if q.starve:
        q.starve = False
        wakeup(k, q.rr)


def qiwrite(k: Kernel, q: Queue, data: bytes) -> None:
    """Queue what the kernel prints, without waiting; what is too much is dropped. Source: port/qio.c:qiwrite."""
    if q.dlen >= 16 * 1024:
        return
    b = Block(data[:Maxatomic])
    k.mainmem.charge(b.alloc + BLOCK)
    _append(q, b)
    if q.starve:
        q.starve = False
        wakeup(k, q.rr)


def qfull(q: Queue) -> bool:
    """Whether the queue has reached its limit. Source: port/qio.c:qfull."""
    return q.len >= q.limit


def qtake(k: Kernel, q: Queue, n: int) -> bytes:
    """Up to n bytes of the first block, which the protocol has sent; writers go on. Source: port/qio.c:qdiscard."""
    b = _qremove(k, q)
    out = b.data[b.rp : b.rp + n]
    b.rp += len(out)
    if len(b):
        _qputback(k, q, b)
    if q.flow and q.len < q.limit // 2:
        q.flow = False
        wakeup(k, q.wr)
    return out


def qwrite(k: Kernel, q: Queue, data: Data) -> int:
    """Write all of data, in blocks of at most Maxatomic; an empty write queues an empty block.

    Source: port/qio.c:qwrite.
    """
    # far too much is queued already; only a kill interrupts this wait
    waiting = q.len // 2 >= q.limit and q.bypass is None
    while waiting:
        try:
            _qflow(k, q)
            waiting = False
        except Error:
            if current(k).procctl in (Proc_exitme, Proc_exitbig):
                raise Error(Egreg) from None
    sofar = 0
    while True:
        block = Block(data[sofar : sofar + Maxatomic])
        qbwrite(k, q, block)
        sofar += len(block.data)
        if sofar >= len(data):
            return len(data)


def qfree(k: Kernel, q: Queue) -> None:
    """Throw away what is queued. Source: port/qio.c:qfree, qflush."""
    k.mainmem.free(q.len + BLOCK * len(q.blocks))
    q.blocks.clear()
    q.rp = q.wp
    q.len = 0
    q.dlen = 0


def qclose(k: Kernel, q: Queue) -> None:
    """No more i/o: what is queued is thrown away. Source: port/qio.c:qclose."""
    q.closed = True
    q.flow = False
    q.starve = False
    q.err = Ehungup
    qfree(k, q)
    wakeup(k, q.rr)
    wakeup(k, q.wr)


def qhangup(k: Kernel, q: Queue, msg: str | None = None) -> None:
    """No more writes, for the reason told; what is queued may still be read. Source: port/qio.c:qhangup."""
    q.closed = True
    q.err = msg or Ehungup
    wakeup(k, q.rr)
    wakeup(k, q.wr)


def qreopen(q: Queue) -> None:
    """Fit for use again. Source: port/qio.c:qreopen."""
    q.closed = False
    q.starve = True
    q.eof = 0
    q.limit = q.inilim
