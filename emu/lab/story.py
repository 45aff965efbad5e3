"""What happened in a schedule, told in columns: one for each process, time goes down.

Of all that happened there are: the system calls of the processes that met, the steps at what they share, where
somebody stood still, and what broke.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from emu.lab.failure import EXIT, LOOP, place, raised
from kernel.base.procdat import Dead
from kernel.sched.explore import HELPERS, HOLD, PAUSE, SCHED, At, Decision, Explore, Strategy
from kernel.trap import trapname
from kernel.waits import PLUMBING, functions, lockname, waitsfor

if TYPE_CHECKING:
    from types import FrameType

    from emu.machine.machine import Machine
    from kernel.base.procdat import Proc

WIDTH: Final = 80
MOSTROWS: Final = 32
COLUMNS: Final = 4
CALL, STEP, STAND, BREAK, STATE = "call", "step", "stand", "break", "state"


@dataclass
class Step:
    """Something that a process did. ``where`` are the kernel's functions, ``what`` the lock or counted thing."""

    kind: str
    pid: int
    cpu: int
    text: str = ""
    where: str = ""
    what: str = ""
    thing: int = 0  # equal for the same lock or counted structure, 0: none
    counted: str = ""  # what its count is before and after
    call: int = 0  # which of all system calls, faults...
    point: str = ""
    n: int = 0
    times: int = 1  # in a row


