"""p9emu cc: what it makes, and how it fails."""

import json
import os
import resource
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emu.program.aout import load
from tests.e2e.harness import ROOT, p9emu

pytest.importorskip("ziglang")
pytest.importorskip("elftools")

FAULT = """\
#include "guest.h"

char *
main(void)
{
	*(volatile int *)0x5000 = 1;
	return nil;
}
"""
GOOD = '#include "guest.h"\nchar *main(void) { return nil; }\n'


@pytest.fixture
def there(tmp_path: Path) -> Path:
    (tmp_path / "fault.c").write_text(FAULT)
    (tmp_path / "good.c").write_text(GOOD)
    return tmp_path


def fails(there: Path, *args: str) -> tuple[int, str]:
    """Status and standard error of a compilation that must leave the directory as it was."""
    before = {p.name: p.read_bytes() for p in there.iterdir() if p.is_file()}
    done = p9emu("cc", *args, cwd=there)
    assert {p.name: p.read_bytes() for p in there.iterdir() if p.is_file()} == before
    assert done.stdout == b""
    return done.returncode, done.stderr.decode()


def test_the_trace_of_what_was_compiled_tells_lines(there: Path) -> None:
    done = p9emu("cc", "fault.c", cwd=there)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert sorted(p.name for p in there.iterdir()) == ["a.out", "fault.c", "good.c"]
    assert stat.S_IMODE((there / "a.out").stat().st_mode) == 0o777 & ~umask()
    text = p9emu("trace", "-e", "fault", "./a.out", cwd=there).stderr.decode()
    assert "unmapped" in text
    assert " fault.c:6: mov dword ptr [0x5000], 1\n" in text
    trace = p9emu("trace", "-e", "fault", "--format", "json", "-o", "trace", "./a.out", cwd=there)
    assert trace.returncode == 1
    last = json.loads((there / "trace").read_text().splitlines()[-1])
    assert (last["class"], last["file"], last["line"]) == ("unmapped", "fault.c", 6)
    listing = p9emu("disasm", "a.out", "main", cwd=there).stdout.decode().splitlines()
    assert listing[:2] == ["main:", "; fault.c:6"]
    assert sum(line.startswith("; ") for line in listing) == 2


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_options(there: Path) -> None:
    (there / "o.c").write_text('#include "x.h"\nchar *main(int c) { return X == Y ? 0 : "no"; }\n')
    (there / "inc").mkdir()
    (there / "inc" / "x.h").write_text("#define X 4\n")
    done = p9emu("cc", "-o", "prog", "-Iinc", "-DY=4", "-O2", "-Wextra", "o.c", cwd=there)
    assert done.returncode == 0
    assert b"o.c:2:16: warning: unused parameter 'c'" in done.stderr
    assert p9emu("run", "./prog", cwd=there).returncode == 0


def test_the_compilers_words_are_left_as_they_are(there: Path) -> None:
    (there / "bad.c").write_text("char *main(void) { return nonsense; }\n")
    status, err = fails(there, "bad.c")
    assert status == 1
    assert err.startswith("bad.c:1:27: error: use of undeclared identifier 'nonsense'\n")


@pytest.mark.parametrize(
    ("args", "status", "err"),
    [
        (["nosuch.c"], 1, "p9emu: nosuch.c: no such file or directory\n"),
        (["good.c", "."], 1, "p9emu: .: is a directory\n"),
        (["-o", "good.c", "good.c"], 1, "p9emu: good.c: is a source\n"),
        (["-o", "./good.c", "fault.c", "good.c"], 1, "p9emu: ./good.c: is a source\n"),
        (["-o", "link.c", "good.c"], 1, "p9emu: link.c: is a source\n"),
        (["-o", ".", "good.c"], 125, "p9emu: .: is a directory\n"),
        (["-o", "nosuch/out", "good.c"], 125, "p9emu: nosuch/out: no such file or directory\n"),
        (["-o", "good.c/out", "fault.c"], 125, "p9emu: good.c/out: not a directory\n"),
        (["-o", "/dev/full", "good.c"], 125, "p9emu: /dev/full: no space left on device\n"),
        (["fifo.c"], 1, "p9emu: fifo.c: is not a regular file\n"),
        (["prog"], 1, "p9emu: prog: is no source: its name ends in none of .c, .S, .s\n"),
        (["new\nline.c"], 1, "p9emu: new\\nline.c: the compiler takes no name with a newline\n"),
        (["-o", "fifo.c", "good.c"], 125, "p9emu: fifo.c: nobody reads it\n"),
        ([], 2, "p9emu: Missing argument 'FILE...' (try 'p9emu cc --help')\n"),
        (["-O", "9", "good.c"], 2, "p9emu: Invalid value for '-O'"),
        (["void.c"], 1, "no function main, and no _start\n"),
        (["twice.c", "good.c"], 1, "ld.lld: error: duplicate symbol: main\n"),
        (["big.c"], 1, "p9emu: a.out: the header claims 3758096384 bytes of bss"),
    ],
)
def test_failures_are_one_line(there: Path, args: list[str], status: int, err: str) -> None:
    (there / "prog").write_text("old")
    (there / "void.c").write_text("int x;\n")
    (there / "new\nline.c").write_text(GOOD)
    (there / "twice.c").write_text(GOOD)
    (there / "big.c").write_text("char big[0xe0000000u];\nchar *main(void) { return big[1] ? big : 0; }\n")
    os.link(there / "good.c", there / "link.c")
    os.mkfifo(there / "fifo.c")
    got, text = fails(there, *args)
    assert (got, text[: len(err)]) == (status, err)
    assert "Traceback" not in text


