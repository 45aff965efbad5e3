"""Schedule files: what an exploring scheduler decided in one run, to do it again.

JSON lines. The first is about the run, each other one a decision. See docs/explore.md.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kernel.sched.explore import HOLD, INTERRUPT, PAUSE, PICK, SCHED, TURN, At, Decision

VERSION: Final = 1
PREFIX: Final = "replay:"  # of --sched
MAXSIZE: Final = 64 << 20  # bytes of a file


class ScheduleError(Exception):
    """A file that is no schedule, or cannot be read; str() is one line."""


@dataclass(frozen=True)
class Schedule:
    """What was decided in a run of a command. ``failure`` says what that came to, in words."""

    command: str
    seed: int
    decisions: tuple[Decision, ...]
    strategy: str = ""
    failure: str = ""
    version: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """The file."""
        head = {
            "schedule": VERSION,
            "version": self.version,
            "command": self.command,
            "seed": self.seed,
            "strategy": self.strategy,
            "failure": self.failure,
            **self.more,
        }
        return "".join(json.dumps(line) + "\n" for line in (head, *map(_line, self.decisions)))


def _line(d: Decision) -> dict[str, Any]:
    if d.do == TURN:
        return {"do": TURN, "n": d.at.n, "processor": d.to}
    if d.do == PICK:
        return {"do": PICK, "processor": d.at.pid, "n": d.at.n, "pid": d.to}
    return {"do": d.do, "pid": d.at.pid, "at": d.at.point, "n": d.at.n}


def words(d: Decision) -> str:
    """A decision for people."""
    if d.do == TURN:
        return f"turn {d.at.n} is processor {d.to}'s"
    if d.do == PICK:
        return f"processor {d.at.pid} takes process {d.to}, choice {d.at.n}"
    return f"{d.do} process {d.at.pid} at {d.at.point}, time {d.at.n}"


def load(path: str) -> Schedule:
    """Read a file. Raises ScheduleError."""
    return parse(path, read(path))


def read(path: str) -> bytes:
    """What is in a file. Raises ScheduleError."""
    try:
        with open(path, "rb") as f:
            return f.read(MAXSIZE + 1)
    except (OSError, ValueError) as e:
        raise ScheduleError(f"{path}: {getattr(e, 'strerror', None) or e}") from None


def parse(path: str, data: bytes) -> Schedule:
    """The same from what was in a file. Raises ScheduleError."""
    try:
        if len(data) > MAXSIZE:
            raise ValueError
        head, *lines = [json.loads(line) for line in data.decode().splitlines()]
        if _number(head["schedule"]) != VERSION:
            raise ScheduleError(f"{path}: is a schedule of version {head['schedule']}; this p9emu reads {VERSION}")
        return Schedule(
            _text(head["command"]),
            _number(head["seed"]),
            tuple(map(_decision, lines)),
            _text(head.get("strategy", "")),
            _text(head.get("failure", "")),
            _text(head.get("version", "")),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ScheduleError(f"{path}: is not a schedule that p9emu explore wrote") from None


def _number(n: Any) -> int:
    if type(n) is not int or n < 0:
        raise ValueError
    return n


def _text(word: Any) -> str:
    if not isinstance(word, str):
        raise ValueError
    return word


def _decision(line: Any) -> Decision:
    do = line["do"]
    if do == TURN:
        return Decision(At(0, TURN, _number(line["n"])), TURN, _number(line["processor"]))
    if do == PICK:
        return Decision(At(_number(line["processor"]), PICK, _number(line["n"])), PICK, _number(line["pid"]))
    if do not in (PAUSE, SCHED, HOLD, INTERRUPT) or not isinstance(line["at"], str):
        raise ValueError
    return Decision(At(_number(line["pid"]), line["at"], _number(line["n"])), do)


def diverged(left: Sequence[Decision], all: int) -> str:
    """What to tell of decisions that found no place."""
    return f"replay: {len(left)} of {all} decisions found no place in this run; the first: {words(left[0])}"
