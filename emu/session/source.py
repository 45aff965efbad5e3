"""Where events come from, to whoever shows them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from emu.program.symbols import Found
from kernel.base.event import Event

LIMIT: Final = 2_000_000  # events that are kept: some 900 MB

Wanted = Callable[[Event], bool]


class Item(NamedTuple):
    """An event, and what is known of the pc of a fault."""

    event: Event
    found: Found | None


class Source(Protocol):
    """Gives events in a thread of its own. What it says of itself may be asked at any time."""

    items: deque[Item]
    """Events that nobody has taken yet: taken from the left."""
    onstop: Callable[[], None]
    """Called, in the source's thread, when no more come."""

    @property
    def live(self) -> bool:
        """More come only when they are asked for."""

    @property
    def still(self) -> bool:
        """No more come now."""

    @property
    def ended(self) -> bool:
        """No more will come."""

    def go(self, wanted: Wanted | None = None, n: int = 1) -> None:
        """Give more events, up to the n-th that is wanted; without a wish, all there are."""

    def pause(self) -> None:
        """Give no more after the next one."""

    def state(self) -> str:
        """How far it is, in words."""

    def troubles(self) -> list[str]:
        """What went wrong, a sentence each."""

    def output(self, at: int) -> str:
        """What the program had written when so many events had happened; the last of it."""

    def close(self) -> None:
        """Give everything back."""
