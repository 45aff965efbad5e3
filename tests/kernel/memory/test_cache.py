"""The mount cache: kernel/memory/cache.py."""

from __future__ import annotations

import random

import pytest

from kernel.base.cachedat import MAXCACHE, NFILE, Extent, Mntcache
from kernel.base.chandat import QTAPPEND, QTDIR, QTEXCL, Chan
from kernel.base.dat import Conf, Qid
from kernel.base.error import Error
from kernel.base.mem import BY2PG, MB
from kernel.base.procdat import Queueing
from kernel.main import newkernel
from kernel.memory.cache import MAXEXTENT, NEXTENT, clookup, copen, cpage, cread, cupdate, cwrite
from kernel.memory.check import mustcheck
from kernel.memory.page import pagereclaim
from kernel.sched.qlock import qlock, qunlock
from kernel.sched.sched import sched
from tests.kernel.plain import PlainKernel, PlainMemory, chain


def newfile(path: int, vers: int = 0, type: int = 0, dev: int = 5) -> Chan:
    """A channel to a file of a mount with a cache."""
    c = Chan()
    c.dev = dev
    c.qid = Qid(path, vers, type)
    c.flag = Chan.COPEN | Chan.CCACHE
    return c


def opened(k: PlainKernel, path: int, vers: int = 0) -> Chan:
    c = newfile(path, vers)
    copen(k, c)
    return c


def update(k: PlainKernel, c: Chan, data: bytes, off: int) -> None:
    cupdate(k, c, data, 0, len(data), off)


def write(k: PlainKernel, c: Chan, data: bytes, off: int) -> None:
    cwrite(k, c, data, 0, len(data), off)


def extents(c: Chan) -> list[tuple[int, int]]:
    """Start and length of each extent of c's file."""
    out = []
    assert c.mcp is not None
    e = c.mcp.list
    while e is not None:
        out.append((e.start, e.len))
        e = e.next
    return out


def cached(c: Chan) -> bool:
    return c.mcp is not None


def mcp(c: Chan) -> Mntcache:
    assert c.mcp is not None
    return c.mcp


def first(c: Chan) -> Extent:
    e = mcp(c).list
    assert e is not None
    return e


