"""Which events are wanted: the expression of -e, processes, paths. Compiled once, to a predicate.

    fault,page                              these kinds
    !tlb                                    all kinds but this
    fault:class=cow-copy|zero-fill          of a kind, those whose field is one of these
    fault:class=cow-copy,segment!=stack     and whose other field is not that
    addr=0x3000-0x5000                      of all that is wanted, what touches these addresses

Nothing here knows a command line; the kernel's events are imported when an expression names fields of theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from emu.observe.fields import (
    COND,
    Range,
    Test,
    allof,
    anyof,
    both,
    fieldnames,
    glob,
    having,
    listed,
    negation,
    never,
    numbers,
    values,
)
from emu.observe.fields import FilterError as FilterError

if TYPE_CHECKING:
    from kernel.base.event import Event

KINDS: Final = (
    "fault", "syscall", "proc", "page", "image", "segment", "note", "tlb", "entry", "mmu", "sched", "boot",
)  # fmt: skip
DEFAULT: Final = frozenset({"fault", "syscall", "proc", "note"})
ADDRESSED: Final = ("fault", "page", "segment", "entry", "mmu", "tlb")  # kinds that tell of user addresses
PAGE: Final = 0x1000
TABLE: Final = 0x400000  # that a page table maps



@dataclass(frozen=True)
class Filter:
    """Which events are wanted: of ``kinds`` those for which ``test`` is true, all if it is None.

    A ``whole`` filter has to see every event in the order in which they happen, wanted or not: it learns from them
    which process has which name. ``files``: SyscallEvent.files is asked, which the kernel tells if Kernel.tellfiles.
    """

    kinds: frozenset[str]
    test: Test | None = None
    whole: bool = False
    files: bool = False

    @property
    def seen(self) -> frozenset[str]:
        """The kinds that it has to be asked about."""
        return frozenset(KINDS) if self.whole else self.kinds

    def __call__(self, ev: Event) -> bool:
        """Whether an event is wanted."""
        if self.test is None:
            return ev.kind in self.kinds
        return self.test(ev)


def parse(exprs: Iterable[str]) -> frozenset[str]:
    """The kinds that expressions select, where nothing but kinds is taken. Raises FilterError."""
    wanted = select(exprs)
    if wanted.test is not None:
        raise FilterError("only kinds of events can be chosen here, no fields of theirs")
    return wanted.kinds


def select(exprs: Iterable[str] = (), processes: Iterable[str] = (), paths: Iterable[str] = ()) -> Filter:
    """What a sequence of -e expressions selects, which add up; DEFAULT if there is none. Raises FilterError.

    Exclusions, wherever they stand, are taken from that; without any inclusion, from all kinds. ``processes`` are pids
    and names, several with commas between: only events of these, or that tell what happens to them, are left. ``paths``
    are names of files from the guest's root on, with ``*`` and ``?``: of the system calls those are left that name one,
    or a descriptor open on one; without an expression nothing else is wanted.
    """
    clauses, ranges = _clauses(exprs)
    processes = [word.strip() for text in processes for word in text.split(",")]
    paths = list(paths)
    tests = _kindtests(clauses, ADDRESSED if ranges else ("syscall",) if paths else None)
    if ranges:
        tests = {kind: both(test, _touching(ranges)) for kind, test in tests.items() if kind in ADDRESSED}
    if paths and "syscall" in tests:
        tests["syscall"] = both(tests["syscall"], _naming(paths))
    if not tests:
        raise FilterError("the expression selects no event")
    kinds = frozenset(tests)
    if processes:
        if "" in processes:
            raise FilterError("a process is a pid or a name", "-p")
        return Filter(kinds, _Processes(processes, tests), True, bool(paths))
    if any(test is not None for test in tests.values()):
        return Filter(kinds, _bykind(tests), files=bool(paths))
    return Filter(kinds)


def conditions(kind: str, text: str) -> Test:
    """What ``field=value,field!=value`` says of events of a kind. Raises FilterError."""
    clause = _Clause(frozenset({kind}))
    for item in text.split(","):
        cond = COND.fullmatch(item.strip())
        if cond is None:
            raise FilterError(f"{item.strip()!r} is not FIELD=VALUE; {kind} has {listed(fieldnames(kind))}")
        clause.add(kind, cond)
    return allof(clause.tests())


# Expressions


@dataclass
class _Clause:
    """Some kinds, and what must hold of their fields: by field and whether it is so or not so, values."""

    kinds: frozenset[str]
    exclude: bool = False
    fields: dict[tuple[str, bool], list[Test]] = field(default_factory=dict)

    def add(self, kind: str, cond: re.Match[str]) -> None:
        """One more condition. Raises FilterError."""
        name, negated, tests = values(kind, cond)
        self.fields.setdefault((name, negated), []).extend(tests)

    def tests(self) -> list[Test]:
        return [having(name, negated, tests) for (name, negated), tests in self.fields.items()]


def _clauses(exprs: Iterable[str]) -> tuple[list[_Clause], list[Range]]:
    clauses: list[_Clause] = []
    ranges: list[Range] = []
    for expr in exprs:
        last: _Clause | None = None
        for item in expr.split(","):
            word = item.strip()
            kind, colon, rest = word.partition(":")
            cond = COND.fullmatch(word)
            if cond is not None and (last is None or len(last.kinds) > 1) and cond[2] == "addr":
                ranges += _addresses(cond)
            elif cond is not None and last is None:
                raise FilterError(_homeless(cond[2], word))
            elif cond is not None and last is not None:
                last.add(_only(last), cond)
            else:
                exclude = kind.startswith("!")
                last = _Clause(_kinds(kind.removeprefix("!").strip()), exclude)
                clauses.append(last)
                if colon:
                    cond = COND.fullmatch(rest.strip())
                    if cond is None:
                        only = _only(last)
                        raise FilterError(f"{rest!r} is not FIELD=VALUE; {only} has {listed(fieldnames(only))}")
                    last.add(_only(last), cond)
    return clauses, ranges


def _only(clause: _Clause) -> str:
    if len(clause.kinds) > 1:
        raise FilterError("%all takes no field but addr=")
    return next(iter(clause.kinds))


def _kinds(word: str) -> frozenset[str]:
    if word == "%all":
        return frozenset(KINDS)
    if word in KINDS:
        return frozenset({word})
    raise FilterError(f"unknown event {word!r}; the events are {', '.join(KINDS)} and %all (!x excludes x)")


def _homeless(name: str, word: str) -> str:
    """What is wrong with a condition that no event stands before."""
    having = [kind for kind in KINDS if name in fieldnames(kind)]
    if not having:
        return f"no event has a field {name!r}; the events are {', '.join(KINDS)} and %all"
    return f"{word!r} needs an event before it, as in {having[0]}:{word}; {name} is a field of {listed(having)}"


def _kindtests(clauses: Sequence[_Clause], unless: Sequence[str] | None) -> dict[str, Test | None]:
    """For each wanted kind what must hold, None if nothing. Without clauses the kinds are ``unless``, or DEFAULT."""
    if not clauses:
        return dict.fromkeys(sorted(DEFAULT if unless is None else unless))
    positive = [c for c in clauses if not c.exclude]
    tests: dict[str, Test | None] = {}
    for kind in KINDS:
        wanted = [c for c in positive if kind in c.kinds]
        unwanted = [c for c in clauses if c.exclude and kind in c.kinds]
        if (positive and not wanted) or any(not c.fields for c in unwanted):
            continue
        test: Test | None = None
        if all(c.fields for c in wanted) and wanted:
            test = anyof([allof(c.tests()) for c in wanted])
        for c in unwanted:
            test = both(test, negation(allof(c.tests())))
        tests[kind] = test
    return tests


# Addresses, files, processes


def _addresses(cond: re.Match[str]) -> list[Range]:
    """The ranges of addr=; one address stands for its page."""
    if cond[1] or cond[3] == "!=":
        raise FilterError("addr= tells what is wanted; what is not can be told of a kind: fault:addr!=0x3000-0x5000")
    ranges = []
    for text in cond[4].split("|"):
        low, high = numbers("addr", text.strip(), True)
        ranges.append((low & -PAGE, (low & -PAGE) + PAGE) if "-" not in text else (low, high))
    return ranges


def _extent(ev: Any) -> Range:
    """The user addresses that an event is about."""
    kind = ev.kind
    if kind == "fault":
        return ev.addr, ev.addr + 1
    if kind == "segment":
        return ev.base, ev.top
    if kind == "mmu":
        size = {"map": PAGE, "table": TABLE, "kmap": TABLE}.get(ev.op, 0)
        return ev.va, ev.va + size
    if (kind == "tlb" and ev.op != "page") or (kind == "page" and not ev.va):
        return 0, 0
    return ev.va & -PAGE, (ev.va & -PAGE) + PAGE


def _touching(ranges: Sequence[Range]) -> Test:
    def test(ev: Any) -> bool:
        base, top = _extent(ev)
        return any(base < high and low < top for low, high in ranges)

    return test


def _naming(paths: Sequence[str]) -> Test:
    matches = []
    for path in paths:
        if not path.startswith(("/", "#")):
            raise FilterError(f"the guest's path {path!r} does not begin with '/'", "-P")
        matches.append(glob(path.rstrip("/") or path))
    return lambda ev: any(match(name) for name in ev.files for match in matches)


class _Processes:
    """Of the events that other tests want, those of some processes. It learns their names from all events."""

    def __init__(self, words: Sequence[str], tests: Mapping[str, Test | None]) -> None:
        self.pids = {int(word) for word in words if word.isdecimal() and len(word) < 12}
        self.names = frozenset(word for word in words if not word.isdecimal())
        self.tests = tests
        self.known: dict[int, str] = {}

    def __call__(self, ev: Any) -> bool:
        kind = ev.kind
        if self.names:
            if kind == "proc":
                self.known[ev.pid] = ev.name
                if ev.child:
                    self.known[ev.child] = ev.name
            elif kind == "sched" and ev.target:
                self.known[ev.target] = ev.name
        test = self.tests.get(kind, never)
        if test is not None and not test(ev):
            return False
        other = getattr(ev, "child", 0) or getattr(ev, "target", 0)
        return self._wanted(ev.pid) or (other != 0 and self._wanted(other))

    def _wanted(self, pid: int) -> bool:
        return pid in self.pids or (bool(self.names) and self.known.get(pid) in self.names)


def _bykind(tests: Mapping[str, Test | None]) -> Test:
    def test(ev: Any) -> bool:
        t = tests.get(ev.kind, never)
        return t is None or t(ev)

    return test
