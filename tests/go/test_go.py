"""Go programs, built by the go command and run as it runs them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.harness import p9emu
from tests.e2e.realgdb import gdb, inorder
from tests.go import tool
from tests.go.std import CHECK, PAGING, swapins
from tests.kernel.devices.test_overlay_random import snapshot

SOURCE = tool.ROOT / "guest" / "go"
QUICK = (
    "errors", "sort", "slices", "maps", "strings", "bufio", "fmt", "path", "context", "sync", "io", "flag", "log",
    "text/tabwriter", "unicode/utf8", "container/list", "os/exec", "os/signal",
)  # fmt: skip


def test_packages_of_the_standard_library() -> None:
    results, bad = tool.judge(QUICK)
    assert not bad, "\n".join(bad)
    assert set(results) == set(QUICK)
    assert sum(r.count("pass") for r in results.values()) > 700


def test_package_with_less_memory_than_its_heap() -> None:
    results, bad = tool.judge(["strings"], opts=PAGING)
    assert not bad, "\n".join(bad)
    assert swapins(results["strings"]) > 100


def test_package_with_all_invariants_checked() -> None:
    _, bad = tool.judge(["errors"], opts=CHECK)
    assert not bad, "\n".join(bad)


def test_known_failures_are_few_and_explained() -> None:
    entries = tool.known()
    assert len(entries) <= 20
    assert not [k for k in entries if k.package.startswith("sync") or len(k.reason) < 20]
    assert len({(k.package, k.test) for k in entries}) == len(entries)
    assert not {k.package for k in entries} & set(tool.hopeless())


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the programs of guest/go, built."""
    d = tmp_path_factory.mktemp("go")
    done = tool.go("build", "-o", str(d), "./...", cwd=SOURCE)
    assert done.returncode == 0, done.stderr
    return d


