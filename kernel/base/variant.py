"""The kernel's variants: later fixes of 9front that can be applied, and cures of ours that can be taken back.

A switch is a field of :class:`Variant`, off unless told. Its name is ``fix_COMMIT``, or ``original_NAME``; the row
beside it says what it is. A test of it stands where the original does otherwise, on a path that is seldom gone, or
where a function is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from kernel.base.record import constant, field, record

KINDS = {
    "R": "race or order",
    "D": "deadlock, livelock, starvation",
    "S": "single-threaded logic",
    "F": "double fetch of user memory",
    "L": "leak or lifetime",
}


@constant
class Row:
    """One switch: the commit or the name, the day of the commit or the erratum's number, the C files, what is wrong
    without it (a fix) or with it (a cure taken back). ``kind`` has letters of KINDS.
    """

    name: str
    when: str
    file: str
    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.name:<10} {self.when:<10} {self.kind:<3} {self.file}: {self.what}"


def _switch(when: str, file: str, kind: str, what: str) -> Any:
    return field(default=False, metadata={"row": (when, file, kind, what)})


@record
class Variant:
    """Which kernel of several this one is. Set before its first process is made, and left alone from then on."""

    fix_3af236b5e: bool = _switch(
        "2015-08-09",
        "chan.c, pgrp.c",
        "R",
        "cunmount closes the channel mounted upon under a walk that has found the mount head; files are closed with "
        "name spaces locked",
    )
    fix_7cf6a3548: bool = _switch(
        "2014-06-23",
        "proc.c",
        "R",
        "a wired process that was just readied is run by whoever readied it, and stays there",
    )
    fix_655ec332a: bool = _switch(
        "2014-07-14",
        "devproc.c, fault.c",
        "R S",
        "procctlmemio uses segment and page of a process that gives them up meanwhile; a load error notes the debugger",
    )
    fix_a0e001a23: bool = _switch(
        "2014-11-07", "devproc.c", "R", "an interrupted procstopwait clears pdbg without the lock that its users hold"
    )
    fix_8ed25f24b: bool = _switch("2015-07-09", "page.c, segment.c", "S", "pagereclaim of no page frees one")
    fix_47bb311d3: bool = _switch(
        "2015-07-19",
        "devmnt.c",
        "F",
        "a mount's cache is filled from the user's buffer after the i/o: it can be poisoned",
    )
    fix_bd49212b4: bool = _switch(
        "2018-09-18",
        "proc.c",
        "D",
        "rebalance looks only at who ran on processor 0: others starve behind one that spins",
    )
    fix_d15aca053: bool = _switch(
        "2018-12-05", "devproc.c, portclock.c", "R S", "only processor 0 profiles; two debuggers make counters at once"
    )
    fix_12fa017f3: bool = _switch(
        "2019-09-21", "devproc.c", "R", "proctext and procctlmemio do not look if the slot is another process's by now"
    )
    fix_61a062ee9: bool = _switch(
        "2020-04-26",
        "page.c, segment.c",
        "R S",
        "reclaiming begins with the first hash chains each time, and spares no active image",
    )
    fix_30ab804b5: bool = _switch(
        "2020-06-28", "segment.c", "R", "segflush leaves other processes what they have decoded of a shared segment"
    )
    fix_55c3138c6: bool = _switch(
        "2021-10-03", "chan.c, sysfile.c, devproc.c", "R", "cmount and others walk a union without its lock"
    )
    fix_28836f3ff: bool = _switch(
        "2019-12-07", "proc.c, portclock.c", "D", "procflushmmu waits for flushes that others have asked for meanwhile"
    )
    fix_ad9748422: bool = _switch(
        "2024-03-24", "qio.c", "D", "a writer whose message was read waits while others fill the queue: deadlock"
    )
    fix_e38d42b4a: bool = _switch(
        "2024-01-04", "sysproc.c", "L", "an i/o error while semacquire looks at the semaphore leaves the waiter listed"
    )
    fix_e9fddbaad: bool = _switch(
        "2014-09-14", "segment.c", "S", "segattach rounds up len, not va+len: the end of it may be missing"
    )
    fix_e8760ba63: bool = _switch(
        "2015-02-07", "page.c", "S", "pagereclaim frees the newest page of a chain first; a look-up makes none newer"
    )
    fix_eaf91d0f8: bool = _switch(
        "2015-03-03",
        "segment.c, sysproc.c",
        "S",
        "frames of a physical segment come to the free list; it can be resized beyond its memory",
    )
    fix_fcc336b90: bool = _switch(
        "2015-03-07", "sysproc.c", "S", "the end that segfree computes wraps, and it frees all pages behind the start"
    )
    fix_4d211fdd4: bool = _switch(
        "2015-03-10",
        "segment.c",
        "S",
        "segflush of a part of a page makes the length wrap below zero; relocateseg takes swap entries for pages",
    )
    fix_d0b1db98b: bool = _switch(
        "2015-03-16",
        "swap.c",
        "S D",
        "the last used page of each page table is never paged out; who is skipped costs another reclaim",
    )
    fix_82a797da7: bool = _switch(
        "2015-04-16", "proc.c", "S", "killbig empties the shared segments of the process, which others use"
    )
    fix_76f21ca71: bool = _switch(
        "2015-08-14", "swap.c", "S", "killbig kills a process while a broken one, kept for a debugger, has memory"
    )
    fix_b32300deb: bool = _switch(
        "2015-11-06", "fault.c", "S", "okaddr takes a range that wraps around the end of memory for one of the user's"
    )
    fix_29c7ca80c: bool = _switch(
        "2016-05-16", "segment.c", "S", "segattach around a segment, and brk past one, are no overlaps"
    )
    fix_d9fec3c70: bool = _switch(
        "2019-08-27", "segment.c", "S", "data2txt makes a text that is not read-only: a write there faults for ever"
    )
    original_cupdate: bool = _switch(
        "erratum 19",
        "cache.c",
        "L",
        "a user's buffer that cannot be looked at leaves the file's cache locked, and a page and extents lost",
    )
    original_putpage: bool = _switch(
        "erratum 23", "page.c", "R", "putpage looks at the page's image before it drops the reference"
    )
    original_fork: bool = _switch(
        "erratum 24", "sysproc.c", "R", "a fork that fails leaves its parent writing to pages that the child shares"
    )
    original_putmmu: bool = _switch(
        "erratum 25", "fault.c, mmu.c", "R", "a page that is taken while putmmu waits for memory is mapped all the same"
    )
    original_umh: bool = _switch(
        "erratum 28", "chan.c", "R", "of two binds at once both may drop the mount head that the channel had"
    )
    original_segname: bool = _switch(
        "erratum 31", "segment.c", "S", "segattach looks for the end of the name in memory that nobody has: a panic"
    )
    original_exechdr: bool = _switch(
        "erratum 32", "sysproc.c", "S", "exec finds out that the sums of a header wrap when the old memory is gone"
    )
    original_twice: bool = _switch(
        "erratum 33", "sysproc.c, segment.c", "F", "what exec and segattach look at again is not checked again: a panic"
    )
    original_execstack: bool = _switch(
        "erratum 34", "sysproc.c", "L", "an exec that fails keeps its new stack, which the next exec loses"
    )
    original_errstr: bool = _switch(
        "erratum 35", "proc.c", "L", "a new process has in its error buffers what the last in its slot left there"
    )


def _rows(prefix: str) -> dict[str, Row]:
    from dataclasses import fields  # a run without such options needs none of it

    named = [f for f in fields(Variant) if f.name.startswith(prefix)]
    rows = [Row(f.name.removeprefix(prefix), *f.metadata["row"]) for f in named]
    return {row.name: row for row in sorted(rows, key=lambda row: row.when)}


def fixes() -> dict[str, Row]:
    """The fixes, by commit as 9front's log abbreviates it."""
    return _rows("fix_")


