"""Who looks at what the kernel does with its structures, for the laboratory: ``k.watch``, None in every other run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from kernel.base.dat import Lock, QLock, RWlock
    from kernel.base.procdat import Proc


class Watch(Protocol):
    """The kernel calls it where a structure begins and ends, at locks, and before it touches user memory."""

    def made(self, x: object) -> None:
        """x is a structure from here on, be it for the first time or again."""

    def freed(self, x: object) -> None:
        """x is none any more: whoever uses it is wrong."""

    def took(self, l: Lock | QLock | RWlock, p: Proc | None, how: str) -> None:
        """p has l now: ``how`` is lock, canlock, qlock, canqlock, rlock or wlock."""

    def gave(self, l: Lock | QLock | RWlock, p: Proc | None) -> None:
        """p has it no more."""

    def user(self, write: bool) -> None:
        """The current process is about to load or store user memory."""
