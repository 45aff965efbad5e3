"""Page faults and the checks of user addresses. Source: port/fault.c."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from kernel.base.alloc import PTE
from kernel.base.dat import (
    ESEG,
    NSEG,
    PG_MOD,
    PG_REF,
    PG_TXTFLUSH,
    SG_BSS,
    SG_DATA,
    SG_PHYSICAL,
    SG_RONLY,
    SG_SHARED,
    SG_STACK,
    SG_TEXT,
    SG_TYPE,
    Page,
    Pte,
)
from kernel.base.error import Ebadarg, Eintr, Eio, Eioload, Enomem, Error, Panic
from kernel.base.event import FaultEvent
from kernel.base.mem import BY2PG, MASK32, PGMASK, PTEMAPMEM, PTERONLY, PTEUNCACHED, PTEVALID, PTEWRITE
from kernel.base.procdat import NDebug, Proc_exitbig, Proc_exitme
from kernel.memory.kmap import VA, kmap, kunmap
from kernel.memory.mmu import checkmmu, pteword, putmmu
from kernel.memory.page import cachepage, copypage, lookpage, newpage, putpage, uncachepage
from kernel.memory.palloc import mustpage, pageevent
from kernel.memory.segment import entryevent, segname
from kernel.memory.swapmap import putswap, swapaddr, swapcount
from kernel.sched.note import postnote, procctl
from kernel.sched.qlock import qlock, qunlock
from kernel.sched.ref import incref

if TYPE_CHECKING:
    from kernel.base.chandat import Chan
    from kernel.base.dat import Segment
    from kernel.base.event import Access, FaultSegment, Mode
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Proc


ANONYMOUS = (SG_DATA, SG_BSS, SG_STACK, SG_SHARED)


def fault(k: Kernel, addr: int, read: bool) -> int:
    """Serve a fault of the current process at addr: 0, or -1 if it may not have that page.

    ``up.faultcls`` says what it came to. Source: port/fault.c:fault.
    """
    up = k.up
    if up is None:
        raise Panic("fault: nil up")
    if up.nlocks:
        k.print(f"fault: nlocks {up.nlocks}, proc {up.pid} {up.text}, addr {addr:#x}, lock {up.lastlock!r}\n")

    pnd = up.notepending
    sps = up.psstate
    up.psstate = "Fault"
    up.faultload = ""

    m = k.m
    m.pfault += 1
    while True:
        k.m.splhi = False

        s = seg(k, up, addr, 1)  # leaves s locked
        if s is None:
            up.psstate = sps
            up.faultcls = "unmapped"
            return -1

        if not read and s.type & SG_RONLY:
            qunlock(k, s)
            up.psstate = sps
            up.faultcls = "protection"
            return -1

        if fixfault(k, s, addr, read, True) == 0:
            break

        # newpage() had to wait and s may be gone: look again, unless we are to die
        k.m.splhi = True
        if up.procctl in (Proc_exitme, Proc_exitbig):
            procctl(k, up)

    up.psstate = sps
    up.notepending |= pnd
    return 0


def faulterror(k: Kernel, s: str, c: Chan | None, freemem: bool, fatal: bool = True) -> NoReturn:
    """A page could not be had: a note and an error in a system call, else the end of the process.

    c is what could not be read; unless freemem the memory of the process is kept for a debugger. It is fatal unless the
    page was another process's.
    Source: port/fault.c:faulterror.
    """
    up = k.up
    assert up is not None
    if c is not None and c.path is not None:
        s = f"{s} accessing {c.path.s}: {up.errstr}"[:127]
    fixed = k.variant.fix_655ec332a
    if up.nerrlab:
        if fatal or not fixed:
            postnote(k, up, 1, s, NDebug)
        raise Error(s)
    k.hooks.pexit(k, s, freemem or fixed)


def fixfault(k: Kernel, s: Segment, addr: int, read: bool, doputmmu: bool) -> int:
    """Get the page of s at addr and map it; 0 with s unlocked.

    -1 if newpage() had to wait, s then is unlocked too and may be gone. The caller has s locked.
    Source: port/fault.c:fixfault.
    """
    up = k.up
    assert up is not None
    addr &= ~PGMASK
    soff = addr - s.base
    etp = s.map[soff // PTEMAPMEM]
    if etp is None:
        if not k.mainmem.alloc(PTE):
            qunlock(k, s)
            faulterror(k, Enomem, None, True)  # the original waits
        etp = s.map[soff // PTEMAPMEM] = Pte()
    n = (soff & PTEMAPMEM - 1) // BY2PG
    pages = etp.pages
    if n < etp.first:
        etp.first = n
    if n > etp.last:
        etp.last = n

    up.faultcls = "remap"
    t = s.type & SG_TYPE
    pg = pages[n]
    if t == SG_TEXT:  # demand load
        if not isinstance(pg, Page):
            pg = pio(k, s, addr, soff, etp, n, doputmmu)
        mmuphys = pg.pa | PTERONLY | PTEVALID
        pg.modref = PG_REF

    elif t == SG_PHYSICAL:
        if not isinstance(pg, Page):
            assert s.pseg is not None
            if s.pseg.pgalloc is not None:
                pg = s.pseg.pgalloc(s, addr)
            else:
                pg = Page((s.pseg.pa + (addr - s.base)) & MASK32, len(k.machs) or 1)
                pg.va = addr
                pg.ref = 1
            pages[n] = pg
            if k.sink is not None:
                entryevent(k, s, addr, pg)
            up.faultcls = "zero-fill"
        mmuphys = pg.pa & ~PGMASK | PTEWRITE | PTEUNCACHED | PTEVALID
        pg.modref = PG_MOD | PG_REF

    elif t in ANONYMOUS:  # zero fill, demand load, page in, copy on write
        if pg is None and t != SG_DATA:
            new = newpage(k, True, addr, s)
            if new is None:
                return -1
            pages[n] = pg = new
            if k.sink is not None:
                entryevent(k, s, addr, pg)
            up.faultcls = "zero-fill"
        elif not isinstance(pg, Page):
            pg = pio(k, s, addr, soff, etp, n, doputmmu)

        # Copy on write is only possible while we are the only user of the segment.
        if read and k.copymode == 0 and s.ref == 1:
            mmuphys = pg.pa | PTERONLY | PTEVALID
            pg.modref |= PG_REF
        else:
            if k.parent is not None:
                k.parent.alone(k, pg)
            elif pg.image is k.swapimage and pg.ref + swapcount(k, pg.daddr) == 1:
                uncachepage(k, pg)
            if pg.ref > 1 or pg.image is not None:
                old = pg
                new = newpage(k, False, addr, s)
                if new is None:
                    return -1
                pages[n] = pg = new
                if k.sink is not None:
                    entryevent(k, s, addr, pg)
                copypage(k, old, new)
                putpage(k, old)
                if up.faultcls != "remap":
                    up.faultload = up.faultcls
                up.faultcls = "cow-copy"
            mmuphys = pg.pa | PTEWRITE | PTEVALID
            pg.modref = PG_MOD | PG_REF
    else:
        raise Panic("fault")

    if k.onfault is not None:
        k.onfault((s.id, soff // BY2PG))
    # Were the process preempted between these two, the pager could take the page that is to be mapped; the
    # original leaves that to chance.
    splhi, k.m.splhi = k.m.splhi, not k.variant.original_putmmu
    qunlock(k, s)
    k.m.splhi = splhi
    if doputmmu:
        putmmu(k, addr, mmuphys, pg)
    return 0


def pio(k: Kernel, s: Segment, addr: int, soff: int, pte: Pte, n: int, fatal: bool = True) -> Page:
    """Read the page of entry n of pte, from the file of s or from swap; the page now in the entry.

    s is locked on entry and return, and unlocked while the device is read: another process may load
    the same page meanwhile, or free it. I/O errors go to faulterror(). Source: port/fault.c:pio.
    """
    up = k.up
    assert up is not None
    pages = pte.pages
    while True:
        loadrec = pages[n]
        assert not isinstance(loadrec, Page)
        if loadrec is None:  # from a text or data image
            assert s.image is not None
            daddr = (s.fstart + soff) & MASK32
            image = s.image
            cached = lookpage(k, image, daddr)
            if cached is not None:
                pages[n] = cached
                if k.sink is not None:
                    entryevent(k, s, addr, cached)
                up.faultcls = "cache-hit"
                return cached
            c = image.c
            ask = BY2PG
            if soff >= s.flen:
                ask = 0
            elif soff + ask > s.flen:
                ask = s.flen - soff
        else:  # from swap
            daddr = swapaddr(loadrec)
            image = k.swapimage
            up.faultcls = "swap-in"
            cached = lookpage(k, image, daddr)
            if cached is not None:
                putswap(k, loadrec)
                pages[n] = cached
                if k.sink is not None:
                    entryevent(k, s, addr, cached)
                return cached
            c = image.c
            ask = BY2PG
        qunlock(k, s)

        assert c is not None
        new = mustpage(k, addr)
        kk = kmap(k, new)
        while True:
            try:
                if k.inject is not None and k.inject.hit("textread" if loadrec is None else "swapread"):
                    raise Error(Eio)
                data = k.devtab[c.type].read(c, ask, daddr)
                if len(data) == ask:
                    break
                k.mem.write(VA(k, kk), data)
                raise Error(Eioload)
            except Error as e:
                up.errstr = str(e)
                if up.errstr == Eintr:
                    continue
                kunmap(k, kk)
                putpage(k, new)
                faulterror(k, Eioload, c, False, fatal)
        if ask < BY2PG:
            data = bytes(data) + bytes(BY2PG - ask)
        k.mem.write(VA(k, kk), data)
        kunmap(k, kk)
        qlock(k, s)
        now = pages[n]
        if loadrec is None:
            up.faultcls = "text-load" if s.type & SG_TYPE == SG_TEXT else "data-load"
            # race: another process may have got here first while s was unlocked
            if now is None:
                # look at the cache again after i/o, lest a page be cached twice; the parent did not
                if k.parent is None:
                    now = pages[n] = lookpage(k, image, daddr)
                if now is None:
                    incref(k, new)
                    new.daddr = daddr
                    cachepage(k, new, image)
                    pages[n] = new
        elif now != loadrec:
            # race: another process got here first, and the pager may have run on that page
            if isinstance(now, Page):
                pass  # it did the work for us
            elif now is not None:
                putpage(k, new)
                continue
            else:
                # another process freed it: it reads as zero
                incref(k, new)
                k.mem.zero(new.pa)
                pages[n] = new
        else:
            incref(k, new)
            new.daddr = daddr
            cachepage(k, new, image)
            pages[n] = new
            k.nswapin += 1
            if k.sink is not None:
                pageevent(k, "swap-in", new)
            putswap(k, loadrec)
        if k.sink is not None:
            entryevent(k, s, addr, pages[n])
        putpage(k, new)
        pg = pages[n]
        if not isinstance(pg, Page):  # the original would take the swap entry for a page
            raise Panic(f"pio: entry {pg!r} at {addr:#x}")
        if s.flushme:
            pg.cachectl[:] = bytes([PG_TXTFLUSH]) * len(pg.cachectl)
        return pg


def okaddr(k: Kernel, addr: int, n: int, write: bool) -> bool:
    """Whether the current process has the n bytes at addr, writable if asked. Source: port/fault.c:okaddr."""
    up = k.up
    assert up is not None
    end = (addr + n) & MASK32
    if n < 0x80000000 and (end >= addr or not k.variant.fix_b32300deb):
        while True:
            s = seg(k, up, addr, 0)
            if s is None or (write and s.type & SG_RONLY):
                break
            if end > s.top:
                addr = s.top
                continue
            return True
    return False


def validaddr(k: Kernel, addr: int, n: int, write: bool) -> None:
    """A system call was given n bytes at addr: a note and Error(Ebadarg) unless the process has them.

    Source: port/fault.c:validaddr.
    """
    if not okaddr(k, addr, n, write):
        up = k.up
        assert up is not None
        # userpc(); the original prints an unsigned length with %lud
        pc = up.regs.pc if up.regs is not None else 0
        k.hooks.pprint(k, f"suicide: invalid address {addr:#x}/{n} in sys call pc={pc:#x}\n")
        postnote(k, up, 1, "sys: bad address in syscall", NDebug)
        raise Error(Ebadarg)


def seg(k: Kernel, p: Proc, addr: int, dolock: int) -> Segment | None:
    """The segment of p that holds addr, locked if asked, or None. Source: port/fault.c:seg."""
    for n in p.seg:
        if n is not None and n.base <= addr < n.top:
            if not dolock:
                return n
            qlock(k, n)
            if n.base <= addr < n.top:
                return n
            qunlock(k, n)
    return None


def checkpages(k: Kernel) -> None:
    """Compare the current process's page tables with its segments, and print the count.

    Source: port/fault.c:checkpages.
    """
    up = k.up
    if up is None:
        return
    checked = 0
    for i in range(NSEG):
        s = up.seg[i]
        if s is None:
            continue
        qlock(k, s)
        # The original walks every address of the segment; missing tables hold nothing to check.
        npages = (s.top - s.base) // BY2PG
        for t, pte in enumerate(s.map):
            if pte is None:
                continue
            for n in range(256):
                if t * 256 + n >= npages:
                    break
                pg = pte.pages[n]
                if isinstance(pg, Page):
                    checkmmu(k, s.base + t * PTEMAPMEM + n * BY2PG, pg.pa)
                    checked += 1
        qunlock(k, s)
    k.print(f"{up.pid} {up.text}: checked {checked} page table entries\n")


def tracedfault(k: Kernel, addr: int, read: bool, err: int, mode: Mode, fn: str) -> int:
    """fault(), told to the trace with what it came to."""
    up = k.up
    assert up is not None
    k.nfault += 1
    if k.sink is None or "fault" not in k.kinds:
        return fault(k, addr, read)
    s = seg(k, up, addr, 0)
    name: FaultSegment = "" if s is None else "estack" if s is up.seg[ESEG] else segname(s)
    began = up.kentry if mode == "user" else k.m.cpu.now()
    watch = k.stopwatch
    since = watch() if watch is not None else 0
    n = fault(k, addr, read)
    if n == 0 and err & 1 and up.faultcls == "remap":
        up.faultcls = "cow-reuse"  # the page was there, read-only, and is ours alone
    frame = 0
    if n == 0 and up.mmupdb is not None:
        frame = pteword(k, up.mmupdb.pa, addr) & ~0xFFF
    pc = up.regs.pc if up.regs is not None else 0
    access: Access = "read" if read else "write"
    host = watch() - since if watch is not None else 0
    k.emit(
        FaultEvent(0, 0, 0, addr, pc, mode, fn, err, access, name, up.faultcls, up.faultload, frame, began, host)
    )
    return n
