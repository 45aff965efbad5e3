"""A kernel without a CPU: plain memory, and processors that write down what they are told.

Tests drive it in one of two ways: :meth:`PlainKernel.become` makes a process current and the test calls kernel
functions itself, which then must not sleep; or :meth:`PlainKernel.spawn` gives processes a body of kernel code
and :meth:`PlainKernel.run` schedules them, with the kernel's own scheduler, until all have ended or sleep for good.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import ClassVar

from kernel.base.chandat import Chan, Data, Path
from kernel.base.dat import Conf, Image, Page, Qid, Segment
from kernel.base.error import Eio, Error
from kernel.base.event import Event
from kernel.base.kernel import Kernel
from kernel.base.mem import BY2PG, MB, PTEMAPMEM
from kernel.base.procdat import Mach, Proc, Ready, Running
from kernel.files.dev import Dev
from kernel.main import link
from kernel.memory.mmu import mmuswitch
from kernel.memory.page import newpage
from kernel.memory.palloc import pagenumber
from kernel.memory.segment import newseg
from kernel.memory.vmap import machpdb
from kernel.process.proc import pexit
from kernel.sched.clock import Never, idle, nexttimer, runtimers
from kernel.sched.dispatch import dispatch
from kernel.sched.newproc import newproc, startproc
from kernel.sched.sched import behind, canrun, ready


class PlainMemory:
    """Physical memory: anonymous host memory, so that frames nobody touches cost nothing.

    ``dirty`` collects the frames changed through the methods, ``tables`` those in use as page tables.
    """

    def __init__(self, size: int) -> None:
        self._map = mmap.mmap(-1, size)
        self._bytes = memoryview(self._map)
        self.buf = self._bytes
        self._words = self._bytes.cast("I")
        self._size = size
        self.dirty: set[int] = set()
        self.tables: set[int] = set()

    @property
    def size(self) -> int:
        return self._size

    @property
    def words(self) -> memoryview[int]:
        return self._words

    def zero(self, pa: int) -> None:
        self._bytes[pa : pa + BY2PG] = bytes(BY2PG)
        self.dirty.add(pa)

    def copy(self, dst: int, src: int) -> None:
        self._bytes[dst : dst + BY2PG] = self._bytes[src : src + BY2PG]
        self.dirty.add(dst)

    def read(self, pa: int, n: int) -> bytes:
        return bytes(self._bytes[pa : pa + n])

    def write(self, pa: int, data: bytes | bytearray | memoryview[int]) -> None:
        n = len(data)
        assert n <= BY2PG - pa % BY2PG, "a write crosses a frame boundary"
        self._bytes[pa : pa + n] = data
        self.dirty.add(pa & -BY2PG)

    def changing(self, pa: int) -> None:
        self.dirty.add(pa & -BY2PG)

    def translate(self, pdb: int, va: int, write: bool) -> int:
        return -1

    def table(self, pa: int) -> None:
        self.tables.add(pa)

    def data(self, pa: int) -> None:
        self.tables.discard(pa)


@dataclass(slots=True)
class PlainRegs:
    """Registers of a process that never runs."""

    ax: int = 0
    bx: int = 0
    cx: int = 0
    dx: int = 0
    si: int = 0
    di: int = 0
    bp: int = 0
    sp: int = 0
    pc: int = 0
    flags: int = 0
    fpon: bool = True
    fpsw: int = 0
    fp: bytes = bytes(512)

    def fpstatus(self) -> tuple[int, int]:
        return self.fpsw, 0

    def fppending(self) -> bool:
        return bool(self.fpsw & 0x80)

    def mxcsr(self) -> int:
        return 0

    def fpenable(self, on: bool) -> None:
        self.fpon = on

    def fpmask(self) -> None:
        self.fpsw &= ~0x80

    def fpsave(self) -> bytes:
        return self.fp

    def fprestore(self, data: bytes) -> None:
        self.fp = bytes(data)

    def copyfrom(self, other: object) -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(other, name))

    def clear(self) -> None:
        for f in fields(self):
            setattr(self, f.name, f.default)


SMALL = 20_000  # ns


@dataclass(slots=True)
class PlainCpu:
    """A processor that runs nothing. ``log`` has what it was told: cr3, invlpg, forget, each with its address.

    With a ``scale`` whatever takes a little time takes so many times longer: waiting for a clock tick is fewer
    rounds then. A jump to some later time is what it says.
    """

    cr3: int = 0
    cr2: int = 0
    ns: int = 0
    scale: int = 1
    log: list[tuple[str, int]] = field(default_factory=list)

    def putcr3(self, pa: int) -> None:
        self.cr3 = pa
        self.log.append(("cr3", pa))

    def getcr3(self) -> int:
        return self.cr3

    def getcr2(self) -> int:
        return self.cr2

    def invlpg(self, va: int) -> None:
        self.log.append(("invlpg", va))

    def forget(self, pa: int) -> None:
        self.log.append(("forget", pa))

    def newregs(self) -> PlainRegs:
        return PlainRegs()

    def now(self) -> int:
        return self.ns

    def spend(self, ns: int) -> int:
        was = self.ns
        self.ns += ns * self.scale if ns < SMALL else ns
        return was


class PlainDev(Dev):
    """Files in host memory. A read first calls ``onread``, a write ``onwrite``, with channel, length and offset."""

    dc: ClassVar[str] = "M"
    name: ClassVar[str] = "plain"

    def __init__(self, k: Kernel) -> None:
        super().__init__(k)
        self.onread: Callable[[Chan, int, int], None] | None = None
        self.onwrite: Callable[[Chan, int, int], None] | None = None
        self.closed: list[Chan] = []

    def read(self, c: Chan, n: int, offset: int) -> bytes:
        if self.onread is not None:
            self.onread(c, n, offset)
        return bytes(c.aux[offset : offset + n])

    def write(self, c: Chan, data: Data, offset: int) -> int:
        if self.onwrite is not None:
            self.onwrite(c, len(data), offset)
        if offset + len(data) > len(c.aux):
            raise Error(Eio)
        c.aux[offset : offset + len(data)] = data[:]
        return len(data)

    def length(self, c: Chan) -> int | None:
        return len(c.aux)

    def close(self, c: Chan) -> None:
        self.closed.append(c)


class PlainDisk(PlainDev):
    """The same, but not what setswapchan takes for a file server."""

    dc: ClassVar[str] = "S"
    name: ClassVar[str] = "disk"


class PlainKernel(Kernel):
    """A kernel on plain memory with ``npages`` pages in its pool, the last of memory."""

    def __init__(
        self,
        npages: int = 64,
        *,
        memory: int = 8 * MB,
        nmach: int = 1,
        nproc: int = 20,
        nimage: int = 4,
        nswap: int = 32,
        nswppo: int = 16,
        copymode: int = 0,
        pagecache: str = "",
        pageout: str = "",
    ) -> None:
        conf = Conf(nmach, memory // BY2PG, npages, nproc, nimage, nswap, nswppo, copymode)
        self.plain = PlainMemory(memory)
        super().__init__(conf, self.plain)
        link(self, pagecache, pageout)
        self.cpus = [PlainCpu() for _ in range(nmach)]
        for n, cpu in enumerate(self.cpus):
            m = Mach(n, cpu, machpdb(self, n))
            self.machs.append(m)
            cpu.putcr3(m.pdb)
        self.m = self.machs[0]
        self.dev = PlainDev(self)
        self.disk = PlainDisk(self)
        self.devtab += [self.dev, self.disk]
        self.failmalloc = 0  # counts down to the malloc that fails
        self.npath = 0
        self.stepns = 1000  # virtual time run() lets pass at each turn of a processor
        self.events: list[Event] = []
        self.printed: list[str] = []
        self.onprint = self.printed.append

    def malloc(self) -> bool:
        self.failmalloc -= 1
        return self.failmalloc != 0

    def nopager(self) -> None:
        """Let whoever needs memory wait in vain."""
        self.pagerstarted.ref = 1

    def listen(self) -> None:
        """Collect what the kernel tells in ``events``."""
        self.sink = self.events.append

    def told(self, kind: str) -> list[str]:
        """The op of each event of a kind."""
        return [getattr(e, "op", "") for e in self.events if e.kind == kind]

    # Processes

    def process(self, name: str = "test") -> Proc:
        """A process that a test makes current by hand."""
        p = newproc(self)
        p.text = name
        p.psstate = None
        p.state = Ready
        p.inkernel = False  # for all the kernel can see it is in user mode when it is not current
        return p

    def become(self, p: Proc, mach: int = 0) -> Proc:
        """Make p current on a processor."""
        m = self.machs[mach]
        for old in (self.m.proc, m.proc):
            if old is not None and old is not p:
                old.mach = None
                old.state = Ready
        for other in self.machs:
            if other.proc is p:
                other.proc = None
        self.m, self.up = m, p
        m.proc, p.mach, p.state = p, m, Running
        s, m.splhi = m.splhi, True
        mmuswitch(self, p)
        m.splhi = s
        return p

    def spawn(self, body: Callable[[], None], name: str = "test", kp: bool = False) -> Proc:
        """A process that will run body, in the kernel."""
        p = newproc(self)
        p.text = name
        p.psstate = None
        p.kp = kp
        p.nerrlab = 1

        def main() -> None:
            body()
            pexit(self, None, True)

        startproc(self, p, main)
        ready(self, p)
        return p

    def run(self, ms: int = 1_000_000) -> None:
        """Schedule until every process has ended or sleeps for good, or virtual time has run on by ms."""
        for m in self.machs:
            if m.proc is not None and m.proc.greenlet is None:  # a process made current by hand
                m.proc.mach = None
                m.proc = None
        self.up = None
        end = self.machs[0].cpu.now() + ms * 1_000_000
        while (turn := self.nextmach(end)) is not None and turn.cpu.now() <= end:
            m = turn
            m.until = m.cpu.now() + (10_000_000 if len(self.machs) == 1 else 20_000)
            dispatch(self, m)
            m.cpu.spend(self.stepns)
        self.up = None

    def nextmach(self, end: int = Never) -> Mach | None:
        """The processor whose turn it is, None if all processes have ended or sleep beyond the end.

        Of two at the same time the idle one comes first: it takes what is ready, while the other goes on.
        """
        procs = self.procs
        while True:
            busy = [m for m in self.machs if m.proc is not None]
            if busy or procs.runvec:
                break
            t = nexttimer(self)
            if t == Never or t > end:
                return None
            for m in self.machs:
                self.idle(m, t)
            self.m, self.up = self.machs[0], None
            runtimers(self, t)
        front = min(m.cpu.now() for m in busy or self.machs)
        for m in self.machs:
            if m.proc is None and m.cpu.now() < front:
                self.idle(m, front)
        some = [m for m in self.machs if m.proc is not None or canrun(self, m)] if procs.runvec else busy
        m = procs.chooser.turn(some, front) if procs.chooser is not None else behind(some)
        self.m, self.up = m, None
        runtimers(self, m.cpu.now())
        return m

    def idle(self, m: Mach, until: int) -> None:
        """Let an idle processor's clock run on."""
        cpu = m.cpu
        assert isinstance(cpu, PlainCpu)
        scale, cpu.scale = cpu.scale, 1
        idle(self, m, until)
        cpu.scale = scale

    # Things to test with

    def page(self, va: int = 0, clear: bool = False) -> Page:
        """A page for the current process."""
        p = newpage(self, clear, va)
        assert p is not None
        return p

    def fill(self, p: Page, byte: int) -> None:
        """Set all bytes of a page."""
        self.mem.write(p.pa, bytes([byte]) * BY2PG)

    def file(self, data: bytes, *, type: int = 0, path: int = 0) -> Chan:
        """An open channel to a new file."""
        self.npath += 1
        c = Chan()
        c.type = type
        c.qid = Qid(path or self.npath)
        c.flag = Chan.COPEN
        c.path = Path(f"/f{c.qid.path}")
        c.aux = bytearray(data)
        return c

    def segment(self, p: Proc, slot: int, type: int, base: int, npages: int, image: Image | None = None) -> Segment:
        """A new segment in a slot of p; with an image it takes one more reference to that."""
        s = newseg(self, type, base, npages)
        if image is not None:
            image.ref += 1
            s.image = image
            s.flen = npages * BY2PG
        p.seg[slot] = s
        return s


def me(k: PlainKernel) -> Proc:
    """The current process."""
    assert k.up is not None
    return k.up


def entry(s: Segment, addr: int) -> Page | int | None:
    """What segment s has at addr."""
    off = addr - s.base
    pte = s.map[off // PTEMAPMEM]
    return None if pte is None else pte.pages[off % PTEMAPMEM // BY2PG]


def freelist(k: Kernel) -> list[int]:
    """Page numbers on the free list, from its head."""
    numbers = []
    p = k.palloc.head
    while p is not None:
        numbers.append(pagenumber(k, p))
        p = p.next
    return numbers + list(range(k.palloc.fresh - 1, -1, -1))


def chain(i: Image, h: int) -> list[Page]:
    """The pages on one chain of an image, from its head."""
    pages = []
    p = i.pghash[h]
    while p is not None:
        pages.append(p)
        p = p.next
    return pages
