"""p9emu debug: a run, or a trace of one, at a prompt."""

import gc
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import IO, TYPE_CHECKING, Any, Final

from emu.cli.run import configure, failureof, stats_text, use_color
from emu.cli.settings import Options
from emu.cli.stdin import given, opened
from emu.failure import BROKEN, USAGE, Failure
from emu.machine.signals import ENDING
from emu.plain import plain

if TYPE_CHECKING:
    from emu.observe.filter import Filter
    from emu.session.live import Live
    from emu.session.recorded import Recorded

BAD: Final = 1  # a line of a script could not be done, or invariants do not hold


def debug(
    options: Options,
    program: str,
    args: Sequence[str],
    wanted: "Filter",
    stdin: str | None,
    script: str | None,
    quiet: bool,
) -> int:
    """Run program at a prompt; the status to exit with. Raises Failure."""
    config = configure(options)
    if stdin == "-" and script is None:
        raise Failure("--stdin - needs -x FILE: without, standard input has the commands", USAGE)
    data = b"" if stdin is None else given(stdin)
    from emu.session.live import Live
    from emu.session.past import Past

    journal = options.replay.journal() if options.replay is not None else None
    live = Live(config, program, args, data, past=Past(journal), journal=journal)
    try:
        error = live.start()
        if error is not None:
            raise failureof(error, options) or error
        status = _session(live, wanted, script, quiet)
    finally:
        live.close()
    if options.stats and live.outcome is not None:
        sys.stderr.write(stats_text(live.outcome.stats, use_color(options.color, sys.stderr)))
    return status


def fromtrace(trace: str, wanted: "Filter", script: str | None, quiet: bool) -> int:
    """Look at a trace of JSON lines, as far as it can be understood; the status to exit with. Raises Failure."""
    with opened(trace) as recorded:
        return _session(recorded, wanted, script, quiet)


def _session(source: "Live | Recorded", wanted: "Filter", script: str | None, quiet: bool) -> int:
    from emu.prompt.commands import Debugger
    from emu.prompt.place import Place
    from emu.prompt.terminal import ScriptError, interactive
    from emu.prompt.terminal import script as scripted

    gc.set_threshold(gc.get_threshold()[0], 20, 1000)  # a million events are no garbage, and long to look through
    out = sys.stdout

    def write(data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        out.write("\n".join(map(plain, text.split("\n"))))

    place = Place(source, write)
    with _ending(), _lines(script) as lines:
        place.open()
        debugger = Debugger(place, wanted)
        if lines is None:
            interactive(debugger, out)
            return 0
        try:
            scripted(debugger, lines, script or "standard input", out, quiet)
        except ScriptError as e:
            raise Failure(str(e), BAD) from None
        return BAD if debugger.broken else 0


@contextmanager
def _lines(script: str | None) -> "Iterator[IO[str] | None]":
    """The lines of a script, of a file or of what is piped; None: they are to be typed."""
    if script is None:
        yield None if sys.stdin.isatty() else sys.stdin
        return
    try:
        f = open(script, encoding="utf-8", errors="replace")  # noqa: SIM115 closed below
    except (OSError, ValueError) as e:
        why = e.strerror if isinstance(e, OSError) else "not a name of a file"
        raise Failure(f"cannot read {plain(script)}: {why}", BROKEN) from None
    with f:
        yield f


@contextmanager
def _ending() -> Iterator[None]:
    """Who asks the process to end gets a terminal as it was, and a machine that is given back."""

    def ended(number: int, frame: FrameType | None) -> None:
        raise Failure(f"ended by {signal.Signals(number).name}", 128 + number)

    old: dict[int, Any] = {}
    for number in map(int, ENDING):
        if signal.getsignal(number) is signal.SIG_DFL:
            old[number] = signal.signal(number, ended)
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
