"""The environment, ``#e``; ``#ec`` is the kernel's configuration. Source: port/devenv.c."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kernel.base.alloc import EVALUE
from kernel.base.chandat import DMDIR, OREAD, OTRUNC, OWRITE, QTDIR, Acreate, Chan, Egrp, Evalue
from kernel.base.dat import Qid
from kernel.base.error import Ebadarg, Eexist, Enomem, Enonexist, Eperm, Error, Etoobig, Etoolong, Panic
from kernel.base.kernel import current
from kernel.base.text import GENBUF, kbytes, kstrcpy
from kernel.files.chan import namec
from kernel.files.channel import cclose
from kernel.files.dev import DEVDOTDOT, Dev, devattach, devdir, devdirread, iseve, openmode
from kernel.files.pgrp import evaluesize
from kernel.sched.rwlock import rlock, runlock, wlock, wunlock

if TYPE_CHECKING:
    from kernel.base.chandat import Data
    from kernel.base.kernel import Kernel
    from kernel.files.conv import Dir


Maxenvsize: Final = 16300


class Envdev(Dev):
    """Variables of the environment of whoever asks: a channel is not bound to one."""

    dc = "e"
    name = "env"

    def __init__(self, k: Kernel) -> None:
        super().__init__(k)
        self.confegrp = Egrp()

    def _group(self, c: Chan) -> Egrp:
        if c.aux is not None:
            assert isinstance(c.aux, Egrp)
            return c.aux
        eg = current(self.k).egrp
        if eg is None:
            raise Panic("no environment")
        return eg

    def _find(self, c: Chan) -> Evalue | None:
        return next((e for e in self._group(c).ent if e.qid.path == c.qid.path), None)

    def gen(self, c: Chan, name: str | None, s: int) -> Dir | int:
        """Source: port/devenv.c:envgen."""
        k = self.k
        if s == DEVDOTDOT:
            return devdir(k, c, c.qid, "#e", 0, k.eve, DMDIR | 0o775)
        eg = self._group(c)
        rlock(k, eg)
        if name is not None:
            e = eg.names.get(name)
        else:
            e = eg.ent[s] if s < len(eg.ent) else None
        runlock(k, eg)
        if e is None or (name is not None and len(kbytes(e.name)) >= GENBUF):
            return -1
        return devdir(k, c, e.qid, kstrcpy(e.name, GENBUF), len(e.value), k.eve, 0o666)

    def attach(self, spec: str) -> Chan:
        """Source: port/devenv.c:envattach."""
        if spec not in ("", "c"):
            raise Error(Ebadarg)
        c = devattach(self.k, "e", spec)
        c.aux = self.confegrp if spec else None
        return c

    def stat(self, c: Chan, n: int) -> bytes:
        """Source: port/devenv.c:envstat."""
        if c.qid.type & QTDIR:
            c.qid = Qid(c.qid.path, self._group(c).vers, c.qid.type)
        return super().stat(c, n)

    def open(self, c: Chan, omode: int) -> Chan:
        """Source: port/devenv.c:envopen."""
        k = self.k
        eg = self._group(c)
        if c.qid.type & QTDIR:
            if omode != OREAD:
                raise Error(Eperm)
        else:
            if omode != OREAD and c.aux is not None and not iseve(k):
                raise Error(Eperm)
            wlock(k, eg)
            e = self._find(c)
            if e is None:
                wunlock(k, eg)
                raise Error(Enonexist)
            if omode & OTRUNC and e.value:
                e.qid = Qid(e.qid.path, e.qid.vers + 1)
                k.mainmem.free(len(e.value))
                e.value = b""
            wunlock(k, eg)
        c.mode = openmode(omode)
        c.flag |= Chan.COPEN
        c.offset = 0
        return c

    def create(self, c: Chan, name: str, omode: int, perm: int) -> Chan:
        """Source: port/devenv.c:envcreate."""
        k = self.k
        if c.qid.type != QTDIR:
            raise Error(Eperm)
        if len(kbytes(name)) >= GENBUF:
            raise Error(Etoolong)
        omode = openmode(omode)
        eg = self._group(c)
        wlock(k, eg)
        if name in eg.names:
            wunlock(k, eg)
            raise Error(Eexist)
        if not k.mainmem.alloc(EVALUE + len(name)):
            wunlock(k, eg)
            raise Error(Enomem)
        eg.path += 1
        eg.vers += 1
        e = Evalue(name, Qid(eg.path))
        eg.ent.append(e)
        eg.names[name] = e
        c.qid = e.qid
        wunlock(k, eg)
        c.offset = 0
        c.mode = omode
        c.flag |= Chan.COPEN
        return c

    def remove(self, c: Chan) -> None:
        """The last variable takes the place of the one removed. Source: port/devenv.c:envremove."""
        k = self.k
        if c.qid.type & QTDIR:
            raise Error(Eperm)
        eg = self._group(c)
        wlock(k, eg)
        for i, e in enumerate(eg.ent):
            if e.qid.path == c.qid.path:
                eg.ent[i] = eg.ent[-1]
                eg.ent.pop()
                del eg.names[e.name]
                eg.vers += 1
                k.mainmem.free(evaluesize(e))
                wunlock(k, eg)
                return
        wunlock(k, eg)
        raise Error(Enonexist)

    def close(self, c: Chan) -> None:
        """Source: port/devenv.c:envclose."""
        if c.flag & Chan.CRCLOSE:
            self.remove(c)

    def read(self, c: Chan, n: int, offset: int) -> bytes:
        """Source: port/devenv.c:envread."""
        k = self.k
        if c.qid.type & QTDIR:
            return devdirread(k, c, n, self.gen)
        offset &= 0xFFFFFFFF
        eg = self._group(c)
        rlock(k, eg)
        e = self._find(c)
        if e is None:
            runlock(k, eg)
            raise Error(Enonexist)
        b = e.value[offset : offset + max(n, 0)]
        runlock(k, eg)
        return b

    def write(self, c: Chan, data: Data, offset: int) -> int:
        """Source: port/devenv.c:envwrite."""
        k = self.k
        n = len(data)
        offset &= 0xFFFFFFFF
        if n <= 0:
            return 0
        if offset > Maxenvsize or n > Maxenvsize - offset:
            raise Error(Etoobig)
        eg = self._group(c)
        wlock(k, eg)
        e = self._find(c)
        if e is None:
            wunlock(k, eg)
            raise Error(Enonexist)
        try:
            old = e.value.ljust(offset + n, b"\0")
            grow = len(old) - len(e.value)
            if grow:
                k.mainmem.need(grow)
            e.value = old[:offset] + data[0:n] + old[offset + n :]
        except Error:
            wunlock(k, eg)
            raise
        k.mainmem.charge(grow)
        e.qid = Qid(e.qid.path, e.qid.vers + 1)
        eg.vers += 1
        wunlock(k, eg)
        return n


def ksetenv(k: Kernel, name: str, value: str, conf: bool = False) -> None:
    """Let the kernel set a variable of the current process's environment. Source: port/devenv.c:ksetenv."""
    c = namec(k, f"#e{'c' if conf else ''}/{name}", Acreate, OWRITE, 0o600)
    b = kbytes(value)
    k.devtab[c.type].write(c, b, 0)
    cclose(k, c)
