"""System calls on processes and memory. Source: port/sysproc.c."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from kernel.chan import Chan, cclose, current, incref, namec, quote, validnamedup
from kernel.chandat import kbytes
from kernel.dat import (
    BSEG,
    DSEG,
    ESEG,
    NSEG,
    SG_BSS,
    SG_CEXEC,
    SG_DATA,
    SG_RONLY,
    SG_STACK,
    SG_TEXT,
    SG_TYPE,
    SSEG,
    TSEG,
    FPactive,
    FPillegal,
    FPinit,
    Note,
    Proc,
    Proc_stopme,
    Proc_tracesyscall,
    Rendezvous,
    Rgrp,
    Segment,
    Sema,
    TReal,
    Waitmsg,
)
from kernel.error import (
    ERRMAX,
    Ebadarg,
    Ebadexec,
    Egreg,
    Enovmem,
    Eperm,
    Error,
)
from kernel.event import ProcEvent, SegmentEvent
from kernel.fault import seg, validaddr
from kernel.mem import BY2PG, BY2WD, HZ, MASK32, PGMASK, PGROUND, PGSHIFT, USTKSIZE, USTKTOP, UTZERO
from kernel.page import checkpagerefs
from kernel.pgrp import (
    closeegrp,
    closefgrp,
    closepgrp,
    closergrp,
    dupfgrp,
    envcpy,
    fdclose,
    newegrp,
    newpgrp,
    newrgrp,
    pgrpcpy,
)
from kernel.qlock import qlock, qunlock
from kernel.segment import (
    attachimage,
    dupseg,
    ibrk,
    isoverlap,
    mfreeseg,
    newseg,
    putseg,
    relocateseg,
    segflush,
    segname,
)
from kernel.segment import segattach as attach
from kernel.taslock import lock, unlock
from kernel.uaccess import ufetch, uframe, umove, usetword, ustore, ustr, uword, vmemchr

if TYPE_CHECKING:
    from kernel.kernel import Kernel

Args = tuple[int, ...]

RFNAMEG, RFENVG, RFFDG, RFNOTEG, RFPROC, RFMEM, RFNOWAIT = (1 << i for i in range(7))
RFCNAMEG, RFCENVG, RFCFDG, RFREND, RFNOMNT = (1 << i for i in range(10, 15))

Aopen = 3
OEXEC = 3

AOUT_MAGIC = 0x1EB  # I_MAGIC: 386
EXECSIZE = 32
OWAITMSG = 64  # bytes of the status in the old wait's message
TOSSIZE = 56


def evenaddr(k: Kernel, addr: int) -> None:
    """Words need not be aligned on a 386. Source: pc/fns.h:evenaddr."""


def sysr1(k: Kernel, args: Args) -> int:
    """Check the page reference counts. Source: port/sysproc.c:sysr1."""
    if current(k).user != k.eve:
        raise Error(Eperm)
    checkpagerefs(k)
    return 0


def sysrfork(k: Kernel, args: Args) -> int:
    """Make a process, or change what this one shares; the child's pid, 0 in the child.

    Source: port/sysproc.c:sysrfork.
    """
    up = current(k)
    flag = args[0]
    for a, b in ((RFFDG, RFCFDG), (RFNAMEG, RFCNAMEG), (RFENVG, RFCENVG)):
        if flag & a and flag & b:
            raise Error(Ebadarg)

    if not flag & RFPROC:
        if flag & (RFMEM | RFNOWAIT):
            raise Error(Ebadarg)
        assert up.fgrp is not None and up.pgrp is not None and up.rgrp is not None and up.egrp is not None
        if flag & (RFFDG | RFCFDG):
            ofg = up.fgrp
            up.fgrp = dupfgrp(k, ofg if flag & RFFDG else None)
            closefgrp(k, ofg)
        if flag & (RFNAMEG | RFCNAMEG):
            opg = up.pgrp
            npg = newpgrp(k)
            if flag & RFNAMEG:
                pgrpcpy(k, npg, opg)
            up.pgrp = npg
            up.pgrp.noattach = opg.noattach
            closepgrp(k, opg)
        if flag & RFNOMNT:
            up.pgrp.noattach = True
        if flag & RFREND:
            org = up.rgrp
            up.rgrp = newrgrp(k)
            closergrp(k, org)
        if flag & (RFENVG | RFCENVG):
            oeg = up.egrp
            neg = newegrp(k)
            if flag & RFENVG:
                envcpy(k, neg, oeg)
            up.egrp = neg
            closeegrp(k, oeg)
        if flag & RFNOTEG:
            up.noteid = k.procs.pidalloc()
        return 0

    p = k.procs.newproc()
    p.scallnr = up.scallnr
    p.slash = up.slash
    p.dot = up.dot
    assert p.dot is not None
    incref(k, p.dot)
    p.s = up.s
    p.privatemem = up.privatemem
    p.noswap = up.noswap
    p.note = [Note(n.msg, n.flag) for n in up.note]
    p.lastnote = Note(up.lastnote.msg, up.lastnote.flag)
    p.notify = up.notify
    p.ureg = up.ureg

    try:
        # Make a new set of memory segments
        qlock(k, p.seglock)
        try:
            for i in range(NSEG):
                if up.seg[i] is not None:
                    p.seg[i] = dupseg(k, up.seg, i, flag & RFMEM)
        except Error:
            qunlock(k, p.seglock)
            raise
        qunlock(k, p.seglock)

        assert up.fgrp is not None and up.pgrp is not None and up.rgrp is not None and up.egrp is not None
        if flag & (RFFDG | RFCFDG):
            p.fgrp = dupfgrp(k, up.fgrp if flag & RFFDG else None)
        else:
            p.fgrp = up.fgrp
            incref(k, p.fgrp)
        if flag & (RFNAMEG | RFCNAMEG):
            p.pgrp = newpgrp(k)
            if flag & RFNAMEG:
                pgrpcpy(k, p.pgrp, up.pgrp)
            p.pgrp.noattach = up.pgrp.noattach
        else:
            p.pgrp = up.pgrp
            incref(k, p.pgrp)
        if flag & RFNOMNT:
            p.pgrp.noattach = True
        if flag & RFREND:
            p.rgrp = newrgrp(k)
        else:
            p.rgrp = up.rgrp
            incref(k, p.rgrp)
        if flag & (RFENVG | RFCENVG):
            p.egrp = newegrp(k)
            if flag & RFENVG:
                envcpy(k, p.egrp, up.egrp)
        else:
            p.egrp = up.egrp
            incref(k, p.egrp)
    except Error:
        # abort the child
        p.kp = True
        # The original lets the parent go on writing pages that the dying child shares; if its segment is another
        # process's too, that one's copy of a page then misses what the parent writes until the next flush.
        k.mmu.flushmmu()
        k.procs.start(p, lambda: k.procs.pexit("fork aborted", True))
        k.procs.ready(p)
        raise
    p.hang = up.hang
    p.procmode = up.procmode
    if up.procctl == Proc_tracesyscall:
        p.procctl = Proc_tracesyscall

    # forkchild: the child comes out in user mode with 0
    assert p.regs is not None and up.regs is not None
    p.regs.copyfrom(up.regs)
    p.regs.ax = 0
    p.fpstate = up.fpstate & ~FPillegal
    p.fpsave[:] = up.fpsave
    p.fpuser = up.fpuser
    p.regs.fpenable(p.fpstate == FPactive)
    k.procs.start(p, k.procs.user)

    p.parent = up
    if not flag & RFNOWAIT:
        p.parentpid = up.pid
        lock(k, up.exl)
        up.nchild += 1
        unlock(k, up.exl)
    if not flag & RFNOTEG:
        p.noteid = up.noteid

    pid = p.pid
    p.time = [0] * 6
    p.time[TReal] = k.machs[0].ticks
    p.text = up.text
    p.user = up.user
    # procfork
    p.kentry = up.kentry
    p.pcycles = -p.kentry
    if k.sink is not None:
        k.emit(ProcEvent(0, 0, 0, "fork", up.text, pid, ""))

    # The bss and data are shareable now: what the mmu knows of this process is stale.
    k.mmu.flushmmu()
    p.basepri = p.priority = up.basepri
    p.fixedpri = up.fixedpri
    p.mp = up.mp
    if up.wired is not None:
        k.procs.procwired(p, up.wired.machno)
    k.procs.ready(p)
    k.procs.sched()
    return pid


def shargs(line: bytes) -> list[bytes]:
    """The words of a #! line, up to a NUL; [] if it has no newline. Source: port/sysproc.c:shargs."""
    end = line.find(b"\n", 2)
    if end < 0:
        return []
    return [w for w in line[2:end].partition(b"\0")[0].replace(b"\t", b" ").split(b" ") if w]


