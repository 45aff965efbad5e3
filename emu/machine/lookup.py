"""What Unicorn does between the instructions of a guest: flushes, walks, look-ups (emu/machine/_lookup.c).

The counts are of all engines of this process; a run's own are the difference.
"""

from __future__ import annotations

from typing import NamedTuple

from emu.machine.lib import lib


class Counts(NamedTuple):
    """``lookups`` are of blocks that Unicorn's cache of 4096 did not have, ``searches`` what ours had neither."""

    flushes: int
    walks: int
    lookups: int
    searches: int

    def since(self, other: Counts) -> Counts:
        """What has come after the other."""
        return Counts(*(a - b for a, b in zip(self, other, strict=True)))

    def figures(self, faults: int, switches: int) -> dict[str, int | str]:
        """As --stats -v tells them."""
        found = {"flushes": self.flushes, "page walks": self.walks}
        each = (("fault", faults), ("switch", switches))
        ratios = {f"{name} a {what}": f"{n / m:.2f}" for what, m in each for name, n in found.items() if m}
        return {**found, "look-ups": self.lookups, "searches": self.searches, **ratios}


def counts() -> Counts | None:
    """So far; None where the extension was not built."""
    c = lib().counts
    return Counts(*c) if c is not None else None
