"""Run guests: on a machine in this process, with its events, or by the command as a user would."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import emu
from emu import Result
from emu.machine.config import Config
from emu.machine.console import MemoryConsole
from emu.machine.machine import Machine
from emu.observe.jsonl import JsonWriter
from kernel.base.event import Event, FaultEvent, SyscallEvent

ROOT = Path(__file__).parents[2]

Console = MemoryConsole


@dataclass
class Run:
    """What became of a run."""

    outcome: Result
    stdout: str
    stderr: str
    events: list[Event] = field(repr=False)

    def faults(self) -> list[FaultEvent]:
        return [e for e in self.events if isinstance(e, FaultEvent)]

    def classes(self) -> Counter[str]:
        return Counter(e.cls for e in self.faults())

    def syscalls(self) -> list[str]:
        return [e.name for e in self.events if isinstance(e, SyscallEvent)]


def run(program: str, *args: str, stdin: bytes = b"", trace: bool = False, **config: Any) -> Run:
    """Run on a machine in this process; ``config`` are fields of Config. Checks invariants unless told not to."""
    config.setdefault("check", True)
    r = emu.run(program, *args, stdin=stdin, events="%all" if trace else "", **config)
    return Run(r, r.text, r.errtext, list(r.events))


class Lines:
    """An output that keeps what is written."""

    def __init__(self) -> None:
        self.text: list[str] = []

    def write(self, text: str) -> None:
        self.text.append(text)

    def close(self) -> None:
        pass


def jsontrace(program: str, *args: str, **config: Any) -> str:
    """The JSON trace of a run, every event in it."""
    out = Lines()
    writer = JsonWriter(out)
    with closing(Machine(Config(**config), writer)) as machine:
        machine.kernel.console = Console()
        machine.run(program, list(args))
    writer.finish()
    return "".join(out.text)


def p9emu(*args: str, stdin: bytes = b"", cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    """The command itself."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-m", "emu", *args], input=stdin, capture_output=True, cwd=cwd, env=env, check=False
    )


def aout(code: bytes, data: int = 0, bss: int = 0, magic: int = 0x1EB, entry: int = 0x1020) -> bytes:
    """An a.out of raw machine code. The header says what it is told: no data follow the code."""
    return struct.pack(">8I", magic, len(code), data, bss, 0, entry, 0, 0) + code


def machinecode(tmp_path: Path, code: bytes, *args: str, bss: int = 0, **config: Any) -> Run:
    """Run raw machine code, the file being called "code"."""
    path = tmp_path / "code"
    path.write_bytes(aout(code, bss=bss))
    return run(str(path), *args, **config)


def words(values: Sequence[int]) -> bytes:
    """32-bit words as memory has them."""
    return struct.pack(f"<{len(values)}I", *(v & 0xFFFFFFFF for v in values))
