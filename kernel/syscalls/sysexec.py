"""exec. Source: port/sysproc.c:sysexec."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from kernel.base.chandat import Chan
from kernel.base.dat import BSEG, DSEG, ESEG, NSEG, SG_BSS, SG_CEXEC, SG_DATA, SG_RONLY, SG_STACK, SG_TEXT, SSEG, TSEG
from kernel.base.error import Ebadexec, Enovmem, Error
from kernel.base.event import ProcEvent
from kernel.base.kernel import current
from kernel.base.mem import BY2PG, BY2WD, MASK32, PGMASK, PGROUND, PGSHIFT, USTKSIZE, USTKTOP, UTZERO
from kernel.base.procdat import FPinit, Proc_stopme
from kernel.base.text import kbytes, keepargs, kstr
from kernel.files.chan import namec, validnamedup
from kernel.files.channel import cclose
from kernel.files.fd import fdclose
from kernel.memory.fault import validaddr
from kernel.memory.mmu import flushmmu
from kernel.memory.segment import attachimage, isoverlap, newseg, putseg, relocateseg, segevent
from kernel.memory.uaccess import memchr, ufetch, umove, usetword, ustore, uword, vmemchr
from kernel.process.proc import pexit
from kernel.sched.qlock import qlock, qunlock
from kernel.sched.ref import incref
from kernel.sched.taslock import unlock

if TYPE_CHECKING:
    from kernel.base.kernel import Args, Kernel
    from kernel.base.procdat import Proc


Aopen = 3
OEXEC = 3
AOUT_MAGIC = 0x1EB  # I_MAGIC: 386
EXECSIZE = 32
TOSSIZE = 56


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
            pexit(k, str(e), True)
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
            if not words or len(kbytes(elem)) >= 64:
                raise Error(Ebadexec)
            # the name given becomes the last argument, the interpreter the file
            progarg = [kbytes(elem), *words[1:], file]
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
        if max(t, d, b, *(() if k.variant.original_exechdr else (bssend, t + data))) >= USTKTOP - USTKSIZE:
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
            s = up.seg[ESEG] = newseg(k, SG_STACK, tstk - USTKSIZE, USTKSIZE // BY2PG)
            if k.sink is not None:
                segevent(k, "attach", s, p=up, slot=ESEG)
            kept = _fillstack(k, tstk, ssize, nbytes, nargs, progarg, argp)
            _commit(k, up, tc, t, d, b, text, data, tstk)
        except Error:
            # the original keeps it, and loses it with the next exec
            if up.seg[SSEG] is not None and not k.variant.original_execstack:
                s, up.seg[ESEG] = up.seg[ESEG], None
                if k.sink is not None and s is not None:
                    segevent(k, "detach", s, p=up, slot=ESEG)
                putseg(k, s)
                flushmmu(k)
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
        k.emit(ProcEvent(0, 0, 0, "exec", up.text, 0, kstr(file)))

    # what the mmu knows is the old address space
    flushmmu(k)
    if up.hang:
        up.procctl = Proc_stopme
    return execregs(k, up, entry, ssize, nargs)


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
    for a in strings:
        usetword(k, at, charp + (USTKTOP - tstk), "sysexec")
        at += BY2WD
        ustore(k, charp, a + b"\0", "memmove")
        charp += len(a) + 1
    for i in range(nargs - len(strings)):
        usetword(k, at, charp + (USTKTOP - tstk), "sysexec")
        at += BY2WD
        assert isinstance(argp, int)
        arg = uword(k, argp + BY2WD * i & MASK32, "sysexec")
        if k.variant.original_twice:
            n = memchr(k, arg, 0) - arg + 1
        else:
            n = _arglen(k, arg)
            validaddr(k, charp, n, True)
        umove(k, charp, arg, n)
        charp += n
    return keepargs(ufetch(k, start, min(charp - start, 128)))


def _commit(k: Kernel, up: Proc, tc: Chan, t: int, d: int, b: int, text: int, data: int, tstk: int) -> None:
    """Replace the old memory by the new program's. There is no way back after this."""
    for i in range(SSEG, BSEG + 1):
        s, up.seg[i] = up.seg[i], None  # first nil, lest an error free it again
        if k.sink is not None and s is not None:
            segevent(k, "detach", s, p=up, slot=i)
        putseg(k, s)
    for i in range(ESEG + 1, NSEG):
        s = up.seg[i]
        if s is not None and s.type & SG_CEXEC:
            up.seg[i] = None
            if k.sink is not None:
                segevent(k, "detach", s, p=up, slot=i)
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
    if k.sink is not None:
        segevent(k, "attach", ts, p=up, slot=TSEG)
    ts.flushme = True
    ts.fstart = 0
    ts.flen = EXECSIZE + text
    unlock(k, img)

    s = newseg(k, SG_DATA, t, (d - t & MASK32) >> PGSHIFT)
    up.seg[DSEG] = s
    if k.sink is not None:
        segevent(k, "attach", s, p=up, slot=DSEG)
    incref(k, img)
    s.image = img
    if k.sink is not None:
        segevent(k, "image", s)
    s.fstart = ts.fstart + ts.flen
    s.flen = data

    s = up.seg[BSEG] = newseg(k, SG_BSS, d, (b - d & MASK32) >> PGSHIFT)
    if k.sink is not None:
        segevent(k, "attach", s, p=up, slot=BSEG)

    # Move the stack to its place
    s = up.seg[ESEG]
    assert s is not None
    up.seg[ESEG] = None
    if k.sink is not None:
        segevent(k, "detach", s, p=up, slot=ESEG)
    s.base = USTKTOP - USTKSIZE
    s.top = USTKTOP
    relocateseg(k, s, USTKTOP - tstk)
    up.seg[SSEG] = s
    if k.sink is not None:
        segevent(k, "attach", s, p=up, slot=SSEG)


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
