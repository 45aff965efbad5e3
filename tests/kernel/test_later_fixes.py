"""Later fixes of 9front's that concern several processes: each scene shows what was wrong, and that it is no more."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kernel.base.chandat import MCACHE, MREPL, ORDWR, OREAD
from kernel.base.dat import BSEG, SEG1, SG_SHARED, SG_TEXT, TSEG
from kernel.base.error import Error
from kernel.base.kernel import Kernel
from kernel.base.mem import BY2PG, HZ
from kernel.base.procdat import Ready
from kernel.base.variant import variant
from kernel.devices.procmem import startprofile
from kernel.memory.cache import cupdate, cwrite
from kernel.memory.fault import fault
from kernel.memory.page import cachepage, pagereclaim, putpage
from kernel.memory.procflush import procflushseg
from kernel.memory.segment import imagereclaim, newseg
from kernel.memory.uaccess import ustore
from kernel.sched.sched import queueproc, ready, rebalance, runproc, sched
from kernel.syscalls.sysseg import segflush
from kernel.syscalls.syssem import canacquire, semacquire
from tests.kernel.fakes import BUF, UBASE, Rig
from tests.kernel.plain import PlainKernel, chain
from tests.kernel.server9p import Server
from tests.linking import linked

BASE = 0x100000


def fixes(*names: str) -> pytest.MarkDecorator:
    """Without them and with them."""
    return pytest.mark.parametrize("fix", [(), names], ids=["without", "with"])


@fixes("7cf6a3548")
def test_7cf6a3548_a_wired_process_runs_where_it_is_wired(fix: tuple[str, ...]) -> None:
    k = PlainKernel(nmach=2)
    k.variant = variant(fix=fix)
    k.become(k.process())
    p = k.process("wired")
    p.state = 0  # not yet ready
    p.wired = p.mp = k.machs[1]
    ready(k, p)  # by a process on processor 0
    taken = runproc(k, k.machs[0])
    assert (taken is p) == (not fix)
    if fix:
        assert runproc(k, k.machs[1]) is p


@fixes("bd49212b4")
def test_bd49212b4_who_waits_behind_a_spinning_process_rises_again(fix: tuple[str, ...]) -> None:
    """It ran on processor 1, used that much, and sank; rebalance is called on processor 0, once a second."""
    k = PlainKernel(nmach=2)
    k.variant = variant(fix=fix)
    k.become(k.process())
    p = k.process("low")
    p.mp = k.machs[1]
    p.state = Ready
    queueproc(k, 2, p)
    k.m.load = 1000
    for _ in range(100):
        k.m.ticks += HZ
        rebalance(k)
    assert p.priority == (p.basepri if fix else 2)


@fixes("8ed25f24b")
def test_8ed25f24b_reclaiming_nothing_frees_nothing(kernel: PlainKernel, fix: tuple[str, ...]) -> None:
    kernel.variant = variant(fix=fix)
    p = kernel.page()
    p.daddr = 0
    cachepage(kernel, p, kernel.fscache)
    putpage(kernel, p)
    assert pagereclaim(kernel, kernel.fscache, 0) == (0 if fix else 1)
    assert imagereclaim(kernel, 0) == 0


@fixes("61a062ee9")
def test_61a062ee9_all_chains_are_reclaimed_alike(kernel: PlainKernel, fix: tuple[str, ...]) -> None:
    """Two pages on each of ten chains: five at a time are the first chains' pages, or one of each chain."""
    kernel.variant = variant(fix=fix)
    i = kernel.fscache
    for n in range(20):
        p = kernel.page()
        p.daddr = n % 10 * BY2PG
        cachepage(kernel, p, i)
        putpage(kernel, p)
    n = pagereclaim(kernel, i, 5)
    if not fix:
        n += pagereclaim(kernel, i, 5)
    assert n == 10
    left = [len(chain(i, h)) for h in range(10)]
    assert left == ([1] * 10 if fix else [0] * 5 + [2] * 5)


