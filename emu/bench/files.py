"""What work on files of the host costs a guest, call by call, beside Python's own os module and emulators of Linux.

The file lies five directories deep, as headers of a real tree do.
"""

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from emu.bench.ratio import Rival, ratios
from emu.bench.rivals import MEMORY, QEMU, Run, linux, machine
from emu.machine.config import Bind, Config

WHERE: Final = "/n/files"
DEEP: Final = "sys/src/9/port/inc"
FILES: Final = 100
SIZE: Final = 6000
FEW, MANY = 20, 1020


@dataclass(frozen=True)
class Filework:
    """Microseconds of processor time for one call, or for open and what follows up to close."""

    name: str
    us: float
    os_us: float
    ratio: float
    lowest: float
    highest: float
    rivals: dict[str, Rival] = field(default_factory=dict)


def _open(path: str) -> None:
    os.close(os.open(path, os.O_RDONLY))


def _read(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    os.read(fd, 8192)
    os.close(fd)


def _list(path: str) -> None:
    for name in os.listdir(path):
        os.stat(os.path.join(path, name))


# Name, the guest's word for it, what Python does, whether of the directory (which Linux reads by another call)
CASES: Final[tuple[tuple[str, str, Callable[[str], object], bool], ...]] = (
    ("open and close", "open", _open, False),
    ("open, read 8 kB, close", "read", _read, False),
    ("stat", "stat", os.stat, False),
    (f"list a directory of {FILES}, with stat", "list", _list, True),
)


def measure(rounds: int) -> list[Filework]:
    """All rows."""
    with tempfile.TemporaryDirectory(prefix="p9emu-bench-") as top:
        inc = os.path.join(top, DEEP)
        os.makedirs(inc)
        for i in range(FILES):
            with open(os.path.join(inc, f"h{i}.h"), "wb") as f:
                f.write(b"int x;\n" * (SIZE // 7))
        config = Config(memory=MEMORY, binds=(Bind(top, WHERE),))
        with linux(["files"], top) as installed:
            return [_row(config, top, *case, installed, rounds) for case in CASES]


def _row(
    config: Config,
    top: str,
    name: str,
    word: str,
    call: Callable[[str], object],
    directory: bool,
    installed: Mapping[str, Run],
    rounds: int,
) -> Filework:
    rel = DEEP if directory else f"{DEEP}/h1.h"
    few, many = (2, 2 + MANY // FILES) if directory else (FEW, MANY)
    tops = {"qiling": "", QEMU: top}  # as the program there sees it
    others = {} if directory else installed

    def cost(run: Run, top: str) -> float:
        spent = [run(["files", word, str(n), f"{top}/{rel}"]) for n in (few, many)]
        return max(spent[1] - spent[0], 1e-9) * 1e6 / (many - few)

    ours, python = [], []
    rivals: dict[str, list[float]] = {other: [] for other in others}
    for _ in range(rounds):
        ours.append(cost(lambda words: machine(words, config), WHERE))
        started = time.process_time()
        for _ in range(many):
            call(os.path.join(top, rel))
        python.append(max(time.process_time() - started, 1e-9) * 1e6 / many)
        for other, run in others.items():
            rivals[other].append(cost(run, tops[other]))
    beside = {other: Rival(median(costs), *ratios(ours, costs)) for other, costs in rivals.items()}
    return Filework(name, median(ours), median(python), *ratios(ours, python), beside)
