"""What can be asked of an event's fields: names, values, ranges. What is wrong is told with what there is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

ADDRESSES: Final = frozenset({"addr", "va", "pc", "frame", "base", "top", "pdb", "daddr"})
"""Fields whose ranges end before their end, as those of a segment do. Other numbers' ends belong to them."""
ADDRESSSPACE: Final = 1 << 32
SHOWN: Final = 40  # characters of an address that is none
IMAGES: Final[Mapping[str, int]] = {"none": -1, "-": -1, "swap": -2, "fscache": -3}

Range = tuple[int, int]
Test = Callable[[Any], bool]

COND: Final = re.compile(r"(!?)\s*([a-z]+)\s*(!?=)(.*)", re.DOTALL)
"""A condition: ! or nothing, the field, = or !=, and the values."""
_NUMBER: Final = r"(-?(?:0[xX][0-9a-fA-F]+|[0-9]+))"
_RANGE: Final = re.compile(rf"{_NUMBER}(?:-{_NUMBER})?")


class FilterError(ValueError):
    """An expression names an event or a field that does not exist, or nothing at all. str() is one line.

    ``option`` is trace's for what is wrong.
    """

    def __init__(self, message: str, option: str = "-e") -> None:
        super().__init__(message)
        self.option = option


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


def values(kind: str, cond: re.Match[str]) -> tuple[str, bool, list[Test]]:
    """What a condition asks of the events of a kind: of which field, whether not so, and for which values.

    Raises FilterError, which names what there is.
    """
    name = "class" if cond[2] == "cls" else cond[2]
    known = fieldnames(kind)
    if name not in known:
        raise FilterError(f"{kind} has no field {name!r}; it has {listed(known)}")
    attribute = "cls" if name == "class" else name
    words = _words(kind, attribute)
    tests = []
    for value in cond[4].split("|"):
        if known[name].startswith("int"):
            tests.append(_number(kind, name, known[name], value.strip()))
        else:
            tests.append(_text(kind, name, words, value.strip()))
    return attribute, bool(cond[1]) != (cond[3] == "!="), tests


def _words(kind: str, attribute: str) -> tuple[str, ...]:
    """The words that a field holds one of, none if it holds any text."""
    if (kind, attribute) == ("syscall", "name"):
        from kernel.syscalls.systab import SYSTAB

        return tuple(call.name for call in SYSTAB.values())
    from kernel.base.event import words

    return words(_class(kind)).get(attribute, ())


def _number(kind: str, name: str, type: str, text: str) -> Test:
    if name == "image" and text in IMAGES:
        return _same(IMAGES[text])
    if text == "?" and "None" in type:
        return _same(None)
    low, high = numbers(f"{kind}:{name}", text, name in ADDRESSES)
    return lambda v: v is not None and low <= v < high


def numbers(what: str, text: str, address: bool) -> Range:
    """The numbers of N or N-M; the last belongs to them unless they are addresses."""
    m = _RANGE.fullmatch(text)
    if m is None:
        raise FilterError(f"{what}={text}: neither a number nor a range, as 0x3000-0x5000")
    low = _int(m[1])
    high = low + 1 if m[2] is None else _int(m[2]) + (not address)
    if high <= low:
        raise FilterError(f"{what}={text}: the range is empty")
    if address and not 0 <= low < high <= ADDRESSSPACE:
        shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
        raise FilterError(f"{what}={shown}: an address is between 0 and 0xffffffff")
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
        match = glob(text)
        return lambda v: match(v) is not None
    if words and text not in words:
        shown = listed(word or "none" for word in words)
        raise FilterError(f"no {kind} has {name} {text!r}; there are {shown}")
    return _same(text)


def glob(text: str) -> Callable[[str], re.Match[str] | None]:
    """What matches a text in which * stands for any characters, and ? for one."""
    pattern = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in text)
    return re.compile(pattern, re.DOTALL).fullmatch


def _same(value: object) -> Test:
    return lambda v: bool(v == value)


def having(name: str, negated: bool, tests: Sequence[Test]) -> Test:
    """What is true of an event whose field passes one of tests, or none if negated."""
    test = anyof(tests)
    if name == "took":
        from kernel.base.event import took

        return lambda ev: test(took(ev)) != negated
    return lambda ev: test(getattr(ev, name)) != negated


def listed(names: Iterable[str]) -> str:
    """Names, for a message."""
    return ", ".join(names)


# Tests of tests


def never(_: object) -> bool:
    """False."""
    return False


def anyof(tests: Sequence[Test]) -> Test:
    """Whether one of them is true."""
    return tests[0] if len(tests) == 1 else lambda v: any(t(v) for t in tests)


def allof(tests: Sequence[Test]) -> Test:
    """Whether all are."""
    return tests[0] if len(tests) == 1 else lambda v: all(t(v) for t in tests)


def both(a: Test | None, b: Test) -> Test:
    """Whether both are; None is always true."""
    return b if a is None else lambda v: a(v) and b(v)


def negation(test: Test) -> Test:
    """Whether it is not."""
    return lambda v: not test(v)
