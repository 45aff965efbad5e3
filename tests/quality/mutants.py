"""The mutants: small changes of kernel functions, each a mistake someone could make, and what must catch it.

Catchers: ``vectors`` (the recorded behaviour of the original), ``workload`` (random programs with the checker and
contents that must survive), ``explore`` (the same under the exploring scheduler), ``guests`` (real programs on
the emulated processor, with the checker).
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Mutant:
    """``edits`` are pairs of old and new text; the old is found once in the function, the new may be empty."""

    name: str
    module: str
    function: str
    edits: tuple[tuple[str, str], ...]
    caught: tuple[str, ...]

    @property
    def path(self) -> Path:
        """The module's source."""
        return ROOT / (self.module.replace(".", "/") + ".py")

    def source(self) -> str:
        """The module's source with the change. ValueError if it does not fit exactly once."""
        text = self.path.read_text()
        lines = text.splitlines(keepends=True)
        node = _find(ast.parse(text), self.function)
        assert node.end_lineno is not None
        body = "".join(lines[node.lineno - 1 : node.end_lineno])
        for old, new in self.edits:
            n = body.count(old)
            if n != 1:
                raise ValueError(f"{self.name}: {self.module}.{self.function} has {old!r} {n} times")
            body = body.replace(old, new)
        return "".join(lines[: node.lineno - 1]) + body + "".join(lines[node.end_lineno :])


def _find(tree: ast.Module, function: str) -> ast.FunctionDef:
    node: ast.AST = tree
    for name in function.split("."):
        kids = [
            n for n in ast.iter_child_nodes(node) if isinstance(n, ast.ClassDef | ast.FunctionDef) and n.name == name
        ]
        if len(kids) != 1:
            raise ValueError(f"no function {function}")
        node = kids[0]
    assert isinstance(node, ast.FunctionDef)
    return node


V, W, E, G = "vectors", "workload", "explore", "guests"


def _m(name: str, where: str, edits: list[tuple[str, str]], *caught: str) -> Mutant:
    module, _, function = where.partition(":")
    return Mutant(name, f"kernel.{module}", function, tuple(edits), caught)


