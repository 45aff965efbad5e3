"""p9emu trace: where its output goes, and the symbols in it."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from emu.cli.run import Enough, Trace
from emu.machine.signals import TimeLimit
from emu.observe.filter import Filter
from emu.observe.legend import legend
from emu.observe.output import OutputError
from emu.program.symbols import Found, Symbols
from kernel.base.event import Event, SyscallEvent, TlbEvent
from tests.emu.cli.faked import Config, LoadError, Machine, Outcome, ends, needs_full, oneline, p9emu
from tests.emu.program.test_aout import CODE, image


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
    tracer = Trace(Broken(), Broken(), Filter(frozenset({"tlb"})))
    with pytest.raises(OutputError, match="disk full"):
        tracer(ev)
    tracer(ev)
    with pytest.raises(OutputError, match="disk full"):
        tracer.finish()


# What is asked for


def test_fields_are_selected(machine: type[Machine], prog: str) -> None:
    assert len(p9emu("trace", "-e", "fault:class=zero-fill,segment=bss", prog).stderr.splitlines()) == 1
    assert p9emu("trace", "-e", "fault:class=cow-copy", prog).stderr == ""
    assert "tlb" in p9emu("trace", "-e", "%all", "-e", "!fault:class=*", prog).stderr
    assert len(p9emu("trace", "-p", "2", prog).stderr.splitlines()) == 2
    assert p9emu("trace", "-p", "3", "-p", "4", prog).stderr == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-e", "fault:clas=x"], "Invalid value for '-e': fault has no field 'clas'; it has ns, pid, cpu, addr, pc,"),
        (["-p", ""], "Invalid value for '-p': a process is a pid or a name"),
        (["-P", "x"], "Invalid value for '-P': the guest's path 'x' does not begin with '/'"),
        (["-n", "0"], "Invalid value for '-n'"),
        (["-S", "time"], "-S sorts the tables of -c"),
        (["-c", "-S", "tim"], "Invalid value for '-S': no column 'tim'; there are name, count, errors, time,"),
        (["-c", "-S", "host"], "Invalid value for '-S': there is a column of the host's time with -TT"),
        (["-c", "-S", "time", "--format", "json"], "-S sorts the tables of -c"),
        (["-c", "-k"], "-c shows no single events: it goes without -k"),
        (["-c", "-r"], "-r is for lines of text"),
        (["--wide", "--format", "json"], "--wide is for lines of text"),
        (["-o", "| "], "Invalid value for '-o': no command behind the '|'"),
        (["--format", "folded", "-T"], "--format folded is a count of call stacks: it goes without"),
        (["--format", "folded", "-e", "proc"], "Invalid value for '--format': call stacks are counted of faults"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_runs(
    machine: type[Machine], prog: str, words: list[str], message: str
) -> None:
    assert message in oneline(p9emu("trace", *words, prog), 2)
    assert not machine.made


def test_so_many_events_are_enough(machine: type[Machine], prog: str, tmp_path: Path) -> None:
    for n in (1, 2):
        result = p9emu("trace", "-n", str(n), prog)
        assert (result.exit_code, len(result.stderr.splitlines())) == (0, n)
        assert machine.made[-1].closed
    assert len(p9emu("trace", "-n", "9", prog).stderr.splitlines()) == 2
    path = tmp_path / "t"
    assert p9emu("trace", "-n", "1", "-c", "--format", "json", "-o", str(path), prog).output == ""
    assert json.loads(path.read_text())["events"] == {"fault": 1}


def test_enough_is_enough_even_if_the_machine_goes_on(
    machine: type[Machine], monkeypatch: pytest.MonkeyPatch, prog: str
) -> None:
    def deaf(self: Machine, ev: Event) -> None:
        assert self.sink is not None
        try:
            self.sink(ev)
        except Enough:
            pass

    monkeypatch.setattr(Machine, "tell", deaf)
    assert len(p9emu("trace", "-n", "1", prog).stderr.splitlines()) == 1


def test_relative_times(machine: type[Machine], prog: str) -> None:
    lines = p9emu("trace", "-r", "-e", "%all", prog).stderr.splitlines()
    assert [line[:14] for line in lines] == ["   0.000000001"] * 3


def test_a_command_gets_the_trace(machine: type[Machine], prog: str, tmp_path: Path) -> None:
    result = p9emu("trace", "-o", f"|cat >{tmp_path}/t", prog)
    assert (result.exit_code, result.output) == (0, "")
    assert (tmp_path / "t").read_text() == p9emu("trace", prog).stderr


def test_a_command_that_fails(machine: type[Machine], prog: str) -> None:
    line = oneline(p9emu("trace", "-o", "|cat >/dev/null; exit 3", prog), 125)
    assert line == "the trace's command 'cat >/dev/null; exit 3' failed with status 3"


def test_a_command_that_has_seen_enough(machine: type[Machine], monkeypatch: pytest.MonkeyPatch, prog: str) -> None:
    def busy(self: Machine) -> Outcome:
        while True:
            self.tell(SyscallEvent(2, 2, 0, 17, "sleep", "0", 0x1030, 0, ""))

    monkeypatch.setattr(Machine, "behave", busy)
    line = oneline(p9emu("trace", "-o", "|head -1 >/dev/null", prog), 141)
    assert line == "the trace's command 'head -1 >/dev/null' ended before the program did"


def test_the_legend_needs_no_program(machine: type[Machine]) -> None:
    result = p9emu("trace", "--legend")
    assert (result.exit_code, result.stdout) == (0, legend())
    assert not machine.made


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
    assert symbols(2, 0x1027) == Found("f+0x1", CODE[7:])
    assert symbols(2, 0x9000) == Found("", b"")
    m.program = str(tmp_path)
    assert symbols(2, 0x1027) is None, "no executable, no code"


def test_code_in_memory_is_preferred(prog: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "code", lambda self, pid, pc: b"\xf4")
    symbols = Symbols()
    symbols.machine = m = Machine(Config())
    m.program = prog
    assert symbols(2, 0x1026) == Found("f+0x0", b"\xf4")
    m.program = ""
    assert symbols(2, 0x1026) == Found("", b"\xf4")
