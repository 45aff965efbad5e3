"""What a process is at and what it waits for, in words: for dumps, and for the panic of a broken invariant.

All is read off the Python frames of its kernel stack and their variables, so running costs nothing for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from greenlet import getcurrent

from kernel.base.dat import Lock, QLock, RWlock, Segment, Sema
from kernel.base.error import Wrong
from kernel.base.procdat import STATENAME, Broken, Dead, Proc, Queueing, Rendezvous, Stopped, TSys, TUser, Wakeme
from kernel.devices.qio import Queue
from kernel.memory.check import check, must
from kernel.sched.newproc import everyproc
from kernel.trap import trapname

if TYPE_CHECKING:
    from types import FrameType

    from kernel.base.kernel import Kernel


def procdump(k: Kernel) -> str:
    """One line for each process: pid, name, state, and what it waits for. Source: port/proc.c:procdump."""
    lines = []
    for p in k.procs.proctab:
        if p.state == Dead:
            continue
        pc = p.regs.pc if p.regs is not None else 0
        waits = waitsfor(k, p)
        lines.append(
            f"{p.pid:3}:{p.text:>10} pc {pc:#010x} {p.psstate or STATENAME[p.state]:>8} ({STATENAME[p.state]}) "
            f"ut {p.time[TUser]} st {p.time[TSys]} nl {p.nlocks} nd {p.delaysched} pri {p.priority}"
            + (f" waits for {waits}" if waits else "")
        )
    return "\n".join(lines)


# The bottom of each kernel stack, and what only leads on
PLUMBING = frozenset(("main", "touser", "syscall", "traced", "trap", "<lambda>", "checkchanged", "position", "kexit"))
KNOWN = 6  # parts of the kernel that are locks themselves
MOST = 6  # functions told of one stack, the innermost


def frames(p: Proc) -> Iterator[FrameType]:
    """The frames of p's kernel stack in the kernel's own modules, innermost first."""
    g = p.greenlet
    f: FrameType | None = sys._getframe(1) if g is getcurrent() else g.gr_frame if g is not None else None
    while f is not None:
        module = f.f_globals.get("__name__", "")
        if module.startswith("kernel.") and module != __name__:
            yield f
        f = f.f_back


def functions(p: Proc) -> str:
    """The kernel functions that p is in, outermost first; "" if it is not in the kernel."""
    return stack(inside(p))


def inside(p: Proc) -> list[str]:
    """The same as a list, innermost first."""
    return [f.f_code.co_name for f in frames(p) if f.f_code.co_name not in PLUMBING]


def stack(names: list[str]) -> str:
    """Functions, innermost first, in words."""
    return " > ".join((["..."] if len(names) > MOST else []) + names[:MOST][::-1])


def describe(o: object) -> str:
    """A structure of the kernel's by what tells it from others."""
    if isinstance(o, Proc):
        return f"{o.text} {o.pid}"
    if isinstance(o, Segment):
        return repr(o).strip("<>")
    return type(o).__name__.lower()


def _attributes(o: object) -> Iterator[tuple[str, Any]]:
    for cls in type(o).__mro__:
        for name in getattr(cls, "__slots__", ()):
            yield name, getattr(o, name, None)
    yield from getattr(o, "__dict__", {}).items()


def lockname(k: Kernel, p: Proc, l: object) -> str:
    """What p calls the lock or rendez l: a part of the kernel, of a process, or of what it has in a variable."""
    owners: list[tuple[str, object]] = [
        ("palloc", k.palloc), ("swapalloc", k.swapalloc), ("imagealloc", k.imagealloc), ("mntalloc", k.mntalloc),
        ("alarms", k.procs.alarms), ("clunkq", k.files.clunkq),
    ]  # fmt: skip
    if k.parent is not None:
        owners.append(("the page cache", k.parent))
    owners += [(describe(q), q) for q in everyproc(k) if q.state != Dead]
    for f in frames(p):
        owners += [(describe(v), v) for v in f.f_locals.values() if type(v).__module__.startswith("kernel.")]
    for name, o in owners[:KNOWN]:
        if o is l:
            return name
    for name, o in owners:
        for attribute, v in _attributes(o) if o is not k else ():
            if v is l and attribute != "lastlock":
                return f"{attribute} of {name}"
    return describe(l)


def _variable(p: Proc, function: str, name: str) -> Any:
    """A variable of the innermost call of a function, None if p is not in it."""
    return next((f.f_locals.get(name) for f in frames(p) if f.f_code.co_name == function), None)


def waitsfor(k: Kernel, p: Proc) -> str:
    """What p, which does not run, waits for; "" if for nothing but the processor."""
    what = ""
    if p.state == Rendezvous:
        what = f"a rendezvous at tag {p.rendtag:#x}"
    elif p.state in (Broken, Stopped):
        what = "a debugger"
    elif p.state == Queueing:
        what = _queueing(k, p)
    elif p.state == Wakeme:
        what = _sleeping(k, p)
    if what and p.note:
        what += f"; notes wait: {len(p.note)}"
    at = functions(p)
    return f"{what} in {at}" if what and at else what


def _queueing(k: Kernel, p: Proc) -> str:
    q = next((q for n in ("qlock", "eqlock", "_wait") if isinstance(q := _variable(p, n, "q"), (QLock, RWlock))), None)
    if q is None:
        return "a lock"
    if isinstance(q, RWlock):
        held = f"held by {describe(q.wproc)}" if q.wproc is not None else f"which {q.readers} read"
    else:
        held = f"held by {describe(q.holder)}" if q.holder is not None else "held"
    return f"the lock {lockname(k, p, q)}, {held}"


