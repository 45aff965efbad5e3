"""Instrumented structures: a machine's own subclasses, whose fields tell when they are loaded and stored.

A structure that is watched is made one of a subclass with a property for each shared field. So whoever loads or
stores it, by whatever way, comes by here; a kernel without a watch has none of it, and two kernels have nothing in
common. What is freed is made one of a class whose every field is a panic.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from greenlet import getcurrent

from kernel.base.chandat import Chan, Pgrp
from kernel.base.dat import Lock, QLock, Rendez, RWlock
from kernel.base.error import Panic
from kernel.sched.lockorder import Edge, LockOrder
from kernel.sched.lockset import Lockset, Touch, Warned
from kernel.sched.shared import AFTER, ATOMIC, FREED, ONESTEP, SHARED, every, fields
from kernel.sched.telling import Telling

if TYPE_CHECKING:
    from types import CodeType, FrameType

    from kernel.base.kernel import Kernel
    from kernel.base.procdat import Proc

# Points beside those at locks: loads and stores of shared fields; user memory
FIELDS, MEMORY, INTERRUPTS = "fields", "memory", "interrupts"
POINTS: Final = (FIELDS, MEMORY, INTERRUPTS)
LOCKS: Final = (Lock, QLock, RWlock, Rendez)
GLOBALS: Final = ("files", "procs", "cache", "ecache", "mainmem")  # structures of k's that have locks
# fields that are lists, whose elements are shared
LISTS: Final = ("Proc.seg", "Segment.map", "Image.pghash", "Pgrp.mnthash")
# fields that are pointers to a lock of somebody else's
POINTERS: Final = ("Proc.lastlock", "Proc.r", "Proc.trend", "Proc.eql", "Mntrpc.z")
FREEDBY: Final = "_freedby"
DEPTH: Final = 4  # functions told of where something was freed
# The structures by the name that a watched one keeps
KINDS: Final = {cls.__name__: cls for cls in (*SHARED, *FREED)}


class Elements(list[Any]):
    """A list that tells when an element is stored."""

    __slots__ = ("stored",)

    def __init__(self, values: Iterable[Any], stored: Callable[[FrameType], None]) -> None:
        super().__init__(values)
        self.stored = stored

    def __setitem__(self, i: Any, value: Any) -> None:
        self.stored(sys._getframe(1))
        super().__setitem__(i, value)

    def append(self, value: Any) -> None:
        """As a list's."""
        self.stored(sys._getframe(1))
        super().append(value)

    def remove(self, value: Any) -> None:
        """As a list's."""
        self.stored(sys._getframe(1))
        super().remove(value)


