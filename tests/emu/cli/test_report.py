"""p9emu report: the file in whatever way a run ends, and reports of traces."""

import json
from pathlib import Path

import pytest

from emu.cli.report import fromtrace as command
from emu.failure import Failure
from emu.machine.signals import TimeLimit
from guest import cc
from kernel.base.event import ProcEvent
from tests.e2e.harness import ROOT
from tests.e2e.harness import p9emu as real
from tests.emu.cli.faked import LoadError, Machine, MachineError, Outcome, oneline, p9emu
from tests.emu.observe.report.decode import decoded, payload

EXEC = ProcEvent(1, 2, 0, "exec", "prog", 0, "/bin/prog")


def started(error: BaseException | None = None, status: int = 0) -> object:
    """How a machine behaves whose program was executed, and then ended so."""

    def behave(self: Machine) -> Outcome:
        self.tell(EXEC)
        if error is not None:
            raise error
        return Outcome(status)

    return behave


def report(*args: str) -> tuple[int, str, str]:
    done = real("report", *args)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_the_flame_graph_has_call_stacks(tmp_path: Path) -> None:
    program = tmp_path / "deep"
    program.write_bytes(cc.compile(["deep.c"], cwd=ROOT / "guest/examples").image)
    assert real("report", str(program), cwd=tmp_path).returncode == 0
    _, events = decoded(tmp_path / "report.html")
    stacks = [e["stack"].split("\n") for e in events if e["event"] == "fault" and e["segment"] == "bss"]
    assert stacks == [
        ["deep", "_start", "main", "middle", "middle", "leaf"],
        ["deep", "_start", "main", "middle", "leaf"],
    ]


def test_a_run(tmp_path: Path) -> None:
    assert real("report", "-m", "8M", "cow", "2", cwd=tmp_path).returncode == 0
    page = (tmp_path / "report.html").read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    assert "p9emu report -m 8M cow 2" in page
    assert "<th scope=row>memory<td>8 MB" in page
    head, events = decoded(tmp_path / "report.html")
    assert head["command"] == "p9emu report -m 8M cow 2"
    fault = next(e for e in events if e["event"] == "fault" and e["pid"] == 3 and e["cls"] == "cow-copy")
    assert (fault["symbol"], fault["stack"].split("\n")[0]) == ("rfork+0x7", "cow")
    assert {e["stack"].split("\n")[0] for e in events if e["event"] == "fault"} == {"cow"}
    assert any(e.get("insn") == "ret" for e in events)
    assert str(ROOT) not in page
    assert str(ROOT).encode() not in payload(page), "nothing of the host's paths"


def test_the_status_is_the_programs(tmp_path: Path) -> None:
    path = tmp_path / "r"
    assert report("-o", str(path), "false", "42") == (42, "", "")
    assert "ended with status 42" in path.read_text()
    status, out, err = report("-o", str(path), "hello")
    assert (status, out, err) == (0, "hello, world\n", "")


def test_the_summary_is_that_of_trace(tmp_path: Path) -> None:
    counts = json.loads(real("trace", "-c", "-e", "%all", "--format", "json", "text", "20").stderr)
    report("-o", str(tmp_path / "r"), "text", "20")
    page = (tmp_path / "r").read_text()
    assert f"<b>{sum(counts['faults'].values()):,} page faults</b>" in page
    for kind, n in counts["events"].items():
        assert f"<th scope=row>{kind}<td>{n:,}" in page


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (TimeLimit(), 124, "time limit"),
        (MachineError("panic: putpage"), 125, "panic: putpage"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (RuntimeError("a bug"), 125, "p9emu failed"),
    ],
    ids=["timeout", "panic", "interrupt", "bug"],
)
def test_a_run_that_does_not_end(
    machine: type[Machine],
    monkeypatch: pytest.MonkeyPatch,
    prog: str,
    tmp_path: Path,
    error: BaseException,
    status: int,
    words: str,
) -> None:
    path = tmp_path / "r"
    path.write_text("old")
    monkeypatch.setattr(machine, "behave", started(error))
    oneline(p9emu("report", "--timeout", "9", "-o", str(path), prog), status)
    page = path.read_text()
    assert f"The run did not come to its end: {words}" in page
    assert len(decoded(path)[1]) == 4


