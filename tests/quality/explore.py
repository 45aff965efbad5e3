"""The workload under the exploring scheduler: processes are switched at locks and within reference counts."""

from __future__ import annotations

import random
import sys

from kernel.explore import Explore
from tests.quality.workload import Workload


class Explorer(Explore):
    """Spares one window: fixfault() unlocks the segment before it maps the page.

    The original does so too; what another process does to the segment in between is lost on the mapping.
    """

    def __call__(self, point: str) -> None:
        if point == "qunlock" and sys._getframe(2).f_code.co_name == "fixfault":
            return
        super().__call__(point)


def explore(seed: int, nmach: int) -> None:
    """One execution; raises what was found."""
    work = Workload(seed, nmach=nmach, steps=12, first=2, maxpid=7)
    work.explore = Explorer(work, seed)
    work.procs.rng = random.Random(seed)
    work.runall()