class Watch:
    """To be ``k.watch``. ``points`` are some of POINTS; ``freed``, ``order``, ``sets`` say what else is looked at."""

    def __init__(
        self, k: Kernel, points: Iterable[str] = (), freed: bool = True, order: bool = False, sets: bool = False
    ) -> None:
        self.k = k
        self.points = frozenset(points)
        self.order = LockOrder() if order else None
        self.sets = Lockset() if sets else None
        self.held: dict[Proc | None, list[tuple[Any, str, str]]] = {}  # lock, how it was taken, in which function
        self._mark = freed
        self._fields = FIELDS in self.points or sets
        self._telling = Telling()
        self._classes: dict[str, type] = {}
        self._names: dict[tuple[type, str], type] = {}
        self._dead: dict[tuple[str, str], type] = {}
        self._fieldsof: dict[str, dict[str, Any]] = {}  # of a dead one
        self._looked: dict[CodeType, str | None] = {}
        self._all()

    # Structures

    def _all(self) -> None:
        """Watch what is there already."""
        k = self.k
        self._own("", k)
        for dev in k.devtab:
            self._own(type(dev).__name__, dev)
        for p in [*k.procs.proctab, *k.procs.others]:
            if p not in k.procs.freeprocs:
                self.made(p)
            for s in p.seg:
                if s is not None:
                    self.made(s)
            if p.pgrp is not None:
                self._group(p.pgrp)
            for c in (p.slash, p.dot, *(p.fgrp.fd if p.fgrp is not None else ())):
                self._chan(c)
        for p in k.procs.freeprocs:
            self.made(p)
            self.freed(p)
        for i in (*k.imagealloc.list, k.swapimage, k.fscache):
            self.made(i)
            self._chan(i.c)
        for page in k.palloc.pages.values():
            self.made(page)
        free = k.palloc.head
        while free is not None:
            self.freed(free)
            free = free.next

    def _group(self, pg: Pgrp) -> None:
        if type(pg) is not Pgrp:
            return
        self.made(pg)
        for chain in pg.mnthash:
            for mh in chain:
                self.made(mh)
                self._chan(mh.from_)
                m = mh.mount
                while m is not None:
                    self.made(m)
                    self._chan(m.to)
                    m = m.next

    def _chan(self, c: Chan | None) -> None:
        while c is not None and type(c) is Chan:
            self.made(c)
            if c.path is not None:
                for other in c.path.mtpt:
                    self._chan(other)
            c = c.mchan

    def made(self, x: object) -> None:
        """x is a structure from here on. An image's s, and so on, are watched on their own."""
        name = type(x).__name__
        kind = KINDS.get(name)
        if kind is None:
            self._own(name, x)
            return
        watched = self._fields and kind in SHARED
        _become(x, self._class(kind) if watched else self._kind(kind))
        if watched:
            for field in fields(kind):
                if f"{name}.{field}" in LISTS:
                    setattr(x, field, getattr(x, field))
        self._own(name, x)
        if self.sets is not None:
            self.sets.forget(x)

    def _own(self, owner: str, x: object) -> None:
        """Name the locks that x has by where they are."""
        if self.order is None and self.sets is None:
            return
        for name, l in _values(x):
            if f"{owner}.{name}" in POINTERS:
                continue
            if type(l) in LOCKS:
                _become(l, self._named(type(l), f"{owner}.{name}" if owner else name))
            elif (not owner and (isinstance(l, Lock | QLock | RWlock) or name in GLOBALS)) or name == "clunkq":
                self._own(name, l)

    def _find(self, l: object, f: FrameType | None) -> None:
        """Name a lock that was just taken, for the structure that the functions of f have in their hands."""
        for _ in range(3):
            if f is None:
                return
            for x in list(f.f_locals.values()):
                if any(value is l for _, value in _values(x)):
                    self._own(type(x).__name__, x)
                    return
            f = f.f_back

    def _named(self, cls: type, name: str) -> type:
        made = self._names.get((cls, name))
        if made is None:
            made = self._names[cls, name] = type(name, (cls,), {"__slots__": ()})
        return made

    def _kind(self, kind: type) -> type:
        """What a structure of that kind is where nobody looks at its fields: one that tells of changes, or plain."""
        changes = self.k.changes
        return kind if changes is None else changes.classes.get(kind, kind)

    def _class(self, cls: type) -> type:
        """The watched subclass of one of the structures."""
        made = self._classes.get(cls.__name__)
        if made is None:
            body: dict[str, Any] = {"__slots__": (), "__module__": cls.__module__}
            for name in fields(cls):
                body[name] = self._property(cls, name)
            made = self._classes[cls.__name__] = type(cls.__name__, (cls,), body)
        return made

    def _property(self, cls: type, name: str) -> property:
        get, set = _access(cls, name)
        load, store = f"load {cls.__name__}.{name}", f"store {cls.__name__}.{name}"
        touch = self._touch

        def loaded(x: object) -> Any:
            was = type(x)
            touch(x, name, load, False, sys._getframe(1))
            return get(x) if type(x) is was else getattr(x, name)  # it may be freed by now

        listed = f"{cls.__name__}.{name}" in LISTS

        def stored(x: object, value: Any) -> None:
            if listed and type(value) is list:
                value = self._elements(x, name, store, value)
            was = type(x)
            touch(x, name, store, True, sys._getframe(1))
            if type(x) is was:
                set(x, value)
            else:
                setattr(x, name, value)

        return property(loaded, stored)

    def _elements(self, x: object, name: str, store: str, value: list[Any]) -> Elements:
        """A field's list, whose changes are stores of the field; Pgrp.mnthash is a list of such."""
        touch = self._touch

        def stored(f: FrameType) -> None:
            touch(x, name, store, True, f)

        return Elements((self._elements(x, name, store, v) if type(v) is list else v for v in value), stored)

    def _touch(self, x: object, name: str, point: str, write: bool, f: FrameType) -> None:
        """The function of f is about to load or store a field of x."""
        code = f.f_code
        try:
            function = self._looked[code]
        except KeyError:
            function = self._looked[code] = _function(f)
        if function is None:
            return
        k = self.k
        up = k.up
        if up is None or up.greenlet is not getcurrent() or (k.sink is not None and self._telling(f)):
            return
        if FIELDS in self.points and k.explore is not None and (function, point[5:].lstrip()) not in ONESTEP:
            k.explore(point)
        if self.sets is not None:
            self.sets.access(x, name, write, up, function, self.held.get(up, ()))

    # Freed structures

    def freed(self, x: object) -> None:
        """x is none any more."""
        name = type(x).__name__
        if self.sets is not None:
            self.sets.forget(x)
        if not self._mark or name not in KINDS:
            return
        where = _caller(sys._getframe(1))
        dead = self._dead.get((name, where))
        if dead is None:
            dead = self._dead[name, where] = self._deadclass(name, where)
        _become(x, dead)

    def ready(self, other: Watch) -> None:
        """Make classes that another watch has needed: copies of this machine then have them."""
        for name, where in other._dead:
            self._dead[name, where] = self._deadclass(name, where)

    def _deadclass(self, name: str, where: str) -> type:
        """What a structure becomes that was freed there."""
        body = self._fieldsof.get(name)
        if body is None:
            body = self._fieldsof[name] = _deadfields(KINDS[name], self._telling)
        return type(name, (self._kind(KINDS[name]),), {**body, FREEDBY: where})

    # Locks

    def took(self, l: Lock | QLock | RWlock, p: Proc | None, how: str) -> None:
        """p has l now."""
        if self.order is None and self.sets is None:
            return
        if type(l) in LOCKS:
            self._find(l, sys._getframe(2))
        function = _caller(sys._getframe(2), 1)
        held = self.held.setdefault(p, [])
        if self.order is not None:
            self.order.took(l, how, function, held, p)
        held.append((l, how, function))

    def gave(self, l: Lock | QLock | RWlock, p: Proc | None) -> None:
        """p has it no more."""
        held = self.held.get(p)
        if held:
            for n in range(len(held) - 1, -1, -1):
                if held[n][0] is l:
                    del held[n]
                    break
            if not held:
                del self.held[p]

    # User memory

    def user(self, write: bool) -> None:
        """The current process is about to load or store user memory: another may change it first."""
        if MEMORY in self.points and self.k.explore is not None:
            self.k.explore("store user memory" if write else "load user memory")

    def report(self) -> list[str]:
        """What locks and fields come to, in lines."""
        return Locks(self.order, self.sets).report()

    def state(self) -> dict[str, Any]:
        """The same for :meth:`Locks.add`."""
        return Locks(self.order, self.sets).state()