def test_what_does_not_start_leaves_the_older_report(
    machine: type[Machine], monkeypatch: pytest.MonkeyPatch, prog: str, tmp_path: Path
) -> None:
    path = tmp_path / "r"
    path.write_text("old")

    def behave(self: Machine) -> Outcome:
        raise LoadError("no such file", 127)

    monkeypatch.setattr(machine, "behave", behave)
    oneline(p9emu("report", "-o", str(path), prog), 127)
    assert path.read_text() == "old"


def test_what_cannot_be_written(machine: type[Machine], prog: str, tmp_path: Path) -> None:
    for path in (str(tmp_path), f"{tmp_path}/none/r"):
        assert f"cannot write {path}" in oneline(p9emu("report", "-o", path, prog), 125)
    assert not machine.made, "nothing is run for nothing"
    assert "is the program itself" in oneline(p9emu("report", "-o", prog, prog), 125)
    assert "No space left" in oneline(p9emu("report", "-o", "/dev/full", prog), 125)


def test_a_full_disk_does_not_hide_how_the_run_ended(
    machine: type[Machine], monkeypatch: pytest.MonkeyPatch, prog: str
) -> None:
    monkeypatch.setattr(machine, "behave", started(MachineError("panic: x")))
    assert "panic: x" in oneline(p9emu("report", "-o", "/dev/full", prog), 125)


def test_usage(prog: str, tmp_path: Path) -> None:
    assert "Missing argument" in oneline(p9emu("report"), 2)
    assert "exclude each other" in oneline(p9emu("report", "--from", "x", prog), 2)
    assert "--cpus would have no effect" in oneline(p9emu("report", "--from", "x", "--cpus", "2"), 2)


# --from


def trace(tmp_path: Path, *options: str) -> Path:
    path = tmp_path / "t.jsonl"
    assert real("trace", *options, "--format", "json", "-o", str(path), "cow", "3").returncode == 0
    return path


def fromtrace(path: Path) -> str:
    out = path.with_name("r.html")
    assert report("--from", str(path), "-o", str(out)) == (0, "", "")
    return out.read_text()


def test_a_trace(tmp_path: Path) -> None:
    page = fromtrace(trace(tmp_path, "-e", "%all"))
    assert "and ended without an error after" in page
    assert "class=warn role=note" not in page


def test_a_trace_of_faults_alone(tmp_path: Path) -> None:
    page = fromtrace(trace(tmp_path, "-e", "fault"))
    assert "There are no events of these kinds" in page
    assert "sched (when processes run and wait)" in page


def test_a_trace_that_is_cut(tmp_path: Path) -> None:
    path = trace(tmp_path, "-e", "%all")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    page = fromtrace(path)
    assert "cut in the middle of a line" in page
    assert "its end is not there" in page


def test_a_trace_with_rubbish(tmp_path: Path) -> None:
    path = trace(tmp_path, "-e", "%all")
    path.write_bytes(b"\xff\xfe\0\n" + path.read_bytes().replace(b'"v":1', b'"v":7', 5))
    page = fromtrace(path)
    assert "1 line of the trace is no event" in page
    assert "schema version 7" in page


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"{}\n", b"hello\n"])
def test_what_is_no_trace(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t"
    path.write_bytes(content)
    assert "holds no event" in oneline(p9emu("report", "--from", str(path), "-o", str(tmp_path / "r")), 125)
    assert not (tmp_path / "r").exists()


def test_a_trace_that_is_not_there_or_is_the_output(tmp_path: Path) -> None:
    out = str(tmp_path / "r")
    assert "cannot read" in oneline(p9emu("report", "--from", str(tmp_path / "t"), "-o", out), 125)
    assert "cannot read" in oneline(p9emu("report", "--from", str(tmp_path), "-o", out), 125)
    path = trace(tmp_path)
    before = path.read_bytes()
    assert "is the trace itself" in oneline(p9emu("report", "--from", str(path), "-o", str(path)), 125)
    assert path.read_bytes() == before
    with pytest.raises(Failure, match="cannot write"):
        command(str(path), str(tmp_path / "none" / "r"))
