"""Failure injection: the N-th operation of a kind fails, or every N-th."""

from __future__ import annotations

from typing import Final

KINDS: Final = ("newpage", "malloc", "swapread", "swapwrite", "textread", "hostread")


class Inject:
    """Counts operations and says which fail. ``plan`` has for each kind a number and whether it repeats.

    newpage: finds memory short, once, and waits. malloc: memory of the kernel's own. textread: a page of a
    program. hostread: any read of a host file.
    """

    def __init__(self, plan: dict[str, tuple[int, bool]]) -> None:
        self.plan = plan
        self.count = dict.fromkeys(plan, 0)

    def hit(self, kind: str) -> bool:
        """Count one operation; whether it fails."""
        if kind not in self.plan:
            return False
        n, every = self.plan[kind]
        self.count[kind] += 1
        return self.count[kind] % n == 0 if every else self.count[kind] == n
