"""System calls on the channel to a file server. Source: port/auth.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.chandat import ORDWR, Chan
from kernel.base.error import Ebadarg, Enofd, Error
from kernel.base.mem import s32
from kernel.base.text import kstr
from kernel.devices.devmnt import MAXRPC, mntdev, mntversion
from kernel.files.chan import validnamedup
from kernel.files.channel import cclose
from kernel.files.fd import fdtochan, newfd
from kernel.memory.fault import validaddr
from kernel.memory.uaccess import ufetch, ustore, vmemchr

if TYPE_CHECKING:
    from kernel.base.kernel import Args, Kernel


def sysfversion(k: Kernel, args: Args) -> int:
    """The length of the version agreed on, which takes the proposed one's place. Source: port/auth.c:sysfversion."""
    fd, msize, vers, arglen = args[:4]
    validaddr(k, vers, arglen, True)
    end = vmemchr(k, vers, 0, arglen)
    if end == 0:
        raise Error(Ebadarg)
    text = ufetch(k, vers, min(end - vers, MAXRPC))  # a longer one does not fit into a message
    c = fdtochan(k, s32(fd), ORDWR, False, True)
    try:
        have = mntversion(k, c, kstr(text), s32(msize), arglen)
        ustore(k, vers, have)
    except Error:
        cclose(k, c)
        raise
    cclose(k, c)
    return len(have)


def sys_fsession(k: Kernel, args: Args) -> int:
    """Nothing is left of it but an empty string. Source: port/auth.c:sys_fsession."""
    _, buf, n = args[:3]
    if n == 0:
        raise Error(Ebadarg)
    validaddr(k, buf, n, True)
    ustore(k, buf, b"\0", "sys_fsession")
    return 0


def sysfauth(k: Kernel, args: Args) -> int:
    """A descriptor to authenticate by, closed on exec; the server's error if it wants no authentication.

    Source: port/auth.c:sysfauth.
    """
    fd, addr = args[:2]
    validaddr(k, addr, 1, False)
    aname = validnamedup(k, addr, True)
    c = fdtochan(k, s32(fd), ORDWR, False, True)
    try:
        ac = mntdev(k).auth(c, aname)
    except Error:
        cclose(k, c)
        raise
    cclose(k, c)  # ac keeps it
    afd = newfd(k, ac)
    if afd < 0:
        cclose(k, ac)
        raise Error(Enofd)
    ac.flag |= Chan.CCEXEC
    return afd
