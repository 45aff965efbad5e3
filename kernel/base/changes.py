"""What has changed in the structures of memory since somebody looked: ``k.changes``, None unless the run is checked.

The structures are made subclasses, of this kernel's own, that write down which of them is stored to; lists and the
swap map likewise. Nobody who loads a field notices, and a kernel that is not checked has none of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, SupportsIndex

from kernel.base.dat import Image, Page, Pte, Segment

if TYPE_CHECKING:
    from collections.abc import Callable

    from kernel.base.dat import Entry
    from kernel.base.kernel import Kernel


# The fields that the invariants are about
PAGE: Final = frozenset(("ref", "next", "daddr", "image", "pa"))
SEGMENT: Final = frozenset(("ref", "image", "type", "base", "top", "size"))
COUNTS: Final = frozenset(("ref", "pgref"))  # of an image
PLACE: Final = frozenset(("hash", "next", "qid", "s"))  # of an image in the lists of all


class Entries(list["Entry"]):
    """Pte.pages. ``seen``, ``owner`` and ``number`` are for who looks: what was there, and which of whose it is."""

    __slots__ = ("log", "number", "owner", "pte", "seen")

    def __init__(self, pte: Pte, log: Callable[[tuple[Entries, Any]], None]) -> None:
        super().__init__(pte.pages)
        self.log = log
        self.pte = pte
        self.seen: list[Entry] | None = None
        self.owner: Segment | None = None
        self.number = 0

    def __setitem__(self, n: Any, e: Any) -> None:
        self.log((self, n))
        super().__setitem__(n, e)


class Map(list["Pte | None"]):
    """Segment.map."""

    __slots__ = ("changes", "owner")

    def __init__(self, values: Iterable[Pte | None], owner: Segment, changes: Changes) -> None:
        super().__init__(values)
        self.owner = owner
        self.changes = changes
        for pte in self:
            changes.pte(pte)

    def __setitem__(self, n: Any, pte: Any) -> None:
        self.changes.segments.add(self.owner)
        self.changes.pte(pte)
        super().__setitem__(n, pte)

    def extend(self, values: Iterable[Pte | None]) -> None:
        """As a list's."""
        self.changes.segments.add(self.owner)
        super().extend(values)


class Chains(list["Page | None"]):
    """Image.pghash."""

    __slots__ = ("image", "log")

    def __init__(
        self, values: Iterable[Page | None], image: Image, log: Callable[[tuple[Image, SupportsIndex]], None]
    ) -> None:
        super().__init__(values)
        self.image = image
        self.log = log

    def __setitem__(self, n: Any, p: Any) -> None:
        self.log((self.image, n))
        super().__setitem__(n, p)


class Slots(bytearray):
    """Swapalloc.swmap."""

    __slots__ = ("log",)
    log: Callable[[int], None]

    def __setitem__(self, n: Any, count: Any) -> None:
        self.log(n)
        super().__setitem__(n, count)


class Pages(dict[int, Page]):
    """Palloc.pages: a page that is made comes here first."""

    __slots__ = ("changes",)

    def __init__(self, values: dict[int, Page], changes: Changes) -> None:
        super().__init__(values)
        self.changes = changes

    def __setitem__(self, n: int, p: Page) -> None:
        self.changes.made(p)
        self.changes.pages.add(p)
        super().__setitem__(n, p)


class Changes:
    """Which structures were stored to. Whoever has looked empties the sets."""

    def __init__(self, k: Kernel) -> None:
        self.pages: set[Page] = set()
        self.entries: list[tuple[Entries, Any]] = []
        self.ptes: set[Pte] = set()
        self.segments: set[Segment] = set()
        self.chains: set[tuple[Image, Any]] = set()
        self.images: set[Image] = set()
        self.places: set[Image] = set()
        self.slots: set[Any] = set()
        self.classes: dict[type, type] = {
            Page: self._class(Page, self._page),
            Pte: self._class(Pte, self._pte),
            Segment: self._class(Segment, self._segment),
            Image: self._class(Image, self._image),
        }
        for p in k.palloc.pages.values():
            self.made(p)
        k.palloc.pages = Pages(k.palloc.pages, self)
        for i in (*k.imagealloc.list, k.swapimage, k.fscache):
            i.pghash = Chains(i.pghash, i, self.chains.add)
            self.made(i)
        swmap = Slots(k.swapalloc.swmap)
        swmap.log = self.slots.add
        k.swapalloc.swmap = swmap

    def made(self, x: object) -> None:
        """x is a structure from here on."""
        kind = self.classes.get(type(x))
        if kind is not None:
            object.__setattr__(x, "__class__", kind)
        if isinstance(x, Segment) and type(x.map) is list:
            x.map = x.map  # makes it a Map

    def pte(self, pte: Pte | None) -> None:
        """A segment has this page table from here on."""
        if type(pte) is Pte:
            pte.pages = Entries(pte, self.entries.append)
            object.__setattr__(pte, "__class__", self.classes[Pte])

    def _class(self, cls: type, stored: Callable[[], Callable[[Any, str, Any], None]]) -> type:
        body = {"__slots__": (), "__module__": cls.__module__, "__setattr__": stored()}
        return type(cls.__name__, (cls,), body)

    def _page(self) -> Callable[[Any, str, Any], None]:
        add, set, names = self.pages.add, object.__setattr__, PAGE

        def stored(p: Any, name: str, value: Any) -> None:
            if name in names:
                add(p)
            set(p, name, value)

        return stored

    def _pte(self) -> Callable[[Any, str, Any], None]:
        add, set = self.ptes.add, object.__setattr__

        def stored(pte: Any, name: str, value: Any) -> None:
            add(pte)
            set(pte, name, value)

        return stored

    def _segment(self) -> Callable[[Any, str, Any], None]:
        add, set, names = self.segments.add, object.__setattr__, SEGMENT

        def stored(s: Any, name: str, value: Any) -> None:
            if name in names:
                add(s)
            elif name == "map":
                add(s)
                value = Map(value, s, self)
            set(s, name, value)

        return stored

    def _image(self) -> Callable[[Any, str, Any], None]:
        count, place, set = self.images.add, self.places.add, object.__setattr__

        def stored(i: Any, name: str, value: Any) -> None:
            if name in COUNTS:
                count(i)
            elif name in PLACE:
                place(i)
            set(i, name, value)

        return stored