class Locks:
    """What locks and fields come to, of one run or several."""

    def __init__(self, order: LockOrder | None = None, sets: Lockset | None = None) -> None:
        self.order = order
        self.sets = sets

    def state(self) -> dict[str, Any]:
        """What JSON can hold."""
        found: dict[str, Any] = {}
        if self.order is not None:
            found["order"] = list(self.order.edges.items())
        if self.sets is not None:
            found["sets"] = list(self.sets.warned.items())
        return found

    def add(self, found: dict[str, Any]) -> None:
        """Another run's."""
        if "order" in found:
            self.order = self.order or LockOrder()
            self.order.merge((Edge(*e), n) for e, n in found["order"])
        if "sets" in found:
            self.sets = self.sets or Lockset()
            self.sets.merge((Warned(field, _touch(one), _touch(other)), n) for (field, one, other), n in found["sets"])

    def report(self) -> list[str]:
        """In lines."""
        lines = self.order.report() if self.order is not None else []
        return lines + (self.sets.report() if self.sets is not None else [])


def _touch(found: list[Any]) -> Touch:
    function, write, locks = found
    return Touch(function, write, tuple(locks))


def _values(x: object) -> list[tuple[str, Any]]:
    """The fields of a structure of the kernel, past all properties."""
    if not type(x).__module__.startswith("kernel."):
        return []
    found = list(x.__dict__.items()) if hasattr(x, "__dict__") else []
    for cls in type(x).__mro__:
        for name in vars(cls).get("__slots__", ()):
            slot = vars(cls).get(name)
            try:
                found.append((name, slot.__get__(x)))  # type: ignore[union-attr]
            except AttributeError:
                pass
    return found


