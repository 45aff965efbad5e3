"""Dataclasses that are made in no time.

The library compiles three to six functions for each class as it is made. That took a seventh of a short run, mostly for
events that nobody asked for and structures of which there was one. Here a loop does what they would do, and only
a constructor that is called often is compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, Final, TypeVar, dataclass_transform

T = TypeVar("T")
Init = Callable[..., None]

OFTEN: Final = 64  # calls of a constructor before it is compiled, which takes as long as so many by a loop


@dataclass_transform(field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """``dataclass(slots=True)``."""
    made: Any = unique(cls)
    _comparer(made)
    made.__hash__ = None
    done: type[T] = made
    return done


@dataclass_transform(field_specifiers=(field,), eq_default=False)
def unique(cls: type[T]) -> type[T]:
    """``dataclass(slots=True, eq=False)``: equal to itself alone."""
    made: Any = dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    bind = _binder(made)
    calls = 0

    def init(self: object, *args: Any, **kwargs: Any) -> None:
        nonlocal calls
        for name, value in bind(args, kwargs).items():
            setattr(self, name, value)
        calls += 1
        if calls == OFTEN:
            made.__init__ = _compiled(made)

    made.__init__ = init
    done: type[T] = made
    return done


@dataclass_transform(field_specifiers=(field,), frozen_default=True)
def constant(cls: type[T]) -> type[T]:
    """``dataclass(frozen=True)``, for classes of which there are few instances."""
    made: Any = dataclass(init=False, repr=False, eq=False)(cls)
    values = _comparer(made)
    bind = _binder(made)

    def init(self: object, *args: Any, **kwargs: Any) -> None:
        self.__dict__.update(bind(args, kwargs))

    made.__init__, made.__hash__ = init, lambda self: hash(values(self))
    made.__setattr__ = made.__delattr__ = _refuse
    done: type[T] = made
    return done


def _refuse(self: object, name: str, value: object = None) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _comparer(made: Any) -> Callable[[object], Any]:
    """What gets the values of the fields that are compared. The class gets an __eq__ by them."""
    values = attrgetter(*(f.name for f in fields(made) if f.compare))

    def equal(self: object, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return False
        return bool(values(self) == values(other))

    made.__eq__ = equal
    return values


def _binder(made: Any) -> Callable[[tuple[Any, ...], dict[str, Any]], dict[str, Any]]:
    """What makes values of all fields of a constructor's arguments. The class gets a __repr__, too."""
    every = fields(made)
    names = tuple(f.name for f in every)
    known = frozenset(names)
    told = tuple(f.name for f in every if f.repr)

    def shown(self: object) -> str:
        return f"{self.__class__.__qualname__}({', '.join(f'{n}={getattr(self, n)!r}' for n in told)})"

    if "__repr__" not in made.__dict__:
        made.__repr__ = shown

    def bind(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        given = dict(zip(names, args, strict=False))
        if len(args) > len(names) or not known.issuperset(kwargs) or not given.keys().isdisjoint(kwargs):
            raise TypeError(f"{made.__name__}() takes each of {', '.join(names)} once, and nothing else")
        given.update(kwargs)
        if len(given) < len(names):
            for f in every:
                if f.name in given:
                    continue
                if f.default is not MISSING:
                    given[f.name] = f.default
                elif f.default_factory is not MISSING:
                    given[f.name] = f.default_factory()
                else:
                    raise TypeError(f"{made.__name__}() needs {f.name}")
        return given

    return bind


def _compiled(made: Any) -> Init:
    """A constructor as the library would compile it."""
    known: dict[str, Any] = {}
    params, body = ["self"], []
    for f in fields(made):
        n = f.name
        if f.default_factory is not MISSING:
            known[f"make_{n}"] = f.default_factory
            known["MISSING"] = MISSING
            params.append(f"{n}=MISSING")
            body.append(f"self.{n} = make_{n}() if {n} is MISSING else {n}")
        else:
            known[f"default_{n}"] = f.default
            params.append(n if f.default is MISSING else f"{n}=default_{n}")
            body.append(f"self.{n} = {n}")
    exec(f"def __init__({', '.join(params)}):\n " + "\n ".join(body), known)
    init: Init = known["__init__"]
    return init
