"""What go_plan9_386_exec shows, and what a test's flags write: emu/cli/gorun.py. The command itself is in tests/go."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from emu.cli.gorun import outputs, through
from emu.cli.settings import Shown
from tests.e2e.harness import ROOT


@pytest.mark.parametrize(
    ("args", "found"),
    [
        ("", []),
        ("-test.paniconexit0 -test.timeout=10m0s", []),
        ("-test.cpuprofile=cpu.out", [("/m/p/cpu.out", False)]),
        ("--test.cpuprofile cpu.out -test.v", [("/m/p/cpu.out", False)]),
        ("-test.outputdir=/out -test.trace=t -test.memprofile=/else/m", [("/else/m", False), ("/out/t", False)]),
        ("-test.outputdir=../x -test.mutexprofile=m", [("/m/x/m", False)]),
        ("-test.outputdir=/out -test.coverprofile=c", [("/m/p/c", False)]),
        ("-test.gocoverdir=/w/b001/gocoverdir", [("/w/b001/gocoverdir", True)]),
        ("-test.outputdir=/out -test.artifacts=true", [("/out/_artifacts", False)]),
        ("-test.artifacts -test.v", [("/m/p/_artifacts", False)]),
        ("-test.artifacts=false", []),
        ("-- -test.cpuprofile=x", []),
        ("test.cpuprofile=x -cpuprofile=x", []),
        ("-test.cpuprofile=", []),
        ("-test.cpuprofile", []),
    ],
)
def test_what_flags_name(args: str, found: list[tuple[str, bool]]) -> None:
    assert outputs(args.split(), "/m/p", None) == found


def test_where_coverage_of_a_program_goes() -> None:
    assert outputs([], "/m/p", "cover") == [("/m/p/cover", True)]


def test_how_it_gets_through(tmp_path: Path) -> None:
    module, other = tmp_path / "module", tmp_path / "other"
    (module / "p").mkdir(parents=True)
    other.mkdir()
    (module / "link").symlink_to("p")
    m, o = str(module), str(other)
    cow = [Shown(m, m, cow=True)]
    assert through(cow, [(f"{m}/p/x", False), (f"{m}/link/y", False)]) == [
        Shown(m, m, cow=True, through=("p/x", "p/y"))
    ]
    assert through(cow, [(f"{m}/p", True), (m, True)]) == [Shown(m, m, cow=True, through=("p", "."))]
    assert through(cow, [(f"{o}/x", False), (f"{o}/y", False)]) == [*cow, Shown(o, o, cow=True, through=("x", "y"))]
    assert through(cow, [(o, True), (f"{tmp_path}/x", False)]) == [
        Shown(str(tmp_path), str(tmp_path), cow=True, through=("x",)),
        *cow,
        Shown(o, o, writable=True),
    ]
    assert through(cow, [("/dev/null", False), ("/x", False), (f"{o}/none/x", False)]) == cow
    for shown in ([Shown(m, m)], [Shown(m, m, writable=True)]):
        assert through(shown, [(f"{m}/p/x", False)]) == shown


def execute(cwd: Path, opts: str, *words: str) -> tuple[int, bytes, bytes]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "P9EMU_OPTS": opts}
    code = "from emu.cli.go import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=cwd, env=env, capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_what_is_forgotten_is_told(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module m\n")
    (tmp_path / "golden").write_text("old\n")
    (tmp_path / "p").mkdir()
    told = b"p9emu: %s will be forgotten; --show module:rw,tmp in P9EMU_OPTS keeps such\n"
    for script, n in (
        ("cat golden", b""),
        ("echo new > golden", b"1 change in %b"),
        ("echo new > golden; echo x > p/new", b"2 changes in %b"),
        ("echo x > /tmp/x", b""),
    ):
        err = told % (n % os.fsencode(tmp_path)) if n else b""
        assert execute(tmp_path, "--show module,tmp", "tinyrc", "-c", script)[::2] == (0, err), script
    assert (tmp_path / "golden").read_text() == "old\n"
    assert execute(tmp_path, "--show module:rw,tmp", "tinyrc", "-c", "echo new > golden") == (0, b"", b"")
    assert (tmp_path / "golden").read_text() == "new\n"


def test_there_is_a_home(tmp_path: Path) -> None:
    script = "echo x > /usr/eve/x; cat /usr/eve/x /env/home"
    assert execute(tmp_path, "--show module,tmp", "tinyrc", "-c", script) == (0, b"x\n/usr/eve", b"")


def goexec(options: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program as go test would."""
    env = {**os.environ, "P9EMU_OPTS": options, "PYTHONPATH": str(ROOT)}
    code = "from emu.cli.go import main; main()"
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, cwd=ROOT / "guest", env=env, capture_output=True, text=True, check=False)


@pytest.mark.guest
def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path), "GOROOT": str(tmp_path)}
    words = [sys.executable, "-c", "from emu.cli.go import main; main()"]
    waits = [*words, str(ROOT / "guest/bin/tinyrc"), "-c", "echo waits; cat"]
    with subprocess.Popen(waits, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as p:
        assert p.stdout is not None and p.stdout.readline() == b"waits\n"
        (left,) = os.listdir(tmp_path)
        subprocess.run([*words, str(ROOT / "guest/bin/true")], cwd=ROOT, env=env, check=True)
        assert os.listdir(tmp_path) == [left]  # it is in use
        p.kill()
    assert os.listdir(tmp_path) == [left]
    subprocess.run([*words, str(ROOT / "guest/bin/true")], cwd=ROOT, env=env, check=True)
    assert os.listdir(tmp_path) == []


@pytest.mark.guest
def test_seeds_are_tried_until_one_fails() -> None:
    mhead = str(ROOT / "guest" / "bin" / "mhead")
    done = goexec("--show none --seeds=40 --cpus 2 --sched fifo --seed 1", mhead, "20")
    assert done.returncode == 125
    assert "panic: cclose" in done.stdout
    again = done.stderr.partition("again: P9EMU_OPTS=")[2].strip().strip("'")
    assert again.startswith("--show none --cpus 2 --sched random --seed ")
    assert goexec(again, mhead, "20").returncode == 125


@pytest.mark.guest
def test_seeds_that_all_pass_show_one_run() -> None:
    done = goexec("--show none --seeds 3", str(ROOT / "guest" / "bin" / "hello"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello, world\n", "")
    assert goexec("--seeds 0", "x").returncode == 2
