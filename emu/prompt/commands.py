"""The commands: what each takes, what it does, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from emu.api import looks
from emu.observe.answers import state
from emu.observe.answers.page import life
from emu.observe.answers.why import why
from emu.observe.filter import Filter
from emu.observe.text import TextWriter
from emu.observe.words import told
from emu.plain import plain
from emu.program.symbols import Found
from emu.prompt import questions
from emu.prompt.lines import NUMBERED, Wrong, address, counted, events, number, seconds
from emu.prompt.place import NotHere, Place
from kernel.base.event import BootEvent

Lines = Iterable[str]
LISTED: Final = 10  # events, unless told
ABBREVIATIONS: Final = {"s": "step", "b": "back", "u": "until", "c": "run", "continue": "run", "q": "quit", "h": "help",
                        "exit": "quit", "n": "step", "bt": "stack", "?": "help"}  # fmt: skip
AGAIN: Final = frozenset({"step", "back", "until"})  # an empty line does these once more


class Quit(Exception):
    """The session is at its end."""


@dataclass(frozen=True)
class Command:
    """A command: what it takes, as its usage has it, and what it does, in a sentence."""

    name: str
    takes: str
    help: str
    least: int  # words that it takes
    most: int
    do: Callable[[list[str]], Lines]

    @property
    def usage(self) -> str:
        """The command and what it takes."""
        return f"{self.name} {self.takes}".rstrip()


class _Nowhere:
    def write(self, text: str) -> None:
        """Nothing is written: lines are asked for."""

    def close(self) -> None:
        """Nothing is open."""


class Debugger:
    """Does commands at a place. ``wanted`` are the events that step and back go by."""

    def __init__(self, place: Place, wanted: Filter) -> None:
        self.place = place
        self.wanted = wanted
        self.broken = False  # invariants did not hold when they were asked for
        cpus = next((ev.cpus for ev in place.history.events[:1] if isinstance(ev, BootEvent)), 1)
        self._text = TextWriter(_Nowhere(), cpus, lookup=self._lookup)
        self._told = 0  # number of the event whose line is made
        self._last = ""
        many = 1 << 30
        self.commands = {
            c.name: c
            for c in (
                Command("step", "[N]", "go to the next event of -e, or the N-th", 0, 1, self._step),
                Command("back", "[N|EVENTS]", "go back to the last one, the N-th before, the last of EVENTS", 0, many,
                        self._back),
                Command("until", "EVENTS [N]", "go on to the next of EVENTS, as `fault class=swap-in`", 1, many,
                        self._until),
                Command("run", "", "go on to the end; Ctrl-C stops it", 0, 0, self._run),
                Command("rewind", "", "go back to where nothing has happened", 0, 0, self._rewind),
                Command("goto", "TIME|EVENTS N|event N|end", "stand at 0.0123 seconds, at `fault 118`, at the newest "
                        "event", 1, many, self._goto),
                Command("select", "EVENTS", "step and back go by these events, as `%all`", 1, many, self._select),
                Command("where", "", "the event where one stands", 0, 0, self._where),
                Command("events", "[N]", f"the last N events, all kinds of them; {LISTED} unless told", 0, 1,
                        self._events),
                Command("why", "[ADDRESS] [PID]", "each event that led to what is at an address", 0, 2,
                        self._why),
                Command("page", "[FRAME]", "the life of a frame, and who has it", 0, 1, self._page),
                Command("pte", "[ADDRESS] [PID]", "the words of the 386's tables for an address", 0, 2, self._pte),
                Command("segs", "[PID]", "the segments of a process", 0, 1, self._segs),
                Command("image", "[N]", "an image and its cached pages; which there are", 0, 1, self._image),
                Command("procs", "", "the processes", 0, 0, self._procs),
                Command("queue", "", "who waits for a processor, in order", 0, 0, self._queue),
                Command("locks", "", "which locks are held, and who waits for what", 0, 0, self._locks),
                Command("invariants", "", "whether the memory subsystem is in order", 0, 0, self._invariants),
                Command("stack", "[PID]", "the functions that a process is in", 0, 1, self._stack),
                Command("regs", "[PID]", "the registers of a process in user mode", 0, 1, self._regs),
                Command("disasm", "[ADDRESS] [PID]", "instructions, from the pc on unless told", 0, 2, self._disasm),
                Command("help", "[COMMAND]", "the commands", 0, 1, self._help),
                Command("quit", "", "end the session, and the run with it", 0, 0, self._quit),
            )
        }  # fmt: skip

    def do(self, line: str) -> Lines:
        """Do what a line says; what is to be told of it, made while it is taken. Raises Wrong, NotHere and Quit."""
        words = line.split()
        if not words:
            words = self._last.split()
        if not words or words[0].startswith("#"):
            return ()
        command = self.commands[self.called(words[0])]
        self._last = " ".join(words) if command.name in AGAIN else ""
        if not command.least <= len(words) - 1 <= command.most:
            raise Wrong(f"usage: {command.usage}")
        try:
            return command.do(words[1:])
        except (LookupError, RuntimeError) as e:
            raise Wrong(str(e)) from None

    def called(self, word: str) -> str:
        """The command that a word means, which may be the beginning of its name. Raises Wrong."""
        word = ABBREVIATIONS.get(word, word)
        if word in self.commands:
            return word
        meant = [name for name in self.commands if name.startswith(word)]
        if len(meant) == 1:
            return meant[0]
        if meant:
            raise Wrong(f"{plain(word)} may be {' or '.join(meant)}")
        raise Wrong(f"there is no command '{plain(word)[:40]}': help tells which there are")

    # Ways

    def _step(self, words: list[str]) -> Lines:
        n = number(words[0], NUMBERED, 1) if words else 1
        return self._arrived(self.place.forward(self.wanted, n), n)

    def _until(self, words: list[str]) -> Lines:
        words, n = counted(words)
        return self._arrived(self.place.forward(events(" ".join(words)), n), n)

    def _back(self, words: list[str]) -> Lines:
        wanted, n = self.wanted, 1
        if len(words) == 1 and words[0].isdigit():
            n = number(words[0], NUMBERED, 1)
        elif words:
            words, n = counted(words)
            wanted = events(" ".join(words))
        at = self.place.at
        if self.place.backward(wanted, n) < n and at:
            return ["there are no more of these before: this is the beginning"]
        return self._where([])

    def _run(self, words: list[str]) -> Lines:
        self.place.end()
        return self._arrived(0, 0)

    def _rewind(self, words: list[str]) -> Lines:
        self.place.seek(0)
        return self._where([])

    def _goto(self, words: list[str]) -> Lines:
        place = self.place
        if words == ["end"]:
            place.seek(place.newest)
            return self._where([])
        if words == ["start"]:
            return self._rewind([])
        if len(words) == 1:
            ns = seconds(words[0])
            if ns is None:
                raise Wrong(f"{words[0]!r} is not a time in seconds, as 0.0123; or write: goto EVENTS N")
            place.time(ns)
            return [*self._where([]), *self._between()]
        n = number(words[-1], NUMBERED, 1)
        if words[:-1] == ["event"]:
            if n > place.newest:
                place.forward(lambda ev: True, n - place.at)
            place.seek(n)
            return self._arrived(place.at, n)
        wanted = events(" ".join(words[:-1]))
        place.seek(0)
        return self._arrived(place.forward(wanted, n), n)

    def _select(self, words: list[str]) -> Lines:
        self.wanted = events(" ".join(words))
        return []

    def _arrived(self, met: int, n: int) -> Lines:
        """Where one stands after a way on, on which n events were looked for and ``met`` found."""
        yield from self._where([])
        place = self.place
        if met >= n > 0:
            return
        if place.interrupted:
            yield f"stopped before the way's end, at event {place.at:,}"
            yield from self._between()
        elif place.ended:
            state = place.source.state().replace("broken off", "was broken off")
            yield f"this is the end: the run {state}" if place.source.live else "this is the end"
        said = place.held()
        if said:
            yield said

    def _between(self) -> Lines:
        """Where the machine stands, if that is behind the newest event: a program computes, and nothing is told."""
        place = self.place
        if place.at < place.newest or place.ended or not place.source.live:
            return
        ns = place.ask(questions.time)
        if place.event is not None and ns > place.event.ns:
            yield f"the machine stands behind it, at {ns / 1e9:.9f}"

    # The moment

    def _lookup(self, pid: int, pc: int) -> Found | None:
        return self.place.found.get(self._told)

    def _line(self, i: int) -> str:
        """An event, with the number of those that have happened when it has."""
        self._told = i
        return f"{i + 1:>7,} {self._text.line(self.place.history.events[i]).strip()}"

    def _where(self, words: list[str]) -> Lines:
        ev = self.place.event
        if ev is None:
            yield "nothing has happened yet: the machine is not switched on"
            return
        yield self._line(self.place.at - 1)
        if sentence := told(ev):
            yield f"        {sentence}"

    def _events(self, words: list[str]) -> Lines:
        n = number(words[0], "a number of events") if words else LISTED
        at = self.place.at
        return [self._line(i) for i in range(max(at - n, 0), at)]

    # Questions to what has happened

    def _why(self, words: list[str]) -> Lines:
        return str(why(self.place.history, self._address(words, "addr"), self._pid(words, 1))).splitlines()

    def _page(self, words: list[str]) -> Lines:
        return str(life(self.place.history, self._address(words, "frame"))).splitlines()

    def _segs(self, words: list[str]) -> Lines:
        return map(str, state.segments(self.place.history.model, self._pid(words, 0)))

    def _image(self, words: list[str]) -> Lines:
        m = self.place.history.model
        if words:
            return str(state.image(m, number(words[0]))).splitlines()
        return [str(state.image(m, n)).splitlines()[0] for n in state.images(m)] or ["there is no image"]

    def _procs(self, words: list[str]) -> Lines:
        rows = state.processes(self.place.history.model)
        try:  # when it was over, no event tells
            doing = self.place.ask(questions.doing)
        except NotHere:
            doing = {}
        return [str(replace(p, why=doing.get(p.pid, p.why))) for p in rows] or ["there is no process"]

    # Questions to the machine

    def _pte(self, words: list[str]) -> Lines:
        va, pid = self._address(words, "addr"), self._pid(words, 1)
        try:
            walk = self.place.ask(partial(questions.walk, pid=pid, va=va))
        except NotHere as e:
            return [str(state.mapped(self.place.history.model, pid, va)), str(e)]
        return [str(walk), f"        {walk.words}"]

    def _queue(self, words: list[str]) -> Lines:
        try:
            waiting = self.place.ask(questions.queue)
        except NotHere as e:
            ready = [f"{p.name}[{p.pid}]" for p in state.ready(self.place.history.model)]
            return [*(ready or ["nobody waits for a processor"]), f"in no order, as {e}"]
        return [str(p) for p in waiting] or ["nobody waits for a processor"]

    def _locks(self, words: list[str]) -> Lines:
        return str(self.place.ask(questions.locks)).splitlines()

    def _invariants(self, words: list[str]) -> Lines:
        said = self.place.ask(questions.invariants)
        self.broken = self.broken or bool(said.wrong)
        return str(said).splitlines()

    def _stack(self, words: list[str]) -> Lines:
        pid = self._pid(words, 0)
        return str(self.place.ask(partial(looks.stack, pid=pid))).splitlines()

    def _regs(self, words: list[str]) -> Lines:
        pid = self._pid(words, 0)
        r = self.place.ask(partial(questions.process, pid=pid)).registers
        return [
            " ".join(f"{name:<2} {getattr(r, name):08x}" for name in ("ax", "bx", "cx", "dx", "si", "di")),
            f"bp {r.bp:08x} sp {r.sp:08x} pc {r.pc:08x} flags {r.flags:08x}",
        ]

    def _disasm(self, words: list[str]) -> Lines:
        pc = address(words[0]) if words else None
        pid = self._pid(words, 1)
        return str(self.place.ask(partial(looks.code, pid=pid, pc=pc))).splitlines()

    def _address(self, words: list[str], field: str) -> int:
        """The address that is told, or that of the event."""
        if words:
            return address(words[0])
        value = getattr(self.place.event, field, 0) or getattr(self.place.event, "va", 0) * (field == "addr")
        if not value:
            raise Wrong(f"this event tells no {'address' if field == 'addr' else field}: write one, as 0x3004")
        return int(value)

    def _pid(self, words: list[str], i: int) -> int:
        """The process that is meant: the one that is told, or that of the event."""
        if i < len(words):
            return number(words[i], "the number of a process")
        pid = self.place.current()
        if not pid:
            raise Wrong("no process has memory at this moment")
        return pid

    # The session

    def _help(self, words: list[str]) -> Lines:
        if words:
            c = self.commands[self.called(words[0])]
            return [c.usage, f"        {c.help}"]
        width = max(len(c.usage) for c in self.commands.values())
        rows = [f"{c.usage:<{width}}  {c.help}" for c in self.commands.values()]
        return [
            *rows,
            "EVENTS is as of trace -e. An address, frame or pid that is not told is that of the event.",
            "The beginning of a name will do; an empty line does step, back or until once more.",
        ]

    def _quit(self, words: list[str]) -> Lines:
        raise Quit
