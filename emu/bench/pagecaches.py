"""The commit's page cache beside the one that it replaced, and page-out policies beside each other.

p9emu bench --pagecache. All but the microseconds are counts, the same on any host.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from ctypes import sizeof
from functools import partial
from typing import Final

from emu.bench.contention import Operation, holds, play, seen, taken, work
from emu.bench.pagesize import MAXMACH, after, before
from emu.bench.report import Table, aligned, pipes
from emu.machine.config import Config
from emu.machine.console import HostConsole
from emu.machine.limits import PAGEOUT
from emu.machine.machine import Machine
from emu.machine.references import References
from emu.observe.mrc.curve import frames
from emu.observe.mrc.optimum import Optimum
from emu.observe.mrc.runs import Misses
from emu.observe.mrc.shorten import Shortened
from kernel.base.chandat import Chan
from kernel.base.dat import SG_RONLY, SG_TEXT, Image, Lock, Page
from kernel.base.event import Event
from kernel.base.kernel import Kernel
from kernel.base.mem import BY2PG, MB, UTZERO
from kernel.base.parentdat import ParentPage
from kernel.base.procdat import Proc
from kernel.memory.page import cachepage, lookpage, newpage, pagereclaim, putpage, uncachepage
from kernel.memory.segment import attachimage, imagereclaim
from kernel.sched.newproc import newproc
from kernel.sched.taslock import unlock

VERSION: Final = 1
BOTH: Final = ("commit", "parent")
CACHED: Final = (512, 4096, 32768)
IMAGES: Final = 16  # that the cached pages are of
CPUS: Final = (1, 2, 4, 8)
ROW: Final = 200  # operations of each processor


@contextmanager
def kernel(pagecache: str, memory: int = 64 * MB) -> Iterator[Kernel]:
    """A kernel with a process that can take pages."""
    with closing(Machine(Config(memory=memory, pagecache=pagecache))) as machine:
        k = machine.kernel
        k.up = process(k)
        yield k
        k.up = None


def process(k: Kernel) -> Proc:
    p = newproc(k)
    p.kp = True
    return p


def image(k: Kernel, n: int) -> Image:
    """An image in use."""
    c = Chan()
    c.qid.path = n
    i = attachimage(k, SG_TEXT | SG_RONLY, c, UTZERO, 1)
    unlock(k, i)
    return i


def fill(k: Kernel, images: Sequence[Image], pages: int) -> None:
    """Cache so many pages, at the same places of each image; nobody references them."""
    for n in range(pages):
        p = newpage(k, False, 0)
        assert p is not None
        p.daddr = n // len(images) * BY2PG
        cachepage(k, p, images[n % len(images)])
        putpage(k, p)


def look(k: Kernel, i: Image, n: int) -> None:
    """What a fault on a page of a text does that is cached, and later the end of the process."""
    p = lookpage(k, i, n * BY2PG)
    assert p is not None
    putpage(k, p)


def fresh(k: Kernel) -> None:
    """What a zero-fill fault does, and later the end of the process; clearing the page is not counted."""
    p = newpage(k, False, 0)
    assert p is not None
    putpage(k, p)


def cycle(k: Kernel, i: Image, p: Page) -> None:
    """What happens to a page that comes from a file, or goes to swap, and later to something else."""
    p.daddr = 64 * BY2PG
    cachepage(k, p, i)
    uncachepage(k, p)


# Tables


def lookups(sizes: Sequence[int] = CACHED) -> Table:
    """What a look-up costs, and the end of that reference, against how much is cached."""
    lines = [["look-up and putpage", "cached pages", "statements", "locks taken", "us"]]
    for pagecache in BOTH:
        for pages in sizes:
            with kernel(pagecache, 512 * MB) as k:
                images = [image(k, n) for n in range(IMAGES)]
                fill(k, images, pages)
                places = [(images[n % IMAGES], n // IMAGES) for n in range(0, pages, max(pages // 256, 1) | 1)]
                seens = [seen(partial(look, k, i, n)) for i, n in places]
                started = time.process_time()
                for i, n in places:
                    look(k, i, n)
                us = (time.process_time() - started) * 1e6 / len(places)
                steps = sum(map(work, seens)) / len(seens)
                locks = sum(what == "lock" for o in seens for what, _ in o) / len(seens)
                lines.append([pagecache, f"{pages:,}", f"{steps:.1f}", f"{locks:.0f}", f"{us:.1f}"])
    return Table("lookup", lines, 1)


Scene = Callable[[Kernel, Sequence[Image], int, int], None]

SCENES: Final[dict[str, Scene]] = {
    "look up pages, each processor its own image's": lambda k, images, cpu, n: look(k, images[cpu], n % 64),
    "look up pages, all the same image's": lambda k, images, cpu, n: look(k, images[0], (n + 8 * cpu) % 64),
    "take a page and give it back": lambda k, images, cpu, n: fresh(k),
}


def contention(cpus: Sequence[int] = CPUS, row: int = ROW) -> Table:
    """How processors get in each other's way: statements from one operation to the next, share of time waited."""
    lines = [["several processors", "page cache", *(f"{n}: each, waiting" for n in cpus)]]
    for name, scene in SCENES.items():
        for pagecache in BOTH:
            with kernel(pagecache) as k:
                images = [image(k, n) for n in range(max(cpus))]
                fill(k, images, 64 * len(images))
                rows: list[list[Operation]] = []
                for cpu in range(max(cpus)):
                    k.up = process(k)
                    rows.append([seen(partial(scene, k, images, cpu, n)) for n in range(row)])
            outcomes = [play(rows[:n]) for n in cpus]
            lines.append([name, pagecache, *(f"{o.each:.1f}, {o.waiting:.0%}" for o in outcomes)])
    return Table("contention", lines, 2)