@fixes("d15aca053")
def test_d15aca053_counters_that_two_debuggers_make_at_once_are_one(fix: tuple[str, ...]) -> None:
    """Each has a process of its own, and both the same text. One waits for memory while the other comes."""
    k = PlainKernel()
    k.variant = variant(fix=fix)

    def malloc() -> bool:
        sched(k)
        return True

    k.malloc = malloc  # type: ignore[method-assign]
    s = newseg(k, SG_TEXT, BASE, 4)
    s.ref = 2
    before = k.mainmem.cursize

    def debugger() -> None:
        assert k.up is not None
        k.up.seg[TSEG] = s
        startprofile(k, k.up)
        k.up.seg[TSEG] = None

    k.spawn(debugger)
    k.spawn(debugger)
    k.run()
    assert s.profile is not None
    size = 4 * len(s.profile)
    assert k.mainmem.cursize - before == (size if fix else 2 * size)  # the original loses one of two


@fixes("30ab804b5")
def test_30ab804b5_who_shares_the_segment_forgets_what_it_decoded(fix: tuple[str, ...]) -> None:
    k = PlainKernel(nmach=2)
    k.variant = variant(fix=fix)
    up = k.become(k.process())
    s = k.segment(up, SEG1, SG_SHARED, BASE, 1)
    assert fault(k, BASE, False) == 0
    other = k.process("other")
    other.seg[SEG1] = s
    s.ref = 2
    other.newtlb = False
    assert segflush(k, BASE, BY2PG) == 0
    assert other.newtlb == bool(fix)


@fixes("e38d42b4a")
def test_e38d42b4a_an_error_leaves_no_waiter_behind(fix: tuple[str, ...]) -> None:
    """The page with the semaphore goes to swap after the first look, and cannot be read for the second one."""
    rig = Rig()
    rig.k.variant = variant(fix=fix)
    looks = []

    def look(k: Kernel, addr: int) -> bool:
        looks.append(addr)
        if len(looks) == 2:
            raise Error("i/o error in demand load")
        return canacquire(k, addr)

    @rig.run
    def _() -> None:
        ustore(rig.k, UBASE, bytes(4))
        s = rig.up.seg[BSEG]
        assert s is not None
        with linked({canacquire: look}), pytest.raises(Error, match="i/o error in demand load"):
            semacquire(rig.k, s, UBASE, None)
        assert len(s.sema) == (0 if fix else 1)


@fixes("47bb311d3")
@pytest.mark.parametrize("write", [False, True])
def test_47bb311d3_the_cache_has_what_the_server_has(fix: tuple[str, ...], write: bool) -> None:
    """Another process changes the buffer between the i/o and the second look at it, by which the cache is filled."""
    rig = Rig()
    rig.k.variant = variant(fix=fix)
    s = Server(rig, f=b"genuine")

    real: Callable[..., None] = cwrite if write else cupdate

    def second(k: Kernel, *args: object) -> None:
        ustore(k, BUF, b"bad!")
        real(k, *args)

    @rig.run
    def _() -> None:
        s.mount("/n", MREPL | MCACHE)
        fd = rig.open("/n/f", ORDWR if write else OREAD)
        with linked({real: second}):
            if write:
                assert rig.pwrite(fd, b"written", 0) == 7
            else:
                rig.pread(fd, 7, 0)
        rig.close(fd)
        good = b"written" if write else b"genuine"
        assert bytes(s.root.kids["f"].data) == good
        assert rig.slurp("/n/f") == (good if fix else b"bad!" + good[4:])


@fixes("28836f3ff")
def test_28836f3ff_who_waits_for_a_flush_is_not_kept_by_the_next_one(fix: tuple[str, ...]) -> None:
    """Processor 1 has flushed, and runs another process; somebody else has asked it for a flush again since."""
    k = PlainKernel(nmach=3)
    k.variant = variant(fix=fix)
    up = k.become(k.process())
    s = k.segment(up, SEG1, SG_SHARED, BASE, 1)
    other, next_ = k.process("other"), k.process("next")
    other.seg[SEG1] = s
    k.machs[1].proc = other
    rounds = []

    def others(k: Kernel) -> None:
        rounds.append(k.machs[1].flushmmu)
        k.machs[1].proc = next_
        k.machs[1].flushmmu = len(rounds) < 100  # again and again

    with linked({sched: others}):
        procflushseg(k, s)
    assert other.newtlb
    assert len(rounds) == (1 if fix else 100)
