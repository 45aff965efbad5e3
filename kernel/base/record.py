"""Dataclasses that are made in no time.

The library compiles three to six functions for each class as it is made, and its own import takes as long as that of
all devices. That took a fifth of a short run, mostly for events that nobody asked for and structures of which there was
one. Here a loop does what they would do, and only a constructor that is called often is compiled. The library's
functions (``fields``, ``replace``, ``asdict``) take such a class for one of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Final, TypeVar, dataclass_transform

T = TypeVar("T")
Init = Callable[..., None]

OFTEN: Final = 64  # calls of a constructor before it is compiled, which takes as long as so many by a loop
MISSING: Final = object()


class Member:
    """A field of a class, as the library's ``field`` would make it."""

    __slots__ = ("default", "factory", "compare", "repr", "metadata", "name", "type")

    def __init__(
        self,
        default: Any,
        factory: Any = MISSING,
        compare: bool = True,
        repr: bool = True,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.default = default
        self.factory = factory
        self.compare = compare
        self.repr = repr
        self.metadata = metadata
        self.name = ""
        self.type: Any = None


def field(
    *,
    default: Any = MISSING,
    default_factory: Any = MISSING,
    compare: bool = True,
    repr: bool = True,
    metadata: Mapping[str, Any] | None = None,
) -> Any:
    """``dataclasses.field``."""
    return Member(default, default_factory, compare, repr, metadata)


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
    members = _members(cls)
    _known(cls, members)  # that it is made anew does not take it away: it stays a subclass of its base, for a while
    taken = {name for base in cls.__mro__[1:] for name in base.__dict__.get("__slots__", ())}
    body = {k: v for k, v in cls.__dict__.items() if k not in members and k not in ("__dict__", "__weakref__")}
    body["__slots__"] = tuple(name for name in members if name not in taken)
    make: Any = type(cls)
    made: Any = make(cls.__name__, cls.__bases__, body)
    made.__qualname__ = cls.__qualname__
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
    made: Any = cls
    members = _members(cls)
    for m in members.values():
        if m.default is not MISSING:
            setattr(made, m.name, m.default)
        elif m.name in cls.__dict__:
            delattr(made, m.name)
    _known(made, members, frozen=True)
    values = _comparer(made)
    bind = _binder(made)

    def init(self: object, *args: Any, **kwargs: Any) -> None:
        self.__dict__.update(bind(args, kwargs))

    made.__init__, made.__hash__ = init, lambda self: hash(values(self))
    made.__setattr__ = made.__delattr__ = _refuse
    done: type[T] = made
    return done


def _refuse(self: object, name: str, value: object = None) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _members(cls: type) -> dict[str, Member]:
    """The fields of a class that is not made yet, those that it inherits first."""
    members: dict[str, Member] = {}
    for base in reversed(cls.__mro__[1:]):
        members.update(base.__dict__.get("__members__", {}))
    annotations: dict[str, Any] = cls.__annotations__
    for name, kind in annotations.items():
        if not str(kind).removeprefix("typing.").startswith("ClassVar"):
            value = cls.__dict__.get(name, MISSING)
            m = value if isinstance(value, Member) else Member(value)
            m.name, m.type = name, kind
            members[name] = m
    return members


def _known(made: Any, members: dict[str, Member], frozen: bool = False) -> None:
    """Tell which fields the class has, us and the library."""
    made.__members__ = members
    told = {name: _Library(name, members, frozen) for name in ("__dataclass_fields__", "__dataclass_params__")}
    for name, value in {"__match_args__": tuple(members), **told}.items():
        setattr(made, name, value)


class _Library:
    """An attribute by which the library knows a class: as it would have made it, once somebody asks."""

    def __init__(self, name: str, members: dict[str, Member], frozen: bool) -> None:
        self._name = name
        self._members = members
        self._frozen = frozen
        self._made: Any = None

    def __get__(self, _obj: object, owner: type) -> Any:
        if self._made is None:
            self._made = getattr(self._like(owner), self._name)
        return self._made

    def _like(self, owner: type) -> Any:
        """A class of the library's with these fields."""
        import dataclasses

        body: dict[str, Any] = {"__module__": owner.__module__, "__annotations__": {}}
        for name, m in self._members.items():
            given = {"default": m.default, "default_factory": m.factory}
            values = {k: v for k, v in given.items() if v is not MISSING}
            body[name] = dataclasses.field(**values, compare=m.compare, repr=m.repr, metadata=m.metadata)
            body["__annotations__"][name] = m.type
        return dataclasses.dataclass(init=False, repr=False, eq=False, frozen=self._frozen)(type("", (), body))


def _comparer(made: Any) -> Callable[[object], Any]:
    """What gets the values of the fields that are compared. The class gets an __eq__ by them."""
    names = [m.name for m in made.__members__.values() if m.compare]
    values: Callable[[object], Any] = attrgetter(*names) if names else lambda self: ()

    def equal(self: object, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return False
        return bool(values(self) == values(other))

    made.__eq__ = equal
    return values


def _binder(made: Any) -> Callable[[tuple[Any, ...], dict[str, Any]], dict[str, Any]]:
    """What makes values of all fields of a constructor's arguments. The class gets a __repr__, too."""
    members: dict[str, Member] = made.__members__
    names = tuple(members)
    told = tuple(m.name for m in members.values() if m.repr)

    def shown(self: object) -> str:
        return f"{self.__class__.__qualname__}({', '.join(f'{n}={getattr(self, n)!r}' for n in told)})"

    if "__repr__" not in made.__dict__:
        made.__repr__ = shown

    def bind(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        given = dict(zip(names, args, strict=False))
        if len(args) > len(names) or not members.keys() >= kwargs.keys() or not given.keys().isdisjoint(kwargs):
            raise TypeError(f"{made.__name__}() takes each of {', '.join(names)} once, and nothing else")
        given.update(kwargs)
        if len(given) < len(names):
            for name, m in members.items():
                if name in given:
                    continue
                if m.default is not MISSING:
                    given[name] = m.default
                elif m.factory is not MISSING:
                    given[name] = m.factory()
                else:
                    raise TypeError(f"{made.__name__}() needs {name}")
        return given

    return bind


def _compiled(made: Any) -> Init:
    """A constructor as the library would compile it."""
    known: dict[str, Any] = {}
    params, body = ["self"], []
    for n, m in made.__members__.items():
        if m.factory is not MISSING:
            known[f"make_{n}"] = m.factory
            known["MISSING"] = MISSING
            params.append(f"{n}=MISSING")
            body.append(f"self.{n} = make_{n}() if {n} is MISSING else {n}")
        else:
            known[f"default_{n}"] = m.default
            params.append(n if m.default is MISSING else f"{n}=default_{n}")
            body.append(f"self.{n} = {n}")
    exec(f"def __init__({', '.join(params)}):\n " + "\n ".join(body), known)
    init: Init = known["__init__"]
    return init
