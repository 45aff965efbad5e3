"""p9emu run, and how every failure ends."""

import time
from pathlib import Path
from typing import Any

import pytest

from emu.cli.run import stats_text, use_color
from emu.machine.signals import Ended, TimeLimit
from tests.emu.cli.faked import Bind, Config, LoadError, Machine, MachineError, Outcome, Root, ends, oneline, p9emu


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
    words += f"--color never -v --clock real --root {tmp_path}:rw --pagecache parent --pageout lru"
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
        pagecache="parent",
        pageout="lru",
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("1402963200", 1402963200),
        ("2014-06-17", 1402963200),
        ("2014-06-17T02:00:05", 1402970405),
        ("2014-06-17 02:00:05+02:00", 1402963205),
        ("20140617T000000Z", 1402963200),
    ],
)
def test_when_time_begins(machine: type[Machine], prog: str, text: str, seconds: int) -> None:
    assert p9emu("run", "--epoch", text, prog).exit_code == 0
    assert machine.made[0].config.epoch == seconds


@pytest.mark.parametrize("text", ["99999999999", "9" * 5000])
def test_a_time_that_is_too_late(machine: type[Machine], prog: str, text: str) -> None:
    r = p9emu("run", "--epoch", text, prog)
    assert r.exit_code == 2
    assert "is not between 1970 and 2106, which a file's time can be" in r.stderr


def test_all_points_beside_one(machine: type[Machine], prog: str) -> None:
    assert p9emu("run", "--sched", "random", "--points", "memory,all", prog).exit_code == 0
    assert machine.made[0].config.points == ("fields", "memory", "interrupts")
    assert "'x' is none of" in p9emu("run", "--sched", "random", "--points", "all,x", prog).stderr


def test_time_begins_now(machine: type[Machine], prog: str) -> None:
    before = int(time.time())
    assert p9emu("run", "--epoch", "now", prog).exit_code == 0
    epoch = machine.made[0].config.epoch
    assert epoch is not None and before <= epoch <= time.time()


@pytest.mark.parametrize("root", ["", ":cow"])
def test_a_root_whose_changes_are_kept(machine: type[Machine], prog: str, tmp_path: Path, root: str) -> None:
    assert p9emu("run", "--root", f"{tmp_path}{root}", "--changes", "kept", prog).exit_code == 0
    assert machine.made[0].config.root == Root(str(tmp_path), cow=bool(root), changes="kept")


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
        ("--epoch soon x", "'soon' is not now, a date as 2014-06-17 or 2014-06-17T12:00:00, or seconds since 1970"),
        ("--epoch 4294967296 x", "is not between 1970 and 2106"),
        ("--epoch 1969-12-31 x", "is not between 1970 and 2106"),
        ("--epoch 2014-02-30 x", "is not now, a date"),
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
    assert line.startswith("internal error: KeyError: 'a\\nb' at faked.py:")


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
