"""System calls that change the name space: bind, mount, unmount. Source: port/sysfile.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.chandat import MAFTER, MBEFORE, MCACHE, MMASK, MORDER, ORDWR, OREAD, Abind, Amount, Aopen
from kernel.base.error import Ebadarg, Enoattach, Error
from kernel.base.mem import s32
from kernel.devices.devmnt import mntdev
from kernel.files.chan import namec, validnamedup
from kernel.files.channel import cclose, cmount, cunmount, namespace
from kernel.files.fd import fdclose, fdtochan
from kernel.memory.fault import validaddr

if TYPE_CHECKING:
    from kernel.base.chandat import Chan
    from kernel.base.kernel import Args, Kernel


def _checkflag(flag: int) -> None:
    if flag & ~MMASK or flag & MORDER == MBEFORE | MAFTER:
        raise Error(Ebadarg)


def _upon(k: Kernel, c0: Chan, old: int, flag: int, spec: str | None) -> int:
    """Mount c0, which it takes, upon the name at user address old; the id of the mount."""
    try:
        validaddr(k, old, 1, False)
        c1 = namec(k, old, Amount)
        try:
            ret = cmount(k, c0, c1, flag, spec)
        except Error:
            cclose(k, c1)
            raise
        cclose(k, c1)
    except Error:
        cclose(k, c0)
        raise
    cclose(k, c0)
    return ret


def sysbind(k: Kernel, args: Args) -> int:
    """The id of the mount. Source: port/sysfile.c:sysbind, bindmount."""
    new, old, flag = args[:3]
    _checkflag(flag)
    validaddr(k, new, 1, False)
    return _upon(k, namec(k, new, Abind), old, flag, None)


def _mount(k: Kernel, fd: int, afd: int, old: int, flag: int, aname: int) -> int:
    """Mount the server at descriptor fd, which is closed then. Source: port/sysfile.c:bindmount."""
    _checkflag(flag)
    validaddr(k, aname, 1, False)
    spec = validnamedup(k, aname, True)
    if namespace(k).noattach:
        raise Error(Enoattach)
    bc = fdtochan(k, fd, ORDWR, False, True)
    ac: Chan | None = None
    try:
        if afd >= 0:
            ac = fdtochan(k, afd, ORDWR, False, True)
        c0 = mntdev(k).mount(bc, ac, spec, flag & MCACHE)
    except Error:
        if ac is not None:
            cclose(k, ac)
        cclose(k, bc)
        raise
    if ac is not None:
        cclose(k, ac)
    cclose(k, bc)
    ret = _upon(k, c0, old, flag, spec)
    fdclose(k, fd, 0)
    return ret


def sysmount(k: Kernel, args: Args) -> int:
    """The id of the mount. Source: port/sysfile.c:sysmount."""
    fd, afd, old, flag, aname = args
    return _mount(k, s32(fd), s32(afd), old, flag, aname)


def sys_mount(k: Kernel, args: Args) -> int:
    """mount as it was without authentication. Source: port/sysfile.c:sys_mount."""
    fd, old, flag, aname = args[:4]
    return _mount(k, s32(fd), -1, old, flag, aname)


def sysunmount(k: Kernel, args: Args) -> int:
    """Source: port/sysfile.c:sysunmount."""
    name, old = args[:2]
    mounted: Chan | None = None
    validaddr(k, old, 1, False)
    mount = namec(k, old, Amount)
    try:
        if name:
            # opening it is the only way to the channel behind /srv/cs or /fd/0
            validaddr(k, name, 1, False)
            mounted = namec(k, name, Aopen, OREAD)
        cunmount(k, mount, mounted)
    except Error:
        cclose(k, mount)
        if mounted is not None:
            cclose(k, mounted)
        raise
    cclose(k, mount)
    if mounted is not None:
        cclose(k, mounted)
    return 0
