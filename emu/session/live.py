"""A machine as a source. It runs in a thread of its own, and stands still there in the call that tells an event.

So a program that computes for ever, and tells nothing meanwhile, does not hold up the screen. Copies of it may be left
behind, which are asked for what was.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

from emu.machine.config import Config, LoadError, MachineError, Outcome
from emu.machine.signals import Ended, TimeLimit
from emu.plain import plain
from emu.program.symbols import Symbols
from emu.session.past import NoPast, Past
from emu.session.source import LIMIT, Item, Wanted
from kernel.base.event import FaultEvent, ProcEvent

if TYPE_CHECKING:
    from emu.machine.copied import CopiedMachine
    from emu.machine.journal import Journal
    from emu.machine.machine import Machine
    from kernel.base.event import Event

KEPT: Final = 4096  # pieces of output that are kept
PIECE: Final = 4096  # characters of a piece that are kept: a screenful
AHEAD: Final = 16384  # events that the machine may be ahead of the viewer
PAUSE: Final = 0.005  # s between two looks at whether it still is
PATIENCE: Final = 5.0  # s that a machine may take to end

T = TypeVar("T")


class Abandoned(BaseException):
    """Ends a run that nobody looks at any more."""


class Console:
    """Implements kernel.base.hw.Console: input is given, output kept with the number of events before it."""

    fd = -1
    waiting = False
    live = False

    def __init__(self, stdin: bytes, count: Callable[[], int]) -> None:
        self.onwrite: Callable[[bytes], None] = lambda data: None
        self.pieces: deque[tuple[int, str]] = deque(maxlen=KEPT)
        self._stdin = stdin
        self._at = 0
        self._count = count

    def read(self, n: int) -> bytes:
        """Up to n bytes of standard input, b"" at its end."""
        data = self._stdin[self._at : self._at + n]
        self._at += len(data)
        return data

    def write(self, fd: int, data: bytes) -> None:
        """Keep what may be seen of it."""
        self.onwrite(data)
        self.pieces.append((self._count(), data[-PIECE:].decode("utf-8", "replace")))

    def mute(self) -> None:
        """Keep nothing more."""
        self.onwrite = lambda data: None
        self.pieces = deque(maxlen=0)

    def raw(self, on: bool) -> None:
        """Nobody types."""

    def poll(self, now: int) -> bool:
        """Nobody waits."""
        return False

    def wake(self) -> None:
        """Nobody waits."""


class Live:
    """Implements source.Source. The machine begins to run at once, and stands still when its program is executed."""

    live = True

    def __init__(
        self,
        config: Config,
        program: str,
        args: Sequence[str],
        stdin: bytes = b"",
        limit: int = LIMIT,
        past: Past | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.items: deque[Item] = deque()
        self.still = False
        self.ended = False
        self.onstop: Callable[[], None] = lambda: None
        self.onwrite: Callable[[bytes], None] = lambda data: None  # all output, in the machine's thread
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None  # why it did not come to its end
        self._config = config
        self._program, self._args = program, args
        self._count = 0
        self._limit = limit
        self._journal = journal
        self._full = False
        self._console = Console(stdin, lambda: self._count)
        self._console.onwrite = lambda data: self.onwrite(data)
        self._machine: CopiedMachine | None = None
        self._past = past
        self._turn = threading.Condition()
        self._wanted: Wanted | None = _executed
        self._left = 1
        self._due: int | None = None
        self._pausing = False
        self._halting = False
        self._closing = False
        self._question: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._body, daemon=True)
        self._thread.start()

    # The viewer's side

    def start(self) -> BaseException | None:
        """Wait until the program is there. What the run raised, if it did not come to that."""
        with self._turn:
            while not self.still:
                self._turn.wait(0.1)
        if self.error is not None and not any(isinstance(i.event, ProcEvent) for i in self.items):
            return self.error
        return None

    def go(self, wanted: Wanted | None = None, n: int = 1, ns: int | None = None) -> None:
        """Run on; with ``ns`` until that time is over on all processors, whether anything is told or not."""
        with self._turn:
            if self.ended or self._full:
                return
            self._wanted, self._left, self._due = wanted, n, ns
            self.still = self._pausing = self._halting = False
            self._turn.notify_all()

    def pause(self) -> None:
        """Stand still at the next event."""
        self._pausing = True

    def halt(self) -> None:
        """Stand still as soon as can be: at the next event, or, while a program computes, between two."""
        self._pausing = self._halting = True

    def ask(self, question: Callable[[Machine], T]) -> T:
        """What the machine, which stands still, answers in its own thread, whose stacks can be looked at there.

        Raises what the question raises, and RuntimeError if there is no machine any more, or it runs.
        """
        answers: list[T] = []
        errors: list[Exception] = []

        def answer() -> None:
            assert self._machine is not None
            try:
                answers.append(question(self._machine))
            except Exception as e:  # noqa: BLE001 who has asked gets it
                errors.append(e)

        with self._turn:
            if self.ended or not self.still:
                raise RuntimeError("the machine has ended" if self.ended else "the machine runs")
            self._question = answer
            self._turn.notify_all()
            while self._question is answer:
                self._turn.wait()
        if errors:
            raise errors[0]
        return answers[0]

    def askpast(self, at: int, question: Callable[[Machine], T]) -> T:
        """What the machine answered when so many events had happened; question and answer must be fit for pickle.

        Raises what the question raises, and NoPast if that cannot be asked.
        """
        if self._past is None:
            raise NoPast("the machine was not copied")
        return self._past.ask(at, question)

    def state(self) -> str:
        """Whether it runs, and how it ended."""
        if not self.ended:
            return "stands still" if self.still else "stops at its next event" if self._pausing else "runs"
        if self.outcome is None:
            return "broken off"
        exits = self.outcome.exits.removeprefix(f"{self.outcome.name} {self.outcome.pid}: ")
        return f'ended with "{plain(exits)}"' if exits else "ended well"

    def troubles(self) -> list[str]:
        """Why the run did not come to its end."""
        said = []
        if self.error is not None:
            said.append(f"The run did not come to its end: {plain(str(self.error)) or 'it was ended'}.")
        if self._full:
            said.append(f"The machine stands still for good: a view keeps no more than {self._count:,} events.")
        return said

    def output(self, at: int) -> str:
        """What was written last, until then."""
        texts: list[str] = []
        size = 0
        for n, text in reversed(tuple(self._console.pieces)):
            if n <= at or (self.ended and at >= self._count):
                texts.append(text)
                size += len(text)
                if size >= PIECE:
                    break
        return "".join(reversed(texts))

    def close(self) -> None:
        """End the run, wherever it is, and give the machine back."""
        with self._turn:
            self._closing = True
            self._turn.notify_all()
        machine = self._machine
        if machine is not None and not self.ended:
            machine.signals.end(Abandoned())
        self._thread.join(PATIENCE)
        if self._past is not None:
            self._past.close()

    # The machine's side

    def _body(self) -> None:
        from emu.machine.copied import CopiedMachine
        from emu.machine.statehash import statehash

        try:
            symbols = Symbols()
            self._symbols = symbols
            journal = self._journal or (self._past.journal if self._past is not None else None)
            console: Console | None = self._console
            if journal is not None and journal.replaying:
                journal.output, console = self._console.write, None
            machine = CopiedMachine(self._config, self._sink, console=console, warn=self._warn, journal=journal)
            if journal is not None and journal.replaying:
                journal.hash = lambda: statehash(machine)
            self._machine = symbols.machine = machine
            machine.onturn = self._turned
            try:
                self.outcome = machine.run(self._program, self._args)
            finally:
                if self._past is not None:
                    self._past.over()
                self._machine = None
                machine.close()
        except Abandoned:
            pass
        except TimeLimit as e:
            self.error = TimeLimit(str(e) or "time limit reached")
        except (LoadError, MachineError, Ended, Exception) as e:  # noqa: BLE001 the viewer tells it
            self.error = e
        with self._turn:
            self.still = self.ended = True
            self._turn.notify_all()
        self._tell()

    def _warn(self, text: str) -> None:
        """A line of the emulator's own stands among the output."""
        self._console.write(2, f"p9emu: {plain(text)}\n".encode("utf-8", "replace"))

    def _sink(self, ev: Event) -> None:
        if self._closing:
            return  # what a machine tells that is taken apart
        if self._past is not None and self._past.told(self._machine, self._count + 1, self._console.mute):
            return
        found = self._symbols(ev.pid, ev.pc) if isinstance(ev, FaultEvent) else None
        self.items.append(Item(ev, found))
        self._count += 1
        if len(self.items) > AHEAD:
            self._await()
        if self._count >= self._limit:
            self._full = True
        elif not self._pausing:
            if self._wanted is None or not self._wanted(ev):
                return
            self._left -= 1
            if self._left:
                return
        self._stand()

    def _turned(self) -> None:
        """The machine's loop comes round."""
        if (self._halting or self._over()) and not self._closing and (self._past is None or not self._past.copied):
            self._stand()

    def _over(self) -> bool:
        due, machine = self._due, self._machine
        return due is not None and machine is not None and min(cpu.now() for cpu in machine.cpus) > due

    def _await(self) -> None:
        """The viewer has not taken in what there is: let it."""
        machine = self._machine
        assert machine is not None
        with machine.signals.away():
            while len(self.items) > AHEAD // 2 and not self._closing:
                time.sleep(PAUSE)
        if self._closing:
            raise Abandoned

    def _stand(self) -> None:
        machine = self._machine
        assert machine is not None
        with machine.signals.away():
            with self._turn:
                self.still = True
                self._turn.notify_all()
            self._tell()
            with self._turn:
                while (self.still or self._full) and not self._closing:
                    if self._question is not None:
                        self._question()
                        self._question = None
                        self._turn.notify_all()
                    self._turn.wait()
        if self._closing:
            raise Abandoned

    def _tell(self) -> None:
        with suppress(RuntimeError):  # the viewer is gone
            self.onstop()


def _executed(ev: Event) -> bool:
    return isinstance(ev, ProcEvent) and ev.op == "exec"
