"""The process's own descriptors, ``#d``: N is descriptor N, Nctl tells about it. Source: port/devdup.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kernel.base.chandat import DMDIR, OCEXEC, QTAUTH, QTDIR, QTFILE, Chan, chanpath
from kernel.base.dat import Qid
from kernel.base.error import Eisdir, Eperm, Error, Panic
from kernel.base.kernel import current
from kernel.base.text import kbytes
from kernel.files.channel import cclose
from kernel.files.dev import DEVDOTDOT, Dev, devdir, devdirread, openmode, readstr
from kernel.files.fd import fdtochan

if TYPE_CHECKING:
    from kernel.base.chandat import Data, Fgrp
    from kernel.base.kernel import Kernel
    from kernel.files.conv import Dir


def procfdprint(k: Kernel, c: Chan, fd: int, w: int = 0) -> str:
    """One line about a descriptor, qid.vers w wide. Source: port/devproc.c:procfdprint."""
    mode = "r w rw"[(c.mode & 3) << 1 :][:2]
    return (
        f"{fd:3d} {mode} {k.devtab[c.type].dc} {c.dev:4d} ({c.qid.path:016x} {c.qid.vers:{w or 1}d} {c.qid.type:02x})"
        f" {c.iounit:5d} {c.offset:8d} {chanpath(c)}\n"
    )


class Dupdev(Dev):
    """qid.path is 2*fd+1 for fd, and 2*fd+2 for its ctl file."""

    dc = "d"
    name = "dup"

    def _fgrp(self) -> Fgrp:
        f = current(self.k).fgrp
        if f is None:
            raise Panic("no fgrp")
        return f

    def gen(self, c: Chan, name: str | None, s: int) -> Dir | int:
        """Source: port/devdup.c:dupgen."""
        k = self.k
        if s == DEVDOTDOT:
            return devdir(k, c, c.qid, ".", 0, k.eve, DMDIR | 0o555)
        if s == 0:
            return 0
        s -= 1
        fgrp = self._fgrp()
        if s // 2 > fgrp.maxfd:
            return -1
        f = fgrp.fd[s // 2]
        if f is None:
            return 0
        if s & 1:
            p = 0o400
            elem = f"{s // 2}ctl"
        else:
            p = (0o400, 0o200, 0o600, 0)[f.mode & 3]
            elem = f"{s // 2}"
        current(k).genbuf = elem
        return devdir(k, c, Qid(s + 1, 0, QTFILE), elem, 0, k.eve, p)

    def open(self, c: Chan, omode: int) -> Chan:
        """Opening N gives the very channel of descriptor N, if it is open that way. Source: port/devdup.c:dupopen."""
        k = self.k
        if c.qid.type & QTDIR:
            if omode != 0:
                raise Error(Eisdir)
            c.mode = 0
            c.flag |= Chan.COPEN
            c.offset = 0
            return c
        if c.qid.type & QTAUTH:
            raise Error(Eperm)
        twicefd = c.qid.path - 1
        if twicefd & 1:
            f = c
            f.mode = openmode(omode)
            f.flag |= Chan.COPEN
            f.offset = 0
        else:
            f = fdtochan(k, twicefd // 2, openmode(omode), False, True)
            cclose(k, c)
        if omode & OCEXEC:
            f.flag |= Chan.CCEXEC
        return f

    def read(self, c: Chan, n: int, offset: int) -> bytes:
        """Source: port/devdup.c:dupread."""
        k = self.k
        if c.qid.type == QTDIR:
            return devdirread(k, c, n, self.gen)
        twicefd = c.qid.path - 1
        if not twicefd & 1:
            raise Panic("dupread")
        f = fdtochan(k, twicefd // 2, -1, False, True)
        text = procfdprint(k, f, twicefd // 2)
        cclose(k, f)
        return readstr(offset, n, kbytes(text)[:255])

    def write(self, c: Chan, data: Data, offset: int) -> int:
        """Source: port/devdup.c:dupwrite."""
        raise Error(Eperm)
