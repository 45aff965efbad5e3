"""p9emu replay, and --from of a recording: a run is done again, without the host."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from emu.cli.record import versions
from emu.cli.run import conclude, execute
from emu.cli.saved import sane, word
from emu.cli.settings import Options, Shown
from emu.failure import BROKEN, USAGE, Failure
from emu.machine.journal import Cut, Damaged, Diverged, Journal
from emu.machine.recording import NoRecording, Reader
from emu.machine.signals import Ended
from emu.plain import plain
from kernel.base.error import Error

if TYPE_CHECKING:
    from emu.machine.config import Outcome
    from emu.machine.machine import Machine

DONE: Final = "done"
SHOWN: Final = ("stats", "color", "verbose")  # options of who looks, and not of the run


def replay(path: str, stats: bool, color: str, verbose: bool) -> int:
    """Do what is recorded again; the status to exit with. Raises Failure."""
    with Replay(path, stats=stats, color=color, verbose=verbose) as again:
        return conclude(again.options, execute(again.options, again.program, again.args, None, None))


class Replay:
    """A recording, and a run of it. ``options``, which are to be run with, have it as ``replay``. Raises Failure."""

    def __init__(self, path: str, **shown: Any) -> None:
        self.path = path
        self.output: Callable[[int, bytes], None] = write  # takes what the program writes
        self._journal: Journal | None = None
        try:
            self._reader = Reader(path)
        except (OSError, ValueError) as e:
            why = e.strerror if isinstance(e, OSError) else "not a name of a file"
            raise Failure(f"cannot read {plain(path)}: {why}", BROKEN) from None
        except NoRecording as e:
            raise Failure(f"{plain(path)}: {e}", USAGE) from None
        try:
            head = self._reader.header
            self.program: str = _text(head["program"])
            self.args: Sequence[str] = [_text(a) for a in head["args"]]
            self.versions: dict[str, str] = {_text(k): _text(v) for k, v in head["versions"].items()}
            self.command = _text(head["command"])
            self.options = _options(head["options"], self, shown)
        except (KeyError, TypeError, ValueError, AttributeError):
            self._reader.close()
            raise Failure(f"{plain(path)}: is a recording whose header makes no sense", USAGE) from None

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._reader.close()

    def journal(self) -> Journal:
        """What takes the host's place, for one run."""
        journal = self._journal = Journal()
        journal.output = lambda fd, data: self.output(fd, data)
        journal.replay(iter(self._reader))
        return journal

    def prepare(self, machine: Machine) -> None:
        """Before the machine runs."""
        from emu.machine.statehash import statehash

        assert machine.journal is not None
        machine.journal.hash = lambda: statehash(machine)

    def ended(self, outcome: Outcome) -> None:
        """The program came to its end: as it did? Raises MachineError."""
        self._compare(["exits", outcome.exits])

    def failed(self, why: str) -> Failure | None:
        """The run was ended by p9emu: None if it was so then."""
        try:
            self._compare(["failed", why])
        except (Cut, Damaged, Diverged) as e:
            return self.failure(e)
        return None

    def _compare(self, end: list[str]) -> None:
        journal = self._journal
        assert journal is not None
        entry = journal.ends()
        if entry is None:
            raise Cut("the recording has no end")
        what, _, outcome = entry
        if what != DONE:
            journal.differs(f"the end, {end[1] or 'well'}")
        if outcome != end:
            raise Diverged(f"diverged: the end was {outcome!r}, is {end!r}")

    def failure(self, e: BaseException) -> Failure | None:
        """How what a journal raised is told; None if something else did."""
        journal = self._journal
        if journal is not None and e is journal.gave and isinstance(e, Error | OSError):  # nobody expects it there
            return Failure(f"{self.path}: makes no sense at {journal.when()}", BROKEN)
        if not isinstance(e, Cut | Damaged | Diverged):
            return None
        text = str(e)
        if isinstance(e, Cut):
            assert self._journal is not None
            trouble = self._reader.trouble
            why = f"{trouble}, after" if trouble else "ends before the run did, at"
            text = f"{why} {self._journal.when()} s"
        elif isinstance(e, Diverged):
            ours = versions()
            others = [f"{name} {v}, not {ours.get(name)}" for name, v in self.versions.items() if ours.get(name) != v]
            text += f" (it was recorded with {' and '.join(others)})" if others else ""
        return Failure(f"{self.path}: {text}", BROKEN)


def write(fd: int, data: bytes) -> None:
    """What the program writes, to where it wrote it."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            continue
        except BrokenPipeError:
            raise Ended(signal.SIGPIPE) from None
        except OSError as e:
            raise Failure(f"cannot write standard {'output' if fd == 1 else 'error'}: {e.strerror}", BROKEN) from None


def _text(v: Any) -> str:
    if not word(v):
        raise ValueError
    return str(v)


def _tuples(v: Any) -> Any:
    return tuple(map(_tuples, v)) if isinstance(v, list) else v


def _options(saved: dict[str, Any], replay: Replay, shown: dict[str, Any]) -> Options:
    known = {f.name for f in fields(Options)} - set(SHOWN)
    values = {name: _tuples(v) for name, v in saved.items() if name in known}
    if not sane(values):
        raise ValueError
    values["binds"] = tuple(Shown(*b) for b in values["binds"])
    looked = {"stats": False, "color": "auto", "verbose": False, **shown}
    return Options(**{"cwd": None, "swapfile": None, "timeout": None, **values, **looked, "replay": replay})
