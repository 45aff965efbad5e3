"""Fields that two processes touch with no lock in common: Eraser's warnings.

Savage, Burrows, Nelson, Sobalvarro and Anderson, "Eraser: A Dynamic Data Race Detector for Multithreaded Programs",
TOCS 15(4), 1997. A field belongs to the first process that touches it; from the second one on, the locks that all
have in common are those that can guard it. If none is left, and it was stored, it is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kernel.sched.shared import GUARDS

if TYPE_CHECKING:
    from kernel.base.procdat import Proc

# Fields that are known to have no lock, and why that is well
BENIGN: Final[dict[str, str]] = {
    "Chan.flag": "CFREE is the original's own mark of a freed channel, and cclose looks for it with no lock",
    "Page.modref": "hints for the pager, who takes what it finds",
    "Page.next in mmupdballoc": "the pool of a processor, which it uses with interrupts off",
    "Page.next in mmupdbfree": "the pool of a processor, which it uses with interrupts off",
    "Proc.alarm": "one word; alarmkproc looks at it again with debug locked",
    "Proc.newtlb": "others only set it, and one flush too many does no harm",
    "Proc.pid": "0 from pexit on, and whoever holds debug compares it again",
    "Proc.psstate": "for those who read status",
    "Proc.state": "stored by the process itself, or by who took it off a queue; others look and look again",
}


class Touch(NamedTuple):
    """One load or store: the function, and the locks that were held, by name."""

    function: str
    write: bool
    locks: tuple[str, ...]

    def __str__(self) -> str:
        held = ", ".join(self.locks) if self.locks else "no lock"
        return f"{self.function} {'stores' if self.write else 'loads'} with {held}"


class Warned(NamedTuple):
    """A field, and two that touch it with no lock in common."""

    field: str
    one: Touch
    other: Touch


class _State:
    __slots__ = ("last", "locks", "owner", "own", "written")

    def __init__(self, owner: Proc, own: bool) -> None:
        self.owner: Proc | None = owner  # None: shared
        self.own = own  # it is a process's own, and that has touched it
        self.written = False
        self.locks: frozenset[int] | None = None
        self.last: dict[Proc, Touch] = {}


class Lockset:
    """What was touched so far, and what is to be told of it."""

    def __init__(self) -> None:
        self.warned: dict[Warned, int] = {}
        self._seen: dict[int, tuple[object, dict[str, _State]]] = {}

    def forget(self, x: object) -> None:
        """x begins anew, or ends."""
        self._seen.pop(id(x), None)

    def access(
        self, x: object, name: str, write: bool, p: Proc, function: str, held: Sequence[tuple[Any, str, str]]
    ) -> None:
        """p, which has those locks, loads or stores a field of x in a function."""
        _, states = self._seen.setdefault(id(x), (x, {}))
        state = states.get(name)
        own = x is p
        if state is None:
            state = states[name] = _State(p, own)
        touch = Touch(function, write, tuple(sorted({type(l).__name__ for l, _, _ in held})))
        if own and not state.own and state.owner is not p and state.owner is not None:
            # its parent made it: the process has it from here on
            state.owner, state.own, state.written, state.last = p, True, False, {}
        if state.owner is p:
            state.written |= write
            state.last = {p: touch}
            return
        locks = frozenset(id(l) for l, how, _ in held if not (write and how == "rlock"))
        if state.owner is not None:
            state.owner = None
            state.locks = locks
            state.written = write  # who had it alone has made it
        else:
            assert state.locks is not None
            state.locks &= locks
            state.written |= write
        if not state.locks and state.written:
            for q, other in state.last.items():
                if q is not p and (write or other.write):
                    w = Warned(f"{type(x).__name__}.{name}", *sorted((touch, other)))
                    self.warned[w] = self.warned.get(w, 0) + 1
        state.last.pop(p, None)
        state.last[p] = touch
        if len(state.last) > 4:
            del state.last[next(iter(state.last))]

    def merge(self, warned: Iterable[tuple[Warned, int]]) -> None:
        """Those of another run too."""
        for w, n in warned:
            self.warned[w] = self.warned.get(w, 0) + n

    def told(self) -> dict[str, list[Warned]]:
        """The warnings by field, without what is known to be benign."""
        found: dict[str, list[Warned]] = {}
        for w in sorted(self.warned):
            if not {w.field, f"{w.field} in {w.one.function}", f"{w.field} in {w.other.function}"} & set(BENIGN):
                found.setdefault(w.field, []).append(w)
        return found

    def report(self) -> list[str]:
        """In lines."""
        told = self.told()
        lines = [f"lockset: {len(told)} field{'s' * (len(told) != 1)} touched with no lock in common"]
        for field, warned in told.items():
            guard = f", which {GUARDS[field]} guards" if field in GUARDS else ""
            lines.append(f"lockset: {field}{guard}")
            lines += [f"  {w.one}; {w.other}" for w in warned[:4]]
            if len(warned) > 4:
                lines.append(f"  and {len(warned) - 4} more")
        return lines
