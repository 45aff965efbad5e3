"""A number for the whole state of a machine: the same exactly where two runs have come to the same point.

It holds what the guest could ever notice: memory, processors, processes with all their registers, and the kernel's
structures. What belongs to the host is left out, and what only speeds things up: translated code, TLBs.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from kernel.base.dat import Image, Page, Segment
from kernel.base.mem import BY2PG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emu.machine.machine import Machine
    from kernel.base.hw import Regs
    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Proc

ZERO: Final = bytes(BY2PG)
NAMES: Final = ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp", "pc", "flags")


def statehash(machine: Machine) -> str:
    """32 hexadecimal digits. The machine stands still, with the registers of what runs saved."""
    h = hashlib.blake2b(digest_size=16)
    for part in _kernel(machine.kernel):
        h.update(repr(part).encode())
    disk = machine.disk
    if disk is not None:
        for slot, refs in enumerate(machine.kernel.swapalloc.swmap):
            if refs:
                h.update(disk.read(slot * BY2PG, BY2PG))
    for pa, data in frames(machine):
        h.update(pa.to_bytes(4, "little"))
        h.update(data)
    return h.hexdigest()


def frames(machine: Machine) -> Iterator[tuple[int, bytes]]:
    """The frames of memory that are not all zeros, each with its physical address."""
    k = machine.kernel
    buf = machine.memory.buf
    fresh = range(k.palloc.base, k.palloc.base + k.palloc.fresh * BY2PG)  # nobody was ever given one of these
    for pa in range(0, machine.memory.size, BY2PG):
        if pa in fresh:
            continue
        data = bytes(buf[pa : pa + BY2PG])
        if data != ZERO:
            yield pa, data


def _kernel(k: Kernel) -> Iterator[object]:
    for m in k.machs:
        yield m.machno, m.cpu.now(), m.cpu.getcr3(), m.ticks, m.nexttick, m.schedticks, m.cs, m.flushmmu, m.inidle
        yield _pid(m.proc), _pid(m.readied)
    yield k.nfault, k.nsyscall, k.npageout, k.nswapwrite, k.nswapin, k.nreclaim, k.nsegment, k.lastticks, k.epoch
    procs = k.procs
    yield procs.pidgen, procs.runvec, [(when, order, p.pid, n) for when, order, p, n in sorted(procs.timers)]
    for q in procs.runq:
        yield _chain(q.head)
    yield k.rng.getstate()
    seen: dict[int, Segment] = {}
    for p in procs.proctab:
        yield from _proc(p)
        seen |= {s.id: s for s in p.seg if s is not None}
    for _, s in sorted(seen.items()):
        yield _segment(s)
    pa = k.palloc
    yield pa.freecount, pa.fresh, pa.head.pa if pa.head is not None else None
    for n, page in sorted(pa.pages.items()):
        yield n, _page(page), page.next.pa if page.next is not None else None
    for image in (*k.imagealloc.list, k.swapimage, k.fscache):
        if image.ref:
            yield _image(image)
    sa = k.swapalloc
    yield sa.free, sa.last, sa.top, bytes(sa.swmap)
    yield bytes(k.files.kmesg)


def _pid(p: Proc | None) -> int:
    return p.pid if p is not None else 0


def _chain(p: Proc | None) -> list[int]:
    pids = []
    while p is not None:
        pids.append(p.pid)
        p = p.rnext
    return pids


def _proc(p: Proc) -> Iterator[object]:
    yield p.index, p.pid, p.noteid, p.text, p.user, p.args, p.state, p.psstate, p.inkernel, p.parentpid, p.nchild
    yield p.mach.machno if p.mach is not None else None, p.priority, p.basepri, p.cpu, p.since, p.time, p.alarm
    yield p.insyscall, p.scallnr, p.s, p.notepending, p.notify, p.notified, p.ureg, p.nlocks, p.newtlb, p.procctl
    yield [(n.msg, n.flag) for n in p.note], [(w.pid, w.msg) for w in p.waitq], bytes(p.errbuf), bytes(p.syserrbuf)
    yield p.fpstate, bytes(p.fpuser), p.rendtag, p.rendval, p.trapno, p.ecode
    yield [s.id if s is not None else None for s in p.seg]
    fgrp = p.fgrp
    if fgrp is not None:
        yield [(fd, c.qid.path, c.mode, c.offset) for fd, c in enumerate(fgrp.fd[: fgrp.maxfd + 1]) if c is not None]
    tables = p.mmuused
    while tables is not None:
        yield tables.pa, tables.daddr
        tables = tables.next
    yield p.mmupdb.pa if p.mmupdb is not None else None
    if p.regs is not None:
        yield registers(p.regs)


def registers(regs: Regs) -> tuple[object, ...]:
    """All that a process in user mode has in its processor."""
    return (*(getattr(regs, name) for name in NAMES), regs.fpsave())


def _segment(s: Segment) -> object:
    entries = [
        (x, y, e.pa if isinstance(e, Page) else e)
        for x, pte in enumerate(s.map)
        if pte is not None
        for y, e in enumerate(pte.pages)
        if e is not None
    ]
    image = s.image.num if s.image is not None else None
    return s.id, s.ref, s.type, s.base, s.top, s.fstart, s.flen, s.flushme, s.steal, image, entries


def _page(p: Page) -> object:
    image = p.image.num if p.image is not None else None
    return p.pa, p.va, p.daddr, p.ref, p.refage, p.modref, image, bytes(p.cachectl)


def _image(i: Image) -> object:
    return i.num, i.ref, i.pgref, i.qid.path, i.qid.vers, i.s.id if i.s is not None else None
