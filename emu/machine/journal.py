"""What the host has a part in, written down as it happens, and given back.

A run is a function of its command line and of what the host tells it: each such thing passes ``Journal.ask``, or comes
when the machine's loop comes round (``Journal.round``), or is the time (``Journal.time``). With a journal, signals are
looked at when the loop comes round and at no other time: at most a tick later. The list is in docs/record.md.

Entries are (what, about, outcome), made of None, bool, int, str, bytes, and lists or tuples of these. ``about`` is what
was asked for, and tells on giving back whether the run is still the same one.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn, Protocol, TypeVar

from emu.machine.config import LoadError, MachineError
from emu.machine.signals import Ended, TimeLimit
from emu.machine.values import Value, nothing, number, numbers, text
from kernel.base.error import Error

Entry = tuple[str, Any, Any]
T = TypeVar("T")

OK: Final = "="
LATEST: Final = 1 << 64  # ns; no run is so long
# entries of the loop's, that come by themselves
AT, HASH, TYPED, END = "at", "hash", "typed", "end"
TIMES: Final = "time"
PART: Final = "part"  # of what is written next, as more did not go out
ROUNDS: Final = (AT, HASH, TYPED, END)


class Diverged(MachineError):
    """A run that is given back what it asked for asks for something else, or comes to another state."""


class Cut(MachineError):
    """The journal is at its end, and the run is not."""


class Damaged(MachineError):
    """What the journal gives back makes no sense."""


class Signals(Protocol):
    """What a journal needs of emu.machine.signals.Signals."""

    interrupts: int
    fatal: BaseException | None

    def check(self) -> None:
        """Raise what is to end the run."""


class Journal:
    """Writes to ``put``, until ``replay`` gives it entries to give back; there is no way from there.

    ``now`` is the sum of the processors' clocks, which tells how far the run is.
    """

    def __init__(self, put: Callable[[Entry], None] | None = None) -> None:
        self.put = put or (lambda entry: None)
        self.count = 0  # entries that were written, or given back
        self.rounds = 0  # times that the loop has come round
        self.typed = 0  # times that Ctrl-C was typed, as far as the run has seen
        self.now: Callable[[], int] = lambda: 0
        self.output: Callable[[int, bytes], None] | None = None  # takes the program's output while it is given back
        self.hash: Callable[[], str] = lambda: ""  # of the machine
        # Called while it writes: when the loop has come round, and before somebody is waited for.
        self.onround: Callable[[], None] | None = None
        self.onwait: Callable[[], None] | None = None
        self._times: list[int] = []
        self._time = 0
        self._source: Iterator[Entry] | None = None
        self._next: Entry | None = None
        self.gave: BaseException | None = None  # the last error that was given back

    @property
    def replaying(self) -> bool:
        """It gives back."""
        return self._source is not None

    def replay(self, source: Iterator[Entry]) -> None:
        """From now on give back these entries. Raises what source raises, here and later."""
        self.flush()
        self._source = source
        self._advance()

    def ask(self, what: str, about: list[Value], call: Callable[[], T], check: Callable[[Value], T]) -> T:
        """What the host says to call(), be it an error; or what it said when that was written.

        ``check`` makes the result of what is read, and raises ValueError, TypeError or LookupError if it cannot be.
        Errors that pass: Error, OSError, LoadError, and what ends a run.
        """
        if self._source is not None:
            return self._give(what, about, check)
        try:
            value = call()
        except Exception as e:
            self._write((what, about, _error(e)))
            raise
        except KeyboardInterrupt:
            self._write((what, about, ["interrupt"]))
            raise
        self._write((what, about, [OK, value]))
        return value

    def write(
        self, fd: int, data: bytes, call: Callable[[int, bytes], None], done: Callable[[], int] = lambda: 0
    ) -> None:
        """The program writes to its standard output (1) or standard error (2).

        ``done`` tells how many bytes have gone out if call() raises.
        """

        def whole() -> None:
            try:
                call(fd, data)
            except BaseException:
                if done():
                    self._write((PART, fd, [OK, done()]))
                raise

        if self.upcoming(PART):
            self._out(fd, data[: self._give(PART, fd, number)])
        self.ask("write", [fd, len(data), zlib.crc32(data)], whole, nothing)
        self._out(fd, data)

    def _out(self, fd: int, data: bytes) -> None:
        if self._source is not None and self.output is not None:
            self.output(fd, data)

    def time(self, clock: Callable[[], int]) -> int:
        """The host's time, where the machine follows that."""
        if self._source is not None:
            if not self._times:
                step = self._give(TIMES, None, numbers)
                self._times = step[::-1]
            self._time += self._times.pop()
        else:
            now = max(clock(), self._time)
            self._times.append(now - self._time)
            self._time = now
        return self._time

    def upcoming(self, what: str) -> bool:
        """While it gives back: whether this is next."""
        return self._source is not None and self._next is not None and self._next[0] == what

    def round(self, signals: Signals) -> None:
        """The machine's loop comes round: what came by itself. Raises what ends the run."""
        self.rounds += 1
        if self._source is not None:
            signals.check()  # who looks at it may end it
            self._round()
            return
        fatal = signals.fatal
        if fatal is not None:
            self._write((END, self._where(), _error(fatal)))
            raise fatal
        signals.check()
        if signals.interrupts != self.typed:
            self.typed = signals.interrupts
            self._write((TYPED, self._where(), self.typed))
        if self.onround is not None:
            self.onround()

    def waiting(self) -> None:
        """The machine is about to wait for the host."""
        if self._source is None and self.onwait is not None:
            self.onwait()

    def mark(self) -> None:
        """Write how far the run is, and the state's hash; in ``onround``, or at the end."""
        self._write((HASH, self._where(), self.hash()))

    def at(self) -> None:
        """Write how far the run is."""
        self._write((AT, self._where(), None))

    def end(self, e: BaseException) -> None:
        """The run was ended, at any place, by what comes from outside."""
        self._write((END, self._where(), _error(e)))

    def over(self) -> None:
        """The program has come to its end: what is written now is of behind the last round."""
        self.rounds += 1

    def done(self, outcome: list[str]) -> None:
        """The run is over. That is not the run's own any more: ``ends`` gives it."""
        self._write(("done", self._where(), outcome))

    def flush(self) -> None:
        """Write what was kept back, of the time."""
        if self._times and self._source is None:
            times, self._times = self._times, []
            self.count += 1
            self.put((TIMES, None, [OK, times]))

    def _write(self, entry: Entry) -> None:
        self.flush()
        self.count += 1
        self.put(entry)

    # Giving back

    def _advance(self) -> None:
        assert self._source is not None
        self._next = next(self._source, None)

    def _took(self) -> None:
        self.count += 1
        self._advance()

    def _give(self, what: str, about: Value, check: Callable[[Value], T]) -> T:
        while (entry := self._next) is not None and entry[0] == AT and entry[1] == self._where():
            self._took()
        if entry is None:
            raise self._cut()
        if entry[0] == END:
            raise self._ended(entry[2])
        if entry[0] != what or not _same(entry[1], about) or self._times:
            self._differs(entry, _words(what, about))
        try:
            kind, *outcome = entry[2]
            value = check(outcome[0]) if kind == OK else None
            error = None if kind == OK else _raised(kind, outcome)
        except (ValueError, TypeError, LookupError, OverflowError):
            raise Damaged(f"makes no sense at {self.when()}: {_words(*entry[:2])}") from None
        self._took()
        if error is not None:
            self.gave = error
            raise error
        return value  # type: ignore[return-value]

    def _round(self, kinds: tuple[str, ...] = ROUNDS) -> None:
        while True:
            entry = self._next
            if entry is None:
                raise self._cut()
            what, about, outcome = entry
            if what not in kinds:
                return
            try:
                rounds, now = map(number, about)
            except (ValueError, TypeError):
                raise Damaged(f"makes no sense at {self.when()}") from None
            if rounds > self.rounds or (rounds == self.rounds and now > self.now()):
                return
            if what != END and [rounds, now] != self._where():
                self._differs(entry, "to be past it")
            self._took()
            if what == HASH:
                came = self.hash()
                if came and came != outcome:
                    raise Diverged(f"diverged at {self.when()}: the state's hash was {outcome}, is {came}")
            elif what == TYPED:
                if type(outcome) is not int:
                    raise Damaged(f"makes no sense at {self.when()}")
                self.typed = outcome
            elif what == END:
                raise self._ended(outcome)

    def _ended(self, outcome: Value) -> BaseException:
        try:
            kind, *rest = outcome
            self.gave = _raised(kind, rest)
            return self.gave
        except (ValueError, TypeError, LookupError):
            return Damaged(f"makes no sense at {self.when()}")

    def _cut(self) -> Cut:
        return Cut(f"the recording ends at {self.when()} s, before the run did")

    def differs(self, came: str) -> NoReturn:
        """What comes is not what is next."""
        assert self._next is not None
        self._differs(self._next, came)

    def ends(self) -> Entry | None:
        """The run is over: what comes next, which is not the run's own any more."""
        self.over()
        if self._next is not None:
            try:
                self._round((AT, HASH))
            except Cut:
                return None
        return self._next

    def _where(self) -> list[int]:
        """Where the run is, which tells two rounds apart between which no time passes; and its time."""
        return [self.rounds, self.now()]

    def when(self) -> str:
        """How far the run is, in seconds of all processors together."""
        return f"{self.now() / 1e9:.9f}"

    def _differs(self, entry: Entry, came: str) -> NoReturn:
        raise Diverged(f"diverged at {self.when()}: expected {_words(*entry[:2])}, came {came}")


