"""What :mod:`kernel.memory.check` remembers from one check to the next."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

from kernel.base.dat import Entry, Page
from kernel.base.procdat import Proc
from kernel.base.record import field, record

if TYPE_CHECKING:
    from kernel.base.dat import Pte


Quarter: TypeAlias = tuple[bytes, list[Entry], list[Page]]  # its words, what the segments had, what may be written
Tables: TypeAlias = dict[tuple[Proc, int, int], Quarter]  # by process, number of the table and first entry


@record
class Memo:
    """What the last check saw of a kernel: what still is the same need not be counted again."""

    entries: dict[Pte, list[Entry]] = field(default_factory=dict)
    holders: dict[Page, int] = field(default_factory=dict)  # by segments; in the order of palloc.pages
    slots: Counter[int] = field(default_factory=Counter)  # entries of segments that are on swap
    swmap: bytearray = field(default_factory=bytearray)  # the same by number: what swapalloc.swmap should be
    tables: Tables = field(default_factory=dict)
