"""``python -m tests.quality.hunt CATCHER [MUTANT]``: does the catcher see anything wrong with the kernel?

Exit status 0: no. 3: yes, and what it saw is printed. Runs in a process of its own, since the mutant's
module is loaded in place of the real one.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

from tests.quality.mutants import MUTANTS, ROOT, Mutant

CAUGHT = 3
SEEDS = 6  # of workloads
# Processors and kinds. What is rare, as a page that goes out while its process runs, happens in (3, "tight").
WORKLOADS = ((1, ""), (2, "scratch"), (2, "fork"), (3, "scratch"), (1, "tight"), (3, "tight"), (2, ""))
EXPLORED = 60  # seeds of the exploring scheduler
GUESTS = ("cow 3", "brk 3")


class MutantLoader(SourceFileLoader):
    """Loads the changed source of one module."""

    def __init__(self, mutant: Mutant) -> None:
        super().__init__(mutant.module, str(mutant.path))
        self.mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        code = compile(self.mutant.source(), self.path, "exec")
        assert isinstance(code, CodeType)
        return code


class MutantFinder(MetaPathFinder):
    """Finds one module changed."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path)
        if fullname == self.mutant.module and spec is not None:
            loader: Loader = MutantLoader(self.mutant)
            spec.loader = loader
        return spec


def vectors() -> None:
    """Replay the vectors, the hand-made ones first."""
    from tests.vectors.replay import replay

    for path in sorted((ROOT / "tests" / "vectors").glob("*.jsonl.gz")):
        for difference in replay(path).differences[:1]:
            raise AssertionError(str(difference))


def workload() -> None:
    """Random programs."""
    from tests.quality.workload import Workload

    for seed in range(SEEDS):
        for nmach, kind in WORKLOADS:
            Workload(seed, nmach, kind).runall()


def explore() -> None:
    """Random programs, switched at random."""
    from tests.quality.explore import explore as explored

    explored(EXPLORED)


def guests() -> None:
    """Real programs."""
    from emu.cli.commands import cli

    for guest in GUESTS:
        out = io.StringIO()
        status: object = 0
        with redirect_stdout(out), redirect_stderr(out):
            try:
                cli.main(["run", "--check", *guest.split()])
            except SystemExit as e:
                status = e.code
        if status:
            raise AssertionError(f"{guest} ended with {status}: {out.getvalue()}")


CATCHERS: dict[str, Callable[[], None]] = {f.__name__: f for f in (vectors, workload, explore, guests)}


def main(argv: list[str]) -> int:
    """Run one catcher, on the kernel or on a mutant of it."""
    catcher = CATCHERS[argv[0]]
    if len(argv) > 1:
        mutant = next(m for m in MUTANTS if m.name == argv[1])
        mutant.source()  # if it does not fit, that is no catch
        sys.meta_path.insert(0, MutantFinder(mutant))
    try:
        catcher()
    except BaseException as e:  # noqa: BLE001 - whatever it is, the kernel did not work
        print(f"{type(e).__name__}: {e}"[:300])
        return CAUGHT
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
