"""``python -m tests.backwards``: every bundled guest, gone back through, has the states that it had on its way on.

On 1 processor, and on 2 and 4 with a random order of events; at most the first 10,000 events. Prints what differs; exit
status 1 if anything does.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from typing import Any, Final

from emu.machine.config import Config, MachineError
from emu.machine.console import DroppingConsole
from emu.machine.machine import Machine
from emu.machine.statehash import statehash
from emu.prompt.place import Place
from emu.session.live import Live
from emu.session.past import Past
from guest.catalog import CATALOG
from kernel.base.event import Event
from tests.e2e.test_every_guest import ARGS

M: Final = 1 << 20
MOST: Final = 10_000  # events
ORDERS: Final[tuple[dict[str, Any], ...]] = (
    {"cpus": 1},
    {"cpus": 2, "sched": "random", "seed": 1},
    {"cpus": 4, "sched": "random", "seed": 2},
)


class Enough(Exception):
    """There are as many events as are wanted."""


def forwards(words: Sequence[str], config: Config, most: int, looks: int) -> dict[int, str]:
    """The states of a run behind some of its events, by their number."""
    count = n = 0
    wanted: set[int] = set()
    hashes: dict[int, str] = {}

    def counted(ev: Event) -> None:
        nonlocal count
        count += 1
        if count == most:
            raise Enough

    def looked(ev: Event) -> None:
        nonlocal n
        n += 1
        if n in wanted:
            hashes[n] = statehash(machine)
        if n == max(wanted):
            raise Enough

    for sink in (counted, looked):
        n = 0
        wanted = {1 + (count - 1) * i // looks for i in range(looks + 1)}
        with closing(Machine(config, sink, console=DroppingConsole(), warn=lambda text: None)) as machine:
            try:
                machine.run(words[0], words[1:])
            except (Enough, MachineError):  # some orders end in a panic that the original has
                pass
    return hashes


def different(words: Sequence[str], most: int = MOST, looks: int = 20, **options: Any) -> list[int]:
    """The events at which a copy that goes on to there has another state than the run had, gone back through."""
    config = Config(**{"memory": 8 * M, "swap": 8 * M, **options})
    hashes = forwards(words, config, most, looks)
    live = Live(config, words[0], words[1:], past=Past())
    try:
        assert live.start() is None
        place = Place(live)
        place.open()
        place.forward(lambda ev: True, max(max(hashes) - place.newest, 0) + 50)
        return [at for at in sorted(hashes, reverse=True) if live.askpast(at, statehash) != hashes[at]]
    finally:
        live.close()


def main(names: Sequence[str]) -> int:
    """All of them, or those that are named."""
    bad = 0
    for name in names or sorted(g.name for g in CATALOG):
        for order in ORDERS:
            wrong = different([name, *ARGS.get(name, "").split()], **order)
            if wrong:
                bad += 1
                print(f"{name} {ARGS.get(name, '')} {order}: another state behind {wrong}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