def sysexec(k: Kernel, args: Args) -> int:
    """Run another program in this process. Source: port/sysproc.c:sysexec."""
    validaddr(k, args[0], 1, False)
    return exec_(k, kbytes(validnamedup(k, args[0], True)), args[1])


def exec_(k: Kernel, file: bytes, argv: int | list[bytes]) -> int:
    """sysexec() with the name fetched; argv is the user's array, or, for the first process, the strings.

    The result is the address of the Tos, for AX. Errors leave the process as it was until its old
    memory is gone; after that they end it. Source: port/sysproc.c:sysexec.
    """
    try:
        return _exec(k, file, argv)
    except Error as e:
        if current(k).seg[SSEG] is None:  # disaster after commit
            k.procs.pexit(str(e), True)
        raise


def _header(k: Kernel, file: bytes) -> tuple[Chan, list[bytes], str, tuple[int, ...]]:
    """Open the program, following one #! line: its channel, the words before its arguments, name and header."""
    up = current(k)
    progarg: list[bytes] = []
    elem = ""
    while True:
        tc = namec(k, file, Aopen, OEXEC, 0)
        try:
            if not progarg:
                elem = up.genbuf
            head = k.devtab[tc.type].read(tc, EXECSIZE, 0)
            if len(head) < 2:
                raise Error(Ebadexec)
            h = struct.unpack(">8I", head.ljust(EXECSIZE, b"\0"))
            if len(head) == EXECSIZE and h[0] == AOUT_MAGIC:
                text, entry = h[1], h[5]
                if (
                    text >= USTKTOP - USTKSIZE - (UTZERO + EXECSIZE)
                    or entry < UTZERO + EXECSIZE
                    or entry >= UTZERO + EXECSIZE + text
                ):
                    raise Error(Ebadexec)
                return tc, progarg, elem, h
            if progarg or head[:2] != b"#!":
                raise Error(Ebadexec)
            words = shargs(head)
            if not words or len(k.encode(elem)) >= 64:
                raise Error(Ebadexec)
            # the name given becomes the last argument, the interpreter the file
            progarg = [k.encode(elem), *words[1:], file]
            file = words[0]
        except Error:
            cclose(k, tc)
            raise
        cclose(k, tc)


