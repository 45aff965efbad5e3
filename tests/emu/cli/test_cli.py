"""The command line: what can be typed, where output goes, and how every failure ends.

The machine is a fake, so these tests say what the front ends promise, not what the kernel does.
"""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner, Result

from emu.cli.commands import cli
from emu.cli.run import Trace, stats_text, use_color
from emu.failure import Failure
from emu.machine.signals import Ended, TimeLimit
from emu.observe.output import OutputError
from emu.program.symbols import Symbols
from kernel.base.event import Event, FaultEvent, Sink, SyscallEvent, TlbEvent
from tests.emu.program.test_aout import CODE, image

ROOT = Path(__file__).parents[3]


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
    mmu: str = "nested"
    inject: tuple[tuple[str, int, bool], ...] = ()
    notefp: bool = False
    clock: str = ""
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

    def __init__(self, config: Config, sink: Sink | None = None) -> None:
        self.config = config
        self.sink = sink
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

    def close(self) -> None:
        self.closed = True


def fake() -> types.ModuleType:
    """A module that stands for emu.machine.machine, and for emu.machine.config."""
    module = types.ModuleType("emu.machine.machine")
    for thing in (Bind, Config, LoadError, Machine, MachineError, Root, Outcome, Stats, Tree):
        setattr(module, thing.__name__, thing)
    return module


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> type[Machine]:
    """The fake, in place of the real one."""
    for name in ("emu.machine.machine", "emu.machine.config"):
        monkeypatch.setitem(sys.modules, name, fake())
    monkeypatch.setattr(Machine, "made", [])
    return Machine


@pytest.fixture
def prog(tmp_path: Path) -> str:
    """The path of a small executable."""
    path = tmp_path / "prog"
    path.write_bytes(image())
    return str(path)


def p9emu(*args: str, **env: str) -> Result:
    """Type a command. Whatever happens, it exits, and shows no traceback."""
    result = CliRunner().invoke(cli, args, env=env)
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


# run


def test_run_with_defaults(machine: type[Machine], prog: str) -> None:
    result = p9emu("run", prog)
    assert (result.exit_code, result.output) == (0, "")
    (m,) = machine.made
    assert m.config == Config(memory=64 << 20, cpus=1, seed=0, cwd="/", counter="auto", clock="virtual")
    assert (m.program, m.args, m.sink, m.closed) == (prog, (), None, True)


def test_run_with_every_option(machine: type[Machine], prog: str, tmp_path: Path) -> None:
    colon = tmp_path / "a:b"
    colon.mkdir()
    words = f"run -m 512K -m 8M --cpus 4 --bind {tmp_path}:/n/h --bind {colon}:/n/c:rw --env A=1 --env B=x=y "
    words += f"--bind {colon}:/n/w:cow --env C= --cwd /n/h --seed 7 --timeout 1.5 --check --counter python "
    words += f"--color never -v --clock real --root {tmp_path}:rw"
    result = p9emu(*words.replace("-m 512K ", "").split(), prog)
    assert (result.exit_code, result.output) == (0, "")
    assert machine.made[0].config == Config(
        memory=8 << 20,
        cpus=4,
        seed=7,
        binds=(Bind(str(tmp_path), "/n/h"), Bind(str(colon), "/n/c", True), Bind(str(colon), "/n/w", cow=True)),
        env=(("A", "1"), ("B", "x=y"), ("C", "")),
        cwd="/n/h",
        check=True,
        verbose=True,
        timeout=1.5,
        counter="python",
        clock="real",
        root=Root(str(tmp_path), True),
    )


@pytest.mark.parametrize("words", ["--help", "-v --check -m 1", "--", "a -- b", "-o x -e y -c", "--nosuch"])
@pytest.mark.parametrize("command", ["run", "trace"])
def test_what_follows_the_program_belongs_to_the_guest(
    machine: type[Machine], prog: str, command: str, words: str
) -> None:
    assert p9emu(command, prog, *words.split()).exit_code == 0
    assert machine.made[0].args == tuple(words.split())


def test_arguments_keep_what_a_shell_would_split_or_drop(machine: type[Machine], prog: str) -> None:
    p9emu("run", prog, "", "a b", "*", "$x")
    assert machine.made[0].args == ("", "a b", "*", "$x")


