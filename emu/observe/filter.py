"""Which events are wanted: the expression of -e, processes, paths. Compiled once, to a predicate.

    fault,page                              these kinds
    !tlb                                    all kinds but this
    fault:class=cow-copy|zero-fill          of a kind, those whose field is one of these
    fault:class=cow-copy,segment!=stack     and whose other field is not that
    addr=0x3000-0x5000                      of all that is wanted, what touches these addresses

This module knows no command line; it imports the kernel's events when an expression names fields of theirs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from kernel.base.event import Event

KINDS: Final = (
    "fault", "syscall", "proc", "page", "image", "segment", "note", "tlb", "entry", "mmu", "sched", "boot",
)  # fmt: skip
DEFAULT: Final = frozenset({"fault", "syscall", "proc", "note"})
ADDRESSED: Final = ("fault", "page", "segment", "entry", "mmu", "tlb")  # kinds that tell of user addresses
ADDRESSES: Final = frozenset({"addr", "va", "pc", "frame", "base", "top", "pdb", "daddr"})
"""Fields whose ranges end before their end, as those of a segment do. Other numbers' ends belong to them."""
IMAGES: Final[Mapping[str, int]] = {"none": -1, "-": -1, "swap": -2, "fscache": -3}
PAGE: Final = 0x1000
TABLE: Final = 0x400000  # that a page table maps

Test = Callable[[Any], bool]

_COND: Final = re.compile(r"(!?)\s*([a-z]+)\s*(!?=)(.*)", re.DOTALL)
_NUMBER: Final = r"(-?(?:0[xX][0-9a-fA-F]+|[0-9]+))"
_RANGE: Final = re.compile(rf"{_NUMBER}(?:-{_NUMBER})?")


class FilterError(ValueError):
    """An expression names an event or a field that does not exist, or nothing at all. str() is one line.

    ``option`` is trace's for what is wrong.
    """

    def __init__(self, message: str, option: str = "-e") -> None:
        super().__init__(message)
        self.option = option


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
        tests = {kind: _and(test, _touching(ranges)) for kind, test in tests.items() if kind in ADDRESSED}
    if paths and "syscall" in tests:
        tests["syscall"] = _and(tests["syscall"], _naming(paths))
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
        cond = _COND.fullmatch(item.strip())
        if cond is None:
            raise FilterError(f"{item.strip()!r} is not FIELD=VALUE; {kind} has {_listed(fieldnames(kind))}")
        _add(clause, kind, cond)
    return _all(clause.tests())


# Expressions


@dataclass
class _Clause:
    """Some kinds, and what must hold of their fields: by field and whether it is so or not so, values."""

    kinds: frozenset[str]
    exclude: bool = False
    fields: dict[tuple[str, bool], list[Test]] = field(default_factory=dict)

    def tests(self) -> list[Test]:
        return [_field(name, negated, tests) for (name, negated), tests in self.fields.items()]


Range = tuple[int, int]


def _clauses(exprs: Iterable[str]) -> tuple[list[_Clause], list[Range]]:
    clauses: list[_Clause] = []
    ranges: list[Range] = []
    for expr in exprs:
        last: _Clause | None = None
        for item in expr.split(","):
            word = item.strip()
            kind, colon, rest = word.partition(":")
            cond = _COND.fullmatch(word)
            if cond is not None and (last is None or len(last.kinds) > 1) and cond[2] == "addr":
                ranges += _addresses(cond)
            elif cond is not None and last is None:
                raise FilterError(_homeless(cond[2], word))
            elif cond is not None and last is not None:
                _add(last, _only(last), cond)
            else:
                exclude = kind.startswith("!")
                last = _Clause(_kinds(kind.removeprefix("!").strip()), exclude)
                clauses.append(last)
                if colon:
                    cond = _COND.fullmatch(rest.strip())
                    if cond is None:
                        only = _only(last)
                        raise FilterError(f"{rest!r} is not FIELD=VALUE; {only} has {_listed(fieldnames(only))}")
                    _add(last, _only(last), cond)
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
    return f"{word!r} needs an event before it, as in {having[0]}:{word}; {name} is a field of {_listed(having)}"


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
            test = _any([_all(c.tests()) for c in wanted])
        for c in unwanted:
            test = _and(test, _not(_all(c.tests())))
        tests[kind] = test
    return tests


# Fields


def fieldnames(kind: str) -> dict[str, str]:
    """The fields of a kind of event that can be asked for, and what each is: int, str..."""
    from kernel.base.event import ASIDE

    fields = {f.name: str(f.type) for f in _class(kind).__dataclass_fields__.values() if f.name not in ASIDE}
    names = {"class" if name == "cls" else name: type for name, type in fields.items() if type != "ClassVar[str]"}
    return names | ({"took": "int"} if kind in ("fault", "syscall") else {})