def _countargs(k: Kernel, argp: int | list[bytes]) -> tuple[int, int]:
    """First look at the arguments: how many, and the bytes they take with their NULs; each page is checked."""
    if isinstance(argp, list):
        return len(argp), sum(len(a) + 1 for a in argp)
    nargs = nbytes = 0
    validaddr(k, argp, BY2WD, False)
    while a := uword(k, argp, "sysexec"):
        argp = (argp + BY2WD) & MASK32
        if argp & PGMASK < BY2WD:
            validaddr(k, argp, BY2WD, False)
        nbytes += _arglen(k, a)
        nargs += 1
    return nargs, nbytes


def _arglen(k: Kernel, a: int) -> int:
    """Bytes of the argument at user address a, with its NUL; each page is checked."""
    validaddr(k, a, 1, False)
    return vmemchr(k, a, 0, 0x7FFFFFFF) - a + 1


def _exec(k: Kernel, file: bytes, argv: int | list[bytes]) -> int:
    up = current(k)
    tc, progarg, elem, h = _header(k, file)
    try:
        _, text, data, bss, _, entry, _, _ = h
        t = PGROUND(UTZERO + EXECSIZE + text)
        d = PGROUND(t + data)
        bssend = t + data + bss
        b = PGROUND(bssend)
        # 32-bit sums wrap: a header that claims more than there is address space is no program
        if max(t, d, b, bssend, t + data) >= USTKTOP - USTKSIZE:
            raise Error(Ebadexec)

        argp: int | list[bytes] = argv
        if progarg:  # a script's own name is left out
            argp = argv[1:] if isinstance(argv, list) else (argv + BY2WD) & MASK32
        nargs, nbytes = _countargs(k, argp)
        nargs += len(progarg)
        nbytes += TOSSIZE + sum(len(a) + 1 for a in progarg)
        ssize = BY2WD * (nargs + 1) + (nbytes + BY2WD - 1 & ~(BY2WD - 1))
        if ssize + 4 & 7:  # 8-byte aligned; execregs takes 4 more for argc
            ssize += 4
        if PGROUND(ssize) >= USTKSIZE:
            raise Error(Enovmem)

        # Build the stack segment, below the old one for the moment
        qlock(k, up.seglock)
        try:
            s = up.seg[SSEG]
            while s is not None:
                tstk = s.base
                if tstk <= USTKSIZE:
                    raise Error(Enovmem)
                s = isoverlap(k, up, tstk - USTKSIZE, USTKSIZE)
            up.seg[ESEG] = newseg(k, SG_STACK, tstk - USTKSIZE, USTKSIZE // BY2PG)
            kept = _fillstack(k, tstk, ssize, nbytes, nargs, progarg, argp)
            _commit(k, up, tc, t, d, b, text, data, tstk)
        except Error:
            if up.seg[SSEG] is not None:  # the original keeps it, and loses it with the next exec
                s, up.seg[ESEG] = up.seg[ESEG], None
                putseg(k, s)
                k.mmu.flushmmu()
            qunlock(k, up.seglock)
            raise
        qunlock(k, up.seglock)
        up.priority = up.basepri  # not PriRoot for what comes from #/: it is a file server's place here
    except Error:
        cclose(k, tc)
        raise
    cclose(k, tc)

    qlock(k, up.debug)
    up.text = elem
    up.args = kept
    up.setargs = False
    up.note.clear()
    up.notify = 0
    up.notified = False
    up.privatemem = False
    # procsetup
    up.kentry = k.m.cpu.now()
    up.pcycles = -up.kentry
    qunlock(k, up.debug)
    if k.sink is not None:
        k.emit(ProcEvent(0, 0, 0, "exec", up.text, 0, k.decode(file)))

    # what the mmu knows is the old address space
    k.mmu.flushmmu()
    if up.hang:
        up.procctl = Proc_stopme
    return execregs(k, up, entry, ssize, nargs)


def keepargs(args: bytes) -> bytes:
    """What /proc keeps of the first 128 bytes of arguments: up to a whole character and a NUL.

    Source: port/sysproc.c:sysexec.
    """
    if args and args[-1] != 0:
        i = len(args) - 1
        while i > 0 and not fullrune(args[i:]):
            i -= 1
        args = args[:i] + b"\0"
    return args


def fullrune(b: bytes) -> bool:
    """Whether b, which is not empty, is long enough for the character its first byte begins. Source: fullrune(2)."""
    need = 1 if b[0] < 0x80 else 2 if b[0] < 0xE0 else 3 if b[0] < 0xF0 else 4
    return len(b) >= need


def _fillstack(
    k: Kernel, tstk: int, ssize: int, nbytes: int, nargs: int, progarg: list[bytes], argp: int | list[bytes]
) -> bytes:
    """Store Tos, argument pointers and strings in the temporary stack that ends at tstk; what /proc keeps of them.

    Second look at the arguments, whose memory others may share: a string that has grown runs over the Tos and what
    lies above. Where the original then has a fault of its own, it is a bad address here, as at the first look.
    """
    tos = tstk - TOSSIZE
    ustore(k, tos + 24, struct.pack("<QqqII", k.cyclefreq, 0, 0, 0, 0), "sysexec")
    strings = [*progarg, *argp] if isinstance(argp, list) else progarg
    at = tstk - ssize
    start = charp = tstk - nbytes
    for i in range(nargs):
        usetword(k, at, charp + (USTKTOP - tstk), "sysexec")
        at += BY2WD
        if i < len(strings):
            ustore(k, charp, strings[i] + b"\0", "memmove")
            charp += len(strings[i]) + 1
            continue
        assert isinstance(argp, int)
        a = uword(k, argp + BY2WD * (i - len(strings)) & MASK32, "sysexec")
        n = _arglen(k, a)
        validaddr(k, charp, n, True)
        umove(k, charp, a, n)
        charp += n
    return keepargs(ufetch(k, start, min(charp - start, 128)))


def _commit(k: Kernel, up: Proc, tc: Chan, t: int, d: int, b: int, text: int, data: int, tstk: int) -> None:
    """Replace the old memory by the new program's. There is no way back after this."""
    for i in range(SSEG, BSEG + 1):
        s, up.seg[i] = up.seg[i], None  # first nil, lest an error free it again
        putseg(k, s)
    for i in range(ESEG + 1, NSEG):
        s = up.seg[i]
        if s is not None and s.type & SG_CEXEC:
            up.seg[i] = None
            putseg(k, s)

    f = up.fgrp
    if f is not None:
        for fd in range(f.maxfd + 1):
            fdclose(k, fd, Chan.CCEXEC)

    # Text is shared, and attached to the image of its file. attachimage returns it locked.
    img = attachimage(k, SG_TEXT | SG_RONLY, tc, UTZERO, t - UTZERO >> PGSHIFT)
    ts = img.s
    assert ts is not None
    up.seg[TSEG] = ts
    ts.flushme = True
    ts.fstart = 0
    ts.flen = EXECSIZE + text
    unlock(k, img)

    s = newseg(k, SG_DATA, t, d - t >> PGSHIFT)
    up.seg[DSEG] = s
    incref(k, img)
    s.image = img
    s.fstart = ts.fstart + ts.flen
    s.flen = data

    up.seg[BSEG] = newseg(k, SG_BSS, d, b - d >> PGSHIFT)

    # Move the stack to its place
    s = up.seg[ESEG]
    assert s is not None
    up.seg[ESEG] = None
    s.base = USTKTOP - USTKSIZE
    s.top = USTKTOP
    relocateseg(k, s, USTKTOP - tstk)
    up.seg[SSEG] = s


def execregs(k: Kernel, up: Proc, entry: int, ssize: int, nargs: int) -> int:
    """Start the program at entry with argc on its stack; the address of the Tos. Source: pc/trap.c:execregs."""
    sp = USTKTOP - ssize - BY2WD
    usetword(k, sp, nargs, "execregs")
    regs = up.regs
    assert regs is not None
    keep = (regs.bx, regs.cx, regs.dx, regs.si, regs.di, regs.bp)
    regs.clear()  # procsetup: a new FPU state; the general registers stay as the caller left them
    up.fpstate = FPinit
    up.fpuser = b""
    regs.fpenable(False)
    regs.bx, regs.cx, regs.dx, regs.si, regs.di, regs.bp = keep
    regs.sp = sp
    regs.pc = entry
    return USTKTOP - TOSSIZE


def syssleep(k: Kernel, args: Args) -> int:
    """Sleep for so many ms, at least one tick; 0 lets others run. Source: port/sysproc.c:syssleep."""
    ms = (args[0] ^ 0x80000000) - 0x80000000
    if ms <= 0:
        k.procs.yield_()
    else:
        up = current(k)
        k.procs.tsleep(up.sleep, lambda: False, max(ms, 1000 // HZ))
    return 0


def sysalarm(k: Kernel, args: Args) -> int:
    """Ask for the note "alarm" in so many ms; what was left of the last one. Source: port/sysproc.c:sysalarm."""
    return k.procs.alarms.set(args[0])


def sysexits(k: Kernel, args: Args) -> int:
    """End the process with a status string. Source: port/sysproc.c:sysexits."""
    status: str | None = None
    if args[0]:
        try:
            validaddr(k, args[0], 1, False)
            if vmemchr(k, args[0], 0, ERRMAX):
                status = k.decode(ustr(k, args[0]))
            else:
                status = k.decode(ufetch(k, args[0], ERRMAX - 1))
        except Error:
            status = "invalid exit string"
    k.procs.pexit(status, True)


def sysawait(k: Kernel, args: Args) -> int:
    """Wait for a child; its pid, times and status as text. Source: port/sysproc.c:sysawait."""
    p, n = args[0], args[1]
    validaddr(k, p, n, True)
    w = k.procs.pwait()
    if n == 0:
        return -1  # snprint's; the record is gone, and the error string is left as it was
    data = waittext(k, w, n)
    ustore(k, p, data + b"\0")
    return len(data)


def waittext(k: Kernel, w: Waitmsg, n: int) -> bytes:
    """A wait record as await tells it, cut to fit n bytes with its NUL. Source: port/sysproc.c:sysawait."""
    text = f"{w.pid} {w.time[0]} {w.time[1]} {w.time[2]} "
    return k.encode(text + quote(w.msg, False, max(n - len(text), 1)))[: max(n - 1, 0)]


def sys_wait(k: Kernel, args: Args) -> int:
    """The old wait call: pid and times as decimal fields, then the status. Source: port/sysproc.c:sys_wait."""
    ow = args[0]
    if ow == 0:
        return k.procs.pwait().pid
    validaddr(k, ow, 12 + 36 + OWAITMSG, True)
    w = k.procs.pwait()
    ustore(k, ow, b"".join(b"%11d " % v for v in (w.pid, *w.time)))
    ustore(k, ow + 48, k.encode(w.msg)[: OWAITMSG - 1].ljust(OWAITMSG, b"\0"))
    return w.pid


def _generrstr(k: Kernel, buf: int, n: int) -> int:
    up = current(k)
    if n == 0:
        raise Error(Ebadarg)
    validaddr(k, buf, n, True)
    n = min(n, ERRMAX)
    old = ufetch(k, buf, n).split(b"\0")[0][: n - 1]
    ustore(k, buf, k.encode(up.syserrstr)[: n - 1].ljust(n, b"\0"))
    up.syserrstr = k.decode(old)
    return 0


def syserrstr(k: Kernel, args: Args) -> int:
    """Exchange the error string with the caller's. Source: port/sysproc.c:syserrstr."""
    return _generrstr(k, args[0], args[1])


def sys_errstr(k: Kernel, args: Args) -> int:
    """errstr() of old binaries, 64 bytes. Source: port/sysproc.c:sys_errstr."""
    return _generrstr(k, args[0], 64)


def sysnotify(k: Kernel, args: Args) -> int:
    """Set the note handler. Source: port/sysproc.c:sysnotify."""
    if args[0]:
        validaddr(k, args[0], BY2WD, False)
    current(k).notify = args[0]
    return 0


def sysnoted(k: Kernel, args: Args) -> int:
    """Return from a note handler; syscall() does the work. Source: port/sysproc.c:sysnoted."""
    if args[0] != 3 and not current(k).notified:
        raise Error(Egreg)
    return 0


# Memory


def syssegbrk(k: Kernel, args: Args) -> int:
    """Move the end of the segment that holds an address. Source: port/sysproc.c:syssegbrk."""
    up = current(k)
    for i, s in enumerate(up.seg):
        if s is None or not s.base <= args[0] < s.top:
            continue
        if s.type & SG_TYPE in (SG_TEXT, SG_DATA, SG_STACK):
            raise Error(Ebadarg)
        return ibrk(k, args[1], i)
    raise Error(Ebadarg)


def syssegattach(k: Kernel, args: Args) -> int:
    """Attach a segment by name. Source: port/sysproc.c:syssegattach."""
    attr, name, va, len = args[:4]
    if va != 0 and va >= USTKTOP:
        raise Error(Ebadarg)
    validaddr(k, name, 1, False)
    vmemchr(k, name, 0, 0x7FFFFFFF)
    return attach(k, current(k), attr, name, va, len)


def syssegdetach(k: Kernel, args: Args) -> int:
    """Give up the segment that holds an address, but not the stack. Source: port/sysproc.c:syssegdetach."""
    up = current(k)
    addr = args[0]
    qlock(k, up.seglock)
    for i in range(NSEG):
        s = up.seg[i]
        if s is not None:
            qlock(k, s)
            if s.base <= addr < s.top or (s.top == s.base and addr == s.base):
                break
            qunlock(k, s)
    else:
        qunlock(k, up.seglock)
        raise Error(Ebadarg)
    if s is up.seg[SSEG]:
        qunlock(k, s)
        qunlock(k, up.seglock)
        raise Error(Ebadarg)
    up.seg[i] = None
    qunlock(k, s)
    if k.sink is not None:
        k.emit(SegmentEvent(0, 0, 0, "detach", segname(s), s.base, s.top, s.ref))
    putseg(k, s)
    qunlock(k, up.seglock)
    k.mmu.flushmmu()
    return 0


def syssegfree(k: Kernel, args: Args) -> int:
    """Give up whole pages inside one segment; they read as fresh. Source: port/sysproc.c:syssegfree."""
    start = args[0]
    s = seg(k, current(k), start, 1)
    if s is None:
        raise Error(Ebadarg)
    to = (args[1] + start) & MASK32 & ~PGMASK
    start = PGROUND(start)
    if to > s.top:
        qunlock(k, s)
        raise Error(Ebadarg)
    # the original divides an unsigned difference: a negative one is a huge count that ends at the map's end
    pages = ((to - start) & MASK32) // BY2PG
    mfreeseg(k, s, start, pages)
    qunlock(k, s)
    k.mmu.flushmmu()
    return 0


def syssegflush(k: Kernel, args: Args) -> int:
    """Code was changed by data stores: have it fetched anew. Source: port/segment.c:syssegflush."""
    return segflush(k, args[0], args[1])


def sysbrk_(k: Kernel, args: Args) -> int:
    """Move the end of the bss. Source: port/sysproc.c:sysbrk_."""
    return ibrk(k, args[0], BSEG)


def sysrendezvous(k: Kernel, args: Args) -> int:
    """Meet another process of the group at a tag and exchange values. Source: port/sysproc.c:sysrendezvous."""
    up = current(k)
    tag, new = args[0], args[1]
    rgrp = up.rgrp
    assert isinstance(rgrp, Rgrp)
    h = tag % len(rgrp.rendhash)
    lock(k, rgrp)
    l: Proc | None = None
    p = rgrp.rendhash[h]
    while p is not None:
        if p.rendtag == tag:
            if l is None:
                rgrp.rendhash[h] = p.rendhash
            else:
                l.rendhash = p.rendhash
            val = p.rendval
            p.rendval = new
            unlock(k, rgrp)
            k.procs.ready(p)
            return val
        l, p = p, p.rendhash

    up.rendtag = tag
    up.rendval = new
    up.rendhash = rgrp.rendhash[h]
    rgrp.rendhash[h] = up
    up.state = Rendezvous
    unlock(k, rgrp)
    k.procs.sched()
    return up.rendval


# Semaphores. The value is in user memory and is changed by compare-and-swap only; the waiters are in a
# list of the segment. An acquirer announces itself (waiting), tries once more, and sleeps until a
# releaser clears waiting; whoever ends up not using its wakeup passes it on. Source: port/sysproc.c.


def _cmpswap(k: Kernel, addr: int, old: int, new: int) -> bool:
    """One instruction: it faults, if it must, for writing and before it looks. Source: pc/l.s:cmpswap486."""
    for a in (addr, addr + BY2WD - 1):
        uframe(k, a, True, "cmpswap")
    if uword(k, addr, "cmpswap") != old & MASK32:
        return False
    usetword(k, addr, new, "cmpswap")
    return True


def _signed(v: int) -> int:
    return (v ^ 0x80000000) - 0x80000000


def semqueue(k: Kernel, s: Segment, p: Sema) -> None:
    """Add p to the waiters of s. Source: port/sysproc.c:semqueue."""
    lock(k, s.semalock)
    s.sema.append(p)
    unlock(k, s.semalock)


def semdequeue(k: Kernel, s: Segment, p: Sema) -> None:
    """Remove p from the waiters of s. Source: port/sysproc.c:semdequeue."""
    lock(k, s.semalock)
    s.sema.remove(p)
    unlock(k, s.semalock)


def semwakeup(k: Kernel, s: Segment, addr: int, n: int) -> None:
    """Wake up to n waiters at addr, oldest first. Source: port/sysproc.c:semwakeup."""
    lock(k, s.semalock)
    for p in s.sema:
        if n <= 0:
            break
        if p.addr == addr and p.waiting:
            p.waiting = False
            k.procs.wakeup(p)
            n -= 1
    unlock(k, s.semalock)


def canacquire(k: Kernel, addr: int) -> bool:
    """Take one from the semaphore if it is positive. Source: port/sysproc.c:canacquire."""
    while (value := _signed(uword(k, addr, "canacquire"))) > 0:
        if _cmpswap(k, addr, value, value - 1):
            return True
    return False


def semacquire(k: Kernel, s: Segment, addr: int, ms: int | None) -> int:
    """Take one, waiting up to ms milliseconds, or for ever; 0 if the time is up.

    A note ends the wait with its error. Source: port/sysproc.c:semacquire, tsemacquire.
    """
    if canacquire(k, addr):
        return 1
    if ms == 0:
        return 0
    failed: Error | None = None
    timedout = False
    phore = Sema(addr)
    semqueue(k, s, phore)
    while True:
        phore.waiting = True
        if canacquire(k, addr):
            break
        try:
            if ms is None:
                k.procs.sleep(phore, lambda: not phore.waiting)
            else:
                t = k.m.ticks
                k.procs.tsleep(phore, lambda: not phore.waiting, ms)
                elms = (k.m.ticks - t) * (1000 // HZ)
                if elms >= ms:
                    timedout = True
                    break
                ms -= elms
        except Error as e:
            failed = e
            break
    semdequeue(k, s, phore)
    if not phore.waiting:
        semwakeup(k, s, addr, 1)
    if timedout:
        return 0
    if failed is not None:
        raise failed
    return 1


def _semseg(k: Kernel, addr: int) -> Segment:
    s = seg(k, current(k), addr, 0)
    if s is None or s.type & SG_RONLY or addr + BY2WD > s.top:
        validaddr(k, addr, BY2WD, True)
        raise Error(Ebadarg)
    if _signed(uword(k, addr, "syssemacquire")) < 0:
        raise Error(Ebadarg)
    return s


def syssemacquire(k: Kernel, args: Args) -> int:
    """Source: port/sysproc.c:syssemacquire."""
    s = _semseg(k, args[0])
    return semacquire(k, s, args[0], None if args[1] else 0)


def systsemacquire(k: Kernel, args: Args) -> int:
    """Source: port/sysproc.c:systsemacquire."""
    s = _semseg(k, args[0])
    return semacquire(k, s, args[0], args[1])


def syssemrelease(k: Kernel, args: Args) -> int:
    """Add to a semaphore and wake as many; the new value. Source: port/sysproc.c:syssemrelease."""
    addr = args[0]
    s = _semseg(k, addr)
    delta = _signed(args[1])
    if delta < 0:
        raise Error(Ebadarg)
    while True:
        value = _signed(uword(k, addr, "semrelease"))
        if _cmpswap(k, addr, value, value + delta):
            break
    semwakeup(k, s, addr, delta)
    return value + delta


def sys_nsec(k: Kernel, args: Args) -> int:
    """Store the time of day in ns. Source: port/sysproc.c:sys_nsec."""
    validaddr(k, args[0], 8, True)
    ustore(k, args[0], k.nsec().to_bytes(8, "little", signed=True), "sys_nsec")
    return 0


