"""p9emu record: a run, with all that the host has a part in written to a file."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Final

from emu.cli.run import cause, conclude, execute, same
from emu.cli.settings import Options
from emu.failure import BROKEN, NOTFOUND, UNLOADABLE, USAGE, Failure
from emu.machine.journal import Journal
from emu.machine.recording import RecordingError, Writer

if TYPE_CHECKING:
    from emu.machine.config import Outcome
    from emu.machine.machine import Machine

PAUSE: Final = 0.25  # s of the host's time after which what there is goes to the file
SHARE: Final = 50  # the machine's state is hashed as long as that takes less than a 50th of the processor's time
UNSAVED: Final = ("stats", "color", "verbose", "replay")  # options that are for who looks


def record(options: Options, program: str, args: Sequence[str], output: str) -> int:
    """Run program and write a recording; the status to exit with. Raises Failure."""
    if same(output, program):
        raise Failure(f"{output}: is the program itself", BROKEN)
    try:
        writer = Writer(output, header(options, program, args))
    except RecordingError as e:
        raise Failure(str(e), BROKEN) from None
    keeper = Keeper(writer)
    try:
        outcome = execute(options, program, args, None, None, keeper.prepare, keeper.ended, journal=keeper.journal)
    except Failure as e:
        if e.status in (USAGE, UNLOADABLE, NOTFOUND):  # nothing was run
            writer.drop()
        else:
            keeper.failed(cause(e))
        raise
    except BaseException as e:
        keeper.broke(e)
        raise
    return conclude(options, outcome)


def header(options: Options, program: str, args: Sequence[str]) -> dict[str, Any]:
    """What is to be known to do the run again."""
    return {
        "versions": versions(),
        "command": shlex.join(["p9emu", *sys.argv[1:]]),
        "program": program,
        "args": list(args),
        "options": {f.name: v for f in fields(options) if (v := saved(options, f.name)) is not None},
    }


def saved(options: Options, name: str) -> Any:
    """An option as it is written; None if it is not."""
    v = getattr(options, name)
    if name in UNSAVED:
        return None
    return [asdict(b) if hasattr(b, "__dataclass_fields__") else tuple(b) for b in v] if name == "binds" else v


def versions() -> dict[str, str]:
    """Of what may make another run of the same."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("p9emu", "unicorn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


class Keeper:
    """Writes a machine's journal to a file: at least each PAUSE, and before anybody is waited for."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.journal = Journal(writer.put)
        self.journal.onround = self._round
        self.journal.onwait = self._wait
        self._written = time.monotonic()
        self._due = PAUSE  # s of processor time at which there is a hash again

    def prepare(self, machine: Machine) -> None:
        """Before it runs."""
        from emu.machine.statehash import statehash

        self.journal.hash = lambda: statehash(machine)
        self._due += time.process_time()

    def ended(self, machine: Machine, outcome: Outcome) -> None:
        """The program came to its end."""
        self.journal.over()
        self.journal.mark()
        self.journal.done(["exits", outcome.exits])
        self._close()

    def failed(self, why: str) -> None:
        """The run was ended by p9emu, in a way that comes again."""
        self.journal.done(["failed", why])
        self._close()

    def broke(self, e: BaseException) -> None:
        """Something else ended it."""
        if not isinstance(e, RecordingError):
            self.journal.end(e)
            self._close()

    def _close(self) -> None:
        try:
            self.writer.close()
        except RecordingError as e:
            raise Failure(str(e), BROKEN) from None

    def _round(self) -> None:
        now = time.monotonic()
        if now - self._written < PAUSE:
            return
        self._written = now
        cpu = time.process_time()
        if cpu >= self._due:
            self.journal.mark()
            after = time.process_time()
            self._due = after + max(SHARE * (after - cpu), PAUSE)
        else:
            self.journal.at()
        self.writer.flush()

    def _wait(self) -> None:
        self.journal.at()
        self.writer.flush()
        self._written = time.monotonic()
