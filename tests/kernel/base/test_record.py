"""Dataclasses that are made in no time do what the library's do."""

import dataclasses
import inspect
import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, dataclass, fields, is_dataclass, replace
from typing import Any, ClassVar

import pytest

from kernel.base.record import OFTEN, constant, field, record, unique


def classes(make: Callable[[Any], Any], field: Callable[..., Any]) -> tuple[Any, Any]:
    """A class with all kinds of fields, and one that inherits it."""

    class Base:
        """Fields of all kinds."""

        kind: ClassVar[str] = "base"
        a: int
        b: str = "b"
        c: list[int] = field(default_factory=list)
        aside: int = field(default=0, compare=False, repr=False, metadata={"of": 1})

    base: Any = make(Base)

    class Derived(base):  # type: ignore[misc]
        """And one more."""

        kind: ClassVar[str] = "derived"
        d: int = 4

    return base, make(Derived)


def told(f: dataclasses.Field[Any]) -> tuple[Any, ...]:
    """What the library knows of a field."""
    return f.name, f.type, f.default, f.default_factory, f.compare, f.repr, f.metadata


KINDS = {
    "record": (record, dataclass(slots=True)),
    "unique": (unique, dataclass(slots=True, eq=False)),
    "constant": (constant, dataclass(frozen=True)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("compiled", [False, True])
def test_as_the_library_has_it(kind: str, compiled: bool) -> None:
    make, model = KINDS[kind]
    for ours, theirs in zip(classes(make, field), classes(model, dataclasses.field), strict=True):
        if compiled:
            for _ in range(OFTEN):
                ours(0)
        shape: Any = ours
        assert is_dataclass(shape)
        assert list(map(told, fields(shape))) == list(map(told, fields(theirs)))
        assert ours.__match_args__ == theirs.__match_args__
        calls: list[tuple[tuple[Any, ...], dict[str, Any]]]
        calls = [((1,), {}), ((1, "x"), {}), ((), {"a": 2, "c": [3]}), ((1, "x", [5]), {})]
        for args, kwargs in calls:
            mine, other = ours(*args, **kwargs), theirs(*args, **kwargs)
            assert asdict(mine) == asdict(other)
            assert repr(mine) == repr(other)
            assert (mine == ours(*args, **kwargs)) == (other == theirs(*args, **kwargs))
            assert mine != ours(9)
            assert (mine == replace(mine, aside=8)) == (other == replace(other, aside=8))
            assert mine != other
            assert asdict(replace(mine, a=7)) == asdict(replace(other, a=7))
        assert ours(1).c is not ours(1).c
        for args, kwargs in [((), {}), ((1,), {"a": 1}), ((1,), {"z": 1}), (tuple(range(9)), {})]:
            with pytest.raises(TypeError):
                ours(*args, **kwargs)
            with pytest.raises(TypeError):
                theirs(*args, **kwargs)
        assert (ours.__hash__ is None) == (theirs.__hash__ is None)
        assert hasattr(ours(1), "__dict__") == hasattr(theirs(1), "__dict__")


def test_a_constant_stays_as_it_is_and_can_be_a_key() -> None:
    @constant
    class Pair:
        a: int
        b: int

    assert {Pair(1, 2): 3}[Pair(1, 2)] == 3
    with pytest.raises(FrozenInstanceError):
        Pair(1, 2).a = 4  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del Pair(1, 2).a


def test_the_library_is_not_imported_before_it_is_asked() -> None:
    code = """
import sys
from kernel.base.record import constant, field, record, unique
for make in (constant, record, unique):
    @make
    class A:
        a: int = 1
        b: list[int] = field(default_factory=list)
    for _ in range(100):
        A(2)
assert "dataclasses" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_class_of_the_librarys_may_inherit_one_of_ours() -> None:
    @constant
    class Ours:
        a: int = 1

    @dataclass(frozen=True)
    class Theirs(Ours):
        b: int = 2

    assert asdict(Theirs(b=3)) == {"a": 1, "b": 3}


def test_a_class_without_fields() -> None:
    @constant
    class Nothing:
        """There is one of it."""

    @constant
    class Other:
        """And of this."""

    other: object = Other()
    assert Nothing() == Nothing()
    assert Nothing() != other
    assert hash(Nothing()) == hash(Nothing())
    assert repr(Nothing()).endswith("Nothing()")


def test_what_a_class_has_of_its_own_stays() -> None:
    @record
    class Named:
        """Its words."""

        a: int = 1

        def __repr__(self) -> str:
            return "mine"

    assert repr(Named()) == "mine"
    assert Named.__doc__ == "Its words."


def test_nothing_is_compiled_before_it_is_called_often(monkeypatch: pytest.MonkeyPatch) -> None:
    import kernel.base.record as module

    seen: list[type] = []

    def compiled(made: Any) -> Any:
        seen.append(made)
        return made.__init__

    monkeypatch.setattr(module, "_compiled", compiled)

    @record
    class Two:
        """So many."""

        a: int

    for _ in range(OFTEN - 1):
        Two(1)
    assert seen == []
    Two(1)
    assert seen == [Two]
    assert inspect.isfunction(Two.__init__)
