"""Surprises of the original that no vector shows; the numbers are those of docs/errata.md."""

import pytest

from kernel import chan
from kernel.bindmount import sysbind
from kernel.chan import cclose, findmount, namec
from kernel.chandat import MREPL, ORCLOSE, ORDWR, Abind, Amount, Mhead
from kernel.dat import SEG1, SG_BSS, SG_RONLY
from kernel.error import Panic
from kernel.fault import fault
from kernel.kernel import Kernel
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


def test_28_two_binds_at_once_drop_the_old_head_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    put = chan.putmhead

    heads: list[Mhead] = []

    def another(k: Kernel, m: Mhead | None) -> None:
        """Before the old head is dropped another processor makes the same bind."""
        if m in heads:
            heads.clear()
            cclose(k, namec(k, "/env", Abind))
        put(k, m)

    @rig.run
    def _() -> None:
        k = rig.k
        rig.call(sysbind, "#c", "/env", MREPL)
        rig.call(sysbind, "/env", "/fd", MREPL)  # the same channel is mounted upon both
        cclose(k, namec(k, "/fd", Abind))
        c = namec(k, "/fd", Amount)
        found = findmount(k, c.type, c.dev, c.qid)
        assert found is not None
        head = found[1]
        heads.append(head)
        refs = head.ref
        monkeypatch.setattr(chan, "putmhead", another)
        cclose(k, namec(k, "/env", Abind))
        assert not heads
        assert head.ref == refs - 1
