"""The mount cache: what was read of files on file servers, kept in pages. Source: port/cache.c.

A Mntcache is one version of one file, and lists its extents by offset; an extent has its bytes in one page of
``k.fscache``, under a number of its own. The page alone decides whether the bytes are still there: the pager
takes such pages first, and forgetting a file frees only its extents.

The buffers read from and written to may be user memory, so that looking at them may fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernel.base.cachedat import NHASH, Extent, Mntcache
from kernel.base.chandat import QTAPPEND, QTDIR, eqchantdqid
from kernel.base.dat import Qid
from kernel.base.error import Error
from kernel.base.mem import BY2PG, MASK32
from kernel.memory.kmap import VA, kmap, kunmap
from kernel.memory.page import auxpage, cachepage, lookpage, putpage
from kernel.sched.qlock import canqlock, qlock, qunlock
from kernel.sched.taslock import lock, unlock

if TYPE_CHECKING:
    from kernel.base.chandat import Chan, Data
    from kernel.base.dat import Page
    from kernel.base.kernel import Kernel


NEXTENT: Final = 200  # extents are allocated so many at a time
MAXEXTENT: Final = 1000 * NEXTENT  # the original runs out of kernel memory instead


def extentfree(k: Kernel, e: Extent) -> None:
    """Source: port/cache.c:extentfree."""
    lock(k, k.ecache)
    k.ecache.free += 1
    unlock(k, k.ecache)


def extentalloc(k: Kernel) -> Extent | None:
    """An empty extent, or None without memory for more. Source: port/cache.c:extentalloc."""
    ec = k.ecache
    lock(k, ec)
    if ec.free == 0:
        if ec.total >= MAXEXTENT or not k.malloc():
            unlock(k, ec)
            return None
        ec.free += NEXTENT
        ec.total += NEXTENT
    ec.free -= 1
    unlock(k, ec)
    return Extent()


def cpage(k: Kernel, e: Extent) -> Page | None:
    """The page of e with one more reference, or None if it was reclaimed. Source: port/cache.c:cpage."""
    assert e.cache is not None
    if e.cache.daddr != e.bid:  # an easy check
        return None
    return lookpage(k, k.fscache, e.bid)


def cnodata(k: Kernel, m: Mntcache) -> None:
    """Forget all data of m; the pages are left for the pager. Source: port/cache.c:cnodata."""
    while (e := m.list) is not None:
        m.list = e.next
        extentfree(k, e)


def ctail(k: Kernel, m: Mntcache) -> None:
    """Make m the one used last. Source: port/cache.c:ctail."""
    c = k.cache
    if m.prev is not None:
        m.prev.next = m.next
    else:
        c.head = m.next
    if m.next is not None:
        m.next.prev = m.prev
    else:
        c.tail = m.prev
    m.prev = c.tail
    m.next = None
    if c.tail is not None:
        c.tail.next = m
    else:
        c.head = m
    c.tail = m


def _oldest(k: Kernel) -> Mntcache:
    """The head of the list; a file never used becomes a Mntcache here."""
    c = k.cache
    if c.fresh:
        c.fresh -= 1
        m = Mntcache()
        m.next = c.head
        if c.head is not None:
            c.head.prev = m
        else:
            c.tail = m
        c.head = m
    assert c.head is not None
    return c.head


def clookup(k: Kernel, c: Chan, skipvers: bool) -> Mntcache | None:
    """What is cached of c's file, of any version if skipvers. Called with k.cache locked.

    Source: port/cache.c:clookup.
    """
    m = k.cache.hash[c.qid.path % NHASH]
    while m is not None:
        if eqchantdqid(c, m.type, m.dev, m.qid, skipvers) and c.qid.type == m.qid.type:
            return m
        m = m.hash
    return None


def copen(k: Kernel, c: Chan) -> None:
    """c was opened: c.mcp is its file in the cache, without data if the version is another.

    A file that is not there yet takes the place of the one not used for longest. Directories and append-only files are
    not cached. Source: port/cache.c:copen.
    """
    if c.qid.type & (QTDIR | QTAPPEND):
        c.mcp = None
        return

    cache = k.cache
    lock(k, cache)
    m = clookup(k, c, True)
    if m is None:
        m = _oldest(k)
    elif m.qid.vers == c.qid.vers:
        ctail(k, m)
        unlock(k, cache)
        c.mcp = m
        return
    ctail(k, m)

    h = m.qid.path % NHASH
    last: Mntcache | None = None
    f = cache.hash[h]
    while f is not None:
        if f is m:
            if last is None:
                cache.hash[h] = m.hash
            else:
                last.hash = m.hash
            break
        last = f
        f = f.hash

    if not canqlock(k, m):
        unlock(k, cache)
        qlock(k, m)
        lock(k, cache)
        f = clookup(k, c, False)
        if f is not None:  # someone was here first while cache was unlocked, and added the new version for us
            ctail(k, f)
            unlock(k, cache)
            qunlock(k, m)
            c.mcp = f
            return

    m.qid = Qid(c.qid.path, c.qid.vers, c.qid.type)
    m.dev = c.dev
    m.type = c.type

    h = c.qid.path % NHASH
    m.hash = cache.hash[h]
    cache.hash[h] = m
    unlock(k, cache)
    cnodata(k, m)
    qunlock(k, m)
    c.mcp = m


def ccache(k: Kernel, c: Chan) -> Mntcache | None:
    """c.mcp, locked, if it still is c's file and version; else c has no cache from now on.

    Source: port/cache.c:ccache.
    """
    m = c.mcp
    if m is None:
        return None
    qlock(k, m)
    if eqchantdqid(c, m.type, m.dev, m.qid, False) and c.qid.type == m.qid.type:
        return m
    c.mcp = None
    qunlock(k, m)
    return None


def cread(k: Kernel, c: Chan, n: int, off: int) -> bytes:
    """As many of the n bytes at off as are cached without a gap. Source: port/cache.c:cread."""
    if off + n > k.cache.maxcache:
        return b""
    m = ccache(k, c)
    if m is None:
        return b""

    offset = off
    prev: Extent | None = None
    e = m.list
    while e is not None and not e.start <= offset < e.start + e.len:
        prev = e
        e = e.next

    out = []
    while e is not None and n > 0:
        p = cpage(k, e)
        if p is None:
            if prev is None:
                m.list = e.next
            else:
                prev.next = e.next
            extentfree(k, e)
            break
        o = offset - e.start
        l = min(n, e.len - o)
        kk = kmap(k, p)
        out.append(k.mem.read(VA(k, kk) + o, l))
        kunmap(k, kk)
        putpage(k, p)
        n -= l
        offset += l
        prev = e
        e = e.next
        if e is None or e.start != offset:
            break
    qunlock(k, m)
    return b"".join(out)


def _fill(k: Kernel, p: Page, boff: int, buf: Data, at: int, l: int) -> None:
    """Copy l bytes at ``at`` of buf to boff of p. Raises Error if looking at buf does."""
    kk = kmap(k, p)
    try:
        data = buf[at : at + l]
    except Error:
        kunmap(k, kk)
        raise
    k.mem.write(VA(k, kk) + boff, data)
    kunmap(k, kk)


def _newbid(k: Kernel) -> int:
    """The next page number. It wraps, and then its low bits, which pghash does not use, make it another."""
    cache = k.cache
    lock(k, cache)
    bid = cache.pgno
    cache.pgno = (cache.pgno + BY2PG) & MASK32
    wrapped = not cache.pgno & ~(BY2PG - 1)
    again = wrapped and cache.pgno == BY2PG - 1
    if wrapped:
        cache.pgno = 0 if again else cache.pgno + 1
    unlock(k, cache)
    if again:
        k.print("cache wrapped\n")
    return bid


def cchain(k: Kernel, buf: Data, at: int, offset: int, n: int) -> tuple[Extent, Extent] | None:
    """New extents with the n bytes at ``at`` of buf, for offset on: the first and the last of them.

    Fewer bytes if memory is short, None if there is none. On Error nothing is left of it; the
    original loses an extent and a page then. Source: port/cache.c:cchain.
    """
    start: Extent | None = None
    tail: Extent | None = None
    while n > 0:
        e = extentalloc(k)
        if e is None:
            break
        p = auxpage(k)
        if p is None:
            extentfree(k, e)
            break
        l = min(n, BY2PG)
        e.cache = p
        e.start = offset
        e.len = l
        e.bid = _newbid(k)
        p.daddr = e.bid
        try:
            _fill(k, p, 0, buf, at, l)
        except Error:
            if k.variant.original_cupdate:
                raise
            putpage(k, p)
            extentfree(k, e)
            while start is not None:
                extentfree(k, start)
                start = start.next
            raise
        cachepage(k, p, k.fscache)
        putpage(k, p)

        at += l
        offset += l
        n -= l
        if tail is None:
            start = e
        else:
            tail.next = e
        tail = e
    return None if start is None or tail is None else (start, tail)


def cpgmove(k: Kernel, e: Extent, buf: Data, at: int, boff: int, n: int) -> bool:
    """Copy n bytes at ``at`` of buf to boff of e's page; False if that was reclaimed. Source: port/cache.c:cpgmove."""
    p = cpage(k, e)
    if p is None:
        return False
    try:
        _fill(k, p, boff, buf, at, n)
    except Error:
        if not k.variant.original_cupdate:
            putpage(k, p)
        raise
    putpage(k, p)
    return True


