"""A kernel for each test of this directory, checked at its end."""

from __future__ import annotations

import pytest

from tests.kernel.plain import PlainKernel


@pytest.fixture
def kernel() -> PlainKernel:
    """A kernel with 64 pages (highwater 3) and one process, which is current."""
    k = PlainKernel()
    k.become(k.process())
    return k
