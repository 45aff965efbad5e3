"""Where lines come from, a terminal or a script, and what becomes of what is said."""

from __future__ import annotations

import re
import shutil
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from textwrap import wrap
from types import FrameType
from typing import Final, TextIO

from emu.plain import plain
from emu.prompt.commands import Debugger, Quit
from emu.prompt.complete import DELIMITERS, candidates
from emu.prompt.lines import Wrong
from emu.prompt.place import NotHere

INDENT: Final = " " * 8
LONGEST: Final = 10_000  # characters of a line


class ScriptError(Exception):
    """A line of a script could not be done. str() says which, and why."""


def script(debugger: Debugger, lines: Iterable[str], name: str, out: TextIO, quiet: bool = False) -> None:
    """Do the lines of a script, until the first that cannot be done. Each is told before it is done, unless ``quiet``.

    Raises ScriptError.
    """
    for n, line in enumerate(lines, 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if not quiet:
            out.write(f"> {plain(line)}\n")
        try:
            with _interrupts(debugger):
                for said in debugger.do(line):
                    out.write(f"{plain(said)}\n")
        except Quit:
            return
        except (Wrong, NotHere) as e:
            out.flush()
            raise ScriptError(f"{plain(name)}:{n}: {plain(str(e))}") from None
        out.flush()


def interactive(debugger: Debugger, out: TextIO) -> None:
    """Ask for lines on the terminal until the end is typed. What cannot be done is said."""
    _completion(debugger)
    for said in ["The command help tells all commands, and Tab what may stand where you type.", *debugger.do("where")]:
        _say(said, out)
    while True:
        try:
            _typed(debugger, input(f"{debugger.place.at:,}> ")[:LONGEST], out)
        except (EOFError, Quit) as e:
            if isinstance(e, EOFError):
                out.write("\n")
            return
        except KeyboardInterrupt:
            out.write("\n")
        out.flush()


def _typed(debugger: Debugger, line: str, out: TextIO) -> None:
    """Do a line, and say what comes of it."""
    try:
        with _interrupts(debugger):
            for said in debugger.do(line):
                _say(said, out)
    except (Wrong, NotHere) as e:
        _say(str(e), out)


@contextmanager
def _interrupts(debugger: Debugger) -> Iterator[None]:
    """Ctrl-C ends the way that the machine is on; where it is on none, KeyboardInterrupt is raised as ever."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = signal.getsignal(signal.SIGINT)

    def typed(number: int, frame: FrameType | None) -> None:
        if debugger.place.waiting:
            debugger.place.interrupt()
        elif callable(old):
            old(number, frame)

    if old is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, typed)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)


def _say(text: str, out: TextIO) -> None:
    """A line, broken where the terminal ends."""
    text = plain(text)
    width = max(shutil.get_terminal_size().columns - 1, 20)
    if len(text) <= width:
        out.write(f"{text}\n")
        return
    lead = text[: len(text) - len(text.lstrip())]
    indent = lead if lead.startswith(INDENT) else INDENT
    text = re.sub(r"(?<=\S) {2,}", " ", text.strip())
    for row in wrap(text, width, initial_indent=lead, subsequent_indent=indent, break_on_hyphens=False):
        out.write(f"{row}\n")


def _completion(debugger: Debugger) -> None:
    """Tab completes, and the arrows bring lines back, where Python has readline."""
    try:
        import readline
    except ImportError:
        return
    found: list[str] = []

    def complete(word: str, n: int) -> str | None:
        if n == 0:
            found[:] = candidates(debugger, readline.get_line_buffer()[: readline.get_begidx()], word)
        return found[n] if n < len(found) else None

    readline.set_completer(complete)
    readline.set_completer_delims(DELIMITERS)
    readline.parse_and_bind("tab: complete")
