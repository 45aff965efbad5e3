"""Descriptors. Source: the beginning of port/sysfile.c."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernel.base.alloc import FD
from kernel.base.chandat import DELTAFD, ORDWR, OREAD, OTRUNC, Chan
from kernel.base.error import Ebadfd, Ebadusefd, Error, Panic
from kernel.base.kernel import current
from kernel.files.channel import cclose
from kernel.sched.ref import incref
from kernel.sched.taslock import lock, unlock

if TYPE_CHECKING:
    from kernel.base.chandat import Fgrp
    from kernel.base.kernel import Kernel


MAXFD: Final = 5000  # a group that has this many slots does not grow


def fgrp(k: Kernel) -> Fgrp:
    """The current process's descriptors."""
    f = current(k).fgrp
    if f is None:
        raise Panic("no fgrp")
    return f


def unlockfgrp(k: Kernel, f: Fgrp) -> None:
    """Unlock f, and warn the process if it has come to use very many. Source: port/sysfile.c:unlockfgrp."""
    ex = f.exceed
    f.exceed = 0
    unlock(k, f)
    if ex:
        k.hooks.pprint(k, f"warning: process exceeds {ex} file descriptors\n")


def growfd(k: Kernel, f: Fgrp, fd: int) -> int:
    """Make room for fd >= 0 in f, which is locked: 0 if there was, 1 if there is now, -1 if there can be none.

    Source: port/sysfile.c:growfd.
    """
    if fd < f.nfd:
        return 0
    if fd >= f.nfd + DELTAFD:
        return -1
    if f.nfd >= MAXFD:
        k.print("no free file descriptors\n")
        return -1
    if not k.mainmem.alloc(FD * DELTAFD):
        return -1
    f.fd.extend([None] * DELTAFD)
    if fd > f.maxfd:
        if fd // 100 > f.maxfd // 100:
            f.exceed = fd // 100 * 100
        f.maxfd = fd
    return 1


def findfreefd(k: Kernel, f: Fgrp, start: int) -> int:
    """The first free descriptor from start on, or -1; f is locked. Source: port/sysfile.c:findfreefd."""
    try:
        fd = f.fd.index(None, start)
    except ValueError:
        fd = max(start, f.nfd)
    if fd >= f.nfd and growfd(k, f, fd) < 0:
        return -1
    return fd


def newfd(k: Kernel, c: Chan) -> int:
    """A descriptor for c, which it takes, or -1. Source: port/sysfile.c:newfd."""
    f = fgrp(k)
    lock(k, f)
    fd = findfreefd(k, f, 0)
    if fd >= 0:
        f.maxfd = max(f.maxfd, fd)
        f.fd[fd] = c
    unlockfgrp(k, f)
    return fd


def newfd2(k: Kernel, c0: Chan, c1: Chan) -> tuple[int, int] | None:
    """Two descriptors at once, or None. Source: port/sysfile.c:newfd2."""
    f = fgrp(k)
    lock(k, f)
    fd0 = findfreefd(k, f, 0)
    fd1 = findfreefd(k, f, fd0 + 1) if fd0 >= 0 else -1
    if fd1 < 0:
        unlockfgrp(k, f)
        return None
    f.maxfd = max(f.maxfd, fd1)
    f.fd[fd0] = c0
    f.fd[fd1] = c1
    unlockfgrp(k, f)
    return fd0, fd1


def fdtochan(k: Kernel, fd: int, mode: int, chkmnt: bool, iref: bool) -> Chan:
    """The channel of fd, counted for the caller if iref; open for mode unless that is negative.

    Errors: Ebadfd, Ebadusefd. Source: port/sysfile.c:fdtochan.
    """
    f = fgrp(k)
    lock(k, f)
    c = f.fd[fd] if 0 <= fd < f.nfd else None
    if c is None:
        unlock(k, f)
        raise Error(Ebadfd)
    if iref:
        incref(k, c)
    unlock(k, f)
    bad = chkmnt and bool(c.flag & Chan.CMSG)
    if not bad and mode >= 0 and c.mode != ORDWR:
        bad = (mode & OTRUNC and c.mode == OREAD) or mode & ~OTRUNC != c.mode
    if bad:
        if iref:
            cclose(k, c)
        raise Error(Ebadusefd)
    return c


def fdclose(k: Kernel, fd: int, flag: int) -> None:
    """Close descriptor fd, which is in range, if its channel has flag (0: in any case).

    Source: port/sysfile.c:fdclose.
    """
    f = fgrp(k)
    lock(k, f)
    c = f.fd[fd]
    if c is None or (flag != 0 and not c.flag & flag):
        unlock(k, f)
        return
    f.fd[fd] = None
    if fd == f.maxfd:
        while fd > 0 and f.fd[fd] is None:
            fd -= 1
            f.maxfd = fd
    unlock(k, f)
    cclose(k, c)
