"""Unit numbers and versions of disks: kernel/devices/devaoe.py."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from kernel.base.dat import Qid
from kernel.base.error import Error, Panic
from kernel.devices.devaoe import Aoe, Maxunits, dropunit, newunit, newvers
from kernel.devices.devsd import Sddev
from tests.kernel.plain import PlainKernel


@dataclass
class Disk:
    vers: int = 0


def test_units_begin_with_one(kernel: PlainKernel) -> None:
    aoe = Aoe()
    assert [newunit(kernel, aoe) for _ in range(3)] == [1, 2, 3]
    assert dropunit(kernel, aoe) == 2
    assert newunit(kernel, aoe) == 3  # whichever was dropped


def test_one_less_than_maxunits_fit(kernel: PlainKernel) -> None:
    aoe = Aoe()
    assert Maxunits == 4095
    assert [newunit(kernel, aoe) for _ in range(Maxunits)] == [*range(1, Maxunits), -1]
    assert aoe.units.ref == Maxunits - 1
    assert newunit(kernel, aoe) == -1
    assert dropunit(kernel, aoe) == Maxunits - 2
    assert newunit(kernel, aoe) == Maxunits - 1


def test_a_unit_too_many_dropped_panics(kernel: PlainKernel) -> None:
    with pytest.raises(Panic, match="decref"):
        dropunit(kernel, Aoe())


def test_versions_are_shared_by_all_disks(kernel: PlainKernel) -> None:
    aoe = Aoe()
    a, b = Disk(), Disk()
    for d, vers in ((a, 1), (b, 2), (a, 3)):
        newvers(kernel, aoe, d)
        assert d.vers == vers


def test_two_processors_never_get_one_number(kernel: PlainKernel) -> None:
    aoe = Aoe()
    points = iter(["other", *[""] * 20])
    got: list[int] = []

    def explore(point: str) -> None:
        if point == "cmpswap" and next(points) == "other":
            got.append(newunit(kernel, aoe))

    kernel.explore = explore
    got.append(newunit(kernel, aoe))
    assert sorted(got) == [1, 2]


class NoDisk:
    """A disk nobody reads."""

    size = 4096

    def read(self, offset: int, n: int) -> bytes:
        raise OSError

    def write(self, offset: int, data: bytes) -> int:
        raise OSError


def test_the_machines_disks_are_counted_so(kernel: PlainKernel) -> None:
    d = Sddev(kernel, {"swap": NoDisk(), "data": NoDisk()})
    assert [(t.name, t.qid) for t in d.tab[1:]] == [("swap", Qid(1, 1)), ("data", Qid(2, 2))]
    with pytest.raises(Error, match="too many units"):
        Sddev(kernel, {f"sd{i}": NoDisk() for i in range(Maxunits)})
