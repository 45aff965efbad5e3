"""A model, which knows events alone, compared with the kernel's own structures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

from emu.machine.config import Config, Outcome
from emu.machine.machine import Machine
from emu.observe.model import look
from emu.observe.model.model import Model
from emu.observe.model.records import FLAGS, NOIMAGE, ONSWAP, WRITE
from kernel.base.dat import SEGNAME, SG_TYPE, Image, Page, Segment
from kernel.base.kernel import Kernel
from kernel.base.mem import BY2PG, PGSHIFT, PTEPERTAB, PTEVALID, PTEWRITE, WD2PG
from kernel.base.procdat import STATENAME, Dead, Proc, Queueing, Rendezvous, Wakeme
from kernel.memory.check import blocked
from kernel.memory.mmu import mmupages, poolpages
from kernel.memory.page import cachedpages
from kernel.sched.newproc import everyproc
from tests.e2e.harness import Console

WAITING: Final = (Wakeme, Queueing, Rendezvous)


def differences(k: Kernel, m: Model) -> list[str]:
    """Where the model is wrong, in words. What a process midway through kernel work has in its hands is left out."""
    c = _Comparison(k, m)
    c.frames()
    c.segments()
    c.processes()
    c.mmu()
    c.images()
    c.swap()
    return c.wrong


class _Comparison:
    def __init__(self, k: Kernel, m: Model) -> None:
        self.k = k
        self.m = m
        self.busy = blocked(k)
        self.wrong: list[str] = []
        self.procs = [p for p in everyproc(k) if p.state != Dead]

    def same(self, what: str, model: object, kernel: object) -> None:
        if model != kernel:
            self.wrong.append(f"{what}: {model!r}, the kernel has {kernel!r}")

    def rows(self, what: str, model: dict[int, Any], kernel: dict[int, Any]) -> None:
        for key in sorted(model.keys() | kernel.keys()):
            self.same(f"{what} {key:#x}", model.get(key), kernel.get(key))

    def frames(self) -> None:
        k, m = self.k, self.m
        pa = k.palloc
        machine = m.machine.now[0]
        self.same("sizes", (machine.cpus, machine.base, machine.pages), (len(k.machs), pa.base, pa.user))
        free = {p for p in chain(pa.head) if p.image is None}  # with the parent's page cache some there are cached
        fresh = {p for p in free if p.pa not in range(pa.base, pa.base + pa.user * BY2PG)}
        used = {p.pa: p for p in pa.pages.values() if p not in free}
        told = {pa: f.purpose for pa, f in m.frames.now.items()}
        moving = [pa for pa, use in look.purposes(m).items() if use == "moving"]
        if self.busy:  # pages may be on their way from one list to another
            used = {pa: p for pa, p in used.items() if p.ref or p.image is not None}
            told = {pa: use for pa, use in told.items() if pa in used or pa not in moving}
        else:
            self.same("free", look.free(m), pa.fresh + len(free - fresh))
            self.same("moving", moving, [])
            self.rows("references of frame", look.framerefs(m), {pa: p.ref for pa, p in used.items() if p.ref})
        self.rows("frame", told, self.purposes(used))
        io = {p.pa for p in k.iolist[k.ionext :]}
        for p in used.values():
            f = m.frames.now[p.pa]
            if p.image is None or not p.image.key:
                self.same(f"image of {p.pa:#x}", f.image, p.image.num if p.image is not None else NOIMAGE)
            if f.image != NOIMAGE:
                self.same(f"address of {p.pa:#x}", f.daddr, p.daddr)
            self.same(f"i/o of {p.pa:#x}", f.io, p.pa in io)

    def purposes(self, used: dict[int, Page]) -> dict[int, str]:
        words = {"pdb": "directory", "kmaptable": "kmap", "mmuused": "table", "mmufree": "table"}
        uses = dict.fromkeys(used, "page")
        for p in everyproc(self.k):
            uses.update({pg.pa: words[what] for what, pg in mmupages(self.k, p)})
        for mach in self.k.machs:
            uses.update({pg.pa: "pool" for pg in poolpages(self.k, mach)})
        return uses

    def segments(self) -> None:
        m = self.m
        live = {s.id: s for p in self.procs for s in p.seg if s is not None}
        if not self.busy:
            self.same("segments", sorted(m.segments.now), sorted(live))
            self.same("references of segments", look.segmentrefs(m), {s.id: s.ref for s in live.values()})
        for s in live.values():
            image = s.image.num if s.image is not None else NOIMAGE
            self.same(f"{s!r}", tuple(m.segments.now[s.id]), (SEGNAME[s.type & SG_TYPE], s.base, s.top, image))
            if not s.locked:
                self.rows(f"entries of {s!r}", m.entries.row(s.id), entries(s))

    def processes(self) -> None:
        m, k = self.m, self.k
        running = {mach.machno: mach.proc.pid for mach in k.machs if mach.proc is not None}
        self.same("running", m.running.now, running)
        pids = {p.pid: p for p in self.procs if p.pid}
        self.same("pids", sorted(pid for pid, p in m.processes.now.items() if p.state != "Dead"), sorted(pids))
        for pid, p in pids.items():
            told = m.processes.now[pid]
            self.same(f"name of {pid}", told.name, p.text)
            self.same(f"state of {pid}", told.state, STATENAME[p.state])
            if p.state in WAITING:
                self.same(f"{pid} is at", told.why, p.psstate or "")
            if p.parentpid:
                self.same(f"parent of {pid}", told.parent, p.parentpid)
            self.same(f"segments of {pid}", m.places.row(pid), {i: s.id for i, s in enumerate(p.seg) if s is not None})
            if not self.busy:
                self.same(f"resident pages of {pid}", look.resident(m, pid), residents(p))
        if not self.busy:
            self.same("who has segments", m.places.now.keys() - pids.keys(), set())

    def mmu(self) -> None:
        m = self.m
        has = {p.mmupdb.pa: p for p in everyproc(self.k) if p.mmupdb is not None}
        self.same("directories", set(m.directories.now.values()), set(has))
        for pdb, p in has.items():
            if p.pid:
                self.same(f"directory of {p.pid}", m.directories.now.get(p.pid), pdb)
            tables = {pg.daddr: pg.pa for what, pg in mmupages(self.k, p) if what == "mmuused"}
            self.same(f"page tables of {p.pid}", m.tables.row(pdb), tables)
            self.rows(f"mappings of {p.pid}", m.maps.row(pdb), mapped(self.k, tables))
        self.same("mappings of others", m.maps.now.keys() - has.keys(), set())

    def images(self) -> None:
        k, m = self.k, self.m
        files = {i.num: i for i in k.imagealloc.list if i.ref}
        caches = look.cached(m)
        for i in [*files.values(), k.swapimage, k.fscache]:
            if not i.key:
                pages = {d: sorted(f) for d, f in caches.get(i.num, {}).items()}
                self.same(f"cache of image {i.num}", pages, cache(k, i))
        if self.busy:
            return
        self.same("images", sorted(m.images.now), sorted(files))
        self.same("references of images", look.imagerefs(m), {n: i.ref for n, i in files.items()})
        for n, i in files.items():
            told = m.images.now[n]
            self.same(f"image {n} is open", told.open, i.c is not None)
            if i.c is not None and i.c.path is not None:
                self.same(f"path of image {n}", told.path, i.c.path.s)

    def swap(self) -> None:
        if self.busy:
            return
        sa = self.k.swapalloc
        have = {n << PGSHIFT: min(refs, 255) for n, refs in enumerate(sa.swmap) if refs}
        told = {at: min(refs, 255) for at, refs in look.slotrefs(self.m).items()}
        self.rows("swap slot", told, {at: told.get(at, 0) if n == 255 else n for at, n in have.items()})
        io = {p.daddr for p in self.k.iolist[self.k.ionext :]}
        self.same("slots with holders", {*look.slots(self.m)} | io, {*have})


def chain(p: Page | None) -> Iterator[Page]:
    while p is not None:
        yield p
        p = p.next


def cache(k: Kernel, i: Image) -> dict[int, list[int]]:
    """The page cache of an image."""
    pages: dict[int, list[int]] = {}
    for p in cachedpages(k, i):
        pages.setdefault(p.daddr, []).append(p.pa)
    return {daddr: sorted(frames) for daddr, frames in pages.items()}


def entries(s: Segment) -> dict[int, int]:
    """What a segment has, by page number, as a model tells it."""
    return {
        t * PTEPERTAB + n: e.pa if isinstance(e, Page) else e & ~FLAGS | ONSWAP
        for t, pte in enumerate(s.map)
        if pte is not None
        for n, e in enumerate(pte.pages)
        if e is not None
    }


def residents(p: Proc) -> int:
    segments = {s for s in p.seg if s is not None}
    return sum(not e & ONSWAP for s in segments for e in entries(s).values())


def mapped(k: Kernel, tables: dict[int, int]) -> dict[int, int]:
    """What the processor would find: the valid words of these page tables, in emulated memory."""
    return {
        x * WD2PG + n: w & ~FLAGS | (WRITE if w & PTEWRITE else 0)
        for x, pa in tables.items()
        for n, w in enumerate(k.mem.words[pa >> 2 : (pa >> 2) + WD2PG])
        if w & PTEVALID
    }


class Watch:
    """Follows a machine with a model, and compares now and then where a process goes to user mode or is switched.

    At first each time, later each second, fourth, ... time, about ``moments`` times in all; the longer, the fewer.
    """

    def __init__(self, moments: int) -> None:
        self.model = Model()
        self.moments = moments
        self.every = 1
        self.passed = 0
        self.compared = 0
        self.quiet = 0  # moments at which nothing was left out

    def __call__(self, k: Kernel, p: Proc, _: bool) -> None:
        self.passed += 1
        if self.moments and self.passed % self.every == 0:
            self.compare(k)
            if self.compared % (self.moments // 2) == 0:
                self.every *= 2

    def compare(self, k: Kernel) -> None:
        self.compared += 1
        self.quiet += not blocked(k)
        wrong = differences(k, self.model)
        assert not wrong, f"{len(wrong)}, at moment {self.passed}: " + "; ".join(wrong[:5])


def watched(program: str, *args: str, moments: int = 20, stdin: bytes = b"", **config: Any) -> tuple[Outcome, Watch]:
    """Run a program, and compare at as many moments and at the end."""
    watch = Watch(moments)
    with closing(Machine(Config(**config), watch.model.apply)) as machine:
        k = machine.kernel
        machine.kernel.console = Console(stdin)
        k.checking = moments > 0
        k.hooks.checkchanged = watch
        outcome = machine.run(program, list(args))
        watch.compare(k)
    return outcome, watch