def stuff(n: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(n)


# Finding again


def test_what_was_read_is_found_again(kernel: PlainKernel) -> None:
    c = opened(kernel, 1)
    data = stuff(10000)
    assert cread(kernel, c, 10000, 0) == b""
    update(kernel, c, data, 0)
    assert extents(c) == [(0, BY2PG), (BY2PG, BY2PG), (2 * BY2PG, 10000 - 2 * BY2PG)]
    assert kernel.fscache.pgref == 3
    assert cread(kernel, c, 10000, 0) == data
    assert cread(kernel, c, 100, 4090) == data[4090:4190]
    assert cread(kernel, c, 5000, 9000) == data[9000:]
    assert cread(kernel, c, 10, 10000) == b""
    mustcheck(kernel)


def test_another_channel_to_the_file_finds_it_too(kernel: PlainKernel) -> None:
    update(kernel, opened(kernel, 1), b"data", 0)
    assert cread(kernel, opened(kernel, 1), 4, 0) == b"data"
    other = newfile(1, dev=6)
    copen(kernel, other)
    assert cread(kernel, other, 4, 0) == b""
    assert cread(kernel, opened(kernel, 1 + 128), 4, 0) == b""  # the same hash chain


def test_a_read_ends_at_a_gap(kernel: PlainKernel) -> None:
    c = opened(kernel, 1)
    update(kernel, c, b"a" * 100, 0)
    update(kernel, c, b"b" * 100, 200)
    assert extents(c) == [(0, 100), (200, 100)]
    assert cread(kernel, c, 300, 0) == b"a" * 100
    assert cread(kernel, c, 300, 150) == b""
    assert cread(kernel, c, 300, 250) == b"b" * 50


def test_directories_and_append_only_files_are_not_cached(kernel: PlainKernel) -> None:
    for type in (QTDIR, QTAPPEND, QTDIR | QTAPPEND):
        c = newfile(1, type=type)
        c.mcp = Mntcache()
        copen(kernel, c)
        assert not cached(c)
        update(kernel, c, b"data", 0)
        assert cread(kernel, c, 4, 0) == b""
    c = newfile(1, type=QTEXCL)
    copen(kernel, c)
    update(kernel, c, b"data", 0)
    assert cread(kernel, c, 4, 0) == b"data"
    assert cread(kernel, opened(kernel, 1), 4, 0) == b""  # the type is part of what it is


# Versions


def test_another_version_has_no_data(kernel: PlainKernel) -> None:
    old = opened(kernel, 1, vers=1)
    update(kernel, old, b"old", 0)
    new = opened(kernel, 1, vers=2)
    assert new.mcp is old.mcp
    assert kernel.ecache.free == kernel.ecache.total
    assert cread(kernel, new, 3, 0) == b""
    update(kernel, new, b"new", 0)
    assert cread(kernel, new, 3, 0) == b"new"
    assert kernel.fscache.pgref == 2  # the old page is the pager's to take
    # the old channel is out of the cache for good
    assert cread(kernel, old, 3, 0) == b""
    assert not cached(old)
    update(kernel, old, b"old", 0)
    assert cread(kernel, new, 3, 0) == b"new"


def test_a_write_is_a_new_version(kernel: PlainKernel) -> None:
    c, other = opened(kernel, 1, vers=7), opened(kernel, 1, vers=7)
    update(kernel, c, b"data", 0)
    write(kernel, c, b"DA", 0)
    assert (c.qid.vers, mcp(c).qid.vers, other.qid.vers) == (8, 8, 7)
    assert cread(kernel, c, 4, 0) == b"DA"  # the extent at 0 was overlapped and dropped as a whole
    assert cread(kernel, other, 4, 0) == b""
    assert other.mcp is None
    assert cread(kernel, opened(kernel, 1, vers=8), 4, 0) == b"DA"
    c.qid = mcp(c).qid = Qid(1, 0xFFFFFFFF)
    write(kernel, c, b"x", 0)
    assert c.qid.vers == 0


def test_channels_keep_qids_of_their_own(kernel: PlainKernel) -> None:
    c = opened(kernel, 1)
    shared = c.qid
    write(kernel, c, b"x", 0)
    assert shared.vers == 0


# Extents


def test_update_keeps_to_the_gap(kernel: PlainKernel) -> None:
    c = opened(kernel, 1)
    update(kernel, c, b"a" * 100, 1000)
    update(kernel, c, b"b" * 100, 2000)
    update(kernel, c, b"x" * 2000, 500)  # up to the successor only
    assert extents(c) == [(500, 500), (1000, 100), (2000, 100)]
    update(kernel, c, b"y" * 2000, 1050)  # from the predecessor's end, packed into its page
    assert extents(c) == [(500, 500), (1000, 1000), (2000, 100)]
    assert cread(kernel, c, 2000, 500) == b"x" * 500 + b"a" * 100 + b"y" * 900 + b"b" * 100
    before = extents(c)
    update(kernel, c, b"z" * 10, 1500)  # nothing new in it
    update(kernel, c, b"z" * 10, 500)
    update(kernel, c, b"", 5000)
    assert extents(c) == before


def test_small_reads_pack_into_one_page(kernel: PlainKernel) -> None:
    c = opened(kernel, 1)
    data = stuff(BY2PG + 100)
    for off in range(0, len(data), 100):
        update(kernel, c, data[off : off + 100], off)
    assert extents(c) == [(0, BY2PG), (BY2PG, 100)]
    assert cread(kernel, c, len(data), 0) == data


def test_a_predecessor_without_its_page_is_not_packed(kernel: PlainKernel) -> None:
    c = opened(kernel, 1)
    update(kernel, c, b"a" * 100, 0)
    pagereclaim(kernel, kernel.fscache, 1)
    update(kernel, c, b"b" * 100, 100)
    assert extents(c) == [(0, 100), (100, 100)]
    assert cread(kernel, c, 200, 100) == b"b" * 100
    assert cread(kernel, c, 200, 0) == b""
    assert extents(c) == [(100, 100)]


def test_write_packs_into_the_predecessor_and_drops_what_it_overlaps(kernel: PlainKernel) -> None:
    c = opened(kernel, 1)
    update(kernel, c, b"a" * 1000, 0)
    update(kernel, c, b"b" * 1000, 2000)
    update(kernel, c, b"c" * 1000, 5000)
    write(kernel, c, b"w" * 2000, 500)
    assert extents(c) == [(0, 2500), (5000, 1000)]
    assert cread(kernel, c, 2500, 0) == b"a" * 500 + b"w" * 2000
    write(kernel, c, b"v" * 10, 100)  # within: the length stays
    assert extents(c) == [(0, 2500), (5000, 1000)]
    write(kernel, c, b"u" * 4000, 2500)  # fills the page, and goes on in another
    assert extents(c) == [(0, BY2PG), (BY2PG, 2404)]
    write(kernel, c, b"t" * 50, 9000)
    assert extents(c) == [(0, BY2PG), (BY2PG, 2404), (9000, 50)]
    assert cread(kernel, c, 9000, 0) == b"a" * 100 + b"v" * 10 + b"a" * 390 + b"w" * 2000 + b"u" * 4000
    mustcheck(kernel)


def test_write_in_an_empty_file_and_before_all(kernel: PlainKernel) -> None:
    c = opened(kernel, 1)
    write(kernel, c, b"m" * 10, 100)
    write(kernel, c, b"n" * 10, 50)
    write(kernel, c, b"", 0)
    assert c.qid.vers == 2
    assert extents(c) == [(50, 10), (100, 10)]
    write(kernel, c, b"o" * 100, 40)
    assert extents(c) == [(40, 100)]


def test_write_after_the_predecessors_page_was_reclaimed(kernel: PlainKernel) -> None:
    c = opened(kernel, 1)
    update(kernel, c, b"a" * 1000, 0)
    pagereclaim(kernel, kernel.fscache, 1)
    write(kernel, c, b"w" * 10, 500)
    assert extents(c) == [(0, 1000), (500, 10)]
    assert cread(kernel, c, 10, 500) == b""  # the first extent is found, and found empty
    assert cread(kernel, c, 10, 500) == b"w" * 10


def test_random_reads_and_writes_agree_with_the_file(kernel: PlainKernel) -> None:
    rng = random.Random(3)
    size = 40000
    content = bytearray(stuff(size))
    c = opened(kernel, 1)
    hits = 0
    for step in range(2000):
        off = rng.randrange(size)
        n = rng.randrange(1, min(6000, size - off + 1))
        if step % 100 == 99:
            pagereclaim(kernel, kernel.fscache, rng.randrange(1, 6))
        if rng.random() < 0.3:
            content[off : off + n] = stuff(n, step)
            write(kernel, c, bytes(content[off : off + n]), off)
        else:
            got = cread(kernel, c, n, off)
            assert got == content[off : off + len(got)]
            hits += len(got) == n
            update(kernel, c, bytes(content[off + len(got) : off + n]), off + len(got))
        ends = [(start, start + n) for start, n in extents(c)]
        assert ends == sorted(ends)
    assert hits > 100
    mustcheck(kernel)


# Limits


def test_only_the_first_megabyte_is_found(kernel: PlainKernel) -> None:
    c = opened(kernel, 1)
    update(kernel, c, b"x" * 100, MAXCACHE - 50)
    assert cread(kernel, c, 50, MAXCACHE - 50) == b"x" * 50
    assert cread(kernel, c, 51, MAXCACHE - 50) == b""
    update(kernel, c, b"y" * 10, MAXCACHE + 1)
    write(kernel, c, b"y" * 10, MAXCACHE + 1)
    assert extents(c) == [(MAXCACHE - 50, 100)]
    assert c.qid.vers == 0


def test_ten_megabytes_of_a_file_with_much_memory() -> None:
    for npage, n in ((200 * MB // BY2PG, MAXCACHE), (200 * MB // BY2PG + 1, 10 * MAXCACHE)):
        k = newkernel(Conf(npage=npage, upages=16, nproc=4), PlainMemory(4 * MB))
        assert k.cache.maxcache == n


def test_without_memory_nothing_is_kept(kernel: PlainKernel) -> None:
    c = opened(kernel, 1)
    update(kernel, c, b"a" * 100, 0)
    taken = [kernel.page() for _ in range(kernel.palloc.freecount - kernel.swapalloc.highwater - 2)]
    update(kernel, c, stuff(10 * BY2PG), BY2PG)
    assert extents(c) == [(0, 100), *((i * BY2PG, BY2PG) for i in range(1, 4))]  # what fits above highwater
    assert kernel.palloc.freecount == kernel.swapalloc.highwater - 1
    update(kernel, c, b"x" * 10, 20 * BY2PG)
    assert len(extents(c)) == 4
    assert len(taken) > 10


def test_extents_come_in_packs_and_have_an_end(kernel: PlainKernel) -> None:
    c = opened(kernel, 1)
    update(kernel, c, b"x", 0)
    assert (kernel.ecache.total, kernel.ecache.free) == (NEXTENT, NEXTENT - 1)
    kernel.ecache.total, kernel.ecache.free = MAXEXTENT, 0
    update(kernel, c, b"x", 10)
    assert extents(c) == [(0, 1)]
    kernel.ecache.total = NEXTENT
    kernel.failmalloc = 1
    update(kernel, c, b"x", 10)
    assert extents(c) == [(0, 1)]
    update(kernel, c, b"x", 10)
    assert extents(c) == [(0, 1), (10, 1)]
    assert kernel.ecache.total == 2 * NEXTENT


def test_the_file_not_used_for_longest_goes(kernel: PlainKernel) -> None:
    cs = [opened(kernel, path) for path in range(NFILE)]
    assert len({id(c.mcp) for c in cs}) == NFILE
    update(kernel, cs[0], b"zero", 0)
    update(kernel, cs[1], b"one", 0)
    assert opened(kernel, 0).mcp is cs[0].mcp  # now the last to go
    new = opened(kernel, NFILE)
    assert new.mcp is cs[1].mcp
    assert cread(kernel, cs[1], 3, 0) == b""
    assert cs[1].mcp is None
    assert cread(kernel, cs[0], 4, 0) == b"zero"
    assert clookup(kernel, newfile(1), True) is None
    assert opened(kernel, 1).mcp is cs[2].mcp


# Pages


def test_the_pager_takes_them_first(kernel: PlainKernel) -> None:
    c = opened(kernel, 1)
    data = stuff(3 * BY2PG)
    update(kernel, c, data, 0)
    free = kernel.palloc.freecount
    assert pagereclaim(kernel, kernel.fscache, 2) == 2
    assert kernel.palloc.freecount == free + 2
    assert cread(kernel, c, len(data), 0) == b""
    assert extents(c) == [(BY2PG, BY2PG), (2 * BY2PG, BY2PG)]  # one lost extent at a time
    assert cread(kernel, c, len(data), BY2PG) == b""
    assert cread(kernel, c, BY2PG, 2 * BY2PG) == data[2 * BY2PG :]
    mustcheck(kernel)


def test_a_gap_of_lost_pages_ends_a_read(kernel: PlainKernel) -> None:
    c = opened(kernel, 1)
    data = stuff(3 * BY2PG)
    update(kernel, c, data, 0)
    e = first(c)
    keep = cpage(kernel, e)
    assert keep is not None
    pagereclaim(kernel, kernel.fscache, 1)  # the second
    keep.ref -= 1
    assert cread(kernel, c, len(data), 0) == data[:BY2PG]
    assert extents(c) == [(0, BY2PG), (2 * BY2PG, BY2PG)]


def test_numbers_of_pages_wrap_with_other_low_bits(kernel: PlainKernel) -> None:
    c = opened(kernel, 1)
    kernel.cache.pgno = 0xFFFFF000
    update(kernel, c, b"a", 0)
    assert (first(c).bid, kernel.cache.pgno) == (0xFFFFF000, 1)
    update(kernel, c, b"b", 10)
    assert kernel.cache.pgno == BY2PG + 1
    assert [p.daddr for h in (0, 511) for p in chain(kernel.fscache, h)] == [1, 0xFFFFF000]
    assert cread(kernel, c, 1, 10) == b"b"
    kernel.cache.pgno = 0xFFFFF000 + BY2PG - 1
    update(kernel, c, b"c", 20)
    assert kernel.cache.pgno == 0
    assert kernel.printed == ["cache wrapped\n"]


class Bad:
    """A buffer in user memory that cannot be read from ``good`` on."""

    def __init__(self, n: int, good: int) -> None:
        self.n = n
        self.good = good

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, key: slice, /) -> bytes:
        if key.stop > self.good:
            raise Error("i/o error in demand load")
        return bytes(key.stop - key.start)


def test_a_buffer_that_fails_leaves_nothing_locked_or_lost(kernel: PlainKernel) -> None:
    c = opened(kernel, 1)
    with pytest.raises(Error):
        cupdate(kernel, c, Bad(3 * BY2PG, BY2PG), 0, 3 * BY2PG, 0)
    assert extents(c) == []
    assert kernel.ecache.free == NEXTENT
    assert not mcp(c).locked
    update(kernel, c, b"a" * 100, 0)
    update(kernel, c, b"b" * 100, 5000)
    for at in (100, 50):
        with pytest.raises(Error):
            cupdate(kernel, c, Bad(200, 0), 0, 200, at)
        with pytest.raises(Error):
            cwrite(kernel, c, Bad(200, 0), 0, 200, at)
    with pytest.raises(Error):
        cwrite(kernel, c, Bad(6000, BY2PG), 0, 6000, 4000)
    assert not mcp(c).locked
    assert extents(c) == [(0, 100)]
    up = kernel.up
    assert up is not None
    assert up.nkmap == 0
    mustcheck(kernel)


# Two processes


def test_a_file_in_use_is_waited_for(kernel: PlainKernel) -> None:
    old = opened(kernel, 1, vers=1)
    new = newfile(1, vers=2)
    third = newfile(1, vers=2)
    order = []

    def opener(c: Chan) -> None:
        copen(kernel, c)
        order.append("open")

    def holder() -> None:
        busy = mcp(old)
        qlock(kernel, busy)
        p = kernel.spawn(lambda: opener(new))
        while p.state != Queueing:
            sched(kernel)
        opener(third)  # the busy one is no longer found: another takes its place
        order.append("release")
        qunlock(kernel, busy)

    kernel.spawn(holder)
    kernel.run()
    assert order == ["open", "release", "open"]
    assert new.mcp is third.mcp is not old.mcp
    assert clookup(kernel, new, False) is new.mcp
