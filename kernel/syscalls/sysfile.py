"""System calls on files. Source: port/sysfile.c.

Its descriptors are in :mod:`kernel.files.fd`, its reading of directories in :mod:`kernel.files.dirread`, bind and
mount in :mod:`kernel.syscalls.bindmount`, the stat calls of old in :mod:`kernel.syscalls.oldstat`.
Each call takes its five argument words and returns an int for the caller to cut to 32 bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from kernel.base.chandat import OEXCL, ORDWR, OREAD, OWRITE, QTDIR, Aaccess, Acreate, Aopen, Aremove, Atodir, chanpath
from kernel.base.error import Ebadarg, Ebadfd, Ebadstat, Egreg, Eisdir, Eismtpt, Eisstream, Enegoff, Enofd, Error
from kernel.base.kernel import current
from kernel.base.mem import s32, s64
from kernel.base.text import cut, kbytes
from kernel.files.chan import namec, nameerror, walk
from kernel.files.channel import cclone, cclose
from kernel.files.conv import BIT16SZ, STATFIXLEN, convM2D
from kernel.files.dev import devno, openmode
from kernel.files.dirread import dirname, dirread, dirsetname, mountrewind, unionrewind, validstat
from kernel.files.fd import fdclose, fdtochan, fgrp, growfd, newfd, newfd2, unlockfgrp
from kernel.memory.fault import validaddr
from kernel.memory.uaccess import ufetch, usetword, ustore
from kernel.sched.taslock import lock, unlock

if TYPE_CHECKING:
    from kernel.base.chandat import Chan, Path
    from kernel.base.kernel import Args, Kernel


SEEKBUF = 60 + 100  # room that seek has for a stat: sizeof(Dir)+100


class Userdata:
    """The bytes of a read or write, in the user's memory: they are touched, and fault, when the device copies them."""

    __slots__ = ("addr", "k", "n")

    def __init__(self, k: Kernel, addr: int, n: int) -> None:
        self.k = k
        self.addr = addr
        self.n = n

    def __len__(self) -> int:
        return self.n

    def store(self, at: int, data: bytes, fn: str) -> None:
        """Put the bytes of a read there."""
        ustore(self.k, self.addr + at, data, fn)

    @overload
    def __getitem__(self, key: slice, /) -> bytes: ...
    @overload
    def __getitem__(self, key: int, /) -> int: ...
    def __getitem__(self, key: slice | int, /) -> bytes | int:
        if isinstance(key, int):
            return self[key : key + 1][0]
        start, stop, step = key.indices(self.n)
        assert step == 1
        return ufetch(self.k, self.addr + start, stop - start)


def _install(k: Kernel, c: Chan) -> int:
    fd = newfd(k, c)
    if fd < 0:
        cclose(k, c)
        raise Error(Enofd)
    return fd


def sysfd2path(k: Kernel, args: Args) -> int:
    """Source: port/sysfile.c:sysfd2path."""
    fd, buf, n = args[:3]
    validaddr(k, buf, n, True)
    c = fdtochan(k, s32(fd), -1, False, True)
    if n != 0:
        name = kbytes(cut(chanpath(c), n))
        ustore(k, buf, name, "_fmtcpy")
        ustore(k, buf + len(name), b"\0", "vsnprint")
    cclose(k, c)
    return 0


def syspipe(k: Kernel, args: Args) -> int:
    """Source: port/sysfile.c:syspipe."""
    ufd = args[0]
    validaddr(k, ufd, 8, True)
    usetword(k, ufd + 4, 0xFFFFFFFF, "syspipe")
    usetword(k, ufd, 0xFFFFFFFF, "syspipe")
    d = k.devtab[devno(k, "|", False)]
    c0 = namec(k, "#|", Atodir)
    c1: Chan | None = None
    try:
        c1 = cclone(k, c0)
        try:
            c0 = walk(k, c0, ["data"], True)
            c1 = walk(k, c1, ["data1"], True)
        except Error:
            raise Error(Egreg) from None
        c0 = d.open(c0, ORDWR)
        c1 = d.open(c1, ORDWR)
        fds = newfd2(k, c0, c1)
        if fds is None:
            raise Error(Enofd)
    except Error:
        cclose(k, c0)
        if c1 is not None:
            cclose(k, c1)
        raise
    usetword(k, ufd, fds[0], "syspipe")
    usetword(k, ufd + 4, fds[1], "syspipe")
    return 0


def sysdup(k: Kernel, args: Args) -> int:
    """Source: port/sysfile.c:sysdup."""
    f = fgrp(k)
    c = fdtochan(k, s32(args[0]), -1, False, True)
    fd = s32(args[1])
    if fd == -1:
        return _install(k, c)
    lock(k, f)
    if fd < 0 or growfd(k, f, fd) < 0:
        unlockfgrp(k, f)
        cclose(k, c)
        raise Error(Ebadfd)
    f.maxfd = max(f.maxfd, fd)
    oc = f.fd[fd]
    f.fd[fd] = c
    unlockfgrp(k, f)
    if oc is not None:  # closed after the dup, so that "date > #d/1" works
        cclose(k, oc)
    return fd