MUTANTS = (
    # Reference counts
    _m(
        "lost decref",
        "memory.page:putpage",
        [("decref(k, p) == 0 and p.image is None", "p.image is None and decref(k, p) == 0")],
        V,
        E,
    ),
    _m(
        "look at the image before the decref",  # the original's own race
        "memory.page:putpage",
        [
            (
                "    if decref(k, p) == 0 and p.image is None:\n",
                "    cached = p.image is not None\n    if decref(k, p) == 0 and not cached:\n",
            )
        ],
        E,
    ),
    _m("lookpage without incref", "memory.page:lookpage", [("            incref(k, p)\n", "")], V, W),
    _m(
        "ptecpy without incref",
        "memory.page:ptecpy",
        [("                incref(k, e)\n", "                pass\n")],
        V,
        W,
    ),
    _m(
        "ptecpy without dupswap",
        "memory.page:ptecpy",
        [("                dupswap(k, e)\n", "                pass\n")],
        V,
        W,
    ),
    _m("copy keeps the old page", "memory.fault:fixfault", [("                putpage(k, old)\n", "")], V, W),
    _m(
        "loaded page referenced twice",
        "memory.fault:pio",
        [("        putpage(k, new)\n        pg = pages[n]\n", "        pg = pages[n]\n")],
        V,
        W,
    ),
    _m(
        "swap-in keeps the slot",
        "memory.fault:pio",
        [
            (
                '                pageevent(k, "swap-in", new)\n            putswap(k, loadrec)\n',
                '                pageevent(k, "swap-in", new)\n',
            )
        ],
        V,
        W,
    ),
    _m(
        "image loses a reference",
        "memory.segment:attachimage",
        [("    if i.s is None:\n        incref(k, i)\n", "    if i.s is None:\n")],
        V,
        W,
    ),
    _m(
        "incref in two steps",
        "sched.ref:incref",
        [
            (
                "        if cmpswap(r, old, old + 1):\n            return old + 1\n",
                "        r.ref = old + 1\n        return old + 1\n",
            )
        ],
        E,
    ),
    _m(
        "decref in two steps",
        "sched.ref:decref",
        [
            (
                "        if cmpswap(r, old, old - 1):\n            return old - 1\n",
                "        r.ref = old - 1\n        return old - 1\n",
            )
        ],
        E,
    ),
    # The free list and the page cache
    _m(
        "freecount off by one",
        "memory.palloc:takehead",
        [("    pa.freecount -= 1\n", "    pa.freecount -= pa.freecount % 8 != 0\n")],
        V,
        W,
    ),
    _m(
        "freepages counts one",
        "memory.palloc:freepages",
        [("    pa.freecount += n\n", "    pa.freecount += 1\n")],
        V,
        W,
    ),
    _m(
        "wrong hash chain",
        "memory.page:cachepage",
        [("    h = pghash(p.daddr)\n", "    h = pghash(p.daddr + 4096)\n")],
        V,
        W,
    ),
    _m("uncachepage forgets pgref", "memory.page:uncachepage", [("            i.pgref -= 1\n", "")], V, W),
    _m("pagereclaim takes referenced pages", "memory.page:pagereclaim", [(" and p.ref != 0", " and p.ref > 1")], V, W),
    _m(
        "pagereclaim stops too early",
        "memory.page:pagereclaim",
        [("else (n >= min)", "else (n + 1 >= min)")],
        V,
    ),
    _m("newpage does not clear", "memory.page:newpage", [("        k.mem.zero(VA(k, kk))\n", "")], V, W),
    _m("newpage keeps cachectl", "memory.palloc:takepage", [("    p.cachectl[:] = pa.noflush\n", "")], V),
    _m(
        "copypage copies backwards",
        "memory.page:copypage",
        [("k.mem.copy(VA(k, kd), VA(k, ks))", "k.mem.copy(VA(k, ks), VA(k, kd))")],
        V,
        W,
    ),
    _m(
        "freepte stops before the last",
        "memory.page:freepte",
        [("    for n in range(p.first, p.last + 1):\n", "    for n in range(p.first, p.last):\n")],
        V,
        W,
    ),
    # Segments and images
    _m(
        "putseg leaves itself in the image",
        "memory.segment:putseg",
        [("            i.s = None\n", "            pass\n")],
        V,
        W,
    ),
    _m("putimage keeps the chan", "memory.image:putimage", [("        i.c = None\n", "")], V),
    _m(
        "imagereclaim begins at the first image",
        "memory.segment:imagereclaim",
        [("    n = 0\n", "    n = ia.rotor = 0\n")],
        V,
    ),
    _m(
        "brk shrinks a shared segment",
        "memory.segment:ibrk",
        [("        if s.ref > 1:\n", "        if s.ref > 2:\n")],
        V,
    ),
    _m("segattach overlaps", "memory.segment:isoverlap", [("ns.base <= va < ns.top", "ns.base < va < ns.top")], V),
    # Flushes
    _m("brk does not flush", "memory.segment:ibrk", [("        flushmmu(k)\n", "")], V, W),
    _m(
        "mfreeseg does not flush others",
        "memory.segment:mfreeseg",
        [("    if s.ref > 1:\n        procflushseg(k, s)\n", "")],
        V,
        W,
    ),
    _m(
        "dupseg does not flush others",
        "memory.segment:dupseg",
        [("    if s.ref > 1:\n        procflushseg(k, s)\n", "")],
        V,
        W,
    ),
    _m("fork does not flush the parent", "syscalls.sysrfork:sysrfork", [("    flushmmu(k)\n    p.b", "    p.b")], W),
    _m("exec does not flush", "syscalls.sysexec:_exec", [("    flushmmu(k)\n    if up.hang", "    if up.hang")], G),
    _m("segfree does not flush", "syscalls.sysseg:syssegfree", [("    flushmmu(k)\n", "")], W),
    _m("canpage forgets newtlb", "memory.procflush:canpage", [("        p.newtlb = True\n", "")], W),
    _m("procflushseg does not wait", "memory.procflush:procflushseg", [("    flushmachs(k, wait)\n", "")], W),
    _m("mmuswitch ignores newtlb", "memory.mmu:mmuswitch", [("        mmuptefree(k, proc)\n", "")], W),
    _m("mmuptefree leaves the directory", "memory.mmu:mmuptefree", [("        w[i + page.daddr] = 0\n", "")], W),
    _m(
        "putmmu does not flush the page",
        "memory.mmu:putmmu",
        [("    flushpg(k, va)\n", "    pass\n")],
        W,
    ),
    _m(
        "pages mapped for the supervisor",
        "memory.mmu:putmmu",
        [("w[x] = pa | PTEUSER | PTEVALID", "w[x] = pa | PTEVALID")],
        W,
        G,
    ),
    _m(
        "putmmu also writes the next entry",
        "memory.mmu:putmmu",
        [
            (
                "    new = w[x] = pa | PTEUSER | PTEVALID\n",
                "    new = w[x] = pa | PTEUSER | PTEVALID\n    w[x ^ 1] = new\n",
            )
        ],
        W,
        G,
    ),
    _m("mmurelease forgets the kmap table", "memory.mmu:mmurelease", [("        pagechainhead(k, kt)\n", "")], W),
    _m(
        "page mapped that was lost meanwhile",
        "memory.mmu:putmmu",
        [
            ("        if up.flushes != flushes and not k.variant.original_putmmu:\n", "        if False:\n"),
        ],
        W,
    ),
    # Faults
    _m(
        "private page left writable",
        "memory.fault:fixfault",
        [
            (
                "        if read and k.copymode == 0 and s.ref == 1:\n            mmuphys = pg.pa | PTERONLY",
                "        if read and k.copymode == 0 and s.ref == 1:\n            mmuphys = pg.pa | PTEWRITE",
            )
        ],
        V,
        W,
    ),
    _m(
        "cached page written",
        "memory.fault:fixfault",
        [("            if pg.ref > 1 or pg.image is not None:\n", "            if pg.ref > 1:\n")],
        V,
        W,
    ),
    _m(
        "load does not look at the cache again",
        "memory.fault:pio",
        [("now = pages[n] = lookpage(k, image, daddr)", "now = None")],
        V,
    ),
    _m(
        "page lost to a race with the pager",
        "memory.fault:pio",
        [("        elif now != loadrec:\n", "        elif False:\n")],
        V,
    ),
    _m(
        "short page not cleared",
        "memory.fault:pio",
        [("data = bytes(data) + bytes(BY2PG - ask)", "data = bytes(data)")],
        V,
    ),
    _m(
        "read-only text written",
        "memory.fault:fault",
        [
            (
                "        if not read and s.type & SG_RONLY:\n",
                "        if not read and s.type & SG_RONLY and not s.type & SG_RONLY:\n",
            )
        ],
        V,
    ),
    # Swap
    _m("wrong pageout age", "memory.policy:Clock16.old", [("return 16 <= age", "return 15 <= age")], V),
    _m(
        "pageout visits the last entry",
        "memory.swap:pageout",
        [("pte.last + inclusive", "pte.last + 1")],
        V,
    ),
    _m("pageout forgets the old cache", "memory.swap:pagepte", [("    uncachepage(k, outp)\n", "")], V, W),
    _m("pageout keeps a stale cached page", "memory.swap:pagepte", [("    cachedel(k, k.swapimage, daddr)\n", "")], V),
    _m(
        "pageout of a running process",
        "memory.swap:canflush",
        [("        return canpage(k, p)\n", "        return True\n")],
        V,
        W,
    ),
    _m(
        "putswap forgets the free count",
        "memory.swapmap:putswap",
        [("            sa.free += 1\n    unlock", "            pass\n    unlock")],
        V,
        W,
    ),
    _m(
        "newswap begins at the first slot",
        "memory.swapmap:newswap",
        [("        look = sa.swmap.find(0, sa.last, sa.top)\n", "        look = sa.swmap.find(0, 0, sa.top)\n")],
        V,
    ),
    _m("executeio keeps the slot", "memory.swap:executeio", [("        putswap(k, outp.daddr)", "        pass")], V, W),
    # Locks
    _m(
        "lookpage without its lock",
        "memory.page:lookpage",
        [
            ("    lock(k, i)\n", ""),
            ("            unlock(k, i)\n", ""),
            ("        p = p.next\n    unlock(k, i)\n", "        p = p.next\n"),
        ],
        E,
    ),
    _m(
        "putseg without the image's lock",
        "memory.segment:putseg",
        [
            ("        lock(k, i)\n", ""),
            ("            unlock(k, i)\n            return\n", "            return\n"),
            (
                "        unlockput(k, i)\n",
                "        from kernel.memory.image import putimage\n\n        putimage(k, i)\n",
            ),
        ],
        E,
    ),
    _m(
        "pageout without the segment's lock",
        "memory.swap:pageout",
        [
            ("    if not canqlock(k, s):", "    if False:"),
            ("    if s.steal:  # protected by /proc\n        qunlock(k, s)\n", "    if s.steal:\n"),
            ("    if not canflush(k, p, s):\n        qunlock(k, s)\n", "    if not canflush(k, p, s):\n"),
            ("pte.pages[n])\n    qunlock(k, s)\n", "pte.pages[n])\n"),
        ],
        E,
    ),
    _m(
        "dupseg without the segment's lock",
        "memory.segment:dupseg",
        [
            ("    qlock(k, s)\n", ""),
            ("            qunlock(k, s)\n            return n\n", "            return n\n"),
            ("    if n is s:\n        incref(k, s)\n        qunlock(k, s)\n", "    if n is s:\n        incref(k, s)\n"),
            ("        procflushseg(k, s)\n    qunlock(k, s)\n", "        procflushseg(k, s)\n"),
        ],
        E,
    ),
    _m("qunlock does not wake the next", "sched.qlock:qunlock", [("        ready(k, p)\n", "")], E, W),
)