def test_a_full_disk_leaves_what_was_there(there: Path) -> None:
    """As far as a limit on files' sizes shows it."""
    (there / "a.out").write_text("old")
    (there / "sum.c").write_text('#include "guest.h"\nchar *main(void) { print("%d", 1); return nil; }\n')
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    p9emu("cc", "-o", "/dev/null", "sum.c", cwd=there)  # the library is there now
    code = f"""
import resource, signal, sys
import guest.cc, emu.cli.cc
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
made = guest.cc.compile(["sum.c"])
def compile(*args, **more):
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, {resource.RLIM_INFINITY}))
    return made
guest.cc.compile = compile
from emu.cli import main
sys.argv = ["p9emu", "cc", "sum.c"]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=there, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (125, "p9emu: a.out: file too large\n")
    assert (there / "a.out").read_text() == "old"
    assert sorted(p.name for p in there.iterdir()) == ["a.out", "fault.c", "good.c", "sum.c"]


def test_output_through_a_link_and_into_a_device(there: Path) -> None:
    (there / "real").write_text("old")
    (there / "link").symlink_to("real")
    assert p9emu("cc", "-o", "link", "good.c", cwd=there).returncode == 0
    assert (there / "link").is_symlink()
    assert load(str(there / "real")).text
    done = p9emu("cc", "-o", "/dev/stdout", "good.c", cwd=there)
    assert (done.returncode, done.stdout) == (0, (there / "real").read_bytes())


def test_names_that_are_no_text(there: Path) -> None:
    name = os.fsdecode(b"\xff.c")
    (there / name).write_text(FAULT)
    assert p9emu("cc", "-o", "out\n\udcff", name, cwd=there).returncode == 0
    assert load(str(there / "out\n\udcff")).text


MAINS = {
    "void main(void) { }": "main returns nothing: unless it calls exits, the exit string is whatever is in AX",
    "int main(void) { return 0; }": "main returns a number, where its exit string is expected: nil for success",
    "typedef const char *S; S main(void) { return 0; }": "",
}


@pytest.mark.parametrize("source", MAINS)
def test_what_main_returns(there: Path, source: str) -> None:
    (there / "m.c").write_text(source)
    done = p9emu("cc", "m.c", cwd=there)
    told = f"m.c: warning: {MAINS[source]} [-Wmain]\n" if MAINS[source] else ""
    assert (done.returncode, done.stderr.decode()) == (0, told)
    assert p9emu("cc", "-W", "no-main", "m.c", cwd=there).stderr == b""


def test_who_is_asked_to_end_leaves_nothing(there: Path) -> None:
    (there / "tmp").mkdir()
    for i in range(20):
        (there / f"f{i}.c").write_text('#include "guest.h"\n' + f"int f{i}(void) {{ return {i}; }}\n")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(there / "tmp")}
    words = [sys.executable, "-m", "emu", "cc", "good.c", *(f"f{i}.c" for i in range(20))]
    with subprocess.Popen(words, cwd=there, env=env, stderr=subprocess.PIPE, text=True) as p:
        while not any((there / "tmp").glob("p9emu-cc-*/*.o")):
            assert p.poll() is None
            time.sleep(0.01)
        p.terminate()
        assert p.communicate()[1] == "p9emu: ended by SIGTERM\n"
    assert p.returncode == 143
    assert list((there / "tmp").glob("p9emu-cc-*")) == []
    assert not (there / "a.out").exists()


def test_without_the_extra(there: Path) -> None:
    code = "import sys; from emu.cli import main; sys.modules['ziglang'] = None; sys.argv[1:] = ['cc', 'a.c']; main()"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    (there / "a.c").write_text(GOOD)
    done = subprocess.run([sys.executable, "-c", code], cwd=there, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "p9emu: cc needs the extra \"guests\": pip install 'p9emu[guests]'\n",
    )