def sysopen(k: Kernel, args: Args) -> int:
    """Source: port/sysfile.c:sysopen."""
    name, mode = args[:2]
    openmode(mode)  # for its check
    validaddr(k, name, 1, False)
    return _install(k, namec(k, name, Aopen, mode))


def syscreate(k: Kernel, args: Args) -> int:
    """Source: port/sysfile.c:syscreate."""
    name, mode, perm = args[:3]
    openmode(mode & ~OEXCL)
    validaddr(k, name, 1, False)
    return _install(k, namec(k, name, Acreate, mode, perm))


def sysclose(k: Kernel, args: Args) -> int:
    """Source: port/sysfile.c:sysclose."""
    fd = s32(args[0])
    fdtochan(k, fd, -1, False, False)
    fdclose(k, fd, 0)
    return 0


def read(k: Kernel, fd: int, p: int, n: int, offp: int | None) -> int:
    """Read at the channel's offset (offp None) or at offp. Source: port/sysfile.c:read."""
    validaddr(k, p, n, True)
    n = s32(n)
    c = fdtochan(k, fd, OREAD, True, True)
    try:
        off = c.offset if offp is None else offp
        if off >> 63:  # below 0, or past what a vlong holds
            raise Error(Enegoff)
        if off == 0:  # back to the beginning of a directory
            if offp is None:
                c.offset = 0
                c.devoffset = 0
            mountrewind(c)
            unionrewind(k, c)
        dev = k.devtab[c.type]
        if c.qid.type & QTDIR:
            nn, data = dirread(k, c, n, off)
            ustore(k, p, data, dev.stores(c))
            nnn = len(data)
        else:
            nnn = nn = dev.readto(c, Userdata(k, p, max(n, 0)), off)
        lock(k, c)
        c.devoffset += nn
        c.offset += nnn
        unlock(k, c)
    except Error:
        cclose(k, c)
        raise
    cclose(k, c)
    return nnn


def _offset(lo: int, hi: int) -> int | None:
    off = s64(lo, hi)
    return None if off == -1 else off


def sys_read(k: Kernel, args: Args) -> int:
    """Source: port/sysfile.c:sys_read."""
    return read(k, s32(args[0]), args[1], args[2], None)


def syspread(k: Kernel, args: Args) -> int:
    """Source: port/sysfile.c:syspread."""
    return read(k, s32(args[0]), args[1], args[2], _offset(args[3], args[4]))


def write(k: Kernel, fd: int, buf: int, n: int, offp: int | None) -> int:
    """Write at the channel's offset (offp None) or at offp. Source: port/sysfile.c:write.

    The channel's offset moves before the write, and back if less was written.
    """
    validaddr(k, buf, n, False)
    c = fdtochan(k, fd, OWRITE, True, True)
    moved = 0
    try:
        if c.qid.type & QTDIR:
            raise Error(Eisdir)
        if offp is None:
            lock(k, c)
            off = c.offset
            moved = s32(n)
            c.offset += moved
            unlock(k, c)
        else:
            off = offp
        if off >> 63:
            raise Error(Enegoff)
        m = k.devtab[c.type].write(c, Userdata(k, buf, n), off)
    except Error:
        if offp is None:
            lock(k, c)
            c.offset -= moved
            unlock(k, c)
        cclose(k, c)
        raise
    if offp is None and m < moved:
        lock(k, c)
        c.offset -= moved - m
        unlock(k, c)
    cclose(k, c)
    return m


def sys_write(k: Kernel, args: Args) -> int:
    """Source: port/sysfile.c:sys_write."""
    return write(k, s32(args[0]), args[1], args[2], None)


def syspwrite(k: Kernel, args: Args) -> int:
    """Source: port/sysfile.c:syspwrite."""
    return write(k, s32(args[0]), args[1], args[2], _offset(args[3], args[4]))


def sseek(k: Kernel, fd: int, o: int, type: int) -> int:
    """The new offset. Source: port/sysfile.c:sseek."""
    c = fdtochan(k, fd, -1, True, True)
    try:
        dev = k.devtab[c.type]
        if dev.dc == "|":
            raise Error(Eisstream)
        isdir = bool(c.qid.type & QTDIR)
        if type == 0:
            off = o
            if isdir and off != 0:
                raise Error(Eisdir)
        elif type == 1:
            if isdir:
                raise Error(Eisdir)
            off = s64(o + c.offset)
        elif type == 2:
            if isdir:
                raise Error(Eisdir)
            d = convM2D(dev.stat(c, SEEKBUF))
            if d is None:
                raise Error("internal error: stat error in seek")
            off = s64(d[0].length + o)
        else:
            raise Error(Ebadarg)
        if off < 0:
            raise Error(Enegoff)
        lock(k, c)
        c.offset = off
        unlock(k, c)
        c.uri = 0
        c.dri = 0
    except Error:
        cclose(k, c)
        raise
    cclose(k, c)
    return off


