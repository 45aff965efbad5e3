"""Which fields of the kernel's structures are shared, and by what they are guarded.

Shared is every field but those listed here, each with the reason. What a structure that is freed may still be asked
for stands here too, and which loads and stores are one step with what is beside them.
"""

from __future__ import annotations

from typing import Final

from kernel.base.chandat import Chan, Mhead, Mount, Pgrp
from kernel.base.dat import Image, Lock, Page, QLock, Segment, Sema
from kernel.base.mntdat import Mntrpc
from kernel.base.procdat import Proc

# Structures whose loads and stores are looked at, each with one of its kind that shows what fields there are
SHARED: Final = (Proc, Segment, Image, Page, Mhead, Chan, Pgrp, Mount)
# Structures that are marked when they are freed
FREED: Final = (Proc, Segment, Page, Mhead, Chan, Mount, Sema, Mntrpc)

MACHINE = "ours: there is no such field, or it is the processor's"
OWN = "only its own process looks at it, or its parent before it runs"
CONST = "never changes"
SCHED = "guarded by the run queue's lock, which is not modelled: sched.py is one step"
LOCK = "part of a lock"
PROCGEN = "procgen looks at the slot, whoever has it"
TABLE = "nil in an empty slot of the table, of which countpagerefs looks at all"

PRIVATE: Final[dict[str, dict[str, str]]] = {
    "Proc": {
        "index": CONST,
        "exl": CONST,
        "seglock": CONST,
        "debug": CONST,
        "qwaitr": CONST,
        "waitr": CONST,
        "rlock": CONST,
        "sleep": CONST,
        "greenlet": MACHINE,
        "inkernel": MACHINE,
        "flushes": MACHINE,
        "timer": MACHINE,
        "since": MACHINE,
        "faultcls": MACHINE,
        "faultload": MACHINE,
        "stuckat": MACHINE,
        "stuckfor": MACHINE,
        "vain": MACHINE,
        "fpuser": MACHINE,
        "regs": MACHINE,
        "nlocks": LOCK,
        "lastlock": LOCK,
        "qnext": LOCK,
        "eql": LOCK,
        "rnext": SCHED,
        "priority": SCHED,
        "cpu": SCHED,
        "lastupdate": SCHED,
        "delaysched": SCHED,
        "mp": SCHED,
        "kentry": OWN,
        "pcycles": OWN,
        "insyscall": OWN,
        "scallnr": OWN,
        "s": OWN,
        "nerrlab": OWN,
        "syserrbuf": OWN,
        "errbuf": OWN,
        "genbuf": OWN,
        "ureg": OWN,
        "trapno": OWN,
        "ecode": OWN,
        "fpsave": OWN,
        "fpstate": OWN,
        "kmaptable": OWN,
        "lastkmap": OWN,
        "nkmap": OWN,
        "mmufree": OWN,
        "mmuused": OWN,
        "mmupdb": OWN,
    },
    "Segment": {"id": MACHINE, "semalock": CONST},
    "Image": {"num": CONST, "notext": CONST},
    "Page": {"pa": CONST, "color": CONST},
    "Mhead": {"lock": CONST},
    "Chan": {"fid": CONST, "dirrock": "guarded by umqlock, or its one user's", "umqlock": CONST},
    "Pgrp": {"debug": CONST, "ns": CONST, "pgrpid": CONST},
    "Mount": {"head": CONST, "spec": CONST},
}

# The lock that each field is guarded by in the original, as far as there is one. For the reader of a report.
GUARDS: Final[dict[str, str]] = {
    "Proc.seg": "Proc.seglock",
    "Proc.pdbg": "Proc.debug",
    "Proc.procctl": "Proc.debug",
    "Proc.note": "Proc.debug",
    "Proc.notepending": "Proc.debug",
    "Proc.noteid": "Proc.debug",
    "Proc.args": "Proc.debug",
    "Proc.r": "Proc.rlock",
    "Proc.waitq": "Proc.exl",
    "Proc.nchild": "Proc.exl",
    "Proc.palarm": "Alarms",
    "Proc.alarm": "Alarms",
    "Proc.rendhash": "Rgrp",
    "Proc.rendtag": "Rgrp",
    "Proc.rendval": "Rgrp",
    "Segment.map": "Segment",
    "Segment.top": "Segment",
    "Segment.size": "Segment",
    "Segment.type": "Segment",
    "Segment.flushme": "Segment",
    "Segment.sema": "Segment.semalock",
    "Image.c": "Image",
    "Image.s": "Image",
    "Image.pgref": "Image",
    "Image.pghash": "Image",
    "Image.hash": "Imagealloc",
    "Image.next": "Imagealloc",
    "Page.image": "Image",
    "Page.daddr": "Image",
    "Page.next": "Image or Palloc",
    "Mhead.mount": "Mhead.lock",
    "Mhead.from_": "Mhead.lock",
    "Mount.next": "Mhead.lock",
    "Mount.to": "Mhead.lock",
    "Pgrp.mnthash": "Pgrp.ns",
    "Pgrp.noattach": "Pgrp.debug",
}