def held() -> Table:
    """For how many statements which locks are held, together, by one operation."""
    lines = [["statements with a lock held", "page cache", "palloc", "hash", "the image's", "the page's", "of all"]]
    for pagecache in BOTH:
        with kernel(pagecache) as k:
            i = image(k, 1)
            fill(k, [i], 64)
            again = newpage(k, False, 0)
            assert again is not None
            for name, do in (
                ("look a page up and put it", partial(look, k, i, 5)),
                ("take a page and put it", partial(fresh, k)),
                ("cache a page and forget it", partial(cycle, k, i, again)),
            ):
                steps = seen(do)
                c = k.parent
                locks = (k.palloc, c.hashlock if c is not None else None, i, page(k, steps))
                cells = [str(sum(holds(steps, lock))) if lock is not None else "-" for lock in locks]
                lines.append([name, pagecache, *cells, str(work(steps))])
    return Table("held", [lines[0], *sorted(lines[1:])], 2)


def page(k: Kernel, steps: Operation) -> Lock | None:
    """The lock of the page that an operation is about."""
    locks = {id(p.lk): p.lk for p in k.palloc.pages.values() if isinstance(p, ParentPage)}
    return next((locks[id(lock)] for _, lock in steps if id(lock) in locks), None)


def reclaiming(pages: int = 4096) -> Table:
    """What it takes to use cached pages for something else."""
    lines = [["reclaim", "pages", "statements for each", "palloc taken for each", "longest held, statements"]]

    def tell(name: str, k: Kernel, n: int, operations: Sequence[Operation]) -> None:
        steps, times = sum(map(work, operations)), sum(taken(o, k.palloc) for o in operations)
        most = max(n for o in operations for n in holds(o, k.palloc))
        lines.append([name, f"{n:,}", f"{steps / n:.1f}", f"{times / n:.3f}", f"{most:,}"])

    with kernel("commit") as k:
        i = image(k, 1)
        fill(k, [i], pages)
        freed = k.palloc.freecount
        operations = []
        while i.pgref:
            operations.append(seen(lambda: pagereclaim(k, i, 1000)))
        tell("commit: pagereclaim, by the pager", k, k.palloc.freecount - freed, operations)
    for name, do in (("imagereclaim, all at once", True), ("newpage, one by one", False)):
        with kernel("parent") as k:
            i = image(k, 1)
            fill(k, [i], pages)
            if do:
                operations = [seen(lambda: imagereclaim(k, 1000))]
            else:
                while k.palloc.fresh:
                    newpage(k, False, 0)
                operations = [seen(lambda: newpage(k, False, 0)) for _ in range(pages)]
            tell(f"parent: {name}", k, k.nreclaim, operations)
    return Table("reclaim", lines, 1)


