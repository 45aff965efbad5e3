"""Every mutant of the kernel is caught by each of its catchers, and the kernel itself by none."""

from __future__ import annotations

import ast
import builtins
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.quality.hunt import CATCHERS, CAUGHT
from tests.quality.mutants import MUTANTS, ROOT, Mutant

Result = subprocess.CompletedProcess[str]
Job = tuple[str, ...]  # catcher, mutant's name if any

KERNEL: list[Job] = [(catcher,) for catcher in CATCHERS]
CATCHES: list[Job] = [(catcher, m.name) for m in MUTANTS for catcher in m.caught]


def hunt(job: Job) -> Result:
    """Run a catcher in a process of its own."""
    argv = [sys.executable, "-m", "tests.quality.hunt", *job]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="session")
def hunts(request: pytest.FixtureRequest) -> Iterator[Callable[[Job], Result]]:
    """hunt(), begun for all tests of this run at once, as many at a time as there are processors."""
    if "PYTEST_XDIST_WORKER" in os.environ:  # there are other workers already
        yield hunt
        return
    items = [vars(item) for item in request.session.items]
    jobs = [item["callspec"].params["job"] for item in items if "hunts" in item.get("fixturenames", ())]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = {job: pool.submit(hunt, job) for job in jobs}
        yield lambda job: futures[job].result()
        pool.shutdown(cancel_futures=True)


@pytest.mark.quality
@pytest.mark.parametrize("job", KERNEL, ids="-".join)
def test_nothing_is_wrong_with_the_kernel(hunts: Callable[[Job], Result], job: Job) -> None:
    r = hunts(job)
    assert r.returncode == 0, r.stdout + r.stderr


@pytest.mark.quality
@pytest.mark.parametrize("job", CATCHES, ids=lambda job: f"{job[1]}-{job[0]}")
def test_mutant_is_caught(hunts: Callable[[Job], Result], job: Job) -> None:
    r = hunts(job)
    assert r.returncode == CAUGHT, r.stdout + r.stderr


def strangers(source: str) -> set[str]:
    """Names that a module uses, and neither it nor Python has: a mutant with such a one dies of that, not of itself."""
    used: set[str] = set()
    bound = set(dir(builtins))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.alias):
            bound.add(node.asname or node.name)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.ExceptHandler):
            bound.add(node.name or "")
    return used - bound


def test_a_name_that_is_not_there_is_noticed() -> None:
    assert strangers("from a import b as c, d\ndef f(x):\n    y = len(c + d + x)\n    return y + z\n") == {"z"}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_mutant_fits_the_kernel_as_it_is(mutant: Mutant) -> None:
    assert mutant.source() != mutant.path.read_text()
    compile(mutant.source(), mutant.path, "exec")
    assert not strangers(mutant.source())
    assert mutant.caught


def test_mutant_that_fits_nowhere_or_twice_is_refused() -> None:
    def mutant(function: str, old: str) -> Mutant:
        return Mutant("x", "kernel.memory.page", function, ((old, ""),), ())

    with pytest.raises(ValueError, match="has 'nosuch' 0 times"):
        mutant("putpage", "nosuch").source()
    with pytest.raises(ValueError, match="has 'decref' 2 times"):
        mutant("putpage", "decref").source()
    with pytest.raises(ValueError, match="no function nosuch"):
        mutant("nosuch", "decref").source()


def test_every_catcher_is_needed_and_names_are_told_apart() -> None:
    assert {catcher for m in MUTANTS for catcher in m.caught} == set(CATCHERS)
    assert len({m.name for m in MUTANTS}) == len(MUTANTS) >= 15