def _same(v: Value, ours: Value) -> bool:
    """Whether what is read is ours, which is never deep."""
    if isinstance(ours, list | tuple):
        return isinstance(v, list | tuple) and len(v) == len(ours) and all(map(_same, v, ours))
    return bool(v == ours)


def _words(what: str, about: Value) -> str:
    """An entry for people."""
    if what in ROUNDS:
        ns = about[1] if isinstance(about, list) and len(about) == 2 else None
        return f"{what} at {ns / 1e9:.9f}" if type(ns) is int and abs(ns) < LATEST else what
    words = [x.decode("utf-8", "backslashreplace") if isinstance(x, bytes) else str(x) for x in _flat(about)]
    text = " ".join([what, *words])
    return text if len(text) <= 200 else f"{text[:200]}..."


def _flat(v: Value, depth: int = 8) -> Iterator[Value]:
    if isinstance(v, list | tuple):
        for x in v if depth else ():
            yield from _flat(x, depth - 1)
    elif v is not None:
        yield v


# How what ends a call, or a run, is written

_PLAIN: Final = {"Error": Error, "TimeLimit": TimeLimit, "MachineError": MachineError}


def _error(e: BaseException) -> list[Value]:
    if isinstance(e, LoadError):
        return ["LoadError", str(e), e.status]
    if isinstance(e, Ended):
        return ["Ended", e.status - 128]
    if isinstance(e, OSError):
        return ["OSError", e.errno or 0, e.strerror or ""]
    if isinstance(e, KeyboardInterrupt):
        return ["interrupt"]
    for name, cls in _PLAIN.items():
        if isinstance(e, cls):
            return [name, str(e)]
    return ["broken", type(e).__name__]


def _raised(kind: Any, args: list[Any]) -> BaseException:
    if kind == "LoadError":
        status = number(args[1])
        if not 0 < status < 256:
            raise ValueError
        return LoadError(text(args[0]), status)
    if kind == "Ended":
        return Ended(number(args[0]))
    if kind == "OSError":
        return OSError(number(args[0]), text(args[1]))
    if kind == "interrupt":
        return KeyboardInterrupt()
    if kind == "broken":
        return MachineError(f"was broken off: {text(args[0])}")
    if not text(args[0]) and kind == "TimeLimit":  # it always says which
        raise ValueError
    e: BaseException = _PLAIN[kind](args[0])
    return e
