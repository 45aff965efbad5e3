"""A directory of the host that was handed over: which of its files is which, and where in it a channel is."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from kernel.base.alloc import IDENT, LOC
from kernel.base.error import Enomem, Enonexist, Error

if TYPE_CHECKING:
    from kernel.base.alloc import Pool
    from kernel.devices.hostfile import Place, Stat, Tree


class Ident:
    """What a file of the host is to the guest. ``bits`` are DMAPPEND and DMEXCL, which the host does not keep."""

    __slots__ = ("bits", "dirty", "opens", "path", "sig", "vers")

    def __init__(self, path: int, sig: tuple[int, int]) -> None:
        self.path = path
        self.vers = 0
        self.sig = sig
        self.dirty = False  # changed by us since last seen
        self.bits = 0
        self.opens = 0


class Loc:
    """A place in a tree, by name. All channels to it share it, so that a rename reaches them.

    It lasts as long as one of them does: through links a tree can have any number of places.
    """

    __slots__ = ("__weakref__", "gone", "kids", "mainmem", "name", "parent")

    def __init__(self, mainmem: Pool, parent: Loc | None, name: bytes) -> None:
        self.mainmem = mainmem
        mainmem.charge(LOC)
        self.parent = parent or self
        self.name = name
        self.kids: WeakValueDictionary[bytes, Loc] | None = None  # made when there is one
        self.gone = False

    def __del__(self) -> None:
        self.mainmem.free(LOC)

    def kid(self, name: bytes) -> Loc:
        """The place of that name below this one."""
        loc = self.kids.get(name) if self.kids is not None else None
        if loc is None:
            loc = Loc(self.mainmem, self, name)
            self.put(name, loc)
        return loc

    def put(self, name: bytes, loc: Loc) -> None:
        """That place is below this one."""
        if self.kids is None:
            self.kids = WeakValueDictionary()
        self.kids[name] = loc

    def drop(self, name: bytes) -> None:
        """There is no place of that name any more."""
        if self.kids is not None:
            self.kids.pop(name, None)

    def names(self) -> list[bytes]:
        """The elements from the root to here."""
        out = []
        at = self
        while at.parent is not at:
            if at.gone:
                raise Error(Enonexist)
            out.append(at.name)
            at = at.parent
        return out[::-1]


class Hosttree:
    """One directory handed over."""

    def __init__(self, mainmem: Pool, tree: Tree, rw: bool, dev: int) -> None:
        self.mainmem = mainmem
        self.tree = tree
        self.rw = rw
        self.dev = dev
        self.root = Loc(mainmem, None, b"/")
        self.ids: dict[tuple[int, int], Ident] = {}
        self.npath = 0

    def ident(self, st: Stat) -> Ident:
        """Which file this is, its version up to date. Errors: Enomem, for a new one."""
        ident = self.ids.get(st.key)
        if ident is None:
            if not self.mainmem.alloc(IDENT):
                raise Error(Enomem)
            self.npath += 1
            ident = self.ids[st.key] = Ident(self.npath, st.signature)
        return self.look(ident, st)

    def forget(self, st: Stat) -> None:
        """The file is gone: the host may give its number to another one."""
        if self.ids.pop(st.key, None) is not None:
            self.mainmem.free(IDENT)

    def moved(self, old: tuple[int, int], st: Stat) -> None:
        """A file that was ``old`` was copied; it is the same to the guest."""
        ident = self.ids.pop(old, None)
        if ident is not None:
            self.forget(st)
            self.ids[st.key] = ident
            ident.sig = st.signature

    def look(self, ident: Ident, st: Stat) -> Ident:
        """Notice a change: one for any number of our own, as the host's clock may be too coarse to tell."""
        if ident.dirty or st.signature != ident.sig:
            ident.vers = (ident.vers + 1) & 0xFFFFFFFF
            ident.sig = st.signature
            ident.dirty = False
        return ident

    def place(self, loc: Loc, follow: bool = True) -> tuple[Place, Stat]:
        """Where loc is on the host, its directory open; it exists."""
        place = self.tree.resolve(loc.names(), follow)
        if place.st is None:
            place.close()
            raise Error(Enonexist)
        return place, place.st

    def stat(self, loc: Loc) -> Stat:
        """What the host tells of loc."""
        place, st = self.place(loc)
        place.close()
        return st
