"""Histories that questions are asked to."""

from __future__ import annotations

import pytest

from emu.observe.model.history import History
from tests.e2e.harness import run

M = 1 << 20


@pytest.fixture(scope="session")
def cow() -> History:
    """``cow 4``, every event."""
    return History(run("cow", "4", trace=True, check=False).events)


@pytest.fixture(scope="session")
def swapfork() -> History:
    """``swapfork 300`` where memory is short: pages are shared, put out, and brought back."""
    return History(run("swapfork", "300", trace=True, check=False, memory=4 * M, swap=16 * M).events)
