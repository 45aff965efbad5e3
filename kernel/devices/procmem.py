"""Memory of another process, and what the kernel's own memory says of it. Source: port/devproc.c."""

from __future__ import annotations

import struct
from array import array
from typing import TYPE_CHECKING, Final

from kernel.base.dat import NSEG, PG_TXTFLUSH, SG_DATA, SG_TEXT, SG_TYPE, TSEG, Page
from kernel.base.error import ERRMAX, Ebadarg, Ebadctl, Egreg, Enomem, Eperm, Eprocdied, Error, Panic
from kernel.base.kernel import current
from kernel.base.mem import BY2PG, KZERO, MASK32, PTEMAPMEM
from kernel.base.procdat import MAXSYSARG, NNOTE, STATENAME, Dead
from kernel.base.text import kbytes
from kernel.files.dev import iseve
from kernel.memory.fault import fixfault, seg
from kernel.memory.image import putimage
from kernel.memory.kmap import VA, kmap, kunmap
from kernel.memory.page import freepte
from kernel.memory.segment import freeprofile, newseg, putseg, segevent
from kernel.sched.qlock import eqlock, qlock, qunlock
from kernel.sched.ref import incref

if TYPE_CHECKING:
    from kernel.base.dat import Segment
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Proc


LRESPROF: Final = 3  # bytes of text to a counter, as a shift