def originals() -> dict[str, Row]:
    """The cures that can be taken back, by name."""
    return _rows("original_")


def fixnames(text: str) -> tuple[str, ...]:
    """The commits that a comma list names by seven digits or more, each once. Raises ValueError."""

    def means(word: str, row: Row) -> bool:
        return 7 <= len(word) <= 40 and (word.startswith(row.name) or row.name.startswith(word))

    return _names(text, fixes(), means, "fixes")


def originalnames(text: str) -> tuple[str, ...]:
    """The cures that a comma list names, each once, by name or erratum. Raises ValueError."""
    return _names(text, originals(), lambda word, row: row.when == f"erratum {word}", "cures")


def _names(text: str, rows: dict[str, Row], means: Callable[[str, Row], bool], what: str) -> tuple[str, ...]:
    found: list[str] = []
    for word in text.split(",") if text else ():
        if word == "all":
            found += rows
            continue
        name = next((r.name for r in rows.values() if word == r.name or means(word, r)), None)
        if name is None:
            raise ValueError(f"{word!r} is none of the {what} that are known: {', '.join(rows)}, or all")
        found.append(name)
    return tuple(name for name in rows if name in found)


def variant(original: Iterable[str] = (), fix: Iterable[str] = ()) -> Variant:
    """The kernel with these cures taken back and these fixes applied, by their names in full. Raises TypeError."""
    return Variant(**{f"original_{n}": True for n in original}, **{f"fix_{n}": True for n in fix})
