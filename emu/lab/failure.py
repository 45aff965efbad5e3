"""What counts as a failure, and when two are the same: by where it is and what it says, without addresses."""

from __future__ import annotations

import re
import traceback
from dataclasses import dataclass
from typing import Any, Final

from emu.machine.config import MachineError, Outcome
from emu.machine.signals import TimeLimit
from kernel.base.error import Panic, Wrong
from kernel.sched.explore import HELPERS

PANIC, CHECK, DEADLOCK, LIVELOCK, EXIT, TIMEOUT = "panic", "check", "deadlock", "livelock", "exit", "timeout"
CRASH, INTERNAL = "crash", "internal"  # p9emu's own
OWN: Final = frozenset((CRASH, INTERNAL))
# Panics that say that nobody gets on
STUCK: Final = ("lock loop", "no end after", "newpage: no progress")
WHO: Final = re.compile(r"^.*? \d+: ")  # NAME PID before an exit string
LOOP: Final = HELPERS | {"kernel.sched.watch", "kernel.sched.sched", "kernel.sched.dispatch"}


@dataclass(frozen=True)
class Failure:
    """``kind`` is one of the words above, ``what`` its text, ``place`` a function of the kernel, ``dump`` processes."""

    kind: str
    what: str
    place: str = ""
    dump: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """Equal for the same failure. Of several invariants that do not hold the first counts."""
        what = self.what.split("; ")[0] if self.kind == CHECK else self.what
        return self.kind, shape(what), self.place

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}" + (f" (in {self.place})" if self.place else "")

    @classmethod
    def of(cls, data: dict[str, Any]) -> Failure:
        """From its fields."""
        return cls(**data)


def shape(text: str) -> str:
    """text without what differs from run to run: addresses, numbers, a structure's contents."""
    text = re.sub(r"<(\w+)[^<>]*>", r"<\1>", text)
    return re.sub(r"\b(0x[0-9a-f]+|\d[\d.]*)\b", "#", text)


def raised(e: BaseException) -> Failure:
    """What an exception out of a machine's run means."""
    if isinstance(e, TimeLimit):
        return Failure(TIMEOUT, str(e))
    if not isinstance(e, MachineError):
        at = traceback.extract_tb(e.__traceback__)[-1]
        return Failure(INTERNAL, f"{type(e).__name__}: {e}", at.name)
    cause = e.__cause__
    if isinstance(cause, Wrong):
        return Failure(CHECK, str(cause).split("; seen at ")[0], place(cause), e.dump)
    if isinstance(cause, Panic | RecursionError):
        what = str(e).removeprefix("panic: ")
        kind = LIVELOCK if what.startswith(STUCK) else PANIC
        return Failure(kind, what, place(cause) if isinstance(cause, Panic) else "", e.dump)
    return Failure(DEADLOCK, str(e), "; ".join(waiting(e.dump)), e.dump)


def place(e: BaseException) -> str:
    """The innermost function of the kernel that e came from, but for those that only lock."""
    name = ""
    tb = e.__traceback__
    while tb is not None:
        module = tb.tb_frame.f_globals.get("__name__", "")
        if module.startswith("kernel.") and module not in LOOP:
            name = tb.tb_frame.f_code.co_name
        tb = tb.tb_next
    return name


def waiting(dump: str) -> list[str]:
    """What processes wait for by a dump, each once."""
    lines = (line.partition(" waits for ") for line in dump.splitlines())
    return sorted({f"{head.split()[0].split(':')[-1] or head.split()[1]} waits for {shape(what)}"
                   for head, _, what in lines if what and not what.startswith("a note")})  # fmt: skip


def ended(outcome: Outcome, status: int, exits: str | None) -> Failure | None:
    """A failure if the program ended otherwise than expected: with ``status``, and ``exits`` unless that is None."""
    string = exitstring(outcome)
    if outcome.status == status and exits in (None, string):
        return None
    return Failure(EXIT, string or f"status {outcome.status}")


def exitstring(outcome: Outcome) -> str:
    """The exit string without NAME PID."""
    return WHO.sub("", outcome.exits)
