"""p9emu view: a run, or a trace of one, on the screen."""

import gc
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from emu.cli.run import configure, failureof, stats_text, use_color
from emu.cli.settings import Options
from emu.cli.stdin import given, opened
from emu.failure import USAGE, Failure

if TYPE_CHECKING:
    from emu.observe.filter import Filter
    from emu.session.source import Source

NOCOLOR: Final = ("dumb", "unknown", "vt52", "vt100", "vt102", "vt220")  # terminals


def view(options: Options, program: str, args: Sequence[str], wanted: "Filter", stdin: str | None) -> int:
    """Run program on the screen; the status to exit with. Raises Failure."""
    _needed()
    config = configure(options)
    data = _input(stdin)
    _terminal()
    from emu.session.live import Live

    journal = options.replay.journal() if options.replay is not None else None
    live = Live(config, program, args, data, journal=journal)
    try:
        error = live.start()
        if error is not None:
            raise failureof(error, options) or error
        status = _show(live, wanted, shlex.join([program, *args]), options.color)
    finally:
        live.close()
    if options.stats and live.outcome is not None:
        sys.stderr.write(stats_text(live.outcome.stats, use_color(options.color, sys.stderr)))
    return status


def fromtrace(trace: str, wanted: "Filter", color: str) -> int:
    """Show a trace of JSON lines, as far as it can be understood; the status to exit with. Raises Failure."""
    _needed()
    with opened(trace) as recorded:
        _terminal()
        return _show(recorded, wanted, trace, color)


def _show(source: "Source", wanted: "Filter", name: str, color: str) -> int:
    from emu.view.app import View
    from emu.view.session import Session

    colored = _colored(color)
    if colored:
        os.environ.pop("NO_COLOR", None)  # textual looks too, and is not told what --color says
    gc.set_threshold(gc.get_threshold()[0], 20, 1000)  # a million events are no garbage, and long to look through
    view = View(Session(source, wanted), name, colored)
    ended = view.run()
    if view.failure is not None:
        raise view.failure
    if ended == signal.SIGINT:
        raise KeyboardInterrupt
    if ended:
        raise Failure(f"ended by {signal.Signals(ended).name}", 128 + ended)
    return 0


def _needed() -> None:
    from importlib.util import find_spec

    if find_spec("textual") is None:
        raise Failure("view needs textual, which is not installed: pip install 'p9emu[view]'", 1)


def _terminal() -> None:
    """The keys come from standard input, and the screen is standard error."""
    for stream, name in ((sys.__stdin__, "input"), (sys.__stderr__, "error")):
        if stream is None or not stream.isatty():
            raise Failure(f"view needs a terminal, and standard {name} is none (p9emu report makes a page)", USAGE)


def _input(stdin: str | None) -> bytes:
    """What the program reads."""
    if stdin is None:
        return b""
    if stdin == "-":
        if sys.stdin.isatty():
            raise Failure("--stdin - takes what is piped to p9emu: the terminal's keys are the view's", USAGE)
        try:
            fd = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            raise Failure("view needs a terminal, and there is none", USAGE) from None
        data = given("-")
        os.dup2(fd, 0)
        os.close(fd)
        return data
    return given(stdin)


def _colored(choice: str) -> bool:
    if choice == "auto":
        return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") not in NOCOLOR
    return choice == "always"
