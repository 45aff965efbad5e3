"""Services, ``#s``: open channels that others can open by a name. Source: port/devsrv.c.

A file is created, and a descriptor's number written into it; whoever opens the file has that descriptor's channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kernel.base.alloc import SRV
from kernel.base.chandat import ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE, QTAUTH, QTDIR, QTFILE, UNKNOWN, Chan
from kernel.base.dat import Qid, QLock
from kernel.base.error import (
    Ebadchar,
    Ebadusefd,
    Eexist,
    Eisdir,
    Enomem,
    Enonexist,
    Eperm,
    Error,
    Eshortstat,
    Eshutdown,
    Etoobig,
    Etoolong,
)
from kernel.base.kernel import current
from kernel.base.record import unique
from kernel.base.text import kbytes, kstrcpy
from kernel.devices.parse import strtoul
from kernel.files.channel import cclose, isdir
from kernel.files.conv import convM2D
from kernel.files.dev import DEVDOTDOT, Dev, devdir, devdirread, devpermcheck, devstat, devwalk, iseve, openmode
from kernel.files.fd import fdtochan
from kernel.sched.qlock import qlock, qunlock
from kernel.sched.ref import incref

if TYPE_CHECKING:
    from kernel.base.chandat import Data
    from kernel.base.devdat import Walkqid
    from kernel.base.kernel import Kernel
    from kernel.files.conv import Dir


GENBUF: Final = 128


@unique
class Srv:
    """One service."""

    name: str
    owner: str
    perm: int
    path: int
    chan: Chan | None = None


def srvsize(name: str) -> int:
    """What a service takes."""
    return SRV + len(name)


class Srvdev(Dev):
    """``srv`` has the services, the newest first. Source: port/devsrv.c."""

    dc = "s"
    name = "srv"

    def __init__(self, k: Kernel) -> None:
        super().__init__(k)
        self.srvlk = QLock()
        self.srv: list[Srv] = []
        self.qidpath = 1

    def lookup(self, name: str | None, path: int = -1) -> Srv | None:
        """The service of a name or a qid.path. Source: port/devsrv.c:srvlookup."""
        return next((sp for sp in self.srv if sp.path == path or (name is not None and sp.name == name)), None)

    def gen(self, c: Chan, name: str | None, s: int) -> Dir | int:
        """Source: port/devsrv.c:srvgen."""
        k = self.k
        if s == DEVDOTDOT:
            return devdir(k, c, c.qid, "#s", 0, k.eve, 0o555)
        qlock(k, self.srvlk)
        if name is not None:
            sp = self.lookup(name)
        else:
            sp = self.srv[s] if s < len(self.srv) else None
        if sp is None or (name is not None and len(kbytes(sp.name)) >= GENBUF):
            qunlock(k, self.srvlk)
            return -1
        current(k).genbuf = kstrcpy(sp.name, GENBUF)
        d = devdir(k, c, Qid(sp.path, 0, QTFILE), current(k).genbuf, 0, sp.owner, sp.perm)
        qunlock(k, self.srvlk)
        return d

    def walk(self, c: Chan, nc: Chan | None, names: Sequence[str]) -> Walkqid:
        """Source: port/devsrv.c:srvwalk."""
        return devwalk(self.k, c, nc, names, self.gen)

    def stat(self, c: Chan, n: int) -> bytes:
        """Source: port/devsrv.c:srvstat."""
        return devstat(self.k, c, n, self.gen)

    def open(self, c: Chan, omode: int) -> Chan:
        """The channel that was posted, if it may be opened so. Source: port/devsrv.c:srvopen."""
        k = self.k
        if c.qid.type == QTDIR:
            if omode & ORCLOSE:
                raise Error(Eperm)
            if omode != OREAD:
                raise Error(Eisdir)
            c.mode = omode
            c.flag |= Chan.COPEN
            c.offset = 0
            return c
        qlock(k, self.srvlk)
        try:
            sp = self.lookup(None, c.qid.path)
            if sp is None or sp.chan is None:
                raise Error(Eshutdown)
            if omode & OTRUNC:
                raise Error(Eexist)
            if openmode(omode) != sp.chan.mode and sp.chan.mode != ORDWR:
                raise Error(Eperm)
            devpermcheck(k, sp.owner, sp.perm, omode)
            nc = sp.chan
            incref(k, nc)
        except Error:
            qunlock(k, self.srvlk)
            raise
        qunlock(k, self.srvlk)
        cclose(k, c)
        return nc

    def create(self, c: Chan, name: str, omode: int, perm: int) -> Chan:
        """A service with nothing behind it yet. Source: port/devsrv.c:srvcreate."""
        k = self.k
        if openmode(omode) != OWRITE:
            raise Error(Eperm)
        if len(kbytes(name)) >= GENBUF:
            raise Error(Etoolong)
        qlock(k, self.srvlk)
        if self.lookup(name) is not None:
            qunlock(k, self.srvlk)
            raise Error(Eexist)
        if not k.mainmem.alloc(srvsize(name)):
            qunlock(k, self.srvlk)
            raise Error(Enomem)
        sp = Srv(name, current(k).user, perm & 0o777, self.qidpath)
        self.qidpath += 1
        c.qid = Qid(sp.path, c.qid.vers, QTFILE)
        self.srv.insert(0, sp)
        qunlock(k, self.srvlk)
        c.flag |= Chan.COPEN
        c.mode = OWRITE
        return c

    def remove(self, c: Chan) -> None:
        """Source: port/devsrv.c:srvremove."""
        k = self.k
        if c.qid.type == QTDIR:
            raise Error(Eperm)
        qlock(k, self.srvlk)
        try:
            sp = self.lookup(None, c.qid.path)
            if sp is None:
                raise Error(Enonexist)
            # only eve can remove the system's services
            if sp.owner == k.eve and not iseve(k):
                raise Error(Eperm)
            # nor are others' own to be removed
            if sp.perm & 7 != 7 and sp.owner != current(k).user and not iseve(k):
                raise Error(Eperm)
        except Error:
            qunlock(k, self.srvlk)
            raise
        self.srv.remove(sp)
        k.mainmem.free(srvsize(sp.name))
        qunlock(k, self.srvlk)
        if sp.chan is not None:
            cclose(k, sp.chan)

    def wstat(self, c: Chan, data: bytes) -> int:
        """Rename it, or change its owner or mode. Source: port/devsrv.c:srvwstat."""
        k = self.k
        if c.qid.type & QTDIR:
            raise Error(Eperm)
        m = convM2D(data)
        if m is None:
            raise Error(Eshortstat)
        d, n = m
        qlock(k, self.srvlk)
        try:
            sp = self.lookup(None, c.qid.path)
            if sp is None:
                raise Error(Enonexist)
            if sp.owner != current(k).user and not iseve(k):
                raise Error(Eperm)
            if d.name and d.name != sp.name:
                if "/" in d.name:
                    raise Error(Ebadchar)
                if len(kbytes(d.name)) >= GENBUF:
                    raise Error(Etoolong)
                k.mainmem.charge(len(d.name) - len(sp.name))
                sp.name = d.name
            if d.uid:
                if len(kbytes(d.uid)) >= GENBUF:
                    raise Error(Etoolong)
                sp.owner = d.uid
            if d.mode != UNKNOWN:
                sp.perm = d.mode & 0o777
        except Error:
            qunlock(k, self.srvlk)
            raise
        qunlock(k, self.srvlk)
        return n

    def close(self, c: Chan) -> None:
        """Source: port/devsrv.c:srvclose."""
        if c.flag & Chan.CRCLOSE:
            try:
                self.remove(c)
            except Error:
                pass

    def read(self, c: Chan, n: int, offset: int) -> bytes:
        """Source: port/devsrv.c:srvread."""
        isdir(c)
        return devdirread(self.k, c, n, self.gen)

    def write(self, c: Chan, data: Data, offset: int) -> int:
        """Post the descriptor whose number is written. Source: port/devsrv.c:srvwrite."""
        k = self.k
        n = len(data)
        if n >= 32:
            raise Error(Etoobig)
        c1 = fdtochan(k, strtoul(data[0:n]), -1, False, True)
        qlock(k, self.srvlk)
        try:
            if c1.flag & (Chan.CCEXEC | Chan.CRCLOSE):
                raise Error("posted fd has remove-on-close or close-on-exec")
            if c1.qid.type & QTAUTH:
                raise Error("cannot post auth file in srv")
            sp = self.lookup(None, c.qid.path)
            if sp is None:
                raise Error(Enonexist)
            if sp.chan is not None:
                raise Error(Ebadusefd)
            sp.chan = c1
        except Error:
            qunlock(k, self.srvlk)
            cclose(k, c1)
            raise
        qunlock(k, self.srvlk)
        return n

    def renameuser(self, old: str, new: str) -> None:
        """Give one user's services to another. Source: port/devsrv.c:srvrenameuser."""
        k = self.k
        qlock(k, self.srvlk)
        for sp in self.srv:
            if sp.owner == old:
                sp.owner = new
        qunlock(k, self.srvlk)


def _srvdev(k: Kernel) -> Srvdev | None:
    return next((d for d in k.devtab if isinstance(d, Srvdev)), None)


def srvname(k: Kernel, c: Chan) -> str | None:
    """The name under which channel c is posted. Source: port/devsrv.c:srvname."""
    d = _srvdev(k)
    if d is None:
        return None
    qlock(k, d.srvlk)
    sp = next((sp for sp in d.srv if sp.chan is c), None)
    qunlock(k, d.srvlk)
    return f"#s/{sp.name}" if sp is not None else None


def srvrenameuser(k: Kernel, old: str, new: str) -> None:
    """The same for the kernel that has the device, or not. Source: port/devsrv.c:srvrenameuser."""
    d = _srvdev(k)
    if d is not None:
        d.renameuser(old, new)
