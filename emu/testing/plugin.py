"""Entry point pytest11: the fixture p9, its markers, what failing tests tell. docs/pytest.md is its description.

It is loaded in every run of pytest of the environment: what takes time to import is imported by the first test that
asks for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from emu.testing.p9 import P9

MARKERS = (
    "p9emu(seeds=None, **options): options of the machines that the fixture p9 makes (memory, cpus, swap, seed, ...); "
    "with seeds=N the test is run N times, each with another seed and the exploring scheduler",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The switch that rewrites golden files."""
    group = parser.getgroup("p9emu", "Plan 9 programs (p9emu)")
    group.addoption(
        "--p9emu-update",
        action="store_true",
        help="write golden files anew instead of comparing with them; P9EMU_UPDATE=1 does the same",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known, and both ways of asking for new golden files the same."""
    for line in MARKERS:
        config.addinivalue_line("markers", line)
    if config.getoption("--p9emu-update"):
        before = os.environ.get("P9EMU_UPDATE")
        os.environ["P9EMU_UPDATE"] = "1"

        def restore() -> None:
            if before is None:
                os.environ.pop("P9EMU_UPDATE", None)
            else:
                os.environ["P9EMU_UPDATE"] = before

        config.add_cleanup(restore)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test marked with seeds=N, N times."""
    options = _options(metafunc.definition)
    n = options.get("seeds")
    if n is None:
        return
    if "p9" not in metafunc.fixturenames:
        raise pytest.UsageError(f"{metafunc.definition.nodeid}: seeds= is for tests that use the fixture p9")
    metafunc.parametrize("p9", range(n), indirect=True, ids=[f"seed{i}" for i in range(n)])


def _options(node: pytest.Item | pytest.Function) -> dict[str, Any]:
    """The options of all markers, the closest one last."""
    options: dict[str, Any] = {}
    for marker in reversed(list(node.iter_markers("p9emu"))):
        if marker.args:
            raise pytest.UsageError(f"{node.nodeid}: the marker p9emu takes keywords only")
        options |= marker.kwargs
    return options


@pytest.fixture
def p9(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[P9]:
    """Runs Plan 9 programs: run, run_c, build, machine, seeds, golden."""
    from emu.testing.p9 import P9

    options = _options(request.node)
    if options.pop("seeds", None) is not None:
        options = {"sched": "random", **options, "seed": request.param}
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # that of all workers
    made = P9(Path(request.path).parent, base / "p9emu", os.environ.get("P9EMU_UPDATE", "") not in ("", "0"), options)
    try:
        yield made
    finally:
        made.close()


@pytest.hookimpl(hookwrapper=True)  # which older releases of pytest know too
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    """Add to the report of a failure what the test's last program wrote, and how to run it again."""
    report = (yield).get_result()
    p9 = getattr(item, "funcargs", {}).get("p9")
    if report.failed and call.when == "call" and p9 is not None and hasattr(p9, "sections"):
        report.sections += p9.sections()


def pytest_assertrepr_compare(config: pytest.Config, op: str, left: object, right: object) -> list[str] | None:
    """Say which events there are, where a comparison of their number fails."""
    if "emu.api.log" not in sys.modules:
        return None
    from emu.testing.explain import explain

    return explain(op, left, right)
