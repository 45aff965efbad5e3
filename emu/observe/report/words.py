"""The summary of a report: what happened, in words and tables that need no script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final

from emu.observe.report.tally import Tally
from emu.plain import plain
from kernel.base.mem import BY2PG

NEEDED: Final = {
    "boot": "how large memory is, and how much of it is free",
    "page": "what the frames of memory hold",
    "entry": "which segment has which page",
    "segment": "what address spaces are made of",
    "mmu": "page tables",
    "sched": "when processes run and wait",
    "fault": "page faults",
    "syscall": "system calls",
    "proc": "forks, execs and exits",
    "image": "the programs' files",
    "note": "notes",
}
"""Kinds of events, and what cannot be known without. All but the last three occur in every run."""
RARE: Final = frozenset({"image", "note", "syscall"})


@dataclass
class About:
    """What is known of a run besides its events. ``machine`` and ``versions`` are names with values."""

    command: str  # as it was typed
    machine: Sequence[tuple[str, str]] = ()
    versions: Sequence[tuple[str, str]] = ()
    status: int | None = None  # what it exited with; None: not known
    failure: str = ""  # why it did not come to its end
    source: str = ""  # the trace that it was read from
    troubles: list[str] = field(default_factory=list)


def title(about: About, t: Tally) -> str:
    """A line for the window: the program, and what it came to."""
    return plain(f"{_program(t) or about.command}: {count(t.counts.events['fault'], 'page fault')}")


def missing(t: Tally) -> list[str]:
    """Which kinds of events there are none of, though every run has them."""
    return [kind for kind in NEEDED if kind not in RARE and not t.counts.events[kind]]


def summary(about: About, t: Tally) -> str:
    """All of it as HTML."""
    parts = [f"<p class=lead>{' '.join(_story(about, t))}</p>"]
    warnings = list(about.troubles)
    if about.failure:
        warnings.insert(0, f"The run did not come to its end: {about.failure}. This is what there was until then.")
    lacking = missing(t)
    if lacking:
        told = "; ".join(f"{kind} ({NEEDED[kind]})" for kind in lacking)
        warnings.append(f"There are no events of these kinds, so what they tell is not known: {told}.")
    parts += [f"<p class=warn role=note>{_text(w)}</p>" for w in warnings]
    parts.append("<div class=tables>")
    parts += [_faults(t), _calls(t), _events(t), _facts(about)]
    parts.append("</div>")
    return "\n".join(p for p in parts if p)


def _story(about: About, t: Tally) -> Iterable[str]:
    boot = t.boot
    name = f"<b>{_text(_program(t) or 'The program')}</b>"
    if boot is not None:
        size = f"{boot.pages:,} pages of memory ({_size(boot.pages * BY2PG)})"
        cpus = count(boot.cpus, "processor")
        yield f"{name} ran on a machine with {size} for programs and {cpus}"
        yield _ended(about, t)
    else:
        yield f"{name} ran"
        yield _ended(about, t)
    if t.pids:
        processes = count(len(t.pids), "process", "processes")
        yield f"Programs ran in {processes}, and made {count(t.counts.calls.total(), 'system call')}."
    classes = sorted(t.counts.byclass().items(), key=lambda item: (-item[1], item[0]))
    if classes:
        told = ", ".join(f"{n:,} {_text(cls)}" for cls, n in classes)
        yield f"There were <b>{count(sum(n for _, n in classes), 'page fault')}</b>: {told}."
    if t.peak[0]:
        of = f" of {boot.pages:,}" if boot is not None else ""
        yield f"At most {t.peak[0]:,}{of} pages were in use, first at {_time(t.peak[1])}."
    ops = t.pageops
    if ops["page-out"] or ops["swap-in"]:
        most = count(t.swappeak[0], "slot")
        out, back = count(ops["page-out"], "page"), ops["swap-in"]
        yield f"{out} went to swap and {back:,} came back; at most {most} were in use."
    elif boot is not None:
        yield "Nothing went to swap."


def _ended(about: About, t: Tally) -> str:
    """The rest of the first sentence: how it ended, and when."""
    after = f"after {_time(t.end)} of virtual time"
    if about.failure:
        return f"and was ended {after}."
    if about.status is not None:
        string = t.exit.status if t.exit is not None else ""
        told = f" (“{_text(string)}”)" if string and about.status else ""
        return f"and ended with status {about.status}{told} {after}."
    if t.exit is not None:
        told = f"with “{_text(t.exit.status)}”" if t.exit.status else "without an error"
        return f"and ended {told} {after}."
    return f"for {_time(t.end)} of virtual time, as far as the trace goes; its end is not there."


def _faults(t: Tally) -> str:
    segments = t.counts.bysegment()
    classes = t.counts.byclass()
    if not classes:
        return ""
    head = ["faults", *(seg or "none" for seg in segments), "total"]
    rows: list[list[str | int]] = [
        [cls, *(segments[seg].get(cls, 0) for seg in segments), total] for cls, total in classes.items()
    ]
    rows.append(["total", *(sum(row.values()) for row in segments.values()), sum(classes.values())])
    return _table("Page faults by class and segment", head, rows)


def _calls(t: Tally) -> str:
    calls, errors = t.counts.calls, t.counts.errors
    if not calls:
        return ""
    order = sorted(calls.items(), key=lambda item: (-item[1], item[0]))
    rows: list[list[str | int]] = [[name, n, errors[name]] for name, n in order]
    rows.append(["total", calls.total(), errors.total()])
    return f"<div class=scroll>{_table('System calls', ['syscall', 'calls', 'errors'], rows)}</div>"


def _events(t: Tally) -> str:
    order = sorted(t.counts.events.items(), key=lambda item: (-item[1], item[0]))
    rows: list[list[str | int]] = [[kind, n] for kind, n in order]
    rows.append(["total", t.counts.events.total()])
    return _table("Events", ["event", "count"], rows)


def _facts(about: About) -> str:
    rows = [*about.machine, *about.versions]
    body = "".join(f"<tr><th scope=row>{_text(name)}<td>{_text(value)}" for name, value in rows)
    return f"<table class=facts><caption>Machine and versions</caption>{body}</table>" if rows else ""


def _table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str | int]]) -> str:
    heads = "".join(f"<th scope=col>{_text(h)}" for h in head)
    body = "".join(
        f"<tr{' class=total' if row[0] == 'total' else ''}><th scope=row>{_text(str(row[0]))}"
        + "".join(f"<td>{n:,}" if n else "<td>-" for n in row[1:])
        for row in rows
    )
    return f"<table><caption>{caption}</caption><thead><tr>{heads}<tbody>{body}</table>"


def _program(t: Tally) -> str:
    return t.program.name if t.program is not None else ""


def count(n: int, one: str, many: str = "") -> str:
    """``1 page``, ``2 pages``."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def _time(ns: int) -> str:
    for unit, name in ((10**9, "s"), (10**6, "ms"), (10**3, "µs")):
        if ns >= unit:
            return f"{ns / unit:.4g} {name}"
    return f"{ns} ns"


def _size(n: int) -> str:
    return f"{n / (1 << 20):.4g} MB" if n >= 1 << 20 else f"{n >> 10} KB"


def _text(text: str) -> str:
    return escape(plain(text))