def sysseek(k: Kernel, args: Args) -> int:
    """Source: port/sysfile.c:sysseek."""
    v, fd, lo, hi, type = args[:5]
    validaddr(k, v, 8, True)
    off = sseek(k, s32(fd), s64(lo, hi), s32(type))
    # the low word first
    usetword(k, v, off, "sysseek")
    usetword(k, v + 4, off >> 32, "sysseek")
    return 0


def sysoseek(k: Kernel, args: Args) -> int:
    """Source: port/sysfile.c:sysoseek."""
    return sseek(k, s32(args[0]), s32(args[1]), s32(args[2]))


def pathlast(p: Path | None) -> str | None:
    """The last element of a path. Source: port/sysfile.c:pathlast."""
    if p is None or not p.s:
        return None
    return p.s.rpartition("/")[2]


def sysfstat(k: Kernel, args: Args) -> int:
    """Source: port/sysfile.c:sysfstat."""
    fd, s, n = args[:3]
    validaddr(k, s, n, True)
    c = fdtochan(k, s32(fd), -1, False, True)
    try:
        dev = k.devtab[c.type]
        b = dev.stat(c, n)
        ustore(k, s, b, "memmove" if dev.dc == "M" else "convD2M")
    except Error:
        cclose(k, c)
        raise
    cclose(k, c)
    return len(b)


def sysstat(k: Kernel, args: Args) -> int:
    """The entry has the name it was asked for by. Source: port/sysfile.c:sysstat."""
    name, s, n = args[:3]
    validaddr(k, s, n, True)
    validaddr(k, name, 1, False)
    c = namec(k, name, Aaccess)
    try:
        dev = k.devtab[c.type]
        b = dev.stat(c, n)
        last = pathlast(c.path)
        if last is not None:
            b = dirsetname(last, b, n)
        ustore(k, s, b, "memmove" if dev.dc == "M" else "convD2M")
    except Error:
        cclose(k, c)
        raise
    cclose(k, c)
    return len(b)


def syschdir(k: Kernel, args: Args) -> int:
    """Source: port/sysfile.c:syschdir."""
    validaddr(k, args[0], 1, False)
    c = namec(k, args[0], Atodir)
    up = current(k)
    assert up.dot is not None
    cclose(k, up.dot)
    up.dot = c
    return 0


def sysremove(k: Kernel, args: Args) -> int:
    """A mount point cannot be removed: it would not be clear which side of it. Source: port/sysfile.c:sysremove."""
    validaddr(k, args[0], 1, False)
    c = namec(k, args[0], Aremove)
    if c.ismtpt:
        cclose(k, c)
        raise Error(Eismtpt)
    try:
        k.devtab[c.type].remove(c)
    except Error:
        c.type = 0
        cclose(k, c)
        raise
    # the device is done with the channel; the root's close is a nop
    c.type = 0
    cclose(k, c)
    return 0


def _wstat(k: Kernel, c: Chan, s: int, n: int) -> int:
    """The n bytes at s have been looked at once; others may have changed them since. Source: port/sysfile.c:wstat.

    What now is there goes to the device, or a file server, as it is.
    """
    try:
        b = ufetch(k, s, n)
        if c.ismtpt and dirname(b):
            # which side of a mount point would be renamed?
            nameerror(k, chanpath(c), Eismtpt)
        r = k.devtab[c.type].wstat(c, b)
    except Error:
        cclose(k, c)
        raise
    cclose(k, c)
    return r


def _checkstat(k: Kernel, s: int, n: int) -> None:
    """First look at a wstat's entry. Source: port/sysfile.c:syswstat."""
    validaddr(k, s, n, False)
    if n < STATFIXLEN or n > 0x10000 + BIT16SZ:
        raise Error(Ebadstat)
    validstat(k, ufetch(k, s, n, "statcheck"))


def syswstat(k: Kernel, args: Args) -> int:
    """Source: port/sysfile.c:syswstat."""
    name, s, n = args[:3]
    _checkstat(k, s, n)
    validaddr(k, name, 1, False)
    return _wstat(k, namec(k, name, Aaccess), s, n)


def sysfwstat(k: Kernel, args: Args) -> int:
    """Source: port/sysfile.c:sysfwstat."""
    fd, s, n = args[:3]
    _checkstat(k, s, n)
    return _wstat(k, fdtochan(k, s32(fd), -1, True, True), s, n)
