"""Runs that are looked at."""

from __future__ import annotations

import pytest

from kernel.base.event import Event
from tests.e2e.harness import run


@pytest.fixture(scope="session")
def cow() -> list[Event]:
    """Every event of ``cow 4``."""
    return run("cow", "4", trace=True, check=False).events
