"""The stat calls of before 9P2000, with entries of fixed size. Source: port/sysfile.c.

name[28] uid[28] gid[28] qid.path[4] qid.vers[4] mode[4] atime[4] mtime[4] length[8] type[2] dev[2]
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from kernel.base.chandat import DMDIR, QTDIR, Aaccess
from kernel.base.error import Error
from kernel.base.mem import MASK32, s32
from kernel.base.text import kbytes
from kernel.files.chan import namec
from kernel.files.channel import cclose
from kernel.files.conv import BIT16SZ, convM2D
from kernel.files.dirread import dirsetname
from kernel.files.fd import fdtochan
from kernel.memory.fault import validaddr
from kernel.memory.uaccess import ustore
from kernel.syscalls.sysfile import pathlast

if TYPE_CHECKING:
    from kernel.base.chandat import Chan
    from kernel.base.kernel import Args, Kernel
    from kernel.files.conv import Dir


_OLD: Final = struct.Struct("<28s28s28s5IQHH")
DIRLEN: Final = _OLD.size
STATBUF: Final = 128  # room for the entry of today


def packoldstat(d: Dir) -> bytes:
    """The entry as it was; what does not fit is cut off. Source: port/sysfile.c:packoldstat."""
    q = d.qid.path & ~DMDIR & MASK32 | (DMDIR if d.qid.type & QTDIR else 0)
    return _OLD.pack(
        *(kbytes(s)[:28] for s in (d.name, d.uid, d.gid)),
        q,
        d.qid.vers & MASK32,
        d.mode & MASK32,
        d.atime & MASK32,
        d.mtime & MASK32,
        d.length,
        d.type & 0xFFFF,
        d.dev & 0xFFFF,
    )


def _stat(k: Kernel, c: Chan, s: int, call: str) -> int:
    try:
        b = k.devtab[c.type].stat(c, STATBUF)
        last = pathlast(c.path)
        if last is not None and len(b) > BIT16SZ:
            b = dirsetname(last, b, STATBUF)
        d = convM2D(b) if len(b) > BIT16SZ else None
        if d is None:
            raise Error(f"old {call} system call - recompile")
        ustore(k, s, packoldstat(d[0]), "packoldstat")
    except Error:
        cclose(k, c)
        raise
    cclose(k, c)
    return 0


def sys_stat(k: Kernel, args: Args) -> int:
    """Source: port/sysfile.c:sys_stat."""
    name, s = args[:2]
    validaddr(k, s, DIRLEN, True)
    validaddr(k, name, 1, False)
    return _stat(k, namec(k, name, Aaccess), s, "stat")


def sys_fstat(k: Kernel, args: Args) -> int:
    """Source: port/sysfile.c:sys_fstat."""
    fd, s = args[:2]
    validaddr(k, s, DIRLEN, True)
    return _stat(k, fdtochan(k, s32(fd), -1, False, True), s, "fstat")


def sys_wstat(k: Kernel, args: Args) -> int:
    """Refused, as in the original. Source: port/sysfile.c:sys_wstat."""
    raise Error("old wstat system call - recompile")


def sys_fwstat(k: Kernel, args: Args) -> int:
    """Refused, as in the original. Source: port/sysfile.c:sys_fwstat."""
    raise Error("old fwstat system call - recompile")