def sizes() -> Table:
    """The structures of C, on a 386."""
    pages = (3072 * MB * 6 // 10) // BY2PG
    lines = [["Page, bytes on a 386", "parent", "commit", "commit to parent"]]
    for name, nmach in ((f"with cachectl[{MAXMACH}]", MAXMACH), ("without", 0)):
        was, now = sizeof(before(nmach)), sizeof(after(nmach))
        lines.append([name, str(was), str(now), f"{now / was:.2f}"])
    was, now = sizeof(before()) * pages >> 10, sizeof(after()) * pages >> 10
    lines.append([f"all {pages:,} of a machine with 3 GB, KB", f"{was:,}", f"{now:,}", f"{now / was:.2f}"])
    return Table("page", lines, 1)


LOADS: Final = (
    ("thrash 400 4", 4), ("thrash 450 4", 4), ("thrash 600 4", 4), ("agewalk 600 100", 4), ("agewalk 600 200", 4),
    ("swapfork 450", 4), ("pressure 500 2 2", 4),
)  # fmt: skip


def optimum(argv: str, memory: int) -> int:
    """The fewest pages that must be read back: Belady's, as p9emu mrc has it, less the first touch of each page."""
    string, misses = Shortened(), Misses()
    references = References(lambda pid, ns, pages: string.add(pages), string.gone)

    def sink(ev: Event) -> None:
        references(ev)
        misses(ev)

    with closing(Machine(Config(memory=512 * MB), sink)) as machine:
        references.watch(machine)
        machine.run(argv.split()[0], argv.split()[1:])
        references.finish()
        string.end()
    return Optimum(string.string).misses(frames(memory, 1, misses.tables)) - string.pages


def policies(loads: Sequence[tuple[str, int]] = LOADS) -> Table:
    """Pages read back from swap, by policy; in brackets what the reference bits cost: all faults."""
    lines = [["swap-ins (all faults)", "-m", *PAGEOUT, "optimum"]]
    for argv, memory in loads:
        cells = []
        for pageout in PAGEOUT:
            with closing(Machine(Config(memory=memory * MB, swap=16 * MB, pageout=pageout))) as machine:
                stats = machine.run(argv.split()[0], argv.split()[1:]).stats
                cells.append(f"{stats.swap_ins:,} ({stats.faults:,})")
        lines.append([argv, f"{memory}M", *cells, f"{optimum(argv, memory * MB):,}"])
    return Table("policies", lines, 1)


WHOLE: Final = ("thrash 450 4", "agewalk 600 100", "swapfork 450", "pressure 500 2 2", "textpressure")


def guests(loads: Sequence[str] = WHOLE) -> Table:
    """Whole programs with little memory, in the machine's time."""
    lines = [["-m 4M", "page cache", "virtual ms", "faults", "pages out", "swap-ins", "cached pages reused"]]
    for argv in loads:
        for pagecache in BOTH:
            with closing(Machine(Config(memory=4 * MB, swap=16 * MB, pagecache=pagecache))) as machine:
                stats = machine.run(argv.split()[0], argv.split()[1:]).stats
            cells = stats.faults, stats.page_outs, stats.swap_ins, stats.reclaimed_pages
            lines.append([argv, pagecache, f"{stats.virtual_ns / 1e6:,.1f}", *(f"{n:,}" for n in cells)])
    return Table("guests", lines, 2)


def main(fmt: str) -> None:
    """Print all of them."""
    saved = HostConsole.write
    HostConsole.write = lambda self, fd, data: None  # type: ignore[method-assign]
    try:
        tables = [lookups(), held(), contention(), reclaiming(), sizes(), guests(), policies()]
    finally:
        HostConsole.write = saved  # type: ignore[method-assign]
    if fmt == "json":
        sys.stdout.write(json.dumps({"v": VERSION, **{t.name: t.lines for t in tables}}) + "\n")
    elif fmt == "markdown":
        sys.stdout.write("\n".join(f"<!-- {t.name} -->\n{pipes(t)}" for t in tables))
    else:
        sys.stdout.write("\n".join(map(aligned, tables)))