def test_the_program_may_follow_two_dashes(machine: type[Machine], prog: str) -> None:
    p9emu("run", "--check", "--", prog, "x")
    assert (machine.made[0].program, machine.made[0].args) == (prog, ("x",))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4M", 4 << 20),
        ("4194304", 4 << 20),
        ("5000K", 5000 << 10),
        ("1g", 1 << 30),
        ("3G", 3 << 30),
        ("064m", 64 << 20),
    ],
)
def test_sizes(machine: type[Machine], prog: str, text: str, size: int) -> None:
    p9emu("run", "-m", text, prog)
    assert machine.made[0].config.memory == size


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("", "Missing argument 'PROGRAM'"),
        ("--nosuch x", "No such option"),
        ("-m 1M x", "'1M' is not between 4M and 3G"),
        ("-m 4G x", "'4G' is not between 4M and 3G"),
        (f"-m {'9' * 5000} x", "is not between 4M and 3G"),
        ("-m 4194305 x", "not a multiple of the page size"),
        ("-m M x", "'M' is not a size"),
        ("-m -4M x", "'-4M' is not a size"),
        ("-m 64MB x", "'64MB' is not a size"),
        ("-m ٤M x", "is not a size"),
        ("--cpus 0 x", "0 is not in the range"),
        ("--cpus 9 x", "9 is not in the range"),
        ("--cpus two x", "'two' is not a valid integer"),
        ("--seed -1 x", "-1 is not in the range"),
        ("--timeout 0 x", "not a positive number of seconds"),
        ("--timeout nan x", "not a positive number of seconds"),
        ("--timeout inf x", "not a positive number of seconds"),
        ("--timeout soon x", "not a number of seconds"),
        ("--bind /tmp x", "is not HOST:GUEST"),
        ("--bind :/n x", "is not HOST:GUEST"),
        ("--bind /tmp: x", "is not HOST:GUEST"),
        ("--bind /:n x", "does not begin with '/'"),
        ("--bind /:/n:ro x", "is not a directory of the host"),
        ("--bind /nosuch:/n x", "'/nosuch' is not a directory of the host"),
        ("--bind /:/ x", "the guest's root cannot be replaced; --root does that"),
        ("--root /nosuch:rw x", "'/nosuch' is not a directory of the host"),
        ("--clock slow x", "'slow' is not one of"),
        ("--env A x", "'A' is not NAME=VALUE"),
        ("--env =1 x", "'=1' is not NAME=VALUE"),
        ("--env a/b=1 x", "'a/b' cannot be the name of a file in /env"),
        ("--cwd n x", "'n' does not begin with '/'"),
        ("--counter fast x", "'fast' is not one of"),
        ("--color blue x", "'blue' is not one of"),
    ],
)
@pytest.mark.parametrize("command", ["run", "trace"])
def test_wrong_usage(machine: type[Machine], command: str, words: str, why: str) -> None:
    line = oneline(p9emu(command, *words.split(" ") if words else []), 2)
    assert why in line
    assert line.endswith(f"(try 'p9emu {command} --help')")
    assert not machine.made


def test_wrong_usage_of_p9emu_itself() -> None:
    assert oneline(p9emu(), 2) == "Missing command (try 'p9emu --help')"
    assert "No such command 'nosuch'" in oneline(p9emu("nosuch"), 2)
    assert "No such option" in oneline(p9emu("--nosuch"), 2)


# How a run ends


@pytest.mark.parametrize("command", ["run", "trace"])
@pytest.mark.parametrize("status", [0, 1, 2, 3, 124, 255])
def test_the_status_is_the_guests(
    machine: type[Machine], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, prog: str, command: str, status: int
) -> None:
    ends(monkeypatch, Outcome(status=status, exits=f"prog 2: {status}" if status else ""))
    trace = ["-o", str(tmp_path / "t")] if command == "trace" else []
    result = p9emu(command, *trace, prog)
    assert (result.exit_code, result.output) == (status, "")


