"""The operations of vector files (FORMAT.md, section 5), each a method of :class:`Ops`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kernel.base.dat import NSEG, PG_ONSWAP, Image, Page, Segment
from kernel.base.error import Error, Panic
from kernel.base.mem import BY2PG, PGMASK, PTEMAPMEM
from kernel.base.procdat import Dead, Proc, Ready
from kernel.files.channel import cclose
from kernel.memory.fault import checkpages, fault, okaddr, seg, validaddr
from kernel.memory.page import (
    auxpage,
    cachedel,
    cachepage,
    checkpagerefs,
    copypage,
    lookpage,
    newpage,
    pagereclaim,
    putpage,
    uncachepage,
)
from kernel.memory.segment import (
    addphysseg,
    attachimage,
    dupseg,
    ibrk,
    imagereclaim,
    isoverlap,
    isphysseg,
    mcountseg,
    mfreeseg,
    newseg,
    putseg,
    relocateseg,
    segpage,
)
from kernel.memory.swap import executeio, kickpager, pageout, pageproc, pagersummary, reclaim, setswapchan
from kernel.memory.swapmap import dupswap, newswap, putswap, swapcount
from kernel.sched.qlock import canqlock, qlock, qunlock
from kernel.sched.ref import incref
from kernel.sched.taslock import unlock
from kernel.syscalls.sysseg import segattach, segflush
from tests.vectors.machine import Fatal, Pexit, VectorKernel, signed
from tests.vectors.state import FSCACHE, SWAPIMAGE


class UnknownOperation(Exception):
    """FORMAT.md has no such operation."""


class Ended(BaseException):
    """The run ended with this result."""


class Ops:
    """Carries out operations on one kernel."""

    def __init__(self, k: VectorKernel) -> None:
        self.k = k

    def run(self, op: list[Any]) -> object:
        """Carry out one operation; its result as the files write it. Ended if it ends the run."""
        name, *args = op
        method = getattr(self, "op_" + name, None)
        if method is None:
            raise UnknownOperation(repr(name))
        up = self.k.up
        try:
            r = method(*args)
        except Error as e:
            return f"error: {e}"
        except Pexit as e:
            return f"pexit: {e}"
        except Panic as e:
            raise Ended(f"panic: {e}") from e
        except Fatal as e:
            raise Ended(f"fatal: {e}") from e
        finally:
            self.k.up = up
        if r is None:
            return 0
        if isinstance(r, bool):
            return int(r)
        return signed(r) if isinstance(r, int) and name != "segattach" else r

    # What the arguments stand for

    def proc(self, n: int) -> Proc:
        return self.k.procs.proctab[n]

    @contextmanager
    def current(self, n: int) -> Iterator[Proc]:
        """With process n the current one."""
        up, self.k.up = self.k.up, self.proc(n)
        yield self.proc(n)
        self.k.up = up

    def page(self, n: int) -> Page:
        return self.k.palloc.pages[n]

    def image(self, n: int) -> Image:
        k = self.k
        return {SWAPIMAGE: k.swapimage, FSCACHE: k.fscache}.get(n) or k.imagealloc.list[n]

    def seg(self, n: int) -> Segment:
        return self.k.segs[n]

    # Channels

    def op_newchan(self, *args: int) -> int:
        return self.k.newfile(*args)

    def op_cclose(self, c: int) -> None:
        cclose(self.k, self.k.chans[c])

    # Pages

    def op_newpage(self, clear: int, va: int, kp: int) -> int | str:
        driver = self.k.driver
        driver.kp = kp != 0
        try:
            p = newpage(self.k, clear != 0, va)
        finally:
            driver.kp = False
        assert p is not None
        return self.k.pageid(p)

    def op_putpage(self, p: int) -> None:
        putpage(self.k, self.page(p))

    def op_auxpage(self) -> int | str:
        p = auxpage(self.k)
        return -1 if p is None else self.k.pageid(p)

    def op_copypage(self, f: int, t: int) -> None:
        copypage(self.k, self.page(f), self.page(t))

    def op_poke(self, p: int, off: int, n: int, v: int) -> None:
        self.k.mem.write(self.page(p).pa + off, bytes([v & 255]) * n)

    def op_cachepage(self, p: int, image: int, daddr: int) -> None:
        page = self.page(p)
        page.daddr = daddr
        cachepage(self.k, page, self.image(image))

    def op_uncachepage(self, p: int) -> None:
        uncachepage(self.k, self.page(p))

    def op_lookpage(self, image: int, daddr: int) -> int | str:
        p = lookpage(self.k, self.image(image), daddr)
        return -1 if p is None else self.k.pageid(p)

    def op_cachedel(self, image: int, daddr: int) -> None:
        cachedel(self.k, self.image(image), daddr)

    def op_pagereclaim(self, image: int, min: int) -> int:
        return pagereclaim(self.k, self.image(image), min)

    def op_imagereclaim(self, min: int) -> int:
        return imagereclaim(self.k, min)

    def op_reclaim(self) -> bool:
        return reclaim(self.k)

    def op_checkpagerefs(self) -> int:
        return checkpagerefs(self.k)

    # Segments

    def op_newseg(self, type: int, base: int, npages: int, image: int, fstart: int, flen: int) -> int:
        k = self.k
        s = newseg(k, type, base, npages)
        if image >= 0:
            i = self.image(image)
            incref(k, i)
            s.image = i
            s.fstart = fstart
            s.flen = flen
        return k.segid(s)

    def op_attachimage(
        self, proc: int, slot: int, type: int, chan: int, base: int, npages: int, fstart: int, flen: int, flushme: int
    ) -> list[int]:
        k = self.k
        i = attachimage(k, type, k.chans[chan], base, npages)
        s = i.s
        assert s is not None
        s.flushme = flushme != 0
        s.fstart = fstart
        s.flen = flen
        unlock(k, i)
        if proc >= 0:
            self.proc(proc).seg[slot] = s
        return [i.num, k.segid(s)]

    def op_setseg(self, proc: int, slot: int, s: int) -> None:
        self.proc(proc).seg[slot] = self.seg(s)

    def op_putseg(self, s: int) -> None:
        putseg(self.k, self.seg(s))

    def op_detach(self, proc: int, slot: int) -> None:
        p = self.proc(proc)
        s, p.seg[slot] = p.seg[slot], None
        putseg(self.k, s)

    def op_dupseg(self, proc: int, slot: int, share: int, toproc: int, toslot: int) -> int:
        s = dupseg(self.k, self.proc(proc).seg, slot, share)
        self.proc(toproc).seg[toslot] = s
        return self.k.segid(s)

    def op_segpage(self, s: int, p: int) -> None:
        segpage(self.k, self.seg(s), self.page(p))

    def op_relocateseg(self, s: int, offset: int) -> None:
        relocateseg(self.k, self.seg(s), offset)

    def op_ibrk(self, proc: int, addr: int, slot: int) -> int:
        with self.current(proc):
            return ibrk(self.k, addr, slot)

    def op_mfreeseg(self, s: int, start: int, pages: int) -> None:
        mfreeseg(self.k, self.seg(s), start, pages)

    def op_mcountseg(self, s: int) -> int:
        return mcountseg(self.k, self.seg(s))

    def op_segattach(self, proc: int, attr: int, name: str, va: int, len: int) -> int:
        with self.current(proc) as p:
            return segattach(self.k, p, attr, name, va, len)

    def op_addphysseg(self, name: str, pa: int, size: int) -> int:
        return addphysseg(self.k, self.k.newphysseg(name, pa, size))

    def op_isphysseg(self, name: str) -> bool:
        return isphysseg(self.k, name)

    def op_isoverlap(self, proc: int, va: int, len: int) -> int:
        return self.k.segid(isoverlap(self.k, self.proc(proc), va, len))

    def op_seg(self, proc: int, addr: int) -> int:
        return self.k.segid(seg(self.k, self.proc(proc), addr, 0))

    def op_okaddr(self, proc: int, addr: int, len: int, write: int) -> bool:
        with self.current(proc):
            return okaddr(self.k, addr, len, write != 0)

    def op_validaddr(self, proc: int, addr: int, len: int, write: int) -> None:
        with self.current(proc):
            validaddr(self.k, addr, len, write != 0)

    def op_segflush(self, proc: int, addr: int, len: int) -> int:
        with self.current(proc):
            return segflush(self.k, addr, len)

    def op_checkpages(self, proc: int) -> None:
        with self.current(proc):
            checkpages(self.k)

    # Faults

    def _fault(self, proc: int, addr: int, read: bool, user: bool) -> int:
        with self.current(proc) as p:
            p.nerrlab = 0 if user else 1
            return fault(self.k, addr, read)

    def _mapped(self, proc: int, addr: int) -> Page:
        s = seg(self.k, self.proc(proc), addr, 0)
        assert s is not None
        off = addr - s.base
        pte = s.map[off // PTEMAPMEM]
        assert pte is not None
        p = pte.pages[(off & PTEMAPMEM - 1) // BY2PG]
        assert isinstance(p, Page)
        return p

    def op_fault(self, proc: int, addr: int, read: int, user: int = 0) -> int:
        return self._fault(proc, addr, read != 0, user != 0)

    def op_load(self, proc: int, addr: int) -> int:
        if self._fault(proc, addr, True, False) < 0:
            return -1
        n = self.k.pageid(self._mapped(proc, addr))
        return n if isinstance(n, int) else -2

    def op_store(self, proc: int, addr: int, n: int, v: int) -> int:
        if self._fault(proc, addr, False, False) < 0:
            return -1
        p = self._mapped(proc, addr)
        num = self.k.pageid(p)
        if not isinstance(num, int):
            return -2
        self.k.mem.write(p.pa + (addr & PGMASK), bytes([v & 255]) * n)
        return num

    # Swap

    def op_setswapchan(self, c: int) -> None:
        setswapchan(self.k, self.k.chans[c])

    def op_newswap(self) -> int:
        return newswap(self.k)

    def op_putswap(self, daddr: int) -> None:
        putswap(self.k, daddr | PG_ONSWAP)

    def op_putswapn(self, daddr: int, n: int) -> None:
        for _ in range(n):
            putswap(self.k, daddr | PG_ONSWAP)

    def op_dupswap(self, daddr: int, n: int) -> None:
        for _ in range(n):
            dupswap(self.k, daddr | PG_ONSWAP)

    def op_swapcount(self, daddr: int) -> int:
        return swapcount(self.k, daddr)

    def op_pagersummary(self) -> str:
        return pagersummary(self.k).rstrip("\n")

    def op_tick(self, n: int) -> None:
        self.k.ageclock = (self.k.ageclock + n) & 0xFFFF

    def op_pageout(self, proc: int, slot: int) -> None:
        p = self.proc(proc)
        s = p.seg[slot]
        if s is not None:
            pageout(self.k, p, s)

    def op_executeio(self) -> None:
        executeio(self.k)

    def op_sweep(self, proc: int) -> int:
        k = self.k
        p = self.proc(proc)
        if p.state == Dead or p.noswap:
            return -1
        if not canqlock(k, p.seglock):
            return -2
        pageproc(k, p)
        qunlock(k, p.seglock)
        n = len(k.iolist)
        if n > 0:
            executeio(k)
        return n

    def op_pager(self) -> int:
        kickpager(self.k)
        self.k.pager.run()
        return self.k.palloc.freecount

    # Settings

    def op_procset(self, proc: int, ready: int, noswap: int, running: int) -> None:
        p = self.proc(proc)
        p.state = Ready if ready else Dead
        p.noswap = noswap != 0
        p.mach = self.k.m if running else None

    def op_segset(self, s: int, steal: int, flushme: int) -> None:
        self.seg(s).steal = steal
        self.seg(s).flushme = flushme != 0

    def op_qlockseg(self, s: int, on: int) -> None:
        if on:
            qlock(self.k, self.seg(s))
        else:
            qunlock(self.k, self.seg(s))

    def op_qlockproc(self, proc: int, on: int) -> None:
        if on:
            qlock(self.k, self.proc(proc).seglock)
        else:
            qunlock(self.k, self.proc(proc).seglock)


assert NSEG == 10  # FORMAT.md's slots
