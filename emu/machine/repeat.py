"""The command line that does a run again."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emu.machine.config import Bind, Config, Root


def _size(n: int) -> str:
    return f"{n >> 20}M" if n % (1 << 20) == 0 else f"{n >> 10}K"


def _mode(shown: "Bind | Root") -> str:
    return ":rw" if shown.writable else ":cow" if shown.cow else ""


def commandline(
    config: "Config",
    program: str,
    args: Sequence[str],
    *,
    check: bool = True,
    leave: Sequence[str] = (),
    sched: str = "",
) -> str:
    """``p9emu run --check`` with the options that make that configuration, but for limits and what only is told.

    Without ``check`` it has --check if the configuration has. ``leave`` are fields to leave out, ``sched`` is another
    scheduler than the configuration's.
    """
    from emu.machine.config import Config

    plain = Config()
    words = ["p9emu", "run", *(["--check"] if check or config.check else [])]
    words += ["--sched", sched] if sched else []
    for f in fields(config):
        v = getattr(config, f.name)
        if v == getattr(plain, f.name) or f.name in leave or (sched and f.name == "sched"):
            continue
        if f.name in ("memory", "swap"):
            words += [f"--{f.name}", _size(v)]
        elif f.name == "binds":
            for b in v:
                words += ["--bind", f"{b.host}:{b.guest}{_mode(b)}"]
        elif f.name == "root":
            words += ["--tree", v.host] if config.tree is not None else ["--root", f"{v.host}{_mode(v)}"]
            if v.changes is not None:
                words += ["--changes", v.changes]
        elif f.name == "tree" and v.user is not None:
            words += ["--user", v.user]
        elif f.name == "env":
            for name, value in v:
                words += ["--env", f"{name}={value}"]
        elif f.name == "inject":
            words += ["--fault-inject", ",".join(f"{kind}:{n}{'+' if every else ''}" for kind, n, every in v)]
        elif f.name in ("original", "fix"):
            words += [f"--{f.name}", ",".join(v)]
        elif f.name == "points":
            words += ["--points", ",".join(v)]
        elif f.name == "notefp":
            words.append("--note-fp")
        elif f.name == "cwd" and v is not None:
            words += ["--cwd", v]
        elif f.name == "swapfile":
            words += ["--swap-file", v]
        elif f.name in ("cpus", "seed", "sched", "mmu", "clock", "net", "counter", "pagecache", "pageout", "epoch"):
            words += [f"--{f.name}", str(v)]
    return os.fsencode(shlex.join([*words, program, *args])).decode(errors="backslashreplace")
