"""Fixtures of the kernel's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kernel.fakes import Rig


@pytest.fixture
def rig() -> Iterator[Rig]:
    """A kernel whose processes are Python functions."""
    r = Rig()
    yield r
    for d in r.k.devtab:
        d.shutdown()
