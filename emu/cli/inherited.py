"""What a process has from its parent, as the host tells it: a run that another process does must have the same."""

from __future__ import annotations

import os
from typing import Final

from emu.cli.served import contents

STATUS: Final = (
    b"Umask:", b"Uid:", b"Gid:", b"Groups:", b"SigBlk:", b"SigIgn:", b"Cap", b"NoNewPrivs:", b"Seccomp:",
    b"Cpus_allowed:", b"Mems_allowed:",
)  # fmt: skip
FILES: Final = ("limits", "cgroup", "oom_score_adj", "personality", "attr/current")
SPACES: Final = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
# Signals 32 and 33 are the C library's own: what it spawns has them ignored, and what is forked has not.
OWN: Final = 1 << 31 | 1 << 32
# What the interpreter, the loader and the C library look at as they start
VARIABLES: Final = (b"PYTHON", b"LC_", b"LANG", b"LD_", b"MALLOC_", b"GLIBC_", b"TZ=", b"HOME=")


def state(pid: int) -> list[bytes | int]:
    """All that of a process. Raises OSError."""
    proc = f"/proc/{pid}"
    found: list[bytes | int] = []
    found += map(_plain, (line for line in contents(f"{proc}/status").splitlines() if line.startswith(STATUS)))
    for name in FILES:
        try:
            found.append(contents(f"{proc}/{name}"))
        except OSError as e:  # a host that has no such thing
            found.append(e.errno or 0)
    for name in SPACES:
        try:
            found.append(os.readlink(f"{proc}/ns/{name}").encode())
        except OSError as e:
            found.append(e.errno or 0)
    root = os.stat(f"{proc}/root")
    return [*found, root.st_dev, root.st_ino, os.getpriority(os.PRIO_PROCESS, pid), os.sched_getscheduler(pid)]


def _plain(line: bytes) -> bytes:
    """A line of a process's status, without what differs and means nothing."""
    name, colon, value = line.partition(b":")
    return b"%s: %x" % (name, int(value, 16) & ~OWN) if colon and name.startswith(b"Sig") else line


def variables(env: list[bytes]) -> list[bytes]:
    """Those of the environment that cannot be set any more once a process has started."""
    return sorted(v for v in env if v.startswith(VARIABLES))


def parent(pid: int) -> int:
    """Its parent's pid. Raises OSError."""
    return int(contents(f"/proc/{pid}/stat").rpartition(b")")[2].split()[1])
