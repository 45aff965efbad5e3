"""Which locks are taken while which are held, and whether that goes round in a circle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from kernel.base.procdat import Proc


class Edge(NamedTuple):
    """``then`` was taken while ``first`` was held, by these functions."""

    first: str
    then: str
    firstby: str
    thenby: str


class LockOrder:
    """The edges seen, each with how often. Locks are told apart by class and field."""

    def __init__(self) -> None:
        self.edges: dict[Edge, int] = {}

    def took(self, l: object, how: str, function: str, held: Sequence[tuple[Any, str, str]], p: Proc | None) -> None:
        """A process that has ``held`` took l. What only tries cannot wait, and has no order."""
        if how.startswith("can"):
            return
        name = type(l).__name__
        for other, _, by in held:
            if other is not l:
                e = Edge(type(other).__name__, name, by, function)
                self.edges[e] = self.edges.get(e, 0) + 1

    def merge(self, edges: Iterable[tuple[Edge, int]]) -> None:
        """Those of another run too."""
        for e, n in edges:
            self.edges[e] = self.edges.get(e, 0) + n

    def pairs(self) -> dict[tuple[str, str], list[Edge]]:
        """By names of locks."""
        found: dict[tuple[str, str], list[Edge]] = {}
        for e in sorted(self.edges):
            found.setdefault((e.first, e.then), []).append(e)
        return found

    def cycles(self) -> list[tuple[str, ...]]:
        """The circles, each once, from its least lock; one lock alone where two of the same kind are held."""
        after: dict[str, set[str]] = {}
        for first, then in self.pairs():
            after.setdefault(first, set()).add(then)
        found: set[tuple[str, ...]] = set()

        def walk(path: list[str]) -> None:
            for then in sorted(after.get(path[-1], ())):
                if then == path[0]:
                    found.add(tuple(path))
                elif then > path[0] and then not in path and len(path) < 6:
                    walk([*path, then])

        for start in sorted(after):
            walk([start])
        return sorted(found, key=lambda c: (len(c), c))

    def report(self) -> list[str]:
        """In lines."""
        pairs = self.pairs()
        cycles = self.cycles()
        lines = [f"lock order: {len(pairs)} pairs of locks, {len(cycles)} circle{'s' * (len(cycles) != 1)}"]
        for cycle in cycles:
            lines.append("lock order: " + " -> ".join([*cycle, cycle[0]]))
            for first, then in zip(cycle, (*cycle[1:], cycle[0]), strict=True):
                for e in pairs[first, then][:3]:
                    lines.append(f"  {e.first} taken in {e.firstby}, then {e.then} in {e.thenby}")
        return lines