def _class(kind: str) -> Any:
    from kernel.base.event import Event

    # others may have made classes of the kernel's, or of their own
    return next(c for c in Event.__subclasses__() if c.kind == kind and c.__module__ == Event.__module__)


def _add(clause: _Clause, kind: str, cond: re.Match[str]) -> None:
    """One more condition of a clause. Raises FilterError."""
    name = "class" if cond[2] == "cls" else cond[2]
    negated = bool(cond[1]) != (cond[3] == "!=")
    known = fieldnames(kind)
    if name not in known:
        raise FilterError(f"{kind} has no field {name!r}; it has {_listed(known)}")
    attribute = "cls" if name == "class" else name
    words = _words(kind, attribute)
    tests = clause.fields.setdefault((attribute, negated), [])
    for value in cond[4].split("|"):
        if known[name].startswith("int"):
            tests.append(_number(kind, name, known[name], value.strip()))
        else:
            tests.append(_text(kind, name, words, value.strip()))


def _words(kind: str, attribute: str) -> tuple[str, ...]:
    from kernel.base.event import words

    return words(_class(kind)).get(attribute, ())


def _number(kind: str, name: str, type: str, text: str) -> Test:
    if name == "image" and text in IMAGES:
        return _same(IMAGES[text])
    if text == "?" and "None" in type:
        return _same(None)
    low, high = _range(f"{kind}:{name}", text, name in ADDRESSES)
    return lambda v: v is not None and low <= v < high


def _range(what: str, text: str, address: bool) -> Range:
    """The numbers of N or N-M; the last belongs to them unless they are addresses."""
    m = _RANGE.fullmatch(text)
    if m is None:
        raise FilterError(f"{what}={text}: neither a number nor a range, as 0x3000-0x5000")
    low = _int(m[1])
    if m[2] is None:
        return low, low + 1
    high = _int(m[2]) + (not address)
    if high <= low:
        raise FilterError(f"{what}={text}: the range is empty")
    return low, high


def _int(text: str) -> int:
    # Python refuses to convert very long decimal numbers; no field is as large
    digits = text.lstrip("-")[:40]
    n = int(digits, 16) if digits[:2] in ("0x", "0X") else int(digits)
    return -n if text.startswith("-") else n


def _text(kind: str, name: str, words: tuple[str, ...], text: str) -> Test:
    if words and "" in words and text in ("none", "-"):
        text = ""
    if "*" in text or "?" in text:
        match = _glob(text)
        return lambda v: match(v) is not None
    if words and text not in words:
        shown = _listed(word or "none" for word in words)
        raise FilterError(f"no {kind} has {name} {text!r}; there are {shown}")
    return _same(text)


def _glob(text: str) -> Callable[[str], re.Match[str] | None]:
    pattern = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in text)
    return re.compile(pattern, re.DOTALL).fullmatch


def _same(value: object) -> Test:
    return lambda v: bool(v == value)


def _field(name: str, negated: bool, tests: Sequence[Test]) -> Test:
    test = _any(tests)
    if name == "took":
        from kernel.base.event import took

        return lambda ev: test(took(ev)) != negated
    return lambda ev: test(getattr(ev, name)) != negated


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


# Addresses, files, processes


def _addresses(cond: re.Match[str]) -> list[Range]:
    """The ranges of addr=; one address stands for its page."""
    if cond[1] or cond[3] == "!=":
        raise FilterError("addr= tells what is wanted; what is not can be told of a kind: fault:addr!=0x3000-0x5000")
    ranges = []
    for text in cond[4].split("|"):
        low, high = _range("addr", text.strip(), True)
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
        matches.append(_glob(path.rstrip("/") or path))
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
        test = self.tests.get(kind, _never)
        if test is not None and not test(ev):
            return False
        other = getattr(ev, "child", 0) or getattr(ev, "target", 0)
        return self._wanted(ev.pid) or (other != 0 and self._wanted(other))

    def _wanted(self, pid: int) -> bool:
        return pid in self.pids or (bool(self.names) and self.known.get(pid) in self.names)


# Tests of tests


def _never(_: object) -> bool:
    return False


def _bykind(tests: Mapping[str, Test | None]) -> Test:
    def test(ev: Any) -> bool:
        t = tests.get(ev.kind, _never)
        return t is None or t(ev)

    return test


def _any(tests: Sequence[Test]) -> Test:
    return tests[0] if len(tests) == 1 else lambda v: any(t(v) for t in tests)


def _all(tests: Sequence[Test]) -> Test:
    return tests[0] if len(tests) == 1 else lambda v: all(t(v) for t in tests)


def _and(a: Test | None, b: Test) -> Test:
    return b if a is None else lambda v: a(v) and b(v)


def _not(test: Test) -> Test:
    return lambda v: not test(v)
