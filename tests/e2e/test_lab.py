"""p9emu explore, from the command to the story, and what its schedules repeat."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from emu.lab.zygote import Result, Task, Zygote
from emu.machine.config import Config
from emu.machine.schedule import Schedule
from kernel.sched.explore import Strategy
from kernel.sched.strategy import Pct, Random
from tests.e2e.harness import ROOT, jsontrace, p9emu


def test_38_is_found_made_small_and_told(tmp_path: Path) -> None:
    r = p9emu("explore", "--cpus", "2", "mhead", cwd=tmp_path)
    out = r.stdout.decode()
    assert r.returncode == 1, r.stderr
    assert r.stderr == b""
    lines = out.splitlines()
    assert lines[0].startswith("panic: cclose <Chan ")
    assert lines[0].endswith("(in cclose)")
    assert lines[2].startswith("  erratum 38: ")
    assert lines[3] == "  does not happen so with --fix 3af236b5e"
    assert 1 <= int(lines[4].split()[0]) <= 6
    assert " of " in lines[4]
    # whose processes, both calls, and the channel's count
    assert any(line.startswith("mhead 2 ") and line.endswith("| mhead 3") for line in lines)
    assert 'unmount(nil, "/n")' in out
    assert "decref from of" in out
    assert "*** cclose: panic: cclose <Chan" in out
    assert max(map(len, lines[1:])) <= 80 or all(len(line) <= 80 for line in lines if " | " in line)
    again = next(line for line in lines if line.startswith("again: ")).removeprefix("again: ")
    assert again == "p9emu run --sched replay:schedule.jsonl --cpus 2 mhead"

    for command in (again.split()[1:], ["trace", "-o", "t", *again.split()[2:]]):
        r = p9emu(*command, cwd=tmp_path)
        assert r.returncode == 125
        first, second = r.stderr.decode().splitlines()
        assert first.startswith("p9emu: panic: cclose <Chan ")
        assert second.startswith("p9emu: again: p9emu run --cpus 2 --sched replay:schedule.jsonl mhead  # p9emu ")
        assert "; erratum 38: " in second


def test_json_has_all_of_it(tmp_path: Path) -> None:
    options = ("--format", "json", "--seeds", "20", "--all", "--minimize-for", "0")
    r = p9emu("explore", *options, "mhead", "30", cwd=tmp_path)
    assert r.returncode == 1, r.stderr
    lines = [json.loads(line) for line in r.stdout.splitlines()]
    assert [o["event"] for o in lines] == ["schedule"] * 21 + ["failure", "end"]
    assert {o["v"] for o in lines} == {1}
    failures = [o for o in lines[:21] if o["failure"] is not None]
    assert lines[21]["count"] == len(failures) > 1
    assert lines[21]["n"] == failures[0]["n"]
    assert lines[22]["schedules"] == 21
    assert lines[22]["failures"] == 1
    assert lines[22]["after"] > 0
    assert lines[22]["orders"] == len({o["order"] for o in lines[:21]}) > 15
    assert lines[21]["story"]["steps"][-1]["kind"] in ("break", "state")
    assert (tmp_path / "schedule.jsonl").read_text().startswith('{"schedule": 1, ')


def test_what_is_right_is_right_in_every_order(tmp_path: Path) -> None:
    r = p9emu("explore", "--strategy", "delay", "--check", "--memory", "8M", "false", cwd=tmp_path)
    assert r.returncode == 0, r.stdout
    assert r.stdout.decode().splitlines()[-1].split(", ")[2] == "0 failures"
    assert list(tmp_path.iterdir()) == []


def test_38_is_not_found_where_it_is_mended(tmp_path: Path) -> None:
    r = p9emu("explore", "--cpus", "2", "--fix", "3af236b5e", "--seeds", "60", "mhead", cwd=tmp_path)
    assert r.returncode == 0, r.stdout


def test_expect_is_the_exit_status_that_is_wanted(tmp_path: Path) -> None:
    r = p9emu("explore", "--expect", "0", "false", "wrong", cwd=tmp_path)
    assert r.returncode == 1
    assert r.stdout.decode().splitlines()[0] == "exit: wrong"
    assert "  in the plain scheduler's order" in r.stdout.decode()
    assert b"does not" not in r.stdout  # it does so each time, whatever is mended


def test_an_end_that_is_expected_is_no_failure(tmp_path: Path) -> None:
    r = p9emu("explore", "--expect", "1", "--seeds", "2", "false", "wrong", cwd=tmp_path)
    assert r.returncode == 0, r.stdout


@pytest.mark.parametrize(
    ("args", "status", "text"),
    [
        (["nosuch"], 127, "nosuch: no such file"),
        (["--bind", "/tmp:/n/t:rw", "true"], 2, "show directories with :cow, not with :rw"),
        (["--sched", "random", "true"], 2, "No such option"),
        (["-o", "/nosuch/f", "true"], 125, "/nosuch/f"),
        (["--strategy", "luck", "true"], 2, "'luck' is not one of"),
    ],
)
def test_what_cannot_be_explored_is_one_line(args: list[str], status: int, text: str) -> None:
    r = p9emu("explore", *args)
    assert r.returncode == status
    assert r.stdout == b""
    assert r.stderr.startswith(b"p9emu: ")
    assert r.stderr.count(b"\n") == 1
    assert text in r.stderr.decode()


def test_a_closed_standard_output_is_told_before_anything_runs(tmp_path: Path) -> None:
    command = 'exec "$0" -m emu explore -o "$1" mhead >&-'
    r = subprocess.run(
        ["sh", "-c", command, sys.executable, str(tmp_path / "s")], stderr=subprocess.PIPE, check=False, cwd=ROOT
    )
    assert (r.returncode, r.stderr) == (125, b"p9emu: cannot write standard output: it is closed\n")
    assert list(tmp_path.iterdir()) == []


def test_what_is_found_is_told_where_its_file_cannot_be_written(tmp_path: Path) -> None:
    r = p9emu("explore", "--minimize-for", "0", "-o", "/dev/full", "--cpus", "2", "mhead", cwd=tmp_path)
    assert r.returncode == 125
    assert r.stderr == b"p9emu: cannot write /dev/full: No space left on device\n"
    out = r.stdout.decode()
    assert out.startswith("panic: cclose ")
    assert "*** cclose: panic" in out
    assert "again:" not in out
    n = next(int(m[1]) for m in [re.search(r"^  (\d+) switch", out, flags=re.MULTILINE)] if m)
    assert n == len(re.findall(r"^    \S.*(?: process | processor )", out, flags=re.MULTILINE)) > 12


def recorded(config: Config, argv: str, strategy: Callable[[], Strategy], seed: int) -> Result:
    program, *args = argv.split()
    zygote = Zygote(config, program, args)
    try:
        return zygote.one(Task(1, seed, strategy, decisions=True))
    finally:
        zygote.close()


REPLAYED: list[tuple[str, dict[str, Any]]] = [
    ("cow 3", {"cpus": 1}),
    ("pipe 2", {"cpus": 2}),
    ("sema 3", {"cpus": 4}),
    ("shm 3", {"cpus": 2}),
    ("forkbomb 3", {"cpus": 1}),
    ("text 3", {"cpus": 4}),
    ("pingpong 5", {"cpus": 2}),
    ("segs", {"cpus": 3}),
    ("mhead 5", {"cpus": 2, "fix": ("3af236b5e",)}),
    ("pipe 1", {"cpus": 2, "points": ("fields", "memory", "interrupts")}),
]


@pytest.mark.parametrize(("argv", "config"), REPLAYED)
def test_a_copy_is_what_run_does_and_a_replay_is_the_same(argv: str, config: dict[str, Any], tmp_path: Path) -> None:
    """Byte for byte: --sched random, and the schedule that a copy of the same seed has left. Fifty in all."""
    program, *args = argv.split()
    path = tmp_path / "schedule.jsonl"
    with closing(Zygote(Config(**config), program, args)) as zygote:
        for seed in range(1, 6):
            r = zygote.one(Task(seed, seed, partial(Random, seed), decisions=True))
            assert r.failure is None and r.decisions
            path.write_text(Schedule("", seed, tuple(r.decisions)).text())
            first = jsontrace(program, *args, sched="random", seed=seed, **config)
            assert jsontrace(program, *args, sched=f"replay:{path}", **config) == first


def test_a_replay_of_priorities_is_the_same_twice(tmp_path: Path) -> None:
    r = recorded(Config(cpus=2), "shm 3", partial(Pct, 4, 3, 300), 4)
    path = tmp_path / "schedule.jsonl"
    path.write_text(Schedule("", 4, tuple(r.decisions)).text())
    first = jsontrace("shm", "3", cpus=2, sched=f"replay:{path}")
    assert first == jsontrace("shm", "3", cpus=2, sched=f"replay:{path}")
    assert first != jsontrace("shm", "3", cpus=2, seed=4)


def test_what_finds_no_place_is_one_line(tmp_path: Path) -> None:
    r = recorded(Config(cpus=2), "pipe 2", partial(Random, 1), 1)
    path = tmp_path / "schedule.jsonl"
    path.write_text(Schedule("", 1, tuple(r.decisions)).text())
    told = p9emu("run", "--sched", f"replay:{path}", "true")
    assert told.returncode == 0
    line = told.stderr.decode()
    n = len(r.decisions)
    assert re.match(rf"p9emu: replay: \d+ of {n} decisions found no place in this run; the first: ", line)
    assert line.count("\n") == 1
    path.write_text("x")
    told = p9emu("run", "--sched", f"replay:{path}", "true")
    assert told.returncode == 2
    assert told.stderr.decode() == f"p9emu: --sched replay:{path}: is not a schedule that p9emu explore wrote\n"
