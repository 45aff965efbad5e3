"""p9emu explore: many orders of one program's events, and what goes wrong in some."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from emu.cli.ends import needstdout
from emu.cli.run import configure
from emu.cli.settings import Options
from emu.cli.wrap import wrapped
from emu.failure import BROKEN, INTERRUPTED, USAGE, Failure
from emu.lab.campaign import Campaign, CampaignError, Found, Listener, Tally, Wanted
from emu.lab.failure import LIVELOCK, OWN, PANIC
from emu.lab.story import Story, columns, record
from emu.lab.zygote import Result, Zygote
from emu.machine.config import LoadError, MachineError
from emu.machine.known import judgement
from emu.machine.repeat import commandline
from emu.machine.schedule import PREFIX, Schedule, words
from emu.observe.jsonl import VERSION, dumps
from emu.observe.output import OutputError
from emu.observe.report.file import WholeFile
from emu.plain import plain

if TYPE_CHECKING:
    from emu.machine.config import Config

FOUND: Final = 1
TIMEOUT: Final = 20.0  # s of one schedule
MANY: Final = 12  # decisions that are shown
FIXES: Final = 10.0  # s in which later fixes are tried
LONG: Final = 200  # letters of a failure
REFRESH: Final = 0.1  # s between two looks of the bar


@dataclass(frozen=True)
class How:
    """How results are shown, where schedules go, and how long they are made smaller for, in seconds."""

    output: str
    minimize: float
    json: bool
    dask: str | None = None  # address of a cluster


def explore(options: Options, program: str, args: Sequence[str], wanted: Wanted, how: How) -> int:
    """Try many schedules; the status to exit with. Raises Failure."""
    needstdout()
    config = configure(options, exploring=True)
    _allowed(options, config)
    try:
        WholeFile(how.output)  # what is in the way is told first
    except OutputError as e:
        raise Failure(str(e), BROKEN) from None
    show = _Json(config, program, args, how) if how.json else _Text(config, program, args, how)
    try:
        zygote = Zygote(config, program, args, options.timeout or TIMEOUT)
    except LoadError as e:
        raise Failure(str(e), e.status) from None
    except MachineError as e:
        raise Failure(str(e), BROKEN) from None
    try:
        with _progress(wanted) as listener:
            campaign = _campaign(zygote, wanted, _both(listener, show.result), how.dask)
            interrupted = False
            try:
                campaign.run()
            except KeyboardInterrupt:
                interrupted = True
        if wanted.seconds is not None:  # as long again
            show.until = time.monotonic() + wanted.seconds
        for n, found in enumerate(campaign.tally.found.values(), 1):
            if not interrupted:
                show.failure(campaign, found, _file(how.output, n))
        for line in campaign.tally.locks.report():
            show.locks(line)
        show.end(campaign)
    except (OutputError, CampaignError) as e:
        raise Failure(str(e), BROKEN) from None
    finally:
        zygote.close()
    if interrupted:
        raise Failure("interrupted", INTERRUPTED)
    if show.unwritten is not None:
        raise Failure(str(show.unwritten), BROKEN)
    if campaign.tally.own:
        return BROKEN
    return FOUND if campaign.tally.found else 0


def _allowed(options: Options, config: Config) -> None:
    """Refuse what many runs would do to the host, time and again."""
    writable = any(b.writable for b in config.binds) or (config.root is not None and config.root.writable)
    if writable:
        raise Failure("explore runs the program many times: show directories with :cow, not with :rw", USAGE)
    if config.root is not None and config.root.changes is not None:
        raise Failure("explore runs the program many times: it keeps no --changes", USAGE)
    if options.interrupts:
        raise Failure("explore has no terminal", USAGE)


def _campaign(zygote: Zygote, wanted: Wanted, listener: Listener, dask: str | None) -> Campaign:
    if dask is None:
        return Campaign(zygote, wanted, listener)
    from emu.lab.cluster import ClusterCampaign

    return ClusterCampaign(zygote, wanted, listener, dask)


def _both(*listeners: Listener) -> Listener:
    def listener(tally: Tally, result: Result) -> None:
        for each in listeners:
            each(tally, result)

    return listener


@contextmanager
def _progress(wanted: Wanted) -> Iterator[Listener]:
    """A bar on standard error, if that is a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda tally, result: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    total = wanted.seeds if wanted.seeds is not None else None
    # no thread of its own: the process is about to fork
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True) as progress:
        shown = 0.0
        bar = progress.add_task("boots", total=wanted.seconds or total)

        def listener(tally: Tally, result: Result) -> None:
            nonlocal shown
            if tally.seconds - shown < REFRESH:
                return
            shown = tally.seconds
            text = f"{tally.schedules} schedules, {tally.rate:.0f}/s, {len(tally.orders)} orders"
            text += f", {len(tally.found)} failure{'s' * (len(tally.found) != 1)}"
            done = tally.seconds if wanted.seconds else tally.schedules
            progress.update(bar, completed=done, description=text)
            progress.refresh()

        yield listener


