"""The state of a kernel as vector files describe it (FORMAT.md, section 4), and the arithmetic of their deltas."""

from __future__ import annotations

import json
import zlib
from typing import Any, TypeAlias

from kernel.base.dat import NSEG, PGHSIZE, Image, Page
from kernel.base.mem import BY2PG, PTEPERTAB
from kernel.memory.swapmap import swapaddr
from tests.vectors.machine import VectorKernel, signed

State: TypeAlias = dict[str, Any]

NOCHAINS: list[Page | None] = [None] * PGHSIZE
NOSEGS = [-1] * NSEG
UNUSED = [0, 0, 0, -1, 0, 0, 0]
SWAPIMAGE, FSCACHE = 1000, 1001


def imageid(k: VectorKernel, i: Image | None) -> int:
    """Number of an image, -1 for None."""
    if i is None:
        return -1
    return {-2: SWAPIMAGE, -3: FSCACHE}.get(i.num, i.num)


def allimages(k: VectorKernel) -> list[tuple[int, Image]]:
    """All images with their numbers."""
    return [*enumerate(k.imagealloc.list), (SWAPIMAGE, k.swapimage), (FSCACHE, k.fscache)]


def snapshot(k: VectorKernel) -> State:
    """The complete state of k."""
    sa = k.swapalloc
    state: State = {
        "free": k.palloc.freecount,
        "fl": _freelist(k),
        "age": k.ageclock,
        "pg": _pages(k),
        "sw": {str(i): n for i, n in enumerate(sa.swmap[: sa.top]) if n},
        "swf": sa.free,
        "swl": sa.last,
        "xref": sa.xref,
        "pr": _procs(k),
        "ch": {str(n): [c.ref, int(c.aux.open)] for n, c in enumerate(k.chans)},
        "io": [k.pageid(p) for p in k.iolist],
    }
    _images(k, state)
    _segments(k, state)
    return state


def _freelist(k: VectorKernel) -> list[int | str]:
    free: list[int | str] = []
    p = k.palloc.head
    while p is not None and len(free) <= k.palloc.user:
        free.append(k.pageid(p))
        p = p.next
    free.extend(range(k.palloc.fresh - 1, -1, -1))
    return free


def _pages(k: VectorKernel) -> dict[str, list[int]]:
    pages = {}
    for n, p in k.palloc.pages.items():
        image = imageid(k, p.image)
        fields = [p.ref, p.va, signed(p.daddr), image, p.modref, p.refage, p.cachectl[0]]
        if fields != UNUSED:
            pages[str(n)] = fields
    return pages


def _images(k: VectorKernel, state: State) -> None:
    images = {}
    chains = {}
    for num, i in allimages(k):
        q = i.qid
        chan = -1 if i.c is None else i.c.aux.num
        fields = [i.ref, i.pgref, signed(q.path), signed(q.vers), q.type, i.type, i.dev, chan, k.segid(i.s)]
        if any(fields[:4]) or any(fields[5:7]) or q.type or chan >= 0 or i.s is not None:
            images[str(num)] = fields
        if i.pghash != NOCHAINS:
            for h, p in enumerate(i.pghash):
                if p is not None:
                    chains[f"{num}.{h}"] = _chain(k, p)
    ia = k.imagealloc
    buckets = {}
    for b, head in enumerate(ia.hash):
        x = head
        bucket: list[int] = []
        while x is not None and len(bucket) <= len(ia.list):
            bucket.append(x.num)
            x = x.hash
        if bucket:
            buckets[str(b)] = bucket
    free: list[int] = []
    f = ia.free
    while f is not None and len(free) <= len(ia.list):
        free.append(f.num)
        f = f.next
    state["im"] = images
    state["hc"] = chains
    state["ih"] = buckets
    state["if"] = free


def _chain(k: VectorKernel, p: Page | None) -> list[int | str]:
    chain: list[int | str] = []
    while p is not None and len(chain) <= k.palloc.user:
        chain.append(k.pageid(p))
        p = p.next
    return chain


def _segments(k: VectorKernel, state: State) -> None:
    segments = {}
    tables = {}
    entries = {}
    for n, s in list(k.segs.items()):
        if s.ref == 0:
            del k.segs[n]
            continue
        segments[str(n)] = [
            s.type, s.base, s.top, s.size, s.ref, imageid(k, s.image), s.fstart, s.flen, int(s.flushme), s.mapsize,
        ]  # fmt: skip
        for t, pte in enumerate(s.map):
            if pte is None:
                continue
            tables[f"{n}.{t}"] = [pte.first, pte.last]
            for j, e in enumerate(pte.pages):
                if e is not None:
                    entry = k.pageid(e) if isinstance(e, Page) else -(swapaddr(e) // BY2PG + 1)
                    entries[f"{n}.{t * PTEPERTAB + j}"] = entry
    state["sg"] = segments
    state["pt"] = tables
    state["pe"] = entries


def _procs(k: VectorKernel) -> dict[str, list[int]]:
    procs = {}
    for p in k.procs.proctab:
        segs = [k.segid(s) for s in p.seg]
        if segs != NOSEGS:
            procs[str(p.index)] = segs
    return procs


def apply(state: State, delta: State) -> State:
    """The state a delta leads to. Parts that do not change are shared with the old state."""
    new = dict(state)
    for key, change in delta.items():
        if key == "fl":
            drop, head = change
            new[key] = head + state[key][drop:]
        elif isinstance(change, dict):
            part = dict(state[key])
            for name, value in change.items():
                if value is None:
                    part.pop(name, None)
                else:
                    part[name] = value
            new[key] = part
        else:
            new[key] = change
    return new


def canonical(value: object) -> str:
    """JSON as the checksums are taken of it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


class Checksum:
    """The ``h`` of states that follow one another: only parts that changed are written out anew."""

    def __init__(self) -> None:
        self.state: State = {}
        self.parts: dict[str, str] = {}

    def of(self, state: State) -> str:
        """Checksum of a state, 8 hex digits."""
        for key, value in state.items():
            if key not in self.parts or self.state[key] != value:
                self.parts[key] = f'"{key}":{canonical(value)}'
        self.state = state
        text = "{" + ",".join(self.parts[key] for key in sorted(state)) + "}"
        return f"{zlib.crc32(text.encode()):08x}"


def difference(expected: State, actual: State) -> str:
    """The first field in which two states differ, in words; empty if none does."""
    for key in sorted(expected.keys() | actual.keys()):
        want, got = expected.get(key), actual.get(key)
        if want == got:
            continue
        if isinstance(want, dict) and isinstance(got, dict):
            name = next(n for n in sorted(want.keys() | got.keys()) if want.get(n) != got.get(n))
            return f"state {key}[{name}]: expected {want.get(name)}, actual {got.get(name)}"
        return f"state {key}: expected {want}, actual {got}"
    return ""