def cupdate(k: Kernel, c: Chan, buf: Data, at: int, n: int, off: int) -> None:
    """The n bytes at ``at`` of buf were read at off: keep those that do not overlap what is cached before and behind.

    Source: port/cache.c:cupdate.
    """
    if off > k.cache.maxcache or n == 0:
        return
    m = ccache(k, c)
    if m is None:
        return
    try:
        _cupdate(k, m, buf, at, n, off)
    except Error:  # the original never unlocks m again
        if not k.variant.original_cupdate:
            qunlock(k, m)
        raise
    qunlock(k, m)


def _cupdate(k: Kernel, m: Mntcache, buf: Data, at: int, n: int, offset: int) -> None:
    # the insertion point is between p and f
    p: Extent | None = None
    f = m.list
    while f is not None and f.start <= offset:
        p = f
        f = f.next

    # trim if there is a successor
    if f is not None and offset + n > f.start:
        n = f.start - offset
        if n <= 0:
            return

    if p is None:  # at the head
        new = cchain(k, buf, at, offset, n)
        if new is not None:
            m.list = new[0]
            new[1].next = f
        return

    # trim to the predecessor
    ee = p.start + p.len
    if offset < ee:
        o = ee - offset
        n -= o
        if n <= 0:
            return
        at += o
        offset += o

    # try to pack data into the predecessor
    if offset == ee and p.len < BY2PG:
        o = min(n, BY2PG - p.len)
        if cpgmove(k, p, buf, at, p.len, o):
            p.len += o
            at += o
            n -= o
            offset += o
            if n <= 0:
                return

    new = cchain(k, buf, at, offset, n)
    if new is not None:
        p.next = new[0]
        new[1].next = f


