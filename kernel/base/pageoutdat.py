"""What the pager asks of a page-out policy. The policies are in :mod:`kernel.memory.policy`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

if TYPE_CHECKING:
    from kernel.base.dat import Page
    from kernel.base.kernel import Kernel


Key: TypeAlias = tuple[int, int]  # a page of a segment, wherever it is: the segment's id, number of the page in it


class Policy(Protocol):
    """Says of each page that the pager comes by whether it should go.

    It sees what a kernel on a 386 sees: on each visit whether the page was referenced since the last one, and each
    fault. What is paged out, or visited, is unmapped, so that its next use is a fault.
    """

    faults: ClassVar[bool]  # whether it wants to hear of faults

    def old(self, k: Kernel, p: Page, key: Key, referenced: bool) -> bool:
        """Whether p, which key names, should go: it does, unless swap is full or too much is being written."""

    def round(self, k: Kernel) -> None:
        """The pager has been at all processes once, and is short of pages still."""

    def fault(self, key: Key) -> None:
        """A process has the page from now on: it came from somewhere, was copied, or was there and unmapped."""
