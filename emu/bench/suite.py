"""p9emu bench: what one fault, one system call and plain computing cost, beside what people would use instead.

Each row runs a guest on the whole machine and its rivals (:mod:`emu.bench.rivals`) by turns, a few operations and many.
The cost of one operation is the difference of the two, so start-up is not in it. Processor time counts, not the
clock on the wall. A ratio is taken in each round; the median of the rounds is what to quote, with the lowest and the
highest. Where the host is uneven it is the ratio of the means. The times are of this host, at this moment.

More tables tell how costs grow (:mod:`emu.bench.scaling`, :mod:`emu.bench.curves`), whether what the commit says of
itself holds (:mod:`emu.bench.claims`), what a start costs (:mod:`emu.bench.startup`), work on files of the host
(:mod:`emu.bench.files`), and Go's tests (:mod:`emu.bench.gotests`).
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean, median
from typing import Final, Protocol, TypeVar

from emu.bench import claims, copies, curves, files, goserver, gotests, rivals, scaling, startup
from emu.bench.ratio import Rival, ratios
from emu.bench.report import RENDERINGS, Report, Row
from emu.bench.rivals import QEMU, Run

T = TypeVar("T")

QUICK, ROUNDS, FULL = 1, 3, 7
UNEVEN: Final = 4  # times as many rounds where the host is uneven, if all is measured


@dataclass(frozen=True)
class Work:
    """A guest whose last argument is a number of operations, few and many, and who else does the same."""

    name: str
    guest: Sequence[str]
    few: int
    many: int
    bare: Run | None  # None: there is nothing of the kind
    others: Sequence[str] = ()
    uneven: bool = False  # the host's processor has slow and fast times for such code: means are compared, not medians


WORKS: Final = (
    Work("null system call", ("syscalls",), 1000, 101_000, rivals.bareloop("calls"), ("qiling",)),
    Work("zero-fill fault", ("touch",), 100, 8100, rivals.bareloop("faults")),
    Work("zero-fill, copy, remap", ("cow",), 100, 4100, rivals.bareloop("copies")),
    Work("sieve over 4 MB", ("sieve", "4000000"), 1, 5, rivals.bareprogram, (QEMU,)),
    Work("build of 8 files", ("build", "8"), 1, 6, None),
    Work("block of 16 instructions", ("blocks", "16"), 1000, 100_000_000, rivals.bareprogram, (QEMU, "qiling"), True),
    Work("block of 4 instructions", ("blocks", "4"), 1000, 100_000_000, rivals.bareprogram, (QEMU, "qiling"), True),
)


def measure(work: Work, contenders: dict[str, Run], rounds: int) -> Row:
    """Time one guest everywhere, by turns."""
    costs: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            few, many = (run((*work.guest, str(n))) for n in (work.few, work.many))
            costs[name].append(max(many - few, 1e-9) * 1e6 / (work.many - work.few))
    ours = costs.pop("p9emu")
    others = {}
    typical = fmean if work.uneven else median
    for name, theirs in costs.items():
        ratio, lowest, highest = ratios(ours, theirs)
        if work.uneven:
            ratio = sum(ours) / sum(theirs)
        others[name] = Rival(typical(theirs), ratio, lowest, highest)
    return Row(work.name, " ".join(work.guest), typical(ours), others)


def main(
    quick: bool, fmt: str, growth: bool = False, plot: str | None = None, go: bool = False, full: bool = False
) -> None:
    """Print the tables; curves and Go's tests if asked, or all. Pictures of the curves go into the directory ``plot``.

    The guests' own output is a line or two; it is swallowed. Raises Failure.
    """
    from emu.machine.console import HostConsole

    if plot is not None:
        from emu.bench import plot as pictures

        pictures.require()
        os.makedirs(plot, exist_ok=True)
    go = go or full
    if go:
        gotests.gocommand()
    rounds = FULL if full else QUICK if quick else ROUNDS
    works = WORKS
    cases = curves.CASES if growth or full or plot is not None else ()
    saved = HostConsole.write
    HostConsole.write = lambda self, fd, data: None  # type: ignore[method-assign]
    try:
        with (
            rivals.linux(sorted({w.guest[0] for w in works if w.others})) as installed,
            told(len(works) + len(scaling.CASES) + 3 + len(cases) + go) as tell,
        ):
            report = Report(
                rows=[beside(tell(w.name, w), installed, rounds, full) for w in works],
                scaling=[scaling.measure(*tell(case[0], case), rounds) for case in scaling.CASES],
                claims=tell("what the commit says", claims.measure)(),
                starts=[*tell("starts", startup.measure)(rounds), *copies.measure(rounds), *goserver.measure(rounds)],
                files=tell("files", files.measure)(rounds),
                curves=[curves.measure(tell(case.series, case), rounds, quick) for case in cases],
                go=tell("Go's tests", gotests.measure)(rounds) if go else [],
            )
    finally:
        HostConsole.write = saved  # type: ignore[method-assign]
    if plot is not None:
        pictures.draw(report.curves, plot)
    sys.stdout.write(RENDERINGS[fmt](report))


class Tell(Protocol):
    """Says what is measured next, and gives back what it was given."""

    def __call__(self, name: str, thing: T, /) -> T: ...


@contextmanager
def told(total: int) -> Iterator[Tell]:
    """A progress bar on standard error if that is a terminal. It moves between measurements only: it is no load."""
    if not sys.stderr.isatty():
        yield lambda name, thing: thing
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True) as progress:
        task = progress.add_task("", total=total)
        started = False

        def tell(name: str, thing: T) -> T:
            nonlocal started
            progress.update(task, description=name, advance=int(started), refresh=True)
            started = True
            return thing

        yield tell


def beside(work: Work, installed: dict[str, Run], rounds: int, full: bool) -> Row:
    """A row of the first table."""
    contenders: dict[str, Run] = {"p9emu": rivals.p9emu}
    if work.bare is not None:
        contenders["bare"] = work.bare
    contenders |= {name: installed[name] for name in work.others if name in installed}
    return measure(work, contenders, rounds * UNEVEN if work.uneven and full else rounds)
