"""Small scenes and the workload under the exploring scheduler, which switches at locks and in reference counts."""

from __future__ import annotations

from collections.abc import Callable

from kernel.base.dat import BSEG, SG_BSS, SG_RONLY, SG_TEXT, TSEG, Segment
from kernel.base.mem import BY2PG
from kernel.base.procdat import Proc
from kernel.base.variant import Variant
from kernel.memory.check import mustcheck
from kernel.memory.fault import fault
from kernel.memory.mmu import flushmmu
from kernel.memory.page import cachepage, lookpage, newpage, pagereclaim, putpage
from kernel.memory.segment import attachimage, dupseg, mfreeseg, putseg
from kernel.memory.swap import executeio, pageproc, setswapchan
from kernel.sched.explore import Explore
from kernel.sched.qlock import canqlock, qlock, qunlock
from kernel.sched.sched import pause, sched, yield_
from kernel.sched.sleep import devwait
from kernel.sched.strategy import Random
from kernel.sched.taslock import unlock
from tests.kernel.plain import PlainKernel
from tests.quality.workload import Workload

BASE = 0x100000


class Explorer(Explore):
    """Lets the other processors run on more often than the kernel's own explorer does."""

    def __init__(self, k: PlainKernel, seed: int, chance: float) -> None:
        draw = Random(seed)
        super().__init__(k, draw)
        self.rng = draw.rng
        self.chance = chance

    def __call__(self, point: str) -> None:
        super().__call__(point)
        if point != "spin" and self.rng.random() < self.chance:
            up = self.k.up
            if len(self.k.machs) > 1 and up is not None and up.greenlet:
                pause(self.k)


def explored(k: PlainKernel, seed: int, chance: float) -> None:
    """Have k explore."""
    k.explore = k.procs.chooser = Explorer(k, seed, chance)


def workload(seed: int, nmach: int) -> None:
    """The random programs of the workload."""
    work = Workload(seed, nmach, "short")
    explored(work, seed, 0)
    work.runall()


Bodies = Callable[[PlainKernel], list[Callable[[], None]]]


def scene(bodies: Bodies, seed: int, nmach: int, variant: Variant | None = None) -> None:
    """Run the processes of a scene to their end; nothing may be left wrong then."""
    k = PlainKernel(200, nmach=nmach, nswap=300)
    k.variant = variant or Variant()
    k.become(k.process())
    setswapchan(k, k.file(bytes(300 * BY2PG)))
    todo = bodies(k)
    for cpu in k.cpus:
        cpu.scale = 500
    for body in todo:
        k.spawn(body)
    explored(k, seed, 0.2)
    k.run()
    k.explore = None
    left = [p for p in k.procs.proctab if p.greenlet is not None]
    assert not left, f"processes left: {left}"
    mustcheck(k)


def me(k: PlainKernel) -> Proc:
    """The current process."""
    assert k.up is not None
    return k.up


def cache(k: PlainKernel) -> list[Callable[[], None]]:
    """One caches pages, one looks them up, one reclaims them."""
    i = k.fscache

    def fill() -> None:
        for n in range(40):
            p = newpage(k, False, 0)
            assert p is not None
            p.daddr = n % 4 * BY2PG
            cachepage(k, p, i)
            putpage(k, p)

    def look() -> None:
        for n in range(60):
            p = lookpage(k, i, n % 4 * BY2PG)
            if p is not None:
                assert p.image is i and p.daddr == n % 4 * BY2PG, "page of another address"
                putpage(k, p)

    def reclaim() -> None:
        for _ in range(40):
            pagereclaim(k, i, 10)

    return [fill, look, reclaim]


def texts(k: PlainKernel) -> list[Callable[[], None]]:
    """Both attach the same text, sometimes use it, and let it go."""
    c = k.file(bytes(4 * BY2PG))

    def body() -> None:
        for n in range(40):
            i = attachimage(k, SG_TEXT | SG_RONLY, c, BASE, 4)
            s = i.s
            assert s is not None, "image without its segment"
            s.flen = 4 * BY2PG
            unlock(k, i)
            me(k).seg[TSEG] = s
            if n % 8 == 0:
                assert fault(k, BASE + n // 8 % 4 * BY2PG, True) == 0
            me(k).seg[TSEG] = None
            putseg(k, s)
            flushmmu(k)

    return [body] * 2


def forks(k: PlainKernel) -> list[Callable[[], None]]:
    """Two share a segment: one copies it again and again, the other writes to it and frees its pages."""
    s = k.segment(me(k), BSEG, SG_BSS, BASE, 4)

    def copy() -> None:
        me(k).seg[BSEG] = s
        for _ in range(30):
            putseg(k, dupseg(k, me(k).seg, BSEG, 0))

    def write() -> None:
        me(k).seg[BSEG] = s
        for n in range(30):
            assert fault(k, BASE + n % 4 * BY2PG, False) == 0
            if n % 3 == 2:
                qlock(k, s)
                mfreeseg(k, s, BASE, 4)
                qunlock(k, s)
                flushmmu(k)

    s.ref = 2
    me(k).seg[BSEG] = None
    return [copy, write]


def paging(k: PlainKernel) -> list[Callable[[], None]]:
    """Two share a segment and fork copies of it, a third drops those, a fourth pages both out all the time."""
    s = k.segment(me(k), BSEG, SG_BSS, BASE, 6)
    s.ref = 2
    me(k).seg[BSEG] = None
    procs: list[Proc] = []
    ended: list[Segment] = []
    copies: list[Segment] = []

    def use() -> None:
        up = me(k)
        up.seg[BSEG] = s
        procs.append(up)
        for n in range(40):
            assert fault(k, BASE + n % 6 * BY2PG, n % 5 == 0) == 0
            if n % 10 == 9:
                copies.append(dupseg(k, up.seg, BSEG, 0))
                flushmmu(k)
                devwait(k, 50_000_000)
        ended.append(s)

    def drop() -> None:
        while len(ended) < 2 or copies:
            if copies:
                putseg(k, copies.pop())
            sched(k)

    def pageout() -> None:
        while len(ended) < 2:
            k.ageclock = (k.ageclock + 16) & 0xFFFF
            for p in procs:
                if p.state != 0 and canqlock(k, p.seglock):
                    pageproc(k, p)
                    qunlock(k, p.seglock)
                    executeio(k)
            yield_(k)

    def read(*_: object) -> None:
        if k.explore is not None:
            sched(k)

    k.dev.onread = k.dev.onwrite = read
    return [use, use, drop, pageout]


SCENES = (cache, texts, forks, paging)


def explore(seeds: int) -> None:
    """Many executions of everything; raises what was found."""
    for seed in range(seeds):
        for nmach in (1, 2, 3):
            for bodies in SCENES:
                scene(bodies, seed, nmach)
        if seed % 3 == 0:
            workload(seed, 1 + seed // 3 % 3)