def cwrite(k: Kernel, c: Chan, buf: Data, at: int, n: int, off: int) -> None:
    """The n bytes at ``at`` of buf were written at off: they replace what is cached there.

    A write makes a new version, as it does at the server; the cache and c count it. Extents that the write
    overlaps are dropped as a whole. Source: port/cache.c:cwrite.
    """
    if off > k.cache.maxcache or n == 0:
        return
    m = ccache(k, c)
    if m is None:
        return
    try:
        _cwrite(k, m, c, buf, at, n, off)
    except Error:  # the original never unlocks m again
        if not k.variant.original_cupdate:
            qunlock(k, m)
        raise
    qunlock(k, m)


def _cwrite(k: Kernel, m: Mntcache, c: Chan, buf: Data, at: int, n: int, offset: int) -> None:
    m.qid = Qid(m.qid.path, (m.qid.vers + 1) & MASK32, m.qid.type)
    c.qid = Qid(c.qid.path, (c.qid.vers + 1) & MASK32, c.qid.type)

    p: Extent | None = None
    f = m.list
    while f is not None and f.start < offset:
        p = f
        f = f.next

    # pack into the predecessor if there is space
    if p is not None:
        eo = offset - p.start
        if offset <= p.start + p.len and eo < BY2PG:
            o = min(n, BY2PG - eo)
            if cpgmove(k, p, buf, at, eo, o):
                p.len = max(p.len, eo + o)
                at += o
                n -= o
                offset += o

    # free the overlap; it is rare
    eblock = offset + n
    while f is not None and f.start < eblock:
        extentfree(k, f)
        f = f.next
    _link(m, p, f)

    # link what is left, if anything, into the middle
    new = cchain(k, buf, at, offset, n)
    if new is not None:
        new[1].next = f
        _link(m, p, new[0])


def _link(m: Mntcache, p: Extent | None, f: Extent | None) -> None:
    if p is None:
        m.list = f
    else:
        p.next = f