@pytest.mark.parametrize(
    ("exits", "told"),
    [
        ("prog 2: something broke", "prog 2: something broke"),
        ("something broke", "prog 2: something broke"),
        ("prog 2: 256", "prog 2: 256"),
        ("prog 2: -1", "prog 2: -1"),
        ("prog 2: a\nb\x1b", "prog 2: a\\nb\\x1b"),
    ],
)
def test_an_exit_string_is_told(
    machine: type[Machine], monkeypatch: pytest.MonkeyPatch, prog: str, exits: str, told: str
) -> None:
    ends(monkeypatch, Outcome(status=1, exits=exits))
    assert oneline(p9emu("run", prog), 1) == told


@pytest.mark.parametrize(
    ("how", "status", "line"),
    [
        (LoadError("x: is an ELF file, not a Plan 9 a.out", 126), 126, "x: is an ELF file, not a Plan 9 a.out"),
        (LoadError("x: no such file", 127), 127, "x: no such file"),
        (TimeLimit("time limit of 2 s"), 124, "time limit of 2 s"),
        (TimeLimit(), 124, "time limit of 2 s reached"),
        (MachineError("panic: putpage"), 125, "panic: putpage (-v shows a dump)"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (Ended(15), 143, "ended by SIGTERM"),
        (MemoryError(), 125, "the host has no memory left"),
        (OSError(28, "No space left on device", "/swap"), 125, "/swap: No space left on device"),
        (OSError(5, "Input/output error"), 125, "Input/output error"),
    ],
)
@pytest.mark.parametrize("command", ["run", "trace"])
def test_failures(
    machine: type[Machine],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    prog: str,
    command: str,
    how: BaseException,
    status: int,
    line: str,
) -> None:
    ends(monkeypatch, how)
    trace = ["-o", str(tmp_path / "t")] if command == "trace" else []
    assert oneline(p9emu(command, "--timeout", "2", *trace, prog), status) == line
    assert machine.made[0].closed
    if trace:
        assert len((tmp_path / "t").read_text().splitlines()) == 2, "the trace is complete up to the failure"


def test_a_bug_is_one_line_too(machine: type[Machine], monkeypatch: pytest.MonkeyPatch, prog: str) -> None:
    ends(monkeypatch, KeyError("a\nb"))
    line = oneline(p9emu("run", prog), 125)
    assert line.startswith("internal error: KeyError: 'a\\nb' at test_cli.py:")


def test_a_panics_dump_is_shown_when_asked_for(
    machine: type[Machine], monkeypatch: pytest.MonkeyPatch, prog: str
) -> None:
    ends(monkeypatch, MachineError("panic: putpage"))
    assert p9emu("run", "-v", prog).stderr == "p9emu: panic: putpage\nr0 1\nr1      2\n"


# --stats and colour


def test_stats(machine: type[Machine], prog: str) -> None:
    result = p9emu("run", "--stats", prog)
    assert result.stdout == ""
    rows = [line.split("  ") for line in result.stderr.splitlines()]
    assert [(row[0].strip(), row[-1].strip()) for row in rows] == [
        ("virtual time", "1.500000000 s"),
        ("faults", "3"),
        ("context switches", "10"),
        ("classes zero-fill", "2"),
        ("host time", "0.250 s"),
    ]


def test_stats_come_before_the_complaint(machine: type[Machine], monkeypatch: pytest.MonkeyPatch, prog: str) -> None:
    ends(monkeypatch, Outcome(status=1, exits="prog 2: broken"))
    assert p9emu("run", "--stats", prog).stderr.endswith("\np9emu: prog 2: broken\n")
    coloured = p9emu("run", "--stats", "--color", "always", prog).stderr
    assert coloured.endswith("\x1b[31mp9emu: prog 2: broken\x1b[0m\n")


def test_stats_of_nothing() -> None:
    assert stats_text(None, False) == ""


@pytest.mark.parametrize(
    ("choice", "env", "tty", "colour"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {}, True, False),
    ],
)
def test_colour(monkeypatch: pytest.MonkeyPatch, choice: str, env: dict[str, str], tty: bool, colour: bool) -> None:
    class Stream:
        def isatty(self) -> bool:
            return tty

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    stream: Any = Stream()
    assert use_color(choice, stream) is colour
    assert use_color(choice, None) is (choice == "always")


# trace


