"""What a machine was at an event that is past: a copy of it that was left behind goes on to there, and is asked."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from emu.machine.checkpoints import Checkpoint, Checkpoints
from emu.machine.journal import Entry, Journal
from emu.machine.sleeper import Channel

if TYPE_CHECKING:
    from emu.machine.copied import CopiedMachine
    from emu.machine.machine import Machine

T = TypeVar("T")


class NoPast(Exception):
    """There is no copy of the machine that could be asked. str() says why."""


class Past:
    """The copies of one run, counted by its events. In the machine's thread they are left, in another one asked.

    Where a ``journal`` gives the whole run back, copies have that too, and need no other.
    """

    def __init__(self, journal: Journal | None = None) -> None:
        self._log: list[Entry] = []
        self.journal = journal or Journal(self._log.append)  # for the machine
        self.copied = False  # this is a copy
        self._points = Checkpoints()
        # a copy that stands at an event, and how much of the journal it knows
        self._standing: tuple[Checkpoint, Channel, int, int] | None = None
        self._machine: CopiedMachine | None = None
        self._channel: Channel | None = None
        self._at = self._goal = 0

    # Where the run is

    def told(self, machine: CopiedMachine | None, at: int, mute: Callable[[], None]) -> bool:
        """The event with that number is told: leave a copy, if it is time for one. Whether this is a copy.

        In a copy this returns when the run is to go on; ``mute`` is called there at first.
        """
        if self.copied:
            self._at += 1
            self._here()
        elif machine is not None and self._points.due():
            self.journal.flush()
            channel = self._points.take((at, len(self._log)), machine.outside())
            if channel is not None:
                self.copied = True
                mute()
                self._machine, self._channel, self._at = machine, channel, at
                try:
                    self._goal, entries = channel.receive()
                except EOFError:
                    self._gone()
                machine.woken(entries)
                self._here()
        return self.copied

    def over(self) -> None:
        """The run is over; nothing behind it is a copy's affair."""
        if self.copied:
            os._exit(0)

    def _here(self) -> None:
        """Answer while this is the event that is asked about."""
        assert self._channel is not None
        while self._at == self._goal:
            try:
                what, question = self._channel.receive()
                if what == "goto":
                    self._goal = question
                    return
                self._channel.send(self._answer(question))
            except EOFError:
                self._gone()

    def _answer(self, question: Callable[[Machine], Any]) -> tuple[bool, Any]:
        assert self._machine is not None
        try:
            return True, question(self._machine)
        except LookupError as e:
            return False, LookupError(str(e))
        except Exception as e:  # noqa: BLE001 who has asked gets it
            return False, RuntimeError(str(e))

    def _gone(self) -> NoReturn:
        os._exit(0)

    # Who asks

    def ask(self, at: int, question: Callable[[Machine], T]) -> T:
        """The answer of the machine when so many events had happened. Raises what the question raises, NoPast."""
        try:
            channel = self._stand(at)
            channel.send(("ask", question))
            good, answer = channel.receive()
        except EOFError:
            self._drop()
            raise NoPast("the copy of the machine that was to tell it is gone") from None
        if not good:
            raise answer
        found: T = answer
        return found

    def _stand(self, at: int) -> Channel:
        """The way to a copy that goes on to that event. Raises EOFError, NoPast."""
        self.journal.flush()
        point = self._points.before((at, len(self._log)))
        if point is None:
            raise NoPast("the host had no room for a copy of the machine")
        if self._standing is not None:
            _, channel, now, known = self._standing
            if now == at:
                return channel
            if point.at[0] <= now < at and known == len(self._log):
                self._standing = (self._standing[0], channel, at, known)
                channel.send(("goto", at))
                return channel
            self._drop()
        channel = point.sleeper.wake()
        point.used += 1
        self._points.ours.append(channel.sock)
        self._standing = (point, channel, at, len(self._log))
        channel.send((at, self._log[point.at[1] :]))
        return channel

    def _drop(self) -> None:
        if self._standing is not None:
            point, channel, *_ = self._standing
            self._standing = None
            point.used -= 1
            self._points.ours.remove(channel.sock)
            channel.close()

    def close(self) -> None:
        """End all copies."""
        self._drop()
        self._points.close()