def _sleeping(k: Kernel, p: Proc) -> str:
    r = p.r
    if isinstance(r, Sema):
        return f"the semaphore at {r.addr:#x}"
    if r is p.waitr:
        return f"the end of one of {p.nchild} children"
    for f in frames(p):
        q = f.f_locals.get("q")
        if isinstance(q, Queue) and r in (q.rr, q.wr):
            return f"a queue to {'fill' if r is q.rr else 'empty'}, {q.len} of {q.limit} bytes in it"
    rpc = _variable(p, "_transact", "r")
    if rpc is not None:
        return f"the answer to message T{rpc.request.type} of a file server"
    stopping = _variable(p, "procstopwait", "p")
    if stopping is not None:
        return f"{describe(stopping)} to stop"
    if p.timer:
        when = next((t for t, _, q, no in k.procs.timers if q is p and no == p.timer), 0)
        return f"the time {when / 1e9:.9f}"
    return "a note" if r is p.sleep else lockname(k, p, r)


def position(k: Kernel, p: Proc, returning: bool) -> Callable[[], str]:
    """Where p, which runs or just ran, is: when, on which processor, and in which functions. In words when called."""
    m = k.m
    now, machno, cs, who, text = m.cpu.now(), m.machno, [m.cs for m in k.machs], p.pid, p.text
    trap = (p.trapno, p.scallnr) if returning else None
    names = inside(p) if not returning and p.greenlet is not None else None

    def told() -> str:
        at = f"{now / 1e9:.9f} on processor {machno}, switch {sum(cs)}: {text} {who} "
        if trap is not None:
            return at + f"returns from {trapname(*trap)}"
        return at + (f"is switched away from in {stack(names)}" if names is not None else "has ended")

    return told


def lastlock(k: Kernel, p: Proc) -> str:
    """The spin lock that p took last, and whether it has it, after a comma; "" if there is none."""
    l = p.lastlock
    if l is None:
        return ""
    return f", last lock {lockname(k, p, l)}, {'held' if l.key and l.p is p else 'free'}"


def checkchanged(k: Kernel, p: Proc, returning: bool) -> None:
    """Panic if an invariant is broken, unless nothing that touches memory has happened since the last time.

    p returns to user mode, or was just switched away from. While somebody stands between a load and a store nothing
    can be told.
    """
    if k.amid:
        return
    now = (k.nfault, k.nsyscall, k.npageout, k.nswapwrite, k.nswapin, k.nreclaim)
    if now != k.checked:
        k.checked = now
        at = position(k, p, returning)
        try:
            must(check(k) if k.recheck is None else k.recheck())
        except Wrong as e:
            raise Wrong(f"{e}; seen at {at()}{lastlock(k, p)}; all was well at {k.wellat()}") from None
        k.wellat = at


class Held(NamedTuple):
    """A lock that somebody has or waits for. ``holder`` is in words; ``waiters`` in the order in which they get it."""

    name: str
    kind: str  # lock, qlock, rwlock
    holder: str
    waiters: tuple[str, ...]


def locks(k: Kernel) -> list[Held]:
    """The locks that are held or waited for: those of the kernel's parts, of processes and their segments, of images,
    and what processes have in variables on their kernel stacks."""
    owners: dict[int, tuple[str, object]] = {}

    def add(name: str, o: object) -> None:
        owners.setdefault(id(o), (name, o))

    for name in ("palloc", "swapalloc", "imagealloc", "mntalloc"):
        add(name, getattr(k, name))
    add("alarms", k.procs.alarms)
    add("clunkq", k.files.clunkq)
    if k.parent is not None:
        add("the page cache", k.parent)
    for i in (*k.imagealloc.list, k.swapimage, k.fscache):
        add(f"image {i.num}", i)
    live = [p for p in everyproc(k) if p.state != Dead]
    for p in live:
        add(describe(p), p)
        for s in p.seg:
            if s is not None:
                add(describe(s), s)
        for name in ("pgrp", "egrp", "fgrp", "rgrp"):
            if (o := getattr(p, name)) is not None:
                add(f"{name} of {describe(p)}", o)
    for p in live:
        for f in frames(p):
            for name, v in f.f_locals.items():
                if type(v).__module__.startswith("kernel."):
                    add(f"{name} in {f.f_code.co_name} of {describe(p)}", v)
    seen: dict[int, Held] = {}
    for name, o in owners.values():
        for l, called in [(o, name), *((v, f"{a} of {name}") for a, v in _attributes(o) if o is not k)]:
            if id(l) not in seen and (held := _held(live, l, called)) is not None:
                seen[id(l)] = held
    return list(seen.values())


def _held(live: list[Proc], l: object, name: str) -> Held | None:
    """A lock as locks() has it, None if it is free or none."""
    holder = ""
    waiters: list[Proc] = []
    if isinstance(l, RWlock):
        holder = describe(l.wproc) if l.wproc is not None else f"{l.readers} readers" if l.readers else ""
        waiters, kind = [p for p, _ in l.queue], "rwlock"
    elif isinstance(l, QLock):
        kind = "qlock"
        if l.locked:
            holder = describe(l.holder) if l.holder is not None else "somebody"
        p = l.head
        while p is not None:
            waiters.append(p)
            p = p.qnext
    elif isinstance(l, Lock):
        kind = "lock"
        if l.key:
            holder = describe(l.p) if l.p is not None else "a processor"
            waiters = [p for p in live if _variable(p, "lock", "l") is l and p is not l.p]
    else:
        return None
    return Held(name, kind, holder, tuple(map(describe, waiters))) if holder or waiters else None
