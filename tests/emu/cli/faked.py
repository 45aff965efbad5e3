"""A machine that is none, and what types commands at it.

The tests that use it say what the front ends promise, not what the kernel does.
"""

import dataclasses
import gc
import os
import types
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import pytest
from click.testing import CliRunner, Result

from emu.cli.commands import cli
from kernel.base.event import Event, FaultEvent, Sink, SyscallEvent, TlbEvent

needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")


@dataclasses.dataclass(frozen=True)
class Bind:
    host: str
    guest: str
    writable: bool = False
    cow: bool = False
    through: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Root:
    host: str
    writable: bool = False
    cow: bool = False
    changes: str | None = None


@dataclasses.dataclass(frozen=True)
class Tree:
    user: str | None = None
    login: bool = False


@dataclasses.dataclass(frozen=True)
class Config:
    memory: int = 0
    cpus: int = 0
    seed: int = -1
    binds: tuple[Bind, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    cwd: str | None = ""
    check: bool = False
    verbose: bool = False
    timeout: float | None = None
    counter: str = ""
    swap: int = 0
    swapfile: str | None = None
    sched: str = "fifo"
    points: tuple[str, ...] = ()
    lockorder: bool = False
    lockset: bool = False
    mmu: str = "nested"
    pagecache: str = "commit"
    pageout: str | None = None
    inject: tuple[tuple[str, int, bool], ...] = ()
    original: tuple[str, ...] = ()
    fix: tuple[str, ...] = ()
    notefp: bool = False
    net: str = "loopback"
    clock: str = ""
    epoch: int | None = None
    root: Root | None = None
    tree: Tree | None = None
    interrupts: bool = False
    argv0: str | None = None


class LoadError(Exception):
    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class MachineError(Exception):
    dump = "r0 1\nr1\t2"


@dataclasses.dataclass
class Stats:
    virtual_ns: int = 1_500_000_000
    faults: int = 3
    context_switches: int = 10
    classes: dict[str, int] = dataclasses.field(default_factory=lambda: {"zero-fill": 2})
    host_seconds: float = 0.25


@dataclasses.dataclass
class Outcome:
    status: int = 0
    exits: str = ""
    pid: int = 2
    name: str = "prog"
    stats: Stats = dataclasses.field(default_factory=Stats)


class Machine:
    """Notes what it is asked, tells three events, and ends as ``behave`` says."""

    made: ClassVar[list["Machine"]] = []
    behave: Callable[["Machine"], Outcome] = lambda self: Outcome()
    program: str = ""
    args: Sequence[str] = ()

    def __init__(
        self, config: Config, sink: Sink | None = None, console: object = None, journal: object = None
    ) -> None:
        self.config = config
        self.sink = sink
        self.kernel = types.SimpleNamespace()  # which is told what is wanted
        self.closed = False
        Machine.made.append(self)

    def run(self, program: str, args: Sequence[str]) -> Outcome:
        self.program, self.args = program, tuple(args)
        self.tell(FaultEvent(1, 2, 0, 0x3000, 0x1026, "user", "", 6, "write", "bss", "zero-fill", "", 0x345000))
        self.tell(SyscallEvent(2, 2, 0, 8, "exits", '""', 0x1030, None, ""))
        self.tell(TlbEvent(3, 2, 0, "flush", 0, 0x7000))
        return type(self).behave(self)

    def tell(self, ev: Event) -> None:
        if self.sink is not None:
            self.sink(ev)

    def image(self, pid: int) -> str | None:
        return self.program

    def code(self, pid: int, pc: int) -> bytes:
        return b""

    def peek(self, pid: int, addr: int, n: int) -> bytes:
        return b""

    def registers(self, pid: int) -> tuple[int, int] | None:
        return None

    def close(self) -> None:
        self.closed = True


def fake() -> types.ModuleType:
    """A module that stands for emu.machine.machine, and for emu.machine.config."""
    module = types.ModuleType("emu.machine.machine")
    for thing in (Bind, Config, LoadError, Machine, MachineError, Root, Outcome, Stats, Tree):
        setattr(module, thing.__name__, thing)
    return module


def invoke(args: Sequence[str], env: Mapping[str, str | None] | None = None) -> Result:
    """Type a command in this process, and leave the collector as it was: a command's end takes the process's for it."""
    threshold = gc.get_threshold()
    try:
        return CliRunner().invoke(cli, args, env=env)
    finally:
        gc.unfreeze()
        gc.set_threshold(*threshold)


def p9emu(*args: str, **env: str) -> Result:
    """Type a command. Whatever happens, it exits, and shows no traceback."""
    result = invoke(args, env)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.stderr
    return result


def oneline(result: Result, status: int) -> str:
    """The one line on standard error that a failure leaves, without its beginning."""
    assert result.exit_code == status
    assert result.stderr.startswith("p9emu: ")
    assert result.stderr.endswith("\n")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("p9emu: ").rstrip()


def ends(monkeypatch: pytest.MonkeyPatch, how: Outcome | BaseException) -> None:
    """Make the fake's run end so."""

    def behave(self: Machine) -> Outcome:
        if isinstance(how, BaseException):
            raise how
        return how

    monkeypatch.setattr(Machine, "behave", behave)
