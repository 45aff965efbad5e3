"""What the commit says of itself, measured on this kernel: its hash chains, reclaiming, the size of a Page."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from ctypes import sizeof
from dataclasses import dataclass
from typing import Any, Final

from emu.bench.pagesize import MAXMACH, after, before
from emu.machine.config import Config
from emu.machine.machine import Machine
from kernel.base.dat import PGHSIZE, Image, Lock, Page, Palloc
from kernel.base.event import Event, PageEvent
from kernel.base.kernel import Kernel
from kernel.base.mem import BY2PG
from kernel.memory.page import cachepage, pagereclaim
from kernel.memory.palloc import takehead
from kernel.sched.taslock import lock, unlock


@dataclass(frozen=True)
class Claim:
    """A figure, what the commit says of it, and whether that holds."""

    name: str
    measured: float
    said: str
    holds: bool


def least(name: str, measured: float, limit: float) -> Claim:
    """One that may not be lower."""
    return Claim(name, measured, f"at least {limit:g}", measured >= limit)


def most(name: str, measured: float, limit: float) -> Claim:
    """One that may not be higher."""
    return Claim(name, measured, f"at most {limit:g}", measured <= limit)


def under(name: str, measured: float, limit: float) -> Claim:
    """One that must be lower."""
    return Claim(name, measured, f"under {limit:g}", measured < limit)


# Hash chains


def cache(k: Kernel, image: Image, n: int, ref: int = 0) -> None:
    """Take n pages and cache them for the image, at ever higher addresses of its file; ref is that of each."""
    start = image.pgref
    for i in range(start, start + n):
        lock(k, k.palloc)
        p = takehead(k)
        unlock(k, k.palloc)
        assert p is not None
        p.ref = ref
        p.daddr = i * BY2PG
        cachepage(k, p, image)


def _links(p: Page | None) -> Iterator[Page]:
    while p is not None:
        yield p
        p = p.next


def chains(image: Image) -> list[list[Page]]:
    """The pages of each chain."""
    return [list(_links(head)) for head in image.pghash]


def longest(image: Image) -> int:
    """The length of its longest chain."""
    return max(map(len, chains(image)))


def alone() -> int:
    """How many pages of an image in sequence are cached before two of them share a chain."""
    with closing(Machine(Config())) as machine:
        image = Image(-1, notext=True)
        while longest(image) < 2:
            cache(machine.kernel, image, 1)
        return image.pgref - 1


RUNS: Final = (("hello",), ("sieve", "100"), ("touch", "10"), ("read", "256"), ("text", "256"))


def programs(runs: Sequence[Sequence[str]] = RUNS) -> tuple[int, int]:
    """The longest chain in the images of programs that have run, first of their text alone, then of all pages.

    Text is cached by its place in the file; data too, and that begins wherever the text ends.
    """
    text = every = 0
    for name, *args in runs:
        with closing(Machine(Config())) as machine:
            machine.run(name, args)
            for image in machine.kernel.imagealloc.list:
                every = max(every, longest(image))
                text = max(text, *(sum(p.daddr % BY2PG == 0 for p in chain) for chain in chains(image)))
    return text, every


# Reclaiming


@dataclass
class Held:
    """What was seen of the allocator's lock: times that it was taken, pages reclaimed, and of those while it was."""

    taken: int = 0
    pages: int = 0
    within: int = 0


def watch(k: Kernel) -> Held:
    """Have k's allocator count how often it is locked, and look at each page that is reclaimed."""
    held = Held()
    slot: Any = vars(Lock)["key"]

    class Watched(Palloc):
        __slots__ = ()

        def _set(self, value: bool) -> None:
            held.taken += value
            slot.__set__(self, value)

        key = property(slot.__get__, _set)

    def sink(e: Event) -> None:
        if isinstance(e, PageEvent) and e.op == "reclaim":
            held.pages += 1
            held.within += k.palloc.key

    k.palloc.__class__ = Watched
    k.sink = sink
    return held


def reclaim(pages: int) -> Held:
    """Free all of an image's pages, as many at a time as pagereclaim gives."""
    with closing(Machine(Config())) as machine:
        k = machine.kernel
        image = Image(-1, notext=True)
        cache(k, image, pages)
        held = watch(k)
        while pagereclaim(k, image, pages):
            pass
        k.sink = None
    return held


def measure() -> list[Claim]:
    """All rows."""
    text, every = programs()
    held = reclaim(8 * PGHSIZE)
    was, now = sizeof(before()), sizeof(after())
    wasbare, nowbare = sizeof(before(0)), sizeof(after(0))
    return [
        least("pages of an image in sequence before two share a chain", alone(), PGHSIZE),
        most("longest chain of text, programs run", text, 1),
        most("longest chain of text and data, programs run", every, 1),
        most(f"allocator's lock taken, for each of {held.pages} pages reclaimed", held.taken / held.pages, 1 / PGHSIZE),
        most(f"pages reclaimed while it is held, of {held.pages}", held.within, 0),
        under(f"Page of {now} bytes to one of {was}", now / was, 0.5),
        under(f"the same without cachectl[{MAXMACH}], {nowbare} to {wasbare}", nowbare / wasbare, 0.5),
    ]