def test_trace_goes_to_standard_error(machine: type[Machine], prog: str) -> None:
    result = p9emu("trace", prog)
    assert (result.exit_code, result.stdout) == (0, "")
    fault, call = result.stderr.splitlines()
    assert "0x00003000 write user" in fault
    assert fault.endswith("pc 0x00001026 f+0x0: mov eax, 8"), "symbol and code come from the executable"
    assert call.endswith('exits("") = ?')


def test_trace_selects(machine: type[Machine], prog: str) -> None:
    assert len(p9emu("trace", "-e", "%all", prog).stderr.splitlines()) == 3
    assert len(p9emu("trace", "-e", "!fault,!syscall", prog).stderr.splitlines()) == 1
    assert len(p9emu("trace", "-e", "fault", "-e", "tlb", prog).stderr.splitlines()) == 2
    assert p9emu("trace", "-e", "page", prog).stderr == ""


def test_trace_as_json_into_a_file(machine: type[Machine], prog: str, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("old\n" * 1000)
    result = p9emu("trace", "--format", "json", "--color", "always", "-o", str(path), prog)
    assert (result.exit_code, result.output) == (0, "")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["event"] for row in rows] == ["fault", "syscall"]
    assert rows[0]["class"] == "zero-fill"


def test_trace_colours_when_asked(machine: type[Machine], prog: str, tmp_path: Path) -> None:
    path = tmp_path / "t"
    p9emu("trace", "-o", str(path), "--color", "always", prog)
    assert "\x1b[" in path.read_text()
    p9emu("trace", "-o", str(path), prog)
    assert "\x1b[" not in path.read_text()


def test_trace_of_several_processors(machine: type[Machine], prog: str) -> None:
    assert all(" cpu0 " in line for line in p9emu("trace", "--cpus", "2", prog).stderr.splitlines())


def test_summary(machine: type[Machine], prog: str, tmp_path: Path) -> None:
    result = p9emu("trace", "-c", prog)
    assert result.stdout == ""
    assert "zero-fill" in result.stderr
    assert "0x00003000" not in result.stderr
    result = p9emu("trace", "-c", "--format", "json", "-e", "%all", prog)
    assert result.stderr == (
        '{"v":1,"faults":{"zero-fill":1},"by_segment":{"bss":{"zero-fill":1}},"syscalls":{"exits":1},'
        '"events":{"fault":1,"syscall":1,"tlb":1}}\n'
    )
    assert p9emu("trace", "-c", "--format", "json", "-o", str(tmp_path / "t"), prog).output == ""
    assert json.loads((tmp_path / "t").read_text())["syscalls"] == {"exits": 1}


def test_the_summary_of_an_interrupted_run_is_still_written(
    machine: type[Machine], monkeypatch: pytest.MonkeyPatch, prog: str
) -> None:
    ends(monkeypatch, KeyboardInterrupt())
    result = p9emu("trace", "-c", "--format", "json", prog)
    assert result.exit_code == 130
    counts, line = result.stderr.splitlines()
    assert json.loads(counts)["faults"] == {"zero-fill": 1}
    assert line == "p9emu: interrupted"


@pytest.mark.parametrize("options", [[], ["-c"], ["-c", "--format", "json"]])
def test_a_program_that_cannot_be_loaded_leaves_one_line_and_no_summary(
    machine: type[Machine], monkeypatch: pytest.MonkeyPatch, prog: str, options: list[str]
) -> None:
    def fail(self: Machine, program: str, args: Sequence[str]) -> Outcome:
        raise LoadError("x: no such file", 127)

    monkeypatch.setattr(Machine, "run", fail)
    assert oneline(p9emu("trace", *options, prog), 127) == "x: no such file"


@pytest.mark.parametrize("expr", ["nosuch", "fault,", "!%all"])
def test_a_wrong_expression(machine: type[Machine], expr: str) -> None:
    line = oneline(p9emu("trace", "-e", expr, "x"), 2)
    assert line.startswith("Invalid value for '-e': ")
    assert not machine.made


def test_output_that_cannot_be_opened_stops_before_the_run(machine: type[Machine], prog: str, tmp_path: Path) -> None:
    line = oneline(p9emu("trace", "-o", str(tmp_path / "no" / "t"), prog), 125)
    assert line == f"cannot write {tmp_path}/no/t: No such file or directory"
    assert not machine.made


