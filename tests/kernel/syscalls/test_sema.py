"""Semaphores, kernel/syscalls/sysproc.py, where pages and other processes come in between."""

from __future__ import annotations

import pytest

from kernel.base.kernel import Kernel
from kernel.memory import uaccess
from kernel.memory.mmu import flushmmu
from kernel.memory.uaccess import usetword, uword
from kernel.syscalls import syssem
from tests.kernel.fakes import BUF, Rig, newrig

rig = pytest.fixture(newrig)


class Between:
    """Changes the semaphore, as another process would, when the kernel first faults for writing it."""

    def __init__(self, k: Kernel, value: int) -> None:
        self.k = k
        self.value = value
        self.real = uaccess.kfault
        self.done = False

    def __call__(self, k: Kernel, addr: int, write: bool, present: int, fn: str) -> None:
        self.real(k, addr, write, present, fn)
        if write and not self.done:
            self.done = True
            usetword(k, addr, self.value)


def test_a_semaphore_changed_while_its_page_is_fetched_is_looked_at_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    @rig.run
    def _() -> None:
        assert uword(rig.k, BUF) == 0  # there, but not yet for writing
        flushmmu(rig.k)
        monkeypatch.setattr(uaccess, "kfault", Between(rig.k, 5))
        assert rig.call(syssem.syssemrelease, BUF, 1) == 6
        assert uword(rig.k, BUF) == 6


def test_a_semaphore_that_became_negative_is_released_all_the_same(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    @rig.run
    def _() -> None:
        assert uword(rig.k, BUF) == 0
        flushmmu(rig.k)
        monkeypatch.setattr(uaccess, "kfault", Between(rig.k, -3))
        assert rig.call(syssem.syssemrelease, BUF, 1) == -2
        assert uword(rig.k, BUF) == 0xFFFFFFFE


def test_a_semaphore_wraps_around(rig: Rig) -> None:
    @rig.run
    def _() -> None:
        usetword(rig.k, BUF, 0x7FFFFFFF)
        assert rig.call(syssem.syssemrelease, BUF, 1) & 0xFFFFFFFF == 0x80000000
        assert uword(rig.k, BUF) == 0x80000000