@dataclass
class Story:
    """The steps that matter, and the names of the processes in them."""

    steps: list[Step]
    names: dict[int, str]
    cut: int = 0  # steps left out in the middle
    more: dict[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """As an object."""
        return {"processes": {str(pid): name for pid, name in self.names.items()}, "left_out": self.cut,
                "steps": [asdict(s) for s in self.steps]}  # fmt: skip


class Recorder:
    """In the copy: notes every point that is come to."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._things: dict[int, object] = {}  # they are kept: their id stays theirs
        self._calls: dict[int, tuple[Any, ...]] = {}
        self._ncalls = 0
        self._call: dict[int, int] = {}
        self._stood = 0
        self._names: dict[int, str] = {}

    def begin(self, explore: Explore, machine: Machine) -> None:
        """Have the explorer tell of points, and the kernel of system calls."""
        machine.kernel.sink = lambda ev: None
        explore.watch = partial(self._watch, machine, explore)

    def _watch(self, machine: Machine, explore: Explore, at: At, frame: FrameType) -> None:
        k = machine.kernel
        up = k.up
        assert up is not None
        self._stands(explore)
        cpu = k.m.machno
        self._names[at.pid] = up.text
        text = self._entered(at.pid, up, frame)
        if text:
            self.steps.append(Step(CALL, at.pid, cpu, text, call=self._call[at.pid]))
        step = Step(STEP, at.pid, cpu, at.point.partition(":")[2], _chain(frame), call=self._call.get(at.pid, 0),
                    point=at.point, n=at.n)  # fmt: skip
        f = sys._getframe(2)
        thing = _thing(f)
        if thing is not None:
            self._things[id(thing)] = thing
            step.text = f.f_code.co_name
            step.thing = id(thing)
            step.what = lockname(k, up, thing).replace("_ of ", " of ")
            old = f.f_locals.get("old")
            if type(old) is int:
                step.counted = f"{old} -> {old + (1 if step.text == 'incref' else -1)}"
        self.steps.append(step)

    def _stands(self, explore: Explore) -> None:
        """Whoever was made to stand still did so after the step at that point."""
        for d in explore.decisions[self._stood :]:
            if d.do in (HOLD, PAUSE, SCHED):
                after = next((i for i, s in reversed(list(enumerate(self.steps)))
                              if (s.pid, s.point, s.n) == d.at), len(self.steps) - 1)  # fmt: skip
                if after >= 0:
                    here = self.steps[after]
                    self.steps.insert(after + 1, Step(STAND, d.at.pid, here.cpu, d.do, call=here.call))
        self._stood = len(explore.decisions)

    def _entered(self, pid: int, up: Proc, frame: FrameType) -> str:
        """The system call or trap that up is in, if it is another than the last time."""
        bottom = _find(frame, "traced")
        if bottom is None and _find(frame, "trap") is None:
            return ""  # a kernel process
        text = bottom.f_locals["text"] if bottom is not None else ""
        call = trapname(up.trapno, up.scallnr)
        name = f"{call}({text})" if bottom is not None else call
        key = (id(bottom), name, up.kentry)
        if self._calls.get(pid) == key:
            return ""
        self._calls[pid] = key
        self._ncalls += 1
        self._call[pid] = self._ncalls
        return name

    def end(self, _strategy: Strategy, explore: Explore, machine: Machine, error: BaseException | None) -> Any:
        """All of it, for the pipe."""
        self._stands(explore)
        k = machine.kernel
        up = k.up
        if error is not None:
            f = raised(error)
            if up is not None and f.kind in ("panic", "check", "livelock"):
                where = place(error.__cause__) if error.__cause__ is not None else ""
                self.steps.append(Step(BREAK, up.pid, k.m.machno, f"{f.kind}: {f.what}", where,
                                       call=self._call.get(up.pid, 0)))  # fmt: skip
        names = self._names
        culprits = _held(error.__cause__) if error is not None and error.__cause__ is not None else []
        for p in k.procs.proctab:
            if p.state != Dead and p is not up and p.pid in self._call:
                at = waitsfor(k, p)
                where = functions(p)
                text = f"waits for {at}" if at else f"is in {where}" if where else ""
                if text:
                    self.steps.append(Step(STATE, p.pid, -1, text, call=self._call[p.pid]))
        return [names, [asdict(s) for s in self.steps], culprits]


def _held(e: BaseException) -> list[int]:
    """What the function that panicked had in its hands."""
    tb = e.__traceback__
    ids: list[int] = []
    while tb is not None:
        f = tb.tb_frame
        module = f.f_globals.get("__name__", "")
        if module.startswith("kernel.") and module not in LOOP:
            ids = [id(v) for v in f.f_locals.values() if type(v).__module__.startswith("kernel.base.")]
        tb = tb.tb_next
    return ids


def _thing(f: FrameType | None) -> object | None:
    """The lock, or what is counted, of a point in one of the scheduler's own functions."""
    if f is None or f.f_globals["__name__"] not in HELPERS:
        return None
    return next((f.f_locals[name] for name in ("l", "q", "r") if name in f.f_locals), None)


def _find(f: FrameType | None, name: str) -> FrameType | None:
    while f is not None and f.f_code.co_name != name:
        f = f.f_back
    return f


def _chain(f: FrameType | None, most: int = 3) -> str:
    """The functions that lead to a frame, the outermost of the last few first."""
    names: list[str] = []
    while f is not None and f.f_code.co_name not in PLUMBING and len(names) < most:
        if not f.f_code.co_name.startswith("sys"):
            names.append(f.f_code.co_name)
        f = f.f_back
    return " > ".join(reversed(names))


def ending(names: dict[int, str], steps: Sequence[Step]) -> Story:
    """Of a program that ended wrong: its processes' calls, from where somebody first stood still to the bad end."""
    first = next((i for i, s in enumerate(steps) if s.kind == STAND), 0)
    bad = (i for i, s in enumerate(steps) if i > first and s.kind == CALL and s.text.startswith('exits("'))
    last = next((i for i in bad if not steps[i].text.startswith(('exits("")', "exits(nil"))), len(steps) - 1)
    since = next((i for i, s in enumerate(steps) if steps and s.call == steps[first].call), 0)
    chosen = [
        s for i, s in enumerate(steps[: last + 1])
        if s.kind == STAND or (i >= since and s.kind == CALL) or (i < last and steps[i + 1].kind == STAND)
    ]  # fmt: skip
    return _story(names, chosen)


def relevant(names: dict[int, str], steps: Sequence[Step], culprits: Sequence[int]) -> Story:
    """What matters of all steps: ``culprits`` are the structures that what broke had in its hands."""
    broken = next((s for s in steps if s.kind == BREAK), None)
    touched: dict[int, set[int]] = {}
    for s in steps:
        if s.thing:
            touched.setdefault(s.thing, set()).add(s.pid)
    shared = {thing for thing, pids in touched.items() if len(pids) > 1}
    core = shared.intersection(culprits)
    if not core:
        theirs = {s.thing for s in steps if broken is not None and s.call == broken.call}
        core = {s.thing for s in steps if s.thing in shared & theirs and not s.counted} or shared
    stands = {i for i, s in enumerate(steps) if s.kind == STAND}
    # calls that are told: in which somebody stood still, or what broke was touched after that
    first = min(stands, default=0)
    since = next((i for i, s in enumerate(steps) if s.call == steps[first].call), 0) if steps else 0
    calls = {s.call for i, s in enumerate(steps) if i in stands or (i >= since and s.thing in core)}
    if broken is not None:
        calls.add(broken.call)
    locks: dict[int, set[int]] = {}
    for s in steps:
        if s.thing and not s.counted and s.call in calls:
            locks.setdefault(s.thing, set()).add(s.pid)
    chosen: list[Step] = []
    for i, s in enumerate(steps):
        lock = len(locks.get(s.thing, ())) > 1 and not s.counted and not s.text.startswith("can")
        told = s.call in calls and (s.kind == CALL or s.thing in core or lock)
        if told or s.kind in (STAND, BREAK) or (i + 1) in stands:
            chosen.append(s)
    who = {s.pid for s in chosen}
    return _story(names, chosen + [s for s in steps if s.kind == STATE and s.pid in who])


def _story(names: dict[int, str], chosen: list[Step]) -> Story:
    """Of these steps, without the middle if they are many."""
    chosen = _merged(chosen)
    who = {s.pid for s in chosen}
    total = len(chosen)
    cut = total - MOSTROWS
    if cut > 0:
        near = [i for i, s in enumerate(chosen) if any(t.kind == STAND for t in chosen[max(0, i - 1) : i + 3])]
        head = [i for i in near if i < len(chosen) - MOSTROWS // 2][: MOSTROWS // 2]
        tail = range(len(chosen) - MOSTROWS + len(head), len(chosen))
        shown = {chosen[i].call for i in (*head, *tail)}
        begun = [i for i in range(tail[0]) if chosen[i].kind == CALL and chosen[i].call in shown]
        chosen = [chosen[i] for i in sorted({*head, *begun, *tail})]
        cut = total - len(chosen)
    return Story(chosen, {pid: names.get(pid, "") for pid in sorted(who)}, max(cut, 0))


def _merged(steps: list[Step]) -> list[Step]:
    """With the same step time and again as one."""
    out: list[Step] = []
    for s in steps:
        t = out[-1] if out else None
        if t is not None and s.kind in (STEP, CALL) and (t.kind, t.pid, t.where, t.text, t.what, t.counted) == (
            s.kind, s.pid, s.where, s.text, s.what, s.counted
        ):  # fmt: skip
            t.times += 1
        else:
            out.append(s)
    return out


def tell(s: Step) -> str:
    """A step in words."""
    times = f" ({s.times} times)" if s.times > 1 else ""
    if s.kind == CALL:
        return f"{s.text}{times}"
    if s.kind == STAND:
        return "-- stands still here --" if s.text == HOLD else "-- another goes on --"
    if s.kind == BREAK:
        return f"*** {s.where}: {s.text}" if s.where else f"*** {s.text}"
    if s.kind == STATE:
        return f"(at the end: {s.text})"
    if not s.what:
        return f"{s.where}: {s.text}{times}"
    where = s.where.removesuffix(f" > {s.text}")
    return f"{where}: {s.text} {s.what}" + (f", {s.counted}" if s.counted else "") + times


def columns(story: Story, width: int = WIDTH) -> list[str]:
    """The story as lines of text."""
    pids = list(story.names)[:COLUMNS]
    if not pids:
        return []
    wide = (width - 3 * (len(pids) - 1)) // len(pids)
    empty = [""] * len(pids)

    def row(at: int, text: str, indent: str) -> list[str]:
        lines = textwrap.wrap(text, wide, subsequent_indent=indent, break_on_hyphens=False) or [""]
        return [_join([*empty[:at], line, *empty[at + 1 :]], wide) for line in lines]

    heads = [f"{story.names[pid]} {pid}"[:wide] for pid in pids]
    out = [_join(heads, wide), _join(["-" * wide for _ in pids], wide)]
    for s in story.steps:
        if s.pid in pids:
            text = tell(s) if s.kind == CALL else "  " + tell(s)
            out += row(pids.index(s.pid), text, "    ")
    return out


def _join(cells: Sequence[str], wide: int) -> str:
    return " | ".join(f"{c:<{wide}}" for c in cells).rstrip()


def record(again: Callable[..., Any], decisions: Sequence[Decision], kind: str) -> Story | None:
    """The story of a schedule that fails so; ``again`` runs it. None if it cannot be told."""
    recorder = Recorder()
    result = again(decisions, before=recorder.begin, after=recorder.end)
    if result.kept is None:
        return None
    names, steps, culprits = result.kept
    named = {int(pid): name for pid, name in names.items()}
    told = [Step(**s) for s in steps]
    return ending(named, told) if kind == EXIT else relevant(named, told, culprits)