def test_output_is_never_the_program(machine: type[Machine], prog: str, tmp_path: Path) -> None:
    os.symlink(prog, tmp_path / "link")
    assert "is the program itself" in oneline(p9emu("trace", "-o", str(tmp_path / "link"), prog), 125)
    assert Path(prog).read_bytes() == image()


needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")


@needs_full
@pytest.mark.parametrize("options", [[], ["--format", "json"], ["-c"], ["-c", "--format", "json"]])
def test_a_full_disk_at_the_end_of_the_run(machine: type[Machine], prog: str, options: list[str]) -> None:
    line = oneline(p9emu("trace", *options, "-o", "/dev/full", prog), 125)
    assert line == "cannot write /dev/full: No space left on device"


@needs_full
def test_a_full_disk_stops_the_run(machine: type[Machine], monkeypatch: pytest.MonkeyPatch, prog: str) -> None:
    told = 0

    def busy(self: Machine) -> Outcome:
        nonlocal told
        while told < 1_000_000:
            told += 1
            self.tell(SyscallEvent(2, 2, 0, 17, "sleep", "0", 0x1030, 0, ""))
        return Outcome()

    monkeypatch.setattr(Machine, "behave", busy)
    line = oneline(p9emu("trace", "-o", "/dev/full", prog), 125)
    assert line == "cannot write /dev/full: No space left on device"
    assert told < 10_000
    assert machine.made[0].closed


@needs_full
def test_a_failure_of_the_run_comes_before_one_of_the_output(
    machine: type[Machine], monkeypatch: pytest.MonkeyPatch, prog: str
) -> None:
    ends(monkeypatch, TimeLimit("time limit"))
    assert oneline(p9emu("trace", "-o", "/dev/full", prog), 124) == "time limit"


def test_a_failed_trace_is_silent_even_if_the_machine_swallows_its_failure() -> None:
    class Broken:
        def __call__(self, ev: Event) -> None:
            raise OutputError("disk full")

        def finish(self) -> None:
            raise AssertionError

        def write(self, text: str) -> None:
            raise AssertionError

        def close(self) -> None:
            raise OutputError("closing failed too")

    ev = TlbEvent(3, 2, 0, "flush", 0, 0x7000)
    tracer = Trace(Broken(), Broken(), frozenset({"tlb"}))
    with pytest.raises(OutputError, match="disk full"):
        tracer(ev)
    tracer(ev)
    with pytest.raises(OutputError, match="disk full"):
        tracer.finish()


# Symbols


def test_symbols_without_a_machine_or_a_process() -> None:
    symbols = Symbols()
    assert symbols(2, 0x1026) is None
    symbols.machine = Machine(Config())
    assert symbols(0, 0x1026) is None


def test_symbols_of_a_program(prog: str, tmp_path: Path) -> None:
    symbols = Symbols()
    symbols.machine = m = Machine(Config())
    m.program = prog
    assert symbols(2, 0x1027) == ("f+0x1", CODE[7:])
    assert symbols(2, 0x9000) == ("", b"")
    m.program = str(tmp_path)
    assert symbols(2, 0x1027) is None, "no executable, no code"


def test_code_in_memory_is_preferred(prog: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "code", lambda self, pid, pc: b"\xf4")
    symbols = Symbols()
    symbols.machine = m = Machine(Config())
    m.program = prog
    assert symbols(2, 0x1026) == ("f+0x0", b"\xf4")
    m.program = ""
    assert symbols(2, 0x1026) == ("", b"\xf4")


# info, disasm, guests, bench


def test_info(prog: str) -> None:
    result = p9emu("info", prog)
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert rows[0][1:] == ["Plan", "9", "386", "executable"]
    assert ["entry", "0x00001020", "_main"] in rows
    assert ["symbols", "6,", "3", "text,", "1", "data"] in rows
    assert ["text", "0x00001000", "0x00002000", "1", "0", "46"] in rows
    assert ["bss", "0x00003000", "0x00004000", "1", "-", "-"] in rows


