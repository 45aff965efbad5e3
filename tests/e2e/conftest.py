"""A terminal for each test that wants one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.e2e.terminal import Tty


@pytest.fixture
def tty() -> Iterator[Tty]:
    """Both its ends are closed behind the test."""
    t = Tty()
    yield t
    os.close(t.master)
    os.close(t.slave)
