"""Unit numbers and versions of disks. Source: port/devaoe.c, as far as it counts them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from kernel.base.chandat import Counter
from kernel.sched.ref import decref, incref

if TYPE_CHECKING:
    from kernel.base.kernel import Kernel


Unitbits: Final = 12
Maxunits: Final = (1 << Unitbits) - 1


class Versioned(Protocol):
    """A disk with a version; the part of Aoedev that newvers needs."""

    vers: int


class Aoe:
    """What devaoe.c keeps in globals: how many units there are, and the last version given to one."""

    def __init__(self) -> None:
        self.units = Counter()
        self.drivevers = Counter()


def newunit(k: Kernel, aoe: Aoe) -> int:
    """A unit number, or -1 if there are too many.

    It is the new count of units: they begin with 1, unit 0 is never used, and Maxunits-1 of them fit. After
    dropunit a number can be given twice. Source: port/devaoe.c:newunit.
    """
    x = incref(k, aoe.units)
    if x >= Maxunits:
        decref(k, aoe.units)
        x = -1
    return x


def dropunit(k: Kernel, aoe: Aoe) -> int:
    """One unit less; how many are left. Source: port/devaoe.c:dropunit."""
    return decref(k, aoe.units)


def newvers(k: Kernel, aoe: Aoe, d: Versioned) -> None:
    """Give d a version no disk had before. Source: port/devaoe.c:newvers."""
    d.vers = incref(k, aoe.drivevers)
