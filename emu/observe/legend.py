"""What the words of a trace mean, in a line each: `p9emu trace --legend`.

A test holds the sections to the types of kernel/base/event.py: no word that a trace can print is missing.
"""

from collections.abc import Mapping
from typing import Final

EVENTS: Final = {
    "fault": "an address was touched that the page table does not map so",
    "syscall": "a system call, told when it returns",
    "proc": "a process begins, becomes another program, or ends",
    "note": "a note, Plan 9's signal",
    "page": "a frame of memory changes hands",
    "image": "an executable whose pages are kept in memory",
    "segment": "a range of a process's addresses is made, copied, resized",
    "entry": "what a segment has at an address from now on",
    "mmu": "page directories and tables, and what they map",
    "tlb": "the processor forgets translations of addresses",
    "sched": "who runs, is ready, or waits",
    "boot": "the machine is switched on: its sizes",
}

CLASSES: Final = {
    "zero-fill": "the page did not exist: a cleared frame was taken for it",
    "text-load": "demand load: the page of code was read from the file just now",
    "data-load": "demand load: the page of data was read from the file just now",
    "cache-hit": "the page of the file was still in memory, in its image's cache",
    "cow-copy": "copy on write: the page was shared, and the writer got a copy",
    "cow-reuse": "copy on write, but nobody else has the page: it became writable",
    "remap": "the page was there: only its page table entry was missing",
    "swap-in": "the page was on swap, or on its way there",
    "protection": "a write to what may only be read: the process gets a note",
    "unmapped": "no segment has the address: the process gets a note",
}

SEGMENTS: Final = {
    "text": "the program's code, shared by all who run it; read-only",
    "data": "its initialized variables, from the file",
    "bss": "its other variables, zero at first, and the heap behind them",
    "stack": "the stack, which grows down from its top",
    "estack": "the next program's stack while exec makes it, before it is moved",
    "shared": "memory that children have in common with their parents",
    "physical": "memory at fixed physical addresses",
    "-": "none: the address is in no segment",
}

OPS: Final[Mapping[str, Mapping[str, str]]] = {
    "proc": {
        "fork": "a process made a child",
        "exec": "a process became another program",
        "exit": "a process ended; its exit string, empty for success",
        "broken": "it died, and its memory is kept for a debugger",
    },
    "page": {
        "alloc": "a frame was taken from the free list",
        "free": "a frame went back to the free list",
        "copy": "one frame's bytes were copied into another",
        "cache": "the page belongs to an image's cache now",
        "uncache": "it does no longer",
        "lookup": "the page was found in the cache",
        "reclaim": "a cached page that nobody used was freed for others",
        "page-out": "the pager gave the page a slot on swap",
        "swap-write": "it was written there",
        "swap-end": "that is done, and the pager lets go of it",
        "swap-in": "a page was read back from swap",
    },
    "image": {
        "attach": "a program of this file was executed",
        "close": "only cached pages are left: the file was closed",
        "free": "nothing of it is in memory any more",
    },
    "segment": {
        "new": "made, with no page in it",
        "dup": "copied for a child: both have the same pages until one writes",
        "share": "given to a child as it is: both have the one segment",
        "image": "its pages come from an executable from now on",
        "free": "gone, and none of its pages is held by it",
        "grow": "made longer",
        "shrink": "made shorter",
        "attach": "a process has it, at a slot of its table",
        "detach": "a process has it no more",
        "relocate": "moved to another address: exec's stack",
    },
    "entry": {
        "page": "a frame",
        "swap": "a slot on swap",
        "none": "nothing",
    },
    "note": {
        "post": "a note was sent to a process",
        "deliver": "the process's handler was called with it",
    },
    "mmu": {
        "directory": "a page directory, the table of tables, for the process",
        "table": "a page table, for 4 MB of addresses",
        "kmap": "a page table for the kernel's own view of user memory",
        "spare": "a page table that maps nothing, kept for the next use",
        "map": "the page table entry of an address was written",
        "clear": "all user mappings are gone; touching them again is a remap",
        "pool": "the directory is kept by the processor for another process",
    },
    "tlb": {
        "flush": "all translations of a process are forgotten",
        "page": "one translation is",
        "switch": "another page directory is loaded: another process runs",
    },
    "sched": {
        "new": "a process was made",
        "ready": "it waits for a processor",
        "run": "it has one",
        "off": "it gave it up",
        "wait": "it waits for something else",
        "end": "its number is free again",
    },
}

STATES: Final = {
    "Dead": "there is no such process any more",
    "Moribund": "it has ended, and its parent has not heard of it",
    "Ready": "it waits for a processor",
    "Scheding": "a processor has just chosen it",
    "Running": "it runs",
    "Queueing": "it waits for a lock",
    "Wakeme": "it sleeps until somebody wakes it",
    "Broken": "it died, and is kept for a debugger",
    "Stopped": "a debugger stopped it",
    "Rendez": "it waits for another to meet it, in rendezvous",
}

WORDS: Final = {
    "user": "the program itself touched the page",
    "kernel F": "the kernel's function F did, in a system call or on the way back",
    "read, write": "what was tried there; running code reads it",
    "frame": "a page of physical memory, by its address; 4 KB",
    "va": "an address in a process",
    "pc": "the instruction where the process left user mode",
    "pdb": "the frame of the page directory: whose page tables",
    "daddr": "where in the file, or on swap, the page is",
    "ref": "how many have it; at 0 it is free, or only cached",
    "pgref": "how many of those are cached pages",
    "slot": "the place of a segment in its process's table",
    "fscache": "the cache of mounted file servers' files, as an image",
    "[N]": "the process; [0] is none, the kernel itself",
    "cpuN": "the processor, where there are several",
    "<T>": "with -T: the time it took; with -TT the host's as well",
    "= ?": "a call that never returns",
    "…": "more was there than fits; --wide shows it",
}


def sections() -> dict[str, Mapping[str, str]]:
    """All of it, by heading."""
    ops = {f"In {kind} events": words for kind, words in OPS.items()}
    return {
        "Events": EVENTS,
        "What a fault came to": CLASSES,
        "Segments": SEGMENTS,
        **ops,
        "States of a process": STATES,
        "Other words": WORDS,
    }


def legend() -> str:
    """All of it, as text of 80 columns at the most."""
    parts = []
    for title, words in sections().items():
        parts.append(f"{title}\n" + "".join(f"  {word:<11} {text}\n" for word, text in words.items()))
    return "\n".join(parts)