def test_info_as_json(prog: str) -> None:
    result = p9emu("info", "--format", "json", prog)
    obj = json.loads(result.stdout)
    assert (obj["v"], obj["path"], obj["machine"], obj["entry"]) == (1, prog, "386", 0x1020)
    assert obj["symbols"] == {"total": 6, "text": 3, "data": 1}
    assert obj["segments"][1] == {
        "name": "data", "base": 0x2000, "top": 0x3000, "pages": 1, "file_offset": 46, "file_bytes": 4,
    }  # fmt: skip


def test_info_tells_of_a_damaged_symbol_table(tmp_path: Path) -> None:
    (tmp_path / "prog").write_bytes(image(syms=b"", nsyms=100))
    assert "cut short or damaged" in p9emu("info", str(tmp_path / "prog")).stdout


@pytest.mark.parametrize("command", ["info", "disasm"])
def test_no_executable(tmp_path: Path, command: str) -> None:
    assert "no such file" in oneline(p9emu(command, str(tmp_path / "nosuch")), 127)
    assert "is a directory" in oneline(p9emu(command, str(tmp_path)), 126)


def test_disasm(prog: str) -> None:
    whole = p9emu("disasm", prog).stdout.splitlines()
    assert whole[0] == "_main:"
    assert whole[1].endswith("call    0x1026 <f>")
    one = p9emu("disasm", prog, "f").stdout.splitlines()
    assert one == whole[whole.index("f:") :]


def test_disasm_of_an_unknown_symbol(prog: str) -> None:
    assert oneline(p9emu("disasm", prog, "nosuch"), 1) == f"{prog}: no function called nosuch"


@dataclasses.dataclass(frozen=True)
class Guest:
    name: str
    synopsis: str
    description: str


@pytest.fixture
def guests(monkeypatch: pytest.MonkeyPatch, prog: str) -> None:
    """Two bundled programs in place of the real ones."""
    module: Any = types.ModuleType("guest")
    module.guests = lambda: [Guest("hello", "hello", "say so"), Guest("touch", "touch N", "write N\n\npages")]
    module.path = lambda name: Path(prog)
    monkeypatch.setitem(sys.modules, "guest", module)


def test_guests(guests: None) -> None:
    assert p9emu("guests").stdout == "hello  hello\ntouch  touch N\n"
    assert p9emu("guests", "-v").stdout == "hello: hello\n    say so\n\ntouch: touch N\n    write N\n\n    pages\n"
    obj = json.loads(p9emu("guests", "--format", "json").stdout)
    assert obj["guests"][0] == {"name": "hello", "synopsis": "hello", "description": "say so"}