def nilpointer(e: AttributeError | TypeError | AssertionError) -> str | None:
    """Where the kernel has used a pointer that another process made nil; None if e is something else."""
    tb = e.__traceback__
    f: FrameType | None = None
    while tb is not None:
        f = tb.tb_frame
        tb = tb.tb_next
    if f is None or not str(f.f_globals.get("__name__", "")).startswith("kernel."):
        return None
    name = f.f_code.co_name
    if isinstance(e, AttributeError):
        return f"nil pointer: {name} looks for .{e.name}" if e.obj is None and e.name is not None else None
    if isinstance(e, TypeError):
        return f"nil pointer: {name}: {e}" if "NoneType" in str(e) else None
    return f"nil pointer: {name}" if not e.args else None


def _become(x: object, cls: type) -> None:
    object.__setattr__(x, "__class__", cls)


def _access(cls: type, name: str) -> tuple[Callable[[Any], Any], Callable[[Any, Any], None]]:
    """How a field is loaded and stored, past the property of its name."""
    for base in cls.__mro__:
        slot = vars(base).get(name)
        if slot is not None and hasattr(slot, "__set__"):
            return slot.__get__, slot.__set__

    def get(x: Any) -> Any:
        try:
            return x.__dict__[name]
        except KeyError:
            raise AttributeError(name) from None

    def set(x: Any, value: Any) -> None:
        x.__dict__[name] = value

    return get, set


def _function(f: FrameType) -> str | None:
    """The kernel's function that f is of, None if its loads and stores are no points."""
    module = str(f.f_globals.get("__name__", ""))
    if not module.startswith("kernel.") or module.startswith("kernel.base.") or module in ATOMIC:
        return None
    return f.f_code.co_name


PASSED: Final = frozenset(f"kernel.sched.{name}" for name in ("taslock", "qlock", "rwlock", "ref", "watch")) | {
    "kernel.base.changes"
}


def _caller(f: FrameType | None, depth: int = DEPTH) -> str:
    """The functions of the kernel that led to f, the innermost first, but for those that only lock."""
    names: list[str] = []
    while f is not None and len(names) < depth:
        module = str(f.f_globals.get("__name__", ""))
        if module.startswith("kernel.") and module not in PASSED:
            names.append(f.f_code.co_name)
        f = f.f_back
    return " < ".join(names) or "the hub"


def _deadfields(cls: type, telling: Telling) -> dict[str, Any]:
    """The body of a class of freed structures, but for FREEDBY: where they were."""
    after = AFTER.get(cls.__name__, {})
    body: dict[str, Any] = {"__slots__": (), "__module__": cls.__module__}
    names = [*every(cls)]
    for base in (Lock, QLock, Rendez):
        if issubclass(cls, base):
            names += every_lock(base)
    for name in names:
        if name not in after:
            body[name] = _deadfield(cls, name, telling)
    return body


def every_lock(base: type) -> tuple[str, ...]:
    """The fields of a lock."""
    return tuple(vars(base)["__slots__"]) if "__slots__" in vars(base) else tuple(vars(base()))


def _deadfield(cls: type, name: str, telling: Telling) -> property:
    get, set = _access(cls, name)
    field = f"{cls.__name__}.{name}"

    def loaded(x: object) -> Any:
        _used("loads", field, getattr(type(x), FREEDBY), sys._getframe(1), telling)
        return get(x)

    def stored(x: object, value: Any) -> None:
        _used("stores", field, getattr(type(x), FREEDBY), sys._getframe(1), telling)
        set(x, value)

    return property(loaded, stored)


def _used(how: str, field: str, where: str, f: FrameType | None, telling: Telling) -> None:
    """Panic, unless it is an observer who looks."""
    while f is not None and f.f_globals.get("__name__") in PASSED:
        f = f.f_back
    if f is not None and _function(f) is not None and not telling(f):
        raise Panic(f"use after free: {f.f_code.co_name} {how} {field}, freed by {where}")
