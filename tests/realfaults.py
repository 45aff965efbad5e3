"""Compare page faults with those recorded on the real 9front kernel.

``python -m tests.realfaults [--guests DIR] FILE...`` runs each guest of the recordings on the whole
machine. Per run it prints the first difference; the exit status is 1 if there is one, 2 if a file
cannot be used. The format is that of ``tests/vectors/real/FORMAT.md``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

from emu.machine.config import Bind, Config
from emu.machine.machine import Machine
from kernel.base.event import Event, FaultEvent, ProcEvent

REAL = Path(__file__).parent / "vectors" / "real"

User: TypeAlias = tuple[int, int, int]  # address, error code, eip
Kernel: TypeAlias = tuple[str, int]  # function, address
Faults: TypeAlias = tuple[dict[str, list[User]], dict[str, list[Kernel]]]


class Quiet:
    """A console that gives nothing and swallows everything."""

    def read(self, n: int) -> bytes:
        return b""

    def write(self, fd: int, data: bytes) -> None:
        pass

    def raw(self, on: bool) -> None:
        pass


class Recorder:
    """Collects the faults of a run by process name: "main", then "child1"... in order of creation."""

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.user: dict[str, list[User]] = {}
        self.kernel: dict[str, list[Kernel]] = {}

    def name(self, pid: int) -> str:
        if pid not in self.names:
            self.add(pid, "main" if not self.names else f"child{len(self.names)}")
        return self.names[pid]

    def add(self, pid: int, name: str) -> None:
        self.names[pid] = name
        self.user[name] = []
        self.kernel[name] = []

    def __call__(self, e: Event) -> None:
        if isinstance(e, FaultEvent):
            name = self.name(e.pid)
            if e.mode == "user":
                self.user[name].append((e.addr, e.err, e.pc))
            else:
                self.kernel[name].append((e.fn, e.addr))
        elif isinstance(e, ProcEvent) and e.op == "fork":
            self.name(e.pid)
            self.name(e.child)


def replay(doc: dict[str, Any], run: dict[str, Any], guests: Path) -> Faults:
    """The faults of one run on our machine."""
    recorder = Recorder()
    # the real ones were started by their names
    config = Config(cpus=doc["cpus"], argv0=run["guest"], binds=(Bind(str(guests), "/boot"),))
    with closing(Machine(config, recorder)) as machine:
        machine.kernel.copymode = doc["copymode"]
        machine.kernel.console = Quiet()
        machine.run(str(guests / run["guest"]), [run["arg"]] if run["arg"] else [])
    return recorder.user, recorder.kernel


def recorded(run: dict[str, Any]) -> Faults:
    """The faults of one run on the real kernel that are ours to reproduce.

    What "main" did before its exec was the launcher's; its children have been ours since they were forked.
    """

    def ours(p: str, f: dict[str, Any]) -> bool:
        return p != "main" or f["phase"] != "forked"

    user = {
        p: [(int(f["addr"], 16), f["err"], int(f["eip"], 16)) for f in faults if ours(p, f)]
        for p, faults in run["user"].items()
    }
    kernel = {p: [(f["fn"], int(f["addr"], 16)) for f in faults if ours(p, f)] for p, faults in run["kernel"].items()}
    return user, kernel


def _show(fault: tuple[Any, ...] | None) -> str:
    if fault is None:
        return "nothing"
    return " ".join(x if isinstance(x, str) else f"{x:#x}" for x in fault)


def differences(ours: Faults, real: Faults) -> Iterator[str]:
    """Every difference, in words."""
    sides: tuple[tuple[str, dict[str, Any], dict[str, Any]], ...] = (
        ("user", ours[0], real[0]),
        ("kernel", ours[1], real[1]),
    )
    for mode, have, want in sides:
        for p in sorted(have.keys() | want.keys()):
            h, w = have.get(p, []), want.get(p, [])
            for n in range(max(len(h), len(w))):
                a = h[n] if n < len(h) else None
                b = w[n] if n < len(w) else None
                if a != b:
                    yield f"{p}: {mode} fault {n}: real {_show(b)}, ours {_show(a)}"
                    break


def replayfile(path: Path, guests: Path, skip: frozenset[str] = frozenset()) -> tuple[int, list[str]]:
    """Replay a recording: the number of runs, and the first difference of each that has one."""
    doc = json.loads(path.read_text())
    bad = []
    n = 0
    for run in doc["runs"]:
        if run["guest"] in skip:
            continue
        n += 1
        label = f"{run['guest']} {run['arg']}".strip()
        data = (guests / run["guest"]).read_bytes()
        if hashlib.sha256(data).hexdigest() != run["sha256"]:
            bad.append(f"{label}: not the program that was recorded")
            continue
        first = next(differences(replay(doc, run, guests), recorded(run)), None)
        if first is not None:
            bad.append(f"{label}: {first}")
    return n, bad


def main(argv: list[str] | None = None) -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.realfaults", description=__doc__)
    parser.add_argument("--guests", type=Path, default=REAL / "guests", help="directory of the recorded programs")
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    opts = parser.parse_args(argv)
    status = 0
    for path in opts.files:
        try:
            n, bad = replayfile(path, opts.guests)
        except (OSError, ValueError, KeyError, TypeError) as e:
            print(f"{path}: cannot be used: {e!r}", file=sys.stderr)
            return 2
        for line in bad:
            print(f"{path}: {line}")
        print(f"{path}: {n} runs, {len(bad)} differ")
        if bad:
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
