"""What the options in a recording's header may be: what the command line could have made of its words."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any, Final

from emu.machine.limits import INJECTABLE, MAXCPUS, MAXMEM, MAXSWAP, MAXTIME, MINMEM, PAGEOUT, POINTS

Check = Callable[[Any], bool]
BLOCK: Final = 4096  # bytes that sizes are multiples of


def word(v: Any) -> bool:
    """A string that a command line can have. Raises ValueError."""
    return isinstance(v, str) and b"\0" not in os.fsencode(v)


def _flag(v: Any) -> bool:
    return type(v) is bool


def _number(low: int, high: float = math.inf, of: int = 1) -> Check:
    return lambda v: type(v) is int and low <= v <= high and v % of == 0


def _oneof(*words: str) -> Check:
    return lambda v: v in words


def _maybe(check: Check) -> Check:
    return lambda v: v is None or check(v)


def _shape(*checks: Check) -> Check:
    return lambda v: (
        isinstance(v, tuple) and len(v) == len(checks) and all(c(x) for c, x in zip(checks, v, strict=True))
    )


def _each(check: Check) -> Check:
    return lambda v: isinstance(v, tuple) and all(map(check, v))


def _seconds(v: Any) -> bool:
    return type(v) in (int, float) and math.isfinite(v) and v > 0


def _sched(v: Any) -> bool:
    return word(v) and (v in ("fifo", "random") or v.startswith("replay:"))


def _net(v: Any) -> bool:
    from emu.machine.netconfig import parse

    return word(v) and (v == "loopback" or parse(v) is not None)


def _original(v: Any) -> bool:
    from kernel.base.variant import originalnames

    return not v or _each(_oneof(*originalnames("all")))(v)


def _fix(v: Any) -> bool:
    from kernel.base.variant import fixnames

    return not v or _each(_oneof(*fixnames("all")))(v)


CHECKS: Final[dict[str, Check]] = {
    "memory": _number(MINMEM, MAXMEM, BLOCK),
    "cpus": _number(1, MAXCPUS),
    "binds": _each(_shape(word, word, _flag, _flag, _each(word))),
    "env": _each(_shape(word, word)),
    "cwd": _maybe(word),
    "seed": _number(0),
    "timeout": _maybe(_seconds),
    "check": _flag,
    "counter": _oneof("auto", "native", "inline", "call", "hook", "python"),
    "swap": _number(0, MAXSWAP, BLOCK),
    "swapfile": _maybe(word),
    "sched": _sched,
    "inject": _each(_shape(_oneof(*INJECTABLE), _number(1), _flag)),
    "original": _original,
    "fix": _fix,
    "notefp": _flag,
    "mmu": _oneof("nested", "plain"),
    "pagecache": _oneof("commit", "parent"),
    "pageout": _maybe(_oneof(*PAGEOUT)),
    "points": _each(_oneof(*POINTS)),
    "lockorder": _flag,
    "lockset": _flag,
    "net": _net,
    "clock": _maybe(_oneof("virtual", "real")),
    "epoch": _maybe(_number(0, MAXTIME)),
    "root": _maybe(_shape(word, _flag, _flag)),
    "changes": _maybe(word),
    "tree": _maybe(word),
    "user": _maybe(word),
    "login": _flag,
    "interrupts": _flag,
    "argv0": _maybe(word),
}


def sane(options: dict[str, Any]) -> bool:
    """Whether options, by their names, are what can be typed. Raises ValueError, KeyError for one that is unknown."""
    return all(CHECKS[name](v) for name, v in options.items())
