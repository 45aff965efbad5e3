"""Capabilities, ``#¤``: who knows one becomes another user. Source: port/devcap.c.

The host owner writes the hash of ``FROM@TO`` under a key into caphash; whoever is FROM and writes ``FROM@TO@KEY`` into
capuse is TO from then on, once. factotum(4) and the programs that log users in have it so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kernel.base.alloc import CAP
from kernel.base.chandat import DMDIR, OREAD, QTDIR, Chan, Data
from kernel.base.dat import Qid
from kernel.base.devdat import Dirtab
from kernel.base.error import Ebadarg, Eperm, Error, Eshort
from kernel.base.kernel import Kernel, current
from kernel.base.procdat import PriNormal
from kernel.base.text import kstr
from kernel.files.dev import Dev, devdirread, iseve, openmode

Qdir, Qhash, Quse = range(3)
Hashlen: Final = 20  # of SHA-1
Maxhash: Final = 256
MAXUSE: Final = 64 * 1024  # bytes of a capability; the original takes as many as it has memory for


class Capdev(Dev):
    """Source: port/devcap.c."""

    dc = "¤"
    name = "cap"
    tab: Sequence[Dirtab] = (
        Dirtab(".", Qid(Qdir, 0, QTDIR), 0, DMDIR | 0o500),
        Dirtab("capuse", Qid(Quse), 0, 0o222),
        Dirtab("caphash", Qid(Qhash), 0, 0o200),  # the last, which can be removed
    )

    def __init__(self, k: Kernel) -> None:
        super().__init__(k)
        self.hashes: list[bytes] = []

    def remove(self, c: Chan) -> None:
        """The host owner can do away with caphash: nobody gets a capability any more. Source: port/devcap.c:capremove.

        The name is gone, what is open stays.
        """
        if not iseve(self.k) or c.qid.path != Qhash:
            raise Error(Eperm)
        self.tab = Capdev.tab[:-1]

    def open(self, c: Chan, omode: int) -> Chan:
        """No permission is looked at but for caphash, and anybody may read the directory. Source: port/devcap.c."""
        if c.qid.type & QTDIR:
            if omode != OREAD:
                raise Error(Ebadarg)
        elif c.qid.path == Qhash and not iseve(self.k):
            raise Error(Eperm)
        c.mode = openmode(omode)
        c.flag |= Chan.COPEN
        c.offset = 0
        return c

    def read(self, c: Chan, n: int, offset: int) -> bytes:
        """Source: port/devcap.c:capread."""
        if c.qid.path == Qdir:
            return devdirread(self.k, c, n, self.gen)
        raise Error(Eperm)

    def write(self, c: Chan, data: Data, offset: int) -> int:
        """Source: port/devcap.c:capwrite."""
        n = len(data)
        if c.qid.path == Qhash:
            if not iseve(self.k):
                raise Error(Eperm)
            if n < Hashlen:
                raise Error(Eshort)
            self._addcap(bytes(data[:Hashlen]))
        elif c.qid.path == Quse:
            if n > MAXUSE:
                raise Error(Ebadarg)
            self._use(bytes(data[:n]).partition(b"\0")[0])
        else:
            raise Error(Eperm)
        return n

    def _addcap(self, hash: bytes) -> None:
        """One more; the oldest goes if there are too many. Source: port/devcap.c:addcap."""
        pool = self.k.mainmem
        while len(self.hashes) >= Maxhash:
            del self.hashes[0]
            pool.free(CAP)
        pool.need(CAP)
        pool.charge(CAP)
        self.hashes.append(hash)

    def _use(self, cap: bytes) -> None:
        import hmac

        users, at, key = cap.rpartition(b"@")
        if not at:
            raise Error(Eshort)
        hash = hmac.new(key, users, "sha1").digest()
        if hash not in self.hashes:
            raise Error(f"invalid capability {kstr(users)}@{kstr(key)}")
        self.hashes.remove(hash)
        self.k.mainmem.free(CAP)
        up = current(self.k)
        user, at, to = users.partition(b"@")
        if at and kstr(user) != up.user:
            raise Error("capability must match user")
        up.user = kstr(to if at else users)
        up.basepri = PriNormal
