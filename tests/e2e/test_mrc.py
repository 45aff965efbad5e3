"""p9emu mrc, from the command line to the curve."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from emu.cli import lookcommands
from emu.observe.top import SORTS
from tests.e2e.harness import ROOT, p9emu

THRASH = ("--sizes", "4M,5M,8M", "thrash", "450", "2")


def curve(*args: str, stdin: bytes = b"") -> Any:
    done = p9emu("mrc", "--format", "json", *args, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stderr)


def test_computed_and_real_curves() -> None:
    obj = curve("--runs", "3", *THRASH)
    points = obj["points"]
    assert obj["program"] == ["thrash", "450", "2"]
    assert [p["memory"] >> 20 for p in points] == [4, 5, 8]
    assert obj["smallest"] == 4 << 20
    for p in points:
        best = p["optimum"]["misses"]
        assert obj["pages"] <= best <= min(p[name]["misses"] for name in ("lru", "clock", "run"))
    enough = points[-1]
    assert {enough[name]["misses"] for name in ("optimum", "lru", "clock", "run")} == {obj["pages"]}
    assert points[0]["run"]["swap_ins"] > 0
    assert points[0]["run"]["new"] + points[0]["run"]["loads"] == obj["pages"]


def test_equal_commands_give_equal_curves() -> None:
    assert curve("--runs", "1", *THRASH) == curve("--runs", "1", *THRASH)


def test_size_at_which_the_program_is_killed_is_no_point() -> None:
    done = p9emu("mrc", "--runs", "2", "--swap", "256K", *THRASH)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 0
    assert lines[2].split()[7] == "killed"
    assert "4M: thrash 2 killed: insufficient physical memory: no point of the curve" in lines
    assert "the least memory of a real run that worked: 8M" in lines


def test_output_of_the_first_run_alone_is_shown_and_all_read_the_same() -> None:
    done = p9emu("mrc", "--runs", "1", "wc", stdin=b"one two\nthree\n" * 1000)
    assert done.returncode == 0
    assert done.stdout.split() == [b"2000", b"3000", b"14000"]
    assert done.stderr.splitlines()[-1].startswith(b"o optimum, L LRU, c clock, R real run")
    assert b"failed" not in done.stderr


def test_program_that_fails_gives_its_status_and_a_curve() -> None:
    done = p9emu("mrc", "false", "42")
    assert done.returncode == 42
    assert done.stderr.startswith(b"false 42: ")


@pytest.mark.parametrize(
    ("name", "start"), [("c.png", b"\x89PNG"), ("c.svg", b"<?xml"), ("c.json", b'{"v":1'), ("c", b"hello: ")]
)
def test_output_is_by_the_name_of_the_file(tmp_path: Path, name: str, start: bytes) -> None:
    done = p9emu("mrc", "-o", name, "--runs", "0", "hello", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / name).read_bytes().startswith(start)


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        (("nosuch",), 127, "nosuch: no such file"),
        (("--sizes", "4M,x", "hello"), 2, "Invalid value for '--sizes': 'x' is not a size; write 64M, 512K or 1G"),
        (("--sizes", "1M", "hello"), 2, "Invalid value for '--sizes': '1M' is not between 4M and 3G"),
        (("--sizes", "", "hello"), 2, "Invalid value for '--sizes': '' is not a size"),
        (("--runs", "-1", "hello"), 2, "Invalid value for '--runs'"),
        (("--format", "png", "hello"), 2, "--format png needs -o FILE"),
        (("--clock", "real", "hello"), 2, "mrc compares runs: --clock real makes each another"),
        (("--bind", ".:/n/x:rw", "hello"), 2, "mrc runs the program several times: nothing can be :rw or kept"),
        (("-o", "/nonesuch/x", "hello"), 125, "cannot write /nonesuch/x: "),
        (("-m", "4M", "thrash", "450"), 125, "memory ran short while references were recorded (-m gives more)"),
    ],
)
def test_bad_input_is_one_line(words: tuple[str, ...], status: int, why: str) -> None:
    done = p9emu("mrc", *words)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == status
    assert lines[-1].startswith(f"p9emu: {why}")
    assert len(lines) == 1 or words[0] == "-m"


def test_a_binding_that_is_written_goes_with_one_run(tmp_path: Path) -> None:
    done = p9emu("mrc", "--runs", "0", "--bind", f"{tmp_path}:/n/x:rw", "hello")
    assert done.returncode == 0


def test_what_was_there_stays_if_the_program_cannot_be_run(tmp_path: Path) -> None:
    old = tmp_path / "c.json"
    old.write_text("old")
    assert p9emu("mrc", "-o", str(old), "nosuch").returncode == 127
    assert old.read_text() == "old"


def test_without_matplotlib_it_is_said_before_anything_runs(tmp_path: Path) -> None:
    code = (
        "import sys; from importlib import util; find = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'matplotlib' else find(name, *more)\n"
        "from emu.cli import main; sys.argv[1:] = ['mrc', '-o', 'c.png', 'hello']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr == b"p9emu: a picture needs matplotlib: install p9emu[plots]\n"
    assert list(tmp_path.iterdir()) == []


def test_columns_that_top_sorts_by() -> None:
    sort = next(p for p in lookcommands.top.params if p.name == "sort")
    assert isinstance(sort.type, click.Choice)
    assert tuple(sort.type.choices) == SORTS