# Whose loads and stores are no points: locks and the scheduler, which are one step here as their own locks are not
# modelled; and what is no part of the original.
ATOMIC: Final = frozenset(
    f"kernel.{name}"
    for name in (
        "sched.explore", "sched.strategy", "sched.interrupts", "sched.watch", "sched.lockset", "sched.lockorder",
        "sched.telling", "sched.taslock", "sched.qlock", "sched.rwlock", "sched.ref", "sched.sched", "sched.dispatch",
        "sched.newproc", "sched.clock", "sched.broken", "memory.check", "memory.recheck", "memory.mappings",
        "memory.recounts", "waits", "main",
    )
)  # fmt: skip

# Single loads and stores that are one step with what is beside them, by function and field, and why
ONESTEP: Final[dict[tuple[str, str], str]] = {
    ("putpage", "Page.image"): "erratum 23's cure: the look is one step with the decref before it",
}

# What a freed structure may be asked for all the same, and why
AFTER: Final[dict[str, dict[str, str]]] = {
    "Proc": {
        "state": "a slot of the table: Dead",
        "pid": "a slot of the table: 0",
        "noteid": "a slot of the table",
        "debug": "guards the slot, not the process",
        "pdbg": "beside debug: who waited for a process that has ended takes back that it waits",
        "seglock": "guards the slot, not the process",
        "rlock": "guards the slot, not the process",
        "exl": "guards the slot, not the process: a child looks whether its parent is there still",
        "qwaitr": "guards the slot, not the process",
        "waitr": "of the slot: who reads the wait file of a process that ends sleeps there",
        "waitq": "nil in an empty slot; who reads the wait file looks at it before the pid",
        "user": PROCGEN,
        "procmode": PROCGEN,
        "r": "nil in an empty slot; postnote looks after it has let go of debug",
        "mach": "of the scheduler",
        "mp": "of the scheduler",
        "wired": "a slot of the table, beside pid",
        "seg": TABLE,
        "mmupdb": TABLE,
        "mmuused": TABLE,
        "mmufree": TABLE,
        "kmaptable": TABLE,
        "kp": "a slot of the table",
        "basepri": "a slot of the table, which the status file tells",
        "priority": "a slot of the table: who woke a process compares it with its own",
        "noswap": "a slot of the table",
        "alarm": "stays in the queue of alarms, which lets it go when it comes to it",
        "palarm": "stays in the queue of alarms, which lets it go when it comes to it",
        "greenlet": "of the scheduler",
        "index": "a slot of the table",
    },
    "Chan": {"ref": "cclose looks whether it is CFREE", "flag": "cclose looks whether it is CFREE"},
    "Mntrpc": {"tag": "a free message keeps it"},
    "Page": {
        "next": "the free list",
        "ref": "0 while it is free, for checkpagerefs",
        "pa": "never changes",
    },
}


def fields(cls: type) -> tuple[str, ...]:
    """The shared fields of one of the structures: all but the private ones and those of a lock."""
    private = PRIVATE.get(cls.__name__, {})
    return tuple(name for name in every(cls) if name not in private)


def every(cls: type) -> tuple[str, ...]:
    """All fields that a structure has of its own, but for those of a lock."""
    if "__slots__" in vars(cls):
        slots = vars(cls)["__slots__"]
        inherited = every(cls.__base__) if cls.__base__ not in (object, Lock, None) else ()
        return (*inherited, *((slots,) if isinstance(slots, str) else slots))
    return tuple(name for name in vars(_example(cls)) if name not in vars(QLock()))


def _example(cls: type) -> object:
    if cls is Proc:
        return Proc(-1)
    return Segment(0, 0, 0) if cls is Segment else Pgrp(0)
