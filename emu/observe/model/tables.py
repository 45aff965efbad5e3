"""Mappings whose changes can be taken back, so that a history need not keep every state.

A table keeps the value that each changed key had at the last :meth:`mark`. What mark returns leads from the state then
to the state now, and back. None stands for no value.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Changes(NamedTuple, Generic[K, V]):
    """What a table's changed keys had before, and what they have after."""

    before: dict[K, V | None]
    after: dict[K, V | None]


class Table(Generic[K, V]):
    """One value for each key. ``now`` is to be read, and changed by put() alone."""

    def __init__(self) -> None:
        self.now: dict[K, V] = {}
        self._before: dict[K, V | None] = {}

    def put(self, key: K, value: V | None) -> None:
        """Give key a value, or take it away."""
        old = self.now.get(key)
        if old == value:
            return
        if key not in self._before:
            self._before[key] = old
        if value is None:
            del self.now[key]
        else:
            self.now[key] = value

    def mark(self) -> Changes[K, V]:
        """What has changed since the last mark; from here on anew."""
        before, self._before = self._before, {}
        return Changes(before, {key: self.now.get(key) for key in before})

    def restore(self, values: dict[K, V | None]) -> None:
        """Give these keys these values, one side of some Changes; then it is as if there had been a mark."""
        now = self.now
        for key, value in values.items():
            if value is None:
                now.pop(key, None)
            else:
                now[key] = value
        self._before = {}


class Nested(Generic[V]):
    """Rows of values: a row for each owner that has any. ``now`` is to be read, and changed by the methods alone."""

    def __init__(self) -> None:
        self.now: dict[int, dict[int, V]] = {}
        self._before: dict[tuple[int, int], V | None] = {}

    def row(self, owner: int) -> dict[int, V]:
        """The owner's values, empty if it has none."""
        return self.now.get(owner) or {}

    def put(self, owner: int, key: int, value: V | None) -> None:
        """Give a key of the owner's a value, or take it away."""
        row = self.now.get(owner)
        old = None if row is None else row.get(key)
        if old == value:
            return
        place = owner, key
        if place not in self._before:
            self._before[place] = old
        _put(self.now, owner, key, value)

    def drop(self, owner: int) -> None:
        """Take away all that the owner has."""
        before = self._before
        for key, old in self.now.pop(owner, {}).items():
            if (owner, key) not in before:
                before[owner, key] = old

    def copy(self, old: int, new: int) -> None:
        """Give new, which has nothing, what old has."""
        row = self.now.get(old)
        if row and old != new:
            self.drop(new)
            before = self._before
            for key in row:
                before.setdefault((new, key), None)
            self.now[new] = dict(row)

    def mark(self) -> Changes[tuple[int, int], V]:
        """What has changed since the last mark; from here on anew."""
        before, self._before = self._before, {}
        return Changes(before, {place: self.row(place[0]).get(place[1]) for place in before})

    def restore(self, values: dict[tuple[int, int], V | None]) -> None:
        """As Table.restore."""
        for (owner, key), value in values.items():
            _put(self.now, owner, key, value)
        self._before = {}


def _put(now: dict[int, dict[int, V]], owner: int, key: int, value: V | None) -> None:
    row = now.get(owner)
    if value is not None:
        if row is None:
            now[owner] = {key: value}
        else:
            row[key] = value
    elif row is not None:
        row.pop(key, None)
        if not row:
            del now[owner]
