"""p9emu diff: where traces come from, and how it ends."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.e2e.harness import ROOT, jsontrace
from tests.e2e.harness import p9emu as real
from tests.emu.cli.faked import p9emu


@pytest.fixture(scope="module")
def traces() -> tuple[str, str]:
    return jsontrace("cow", "2"), jsontrace("cow", "3")


@pytest.fixture
def files(traces: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with them, which is the current one."""
    monkeypatch.chdir(tmp_path)
    for name, text in zip(("a", "b"), traces, strict=True):
        (tmp_path / name).write_text(text)
    (tmp_path / "cut").write_text(traces[0][:5000])
    return tmp_path


def test_same_file_twice_is_the_same(files: Path) -> None:
    for words in (("a", "a"), ("-U", "0", "a", "a")):
        done = p9emu("diff", *words)
        assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")


def test_difference_is_shown_and_status_1(files: Path) -> None:
    done = p9emu("diff", "--ignore", "ns,frame", "a", "b")
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[:2] == ["--- a", "+++ b"]
    assert "fault cow-copy bss  |     2 |      3 |   +1" in lines
    assert done.stderr == ""


def test_json(files: Path) -> None:
    done = p9emu("diff", "--format", "json", "a", "b")
    assert done.exit_code == 1
    obj = json.loads(done.stdout)
    assert obj["difference"]["fields"]
    same = p9emu("diff", "--format", "json", "a", "a")
    assert same.exit_code == 0
    assert json.loads(same.stdout)["difference"] is None


@pytest.mark.parametrize(("first", "second"), [("a", "cut"), ("cut", "a")])
def test_one_that_breaks_off_is_trouble(files: Path, first: str, second: str) -> None:
    n = (files / "cut").read_text().count("\n")
    done = p9emu("diff", first, second)
    assert done.exit_code == 2
    assert done.stderr == f"p9emu: cut:{n + 1}: the trace breaks off here; the {n} events before are the same\n"


def test_difference_before_it_breaks_off_is_shown(files: Path, traces: tuple[str, str]) -> None:
    n = next(i for i, (x, y) in enumerate(zip(*(t.splitlines() for t in traces), strict=False)) if x != y)
    text = "".join(traces[1].splitlines(keepends=True)[: n + 2])
    (files / "cut").write_text(text[:-5])
    done = p9emu("diff", "a", "cut")
    assert done.exit_code == 2
    assert done.stdout.startswith("--- a\n+++ cut\n")
    assert done.stderr == f"p9emu: cut:{n + 2}: the trace breaks off here\n"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("a", "none"), "none: No such file or directory"),
        (("a", "."), ".: Is a directory"),
        (("a", "/dev/null"), "/dev/null: no event in it"),
        (("a", "a\0b"), "a\\x00b: not a name of a file"),
        (("a", sys.executable), f"{sys.executable}:1: not JSON"),
        (("-", "-"), "standard input can be read once only"),
        (("--ignore", "ns,moon", "a", "b"), "--ignore moon: no event has such a field; there are access, addr,"),
    ],
)
def test_trouble_is_one_line_and_status_2(files: Path, words: tuple[str, ...], why: str) -> None:
    done = p9emu("diff", *words)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"p9emu: {why}")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_too_few_files_is_usage() -> None:
    assert p9emu("diff", "a").exit_code == 2


def test_standard_input_is_a_trace(files: Path, traces: tuple[str, str]) -> None:
    assert real("diff", "a", "-", stdin=traces[0].encode(), cwd=files).returncode == 0
    assert real("diff", "-", "a", stdin=traces[1].encode(), cwd=files).returncode == 1


def test_named_pipes_are(files: Path, traces: tuple[str, str]) -> None:
    os.mkfifo(files / "pipe")
    writer = threading.Thread(target=lambda: (files / "pipe").write_text(traces[0]))
    writer.start()
    done = real("diff", "pipe", "a", cwd=files)
    writer.join()
    assert (done.returncode, done.stderr) == (0, b"")


def test_reader_that_goes_away(files: Path) -> None:
    p = subprocess.Popen(
        [sys.executable, "-m", "emu", "diff", "-U", "1000", "a", "b"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert p.stdout is not None and p.stderr is not None
    p.stdout.close()
    err = p.stderr.read()
    p.stderr.close()
    assert (p.wait(), err) == (141, b"")