def test_a_bundled_name_means_its_file(
    guests: None, prog: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert p9emu("info", "touch").stdout.startswith(f"{prog}: ")
    oneline(p9emu("info", "nosuch"), 127)
    oneline(p9emu("info", "./touch"), 127)
    Path("touch").write_bytes(b"#!/bin/rc\n")
    assert "script" in oneline(p9emu("info", "touch"), 126), "a file that is there comes first"


def test_plain_paging_is_for_one_processor() -> None:
    assert "one processor" in oneline(p9emu("run", "--mmu", "plain", "--cpus", "2", "true"), 2)


def test_bench_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    module: Any = types.ModuleType("emu.bench.suite")
    module.main = lambda *args: calls.append(args)
    monkeypatch.setitem(sys.modules, "emu.bench.suite", module)
    assert p9emu("bench", "--quick", "--format", "json").exit_code == 0
    assert p9emu("bench", "--curves", "--plot", "d", "--go").exit_code == 0
    assert p9emu("bench", "--full").exit_code == 0
    assert calls == [
        (True, "json", False, None, False, False),
        (False, "text", True, "d", True, False),
        (False, "text", False, None, False, True),
    ]
    assert "exclude each other" in oneline(p9emu("bench", "--full", "--quick"), 2)


def test_bench_without_an_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("emu.bench.plot.find_spec", lambda name: None)
    monkeypatch.setattr("emu.bench.gotests.shutil.which", lambda name: None)
    monkeypatch.setattr("emu.bench.gotests.os.access", lambda path, mode: False)
    assert "install p9emu[plots]" in oneline(p9emu("bench", "--plot", str(tmp_path / "d")), 1)
    assert "install p9emu[go]" in oneline(p9emu("bench", "--go"), 1)
    assert list(tmp_path.iterdir()) == [], "nothing was begun"


def test_bench_cannot_make_its_directory(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    oneline(p9emu("bench", "--plot", str(tmp_path / "f" / "d")), 125)


# --help and --version


@pytest.mark.parametrize("command", ["run", "trace", "info", "disasm", "guests", "bench"])
def test_help(command: str) -> None:
    for option in ("--help", "-h"):
        result = p9emu(command, option)
        assert (result.exit_code, result.stderr) == (0, "")
        assert f"p9emu {command}" in result.stdout
        assert "Example" in result.stdout
    if command not in ("guests", "bench"):
        assert "Exit status" in result.stdout


def test_help_of_p9emu() -> None:
    result = p9emu("--help")
    for word in ("run", "trace", "info", "disasm", "guests", "bench", "Examples:", "Exit status", "--version"):
        assert word in result.stdout


def test_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "1.2.3")
    assert p9emu("--version").stdout == "p9emu 1.2.3\n"


def test_version_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import PackageNotFoundError

    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", version)
    assert p9emu("--version").stdout == "p9emu (not installed)\n"


# As a process


def spawn(code: str, *args: str, **how: Any) -> subprocess.Popen[str]:
    """A new Python that runs code with args as its command line."""
    return subprocess.Popen([sys.executable, "-c", code, *args], cwd=ROOT, text=True, **how)


MAIN = "from emu.cli import main; main()"
FAKED = f"""import sys
from tests.emu.cli.test_cli import fake
sys.modules['emu.machine.machine'] = sys.modules['emu.machine.config'] = fake()
{MAIN}"""


@pytest.mark.parametrize("args", [["--help"], ["run", "--help"], ["trace", "--help"]])
def test_help_imports_nothing_heavy(args: list[str]) -> None:
    code = f"""
import sys
from emu.cli.commands import cli
try:
    cli.main({args!r})
except SystemExit:
    pass
heavy = {{"unicorn", "capstone", "rich", "greenlet", "kernel", "emu.machine.machine", "guest"}} & set(sys.modules)
print(*heavy, file=sys.stderr, end="")
"""
    with spawn(code, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as p:
        assert p.communicate()[1] == ""


def test_main_and_the_module() -> None:
    with spawn(MAIN, "info", "/", stderr=subprocess.PIPE) as p:
        assert p.communicate()[1] == "p9emu: /: is a directory\n"
    assert p.returncode == 126
    done = subprocess.run([sys.executable, "-m", "emu", "run"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_a_listing_whose_reader_leaves_ends_quietly(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(image(code=b"\xf4" * 300_000, syms=b""))
    with spawn(MAIN, "disasm", str(tmp_path / "big"), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
        assert p.stdout is not None
        assert p.stdout.readline().endswith("hlt\n")
        p.stdout.close()
        assert p.stderr is not None
        assert p.stderr.read() == ""
    assert p.returncode == 128 + signal.SIGPIPE


def test_a_closed_standard_output(prog: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with spawn(MAIN, "info", prog, stdout=writer, stderr=subprocess.PIPE) as p:
        os.close(writer)
        assert p.communicate()[1] == ""
    assert p.returncode == 128 + signal.SIGPIPE


@needs_full
def test_standard_output_on_a_full_disk(prog: str) -> None:
    with open("/dev/full", "w") as full, spawn(MAIN, "info", prog, stdout=full, stderr=subprocess.PIPE) as p:
        assert p.communicate()[1] == "p9emu: cannot write standard output: No space left on device\n"
    assert p.returncode == 125


@needs_full
def test_a_trace_on_a_standard_error_that_fails_has_its_status() -> None:
    with open("/dev/full", "w") as full, spawn(FAKED, "trace", "x", stderr=full) as p:
        pass
    assert p.returncode == 125


def test_a_symbol_that_the_terminal_cannot_show(tmp_path: Path) -> None:
    path = tmp_path / "prog"
    path.write_bytes(image(syms=b"\0\0\x10\x20\xd4main\xc2\xb7f\0"))
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    with spawn(MAIN, "disasm", str(path), stdout=subprocess.PIPE, env=env) as p:
        assert p.communicate()[0].startswith("main\\xb7f:\n")
    assert p.returncode == 0


def test_a_failure_without_words() -> None:
    assert str(Failure("", 141)) == ""