def procctlmemio(k: Kernel, p: Proc, offset: int, n: int, data: bytes | None, pid: int = 0) -> bytes:
    """Read up to n bytes of p's memory, or write data there; no more than what is left of the page.

    Returns what was read or written. Text that is written becomes data of the process's own first. A page that has
    to be read from its file has the errors of that, and the note that goes with them, in the process that asks.
    ``pid`` is the process that is meant. Errors: Ebadarg. Source: port/devproc.c:procctlmemio.
    """
    if k.variant.fix_655ec332a:
        return _heldmemio(k, p, offset, n, data, pid)
    if k.variant.fix_12fa017f3:
        checkpid(p, pid)
    while True:
        s = seg(k, p, offset, 1)
        if s is None:
            raise Error(Ebadarg)
        if offset + n & MASK32 >= s.top:
            n = s.top - offset
        if data is not None and s.type & SG_TYPE == SG_TEXT:
            s = txt2data(k, p, s)
        s.steal += 1
        try:
            if _fetch(k, s, offset, data is None):
                break
        except Error:
            s.steal -= 1
            raise
        s.steal -= 1

    soff = offset - s.base
    pte = s.map[soff // PTEMAPMEM]
    if pte is None:
        raise Panic("procctlmemio")
    pg = pte.pages[(soff & PTEMAPMEM - 1) // BY2PG]
    if not isinstance(pg, Page):
        raise Panic("procctlmemio1")

    data = _touch(k, p, s, pg, offset, max(min(n, BY2PG - offset % BY2PG), 0), data)
    s.steal -= 1
    return data


def _touch(k: Kernel, p: Proc, s: Segment, pg: Page, offset: int, n: int, data: bytes | None) -> bytes:
    """Read n bytes at offset of pg, a page of p's segment s, or write those of data there; returns them."""
    kk = kmap(k, pg)
    pa = VA(k, kk) + offset % BY2PG
    if data is None:
        data = k.mem.read(pa, n)
    else:
        data = data[:n]
        k.mem.write(pa, data)
        p.newtlb = True
    kunmap(k, kk)
    # the process is to see changes of its code
    if s.flushme:
        pg.cachectl[:] = bytes([PG_TXTFLUSH]) * len(pg.cachectl)
    return data


def checkpid(p: Proc, pid: int) -> None:
    """Raise Eprocdied unless p is the process with that pid. The caller has locked p.seglock, or lets nobody in."""
    if p.state == Dead or p.pid != pid:
        raise Error(Eprocdied)


def _heldmemio(k: Kernel, p: Proc, offset: int, n: int, data: bytes | None, pid: int) -> bytes:
    """procctlmemio() since 655ec332a: the segment is counted, and the page used under its lock."""
    n = min(n, BY2PG - offset % BY2PG)
    while True:
        s = _hold(k, p, offset, data is None, pid)
        try:
            there = fixfault(k, s, offset, data is None, False) == 0
        except Error:
            putseg(k, s)
            raise
        if there:
            break
        putseg(k, s)

    eqlock(k, s)
    try:
        n = max(min(n, s.top - offset), 0)
        pte = s.map[(offset - s.base) // PTEMAPMEM] if s.base <= offset < s.top else None
        pg = pte.pages[(offset - s.base & PTEMAPMEM - 1) // BY2PG] if pte is not None else None
        if not isinstance(pg, Page):
            raise Error(Egreg)  # it is gone
        data = _touch(k, p, s, pg, offset, n, data)
    except Error:
        qunlock(k, s)
        putseg(k, s)
        raise
    qunlock(k, s)
    putseg(k, s)
    return data


def _hold(k: Kernel, p: Proc, offset: int, read: bool, pid: int) -> Segment:
    """The segment of p that has the address, counted and locked; data of its own, if text is to be written."""
    s = seg(k, p, offset, 0)
    if s is None:
        raise Error(Ebadarg)
    eqlock(k, p.seglock)
    try:
        if k.variant.fix_12fa017f3:
            checkpid(p, pid)
        if s not in p.seg:
            raise Error(Egreg)  # it is gone
        i = p.seg.index(s)
        eqlock(k, s)
        try:
            if not read and s.type & SG_TYPE == SG_TEXT:
                s = p.seg[i] = _owndata(k, s)
                if k.sink is not None:
                    segevent(k, "attach", s, p=p, slot=i)
        except Error:
            qunlock(k, s)
            raise
        incref(k, s)
    except Error:
        qunlock(k, p.seglock)
        raise
    qunlock(k, p.seglock)
    return s


def _owndata(k: Kernel, s: Segment) -> Segment:
    """txt2data() since 655ec332a. Source: port/segment.c:txt2data."""
    ps = newseg(k, SG_DATA, s.base, s.size)
    assert s.image is not None
    ps.image = s.image
    incref(k, ps.image)
    if k.sink is not None:
        segevent(k, "image", ps)
    ps.fstart = s.fstart
    ps.flen = s.flen
    ps.flushme = True
    qunlock(k, s)
    putseg(k, s)
    qlock(k, ps)
    return ps


def _fetch(k: Kernel, s: Segment, addr: int, read: bool) -> bool:
    """fixfault(): whether the page is there now. s is unlocked; if it is gone meanwhile Error(Eprocdied).

    The process may end while its page is read. The original then works on what it has freed; here the image is
    kept until all is done, and what came too late is given back.
    """
    up = current(k)
    image = s.image
    if image is not None:
        incref(k, image)
    state, up.psstate = up.psstate, "Fault"  # references are held that no structure shows
    failed: str | None = None
    there = False
    try:
        there = fixfault(k, s, addr, read, False) == 0
    except Error as e:
        failed = str(e)  # e itself would hold this frame
    up.psstate = state
    if s.ref == 0:
        for pte in s.map:
            if pte is not None:
                freepte(k, s, pte)
        failed = Eprocdied
    if image is not None:
        putimage(k, image)
    if failed is not None:
        raise Error(failed)
    return there


def txt2data(k: Kernel, p: Proc, s: Segment) -> Segment:
    """Give p a data segment in place of its text s, from the same file; s is locked, what is returned too.

    The original keeps s locked if there is no memory for it. Source: port/devproc.c:txt2data.
    """
    try:
        ps = newseg(k, SG_DATA, s.base, s.size)
    except Error:
        qunlock(k, s)
        raise
    assert s.image is not None
    ps.image = s.image
    incref(k, ps.image)
    if k.sink is not None:
        segevent(k, "image", ps)
    ps.fstart = s.fstart
    ps.flen = s.flen
    ps.flushme = True

    qlock(k, p.seglock)
    if s not in p.seg:
        raise Panic("segment gone")
    i = p.seg.index(s)
    qunlock(k, s)
    if k.sink is not None:
        segevent(k, "detach", s, p=p, slot=i)
    putseg(k, s)
    qlock(k, ps)
    p.seg[i] = ps
    if k.sink is not None:
        segevent(k, "attach", ps, p=p, slot=i)
    qunlock(k, p.seglock)
    return ps


def kernelmem(k: Kernel, addr: int, n: int) -> bytes:
    """Up to n bytes of the kernel's memory, which is mapped from KZERO on and ends where the page pool begins.

    For eve alone. Errors: Eperm, Ebadarg. Source: port/devproc.c:procread.
    """
    if not iseve(k):
        raise Error(Eperm)
    pa = addr - KZERO
    if pa >= k.palloc.base:
        raise Error(Ebadarg)
    return k.mem.read(pa, max(min(n, k.palloc.base - pa), 0))


def startprofile(k: Kernel, p: Proc) -> None:
    """Count where p's text spends its time, from zero on. Source: port/devproc.c:procctlreq."""
    s = p.seg[TSEG]
    if s is None or s.type & SG_TYPE != SG_TEXT:
        raise Error(Ebadctl)
    npc = s.top - s.base >> LRESPROF
    if k.variant.fix_d15aca053:
        eqlock(k, s)
        if s.profile is None and (not k.malloc() or not k.mainmem.alloc(npc * 4)):
            qunlock(k, s)
            raise Error(Enomem)
        s.profile = array("I", bytes(4 * npc))
        qunlock(k, s)
        return
    freeprofile(k, s)
    if not k.malloc() or not k.mainmem.alloc(npc * 4):
        raise Error(Enomem)
    s.profile = array("I", bytes(4 * npc))


def profile(s: Segment | None) -> bytes | None:
    """The counters of a text segment as they lie in memory, None if it is not profiled."""
    if s is None or s.profile is None:
        return None
    return array("I", s.profile).tobytes()


# Proc.state of the original, which tells waiting readers and writers apart
_STATES: Final = (
    "Dead", "Moribund", "Ready", "Scheding", "Running", "Queueing", "QueueingR", "QueueingW", "Wakeme", "Broken",
    "Stopped", "Rendez", "Waitrelease",
)  # fmt: skip
NERR: Final = 64
LOCKSIZE: Final = 28
QLOCKSIZE: Final = LOCKSIZE + 12
RENDEZSIZE: Final = LOCKSIZE + 4
TIMERSIZE: Final = 44 + LOCKSIZE


class _Struct:
    """Builds the bytes of a structure; pointers are 0, for what they would point to is not in the guest's memory."""

    def __init__(self) -> None:
        self.b = bytearray()

    def word(self, *values: int) -> None:
        for v in values:
            self.b += (v & MASK32).to_bytes(4, "little")

    def vlong(self, v: int) -> None:
        self.b += (v & (1 << 64) - 1).to_bytes(8, "little")

    def none(self, size: int) -> None:
        self.b += bytes(size)

    def text(self, s: bytes, size: int) -> None:
        self.b += s[: size - 1].ljust(size, b"\0")


def procstruct(k: Kernel, p: Proc) -> bytes:
    """struct Proc as the original's 386 kernel has it in memory. Source: port/portdat.h, pc/dat.h."""
    s = _Struct()
    ptr = 4
    s.none(8)  # sched
    s.none(ptr * 5)  # kstack mach text user args
    s.word(len(p.args))
    s.none(ptr * 3)  # rnext qnext qlock
    s.word(_STATES.index(STATENAME[p.state]))
    s.none(ptr)  # psstate
    s.none(ptr * NSEG)
    s.none(QLOCKSIZE)  # seglock
    s.word(p.pid, p.noteid)
    s.none(ptr + LOCKSIZE + ptr)  # pidhash exl waitq
    s.word(p.nchild, len(p.waitq))
    s.none(QLOCKSIZE + RENDEZSIZE + ptr * 6)  # qwaitr waitr parent pgrp egrp fgrp rgrp closingfgrp
    s.word(p.parentpid, *p.time)
    s.vlong(p.kentry)
    s.vlong(p.pcycles)
    s.word(p.insyscall, p.fpstate)
    s.none(QLOCKSIZE + ptr)  # debug pdbg
    s.word(p.procmode, p.privatemem, p.hang, p.procctl, p.regs.pc if p.regs is not None else 0)
    s.none(LOCKSIZE + ptr + RENDEZSIZE)  # rlock r sleep
    s.word(p.notepending, p.kp)
    s.none(ptr)  # palarm
    s.word(p.alarm, p.newtlb, p.noswap, p.rendtag, p.rendval)
    s.none(ptr + TIMERSIZE + ptr * 4)  # rendhash Timer trend tfn kpfun kparg
    s.b += p.fpsave
    s.word(p.scallnr, *p.s[:MAXSYSARG], p.nerrlab)
    s.none(NERR * 8 + ptr * 2)  # errlab syserrstr errstr
    s.b += p.syserrbuf
    s.b += p.errbuf
    s.text(kbytes(p.genbuf), 128)
    s.none(ptr * 2)  # slash dot
    for i in range(NNOTE):
        n = p.note[i] if i < len(p.note) else None
        s.text(kbytes(n.msg) if n else b"", ERRMAX)
        s.word(n.flag if n else 0)
    s.b += struct.pack("<hh", len(p.note), p.notified)
    s.text(kbytes(p.lastnote.msg), ERRMAX)
    s.word(p.lastnote.flag, p.notify)
    s.none(ptr * 5)  # lockwait lastlock lastilock wired mp
    s.word(p.nlocks, p.delaysched, p.priority, p.basepri, p.fixedpri, p.cpu, p.lastupdate, 0)  # 0: yield
    s.word(0, 0, 0)  # readytime movetime preempted
    s.none(ptr)  # edf
    s.word(p.trace)
    s.none(ptr * 2)  # qpc eql
    s.word(p.setargs, p.ureg)
    s.none(ptr + 12)  # dbgreg Notsave
    s.none(ptr * 4)  # mmupdb mmufree mmuused kmaptable
    s.word(p.lastkmap, p.nkmap)
    s.none(3 * 8 + ptr)  # gdt ldt
    s.word(0)  # nldt
    s.none(ptr)  # syscalltrace
    return bytes(s.b)
