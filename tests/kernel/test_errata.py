"""Surprises of the original that no vector shows; the numbers are those of docs/errata.md."""

import pytest

from kernel.chandat import ORCLOSE, ORDWR
from kernel.dat import SEG1, SG_BSS, SG_RONLY
from kernel.error import Panic
from kernel.fault import fault
from kernel.mem import PTEVALID, PTEWRITE
from tests.kernel.fakes import Rig
from tests.kernel.plain import PlainKernel

BASE = 0x100000


@pytest.mark.parametrize(("copymode", "writable"), [(0, 0), (1, PTEWRITE)])
def test_16_a_read_only_segment_becomes_writable_by_reading_it(
    kernel: PlainKernel, copymode: int, writable: int
) -> None:
    kernel.copymode = copymode
    up = kernel.up
    assert up is not None
    kernel.segment(up, SEG1, SG_BSS | SG_RONLY, BASE, 1)
    assert fault(kernel, BASE, False) == -1
    assert fault(kernel, BASE, True) == 0
    assert up.mmupdb is not None
    assert kernel.mmu.walk(up.mmupdb.pa, BASE) & (PTEVALID | PTEWRITE) == PTEVALID | writable


def test_27_a_variable_that_the_end_of_its_process_removes() -> None:
    rig = Rig()
    rig.spawn(lambda: rig.create("#e/x", ORDWR | ORCLOSE))
    with pytest.raises(Panic, match="no environment"):
        rig.settle()
