"""Whole traces, every event of them, against files beside this one.

They change when the kernel or a guest does. Look at the difference, and if it is meant, rewrite them:
P9EMU_UPDATE=1 python -m pytest tests/e2e/test_golden.py
"""

import os
from pathlib import Path

import pytest

from tests.e2e.harness import jsontrace

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize("argv", ["hello", "cow 2", "nil", "text 2", "pipe 2", "exec echo hi", "segs", "stack 3"])
def test_trace_is_the_golden_one(argv: str, cpus: int) -> None:
    trace = jsontrace(*argv.split(), cpus=cpus)
    path = GOLDEN / f"{argv.replace(' ', '-')}.{cpus}.jsonl"
    if os.environ.get("P9EMU_UPDATE"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(trace)
    assert trace.splitlines() == path.read_text().splitlines()