def execute(program: Path, *args: str, opts: str = "", cwd: Path = SOURCE) -> subprocess.CompletedProcess[str]:
    """Run one as go run does."""
    return subprocess.run(
        [os.path.join(tool.scripts(), "go_plan9_386_exec"), str(program), *args],
        env=tool.environ(opts=opts),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def good(program: Path, *args: str, opts: str = "", cwd: Path = SOURCE) -> str:
    """What it prints; it has to end well and to complain of nothing."""
    done = execute(program, *args, opts=opts, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


CPUS = pytest.mark.parametrize("opts", ["", "--cpus 2", "--cpus 4"])
CHECKED = pytest.mark.parametrize("opts", ["--check", "--check --cpus 2", "--check --cpus 4"])


@CHECKED
def test_goroutines_and_collector(programs: Path, opts: str) -> None:
    assert good(programs / "heap", "4", "3", opts=opts) == "all blocks are whole, collected: true\n"


def test_heap_larger_than_memory(programs: Path) -> None:
    done = execute(programs / "heap", "4", "12", opts="-m 24M --swap 512M --stats")
    assert (done.returncode, done.stdout) == (0, "all blocks are whole, collected: true\n")
    stats = dict(line.rsplit(None, 1) for line in done.stderr.splitlines())
    assert int(stats["swap ins"]) > 100


@CHECKED
def test_faults_become_panics(programs: Path, opts: str) -> None:
    nil = "runtime error: invalid memory address or nil pointer dereference\n"
    assert good(programs / "recovered", opts=opts) == (
        f"read: {nil}write: {nil}far: {nil}kernel: {nil}divide: runtime error: integer divide by zero\n"
        f"call: {nil}" + f"goroutine: {nil}" * 3
    )


@pytest.mark.gdb
def test_a_panic_has_its_goroutine_s_backtrace_in_gdb(programs: Path) -> None:
    out = gdb(programs / "recovered", script=("break runtime.gopanic", "continue", "backtrace", "delete", "continue"))
    assert inorder(
        out,
        "Breakpoint 1, runtime.gopanic () at ",
        "in runtime.sigpanic () at ",
        "in main.deref () at guest/go/recovered/main.go:16",
        "in main.main.func1 () at guest/go/recovered/main.go:31",
        "in main.attempt () at guest/go/recovered/main.go:26",
        "in main.main () at guest/go/recovered/main.go:31",
        "read: runtime error: invalid memory address",
        "exited normally",
    )


PANIC = """\
package main

var words = []string{"one", "two"}

//go:noinline
func word(n int) string { return words[n] }

func main() {
	for i := range 3 {
		println(word(i))
	}
}
"""


@pytest.mark.gdb
def test_gdb_goes_back_from_a_panic(tmp_path: Path) -> None:
    """To the call that was made last, and the one before it; on again it is the same panic."""
    (tmp_path / "panic.go").write_text(PANIC)
    program = tmp_path / "panic"
    done = tool.go("build", "-o", str(program), "panic.go", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    on = "break main.word", "break runtime.gopanic", *["continue"] * 4, "backtrace"
    back = "reverse-continue", "backtrace", "reverse-continue", "reverse-stepi", "stepi"
    out = gdb(program, script=(*on, *back, "delete 1", "continue", "backtrace", "delete", "continue"))
    assert inorder(
        out,
        "Breakpoint 2, runtime.gopanic ()",
        "in main.word ()",
        "in main.main ()",
        "Breakpoint 1, main.word ()",
        "in main.main ()",
        "Breakpoint 1, main.word ()",
        "main.main ()",
        "Breakpoint 1, main.word ()",
        "Breakpoint 2, runtime.gopanic ()",
        "in main.word ()",
        "index out of range [2] with length 2",
        "exited with code 02]",
    )


@pytest.mark.parametrize("opts", ["", "--cpus 4 --clock real"])
def test_a_recording_is_done_again(programs: Path, tmp_path: Path, opts: str) -> None:
    shutil.copy(programs / "heap", tmp_path / "heap")
    first = p9emu("record", *opts.split(), "-o", str(tmp_path / "rec"), str(tmp_path / "heap"), "4", "3")
    assert (first.returncode, first.stdout, first.stderr) == (0, b"all blocks are whole, collected: true\n", b"")
    os.unlink(tmp_path / "heap")
    again = p9emu("replay", str(tmp_path / "rec"))
    assert (again.returncode, again.stdout, again.stderr) == (0, first.stdout, b"")


@CPUS
def test_pipeline_of_processes(programs: Path, opts: str) -> None:
    # Go on Plan 9 knows no other exit code than 0 and 1
    assert good(programs / "pipeline", "1000", opts=opts) == "100 lines, sum 49600\nstatus 1\nCOLOUR is green\n"


@CHECKED
def test_signals(programs: Path, opts: str) -> None:
    assert good(programs / "signals", opts=opts) == "got interrupt\ngot hangup\ngot alarm\n"


def test_signals_as_the_386_kernel_has_them(programs: Path) -> None:
    done = execute(programs / "signals", opts="--no-note-fp")
    assert (done.returncode, done.stdout) == (1, "")
    assert "p9emu: signals 2: sys: floating point in note handler pc=0x" in done.stderr


def test_walk_of_a_host_directory(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    files = {"a b/ä": b"x" * 70_000, "empty": b"", "z": b"last\n"}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    lines = [f"{hashlib.sha256(data).hexdigest()[:16]} {len(data)} {name}\n" for name, data in sorted(files.items())]
    assert good(programs / "walk", cwd=tmp_path) == "".join(lines) + "3 files, 70005 bytes\n"


@CPUS
def test_file_server_mounted_by_another_process(programs: Path, opts: str) -> None:
    assert good(programs / "ninep", opts=opts).splitlines() == [
        "big is the same: true",
        " drwxrwxrwx 0",
        "/big -rw-r--r-- 48000",
        "/d drwxr-xr-x 0",
        "/d/small -rw------- 6",
        "open /tmp/ninep/none: '/tmp/ninep/none' file does not exist",
        "0123456789abcdef",
        "stat /tmp/ninep/big: '/tmp/ninep/big' file does not exist",
        "the server has ended",
    ]


def test_go_run_and_go_test_of_a_module(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module example\n\ngo 1.27\n")
    (tmp_path / "main.go").write_text(
        'package main\n\nimport ("fmt"; "os"; "runtime")\n\nfunc main() {\n\tfmt.Println(runtime.GOOS, os.Args[1:])\n'
        "\tif len(os.Args) > 2 {\n\t\tos.Exit(3)\n\t}\n}\n"
    )
    sub = tmp_path / "sub"
    sub.mkdir()
    (sub / "data.txt").write_text("what the test reads")
    (sub / "sub_test.go").write_text(
        'package sub\n\nimport ("os"; "path/filepath"; "testing")\n\nfunc Test(t *testing.T) {\n'
        '\tb, err := os.ReadFile("data.txt")\n\tif err != nil || string(b) != "what the test reads" {\n'
        "\t\tt.Fatal(string(b), err)\n\t}\n"
        '\tif _, err := os.Stat(filepath.Join("..", "go.mod")); err != nil {\n\t\tt.Error(err)\n\t}\n'
        '\tif err := os.WriteFile("new", nil, 0o666); (err == nil) != (os.Getenv("WRITE") != "no") {\n'
        "\t\tt.Error(err)\n\t}\n"
        '\tif err := os.WriteFile(filepath.Join(t.TempDir(), "new"), nil, 0o666); err != nil {\n\t\tt.Error(err)\n\t}\n'
        '\tif os.Getenv("COLOUR") != os.Getenv("WANT") {\n\t\tt.Error(os.Environ())\n\t}\n}\n'
    )
    done = tool.go("run", ".", "a", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "plan9 [a]\n", "")
    done = tool.go("run", ".", "a", "b", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "plan9 [a b]\n", "exit status 3\n")
    green = {**tool.PLAN9, "COLOUR": "green"}
    done = tool.go("test", "./sub", cwd=tmp_path, target={**green, "WANT": "green"})
    assert (done.returncode, done.stdout.split()[:2]) == (0, ["ok", "example/sub"])
    done = tool.go("test", "./sub", cwd=tmp_path, target=green, opts="--show module,tmp")
    assert (done.returncode, done.stdout.split()[:2]) == (0, ["ok", "example/sub"])  # neither is set
    ro = {**green, "WANT": "green", "WRITE": "no"}
    done = tool.go("test", "./sub", cwd=tmp_path, target=ro, opts="--show module:ro,env,tmp")
    assert (done.returncode, done.stdout.split()[:2]) == (0, ["ok", "example/sub"])
    done = tool.go("test", "./sub", cwd=tmp_path, target=green, opts="--show none")
    assert done.returncode == 1  # no go.mod above, nothing that can be written
    assert sorted(os.listdir(sub)) == ["data.txt", "sub_test.go"]
    done = tool.go("test", "./sub", cwd=tmp_path, target=green, opts="--show module:rw,tmp")
    assert (done.returncode, done.stdout.split()[:2]) == (0, ["ok", "example/sub"])
    assert sorted(os.listdir(sub)) == ["data.txt", "new", "sub_test.go"]


# What Go tests do in their own directory: golden files that are written anew, scratch files and directories,
# files that are renamed and removed, a module copied and changed.
WRITES = r"""package sub

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func Test(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile("testdata/golden", []byte("new\n"), 0o666))
	b, err := os.ReadFile("testdata/golden")
	must(err)
	if !bytes.Equal(b, []byte("new\n")) {
		t.Fatalf("%q", b)
	}
	log, err := os.OpenFile("log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	must(err)
	for range 1000 {
		_, err := log.WriteString("a line of the log\n")
		must(err)
	}
	must(log.Close())
	must(os.Rename("log", "log.old"))
	dir, err := os.MkdirTemp(".", "scratch")
	must(err)
	must(os.CopyFS(filepath.Join(dir, "copy"), os.DirFS("testdata")))
	must(os.RemoveAll(dir))
	must(os.Rename("testdata", "renamed"))
	if _, err := os.Stat("testdata/golden"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	must(os.WriteFile("renamed/added", nil, 0o600))
	must(os.Chmod("renamed/golden", 0o400))
	must(os.Remove("sub.go"))
	must(os.RemoveAll("renamed"))
	must(os.WriteFile("../go.mod", []byte("module other\n"), 0o666))
	if Twice(2) != 4 {
		t.Fail()
	}
}
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A module whose test writes beside its sources."""
    top = tmp_path / "module"
    (top / "sub" / "testdata" / "deep").mkdir(parents=True)
    (top / "go.mod").write_text("module example\n\ngo 1.27\n")
    (top / "main.go").write_text("package main\n\nfunc main() {}\n")
    (top / "sub" / "sub.go").write_text(
        "package sub\n\nfunc Twice(n int) int {\n\tif n < 0 {\n\t\treturn -2 * -n\n\t}\n\treturn 2 * n\n}\n"
    )
    (top / "sub" / "sub_test.go").write_text(WRITES)
    (top / "sub" / "testdata" / "golden").write_text("old\n")
    (top / "sub" / "testdata" / "deep" / "file").write_text("file\n")
    return top


def test_a_package_that_writes_beside_its_sources(module: Path) -> None:
    before = snapshot(module)
    done = tool.go("test", "./...", cwd=module)
    assert (done.returncode, done.stderr) == (0, "")
    assert snapshot(module) == before


@pytest.mark.parametrize(
    ("flags", "made"),
    [
        ("-cover", []),
        ("-coverprofile=c.out -coverpkg=./...", ["c.out"]),
        ("-coverprofile=sub/testdata/c.out", ["sub/testdata/c.out"]),
        ("-coverprofile=/dev/null", []),
        (
            "-o=../sub.test -memprofile=mem.out -blockprofile=block.out -trace=trace.out",
            ["block.out", "mem.out", "trace.out"],
        ),
        ("-o=../sub.test -outputdir=sub -cpuprofile=cpu.out", ["sub/cpu.out"]),
        (
            "-o=../sub.test -outputdir=../out -mutexprofile=mutex.out -coverprofile=c.out",
            ["../out/c.out", "../out/mutex.out"],
        ),
    ],
)
def test_files_that_flags_name_are_written_on_the_host(module: Path, flags: str, made: list[str]) -> None:
    (module.parent / "out").mkdir()
    before = snapshot(module)
    done = tool.go("test", *flags.split(), "./sub", cwd=module)
    assert (done.returncode, done.stderr) == (0, "")
    if "-cover" in flags:
        assert "coverage: 66.7% of statements" in done.stdout
    for name in made:
        assert (module / name).stat().st_size > 0
        if name.endswith("c.out"):
            assert "example/sub/sub.go:7.2,7.14 1 1\n" in (module / name).read_text()
        (module / name).unlink()
    assert names(snapshot(module)) == names(before)
    assert os.listdir(module.parent / "out") == []


MANY = """package {name}

import (
	"fmt"
	"os"
	"testing"
)

func Test(t *testing.T) {{
	wd, _ := os.Getwd()
	fmt.Println(wd, os.Getenv("MINE"), os.Getpid())
	fmt.Fprintln(os.Stderr, "on standard error")
	if err := os.WriteFile("left", nil, 0o666); err != nil {{
		t.Fatal(err)
	}}
	{what}
}}
"""
ENDS = {"a": "", "b": 't.Error("wrong")', "c": "os.Exit(3)", "d": "panic(1)", "e": "Twice(1)"}


def test_several_packages_are_as_without_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, what in ENDS.items():
        (tmp_path / "m" / name).mkdir(parents=True)
        (tmp_path / "m" / name / "it_test.go").write_text(MANY.format(name=name, what=what))
        (tmp_path / "m" / name / "it.go").write_text(
            f"package {name}\n\nfunc Twice(n int) int {{\n\treturn 2 * n\n}}\n"
        )
    (tmp_path / "m" / "go.mod").write_text("module example\n\ngo 1.27\n")
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("MINE", "so")
    told = []
    for server in ("off", "on"):
        monkeypatch.setenv("P9EMU_GO_SERVER", server)
        done = tool.go("test", "-p", "1", "-count=1", f"-coverprofile={tmp_path}/{server}", "./...", cwd=tmp_path / "m")
        text = re.sub(r"\b[0-9.]+s\b|0x[0-9a-f]+", "", done.stdout)
        told.append((done.returncode, text, done.stderr, (tmp_path / server).read_text()))
        limit = time.monotonic() + 30
        while list((tmp_path / "run").iterdir()):  # the server has heard of go's end
            assert time.monotonic() < limit
            time.sleep(0.01)
    assert told[0] == told[1]
    assert [line[:2] for line in told[0][1].splitlines() if line.startswith(("ok", "FAIL\t"))].count("ok") == 2


def names(files: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Of a snapshot what is no time: that of a directory moves where a file was asked for."""
    return [(name, mode, ino, data) for name, mode, ino, _, _, data in files]


def test_coverage_of_a_program(module: Path) -> None:
    """What go build -cover makes writes into GOCOVERDIR."""
    at = module.parent / "coverage"
    at.mkdir()
    done = tool.go("run", "-cover", ".", cwd=module, target={**tool.PLAN9, "GOCOVERDIR": str(at)})
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(name.split(".")[0] for name in os.listdir(at)) == ["covcounters", "covmeta"]


@pytest.mark.parametrize(
    ("opts", "message"),
    [
        ("--show nothing", "p9emu: Invalid value for '--show': 'nothing' is none of module, goroot"),
        ("-m 1", "p9emu: Invalid value for '-m'"),
        ("'", "p9emu: P9EMU_OPTS: no closing quotation"),
    ],
)
def test_bad_options_are_told_in_one_line(opts: str, message: str) -> None:
    done = execute(Path("hello"), opts=opts)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


def test_temporary_directory_is_removed(programs: Path, tmp_path: Path) -> None:
    env = tool.environ(opts="") | {"TMPDIR": str(tmp_path)}
    command = [os.path.join(tool.scripts(), "go_plan9_386_exec"), str(programs / "ninep")]
    subprocess.run(command, env=env, cwd=SOURCE, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert os.listdir(tmp_path) == []


def _catches(pid: int, number: int) -> bool:
    """Whether the process has a handler for the signal."""
    caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
    return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM])
def test_temporary_directory_is_removed_when_go_test_gives_up(programs: Path, tmp_path: Path, number: int) -> None:
    env = tool.environ(opts="") | {"TMPDIR": str(tmp_path)}
    command = [os.path.join(tool.scripts(), "go_plan9_386_exec"), str(programs / "heap"), "1", "200"]
    with subprocess.Popen(command, env=env, cwd=SOURCE, stderr=subprocess.PIPE, text=True) as p:
        while not _catches(p.pid, number):
            assert p.poll() is None
            time.sleep(0.01)
        assert os.listdir(tmp_path)
        p.send_signal(number)
        _, stderr = p.communicate()
    assert (p.returncode, stderr) == (128 + number, f"p9emu: ended by {signal.Signals(number).name}\n")
    assert os.listdir(tmp_path) == []


def test_gofmt_says_what_it_says_on_the_host(tmp_path: Path) -> None:
    bad = tmp_path / "bad.go"
    bad.write_text("package  x\nfunc  f( ) {}\n")
    built = tmp_path / "gofmt"
    done = tool.go("build", "-o", str(built), "cmd/gofmt")
    assert done.returncode == 0, done.stderr
    outputs = []
    for name, gofmt in (("plan9", built), ("host", Path(tool.goroot()) / "bin" / "gofmt")):
        for args in (["-l", os.path.join(tool.goroot(), "src", "fmt")], ["-l", "."], ["-d", "bad.go"]):
            if name == "plan9":
                done = execute(gofmt, *args, cwd=tmp_path)
            else:
                done = subprocess.run([str(gofmt), *args], cwd=tmp_path, capture_output=True, text=True, check=False)
            outputs.append((name, done.returncode, done.stdout))
    plan9, host = outputs[:3], outputs[3:]
    assert [o[1:] for o in plan9] == [o[1:] for o in host]
    assert plan9[1][2] == "bad.go\n"