def _file(output: str, n: int) -> str:
    """Where the n-th failure's schedule goes."""
    if n == 1:
        return output
    stem, ext = os.path.splitext(output)
    return f"{stem}-{n}{ext}"


def _version() -> str:
    try:
        return version("p9emu")
    except PackageNotFoundError:
        return "unknown"


def _put(lines: Sequence[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


@dataclass
class _Told:
    """A failure with all that is known of it."""

    found: Found
    before: int  # decisions before there were fewer
    repeats: bool
    story: Story | None
    file: str  # "" if it could not be written
    again: str
    known: str
    mended: list[str]  # commits of 9front's


class _Show:
    """What both ways of showing have in common."""

    def __init__(self, config: Config, program: str, args: Sequence[str], how: How) -> None:
        self.config = config
        self.program = program
        self.args = args
        self.how = how
        self.until: float | None = None  # of the host's clock: there is no time for more then
        self.unwritten: OutputError | None = None  # the first schedule's that is in no file
        self.after = 0.0  # s that fewer switches, stories and fixes took

    def look(self, campaign: Campaign, found: Found, path: str) -> _Told:
        """Make a failure's schedule small, write it, and find its story."""
        began = time.monotonic()
        before = len(found.result.decisions)
        repeats = True
        fewer = min(self.how.minimize, self._left() / 2)
        if fewer > 0:
            repeats = campaign.minimize(found, fewer)
        story = record(partial(campaign.again, found), found.result.decisions, found.failure.kind) if repeats else None
        command = commandline(self.config, self.program, self.args, check=False, leave=("sched", "seed"))
        schedule = Schedule(
            command, found.result.seed, tuple(found.result.decisions), found.strategy, str(found.failure), _version()
        )
        again = commandline(self.config, self.program, self.args, check=False, leave=("seed",), sched=f"{PREFIX}{path}")
        try:
            WholeFile(path).write([schedule.text().encode()])
        except OutputError as e:  # what was found is told all the same
            self.unwritten = self.unwritten or e
            path = again = ""
        known = judgement(found.failure.what) if found.failure.kind in (PANIC, LIVELOCK) else ""
        fixes = min(FIXES, self._left())
        mended = campaign.mended(found, fixes) if repeats and found.failure.kind not in OWN else []
        self.after += time.monotonic() - began
        return _Told(found, before, repeats, story, path, again, known, mended)

    def _left(self) -> float:
        """Seconds that there are for looking at what was found."""
        return math.inf if self.until is None else max(0.0, self.until - time.monotonic())


class _Text(_Show):
    """For people, on standard output."""

    def result(self, tally: Tally, result: Result) -> None:
        """Only the bar tells."""

    def failure(self, campaign: Campaign, found: Found, path: str) -> None:
        """A failure, and its story."""
        told = self.look(campaign, found, path)
        r = told.found.result
        times = f", {found.count} times" if found.count > 1 else ""
        said = plain(str(found.failure))
        lines = [said if len(said) <= LONG else f"{said[:LONG]}..."]
        lines.append(f"  first in schedule {r.number}, {found.strategy}, seed {r.seed}{times}")
        if told.known:
            lines.append(f"  {told.known}")
        if told.mended:
            lines.append(f"  does not happen so with --fix {' or '.join(told.mended)}")
        if not told.repeats:
            lines.append("  it does not repeat itself: something depends on the host")
        n = len(r.decisions)
        less = f", of {told.before}" if told.before != n else ""
        lines.append(f"  {n} switch{'es' * (n != 1)}{less}:" if n else "  in the plain scheduler's order")
        shown = MANY if told.file else n  # they are nowhere else then
        lines += [f"    {words(d)}" for d in r.decisions[:shown]]
        if n > shown:
            lines.append(f"    and {n - shown} more")
        if told.story is not None:
            lines += ["", *map(plain, columns(told.story))]
            if told.story.cut:
                lines.append(f"({told.story.cut} steps in between are left out)")
            lines.append("")
        elif found.failure.dump:
            lines += [f"  {plain(line)}" for line in found.failure.dump.splitlines()]
        again = [f"again: {told.again}"] if told.again else []  # a command, that is copied as it is
        _put([*wrapped(lines, sys.stdout), *again])

    def locks(self, line: str) -> None:
        """What --lock-order and --lockset say."""
        _put([*wrapped([plain(line)], sys.stdout)])

    def end(self, campaign: Campaign) -> None:
        """Figures."""
        t = campaign.tally
        n = len(t.found)
        lines = [campaign.summary] if campaign.summary else []
        after = f"; {self.after:.1f} s more for what was found" if n else ""
        lines.append(
            f"{t.schedules} schedules, {len(t.orders)} orders of events, {n} failure{'s' * (n != 1)}, "
            f"{t.seconds:.1f} s, {t.rate:.0f} schedules/s{after}"
        )
        _put([*wrapped(lines, sys.stdout)])


class _Json(_Show):
    """One object a line: each schedule, each failure, and the end."""

    def result(self, tally: Tally, result: Result) -> None:
        """A schedule."""
        self._line(
            "schedule", n=result.number, seed=result.seed, order=f"{result.order & (1 << 64) - 1:016x}",
            points=result.points, status=result.status, exits=result.exits, ns=result.virtual_ns,
            failure=None if result.failure is None else list(result.failure.key),
        )  # fmt: skip

    def failure(self, campaign: Campaign, found: Found, path: str) -> None:
        """A failure."""
        told = self.look(campaign, found, path)
        f = found.failure
        self._line(
            "failure", kind=f.kind, what=f.what, place=f.place, dump=f.dump.splitlines(), n=found.result.number,
            seed=found.result.seed, strategy=found.strategy, count=found.count, known=told.known, mended=told.mended,
            repeats=told.repeats, switches=[words(d) for d in found.result.decisions], of=told.before,
            story=told.story.json() if told.story is not None else None, file=told.file or None,
            again=told.again or None,
        )  # fmt: skip

    def locks(self, line: str) -> None:
        """What --lock-order and --lockset say."""
        self._line("locks", text=line)

    def end(self, campaign: Campaign) -> None:
        """Figures."""
        t = campaign.tally
        self._line(
            "end", schedules=t.schedules, orders=len(t.orders), failures=len(t.found), seconds=round(t.seconds, 3),
            after=round(self.after, 3), points=t.points, processes=t.processes, summary=campaign.summary,
        )  # fmt: skip

    def _line(self, event: str, **fields: Any) -> None:
        _put([dumps({"v": VERSION, "event": event, **fields})])
