"""p9emu bench: what one fault, one system call and plain computing cost, beside what people would use instead.

Each row runs a guest on the whole machine and its rivals (:mod:`emu.rivals`) by turns, a few operations and many.
The cost of one operation is the difference of the two, so start-up is not in it. Processor time counts, not the
clock on the wall. A ratio is taken in each round; the median of the rounds is what to quote, with the lowest and the
highest. The times are of this host, at this moment. A second table tells how costs grow (:mod:`emu.scaling`).
"""

import gc
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Final

from emu import rivals, scaling
from emu.rivals import QEMU, Run
from emu.scaling import Scale

ROUNDS: Final = 7
QUICK: Final = 3


@dataclass(frozen=True)
class Work:
    """A guest whose last argument is a number of operations, few and many, and who else does the same."""

    name: str
    guest: Sequence[str]
    few: int
    many: int
    bare: Run
    others: Sequence[str] = ()


@dataclass(frozen=True)
class Rival:
    """One other's cost, and p9emu's as a multiple of it: median, lowest and highest of the rounds."""

    us: float
    ratio: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Row:
    """One measurement: host microseconds of processor time for one operation."""

    name: str
    guest: str
    us: float
    rivals: dict[str, Rival] = field(default_factory=dict)


WORKS: Final = (
    Work("null system call", ("syscalls",), 1000, 31000, rivals.bareloop("calls"), ("qiling",)),
    Work("zero-fill fault", ("touch",), 100, 8100, rivals.bareloop("faults")),
    Work("zero-fill, copy, remap", ("cow",), 100, 4100, rivals.bareloop("copies")),
    Work("sieve over 4 MB", ("sieve", "4000000"), 1, 5, rivals.bareprogram, (QEMU,)),
    Work("block of 16 instructions", ("blocks", "16"), 1000, 10_000_000, rivals.bareprogram, (QEMU, "qiling")),
    Work("block of 4 instructions", ("blocks", "4"), 1000, 10_000_000, rivals.bareprogram, (QEMU, "qiling")),
)


def measure(work: Work, contenders: dict[str, Run], rounds: int) -> Row:
    """Time one guest everywhere, by turns."""
    costs: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            few, many = (_clean(run, (*work.guest, str(n))) for n in (work.few, work.many))
            costs[name].append(max(many - few, 1e-9) * 1e6 / (work.many - work.few))
    ours = costs.pop("p9emu")
    others = {}
    for name, theirs in costs.items():
        ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
        others[name] = Rival(median(theirs), median(ratios), ratios[0], ratios[-1])
    return Row(work.name, " ".join(work.guest), median(ours), others)


def _clean(run: Run, words: Sequence[str]) -> float:
    """Run without what the runs before have left: each Unicorn holds a gigabyte of address space."""
    gc.collect()
    return run(words)


def main(quick: bool, fmt: str) -> None:
    """Print the table. The guests' own output is a line or two; it is swallowed."""
    from emu.console import HostConsole

    saved = HostConsole.write
    HostConsole.write = lambda self, fd, data: None  # type: ignore[method-assign]
    try:
        with rivals.linux(sorted({w.guest[0] for w in WORKS if w.others})) as installed:
            rows = []
            for w in WORKS:
                contenders = {"p9emu": rivals.p9emu, "bare": w.bare}
                contenders |= {name: installed[name] for name in w.others if name in installed}
                rows.append(measure(w, contenders, QUICK if quick else ROUNDS))
            scales = [scaling.measure(*case, QUICK if quick else ROUNDS) for case in scaling.CASES]
    finally:
        HostConsole.write = saved  # type: ignore[method-assign]
    sys.stdout.write(RENDERINGS[fmt](rows, scales))


def _json(rows: Sequence[Row], scales: Sequence[Scale]) -> str:
    return json.dumps({"v": 2, "rows": [asdict(r) for r in rows], "scaling": [asdict(s) for s in scales]}) + "\n"


def _scalecells(scales: Sequence[Scale]) -> list[list[str]]:
    """The same of the second table."""
    lines = [["", "small, us", "large, us", "ratio"]]
    return lines + [[s.name, f"{s.small_us:.3f}", f"{s.large_us:.3f}", _spread(s)] for s in scales]


def _spread(r: Rival | Scale) -> str:
    return f"{r.ratio:.2f} ({r.lowest:.2f}-{r.highest:.2f})"


def _cells(rows: Sequence[Row]) -> list[list[str]]:
    """The first table's lines: a heading, then one for each row."""
    names = [name for name in ("bare", "qiling", QEMU) if any(name in r.rivals for r in rows)]
    head = ["", "guest", "p9emu, us"]
    for name in names:
        head += [f"{name}, us", "ratio"]
    lines = [head]
    for r in rows:
        line = [r.name, r.guest, f"{r.us:.4f}"]
        for name in names:
            o = r.rivals.get(name)
            line += ["", ""] if o is None else [f"{o.us:.4f}", _spread(o)]
        lines.append(line)
    return lines


def _text(rows: Sequence[Row], scales: Sequence[Scale]) -> str:
    return _table(_cells(rows), left=2) + "\n" + _table(_scalecells(scales), left=1)


def _table(lines: Sequence[Sequence[str]], left: int) -> str:
    """Aligned columns, the first ones to the left."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    out = ""
    for line in lines:
        cells = (c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        out += "  ".join(cells).rstrip() + "\n"
    return out


def _markdown(rows: Sequence[Row], scales: Sequence[Scale]) -> str:
    return _pipes(_cells(rows), left=2) + "\n" + _pipes(_scalecells(scales), left=1)


def _pipes(lines: list[list[str]], left: int) -> str:
    rule = ["---" if i < left else "---:" for i in range(len(lines[0]))]
    return "".join(f"| {' | '.join(line)} |\n" for line in (lines[0], rule, *lines[1:]))


RENDERINGS: Final = {"text": _text, "json": _json, "markdown": _markdown}
